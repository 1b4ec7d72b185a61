//! Watching sectors until the deal is sealed or the sector is gone (spec boost-mk12 4.8).

use super::inputs::Report;
use super::{Parts, Threads, laid};
use crate::deal::step::Event;
use crate::deal::{Deal, Millis};
use crate::filecoin::Address;
use crate::sealer::{Phase, SectorStatus, phase};
use smol::channel::Sender;
use std::collections::{BTreeMap, BTreeSet};
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
    /// What the chain is asked about if the sealer says nothing.
    ask_chain: Option<Box<Deal>>,
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
            ask_chain: ask_chain.then(|| Box::new(deal.clone())),
        };
        sectors
            .entry((deal.miner(), sector.number))
            .or_default()
            .push(seen);
    }
    for ((miner, number), deals) in sectors {
        let Some(sealer) = parts.sealers.get(miner).cloned() else {
            tell(reports, deals, None);
            continue;
        };
        let (told, asked, parts) = (reports.clone(), deals.clone(), parts.clone());
        let submitted = threads.sealer.submit(move || match sealer.sector(number) {
            Ok(seen) if seen.state.is_empty() && seen.deals.is_empty() => {
                tell_by_chain(&told, asked, &parts);
            }
            Ok(seen) => tell(&told, asked, Some(&seen)),
            Err(error) => {
                // The sealer may be away for days: said, and looked at again.
                log::debug!("sector {number}: {error}");
                tell(&told, asked, None);
            }
        });
        if submitted.is_err() {
            tell(reports, deals, None);
        }
    }
}

/// Reports what the chain says to each deal of a sector of which the sealer says nothing.
fn tell_by_chain(reports: &Sender<Report>, deals: Vec<Watched>, parts: &Parts) {
    for deal in deals {
        let asked = deal.ask_chain.as_deref();
        match asked.and_then(|asked| laid::on_chain(asked, parts)) {
            Some((state, holds_deal)) => {
                let event = Event::SectorSeen {
                    state: state.to_owned(),
                    ended: true,
                    holds_deal,
                };
                let _ = reports.try_send(Report::Event(deal.uuid, event));
            }
            None => tell(reports, vec![deal], None),
        }
    }
}

/// Reports what was seen of a sector to each of its deals; nothing seen leaves their state as it was.
fn tell(reports: &Sender<Report>, deals: Vec<Watched>, seen: Option<&SectorStatus>) {
    for Watched {
        uuid,
        deal_id,
        last,
        ..
    } in deals
    {
        let event = match seen {
            Some(seen) => Event::SectorSeen {
                ended: matches!(phase(&seen.state), Phase::OnChain | Phase::Gone)
                    || seen.state == "FailedUnrecoverable",
                holds_deal: seen.deals.contains(&deal_id),
                state: seen.state.clone(),
            },
            None => Event::SectorSeen {
                state: last,
                ended: false,
                holds_deal: false,
            },
        };
        let _ = reports.try_send(Report::Event(uuid, event));
    }
}
