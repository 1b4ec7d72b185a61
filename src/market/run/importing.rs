//! Imports inside the run loop: from being asked for to their pass.

use super::Market;
use super::storing::Ticket;
use crate::deal::admit::{self, DISK_MARGIN, Room};
use crate::deal::step::{Class, Effect, Event, Setback, step};
use crate::deal::{Deal, Import, Refusal};
use crate::filecoin::Address;
use crate::market::import::{Look, look};
use crate::market::inputs::{AllPlaced, Report};
use crate::store::{Write, log_line};
use futures::channel::oneshot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Stack of the thread that looks at a file.
const STACK_BYTES: usize = 128 * 1024;

impl Market {
    /// Gives imports their places; the answer waits for the one commit that they share.
    pub(super) fn import(
        &mut self,
        imports: Vec<(Uuid, Import)>,
        told: oneshot::Sender<AllPlaced>,
    ) {
        let now = self.now();
        let (mut writes, mut effects) = (Vec::new(), Vec::new());
        let (mut placed, mut imported) = (Vec::new(), BTreeSet::new());
        for (uuid, mut import) in imports {
            let own = self.live.get(&uuid).and_then(|live| {
                let own = self.settings.miners.get(live.deal.miner())?;
                Some(own)
            });
            let Some(own) = own else {
                placed.push(None);
                continue;
            };
            (import.place, import.begun) = (self.imports.place(), false);
            let moved = self.live.change(&uuid, |live| {
                let outcome = step(live, Event::Imported(import), now, &own.terms);
                (outcome, live.deal.clone())
            });
            let Some((outcome, deal)) = moved else {
                continue;
            };
            if let Some(refused) = outcome.refused {
                placed.push(Some(Err(refused)));
                continue;
            }
            writes.push(Write::Deal(Box::new(deal)));
            for line in &outcome.lines {
                log::log!(line.level, "deal {uuid}: {}", line.text);
                writes.push(Write::Log(uuid, log_line(now, line.level, &line.text)));
            }
            effects.extend(outcome.effects.into_iter().map(|effect| (uuid, effect)));
            let position = self.imports.announce(uuid);
            placed.push(Some(Ok(u64::try_from(position).unwrap_or(u64::MAX))));
            imported.insert(uuid);
        }
        self.commit(
            writes,
            Ticket {
                effects,
                placed: Some((told, placed)),
                imported,
                ..Ticket::default()
            },
        );
    }

    /// Lets a deal's import wait at its place.
    pub(super) fn queue_import(&mut self, uuid: Uuid) {
        if let Some(deal) = self.queued(uuid)
            && let Some(import) = &deal.import
        {
            let (miner, place) = (deal.miner().clone(), import.place);
            self.imports.wait(&miner, place, uuid);
        }
    }

    /// Takes a deal's import out of the queue.
    pub(super) fn leave_queue(&mut self, uuid: Uuid) {
        let import = self
            .live
            .get(&uuid)
            .and_then(|live| live.deal.import.as_ref());
        if let Some(place) = import.map(|import| import.place) {
            self.imports.leave(place, uuid);
        }
    }

    /// Gives free places to the first imports that have funds, if anything has changed since the last time.
    pub(super) fn start_imports(&mut self) {
        if !self.imports.due() {
            return;
        }
        let mut free = self.imports.max().saturating_sub(self.imports_running());
        let mut rooms: BTreeMap<Address, Result<Room, Refusal>> = BTreeMap::new();
        for (place, uuid) in self.imports.first() {
            if free == 0 {
                return;
            }
            let Some(deal) = self.queued(uuid) else {
                self.imports.leave(place, uuid);
                continue;
            };
            let deal = deal.clone();
            let room = rooms
                .entry(deal.miner().clone())
                .or_insert_with(|| self.room(&deal, &[], u64::MAX));
            match self.funds_in(&deal, room) {
                Ok(()) => {
                    self.look_at_import(&deal);
                    if let Ok(room) = room {
                        room.ledger.hold(&deal);
                    }
                    free = free.saturating_sub(1);
                }
                Err(event) => self.apply(uuid, *event, None),
            }
        }
    }

