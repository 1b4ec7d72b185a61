//! One request and its answer: what went over the wire, in the terms of [`RpcError`] (chain-sealer-rpc A.4).

use super::trust::handshake_failure;
use super::{Endpoint, Phase, RpcError};
use serde_json::Value;
use ureq::Timeout;

/// Longest part of a server's error text that is kept, in characters. Lotus nests call traces into them.
const MESSAGE_MAX: usize = 600;

/// The reason of a connection that ended before an answer came.
const BROKEN: &str = "the connection broke";

/// The reason of a phase that ran out of time.
const LATE: &str = "it took too long";

/// Whether a connection ended before an answer came: an idle one may have been closed by the other side.
pub(super) fn broke(error: &RpcError) -> bool {
    matches!(error, RpcError::Unreachable { phase: Phase::Answer, reason, .. } if reason == BROKEN)
}

/// Whether a server kept its caller waiting.
pub(super) fn hung(error: &RpcError) -> bool {
    matches!(error, RpcError::Unreachable { reason, .. } if reason == LATE)
}

/// Sorts a transport error by its phase, in words that name no more than host and port.
pub(super) fn unreachable(
    endpoint: &Endpoint,
    method: &str,
    error: &ureq::Error,
    in_body: bool,
) -> RpcError {
    use std::io::ErrorKind;
    let (phase, reason) = match error {
        ureq::Error::BodyExceedsLimit(limit) => {
            return RpcError::TooLarge {
                method: method.to_owned(),
                limit: *limit,
            };
        }
        ureq::Error::HostNotFound => (Phase::Resolve, "no such host".to_owned()),
        ureq::Error::Timeout(timeout) => (
            match timeout {
                Timeout::Resolve => Phase::Resolve,
                Timeout::Connect => Phase::Connect,
                Timeout::SendRequest | Timeout::SendBody => Phase::Send,
                Timeout::RecvBody => Phase::Body,
                _ => Phase::Answer,
            },
            LATE.to_owned(),
        ),
        ureq::Error::ConnectionFailed => (Phase::Connect, "no connection".to_owned()),
        ureq::Error::Tls(text) => (Phase::Connect, handshake_failure(text)),
        ureq::Error::Rustls(error) => (Phase::Connect, handshake_failure(&error.to_string())),
        ureq::Error::Io(io) => match io.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => (Phase::Connect, io.kind().to_string()),
            // rustls reports a broken handshake as invalid data, before anything was sent.
            ErrorKind::InvalidData if endpoint.is_tls() && !in_body => {
                (Phase::Connect, handshake_failure(&io.to_string()))
            }
            _ if in_body => (Phase::Body, BROKEN.to_owned()),
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => (Phase::Answer, BROKEN.to_owned()),
            kind => (Phase::Answer, kind.to_string()),
        },
        _ if in_body => (Phase::Body, "the answer is not valid HTTP".to_owned()),
        _ => (Phase::Answer, "the answer is not valid HTTP".to_owned()),
    };
    RpcError::Unreachable {
        endpoint: endpoint.to_string(),
        method: method.to_owned(),
        phase,
        reason,
    }
}

/// Reads an HTTP answer as JSON-RPC, whatever its status.
pub(super) fn answer(
    endpoint: &Endpoint,
    method: &str,
    id: u64,
    status: u16,
    body: &[u8],
) -> Result<Value, RpcError> {
    let malformed = |reason: &str| RpcError::Malformed {
        method: method.to_owned(),
        reason: reason.to_owned(),
    };
    let parsed = serde_json::from_slice::<Value>(body).ok();
    let Some(Value::Object(mut object)) = parsed else {
        if status == 200 {
            return Err(malformed("it is not a JSON object"));
        }
        return Err(RpcError::Unreachable {
            endpoint: endpoint.to_string(),
            method: method.to_owned(),
            phase: Phase::Answer,
            reason: format!("HTTP {status} without a JSON-RPC answer"),
        });
    };
    if let Some(error) = object.get("error").filter(|e| !e.is_null()) {
        return Err(refusal(method, error));
    }
    // Lotus holds the id as a float; ours stay far below 2^53, so both readings are exact.
    let same_id = object.get("id").is_some_and(|given| {
        given.as_u64() == Some(id)
            || given
                .as_f64()
                .is_some_and(|f| f.to_string() == id.to_string())
    });
    if !same_id {
        return Err(malformed("it belongs to another request"));
    }
    object
        .remove("result")
        .ok_or_else(|| malformed("it has neither a result nor an error"))
}

/// Sorts an error object (chain-sealer-rpc A.4). Texts are only looked at where Lotus has one code for everything.
fn refusal(method: &str, error: &Value) -> RpcError {
    let code = error.get("code").and_then(Value::as_i64).unwrap_or(0);
    let text = error.get("message").and_then(Value::as_str);
    let message = shorten(text.unwrap_or("no message"));
    let method = method.to_owned();
    match code {
        // Forest has a code of its own for a missing permission, Lotus the code for everything.
        -32003 => RpcError::Forbidden { method, message },
        1 if message.contains("missing permission to invoke") => {
            RpcError::Forbidden { method, message }
        }
        // Not found (Lotus, Venus, gateways), not supported (Forest).
        -32601 | -32001 => RpcError::NoSuchMethod {
            method,
            code,
            message,
        },
        _ => RpcError::Refused {
            method,
            code,
            message,
        },
    }
}

/// A server's text, cut to [`MESSAGE_MAX`] characters and without control characters (they would forge log lines).
fn shorten(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(MESSAGE_MAX).map(clean).collect();
    if text.chars().nth(MESSAGE_MAX).is_some() {
        short.push('…');
    }
    short
}
