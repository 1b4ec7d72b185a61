//! Moving money inside the run loop: from an order to the outcome of its message, what messages cost, and when money is short.

use super::Market;
use super::storing::Ticket;
use crate::chain::{ChainError, Fate, Prepared, Receipt};
use crate::deal::funds::{FundsOrder, Kind, PREPARE_WITHIN, Stage};
use crate::deal::money::{Money, Short};
use crate::deal::step;
use crate::filecoin::market_actor::decode_withdraw_return;
use crate::filecoin::{Address, TokenAmount};
use crate::market::facts::lock;
use crate::market::funding::{self, FundsView, FundsWish, Seen, Step};
use crate::market::{MinerSettings, publisher};
use crate::store::Write;
use cid::Cid;
use futures::channel::oneshot;
use std::collections::BTreeMap;
use uuid::Uuid;

impl Market {
    /// Takes an order of money; told once it is stored. The same order again gets what is recorded of it.
    pub(super) fn order_funds(
        &mut self,
        wish: &FundsWish,
        told: oneshot::Sender<Result<FundsOrder, String>>,
    ) {
        let answer = match self.funding.get(wish.id) {
            Some(known) if wish.is(known) => Ok(known.clone()),
            Some(known) => Err(format!(
                "order {} is another one: {} {} for {}; give the new one an ID of its own",
                known.id,
                known.kind.name(),
                known.amount.to_fil_text(),
                known.miner
            )),
            None => self.new_order(wish),
        };
        let order = match answer {
            Ok(order) => order,
            Err(why) => {
                log::warn!(
                    "funds {} of {}: refused: {why}",
                    wish.kind.name(),
                    wish.miner
                );
                let _ = told.send(Err(why));
                return;
            }
        };
        if self.funding.get(order.id).is_none() {
            log::info!(
                "funds order {}: {} {} for {}",
                order.id,
                order.kind.name(),
                order.amount.to_fil_text(),
                order.miner
            );
            let writes = self.funding.insert(order.clone());
            self.store_funds(order.id, writes);
        }
        // Commits become durable in the order of their asking, so an empty one is after all of them.
        let done = move |result: Result<(), crate::store::StoreError>| {
            let _ = told.send(result.map(|()| order).map_err(|error| error.to_string()));
        };
        self.parts.store.commit(Vec::new(), Box::new(done));
    }

    fn new_order(&self, wish: &FundsWish) -> Result<FundsOrder, String> {
        let miner = &wish.miner;
        let own = self.settings.miners.get(miner);
        let own = own.ok_or_else(|| format!("{miner} is not a miner of this provider"))?;
        if wish.id.is_nil() || wish.kind == Kind::Publish {
            return Err("that is no order of money".to_owned());
        }
        if let Some(open) = self.funding.open(miner) {
            return Err(format!(
                "order {} ({} {}) of {miner} is under way: one at a time; `coracle funds show {}` follows it",
                open.id,
                open.kind.name(),
                open.amount.to_fil_text(),
                open.id
            ));
        }
        let money = self.money(miner)?;
        let mut order = FundsOrder::new(wish.id, miner.clone(), wish.kind, self.now());
        order.from.clone_from(&wish.from);
        order.fee_max = own.terms.publish_fee_max.clone();
        order.amount = wish.amount.clone().unwrap_or_else(|| money.free());
        if order.amount.is_zero() || order.amount.is_negative() {
            return Err(match wish.amount {
                Some(_) => "the amount is zero".to_owned(),
                None => format!("nothing of the market escrow of {miner} is free"),
            });
        }
        let payer = self.publish_wallet(miner);
        match wish.kind {
            Kind::Withdraw => money.may_withdraw(&order.amount)?,
            // Another wallet is no concern of publish messages; whether it has as much is seen when the message is made.
            _ if wish.from.is_some() && wish.from != payer => {}
            _ => money.may_add(&order.amount, &order.fee_max)?,
        }
        Ok(order)
    }

    fn publish_wallet(&self, miner: &Address) -> Option<Address> {
        let snapshot = lock(&self.bench.snapshot);
        let view = snapshot.miners.get(miner)?;
        Some(view.facts.publish_wallet.clone())
    }

