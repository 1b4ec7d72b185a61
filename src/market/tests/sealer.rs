//! A sealer in memory that remembers what it was given.

use crate::sealer::{Handover, Sealer, SealerError, SectorPlace, SectorStatus};
use cid::Cid;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// A piece that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    pub deal_id: u64,
    pub piece_cid: Cid,
    pub bytes: Vec<u8>,
}

#[derive(Default)]
pub struct State {
    /// In the order of their coming; the position is the sector number.
    pub added: Vec<Added>,
    /// The next answers to `add_piece`.
    pub failures: Vec<SealerError>,
    /// Pieces are taken, but who brings them does not hear of it.
    pub mute: bool,
    /// Calls wait while this is set.
    pub held: bool,
    /// Calls of `add_piece`, and how many of them run.
    pub calls: u32,
    pub running: u32,
    /// State of all sectors; empty is `Proving`.
    pub sector: String,
    /// No call is answered.
    pub away: bool,
    /// Counting sectors takes until this is not set any more.
    pub counting: bool,
    /// The sectors hold no deals.
    pub empty: bool,
    /// All sectors are proven: who looks for a piece finds none, and this happens meanwhile.
    pub proven: Option<Box<dyn FnMut() + Send>>,
}

#[derive(Default)]
pub struct MemorySealer(Mutex<State>);

impl MemorySealer {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics under the lock")
    }

    fn here(&self) -> Result<MutexGuard<'_, State>, SealerError> {
        let state = self.state();
        if state.away {
            return Err(SealerError::Unreachable("it is away".to_owned()));
        }
        Ok(state)
    }
}

impl Sealer for MemorySealer {
    fn add_piece(
        &self,
        piece: &Handover,
        stop: &AtomicBool,
    ) -> Result<Option<SectorPlace>, SealerError> {
        let bytes =
            std::fs::read(&piece.file).map_err(|error| SealerError::File(error.to_string()))?;
        assert_eq!(bytes.len() as u64, piece.payload_size);
        self.here()?.calls += 1;
        self.state().running += 1;
        while self.state().held && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut state = self.state();
        state.running -= 1;
        if stop.load(Ordering::Relaxed) {
            return Err(SealerError::Stopped);
        }
        if !state.failures.is_empty() {
            return Err(state.failures.remove(0));
        }
        state.added.push(Added {
            deal_id: piece.deal_id,
            piece_cid: piece.proposal.piece_cid,
            bytes,
        });
        if state.mute {
            return Err(SealerError::Unreachable("the answer was lost".to_owned()));
        }
        Ok(Some(place(state.added.len() - 1)))
    }

    fn find(&self, deal_id: u64, piece_cid: &Cid) -> Result<Option<SectorPlace>, SealerError> {
        let mut state = self.here()?;
        if let Some(meanwhile) = &mut state.proven {
            meanwhile();
            return Ok(None);
        }
        let known = |added: &Added| added.deal_id == deal_id && added.piece_cid == *piece_cid;
        Ok(state.added.iter().position(known).map(place))
    }

    fn sector(&self, number: u64) -> Result<SectorStatus, SealerError> {
        let state = self.here()?;
        let deals = state
            .added
            .get(usize::try_from(number).expect("few sectors"));
        let name = match state.sector.as_str() {
            "" => "Proving",
            name => name,
        };
        Ok(SectorStatus {
            state: name.to_owned(),
            deals: deals
                .filter(|_| !state.empty)
                .map(|added| added.deal_id)
                .into_iter()
                .collect(),
        })
    }

    fn summary(&self) -> Result<BTreeMap<String, u64>, SealerError> {
        while self.state().counting {
            std::thread::sleep(Duration::from_millis(1));
        }
        let sectors = self.here()?.added.len() as u64;
        Ok([("Packing".to_owned(), 2), ("Proving".to_owned(), sectors)].into())
    }
}

fn place(position: usize) -> SectorPlace {
    SectorPlace {
        sector: position as u64,
        offset: 0,
    }
}
