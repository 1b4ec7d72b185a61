//! Messages to the chain and their signed form (spec chain-sealer-rpc C.1, C.4).

use super::cbor::{self, CborError, Out};
use super::{Address, SecretKey, Signature, SignatureKind, TokenAmount, cids};
use cid::Cid;
use minicbor::Decoder;

/// Bytes of `params` when decoding. The mempool takes signed messages of 64 KiB at most, but
/// messages of blocks may have up to 2 MiB.
pub const MAX_PARAMS: usize = cbor::MAX_BYTES;

/// A call of an actor's method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Always 0.
    pub version: u64,
    /// The actor that is called.
    pub to: Address,
    /// The account that pays.
    pub from: Address,
    /// How many messages the account sent before.
    pub nonce: u64,
    /// What is transferred along.
    pub value: TokenAmount,
    /// The gas that may be used.
    pub gas_limit: i64,
    /// The most that is paid per unit of gas.
    pub gas_fee_cap: TokenAmount,
    /// What the block's producer is paid per unit of gas.
    pub gas_premium: TokenAmount,
    /// The method's number; 0 is a plain transfer.
    pub method: u64,
    /// The method's parameters, CBOR by convention.
    pub params: Vec<u8>,
}

impl Message {
    /// The CBOR.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encoded(|out| self.encode_into(out))
    }

    fn encode_into(&self, out: &mut Out) {
        cbor::put_array(out, 10);
        cbor::put_u64(out, self.version);
        cbor::put_address(out, &self.to);
        cbor::put_address(out, &self.from);
        cbor::put_u64(out, self.nonce);
        cbor::put_amount(out, &self.value);
        cbor::put_i64(out, self.gas_limit);
        cbor::put_amount(out, &self.gas_fee_cap);
        cbor::put_amount(out, &self.gas_premium);
        cbor::put_u64(out, self.method);
        cbor::put_bytes(out, &self.params);
    }

    /// Reads bytes that hold exactly one message, of version 0.
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        cbor::decode_all(b, Self::decode_from)
    }

    fn decode_from(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        cbor::expect_array(d, 10)?;
        let version = cbor::get_u64(d)?;
        if version != 0 {
            return Err(CborError::Malformed("unknown version of a message"));
        }
        Ok(Self {
            version,
            to: cbor::get_address(d)?,
            from: cbor::get_address(d)?,
            nonce: cbor::get_u64(d)?,
            value: cbor::get_amount(d)?,
            gas_limit: cbor::get_i64(d)?,
            gas_fee_cap: cbor::get_amount(d)?,
            gas_premium: cbor::get_amount(d)?,
            method: cbor::get_u64(d)?,
            params: cbor::get_bytes(d, MAX_PARAMS)?,
        })
    }

    /// The CID of the unsigned message.
    pub fn cid(&self) -> Cid {
        cids::chain_cid(&self.encode())
    }

    /// Signs the bytes of the message's CID. The key is that of `from`, or of the account behind
    /// it if that is an ID.
    pub fn sign(self, key: &SecretKey) -> SignedMessage {
        let signature = key.sign(&self.cid().to_bytes());
        SignedMessage {
            message: self,
            signature,
        }
    }
}

/// A message with the sender's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMessage {
    /// What is sent.
    pub message: Message,
    /// The sender's signature over the bytes of the message's CID.
    pub signature: Signature,
}

impl SignedMessage {
    /// The CBOR.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encoded(|out| {
            cbor::put_array(out, 2);
            self.message.encode_into(out);
            cbor::put_signature(out, &self.signature);
        })
    }

    /// Reads bytes that hold exactly one signed message.
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        cbor::decode_all(b, |d| {
            cbor::expect_array(d, 2)?;
            Ok(Self {
                message: Message::decode_from(d)?,
                signature: cbor::get_signature(d)?,
            })
        })
    }

    /// What the chain tracks it by. BLS: the message's CID, because blocks keep the signatures
    /// apart; otherwise the CID of the signed wrapper.
    pub fn cid(&self) -> Cid {
        match self.signature.kind {
            SignatureKind::Bls => self.message.cid(),
            SignatureKind::Secp256k1 | SignatureKind::Delegated => cids::chain_cid(&self.encode()),
        }
    }

    /// Whether this key address (f1, f3) signed the bytes of the message's CID. Delegated
    /// signatures are over an Ethereum transaction instead, so they never verify here.
    pub fn verify(&self, from_key: &Address) -> bool {
        self.signature.kind != SignatureKind::Delegated
            && self
                .signature
                .verify(from_key, &self.message.cid().to_bytes())
    }
}
