//! Watching sectors until the deal is sealed or the sector is gone (spec boost-mk12 4.8).

use super::inputs::Report;
use super::{Parts, Threads};
use crate::deal::Deal;
use crate::deal::step::Event;
use crate::filecoin::Address;
use crate::sealer::{Phase, SectorStatus, phase};
use smol::channel::Sender;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Deals whose sectors are watched.
#[derive(Default)]
pub(super) struct Sectors {
    watched: BTreeSet<Uuid>,
}

impl Sectors {
    /// Watches a deal's sector.
    pub(super) fn watch(&mut self, deal: Uuid) {
        self.watched.insert(deal);
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
}

/// Looks at the sectors of these deals on the sealers' thread: one call for each sector, however many deals are in it.
pub(super) fn look<'a>(
    deals: impl Iterator<Item = &'a Deal>,
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let mut sectors: BTreeMap<(&Address, u64), Vec<Watched>> = BTreeMap::new();
    for deal in deals {
        if let (Some(sector), Some(deal_id)) = (deal.sector, deal.chain_deal_id) {
            let seen = Watched {
                uuid: deal.uuid,
                deal_id,
                last: deal.sealing.clone(),
            };
            sectors
                .entry((deal.miner(), sector.number))
                .or_default()
                .push(seen);
        }
    }
    for ((miner, number), deals) in sectors {
        let Some(sealer) = parts.sealers.get(miner).cloned() else {
            tell(reports, deals, None);
            continue;
        };
        let (told, asked) = (reports.clone(), deals.clone());
        let submitted = threads.sealer.submit(move || match sealer.sector(number) {
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

/// Reports what was seen of a sector to each of its deals; nothing seen leaves their state as it was.
fn tell(reports: &Sender<Report>, deals: Vec<Watched>, seen: Option<&SectorStatus>) {
    for Watched {
        uuid,
        deal_id,
        last,
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
