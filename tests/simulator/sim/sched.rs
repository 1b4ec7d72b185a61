//! The order of things: which task, job or commit comes next, when time passes, and when the process dies.
//!
//! Everything runs on one thread. A job that waits in an outside call takes further steps meanwhile, so calls overlap as
//! they would on threads; those that began later end earlier. A process that has died may run on to the end of its
//! current call, but nothing that it does there has an effect: every double asks first whether it is alive.

use super::kinds::{Kind, Tally};
use super::plan;
use super::rng::Rng;
use super::tasks::{Sleep, Tasks, Timers, lock};
use coracle::deal::Millis;
use std::sync::{Arc, Mutex};

/// Calls that wait inside each other; deeper ones do not wait.
const DEPTH_MAX: u32 = 8;

/// Steps of a whole run: far more than the longest honest one takes.
const STEPS_MAX: u64 = 200_000;

/// Crashes of one run: beyond that nothing new is found, but time is spent.
const CRASHES_MAX: u32 = 5;

/// The process is gone: the call that asks is to end without an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead;

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In the middle of something.
    Crash,
    /// It was stopped in order.
    Stop,
    /// The run is over, or a violation ends it.
    Over,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub invariant: &'static str,
    /// What was seen instead.
    pub text: String,
}

/// The running process's work beside its tasks.
pub trait Hands: Send + Sync {
    /// Jobs that wait for a thread.
    fn jobs(&self) -> u64;
    /// Carries one of them out.
    fn run(&self, number: u64);
    /// Whether commits wait.
    fn unwritten(&self) -> bool;
    /// Writes what waits.
    fn write(&self);
}

struct State {
    rng: Rng,
    odds: Vec<u64>,
    tally: Tally,
    digest: u64,
    verbose: bool,
    violation: Option<Violation>,
    calm_at: Millis,
    dead: Option<End>,
    crashes: u32,
    depth: u32,
    polling: bool,
    steps: u64,
    /// Of the process's clock against the true time.
    clock: i64,
    hands: Option<Arc<dyn Hands>>,
}

/// The scheduler, shared by everything in a run.
pub struct Sched {
    state: Mutex<State>,
    /// Of the process and of the people.
    pub tasks: Tasks,
    /// Virtual time.
    pub timers: Arc<Timers>,
}

impl Sched {
    /// A scheduler whose choices follow from the seed.
    pub fn new(seed: u64, begin: Millis, verbose: bool) -> Self {
        let mut rng = Rng::new(seed);
        let odds = plan::odds(&mut rng);
        let timers = Arc::new(Timers::default());
        timers.begin(begin);
        Self {
            state: Mutex::new(State {
                rng,
                odds,
                tally: Tally::default(),
                digest: 0,
                verbose,
                violation: None,
                calm_at: Millis::MAX,
                dead: None,
                crashes: 0,
                depth: 0,
                polling: false,
                steps: 0,
                clock: 0,
                hands: None,
            }),
            tasks: Tasks::default(),
            timers,
        }
    }

