//! Publishing: which deals go into which message, and when (spec boost-mk12 5).
//!
//! An order is the set of deals that carry its ID in their records. Its message is made ready, stored under the order's ID,
//! and only then sent: after a crash the same message is sent again, which is harmless. It is forgotten when its outcome
//! is known, or when it is certain never to have one. One that waits for too long is replaced by the same with a higher fee,
//! which is stored in its place before it is sent.

use super::inputs::Report;
use super::sift::sift;
use super::{MinerSettings, Parts, Threads};
use crate::chain::{Call, ChainError, Order, Prepared};
use crate::deal::step::{Class, Event, Setback};
use crate::deal::{Checkpoint, Deal, Millis};
use crate::filecoin::{Address, ChainEpoch, ClientDealProposal, TokenAmount};
use crate::store::StoreError;
use cid::Cid;
use smol::channel::Sender;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Deals that wait for a message of one miner.
#[derive(Default)]
struct Waiting {
    deals: BTreeSet<Uuid>,
    /// Those of them that wait for no others: the operator wants them published now, or their message failed on chain.
    now: BTreeSet<Uuid>,
    /// When these are taken: neighbours of a failed message come one after the other.
    now_from: Millis,
    /// When the first of them came.
    since: Millis,
    /// Being tried alone before they are put into an order.
    trying: bool,
}

/// What waits and what is being sent.
#[derive(Default)]
pub(super) struct Publisher {
    waiting: BTreeMap<Address, Waiting>,
    sending: BTreeSet<Uuid>,
    /// Messages that are stored, by their orders: each until its outcome is known.
    prepared: BTreeMap<Uuid, Prepared>,
    /// Orders whose message the chain has certainly not taken: made since the start, and no answer was lost.
    untaken: BTreeSet<Uuid>,
    /// Orders whose replacement may not have reached the chain: what waits there has less to offer.
    unsent: BTreeSet<Uuid>,
}

impl Publisher {
    /// With the messages that are stored.
    ///
    /// # Errors
    /// The database failed, or has a message that this release cannot read: its deals must not be published with another.
    pub(super) fn with(stored: Vec<(Uuid, Vec<u8>)>) -> Result<Self, StoreError> {
        let mut publisher = Self::default();
        for (order, bytes) in stored {
            let Some(prepared) = Prepared::decode(&bytes).filter(|found| found.order == order)
            else {
                return Err(StoreError::Database(format!(
                    "the publish message of order {order} cannot be read: use a newer release"
                )));
            };
            if !prepared.earlier().is_empty() {
                publisher.unsent.insert(order);
            }
            publisher.keep(prepared);
        }
        Ok(publisher)
    }

    /// Takes a deal in; with `until` it waits for others no longer than that.
    pub(super) fn wait(&mut self, miner: &Address, deal: Uuid, now: Millis, until: Option<Millis>) {
        let waiting = self.waiting.entry(miner.clone()).or_default();
        if waiting.deals.is_empty() {
            waiting.since = now;
        }
        waiting.deals.insert(deal);
        if let Some(until) = until {
            if waiting.now.is_empty() {
                waiting.now_from = until;
            }
            waiting.now.insert(deal);
        }
    }

    /// Makes these deals due, or all of them; those that wait.
    pub(super) fn hurry(&mut self, only: Option<&BTreeSet<Uuid>>) -> Vec<Uuid> {
        let mut hurried = Vec::new();
        for waiting in self.waiting.values_mut() {
            let wanted = |deal: &&Uuid| only.is_none_or(|only| only.contains(*deal));
            let meant: Vec<Uuid> = waiting.deals.iter().filter(wanted).copied().collect();
            if !meant.is_empty() {
                waiting.now_from = 0;
            }
            waiting.now.extend(&meant);
            hurried.extend(meant);
        }
        hurried
    }

