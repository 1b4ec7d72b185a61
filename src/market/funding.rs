//! Money that is moved by order: what is under way, and the chain's work for it.
//!
//! An order's message is made ready, stored in the order's record, and only then sent; the same bytes again after a crash or a
//! lost answer. A miner has one such order at a time: two alike could not be told apart on chain by anything but their nonce.

use super::inputs::Report;
use super::{Parts, Threads};
use crate::chain::{Call, Chain, ChainError, Fate, Order, Prepared};
use crate::deal::funds::{Fees, FundsOrder, Kind, ORDERS_KEPT_MAX, PUBLISHES_KEPT_MAX, Stage};
use crate::deal::money::Money;
use crate::deal::{Ledger, Millis};
use crate::filecoin::{Address, ChainEpoch, TokenAmount};
use crate::store::Write;
use cid::Cid;
use smol::channel::Sender;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Fees that are looked up at the same time: there is no hurry, and the chain's threads have other work.
const FEES_ASKED_MAX: usize = 4;

/// Looks that find no fee before it counts as untold: a re-organisation is over by then. Looks without an answer are no looks.
const FEE_LOOKS_MAX: u32 = 20;

/// An order of money as it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FundsWish {
    /// Chosen by whoever orders: the same ID is the same order, however often it is given.
    pub id: Uuid,
    /// Whose escrow.
    pub miner: Address,
    /// [`Kind::Add`] or [`Kind::Withdraw`].
    pub kind: Kind,
    /// Who sends the message; none: whoever is fit.
    pub from: Option<Address>,
    /// attoFIL; none withdraws all that is free.
    pub amount: Option<TokenAmount>,
}

impl FundsWish {
    /// Whether a known order is this one.
    pub(super) fn is(&self, order: &FundsOrder) -> bool {
        let Self {
            id,
            miner,
            kind,
            from,
            amount,
        } = self;
        *id == order.id
            && *miner == order.miner
            && *kind == order.kind
            && *from == order.from
            && amount.as_ref().is_none_or(|amount| *amount == order.amount)
    }
}

/// A miner's money as the provider sees it.
#[derive(Debug, Clone)]
pub struct FundsView {
    /// What live deals hold.
    pub ledger: Ledger,
    /// What is free; or why that is not known at present.
    pub money: Result<Money, String>,
    /// What its messages have cost.
    pub fees: Fees,
    /// Its orders and the publish messages whose fees were counted last, newest first.
    pub orders: Vec<FundsOrder>,
}

/// What the chain's threads did for an order.
pub(super) enum Step {
    /// Its message was made ready, or not.
    Prepared(Result<Box<Prepared>, ChainError>),
    /// It was sent, or not.
    Sent(Result<Cid, ChainError>),
    /// It was looked up, with the fee if it is buried deep enough.
    Seen(Result<Seen, ChainError>),
}

/// What the chain shows of a message.
pub(super) enum Seen {
    /// Not executed, not buried, or unknown.
    Fate(Fate),
    /// Executed and buried; what it cost, or that nobody tells.
    Settled(Fate, Option<TokenAmount>),
    /// What a message cost whose outcome is known.
    Fee(Option<TokenAmount>),
}

/// The orders of money.
#[derive(Default)]
pub(super) struct Funding {
    orders: BTreeMap<Uuid, FundsOrder>,
    fees: BTreeMap<Address, Fees>,
    /// Being stored or worked for.
    busy: BTreeSet<Uuid>,
    /// How deep an executed message is buried, while that is not enough.
    depths: BTreeMap<Uuid, ChainEpoch>,
    /// Looks for fees that led to nothing.
    looks: BTreeMap<Uuid, u32>,
    /// What was warned of: a miner, and whether its escrow or its wallet.
    pub(super) warned: BTreeSet<(Address, bool)>,
}

