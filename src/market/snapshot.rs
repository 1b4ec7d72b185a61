//! The background view of the chain that acceptance and the machine share.

use crate::chain::{Chain, ChainError, ProviderFacts};
use crate::deal::Millis;
use crate::filecoin::{Address, ChainEpoch};
use std::collections::BTreeMap;

/// One miner as the chain shows it.
#[derive(Debug, Clone)]
pub struct MinerView {
    /// Funds and keys.
    pub facts: ProviderFacts,
    /// When they were read.
    pub at: Millis,
}

/// A miner's sectors as its sealer last counted them.
#[derive(Debug, Clone, Default)]
pub struct SectorsView {
    /// Number of sectors in each state and when they were counted.
    pub states: Option<(BTreeMap<String, u64>, Millis)>,
    /// What the last look failed with.
    pub error: Option<String>,
}

/// The last look at the chain.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Height of the head and when it was read.
    pub head: Option<(ChainEpoch, Millis)>,
    /// The network's version and when it was read.
    pub network_version: Option<(u64, Millis)>,
    /// The miners; what could not be read keeps its last value and age.
    pub miners: BTreeMap<Address, MinerView>,
    /// The sectors of those miners that have an external filter: nothing else asks for them.
    pub sectors: BTreeMap<Address, SectorsView>,
    /// What the last look failed with.
    pub error: Option<String>,
}

/// A view older than this many polls does not count: the chain is away.
const POLLS_OLD_MAX: u64 = 4;

/// A view younger than this always counts: one slow answer must not refuse proposals.
const AGE_ALWAYS_GOOD: Millis = 120_000;

/// The network's version is asked for this often: it changes a few times a year, at an epoch that is known for weeks.
const VERSION_EVERY: Millis = 600_000;

/// A version that was read longer ago does not count: half an hour without an answer is a node that does not answer.
const VERSION_AGE_MAX: Millis = 1_800_000;

impl Snapshot {
    /// The network's version, unless it was read too long ago.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub fn fresh_version(&self, now: Millis) -> Result<u64, String> {
        match self.network_version {
            Some((version, at)) if now.abs_diff(at) <= VERSION_AGE_MAX => Ok(version),
            _ => Err(self.why()),
        }
    }

    /// The head, unless it was read too long ago.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub fn fresh_head(&self, now: Millis, poll: Millis) -> Result<ChainEpoch, String> {
        match self.head {
            Some((epoch, at)) if now.abs_diff(at) <= age_max(poll) => Ok(epoch),
            _ => Err(self.why()),
        }
    }

    /// A miner's view, unless it was read too long ago.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub fn fresh_miner(
        &self,
        miner: &Address,
        now: Millis,
        poll: Millis,
    ) -> Result<&MinerView, String> {
        match self.miners.get(miner) {
            Some(view) if now.abs_diff(view.at) <= age_max(poll) => Ok(view),
            _ => Err(self.why()),
        }
    }

    /// A miner's sectors by state, unless they were counted too long ago.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub fn fresh_sectors(
        &self,
        miner: &Address,
        now: Millis,
        poll: Millis,
    ) -> Result<BTreeMap<String, u64>, String> {
        let view = self.sectors.get(miner);
        match view.and_then(|view| view.states.as_ref()) {
            Some((states, at)) if now.abs_diff(*at) <= age_max(poll) => Ok(states.clone()),
            _ => Err(view
                .and_then(|view| view.error.clone())
                .unwrap_or_else(|| "the sealer has not answered yet".to_owned())),
        }
    }

    fn why(&self) -> String {
        self.error
            .clone()
            .unwrap_or_else(|| "the chain was not looked at yet".to_owned())
    }
}

fn age_max(poll: Millis) -> Millis {
    poll.saturating_mul(POLLS_OLD_MAX).max(AGE_ALWAYS_GOOD)
}

/// Looks at the chain; what fails keeps what `last` had.
pub(super) fn look(
    chain: &dyn Chain,
    miners: &[Address],
    now: &dyn Fn() -> Millis,
    mut last: Snapshot,
) -> Snapshot {
    last.error = None;
    match chain.head() {
        Ok(head) => last.head = Some((head.epoch, now())),
        Err(error) => return failed(last, &error),
    }
    let known = last.network_version;
    if known.is_none_or(|(_, at)| now().abs_diff(at) >= VERSION_EVERY) {
        match chain.network_version() {
            Ok(version) => last.network_version = Some((version, now())),
            Err(error) => last = failed(last, &error),
        }
    }
    for miner in miners {
        match chain.provider_facts(miner) {
            Ok(facts) => {
                last.miners
                    .insert(miner.clone(), MinerView { facts, at: now() });
            }
            Err(error) => last = failed(last, &error),
        }
    }
    last
}

fn failed(mut last: Snapshot, error: &ChainError) -> Snapshot {
    last.error = Some(error.to_string());
    last
}
