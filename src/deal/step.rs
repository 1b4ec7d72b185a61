//! How a deal moves: `step(deal, event, now) → what to do`.
//!
//! The driver stores the changed record first and carries the effects out after the commit. Every effect can be carried
//! out again after a crash: the pass goes on from its save point, the publish message has its order's ID, a piece that may
//! have been handed over is looked for first, the index is rebuilt in place.

use super::{Checkpoint, Deal, Hold, Import, Millis, Sector, Terms};
use crate::filecoin::{ChainEpoch, cids, piece_size};
use cid::Cid;
use uuid::Uuid;

mod epochs;
mod laid;
mod moves;
mod publishing;
mod verbs;

pub use epochs::FINALITY;
pub use publishing::FAILED_MESSAGES_MAX;

/// Something that happened to a deal, or to the world around it.
#[derive(Debug, Clone)]
pub enum Event {
    /// Accepted, started again, or a wait has ended: do what comes next.
    Resume,
    /// The operator brought the data of an offline deal: it waits for its turn.
    Imported(Import),
    /// The import's turn has come, with funds and space for it.
    ImportBegun,
    /// The import's turn has come, but something is missing: what the deal waits for, as its client may read it, and the
    /// numbers for the log. It keeps its place.
    ImportWaits {
        /// The named wait.
        what: String,
        /// Why, with its numbers.
        why: String,
    },
    /// The data of a transferred deal is not on the disk any more: what is wrong. Fed at start, before [`Event::Resume`].
    DataMissing(String),
    /// The pass over the data is complete.
    Passed(Pass),
    /// The pass ended without a result.
    PassFailed(Setback),
    /// The deal was put into a publish order.
    Ordered(Uuid),
    /// The order's message has no room for it, or fails with it in: it goes with another order, before anything was sent.
    Reordered(Uuid),
    /// The chain took the publish message; or, once it has one, this one in its place.
    PublishSent(Cid),
    /// Publishing failed; `unsent` says that the chain has certainly not taken the message.
    PublishFailed {
        /// What went wrong.
        setback: Setback,
        /// The order is dissolved; the next one is another message.
        unsent: bool,
    },
    /// The publish message will never be executed, which is final: why.
    Superseded(String),
    /// The publish message was executed and is buried deep enough.
    Confirmed {
        /// The executed message.
        message: Cid,
        /// Its exit code.
        exit_code: i64,
        /// The chain deal ID; none if the actor dropped the deal.
        deal_id: Option<u64>,
        /// Why the deal cannot be published by itself either, as a dry run told afterwards. None if it would be, or if it
        /// could not be asked.
        objection: Option<String>,
    },
    /// The sealer has the piece.
    PieceAdded(Sector),
    /// It has not.
    AddPieceFailed(Setback),
    /// The piece lies ready for a sealer that fetches it when it likes; its sector is told later.
    LaidOut,
    /// Where the piece was put that had lain ready: the sealer, the chain or the operator said so.
    Placed(Sector),
    /// The index is kept.
    Indexed,
    /// It is not.
    IndexFailed(Setback),
    /// The sector as the sealer shows it.
    SectorSeen {
        /// Its state.
        state: String,
        /// Sealing has come to an end.
        ended: bool,
        /// The deal is in it.
        holds_deal: bool,
    },
    /// The chain's head.
    Head(ChainEpoch),
    /// The publish message was looked up, without an outcome.
    MessageSeen(Sight),
    /// Chain and sealer were asked after the start epoch: the deal is not active, and nobody has its piece. The head at
    /// that time.
    NotActivated(ChainEpoch),
    /// A sealed deal as the chain shows it at this head.
    ChainSeen {
        /// Height of the head.
        head: ChainEpoch,
        /// What was found there.
        found: OnChain,
    },
    /// The operator wants something.
    Operator(Verb),
}

/// How a publish message without an outcome looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// It waits, or is executed and not buried deep enough.
    Waits,
    /// It has waited for too long: what the operator reads.
    Stuck(String),
    /// The node does not know it.
    Unknown,
}

/// What the chain has under a deal's chain deal ID (spec chain-sealer-rpc B.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChain {
    /// Nothing: never there, or settled, expired or terminated since.
    Absent,
    /// Published and not active.
    Inactive,
    /// Active since this epoch.
    Active(ChainEpoch),
    /// Slashed at this epoch; only deals of before network version 22.
    Slashed(ChainEpoch),
}

/// What an operator can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Go on now.
    Retry,
    /// End the deal while its data is still awaited or fetched.
    Cancel,
    /// End the deal although it could go on.
    Fail,
    /// The piece that lay ready was put there.
    Sealed(Sector),
}

/// The outcome of the pass over the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Commitment extended to the proposal's piece size; none if the payload is larger than the piece.
    pub commitment: Option<[u8; 32]>,
    /// Commitment at its natural size, for the error text.
    pub natural: [u8; 32],
    /// Bytes of the payload.
    pub bytes: u64,
}

