//! Whose key signs: first the keys of this box, then the node's.

use super::{ChainError, Node};
use crate::filecoin::{Address, Signature};

/// Keys that are held beside the node, by key address.
pub trait LocalKeys: Send + Sync {
    /// Whether the key of this address is here.
    fn has(&self, key: &Address) -> bool;
    /// Signs raw bytes; None if the key is not here.
    fn sign(&self, key: &Address, bytes: &[u8]) -> Option<Signature>;
}

/// Signs with a local key or one of the node; None if neither has it, or if the token may not ask (said in the log).
pub(super) fn sign(
    local: Option<&dyn LocalKeys>,
    node: &Node,
    key: &Address,
    bytes: &[u8],
) -> Result<Option<Signature>, ChainError> {
    if let Some(signature) = local.and_then(|keys| keys.sign(key, bytes)) {
        return Ok(Some(signature));
    }
    if !node_has(node, key)? {
        return Ok(None);
    }
    match node.wallet_sign(key, bytes) {
        Ok(signature) => Ok(Some(signature)),
        Err(ChainError::Forbidden(text)) => {
            node.warn_once(format!("cannot sign with {key} on the node: {text}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether the node has the key, as far as it lets us know: a token without `write` and a gateway, which has no wallet
/// methods (chain-sealer-rpc A.8), count as no.
pub(super) fn node_has(node: &Node, key: &Address) -> Result<bool, ChainError> {
    match node.wallet_has(key) {
        Err(ChainError::Forbidden(text)) => {
            node.warn_once(format!("cannot ask the node for the key of {key}: {text}"));
            Ok(false)
        }
        // Method not found (Lotus), method not supported (Forest).
        Err(ChainError::Refused {
            code: -32601 | -32001,
            message,
        }) => {
            node.warn_once(format!(
                "the node has no wallet for the key of {key}: {message}"
            ));
            Ok(false)
        }
        other => other,
    }
}
