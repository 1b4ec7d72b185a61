//! Why a call has no answer.

use std::fmt;

/// The part of an exchange that did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Looking the host's name up.
    Resolve,
    /// Opening the connection, TLS included.
    Connect,
    /// Sending the request.
    Send,
    /// Waiting for the head of the answer.
    Answer,
    /// Reading the body of the answer.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
            Self::Send => "sending the request",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the answer",
        })
    }
}

/// Why a call has no answer. No variant holds a token or more of an address than host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpcError {
    /// No complete HTTP answer, or one without a JSON-RPC object in it (a proxy's page). Another server may do better.
    Unreachable {
        /// Host and port.
        endpoint: String,
        /// The method's name without its prefix.
        method: String,
        /// How far it came.
        phase: Phase,
        /// What happened, in words.
        reason: String,
    },
    /// HTTP 401: the token is wrong or has expired (chain-sealer-rpc A.3). Even reads fail with it.
    Unauthorized {
        /// Host and port.
        endpoint: String,
    },
    /// The token is right but lacks the permission for this method.
    Forbidden {
        /// The method's name without its prefix.
        method: String,
        /// The server's words.
        message: String,
    },
    /// The server answered with an error (chain-sealer-rpc A.4).
    Refused {
        /// The method's name without its prefix.
        method: String,
        /// The server's error code.
        code: i64,
        /// The server's words, shortened.
        message: String,
    },
    /// The answer has not the documented form.
    Malformed {
        /// The method's name without its prefix.
        method: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl RpcError {
    /// Whether the request has certainly not reached the server.
    pub fn before_sending(&self) -> bool {
        matches!(
            self,
            Self::Unreachable {
                phase: Phase::Resolve | Phase::Connect,
                ..
            }
        )
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable {
                endpoint,
                method,
                phase,
                reason,
            } => write!(f, "{method} at {endpoint} failed while {phase}: {reason}"),
            Self::Unauthorized { endpoint } => {
                write!(f, "{endpoint} does not accept the token (HTTP 401)")
            }
            Self::Forbidden { method, message } => {
                write!(f, "the token lacks a permission for {method}: {message}")
            }
            Self::Refused {
                method,
                code,
                message,
            } => write!(f, "{method} answered with error {code}: {message}"),
            Self::Malformed { method, reason } => {
                write!(f, "{method} answered in an unexpected form: {reason}")
            }
        }
    }
}

impl std::error::Error for RpcError {}
