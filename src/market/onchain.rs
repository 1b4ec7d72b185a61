//! Looking at sealed deals on chain, slowly, until their time there is over: activation, expiry, termination.
//!
//! The reference looks at nothing after sealing (spec boost-mk12 11, 27). Here each sealed deal has turns in a table of the
//! database, so that none of them has to be in memory and a start reads none of them. With every look at the chain, a few
//! whose turn has come are read and asked about.

use super::inputs::Report;
use super::{Parts, Threads};
use crate::chain::{ChainError, DealState};
use crate::deal::step::{FINALITY, OnChain};
use crate::deal::{Deal, Ending, Millis};
use crate::filecoin::ChainEpoch;
use crate::store::Watched;
use smol::channel::Sender;
use std::time::Duration;
use uuid::Uuid;

/// Calls of the chain in an hour at most, however many deals there are: one per second. With 100,000 deals a round takes a
/// little over a day.
const CALLS_PER_HOUR_MAX: u64 = 3_600;

/// The next turn of a deal that is not active yet, or that is gone before its time and may come back with a
/// re-organisation or a better node.
const SOON: Millis = 3_600_000;

/// A deal's turn, and what came of it.
pub(super) struct Sight {
    /// When it was due.
    pub due: Millis,
    /// Which.
    pub uuid: Uuid,
    /// Its record and what the chain shows; none if there is no record, or it cannot be read.
    pub seen: Option<(Box<Deal>, Option<OnChain>)>,
}

/// What was seen in one go.
pub(super) struct Sights {
    /// The head before the first question.
    pub head: ChainEpoch,
    /// Deal by deal.
    pub deals: Vec<Sight>,
}

/// Turns that are taken with one look at the chain.
pub(super) fn batch(poll: Duration) -> usize {
    let calls = CALLS_PER_HOUR_MAX
        .saturating_mul(poll.as_secs())
        .checked_div(3_600);
    usize::try_from(calls.unwrap_or(0))
        .unwrap_or(1)
        .clamp(1, 1_000)
}

/// Takes turns on a chain thread.
pub(super) fn look(
    now: Millis,
    longest: Millis,
    limit: usize,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let (parts, told) = (parts.clone(), reports.clone());
    let submitted = threads.chain.submit(move || {
        let sights = match parts.store.watched(now, longest, limit) {
            Ok(watched) if watched.is_empty() => None,
            Ok(watched) => see(watched, &parts),
            Err(error) => {
                log::error!("sealed deals cannot be looked at: {error}");
                None
            }
        };
        let _ = told.try_send(Report::Sights(sights));
    });
    if submitted.is_err() {
        let _ = reports.try_send(Report::Sights(None));
    }
}

/// Asks for each deal; a chain that is away ends the round, what was not asked stays due.
fn see(watched: Vec<Watched>, parts: &Parts) -> Option<Sights> {
    let head = parts.chain.head().ok()?.epoch;
    let mut deals = Vec::new();
    for Watched { due, uuid, deal } in watched {
        let deal = deal.unwrap_or_else(|error| {
            log::error!("deal {uuid} is not looked at on chain: {error}");
            None
        });
        let Some((deal, deal_id)) = deal.and_then(|deal| {
            let deal_id = deal.chain_deal_id?;
            Some((deal, deal_id))
        }) else {
            let seen = None;
            deals.push(Sight { due, uuid, seen });
            continue;
        };
        let found = match parts.chain.deal_state(deal_id) {
            Ok(state) => Some(shown(&deal, state.as_ref())),
            Err(ChainError::Unreachable(why)) => {
                log::debug!("deal {uuid} cannot be looked at on chain: {why}");
                break;
            }
            Err(error) => {
                log::warn!("deal {uuid} cannot be looked at on chain: {error}");
                None
            }
        };
        let seen = Some((Box::new(deal), found));
        deals.push(Sight { due, uuid, seen });
    }
    Some(Sights { head, deals })
}

/// A deal state in the machine's words.
pub(super) fn shown(deal: &Deal, state: Option<&DealState>) -> OnChain {
    match state {
        None => OnChain::Absent,
        // A re-organisation gave the ID to another deal.
        Some(state) if !same(deal, state) => OnChain::Absent,
        Some(state) if state.slash_epoch >= 0 => OnChain::Slashed(state.slash_epoch),
        Some(state) if state.sector_start_epoch > 0 => OnChain::Active(state.sector_start_epoch),
        Some(_) => OnChain::Inactive,
    }
}

/// Whether this is the deal's own state. Addresses are left out: the chain shows IDs (spec chain-sealer-rpc B.10).
pub(super) fn same(deal: &Deal, state: &DealState) -> bool {
    let (ours, theirs) = (deal.proposal(), &state.proposal);
    (
        ours.piece_cid,
        ours.piece_size,
        ours.start_epoch,
        ours.end_epoch,
    ) == (
        theirs.piece_cid,
        theirs.piece_size,
        theirs.start_epoch,
        theirs.end_epoch,
    )
}

/// When a deal has its next turn; none if nothing more is to be learnt. An active one comes again after `every`, spread over
/// an eighth of it by its UUID.
pub(super) fn next(deal: &Deal, head: ChainEpoch, now: Millis, every: Millis) -> Option<Millis> {
    match deal.over {
        Some(over) if over.how == Ending::Expired => None,
        Some(over) if head > over.epoch.saturating_add(FINALITY) => None,
        Some(_) => Some(now.saturating_add(SOON.min(every))),
        None if deal.activated.is_none() => Some(now.saturating_add(SOON.min(every))),
        None => {
            let salt = deal.uuid.as_bytes().first().copied().unwrap_or(0);
            let spread = (every / 8 / 256).saturating_mul(u64::from(salt));
            Some(now.saturating_add(every).saturating_add(spread))
        }
    }
}

/// No turn is put off for longer than this.
pub(super) fn longest(every: Millis) -> Millis {
    every.saturating_mul(2)
}
