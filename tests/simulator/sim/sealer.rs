//! A sealer in memory: within one run a repeated call joins the first, after a restart it would add the piece again.

use super::chain::MemoryChain;
use super::disk::MemoryDisk;
use super::goods::goods;
use super::kinds::Kind;
use super::sched::{Dead, Sched};
use super::tasks::lock;
use cid::Cid;
use coracle::deal::Millis;
use coracle::sealer::{Handover, Sealer, SealerError, SectorPlace, SectorStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// States of a sector on its way, with the share of the sealing time at which each begins, in tenths.
const WAY: [(u64, &str); 6] = [
    (0, "WaitDeals"),
    (1, "Packing"),
    (2, "PreCommit1"),
    (6, "WaitSeed"),
    (8, "Committing"),
    (10, "Proving"),
];

/// A piece; its position among all is its sector's number.
#[derive(Debug, Clone)]
struct Piece {
    deal_id: u64,
    piece_cid: Cid,
    /// When its bytes are in the sector.
    written: Millis,
    /// How long its sealing takes.
    sealing: Millis,
    /// Forgotten before it was written.
    lost: bool,
    removed: bool,
    proven: bool,
}

#[derive(Debug, Default)]
struct State {
    pieces: Vec<Piece>,
    /// Deals whose calls this run of the sealer remembers, with their pieces.
    calls: BTreeMap<u64, usize>,
    /// Deals that have had their piece: a second one would be a copy.
    had: BTreeSet<u64>,
}

/// Outlives the processes. Cloning shares it.
#[derive(Clone)]
pub struct MemorySealer {
    state: Arc<Mutex<State>>,
    sched: Arc<Sched>,
    disk: MemoryDisk,
    chain: MemoryChain,
}

fn gone(_: Dead) -> SealerError {
    unreachable("the process is gone")
}

fn unreachable(text: &str) -> SealerError {
    SealerError::Unreachable(text.to_owned())
}

impl MemorySealer {
    /// A sealer without sectors.
    pub fn new(sched: &Arc<Sched>, disk: &MemoryDisk, chain: &MemoryChain) -> Self {
        Self {
            state: Arc::default(),
            sched: Arc::clone(sched),
            disk: disk.clone(),
            chain: chain.clone(),
        }
    }

    /// Whether the sealer has had this deal's piece.
    pub fn has_had(&self, deal_id: u64) -> bool {
        self.catch_up();
        lock(&self.state).had.contains(&deal_id)
    }

    fn here(&self) -> Result<(), SealerError> {
        self.sched.outside().map_err(gone)?;
        self.catch_up();
        if self.sched.fault(Kind::SealerRestart) {
            let now = self.sched.now();
            let mut state = lock(&self.state);
            state.calls.clear();
            for piece in &mut state.pieces {
                piece.lost |= piece.written > now;
            }
        }
        if self.sched.fault(Kind::SealerAway) {
            return Err(match self.sched.below(2) {
                0 => unreachable("no connection"),
                _ => SealerError::Refused {
                    code: 1,
                    message: "SectorAddPieceToAny: no".to_owned(),
                },
            });
        }
        Ok(())
    }

    fn back<T>(&self, value: T) -> Result<T, SealerError> {
        self.sched.outside().map_err(gone)?;
        Ok(value)
    }

    /// Time passes: pieces are written, sectors proven.
    fn catch_up(&self) {
        let now = self.sched.now();
        let mut proven = Vec::new();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        for (sector, piece) in state.pieces.iter_mut().enumerate() {
            if piece.lost || piece.written > now {
                continue;
            }
            if state.had.insert(piece.deal_id) && self.sched.fault(Kind::SectorRemoved) {
                piece.removed = true;
            }
            let due = piece.written + piece.sealing <= now;
            if due && !piece.proven && !piece.removed {
                piece.proven = true;
                proven.push((piece.deal_id, sector as u64));
            }
        }
        drop(guard);
        for (deal, sector) in proven {
            self.chain.activate(deal, sector);
        }
    }

    /// The bytes must be those of the piece.
    fn check_bytes(&self, piece: &Handover, bytes: &[u8]) {
        let wanted = goods()
            .cars
            .iter()
            .find(|car| car.commitment.cid() == piece.proposal.piece_cid);
        if wanted.is_none_or(|car| car.bytes != bytes) {
            let text = format!(
                "deal {} brings {} bytes that are not those of its piece",
                piece.deal_id,
                bytes.len()
            );
            self.sched
                .violated("the sealer gets the piece's bytes", text);
        }
        if bytes.len() as u64 != piece.payload_size {
            let text = format!("{} bytes for {}", bytes.len(), piece.payload_size);
            self.sched
                .violated("the sealer gets the piece's bytes", text);
        }
    }

    /// Joins a call of this run or begins one; the piece's sector.
    fn begin(&self, piece: &Handover) -> usize {
        let now = self.sched.now();
        if let Some(known) = lock(&self.state).calls.get(&piece.deal_id).copied() {
            self.sched.count(Kind::SealerJoined);
            return known;
        }
        let copies = {
            let state = lock(&self.state);
            let same =
                |known: &&Piece| known.deal_id == piece.deal_id && !known.lost && !known.removed;
            state.pieces.iter().filter(same).count()
        };
        if copies > 0 {
            let text = format!("deal {} is added again", piece.deal_id);
            self.sched
                .violated("one piece per deal at the sealer", text);
        }
        let writing = if self.sched.fault(Kind::SealerSlow) {
            self.sched.pick(&[5_000, 120_000, 3_600_000])
        } else {
            0
        };
        let sealing = self.sched.pick(&[0, 600_000, 7_200_000]);
        let mut state = lock(&self.state);
        state.pieces.push(Piece {
            deal_id: piece.deal_id,
            piece_cid: piece.proposal.piece_cid,
            written: now + writing,
            sealing,
            lost: false,
            removed: false,
            proven: false,
        });
        let sector = state.pieces.len() - 1;
        state.calls.insert(piece.deal_id, sector);
        sector
    }
}

fn place(sector: usize) -> SectorPlace {
    SectorPlace {
        sector: sector as u64,
        offset: 0,
    }
}

impl Sealer for MemorySealer {
    fn add_piece(
        &self,
        piece: &Handover,
        stop: &AtomicBool,
    ) -> Result<Option<SectorPlace>, SealerError> {
        self.here()?;
        let bytes = self.disk.read(&piece.file);
        let bytes = bytes.map_err(|error| SealerError::File(error.to_string()))?;
        self.sched.alive().map_err(gone)?;
        self.check_bytes(piece, &bytes);
        let sector = self.begin(piece);
        loop {
            let (written, lost) = {
                let state = lock(&self.state);
                (state.pieces[sector].written, state.pieces[sector].lost)
            };
            if lost {
                return Err(unreachable("the connection broke"));
            }
            let now = self.sched.now();
            if written <= now {
                break;
            }
            let stopped = || stop.load(Ordering::Relaxed);
            self.sched.wait(written - now, stopped).map_err(gone)?;
            if stopped() {
                return Err(SealerError::Stopped);
            }
            if self.sched.now() < written {
                // Nobody can wait for it here.
                return Err(unreachable("time-out"));
            }
        }
        self.catch_up();
        if self.sched.fault(Kind::SealerLost) {
            return Err(unreachable("the answer was lost"));
        }
        self.back(Some(place(sector)))
    }

    fn find(&self, deal_id: u64, piece_cid: &Cid) -> Result<Option<SectorPlace>, SealerError> {
        self.here()?;
        let now = self.sched.now();
        let found = {
            let state = lock(&self.state);
            // As production looks: into sectors that are not proven yet, and that have the piece.
            let known = |piece: &Piece| {
                piece.deal_id == deal_id
                    && piece.piece_cid == *piece_cid
                    && !piece.lost
                    && !piece.removed
                    && !piece.proven
                    && piece.written <= now
            };
            state.pieces.iter().position(known).map(place)
        };
        self.back(found)
    }

    fn sector(&self, number: u64) -> Result<SectorStatus, SealerError> {
        self.here()?;
        let at = usize::try_from(number).expect("few sectors");
        let piece = lock(&self.state).pieces.get(at).cloned();
        let Some(piece) = piece.filter(|piece| !piece.lost) else {
            return Err(SealerError::Refused {
                code: 1,
                message: "SectorsStatus: sector not found".to_owned(),
            });
        };
        if piece.removed {
            return self.back(SectorStatus {
                state: "Removed".to_owned(),
                deals: Vec::new(),
            });
        }
        let passed = self.sched.now().saturating_sub(piece.written);
        let tenths = if piece.proven {
            10
        } else {
            passed * 10 / piece.sealing.max(1)
        };
        let states = WAY.iter().rev();
        let mut state = states
            .skip_while(|(from, _)| *from > tenths)
            .map(|(_, name)| *name)
            .next()
            .unwrap_or_default();
        if !piece.proven && self.sched.fault(Kind::SectorFailed) {
            state = "SealPreCommit1Failed";
        }
        self.back(SectorStatus {
            state: state.to_owned(),
            deals: vec![piece.deal_id],
        })
    }

    fn summary(&self) -> Result<BTreeMap<String, u64>, SealerError> {
        self.here()?;
        Ok(BTreeMap::new())
    }
}
