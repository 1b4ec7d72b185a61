//! The driver: feeds events to the deal machine and carries its effects out.
//!
//! One task owns all live deals and everything that changes funds or space (module `run`). It never waits for a commit and never
//! for a thread: it hands work over and goes on; the report comes back as an input. What must not happen before a record is
//! durable (effects, answers) waits under a ticket that the commit's completion redeems.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod accept;
pub mod admin;
mod ask;
mod calls;
mod command;
mod confirm;
mod disk;
mod events;
mod external;
mod facts;
mod files;
mod funding;
mod handle;
mod handover;
mod import;
mod inputs;
mod keep;
mod laid;
mod late;
mod lives;
mod onchain;
mod passes;
mod publisher;
mod refusals;
mod run;
mod sift;
mod snapshot;
mod status;
mod sweep;
mod watch;

#[cfg(test)]
mod tests;

pub use ask::{AskChange, AskExpiry, FirstAsk};
pub use disk::{Disk, Found, SystemDisk};
pub use events::{DealEvent, Events};
pub use external::{Filter, FilterCommand};
pub(crate) use facts::lock;
pub use files::Files;
pub use funding::{FundsView, FundsWish};
pub use handle::{Handle, ReadError};
pub use import::{DropFolder, IMPORTS_MAX, ImportQueue};
pub use inputs::{OnItsWay, Publishing, Wish};
pub use keep::Kept;
pub use snapshot::{MinerView, SectorsView, Snapshot};

use crate::chain::Chain;
use crate::deal::{Millis, Terms};
use crate::filecoin::Address;
use crate::sealer::Sealer;
use crate::store::Store;
use crate::threads::{Jobs, Own, Pool};
use crate::transfer::Fetch;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What differs from miner to miner.
#[derive(Debug, Clone)]
pub struct MinerSettings {
    /// What it asks for and tolerates.
    pub terms: Terms,
    /// Longest wait for more deals before a publish message is sent; zero sends at once.
    pub publish_period: Duration,
    /// The ask that it starts with.
    pub first_ask: FirstAsk,
    /// Its external filter, if it has one.
    pub filter: Option<Filter>,
}

/// What the market is told once at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The miners, by ID address.
    pub miners: BTreeMap<Address, MinerSettings>,
    /// Where files lie.
    pub files: Files,
    /// Transfers at the same time.
    pub transfers_max: usize,
    /// Imported files read at the same time.
    pub imports_max: usize,
    /// Where files are imported from by themselves.
    pub drop_folder: Option<DropFolder>,
    /// Between two looks at the chain.
    pub chain_poll: Duration,
    /// Between two looks at a sector.
    pub seal_poll: Duration,
    /// Between two looks at an active deal on chain.
    pub deal_watch: Duration,
    /// Bytes of kept pieces; beyond it the oldest goes.
    pub keep_bytes_max: u64,
}

/// The outside worlds.
#[derive(Clone)]
pub struct Parts {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The sealer of each miner.
    pub sealers: BTreeMap<Address, Arc<dyn Sealer>>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Runs the passes over data.
    pub fetcher: Arc<dyn Fetch>,
    /// Names and sizes of files.
    pub disk: Arc<dyn Disk>,
    /// The clock, in milliseconds since 1970.
    pub now: Arc<dyn Fn() -> Millis + Send + Sync>,
    /// Waits for a time to pass.
    pub sleep: Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    /// Fresh random identifiers.
    pub fresh: Arc<dyn Fn() -> Uuid + Send + Sync>,
}

/// Threads for blocking work, a set per kind.
#[derive(Clone)]
pub struct Threads {
    /// Chain RPC.
    pub chain: Pool,
    /// Sealer RPC that answers at once.
    pub sealer: Pool,
    /// Signature checks.
    pub checks: Pool,
    /// Database reads.
    pub disk: Pool,
    /// Building indexes and moving files, which may take long.
    pub index: Pool,
    /// Deleting files, and looking at those of offline deals at start.
    pub files: Pool,
    /// One for each pass and for each waiting add-piece call.
    pub own: Own,
}

/// Stack of a thread that makes RPC calls or checks signatures: TLS and curve arithmetic fit with room to spare.
const STACK_BYTES: usize = 512 * 1024;

/// Jobs that may wait for a thread: what 64 judged proposals and the polls can ask for at the same time.
const JOBS_WAITING_MAX: usize = 1_024;

impl Threads {
    /// Starts the sets of design section 2.3.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            chain: Pool::new("chain", 4, JOBS_WAITING_MAX, STACK_BYTES)?,
            sealer: Pool::new("sealer", 1, JOBS_WAITING_MAX, STACK_BYTES)?,
            checks: Pool::new("check", cores, JOBS_WAITING_MAX, STACK_BYTES)?,
            disk: Pool::new("disk", 1, JOBS_WAITING_MAX, STACK_BYTES)?,
            index: Pool::new("index", 1, JOBS_WAITING_MAX, STACK_BYTES)?,
            files: Pool::new("files", 1, JOBS_WAITING_MAX, STACK_BYTES)?,
            own: Own::default(),
        })
    }

    /// No threads: all work is collected and carried out by hand.
    pub fn by_hand(jobs: &Jobs) -> Self {
        Self {
            chain: Pool::by_hand(jobs, "chain"),
            sealer: Pool::by_hand(jobs, "sealer"),
            checks: Pool::by_hand(jobs, "check"),
            disk: Pool::by_hand(jobs, "disk"),
            index: Pool::by_hand(jobs, "index"),
            files: Pool::by_hand(jobs, "files"),
            own: Own::by_hand(jobs),
        }
    }
}

/// The waits of production.
pub fn sleep(time: Duration) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        async_io::Timer::after(time).await;
    })
}

/// Starts the market: reads the live deals, sweeps the staging area, and gives a handle and the task to be run.
///
/// # Errors
/// The database or a directory could not be read.
pub fn start(
    settings: Settings,
    parts: Parts,
    threads: Threads,
) -> Result<(Handle, impl Future<Output = ()> + Send + 'static), StartError> {
    run::Market::start(settings, parts, threads)
}

/// Why the market could not start.
#[derive(Debug)]
pub enum StartError {
    /// The database could not be read.
    Store(crate::store::StoreError),
    /// A directory could not be created or read.
    Directory(std::path::PathBuf, std::io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Directory(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for StartError {}
