//! Publishing inside the run loop: from waiting deals to the outcome of their message.

use super::Market;
use super::storing::Ticket;
use crate::chain::{ChainError, Outcome, PREPARED_BYTES_MAX, Prepared};
use crate::deal::step::{Event, Setback, step};
use crate::deal::{Checkpoint, Deal};
use crate::filecoin::Address;
use crate::market::facts::lock;
use crate::market::{confirm, publisher};
use crate::store::Write;
use cid::Cid;
use std::collections::BTreeSet;
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
            let Some(live) = self.live.get(&uuid) else {
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
            let ordered = self.live.change(&uuid, |live| {
                step(live, Event::Ordered(order), now, &own.terms);
                Write::Deal(Box::new(live.deal.clone()))
            });
            writes.extend(ordered);
        }
        if !writes.is_empty() {
            self.commit(
                writes,
                Ticket {
                    orders: vec![order],
                    ..Ticket::default()
                },
            );
        }
    }

    /// Forgets the messages that no deal waits for any more.
    pub(super) fn forget_messages(&mut self) {
        for order in self.publisher.orders() {
            if self.of_order(order).is_empty() {
                self.drop_message(order);
            }
        }
    }

    fn drop_message(&mut self, order: Uuid) {
        if self.publisher.forget(order) {
            self.commit(vec![Write::DropMessage(order)], Ticket::default());
        }
    }

    /// Makes an order's message ready, or sends it if that was done, unless either is under way.
    pub(super) fn send_order(&mut self, order: Uuid) {
        let members = publisher::members(self.live.of_order(order));
        let Some(own) = members
            .first()
            .and_then(|deal| self.settings.miners.get(deal.miner()))
        else {
            return;
        };
        if !self.publisher.begin(order) {
            return;
        }
        let (parts, threads, reports) = (&self.parts, &self.threads, &self.reports);
        match self.publisher.prepared(order) {
            Some(prepared) => publisher::send(order, prepared.clone(), parts, threads, reports),
            None => publisher::prepare(order, &members, own, parts, threads, reports),
        }
    }

    /// An order's message is ready: it is sent once it is stored.
    pub(super) fn prepared(&mut self, order: Uuid, prepared: Result<Box<Prepared>, ChainError>) {
        self.publisher.ended(order);
        let prepared = match prepared {
            Ok(prepared) => *prepared,
            Err(error) => {
                let unsent = !publisher::passes_by_itself(&error);
                return self.not_published(order, &error, unsent);
            }
        };
        let bytes = prepared.encode();
        if bytes.len() > PREPARED_BYTES_MAX {
            let error = ChainError::TooMuch(format!("{} bytes to be stored", bytes.len()));
            return self.not_published(order, &error, true);
        }
        self.publisher.made(prepared);
        self.commit(
            vec![Write::Message(order, bytes)],
            Ticket {
                orders: vec![order],
                ..Ticket::default()
            },
        );
    }

    /// An order was sent, or not.
    pub(super) fn published(&mut self, order: Uuid, sent: &Result<Cid, ChainError>) {
        self.publisher.ended(order);
        let error = match sent {
            Ok(cid) => {
                self.publisher.taken(order);
                return self.sent(order, *cid);
            }
            Err(error) => error,
        };
        let void = self.publisher.is_void(order, error);
        self.not_published(order, error, void);
        if !void {
            return;
        }
        for uuid in self.of_order(order) {
            self.stop_watching(uuid);
            self.apply(uuid, Event::Superseded(error.to_string()), None);
        }
        self.drop_message(order);
    }

    /// An order's message is with the chain, maybe not for the first time.
    fn sent(&mut self, order: Uuid, cid: Cid) {
        for uuid in self.of_order(order) {
            let old = self.live.get(&uuid).and_then(|live| live.deal.publish_cid);
            if old.is_some_and(|old| old != cid) {
                self.stop_watching(uuid);
            }
            self.apply(uuid, Event::PublishSent(cid), None);
        }
    }

    fn stop_watching(&mut self, uuid: Uuid) {
        let message = self.live.get(&uuid).and_then(|live| live.deal.publish_cid);
        if let Some(message) = message {
            self.messages.done(message, uuid);
        }
    }

    /// The deals of an order that wait for its message or for what becomes of it.
    fn of_order(&self, order: Uuid) -> Vec<Uuid> {
        let of_order = self.live.of_order(order).filter(|deal| {
            matches!(
                deal.checkpoint,
                Checkpoint::Transferred | Checkpoint::Published
            )
        });
        of_order.map(|deal| deal.uuid).collect()
    }

    fn not_published(&mut self, order: Uuid, error: &ChainError, unsent: bool) {
        let members = publisher::members(self.live.of_order(order));
        let events: Vec<(Uuid, Event)> = members
            .into_iter()
            .map(|deal| (deal.uuid, publisher::failure(deal, error, unsent)))
            .collect();
        for (uuid, event) in events {
            self.apply(uuid, event, None);
        }
    }

    /// Sends the messages of these deals again: a node has lost one, or another message may have taken its nonce.
    fn send_again(&mut self, uuids: &[Uuid]) {
        let orders: BTreeSet<Uuid> = uuids
            .iter()
            .filter_map(|uuid| self.live.get(uuid)?.deal.order)
            .collect();
        for order in orders {
            if let Some(prepared) = self.publisher.prepared(order).cloned()
                && self.publisher.begin(order)
            {
                publisher::send(order, prepared, &self.parts, &self.threads, &self.reports);
            }
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
        if let Ok(Outcome::Executed {
            message: executed,
            depth,
            exit_code,
            ..
        }) = outcome
            && *depth >= confidence
            && let Some(deal) = uuids.iter().find_map(|uuid| self.live.get(uuid))
            && let Some(order) = deal.deal.order
        {
            // Before its deals: if they are stored, so is this.
            let miner = deal.deal.miner().clone();
            self.count_publish(order, &miner, *executed, *exit_code);
        }
        let events = confirm::events(message, uuids, outcome, confidence);
        for (uuid, event) in events {
            self.apply(uuid, event, None);
        }
        if matches!(outcome, Ok(Outcome::Unknown)) {
            self.send_again(uuids);
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
        self.forget_messages();
    }
}
