//! Why a sealer does not do what it is asked.

use crate::rpc::RpcError;
use std::fmt;

/// Why a sealer does not do what it is asked. No variant holds a token or more of an address than host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealerError {
    /// No connection, a broken one, an HTTP status without a JSON-RPC body: worth another try later, after a look
    /// whether the piece has arrived after all.
    Unreachable(String),
    /// HTTP 401: the token is wrong.
    Unauthorized,
    /// The sealer answered with an error, or the token lacks a permission (code 1, the sealer's words).
    Refused {
        /// The sealer's code (chain-sealer-rpc A.4).
        code: i64,
        /// The method's name, then the sealer's words.
        message: String,
    },
    /// The answer did not have the documented form.
    Malformed(String),
    /// The piece's file could not be read, or has not the size it should have.
    File(String),
    /// The provider is stopping.
    Stopped,
}

impl fmt::Display for SealerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) => write!(f, "the sealer is not reachable: {text}"),
            Self::Unauthorized => f.write_str("the sealer does not accept the token"),
            Self::Refused { code, message } => {
                write!(f, "the sealer answered with error {code}: {message}")
            }
            Self::Malformed(text) => {
                write!(f, "the sealer answered in an unexpected form: {text}")
            }
            Self::File(text) => write!(f, "the piece's file: {text}"),
            Self::Stopped => f.write_str("stopped while waiting for the sealer"),
        }
    }
}

impl std::error::Error for SealerError {}

impl From<RpcError> for SealerError {
    fn from(error: RpcError) -> Self {
        let text = error.detail();
        match error {
            RpcError::Unreachable { .. } => Self::Unreachable(text),
            RpcError::Unauthorized { .. } => Self::Unauthorized,
            RpcError::Forbidden { .. } => Self::Refused {
                code: 1,
                message: text,
            },
            RpcError::Refused { code, .. } | RpcError::NoSuchMethod { code, .. } => Self::Refused {
                code,
                message: text,
            },
            RpcError::Malformed { .. } | RpcError::TooLarge { .. } => Self::Malformed(text),
        }
    }
}
