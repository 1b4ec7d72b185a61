//! Which sealer belongs to which miner: its hand-over directory if it has one, else the entry of `MINER_API_INFO` that its
//! `ActorAddress` names. With both, pieces go through the directory and the entry tells the sectors' states.
//!
//! The sealers need not be up when the provider starts: an entry is asked for its miner when a deal first needs it.

use super::tickets::Tickets;
use crate::config::Config;
use crate::filecoin::Address;
use crate::market::lock;
use crate::sealer::{
    Directory, Handover, LotusMiner, Sealer, SealerError, SectorPlace, SectorStatus,
};
use cid::Cid;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

struct Entry {
    sealer: Arc<LotusMiner>,
    /// Once it has told.
    miner: Mutex<Option<Address>>,
}

/// The sealer of one miner, found when it is needed.
struct Routed {
    miner: Address,
    entries: Arc<Vec<Entry>>,
    directory: Option<Arc<Directory>>,
}

/// A sealer for each miner. With an address to be fetched from, pieces are fetched by lotus-miner; without one they are
/// pushed to it.
///
/// # Errors
/// In words for the operator: an endpoint's text has none of the known forms, or a hand-over directory cannot be used.
pub(super) fn routed(
    config: &Config,
    tickets: &Tickets,
) -> Result<BTreeMap<Address, Arc<dyn Sealer>>, String> {
    let mut entries = Vec::new();
    for endpoint in &config.miner_api_info {
        let mut sealer = LotusMiner::new(endpoint, crate::rpc::Limits::default())
            .map_err(|error| format!("MINER_API_INFO: {error}"))?;
        if let Some(base) = config.sealer_url.clone() {
            let tickets = tickets.clone();
            sealer = sealer.with_fetch_url(Box::new(move |piece| tickets.issue(&base, piece)));
        }
        entries.push(Entry {
            sealer: Arc::new(sealer),
            miner: Mutex::new(None),
        });
    }
    let entries = Arc::new(entries);
    // Miners with the same directory share it: its lock keeps deals with the same piece apart.
    let mut directories: BTreeMap<&Path, Arc<Directory>> = BTreeMap::new();
    let mut all: BTreeMap<Address, Arc<dyn Sealer>> = BTreeMap::new();
    for miner in &config.miners {
        let directory = match miner.handover_dir.as_deref() {
            None => None,
            Some(path) => {
                let known = directories.get(path).map(Arc::clone);
                let directory = known.map_or_else(|| opened(path, &config.staging), Ok)?;
                directories.insert(path, Arc::clone(&directory));
                Some(directory)
            }
        };
        let routed = Routed {
            miner: miner.address.clone(),
            entries: Arc::clone(&entries),
            directory,
        };
        all.insert(miner.address.clone(), Arc::new(routed));
    }
    Ok(all)
}

fn opened(path: &Path, staging: &Path) -> Result<Arc<Directory>, String> {
    let opened = Directory::open(path, staging);
    let directory = opened.map_err(|why| format!("CORACLE_HANDOVER_DIR: {why}"))?;
    Ok(Arc::new(directory))
}

impl Routed {
    /// The miner's entry of `MINER_API_INFO`; none if all of them belong to others.
    fn entry(&self) -> Result<Option<Arc<LotusMiner>>, SealerError> {
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
                return Ok(Some(Arc::clone(&entry.sealer)));
            }
        }
        away.map_or(Ok(None), Err)
    }

    fn lotus_miner(&self) -> Result<Arc<LotusMiner>, SealerError> {
        self.entry()?.ok_or_else(|| {
            SealerError::Unreachable(format!(
                "no entry of MINER_API_INFO belongs to {}",
                self.miner
            ))
        })
    }

    /// Who takes the pieces.
    fn taker(&self) -> Result<Arc<dyn Sealer>, SealerError> {
        match &self.directory {
            Some(directory) => Ok(Arc::clone(directory) as Arc<dyn Sealer>),
            None => Ok(self.lotus_miner()? as Arc<dyn Sealer>),
        }
    }

    /// Who tells of sectors.
    fn teller(&self) -> Result<Arc<dyn Sealer>, SealerError> {
        match (&self.directory, self.entry()?) {
            (_, Some(entry)) => Ok(entry as Arc<dyn Sealer>),
            (Some(directory), None) => Ok(Arc::clone(directory) as Arc<dyn Sealer>),
            (None, None) => Ok(self.lotus_miner()? as Arc<dyn Sealer>),
        }
    }
}

impl Sealer for Routed {
    fn add_piece(
        &self,
        piece: &Handover,
        stop: &AtomicBool,
    ) -> Result<Option<SectorPlace>, SealerError> {
        self.taker()?.add_piece(piece, stop)
    }

    fn find(&self, deal_id: u64, piece_cid: &Cid) -> Result<Option<SectorPlace>, SealerError> {
        self.taker()?.find(deal_id, piece_cid)
    }

    fn sector(&self, number: u64) -> Result<SectorStatus, SealerError> {
        self.teller()?.sector(number)
    }

    fn summary(&self) -> Result<BTreeMap<String, u64>, SealerError> {
        self.teller()?.summary()
    }

    fn laid_out(&self) -> Result<Vec<(Uuid, u64, Cid)>, SealerError> {
        // Whoever has no directory need not be asked: nothing lies around.
        match &self.directory {
            Some(directory) => directory.laid_out(),
            None => Ok(Vec::new()),
        }
    }

    fn clear(&self, deal_id: u64, piece_cid: &Cid) -> Result<(), SealerError> {
        match &self.directory {
            Some(directory) => directory.clear(deal_id, piece_cid),
            None => Ok(()),
        }
    }

    fn could_take(&self, file: &Path) -> Result<(), SealerError> {
        match &self.directory {
            Some(directory) => directory.could_take(file),
            None => Ok(()),
        }
    }
}
