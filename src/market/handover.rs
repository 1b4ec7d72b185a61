//! Giving the piece to the sealer, and keeping it afterwards.

use super::Parts;
use super::disk::{Disk, exists, remove};
use super::files::Files;
use super::late::{self, Whereabouts};
use crate::deal::step::{Class, Event, Setback};
use crate::deal::{Deal, Millis, Sector};
use crate::filecoin::{ChainEpoch, cids};
use crate::piece::Commp;
use crate::piece::index_file::sizes_path;
use crate::sealer::{Handover, Refusal, SealerError, SectorPlace};
use crate::store::PieceRecord;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// What is read at a time of a file that a sealer found to be another piece: few system calls, and a stop is seen soon.
const READ_BYTES: usize = 1 << 20;

/// The file that holds a deal's data before the hand-over.
pub(super) fn data_file(deal: &Deal, files: &Files) -> PathBuf {
    match &deal.import {
        Some(import) => PathBuf::from(&import.path),
        None => files.staged(deal.uuid),
    }
}

/// Whether that file is there and whole; its content was checked by the pass.
pub(super) fn check_data(deal: &Deal, files: &Files, disk: &dyn Disk) -> Result<(), Flaw> {
    let kind = if deal.request.offline {
        "imported offline deal file"
    } else {
        "downloaded file"
    };
    check_file(kind, &data_file(deal, files), deal.payload_size, disk)
}

/// What is wrong with a file.
pub(super) enum Flaw {
    /// It is gone, or has another size.
    Gone(String),
    /// The disk does not say: that is no reason to fetch everything again.
    Unknown(String),
}

impl Flaw {
    /// In words.
    pub(super) fn what(self) -> String {
        match self {
            Self::Gone(what) | Self::Unknown(what) => what,
        }
    }
}

/// Whether a file of this kind is there and has so many bytes.
pub(super) fn check_file(kind: &str, file: &Path, bytes: u64, disk: &dyn Disk) -> Result<(), Flaw> {
    let name = file.display();
    match disk.size(file) {
        Ok(size) if size == bytes => Ok(()),
        Ok(size) => Err(Flaw::Gone(format!(
            "{kind} '{name}' has {size} bytes instead of {bytes}"
        ))),
        Err(error) => {
            let what = format!("failed to get size of {kind} '{name}': {error}");
            Err(match error.kind() {
                std::io::ErrorKind::NotFound => Flaw::Gone(what),
                _ => Flaw::Unknown(what),
            })
        }
    }
}

/// How a piece is offered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    /// The sealer may have it already.
    pub look_first: bool,
    /// The head, if it was seen lately.
    pub head: Option<ChainEpoch>,
}

/// Offers a piece to its miner's sealer and waits for the answer, possibly for hours.
pub(super) fn add_piece(
    deal: &Deal,
    offer: Offer,
    files: &Files,
    parts: &Parts,
    stop: &AtomicBool,
) -> Event {
    let failed = |class, reason: String| {
        Event::AddPieceFailed(Setback::new(
            class,
            format!("failed to add piece: {reason}"),
        ))
    };
    let (Some(deal_id), Some(publish_cid)) = (deal.chain_deal_id, deal.publish_cid) else {
        return failed(Class::Manual, "the deal has no chain deal ID".to_owned());
    };
    let Some(sealer) = parts.sealers.get(deal.miner()) else {
        return failed(
            Class::Auto,
            format!("no sealer is set for {}", deal.miner()),
        );
    };
    match whereabouts(deal, offer, parts) {
        Ok(Whereabouts::There(place)) => return Event::PieceAdded(sector(place)),
        Ok(Whereabouts::Nowhere) => {}
        Ok(Whereabouts::TooLate(head)) => return Event::NotActivated(head),
        Err(reason) => return failed(Class::Auto, reason),
    }
    if let Err(flaw) = check_data(deal, files, parts.disk.as_ref()) {
        return failed(Class::Manual, flaw.what());
    }
    if let Some(flaw) = unclaimable(deal, deal_id, parts) {
        return failed(Class::Manual, flaw);
    }
    let file = data_file(deal, files);
    let piece = Handover {
        deal: deal.uuid,
        deal_id,
        publish_cid,
        proposal: deal.proposal().clone(),
        file,
        payload_size: deal.payload_size,
        keep_unsealed: !deal.request.remove_unsealed,
    };
    match sealer.add_piece(&piece, stop) {
        Ok(Some(place)) => Event::PieceAdded(sector(place)),
        Ok(None) => Event::LaidOut,
        Err(SealerError::Stopped) => failed(Class::Stopped, "stopped".to_owned()),
        Err(SealerError::File(reason)) => failed(
            Class::Manual,
            format!("failed to read piece data: {reason}"),
        ),
        Err(error) => {
            let (class, advice) = refused(&piece, error.refusal(), stop);
            failed(
                class,
                format!(
                    "packing piece {}: AddPiece failed: {error}{advice}",
                    deal.proposal().piece_cid
                ),
            )
        }
    }
}

