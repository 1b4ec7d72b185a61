//! The deal protocols' messages, byte for byte as today's clients write and read them.
//!
//! A message is exactly one CBOR item on a stream, without a length before it (spec boost-mk12 1.2). The outer
//! messages are maps whose keys are text; a proposal inside is an array. Writers keep one order of keys, readers
//! accept any, skip keys that they do not know, take the last of a repeated key and give a missing one its zero
//! value. Numbers and lengths must be in their shortest form and lengths definite: [`crate::filecoin::cbor`] checks
//! that for a whole item before anything here looks at its values.
//!
//! [`read_item`] takes one such item off a stream; `encode` and `decode` of each message do the rest.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod ask;
mod deal;
mod item;
mod map;
mod status;
mod transports;

#[cfg(test)]
mod tests;

pub use ask::{AskRequest, AskResponse, SignedAsk, StorageAsk};
pub use deal::{DealParams, DealResponse, MAX_PARAMS_BYTES, Transfer};
pub(crate) use item::ItemReader;
pub use item::{ItemLimits, SMALL_ITEM_BYTES, read_item};
pub use map::{MAX_TEXT_BYTES, cut_text};
pub use status::{DealStatus, DealStatusRequest, DealStatusResponse};
pub use transports::{MAX_TRANSPORTS_BYTES, Transport, Transports};

use crate::filecoin::cbor::CborError;
use std::fmt;

/// Why a message could not be read or may not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireError {
    /// The bytes are not one strict CBOR item, or a chain value inside is not well formed.
    Cbor(CborError),
    /// The item is well formed, but this field is of another type, length or range than the message says.
    Field(&'static str),
    /// The item is, or declares itself to be, larger than this many bytes.
    TooLarge(u64),
    /// The stream ended inside an item; at its very beginning if no byte had come.
    Ended {
        /// Bytes that had arrived before the end.
        after: u64,
    },
    /// Bytes follow where the protocol wants the end of the stream.
    Trailing,
    /// Reading from the stream failed.
    Io(std::io::ErrorKind),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor(error) => write!(f, "not a strict CBOR message: {error}"),
            Self::Field(name) => write!(f, "message field {name} is malformed or out of range"),
            Self::TooLarge(limit) => write!(f, "message is larger than {limit} bytes"),
            Self::Ended { after } => write!(f, "stream ended after {after} bytes of a message"),
            Self::Trailing => f.write_str("bytes follow the message"),
            Self::Io(kind) => write!(f, "reading from the stream: {kind}"),
        }
    }
}

impl std::error::Error for WireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cbor(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CborError> for WireError {
    fn from(error: CborError) -> Self {
        Self::Cbor(error)
    }
}
