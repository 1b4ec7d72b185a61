//! Names of the files that belong to deals and pieces.

use super::disk::{Disk, remove};
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

    /// Deletes what a deal staged; what is not there is no error.
    pub(super) fn drop_staged(&self, disk: &dyn Disk, deal: Uuid) {
        for path in [self.staged(deal), self.blocks(deal)] {
            remove(disk, &path);
        }
    }
}
