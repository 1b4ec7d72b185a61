//! How far a deal has come.

use std::fmt;

/// The checkpoints of spec boost-mk12 4.2; the names are what a status answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checkpoint {
    /// The proposal was accepted; the data is awaited.
    Accepted,
    /// The data is here and its commitment matched.
    Transferred,
    /// The publish message was given to the chain.
    Published,
    /// The publish message was executed and buried; the chain deal ID is known.
    PublishConfirmed,
    /// The sealer has the piece.
    AddedPiece,
    /// The index is kept; nothing but sealing remains. A successful deal stays here.
    IndexedAndAnnounced,
    /// Failed, cancelled or terminated; the deal's error says why.
    Complete,
}

/// All checkpoints in their order; the position is the stored number.
pub const ALL: [Checkpoint; 7] = [
    Checkpoint::Accepted,
    Checkpoint::Transferred,
    Checkpoint::Published,
    Checkpoint::PublishConfirmed,
    Checkpoint::AddedPiece,
    Checkpoint::IndexedAndAnnounced,
    Checkpoint::Complete,
];

impl Checkpoint {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Transferred => "Transferred",
            Self::Published => "Published",
            Self::PublishConfirmed => "PublishConfirmed",
            Self::AddedPiece => "AddedPiece",
            Self::IndexedAndAnnounced => "IndexedAndAnnounced",
            Self::Complete => "Complete",
        }
    }

    /// The stored number.
    pub fn number(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Transferred => 1,
            Self::Published => 2,
            Self::PublishConfirmed => 3,
            Self::AddedPiece => 4,
            Self::IndexedAndAnnounced => 5,
            Self::Complete => 6,
        }
    }

    /// The checkpoint of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        ALL.get(usize::from(number)).copied()
    }

    /// The checkpoint of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        ALL.into_iter()
            .find(|checkpoint| checkpoint.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
