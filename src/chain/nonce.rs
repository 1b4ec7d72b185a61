//! Where on the chain a sender's nonce was used, and whether by a certain message.
//!
//! A search for a message goes back 20 epochs only at a gateway (chain-sealer-rpc A.8). The height at which a nonce was
//! used is found by bisection over the sender's nonce in the states of older tipsets; a search from there is short.

use super::node::{Found, Tipset};
use super::{ChainError, Node};
use crate::filecoin::{Address, ChainEpoch};
use cid::Cid;

/// Search as far back as the node goes.
pub(super) const NO_LIMIT: ChainEpoch = -1;

/// Epochs to look back from the tipset in which a nonce was used first: what a gateway allows. The message is found at
/// the first of them.
pub(super) const NEARBY: ChainEpoch = 20;

/// Questions about single heights until the one is found where a nonce was used: enough for 2^32 epochs.
const STEPS_MAX: u32 = 32;

/// What a height means that the node does not tell about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unseen {
    /// Nothing can be said: the tipset must be the right one.
    GiveUp,
    /// It may have been later: what is found is looked at anyhow.
    LookLater,
}

impl Node {
    /// A message's execution as seen from a tipset; None if there is none within `lookback` epochs, if the node has
    /// never stored the message, or if another one used its nonce.
    pub(super) fn executed(
        &self,
        from: &Tipset,
        message: &Cid,
        lookback: ChainEpoch,
    ) -> Result<Option<Found>, ChainError> {
        match self.search_message(Some(from), message, lookback) {
            Err(ChainError::Refused { message, .. }) if is_not_found(&message) => Ok(None),
            other => other,
        }
    }

    /// The first tipset after `since` whose state counts more than `nonce` messages of a sender. `unseen` says what a
    /// height means that the node does not tell about.
    pub(super) fn first_after(
        &self,
        sender: &Address,
        nonce: u64,
        (since, unseen): (ChainEpoch, Unseen),
        head: &Tipset,
    ) -> Result<Option<Tipset>, ChainError> {
        let used = |at: &Tipset| Ok::<bool, ChainError>(self.nonce_at(sender, at)? > nonce);
        let (mut low, mut high) = (since, head.clone());
        for _ in 0..STEPS_MAX {
            let gap = high.epoch.saturating_sub(low);
            if gap <= 1 {
                return Ok((high.epoch > since).then_some(high));
            }
            let middle = low.saturating_add(gap.div_euclid(2));
            let looked = self
                .tipset_at(middle, Some(head))
                // Between tipsets there may be heights without any: then it is one of before `middle`.
                .and_then(|tipset| Ok((tipset.epoch > low && used(&tipset)?).then_some(tipset)));
            match looked {
                Ok(Some(tipset)) => high = tipset,
                Ok(None) => low = middle,
                // Too long ago for a gateway, or a state that is no longer there.
                Err(ChainError::Refused { .. }) => match unseen {
                    Unseen::GiveUp => return Ok(None),
                    Unseen::LookLater => low = middle,
                },
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Lotus and Forest answer with an error for a CID that they never stored, not with null (chain-sealer-rpc B.11); Lotus
/// also if another message used the nonce.
pub(super) fn is_not_found(text: &str) -> bool {
    text.contains("failed to load message")
        || text.contains("message not found")
        || text.contains("NOT a valid replacement message")
}
