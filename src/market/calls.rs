//! Add-piece calls: how many of them wait at a sealer at the same time, and whose turn it is.

use super::files::Files;
use super::handover::{Offer, add_piece};
use super::inputs::Report;
use super::{Parts, Threads};
use crate::deal::Deal;
use crate::deal::step::{Class, Event, Setback};
use crate::filecoin::Address;
use smol::channel::Sender;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// Add-piece calls of one miner at the same time: each waits, possibly for hours, on a thread of its own, and lotus-miner
/// opens a few sectors at a time only. Each miner has its own number, so that one that takes nothing holds up no other.
const CALLS_MAX: usize = 8;

/// Stack of such a thread.
const STACK_BYTES: usize = 512 * 1024;

/// A call that runs.
struct Call {
    miner: Address,
    /// Ends it.
    stop: Arc<AtomicBool>,
}

/// Add-piece calls that run and deals that wait for one.
#[derive(Default)]
pub(super) struct Calls {
    running: BTreeMap<Uuid, Call>,
    /// By miner, in the order of their coming. Bounded by the live deals.
    waiting: BTreeMap<Address, VecDeque<(Uuid, bool)>>,
    stopping: bool,
}

impl Calls {
    /// Puts a deal at the end of its miner's queue; `look_first` if the sealer may have its piece already.
    pub(super) fn enqueue(&mut self, miner: &Address, deal: Uuid, look_first: bool) {
        let queue = self.waiting.entry(miner.clone()).or_default();
        queue.push_back((deal, look_first));
    }

    /// The next deal, if there is a place for it.
    pub(super) fn next(&mut self) -> Option<(Uuid, bool)> {
        if self.stopping {
            return None;
        }
        let running = &self.running;
        let calls = |miner: &Address| running.values().filter(|call| call.miner == *miner).count();
        let free = |miner: &&Address| calls(miner) < CALLS_MAX;
        let miner = self.waiting.keys().find(free).cloned()?;
        let queue = self.waiting.get_mut(&miner)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&miner);
        }
        let (deal, look_first) = next?;
        let stop = Arc::default();
        self.running.insert(deal, Call { miner, stop });
        Some((deal, look_first))
    }

    /// A call has ended.
    pub(super) fn ended(&mut self, deal: Uuid) {
        self.running.remove(&deal);
    }

    /// Whether a call of this deal runs.
    pub(super) fn runs(&self, deal: Uuid) -> bool {
        self.running.contains_key(&deal)
    }

    /// Ends a deal's call, if one runs.
    pub(super) fn stop(&self, deal: Uuid) {
        if let Some(call) = self.running.get(&deal) {
            call.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Ends all calls.
    pub(super) fn stop_all(&mut self) {
        self.stopping = true;
        for call in self.running.values() {
            call.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Starts the call of a deal on a thread of its own.
    pub(super) fn start(
        &self,
        deal: &Deal,
        offer: Offer,
        files: &Files,
        parts: &Parts,
        threads: &Threads,
        reports: &Sender<Report>,
    ) {
        let uuid = deal.uuid;
        let stop = self.running.get(&uuid).map(|call| Arc::clone(&call.stop));
        let stop = stop.unwrap_or_default();
        let (told, parts) = (reports.clone(), parts.clone());
        let (deal, files) = (deal.clone(), files.clone());
        let started = threads.own.start("add-piece", STACK_BYTES, move || {
            let event = add_piece(&deal, offer, &files, &parts, &stop);
            let _ = told.try_send(Report::Call(uuid, event));
        });
        if let Err(error) = started {
            let setback = Setback::new(
                Class::Auto,
                format!("no thread for the sealer call: {error}"),
            );
            let _ = reports.try_send(Report::Call(uuid, Event::AddPieceFailed(setback)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_miner_s_calls_take_no_place_of_another_s_and_come_in_order() {
        let (slow, other) = (Address::id(1000), Address::id(1001));
        let deal = |number: u128| Uuid::from_u128(number);
        let mut calls = Calls::default();
        for number in 0..20 {
            calls.enqueue(&slow, deal(number), false);
        }
        calls.enqueue(&other, deal(100), true);
        let started: Vec<_> = std::iter::from_fn(|| calls.next()).collect();
        let mut expected: Vec<_> = (0..8).map(|number| (deal(number), false)).collect();
        expected.push((deal(100), true));
        assert_eq!(started, expected);
        // A place that gets free is taken by the next of the same miner.
        calls.ended(deal(3));
        assert_eq!(calls.next(), Some((deal(8), false)));
        assert_eq!(calls.next(), None);
        calls.stop_all();
        calls.ended(deal(0));
        assert_eq!(calls.next(), None, "nothing begins while it stops");
    }
}
