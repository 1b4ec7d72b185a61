//! Offline deals whose data was brought and that wait for their turn.
//!
//! The queue itself is on disk: each import has its place in its deal's record. What is here is made from the records at
//! start, is added to when an import is durable, and costs a few words for each.

mod ask;
mod folder;
mod look;

pub use ask::IMPORTS_MAX;
pub use folder::DropFolder;
pub(super) use folder::{Dropped, Memory, Wanted, look as look_at_folder};
pub(super) use look::{Look, look};

use crate::filecoin::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// Imports of one miner that may be looked at in one round, from the first on. More would let a queue of thousands that
/// waits for funds be judged from end to end; fewer would let one large deal hold up the small ones behind it.
const JUDGED_MAX: usize = 16;

#[derive(Default)]
struct Waiting {
    /// By miner, because each has its own funds; in the order of their places.
    miners: BTreeMap<Address, BTreeSet<(u64, Uuid)>>,
    /// Asked for and not durable yet.
    coming: BTreeSet<Uuid>,
}

impl Waiting {
    fn len(&self) -> usize {
        self.miners.values().map(BTreeSet::len).sum()
    }
}

/// The order of waiting imports. Cloning shares it: whoever shows a deal asks for its position.
#[derive(Clone, Default)]
pub struct ImportQueue {
    waiting: Arc<Mutex<Waiting>>,
}

impl ImportQueue {
    /// How many imports have their turn before this one, and itself: 1 is next. Counts through the queue.
    pub fn position(&self, place: u64, uuid: Uuid) -> Option<usize> {
        let waiting = super::facts::lock(&self.waiting);
        let known = waiting
            .miners
            .values()
            .any(|queue| queue.contains(&(place, uuid)));
        let before = |queue: &BTreeSet<(u64, Uuid)>| queue.range(..=(place, uuid)).count();
        known.then(|| waiting.miners.values().map(before).sum())
    }