    /// A miner's money, as of the last look at the chain.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    pub(super) fn money(&self, miner: &Address) -> Result<Money, String> {
        let own = self.settings.miners.get(miner);
        let own = own.ok_or_else(|| format!("{miner} is not a miner of this provider"))?;
        let snapshot = lock(&self.bench.snapshot);
        let view = snapshot.fresh_miner(miner, self.now(), self.bench.poll_millis())?;
        let ledger = self.live.ledger(miner);
        let wallet = &view.facts.publish_wallet;
        let mut money = Money::of(
            view.facts.escrow_available.clone(),
            &view.facts.publish_balance - &self.funding.taking(wallet),
            &ledger,
            &own.terms,
        );
        money.leaving = self.funding.leaving(miner);
        let others = self.reserved_by_others(miner, &snapshot);
        money.fees_reserved = &money.fees_reserved + &others;
        Ok(money)
    }

    /// All that is known of each miner's money, once it is durable.
    pub(super) fn show_funds(&self, told: oneshot::Sender<BTreeMap<Address, FundsView>>) {
        let miners = self.settings.miners.keys();
        let views = miners.map(|miner| {
            let view = FundsView {
                ledger: self.live.ledger(miner),
                money: self.money(miner),
                fees: self.funding.fees(miner),
                orders: self.funding.of(miner),
            };
            (miner.clone(), view)
        });
        let views: BTreeMap<Address, FundsView> = views.collect();
        let done = move |_| {
            let _ = told.send(views);
        };
        self.parts.store.commit(Vec::new(), Box::new(done));
    }

    /// An order, with the depth of a message that is executed and not buried yet, once what is shown is durable.
    pub(super) fn show_order(
        &self,
        id: Uuid,
        told: oneshot::Sender<Option<(FundsOrder, Option<i64>)>>,
    ) {
        let found = self.funding.get(id).cloned();
        let found = found.map(|order| (order, self.funding.depth(id)));
        let done = move |_| {
            let _ = told.send(found);
        };
        self.parts.store.commit(Vec::new(), Box::new(done));
    }

    /// Stores an order's record; it goes on once that is durable.
    fn store_funds(&mut self, id: Uuid, writes: Vec<Write>) {
        self.funding.begin(id);
        let funds = vec![id];
        self.commit(
            writes,
            Ticket {
                funds,
                ..Ticket::default()
            },
        );
    }

    /// An order's record is durable.
    pub(super) fn funds_stored(&mut self, id: Uuid) {
        self.funding.ended(id);
        // A message that was sent is looked up at the chain's pace.
        if let Some(order) = self.funding.get(id)
            && order.stage == Stage::Ordered
        {
            self.drive_funds(id);
        }
    }

    /// Looks after the orders that are not done with.
    pub(super) fn look_at_funds(&mut self) {
        for id in self.funding.due() {
            self.drive_funds(id);
        }
    }

    /// Does for an order what is next, unless something is being done already.
    fn drive_funds(&mut self, id: Uuid) {
        let Some(order) = self.funding.get(id).cloned() else {
            return;
        };
        if !self.funding.begin(id) {
            return;
        }
        let (parts, threads, reports) = (&self.parts, &self.threads, &self.reports);
        match (order.stage, order.message, &order.prepared) {
            (Stage::Ordered, _, None) => {
                if self.now().saturating_sub(order.created) > PREPARE_WITHIN {
                    let why = format!(
                        "no message could be made within {} minutes, nothing was sent: {}",
                        PREPARE_WITHIN / 60_000,
                        order.reason
                    );
                    return self.fail_funds(id, &why);
                }
                funding::prepare(&order, parts, threads, reports);
            }
            (Stage::Ordered, _, Some(bytes)) => self.send_funds(id, bytes),
            (Stage::Sent | Stage::Executed, Some(message), _) => {
                let own = self.settings.miners.get(&order.miner);
                // Where deals wait for the chain's word, money waits for the rule that holds without it.
                let confidence =
                    own.map_or(0, |own| own.terms.confidence.unwrap_or(step::FINALITY));
                funding::follow(&order, message, confidence, parts, threads, reports);
            }
            _ => self.funding.ended(id),
        }
    }

    /// Sends the stored bytes; the order is busy.
    fn send_funds(&mut self, id: Uuid, bytes: &[u8]) {
        let Some(prepared) = Prepared::decode(bytes).filter(|found| found.order == id) else {
            self.funding.ended(id);
            log::error!("funds order {id}: its message cannot be read: use a newer release");
            return;
        };
        funding::send(id, prepared, &self.parts, &self.threads, &self.reports);
    }

    fn fail_funds(&mut self, id: Uuid, why: &str) {
        log::warn!("funds order {id}: failed: {why}");
        let writes = self.funding.change(id, |order| order.fail(why));
        self.store_funds(id, writes);
    }

    /// The chain's threads did something for an order.
    pub(super) fn funds_step(&mut self, id: Uuid, step: Step) {
        self.funding.ended(id);
        match step {
            Step::Prepared(Ok(prepared)) => {
                let (bytes, cid) = (prepared.encode(), prepared.cid());
                let sender = prepared.sender().clone();
                let made = |order: &mut FundsOrder| order.made(bytes, sender, cid);
                let writes = self.funding.change(id, made);
                self.store_funds(id, writes);
            }
            Step::Prepared(Err(error)) if publisher::passes_by_itself(&error) => {
                self.put_off(id, &error);
            }
            Step::Prepared(Err(error)) => {
                self.fail_funds(id, &format!("{error}; nothing was sent"));
            }
            Step::Sent(Ok(message)) => self.funds_sent(id, message),
            Step::Sent(Err(ChainError::Superseded(why))) => self.funds_superseded(id, &why),
            Step::Sent(Err(error)) => self.put_off(id, &error),
            Step::Seen(Ok(seen)) => self.funds_seen(id, seen),
            Step::Seen(Err(error)) => {
                // That the chain is away is said once for all.
                log::debug!("funds order {id}: its message cannot be looked up: {error}");
            }
        }
    }

    /// It did not work out this time; the next look at the chain tries again.
    fn put_off(&mut self, id: Uuid, error: &ChainError) {
        let why = error.to_string();
        if self.funding.get(id).is_none_or(|known| known.reason == why) {
            return;
        }
        log::warn!("funds order {id}: {why}; it is tried again");
        // In memory is enough: a restart tries at once.
        self.funding.change(id, |order| order.because(&why));
    }

    fn funds_sent(&mut self, id: Uuid, message: Cid) {
        if self.funding.is_anothers(&message, id) {
            let why = format!("{message} is the message of an earlier order");
            return self.funds_superseded(id, &why);
        }
        log::info!("funds order {id}: sent as {message}");
        let writes = self.funding.change(id, |order| order.sent(message));
        self.store_funds(id, writes);
    }

    /// The message will never be executed, which is final: another is made.
    fn funds_superseded(&mut self, id: Uuid, why: &str) {
        log::warn!("funds order {id}: {why}; another message is made");
        let writes = self.funding.change(id, |order| order.superseded(why));
        self.store_funds(id, writes);
    }

    fn funds_seen(&mut self, id: Uuid, seen: Seen) {
        match seen {
            Seen::Fate(Fate::Pending) => self.funding.buried(id, None),
            Seen::Fate(Fate::Executed(receipt)) => self.funding.buried(id, Some(receipt.depth)),
            Seen::Fate(Fate::Unknown) => {
                // A node has lost it, or another message may have taken its nonce: sending it again tells.
                self.funding.buried(id, None);
                let bytes = self
                    .funding
                    .get(id)
                    .and_then(|order| order.prepared.clone());
                if let Some(bytes) = bytes
                    && self.funding.begin(id)
                {
                    self.send_funds(id, &bytes);
                }
            }
            Seen::Settled(Fate::Executed(receipt), fee) => self.funds_executed(id, &receipt, fee),
            Seen::Settled(..) => {}
            Seen::Fee(Some(fee)) => self.price(id, Some(fee)),
            Seen::Fee(None) => self.unpriced(id),
        }
    }

    fn funds_executed(&mut self, id: Uuid, receipt: &Receipt, fee: Option<TokenAmount>) {
        self.funding.buried(id, None);
        if self.funding.is_anothers(&receipt.message, id) {
            let why = format!("{} is the message of an earlier order", receipt.message);
            return self.funds_superseded(id, &why);
        }
        let Some(order) = self.funding.get(id) else {
            return;
        };
        let withdrawn = order.kind == Kind::Withdraw && receipt.exit_code == 0;
        let paid = withdrawn.then(|| decode_withdraw_return(&receipt.returned).ok());
        let paid = paid.flatten();
        log::info!(
            "funds order {id}: {} executed with exit code {}{}",
            receipt.message,
            receipt.exit_code,
            paid.as_ref().map_or_else(String::new, |paid| format!(
                ", paid out {}",
                paid.to_fil_text()
            ))
        );
        let executed =
            |order: &mut FundsOrder| order.executed(receipt.message, receipt.exit_code, paid);
        let mut writes = self.funding.change(id, executed);
        if fee.is_some() {
            writes.extend(self.funding.priced(id, fee));
        }
        self.store_funds(id, writes);
    }

    fn price(&mut self, id: Uuid, fee: Option<TokenAmount>) {
        let writes = self.funding.priced(id, fee);
        if !writes.is_empty() {
            self.store_funds(id, writes);
        }
    }

    /// Nobody told a message's fee; after many looks it counts as untold.
    fn unpriced(&mut self, id: Uuid) {
        let executed = self
            .funding
            .get(id)
            .is_some_and(|order| order.stage == Stage::Executed);
        if executed && !self.funding.looked(id) {
            log::warn!("the fee of order {id} cannot be told: the sums lack it");
            self.price(id, None);
        }
    }

    /// A publish order's message was executed and is buried: its fee is to be counted, once.
    pub(super) fn count_publish(&mut self, order: Uuid, miner: &Address, message: Cid, exit: i64) {
        if self.funding.get(order).is_some() {
            return;
        }
        let mut counted = FundsOrder::new(order, miner.clone(), Kind::Publish, self.now());
        counted.executed(message, exit, None);
        let writes = self.funding.insert(counted);
        self.store_funds(order, writes);
    }

    /// Warns of money that is short, once until it no longer is.
    pub(super) fn warn_of_shortage(&mut self) {
        let miners: Vec<Address> = self.settings.miners.keys().cloned().collect();
        for miner in miners {
            let Some(own) = self.settings.miners.get(&miner) else {
                continue;
            };
            // Not known at present: nothing has changed as far as is known.
            let Ok(money) = self.money(&miner) else {
                continue;
            };
            let short = money.short(&own.terms);
            for of_escrow in [true, false] {
                let now_short = short
                    .iter()
                    .find(|short| matches!(short, Short::Escrow(_)) == of_escrow);
                let key = (miner.clone(), of_escrow);
                match now_short {
                    Some(short) if !self.funding.warned.contains(&key) => {
                        log::warn!("{}", shortage(&miner, short, own));
                        self.funding.warned.insert(key);
                    }
                    None if self.funding.warned.remove(&key) => {
                        let what = if of_escrow {
                            "free market escrow"
                        } else {
                            "publish wallet"
                        };
                        log::info!("{miner}: the {what} is enough again");
                    }
                    _ => {}
                }
            }
        }
    }
}

/// What the operator should know and do.
fn shortage(miner: &Address, short: &Short, own: &MinerSettings) -> String {
    match short {
        Short::Escrow(free) => format!(
            "{miner}: only {} of the market escrow are free, CORACLE_ESCROW_LOW is {}: deals with more collateral are \
             refused; add funds with `coracle funds add AMOUNT --miner {miner}`",
            free.to_fil_text(),
            own.terms.escrow_low.to_fil_text()
        ),
        Short::Wallet(has, needed) => format!(
            "{miner}: the publish wallet has {}, publish messages of live deals and a few more may cost {}: send money to \
             it, or deals will be refused",
            has.to_fil_text(),
            needed.to_fil_text()
        ),
    }
}
