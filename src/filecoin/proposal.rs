//! The deal proposal of the chain and its signed form (spec boost-mk12 1.4, 1.5;
//! chain-sealer-rpc D.3). Both are CBOR arrays, not maps.

use super::cbor::{self, CborError, Out};
use super::{Address, ChainEpoch, Signature, TokenAmount, cids};
use cid::Cid;
use minicbor::Decoder;

/// Bytes of a label when decoding; what a deal may have is checked later (256).
pub const MAX_DECODED_LABEL: usize = cbor::MAX_BYTES;

/// The free text of a deal. On the wire it is a text string or a byte string, and the two are
/// different labels even if both are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    /// A text string.
    Text(String),
    /// A byte string.
    Bytes(Vec<u8>),
}

impl Label {
    /// The content, whatever its kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// What client and provider agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealProposal {
    /// The piece, in the form of the chain (v1).
    pub piece_cid: Cid,
    /// Padded bytes.
    pub piece_size: u64,
    /// Whether the client pays with DataCap.
    pub verified: bool,
    /// The client's account.
    pub client: Address,
    /// The provider's miner actor.
    pub provider: Address,
    /// Free text of the client.
    pub label: Label,
    /// The first epoch of the deal.
    pub start_epoch: ChainEpoch,
    /// The epoch after the last one.
    pub end_epoch: ChainEpoch,
    /// What the client pays per epoch, for the whole piece.
    pub price_per_epoch: TokenAmount,
    /// What the provider deposits.
    pub provider_collateral: TokenAmount,
    /// What the client deposits.
    pub client_collateral: TokenAmount,
}

impl DealProposal {
    /// The CBOR that the client signs.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encoded(|out| self.encode_into(out))
    }

    /// Writes the CBOR.
    pub fn encode_into(&self, out: &mut Out) {
        self.encode_between(&self.client, &self.provider, out);
    }

    fn encode_between(&self, client: &Address, provider: &Address, out: &mut Out) {
        cbor::put_array(out, 11);
        cbor::put_cid(out, &self.piece_cid);
        cbor::put_u64(out, self.piece_size);
        cbor::put_bool(out, self.verified);
        cbor::put_address(out, client);
        cbor::put_address(out, provider);
        match &self.label {
            Label::Text(text) => cbor::put_text(out, text),
            Label::Bytes(bytes) => cbor::put_bytes(out, bytes),
        }
        cbor::put_i64(out, self.start_epoch);
        cbor::put_i64(out, self.end_epoch);
        cbor::put_amount(out, &self.price_per_epoch);
        cbor::put_amount(out, &self.provider_collateral);
        cbor::put_amount(out, &self.client_collateral);
    }

    /// Reads bytes that hold exactly one proposal.
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        cbor::decode_all(b, Self::decode_from)
    }

    /// Reads a proposal.
    pub fn decode_from(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        cbor::expect_array(d, 11)?;
        Ok(Self {
            piece_cid: cbor::get_cid(d)?,
            piece_size: cbor::get_u64(d)?,
            verified: cbor::get_bool(d)?,
            client: cbor::get_address(d)?,
            provider: cbor::get_address(d)?,
            label: get_label(d)?,
            start_epoch: cbor::get_i64(d)?,
            end_epoch: cbor::get_i64(d)?,
            price_per_epoch: cbor::get_amount(d)?,
            provider_collateral: cbor::get_amount(d)?,
            client_collateral: cbor::get_amount(d)?,
        })
    }

    /// The CID of the proposal as written: DAG-CBOR, BLAKE2b-256.
    pub fn cid(&self) -> Cid {
        cids::chain_cid(&self.encode())
    }

    /// By what the chain tells deals apart: the CID after client and provider became these ID
    /// addresses (spec chain-sealer-rpc D.2).
    pub fn chain_cid(&self, client: &Address, provider: &Address) -> Cid {
        cids::chain_cid(&cbor::encoded(|out| {
            self.encode_between(client, provider, out);
        }))
    }

    /// Epochs from start to end; `None` if that does not fit 64 bits. It may be negative.
    pub fn duration(&self) -> Option<i64> {
        self.end_epoch.checked_sub(self.start_epoch)
    }

    /// Price per epoch × duration; zero for a duration that does not fit 64 bits.
    pub fn storage_fee(&self) -> TokenAmount {
        self.price_per_epoch.times(self.duration().unwrap_or(0))
    }
}

fn get_label(d: &mut Decoder<'_>) -> Result<Label, CborError> {
    if cbor::is_bytes(d) {
        cbor::get_bytes(d, MAX_DECODED_LABEL).map(Label::Bytes)
    } else {
        cbor::get_text(d, MAX_DECODED_LABEL).map(Label::Text)
    }
}

/// A proposal with the client's signature over its CBOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientDealProposal {
    /// What is agreed on.
    pub proposal: DealProposal,
    /// The client's signature.
    pub signature: Signature,
}

impl ClientDealProposal {
    /// The CBOR.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encoded(|out| self.encode_into(out))
    }

    /// Writes the CBOR.
    pub fn encode_into(&self, out: &mut Out) {
        cbor::put_array(out, 2);
        self.proposal.encode_into(out);
        cbor::put_signature(out, &self.signature);
    }

    /// Reads bytes that hold exactly one signed proposal.
    pub fn decode(b: &[u8]) -> Result<Self, CborError> {
        cbor::decode_all(b, Self::decode_from)
    }

    /// Reads a signed proposal.
    pub fn decode_from(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        cbor::expect_array(d, 2)?;
        Ok(Self {
            proposal: DealProposal::decode_from(d)?,
            signature: cbor::get_signature(d)?,
        })
    }

    /// By what the deal protocols tell deals apart: DAG-CBOR, SHA-256 (not the chain's hash).
    pub fn signed_cid(&self) -> Cid {
        cids::sha256_cid(cids::DAG_CBOR, &self.encode())
    }
}