    /// What waits: each miner's deals and since when the first of them waits.
    pub(super) fn queues(&self) -> impl Iterator<Item = (&Address, Millis, &BTreeSet<Uuid>)> {
        let filled = self
            .waiting
            .iter()
            .filter(|(_, waiting)| !waiting.deals.is_empty());
        filled.map(|(miner, waiting)| (miner, waiting.since, &waiting.deals))
    }

    /// Waits count from now on if they seem to begin later.
    pub(super) fn clock_set_back(&mut self, now: Millis) {
        for waiting in self.waiting.values_mut() {
            waiting.since = waiting.since.min(now);
            waiting.now_from = waiting.now_from.min(now);
        }
    }

    /// When the next message is due although it is not full.
    pub(super) fn due(&self, settings: &BTreeMap<Address, MinerSettings>) -> Option<Millis> {
        self.waiting
            .iter()
            .filter(|(_, waiting)| !waiting.deals.is_empty() && !waiting.trying)
            .filter_map(|(miner, waiting)| {
                let own = settings.get(miner)?;
                let named = (!waiting.now.is_empty()).then_some(waiting.now_from);
                let due = waiting.since.saturating_add(period(own));
                let due = (!own.terms.publish_by_hand).then_some(due);
                named.into_iter().chain(due).min()
            })
            .min()
    }

    /// Takes out the deals of one message that is full or due, or that must not wait.
    pub(super) fn take(
        &mut self,
        settings: &BTreeMap<Address, MinerSettings>,
        now: Millis,
    ) -> Option<(Address, Vec<Uuid>)> {
        for (miner, waiting) in &mut self.waiting {
            let Some(own) = settings.get(miner) else {
                continue;
            };
            if waiting.trying || waiting.deals.is_empty() {
                continue;
            }
            let max = usize::try_from(own.terms.deals_per_message.max(1)).unwrap_or(usize::MAX);
            let old = waiting.since.saturating_add(period(own)) <= now;
            let due = !own.terms.publish_by_hand && (old || waiting.deals.len() >= max);
            let named = !waiting.now.is_empty() && waiting.now_from <= now;
            let chosen = match (named, due) {
                // Those that were named, and no others with them.
                (true, _) => &waiting.now,
                (false, true) => &waiting.deals,
                (false, false) => continue,
            };
            let taken: Vec<Uuid> = chosen.iter().take(max).copied().collect();
            for deal in &taken {
                waiting.deals.remove(deal);
                waiting.now.remove(deal);
            }
            waiting.trying = true;
            return Some((miner.clone(), taken));
        }
        None
    }

    /// The deals of this miner were tried; the next ones may be.
    pub(super) fn tried(&mut self, miner: &Address) {
        if let Some(waiting) = self.waiting.get_mut(miner) {
            waiting.trying = false;
        }
    }

    /// Whether this order is not being sent yet; from now on it is.
    pub(super) fn begin(&mut self, order: Uuid) -> bool {
        self.sending.insert(order)
    }

    /// The order's message, once it is made.
    pub(super) fn prepared(&self, order: Uuid) -> Option<&Prepared> {
        self.prepared.get(&order)
    }

    /// The order's message was made just now.
    pub(super) fn made(&mut self, prepared: Prepared) {
        self.untaken.insert(prepared.order);
        self.keep(prepared);
    }

    /// The order's message has this replacement, which is to be sent.
    pub(super) fn replaced(&mut self, prepared: Prepared) {
        self.unsent.insert(prepared.order);
        self.keep(prepared);
    }

    /// Whether the order's replacement may not have reached the chain.
    pub(super) fn is_unsent(&self, order: Uuid) -> bool {
        self.unsent.contains(&order)
    }

    /// The chain has taken an order's message.
    pub(super) fn taken(&mut self, order: Uuid) {
        self.untaken.remove(&order);
        self.unsent.remove(&order);
    }

