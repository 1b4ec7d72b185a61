//! The one writer: takes everything that waits, writes it in one transaction, commits, tells everybody.

use super::{Done, StoreError, Write, database, tables};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Requests that may wait for the next commit. A live deal asks for a few at a time and proposals are bounded where they
/// come in, so only a disk that hangs fills this; then asking waits, as everything must.
const WAITING_MAX: usize = 16_384;

/// Requests that share one transaction: bounds the memory that it holds.
const SHARED_MAX: usize = 1_024;

pub(super) struct Request {
    writes: Vec<Write>,
    done: Done,
}

/// A handle on the writer thread; the thread ends when it is dropped, after everything that waits is written.
pub(super) struct Thread {
    requests: Option<SyncSender<Request>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Who writes.
pub(super) enum Writer {
    /// A thread of its own.
    Thread(Thread),
    /// Whoever calls [`Writer::write_waiting`].
    ByHand(Arc<redb::Database>, Mutex<Vec<Request>>),
}

impl Writer {
    pub(super) fn start(database_file: Arc<redb::Database>) -> Result<Self, StoreError> {
        let (requests, waiting) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || run(&database_file, &waiting))
            .map_err(database)?;
        Ok(Self::Thread(Thread {
            requests: Some(requests),
            thread: Some(thread),
        }))
    }

    pub(super) fn by_hand(database_file: Arc<redb::Database>) -> Self {
        Self::ByHand(database_file, Mutex::default())
    }

    pub(super) fn submit(&self, writes: Vec<Write>, done: Done) {
        let request = Request { writes, done };
        match self {
            Self::Thread(thread) => thread.submit(request),
            Self::ByHand(_, waiting) => waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(request),
        }
    }

    /// Writes what waits for a hand; the number of requests that shared the commit.
    pub(super) fn write_waiting(&self) -> usize {
        let Self::ByHand(database_file, waiting) = self else {
            return 0;
        };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let shared: Vec<Request> = {
            let count = waiting.len().min(SHARED_MAX);
            waiting.drain(..count).collect()
        };
        drop(waiting);
        let count = shared.len();
        if count > 0 {
            commit(database_file, shared);
        }
        count
    }
}

impl Thread {
    fn submit(&self, request: Request) {
        let Some(requests) = &self.requests else {
            return (request.done)(Err(StoreError::Stopped));
        };
        if let Err(refused) = requests.send(request) {
            (refused.0.done)(Err(StoreError::Stopped));
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing more to write.
            let _ = thread.join();
        }
    }
}

fn run(database_file: &redb::Database, waiting: &Receiver<Request>) {
    while let Ok(first) = waiting.recv() {
        let mut shared = vec![first];
        while shared.len() < SHARED_MAX {
            match waiting.try_recv() {
                Ok(request) => shared.push(request),
                Err(_) => break,
            }
        }
        commit(database_file, shared);
    }
}

fn commit(database_file: &redb::Database, shared: Vec<Request>) {
    let result = write(database_file, &shared);
    if let Err(error) = &result {
        log::error!("{error}; {} changes are not stored", shared.len());
    }
    for request in shared {
        (request.done)(result.clone());
    }
}

fn write(database_file: &redb::Database, shared: &[Request]) -> Result<(), StoreError> {
    let transaction = database_file.begin_write().map_err(database)?;
    for change in shared.iter().flat_map(|request| &request.writes) {
        tables::apply(&transaction, change)?;
    }
    transaction.commit().map_err(database)
}
