//! Why a call has no answer.

use std::fmt;

/// The part of an exchange that did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Choosing a server: all of them fail, and the one that hangs is being tried by another call already.
    Choice,
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
            Self::Choice => "choosing a server",
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
    /// The server has no such method: a gateway, another kind of node, an older version (codes -32601 and -32001).
    NoSuchMethod {
        /// The method's name without its prefix.
        method: String,
        /// The server's error code.
        code: i64,
        /// The server's words, shortened.
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
    /// The answer is larger than we read.
    TooLarge {
        /// The method's name without its prefix.
        method: String,
        /// Bytes that would have been read.
        limit: u64,
    },
}

impl RpcError {
    /// Whether the request has certainly not reached the server.
    pub fn before_sending(&self) -> bool {
        matches!(
            self,
            Self::Unreachable {
                phase: Phase::Choice | Phase::Resolve | Phase::Connect,
                ..
            }
        )
    }

    /// Whether another server of a list may do better: this one is away, talks nonsense, does not take our token or does
    /// not know the method.
    pub(super) fn is_of_the_server(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Unauthorized { .. }
                | Self::NoSuchMethod { .. }
                | Self::Malformed { .. }
        )
    }

    /// What happened, without saying whose fault it is: the layers above put their own words before it.
    pub fn detail(&self) -> String {
        match self {
            Self::Unreachable {
                endpoint,
                method,
                phase,
                reason,
            } => format!("{method} at {endpoint}, while {phase}: {reason}"),
            Self::Unauthorized { endpoint } => format!("{endpoint}: HTTP 401"),
            Self::Forbidden { method, message }
            | Self::NoSuchMethod {
                method, message, ..
            }
            | Self::Refused {
                method, message, ..
            } => format!("{method}: {message}"),
            Self::Malformed { method, reason } => format!("{method}: {reason}"),
            Self::TooLarge { method, limit } => {
                format!("{method}: the answer is larger than {limit} bytes")
            }
        }
    }

    /// The server's error code, if it has answered with one.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { code, .. } | Self::NoSuchMethod { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.detail();
        match self {
            Self::Unreachable { .. } => write!(f, "no answer: {detail}"),
            Self::Unauthorized { .. } => write!(f, "the token is not accepted: {detail}"),
            Self::Forbidden { .. } => write!(f, "the token lacks a permission: {detail}"),
            Self::NoSuchMethod { .. } => write!(f, "the server has no such method: {detail}"),
            Self::Refused { code, .. } => write!(f, "error {code}: {detail}"),
            Self::Malformed { .. } | Self::TooLarge { .. } => {
                write!(f, "unexpected answer: {detail}")
            }
        }
    }
}

impl std::error::Error for RpcError {}
