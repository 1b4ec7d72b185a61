//! A whole deal in one process: pack, serve, propose, follow, retrieve, compare.
//!
//! The devnet, the provider and the client each have their own executor, thread, sockets and (provider and client) libp2p
//! host. The provider is started from settings, exactly as `coracle run` starts it; the client speaks the deal protocols
//! to it. Nothing is handed from one to the other inside the process but addresses.

mod client;
mod fetch;
mod input;
mod stage;

use crate::deal::Checkpoint;
use cid::Cid;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// What to do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// File or directory to store; 8 MiB of generated files if there is none.
    pub input: Option<PathBuf>,
    /// Keep all files here.
    pub keep: Option<PathBuf>,
    /// Bring the data by `import` instead of a download.
    pub offline: bool,
}

/// What has happened; times are since the demo began.
#[derive(Debug, Clone)]
pub enum Event {
    /// The input is a CAR and its commitment is known.
    Packed {
        /// Root of the DAG.
        root: Cid,
        /// Bytes of the CAR.
        car_size: u64,
        /// Blocks in it.
        blocks: u64,
        /// Its piece CID.
        piece_cid: Cid,
        /// Padded piece size.
        piece_size: u64,
        /// How long packing took.
        packing: Duration,
        /// How long the commitment took.
        committing: Duration,
    },
    /// Devnet, provider and client are up.
    Started {
        /// The provider's peer ID.
        provider: String,
        /// Where it serves pieces.
        http: String,
    },
    /// The proposal was accepted.
    Proposed {
        /// The deal.
        deal: Uuid,
        /// When.
        at: Duration,
    },
    /// Bytes that the provider has.
    Progress {
        /// So many.
        bytes: u64,
        /// Of so many.
        total: u64,
    },
    /// The client saw this checkpoint.
    Checkpoint {
        /// Which.
        checkpoint: Checkpoint,
        /// When.
        at: Duration,
    },
    /// The client saw this sealing state.
    Sealing {
        /// Which.
        state: String,
        /// When.
        at: Duration,
    },
    /// The piece was fetched back and is the CAR.
    Retrieved {
        /// Bytes.
        bytes: u64,
        /// Requests with a range.
        requests: u64,
        /// How long it took.
        took: Duration,
    },
    /// Everything held.
    Done(Summary),
}

/// The figures of a run.
#[derive(Debug, Clone)]
pub struct Summary {
    /// From beginning to end.
    pub took: Duration,
    /// From the accepted proposal to the matching commitment.
    pub transfer: Duration,
    /// Bytes of the CAR.
    pub car_size: u64,
    /// Chain deal ID.
    pub chain_deal_id: u64,
    /// Peak resident memory of the whole process, devnet and client included, in bytes.
    pub peak_memory: u64,
}

/// Why a demo failed: what it was doing, and what went wrong.
#[derive(Debug)]
pub struct DemoError(pub String);

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DemoError {}

fn failed(doing: &str, why: impl fmt::Display) -> DemoError {
    DemoError(format!("{doing}: {why}"))
}

/// Runs a demo and tells what happens.
///
/// # Errors
/// Anything that did not hold.
pub fn run(options: &Options, tell: &mut dyn FnMut(Event)) -> Result<Summary, DemoError> {
    let begun = std::time::Instant::now();
    let directory = stage::Directory::create(options.keep.clone())?;
    let packed = input::pack(options.input.as_deref(), directory.path())?;
    tell(packed.event());
    let stage = stage::Stage::start(directory.path(), &packed)?;
    tell(stage.event());
    let story = client::story(&stage, &packed, options.offline, begun, tell)?;
    let retrieved = fetch::compare(&stage.piece_url(&packed.piece_cid), &packed.car)?;
    tell(retrieved);
    let summary = Summary {
        took: begun.elapsed(),
        transfer: story.transfer,
        car_size: packed.car_size,
        chain_deal_id: story.chain_deal_id,
        peak_memory: peak_memory(),
    };
    stage.stop()?;
    tell(Event::Done(summary.clone()));
    Ok(summary)
}

/// High-water mark of this process's resident memory in bytes; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}