    /// Whether after this failure an order's message is certain never to be executed, so that another may be made. That a
    /// try failed says nothing about an earlier one whose answer was lost; and a signed message stays what it is until the
    /// chain has used its nonce for another.
    pub(super) fn is_void(&mut self, order: Uuid, error: &ChainError) -> bool {
        let untaken = self.untaken.remove(&order);
        match error {
            // Final, whatever came before.
            ChainError::Superseded(_) => true,
            ChainError::Unreachable(_) | ChainError::Malformed(_) | ChainError::Later(_) => false,
            ChainError::Unauthorized
            | ChainError::Forbidden(_)
            | ChainError::Refused { .. }
            | ChainError::WouldFail(_)
            | ChainError::TooMuch(_)
            | ChainError::Fee(_)
            | ChainError::NoSender(_) => {
                let by_wallet = self.prepared(order).is_some_and(|p| p.cid().is_none());
                untaken && by_wallet
            }
        }
    }

    /// The order has this message from now on.
    fn keep(&mut self, prepared: Prepared) {
        self.prepared.insert(prepared.order, prepared);
    }

    /// The order has no message any more; whether it had one.
    pub(super) fn forget(&mut self, order: Uuid) -> bool {
        self.untaken.remove(&order);
        self.unsent.remove(&order);
        self.prepared.remove(&order).is_some()
    }

    /// The orders that have a message.
    pub(super) fn orders(&self) -> Vec<Uuid> {
        self.prepared.keys().copied().collect()
    }

    /// An order's sending has ended.
    pub(super) fn ended(&mut self, order: Uuid) {
        self.sending.remove(&order);
    }
}

fn period(settings: &MinerSettings) -> Millis {
    u64::try_from(settings.publish_period.as_millis()).unwrap_or(u64::MAX)
}

/// Tries each deal alone, so that one bad deal does not spoil the message of the others.
pub(super) fn dry_run(
    miner: Address,
    deals: Vec<Deal>,
    head: Option<ChainEpoch>,
    buffer: ChainEpoch,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let (chain, told) = (parts.chain.clone(), reports.clone());
    let uuids: Vec<Uuid> = deals.iter().map(|deal| deal.uuid).collect();
    let refused = miner.clone();
    let submitted = threads.chain.submit(move || {
        let tried = deals.iter().map(|deal| {
            let objection = objection(chain.as_ref(), &miner, deal, head, buffer);
            let rejected = objection.map(|why| rejected(deal.uuid, Class::Manual, &why));
            (deal.uuid, rejected)
        });
        let tried = tried.collect();
        let _ = told.try_send(Report::DryRun(miner, tried));
    });
    if submitted.is_err() {
        let all = uuids.into_iter().map(|uuid| {
            let full = rejected(uuid, Class::Auto, "too many chain calls wait");
            (uuid, Some(full))
        });
        let _ = reports.try_send(Report::DryRun(refused, all.collect()));
    }
}

fn objection(
    chain: &dyn crate::chain::Chain,
    miner: &Address,
    deal: &Deal,
    head: Option<ChainEpoch>,
    buffer: ChainEpoch,
) -> Option<String> {
    let proposal = deal.proposal();
    if let Some(head) = head
        && head.saturating_add(buffer) > proposal.start_epoch
    {
        return Some(format!(
            "cannot publish deal with piece CID {}: current epoch {head} has passed deal proposal start epoch {}",
            proposal.piece_cid, proposal.start_epoch
        ));
    }
    match chain.dry_run(miner, &deal.signed) {
        Ok(objection) => objection.map(|why| format!("simulating deal publish message: {why}")),
        // The chain is away: sending will find that out and wait.
        Err(_) => None,
    }
}

/// A message with the deals that go together, and what is to become of the others.
pub(super) struct Made {
    /// The message; none if no deal remains.
    pub prepared: Option<Prepared>,
    /// Deals that are not in it, with what keeps them from being published at all, or none.
    pub left_out: Vec<(Uuid, Option<ChainError>)>,
}

