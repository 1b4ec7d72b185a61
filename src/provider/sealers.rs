//! Which sealer belongs to which miner: each entry of `MINER_API_INFO` to the one that its `ActorAddress` names.
//!
//! The sealers need not be up when the provider starts: an entry is asked for its miner when a deal first needs it.

use super::tickets::Tickets;
use crate::filecoin::Address;
use crate::market::lock;
use crate::sealer::{Handover, LotusMiner, Sealer, SealerError, SectorPlace, SectorStatus};
use cid::Cid;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

struct Entry {
    sealer: Arc<LotusMiner>,
    /// Once it has told.
    miner: Mutex<Option<Address>>,
}

/// The sealer of one miner, found when it is needed.
struct Routed {
    miner: Address,
    entries: Arc<Vec<Entry>>,
}

/// A sealer for each miner, over these endpoints. With an address to be fetched from, pieces are fetched by the sealer;
/// without one they are pushed to it.
///
/// # Errors
/// An endpoint's text has none of the known forms.
pub(super) fn routed(
    endpoints: &[String],
    miners: &[Address],
    fetched_from: Option<&str>,
    tickets: &Tickets,
) -> Result<BTreeMap<Address, Arc<dyn Sealer>>, crate::rpc::EndpointError> {
    let mut entries = Vec::new();
    for endpoint in endpoints {
        let mut sealer = LotusMiner::new(endpoint, crate::rpc::Limits::default())?;
        if let Some(base) = fetched_from {
            let (base, tickets) = (base.to_owned(), tickets.clone());
            sealer = sealer.with_fetch_url(Box::new(move |piece| tickets.issue(&base, piece)));
        }
        entries.push(Entry {
            sealer: Arc::new(sealer),
            miner: Mutex::new(None),
        });
    }
    let entries = Arc::new(entries);
    Ok(miners
        .iter()
        .map(|miner| {
            let routed = Routed {
                miner: miner.clone(),
                entries: Arc::clone(&entries),
            };
            (miner.clone(), Arc::new(routed) as Arc<dyn Sealer>)
        })
        .collect())
}

impl Routed {
    fn sealer(&self) -> Result<Arc<LotusMiner>, SealerError> {
        let mut away = None;
        for entry in self.entries.iter() {
            let known = lock(&entry.miner).clone();
            let miner = match known {
                Some(miner) => miner,
                None => match entry.sealer.actor_address() {
                    Ok(miner) => {
                        *lock(&entry.miner) = Some(miner.clone());
                        miner
                    }
                    Err(error) => {
                        away = Some(error);
                        continue;
                    }
                },
            };
            if miner == self.miner {
                return Ok(Arc::clone(&entry.sealer));
            }
        }
        Err(away.unwrap_or_else(|| {
            SealerError::Unreachable(format!(
                "no entry of MINER_API_INFO belongs to {}",
                self.miner
            ))
        }))
    }
}

impl Sealer for Routed {
    fn add_piece(&self, piece: &Handover, stop: &AtomicBool) -> Result<SectorPlace, SealerError> {
        self.sealer()?.add_piece(piece, stop)
    }

    fn find(&self, deal_id: u64, piece_cid: &Cid) -> Result<Option<SectorPlace>, SealerError> {
        self.sealer()?.find(deal_id, piece_cid)
    }

    fn sector(&self, number: u64) -> Result<SectorStatus, SealerError> {
        self.sealer()?.sector(number)
    }

    fn summary(&self) -> Result<BTreeMap<String, u64>, SealerError> {
        self.sealer()?.summary()
    }
}
