//! The smaller stored records. Each is a version byte and a CBOR map, like [`crate::deal::record`].

use crate::deal::Millis;
use crate::deal::record::{RecordError, read_versioned, versioned};
use crate::filecoin::{Address, Signature, TokenAmount};
use crate::transfer::SavePoint;
use crate::wire::{SignedAsk, StorageAsk};
use minicbor::{Decode, Encode};

/// Format version of every record of this file.
const VERSION: u8 = 1;

/// One line of a deal's log.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogLine {
    /// When it was written.
    #[n(0)]
    pub time: Millis,
    /// 1 error, 2 warning, 3 information, 4 detail.
    #[n(1)]
    pub level: u8,
    /// Text without secrets.
    #[n(2)]
    pub text: String,
}

/// The stored number of a level.
pub(super) fn level_number(level: log::Level) -> u8 {
    match level {
        log::Level::Error => 1,
        log::Level::Warn => 2,
        log::Level::Info => 3,
        log::Level::Debug | log::Level::Trace => 4,
    }
}

impl LogLine {
    /// Name of its level.
    pub fn level_name(&self) -> &'static str {
        match self.level {
            1 => "ERROR",
            2 => "WARN",
            3 => "INFO",
            _ => "DEBUG",
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        versioned(VERSION, self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        read_versioned(VERSION, bytes)
    }
}

/// A piece that is kept on this box.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PieceRecord {
    /// The file.
    #[n(0)]
    pub path: String,
    /// Its 0x0401 index, empty if there is none.
    #[n(1)]
    pub index: String,
    /// Bytes of the payload.
    #[n(2)]
    pub payload_size: u64,
    /// Padded piece size of the deal that brought it.
    #[n(3)]
    pub padded_size: u64,
    /// The file is ours to delete.
    #[n(4)]
    pub ours: bool,
    /// When it was kept; the oldest gives way first.
    #[n(5)]
    pub kept: Millis,
}

impl PieceRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        versioned(VERSION, self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        read_versioned(VERSION, bytes)
    }
}

/// A proposal that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct RefusedProposal {
    /// When.
    #[n(0)]
    pub time: Millis,
    /// Chosen by the client.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub uuid: [u8; 16],
    /// Text of the peer that proposed.
    #[n(2)]
    pub peer: String,
    /// The client's address as proposed; empty, with all that follows from it, if the message had no proposal.
    #[n(3)]
    pub client: String,
    /// The provider's address as proposed.
    #[n(4)]
    pub miner: String,
    /// The piece.
    #[n(5)]
    pub piece_cid: String,
    /// Its padded size in bytes.
    #[n(6)]
    pub piece_size: u64,
    /// The data would have come by other means.
    #[n(7)]
    pub offline: bool,
    /// What the client was told; cut to the length of a log line.
    #[n(8)]
    pub told: String,
    /// What the operator should know.
    #[n(9)]
    pub log: String,
    /// Refusals right after this one that were not kept, because too many came at once.
    #[n(10)]
    pub left_out: u64,
}

impl RefusedProposal {
    pub(super) fn encode(&self) -> Vec<u8> {
        versioned(VERSION, self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        read_versioned(VERSION, bytes)
    }
}

/// A miner's ask as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAsk {
    /// The terms.
    pub terms: StorageAsk,
    /// The worker's signature over them; none while nobody has its key at hand.
    pub signature: Option<Signature>,
    /// The operator gave the expiry, so it holds; else the ask is renewed before it expires.
    pub expiry_given: bool,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct AskV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    miner: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    price: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    verified_price: Vec<u8>,
    #[n(3)]
    seq_no: u64,
    #[n(4)]
    expiry: i64,
    #[n(5)]
    timestamp: i64,
    #[n(6)]
    max_piece_size: u64,
    #[n(7)]
    min_piece_size: u64,
    #[cbor(n(8), with = "minicbor::bytes")]
    signature: Option<Vec<u8>>,
    /// Not there in the records of release 0.1, and left out where it is false.
    #[n(9)]
    expiry_given: Option<bool>,
}

impl StoredAsk {
    /// The form that is sent.
    pub fn signed(&self) -> SignedAsk {
        SignedAsk {
            ask: Some(self.terms.clone()),
            signature: self.signature.clone(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let ask = &self.terms;
        versioned(
            VERSION,
            &AskV1 {
                miner: ask.miner.as_bytes().to_vec(),
                price: ask.price.to_bytes(),
                verified_price: ask.verified_price.to_bytes(),
                seq_no: ask.seq_no,
                expiry: ask.expiry,
                timestamp: ask.timestamp,
                max_piece_size: ask.max_piece_size,
                min_piece_size: ask.min_piece_size,
                signature: self.signature.as_ref().map(Signature::to_bytes),
                expiry_given: self.expiry_given.then_some(true),
            },
        )
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let stored: AskV1 = read_versioned(VERSION, bytes)?;
        let amount = |bytes: &[u8]| {
            TokenAmount::from_bytes(bytes)
                .ok_or_else(|| RecordError::Malformed("ask price".to_owned()))
        };
        let miner = Address::from_bytes(&stored.miner)
            .map_err(|error| RecordError::Malformed(error.to_string()))?;
        Ok(Self {
            terms: StorageAsk {
                miner,
                price: amount(&stored.price)?,
                seq_no: stored.seq_no,
                expiry: stored.expiry,
                timestamp: stored.timestamp,
                max_piece_size: stored.max_piece_size,
                min_piece_size: stored.min_piece_size,
                verified_price: amount(&stored.verified_price)?,
            },
            signature: stored.signature.as_deref().and_then(Signature::from_bytes),
            expiry_given: stored.expiry_given.unwrap_or(false),
        })
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct SaveV1 {
    #[n(0)]
    offset: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    hasher: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    walker: Vec<u8>,
    #[n(3)]
    spool_len: u64,
    #[n(4)]
    validator: Option<String>,
}

pub(super) fn encode_save(save: &SavePoint) -> Vec<u8> {
    versioned(
        VERSION,
        &SaveV1 {
            offset: save.offset,
            hasher: save.hasher.clone(),
            walker: save.walker.clone(),
            spool_len: save.spool_len,
            validator: save.validator.clone(),
        },
    )
}

pub(super) fn decode_save(bytes: &[u8]) -> Result<SavePoint, RecordError> {
    let stored: SaveV1 = read_versioned(VERSION, bytes)?;
    Ok(SavePoint {
        offset: stored.offset,
        hasher: stored.hasher,
        walker: stored.walker,
        spool_len: stored.spool_len,
        validator: stored.validator,
    })
}