impl Funding {
    /// With what is stored.
    pub(super) fn with(orders: Vec<FundsOrder>, fees: Vec<(Address, Fees)>) -> Self {
        Self {
            orders: orders.into_iter().map(|order| (order.id, order)).collect(),
            fees: fees.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(super) fn get(&self, id: Uuid) -> Option<&FundsOrder> {
        self.orders.get(&id)
    }

    /// The miner's order whose message may still be executed.
    pub(super) fn open(&self, miner: &Address) -> Option<&FundsOrder> {
        self.orders
            .values()
            .find(|order| order.miner == *miner && order.stage.is_open())
    }

    /// Takes an order in; what is to be stored.
    pub(super) fn insert(&mut self, order: FundsOrder) -> Vec<Write> {
        let (id, miner, kind) = (order.id, order.miner.clone(), order.kind);
        self.orders.insert(id, order);
        let mut writes = self.store(id);
        writes.extend(self.prune(&miner, kind == Kind::Publish));
        writes
    }

    /// Changes an order; what is to be stored.
    pub(super) fn change(&mut self, id: Uuid, change: impl FnOnce(&mut FundsOrder)) -> Vec<Write> {
        if let Some(order) = self.orders.get_mut(&id) {
            change(order);
        }
        self.store(id)
    }

    fn store(&mut self, id: Uuid) -> Vec<Write> {
        let order = self.orders.get(&id);
        let writes = order.map(|order| Write::Funds(Box::new(order.clone())));
        writes.into_iter().collect()
    }

    /// Counts an order's fee, or that it is not told; what is to be stored.
    pub(super) fn priced(&mut self, id: Uuid, fee: Option<TokenAmount>) -> Vec<Write> {
        self.looks.remove(&id);
        let Some(order) = self.orders.get_mut(&id) else {
            return Vec::new();
        };
        if order.stage != Stage::Executed {
            return Vec::new();
        }
        let fees = self.fees.entry(order.miner.clone()).or_default();
        fees.count(order.kind, fee.as_ref());
        order.priced(fee);
        vec![
            Write::Funds(Box::new(order.clone())),
            Write::Fees(order.miner.clone(), Box::new(fees.clone())),
        ]
    }

    /// A look for an order's fee led to nothing; whether there will be another.
    pub(super) fn looked(&mut self, id: Uuid) -> bool {
        let looks = self.looks.entry(id).or_default();
        *looks = looks.saturating_add(1);
        *looks < FEE_LOOKS_MAX
    }

    /// Lets the miner's oldest ended orders beyond the limit go, of publish messages or of the others.
    fn prune(&mut self, miner: &Address, publish: bool) -> Vec<Write> {
        let mut ended: Vec<(Millis, Uuid)> = self
            .orders
            .values()
            .filter(|order| order.miner == *miner && (order.kind == Kind::Publish) == publish)
            .filter(|order| matches!(order.stage, Stage::Done | Stage::Failed))
            .map(|order| (order.created, order.id))
            .collect();
        ended.sort_unstable();
        let kept = if publish {
            PUBLISHES_KEPT_MAX
        } else {
            ORDERS_KEPT_MAX
        };
        let gone = ended.len().saturating_sub(kept);
        let gone = ended.into_iter().take(gone);
        gone.map(|(_, id)| {
            self.orders.remove(&id);
            Write::DropFunds(id)
        })
        .collect()
    }

    /// Whether nothing was being done for the order; from now on something is.
    pub(super) fn begin(&mut self, id: Uuid) -> bool {
        self.busy.insert(id)
    }

    /// What was being done for the order has ended.
    pub(super) fn ended(&mut self, id: Uuid) {
        self.busy.remove(&id);
    }

    /// Orders to be looked after: all that are open, and some whose fee is not known.
    pub(super) fn due(&self) -> Vec<Uuid> {
        let idle = || {
            self.orders
                .values()
                .filter(|order| !self.busy.contains(&order.id))
        };
        let open = idle().filter(|order| order.stage.is_open());
        let unpriced = idle().filter(|order| order.stage == Stage::Executed);
        let due = open.chain(unpriced.take(FEES_ASKED_MAX));
        due.map(|order| order.id).collect()
    }

    /// Notes how deep an executed message is buried.
    pub(super) fn buried(&mut self, id: Uuid, depth: Option<ChainEpoch>) {
        match depth {
            Some(depth) => self.depths.insert(id, depth),
            None => self.depths.remove(&id),
        };
    }

    /// How deep an order's executed message is buried, while that is not enough.
    pub(super) fn depth(&self, id: Uuid) -> Option<ChainEpoch> {
        self.depths.get(&id).copied()
    }

    /// Whether another order has this message.
    pub(super) fn is_anothers(&self, message: &Cid, id: Uuid) -> bool {
        self.orders
            .values()
            .any(|order| order.id != id && order.message.as_ref() == Some(message))
    }

    /// What orders under way take out of the miner's escrow.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    pub(super) fn leaving(&self, miner: &Address) -> TokenAmount {
        let of_miner = self.orders.values().filter(|order| order.miner == *miner);
        of_miner.fold(TokenAmount::zero(), |sum, order| {
            &sum + &order.holds_of_escrow()
        })
    }

    /// What orders under way take out of a wallet.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    pub(super) fn taking(&self, wallet: &Address) -> TokenAmount {
        self.orders
            .values()
            .fold(TokenAmount::zero(), |sum, order| {
                &sum + &order.holds_of_wallet(wallet)
            })
    }

