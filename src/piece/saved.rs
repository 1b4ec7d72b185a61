//! What the saved states of this room have in common: a version first, and one error.

use std::fmt;

/// Why a saved state could not be taken up again. The transfer then starts from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveError {
    /// The record was written by a newer version of this program.
    Version(u8),
    /// The record is cut short, too long, or holds values that no state can have.
    Malformed,
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SaveError::Version(version) => write!(f, "saved state has unknown version {version}"),
            SaveError::Malformed => f.write_str("saved state is damaged"),
        }
    }
}

impl std::error::Error for SaveError {}

impl From<minicbor::decode::Error> for SaveError {
    fn from(_: minicbor::decode::Error) -> Self {
        SaveError::Malformed
    }
}
