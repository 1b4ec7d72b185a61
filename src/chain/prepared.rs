//! A message before it is sent: what must be stored so that it can be sent again, and never twice.

use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{Address, ChainEpoch};
use cid::Cid;
use minicbor::{Decoder, Encoder};
use uuid::Uuid;

/// The first form of the bytes, and still that of a message that stands in no other's place.
const FORMAT: u8 = 1;

/// The same, and the CIDs of the messages in whose place this one stands.
const FORMAT_REPLACED: u8 = 2;

/// How often one message is replaced by another with a higher fee: ten times a quarter more is nine times as much.
pub(super) const REPLACED_MAX: usize = 10;

/// CIDs that are remembered: two for each time, since another may have been in its place meanwhile.
const EARLIER_MAX: usize = 2 * REPLACED_MAX;

/// A node's name: a host of at most 253 bytes and a port.
const NODE_NAME_MAX: usize = 300;

/// Bytes of a stored message: the mempool's limit and some room for what stands beside it.
pub const PREPARED_BYTES_MAX: usize = 80 * 1024;

/// A message that can be sent, however often, and takes effect once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The order that it is for.
    pub order: Uuid,
    pub(super) way: Way,
    /// CIDs of messages in whose place this one stands; the chain may execute any of them.
    pub(super) earlier: Vec<Cid>,
}

/// How it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// One node numbers, signs and sends it, once per order ID (`MsgUuid`): nobody else would know of the first time.
    Wallet {
        /// Host and port of the node.
        node: String,
        /// With gas, without nonce; as it was asked for the first time.
        message: Message,
    },
    /// It is signed, so any node may be given it, and its CID is known.
    Signed {
        /// The very bytes.
        message: SignedMessage,
        /// The head's height when it was signed: its nonce was free then.
        since: ChainEpoch,
    },
}

impl Prepared {
    /// A message without nonce that the wallet of a node (host and port) numbers, signs and sends once per order.
    pub fn by_wallet(order: Uuid, node: &str, message: Message) -> Self {
        let node = node.to_owned();
        Self {
            order,
            way: Way::Wallet { node, message },
            earlier: Vec::new(),
        }
    }

    /// A signed message, and the head's height when its nonce was free.
    pub fn signed(order: Uuid, message: SignedMessage, since: ChainEpoch) -> Self {
        Self {
            order,
            way: Way::Signed { message, since },
            earlier: Vec::new(),
        }
    }

    /// This one in the place of messages with these CIDs, the last ones of them if there are too many.
    #[must_use]
    pub fn in_place_of(mut self, earlier: impl IntoIterator<Item = Cid>) -> Self {
        for cid in earlier {
            if !self.earlier.contains(&cid) && self.cid() != Some(cid) {
                self.earlier.push(cid);
            }
        }
        let surplus = self.earlier.len().saturating_sub(EARLIER_MAX);
        self.earlier.drain(..surplus);
        self
    }

    /// CIDs of the messages in whose place it stands: the chain may execute any of them instead.
    pub fn earlier(&self) -> &[Cid] {
        &self.earlier
    }

    /// The CID, if it is known before sending.
    pub fn cid(&self) -> Option<Cid> {
        match &self.way {
            Way::Wallet { .. } => None,
            Way::Signed { message, .. } => Some(message.cid()),
        }
    }

    /// What is sent; the nonce is 0 if the node chooses it.
    pub fn message(&self) -> &Message {
        match &self.way {
            Way::Wallet { message, .. } => message,
            Way::Signed { message, .. } => &message.message,
        }
    }

    /// The key address that pays.
    pub fn sender(&self) -> &Address {
        &self.message().from
    }

