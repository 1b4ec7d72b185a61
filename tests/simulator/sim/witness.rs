//! Between the market and its database: remembers what was promised, so that answers and later starts can be held
//! against it.

use super::check::short;
use super::kinds::Kind;
use super::sched::Sched;
use super::tasks::lock;
use cid::Cid;
use coracle::deal::funds::{Fees, FundsOrder};
use coracle::deal::{Deal, Millis};
use coracle::filecoin::Address;
use coracle::store::{
    Counts, Done, Listing, LogLine, PieceRecord, Redb, RefusedProposal, Store, StoreError,
    StoredAsk, Watched, Write,
};
use coracle::transfer::SavePoint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

#[derive(Default)]
struct State {
    /// Each deal as it became durable, oldest first, with the number of its commit.
    deals: BTreeMap<Uuid, Vec<(u64, Deal)>>,
    /// What was asked for and not promised: it may be durable or not.
    flight: BTreeMap<u64, Vec<Deal>>,
    /// Commits, and requests for them.
    number: u64,
    /// Deals of which something was ever asked for.
    known: BTreeSet<Uuid>,
}

/// What is known to be durable. Outlives the processes. Cloning shares it.
#[derive(Clone, Default)]
pub struct Book(Arc<Mutex<State>>);

impl Book {
    /// A deal as it is durable.
    pub fn deal(&self, uuid: Uuid) -> Option<Deal> {
        let state = lock(&self.0);
        let (_, deal) = state.deals.get(&uuid)?.last()?;
        Some(deal.clone())
    }

    /// All durable deals.
    pub fn deals(&self) -> Vec<Deal> {
        let state = lock(&self.0);
        let last = state.deals.values().filter_map(|versions| versions.last());
        last.map(|(_, deal)| deal.clone()).collect()
    }

    /// Whether all durable deals satisfy this.
    pub fn all(&self, mut wanted: impl FnMut(&Deal) -> bool) -> bool {
        let state = lock(&self.0);
        let mut last = state.deals.values().filter_map(|versions| versions.last());
        last.all(|(_, deal)| wanted(deal))
    }

    /// The present, for [`Book::since`].
    pub fn now(&self) -> u64 {
        lock(&self.0).number
    }

    /// The versions of a deal that were the durable one at some time since then.
    pub fn since(&self, then: u64, uuid: Uuid) -> Vec<Deal> {
        let state = lock(&self.0);
        let Some(versions) = state.deals.get(&uuid) else {
            return Vec::new();
        };
        let old = versions.iter().filter(|(number, _)| *number <= then);
        let skipped = old.count().saturating_sub(1);
        let kept = versions.iter().skip(skipped);
        kept.map(|(_, deal)| deal.clone()).collect()
    }

    /// Every version of a deal that was durable.
    pub fn versions(&self, uuid: Uuid) -> Vec<Deal> {
        self.since(0, uuid)
    }

    fn ask(&self, writes: &[Write]) -> u64 {
        let deals: Vec<Deal> = writes.iter().filter_map(written).cloned().collect();
        let mut state = lock(&self.0);
        state.number += 1;
        let number = state.number;
        state.known.extend(deals.iter().map(|deal| deal.uuid));
        state.flight.insert(number, deals);
        number
    }

    fn promised(&self, number: u64, sched: &Sched) {
        let mut guard = lock(&self.0);
        let state = &mut *guard;
        state.number += 1;
        for deal in state.flight.remove(&number).unwrap_or_default() {
            sched.note(|| format!("stored: {}", short(&deal)));
            let versions = state.deals.entry(deal.uuid).or_default();
            versions.push((state.number, deal));
        }
    }

    /// A process has begun: its database must hold what was promised, and nothing that nobody asked for.
    pub fn compare(&self, store: &dyn Store, sched: &Sched) {
        let mut guard = lock(&self.0);
        let state = &mut *guard;
        let flight = std::mem::take(&mut state.flight);
        state.number += 1;
        for uuid in &state.known {
            let found = match store.deal(*uuid) {
                Ok(found) => found,
                Err(error) => {
                    sched.violated("the database can be read", format!("{uuid}: {error}"));
                    return;
                }
            };
            let versions = state.deals.entry(*uuid).or_default();
            let promised = versions.last().map(|(_, deal)| deal);
            if found.as_ref() == promised {
                continue;
            }
            let Some(found) = found else {
                sched.violated("no accepted deal is lost", format!("{uuid}: {promised:?}"));
                return;
            };
            if !flight.values().flatten().any(|asked| *asked == found) {
                let text = format!("{uuid}: promised {promised:?}, found {found:?}");
                sched.violated("what is promised is durable", text);
                return;
            }
            versions.push((state.number, found));
        }
    }
}

