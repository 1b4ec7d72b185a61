//! The built-in deal filter (spec boost-mk12 3.4), in its order and words.

use super::{Refusal, Terms};
use crate::filecoin::{ChainEpoch, DealProposal};

/// Applies the seven conditions.
///
/// # Errors
/// The first condition that does not hold.
pub fn filter(
    proposal: &DealProposal,
    offline: bool,
    head: ChainEpoch,
    terms: &Terms,
) -> Result<(), Refusal> {
    if !offline && !terms.online {
        return Err(Refusal::plain(
            "miner is not considering online storage deals",
        ));
    }
    if offline && !terms.offline {
        return Err(Refusal::plain(
            "miner is not accepting offline storage deals",
        ));
    }
    if proposal.verified && !terms.verified {
        return Err(Refusal::plain(
            "miner is not accepting verified storage deals",
        ));
    }
    if !proposal.verified && !terms.unverified {
        return Err(Refusal::plain(
            "miner is not accepting unverified storage deals",
        ));
    }
    if terms.blocklist.contains(&proposal.piece_cid) {
        let text = format!("miner has blocklisted piece CID {}", proposal.piece_cid);
        return Err(Refusal::plain(text));
    }
    let earliest = head.saturating_add(terms.seal_duration);
    if proposal.start_epoch < earliest {
        return Err(Refusal::with_log(
            format!("cannot seal a sector before {}", proposal.start_epoch),
            format!(
                "start epoch {} is too early: the head is {head} and sealing is expected to take {} epochs, \
                 so {earliest} is the earliest acceptable start",
                proposal.start_epoch, terms.seal_duration
            ),
        ));
    }
    let latest = earliest.saturating_add(terms.start_delay_max);
    if !offline && proposal.start_epoch > latest {
        return Err(Refusal::plain(format!(
            "deal start epoch is too far in the future: {} > {latest}",
            proposal.start_epoch
        )));
    }
    Ok(())
}