    /// What a miner's messages have cost.
    pub(super) fn fees(&self, miner: &Address) -> Fees {
        self.fees.get(miner).cloned().unwrap_or_default()
    }

    /// A miner's orders, newest first.
    pub(super) fn of(&self, miner: &Address) -> Vec<FundsOrder> {
        let of_miner = self.orders.values().filter(|order| order.miner == *miner);
        let mut orders: Vec<FundsOrder> = of_miner.cloned().collect();
        orders.sort_by_key(|order| std::cmp::Reverse((order.created, order.id)));
        orders
    }
}

/// The chain's words for an order; none for a publish message, which is not made here.
fn call(order: &FundsOrder) -> Option<Call> {
    let (from, amount) = (order.from.clone(), order.amount.clone());
    match order.kind {
        Kind::Add => Some(Call::AddBalance { from, amount }),
        Kind::Withdraw => Some(Call::Withdraw { from, amount }),
        Kind::Publish => None,
    }
}

fn submit(
    id: Uuid,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
    work: impl FnOnce(&dyn Chain) -> Step + Send + 'static,
    refused: impl FnOnce(ChainError) -> Step,
) {
    let (chain, told) = (parts.chain.clone(), reports.clone());
    let submitted = threads.chain.submit(move || {
        let _ = told.try_send(Report::Funds(id, work(chain.as_ref())));
    });
    if submitted.is_err() {
        let full = ChainError::Unreachable("too many chain calls wait".to_owned());
        let _ = reports.try_send(Report::Funds(id, refused(full)));
    }
}

/// Makes an order's message ready on a chain thread.
pub(super) fn prepare(
    order: &FundsOrder,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let Some(call) = call(order) else { return };
    let wanted = Order {
        id: order.id,
        miner: order.miner.clone(),
        fee_max: order.fee_max.clone(),
        call,
    };
    let work = move |chain: &dyn Chain| Step::Prepared(chain.prepare(&wanted).map(Box::new));
    let refused = |error| Step::Prepared(Err(error));
    submit(order.id, parts, threads, reports, work, refused);
}

/// Sends an order's stored message on a chain thread.
pub(super) fn send(
    id: Uuid,
    prepared: Prepared,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let work = move |chain: &dyn Chain| Step::Sent(chain.send(&prepared));
    submit(id, parts, threads, reports, work, |error| {
        Step::Sent(Err(error))
    });
}

/// Looks an order's message up on a chain thread, and its fee once it is buried.
pub(super) fn follow(
    order: &FundsOrder,
    message: Cid,
    confidence: ChainEpoch,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let executed = order.stage == Stage::Executed;
    let work = move |chain: &dyn Chain| Step::Seen(see(chain, &message, executed, confidence));
    submit(order.id, parts, threads, reports, work, |error| {
        Step::Seen(Err(error))
    });
}

fn see(
    chain: &dyn Chain,
    message: &Cid,
    executed: bool,
    confidence: ChainEpoch,
) -> Result<Seen, ChainError> {
    if executed {
        return fee(chain, message).map(Seen::Fee);
    }
    let fate = chain.fate(message)?;
    let buried = match &fate {
        Fate::Executed(receipt) if receipt.depth >= confidence => receipt.message,
        _ => return Ok(Seen::Fate(fate)),
    };
    // The outcome counts even if the fee is not to be had now: it is asked for again.
    Ok(match fee(chain, &buried) {
        Ok(Some(fee)) => Seen::Settled(fate, Some(fee)),
        Ok(None) | Err(_) => Seen::Settled(fate, None),
    })
}

/// What a message cost; none if the node says that it cannot tell.
fn fee(chain: &dyn Chain, message: &Cid) -> Result<Option<TokenAmount>, ChainError> {
    match chain.fee(message) {
        // A gateway does not go back that far; an older node has not all the fields.
        Err(ChainError::Refused { .. } | ChainError::Malformed(_)) => Ok(None),
        other => other,
    }
}
