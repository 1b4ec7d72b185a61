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

/// The last look at the chain.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Height of the head and when it was read.
    pub head: Option<(ChainEpoch, Millis)>,
    /// The miners; what could not be read keeps its last value and age.
    pub miners: BTreeMap<Address, MinerView>,
    /// What the last look failed with.
    pub error: Option<String>,
}

/// A view older than this many polls does not count: the chain is away.
const POLLS_OLD_MAX: u64 = 4;

/// A view younger than this always counts: one slow answer must not refuse proposals.
const AGE_ALWAYS_GOOD: Millis = 120_000;

impl Snapshot {
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
