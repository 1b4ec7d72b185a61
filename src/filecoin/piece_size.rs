//! Sizes of pieces: payload, unpadded (127 of 128 bytes) and padded (spec index-announce-retrieve
//! 2.1).

use std::fmt;

/// The smallest padded piece: one group of four 32-byte words.
pub const MIN_PADDED: u64 = 128;
/// The largest padded size that is calculated with; beyond every sector, and its sums fit 64 bits.
pub const MAX_PADDED: u64 = 1 << 62;

/// Why a number is not a padded piece size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceSizeError {
    /// Below 128 bytes.
    TooSmall,
    /// Not a power of two.
    NotPowerOfTwo,
}

impl fmt::Display for PieceSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooSmall => "the piece size is below 128 bytes",
            Self::NotPowerOfTwo => "the piece size is not a power of two",
        })
    }
}

impl std::error::Error for PieceSizeError {}

/// Unpadded bytes of a padded size, which is a power of two of at least 128: 127 of every 128.
pub fn unpadded(padded: u64) -> u64 {
    padded.saturating_sub(padded / 128)
}

/// The smallest padded piece size that holds this many payload bytes, at least 128; `None` beyond
/// 2^62.
pub fn padded_for_payload(bytes: u64) -> Option<u64> {
    if bytes > unpadded(MAX_PADDED) {
        return None;
    }
    let groups = bytes.div_ceil(127).max(1).checked_next_power_of_two()?;
    groups.checked_mul(MIN_PADDED)
}

/// Whether this is a padded piece size at all; the sector's size bounds it elsewhere.
pub fn check_padded(size: u64) -> Result<(), PieceSizeError> {
    if size < MIN_PADDED {
        Err(PieceSizeError::TooSmall)
    } else if size.is_power_of_two() {
        Ok(())
    } else {
        Err(PieceSizeError::NotPowerOfTwo)
    }
}
