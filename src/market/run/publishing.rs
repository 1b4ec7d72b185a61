//! Publishing inside the run loop: from waiting deals to the outcome of their message.

use super::Market;
use super::storing::Ticket;
use crate::chain::{ChainError, Outcome, PREPARED_BYTES_MAX, Prepared};
use crate::deal::step::{Class, Event, FAILED_MESSAGES_MAX, Live, Setback, step};
use crate::deal::{Checkpoint, Deal};
use crate::filecoin::Address;
use crate::market::confirm::{self, Seen};
use crate::market::facts::lock;
use crate::market::publisher::{self, Made, Publisher};
use crate::store::Write;
use cid::Cid;
use std::collections::BTreeSet;
use uuid::Uuid;

impl Market {
    /// Carries a deal's order out, or lets the deal wait for one.
    pub(super) fn publish(&mut self, uuid: Uuid) {
        let Some(deal) = self.live.get(&uuid).map(|live| &live.deal) else {
            return;
        };
        if let Some(order) = deal.order {
            return self.send_order(order);
        }
        let (miner, now) = (deal.miner().clone(), self.now());
        let own = self.settings.miners.get(&miner);
        // It has waited for others once, and was published in vain: its start comes nearer. Its neighbours come within the
        // spread of their first waits.
        let again = deal.failed_messages > 0;
        let own = own.filter(|own| again && !own.terms.publish_by_hand);
        let until = own.map(|own| now.saturating_add(own.terms.retry_first));
        self.publisher.wait(&miner, uuid, now, until);
    }

