//! Names of the files that belong to deals and pieces.

use cid::Cid;
use std::path::PathBuf;
use uuid::Uuid;

/// The directories of the provider.
#[derive(Debug, Clone)]
pub struct Files {
    /// Data on its way, `<uuid>.car` and `<uuid>.blocks`.
    pub staging: PathBuf,
    /// Pieces that stay, `<piece CID>.car` and `<piece CID>.idx`.
    pub pieces: PathBuf,
}

impl Files {
    /// The staged CAR of an online deal.
    pub fn staged(&self, deal: Uuid) -> PathBuf {
        self.staging.join(format!("{deal}.car"))
    }

    /// The block entries that its pass has seen.
    pub fn blocks(&self, deal: Uuid) -> PathBuf {
        self.staging.join(format!("{deal}.blocks"))
    }

    /// A kept piece.
    pub fn piece(&self, piece: &Cid) -> PathBuf {
        self.pieces.join(format!("{piece}.car"))
    }

    /// Its index.
    pub fn index(&self, piece: &Cid) -> PathBuf {
        self.pieces.join(format!("{piece}.idx"))
    }

    /// What a deal has staged, there or not. An offline deal's data is never here.
    pub(super) fn staged_by(&self, deal: Uuid, offline: bool) -> Vec<PathBuf> {
        let mut paths = vec![self.blocks(deal)];
        if !offline {
            paths.push(self.staged(deal));
        }
        paths
    }
}
