//! What lies in our directories at start and has no owner, and what should lie there and does not.
//!
//! Every file of ours has an owner in the database: in the staging directory a live deal, in the pieces directory a kept
//! piece, or a deal that is about to have one. A crash between a commit and the deletion that follows from it leaves files
//! without one; they go here. What is not named as we name files is never touched.

use super::disk::{Disk, remove};
use super::{Files, Kept, Parts, StartError};
use crate::deal::{Checkpoint, Deal};
use crate::filecoin::cids::{piece_cid, piece_commitment};
use crate::piece::index_file::sizes_path;
use crate::store::{PieceRecord, Write};
use cid::Cid;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// An empty file that says that the pieces directory is ours. Operators have directories of their own in which files are
/// named by piece CIDs: nothing is deleted in one without this file. It also tells a directory from the empty mount point
/// of a disk that is away.
const MARKER: &str = ".coracle-pieces";

/// What the database has at start.
struct Owners<'a> {
    /// Deals that have not ended.
    deals: &'a [Deal],
    /// Kept pieces.
    pieces: &'a [([u8; 32], PieceRecord)],
    /// Deals with a save point.
    saves: &'a [Uuid],
}

/// Clears our directories of what nobody owns and the database of what is not there; the kept pieces that are left.
///
/// # Errors
/// A directory or the database could not be read.
pub(super) fn at_start(files: &Files, parts: &Parts, deals: &[Deal]) -> Result<Kept, StartError> {
    let (disk, store) = (parts.disk.as_ref(), parts.store.as_ref());
    let pieces = store.pieces().map_err(StartError::Store)?;
    let saves = store.saves().map_err(StartError::Store)?;
    let owners = Owners {
        deals,
        pieces: &pieces,
        saves: &saves,
    };
    let staged = staging(files, disk, &owners)
        .map_err(|error| StartError::Directory(files.staging.clone(), error))?;
    let of_pieces = self::pieces(files, disk, &owners)
        .map_err(|error| StartError::Directory(files.pieces.clone(), error))?;
    let mut writes = self::saves(&owners);
    for (what, count) in [
        ("staged files without a live deal", staged),
        ("files of pieces that are not kept", of_pieces.removed),
        ("save points without a transfer", writes.len()),
    ] {
        if count > 0 {
            log::info!("{count} {what} removed");
        }
    }
    writes.extend(of_pieces.writes);
    let kept = Kept::default();
    for (commitment, piece) in pieces {
        kept.insert(commitment, piece);
    }
    for write in &writes {
        match write {
            Write::DropPiece(commitment) => kept.forget(commitment),
            Write::Piece(commitment, piece) => kept.insert(*commitment, piece.as_ref().clone()),
            _ => {}
        }
    }
    if !writes.is_empty() {
        store.commit_and_wait(writes).map_err(StartError::Store)?;
    }
    Ok(kept)
}

/// Sweeps the staging directory; the number of removed files.
///
/// # Errors
/// The directory could not be read.
fn staging(files: &Files, disk: &dyn Disk, owners: &Owners<'_>) -> io::Result<usize> {
    let live: BTreeMap<Uuid, &Deal> = owners.deals.iter().map(|deal| (deal.uuid, deal)).collect();
    let mut orphans = Vec::new();
    disk.names(&files.staging, &mut |name| {
        let Some((uuid, kind)) = name.to_str().and_then(staged_name) else {
            return;
        };
        let owned = live.get(&uuid).is_some_and(|deal| match kind {
            Staged::Data if deal.request.offline => {
                log::warn!(
                    "{}: not ours, an offline deal has no data in CORACLE_STAGING",
                    files.staged(uuid).display()
                );
                true
            }
            // Both go when the piece is kept, before the record says so.
            _ => deal.checkpoint < Checkpoint::IndexedAndAnnounced,
        });
        if !owned {
            orphans.push(files.staging.join(name));
        }
    })?;
    for path in &orphans {
        remove(disk, path);
    }
    Ok(orphans.len())
}

