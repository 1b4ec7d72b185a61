//! Why a question to the chain has no answer.

use crate::rpc::RpcError;
use std::fmt;

/// Why a question to the chain has no answer. No variant holds a token or more of an address than host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainError {
    /// No connection, a time-out, an HTTP status without a JSON-RPC body: worth another try later. The text names
    /// method, host, phase and reason.
    Unreachable(String),
    /// HTTP 401: the token is wrong.
    Unauthorized,
    /// The token lacks a permission; the text names the method.
    Forbidden(String),
    /// The node answered with an error.
    Refused {
        /// The node's code (chain-sealer-rpc A.4); most of Lotus' errors have 1, most of Forest's -32603.
        code: i64,
        /// The method's name, then the node's words.
        message: String,
    },
    /// The answer did not have the documented form; the text names the method and what is wrong.
    Malformed(String),
    /// Carried out on the head, the message fails: for one of its deals, and nobody says which.
    WouldFail(String),
    /// The message is too long or needs too much gas: fewer deals in it would do.
    TooMuch(String),
    /// The fee limit is below what the chain asks for at present.
    Fee(String),
    /// Nobody can send the message: no key, or not enough money.
    NoSender(String),
    /// It will be clear later; nothing must be done meanwhile.
    Later(String),
    /// The message that was prepared will never be executed, which is final: another may be prepared in its place.
    Superseded(String),
}

impl ChainError {
    /// Whether the node has understood the question and answers no; false if it has not the method, does not take the
    /// request or has failed itself (chain-sealer-rpc A.4).
    pub fn is_denied(&self) -> bool {
        match self {
            // Panicked; unparsable, malformed, unknown method, wrong parameters; not supported (Forest).
            Self::Refused { code, .. } => {
                !matches!(code, 0 | -32700 | -32600 | -32601 | -32602 | -32001)
            }
            _ => false,
        }
    }

    /// Whether the node says that there is no such actor: code 11, or Lotus' and Forest's texts where the code is the
    /// one for everything (chain-sealer-rpc A.4, B.4).
    pub fn is_actor_not_found(&self) -> bool {
        match self {
            Self::Refused { code: 11, .. } => true,
            Self::Refused { message, .. } => message.contains("actor not found"),
            _ => false,
        }
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) => write!(f, "the chain node is not reachable: {text}"),
            Self::Unauthorized => f.write_str("the chain node does not accept the token"),
            Self::Forbidden(text) => write!(f, "the chain node's token is not enough: {text}"),
            Self::Refused { code, message } => {
                write!(f, "the chain node answered with error {code}: {message}")
            }
            Self::Malformed(text) => {
                write!(f, "the chain node answered in an unexpected form: {text}")
            }
            Self::WouldFail(text) => write!(f, "the message would fail: {text}"),
            Self::TooMuch(text) => write!(f, "the message is too large: {text}"),
            Self::Fee(text) => write!(f, "the fee limit is too low: {text}"),
            Self::NoSender(text) => write!(f, "the message cannot be sent: {text}"),
            Self::Later(text) => write!(f, "wait: {text}"),
            Self::Superseded(text) => write!(f, "the message will never be executed: {text}"),
        }
    }
}

impl std::error::Error for ChainError {}

impl From<RpcError> for ChainError {
    fn from(error: RpcError) -> Self {
        let text = error.detail();
        match error {
            RpcError::Unreachable { .. } => Self::Unreachable(text),
            RpcError::Unauthorized { .. } => Self::Unauthorized,
            RpcError::Forbidden { .. } => Self::Forbidden(text),
            RpcError::Refused { code, .. } | RpcError::NoSuchMethod { code, .. } => Self::Refused {
                code,
                message: text,
            },
            RpcError::Malformed { .. } | RpcError::TooLarge { .. } => Self::Malformed(text),
        }
    }
}
