//! What a look at the set-up asks beside the market: what a token may do, and where keys are. Nothing here sends a
//! message or leaves a trace on the node.

use super::node::{MinerInfo, Tipset};
use super::publish::Signer;
use super::wallet::{Held, holder};
use super::{ChainError, Lotus, Node};
use crate::filecoin::{Address, TokenAmount, cids};
use crate::rpc::Endpoint;

/// What a key is asked for that nobody has: its address is a hash of this text.
const NOBODY: &[u8] = b"coracle check: a key that nobody has";

/// Whether a token may call the methods of one permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum May {
    /// It may.
    Yes,
    /// The server says that the permission is missing.
    No,
    /// The server has no such methods: a gateway, which asks for no permission either (chain-sealer-rpc A.8).
    NotThere,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// What our token may do at one node beside reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `write`: asking for keys, pushing signed messages.
    pub write: May,
    /// `sign`: letting the node's wallet sign.
    pub sign: May,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// In this box's keystore.
    Here,
    /// In the wallet of the node with this name.
    Node(String),
    /// Nowhere that we can ask.
    Nowhere,
    /// A node does not let us ask, in these words.
    NotTold(String),
}

/// Who would send a miner's publish messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// Key address.
    pub key: Address,
    /// Its balance.
    pub balance: TokenAmount,
    /// Where its key is.
    pub place: KeyPlace,
}

impl Node {
    /// What the token may do at the first node of the list, found out with calls that change nothing: `AuthVerify` where
    /// the node has it, and questions about a key that nobody has.
    ///
    /// # Errors
    /// The node cannot be asked at all.
    pub fn access(&self) -> Result<Access, ChainError> {
        let Some(name) = self.names().into_iter().next() else {
            return Err(ChainError::Malformed("there is no node to ask".to_owned()));
        };
        let nobody = nobody()?;
        let write = may(self.wallet_has_at(&name, &nobody).map(|_| ()))?;
        let has_token = self
            .client
            .endpoints()
            .first()
            .and_then(Endpoint::authorization)
            .is_some();
        if has_token {
            // Nodes that do not know the method, or tokens of another kind, are asked by trying.
            match self.permissions() {
                Ok(list) => {
                    let sign = match (&write, list.iter().any(|one| one == "sign")) {
                        (May::NotThere, _) => May::NotThere,
                        (_, true) => May::Yes,
                        (_, false) => May::No,
                    };
                    return Ok(Access { write, sign });
                }
                Err(error @ (ChainError::Unreachable(_) | ChainError::Unauthorized)) => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let sign = match self.wallet_sign_at(&name, &nobody, NOBODY) {
            // The permission is looked at before the key: "no such key" came past it.
            Err(ChainError::Refused { code, .. }) if !NOT_CARRIED_OUT.contains(&code) => May::Yes,
            other => may(other.map(|_| ()))?,
        };
        Ok(Access { write, sign })
    }
}

/// Codes of calls that did not reach their method: no such method, not these parameters (chain-sealer-rpc A.4).
const NOT_CARRIED_OUT: [i64; 4] = [-32_601, -32_001, -32_602, -32_700];

/// An address that is nobody's.
fn nobody() -> Result<Address, ChainError> {
    let hash = cids::blake2b_256(NOBODY);
    let mut binary = vec![1];
    binary.extend(hash.iter().take(20));
    Address::from_bytes(&binary).map_err(|_| ChainError::Malformed("no address".to_owned()))
}

/// What an attempt says about a permission.
///
/// # Errors
/// The server cannot be asked.
fn may(attempt: Result<(), ChainError>) -> Result<May, ChainError> {
    Ok(match attempt {
        Ok(()) => May::Yes,
        Err(ChainError::Forbidden(_)) => May::No,
        Err(ChainError::Refused {
            code: -32601 | -32001,
            ..
        }) => May::NotThere,
        Err(error @ (ChainError::Unreachable(_) | ChainError::Unauthorized)) => return Err(error),
        Err(error) => May::Unknown(error.to_string()),
    })
}

impl Lotus {
    /// Where the key of this key address is: this box comes before the nodes.
    ///
    /// # Errors
    /// [`ChainError`]: no node has it, and one could not be asked.
    pub fn key_place(&self, key: &Address) -> Result<KeyPlace, ChainError> {
        if self.keys.as_deref().is_some_and(|keys| keys.has(key)) {
            return Ok(KeyPlace::Here);
        }
        Ok(match holder(&self.node, key)? {
            Held::By(node) => KeyPlace::Node(node),
            Held::Nowhere => KeyPlace::Nowhere,
            Held::NotTold(text) => KeyPlace::NotTold(text),
        })
    }

    /// Who would send this miner's publish messages, chosen as for a message.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn publisher(
        &self,
        miner: &Address,
        info: &MinerInfo,
        at: Option<&Tipset>,
    ) -> Result<Publisher, ChainError> {
        let sender = self.publish_sender(miner, info, &TokenAmount::zero(), at)?;
        let place = match sender.signer {
            Ok(Signer::Here) => KeyPlace::Here,
            Ok(Signer::Node(name)) => KeyPlace::Node(name),
            Err(ChainError::Forbidden(text)) => KeyPlace::NotTold(text),
            Err(_) => KeyPlace::Nowhere,
        };
        Ok(Publisher {
            key: sender.key,
            balance: sender.balance,
            place,
        })
    }
}
