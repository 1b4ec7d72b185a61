//! A chain in memory that enforces what the chain enforces, loses answers, re-organises itself and forgets messages.

use super::goods::{COLLATERAL_MIN, HEAD, atto, client_id, identity};
use super::kinds::Kind;
use super::sched::{Dead, Sched};
use super::tasks::lock;
use cid::Cid;
use coracle::chain::{
    Chain, ChainError, CollateralBounds, DealState, Fate, Head, Order, Outcome, Prepared,
    ProviderContact, ProviderFacts, Purse,
};
use coracle::deal::Millis;
use coracle::filecoin::message as chain_message;
use coracle::filecoin::{
    Address, ClientDealProposal, DealProposal, SecretKey, Signature, TokenAmount, cids,
    market_actor,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

mod epochs;
mod pool;
mod replaced;

type Answer<T> = Result<T, ChainError>;

/// Milliseconds of an epoch.
pub const EPOCH: Millis = 30_000;

/// Epochs below the head from which on nothing is undone here: what the provider is told to wait for.
pub const CONFIDENCE: i64 = 6;

#[derive(Debug, Clone)]
struct Execution {
    epoch: i64,
    exit_code: i64,
    /// One for each deal of the message; none if the actor dropped it.
    ids: Vec<Option<u64>>,
}

#[derive(Debug, Clone)]
struct Message {
    order: Uuid,
    deals: Vec<ClientDealProposal>,
    cid: Cid,
    /// Those that were put in its place with a higher fee.
    replacements: Vec<Cid>,
    /// The CID under which it is executed: a replacement has another.
    executed_as: Cid,
    execution: Option<Execution>,
    /// When it is taken out of the pool; none for never.
    due: Option<i64>,
    forgotten_until: i64,
    /// Signed before it was sent: no node can make it anew, and its nonce is one of many.
    signed: bool,
    /// No node has it any more, until it is sent again.
    lost: bool,
    /// When another message used its nonce.
    taken: Option<i64>,
}

#[derive(Debug)]
struct State {
    seen: i64,
    messages: Vec<Message>,
    next_id: u64,
    away_until: Millis,
    escrow: u64,
    balance: u64,
    /// Sector and epoch of deals that are active.
    active: BTreeMap<u64, (u64, i64)>,
    /// Messages that were made, and whether they are signed before they are sent.
    prepared: u64,
    signs_first: bool,
}

/// Outlives the processes. Cloning shares it.
#[derive(Clone)]
pub struct MemoryChain {
    state: Arc<Mutex<State>>,
    sched: Arc<Sched>,
}

fn gone(_: Dead) -> ChainError {
    unreachable("the process is gone")
}

fn unreachable(text: &str) -> ChainError {
    ChainError::Unreachable(text.to_owned())
}

impl MemoryChain {
    /// A chain without deals, with so much escrow and balance for each provider.
    pub fn new(sched: &Arc<Sched>, escrow: u64, balance: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                seen: HEAD,
                messages: Vec::new(),
                next_id: 500,
                away_until: 0,
                escrow,
                balance,
                active: BTreeMap::new(),
                prepared: 0,
                signs_first: sched.chance(300),
            })),
            sched: Arc::clone(sched),
        }
    }

    /// The height by the true time.
    pub fn height(&self) -> i64 {
        let epochs = (self.sched.now() - super::BEGIN) / EPOCH;
        HEAD + i64::try_from(epochs).expect("few")
    }

    /// Sets what the provider's escrow has and what its wallet holds.
    pub fn set_funds(&self, escrow: u64, balance: u64) {
        let mut state = lock(&self.state);
        (state.escrow, state.balance) = (escrow, balance);
    }

    /// A deal's sector was proven.
    pub fn activate(&self, deal: u64, sector: u64) {
        let epoch = self.height();
        lock(&self.state).active.insert(deal, (sector, epoch));
    }

    /// Whether the message of a deal will never be executed.
    pub fn never_executes(&self, published: Cid) -> bool {
        let state = lock(&self.state);
        let message = state.messages.iter().find(|known| known.is(&published));
        message.is_none_or(|message| {
            message.execution.is_none() && message.due.is_none() && message.stays()
        })
    }

    /// Messages that took this deal to the chain.
    pub fn publications(&self, identity_of: &Cid) -> usize {
        self.catch_up();
        let state = lock(&self.state);
        let took = |message: &&Message| {
            position(message, identity_of).is_some_and(|at| {
                let execution = message.execution.as_ref();
                execution.is_some_and(|execution| execution.ids[at].is_some())
            })
        };
        state.messages.iter().filter(took).count()
    }

    /// A deal's ID, if it is on the chain.
    pub fn id_of(&self, identity_of: &Cid) -> Option<u64> {
        let state = lock(&self.state);
        let mut ids = state.messages.iter().rev().filter_map(|message| {
            let at = position(message, identity_of)?;
            message.execution.as_ref()?.ids[at]
        });
        ids.next()
    }

    /// What the chain has locked of a provider's escrow.
    pub fn locked(&self, miner: &Address) -> TokenAmount {
        let state = lock(&self.state);
        let mut locked = atto(0);
        for message in &state.messages {
            let Some(execution) = &message.execution else {
                continue;
            };
            for (deal, id) in message.deals.iter().zip(&execution.ids) {
                if id.is_some() && deal.proposal.provider == *miner {
                    locked = &locked + &deal.proposal.provider_collateral;
                }
            }
        }
        locked
    }

    /// A question reaches the node, unless it does not.
    fn here(&self) -> Answer<()> {
        self.sched.outside().map_err(gone)?;
        if self.sched.fault(Kind::ChainAwayLong) {
            let time = self.sched.pick(&[60_000, 900_000, 10_000_000]);
            lock(&self.state).away_until = self.sched.now() + time;
        }
        if self.sched.fault(Kind::ChainLate) {
            let time = self.sched.pick(&[300, 2_500, 40_000]);
            self.sched.wait(time, || false).map_err(gone)?;
        }
        let away = lock(&self.state).away_until > self.sched.now() && !self.sched.calm();
        if away || self.sched.fault(Kind::ChainAway) {
            return Err(failure(self.sched.below(3)));
        }
        self.catch_up();
        Ok(())
    }

    /// The answer goes back, if the process is still there.
    fn back<T>(&self, value: T) -> Answer<T> {
        self.sched.outside().map_err(gone)?;
        Ok(value)
    }

    /// The message that this one is, if it was sent before: a wallet knows it by its order, everybody by its CID.
    fn known(&self, prepared: &Prepared) -> Option<Cid> {
        let state = lock(&self.state);
        let same = |known: &&Message| match prepared.cid() {
            Some(cid) => known.is(&cid),
            None => known.order == prepared.order,
        };
        let known = state.messages.iter().find(same)?;
        Some(prepared.cid().unwrap_or(known.cid))
    }

    fn take(&self, prepared: &Prepared) -> Answer<Cid> {
        if let Some(cid) = self.known(prepared) {
            return Ok(cid);
        }
        if let Some(cid) = self.take_replacement(prepared) {
            return Ok(cid);
        }
        let order = prepared.order;
        let deals = market_actor::decode_publish(&prepared.message().params);
        let deals = deals.map_err(|_| unreachable("not a publish message"))?;
        self.check_order(order, &deals);
        let by_wallet = || cids::chain_cid(order.as_bytes());
        let cid = prepared.cid().unwrap_or_else(by_wallet);
        let now = self.height();
        let slow = self.sched.fault(Kind::MessageSlow);
        let due = if self.sched.fault(Kind::MessageGone) {
            None
        } else if slow {
            Some(now + self.sched.pick(&[10, 100, 300]))
        } else {
            Some(now + 1)
        };
        let replaced = self.sched.chance(100);
        self.sched
            .note(|| format!("chain: order {order} with {} deals", deals.len()));
        lock(&self.state).messages.push(Message {
            order,
            deals,
            cid,
            replacements: Vec::new(),
            executed_as: if replaced {
                cids::chain_cid(&cid.to_bytes())
            } else {
                cid
            },
            execution: None,
            due,
            forgotten_until: 0,
            signed: prepared.cid().is_some(),
            lost: false,
            taken: None,
        });
        Ok(cid)
    }
}

