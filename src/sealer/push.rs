//! Pushing a piece's bytes to lotus-miner (chain-sealer-rpc E.2).
//!
//! ```text
//! HEAD push/<id>   waits until the miner wants the data (hours)
//!   200            POST the bytes to this URL
//!   302            ask the Location: another worker takes them
//!   204            the reader was closed unread: there is nothing to send
//!   other          failed
//! POST             exactly the unpadded piece size; the miner may close early
//! ```
//!
//! No token goes along: the path is the secret, and a redirect may lead to another machine.

use super::{Handover, SealerError};
use crate::filecoin::piece_size;
use crate::rpc::Limits;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::http::Uri;
use ureq::{Agent, SendBody};

/// Workers that hand a reader on from one to the other are a handful.
const REDIRECTS_MAX: usize = 8;

/// A miner that takes no byte for this long has stalled; its disk may be busy with other sectors.
const WRITE_STALL: Duration = Duration::from_secs(1800);

/// What a push came to. None of these says whether the piece is in a sector: that is the call's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Every byte was taken and acknowledged.
    All,
    /// The miner did not want the bytes: it has them, or the call has ended.
    Unwanted,
    /// The exchange broke or was refused, in words. Normal if the miner closed its reader early.
    Broken(String),
    /// Our file could not be read.
    File(String),
}

/// An agent without bounds on waiting: HEAD stays open for hours, and so may the POST.
pub(super) fn agent(limits: &Limits) -> Agent {
    let config = crate::rpc::server_config(limits)
        .timeout_per_write(Some(WRITE_STALL))
        .build();
    crate::rpc::agent(config)
}

/// Waits for the miner's word and sends the bytes. Ends early when the agent is shut down.
pub(super) fn push(agent: &Agent, url: &str, reader: &mut PieceReader) -> Pushed {
    let url = match wait_for_go(agent, url) {
        Ok(Some(url)) => url,
        Ok(None) => return Pushed::Unwanted,
        Err(reason) => return Pushed::Broken(reason),
    };
    let sent = agent
        .post(&url)
        .content_type("application/octet-stream")
        .header("Content-Length", reader.left().to_string())
        .send(SendBody::from_reader(reader));
    if let Some(reason) = reader.failure() {
        return Pushed::File(reason);
    }
    match sent {
        Ok(answer) if answer.status().is_success() => Pushed::All,
        Ok(answer) => Pushed::Broken(format!(
            "POST answered with HTTP {}",
            answer.status().as_u16()
        )),
        Err(error) => Pushed::Broken(format!("POST: {}", words(&error))),
    }
}

/// Asks until a URL answers with 200: that URL; None after 204.
fn wait_for_go(agent: &Agent, url: &str) -> Result<Option<String>, String> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS_MAX {
        let answer = agent
            .head(&url)
            .header("Content-Type", "application/octet-stream")
            .call()
            .map_err(|error| format!("HEAD: {}", words(&error)))?;
        match answer.status().as_u16() {
            200 => return Ok(Some(url)),
            204 => return Ok(None),
            301 | 302 | 303 | 307 | 308 => {
                let location = answer
                    .headers()
                    .get("location")
                    .and_then(|l| l.to_str().ok())
                    .ok_or("HEAD was redirected to nowhere")?;
                url = redirected(&url, location).ok_or("HEAD was redirected to no URL")?;
            }
            status => return Err(format!("HEAD answered with HTTP {status}")),
        }
    }
    Err(format!(
        "HEAD was redirected more than {REDIRECTS_MAX} times"
    ))
}

/// The target of a redirect: absolute, or a path on the same server.
pub(super) fn redirected(from: &str, location: &str) -> Option<String> {
    let target = if location.starts_with('/') && !location.starts_with("//") {
        let from: Uri = from.parse().ok()?;
        format!("{}://{}{location}", from.scheme_str()?, from.authority()?)
    } else {
        location.to_owned()
    };
    let parsed: Uri = target.parse().ok()?;
    matches!(parsed.scheme_str(), Some("http" | "https")).then_some(target)
}

/// An error without the URL, which is a secret.
fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::Timeout(_) => "it took too long".to_owned(),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        _ => "no valid HTTP exchange".to_owned(),
    }
}

/// A piece as the miner wants it: the file, then zeros up to the unpadded piece size.
#[derive(Debug)]
pub(super) struct PieceReader {
    file: File,
    file_left: u64,
    zeros_left: u64,
    /// Kept beside the error that the HTTP client sees, to tell our disk's fault from the network's.
    failure: Arc<Mutex<Option<String>>>,
}

impl PieceReader {
    /// Opens the piece's file.
    ///
    /// # Errors
    /// [`SealerError::File`]: it cannot be opened, has another size than recorded, or is larger than the piece.
    pub fn open(piece: &Handover) -> Result<Self, SealerError> {
        let fault = |text: String| SealerError::File(format!("{}: {text}", piece.file.display()));
        let file = File::open(&piece.file).map_err(|e| fault(e.to_string()))?;
        let size = file.metadata().map_err(|e| fault(e.to_string()))?.len();
        if size != piece.payload_size {
            return Err(fault(format!(
                "it has {size} bytes and should have {}",
                piece.payload_size
            )));
        }
        let whole = piece_size::unpadded(piece.proposal.piece_size);
        let zeros_left = whole
            .checked_sub(size)
            .ok_or_else(|| fault(format!("{size} bytes do not fit into a piece of {whole}")))?;
        Ok(Self {
            file,
            file_left: size,
            zeros_left,
            failure: Arc::default(),
        })
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.file_left.saturating_add(self.zeros_left)
    }

    /// Why the file could not be read, if it could not.
    pub fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn fail(&self, text: &str) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (left, from_file) = match self.file_left {
            0 => (self.zeros_left, false),
            left => (left, true),
        };
        let want = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let Some(part) = buffer.get_mut(..want).filter(|part| !part.is_empty()) else {
            return Ok(0);
        };
        if !from_file {
            part.fill(0);
            self.zeros_left = self.zeros_left.saturating_sub(want as u64);
            return Ok(want);
        }
        match self.file.read(part) {
            Ok(0) => {
                self.fail("it became shorter while it was read");
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Ok(read) => {
                self.file_left = self.file_left.saturating_sub(read as u64);
                Ok(read)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.fail(&error.to_string());
                }
                Err(error)
            }
        }
    }
}
