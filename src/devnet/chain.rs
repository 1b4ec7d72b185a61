//! The chain: tipsets, the state before each, messages on their way and their receipts. Pure; time comes as calls of
//! [`Chain::tick`].
//!
//! A message that waits when a tipset is made goes into that tipset and is carried out when the next one is made: that
//! next tipset is its execution tipset, the first one whose state shows the effects (spec chain-sealer-rpc A.6).

use super::activation::{self, Activated};
use super::actors::{self, Receipt};
use super::mempool::{Pool, PoolError};
use super::state::State;
use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{ChainEpoch, cids};
use cid::Cid;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Tipsets that can be asked for.
const KEPT_TIPSETS: usize = 20_000;

/// Different states that can be asked for; each may take megabytes when there are many deals.
const KEPT_STATES: usize = 64;

/// Messages that are remembered; the chain lives in memory and refuses more.
const MAX_MESSAGES: usize = 200_000;

/// How far deal numbers jump in a re-organisation: as if others had published first on the other branch.
const DEAL_SHIFT: u64 = 1000;

/// What a tipset holds.
#[derive(Debug, Clone)]
pub enum Op {
    /// A message.
    Message(Box<SignedMessage>),
    /// A miner has proven a sector with these deals.
    Activate {
        /// The miner's number.
        miner: u64,
        /// The sector's number.
        sector: u64,
        /// Deal numbers and pieces.
        deals: Vec<(u64, Cid)>,
    },
}

/// One height of the chain.
#[derive(Debug, Clone)]
pub struct Tipset {
    /// Its epoch.
    pub height: ChainEpoch,
    /// Its blocks; the order matters.
    pub cids: Vec<Cid>,
    /// What it holds, not yet carried out in its own state.
    pub ops: Vec<Op>,
    /// The state before its messages; none once forgotten.
    pub state: Option<Arc<State>>,
}

/// Where a message was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The message that was carried out.
    pub message: Cid,
    /// How it ended.
    pub receipt: Receipt,
    /// The execution tipset.
    pub tipset: Vec<Cid>,
    /// Its height.
    pub height: ChainEpoch,
}

/// Why a message's fate cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchError {
    /// The node has never stored it.
    Unknown,
    /// Its nonce was used by something else.
    OtherCall(Cid),
}

/// The settings that the chain's numbers depend on.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Makes one chain's CIDs differ from another's.
    pub seed: [u8; 32],
    /// Seconds since 1970 of height 0.
    pub genesis_time: u64,
    /// Seconds per epoch, as the timestamps tell it.
    pub block_delay: u64,
    /// Epochs until a tipset counts as final.
    pub finality: ChainEpoch,
}

/// The chain and the messages on their way into it.
pub struct Chain {
    /// The settings.
    pub rules: Rules,
    /// Waiting messages.
    pub pool: Pool,
    past: VecDeque<Tipset>,
    head: Tipset,
    /// The state that the head starts from, always at hand.
    state: Arc<State>,
    /// Heights whose state differs from the one before, oldest first.
    changes: VecDeque<ChainEpoch>,
    messages: BTreeMap<Cid, SignedMessage>,
    /// Signed messages by the CID of what was signed.
    unsigned: BTreeMap<Cid, Cid>,
    lookups: BTreeMap<Cid, Lookup>,
    /// What was carried out under a sender and nonce.
    by_nonce: BTreeMap<(Vec<u8>, u64), Cid>,
    /// Activations for the next tipset.
    queued: Vec<Op>,
    /// How activations ended, by miner and sector.
    activations: BTreeMap<(u64, u64), Activated>,
    branch: u64,
    shift: u64,
}

impl Chain {
    /// A chain whose head has this height and state.
    pub fn new(rules: Rules, height: ChainEpoch, state: State) -> Self {
        let state = Arc::new(state);
        let mut head = Tipset {
            height,
            cids: Vec::new(),
            ops: Vec::new(),
            state: Some(Arc::clone(&state)),
        };
        head.cids = block_cids(&rules.seed, 0, height, &[]);
        Self {
            rules,
            pool: Pool::default(),
            past: VecDeque::new(),
            head,
            state,
            changes: VecDeque::from([height]),
            messages: BTreeMap::new(),
            unsigned: BTreeMap::new(),
            lookups: BTreeMap::new(),
            by_nonce: BTreeMap::new(),
            queued: Vec::new(),
            activations: BTreeMap::new(),
            branch: 0,
            shift: 0,
        }
    }

    /// The newest tipset.
    pub fn head(&self) -> &Tipset {
        &self.head
    }

    /// The head's height.
    pub fn epoch(&self) -> ChainEpoch {
        self.head.height
    }

    /// The state that questions without a tipset are about.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Changes the head's state from outside of any message: set-up and scripted trouble.
    pub fn change(&mut self, change: impl FnOnce(&mut State)) {
        change(Arc::make_mut(&mut self.state));
        self.head.state = Some(Arc::clone(&self.state));
    }

    /// Seconds since 1970 that blocks of this height carry.
    pub fn timestamp(&self, height: ChainEpoch) -> u64 {
        let height = u64::try_from(height).unwrap_or(0);
        let since = height.saturating_mul(self.rules.block_delay);
        self.rules.genesis_time.saturating_add(since)
    }

