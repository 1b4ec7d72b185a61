//! A disk in memory that forgets what was not synced when the power is cut, and that can be made to hang.

use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// A change that is not synced yet.
#[derive(Debug, Clone)]
enum Pending {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

#[derive(Debug, Default)]
struct State {
    /// As the program sees it.
    seen: Vec<u8>,
    /// As it was at the last sync.
    synced: Vec<u8>,
    pending: Vec<Pending>,
    syncs: usize,
    /// The power is cut at the beginning of this sync.
    cut_at: Option<usize>,
    dead: bool,
    /// Syncs wait.
    held: bool,
}

/// Cloning shares the disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Disk {
    /// A disk with these contents.
    pub fn with(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        let mut state = disk.lock();
        state.seen.clone_from(&bytes);
        state.synced = bytes;
        drop(state);
        disk
    }

    pub fn syncs(&self) -> usize {
        self.lock().syncs
    }

    /// Cuts the power at the beginning of the sync with this number, counted from 0.
    pub fn cut_at(&self, sync: usize) {
        self.lock().cut_at = Some(sync);
    }

    /// Lets syncs wait until [`Disk::release`].
    pub fn hold(&self) {
        self.lock().held = true;
    }

    pub fn release(&self) {
        self.lock().held = false;
        self.state.1.notify_all();
    }

    /// What is on the disk after the power was cut: what was synced, and of the rest what `reached` says.
    pub fn after_cut(&self, mut reached: impl FnMut() -> bool) -> Vec<u8> {
        let state = self.lock();
        let mut bytes = state.synced.clone();
        for pending in &state.pending {
            if !reached() {
                continue;
            }
            match pending {
                Pending::Length(length) => bytes.resize(*length, 0),
                Pending::Bytes(offset, data) => {
                    if let Some(place) = bytes.get_mut(*offset..*offset + data.len()) {
                        place.copy_from_slice(data);
                    }
                }
            }
        }
        bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().expect("no test panics under the lock")
    }

    fn alive(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.dead {
            return Err(Error::other("the power is cut"));
        }
        Ok(state)
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("small files")
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        Ok(self.alive()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let state = self.alive()?;
        let from = place(offset);
        let bytes = state.seen.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut state = self.alive()?;
        state.seen.resize(place(len), 0);
        state.pending.push(Pending::Length(place(len)));
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.alive()?;
        while state.held {
            state = self
                .state
                .1
                .wait(state)
                .expect("no test panics under the lock");
        }
        if state.cut_at == Some(state.syncs) {
            state.dead = true;
            return Err(Error::other("the power is cut"));
        }
        state.syncs += 1;
        let seen = state.seen.clone();
        state.synced = seen;
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut state = self.alive()?;
        let from = place(offset);
        let end = from + data.len();
        if state.seen.len() < end {
            state.seen.resize(end, 0);
        }
        state.seen[from..end].copy_from_slice(data);
        state.pending.push(Pending::Bytes(from, data.to_vec()));
        Ok(())
    }
}
