//! Reading a node's JSON: each step says which method and field did not have the documented form.

use super::ChainError;
use crate::filecoin::json::{self, JsonError};
use crate::filecoin::{Address, Signature, TokenAmount};
use cid::Cid;
use serde_json::Value;

/// A part of an answer and where it was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a> {
    method: &'static str,
    field: &'static str,
    value: &'a Value,
}

impl<'a> Answer<'a> {
    /// The whole result of a method.
    pub fn new(method: &'static str, value: &'a Value) -> Self {
        Self {
            method,
            field: "result",
            value,
        }
    }

    /// A member; absent and `null` are the same and no error here.
    pub fn get(self, field: &'static str) -> Self {
        Self {
            field,
            value: self.value.get(field).unwrap_or(&Value::Null),
            ..self
        }
    }

    /// The first entry of a list, or `null`.
    pub fn first(self) -> Self {
        Self {
            value: self.value.get(0).unwrap_or(&Value::Null),
            ..self
        }
    }

    /// The entries of a list; `null` is an empty one.
    pub fn entries(self) -> Result<impl Iterator<Item = Answer<'a>>, ChainError> {
        let list = match self.value {
            Value::Null => &[][..],
            Value::Array(list) => list,
            _ => return Err(self.wrong("is no list")),
        };
        Ok(list.iter().map(move |value| Self { value, ..self }))
    }

    pub fn is_null(self) -> bool {
        self.value.is_null()
    }

    pub fn value(self) -> &'a Value {
        self.value
    }

    pub fn u64(self) -> Result<u64, ChainError> {
        self.value
            .as_u64()
            .ok_or_else(|| self.wrong("is no unsigned number"))
    }

    pub fn i64(self) -> Result<i64, ChainError> {
        self.value
            .as_i64()
            .ok_or_else(|| self.wrong("is no number"))
    }

    pub fn bool(self) -> Result<bool, ChainError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.wrong("is neither true nor false"))
    }

    pub fn text(self) -> Result<&'a str, ChainError> {
        self.value.as_str().ok_or_else(|| self.wrong("is no text"))
    }

    pub fn amount(self) -> Result<TokenAmount, ChainError> {
        self.form(json::to_amount(self.value))
    }

    pub fn bytes(self) -> Result<Vec<u8>, ChainError> {
        self.form(json::to_bytes(self.value))
    }

    pub fn cid(self) -> Result<Cid, ChainError> {
        self.form(json::to_cid(self.value))?
            .ok_or_else(|| self.wrong("is no CID"))
    }

    pub fn signature(self) -> Result<Signature, ChainError> {
        self.form(json::to_signature(self.value))
    }

    pub fn address(self) -> Result<Address, ChainError> {
        self.form(json::to_address(self.value))?
            .ok_or_else(|| self.wrong("is an undefined address"))
    }

    /// An error that names this part.
    pub fn wrong(self, what: &str) -> ChainError {
        ChainError::Malformed(format!("{}: {} {what}", self.method, self.field))
    }

    /// Names this part in a value's own error.
    pub fn form<T>(self, read: Result<T, JsonError>) -> Result<T, ChainError> {
        read.map_err(|error| self.wrong(&format!("is malformed: {}", error.0)))
    }
}
