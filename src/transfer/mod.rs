//! Fetch over HTTP into the staging area, feeding `piece` on the way.
//!
//! The bytes are touched once: socket → staging file + piece commitment + CAR walk + block entries. A [`Fetcher`] runs one
//! attempt of one transfer on the calling thread: a GET for what is missing, its redirects, and the body. Attempts, waits
//! between them and the deadline of the whole are the market's.
//!
//! What comes from a deal is not trusted: not the URL (only public addresses are connected to, and those that the
//! operator lists), not the server (every wait has a limit and ends on a stop, every size is checked before it is used).
//! URL and headers may be credentials, so no error, log line or `Debug` shows more of them than `host:port`.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod address;
mod answer;
mod fetch;
mod params;
mod pass;
mod patience;
mod resolve;
mod socket;
#[cfg(test)]
mod tests;
mod url;

pub use address::is_public;
pub use params::{
    MAX_HEADER_BYTES, MAX_HEADERS, MAX_PARAMS, ParamsError, TransferParams, parse_params,
};
pub use resolve::LookUp;
pub use url::{UrlError, check_private_url};

use crate::piece::commp::PieceCommitment;
use pass::{Intervals, Pass};
use patience::Patience;
use resolve::Resolver;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;
use url::PrivatePrefix;

/// Buffer for reading a local file: large enough that a disk reads ahead, small beside the memory budget.
const LOCAL_BUFFER: usize = 128 * 1024;

/// Where the staging file, the hasher, the walker and the block entries agree; persisted, then resumed from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavePoint {
    /// Bytes that have gone through all of them.
    pub offset: u64,
    /// State of the hasher, its own versioned form.
    pub hasher: Vec<u8>,
    /// State of the CAR walker, its own versioned form.
    pub walker: Vec<u8>,
    /// Length of the file of block entries in bytes.
    pub spool_len: u64,
    /// ETag or Last-Modified of the source, as it was sent.
    pub validator: Option<String>,
}

/// What is to be fetched or read, and where to.
#[derive(Debug, Clone)]
pub struct Job {
    /// Where the bytes come from.
    pub source: Source,
    /// Declared bytes; enforced while reading. 0 with a local file: its own size.
    pub size: u64,
    /// Staging file; with a local source the file itself, read where it is.
    pub file: PathBuf,
    /// File of block entries (see `piece::spool`).
    pub spool: PathBuf,
    /// Resume from here; anything beyond it on disk is cut off.
    pub save: SavePoint,
}

/// Where the bytes of a piece come from. `Debug` shows no credentials.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A GET of this URL with these headers, as [`parse_params`] gave them.
    Http {
        /// `http://` or `https://`.
        url: String,
        /// Sent to the URL's own origin only.
        headers: Vec<(String, String)>,
    },
    /// A file that is there already (an import).
    Local,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, headers } => {
                let host =
                    url::HttpUrl::parse(url).map_or_else(|_| "?".to_owned(), |url| url.written);
                f.debug_struct("Http")
                    .field("host", &host)
                    .field("headers", &headers.len())
                    .finish_non_exhaustive()
            }
            Self::Local => f.write_str("Local"),
        }
    }
}

/// Shared between the market and a running transfer.
#[derive(Debug, Default)]
pub struct Control {
    /// Set to end the attempt; it ends within about a second.
    pub stop: AtomicBool,
    /// Bytes that are through, those of earlier attempts included.
    pub bytes: AtomicU64,
}

/// The finished pass.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Of the bytes as they are, at their natural size.
    pub commitment: PieceCommitment,
    /// Bytes of the file.
    pub bytes: u64,
    /// Sections of the CAR.
    pub car_blocks: u64,
}

/// Why a pass ended without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// `stop` was set; go on from the last save point.
    Stopped,
    /// Worth another try after a wait.
    Again {
        /// For log and status; no credentials in it.
        reason: String,
        /// Whether bytes arrived in this attempt.
        progress: bool,
        /// Seconds that the server asked to wait for (`Retry-After`), at most an hour.
        after: Option<u64>,
    },
    /// No further try can help.
    Fatal {
        /// For log and status; no credentials in it.
        reason: String,
    },
    /// The local disk failed or is full.
    Disk {
        /// Which file, and the operating system's words.
        reason: String,
    },
}

impl Failure {
    fn again(reason: impl Into<String>) -> Self {
        Self::Again {
            reason: reason.into(),
            progress: false,
            after: None,
        }
    }

    fn fatal(reason: impl Into<String>) -> Self {
        Self::Fatal {
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Again { reason, .. } | Self::Fatal { reason } | Self::Disk { reason } => {
                f.write_str(reason)
            }
        }
    }
}

impl std::error::Error for Failure {}

/// Address rules, time limits and intervals of all transfers.
#[derive(Debug, Clone)]
pub struct FetchLimits {
    /// Address prefixes from which downloads are allowed although they are not public; see [`check_private_url`] for
    /// their form. Those that are not valid allow nothing.
    pub private_urls: Vec<String>,
    /// Longest look-up of a name.
    pub resolve: Duration,
    /// Longest connecting, TLS included.
    pub connect: Duration,
    /// Longest wait for the whole head of an answer.
    pub first_byte: Duration,
    /// Longest time in which a body may bring (next to) nothing.
    pub stall: Duration,
    /// A save point is made after this many bytes: what is read again at most after a crash.
    pub save_every_bytes: u64,
    /// A save point is made after this time even if fewer bytes came.
    pub save_every: Duration,
}

