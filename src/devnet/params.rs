//! The positional parameters of a call, decoded one by one: what does not decode is the caller's error (spec
//! chain-sealer-rpc A.2, A.5).

use super::rpc::RpcError;
use super::settings::NodeKind;
use crate::filecoin::json::{self, JsonError};
use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{Address, Signature, TokenAmount};
use cid::Cid;
use serde_json::Value;

/// Blocks of a tipset key.
const MAX_BLOCKS: usize = 32;

/// A call's parameters, as many as the method has, and what kind of node they were given to.
pub struct Params(pub Vec<Value>, pub NodeKind);

impl Params {
    /// What kind of node was asked.
    pub fn kind(&self) -> NodeKind {
        self.1
    }

    /// The parameter as it came; null where there is none.
    pub fn raw(&self, index: usize) -> &Value {
        self.0.get(index).unwrap_or(&Value::Null)
    }

    fn decode<T>(
        &self,
        index: usize,
        decode: impl Fn(&Value) -> Result<T, JsonError>,
    ) -> Result<T, RpcError> {
        decode(self.raw(index)).map_err(|JsonError(reason)| RpcError::param(index, reason))
    }

    /// An address that has to be there.
    pub fn address(&self, index: usize) -> Result<Address, RpcError> {
        self.decode(index, json::to_address)?
            .ok_or_else(|| RpcError::param(index, "an address is needed"))
    }

    /// A CID that has to be there.
    pub fn cid(&self, index: usize) -> Result<Cid, RpcError> {
        self.decode(index, json::to_cid)?
            .ok_or_else(|| RpcError::param(index, "a CID is needed"))
    }

    /// A tipset key; none is the head.
    pub fn tipset(&self, index: usize) -> Result<Option<Vec<Cid>>, RpcError> {
        let list = match self.raw(index) {
            Value::Null => return Ok(None),
            Value::Array(list) if list.len() <= MAX_BLOCKS => list,
            _ => return Err(RpcError::param(index, "not a tipset key")),
        };
        let mut key = Vec::new();
        for block in list {
            let cid = json::to_cid(block).map_err(|JsonError(text)| RpcError::param(index, text));
            key.push(cid?.ok_or_else(|| RpcError::param(index, "undefined block"))?);
        }
        Ok((!key.is_empty()).then_some(key))
    }

    /// An unsigned number.
    pub fn u64(&self, index: usize) -> Result<u64, RpcError> {
        let number = self.raw(index).as_u64();
        number.ok_or_else(|| RpcError::param(index, "not an unsigned number"))
    }

    /// A number.
    pub fn i64(&self, index: usize) -> Result<i64, RpcError> {
        let number = self.raw(index).as_i64();
        number.ok_or_else(|| RpcError::param(index, "not a number"))
    }

    /// Yes or no.
    pub fn bool(&self, index: usize) -> Result<bool, RpcError> {
        let value = self.raw(index).as_bool();
        value.ok_or_else(|| RpcError::param(index, "neither true nor false"))
    }

    /// Text.
    pub fn text(&self, index: usize) -> Result<&str, RpcError> {
        let value = self.raw(index).as_str();
        value.ok_or_else(|| RpcError::param(index, "not a string"))
    }

    /// A list of texts; null is the empty one.
    pub fn texts(&self, index: usize) -> Result<Vec<String>, RpcError> {
        let list = match self.raw(index) {
            Value::Null => return Ok(Vec::new()),
            Value::Array(list) => list,
            _ => return Err(RpcError::param(index, "not a list")),
        };
        let texts = list.iter().map(|text| text.as_str().map(str::to_owned));
        let texts: Option<Vec<String>> = texts.collect();
        texts.ok_or_else(|| RpcError::param(index, "not a list of strings"))
    }

    /// Bytes in base64.
    pub fn bytes(&self, index: usize) -> Result<Vec<u8>, RpcError> {
        self.decode(index, json::to_bytes)
    }

    /// attoFIL in a decimal string.
    pub fn amount(&self, index: usize) -> Result<TokenAmount, RpcError> {
        self.decode(index, json::to_amount)
    }

    /// A signature.
    pub fn signature(&self, index: usize) -> Result<Signature, RpcError> {
        self.decode(index, json::to_signature)
    }

    /// A message.
    pub fn message(&self, index: usize) -> Result<Message, RpcError> {
        self.decode(index, json::to_message)
    }

    /// A signed message.
    pub fn signed_message(&self, index: usize) -> Result<SignedMessage, RpcError> {
        self.decode(index, json::to_signed_message)
    }
}