fn written(write: &Write) -> Option<&Deal> {
    match write {
        Write::Deal(deal) => Some(deal),
        _ => None,
    }
}

/// The store of one process.
pub struct Witness {
    /// The real one.
    pub store: Arc<Redb>,
    /// What becomes durable is written down here.
    pub book: Book,
    /// Asked whether the process is still there.
    pub sched: Arc<Sched>,
    /// Sabotage: tells that it is done before it has begun.
    pub promises_early: bool,
}

impl Store for Witness {
    fn commit(&self, writes: Vec<Write>, done: Done) {
        if self.sched.alive().is_err() {
            return;
        }
        let number = self.book.ask(&writes);
        let (book, sched) = (self.book.clone(), Arc::clone(&self.sched));
        let witnessed = move |result: Result<(), StoreError>, done: Option<Done>| {
            // Nobody hears a promise of a process that is gone.
            if sched.alive().is_err() {
                return;
            }
            sched.count(Kind::Commits);
            if result.is_ok() {
                book.promised(number, &sched);
            }
            if let Some(done) = done {
                done(result);
            }
        };
        if self.promises_early {
            done(Ok(()));
            let witnessed: Done = Box::new(move |result| witnessed(result, None));
            return self.store.commit(writes, witnessed);
        }
        let witnessed: Done = Box::new(move |result| witnessed(result, Some(done)));
        self.store.commit(writes, witnessed);
    }

    fn commit_and_wait(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        if self.sched.outside().is_err() {
            return Err(StoreError::Stopped);
        }
        let number = self.book.ask(&writes);
        let result = self.store.commit_and_wait(writes);
        if self.sched.alive().is_err() {
            return Err(StoreError::Stopped);
        }
        self.sched.count(Kind::Commits);
        if result.is_ok() {
            self.book.promised(number, &self.sched);
        }
        if self.sched.outside().is_err() {
            return Err(StoreError::Stopped);
        }
        result
    }

    fn counts(&self) -> Counts {
        self.store.counts()
    }

    fn messages(&self) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError> {
        self.store.messages()
    }

    fn saves(&self) -> Result<Vec<Uuid>, StoreError> {
        self.store.saves()
    }

    fn refused(&self, limit: usize) -> Result<Vec<RefusedProposal>, StoreError> {
        self.store.refused(limit)
    }

    fn watched(
        &self,
        now: Millis,
        longest: Millis,
        limit: usize,
    ) -> Result<Vec<Watched>, StoreError> {
        self.store.watched(now, longest, limit)
    }

    fn live(&self) -> Result<Vec<Deal>, StoreError> {
        self.store.live()
    }

    fn deal(&self, uuid: Uuid) -> Result<Option<Deal>, StoreError> {
        self.store.deal(uuid)
    }

    fn by_chain_cid(&self, cid: &Cid) -> Result<Option<Uuid>, StoreError> {
        self.store.by_chain_cid(cid)
    }

    fn list(&self, listing: &Listing) -> Result<(Vec<Deal>, bool), StoreError> {
        self.store.list(listing)
    }

    fn log(&self, uuid: Uuid) -> Result<Vec<LogLine>, StoreError> {
        self.store.log(uuid)
    }

    fn log_from(&self, uuid: Uuid, from: u64) -> Result<Vec<(u64, LogLine)>, StoreError> {
        self.store.log_from(uuid, from)
    }

    fn save_point(&self, uuid: Uuid) -> Result<Option<SavePoint>, StoreError> {
        self.store.save_point(uuid)
    }

    fn ask(&self, miner: &Address) -> Result<Option<StoredAsk>, StoreError> {
        self.store.ask(miner)
    }

    fn funds(&self) -> Result<Vec<FundsOrder>, StoreError> {
        self.store.funds()
    }

    fn fees(&self) -> Result<Vec<(Address, Fees)>, StoreError> {
        self.store.fees()
    }

    fn pieces(&self) -> Result<Vec<([u8; 32], PieceRecord)>, StoreError> {
        self.store.pieces()
    }
}
