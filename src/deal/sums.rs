//! The sums of [`super::ledger`] over a set of deals that changes one deal at a time.
//!
//! They are what adding up all deals anew gives, and cost as little with ten thousand live deals as with ten. Whoever owns the
//! deals puts each in when it comes, takes it out as it was when it changes or goes, and compares with the plain sums
//! in a debug build: so no share can stay behind unseen.

use super::ledger::{Ledger, holds_funds, staging_bytes};
use super::{Checkpoint, Client, Deal};
use crate::filecoin::{Address, TokenAmount};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What one provider's deals hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Held {
    collateral: TokenAmount,
    /// Deals that need a place in a message.
    unpublished: u64,
    /// Publish messages under way, each with the number of its deals.
    orders: BTreeMap<Uuid, u64>,
}

/// The sums. Without deals it is empty: nothing of a deal stays when it is taken out.
///
/// Bytes are counted in 128 bits, so that no number of deals can overflow them and adding is always undone by taking.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sums {
    miners: BTreeMap<Address, Held>,
    staging: u128,
    /// Staging bytes by the host that they come from.
    hosts: BTreeMap<String, u128>,
    /// Staging bytes by the client's ID address; deals of the first release's records, which do not know it, are left out.
    clients: BTreeMap<Address, u128>,
    awaited: u128,
}

/// Bytes that an accepted deal's download brings.
pub fn awaited_bytes(deal: &Deal) -> u64 {
    if deal.checkpoint == Checkpoint::Accepted && !deal.request.offline {
        deal.request.size
    } else {
        0
    }
}

fn bytes(sum: u128) -> u64 {
    u64::try_from(sum).unwrap_or(u64::MAX)
}

/// Adds to an entry, or takes from it; an entry of nothing is removed.
fn count<K: Ord + Clone>(sums: &mut BTreeMap<K, u128>, key: &K, bytes: u64, more: bool) {
    if bytes == 0 {
        return;
    }
    let sum = sums.entry(key.clone()).or_default();
    shift(sum, bytes, more);
    if *sum == 0 {
        sums.remove(key);
    }
}

fn shift(sum: &mut u128, bytes: u64, more: bool) {
    *sum = if more {
        sum.saturating_add(u128::from(bytes))
    } else {
        sum.saturating_sub(u128::from(bytes))
    };
}

impl Sums {
    /// Counts a deal.
    pub fn put(&mut self, deal: &Deal) {
        self.change(deal, true);
    }

    /// Counts a deal no longer: as it was when it was counted.
    pub fn take(&mut self, deal: &Deal) {
        self.change(deal, false);
    }

    fn change(&mut self, deal: &Deal, more: bool) {
        let staged = staging_bytes(deal);
        shift(&mut self.staging, staged, more);
        shift(&mut self.awaited, awaited_bytes(deal), more);
        count(&mut self.hosts, &deal.request.host, staged, more);
        if let Some(client) = &deal.client_id {
            count(&mut self.clients, client, staged, more);
        }
        if holds_funds(deal) {
            self.hold(deal, more);
        }
    }

    #[allow(clippy::arithmetic_side_effects)] // big integers
    fn hold(&mut self, deal: &Deal, more: bool) {
        let held = self.miners.entry(deal.miner().clone()).or_default();
        let collateral = &deal.proposal().provider_collateral;
        held.collateral = if more {
            &held.collateral + collateral
        } else {
            &held.collateral - collateral
        };
        let number = match deal.order {
            Some(order) => held.orders.entry(order).or_default(),
            None => &mut held.unpublished,
        };
        *number = if more {
            number.saturating_add(1)
        } else {
            number.saturating_sub(1)
        };
        if let Some(order) = deal.order
            && held.orders.get(&order) == Some(&0)
        {
            held.orders.remove(&order);
        }
        if *held == Held::default() {
            self.miners.remove(deal.miner());
        }
    }

    /// [`Ledger::of`] the deals.
    pub fn ledger(&self, miner: &Address) -> Ledger {
        let held = self.miners.get(miner).cloned().unwrap_or_default();
        Ledger {
            collateral: held.collateral,
            unpublished: held.unpublished,
            messages: u64::try_from(held.orders.len()).unwrap_or(u64::MAX),
            staging: bytes(self.staging),
        }
    }

    /// Staging bytes of deals whose data comes from this host.
    pub fn host(&self, host: &str) -> u64 {
        self.hosts.get(host).copied().map_or(0, bytes)
    }

    /// Staging bytes of this client's deals that know its ID address.
    pub fn client(&self, client: &Client) -> u64 {
        self.clients.get(&client.id).copied().map_or(0, bytes)
    }

    /// Bytes that downloads of accepted deals bring, those that have arrived already included.
    pub fn awaited(&self) -> u64 {
        bytes(self.awaited)
    }
}