/// Makes an order's message ready on a chain thread, without the deals that keep it from being made.
pub(super) fn prepare(
    order: Uuid,
    deals: &[&Deal],
    settings: &MinerSettings,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let Some(first) = deals.first() else { return };
    let (miner, fee_max) = (
        first.miner().clone(),
        settings.terms.publish_fee_max.clone(),
    );
    let deals: Vec<(Uuid, ClientDealProposal)> = deals
        .iter()
        .map(|deal| (deal.uuid, deal.signed.clone()))
        .collect();
    let (chain, told) = (parts.chain.clone(), reports.clone());
    let submitted = threads.chain.submit(move || {
        let sifted = sift(deals.len(), |chosen| {
            let signed = chosen.iter().filter_map(|place| deals.get(*place));
            chain.prepare(&Order {
                id: order,
                miner: miner.clone(),
                fee_max: fee_max.clone(),
                call: Call::Publish(signed.map(|(_, signed)| signed.clone()).collect()),
            })
        });
        let uuid = |(place, why)| Some((deals.get::<usize>(place)?.0, why));
        let made = sifted.map(|sifted| Made {
            prepared: sifted.made,
            left_out: sifted.left_out.into_iter().filter_map(uuid).collect(),
        });
        let _ = told.try_send(Report::Prepared(order, Box::new(made)));
    });
    if submitted.is_err() {
        let _ = reports.try_send(Report::Prepared(order, Box::new(Err(busy()))));
    }
}

/// Makes the replacement of an order's message, which waits under the CID `sent`, on a chain thread.
pub(super) fn replace(
    prepared: Prepared,
    sent: Cid,
    fee_max: TokenAmount,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let order = prepared.order;
    let (chain, told) = (parts.chain.clone(), reports.clone());
    let submitted = threads.chain.submit(move || {
        let replaced = chain.replace(&prepared, &sent, &fee_max);
        let _ = told.try_send(Report::Replaced(order, sent, Box::new(replaced)));
    });
    if submitted.is_err() {
        let _ = reports.try_send(Report::Replaced(order, sent, Box::new(Err(busy()))));
    }
}

/// Sends an order's stored message on a chain thread.
pub(super) fn send(
    order: Uuid,
    prepared: Prepared,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let (chain, told) = (parts.chain.clone(), reports.clone());
    let submitted = threads.chain.submit(move || {
        let sent = chain.send(&prepared);
        let _ = told.try_send(Report::Publish(order, sent));
    });
    if submitted.is_err() {
        let _ = reports.try_send(Report::Publish(order, Err(busy())));
    }
}

fn busy() -> ChainError {
    ChainError::Unreachable("too many chain calls wait".to_owned())
}

/// Whether preparing failed for a reason that other deals or another time would not have met: the order stays as it is.
pub(super) fn passes_by_itself(error: &ChainError) -> bool {
    matches!(
        error,
        ChainError::Unreachable(_) | ChainError::Malformed(_) | ChainError::Later(_)
    )
}

/// A failed preparing or sending in the machine's words; `unsent` dissolves the order.
pub(super) fn failure(deal: &Deal, error: &ChainError, unsent: bool) -> Event {
    let reason = format!("recoverable error to publish deal {}: {error}", deal.uuid);
    let class = match error {
        ChainError::Refused { .. } | ChainError::WouldFail(_) | ChainError::TooMuch(_) => {
            Class::Manual
        }
        _ => Class::Auto,
    };
    Event::PublishFailed {
        setback: Setback::new(class, reason),
        unsent,
    }
}

/// A deal that cannot be published as it is.
pub(super) fn rejected(deal: Uuid, class: Class, why: &str) -> Setback {
    Setback::new(
        class,
        format!("recoverable error to publish deal {deal}: publish validation failed: {why}"),
    )
}

/// Those of an order's deals that wait for its message, in the order in which they come: that of their UUIDs, so that a
/// repeated message has the same bytes.
pub(super) fn members<'a>(of_order: impl Iterator<Item = &'a Deal>) -> Vec<&'a Deal> {
    of_order
        .filter(|deal| deal.checkpoint == Checkpoint::Transferred)
        .collect()
}
