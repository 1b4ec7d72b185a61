//! The one database file: tables, versioned records, group commit.
//!
//! Writes go to one writer thread. Everything that was asked for while a commit was under way shares the next one: a
//! spinning disk syncs some thirty times a second and still takes hundreds of deals.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod funds;
mod messages;
mod records;
mod refused;
mod tables;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

pub use records::{LogLine, PieceRecord, RefusedProposal, StoredAsk};

use crate::deal::funds::{Fees, FundsOrder};
use crate::deal::record::RecordError;
use crate::deal::{Deal, Millis};
use crate::filecoin::Address;
use crate::transfer::SavePoint;
use cid::Cid;
use smol::channel::{Receiver, Sender};
use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use uuid::Uuid;

/// Log lines kept per deal: a deal that retries for weeks must not fill a small flash.
pub const LOG_LINES_MAX: u64 = 300;

/// Bytes of one log line; longer ones are cut.
pub const LOG_LINE_BYTES_MAX: usize = 2_048;

/// Refused proposals kept: some weeks of a provider that is asked a few dozen times a day, and at most 5 MiB.
pub const REFUSED_KEPT_MAX: u64 = 1_000;

/// A change; all changes of one [`Store::commit`] become durable together or not at all.
#[derive(Debug, Clone)]
pub enum Write {
    /// Inserts or replaces a deal.
    Deal(Box<Deal>),
    /// Appends to a deal's log.
    Log(Uuid, LogLine),
    /// Keeps a transfer's save point.
    Save(Uuid, SavePoint),
    /// Forgets it.
    DropSave(Uuid),
    /// Keeps a miner's ask.
    Ask(Address, Box<StoredAsk>),
    /// Keeps or replaces a piece, by its commitment.
    Piece([u8; 32], Box<PieceRecord>),
    /// Forgets a piece.
    DropPiece([u8; 32]),
    /// Keeps a refused proposal; the oldest one beyond [`REFUSED_KEPT_MAX`] goes.
    Refused(Box<RefusedProposal>),
    /// Keeps the prepared message of a publish order, in the chain's own form.
    Message(Uuid, Vec<u8>),
    /// Forgets it.
    DropMessage(Uuid),
    /// Inserts or replaces an order that moves money.
    Funds(Box<FundsOrder>),
    /// Forgets it.
    DropFunds(Uuid),
    /// Keeps the sums of a miner's fees.
    Fees(Address, Box<Fees>),
    /// A sealed deal is due to be looked at on chain.
    Watch {
        /// Which.
        deal: Uuid,
        /// When it was due until now.
        was: Option<Millis>,
        /// When it is due next; never again if none.
        next: Option<Millis>,
    },
}

/// A sealed deal that is due to be looked at on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Since when.
    pub due: Millis,
    /// Which.
    pub uuid: Uuid,
    /// Its record; one that cannot be read must not stand in the way of the others.
    pub deal: Result<Option<Deal>, StoreError>,
}

/// Told whether the changes are durable.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What tells of a commit, and where it is told.
fn awaited() -> (Done, std::sync::mpsc::Receiver<Result<(), StoreError>>) {
    let (tell, told) = sync_channel(1);
    let done = move |result| {
        // There is room for the one word, and whoever has stopped waiting for it needs it no more.
        let _ = tell.send(result);
    };
    (Box::new(done), told)
}

/// Why the store did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The database file could not be read or written.
    Database(String),
    /// A record is damaged or of a newer release: which one, and what is wrong with it.
    Record(String, RecordError),
    /// The writer has stopped.
    Stopped,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(what) => write!(f, "database: {what}"),
            Self::Record(of, error) => write!(f, "database: {of}: {error}"),
            Self::Stopped => f.write_str("database: it is closed"),
        }
    }
}

impl std::error::Error for StoreError {}

/// What a store has committed since it was opened: how well commits are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Transactions that are durable.
    pub commits: u64,
    /// Calls of [`Store::commit`] that shared them.
    pub changes: u64,
}

/// What a listing asks for.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Most deals to give.
    pub limit: usize,
    /// Only those at this checkpoint.
    pub checkpoint: Option<crate::deal::Checkpoint>,
    /// Only those that have this as their UUID, piece CID, data root, publish message, chain deal ID, client, provider
    /// or peer, or within their error.
    pub query: Option<String>,
}

