//! Futures that are polled in an order of the simulator's choice, and timers in virtual time.

use coracle::deal::Millis;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Locks; there is one thread, so nobody else holds it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a task wants to be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    name: &'static str,
    /// None while it is polled and after its end.
    work: Option<Work>,
    woken: Arc<Woken>,
}

/// The tasks of one process and of the people around it.
#[derive(Default)]
pub struct Tasks(Mutex<Vec<Task>>);

impl Tasks {
    /// Takes a task in; it is polled for the first time when its turn comes.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.0).push(Task {
            name,
            work: Some(Box::pin(work)),
            woken: Arc::new(Woken(AtomicBool::new(true))),
        });
    }

    /// Number of tasks that can go on.
    pub fn ready(&self) -> u64 {
        let tasks = lock(&self.0);
        let ready = tasks.iter().filter(|task| can_go_on(task));
        ready.count() as u64
    }

    /// Polls one of those that can go on; its name if it has ended.
    pub fn poll(&self, number: u64) -> Option<&'static str> {
        let (at, mut work, woken) = {
            let mut tasks = lock(&self.0);
            let ready = tasks.iter().enumerate().filter(|(_, task)| can_go_on(task));
            let at = ready.map(|(at, _)| at).nth(usize::try_from(number).ok()?)?;
            let task = &mut tasks[at];
            task.woken.0.store(false, Ordering::Relaxed);
            (at, task.work.take()?, Arc::clone(&task.woken))
        };
        let waker = Waker::from(woken);
        if work
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            // Clearing while one is polled does not happen: the world is torn down between steps.
            lock(&self.0)[at].work = Some(work);
            return None;
        }
        drop(work);
        Some(lock(&self.0)[at].name)
    }

    /// Drops everything.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *lock(&self.0));
        drop(tasks);
    }
}

fn can_go_on(task: &Task) -> bool {
    task.work.is_some() && task.woken.0.load(Ordering::Relaxed)
}

/// What waits for a time.
#[derive(Default)]
pub struct Timers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    now: Millis,
    next: u64,
    at: BTreeMap<(Millis, u64), Waker>,
}

impl Timers {
    /// The virtual time, in milliseconds since 1970; it never goes back.
    pub fn now(&self) -> Millis {
        lock(&self.0).now
    }

    /// Begins at this time.
    pub fn begin(&self, now: Millis) {
        lock(&self.0).now = now;
    }

    /// The next time at which something waits.
    pub fn next(&self) -> Option<Millis> {
        lock(&self.0).at.keys().next().map(|(at, _)| *at)
    }

    /// Lets time pass up to `to` and wakes what waited.
    pub fn pass(&self, to: Millis) {
        let due = {
            let mut waiting = lock(&self.0);
            let now = waiting.now.max(to);
            waiting.now = now;
            let later = waiting.at.split_off(&(now + 1, 0));
            std::mem::replace(&mut waiting.at, later)
        };
        due.into_values().for_each(Waker::wake);
    }

    /// Waits until this time; woken through `waker`. The number takes it back.
    fn wait(&self, until: Millis, waker: Waker) -> u64 {
        let mut waiting = lock(&self.0);
        waiting.next += 1;
        let number = waiting.next;
        waiting.at.insert((until, number), waker);
        number
    }

    fn forget(&self, until: Millis, number: u64) {
        lock(&self.0).at.remove(&(until, number));
    }

    /// Holds the time from being passed by more than to `until`, for a job that waits.
    pub fn mark(&self, until: Millis) -> u64 {
        self.wait(until, Waker::noop().clone())
    }

    /// See [`Timers::mark`].
    pub fn unmark(&self, until: Millis, number: u64) {
        self.forget(until, number);
    }
}

/// A wait in virtual time.
pub struct Sleep {
    timers: Arc<Timers>,
    until: Millis,
    number: Option<u64>,
}

impl Sleep {
    /// Waits so many milliseconds from now.
    pub fn new(timers: &Arc<Timers>, millis: Millis) -> Self {
        Self {
            until: timers.now().saturating_add(millis),
            timers: Arc::clone(timers),
            number: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(number) = self.number.take() {
            self.timers.forget(self.until, number);
        }
        if self.timers.now() >= self.until {
            return Poll::Ready(());
        }
        self.number = Some(self.timers.wait(self.until, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.timers.forget(self.until, number);
        }
    }
}
