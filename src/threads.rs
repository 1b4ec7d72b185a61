//! Blocking work, away from the main thread: one small set of threads per kind, so that none starves another
//! (design: threads). The queue of each set is bounded; a full queue refuses instead of waiting.

use futures::channel::oneshot;
use smol::channel::{Receiver, Sender, TrySendError, bounded};
use std::fmt;
use std::future::Future;

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
    jobs: Sender<Job>,
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
        Ok(Self { jobs })
    }

    /// Hands over a job and gives a future of its result.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full, or when the job ended without a result.
    pub fn run<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, Busy>> + Send + use<T, W> {
        let (done, result) = oneshot::channel();
        let sent = self.submit(move || {
            // The asker may have given up; then nobody waits for the result.
            let _ = done.send(work());
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
        self.jobs
            .try_send(Box::new(work))
            .map_err(|refused| match refused {
                TrySendError::Full(_) | TrySendError::Closed(_) => Busy,
            })
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
}