    /// A deal whose import waits in the queue.
    fn queued(&self, uuid: Uuid) -> Option<&Deal> {
        let live = self.live.get(&uuid)?;
        (live.busy == Some(Effect::QueueImport)).then_some(&live.deal)
    }

    /// Imports that have a place: made anew from the deals, so that none can be lost.
    fn imports_running(&self) -> usize {
        let ending = self.import_passes.running().filter(|uuid| {
            let live = self.live.get(uuid);
            live.is_none_or(|live| live.busy != Some(Effect::StartPass))
        });
        self.live
            .importing()
            .saturating_add(ending.count())
            .saturating_add(self.imports.looking())
    }

    /// Whether there are funds; else the wait that the deal is told.
    fn funds_in(&self, deal: &Deal, room: &Result<Room, Refusal>) -> Result<(), Box<Event>> {
        let waits = |what: &str, refusal: &Refusal| {
            Box::new(Event::ImportWaits {
                what: what.to_owned(),
                why: refusal.log().to_owned(),
            })
        };
        let room = room
            .as_ref()
            .map_err(|refusal| waits("import waits for the chain node", refusal))?;
        let Some(own) = self.settings.miners.get(deal.miner()) else {
            return Ok(());
        };
        admit::funds(deal.proposal(), room, &own.terms)
            .map_err(|refusal| waits("import waits for funds", &refusal))
    }

    fn look_at_import(&mut self, deal: &Deal) {
        let (uuid, deal) = (deal.uuid, deal.clone());
        self.imports.looks(uuid);
        let (files, disk) = (self.settings.files.clone(), Arc::clone(&self.parts.disk));
        let (told, sealer) = (
            self.reports.clone(),
            self.parts.sealers.get(deal.miner()).cloned(),
        );
        let started = self.threads.own.start("import", STACK_BYTES, move || {
            let found = look(&deal, &files, disk.as_ref()).and_then(|found| {
                // Found out now, not when the deal is on chain and the sealer waits for its piece.
                let path = deal.import.as_ref().map_or("", |import| &import.path);
                let could = sealer.map_or(Ok(()), |sealer| sealer.could_take(path.as_ref()));
                could.map(|()| found).map_err(|error| error.to_string())
            });
            let _ = told.try_send(Report::ImportLooked(uuid, found));
        });
        if let Err(error) = started {
            log::error!("no thread to look at an import: {error}");
            self.imports.looked(uuid);
            self.imports.rest();
        }
    }

    /// An import's file was looked at: it is read now, waits, or is the operator's again.
    pub(super) fn import_looked(&mut self, uuid: Uuid, found: Result<Look, String>) {
        self.imports.looked(uuid);
        let Some(deal) = self.queued(uuid).cloned() else {
            return;
        };
        let look = match found {
            Ok(look) => look,
            Err(reason) => {
                self.leave_queue(uuid);
                let setback = Setback::new(Class::Manual, reason);
                return self.apply(uuid, Event::PassFailed(setback), None);
            }
        };
        // Another deal may have taken the funds meanwhile.
        let room = self.room(&deal, &[], look.disk_free);
        if let Err(waits) = self.funds_in(&deal, &room) {
            return self.apply(uuid, *waits, None);
        }
        let free = room.map_or(u64::MAX, |room| room.disk_free);
        let needed = look.needs().saturating_add(DISK_MARGIN);
        if needed > free {
            let waits = Event::ImportWaits {
                what: "import waits for disk space".to_owned(),
                why: format!(
                    "the disk of CORACLE_STAGING has {free} bytes that no other deal needs, {needed} are wanted"
                ),
            };
            self.apply(uuid, waits, None);
            // The others need space too.
            return self.imports.rest();
        }
        self.make_room(look.needs(), look.disk_free);
        self.leave_queue(uuid);
        self.apply(uuid, Event::ImportBegun, None);
    }
}
