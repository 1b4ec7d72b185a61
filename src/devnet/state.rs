//! The chain's state as one value: who exists, what they own, what the market has. Cloned when a tipset changes it, so
//! that a question about an older tipset gets that tipset's answer (spec chain-sealer-rpc A.6).

use super::market::Market;
use crate::filecoin::address::Protocol;
use crate::filecoin::{Address, ChainEpoch, TokenAmount};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The storage market actor, f05.
pub const MARKET: u64 = 5;

/// The first actor number that a new account gets.
pub const FIRST_ACCOUNT: u64 = 2000;

/// Accounts that messages may create; the state lives in memory.
const MAX_ACTORS: usize = 100_000;

/// An exit code and its text: why a message failed (spec D.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Never 0.
    pub code: i64,
    /// For people.
    pub text: String,
}

/// Exit codes in use.
pub mod exit {
    /// The sender cannot pay the value.
    pub const INSUFFICIENT_FUNDS: i64 = 6;
    /// The gas limit is too small.
    pub const OUT_OF_GAS: i64 = 7;
    /// Illegal argument.
    pub const ILLEGAL_ARGUMENT: i64 = 16;
    /// Not found.
    pub const NOT_FOUND: i64 = 17;
    /// Forbidden.
    pub const FORBIDDEN: i64 = 18;
    /// Serialization.
    pub const SERIALIZATION: i64 = 21;
    /// The actor has no such method.
    pub const UNHANDLED: i64 = 22;
    /// A contract reverted.
    pub const REVERTED: i64 = 33;
}

impl Exit {
    /// An exit with this code and text.
    pub fn new(code: i64, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

/// What an actor is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// An account behind an f1 or f3 key.
    Account,
    /// An account behind an Ethereum key: accepts any exported method with an empty return (spec C.6).
    EthAccount,
    /// A contract that authenticates what this key has signed.
    Contract {
        /// An f1 or f3 address.
        signer: Address,
    },
    /// A storage miner.
    Miner(Arc<Miner>),
    /// One of the chain's own actors.
    Builtin(&'static str),
}

impl Kind {
    /// The name that the actor's code goes by.
    pub fn code_name(&self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::EthAccount => "ethaccount",
            Self::Contract { .. } => "evm",
            Self::Miner(_) => "storageminer",
            Self::Builtin(name) => name,
        }
    }
}

/// One actor.
#[derive(Debug, Clone)]
pub struct Actor {
    /// What it is.
    pub kind: Kind,
    /// Its address besides the number: key, f2 or f410.
    pub robust: Option<Address>,
    /// attoFIL.
    pub balance: TokenAmount,
    /// The nonce of its next message on chain.
    pub nonce: u64,
}

/// A storage miner's entry on chain.
#[derive(Debug, Clone)]
pub struct Miner {
    /// Gets what is withdrawn.
    pub owner: u64,
    /// Signs for the miner.
    pub worker: u64,
    /// Further senders.
    pub control: Vec<u64>,
    /// The binary peer ID; empty if not set.
    pub peer_id: Vec<u8>,
    /// Binary multiaddrs.
    pub multiaddrs: Vec<Vec<u8>>,
    /// Bytes of a sector.
    pub sector_size: u64,
    /// Committed sectors.
    pub sectors: BTreeMap<u64, CommittedSector>,
}

impl Miner {
    /// Whether this actor may send messages for the miner.
    pub fn may_send(&self, actor: u64) -> bool {
        self.owner == actor || self.worker == actor || self.control.contains(&actor)
    }
}

/// A sector on chain.
#[derive(Debug, Clone)]
pub struct CommittedSector {
    /// When it became active.
    pub activation: ChainEpoch,
    /// When it ends.
    pub expiration: ChainEpoch,
    /// Padded bytes × epochs of unverified deals in it.
    pub deal_weight: u128,
    /// The same of verified deals.
    pub verified_weight: u128,
}

/// Everything that messages can change.
#[derive(Debug, Clone)]
pub struct State {
    /// By actor number.
    pub actors: BTreeMap<u64, Actor>,
    /// Numbers behind key, f2 and f410 addresses.
    pub numbers: BTreeMap<Vec<u8>, u64>,
    /// The number of the next account.
    pub next_actor: u64,
    /// The market actor's own state.
    pub market: Market,
}

impl State {
    /// A chain with nothing but its own actors.
    pub fn new() -> Self {
        let builtin = [
            (0, "system"),
            (1, "init"),
            (2, "reward"),
            (3, "cron"),
            (4, "storagepower"),
            (MARKET, "storagemarket"),
            (6, "verifiedregistry"),
            (7, "datacap"),
            (10, "eam"),
        ];
        let actors = builtin.into_iter().map(|(number, name)| {
            let actor = Actor {
                kind: Kind::Builtin(name),
                robust: None,
                balance: TokenAmount::zero(),
                nonce: 0,
            };
            (number, actor)
        });
        Self {
            actors: actors.collect(),
            numbers: BTreeMap::new(),
            next_actor: FIRST_ACCOUNT,
            market: Market::new(),
        }
    }

