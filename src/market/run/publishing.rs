//! Publishing inside the run loop: from waiting deals to the outcome of their message.

use super::Market;
use super::storing::Ticket;
use crate::chain::{ChainError, Outcome};
use crate::deal::step::{Event, Setback, step};
use crate::deal::{Checkpoint, Deal};
use crate::filecoin::Address;
use crate::market::facts::lock;
use crate::market::{confirm, publisher};
use crate::store::Write;
use cid::Cid;
use uuid::Uuid;

impl Market {
    /// Tries the deals of messages that are full or due.
    pub(super) fn publish_due(&mut self, forced: bool) -> usize {
        let now = (self.parts.now)();
        let mut taken = 0_usize;
        while let Some((miner, uuids)) = self.publisher.take(&self.settings.miners, now, forced) {
            taken = taken.saturating_add(uuids.len());
            // A deal that ended while it waited is left out.
            let deals: Vec<Deal> = uuids
                .iter()
                .filter_map(|uuid| self.live.get(uuid))
                .filter(|live| live.deal.checkpoint == Checkpoint::Transferred)
                .map(|live| live.deal.clone())
                .collect();
            let head = lock(&self.bench.snapshot).head.map(|(head, _)| head);
            let buffer = self
                .settings
                .miners
                .get(&miner)
                .map_or(0, |own| own.terms.sealing_buffer);
            publisher::dry_run(
                miner,
                deals,
                head,
                buffer,
                &self.parts,
                &self.threads,
                &self.reports,
            );
        }
        taken
    }

    /// Makes an order of the deals that passed alone; it is sent once it is durable.
    pub(super) fn order(&mut self, miner: &Address, tried: Vec<(Uuid, Option<Setback>)>) {
        self.publisher.tried(miner);
        let order = (self.parts.fresh)();
        let mut writes = Vec::new();
        let now = (self.parts.now)();
        for (uuid, objection) in tried {
            let Some(live) = self.live.get_mut(&uuid) else {
                continue;
            };
            if live.deal.checkpoint != Checkpoint::Transferred {
                continue;
            }
            if let Some(setback) = objection {
                let unsent = true;
                self.apply(uuid, Event::PublishFailed { setback, unsent }, None);
                continue;
            }
            let Some(own) = self.settings.miners.get(miner) else {
                continue;
            };
            step(live, Event::Ordered(order), now, &own.terms);
            writes.push(Write::Deal(Box::new(live.deal.clone())));
        }
        if !writes.is_empty() {
            self.publisher.ordered(order);
            self.commit(
                writes,
                Ticket {
                    orders: vec![order],
                    ..Ticket::default()
                },
            );
        }
    }

    /// Sends an order's message, unless that is under way.
    pub(super) fn send_order(&mut self, order: Uuid) {
        let members = publisher::members(self.live.values().map(|live| &live.deal), order);
        let Some(own) = members
            .first()
            .and_then(|deal| self.settings.miners.get(deal.miner()))
        else {
            return;
        };
        if self.publisher.begin(order) {
            publisher::send(
                order,
                &members,
                own,
                &self.parts,
                &self.threads,
                &self.reports,
            );
        }
    }

    /// An order was sent, or not.
    pub(super) fn published(&mut self, order: Uuid, sent: &Result<Cid, ChainError>) {
        self.publisher.ended(order);
        let unsent = match sent {
            Ok(_) => {
                self.publisher.taken(order);
                false
            }
            Err(error) => self.publisher.is_unsent(order, error),
        };
        let members = publisher::members(self.live.values().map(|live| &live.deal), order);
        let events: Vec<(Uuid, Event)> = members
            .into_iter()
            .map(|deal| {
                let event = match sent {
                    Ok(cid) => Event::PublishSent(*cid),
                    Err(error) => publisher::failure(deal, error, unsent),
                };
                (deal.uuid, event)
            })
            .collect();
        for (uuid, event) in events {
            self.apply(uuid, event, None);
        }
    }

    /// A publish message was looked up.
    pub(super) fn message(
        &mut self,
        message: Cid,
        uuids: &[Uuid],
        outcome: &Result<Outcome, ChainError>,
    ) {
        self.messages.answered(message);
        let confidence = uuids
            .iter()
            .find_map(|uuid| self.settings.miners.get(self.live.get(uuid)?.deal.miner()))
            .map_or(0, |own| own.terms.confidence);
        let events = confirm::events(message, uuids, outcome, confidence);
        for (uuid, event) in events {
            self.apply(uuid, event, None);
        }
        for uuid in uuids {
            let awaited = self
                .live
                .get(uuid)
                .is_some_and(|live| live.deal.checkpoint == Checkpoint::Published);
            if !awaited {
                self.messages.done(message, *uuid);
            }
        }
    }
}
