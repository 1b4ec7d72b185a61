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
    let Held::By(name) = holder(node, key)? else {
        return Ok(None);
    };
    match node.wallet_sign_at(&name, key, bytes) {
        Ok(signature) => Ok(Some(signature)),
        Err(ChainError::Forbidden(text)) => {
            node.warn_once(format!("cannot sign with {key} on the node: {text}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// In the wallet of the node with this name.
    By(String),
    /// In no wallet of a node.
    Nowhere,
    /// A node does not let us know, in these words: the token lacks `write`.
    NotTold(String),
}

/// The first node of the list that has the key, as far as they let us know. A gateway, which has no wallet methods
/// (chain-sealer-rpc A.8), counts as one without.
///
/// # Errors
/// None has it, and at least one could not be asked.
pub(super) fn holder(node: &Node, key: &Address) -> Result<Held, ChainError> {
    let mut failure = None;
    let mut held = Held::Nowhere;
    for name in node.client.names() {
        match node.wallet_has_at(&name, key) {
            Ok(true) => return Ok(Held::By(name)),
            Ok(false) => {}
            Err(ChainError::Forbidden(text)) => {
                node.warn_once(format!(
                    "cannot ask {name} whether it has the key of {key}: {text}"
                ));
                held = Held::NotTold(text);
            }
            // Method not found (Lotus), method not supported (Forest).
            Err(ChainError::Refused {
                code: -32601 | -32001,
                message,
            }) => node.warn_once(format!("{name} has no wallet: {message}")),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(held),
    }
}
