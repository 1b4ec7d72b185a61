//! The sectors of one miner: how pieces are laid into them and how they come to be proven (spec chain-sealer-rpc E).
//! Pure: epochs come in, activations go out.

use crate::filecoin::{ChainEpoch, DealProposal, cids};
use cid::Cid;
use std::collections::BTreeMap;

/// Pieces of one sector, filling pieces not counted (spec D.5).
const MAX_DEALS: usize = 256;

/// Sectors in memory.
const MAX_SECTORS: usize = 100_000;

/// The state of a sector that takes pieces.
pub const WAIT_DEALS: &str = "WaitDeals";

/// The state of a sector that is done.
pub const PROVING: &str = "Proving";

/// The way of a sector from full to proven. In the state before the last two the activation is on its way.
const STAGES: [&str; 11] = [
    "Packing",
    "GetTicket",
    "PreCommit1",
    "PreCommit2",
    "SubmitPreCommitBatch",
    "PreCommitBatchWait",
    "WaitSeed",
    "Committing",
    "CommitAggregateWait",
    "FinalizeSector",
    PROVING,
];

/// The stage in which the sector's activation goes to the chain.
const SUBMIT: usize = 8;

/// The deal behind a piece, as the market told it (spec E.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceDeal {
    /// The message that published it.
    pub publish_cid: Cid,
    /// Its number on chain.
    pub deal_id: u64,
    /// The proposal, label as JSON has it.
    pub proposal: DealProposal,
    /// When the sector has to be active.
    pub start_epoch: ChainEpoch,
    /// When the deal ends.
    pub end_epoch: ChainEpoch,
    /// Whether an unsealed copy is wanted.
    pub keep_unsealed: bool,
}

/// One piece of a sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Padded bytes from the sector's beginning.
    pub offset: u64,
    /// Padded bytes.
    pub size: u64,
    /// The piece commitment.
    pub cid: Cid,
    /// None for filling and for pieces without a market deal.
    pub deal: Option<PieceDeal>,
}

/// One sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sector {
    /// Its number.
    pub number: u64,
    /// The state's name.
    pub state: String,
    /// Its pieces by offset, filling included.
    pub pieces: Vec<Piece>,
    /// When it was opened.
    pub opened: ChainEpoch,
    /// When packing began; none while it waits for deals.
    pub sealing_since: Option<ChainEpoch>,
    /// What went wrong.
    pub last_error: String,
    /// Seal at the next tick, however little is in it.
    start: bool,
    /// The activation has been handed to the chain.
    submitted: bool,
}

impl Sector {
    /// The padded bytes in use.
    pub fn used(&self) -> u64 {
        self.pieces
            .last()
            .map_or(0, |piece| piece.offset.saturating_add(piece.size))
    }

    /// The deals in it, without the zeros of filling.
    pub fn deals(&self) -> impl Iterator<Item = &PieceDeal> {
        self.pieces.iter().filter_map(|piece| piece.deal.as_ref())
    }
}

/// How long things take, in epochs.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// A sector waits this long for further pieces.
    pub wait_deals: ChainEpoch,
    /// From the beginning of packing until proven.
    pub sealing: ChainEpoch,
}

/// The sectors of one miner.
pub struct Sectors {
    size: u64,
    timing: Timing,
    next: u64,
    list: BTreeMap<u64, Sector>,
    /// Numbers of those that still move.
    moving: Vec<u64>,
}

/// Why a piece has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPlace;

impl Sectors {
    /// No sectors yet; `first` is the number of the first.
    pub fn new(size: u64, first: u64, timing: Timing) -> Self {
        Self {
            size,
            timing,
            next: first,
            list: BTreeMap::new(),
            moving: Vec::new(),
        }
    }

    /// All sectors by number.
    pub fn all(&self) -> impl Iterator<Item = &Sector> {
        self.list.values()
    }

    /// The sector with this number.
    pub fn get(&self, number: u64) -> Option<&Sector> {
        self.list.get(&number)
    }

    /// Lays a piece into an open sector, or a new one: sector and offset in padded bytes. The size is a power of two.
    ///
    /// # Errors
    /// It is larger than a sector, or there are too many sectors.
    pub fn add(
        &mut self,
        epoch: ChainEpoch,
        cid: Cid,
        size: u64,
        deal: Option<PieceDeal>,
    ) -> Result<(u64, u64), NoPlace> {
        if size > self.size || !size.is_power_of_two() {
            return Err(NoPlace);
        }
        let place = self.list.values().find_map(|sector| {
            let open = sector.state == WAIT_DEALS && !sector.start;
            let offset = sector.used().checked_next_multiple_of(size)?;
            let end = offset.checked_add(size)?;
            let fits = end <= self.size && sector.deals().count() < MAX_DEALS;
            (open && fits).then_some((sector.number, offset))
        });
        let (number, offset) = match place {
            Some(place) => place,
            None => (self.open(epoch)?, 0),
        };
        let sector = self.list.get_mut(&number).ok_or(NoPlace)?;
        fill(&mut sector.pieces, offset);
        sector.pieces.push(Piece {
            offset,
            size,
            cid,
            deal,
        });
        Ok((number, offset))
    }

