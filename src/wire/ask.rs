//! Asking for the provider's terms: the request and the answer of `/fil/storage/ask/1.1.0`.

use super::WireError;
use super::map::{begin, each_entry, nullable, put_key};
use crate::filecoin::cbor::{self, Out, put_i64, put_map, put_null, put_u64};
use crate::filecoin::{Address, ChainEpoch, Signature, TokenAmount};
use minicbor::Decoder;

/// The terms of a miner (spec boost-mk12 1.4, StorageAsk). Prices are attoFIL per GiB and epoch, sizes padded bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageAsk {
    /// Whose terms these are.
    pub miner: Address,
    /// Price of a plain deal.
    pub price: TokenAmount,
    /// Counts the changes of the terms.
    pub seq_no: u64,
    /// The epoch at which the terms end.
    pub expiry: ChainEpoch,
    /// The epoch at which they were made.
    pub timestamp: ChainEpoch,
    /// Largest piece that is taken.
    pub max_piece_size: u64,
    /// Smallest piece that is taken.
    pub min_piece_size: u64,
    /// Price of a verified deal.
    pub verified_price: TokenAmount,
}

/// Terms with the signature of the miner's worker over [`StorageAsk::encode`] (spec boost-mk12 1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAsk {
    /// The terms.
    pub ask: Option<StorageAsk>,
    /// The worker's signature.
    pub signature: Option<Signature>,
}

/// A question for a miner's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskRequest {
    /// The miner; none if the key was missing, which is nobody's address.
    pub miner: Option<Address>,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskResponse {
    /// None if the provider does not speak for that miner.
    pub ask: Option<SignedAsk>,
}

impl StorageAsk {
    /// The bytes that are sent and signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encoded(|out| self.encode_into(out))
    }

    /// Whether the terms have ended at this epoch.
    #[must_use]
    pub fn has_expired(&self, head: ChainEpoch) -> bool {
        self.expiry <= head
    }

    fn encode_into(&self, out: &mut Out) {
        put_map(out, 8);
        put_key(out, "Miner");
        cbor::put_address(out, &self.miner);
        put_key(out, "Price");
        cbor::put_amount(out, &self.price);
        put_key(out, "SeqNo");
        put_u64(out, self.seq_no);
        put_key(out, "Expiry");
        put_i64(out, self.expiry);
        put_key(out, "Timestamp");
        put_i64(out, self.timestamp);
        put_key(out, "MaxPieceSize");
        put_u64(out, self.max_piece_size);
        put_key(out, "MinPieceSize");
        put_u64(out, self.min_piece_size);
        put_key(out, "VerifiedPrice");
        cbor::put_amount(out, &self.verified_price);
    }

    /// Reads terms by themselves, as they are kept and signed.
    ///
    /// # Errors
    /// The bytes do not begin with one strict item of this shape, or it names no miner.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Self::decode_from(&mut Decoder::new(bytes))
    }

    /// Terms that name no miner are nobody's, so unlike other keys `Miner` must be there.
    fn decode_from(d: &mut Decoder<'_>) -> Result<Self, WireError> {
        let mut miner = None;
        let (mut price, mut verified_price) = (TokenAmount::default(), TokenAmount::default());
        let (mut seq_no, mut max_piece_size, mut min_piece_size) = (0, 0, 0);
        let (mut expiry, mut timestamp) = (0, 0);
        each_entry(d, |key, d| {
            match key {
                b"Miner" => miner = Some(cbor::get_address(d)?),
                b"Price" => price = cbor::get_amount(d)?,
                b"SeqNo" => seq_no = cbor::get_u64(d)?,
                b"Expiry" => expiry = cbor::get_i64(d)?,
                b"Timestamp" => timestamp = cbor::get_i64(d)?,
                b"MaxPieceSize" => max_piece_size = cbor::get_u64(d)?,
                b"MinPieceSize" => min_piece_size = cbor::get_u64(d)?,
                b"VerifiedPrice" => verified_price = cbor::get_amount(d)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            miner: miner.ok_or(WireError::Field("Miner"))?,
            price,
            seq_no,
            expiry,
            timestamp,
            max_piece_size,
            min_piece_size,
            verified_price,
        })
    }
}

impl SignedAsk {
    fn encode_into(&self, out: &mut Out) {
        put_map(out, 2);
        put_key(out, "Ask");
        match &self.ask {
            Some(ask) => ask.encode_into(out),
            None => put_null(out),
        }
        put_key(out, "Signature");
        match &self.signature {
            Some(signature) => cbor::put_signature(out, signature),
            None => put_null(out),
        }
    }

    fn decode_from(d: &mut Decoder<'_>) -> Result<Self, WireError> {
        let mut signed = Self {
            ask: None,
            signature: None,
        };
        each_entry(d, |key, d| {
            match key {
                b"Ask" => signed.ask = nullable(d, StorageAsk::decode_from)?,
                b"Signature" => signed.signature = nullable(d, |d| Ok(cbor::get_signature(d)?))?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(signed)
    }
}

impl AskRequest {
    /// The request's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = begin(u64::from(self.miner.is_some()));
        if let Some(miner) = &self.miner {
            put_key(&mut out, "Miner");
            cbor::put_address(&mut out, miner);
        }
        out.into_writer()
    }

    /// Reads a request.
    ///
    /// # Errors
    /// The bytes do not begin with one strict item of this shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut miner = None;
        each_entry(&mut Decoder::new(bytes), |key, d| {
            match key {
                b"Miner" => miner = Some(cbor::get_address(d)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { miner })
    }
}

impl AskResponse {
    /// The answer's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = begin(1);
        put_key(&mut out, "Ask");
        match &self.ask {
            Some(ask) => ask.encode_into(&mut out),
            None => put_null(&mut out),
        }
        out.into_writer()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// The bytes do not begin with one strict item of this shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut ask = None;
        each_entry(&mut Decoder::new(bytes), |key, d| {
            match key {
                b"Ask" => ask = nullable(d, SignedAsk::decode_from)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { ask })
    }
}