    /// The tipset with exactly these blocks.
    pub fn tipset(&self, key: &[Cid]) -> Option<&Tipset> {
        if self.head.cids == key {
            return Some(&self.head);
        }
        self.past.iter().rev().find(|tipset| tipset.cids == key)
    }

    /// The tipset of this height, or the oldest that is remembered.
    pub fn at(&self, height: ChainEpoch) -> &Tipset {
        if height >= self.head.height {
            return &self.head;
        }
        let older = self.past.iter().rev();
        let mut older = older.filter(|tipset| tipset.height <= height);
        let found = older.next().or_else(|| self.past.front());
        found.unwrap_or(&self.head)
    }

    /// The newest final tipset.
    pub fn finalized(&self) -> &Tipset {
        self.at(self.head.height.saturating_sub(self.rules.finality))
    }

    /// The state after the head's messages, from which the next tipset starts.
    pub fn next_state(&self) -> Arc<State> {
        let mut state = Arc::clone(&self.state);
        for op in &self.head.ops {
            if let Op::Message(signed) = op {
                let state = Arc::make_mut(&mut state);
                actors::apply(state, self.head.height, &signed.message);
            }
        }
        state
    }

    /// Takes a signed message into the pool and gives its CID.
    ///
    /// # Errors
    /// See [`PoolError`].
    pub fn push(&mut self, signed: SignedMessage) -> Result<Cid, PoolError> {
        if self.messages.len() >= MAX_MESSAGES {
            return Err(PoolError::TooMany);
        }
        let state = self.next_state();
        let cid = signed.cid();
        self.pool.add(&state, signed.clone())?;
        self.unsigned.insert(signed.message.cid(), cid);
        self.messages.insert(cid, signed);
        Ok(cid)
    }

    /// A message that the node has stored, by its own CID or that of what was signed.
    pub fn message(&self, cid: &Cid) -> Option<(Cid, &SignedMessage)> {
        if let Some(signed) = self.messages.get(cid) {
            return Some((*cid, signed));
        }
        let real = self.unsigned.get(cid)?;
        Some((*real, self.messages.get(real)?))
    }

    /// Forgets the messages that wait, as if they had never been pushed.
    pub fn forget_waiting(&mut self) {
        let waiting: Vec<SignedMessage> = self.pool.take_all();
        for signed in waiting {
            self.messages.remove(&signed.cid());
            self.unsigned.remove(&signed.message.cid());
        }
    }

    /// Every message that was ever pushed, in no special order.
    pub fn messages(&self) -> impl Iterator<Item = &SignedMessage> {
        self.messages.values()
    }

    /// Hands a sector's activation to the next tipset.
    pub fn queue_activation(&mut self, miner: u64, sector: u64, deals: Vec<(u64, Cid)>) {
        self.activations.remove(&(miner, sector));
        self.queued.push(Op::Activate {
            miner,
            sector,
            deals,
        });
    }

