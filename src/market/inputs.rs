//! What reaches the run loop: everything that changes funds or space, and what the loop's own work reports.
//!
//! The event kinds of design 2.2.6:
//!
//! | kind | here |
//! |---|---|
//! | accept | [`Input::Accept`]; for an offline deal the import's turn, [`Input::Import`] |
//! | published | the step that frees a deal's funds ([`crate::deal::step::Freed::funds`]): its message is confirmed |
//! | storage space | the step that frees its staging bytes ([`crate::deal::step::Freed::space`]): the sealer has the piece |
//! | finished | the step that ends it ([`crate::deal::step::Freed::finished`]): what it still held goes free with it |
//! | update-retry | [`Input::UpdateRetry`]: the operator's `retry`, `cancel`, `fail` |
//!
//! What a deal holds follows from its record alone ([`crate::deal::ledger`]), so the middle three carry nothing; they say when
//! to look whether something that waited for room has it now. Inputs from outside have one bounded queue. Reports have no
//! bound of their own: there is at most one for each piece of work under way and one for each commit that was asked for.

use crate::chain::{ChainError, Prepared};
use crate::deal::admit::Known;
use crate::deal::funds::FundsOrder;
use crate::deal::step::{Event, Setback, Verb};
use crate::deal::{Deal, Import, Ledger, Millis, Refusal};
use crate::filecoin::{Address, ChainEpoch, TokenAmount};
use crate::market::confirm::Seen;
use crate::market::funding::{FundsView, FundsWish, Step};
use crate::market::import::{Dropped, Look, Memory};
use crate::market::late::Whereabouts;
use crate::market::onchain::Sights;
use crate::market::publisher::Made;
use crate::market::snapshot::Snapshot;
use crate::store::{PieceRecord, StoreError};
use crate::transfer::{Failure, Finished};
use cid::Cid;
use futures::channel::oneshot;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use uuid::Uuid;

/// Inputs from outside; the queue is bounded and its senders wait.
pub(super) enum Input {
    /// A judged proposal that wants to be admitted.
    Accept(Box<Candidate>),
    /// An operator's wish.
    UpdateRetry(Uuid, Verb, oneshot::Sender<Result<(), String>>),
    /// Data for offline deals; answered for each with its position in the queue, why not, or nothing if it is not live.
    Import(Vec<(Uuid, Import)>, oneshot::Sender<AllPlaced>),
    /// Publish these deals now if they wait, or all that wait; answered with those that are meant.
    PublishNow(Option<BTreeSet<Uuid>>, oneshot::Sender<Vec<Uuid>>),
    /// What waits to be published, and what is on its way.
    Publishing(oneshot::Sender<Publishing>),
    /// A refusal waits to be stored: the loop finds out when.
    Refused,
    /// Store the refusals that wait; told when all of them can be read.
    ShowRefusals(oneshot::Sender<Result<(), String>>),
    /// What a miner's live deals hold.
    Holdings(Address, oneshot::Sender<Holdings>),
    /// A live deal as it is now.
    Look(Uuid, oneshot::Sender<Option<Box<Deal>>>),
    /// Move money; told what is recorded of the order, or why it is refused.
    Funds(FundsWish, oneshot::Sender<Result<FundsOrder, String>>),
    /// An order of money, and the depth of its message while that is not enough.
    ShowOrder(
        Uuid,
        oneshot::Sender<Option<(FundsOrder, Option<ChainEpoch>)>>,
    ),
    /// Each miner's money.
    ShowFunds(oneshot::Sender<BTreeMap<Address, FundsView>>),
    /// What live deals hold, for each miner.
    Ledgers(oneshot::Sender<BTreeMap<Address, Ledger>>),
    /// Stop: save and end.
    Stop(oneshot::Sender<()>),
}

/// What an operator wishes for a deal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// `retry`, `cancel`, `fail`.
    Verb(Verb),
    /// Import of an offline deal's data.
    Import(Import),
}

/// The position of an import in the queue, 1 is next; or why it is refused.
pub(super) type Placed = Result<u64, String>;

/// What became of each import of a call; nothing where the deal is not live.
pub(super) type AllPlaced = Vec<Option<Placed>>;

/// What waits to be published, and what is on its way.
#[derive(Debug, Clone, Default)]
pub struct Publishing {
    /// Per miner: since when the first deal waits, and the deals.
    pub waiting: Vec<(Address, Millis, Vec<Uuid>)>,
    /// Messages that were made, and what became of them so far.
    pub messages: Vec<OnItsWay>,
}