    /// The bytes to be stored: a CBOR array of format, order, way (0 wallet, 1 signed) and the way's two parts; the second
    /// format ends with an array of CIDs.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut e = Encoder::new(&mut out);
        // Writing to a vector does not fail.
        let _ = if self.earlier.is_empty() {
            e.array(5).and_then(|e| e.u8(FORMAT))
        } else {
            e.array(6).and_then(|e| e.u8(FORMAT_REPLACED))
        };
        let _ = e.bytes(self.order.as_bytes());
        let _ = match &self.way {
            Way::Wallet { node, message } => e
                .u8(0)
                .and_then(|e| e.str(node))
                .and_then(|e| e.bytes(&message.encode())),
            Way::Signed { message, since } => e
                .u8(1)
                .and_then(|e| e.i64(*since))
                .and_then(|e| e.bytes(&message.encode())),
        };
        if !self.earlier.is_empty() {
            let _ = e.array(u64::try_from(self.earlier.len()).unwrap_or(u64::MAX));
            for cid in &self.earlier {
                let _ = e.bytes(&cid.to_bytes());
            }
        }
        out
    }

    /// Reads stored bytes; None for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        let replaced = match (d.array().ok()??, d.u8().ok()?) {
            (5, FORMAT) => false,
            (6, FORMAT_REPLACED) => true,
            _ => return None,
        };
        let order = Uuid::from_slice(d.bytes().ok()?).ok()?;
        let way = match d.u8().ok()? {
            0 => Way::Wallet {
                node: d
                    .str()
                    .ok()
                    .filter(|n| n.len() <= NODE_NAME_MAX)?
                    .to_owned(),
                message: Message::decode(d.bytes().ok()?).ok()?,
            },
            1 => Way::Signed {
                since: d.i64().ok()?,
                message: SignedMessage::decode(d.bytes().ok()?).ok()?,
            },
            _ => return None,
        };
        let mut earlier = Vec::new();
        if replaced {
            let count = usize::try_from(d.array().ok()??).ok()?;
            for _ in 0..count
                .checked_sub(1)
                .filter(|n| *n < EARLIER_MAX)?
                .saturating_add(1)
            {
                earlier.push(Cid::try_from(d.bytes().ok()?).ok()?);
            }
        }
        let whole = d.position() == bytes.len();
        whole.then_some(Self {
            order,
            way,
            earlier,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filecoin::{SecretKey, TokenAmount};

    fn message(from: &Address) -> Message {
        Message {
            version: 0,
            to: Address::market_actor(),
            from: from.clone(),
            nonce: 7,
            value: TokenAmount::zero(),
            gas_limit: 1_000,
            gas_fee_cap: TokenAmount::from_atto(20_u64),
            gas_premium: TokenAmount::from_atto(3_u64),
            method: 4,
            params: vec![0x81, 0x80],
        }
    }

    #[test]
    fn what_is_stored_is_read_again_and_nothing_else() {
        let order = Uuid::from_u128(9);
        for key in [
            SecretKey::secp256k1(&[5; 32]).unwrap(),
            SecretKey::bls(&[6; 32]).unwrap(),
        ] {
            let message = message(&key.address());
            let wallet = Prepared {
                order,
                way: Way::Wallet {
                    node: "node:1234".to_owned(),
                    message: message.clone(),
                },
                earlier: Vec::new(),
            };
            let signed = Prepared {
                order,
                way: Way::Signed {
                    message: message.clone().sign(&key),
                    since: 5_000_000,
                },
                earlier: Vec::new(),
            };
            assert_eq!(wallet.cid(), None);
            assert_eq!(signed.cid(), Some(message.sign(&key).cid()));
            let cids: Vec<Cid> = (0..3)
                .map(|n| crate::filecoin::cids::chain_cid(&[n]))
                .collect();
            let replaced = signed.clone().in_place_of(cids.clone());
            assert_eq!(replaced.earlier(), cids);
            assert_eq!(
                replaced.clone().in_place_of(cids).earlier().len(),
                3,
                "once each"
            );
            let many = (0..99).map(|n| crate::filecoin::cids::chain_cid(&[n]));
            let many = signed.clone().in_place_of(many);
            assert_eq!(many.earlier().len(), EARLIER_MAX);
            for prepared in [wallet, signed, replaced, many] {
                let bytes = prepared.encode();
                assert!(bytes.len() < PREPARED_BYTES_MAX);
                assert_eq!(Prepared::decode(&bytes), Some(prepared.clone()));
                assert_eq!(prepared.sender(), &key.address());
                for cut in 0..bytes.len() {
                    assert_eq!(Prepared::decode(&bytes[..cut]), None);
                }
                let mut longer = bytes.clone();
                longer.push(0);
                assert_eq!(Prepared::decode(&longer), None);
                let mut later = bytes;
                later[1] = 3;
                assert_eq!(Prepared::decode(&later), None, "another format");
            }
        }
    }
}
