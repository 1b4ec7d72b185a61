//! Where a deal's piece is: asked before it is offered a second time, and once its start epoch has passed.
//!
//! A published deal whose piece was perhaps handed over must not end for its start epoch before chain and sealer have been
//! asked. This asks for those that nobody else asks about: deals in a hold, and those that wait for a place at the sealer.

use super::inputs::Report;
use super::onchain::same;
use super::{Parts, Threads};
use crate::chain::ChainError;
use crate::deal::step::FINALITY;
use crate::deal::{Deal, Millis};
use crate::filecoin::ChainEpoch;
use crate::sealer::SectorPlace;
use smol::channel::Sender;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Looks at the chain between two questions about the same deal: one asks the sealer for its sectors, which is dear, and a
/// sealer that was away for an hour may stay away for days.
const POLLS_BETWEEN: u64 = 20;

/// Deals that are to be asked about. One is asked about at a time, or a sealer that comes back would find hundreds of
/// questions.
#[derive(Default)]
pub(super) struct Late {
    waiting: BTreeSet<Uuid>,
    last: BTreeMap<Uuid, Millis>,
    asking: bool,
}

impl Late {
    /// Asks about a deal, unless that was done a moment ago.
    pub(super) fn ask(&mut self, deal: Uuid, now: Millis, poll: Millis) {
        let pause = poll.saturating_mul(POLLS_BETWEEN);
        let lately = |at: &Millis| now.abs_diff(*at) < pause;
        if !self.last.get(&deal).is_some_and(lately) {
            self.waiting.insert(deal);
        }
    }

    /// The next deal, if none is being asked about.
    pub(super) fn next(&mut self, now: Millis) -> Option<Uuid> {
        if self.asking {
            return None;
        }
        let deal = self.waiting.pop_first()?;
        self.last.insert(deal, now);
        self.asking = true;
        Some(deal)
    }

    /// The answer is there.
    pub(super) fn answered(&mut self) {
        self.asking = false;
    }

    /// A deal has gone on or ended.
    pub(super) fn forget(&mut self, deal: Uuid) {
        self.waiting.remove(&deal);
        self.last.remove(&deal);
    }
}

/// What chain and sealer say about a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// It is in this sector.
    There(SectorPlace),
    /// Nobody has it.
    Nowhere,
    /// Nobody has it, the deal is not active, and its start epoch has passed at this height: it never will be.
    TooLate(ChainEpoch),
}

/// Asks chain and sealer for a published deal's piece. `offered` if it was offered before: without that, only a start epoch
/// that has passed makes it necessary to ask.
///
/// A sealer that cannot be asked keeps the deal waiting, but not for ever: [`FINALITY`] epochs after the start no sector can
/// make the deal active any more, whatever is in it.
///
/// # Errors
/// Who could not be asked, and why.
pub(super) fn look(deal: &Deal, offered: bool, parts: &Parts) -> Result<Whereabouts, String> {
    let Some(deal_id) = deal.chain_deal_id else {
        return Err("the deal has no chain deal ID".to_owned());
    };
    let start = deal.proposal().start_epoch;
    // The head first: what is not active at this height or above it is not active in time.
    let head = match parts.chain.head() {
        Ok(head) => Some(head.epoch),
        Err(error) => {
            // The sealer will refuse what comes too late.
            log::warn!("deal {}: the head is not known: {error}", deal.uuid);
            None
        }
    };
    let late = head.filter(|head| *head > start);
    if !offered && late.is_none() {
        return Ok(Whereabouts::Nowhere);
    }
    // The chain first: one question, and an active deal needs no other. It can be asked while the sealer is away, too.
    let mut inactive = match on_chain(deal, deal_id, parts)? {
        Ok(Some(place)) => return Ok(Whereabouts::There(place)),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let found = match (offered, parts.sealers.get(deal.miner())) {
        (false, _) => Ok(None),
        (true, Some(sealer)) => sealer
            .find(deal_id, &deal.proposal().piece_cid)
            .map_err(|error| error.to_string()),
        (true, None) => Err(format!("no sealer is set for {}", deal.miner())),
    };
    match found {
        Ok(Some(place)) => return Ok(Whereabouts::There(place)),
        // A sector that was proven between the two questions is in neither answer.
        Ok(None) if offered => match on_chain(deal, deal_id, parts)? {
            Ok(Some(place)) => return Ok(Whereabouts::There(place)),
            Ok(None) => inactive = Ok(()),
            Err(error) => inactive = Err(error),
        },
        Ok(None) | Err(_) => {}
    }
    let hopeless =
        inactive.is_ok() && late.is_some_and(|head| head > start.saturating_add(FINALITY));
    if let Err(error) = found
        && !hopeless
    {
        return Err(format!("looking the piece up at the sealer: {error}"));
    }
    match (late, inactive) {
        (None, _) => Ok(Whereabouts::Nowhere),
        (Some(head), Ok(())) => Ok(Whereabouts::TooLate(head)),
        (Some(_), Err(error)) => Err(format!("looking the deal up on chain: {error}")),
    }
}

/// The sector in which the chain shows a deal active; or an answer by which some nodes say that there is no such deal.
///
/// # Errors
/// The chain does not say.
fn on_chain(
    deal: &Deal,
    deal_id: u64,
    parts: &Parts,
) -> Result<Result<Option<SectorPlace>, ChainError>, String> {
    match parts.chain.deal_state(deal_id) {
        Ok(Some(state)) if same(deal, &state) && state.sector_start_epoch > 0 => {
            Ok(Ok(Some(SectorPlace {
                sector: state.sector_number,
                offset: 0,
            })))
        }
        Ok(_) => Ok(Ok(None)),
        Err(error @ ChainError::Refused { .. }) => Ok(Err(error)),
        Err(error) => Err(format!("looking the deal up on chain: {error}")),
    }
}

/// Asks on the sealers' thread.
pub(super) fn ask(deal: &Deal, parts: &Parts, threads: &Threads, reports: &Sender<Report>) {
    let (uuid, deal, parts, told) = (deal.uuid, deal.clone(), parts.clone(), reports.clone());
    let submitted = threads.sealer.submit(move || {
        let found = look(&deal, deal.handing_over, &parts);
        let _ = told.try_send(Report::Looked(uuid, found));
    });
    if let Err(busy) = submitted {
        let _ = reports.try_send(Report::Looked(uuid, Err(busy.to_string())));
    }
}
