//! Pieces that lie ready for a sealer that fetches them when it likes: asking where it put them, and taking away what is not
//! needed any more.

use super::inputs::Report;
use super::late::{self, Whereabouts};
use super::{Parts, Threads, handover, onchain};
use crate::deal::Deal;
use crate::deal::ledger::lies_ready;
use crate::deal::step::{Event, FINALITY, OnChain};
use crate::deal::{Checkpoint, Millis};
use crate::store::Store;
use smol::channel::Sender;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Looks at a deal's files between two questions to the chain about it: files cost nothing, and a sealer needs hours.
const LOOKS_BETWEEN: u64 = 20;

/// The state that is shown of a sector whose deal the chain shows active, when nobody else tells: lotus-miner's word for it.
const PROVING: &str = "Proving";

/// When the chain was last asked about deals whose sealer does not tell.
#[derive(Default)]
pub(super) struct Asked {
    at: BTreeMap<Uuid, Millis>,
}

impl Asked {
    /// Whether it is time to ask again; notes that it is done.
    pub(super) fn due(&mut self, deal: Uuid, now: Millis, poll: Millis) -> bool {
        let pause = poll.saturating_mul(LOOKS_BETWEEN);
        let lately = |at: &Millis| now.abs_diff(*at) < pause;
        let due = !self.at.get(&deal).is_some_and(lately);
        if due {
            self.at.insert(deal, now);
        }
        due
    }

    /// The deal is not watched any more.
    pub(super) fn forget(&mut self, deal: Uuid) {
        self.at.remove(&deal);
    }
}

/// Asks where the piece of a deal without a sector is, on the sealers' thread; the chain as well if `ask_chain`.
pub(super) fn look_for_place(
    deal: &Deal,
    ask_chain: bool,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let (uuid, deal, parts, told) = (deal.uuid, deal.clone(), parts.clone(), reports.clone());
    let nothing = Event::SectorSeen {
        state: deal.sealing.clone(),
        ended: false,
        holds_deal: false,
    };
    let otherwise = nothing.clone();
    let submitted = threads.sealer.submit(move || {
        let event = place(&deal, ask_chain, &parts).unwrap_or(nothing);
        let _ = told.try_send(Report::Event(uuid, event));
    });
    if submitted.is_err() {
        let _ = reports.try_send(Report::Event(uuid, otherwise));
    }
}

fn place(deal: &Deal, ask_chain: bool, parts: &Parts) -> Option<Event> {
    let (deal_id, sealer) = (deal.chain_deal_id?, parts.sealers.get(deal.miner())?);
    match sealer.find(deal_id, &deal.proposal().piece_cid) {
        Ok(Some(place)) => return Some(Event::Placed(handover::sector(place))),
        Ok(None) => {}
        // The sealer says it in the log by itself.
        Err(error) => log::debug!("deal {}: its place: {error}", deal.uuid),
    }
    if !ask_chain {
        return None;
    }
    match late::look(deal, true, parts) {
        // The deal is active: the sector is known, whoever forgot to say so.
        Ok(Whereabouts::There(place)) => Some(Event::Placed(handover::sector(place))),
        Ok(Whereabouts::TooLate(head)) => (head
            > deal.proposal().start_epoch.saturating_add(FINALITY))
        .then(|| Event::SectorSeen {
            state: deal.sealing.clone(),
            ended: true,
            holds_deal: false,
        }),
        Ok(Whereabouts::Nowhere) => None,
        Err(error) => {
            log::debug!("deal {}: {error}", deal.uuid);
            None
        }
    }
}

/// How a deal ended, by the chain, whose sealer says nothing of its sector: the state to be shown, and whether the deal is
/// sealed. None while it may still be.
pub(super) fn on_chain(deal: &Deal, parts: &Parts) -> Option<(&'static str, bool)> {
    // The head first: what is not active at this height or above it is not active in time.
    let head = parts.chain.head();
    let state = parts.chain.deal_state(deal.chain_deal_id?);
    match (head, state) {
        (Ok(head), Ok(state)) => match onchain::shown(deal, state.as_ref()) {
            OnChain::Active(_) => Some((PROVING, true)),
            _ if head.epoch > deal.proposal().start_epoch.saturating_add(FINALITY) => {
                Some(("", false))
            }
            _ => None,
        },
        (Err(error), _) | (_, Err(error)) => {
            log::debug!("deal {}: the chain was asked in vain: {error}", deal.uuid);
            None
        }
    }
}

/// Takes away what lies ready for the sealer, on its thread; what fails is done again at the next start.
pub(super) fn clear(deal: &Deal, parts: &Parts, threads: &Threads) {
    let sealer = parts.sealers.get(deal.miner()).cloned();
    let (Some(deal_id), Some(sealer)) = (deal.chain_deal_id, sealer) else {
        return;
    };
    let (uuid, piece_cid) = (deal.uuid, deal.proposal().piece_cid);
    let submitted = threads.sealer.submit(move || {
        if let Err(error) = sealer.clear(deal_id, &piece_cid) {
            log::warn!("deal {uuid}: what lies ready for the sealer stays there: {error}");
        }
    });
    if submitted.is_err() {
        log::warn!("deal {uuid}: what lies ready for the sealer stays there until the next start");
    }
}

/// At start: takes away what lies ready for deals that have their place or have ended; a crash came before that was done.
/// What belongs to no deal of this database is left alone.
pub(super) fn sweep(live: &[Deal], parts: &Parts) {
    for sealer in parts.sealers.values() {
        let laid_out = match sealer.laid_out() {
            Ok(laid_out) => laid_out,
            Err(error) => {
                log::warn!("what lies ready for the sealer cannot be looked at: {error}");
                continue;
            }
        };
        for (uuid, deal_id, piece_cid) in laid_out {
            if !over(uuid, live, parts.store.as_ref()) {
                continue;
            }
            log::info!("deal {uuid}: what lay ready for the sealer is taken away");
            if let Err(error) = sealer.clear(deal_id, &piece_cid) {
                log::warn!("deal {uuid}: what lies ready for the sealer stays there: {error}");
            }
        }
    }
}

/// Whether a deal needs nothing any more that lies ready for its sealer.
fn over(uuid: Uuid, live: &[Deal], store: &dyn Store) -> bool {
    if let Some(deal) = live.iter().find(|deal| deal.uuid == uuid) {
        return deal.checkpoint > Checkpoint::PublishConfirmed && !lies_ready(deal);
    }
    match store.deal(uuid) {
        Ok(Some(_)) => true,
        Ok(None) => {
            log::warn!("deal {uuid} lies ready for the sealer and is not known here");
            false
        }
        Err(error) => {
            log::warn!("deal {uuid}: {error}");
            false
        }
    }
}
