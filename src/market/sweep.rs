//! The look at the disk when the provider starts: every file of ours belongs to a live deal or to a kept piece, and every
//! record has its files. A power cut can bring a deleted file back, and it can lose the commit that forgets one.

use super::disk::{Disk, remove};
use super::{Files, Kept, Parts, StartError};
use crate::deal::{Checkpoint, Deal};
use crate::filecoin::cids;
use crate::piece::index_file::sizes_path;
use crate::store::Write;
use cid::Cid;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Looks at everything.
///
/// # Errors
/// A directory could not be read.
pub(super) fn at_start(
    files: &Files,
    parts: &Parts,
    live: &[Deal],
    kept: &Kept,
) -> Result<(), StartError> {
    let disk = parts.disk.as_ref();
    let removed = staging(files, disk, live)
        .map_err(|error| StartError::Directory(files.staging.clone(), error))?;
    if removed > 0 {
        log::info!("{removed} staged files that no deal needs removed");
    }
    let gone = missing(disk, kept);
    if !gone.is_empty() {
        let writes = gone.into_iter().map(Write::DropPiece).collect();
        // Not stored, it is found again at the next start.
        parts.store.commit(writes, Box::new(drop));
    }
    let removed = pieces(files, disk, live, kept)
        .map_err(|error| StartError::Directory(files.pieces.clone(), error))?;
    if removed > 0 {
        log::info!("{removed} files of pieces that are not kept removed");
    }
    Ok(())
}

/// Removes staged files that no deal needs any more; answers their number.
///
/// # Errors
/// The directory could not be read.
fn staging(files: &Files, disk: &dyn Disk, live: &[Deal]) -> io::Result<usize> {
    let owners: BTreeSet<Uuid> = live
        .iter()
        .filter(|deal| deal.checkpoint < Checkpoint::IndexedAndAnnounced)
        .map(|deal| deal.uuid)
        .collect();
    let mut removed = 0_usize;
    for path in disk.list(&files.staging)? {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let owner = stem.and_then(|stem| Uuid::parse_str(stem).ok());
        // Files that are not named by a deal are not ours to delete.
        if owner.is_some_and(|uuid| !owners.contains(&uuid)) {
            remove(disk, &path);
            removed = removed.saturating_add(1);
        }
    }
    Ok(removed)
}

/// Removes files of pieces that are not kept; answers their number.
///
/// # Errors
/// The directory could not be read.
fn pieces(files: &Files, disk: &dyn Disk, live: &[Deal], kept: &Kept) -> io::Result<usize> {
    let mut owned: BTreeSet<PathBuf> = BTreeSet::new();
    let mut own = |path: PathBuf, index: PathBuf| {
        owned.extend([path, sizes_path(&index), index]);
    };
    for (_, piece) in kept.all() {
        own(piece.path.into(), piece.index.into());
    }
    // The files of these may have been moved before their record was written.
    for deal in live {
        if deal.checkpoint == Checkpoint::AddedPiece {
            let piece = &deal.proposal().piece_cid;
            own(files.piece(piece), files.index(piece));
        }
    }
    let mut removed = 0_usize;
    for path in disk.list(&files.pieces)? {
        // Indexes have a second file beside them, and more while they are built.
        let name = path.file_name().and_then(|name| name.to_str());
        let piece = name.and_then(|name| Cid::try_from(name.split('.').next()?).ok());
        let ours = piece.is_some_and(|piece| cids::piece_commitment(&piece).is_some());
        if ours && !owned.contains(&path) {
            remove(disk, &path);
            removed = removed.saturating_add(1);
        }
    }
    Ok(removed)
}

/// Takes out kept pieces whose file is gone and says so; their commitments. A file that cannot be looked at is not gone.
fn missing(disk: &dyn Disk, kept: &Kept) -> Vec<[u8; 32]> {
    let gone = |path: &str| {
        let size = disk.size(Path::new(path));
        size.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let mut found = Vec::new();
    for (commitment, piece) in kept.all() {
        if gone(&piece.path) {
            log::warn!(
                "{}: the file of a kept piece is gone; the piece is not served any more",
                piece.path
            );
            kept.forget(&commitment);
            found.push(commitment);
        }
    }
    found
}