enum Staged {
    Data,
    Blocks,
}

/// The deal and kind of a staged file; nothing if it is not named like one of ours.
fn staged_name(name: &str) -> Option<(Uuid, Staged)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let kind = match extension {
        "car" => Staged::Data,
        "blocks" => Staged::Blocks,
        _ => return None,
    };
    let uuid = Uuid::parse_str(stem).ok()?;
    // Only as we write it: not in braces, not in capitals.
    (uuid.to_string() == stem).then_some((uuid, kind))
}

/// Save points that belong to no transfer any more.
fn saves(owners: &Owners<'_>) -> Vec<Write> {
    let fetched = owners
        .deals
        .iter()
        .filter(|deal| deal.checkpoint == Checkpoint::Accepted && !deal.request.offline)
        .map(|deal| deal.uuid)
        .collect::<BTreeSet<_>>();
    let left = owners.saves.iter().filter(|uuid| !fetched.contains(uuid));
    left.map(|uuid| Write::DropSave(*uuid)).collect()
}

/// What the sweep of the pieces directory came to.
#[derive(Debug, Default)]
struct Pieces {
    /// Files removed.
    removed: usize,
    /// Changes of the database.
    writes: Vec<Write>,
}

/// A name in the pieces directory that has an owner.
#[derive(Clone, Copy, Default)]
struct Name {
    seen: bool,
}

/// Sweeps the pieces directory.
///
/// # Errors
/// The directory could not be read, or written to.
fn pieces(files: &Files, disk: &dyn Disk, owners: &Owners<'_>) -> io::Result<Pieces> {
    let mut owned = owned_names(files, owners);
    let (mut orphans, mut marked) = (Vec::new(), false);
    disk.names(&files.pieces, &mut |name| {
        if let Some(name) = owned.get_mut(name) {
            name.seen = true;
        } else if name == MARKER {
            marked = true;
        } else if name.to_str().is_some_and(is_piece_name) {
            orphans.push(files.pieces.join(name));
        }
    })?;
    let seen = |path: &Path| {
        let name = path.file_name().and_then(|name| owned.get(name));
        name.is_some_and(|name| name.seen)
    };
    let missing = missing(files, owners, &seen);
    if !marked && orphans.is_empty() && missing.is_empty() {
        disk.create(&files.pieces.join(MARKER))?;
        disk.sync_directory(&files.pieces)?;
        return Ok(Pieces::default());
    }
    if !marked {
        log::warn!(
            "CORACLE_PIECES {}: {} files are named like pieces of ours and are not, {} pieces of ours are not there. \
             Is this the right directory, and is its disk mounted? Nothing is removed. If it is, create an empty file {MARKER} in it",
            files.pieces.display(),
            orphans.len(),
            missing.len()
        );
        return Ok(Pieces::default());
    }
    // An index without its piece is of no use.
    for (_, piece) in dropped(owners, &missing) {
        let index = PathBuf::from(&piece.index);
        let beside = [sizes_path(&index), index];
        orphans.extend(beside.into_iter().filter(|path| seen(path)));
    }
    for path in &orphans {
        remove(disk, path);
    }
    Ok(Pieces {
        removed: orphans.len(),
        writes: missing,
    })
}

/// The pieces that are to be forgotten.
fn dropped<'a>(
    owners: &Owners<'a>,
    writes: &[Write],
) -> impl Iterator<Item = &'a ([u8; 32], PieceRecord)> {
    let gone: BTreeSet<[u8; 32]> = writes
        .iter()
        .filter_map(|write| match write {
            Write::DropPiece(commitment) => Some(*commitment),
            _ => None,
        })
        .collect();
    owners
        .pieces
        .iter()
        .filter(move |(commitment, _)| gone.contains(commitment))
}