/// The key that pays for messages.
fn worker() -> SecretKey {
    SecretKey::secp256k1(&[3; 32]).expect("a valid scalar")
}

fn publish_message(deals: &[ClientDealProposal], nonce: u64) -> chain_message::Message {
    chain_message::Message {
        version: 0,
        to: Address::market_actor(),
        from: worker().address(),
        nonce,
        value: atto(0),
        gas_limit: 1_000,
        gas_fee_cap: atto(20),
        gas_premium: atto(3),
        method: market_actor::PUBLISH_STORAGE_DEALS,
        params: market_actor::encode_publish(deals),
    }
}

/// A call that fails in one of several ways.
fn failure(number: u64) -> ChainError {
    match number {
        0 => unreachable("no connection"),
        1 => ChainError::Unauthorized,
        _ => ChainError::Malformed("half an answer".to_owned()),
    }
}

fn position(message: &Message, wanted: &Cid) -> Option<usize> {
    let mut deals = message.deals.iter();
    deals.position(|deal| identity(deal) == *wanted)
}

impl Chain for MemoryChain {
    fn head(&self) -> Answer<Head> {
        self.here()?;
        let lag = if self.sched.fault(Kind::ChainStale) {
            3
        } else {
            0
        };
        self.back(Head {
            epoch: self.height() - lag,
            timestamp: self.sched.now() / 1_000,
        })
    }

