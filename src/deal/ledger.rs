//! What live deals hold: collateral, publish fees, staging bytes. Always a sum over them, never a count of its own.

use super::{Checkpoint, Deal, Terms};
use crate::filecoin::{Address, TokenAmount};
use std::collections::BTreeSet;

/// The sums for one provider, and of the staging area that all share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Provider collateral of deals that the chain has not locked yet, attoFIL.
    pub collateral: TokenAmount,
    /// Deals that still need a place in a publish message.
    pub unpublished: u64,
    /// Publish messages under way: ordered, and not confirmed yet.
    pub messages: u64,
    /// Bytes reserved in the staging area, over all providers.
    pub staging: u64,
}

/// Whether a deal holds funds: from acceptance (offline: from its import's turn) until its publish message is confirmed.
///
/// The chain locks the collateral when it executes the message, some minutes before that: meanwhile it counts twice. Freed at
/// the first sight of the execution, a re-organisation could make the provider promise it again.
pub fn holds_funds(deal: &Deal) -> bool {
    match deal.checkpoint {
        Checkpoint::Accepted => {
            !deal.request.offline || deal.import.as_ref().is_some_and(|import| import.begun)
        }
        Checkpoint::Transferred | Checkpoint::Published => true,
        _ => false,
    }
}

/// Bytes of staging that a deal holds: until the sealer has its piece. A piece that lies ready for a sealer to fetch it holds
/// them on: the link there keeps the bytes on the disk whatever becomes of our copy. An imported file is not ours.
pub fn staging_bytes(deal: &Deal) -> u64 {
    let done = match deal.checkpoint {
        Checkpoint::AddedPiece | Checkpoint::IndexedAndAnnounced => !lies_ready(deal),
        checkpoint => checkpoint == Checkpoint::Complete,
    };
    if deal.request.offline || done {
        return 0;
    }
    deal.request.size
}

/// Bytes of staging that those of the deals hold which `counts` picks.
pub fn staging_of<'a>(
    deals: impl Iterator<Item = &'a Deal>,
    counts: impl Fn(&Deal) -> bool,
) -> u64 {
    deals
        .filter(|deal| counts(deal))
        .map(staging_bytes)
        .fold(0, u64::saturating_add)
}

/// Whether a deal's piece lies ready for a sealer that has not told yet where it put it.
pub fn lies_ready(deal: &Deal) -> bool {
    let handed_over = matches!(
        deal.checkpoint,
        Checkpoint::AddedPiece | Checkpoint::IndexedAndAnnounced
    );
    handed_over && deal.sector.is_none() && !deal.sealed
}

impl Ledger {
    /// Sums over live deals, as provider `miner` sees them.
    #[allow(clippy::arithmetic_side_effects)] // big integers; counts saturate
    pub fn of<'a>(deals: impl Iterator<Item = &'a Deal>, miner: &Address) -> Self {
        let mut ledger = Self::default();
        let mut orders = BTreeSet::new();
        for deal in deals {
            ledger.staging = ledger.staging.saturating_add(staging_bytes(deal));
            if deal.miner() == miner && holds_funds(deal) {
                ledger.collateral = &ledger.collateral + &deal.proposal().provider_collateral;
                match deal.order {
                    Some(order) => {
                        orders.insert(order);
                    }
                    None => ledger.unpublished = ledger.unpublished.saturating_add(1),
                }
            }
        }
        ledger.messages = u64::try_from(orders.len()).unwrap_or(u64::MAX);
        ledger
    }

    /// Counts the funds of one more deal of the miner that needs a place in a message.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    pub fn hold(&mut self, deal: &Deal) {
        self.collateral = &self.collateral + &deal.proposal().provider_collateral;
        self.unpublished = self.unpublished.saturating_add(1);
    }

    /// What the publish wallet must hold for these deals and `more` that still need a place: one fee cap for each message.
    /// A message counts until it is confirmed, since the wallet's balance may be of before its execution; for these minutes
    /// its fee may count twice, which can refuse a deal but never promises the same coin to two messages.
    pub fn publish_reserve(&self, more: u64, terms: &Terms) -> TokenAmount {
        let unordered = self.unpublished.saturating_add(more);
        let messages = unordered
            .div_ceil(terms.deals_per_message.max(1))
            .saturating_add(self.messages);
        terms
            .publish_fee_max
            .times(i64::try_from(messages).unwrap_or(i64::MAX))
    }
}
