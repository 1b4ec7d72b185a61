//! What a proven sector does to the state: its deals become active. Pure.

use super::state::{CommittedSector, State};
use crate::filecoin::ChainEpoch;
use cid::Cid;

/// How the activation of each deal of a sector ended.
pub type Activated = Vec<(u64, Result<(), &'static str>)>;

/// Enters a proven sector and its deals.
pub fn activate(
    state: &mut State,
    epoch: ChainEpoch,
    miner: u64,
    sector: u64,
    deals: &[(u64, Cid)],
) -> Activated {
    let mut weights = (0_u128, 0_u128);
    let mut expiration = epoch.saturating_add(crate::filecoin::market_actor::MIN_DURATION);
    let mut results = Vec::new();
    for (number, piece) in deals {
        let deal = (*number, piece);
        let result = state.market.activate(deal, miner, sector, epoch);
        if let (Ok(()), Some(deal)) = (result, state.market.deals.get(number)) {
            let proposal = &deal.proposal;
            let epochs = u128::try_from(proposal.duration().unwrap_or(0)).unwrap_or(0);
            let weight = u128::from(proposal.piece_size).saturating_mul(epochs);
            let sum = if proposal.verified {
                &mut weights.1
            } else {
                &mut weights.0
            };
            *sum = sum.saturating_add(weight);
            expiration = expiration.max(proposal.end_epoch);
        }
        results.push((*number, result));
    }
    let committed = CommittedSector {
        activation: epoch,
        expiration,
        deal_weight: weights.0,
        verified_weight: weights.1,
    };
    if let Some(miner) = state.miner_mut(miner) {
        miner.sectors.insert(sector, committed);
    }
    results
}
