//! Watching sectors until the deal is sealed or the sector is gone (spec boost-mk12 4.8).

use super::inputs::Report;
use super::{Parts, Threads, laid, onchain};
use crate::chain::ChainError;
use crate::deal::step::{Event, OnChain};
use crate::deal::{Deal, Millis};
use crate::filecoin::Address;
use crate::sealer::{Phase, SectorStatus, phase};
use smol::channel::Sender;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Deals whose sectors are watched.
#[derive(Default)]
pub(super) struct Sectors {
    watched: BTreeSet<Uuid>,
    /// For deals whose sealer does not tell.
    asked: laid::Asked,
}

impl Sectors {
    /// Watches a deal's sector.
    pub(super) fn watch(&mut self, deal: Uuid) {
        self.watched.insert(deal);
    }

    /// Whether it is time to ask the chain about a deal whose sealer does not tell.
    pub(super) fn chain_due(&mut self, deal: Uuid, now: Millis, poll: Millis) -> bool {
        self.asked.due(deal, now, poll)
    }

    /// The deal is not watched any more.
    pub(super) fn forget(&mut self, deal: Uuid) {
        self.watched.remove(&deal);
        self.asked.forget(deal);
    }

    /// Takes the deals out whose sectors are to be looked at now; the machine puts them back.
    pub(super) fn take(&mut self) -> Vec<Uuid> {
        std::mem::take(&mut self.watched).into_iter().collect()
    }
}

/// A deal in a sector.
#[derive(Clone)]
struct Watched {
    uuid: Uuid,
    deal_id: u64,
    /// State of the sector when it was last seen.
    last: String,
    /// What the chain is asked about.
    deal: Arc<Deal>,
    /// It is asked even if the sealer says nothing.
    ask_chain: bool,
}

/// Looks at the sectors of these deals on the sealers' thread: one call for each sector, however many deals are in it. The
/// chain is asked about deals that `ask_chain` names, where the sealer says nothing.
pub(super) fn look<'a>(
    deals: impl Iterator<Item = &'a Deal>,
    mut ask_chain: impl FnMut(Uuid) -> bool,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let mut sectors: BTreeMap<(&Address, u64), Vec<Watched>> = BTreeMap::new();
    for deal in deals {
        let Some(deal_id) = deal.chain_deal_id else {
            continue;
        };
        let ask_chain = ask_chain(deal.uuid);
        let Some(sector) = deal.sector else {
            laid::look_for_place(deal, ask_chain, parts, threads, reports);
            continue;
        };
        let seen = Watched {
            uuid: deal.uuid,
            deal_id,
            last: deal.sealing.clone(),
            deal: Arc::new(deal.clone()),
            ask_chain,
        };
        sectors
            .entry((deal.miner(), sector.number))
            .or_default()
            .push(seen);
    }
    for ((miner, number), deals) in sectors {
        let Some(sealer) = parts.sealers.get(miner).cloned() else {
            tell_nothing(reports, &deals);
            continue;
        };
        let (told, asked, parts) = (reports.clone(), deals.clone(), parts.clone());
        let submitted = threads.sealer.submit(move || match sealer.sector(number) {
            Ok(seen) if seen.state.is_empty() && seen.deals.is_empty() => {
                tell_by_chain(&told, asked, &parts);
            }
            Ok(seen) => tell_seen(&told, &asked, &seen, &parts),
            Err(error) => {
                // The sealer may be away for days: said, and looked at again.
                log::debug!("sector {number}: {error}");
                tell_nothing(&told, &asked);
            }
        });
        if submitted.is_err() {
            tell_nothing(reports, &deals);
        }
    }
}

/// Reports what the chain says to each deal of a sector of which the sealer says nothing.
fn tell_by_chain(reports: &Sender<Report>, deals: Vec<Watched>, parts: &Parts) {
    for deal in deals {
        let asked = deal.ask_chain.then_some(deal.deal.as_ref());
        match asked.and_then(|asked| laid::on_chain(asked, parts)) {
            Some((state, holds_deal)) => {
                let event = Event::SectorSeen {
                    state: state.to_owned(),
                    ended: true,
                    holds_deal,
                };
                let _ = reports.try_send(Report::Event(deal.uuid, event));
            }
            None => tell_nothing(reports, &[deal]),
        }
    }
}

/// Reports what was seen of a sector to each of its deals.
fn tell_seen(reports: &Sender<Report>, deals: &[Watched], seen: &SectorStatus, parts: &Parts) {
    let ended = matches!(phase(&seen.state), Phase::OnChain | Phase::Gone)
        || seen.state == "FailedUnrecoverable";
    for watched in deals {
        let listed = seen.deals.contains(&watched.deal_id);
        // What a sector lists may change behind our back; a deal that the chain shows active is sealed, whoever has forgotten it.
        let held = if ended && !listed {
            active(watched, parts)
        } else {
            Some(listed)
        };
        let event = Event::SectorSeen {
            ended: ended && held.is_some(),
            holds_deal: held.unwrap_or(false),
            state: seen.state.clone(),
        };
        let _ = reports.try_send(Report::Event(watched.uuid, event));
    }
}

/// Whether the chain shows the deal active; none if it does not say. A node may refuse to answer for a deal that is not there.
fn active(watched: &Watched, parts: &Parts) -> Option<bool> {
    match parts.chain.deal_state(watched.deal_id) {
        Ok(state) => Some(matches!(
            onchain::shown(&watched.deal, state.as_ref()),
            OnChain::Active(_)
        )),
        Err(ChainError::Refused { .. }) => Some(false),
        Err(error) => {
            log::warn!(
                "deal {}: its sector does not list it, and the chain was asked in vain: {error}",
                watched.uuid
            );
            None
        }
    }
}

/// Nothing was seen of their sector: the deals stay in its last state.
fn tell_nothing(reports: &Sender<Report>, deals: &[Watched]) {
    for watched in deals {
        let event = Event::SectorSeen {
            state: watched.last.clone(),
            ended: false,
            holds_deal: false,
        };
        let _ = reports.try_send(Report::Event(watched.uuid, event));
    }
}
