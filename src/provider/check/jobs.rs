//! Blocking looks at the same time, all of them under one deadline.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Looks at the same time: as many as endpoints and miners of a usual set-up; the others wait for their turn.
const AT_ONCE: usize = 8;

/// Stack of a thread that looks.
const STACK_BYTES: usize = 512 * 1024;

/// One look.
pub(super) type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// Carries out all jobs; their results in the same order, none for one that is not done in time. A thread that hangs is
/// left behind: the process ends soon.
pub(super) fn all<T: Send + 'static>(jobs: Vec<Job<T>>, limit: Duration) -> Vec<Option<T>> {
    let begun = Instant::now();
    let number = jobs.len();
    let waiting: VecDeque<(usize, Job<T>)> = jobs.into_iter().enumerate().collect();
    let waiting = Arc::new(Mutex::new(waiting));
    let (done, results) = mpsc::channel();
    for _ in 0..number.min(AT_ONCE) {
        let (waiting, done) = (Arc::clone(&waiting), done.clone());
        let next = move || {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.pop_front()
        };
        let started = std::thread::Builder::new()
            .name("check".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                while let Some((place, job)) = next() {
                    // Nobody may be waiting any more.
                    let _ = done.send((place, job()));
                }
            });
        if let Err(error) = started {
            log::warn!("no thread to look with: {error}");
        }
    }
    drop(done);
    let mut found: Vec<Option<T>> = Vec::new();
    found.resize_with(number, || None);
    let left = || limit.saturating_sub(begun.elapsed());
    while let Ok((place, result)) = results.recv_timeout(left()) {
        if let Some(slot) = found.get_mut(place) {
            *slot = Some(result);
        }
    }
    found
}
