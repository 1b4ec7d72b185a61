//! The live deals, and what is asked about all of them for each proposal.

use crate::deal::ledger::lies_ready;
use crate::deal::step::{Effect, Live};
use crate::deal::sums::Sums;
use crate::deal::{Checkpoint, Client, Deal, Ledger, ledger};
use crate::filecoin::Address;
use cid::Cid;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The live deals. They come, change and go through this type only, which keeps sums and indexes over them; all of these are made
/// anew from the deals when the provider starts.
#[derive(Default)]
pub(super) struct Lives {
    deals: BTreeMap<Uuid, Live>,
    sums: Sums,
    by_chain_cid: BTreeMap<Cid, BTreeSet<Uuid>>,
    /// Deals of publish orders.
    by_order: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// Deals of the first release's records, which do not know their client's ID address.
    nameless: BTreeSet<Uuid>,
    /// Deals whose pieces lie ready for a sealer.
    ready: BTreeSet<Uuid>,
    /// Deals whose pieces are handed over and not kept yet.
    added: BTreeSet<Uuid>,
    /// Offline deals whose import reads its file, or is about to.
    importing: BTreeSet<Uuid>,
}

fn is_added(live: &Live) -> bool {
    live.deal.checkpoint == Checkpoint::AddedPiece
}

fn is_importing(live: &Live) -> bool {
    live.deal.request.offline
        && live.deal.checkpoint == Checkpoint::Accepted
        && live.busy == Some(Effect::StartPass)
}

fn enter<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Uuid>>, key: K, deal: Uuid) {
    index.entry(key).or_default().insert(deal);
}

fn leave<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Uuid>>, key: &K, deal: Uuid) {
    if let Some(deals) = index.get_mut(key) {
        deals.remove(&deal);
        if deals.is_empty() {
            index.remove(key);
        }
    }
}

impl Lives {
    /// Deals with nothing under way.
    pub(super) fn new(deals: impl IntoIterator<Item = Deal>) -> Self {
        let mut lives = Self::default();
        for deal in deals {
            lives.insert(Live { deal, busy: None });
        }
        lives
    }

    pub(super) fn insert(&mut self, live: Live) {
        self.remove(&live.deal.uuid);
        self.enter(&live);
        self.deals.insert(live.deal.uuid, live);
    }

    pub(super) fn remove(&mut self, uuid: &Uuid) {
        if let Some(live) = self.deals.remove(uuid) {
            self.leave(&live);
        }
    }

    pub(super) fn get(&self, uuid: &Uuid) -> Option<&Live> {
        self.deals.get(uuid)
    }

    /// Changes a deal; none if there is no such deal.
    pub(super) fn change<T>(
        &mut self,
        uuid: &Uuid,
        change: impl FnOnce(&mut Live) -> T,
    ) -> Option<T> {
        let mut live = self.deals.remove(uuid)?;
        self.leave(&live);
        let outcome = change(&mut live);
        self.enter(&live);
        self.deals.insert(live.deal.uuid, live);
        Some(outcome)
    }

    fn enter(&mut self, live: &Live) {
        let deal = &live.deal;
        self.sums.put(deal);
        enter(&mut self.by_chain_cid, deal.chain_cid, deal.uuid);
        if let Some(order) = deal.order {
            enter(&mut self.by_order, order, deal.uuid);
        }
        if deal.client_id.is_none() {
            self.nameless.insert(deal.uuid);
        }
        for (index, belongs) in [
            (&mut self.ready, lies_ready(deal)),
            (&mut self.added, is_added(live)),
            (&mut self.importing, is_importing(live)),
        ] {
            if belongs {
                index.insert(deal.uuid);
            }
        }
    }

    fn leave(&mut self, live: &Live) {
        let deal = &live.deal;
        self.sums.take(deal);
        leave(&mut self.by_chain_cid, &deal.chain_cid, deal.uuid);
        if let Some(order) = deal.order {
            leave(&mut self.by_order, &order, deal.uuid);
        }
        for index in [
            &mut self.nameless,
            &mut self.ready,
            &mut self.added,
            &mut self.importing,
        ] {
            index.remove(&deal.uuid);
        }
    }

    /// Their UUIDs, as they are now.
    pub(super) fn uuids(&self) -> Vec<Uuid> {
        self.deals.keys().copied().collect()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Live> {
        self.deals.values()
    }

    pub(super) fn deals(&self) -> impl Iterator<Item = &Deal> {
        self.values().map(|live| &live.deal)
    }

    fn named<'a>(&'a self, uuids: Option<&'a BTreeSet<Uuid>>) -> impl Iterator<Item = &'a Deal> {
        let uuids = uuids.into_iter().flatten();
        uuids.filter_map(|uuid| Some(&self.deals.get(uuid)?.deal))
    }

    /// Deals with this chain identity.
    pub(super) fn same_proposal(&self, cid: &Cid) -> impl Iterator<Item = &Deal> {
        self.named(self.by_chain_cid.get(cid))
    }

    /// Deals of a publish order, in the order of their UUIDs.
    pub(super) fn of_order(&self, order: Uuid) -> impl Iterator<Item = &Deal> {
        self.named(self.by_order.get(&order))
    }

    /// Deals whose pieces lie ready for a sealer.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Deal> {
        debug_assert!(self.are_indexed(&self.ready, |live| lies_ready(&live.deal)));
        self.named(Some(&self.ready))
    }

    /// Deals whose pieces are handed over and not kept yet.
    pub(super) fn added(&self) -> impl Iterator<Item = &Deal> {
        debug_assert!(self.are_indexed(&self.added, is_added));
        self.named(Some(&self.added))
    }

    /// How many imports read their files, or are about to.
    pub(super) fn importing(&self) -> usize {
        debug_assert!(self.are_indexed(&self.importing, is_importing));
        self.importing.len()
    }

    /// Whether an index has the deals that belong into it.
    fn are_indexed(&self, index: &BTreeSet<Uuid>, belongs: impl Fn(&Live) -> bool) -> bool {
        let plain = self.values().filter(|live| belongs(live));
        plain.map(|live| &live.deal.uuid).eq(index)
    }

    /// What they hold, as this miner sees it.
    pub(super) fn ledger(&self, miner: &Address) -> Ledger {
        let ledger = self.sums.ledger(miner);
        debug_assert_eq!(ledger, Ledger::of(self.deals(), miner));
        ledger
    }

    /// Staging bytes of the deals whose data comes from this host.
    pub(super) fn host_staging(&self, host: &str) -> u64 {
        let sum = self.sums.host(host);
        let plain = || ledger::staging_of(self.deals(), |deal| deal.request.host == host);
        debug_assert_eq!(sum, plain());
        sum
    }

    /// Staging bytes of this client's deals.
    pub(super) fn client_staging(&self, client: &Client) -> u64 {
        let nameless = self.named(Some(&self.nameless));
        let sum = self
            .sums
            .client(client)
            .saturating_add(ledger::staging_of(nameless, |deal| deal.is_of(client)));
        let plain = || ledger::staging_of(self.deals(), |deal| deal.is_of(client));
        debug_assert_eq!(sum, plain());
        sum
    }

    /// Bytes that downloads of accepted deals bring, those that have arrived already included.
    pub(super) fn awaited(&self) -> u64 {
        self.sums.awaited()
    }
}