/// A publish message between its making and its outcome.
#[derive(Debug, Clone)]
pub struct OnItsWay {
    /// The order that it carries out.
    pub order: Uuid,
    /// Its deals.
    pub deals: Vec<Uuid>,
    /// The CID that it was sent under; none before it was sent.
    pub cid: Option<Cid>,
    /// Who pays.
    pub sender: Address,
    /// The most that it may cost, in attoFIL.
    pub fee_max: TokenAmount,
    /// How often it was replaced by another with a higher fee.
    pub replaced: usize,
    /// What the operator should know; empty if all goes well.
    pub note: String,
}

/// What live deals hold, as an external filter is told it.
pub(super) struct Holdings {
    /// Sums over live deals.
    pub ledger: Ledger,
    /// Bytes that lie in the staging area.
    pub staged: u64,
}

/// A deal that exists already: its UUID, when it was accepted, its chain identity.
pub(super) type KnownDeal = (Uuid, Millis, Cid);

/// Of the deals that exist already, the first with this one's chain identity and the first with its UUID.
pub(super) fn same_deals(known: &[KnownDeal], deal: &Deal) -> (Option<Known>, Option<Known>) {
    let first = |same: &dyn Fn(&KnownDeal) -> bool| {
        let found = known.iter().find(|known| same(known))?;
        let (uuid, created, _) = *found;
        Some(Known { uuid, created })
    };
    (
        first(&|(_, _, cid)| *cid == deal.chain_cid),
        first(&|(uuid, _, _)| *uuid == deal.uuid),
    )
}

/// A proposal that passed its checks.
pub(super) struct Candidate {
    /// The deal as it would be stored.
    pub deal: Deal,
    /// Deals that the database has with the same identity or UUID.
    pub known: Vec<KnownDeal>,
    /// Bytes free on the staging disk.
    pub disk_free: u64,
    /// Told the answer after the commit.
    pub reply: oneshot::Sender<Result<(), Refusal>>,
}

/// Inputs from our own work. Each effect that is under way reports once, so their number is bounded by the live deals.
pub(super) enum Report {
    /// A commit is durable, or is not.
    Committed(u64, Result<(), StoreError>),
    /// A pass has ended.
    Pass(Uuid, Result<Finished, Failure>),
    /// Files were deleted.
    Deleted,
    /// The file of a transferred offline deal was looked for at start.
    DataFound(Uuid, Result<(), String>),
    /// A kept piece is not at this path, as its record says.
    PieceFound([u8; 32], PathBuf, PieceFound),
    /// The drop folder was looked at: what is remembered of it, and the files that are complete.
    Dropped(Box<Memory>, Vec<Dropped>),
    /// The file of an import was looked at.
    ImportLooked(Uuid, Result<Look, String>),
    /// A fresh view of the chain.
    Snapshot(Box<Snapshot>),
    /// The deals of this miner were tried alone: who failed and why.
    DryRun(Address, Vec<(Uuid, Option<Setback>)>),
    /// A publish order's message was made ready, or not.
    Prepared(Uuid, Box<Result<Made, ChainError>>),
    /// The replacement of an order's message that waits under this CID was made ready, or not.
    Replaced(Uuid, Cid, Box<Result<Prepared, ChainError>>),
    /// A publish order was carried out, or not.
    Publish(Uuid, Result<Cid, ChainError>),
    /// A publish message was looked up for these deals.
    Message(Cid, Vec<Uuid>, Result<Seen, ChainError>),
    /// The chain was asked for an order of money.
    Funds(Uuid, Step),
    /// An add-piece call has ended.
    Call(Uuid, Event),
    /// Chain and sealer were asked for the piece of a deal whose start epoch has passed; or could not be.
    Looked(Uuid, Result<Whereabouts, String>),
    /// Something that is a deal's event as it stands.
    Event(Uuid, Event),
    /// The piece and its index are kept.
    Kept(Uuid, Option<([u8; 32], PieceRecord)>),
    /// Sealed deals were looked at on chain; none if there was nothing to look at, or the chain is away.
    Sights(Option<Sights>),
}

/// Where a kept piece is that is not where its record says.
pub(super) enum PieceFound {
    /// In the pieces directory, which was another one when it was kept.
    Moved(PathBuf),
    /// Nowhere.
    Gone,
}
