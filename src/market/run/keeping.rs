//! Files inside the run loop: keeping pieces, deleting what nobody needs, looking for what should be there. All of it is
//! done on threads: a disk may be slow, and one that is mounted from elsewhere may hang.

use super::Market;
use super::storing::Ticket;
use crate::deal::step::{self, Event};
use crate::deal::{Checkpoint, Deal};
use crate::filecoin::cids::{piece_cid, piece_commitment};
use crate::market::disk::remove;
use crate::market::handover::{self, Flaw, Keeping};
use crate::market::inputs::{PieceFound, Report};
use crate::market::keep::Gone;
use crate::store::{PieceRecord, Write};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

impl Market {
    /// Builds the piece's index and moves its file.
    pub(super) fn index(&mut self, uuid: Uuid) {
        let Some(live) = self.live.get(&uuid) else {
            return;
        };
        let (deal, files) = (live.deal.clone(), self.settings.files.clone());
        let commitment = piece_commitment(&deal.proposal().piece_cid);
        let keeping = Keeping {
            now: self.now(),
            needed_by: self.needs_the_file_of(&deal),
            kept: commitment.and_then(|commitment| self.kept.find(&commitment)),
        };
        self.being_kept.insert(uuid);
        let (told, again) = (self.reports.clone(), self.reports.clone());
        let disk = Arc::clone(&self.parts.disk);
        let failed = move |reason: String| {
            let reason = format!("failed to add index and announce deal: {reason}");
            let setback = step::Setback::new(step::Class::Auto, reason);
            Report::Event(uuid, Event::IndexFailed(setback))
        };
        let submitted = self.threads.index.submit(move || {
            let report = match handover::keep(&deal, &files, disk.as_ref(), &keeping) {
                Ok(piece) => Report::Kept(uuid, piece),
                Err(reason) => failed(reason),
            };
            let _ = told.try_send(report);
        });
        if submitted.is_err() {
            let setback = step::Setback::new(step::Class::Auto, "too many file moves wait");
            let _ = again.try_send(Report::Event(uuid, Event::IndexFailed(setback)));
        }
    }

    /// Another deal that was given the same file and has not done with it. Pieces are kept one after the other in the order of
    /// their coming, so that of several deals it is the last one that takes the file.
    fn needs_the_file_of(&self, deal: &Deal) -> Option<Uuid> {
        let import = deal.import.as_ref().filter(|import| import.delete_after)?;
        let mut others = self.live.deals().filter(|other| {
            let same = other
                .import
                .as_ref()
                .is_some_and(|own| own.path == import.path);
            same && other.checkpoint <= Checkpoint::AddedPiece
                && !self.being_kept.contains(&other.uuid)
        });
        others
            .find(|other| other.uuid != deal.uuid)
            .map(|other| other.uuid)
    }

    /// The piece is kept: its record and the checkpoint become durable together.
    pub(super) fn keep(&mut self, uuid: Uuid, piece: Option<([u8; 32], PieceRecord)>) {
        self.being_kept.remove(&uuid);
        let mut writes = Vec::new();
        if let Some((commitment, record)) = piece {
            let copy = self.kept.find(&commitment).filter(|copy| copy.ours);
            match copy.filter(|copy| copy.path != record.path) {
                // One that was not known yet when this one was begun with: it goes on being served.
                Some(_) if !record.ours => {}
                copy => {
                    self.kept.insert(commitment, record.clone());
                    writes.push(Write::Piece(commitment, Box::new(record)));
                    self.delete(copy.into_iter().map(|copy| copy.path.into()).collect());
                }
            }
        }
        writes.extend(self.shrink_kept(self.settings.keep_bytes_max, Some(uuid)));
        self.apply_with(uuid, Event::Indexed, None, writes);
    }

    /// Pieces whose bytes stay on the disk whatever becomes of our copy: a sealer has not fetched them yet.
    pub(super) fn linked(&self) -> BTreeSet<[u8; 32]> {
        let ready = self.live.ready();
        ready
            .filter_map(|deal| piece_commitment(&deal.proposal().piece_cid))
            .collect()
    }

    /// Lets the oldest kept pieces go until so many bytes are left; what is to be stored of it.
    pub(super) fn shrink_kept(&mut self, bytes: u64, done: Option<Uuid>) -> Vec<Write> {
        let linked = self.linked();
        if self.kept.reclaimable(&linked) <= bytes {
            return Vec::new();
        }
        // The files of these are being made under the same names.
        let spared: BTreeSet<[u8; 32]> = self
            .live
            .added()
            .filter(|deal| Some(deal.uuid) != done)
            .filter_map(|deal| piece_commitment(&deal.proposal().piece_cid))
            .collect();
        let gone = self.kept.shrink_to(bytes, &spared, &linked);
        gone.into_iter()
            .map(|Gone { commitment, files }| {
                // On the thread that keeps pieces: one that is kept anew must not lose its file to this.
                let disk = Arc::clone(&self.parts.disk);
                let submitted = self.threads.index.submit(move || {
                    for file in files {
                        remove(disk.as_ref(), &file);
                    }
                });
                if submitted.is_err() {
                    log::warn!(
                        "piece {}: its file goes at the next start",
                        piece_cid(&commitment)
                    );
                }
                Write::DropPiece(commitment)
            })
            .collect()
    }

