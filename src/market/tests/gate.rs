//! A store whose commits can be held back, refused, or cut off by a crash.

use crate::deal::funds::{Fees, FundsOrder};
use crate::deal::{Deal, Millis};
use crate::filecoin::Address;
use crate::store::{
    Counts, Done, Listing, LogLine, PieceRecord, Redb, RefusedProposal, Store, StoreError,
    StoredAsk, Watched, Write,
};
use crate::transfer::SavePoint;
use cid::Cid;
use std::sync::{Arc, Mutex, MutexGuard};
use uuid::Uuid;

/// What happens to commits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Open,
    /// They wait for [`Gate::open`].
    Held,
    /// Nothing is written, and that is said.
    Failing,
    /// After this many more commits nothing is written and nothing is said; the last one is written or lost.
    Dying { commits: u32, written: bool },
    /// Nothing is written and nothing is said.
    Dead,
}

#[derive(Default)]
struct State {
    mode: Mode,
    held: Vec<(Vec<Write>, Done)>,
    commits: u32,
}

pub struct Gate {
    store: Mutex<Option<Arc<Redb>>>,
    state: Mutex<State>,
}

impl Gate {
    pub fn over(store: Redb) -> Self {
        Self {
            store: Mutex::new(Some(Arc::new(store))),
            state: Mutex::default(),
        }
    }

    pub fn set(&self, mode: Mode) {
        self.state().mode = mode;
    }

    pub fn mode(&self) -> Mode {
        self.state().mode
    }

    /// Commits that were asked for.
    pub fn commits(&self) -> u32 {
        self.state().commits
    }

    /// Commits that wait.
    pub fn held(&self) -> usize {
        self.state().held.len()
    }

    /// Lets all commits through.
    pub fn open(&self) {
        let held = std::mem::take(&mut self.state().held);
        self.set(Mode::Open);
        for (writes, done) in held {
            self.commit(writes, done);
        }
    }

    /// Closes the file, as the end of a process does.
    pub fn close(&self) {
        self.set(Mode::Dead);
        let store = self.store.lock().expect("not poisoned").take();
        if let Some(mut store) = store {
            // A reader may still be at it.
            while let Err(shared) = Arc::try_unwrap(store) {
                store = shared;
                std::thread::yield_now();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    fn store(&self) -> Result<Arc<Redb>, StoreError> {
        let store = self.store.lock().expect("not poisoned");
        store.clone().ok_or(StoreError::Stopped)
    }
}

impl Store for Gate {
    fn commit(&self, writes: Vec<Write>, done: Done) {
        let mut state = self.state();
        state.commits += 1;
        match state.mode {
            Mode::Open => {}
            Mode::Held => return state.held.push((writes, done)),
            Mode::Failing => {
                drop(state);
                return done(Err(StoreError::Database("the disk is full".to_owned())));
            }
            Mode::Dying {
                commits: 0,
                written,
            } => {
                state.mode = Mode::Dead;
                drop(state);
                if written && let Ok(store) = self.store() {
                    let _ = store.commit_and_wait(writes);
                }
                return;
            }
            Mode::Dying { commits, written } => {
                let commits = commits - 1;
                state.mode = Mode::Dying { commits, written };
            }
            Mode::Dead => return,
        }
        drop(state);
        match self.store() {
            Ok(store) => store.commit(writes, done),
            Err(error) => done(Err(error)),
        }
    }

    fn counts(&self) -> Counts {
        self.store().map(|store| store.counts()).unwrap_or_default()
    }

    fn live(&self) -> Result<Vec<Deal>, StoreError> {
        self.store()?.live()
    }

    fn deal(&self, uuid: Uuid) -> Result<Option<Deal>, StoreError> {
        self.store()?.deal(uuid)
    }

    fn by_chain_cid(&self, cid: &Cid) -> Result<Option<Uuid>, StoreError> {
        self.store()?.by_chain_cid(cid)
    }

    fn list(&self, listing: &Listing) -> Result<(Vec<Deal>, bool), StoreError> {
        self.store()?.list(listing)
    }

    fn log_from(&self, uuid: Uuid, first: u64) -> Result<Vec<(u64, LogLine)>, StoreError> {
        self.store()?.log_from(uuid, first)
    }

    fn save_point(&self, uuid: Uuid) -> Result<Option<SavePoint>, StoreError> {
        self.store()?.save_point(uuid)
    }

    fn watched(
        &self,
        now: Millis,
        longest: Millis,
        limit: usize,
    ) -> Result<Vec<Watched>, StoreError> {
        self.store()?.watched(now, longest, limit)
    }

    fn saves(&self) -> Result<Vec<Uuid>, StoreError> {
        self.store()?.saves()
    }

    fn ask(&self, miner: &Address) -> Result<Option<StoredAsk>, StoreError> {
        self.store()?.ask(miner)
    }

    fn refused(&self, limit: usize) -> Result<Vec<RefusedProposal>, StoreError> {
        self.store()?.refused(limit)
    }

    fn messages(&self) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError> {
        self.store()?.messages()
    }

    fn funds(&self) -> Result<Vec<FundsOrder>, StoreError> {
        self.store()?.funds()
    }

    fn fees(&self) -> Result<Vec<(Address, Fees)>, StoreError> {
        self.store()?.fees()
    }

    fn pieces(&self) -> Result<Vec<([u8; 32], PieceRecord)>, StoreError> {
        self.store()?.pieces()
    }
}
