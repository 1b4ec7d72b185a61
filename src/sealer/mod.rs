//! Where a finished piece goes ([`Sealer`]): lotus-miner over JSON-RPC ([`LotusMiner`]), or a directory from which a sealer
//! takes it ([`Directory`]).
//!
//! Handing a piece over is one call that lasts until the bytes lie in a sector, minutes or hours. Within one run of
//! lotus-miner a repeated call joins the first; after its restart a repeated call would add a second copy. So whoever
//! starts anew looks first ([`Sealer::find`]) and then asks.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod add_piece;
mod directory;
mod error;
mod lotus_miner;
mod phase;
mod push;

pub use directory::{Directory, Names};
pub use error::{Refusal, SealerError};
pub use lotus_miner::LotusMiner;
pub use phase::{Phase, phase};

use crate::filecoin::DealProposal;
use cid::Cid;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use uuid::Uuid;

/// A piece and the published deal that it belongs to.
#[derive(Debug, Clone)]
pub struct Handover {
    /// The deal's UUID, for people and scripts.
    pub deal: Uuid,
    /// The deal's ID on chain; not 0, which lotus-miner takes for none.
    pub deal_id: u64,
    /// The publish message as it was executed.
    pub publish_cid: Cid,
    /// The published proposal.
    pub proposal: DealProposal,
    /// The CAR; zeros follow up to the unpadded piece size.
    pub file: PathBuf,
    /// Bytes of the file.
    pub payload_size: u64,
    /// Whether the sealer is to keep an unsealed copy for retrievals.
    pub keep_unsealed: bool,
}

/// Where the sealer put it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectorPlace {
    /// Sector number.
    pub sector: u64,
    /// Where the piece begins in the sector, in padded bytes.
    pub offset: u64,
}

/// A sector as the sealer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectorStatus {
    /// The sealer's name of its state; see [`phase()`].
    pub state: String,
    /// The deal ID of each piece; 0 for padding and for data without a market deal.
    pub deals: Vec<u64>,
}

/// A sealer in the market's words; every call blocks.
pub trait Sealer: Send + Sync {
    /// Hands a piece over. Where that puts the data into a sector it blocks until it is there, possibly for hours; where
    /// the sealer fetches the data when it likes the answer is none, and [`Sealer::find`] has the place later. `stop` may be
    /// set by another thread and ends the wait with [`SealerError::Stopped`]; the sealer may still go on.
    ///
    /// # Errors
    /// [`SealerError`].
    fn add_piece(
        &self,
        piece: &Handover,
        stop: &AtomicBool,
    ) -> Result<Option<SectorPlace>, SealerError>;

    /// Looks whether the sealer already has this deal in a sector (after a crash, or after a hand-over without a place):
    /// newest sectors first, bounded number of calls.
    ///
    /// # Errors
    /// [`SealerError`].
    fn find(&self, deal_id: u64, piece_cid: &Cid) -> Result<Option<SectorPlace>, SealerError>;

    /// State and deals of a sector; an empty state if this sealer does not tell: then the chain knows.
    ///
    /// # Errors
    /// [`SealerError`].
    fn sector(&self, number: u64) -> Result<SectorStatus, SealerError>;

    /// Number of sectors in each state.
    ///
    /// # Errors
    /// [`SealerError`].
    fn summary(&self) -> Result<BTreeMap<String, u64>, SealerError>;

    /// Deals for which something lies ready: UUID, chain deal ID, piece. None where nothing lies around.
    ///
    /// # Errors
    /// [`SealerError`].
    fn laid_out(&self) -> Result<Vec<(Uuid, u64, Cid)>, SealerError> {
        Ok(Vec::new())
    }

    /// Removes what lies ready for the sealer of this deal: its place is in the record, or the deal has ended. Doing it
    /// again does no harm. Nothing to do where nothing lies around.
    ///
    /// # Errors
    /// [`SealerError`].
    fn clear(&self, _deal_id: u64, _piece_cid: &Cid) -> Result<(), SealerError> {
        Ok(())
    }

    /// Whether a piece in this file could be handed over from where it lies, as far as can be told before.
    ///
    /// # Errors
    /// [`SealerError::File`], in words for the operator.
    fn could_take(&self, _file: &Path) -> Result<(), SealerError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
