//! What a node was asked a moment ago and would answer alike: which ID and which key belong to an address, and who works for a
//! miner.
//!
//! An ID keeps its key for ever, and an address its ID; only a re-organisation that undoes the actor's creation can give the ID
//! to another one, so an answer is used for an hour and not for ever. A miner's worker may change with any tipset: that
//! answer is used for less than an epoch, within which the same question has the same answer, so that the deals of a batch
//! that are tried one after the other ask once.

use super::node::MinerInfo;
use crate::filecoin::Address;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an address counts: a client that proposes many deals is looked up once.
const ADDRESS_LIFE: Duration = Duration::from_secs(3_600);

/// How long a miner's worker counts: a third of an epoch of the main network, whose nodes may be that far behind anyway.
const MINER_LIFE: Duration = Duration::from_secs(10);

/// Answers of one kind that are kept, some ten kB; beyond it all of them are forgotten, and asked for again.
const KEPT_MAX: usize = 1_024;

/// Answers of one kind.
#[derive(Debug)]
struct Answers<T> {
    life: Duration,
    kept: Mutex<BTreeMap<Address, (Instant, T)>>,
}

impl<T: Clone> Answers<T> {
    fn new(life: Duration) -> Self {
        Self {
            life,
            kept: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, (Instant, T)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, of: &Address, now: Instant) -> Option<T> {
        let kept = self.lock();
        let (at, answer) = kept.get(of)?;
        (now.saturating_duration_since(*at) < self.life).then(|| answer.clone())
    }

    fn keep(&self, of: &Address, answer: &T, now: Instant) {
        let mut kept = self.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(of.clone(), (now, answer.clone()));
    }

    /// The kept answer, or else a new one, which is kept if it is one.
    fn or_ask<E>(&self, of: &Address, ask: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let now = Instant::now();
        if let Some(answer) = self.get(of, now) {
            return Ok(answer);
        }
        let answer = ask()?;
        // Its age counts from the question: the node may have thought about it for a while.
        self.keep(of, &answer, now);
        Ok(answer)
    }
}

/// What is known of addresses.
#[derive(Debug)]
pub(super) struct Known {
    ids: Answers<Address>,
    keys: Answers<Address>,
    miners: Answers<MinerInfo>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            ids: Answers::new(ADDRESS_LIFE),
            keys: Answers::new(ADDRESS_LIFE),
            miners: Answers::new(MINER_LIFE),
        }
    }
}

impl Known {
    /// The ID of an address.
    pub fn id<E>(
        &self,
        of: &Address,
        ask: impl FnOnce() -> Result<Address, E>,
    ) -> Result<Address, E> {
        self.ids.or_ask(of, ask)
    }

    /// The key behind an ID.
    pub fn key<E>(
        &self,
        of: &Address,
        ask: impl FnOnce() -> Result<Address, E>,
    ) -> Result<Address, E> {
        self.keys.or_ask(of, ask)
    }

    /// Who works for a miner at the head.
    pub fn miner<E>(
        &self,
        of: &Address,
        ask: impl FnOnce() -> Result<MinerInfo, E>,
    ) -> Result<MinerInfo, E> {
        self.miners.or_ask(of, ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(answers: &Answers<u8>, of: u64, at: Instant) -> Option<u8> {
        answers.get(&Address::id(of), at)
    }

    #[test]
    fn an_answer_counts_for_its_life_and_an_error_is_no_answer() {
        let answers: Answers<u8> = Answers::new(Duration::from_secs(10));
        let of = Address::id(7);
        assert_eq!(answers.or_ask(&of, || Err::<u8, _>("away")), Err("away"));
        assert_eq!(answers.or_ask(&of, || Ok::<_, &str>(1)), Ok(1));
        assert_eq!(answers.or_ask(&of, || Err::<u8, _>("away")), Ok(1));
        let later = Instant::now() + Duration::from_secs(11);
        assert_eq!(asked(&answers, 7, later), None);
        assert_eq!(asked(&answers, 8, Instant::now()), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let answers: Answers<u8> = Answers::new(ADDRESS_LIFE);
        let now = Instant::now();
        for of in 0..3_000 {
            answers.keep(&Address::id(of), &1, now);
            assert!(answers.lock().len() <= KEPT_MAX);
        }
        assert_eq!(asked(&answers, 2_999, now), Some(1));
    }
}
