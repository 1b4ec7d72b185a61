//! Why a sealer does not do what it is asked.

use crate::rpc::RpcError;
use std::fmt;

/// What lotus-miner says of bytes whose commitment is not that of the piece (spec chain-sealer-rpc E.1).
const OTHER_DATA: &str = "got unexpected piece CID";

/// What it says of a deal that starts within its StartEpochSealingBuffer, or has started (E.1).
const TOO_LATE: &str = "has passed deal proposal start epoch";

/// What a refusal to take a piece means for the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes that it read have another commitment.
    OtherData,
    /// The deal's start epoch is too near: every further try will be refused.
    TooLate,
    /// Anything else, which may pass.
    Other,
}

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

impl SealerError {
    /// What an error of [`super::Sealer::add_piece`] means for the next try.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refused { message, .. } if message.contains(OTHER_DATA) => Refusal::OtherData,
            Self::Refused { message, .. } if message.contains(TOO_LATE) => Refusal::TooLate,
            _ => Refusal::Other,
        }
    }

    /// The same without a secret that the sealer may have repeated.
    pub(super) fn without(self, secret: &str, instead: &str) -> Self {
        match self {
            Self::Refused { code, message } => Self::Refused {
                code,
                message: message.replace(secret, instead),
            },
            other => other,
        }
    }
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