/// Names that belong to kept pieces, wherever their directory was when they were kept, and to deals whose piece is being
/// kept: their file may have been moved here before that was stored.
fn owned_names(files: &Files, owners: &Owners<'_>) -> BTreeMap<OsString, Name> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for (_, piece) in owners.pieces {
        paths.push(PathBuf::from(&piece.path));
        if !piece.index.is_empty() {
            paths.push(PathBuf::from(&piece.index));
            paths.push(sizes_path(Path::new(&piece.index)));
        }
    }
    for deal in owners.deals {
        if deal.checkpoint == Checkpoint::AddedPiece {
            let piece = &deal.proposal().piece_cid;
            let index = files.index(piece);
            paths.extend([files.piece(piece), sizes_path(&index), index]);
        }
    }
    let names = paths.iter().filter_map(|path| path.file_name());
    names
        .map(|name| (name.to_owned(), Name::default()))
        .collect()
}

/// What the database has to forget of pieces that should lie here and do not.
fn missing(files: &Files, owners: &Owners<'_>, seen: &dyn Fn(&Path) -> bool) -> Vec<Write> {
    let here = |path: &Path| path.parent() == Some(files.pieces.as_path());
    let mut writes = Vec::new();
    for (commitment, piece) in owners.pieces {
        let (path, index) = (Path::new(&piece.path), Path::new(&piece.index));
        let cid = piece_cid(commitment);
        if here(path) && !seen(path) {
            log::warn!(
                "kept piece {cid}: its file {} is gone: it is not served any more",
                path.display()
            );
            writes.push(Write::DropPiece(*commitment));
        } else if here(index) && !(seen(index) && seen(&sizes_path(index))) {
            log::warn!("kept piece {cid}: its index {} is gone", index.display());
            let piece = PieceRecord {
                index: String::new(),
                ..piece.clone()
            };
            writes.push(Write::Piece(*commitment, Box::new(piece)));
        }
    }
    writes
}

/// Whether we name files so: a piece CID with the ending of its data, its index, or of a file from which that is made.
fn is_piece_name(name: &str) -> bool {
    let Some((stem, ending)) = name.split_once('.') else {
        return false;
    };
    let ours = matches!(
        ending,
        "car" | "idx" | "idx.sizes" | "idx.new" | "idx.sizes.new"
    ) || ending
        .strip_prefix("idx.runs-")
        .is_some_and(|pass| !pass.is_empty() && pass.bytes().all(|byte| byte.is_ascii_digit()));
    ours && Cid::try_from(stem)
        .is_ok_and(|cid| piece_commitment(&cid).is_some() && cid.to_string() == stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_as_we_write_them_are_ours() {
        let uuid = "00000000-0000-4000-8000-00000000000a";
        for (name, ours) in [
            (format!("{uuid}.car"), true),
            (format!("{uuid}.blocks"), true),
            (format!("{}.car", uuid.to_uppercase()), false),
            (format!("{{{uuid}}}.car"), false),
            (format!("{}.car", uuid.replace('-', "")), false),
            (format!("{uuid}.txt"), false),
            (format!("{uuid}.car.part"), false),
            (uuid.to_owned(), false),
            ("notes.car".to_owned(), false),
        ] {
            assert_eq!(staged_name(&name).is_some(), ours, "{name}");
        }
        let piece = piece_cid(&[7; 32]);
        for (ending, ours) in [
            ("car", true),
            ("idx", true),
            ("idx.sizes", true),
            ("idx.new", true),
            ("idx.sizes.new", true),
            ("idx.runs-0", true),
            ("idx.runs-12", true),
            ("idx.runs-", false),
            ("idx.runs-x", false),
            ("car.part", false),
            ("txt", false),
        ] {
            assert_eq!(
                is_piece_name(&format!("{piece}.{ending}")),
                ours,
                "{ending}"
            );
        }
        let other = crate::filecoin::cids::sha256_cid(crate::filecoin::cids::RAW, b"");
        assert!(!is_piece_name(&format!("{other}.car")), "no piece");
        assert!(!is_piece_name(&format!(
            "{}.car",
            piece.to_string().to_uppercase()
        )));
        assert!(!is_piece_name(MARKER));
    }
}
