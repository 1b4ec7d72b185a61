//! Names of the files that belong to deals and pieces.

use cid::Cid;
use std::path::{Path, PathBuf};
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
    pub fn drop_staged(&self, deal: Uuid) {
        for path in [self.staged(deal), self.blocks(deal)] {
            remove(&path);
        }
    }

    /// Removes staged files that no live deal owns; answers their number.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn sweep(&self, owned: impl Fn(Uuid) -> bool) -> std::io::Result<usize> {
        let mut removed = 0_usize;
        for entry in std::fs::read_dir(&self.staging)? {
            let path = entry?.path();
            let owner = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(|stem| Uuid::parse_str(stem).ok());
            // Files that are not named by a deal are not ours to delete.
            if owner.is_some_and(|uuid| !owned(uuid)) {
                remove(&path);
                removed = removed.saturating_add(1);
            }
        }
        Ok(removed)
    }
}

/// Deletes a file; says so if that fails for another reason than its absence.
pub(super) fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        log::warn!("{}: cannot be deleted: {error}", path.display());
    }
}

/// Bytes that the file system of this directory has free for us; everything if that cannot be told.
pub(super) fn free_bytes(directory: &Path) -> u64 {
    match rustix::fs::statvfs(directory) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            log::warn!("{}: free space unknown: {error}", directory.display());
            u64::MAX
        }
    }
}