    fn open(&mut self, epoch: ChainEpoch) -> Result<u64, NoPlace> {
        if self.list.len() >= MAX_SECTORS {
            return Err(NoPlace);
        }
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let sector = Sector {
            number,
            state: WAIT_DEALS.to_owned(),
            pieces: Vec::new(),
            opened: epoch,
            sealing_since: None,
            last_error: String::new(),
            start: false,
            submitted: false,
        };
        self.list.insert(number, sector);
        self.moving.push(number);
        Ok(number)
    }

    /// Makes sectors without pieces in a state in which they stay; false if there is no room for all of them.
    pub fn add_idle(&mut self, epoch: ChainEpoch, count: u64, state: &str) -> bool {
        for _ in 0..count {
            let Ok(number) = self.open(epoch) else {
                return false;
            };
            // The last that was opened: none of them is moved by a tick.
            self.moving.pop();
            if let Some(sector) = self.list.get_mut(&number) {
                state.clone_into(&mut sector.state);
            }
        }
        true
    }

    /// Seals a waiting sector without further waiting; false if there is no such sector or it does not wait.
    pub fn start_sealing(&mut self, number: u64) -> bool {
        match self.list.get_mut(&number) {
            Some(sector) if sector.state == WAIT_DEALS => {
                sector.start = true;
                true
            }
            _ => false,
        }
    }

    /// Puts a sector into any state, from which it no longer moves by itself; false if there is no such sector.
    pub fn force(&mut self, number: u64, state: &str, error: &str) -> bool {
        let Some(sector) = self.list.get_mut(&number) else {
            return false;
        };
        state.clone_into(&mut sector.state);
        error.clone_into(&mut sector.last_error);
        self.moving.retain(|moving| *moving != number);
        true
    }

    /// Moves every sector to where it is at this epoch. Gives the sectors whose activation the chain has to be told:
    /// number, and its deals with their pieces. `activated` tells what the chain has said: none yet, or an error's text if any deal failed.
    pub fn tick(
        &mut self,
        epoch: ChainEpoch,
        activated: impl Fn(u64) -> Option<Result<(), String>>,
    ) -> Vec<(u64, Vec<(u64, Cid)>)> {
        let mut submit = Vec::new();
        let mut still = Vec::new();
        for number in std::mem::take(&mut self.moving) {
            let Some(sector) = self.list.get_mut(&number) else {
                continue;
            };
            advance(sector, self.size, self.timing, epoch, &activated);
            if sector.state == STAGES[SUBMIT] && !sector.submitted {
                sector.submitted = true;
                let deals = sector.pieces.iter().filter_map(|piece| {
                    let deal = piece.deal.as_ref()?;
                    Some((deal.deal_id, piece.cid))
                });
                submit.push((number, deals.collect()));
            }
            if sector.state != PROVING && sector.last_error.is_empty() {
                still.push(number);
            }
        }
        self.moving = still;
        submit
    }
}

/// Moves one sector.
fn advance(
    sector: &mut Sector,
    size: u64,
    timing: Timing,
    epoch: ChainEpoch,
    activated: impl Fn(u64) -> Option<Result<(), String>>,
) {
    let Some(since) = sector.sealing_since else {
        let waited = epoch.saturating_sub(sector.opened) >= timing.wait_deals;
        let full = sector.used() >= size || sector.deals().count() >= MAX_DEALS;
        if (waited || full || sector.start) && !sector.pieces.is_empty() {
            fill(&mut sector.pieces, size);
            sector.sealing_since = Some(epoch);
            STAGES[0].clone_into(&mut sector.state);
        }
        return;
    };
    let total = timing.sealing.max(1);
    let elapsed = epoch.saturating_sub(since).clamp(0, total);
    let last = STAGES.len().saturating_sub(1);
    let steps = i64::try_from(last).unwrap_or(i64::MAX);
    let stage = elapsed.saturating_mul(steps).checked_div(total);
    let mut stage = stage
        .and_then(|stage| usize::try_from(stage).ok())
        .unwrap_or(0);
    if stage >= SUBMIT {
        stage = match activated(sector.number) {
            _ if !sector.submitted => SUBMIT,
            None => SUBMIT,
            Some(Ok(())) => stage.max(SUBMIT.saturating_add(1)),
            Some(Err(error)) => {
                "CommitFailed".clone_into(&mut sector.state);
                sector.last_error = error;
                return;
            }
        };
    }
    if let Some(name) = STAGES.get(stage) {
        (*name).clone_into(&mut sector.state);
    }
}

/// Puts zero pieces behind the last piece until `offset`: each the largest that its own offset is a multiple of and that
/// fits.
fn fill(pieces: &mut Vec<Piece>, offset: u64) {
    let mut at = pieces
        .last()
        .map_or(0, |piece| piece.offset.saturating_add(piece.size));
    while at < offset {
        let left = offset.saturating_sub(at);
        let aligned = 1_u64.checked_shl(at.trailing_zeros()).unwrap_or(left);
        let fitting = 1_u64.checked_shl(left.ilog2()).unwrap_or(left);
        let size = aligned.min(fitting);
        pieces.push(Piece {
            offset: at,
            size,
            cid: zero_piece(size),
            deal: None,
        });
        at = at.saturating_add(size);
    }
}

/// The CID of a piece of zeros of this padded size.
pub fn zero_piece(size: u64) -> Cid {
    let level = size.checked_div(32).map_or(0, u64::trailing_zeros);
    let level = usize::try_from(level).unwrap_or(0);
    cids::piece_cid(&crate::piece::commp::zero_commitment(level))
}
