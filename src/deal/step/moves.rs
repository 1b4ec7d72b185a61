//! One turn of the machine: the moves behind [`super::step`].

use super::{
    Checkpoint, Class, Deal, Effect, Event, Freed, Hold, Import, Line, Live, Millis, Outcome, Pass,
    Setback, Terms, WAIT_ASKED_MAX, import_refusal, mismatch,
};
use crate::deal::ledger::{holds_funds, staging_bytes};
use crate::deal::record::Sector;

/// A deal, an instant, and what has been decided so far.
pub(super) struct Turn<'a> {
    pub(super) live: &'a mut Live,
    pub(super) out: Outcome,
    now: Millis,
    terms: &'a Terms,
    held: Held,
}

/// What a deal holds at an instant.
struct Held {
    funds: bool,
    space: bool,
    ended: bool,
}

impl Held {
    fn by(deal: &Deal) -> Self {
        Self {
            funds: holds_funds(deal),
            space: staging_bytes(deal) > 0,
            ended: deal.ended(),
        }
    }
}

impl<'a> Turn<'a> {
    pub(super) fn new(live: &'a mut Live, now: Millis, terms: &'a Terms) -> Self {
        Self {
            held: Held::by(&live.deal),
            live,
            now,
            terms,
            out: Outcome::default(),
        }
    }

    pub(super) fn finish(mut self) -> Outcome {
        if self.out.changed {
            self.live.deal.updated = self.now;
        }
        self.out.effects.dedup();
        let left = Held::by(&self.live.deal);
        self.out.freed = Freed {
            funds: self.held.funds && !left.funds,
            space: self.held.space && !left.space,
            finished: !self.held.ended && left.ended,
        };
        self.out
    }

    pub(super) fn deal(&mut self) -> &mut Deal {
        &mut self.live.deal
    }

    pub(super) fn at(&self) -> Checkpoint {
        self.live.deal.checkpoint
    }