impl Default for FetchLimits {
    /// Name 10 s, connecting 15 s, head 60 s (servers that unpack or fetch first take a while), stall 60 s, save points
    /// every 64 MiB or 10 s (a sync of that much takes well below a second on a disk).
    fn default() -> Self {
        Self {
            private_urls: Vec::new(),
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(15),
            first_byte: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            save_every_bytes: 64 << 20,
            save_every: Duration::from_secs(10),
        }
    }
}

/// Carries a job out; what a [`Fetcher`] does over real sockets.
pub trait Fetch: Send + Sync {
    /// Runs one attempt on the calling thread.
    ///
    /// `saved` is called with each save point after what it claims is synced to the disk; when it returns, the point is
    /// persisted. A point at offset 0 takes the earlier one back: the bytes are no longer there.
    ///
    /// # Errors
    /// See [`Failure`]. Where going on makes sense, a save point was made first.
    fn run(
        &self,
        job: &Job,
        control: &Arc<Control>,
        saved: &mut dyn FnMut(SavePoint),
    ) -> Result<Finished, Failure>;
}

/// Runs attempts; one for all transfers, used from many threads at once.
///
/// An attempt needs a stack of 256 KiB (TLS in a debug build; a release build takes less). It holds at most 256 KiB of
/// buffers beside the state of hasher, walker and block entries.
pub struct Fetcher {
    limits: FetchLimits,
    private: Vec<PrivatePrefix>,
    resolver: Resolver,
}

impl Fetcher {
    /// A fetcher that finds addresses with the operating system's resolver.
    pub fn new(limits: FetchLimits) -> Self {
        Self::with_look_up(limits, Arc::new(resolve::system))
    }

    /// A fetcher that finds addresses in another way; for tests of what names may resolve to.
    pub fn with_look_up(limits: FetchLimits, look_up: Arc<LookUp>) -> Self {
        let parse = |text: &String| match PrivatePrefix::parse(text) {
            Ok(prefix) => Some(prefix),
            Err(error) => {
                log::error!("private address prefix {text} allows nothing: {error}");
                None
            }
        };
        let private = limits.private_urls.iter().filter_map(parse).collect();
        Self {
            limits,
            private,
            resolver: Resolver::new(look_up),
        }
    }
}

impl Fetch for Fetcher {
    fn run(
        &self,
        job: &Job,
        control: &Arc<Control>,
        saved: &mut dyn FnMut(SavePoint),
    ) -> Result<Finished, Failure> {
        let intervals = Intervals {
            bytes: self.limits.save_every_bytes,
            time: self.limits.save_every,
        };
        let size = match job.source {
            Source::Http { .. } if job.size == 0 => {
                // The reference crashes over this (spec boost-mk12 11 #20); there is no piece without bytes.
                return Err(Failure::fatal("the deal declares 0 bytes to download"));
            }
            Source::Http { .. } => job.size,
            Source::Local => local_size(job)?,
        };
        let mut pass = Pass::open(job, size, control, saved, intervals)?;
        let mut progress = false;
        let ended = if pass.stopped() {
            Err(Failure::Stopped)
        } else if pass.offset() == size {
            Ok(())
        } else {
            match &job.source {
                Source::Local => read_local(job, size, &mut pass),
                Source::Http { url, headers } => {
                    let attempt = fetch::Attempt {
                        limits: &self.limits,
                        private: &self.private,
                        resolver: &self.resolver,
                        patience: Arc::new(Patience::new(Arc::clone(control))),
                    };
                    attempt.run(url, headers, size, &mut pass, &mut progress)
                }
            }
        };
        match ended {
            Ok(()) => pass.finish(),
            Err(Failure::Again { reason, after, .. }) => {
                pass.save()?;
                Err(Failure::Again {
                    reason,
                    progress,
                    after,
                })
            }
            Err(Failure::Stopped) => {
                pass.save()?;
                Err(Failure::Stopped)
            }
            Err(failure) => Err(failure),
        }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The size of a local file, which has to be the declared one if one was declared.
fn local_size(job: &Job) -> Result<u64, Failure> {
    let found = fs::metadata(&job.file)
        .map_err(|error| unreadable(&error))?
        .len();
    if job.size != 0 && job.size != found {
        return Err(Failure::fatal(answer::other_size(
            "the file", found, job.size,
        )));
    }
    Ok(found)
}

/// Reads a local file through the pass from where it stands.
fn read_local(job: &Job, size: u64, pass: &mut Pass<'_>) -> Result<(), Failure> {
    let mut file = File::open(&job.file).map_err(|error| unreadable(&error))?;
    file.seek(SeekFrom::Start(pass.offset()))
        .map_err(|error| unreadable(&error))?;
    let mut buffer = vec![0; LOCAL_BUFFER];
    while pass.offset() < size {
        if pass.stopped() {
            return Err(Failure::Stopped);
        }
        let left = usize::try_from(size.saturating_sub(pass.offset())).unwrap_or(usize::MAX);
        let room = buffer.get_mut(..left.min(LOCAL_BUFFER)).unwrap_or_default();
        let read = file.read(room).map_err(|error| unreadable(&error))?;
        if read == 0 {
            return Err(Failure::fatal(format!(
                "the file became shorter while it was read: {} of {size} bytes",
                pass.offset()
            )));
        }
        pass.take(buffer.get(..read).unwrap_or_default())?;
    }
    Ok(())
}

/// The file is not ours: only who brought it can help.
fn unreadable(error: &std::io::Error) -> Failure {
    Failure::fatal(format!("cannot read the file: {error}"))
}
