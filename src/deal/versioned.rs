//! The form of every stored record: one byte of format version, then CBOR.

use minicbor::{Decode, Encode};
use std::fmt;

/// Format version that this binary writes.
pub const VERSION: u8 = 1;

/// A stored record could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordError {
    /// Written by a newer release.
    Version(u8),
    /// Damaged.
    Malformed(String),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(
                f,
                "the record has format {version}, this release reads up to {VERSION}: use a newer release"
            ),
            Self::Malformed(what) => write!(f, "the record is damaged: {what}"),
        }
    }
}

impl std::error::Error for RecordError {}

pub(super) fn malformed(error: impl fmt::Display) -> RecordError {
    RecordError::Malformed(error.to_string())
}

/// A version byte and the value's CBOR.
pub fn versioned<T: Encode<()>>(version: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![version];
    // Writing into a vector cannot fail.
    if minicbor::encode(value, &mut bytes).is_err() {
        bytes.truncate(1);
    }
    bytes
}

/// Reads what [`versioned`] wrote.
///
/// # Errors
/// Damage, or a version above `newest`.
pub fn read_versioned<'b, T: Decode<'b, ()>>(
    newest: u8,
    bytes: &'b [u8],
) -> Result<T, RecordError> {
    match bytes.split_first() {
        Some((version, rest)) if *version >= 1 && *version <= newest => {
            minicbor::decode(rest).map_err(malformed)
        }
        Some((0, _)) => Err(malformed("it has no version")),
        Some((version, _)) => Err(RecordError::Version(*version)),
        None => Err(malformed("empty")),
    }
}
