//! The storage market actor, f05: escrow, deals and DataCap (spec chain-sealer-rpc D.1, D.5). Pure: the state goes in,
//! the state and a return value come out. Publishing is in [`super::publish`].

use super::actors::Call;
use super::state::{Exit, MARKET, exit, minus, plus};
use crate::filecoin::market_actor::{
    ALLOCATION_EPOCHS, decode_add_balance, decode_withdraw, encode_withdraw_return,
};
use crate::filecoin::{ChainEpoch, DealProposal, TokenAmount};
use cid::Cid;
use num_bigint::BigInt;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The number of the first deal: as on a chain that has seen millions; 0 could not be sealed at all (spec E.1).
pub const FIRST_DEAL: u64 = 70_112_233;

/// The number of the first allocation.
const FIRST_ALLOCATION: u64 = 4_410_021;

/// What a sector may last longer than its deal: 90 days of epochs.
const TERM_MARGIN: ChainEpoch = 90 * 2880;

/// attoFIL in circulation, as on mainnet (800 million FIL); the collateral follows it.
const CIRCULATING: u128 = 800_000_000 * FIL;

/// Bytes of the network's power or baseline, whichever is more: 30 EiB.
const POWER: u128 = 30 << 60;

/// attoFIL of one FIL.
pub const FIL: u128 = 1_000_000_000_000_000_000;

/// The most that may be asked per epoch or put up as collateral: all FIL there will ever be.
pub fn total_supply() -> TokenAmount {
    TokenAmount::from_atto(2_000_000_000 * FIL)
}

/// The least collateral that the actor accepts for a piece of this padded size (spec D.5).
pub fn least_collateral(padded_size: u64) -> TokenAmount {
    // Divided first: at most 2^90 · 2^64 would not fit. Power is the larger divisor and loses nothing of note.
    let share = BigInt::from(CIRCULATING).checked_mul(&BigInt::from(padded_size));
    let power = BigInt::from(POWER.max(u128::from(padded_size)).saturating_mul(100));
    let least = share.and_then(|share| share.checked_div(&power));
    TokenAmount::from_atto(least.unwrap_or_default())
}

/// A deal on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    /// With ID addresses.
    pub proposal: DealProposal,
    /// What became of its DataCap; none if unverified or already claimed.
    pub allocation: Option<u64>,
    /// The sector and its activation, once sealed.
    pub sector: Option<(u64, ChainEpoch)>,
    /// When it was slashed, if it was.
    pub slashed: Option<ChainEpoch>,
}

/// DataCap set aside for one deal (spec B.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// Actor number of who spends.
    pub client: u64,
    /// Actor number of who may claim.
    pub provider: u64,
    /// The piece.
    pub data: Cid,
    /// Padded bytes.
    pub size: u64,
    /// Least epochs that the sector has to last.
    pub term_min: ChainEpoch,
    /// Most epochs.
    pub term_max: ChainEpoch,
    /// The DataCap goes back after this epoch.
    pub expiration: ChainEpoch,
}

/// Escrow of one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    /// Everything, the locked part included.
    pub escrow: TokenAmount,
    /// What deals hold.
    pub locked: TokenAmount,
}

impl Balance {
    /// What is free.
    pub fn available(&self) -> TokenAmount {
        minus(&self.escrow, &self.locked)
    }
}

/// The actor's state.
#[derive(Debug, Clone)]
pub struct Market {
    /// By actor number; providers under their miner's number.
    pub balances: BTreeMap<u64, Balance>,
    /// Live deals.
    pub deals: BTreeMap<u64, Arc<Deal>>,
    /// The chain's identities of live deals.
    pub known: BTreeSet<Cid>,
    /// Deals that are not yet in a sector, by start epoch.
    pub waiting: BTreeSet<(ChainEpoch, u64)>,
    /// The next deal's number.
    pub next_deal: u64,
    /// Bytes of DataCap by actor number.
    pub datacap: BTreeMap<u64, TokenAmount>,
    /// Open allocations.
    pub allocations: BTreeMap<u64, Allocation>,
    /// The next allocation's number.
    pub next_allocation: u64,
}