    pub(super) fn log(&mut self, level: log::Level, text: impl Into<String>) {
        self.out.lines.push(Line {
            level,
            text: text.into(),
        });
    }

    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Resume => self.resume(),
            Event::Imported(import) => self.imported(import),
            Event::ImportBegun => self.import_begun(),
            Event::ImportWaits { what, why } => self.import_waits(&what, &why),
            Event::DataMissing(what) => self.data_missing(&what),
            Event::Passed(pass) => self.passed(&pass),
            Event::PassFailed(setback) => self.failed_at(Checkpoint::Accepted, setback),
            Event::Ordered(order) => self.ordered(order),
            Event::Reordered(order) => self.reordered(order),
            Event::PublishSent(cid) => self.publish_sent(cid),
            Event::PublishFailed { setback, unsent } => self.publish_failed(setback, unsent),
            Event::Superseded(why) => self.superseded(&why),
            Event::Confirmed {
                message,
                exit_code,
                deal_id,
                objection,
            } => {
                self.confirmed(message, (exit_code, deal_id), objection);
            }
            Event::PieceAdded(sector) => self.piece_added(sector),
            Event::LaidOut => self.laid_out(),
            Event::Placed(sector) => self.placed(sector),
            Event::AddPieceFailed(setback) => self.failed_at(Checkpoint::PublishConfirmed, setback),
            Event::Indexed => self.indexed(),
            Event::IndexFailed(setback) => self.failed_at(Checkpoint::AddedPiece, setback),
            Event::SectorSeen {
                state,
                ended,
                holds_deal,
            } => {
                self.sector_seen(state, ended, holds_deal);
            }
            Event::Head(head) => self.head(head),
            Event::MessageSeen(sight) => self.message_seen(sight),
            Event::NotActivated(head) => self.not_activated(head),
            Event::ChainSeen { head, found } => self.chain_seen(head, found),
            Event::Operator(verb) => self.operator(verb),
        }
    }

    /// Does what comes next from the checkpoint, unless something is under way or the deal is to wait.
    fn resume(&mut self) {
        if self.live.busy.is_some() {
            return;
        }
        match self.live.deal.hold {
            Hold::Manual => return,
            // A wait that is longer than any that is given: the clock was set back.
            Hold::Auto { until }
                if until > self.now && until.saturating_sub(self.now) <= self.longest_wait() =>
            {
                self.out.effects.push(Effect::WakeUp(until));
                return;
            }
            Hold::Auto { .. } => {
                self.deal().hold = Hold::None;
                self.out.changed = true;
            }
            // What is missing is looked for again at the import's turn.
            Hold::None | Hold::Room => {}
        }
        self.next();
    }

    fn longest_wait(&self) -> Millis {
        self.terms.backoff(u32::MAX, u8::MAX).max(WAIT_ASKED_MAX)
    }

    /// Starts what comes next.
    pub(super) fn next(&mut self) {
        let deal = &self.live.deal;
        let effect = match deal.checkpoint {
            Checkpoint::Accepted if deal.request.offline => match &deal.import {
                None => return,
                Some(import) if import.begun => Effect::StartPass,
                Some(_) => Effect::QueueImport,
            },
            Checkpoint::Accepted => Effect::StartPass,
            Checkpoint::Transferred => Effect::Publish,
            Checkpoint::Published => Effect::WatchMessage,
            Checkpoint::PublishConfirmed => {
                let look_first = deal.handing_over;
                if !look_first {
                    // Stored before the piece is offered, so that a crash cannot hand it over twice.
                    self.deal().handing_over = true;
                    self.out.changed = true;
                }
                Effect::AddPiece { look_first }
            }
            Checkpoint::AddedPiece => Effect::Index,
            Checkpoint::IndexedAndAnnounced if !deal.sealed => Effect::WatchSector,
            Checkpoint::IndexedAndAnnounced | Checkpoint::Complete => return,
        };
        self.live.busy = Some(effect);
        self.out.effects.push(effect);
    }

    /// Reaches a checkpoint and goes on.
    pub(super) fn reach(&mut self, checkpoint: Checkpoint) {
        let now = self.now;
        let deal = self.deal();
        deal.checkpoint = checkpoint;
        deal.checkpoint_at = now;
        deal.error.clear();
        deal.hold = Hold::None;
        deal.tries = 0;
        self.live.busy = None;
        self.out.changed = true;
        self.log(log::Level::Info, format!("reached {checkpoint}"));
        self.next();
    }

    fn imported(&mut self, import: Import) {
        if let Some(refusal) = import_refusal(&self.live.deal, self.live.busy.is_some()) {
            return self.refuse(&refusal);
        }
        self.log(
            log::Level::Info,
            format!("import of {} waits for its turn", import.path),
        );
        let deal = self.deal();
        deal.import = Some(import);
        deal.error.clear();
        deal.hold = Hold::None;
        self.out.changed = true;
        self.next();
    }

    fn queued(&self) -> bool {
        self.at() == Checkpoint::Accepted && self.live.busy == Some(Effect::QueueImport)
    }

    fn import_begun(&mut self) {
        if !self.queued() {
            return;
        }
        let deal = self.deal();
        deal.error.clear();
        deal.hold = Hold::None;
        if let Some(import) = &mut deal.import {
            import.begun = true;
        }
        self.out.changed = true;
        self.log(log::Level::Info, "import begins");
        self.live.busy = None;
        self.next();
    }

    /// Says what the import waits for when that is new; it stays in the queue.
    fn import_waits(&mut self, what: &str, why: &str) {
        let deal = &self.live.deal;
        if !self.queued() || (deal.hold == Hold::Room && deal.error == what) {
            return;
        }
        self.log(log::Level::Warn, format!("{what}: {why}"));
        let deal = self.deal();
        what.clone_into(&mut deal.error);
        deal.hold = Hold::Room;
        self.out.changed = true;
    }

    fn passed(&mut self, pass: &Pass) {
        let deal = &self.live.deal;
        // Without an import whose turn has come there is no data of an offline deal, whatever was read.
        let begun = deal.import.as_ref().is_some_and(|import| import.begun);
        let empty = deal.request.offline && !begun;
        if deal.checkpoint != Checkpoint::Accepted || empty {
            return;
        }
        let expected =
            crate::filecoin::cids::piece_commitment(&self.live.deal.proposal().piece_cid);
        if pass.commitment.is_none() || pass.commitment != expected {
            let setback = mismatch(&self.live.deal, pass);
            return self.failed_at(Checkpoint::Accepted, setback);
        }
        self.deal().payload_size = pass.bytes;
        self.log(
            log::Level::Info,
            format!("commitment of {} bytes matches", pass.bytes),
        );
        self.reach(Checkpoint::Transferred);
    }

    /// The file that was transferred is gone or cut: it is fetched again, unless the deal may be on its way to the chain.
    fn data_missing(&mut self, what: &str) {
        let idle = self.live.busy.is_none() && self.live.deal.order.is_none();
        if self.at() != Checkpoint::Transferred || !idle {
            return;
        }
        self.log(log::Level::Warn, format!("the data is missing: {what}"));
        self.go_back(Checkpoint::Accepted);
        let deal = self.deal();
        deal.payload_size = 0;
        if deal.request.offline {
            let reason = format!("imported offline deal file: {what}");
            self.failed_at(Checkpoint::Accepted, Setback::new(Class::Manual, reason));
        }
    }

    pub(super) fn go_back(&mut self, checkpoint: Checkpoint) {
        let now = self.now;
        let deal = self.deal();
        deal.checkpoint = checkpoint;
        deal.checkpoint_at = now;
        deal.order = None;
        self.out.changed = true;
    }

    fn piece_added(&mut self, sector: Sector) {
        if self.at() == Checkpoint::PublishConfirmed {
            self.deal().sector = Some(sector);
            self.log(
                log::Level::Info,
                format!(
                    "piece added to sector {} at offset {}",
                    sector.number, sector.offset
                ),
            );
            self.reach(Checkpoint::AddedPiece);
        }
    }

    fn indexed(&mut self) {
        if self.at() == Checkpoint::AddedPiece {
            self.reach(Checkpoint::IndexedAndAnnounced);
        }
    }

    fn sector_seen(&mut self, state: String, ended: bool, holds_deal: bool) {
        if self.at() != Checkpoint::IndexedAndAnnounced || self.live.deal.sealed {
            return;
        }
        self.live.busy = None;
        if self.live.deal.sealing != state {
            self.log(log::Level::Info, format!("sealing state {state}"));
            self.deal().sealing = state;
            self.out.changed = true;
        }
        if !ended {
            self.live.busy = Some(Effect::WatchSector);
            self.out.effects.push(Effect::WatchSector);
        } else if holds_deal {
            self.deal().sealed = true;
            self.out.changed = true;
            self.log(log::Level::Info, "sealed");
        } else {
            self.end("storage failed - deal not found in sector".to_owned());
        }
    }

    /// Meets a setback of the work that belongs to `checkpoint`.
    pub(super) fn failed_at(&mut self, checkpoint: Checkpoint, setback: Setback) {
        if self.at() != checkpoint {
            return;
        }
        self.live.busy = None;
        let salt = self.live.deal.uuid.as_bytes().first().copied().unwrap_or(0);
        match setback.class {
            Class::Stopped => {}
            Class::Fatal => self.end(setback.reason),
            Class::Manual => {
                self.log(
                    log::Level::Error,
                    format!("waits for the operator: {}", setback.reason),
                );
                let deal = self.deal();
                deal.error = setback.reason;
                deal.hold = Hold::Manual;
                if checkpoint == Checkpoint::Accepted
                    && let Some(import) = &mut deal.import
                {
                    // A retry reads the same file again; meanwhile its funds serve others.
                    import.begun = false;
                }
                self.out.changed = true;
            }
            Class::Auto => {
                let tries = if setback.progress {
                    1
                } else {
                    self.live.deal.tries.saturating_add(1)
                };
                let wait = self
                    .terms
                    .backoff(tries, salt)
                    .max(setback.wait.unwrap_or(0).min(WAIT_ASKED_MAX));
                let until = self.now.saturating_add(wait);
                self.log(
                    log::Level::Warn,
                    format!(
                        "try {tries} failed, next in {} s: {}",
                        wait.div_ceil(1_000),
                        setback.reason
                    ),
                );
                let deal = self.deal();
                deal.tries = tries;
                deal.error = setback.reason;
                deal.hold = Hold::Auto { until };
                self.out.changed = true;
                self.out.effects.push(Effect::WakeUp(until));
            }
        }
    }

    /// Ends the deal and gives back what it held.
    pub(super) fn end(&mut self, reason: String) {
        if matches!(self.live.busy, Some(Effect::StartPass)) {
            self.out.effects.push(Effect::StopPass);
        }
        self.log(log::Level::Error, format!("failed: {reason}"));
        let now = self.now;
        let deal = self.deal();
        deal.checkpoint = Checkpoint::Complete;
        deal.checkpoint_at = now;
        deal.error = reason;
        deal.hold = Hold::None;
        self.live.busy = None;
        self.out.changed = true;
        self.out.effects.push(Effect::DropStaging);
    }
}
