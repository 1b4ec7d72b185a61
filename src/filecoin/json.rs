//! The values' JSON forms on a Lotus-compatible node's RPC (spec chain-sealer-rpc A.5, C.1).
//!
//! Writing gives the exact form of Lotus. Reading is strict about kinds (an amount is a string, a
//! number is not a float) and, like Lotus, lenient about the case of field names and about
//! unknown fields. Where a node writes `null` for nothing, `null` and a missing field are read.

mod objects;

pub use objects::{
    from_client_proposal, from_message, from_proposal, from_signature, from_signed_message,
    to_client_proposal, to_message, to_proposal, to_signature, to_signed_message,
};

use super::{Address, TokenAmount};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cid::Cid;
use serde_json::{Value, json};
use std::fmt;

/// How an undefined address prints.
const UNDEFINED_ADDRESS: &str = "<empty>";
/// The longest text that is taken for a CID. A CIDv1 with 64 bytes of digest has about 140
/// characters.
const MAX_CID_TEXT: usize = 256;

/// Why a JSON value is not what was asked for; the text says what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError(pub &'static str);

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unexpected JSON: {}", self.0)
    }
}

impl std::error::Error for JsonError {}

/// `{"/":"bafy…"}`, or `null` for none.
pub fn from_cid(c: Option<&Cid>) -> Value {
    c.map_or(Value::Null, |cid| json!({ "/": cid.to_string() }))
}

/// Reads `{"/":"bafy…"}`; `None` for `null`.
pub fn to_cid(v: &Value) -> Result<Option<Cid>, JsonError> {
    const EXPECTED: JsonError = JsonError("expected a CID");
    if v.is_null() {
        return Ok(None);
    }
    let object = v
        .as_object()
        .filter(|object| object.len() == 1)
        .ok_or(EXPECTED)?;
    let text = object.get("/").and_then(Value::as_str).ok_or(EXPECTED)?;
    // The parser would also look for a CID within a path or URL.
    if text.len() > MAX_CID_TEXT || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(EXPECTED);
    }
    let cid = Cid::try_from(text).map_err(|_| EXPECTED)?;
    Ok(Some(cid))
}

/// A string of decimal attoFIL.
pub fn from_amount(a: &TokenAmount) -> Value {
    Value::String(a.to_string())
}

/// Reads a string of decimal attoFIL; a number is refused.
pub fn to_amount(v: &Value) -> Result<TokenAmount, JsonError> {
    v.as_str()
        .and_then(TokenAmount::parse_atto)
        .ok_or(JsonError("expected an amount as a decimal string"))
}

/// Standard base64 with padding; `null` for no bytes.
pub fn from_bytes(b: &[u8]) -> Value {
    if b.is_empty() {
        Value::Null
    } else {
        Value::String(STANDARD.encode(b))
    }
}

/// Reads standard base64 with padding; no bytes for `null` and an empty string.
pub fn to_bytes(v: &Value) -> Result<Vec<u8>, JsonError> {
    const EXPECTED: JsonError = JsonError("expected bytes in base64");
    if v.is_null() {
        return Ok(Vec::new());
    }
    let text = v.as_str().ok_or(EXPECTED)?;
    STANDARD.decode(text).map_err(|_| EXPECTED)
}

/// `f0…`, `f1…` and so on.
pub fn from_address(a: &Address) -> Value {
    Value::String(a.to_string())
}

/// Reads an address with either network letter; `None` for `<empty>`, an empty string and `null`.
pub fn to_address(v: &Value) -> Result<Option<Address>, JsonError> {
    const EXPECTED: JsonError = JsonError("expected an address");
    if v.is_null() {
        return Ok(None);
    }
    match v.as_str().ok_or(EXPECTED)? {
        "" | UNDEFINED_ADDRESS => Ok(None),
        text => text.parse().map(Some).map_err(|_| EXPECTED),
    }
}

/// Reads an unsigned integer of 64 bits.
pub fn to_u64(v: &Value) -> Result<u64, JsonError> {
    v.as_u64().ok_or(JsonError("expected an unsigned integer"))
}

/// Reads a signed integer of 64 bits.
pub fn to_i64(v: &Value) -> Result<i64, JsonError> {
    v.as_i64().ok_or(JsonError("expected an integer"))
}

/// Reads a boolean.
pub fn to_bool(v: &Value) -> Result<bool, JsonError> {
    v.as_bool().ok_or(JsonError("expected a boolean"))
}

/// Reads a string.
pub fn to_text(v: &Value) -> Result<&str, JsonError> {
    v.as_str().ok_or(JsonError("expected a string"))
}

/// The member of an object by its name in any case; the exact name first. `None` as well if the
/// value is not an object.
pub fn field<'v>(v: &'v Value, name: &str) -> Option<&'v Value> {
    let object = v.as_object()?;
    object.get(name).or_else(|| {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}