    /// Deletes files that have lost their owner.
    pub(super) fn delete(&mut self, files: Vec<PathBuf>) {
        if files.is_empty() {
            return;
        }
        let (disk, told) = (Arc::clone(&self.parts.disk), self.reports.clone());
        let deletion = move || {
            for file in &files {
                remove(disk.as_ref(), file);
            }
            let _ = told.try_send(Report::Deleted);
        };
        if self.threads.files.submit(deletion).is_err() {
            // A crowd of deals that ended together: what is left lies until the next start.
            log::warn!("too many deletions wait: some staged files go at the next start");
        }
    }

    /// Lets every deal go on from where it was, after a look at what should be on the disks.
    pub(super) fn begin(&mut self) {
        self.forget_messages();
        let mut elsewhere = Vec::new();
        for uuid in self.live.uuids() {
            let Some(deal) = self.live.get(&uuid).map(|live| &live.deal) else {
                continue;
            };
            // What may be on its way to the chain goes on whatever became of its data.
            if deal.checkpoint == Checkpoint::Transferred && deal.order.is_none() {
                if let Some(import) = &deal.import {
                    elsewhere.push((uuid, PathBuf::from(&import.path), deal.payload_size));
                    continue;
                }
                let disk = self.parts.disk.as_ref();
                match handover::check_data(deal, &self.settings.files, disk) {
                    Ok(()) => {}
                    Err(Flaw::Gone(what)) => self.apply(uuid, Event::DataMissing(what), None),
                    Err(Flaw::Unknown(what)) => log::warn!("deal {uuid}: {what}"),
                }
            }
            self.apply(uuid, Event::Resume, None);
        }
        self.look_for_imports(elsewhere);
        self.look_for_pieces();
    }

    /// Looks for imported files, whose disks are not ours; their deals go on when they are found.
    fn look_for_imports(&mut self, imports: Vec<(Uuid, PathBuf, u64)>) {
        if imports.is_empty() {
            return;
        }
        let (disk, told) = (Arc::clone(&self.parts.disk), self.reports.clone());
        let uuids: Vec<Uuid> = imports.iter().map(|(uuid, _, _)| *uuid).collect();
        let look = move || {
            for (uuid, path, bytes) in imports {
                let kind = "imported offline deal file";
                let found = match handover::check_file(kind, &path, bytes, disk.as_ref()) {
                    Err(Flaw::Gone(what)) => Err(what),
                    // Its disk may come back; the hand-over looks again.
                    Err(Flaw::Unknown(_)) | Ok(()) => Ok(()),
                };
                let _ = told.try_send(Report::DataFound(uuid, found));
            }
        };
        if self.threads.files.submit(look).is_err() {
            for uuid in uuids {
                self.apply(uuid, Event::Resume, None);
            }
        }
    }

    /// An imported file was looked for.
    pub(super) fn data_found(&mut self, uuid: Uuid, found: Result<(), String>) {
        if let Err(what) = found {
            self.apply(uuid, Event::DataMissing(what), None);
        }
        self.apply(uuid, Event::Resume, None);
    }

    /// Looks for kept pieces that do not lie in the pieces directory: files of operators, and what lay in another one.
    fn look_for_pieces(&mut self) {
        let directory = self.settings.files.pieces.clone();
        let elsewhere: Vec<([u8; 32], PathBuf, u64)> = self
            .kept
            .outside(&directory)
            .into_iter()
            .map(|(commitment, piece)| (commitment, piece.path.into(), piece.payload_size))
            .collect();
        if elsewhere.is_empty() {
            return;
        }
        let (disk, told) = (Arc::clone(&self.parts.disk), self.reports.clone());
        let look = move || {
            for (commitment, path, bytes) in elsewhere {
                let gone = |error: std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
                // What cannot be looked at is not gone.
                if !disk.size(&path).is_err_and(gone) {
                    continue;
                }
                let moved = path.file_name().map(|name| directory.join(name));
                let moved = moved.filter(|moved| disk.size(moved).is_ok_and(|size| size == bytes));
                let found = moved.map_or(PieceFound::Gone, PieceFound::Moved);
                let _ = told.try_send(Report::PieceFound(commitment, path, found));
            }
        };
        if self.threads.files.submit(look).is_err() {
            log::warn!("the files of kept pieces were not looked for");
        }
    }

    /// A kept piece is not where its record says.
    pub(super) fn piece_found(&mut self, commitment: [u8; 32], path: &Path, found: PieceFound) {
        let Some(piece) = self.kept.find(&commitment) else {
            return;
        };
        if Path::new(&piece.path) != path {
            return;
        }
        let cid = piece_cid(&commitment);
        let write = match found {
            PieceFound::Moved(to) => {
                log::info!("kept piece {cid} lies at {} now", to.display());
                let moved = PieceRecord {
                    path: to.to_string_lossy().into_owned(),
                    index: moved_index(&piece, &to),
                    ..piece
                };
                self.kept.insert(commitment, moved.clone());
                Write::Piece(commitment, Box::new(moved))
            }
            PieceFound::Gone if piece.ours => {
                log::warn!(
                    "kept piece {cid}: its file {} is gone: it is not served any more",
                    path.display()
                );
                self.kept.forget(&commitment);
                Write::DropPiece(commitment)
            }
            PieceFound::Gone => {
                // The operator's own: its disk may come back.
                log::warn!(
                    "kept piece {cid}: the imported file {} is not there: it cannot be served",
                    path.display()
                );
                return;
            }
        };
        self.commit(vec![write], Ticket::default());
    }
}

/// The index of a piece that moved moved with it.
fn moved_index(piece: &PieceRecord, to: &Path) -> String {
    let name = Path::new(&piece.index).file_name();
    match (name, to.parent()) {
        (Some(name), Some(directory)) => directory.join(name).to_string_lossy().into_owned(),
        _ => String::new(),
    }
}