impl Market {
    /// No deals, no escrow.
    pub fn new() -> Self {
        Self {
            balances: BTreeMap::new(),
            deals: BTreeMap::new(),
            known: BTreeSet::new(),
            waiting: BTreeSet::new(),
            next_deal: FIRST_DEAL,
            datacap: BTreeMap::new(),
            allocations: BTreeMap::new(),
            next_allocation: FIRST_ALLOCATION,
        }
    }

    /// The escrow of an actor.
    pub fn balance(&self, number: u64) -> Balance {
        self.balances.get(&number).cloned().unwrap_or_default()
    }

    /// Puts money into escrow.
    pub fn deposit(&mut self, number: u64, amount: &TokenAmount) {
        let balance = self.balances.entry(number).or_default();
        balance.escrow = plus(&balance.escrow, amount);
    }

    /// Changes escrow to this much; what deals hold stays.
    pub fn set_escrow(&mut self, number: u64, escrow: &TokenAmount) {
        self.balances.entry(number).or_default().escrow = escrow.clone();
    }

    fn lock(&mut self, number: u64, amount: &TokenAmount) {
        let balance = self.balances.entry(number).or_default();
        balance.locked = plus(&balance.locked, amount);
    }

    fn unlock(&mut self, number: u64, amount: &TokenAmount) {
        let balance = self.balances.entry(number).or_default();
        balance.locked = minus(&balance.locked, amount);
    }

    /// Removes a deal, whatever was agreed; false if there is none.
    pub fn remove(&mut self, number: u64) -> bool {
        let Some(deal) = self.deals.remove(&number) else {
            return false;
        };
        self.known.remove(&deal.proposal.cid());
        self.waiting.remove(&(deal.proposal.start_epoch, number));
        true
    }

    /// Notes that a deal was slashed; false if there is none.
    pub fn slash(&mut self, number: u64, epoch: ChainEpoch) -> bool {
        let Some(deal) = self.deals.get_mut(&number) else {
            return false;
        };
        Arc::make_mut(deal).slashed = Some(epoch);
        true
    }

    /// Whether [`Market::expire`] would change something at this epoch.
    pub fn anything_due(&self, epoch: ChainEpoch) -> bool {
        self.waiting
            .first()
            .is_some_and(|(start, _)| *start < epoch)
    }

    /// Removes deals whose start epoch passed without a sector: the client is refunded, the provider's collateral
    /// burnt (the sum is returned), DataCap goes back.
    pub fn expire(&mut self, epoch: ChainEpoch) -> TokenAmount {
        let mut burnt = TokenAmount::zero();
        while self.anything_due(epoch) {
            let Some((_, number)) = self.waiting.pop_first() else {
                break;
            };
            let Some(deal) = self.deals.remove(&number) else {
                continue;
            };
            let proposal = &deal.proposal;
            let (Some(client), Some(provider)) =
                (proposal.client.actor_id(), proposal.provider.actor_id())
            else {
                continue;
            };
            self.known.remove(&proposal.cid());
            self.unlock(client, &client_requirement(proposal));
            self.unlock(provider, &proposal.provider_collateral);
            let pledge = self.balances.entry(provider).or_default();
            pledge.escrow = minus(&pledge.escrow, &proposal.provider_collateral);
            burnt = plus(&burnt, &proposal.provider_collateral);
            if let Some(allocation) = deal.allocation.and_then(|id| self.allocations.remove(&id)) {
                let cap = self.datacap.entry(client).or_default();
                *cap = plus(cap, &TokenAmount::from_atto(allocation.size));
            }
        }
        burnt
    }