/// The store in the market's words. Reads may block on the disk; `commit` does not wait for it.
pub trait Store: Send + Sync {
    /// Makes the changes durable together with others that are asked for at the same time, then calls `done`.
    fn commit(&self, writes: Vec<Write>, done: Done);
    /// Waits for a commit; for threads that may block.
    ///
    /// # Errors
    /// The changes are not durable.
    fn commit_and_wait(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let (done, told) = awaited();
        self.commit(writes, done);
        told.recv().unwrap_or(Err(StoreError::Stopped))
    }
    /// What was committed since the store was opened.
    fn counts(&self) -> Counts;
    /// Deals that have not ended, and those whose end left something to clear.
    ///
    /// # Errors
    /// The file could not be read, or holds a record of a newer release.
    fn live(&self) -> Result<Vec<Deal>, StoreError>;
    /// A deal by its UUID.
    ///
    /// # Errors
    /// See [`Store::live`].
    fn deal(&self, uuid: Uuid) -> Result<Option<Deal>, StoreError>;
    /// UUID of the deal with this chain identity.
    ///
    /// # Errors
    /// See [`Store::live`].
    fn by_chain_cid(&self, cid: &Cid) -> Result<Option<Uuid>, StoreError>;
    /// Deals, newest first, and whether there are more. A damaged record is left out and said in the log: it must not
    /// hide the others.
    ///
    /// # Errors
    /// The file could not be read.
    fn list(&self, listing: &Listing) -> Result<(Vec<Deal>, bool), StoreError>;
    /// A deal's log from the line of this number on, oldest first. Numbers go on when the oldest lines have gone.
    ///
    /// # Errors
    /// See [`Store::live`].
    fn log_from(&self, uuid: Uuid, first: u64) -> Result<Vec<(u64, LogLine)>, StoreError>;
    /// A deal's log, oldest first.
    ///
    /// # Errors
    /// See [`Store::live`].
    fn log(&self, uuid: Uuid) -> Result<Vec<LogLine>, StoreError> {
        let lines = self.log_from(uuid, 0)?;
        Ok(lines.into_iter().map(|(_, line)| line).collect())
    }
    /// A transfer's save point.
    ///
    /// # Errors
    /// See [`Store::live`].
    fn save_point(&self, uuid: Uuid) -> Result<Option<SavePoint>, StoreError>;
    /// At most `limit` sealed deals that are due at `now`, the longest due first; those that are due later than `longest`
    /// from now are given too, since nothing is put off that far.
    ///
    /// # Errors
    /// The file could not be read.
    fn watched(
        &self,
        now: Millis,
        longest: Millis,
        limit: usize,
    ) -> Result<Vec<Watched>, StoreError>;
    /// The deals whose transfers have a save point.
    ///
    /// # Errors
    /// The file could not be read.
    fn saves(&self) -> Result<Vec<Uuid>, StoreError>;
    /// A miner's ask.
    ///
    /// # Errors
    /// See [`Store::live`].
    fn ask(&self, miner: &Address) -> Result<Option<StoredAsk>, StoreError>;
    /// Prepared messages by their publish orders, in the chain's own form.
    ///
    /// # Errors
    /// The file could not be read.
    fn messages(&self) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError>;
    /// Orders that move money.
    ///
    /// # Errors
    /// See [`Store::live`].
    fn funds(&self) -> Result<Vec<FundsOrder>, StoreError>;
    /// What the messages of miners have cost.
    ///
    /// # Errors
    /// See [`Store::live`].
    fn fees(&self) -> Result<Vec<(Address, Fees)>, StoreError>;
    /// All kept pieces, but for damaged records.
    ///
    /// # Errors
    /// The file could not be read.
    fn pieces(&self) -> Result<Vec<([u8; 32], PieceRecord)>, StoreError>;
    /// At most `limit` refused proposals, newest first, but for damaged records.
    ///
    /// # Errors
    /// The file could not be read.
    fn refused(&self, limit: usize) -> Result<Vec<RefusedProposal>, StoreError>;
}

/// The store over one redb file.
pub struct Redb {
    database: Arc<redb::Database>,
    writer: writer::Writer,
    // The last field: it goes when the file has been closed.
    open: (Sender<Infallible>, Receiver<Infallible>),
}