    /// Imports that wait.
    pub fn len(&self) -> usize {
        super::facts::lock(&self.waiting).len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The queue in the run loop's hands.
pub(super) struct Imports {
    queue: ImportQueue,
    /// Imports whose file is being looked at.
    looking: BTreeSet<Uuid>,
    /// Next place to be given.
    next: u64,
    /// Something has changed since the last round: it is worth looking again.
    stirred: bool,
    /// The chain has been looked at: before that there is nothing to judge by.
    open: bool,
    max: usize,
}

impl Imports {
    /// A queue that lets `max` imports run at the same time and gives places above `last`.
    pub(super) fn new(max: usize, last: u64) -> Self {
        Self {
            queue: ImportQueue::default(),
            looking: BTreeSet::new(),
            next: last.saturating_add(1),
            stirred: false,
            open: false,
            max: max.max(1),
        }
    }

    /// What others may look at.
    pub(super) fn queue(&self) -> ImportQueue {
        self.queue.clone()
    }

    /// Imports at the same time.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// A place at the end.
    pub(super) fn place(&mut self) -> u64 {
        let place = self.next;
        self.next = place.saturating_add(1);
        place
    }

    /// An import was asked for and will wait once that is durable; answers its position from 1 on.
    pub(super) fn announce(&mut self, uuid: Uuid) -> usize {
        let mut waiting = super::facts::lock(&self.queue.waiting);
        waiting.coming.insert(uuid);
        waiting.len().saturating_add(waiting.coming.len())
    }

    /// Lets an import wait at its place. Done twice it changes nothing.
    pub(super) fn wait(&mut self, miner: &Address, place: u64, uuid: Uuid) {
        let mut waiting = super::facts::lock(&self.queue.waiting);
        waiting.coming.remove(&uuid);
        let queue = waiting.miners.entry(miner.clone()).or_default();
        queue.insert((place, uuid));
        // Who comes behind those that are judged changes nothing for them.
        let mut judged = queue.iter().take(JUDGED_MAX);
        self.stirred |= judged.any(|next| *next == (place, uuid));
    }

    /// Takes an import out of the queue.
    pub(super) fn leave(&mut self, place: u64, uuid: Uuid) {
        let mut waiting = super::facts::lock(&self.queue.waiting);
        waiting.coming.remove(&uuid);
        waiting.miners.retain(|_, queue| {
            queue.remove(&(place, uuid));
            !queue.is_empty()
        });
        self.stirred = true;
    }

    /// The chain was looked at: funds may have come.
    pub(super) fn chain_seen(&mut self) {
        self.open = true;
        self.stirred = true;
    }

    /// Funds, space or a place may have come free.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    /// Nothing more can be done until something changes.
    pub(super) fn rest(&mut self) {
        self.stirred = false;
    }

    /// Whether a round of judging is worth its while; says so once.
    pub(super) fn due(&mut self) -> bool {
        self.open && std::mem::take(&mut self.stirred) && !self.queue.is_empty()
    }

    /// The imports that may be judged now, in the order of their places; those that are being looked at are left out.
    pub(super) fn first(&self) -> Vec<(u64, Uuid)> {
        let waiting = super::facts::lock(&self.queue.waiting);
        let queues = waiting.miners.values();
        let mut first: Vec<_> = queues
            .flat_map(|queue| queue.iter().take(JUDGED_MAX))
            .filter(|(_, uuid)| !self.looking.contains(uuid))
            .copied()
            .collect();
        first.sort_unstable();
        first
    }

    /// The file of this import is looked at.
    pub(super) fn looks(&mut self, uuid: Uuid) {
        self.looking.insert(uuid);
    }

    /// It was looked at.
    pub(super) fn looked(&mut self, uuid: Uuid) {
        self.looking.remove(&uuid);
        self.stirred = true;
    }

    /// Imports whose file is being looked at.
    pub(super) fn looking(&self) -> usize {
        self.looking.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(number: u8) -> Uuid {
        Uuid::from_bytes([number; 16])
    }

    #[test]
    fn turns_come_in_the_order_of_places_over_all_miners() {
        let mut imports = Imports::new(1, 40);
        let (one, other) = (Address::id(1), Address::id(2));
        let places: Vec<u64> = (0..4).map(|_| imports.place()).collect();
        assert_eq!(places, [41, 42, 43, 44]);
        imports.wait(&one, 43, uuid(3));
        imports.wait(&other, 42, uuid(2));
        imports.wait(&one, 41, uuid(1));
        imports.wait(&one, 41, uuid(1));
        assert_eq!(
            imports.first(),
            [(41, uuid(1)), (42, uuid(2)), (43, uuid(3))]
        );
        let queue = imports.queue();
        assert_eq!(queue.position(43, uuid(3)), Some(3));
        assert_eq!(queue.position(44, uuid(4)), None);
        imports.leave(42, uuid(2));
        assert_eq!(queue.position(43, uuid(3)), Some(2));
        imports.looks(uuid(1));
        assert_eq!(imports.first(), [(43, uuid(3))]);
        imports.looked(uuid(1));
        assert_eq!(imports.first(), [(41, uuid(1)), (43, uuid(3))]);
    }

    #[test]
    fn a_position_counts_what_is_not_durable_yet() {
        let mut imports = Imports::new(1, 0);
        let miner = Address::id(1);
        assert_eq!(imports.announce(uuid(1)), 1);
        assert_eq!(imports.announce(uuid(2)), 2);
        imports.wait(&miner, 1, uuid(1));
        assert_eq!(imports.announce(uuid(3)), 3);
        assert_eq!(imports.queue().len(), 1);
    }

    #[test]
    fn a_round_looks_at_the_first_of_each_miner_and_only_after_a_change() {
        let mut imports = Imports::new(1, 0);
        let (one, other) = (Address::id(1), Address::id(2));
        for number in 1..=100_u8 {
            imports.wait(&one, number.into(), uuid(number));
        }
        assert!(!imports.due(), "nothing is known of the chain");
        imports.chain_seen();
        assert!(imports.due());
        assert!(!imports.due());
        imports.wait(&one, 101, uuid(101));
        assert!(!imports.due(), "it is far behind");
        imports.wait(&other, 102, uuid(102));
        assert!(imports.due());
        let first = imports.first();
        assert_eq!(first.len(), JUDGED_MAX + 1);
        assert_eq!(first.last(), Some(&(102, uuid(102))));
        imports.stir();
        assert!(imports.due());
        imports.leave(102, uuid(102));
        assert!(imports.due());
    }
}
