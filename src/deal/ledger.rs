//! What live deals hold: collateral, publish fees, staging bytes. Always a sum over them, never a count of its own.

use super::{Checkpoint, Deal, Terms};
use crate::filecoin::{Address, TokenAmount};

/// The sums for one provider, and of the staging area that all share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Provider collateral of deals that the chain has not locked yet, attoFIL.
    pub collateral: TokenAmount,
    /// Deals that still need a place in a publish message.
    pub unpublished: u64,
    /// Bytes reserved in the staging area, over all providers.
    pub staging: u64,
}

/// Whether a deal holds funds: from acceptance (offline: from the import) until its publish message is confirmed.
pub fn holds_funds(deal: &Deal) -> bool {
    match deal.checkpoint {
        Checkpoint::Accepted => !deal.request.offline || deal.import.is_some(),
        Checkpoint::Transferred | Checkpoint::Published => true,
        _ => false,
    }
}

/// Bytes of staging that a deal holds: until the sealer has its piece. An imported file is not ours.
pub fn staging_bytes(deal: &Deal) -> u64 {
    if deal.request.offline || deal.checkpoint >= Checkpoint::AddedPiece {
        return 0;
    }
    deal.request.size
}

impl Ledger {
    /// Sums over live deals, as provider `miner` sees them.
    #[allow(clippy::arithmetic_side_effects)] // big integers; counts saturate
    pub fn of<'a>(deals: impl Iterator<Item = &'a Deal>, miner: &Address) -> Self {
        let mut ledger = Self::default();
        for deal in deals {
            ledger.staging = ledger.staging.saturating_add(staging_bytes(deal));
            if deal.miner() == miner && holds_funds(deal) {
                ledger.collateral = &ledger.collateral + &deal.proposal().provider_collateral;
                if deal.checkpoint < Checkpoint::Published {
                    ledger.unpublished = ledger.unpublished.saturating_add(1);
                }
            }
        }
        ledger
    }

    /// What the publish wallet must hold for this many deals: one fee cap for each message.
    pub fn publish_reserve(unpublished: u64, terms: &Terms) -> TokenAmount {
        let messages = unpublished.div_ceil(terms.deals_per_message.max(1));
        terms
            .publish_fee_max
            .times(i64::try_from(messages).unwrap_or(i64::MAX))
    }
}
