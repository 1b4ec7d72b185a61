//! Blocking work, away from the main thread: one small set of threads per kind, so that none starves another
//! (design: threads). The queue of each set is bounded; a full queue refuses instead of waiting.
//!
//! Work can also be collected as [`Jobs`] that somebody carries out by hand, one at a time and in an order of their own: so a
//! simulation of the whole provider stays on one thread.

use futures::channel::oneshot;
use smol::channel::{Receiver, Sender, TrySendError, bounded};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// The queue of a set is full, or the set has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too much work of this kind is waiting already")
    }
}

impl std::error::Error for Busy {}

/// A named set of threads that carries out blocking jobs in the order of their coming.
///
/// Cloning shares the set. The threads end when the last clone is dropped and the queue is empty.
#[derive(Clone)]
pub struct Pool {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Threads(Sender<Job>),
    ByHand(Jobs, &'static str),
}

/// Work that was handed over and that no thread carries out. Cloning shares the collection.
#[derive(Clone, Default)]
pub struct Jobs {
    waiting: Arc<Mutex<VecDeque<(&'static str, Job)>>>,
}

impl Jobs {
    /// Names of the sets that the waiting jobs were handed to, oldest first.
    pub fn names(&self) -> Vec<&'static str> {
        self.lock().iter().map(|(name, _)| *name).collect()
    }

    /// Number of jobs that wait.
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Takes one job out; none if fewer wait.
    pub fn take(&self, position: usize) -> Option<Box<dyn FnOnce() + Send>> {
        self.lock().remove(position).map(|(_, job)| job)
    }

    fn put(&self, name: &'static str, job: Job) {
        self.lock().push_back((name, job));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(&'static str, Job)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a thread for each job: for calls that may last for hours. Their number is bounded by who starts them.
#[derive(Clone, Default)]
pub struct Own {
    by_hand: Option<Jobs>,
}

impl Own {
    /// Collects the jobs instead.
    pub fn by_hand(jobs: &Jobs) -> Self {
        Self {
            by_hand: Some(jobs.clone()),
        }
    }

    /// Starts a job on a thread named `name` with a stack of `stack` bytes.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub fn start(
        &self,
        name: &'static str,
        stack: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        if let Some(jobs) = &self.by_hand {
            jobs.put(name, Box::new(work));
            return Ok(());
        }
        std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(stack)
            .spawn(work)
            .map(drop)
    }
}

impl Pool {
    /// Starts `threads` threads named `name` with stacks of `stack` bytes; at most `queue` jobs wait.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub fn new(name: &str, threads: usize, queue: usize, stack: usize) -> std::io::Result<Self> {
        let (jobs, waiting) = bounded::<Job>(queue.max(1));
        for number in 0..threads.max(1) {
            let waiting: Receiver<Job> = waiting.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .stack_size(stack)
                .spawn(move || {
                    while let Ok(job) = waiting.recv_blocking() {
                        job();
                    }
                })?;
        }
        Ok(Self {
            kind: Kind::Threads(jobs),
        })
    }

    /// A set without threads: its jobs are collected under this name.
    pub fn by_hand(jobs: &Jobs, name: &'static str) -> Self {
        Self {
            kind: Kind::ByHand(jobs.clone(), name),
        }
    }

    /// Hands over a job and gives a future of its result. If that is dropped before the job's turn comes, the job is not
    /// begun: questions that nobody waits for any more must not keep the others waiting.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full, or when the job ended without a result.
    pub fn run<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, Busy>> + Send + use<T, W> {
        let (done, result) = oneshot::channel();
        let sent = self.submit(move || {
            if !done.is_canceled() {
                // The asker may have given up meanwhile; then nobody waits for the result.
                let _ = done.send(work());
            }
        });
        async move {
            sent?;
            result.await.map_err(|_| Busy)
        }
    }

    /// Hands over a job that reports by itself.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full.
    pub fn submit(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        match &self.kind {
            Kind::Threads(jobs) => jobs
                .try_send(Box::new(work))
                .map_err(|refused| match refused {
                    TrySendError::Full(_) | TrySendError::Closed(_) => Busy,
                }),
            Kind::ByHand(jobs, name) => {
                jobs.put(name, Box::new(work));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_and_a_full_queue_refuses() {
        let pool = Pool::new("test", 1, 1, 64 * 1024).unwrap();
        assert_eq!(smol::block_on(pool.run(|| 6 * 7)), Ok(42));
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = std::sync::mpsc::channel::<()>();
        pool.submit(move || {
            begun.send(()).unwrap();
            let _ = held.recv();
        })
        .unwrap();
        begins.recv().unwrap();
        pool.submit(|| ()).unwrap();
        assert_eq!(pool.submit(|| ()), Err(Busy));
        drop(hold);
    }

    #[test]
    fn a_job_that_nobody_waits_for_is_not_begun() {
        let jobs = Jobs::default();
        let pool = Pool::by_hand(&jobs, "reads");
        let begun = Arc::new(Mutex::new(Vec::new()));
        let note = |number: u8| {
            let begun = Arc::clone(&begun);
            move || begun.lock().unwrap().push(number)
        };
        let dropped = pool.run(note(1));
        let waited_for = pool.run(note(2));
        drop(dropped);
        while let Some(job) = jobs.take(0) {
            job();
        }
        assert_eq!(smol::block_on(waited_for), Ok(()));
        assert_eq!(*begun.lock().unwrap(), [2]);
    }

    #[test]
    fn jobs_by_hand_wait_until_they_are_taken() {
        let jobs = Jobs::default();
        let pool = Pool::by_hand(&jobs, "reads");
        let result = pool.run(|| 6 * 7);
        let (tell, told) = std::sync::mpsc::channel();
        Own::by_hand(&jobs)
            .start("pass", 0, move || tell.send("ran").unwrap())
            .unwrap();
        assert_eq!(jobs.names(), ["reads", "pass"]);
        assert_eq!(jobs.waiting(), 2);
        assert!(told.try_recv().is_err());
        jobs.take(1).unwrap()();
        assert_eq!(told.try_recv(), Ok("ran"));
        jobs.take(0).unwrap()();
        assert!(jobs.take(0).is_none());
        assert_eq!(smol::block_on(result), Ok(42));
    }
}
