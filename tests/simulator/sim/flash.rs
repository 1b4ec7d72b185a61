//! The storage under the database: forgets what was not synced when the power is cut. Instead of a second copy it keeps
//! what the writes since the last sync have overwritten.

use super::kinds::Kind;
use super::sched::{End, Sched};
use super::tasks::lock;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex};

/// A change since the last sync, and what takes it back.
#[derive(Debug)]
enum Undo {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

/// What of the unsynced writes a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Parts,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    undo: Vec<Undo>,
    left: Option<Left>,
    commits: u64,
}

/// Outlives the processes. Cloning shares it.
#[derive(Clone)]
pub struct Flash {
    state: Arc<Mutex<State>>,
    sched: Arc<Sched>,
}

impl std::fmt::Debug for Flash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flash")
    }
}

impl Flash {
    /// Storage with these contents.
    pub fn new(sched: &Arc<Sched>, bytes: Vec<u8>) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                bytes,
                ..State::default()
            })),
            sched: Arc::clone(sched),
        }
    }

    /// What is on it.
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.state).bytes.clone()
    }

    /// The power is cut: unsynced writes are gone, or parts of them.
    pub fn cut(&self) {
        let mut state = lock(&self.state);
        let left = state.left.take().unwrap_or(Left::Parts);
        let mut undo = std::mem::take(&mut state.undo);
        let mut lost = Vec::new();
        while let Some(change) = undo.pop() {
            let redo = match change {
                Undo::Length(length) => {
                    let now = state.bytes.len();
                    state.bytes.resize(length, 0);
                    Undo::Length(now)
                }
                Undo::Bytes(at, before) => {
                    let now = state.bytes[at..at + before.len()].to_vec();
                    state.bytes[at..at + before.len()].copy_from_slice(&before);
                    Undo::Bytes(at, now)
                }
            };
            lost.push(redo);
        }
        if left == Left::Nothing {
            return;
        }
        while let Some(change) = lost.pop() {
            if !self.sched.chance(500) {
                continue;
            }
            match change {
                Undo::Length(length) => state.bytes.resize(length, 0),
                Undo::Bytes(at, now) => {
                    if let Some(place) = state.bytes.get_mut(at..at + now.len()) {
                        place.copy_from_slice(&now);
                    }
                }
            }
        }
    }

    fn alive(&self) -> Result<()> {
        // An orderly end closes the file.
        match self.sched.end() {
            None | Some(End::Stop) => Ok(()),
            Some(End::Crash | End::Over) => Err(Error::other("the process is gone")),
        }
    }

    fn crash(&self, kind: Kind, left: Left) -> Result<()> {
        if self.sched.end() == Some(End::Stop) {
            return Ok(());
        }
        self.sched.may_crash(kind).map_err(|_| {
            lock(&self.state).left = Some(left);
            Error::other("the process is gone")
        })
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("a small file")
}

impl redb::StorageBackend for Flash {
    fn len(&self) -> Result<u64> {
        self.alive()?;
        Ok(lock(&self.state).bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.alive()?;
        let state = lock(&self.state);
        let from = place(offset);
        let bytes = state.bytes.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.alive()?;
        let mut state = lock(&self.state);
        let before = state.bytes.len();
        let len = place(len);
        if len < before {
            let cut = state.bytes[len..].to_vec();
            state.undo.push(Undo::Bytes(len, cut));
        }
        state.undo.push(Undo::Length(before));
        state.bytes.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.alive()?;
        self.crash(Kind::CrashBeforeSync, Left::Nothing)?;
        self.crash(Kind::CrashTornSync, Left::Parts)?;
        if self.sched.end().is_none() && self.sched.fault(Kind::DatabaseFails) {
            return Err(ErrorKind::StorageFull.into());
        }
        {
            let mut state = lock(&self.state);
            state.undo.clear();
            state.commits += 1;
        }
        self.crash(Kind::CrashAfterSync, Left::Nothing)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.alive()?;
        let mut state = lock(&self.state);
        let from = place(offset);
        let end = from + data.len();
        if state.bytes.len() < end {
            let before = state.bytes.len();
            state.undo.push(Undo::Length(before));
            state.bytes.resize(end, 0);
        }
        let before = state.bytes[from..end].to_vec();
        state.undo.push(Undo::Bytes(from, before));
        state.bytes[from..end].copy_from_slice(data);
        Ok(())
    }
}