impl Redb {
    /// Opens or creates the file with a page cache of `cache_bytes`.
    ///
    /// # Errors
    /// The file is not ours, is open elsewhere, is damaged, or the disk failed.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        if !path.exists() {
            create(path).map_err(|error| in_file(path, error))?;
        }
        let database = redb::Database::builder()
            .set_cache_size(cache_bytes)
            .create(path)
            .map_err(|error| in_file(path, error))?;
        Self::over(database)
    }

    /// Opens over any storage backend, for tests that fail it.
    ///
    /// # Errors
    /// See [`Redb::open`].
    pub fn over(database: redb::Database) -> Result<Self, StoreError> {
        let database = Arc::new(database);
        tables::prepare(&database)?;
        let writer = writer::Writer::start(Arc::clone(&database))?;
        Ok(Self {
            database,
            writer,
            open: smol::channel::bounded(1),
        })
    }

    /// Opens without a writer thread: commits wait for [`Redb::write_waiting`]. For a simulation that decides when the
    /// disk gets to it.
    ///
    /// # Errors
    /// See [`Redb::open`].
    pub fn by_hand(database: redb::Database) -> Result<Self, StoreError> {
        let database = Arc::new(database);
        tables::prepare(&database)?;
        let writer = writer::Writer::by_hand(Arc::clone(&database));
        Ok(Self {
            database,
            writer,
            open: smol::channel::bounded(1),
        })
    }

    /// Ends when the last user of this store has dropped it and the file is closed: it can be opened again from then on.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let open = self.open.1.clone();
        async move {
            // Nothing can be sent, so this is the end of the sender.
            let _ = open.recv().await;
        }
    }

    /// Requests that wait for a hand.
    pub fn waiting(&self) -> usize {
        self.writer.waiting()
    }

    /// Makes one commit of all that waits for a hand, and tells everybody; the number of those who asked.
    pub fn write_waiting(&self) -> usize {
        self.writer.write_waiting()
    }

    fn read(&self) -> Result<redb::ReadTransaction, StoreError> {
        use redb::ReadableDatabase;
        self.database.begin_read().map_err(database)
    }
}

/// Creates the file under another name first: a power cut while it is being created must not leave half a database that
/// no later start can open.
fn create(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let unfinished = path.with_extension("new");
    if unfinished.exists() {
        std::fs::remove_file(&unfinished)?;
    }
    let database = redb::Database::create(&unfinished)?;
    tables::prepare(&database)?;
    drop(database);
    std::fs::rename(&unfinished, path)?;
    if let Some(directory) = path.parent().filter(|parent| parent.is_dir()) {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn in_file(path: &Path, error: impl fmt::Display) -> StoreError {
    StoreError::Database(format!("{}: {error}", path.display()))
}

fn database(error: impl fmt::Display) -> StoreError {
    StoreError::Database(error.to_string())
}

impl Store for Redb {
    fn commit(&self, writes: Vec<Write>, done: Done) {
        self.writer.submit(writes, done);
    }

    fn counts(&self) -> Counts {
        self.writer.counts()
    }

    fn commit_and_wait(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let (done, told) = awaited();
        self.commit(writes, done);
        // Without a thread the asker is the hand; with one this writes nothing.
        while self.write_waiting() > 0 {}
        told.recv().unwrap_or(Err(StoreError::Stopped))
    }

    fn live(&self) -> Result<Vec<Deal>, StoreError> {
        tables::live(&self.read()?)
    }

    fn deal(&self, uuid: Uuid) -> Result<Option<Deal>, StoreError> {
        tables::deal(&self.read()?, uuid)
    }

    fn by_chain_cid(&self, cid: &Cid) -> Result<Option<Uuid>, StoreError> {
        tables::by_chain_cid(&self.read()?, cid)
    }

    fn list(&self, listing: &Listing) -> Result<(Vec<Deal>, bool), StoreError> {
        tables::list(&self.read()?, listing)
    }

    fn log_from(&self, uuid: Uuid, first: u64) -> Result<Vec<(u64, LogLine)>, StoreError> {
        tables::log(&self.read()?, uuid, first)
    }

    fn save_point(&self, uuid: Uuid) -> Result<Option<SavePoint>, StoreError> {
        tables::save_point(&self.read()?, uuid)
    }

    fn watched(
        &self,
        now: Millis,
        longest: Millis,
        limit: usize,
    ) -> Result<Vec<Watched>, StoreError> {
        watch::due(&self.read()?, now, longest, limit)
    }

    fn saves(&self) -> Result<Vec<Uuid>, StoreError> {
        tables::saves(&self.read()?)
    }

    fn ask(&self, miner: &Address) -> Result<Option<StoredAsk>, StoreError> {
        tables::ask(&self.read()?, miner)
    }

    fn messages(&self) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError> {
        messages::all(&self.read()?)
    }

    fn funds(&self) -> Result<Vec<FundsOrder>, StoreError> {
        funds::orders(&self.read()?)
    }

    fn fees(&self) -> Result<Vec<(Address, Fees)>, StoreError> {
        funds::fees(&self.read()?)
    }

    fn pieces(&self) -> Result<Vec<([u8; 32], PieceRecord)>, StoreError> {
        tables::pieces(&self.read()?)
    }

    fn refused(&self, limit: usize) -> Result<Vec<RefusedProposal>, StoreError> {
        refused::list(&self.read()?, limit)
    }
}

/// A line of a deal's log, cut to the limit on a character boundary.
pub fn log_line(time: Millis, level: log::Level, text: &str) -> LogLine {
    let mut end = text.len().min(LOG_LINE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    LogLine {
        time,
        level: records::level_number(level),
        text: text.get(..end).unwrap_or_default().to_owned(),
    }
}