    /// Notes that a deal is in an active sector.
    ///
    /// # Errors
    /// The deal is gone, is of another provider or piece, is already active, or should have started.
    pub fn activate(
        &mut self,
        (number, piece): (u64, &Cid),
        provider: u64,
        sector: u64,
        epoch: ChainEpoch,
    ) -> Result<(), &'static str> {
        let deal = self.deals.get_mut(&number).ok_or("no such deal")?;
        if deal.proposal.provider.actor_id() != Some(provider) {
            return Err("the deal is of another provider");
        }
        if deal.proposal.piece_cid != *piece {
            return Err("the deal is of another piece");
        }
        if deal.sector.is_some() {
            return Err("the deal is already active");
        }
        if deal.proposal.start_epoch < epoch {
            return Err("the deal should have started");
        }
        let deal = Arc::make_mut(deal);
        deal.sector = Some((sector, epoch));
        if let Some(id) = deal.allocation.take() {
            self.allocations.remove(&id);
        }
        self.waiting.remove(&(deal.proposal.start_epoch, number));
        Ok(())
    }

    /// Enters a deal that passed the rules, with the actors' numbers and ID addresses, and gives its number.
    pub fn enter(
        &mut self,
        proposal: DealProposal,
        client: u64,
        provider: u64,
        epoch: ChainEpoch,
    ) -> u64 {
        let allocation = proposal
            .verified
            .then(|| self.allocate(&proposal, client, provider, epoch));
        let number = self.next_deal;
        self.next_deal = self.next_deal.saturating_add(1);
        self.lock(client, &client_requirement(&proposal));
        self.lock(provider, &proposal.provider_collateral);
        self.known.insert(proposal.cid());
        self.waiting.insert((proposal.start_epoch, number));
        let deal = Deal {
            proposal,
            allocation,
            sector: None,
            slashed: None,
        };
        self.deals.insert(number, Arc::new(deal));
        number
    }

    /// Spends the client's DataCap for a deal.
    fn allocate(
        &mut self,
        proposal: &DealProposal,
        client: u64,
        provider: u64,
        epoch: ChainEpoch,
    ) -> u64 {
        let number = self.next_allocation;
        self.next_allocation = self.next_allocation.saturating_add(1);
        let cap = self.datacap.entry(client).or_default();
        *cap = minus(cap, &TokenAmount::from_atto(proposal.piece_size));
        let term = proposal.duration().unwrap_or(0);
        let last = epoch.saturating_add(ALLOCATION_EPOCHS);
        let allocation = Allocation {
            client,
            provider,
            data: proposal.piece_cid,
            size: proposal.piece_size,
            term_min: term,
            term_max: term.saturating_add(TERM_MARGIN),
            expiration: proposal.start_epoch.min(last),
        };
        self.allocations.insert(number, allocation);
        number
    }
}

/// What a client has to have for a deal: fee and collateral (spec D.5).
pub fn client_requirement(proposal: &DealProposal) -> TokenAmount {
    plus(&proposal.storage_fee(), &proposal.client_collateral)
}

/// AddBalance: credits whom the params name.
pub fn add_balance(call: &mut Call<'_>) -> Result<Vec<u8>, Exit> {
    if call.value.is_negative() || call.value.is_zero() {
        return Err(Exit::new(
            exit::ILLEGAL_ARGUMENT,
            "balance to add must be greater than zero",
        ));
    }
    let address = decode_add_balance(call.params).map_err(malformed)?;
    let number = call.state.resolve_or_create(&address).ok_or_else(|| {
        let text = format!("failed to resolve address {address}");
        Exit::new(exit::ILLEGAL_ARGUMENT, text)
    })?;
    call.state.market.deposit(number, call.value);
    Ok(Vec::new())
}

/// WithdrawBalance: pays what is free, to a miner's owner or to the account itself.
pub fn withdraw_balance(call: &mut Call<'_>) -> Result<Vec<u8>, Exit> {
    let (address, wanted) = decode_withdraw(call.params).map_err(malformed)?;
    if wanted.is_negative() {
        return Err(Exit::new(exit::ILLEGAL_ARGUMENT, "negative amount"));
    }
    let number = call.state.resolve(&address).ok_or_else(|| {
        let text = format!("failed to resolve address {address}");
        Exit::new(exit::ILLEGAL_ARGUMENT, text)
    })?;
    let recipient = match call.state.miner(number) {
        Some(miner) if miner.owner == call.from || miner.worker == call.from => miner.owner,
        None if number == call.from => number,
        _ => return Err(Exit::new(exit::FORBIDDEN, "caller is not permitted")),
    };
    let paid = wanted.min(call.state.market.balance(number).available());
    let balance = call.state.market.balances.entry(number).or_default();
    balance.escrow = minus(&balance.escrow, &paid);
    call.state.credit(recipient, &paid);
    let taken = minus(&TokenAmount::zero(), &paid);
    call.state.credit(MARKET, &taken);
    Ok(encode_withdraw_return(&paid))
}

/// Params that do not decode.
pub fn malformed(error: impl fmt::Display) -> Exit {
    let text = format!("failed to decode parameters: {error}");
    Exit::new(exit::SERIALIZATION, text)
}