    /// A number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        lock(&self.state).rng.below(end)
    }

    /// True so many times in a thousand.
    pub fn chance(&self, per_mille: u64) -> bool {
        lock(&self.state).rng.chance(per_mille)
    }

    /// One of these.
    pub fn pick<T: Copy>(&self, from: &[T]) -> T {
        lock(&self.state).rng.pick(from)
    }

    /// Whether this fault happens now; counted if so. None happens once the faults have ended.
    pub fn fault(&self, kind: Kind) -> bool {
        if self.calm() {
            return false;
        }
        let mut state = lock(&self.state);
        let odds = state.odds[kind as usize];
        let happens = state.rng.chance(odds);
        if happens {
            state.tally.count(kind);
        }
        drop(state);
        if happens {
            self.note(|| format!("fault: {}", kind.name()));
        }
        happens
    }

    /// Counts something that is no fault.
    pub fn count(&self, kind: Kind) {
        lock(&self.state).tally.count(kind);
    }

    /// The true time, milliseconds since 1970.
    pub fn now(&self) -> Millis {
        self.timers.now()
    }

    /// The process's clock.
    pub fn clock(&self) -> Millis {
        self.now().saturating_add_signed(lock(&self.state).clock)
    }

    /// Sets the process's clock forward or back.
    pub fn set_clock(&self, by: i64) {
        let mut state = lock(&self.state);
        state.clock = state.clock.saturating_add(by);
    }

    /// The faults end at this time.
    pub fn calm_from(&self, at: Millis) {
        lock(&self.state).calm_at = at;
    }

    /// Whether the faults have ended.
    pub fn calm(&self) -> bool {
        let calm_at = lock(&self.state).calm_at;
        self.now() >= calm_at
    }

    /// Waits in virtual time.
    pub fn sleep(&self, millis: Millis) -> Sleep {
        Sleep::new(&self.timers, millis)
    }

    /// For the verbose trace; everything that is traced goes into the digest too, so that two runs can be compared.
    pub fn note(&self, text: impl FnOnce() -> String) {
        let verbose = lock(&self.state).verbose;
        if verbose {
            println!("{:>12} {}", self.now() - super::BEGIN, text());
        }
    }

    fn digest(&self, what: u64) {
        let mut state = lock(&self.state);
        let mixed = (state.digest ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state.digest = mixed.rotate_left(23);
    }

    /// Records a violation; the first one is kept and ends the run.
    pub fn violated(&self, invariant: &'static str, text: impl Into<String>) {
        let violation = Violation {
            invariant,
            text: text.into(),
        };
        self.note(|| format!("VIOLATION: {invariant}: {}", violation.text));
        let mut state = lock(&self.state);
        state.violation.get_or_insert(violation);
        state.dead.get_or_insert(End::Over);
    }

    /// The first violation.
    pub fn violation(&self) -> Option<Violation> {
        lock(&self.state).violation.clone()
    }

    /// What has happened, and a number that stands for the whole order of things.
    pub fn result(&self) -> (Tally, u64) {
        let state = lock(&self.state);
        (state.tally.clone(), state.digest)
    }

    /// Whether the process is still there.
    ///
    /// # Errors
    /// [`Dead`].
    pub fn alive(&self) -> Result<(), Dead> {
        match lock(&self.state).dead {
            None => Ok(()),
            Some(_) => Err(Dead),
        }
    }

    /// How the process has ended.
    pub fn end(&self) -> Option<End> {
        lock(&self.state).dead
    }

    /// Ends the process.
    pub fn die(&self, end: End) {
        self.note(|| format!("the process ends: {end:?}"));
        let mut state = lock(&self.state);
        if end == End::Crash {
            state.crashes += 1;
        }
        state.dead.get_or_insert(end);
    }

    /// Crashes if that is due at a point of this kind.
    ///
    /// # Errors
    /// [`Dead`], now or before.
    pub fn may_crash(&self, kind: Kind) -> Result<(), Dead> {
        self.alive()?;
        if lock(&self.state).crashes < CRASHES_MAX && self.fault(kind) {
            self.die(End::Crash);
            return Err(Dead);
        }
        Ok(())
    }

    /// A new process begins, or the last one is forgotten with all that it had to do.
    pub fn begin(&self, hands: Option<Arc<dyn Hands>>) {
        let old = std::mem::replace(&mut lock(&self.state).hands, hands);
        drop(old);
    }

    /// Whether nothing can happen before time passes.
    pub fn idle(&self) -> bool {
        let hands = lock(&self.state).hands.clone();
        let busy = hands.is_some_and(|hands| hands.jobs() > 0 || hands.unwritten());
        !busy && self.tasks.ready() == 0
    }

    /// The end of the last process is over.
    pub fn forget(&self) {
        let mut state = lock(&self.state);
        if state.dead != Some(End::Over) {
            state.dead = None;
        }
    }

    /// An outside call is about to have its effect, or has had it: other things may happen first, or the end.
    ///
    /// # Errors
    /// [`Dead`].
    pub fn outside(&self) -> Result<(), Dead> {
        self.may_crash(Kind::CrashInCall)?;
        if self.can_wait() && !self.calm() && self.chance(60) {
            lock(&self.state).depth += 1;
            for _ in 0..self.below(6) {
                if !self.step() {
                    break;
                }
            }
            lock(&self.state).depth -= 1;
        }
        self.alive()
    }

    /// Waits inside a job: other things go on, for so many milliseconds or until `stop`.
    ///
    /// # Errors
    /// [`Dead`].
    pub fn wait(&self, millis: Millis, stop: impl Fn() -> bool) -> Result<(), Dead> {
        self.alive()?;
        if !self.can_wait() {
            return Ok(());
        }
        let until = self.now().saturating_add(millis);
        let mark = self.timers.mark(until);
        lock(&self.state).depth += 1;
        while self.now() < until && !stop() && self.step() {}
        lock(&self.state).depth -= 1;
        self.timers.unmark(until, mark);
        self.alive()
    }

    fn can_wait(&self) -> bool {
        let state = lock(&self.state);
        !state.polling && state.depth < DEPTH_MAX
    }

    /// One thing happens; false if nothing can, or if the process is gone.
    pub fn step(&self) -> bool {
        if self.may_crash(Kind::CrashBetween).is_err() {
            return false;
        }
        let (steps, hands) = {
            let mut state = lock(&self.state);
            state.steps += 1;
            state.tally.count(Kind::Steps);
            (state.steps, state.hands.clone())
        };
        if steps > STEPS_MAX {
            self.violated("everything comes to rest", "the run does not end");
            return false;
        }
        let Some(hands) = hands else {
            return false;
        };
        let (tasks, jobs) = (self.tasks.ready(), hands.jobs());
        let all = tasks + jobs + u64::from(hands.unwritten());
        if all == 0 {
            return self.pass_time(Millis::MAX);
        }
        if all > tasks && self.fault(Kind::JobLate) {
            let time = self.pick(&[10, 500, 3_000, 60_000]);
            return self.pass_time(time);
        }
        let chosen = self.below(all);
        self.digest(chosen ^ (all << 8) ^ (self.now() << 16));
        if chosen < tasks {
            lock(&self.state).polling = true;
            let ended = self.tasks.poll(chosen);
            lock(&self.state).polling = false;
            if let Some(name) = ended {
                self.note(|| format!("{name} ends"));
            }
        } else if chosen < tasks + jobs {
            hands.run(chosen - tasks);
        } else {
            hands.write();
        }
        self.alive().is_ok()
    }

    /// Lets time pass up to the next thing that waits for it, or up to `most`; false if nothing does.
    fn pass_time(&self, most: Millis) -> bool {
        let Some(next) = self.timers.next() else {
            return most < Millis::MAX && {
                self.timers.pass(self.now().saturating_add(most));
                true
            };
        };
        self.timers.pass(next.min(self.now().saturating_add(most)));
        true
    }
}