/// Why no sector can claim a verified deal's DataCap any more, in which case nothing can make the deal active; none if one
/// can, as far as the chain tells. That it cannot be asked is no reason to wait: the sealer asks as well.
fn unclaimable(deal: &Deal, deal_id: u64, parts: &Parts) -> Option<String> {
    if !deal.proposal().verified {
        return None;
    }
    let asked = parts.chain.allocation_expiry(deal_id);
    match asked.and_then(|until| Ok((until, parts.chain.head()?.epoch))) {
        Ok((None, _)) => Some(format!(
            "no DataCap is set aside on chain for chain deal {deal_id}, so no sector can make it active: \
             see what became of the client's allocation"
        )),
        Ok((Some(until), head)) if head > until => Some(format!(
            "its DataCap could be claimed until epoch {until}, at most 60 days after its publication, so no sector \
             can make it active any more; current chain height: {head}"
        )),
        Ok(_) => None,
        Err(error) => {
            let uuid = deal.uuid;
            log::warn!("deal {uuid}: the allocation of its DataCap is not known: {error}");
            None
        }
    }
}

/// Where the piece is, as far as it has to be known before it is offered: one that was never offered is nowhere, and the
/// head that was seen lately is enough to know that it is not too late. A sealer refuses what comes too late by itself.
fn whereabouts(deal: &Deal, offer: Offer, parts: &Parts) -> Result<Whereabouts, String> {
    let start = deal.proposal().start_epoch;
    if !offer.look_first && offer.head.is_some_and(|head| head <= start) {
        return Ok(Whereabouts::Nowhere);
    }
    late::look(deal, offer.look_first, parts)
}

/// How a sealer's refusal is met, and what the operator reads behind its words.
fn refused(piece: &Handover, refusal: Refusal, stop: &AtomicBool) -> (Class, String) {
    match refusal {
        // Every further try comes later still.
        Refusal::TooLate => (
            Class::Manual,
            "; only a smaller StartEpochSealingBuffer of the sealer or another clock of its node helps: \
             change it and retry the deal before its start epoch, or its collateral is lost"
                .to_owned(),
        ),
        // Cut short on its way, it has another commitment as well: the file knows.
        Refusal::OtherData => match is_whole(piece, stop) {
            Ok(None) => (Class::Stopped, String::new()),
            Ok(Some(true)) => (
                Class::Auto,
                "; the file was read again and is as it should be: it was damaged on its way".to_owned(),
            ),
            Ok(Some(false)) => (
                Class::Manual,
                format!(
                    "; the file {} has changed since it was checked: look at its disk, put the data there \
                     again and retry the deal",
                    piece.file.display()
                ),
            ),
            Err(error) => (
                Class::Manual,
                format!("; the file {} cannot be read again: {error}", piece.file.display()),
            ),
        },
        Refusal::Other => (Class::Auto, String::new()),
    }
}

/// Whether a file still has the commitment of its piece; none if it was stopped.
fn is_whole(piece: &Handover, stop: &AtomicBool) -> std::io::Result<Option<bool>> {
    let mut file = std::fs::File::open(&piece.file)?;
    let mut hasher = Commp::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
    let found = hasher.finish().extend_to(piece.proposal.piece_size);
    let wanted = cids::piece_commitment(&piece.proposal.piece_cid);
    Ok(Some(found.is_some() && found == wanted))
}

pub(super) fn sector(place: SectorPlace) -> Sector {
    Sector {
        number: place.sector,
        offset: place.offset,
    }
}