    /// Adds an actor under this number.
    pub fn insert(
        &mut self,
        number: u64,
        kind: Kind,
        robust: Option<Address>,
        balance: TokenAmount,
    ) {
        if let Some(address) = &robust {
            self.numbers.insert(address.as_bytes().to_vec(), number);
        }
        let actor = Actor {
            kind,
            robust,
            balance,
            nonce: 0,
        };
        self.actors.insert(number, actor);
    }

    /// Adds an actor under the next free number.
    pub fn add(&mut self, kind: Kind, robust: Address, balance: TokenAmount) -> u64 {
        let number = self.next_actor;
        self.next_actor = self.next_actor.saturating_add(1);
        self.insert(number, kind, Some(robust), balance);
        number
    }

    /// The number of an existing actor.
    pub fn resolve(&self, address: &Address) -> Option<u64> {
        match address.actor_id() {
            Some(number) => self.actors.contains_key(&number).then_some(number),
            None => self.numbers.get(address.as_bytes()).copied(),
        }
    }

    /// Like [`State::resolve`], but a key address that nobody has used yet gets its account.
    pub fn resolve_or_create(&mut self, address: &Address) -> Option<u64> {
        if let Some(number) = self.resolve(address) {
            return Some(number);
        }
        if self.actors.len() >= MAX_ACTORS {
            return None;
        }
        let kind = match address.protocol() {
            Protocol::Secp256k1 | Protocol::Bls => Kind::Account,
            Protocol::Delegated => Kind::EthAccount,
            Protocol::Id | Protocol::Actor => return None,
        };
        Some(self.add(kind, address.clone(), TokenAmount::zero()))
    }

    /// The actor behind an address.
    pub fn actor(&self, address: &Address) -> Option<&Actor> {
        self.actors.get(&self.resolve(address)?)
    }

    /// The miner with this number.
    pub fn miner(&self, number: u64) -> Option<&Miner> {
        match &self.actors.get(&number)?.kind {
            Kind::Miner(miner) => Some(miner),
            _ => None,
        }
    }

    /// The miner with this number, to be changed.
    pub fn miner_mut(&mut self, number: u64) -> Option<&mut Miner> {
        match &mut self.actors.get_mut(&number)?.kind {
            Kind::Miner(miner) => Some(Arc::make_mut(miner)),
            _ => None,
        }
    }

    /// The key or delegated address of an actor (spec B.4): none for miners and the chain's own actors.
    pub fn key_address(&self, number: u64) -> Option<Address> {
        let actor = self.actors.get(&number)?;
        match actor.kind {
            Kind::Account | Kind::EthAccount | Kind::Contract { .. } => actor.robust.clone(),
            Kind::Miner(_) | Kind::Builtin(_) => None,
        }
    }

    /// An actor's balance; zero if there is no such actor.
    pub fn balance(&self, number: u64) -> TokenAmount {
        let actor = self.actors.get(&number);
        actor.map_or_else(TokenAmount::zero, |actor| actor.balance.clone())
    }

    /// Adds to an actor's balance (or takes, if negative).
    pub fn credit(&mut self, number: u64, amount: &TokenAmount) {
        if let Some(actor) = self.actors.get_mut(&number) {
            actor.balance = plus(&actor.balance, amount);
        }
    }
}

/// The sum. Amounts do not overflow.
#[allow(clippy::arithmetic_side_effects)]
pub fn plus(a: &TokenAmount, b: &TokenAmount) -> TokenAmount {
    a + b
}

/// The difference. Amounts do not overflow.
#[allow(clippy::arithmetic_side_effects)]
pub fn minus(a: &TokenAmount, b: &TokenAmount) -> TokenAmount {
    a - b
}