    /// How a sector's activation ended, per deal; none while it is on its way.
    pub fn activation(
        &self,
        miner: u64,
        sector: u64,
    ) -> Option<&[(u64, Result<(), &'static str>)]> {
        self.activations.get(&(miner, sector)).map(Vec::as_slice)
    }

    /// Makes the next tipset: carries the head's operations out and takes waiting messages in.
    pub fn tick(&mut self) {
        self.tick_after(0);
    }

    /// The same behind so many heights without a tipset (null rounds).
    pub fn tick_after(&mut self, null_rounds: u32) {
        let epoch = self.head.height;
        let height = epoch
            .saturating_add(1)
            .saturating_add(ChainEpoch::from(null_rounds));
        let cids = block_cids(&self.rules.seed, self.branch, height, &self.head.cids);
        let before = Arc::clone(&self.state);
        if self.shift > 0 {
            let market = &mut Arc::make_mut(&mut self.state).market;
            market.next_deal = market.next_deal.saturating_add(self.shift);
            self.shift = 0;
        }
        let ops = self.head.ops.clone();
        for op in ops {
            self.carry_out(epoch, op, height, &cids);
        }
        if self.state.market.anything_due(epoch) {
            let state = Arc::make_mut(&mut self.state);
            let burnt = state.market.expire(epoch);
            let burnt = super::state::minus(&crate::filecoin::TokenAmount::zero(), &burnt);
            state.credit(super::state::MARKET, &burnt);
        }
        if !Arc::ptr_eq(&before, &self.state) {
            self.changes.push_back(height);
        }
        let mut ops: Vec<Op> = self.queued.drain(..).collect();
        let messages = self.pool.select(&self.state).into_iter();
        ops.extend(messages.map(|signed| Op::Message(Box::new(signed))));
        let next = Tipset {
            height,
            cids,
            ops,
            state: Some(Arc::clone(&self.state)),
        };
        let old = std::mem::replace(&mut self.head, next);
        self.past.push_back(old);
        self.forget();
    }

    fn carry_out(&mut self, epoch: ChainEpoch, op: Op, height: ChainEpoch, cids: &[Cid]) {
        let state = Arc::make_mut(&mut self.state);
        match op {
            Op::Message(signed) => {
                let receipt = actors::apply(state, epoch, &signed.message);
                let message = signed.cid();
                let sender = sender_key(state, &signed.message);
                self.by_nonce
                    .insert((sender, signed.message.nonce), message);
                let lookup = Lookup {
                    message,
                    receipt,
                    tipset: cids.to_vec(),
                    height,
                };
                self.lookups.insert(message, lookup);
            }
            Op::Activate {
                miner,
                sector,
                deals,
            } => {
                let results = activation::activate(state, epoch, miner, sector, &deals);
                self.activations.insert((miner, sector), results);
            }
        }
    }

    /// Drops what is too old to be asked for.
    fn forget(&mut self) {
        if self.past.len() > KEPT_TIPSETS {
            self.past.pop_front();
        }
        if self.changes.len() > KEPT_STATES {
            self.changes.pop_front();
            let oldest = self.changes.front().copied().unwrap_or(self.head.height);
            // Older ones have been through this before: stop at the first that has.
            let older = self.past.iter_mut().rev();
            for tipset in older.filter(|tipset| tipset.height < oldest) {
                if tipset.state.take().is_none() {
                    break;
                }
            }
        }
    }

    /// What became of a message, as seen from a tipset of height `from` (spec B.11): none while it has not been
    /// carried out within the look-back.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn search(
        &self,
        from: ChainEpoch,
        cid: &Cid,
        lookback: i64,
        allow_replaced: bool,
    ) -> Result<Option<&Lookup>, SearchError> {
        let (cid, signed) = self.message(cid).ok_or(SearchError::Unknown)?;
        let visible = |lookup: &&Lookup| {
            let depth = from.saturating_sub(lookup.height);
            depth >= 0 && (lookback < 0 || depth < lookback)
        };
        if let Some(lookup) = self.lookups.get(&cid) {
            return Ok(Some(lookup).filter(visible));
        }
        let key = (
            sender_key(&self.state, &signed.message),
            signed.message.nonce,
        );
        let Some(other) = self.by_nonce.get(&key) else {
            return Ok(None);
        };
        let Some(lookup) = self.lookups.get(other).filter(visible) else {
            return Ok(None);
        };
        let same = self
            .messages
            .get(other)
            .is_some_and(|other| same_call(&other.message, &signed.message));
        match (same, allow_replaced) {
            (true, true) => Ok(Some(lookup)),
            (_, false) => Ok(None),
            (false, true) => Err(SearchError::OtherCall(*other)),
        }
    }

    /// Replaces the last `depth` tipsets by as many others: their messages wait again, are mined again, and deals get
    /// other numbers.
    pub fn reorganise(&mut self, depth: usize) {
        let mut undone = Vec::new();
        let mut made = 0;
        while made < depth {
            let Some(previous) = self.past.pop_back() else {
                break;
            };
            let Some(state) = previous.state.clone() else {
                self.past.push_back(previous);
                break;
            };
            let removed = std::mem::replace(&mut self.head, previous);
            self.state = state;
            undone.push(removed.ops);
            made = made.saturating_add(1);
        }
        let height = self.head.height;
        self.changes.retain(|change| *change <= height);
        self.lookups.retain(|_, lookup| lookup.height <= height);
        let lookups = &self.lookups;
        self.by_nonce.retain(|_, cid| lookups.contains_key(cid));
        for op in undone.into_iter().rev().flatten() {
            match op {
                Op::Message(signed) => self.pool.put_back(&self.state, *signed),
                activation @ Op::Activate { .. } => self.queued.push(activation),
            }
        }
        self.branch = self.branch.saturating_add(1);
        self.shift = DEAL_SHIFT;
        for _ in 0..made {
            self.tick();
        }
    }
}

/// The key of a message's sender, or the address as it is.
fn sender_key(state: &State, message: &Message) -> Vec<u8> {
    let key = state
        .actor(&message.from)
        .and_then(|actor| actor.robust.as_ref());
    key.unwrap_or(&message.from).as_bytes().to_vec()
}

/// Whether two messages differ in nothing but gas.
fn same_call(a: &Message, b: &Message) -> bool {
    a.to == b.to
        && a.from == b.from
        && a.nonce == b.nonce
        && a.value == b.value
        && a.method == b.method
        && a.params == b.params
}

/// The CIDs of a tipset's blocks: one to three of them, from what makes the tipset different from others.
fn block_cids(seed: &[u8; 32], branch: u64, height: ChainEpoch, parents: &[Cid]) -> Vec<Cid> {
    let mut content = seed.to_vec();
    content.extend_from_slice(&branch.to_be_bytes());
    content.extend_from_slice(&height.to_be_bytes());
    for parent in parents {
        content.extend_from_slice(&parent.to_bytes());
    }
    let blocks = cids::blake2b_256(&content)
        .first()
        .map_or(1, |byte| byte % 3);
    let numbered = (0..=blocks).map(|number| {
        let mut content = content.clone();
        content.push(number);
        cids::chain_cid(&content)
    });
    numbered.collect()
}