/// How a failure is met (spec boost-mk12 4.5, with `auto` meaning what it says).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The provider is stopping: nothing is recorded.
    Stopped,
    /// It goes away by itself: tried again with backoff.
    Auto,
    /// The operator must do something.
    Manual,
    /// Nothing can help.
    Fatal,
}

/// Longest wait that another side can impose (`Retry-After`): what would be longer is asked about again.
pub const WAIT_ASKED_MAX: Millis = 3_600_000;

/// A failure of one effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    /// How it is met.
    pub class: Class,
    /// What happened, as the operator and the client read it.
    pub reason: String,
    /// Something was achieved before it failed: the backoff starts anew.
    pub progress: bool,
    /// The other side asked for at least this wait; at most [`WAIT_ASKED_MAX`] is granted.
    pub wait: Option<Millis>,
}

impl Setback {
    /// A setback of this class without further knowledge.
    pub fn new(class: Class, reason: impl Into<String>) -> Self {
        Self {
            class,
            reason: reason.into(),
            progress: false,
            wait: None,
        }
    }
}

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Let the deal's import wait for its turn.
    QueueImport,
    /// Fetch or read the data in one pass.
    StartPass,
    /// End a running pass.
    StopPass,
    /// Put the deal into the next publish order, or carry the order out that it already belongs to.
    Publish,
    /// Watch the publish message.
    WatchMessage,
    /// Give the piece to the sealer.
    AddPiece {
        /// It may have it already: look first.
        look_first: bool,
    },
    /// Keep the piece and its index.
    Index,
    /// Watch the sector.
    WatchSector,
    /// Look at the deal again at its hold's time.
    WakeUp(Millis),
    /// Delete what was staged, and what lies ready for the sealer.
    DropStaging,
    /// Take away what lies ready for the sealer.
    ClearHandover,
    /// The start epoch has passed: ask chain and sealer whether the piece is anywhere. Asked for again with every head.
    LookForPiece,
}

/// A line for the deal's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Severity.
    pub level: log::Level,
    /// Text without secrets.
    pub text: String,
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The record changed and must be stored.
    pub changed: bool,
    /// What to do after that.
    pub effects: Vec<Effect>,
    /// What to log.
    pub lines: Vec<Line>,
    /// An operator's wish was refused: why.
    pub refused: Option<String>,
    /// What the deal held before this step and does not hold any more.
    pub freed: Freed,
}

/// What a step set free. The sums over live deals follow by themselves ([`super::ledger`]); this says when to look whether
/// something that waited for room has it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freed {
    /// Collateral or a place in a publish message (the design's `published`).
    pub funds: bool,
    /// Staging bytes (the design's `storage space`).
    pub space: bool,
    /// The deal has ended (the design's `finished`).
    pub finished: bool,
}

/// A deal in the driver's hands: the record and what is under way for it.
#[derive(Debug, Clone)]
pub struct Live {
    /// The record.
    pub deal: Deal,
    /// An effect is under way; its report will come as an event.
    pub busy: Option<Effect>,
}

/// Moves a deal.
pub fn step(live: &mut Live, event: Event, now: Millis, terms: &Terms) -> Outcome {
    let mut turn = moves::Turn::new(live, now, terms);
    turn.take(event);
    turn.finish()
}

/// The stored error of a deal whose start epoch has passed.
pub fn expired(start: ChainEpoch, head: ChainEpoch) -> String {
    format!(
        "deal proposal must be proven on chain by deal proposal start epoch {start}, \
         but it has expired: current chain height: {head}"
    )
}

/// Why an import for this deal is refused (spec boost-mk12 4.9); none if it is not. `busy`: one waits or is being read.
pub fn import_refusal(deal: &Deal, busy: bool) -> Option<String> {
    if !deal.request.offline {
        return Some(format!("deal {} is not an offline deal", deal.uuid));
    }
    (busy || deal.checkpoint != Checkpoint::Accepted).then(|| {
        format!(
            "deal {} has already been imported and reached checkpoint {}",
            deal.uuid, deal.checkpoint
        )
    })
}

/// The stored error of a wrong commitment.
fn mismatch(deal: &Deal, pass: &Pass) -> Setback {
    let actual = cids::piece_cid(pass.commitment.as_ref().unwrap_or(&pass.natural));
    let room = piece_size::unpadded(deal.proposal().piece_size);
    let sizes = if pass.bytes > room || deal.request.offline {
        format!(
            " (the data has {} bytes, the piece holds {room})",
            pass.bytes
        )
    } else {
        String::new()
    };
    let what = format!(
        "commP expected={}, actual={actual}: commp mismatch{sizes}",
        deal.proposal().piece_cid
    );
    if deal.request.offline {
        let reason =
            format!("error when matching commP for imported data for offline deal: {what}");
        Setback::new(Class::Manual, reason)
    } else {
        Setback::new(Class::Fatal, format!("failed to verify CommP: {what}"))
    }
}
