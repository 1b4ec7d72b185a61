//! The simulator: the real machine, run loop and store between simulated people, servers, chain, sealer and disk, all on
//! one thread in virtual time. A seed decides everything.

use coracle::deal::Millis;

mod chain;
mod check;
mod disk;
mod flash;
mod goods;
pub mod kinds;
mod people;
mod plan;
mod rng;
pub mod sabotage;
mod sched;
mod sealer;
mod server;
mod tasks;
mod witness;
mod world;

pub use sched::Violation;

use kinds::Tally;
use sabotage::Sabotage;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// When every run begins, in milliseconds since 1970.
pub const BEGIN: Millis = 1_700_000_000_000;

/// Stack of a thread that runs seeds: calls that wait inside each other lie on it.
const STACK_BYTES: usize = 64 << 20;

/// What a seed came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub tally: Tally,
    /// Stands for the order of everything: the same for the same seed.
    pub digest: u64,
    /// The first thing that was wrong.
    pub violation: Option<Violation>,
}

/// Runs one seed on this thread.
fn run(seed: u64, sabotage: Sabotage, verbose: bool) -> Outcome {
    let world = world::World::new(seed, sabotage, verbose);
    world.run();
    let (tally, digest) = world.sched.result();
    Outcome {
        seed,
        tally,
        digest,
        violation: world.sched.violation(),
    }
}

/// Runs seeds on so many threads, each of which takes the next one, until all are done or `enough` says so of an outcome.
pub fn run_all(
    seeds: impl Iterator<Item = u64>,
    threads: usize,
    sabotage: Sabotage,
    verbose: bool,
    enough: impl Fn(&Outcome) -> bool + Sync,
) -> Vec<Outcome> {
    let seeds: Vec<u64> = seeds.collect();
    let next = AtomicU64::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        while let Some(seed) = seeds.get(take(&next)) {
            RUNNING.set(Some(*seed));
            let outcome = run(*seed, sabotage, verbose);
            RUNNING.set(None);
            let stop = enough(&outcome);
            outcomes.push(outcome);
            if stop {
                next.store(u64::MAX / 2, Ordering::Relaxed);
            }
        }
        outcomes
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|number| {
                std::thread::Builder::new()
                    .name(format!("seeds-{number}"))
                    .stack_size(STACK_BYTES)
                    .spawn_scoped(scope, work)
                    .expect("a thread")
            })
            .collect();
        let outcomes = workers.into_iter().map(|worker| worker.join());
        outcomes
            .flat_map(|outcomes| outcomes.expect("the seed is printed"))
            .collect()
    })
}

fn take(next: &AtomicU64) -> usize {
    usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX)
}

thread_local! {
    /// The seed that this thread runs.
    static RUNNING: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

/// Lets a panic say which seed it happened in; then what happens after any panic.
pub fn name_seeds_in_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(seed) = RUNNING.get() {
            eprintln!("panic in seed {seed}: {}", command(seed));
        }
        usual(panic);
    }));
}

/// What runs this seed again.
pub fn command(seed: u64) -> String {
    format!("cargo run --release --example simulator -- --seed {seed} --verbose")
}

/// The violations among outcomes, as text, lowest seed first.
pub fn violations(outcomes: &[Outcome]) -> Vec<String> {
    let mut found: Vec<&Outcome> = outcomes.iter().collect();
    found.sort_by_key(|outcome| outcome.seed);
    let texts = found.into_iter().filter_map(|outcome| {
        let Violation { invariant, text } = outcome.violation.as_ref()?;
        let seed = outcome.seed;
        Some(format!(
            "seed {seed} violates: {invariant}\n  {text}\n  {}",
            command(seed)
        ))
    });
    texts.collect()
}

/// How often each invariant was violated.
pub fn invariants(outcomes: &[Outcome]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for violation in outcomes
        .iter()
        .filter_map(|outcome| outcome.violation.as_ref())
    {
        *counts.entry(violation.invariant).or_default() += 1;
    }
    counts
}

/// The sum of what happened.
pub fn sum(outcomes: &[Outcome]) -> Tally {
    let mut sum = Tally::default();
    outcomes.iter().for_each(|outcome| sum.add(&outcome.tally));
    sum
}

/// Makes what all seeds share, so that the first is not slower than the others.
pub fn prepare() {
    let _ = Arc::new(run(0, Sabotage::None, false));
}