/// What is known when a piece is to be kept.
pub(super) struct Keeping {
    /// The clock.
    pub now: Millis,
    /// Another deal that needs the imported file.
    pub needed_by: Option<Uuid>,
    /// This piece, if it is kept already.
    pub kept: Option<PieceRecord>,
}

/// Builds the index and moves the file into the piece store; done again after a crash it finds its own result.
pub(super) fn keep(
    deal: &Deal,
    files: &Files,
    disk: &dyn Disk,
    keeping: &Keeping,
) -> Result<Option<([u8; 32], PieceRecord)>, String> {
    let piece_cid = deal.proposal().piece_cid;
    let Some(commitment) = cids::piece_commitment(&piece_cid) else {
        return Err("the piece CID has no commitment".to_owned());
    };
    let (blocks, index, kept) = (
        files.blocks(deal.uuid),
        files.index(&piece_cid),
        files.piece(&piece_cid),
    );
    let data = data_file(deal, files);
    let ours = may_take(deal, disk, &data, keeping.needed_by);
    if deal.request.remove_unsealed {
        // The client asked that no unsealed copy stays; one of another deal with this piece does.
        if ours {
            remove(disk, &data);
        }
        remove(disk, &blocks);
        return Ok(None);
    }
    if exists(disk, &blocks)? {
        disk.build_index(&blocks, &index)
            .map_err(|error| format!("{}: {error}", index.display()))?;
    }
    let copy = keeping.kept.as_ref().filter(|piece| piece.ours);
    let copy = copy.map(|piece| Path::new(&piece.path));
    // A copy of ours that is there from an earlier deal stays the one that is served.
    let placed = match copy {
        Some(copy) if !ours && exists(disk, copy)? => Some((copy.to_owned(), true)),
        _ => place(ours, disk, &data, &kept)?,
    };
    let Some((path, ours)) = placed else {
        remove(disk, &blocks);
        remove(disk, &index);
        remove(disk, &sizes_path(&index));
        return Ok(None);
    };
    if let Some(second) = copy.filter(|copy| *copy != path) {
        remove(disk, second);
    }
    // The record must not outlive a name that the disk has forgotten.
    disk.sync_directory(&files.pieces)
        .map_err(|error| format!("{}: {error}", files.pieces.display()))?;
    let index = if exists(disk, &index)? {
        index.to_string_lossy().into_owned()
    } else {
        String::new()
    };
    remove(disk, &blocks);
    let record = PieceRecord {
        path: path.to_string_lossy().into_owned(),
        index,
        payload_size: deal.payload_size,
        padded_size: deal.proposal().piece_size,
        ours,
        kept: keeping.now,
    };
    Ok(Some((commitment, record)))
}

/// Whether the data may be moved or deleted: not a file that the operator wants to keep, nor one that another deal still
/// needs, nor a symbolic link, which says nothing of who owns what it leads to.
fn may_take(deal: &Deal, disk: &dyn Disk, data: &Path, needed_by: Option<Uuid>) -> bool {
    let Some(import) = &deal.import else {
        return true;
    };
    if !import.delete_after {
        return false;
    }
    if let Some(other) = needed_by {
        log::info!(
            "deal {}: {} is not deleted yet: deal {other} needs it too",
            deal.uuid,
            data.display()
        );
        return false;
    }
    if disk.look(data).is_ok_and(|found| found.link) {
        log::warn!(
            "deal {}: {} is a symbolic link: it is not deleted",
            deal.uuid,
            data.display()
        );
        return false;
    }
    true
}

/// Where the data stays, and whether it is ours; none if it is not there.
fn place(
    ours: bool,
    disk: &dyn Disk,
    data: &Path,
    kept: &Path,
) -> Result<Option<(PathBuf, bool)>, String> {
    if !ours {
        return Ok(Some((data.to_owned(), false)));
    }
    if !exists(disk, data)? {
        return Ok(exists(disk, kept)?.then(|| (kept.to_owned(), true)));
    }
    match disk.rename(data, kept) {
        Ok(()) => Ok(Some((kept.to_owned(), true))),
        // Another file system: the import stays where it is and is ours from now on.
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            Ok(Some((data.to_owned(), true)))
        }
        Err(error) => Err(format!("{} to {}: {error}", data.display(), kept.display())),
    }
}
