//! Carrying effects out.

use super::Market;
use crate::deal::step::{self, Effect, Event};
use crate::deal::{Checkpoint, Deal};
use crate::filecoin::cids;
use crate::market::handover::{self, Offer};
use crate::market::laid;
use crate::market::late::{self, Whereabouts};
use crate::piece::index_file::sizes_path;
use std::path::{Path, PathBuf};
use uuid::Uuid;

impl Market {
    pub(super) fn carry_out(&mut self, uuid: Uuid, effect: Effect) {
        let Some(live) = self.live.get(&uuid) else {
            return;
        };
        let deal = &live.deal;
        match effect {
            Effect::QueueImport => self.queue_import(uuid),
            Effect::StartPass if deal.request.offline => self.import_passes.enqueue(uuid),
            Effect::StartPass => self.passes.enqueue(uuid),
            Effect::StopPass => {
                self.passes.stop(uuid);
                self.import_passes.stop(uuid);
            }
            Effect::Publish => self.publish(uuid),
            Effect::WatchMessage => {
                if let Some(message) = deal.publish_cid {
                    self.messages.watch(message, uuid);
                }
            }
            Effect::AddPiece { look_first } => {
                self.calls.enqueue(deal.miner(), uuid, look_first);
            }
            Effect::Index => self.index(uuid),
            Effect::WatchSector => self.sectors.watch(uuid),
            Effect::WakeUp(at) => {
                self.wakes.insert((at, uuid));
            }
            Effect::LookForPiece => {
                self.late.ask(uuid, self.now(), self.bench.poll_millis());
            }
            Effect::ClearHandover => laid::clear(deal, &self.parts, &self.threads),
            Effect::DropStaging if self.passes.runs(uuid) || self.import_passes.runs(uuid) => {}
            Effect::DropStaging => {
                if deal.handing_over && deal.sector.is_none() {
                    laid::clear(deal, &self.parts, &self.threads);
                }
                let mut files = self.settings.files.staged_by(uuid, deal.request.offline);
                files.extend(self.unrecorded(deal));
                self.delete(files);
            }
        }
    }

    /// Files of an ended deal that were moved among the kept pieces without coming to their record.
    fn unrecorded(&self, deal: &Deal) -> Vec<PathBuf> {
        let piece = deal.proposal().piece_cid;
        let moving = |other: &Deal| other.proposal().piece_cid == piece;
        if deal.sector.is_none() || self.live.added().any(moving) {
            return Vec::new();
        }
        let record = cids::piece_commitment(&piece).and_then(|key| self.kept.find(&key));
        let (path, index) = record.map_or_else(Default::default, |kept| (kept.path, kept.index));
        let (piece, built) = (
            self.settings.files.piece(&piece),
            self.settings.files.index(&piece),
        );
        let mut files = Vec::new();
        if piece != Path::new(&path) {
            files.push(piece);
        }
        if built != Path::new(&index) {
            files.extend([sizes_path(&built), built]);
        }
        files
    }

    /// Starts what waits for a place.
    pub(super) fn start_waiting(&mut self) {
        for passes in [&mut self.passes, &mut self.import_passes] {
            while let Some(uuid) = passes.next() {
                match self.live.get(&uuid) {
                    Some(live) if live.deal.checkpoint == Checkpoint::Accepted => {
                        passes.start(
                            &live.deal,
                            &self.parts,
                            &self.threads,
                            &self.settings.files,
                            &self.reports,
                        );
                    }
                    _ => passes.ended(uuid),
                }
            }
        }
        while let Some((uuid, look_first)) = self.calls.next() {
            match self.live.get(&uuid) {
                Some(live) if live.deal.checkpoint == Checkpoint::PublishConfirmed => {
                    let head = self.bench.head().ok();
                    self.calls.start(
                        &live.deal,
                        Offer { look_first, head },
                        &self.settings.files,
                        &self.parts,
                        &self.threads,
                        &self.reports,
                    );
                }
                _ => self.calls.ended(uuid),
            }
        }
        while let Some(uuid) = self.late.next(self.now()) {
            match self.live.get(&uuid) {
                Some(live) if live.deal.checkpoint == Checkpoint::PublishConfirmed => {
                    late::ask(&live.deal, &self.parts, &self.threads, &self.reports);
                }
                _ => {
                    self.late.answered();
                    self.late.forget(uuid);
                }
            }
        }
    }

    /// Chain and sealer were asked for the piece of a deal whose start epoch has passed.
    pub(super) fn looked(&mut self, uuid: Uuid, found: Result<Whereabouts, String>) {
        self.late.answered();
        let Some(live) = self.live.get(&uuid) else {
            return self.late.forget(uuid);
        };
        let start = live.deal.proposal().start_epoch;
        let calling = self.calls.runs(uuid);
        match found {
            // The call that runs meanwhile says it too.
            Ok(Whereabouts::There(_)) if calling => {}
            Ok(Whereabouts::There(place)) => {
                self.apply(uuid, Event::PieceAdded(handover::sector(place)), None);
            }
            // A piece that is being taken may be in no sector yet; when even that is too late, the call is given up.
            Ok(Whereabouts::TooLate(head))
                if calling && head <= start.saturating_add(step::FINALITY) => {}
            Ok(Whereabouts::TooLate(head)) => {
                self.calls.stop(uuid);
                self.apply(uuid, Event::NotActivated(head), None);
            }
            Ok(Whereabouts::Nowhere) => {}
            Err(why) => log::warn!(
                "deal {uuid}: its start epoch {start} has passed, and whether its piece was handed over is not known: {why}"
            ),
        }
    }
}