    fn finalized(&self) -> Answer<i64> {
        self.here()?;
        self.back(self.height() - CONFIDENCE)
    }

    fn network_version(&self) -> Answer<u64> {
        self.here().map(|()| 28)
    }

    fn provider_facts(&self, miner: &Address) -> Answer<ProviderFacts> {
        self.here()?;
        let facts = {
            let locked = self.locked(miner);
            let state = lock(&self.state);
            ProviderFacts {
                escrow_available: &atto(state.escrow) - &locked,
                escrow_locked: locked,
                publish_wallet: Address::id(3_000),
                publish_balance: atto(state.balance),
                worker: Address::id(3_000),
                sector_size: 32 << 30,
            }
        };
        self.back(facts)
    }

    fn collateral_bounds(&self, _: u64, _: bool) -> Answer<CollateralBounds> {
        self.here()?;
        self.back(CollateralBounds {
            min: atto(COLLATERAL_MIN),
            max: atto(COLLATERAL_MIN * 100),
        })
    }

    fn key_address(&self, client: &Address) -> Answer<Option<Address>> {
        self.here()?;
        self.back(Some(client.clone()))
    }

    fn id_address(&self, _: &Address) -> Answer<Address> {
        self.here()?;
        self.back(client_id())
    }

    fn client_available(&self, _: &Address) -> Answer<TokenAmount> {
        self.here()?;
        self.back(atto(1 << 60))
    }

    fn datacap(&self, _: &Address) -> Answer<Option<TokenAmount>> {
        self.here()?;
        self.back(None)
    }

    fn authenticate(&self, _: &Address, _: &Signature, _: &[u8]) -> Answer<bool> {
        self.here()?;
        self.back(false)
    }

    fn prepare(&self, order: &Order) -> Answer<Prepared> {
        self.here()?;
        let (nonce, signs_first) = {
            let mut state = lock(&self.state);
            state.prepared += 1;
            (state.prepared, state.signs_first)
        };
        let message = publish_message(order.deals(), nonce);
        self.back(if signs_first {
            Prepared::signed(order.id, message.sign(&worker()), self.height())
        } else {
            Prepared::by_wallet(order.id, "node:1234", message)
        })
    }