    /// Tries the deals of messages that are full or due.
    pub(super) fn publish_due(&mut self) {
        let now = (self.parts.now)();
        while let Some((miner, uuids)) = self.publisher.take(&self.settings.miners, now) {
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
    }

    /// Makes an order of the deals that passed alone; it is sent once it is durable. One that has failed on chain and may do
    /// so only once more goes alone: if the fault is its own, it takes no others with it.
    pub(super) fn order(&mut self, miner: &Address, tried: Vec<(Uuid, Option<Setback>)>) {
        self.publisher.tried(miner);
        let shared = (self.parts.fresh)();
        let (mut writes, mut orders) = (Vec::new(), BTreeSet::new());
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
            let alone = live.deal.failed_messages.saturating_add(1) >= FAILED_MESSAGES_MAX;
            let order = if alone { (self.parts.fresh)() } else { shared };
            orders.insert(order);
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
                    orders: orders.into_iter().collect(),
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
        if let Some(prepared) = self.publisher.prepared(order).cloned() {
            if self.publisher.begin(order) {
                publisher::send(order, prepared, &self.parts, &self.threads, &self.reports);
            }
            return;
        }
        let members = publisher::members(self.live.of_order(order));
        let Some(own) = members
            .first()
            .and_then(|deal| self.settings.miners.get(deal.miner()))
        else {
            return;
        };
        if self.publisher.begin(order) {
            let (parts, threads, reports) = (&self.parts, &self.threads, &self.reports);
            publisher::prepare(order, &members, own, parts, threads, reports);
        }
    }

    /// An order's message is ready: it is sent once it is stored. Deals that are not in it leave the order before that.
    pub(super) fn prepared(&mut self, order: Uuid, made: Result<Made, ChainError>) {
        self.publisher.ended(order);
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                let unsent = !publisher::passes_by_itself(&error);
                return self.not_published(order, &error, unsent);
            }
        };
        let bytes = made
            .prepared
            .as_ref()
            .map_or_else(Vec::new, Prepared::encode);
        if bytes.len() > PREPARED_BYTES_MAX {
            let error = ChainError::TooMuch(format!("{} bytes to be stored", bytes.len()));
            return self.not_published(order, &error, true);
        }
        let (mut writes, orders) = self.leave_out(order, made.left_out);
        if let Some(prepared) = made.prepared {
            self.publisher.made(prepared);
            writes.push(Write::Message(order, bytes));
        }
        self.commit(
            writes,
            Ticket {
                orders,
                ..Ticket::default()
            },
        );
    }

    /// Takes deals out of an order of which nothing was sent: those that cannot be published wait for the operator, the
    /// others go with an order of their own. What is to be stored of these, and the orders that go on.
    fn leave_out(
        &mut self,
        order: Uuid,
        left_out: Vec<(Uuid, Option<ChainError>)>,
    ) -> (Vec<Write>, Vec<Uuid>) {
        let other = (self.parts.fresh)();
        let (mut writes, mut orders) = (Vec::new(), vec![order]);
        for (uuid, why) in left_out {
            let still = |live: &Live| live.deal.order == Some(order);
            if !self.live.get(&uuid).is_some_and(still) {
                continue;
            }
            if let Some(error) = why {
                let setback = publisher::rejected(uuid, Class::Manual, &error.to_string());
                let unsent = true;
                self.apply(uuid, Event::PublishFailed { setback, unsent }, None);
                continue;
            }
            let now = self.now();
            let terms = self.live.get(&uuid).and_then(|live| {
                let own = self.settings.miners.get(live.deal.miner())?;
                Some(&own.terms)
            });
            let Some(terms) = terms else { continue };
            let reordered = self.live.change(&uuid, |live| {
                step(live, Event::Reordered(other), now, terms);
                Write::Deal(Box::new(live.deal.clone()))
            });
            writes.extend(reordered);
            if !orders.contains(&other) {
                orders.push(other);
            }
        }
        (writes, orders)
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

    pub(super) fn stop_watching(&mut self, uuid: Uuid) {
        let message = self.live.get(&uuid).and_then(|live| live.deal.publish_cid);
        if let Some(message) = message {
            self.messages.done(message, uuid);
        }
    }

    /// The deals of an order that wait for its message or for what becomes of it.
    pub(super) fn of_order(&self, order: Uuid) -> Vec<Uuid> {
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

    /// Sends those messages of these deals again: a node has lost one, or another message may have taken its nonce.
    fn send_again(&mut self, uuids: &[Uuid], meant: impl Fn(&Publisher, Uuid) -> bool) {
        let orders: BTreeSet<Uuid> = uuids
            .iter()
            .filter_map(|uuid| self.live.get(uuid)?.deal.order)
            .collect();
        for order in orders {
            if self.publisher.prepared(order).is_some() && meant(&self.publisher, order) {
                self.send_order(order);
            }
        }
    }

    /// Looks at the messages that are watched.
    pub(super) fn look_at_messages(&mut self) {
        for (message, uuids) in self.messages.due() {
            let deals: Vec<&Deal> = uuids
                .iter()
                .filter_map(|uuid| Some(&self.live.get(uuid)?.deal))
                .collect();
            let own = deals
                .first()
                .and_then(|deal| self.settings.miners.get(deal.miner()));
            // Of a miner that is not in the settings any more nothing moves, whatever is seen.
            let confidence = own.map_or(Some(0), |own| own.terms.confidence);
            let prepared = deals
                .first()
                .and_then(|deal| self.publisher.prepared(deal.order?));
            let earlier = prepared.map_or_else(Vec::new, |prepared| prepared.earlier().to_vec());
            confirm::look_up(
                message,
                earlier,
                &deals,
                confidence,
                (&self.parts, &self.threads),
                &self.reports,
            );
            self.messages.asked(message);
        }
    }

    /// A publish message was looked up.
    pub(super) fn message(
        &mut self,
        message: Cid,
        uuids: &[Uuid],
        seen: &Result<Seen, ChainError>,
    ) {
        self.messages.answered(message);
        if let Ok(Seen {
            outcome:
                Outcome::Executed {
                    message: executed,
                    exit_code,
                    ..
                },
            buried: true,
            ..
        }) = seen
            && let Some(deal) = uuids.iter().find_map(|uuid| self.live.get(uuid))
            && let Some(order) = deal.deal.order
        {
            // Before its deals: if they are stored, so is this.
            let miner = deal.deal.miner().clone();
            self.count_publish(order, &miner, *executed, *exit_code);
        }
        match seen.as_ref().map(|seen| &seen.outcome) {
            Ok(Outcome::Pending) => self.waits_in_pool(message, uuids),
            Ok(Outcome::Executed { .. }) => self.messages.moved(message),
            Ok(Outcome::Unknown) | Err(_) => {}
        }
        let alert = self.messages.alert_of(&message);
        let events = confirm::events(message, uuids, seen, alert);
        for (uuid, event) in events {
            self.apply(uuid, event, None);
        }
        match seen.as_ref().map(|seen| &seen.outcome) {
            Ok(Outcome::Unknown) => self.send_again(uuids, |_, _| true),
            // A replacement that may not have got there.
            Ok(Outcome::Pending) => self.send_again(uuids, Publisher::is_unsent),
            _ => {}
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
