//! The one writer: takes everything that waits, writes it in one transaction, commits, tells everybody.

use super::{Counts, Done, StoreError, Write, database, tables};
use std::sync::atomic::{AtomicU64, Ordering};
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

/// The file and what was committed to it.
struct Book {
    file: Arc<redb::Database>,
    commits: AtomicU64,
    changes: AtomicU64,
}

/// A handle on the writer thread; the thread ends when it is dropped, after everything that waits is written.
pub(super) struct Thread {
    requests: Option<SyncSender<Request>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Writes, and counts.
pub(super) struct Writer {
    book: Arc<Book>,
    hand: Hand,
}

/// Who writes.
enum Hand {
    /// A thread of its own.
    Thread(Thread),
    /// Whoever calls [`Writer::write_waiting`].
    Own(Mutex<Vec<Request>>),
}

impl Writer {
    pub(super) fn start(database_file: Arc<redb::Database>) -> Result<Self, StoreError> {
        let (requests, waiting) = sync_channel(WAITING_MAX);
        let book = Book::open(database_file);
        let kept = Arc::clone(&book);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || run(&kept, &waiting))
            .map_err(database)?;
        let hand = Hand::Thread(Thread {
            requests: Some(requests),
            thread: Some(thread),
        });
        Ok(Self { book, hand })
    }

    pub(super) fn by_hand(database_file: Arc<redb::Database>) -> Self {
        Self {
            book: Book::open(database_file),
            hand: Hand::Own(Mutex::default()),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            commits: self.book.commits.load(Ordering::Relaxed),
            changes: self.book.changes.load(Ordering::Relaxed),
        }
    }

    pub(super) fn submit(&self, writes: Vec<Write>, done: Done) {
        let request = Request { writes, done };
        match &self.hand {
            Hand::Thread(thread) => thread.submit(request),
            Hand::Own(waiting) => waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(request),
        }
    }

    /// Requests that wait for a hand.
    pub(super) fn waiting(&self) -> usize {
        match &self.hand {
            Hand::Thread(_) => 0,
            Hand::Own(waiting) => waiting.lock().unwrap_or_else(PoisonError::into_inner).len(),
        }
    }

    /// Writes what waits for a hand; the number of requests that shared the commit.
    pub(super) fn write_waiting(&self) -> usize {
        let Hand::Own(waiting) = &self.hand else {
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
            self.book.commit(shared);
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

fn run(book: &Book, waiting: &Receiver<Request>) {
    while let Ok(first) = waiting.recv() {
        let mut shared = vec![first];
        while shared.len() < SHARED_MAX {
            match waiting.try_recv() {
                Ok(request) => shared.push(request),
                Err(_) => break,
            }
        }
        book.commit(shared);
    }
}

impl Book {
    fn open(file: Arc<redb::Database>) -> Arc<Self> {
        Arc::new(Self {
            file,
            commits: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        })
    }

    fn commit(&self, shared: Vec<Request>) {
        let result = write(&self.file, &shared);
        match &result {
            Ok(()) => {
                let changes = u64::try_from(shared.len()).unwrap_or(u64::MAX);
                self.commits.fetch_add(1, Ordering::Relaxed);
                self.changes.fetch_add(changes, Ordering::Relaxed);
            }
            Err(error) => log::error!("{error}; {} changes are not stored", shared.len()),
        }
        for request in shared {
            (request.done)(result.clone());
        }
    }
}

fn write(database_file: &redb::Database, shared: &[Request]) -> Result<(), StoreError> {
    let transaction = database_file.begin_write().map_err(database)?;
    for change in shared.iter().flat_map(|request| &request.writes) {
        tables::apply(&transaction, change)?;
    }
    transaction.commit().map_err(database)
}