    fn send(&self, prepared: &Prepared) -> Answer<Cid> {
        self.here()?;
        if self.sched.fault(Kind::PublishForbidden) {
            return Err(ChainError::Forbidden("MpoolPushMessage".to_owned()));
        }
        // A message that the node has sent is answered with before anything can be refused.
        if self.known(prepared).is_none() && self.sched.fault(Kind::PublishRefused) {
            return Err(ChainError::Refused {
                code: 1,
                message: "MpoolPushMessage: not enough funds".to_owned(),
            });
        }
        self.hold(prepared)?;
        let cid = self.take(prepared)?;
        if self.sched.fault(Kind::PublishLost) {
            return Err(unreachable("no answer to MpoolPushMessage"));
        }
        self.back(cid)
    }

    fn replace(&self, prepared: &Prepared, sent: &Cid, _: &TokenAmount) -> Answer<Prepared> {
        self.replacement(prepared, sent)
    }

    fn dry_run(&self, _: &Address, deal: &ClientDealProposal) -> Answer<Option<String>> {
        self.here()?;
        if self.sched.fault(Kind::DryRunObjects) {
            return self.back(Some("non-zero exit code 16: no".to_owned()));
        }
        let late = self.height() > deal.proposal.start_epoch;
        self.back(late.then(|| "non-zero exit code 16: too late".to_owned()))
    }

    fn outcome(&self, asked: &Cid, proposals: &[DealProposal]) -> Answer<Outcome> {
        self.here()?;
        let lag = if self.sched.fault(Kind::ChainStale) {
            4
        } else {
            0
        };
        let height = self.height() - lag;
        let outcome = {
            let state = lock(&self.state);
            let known = |message: &&Message| message.is(asked);
            match state.messages.iter().find(known) {
                None => Outcome::Unknown,
                Some(message) if message.forgotten_until > height || !message.stays() => {
                    Outcome::Unknown
                }
                Some(message) => seen(message, height, proposals),
            }
        };
        self.back(outcome)
    }

    fn purse(&self, _: &Address) -> Answer<Purse> {
        Err(unreachable("nobody asks for the purse"))
    }

    fn fate(&self, _: &Cid) -> Answer<Fate> {
        Err(unreachable("no message moves money"))
    }

    fn fee(&self, _: &Cid) -> Answer<Option<TokenAmount>> {
        self.here()?;
        self.back(None)
    }

    fn deal_state(&self, deal_id: u64) -> Answer<Option<DealState>> {
        self.here()?;
        let found = {
            let state = lock(&self.state);
            let mut deals = state.messages.iter().filter_map(|message| {
                let execution = message.execution.as_ref()?;
                let at = execution.ids.iter().position(|id| *id == Some(deal_id))?;
                Some(message.deals[at].proposal.clone())
            });
            let (sector, epoch) = state.active.get(&deal_id).copied().unwrap_or((0, -1));
            deals.next().map(|proposal| DealState {
                proposal,
                sector_number: sector,
                sector_start_epoch: epoch,
                slash_epoch: -1,
            })
        };
        self.back(found)
    }

    fn allocation_expiry(&self, _: u64) -> Answer<Option<i64>> {
        self.here()?;
        self.back(Some(i64::MAX))
    }

    fn sign(&self, _: &Address, _: &[u8]) -> Answer<Option<Signature>> {
        self.here()?;
        self.back(None)
    }

    fn provider_contact(&self, _: &Address) -> Answer<ProviderContact> {
        Err(unreachable("not asked by a provider"))
    }
}

/// A message as it is seen from this height.
fn seen(message: &Message, height: i64, proposals: &[DealProposal]) -> Outcome {
    let Some(execution) = &message.execution else {
        return Outcome::Pending;
    };
    if execution.epoch > height {
        return Outcome::Pending;
    }
    let id = |asked: &DealProposal| {
        let at = message
            .deals
            .iter()
            .position(|deal| deal.proposal == *asked)?;
        execution.ids[at]
    };
    Outcome::Executed {
        message: message.executed_as,
        epoch: execution.epoch,
        depth: height - execution.epoch,
        exit_code: execution.exit_code,
        deals: proposals.iter().map(id).collect(),
    }
}
