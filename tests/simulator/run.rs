//! Runs many seeds of the simulator and says how fast, what happened, and what went wrong.
//!
//! `cargo run --release --example simulator -- [--seeds N] [--from N] [--seed N] [--threads N] [--verbose]
//! [--keep-going] [--sabotage NAME]`

mod sim;

use pico_args::Arguments;
use sim::kinds::{ALL, Tally};
use sim::sabotage::{self, Sabotage};
use std::process::ExitCode;
use std::time::Instant;

/// What is asked for.
struct Wanted {
    from: u64,
    seeds: u64,
    threads: usize,
    verbose: bool,
    keep_going: bool,
    sabotage: Sabotage,
}

fn wanted() -> Result<Wanted, pico_args::Error> {
    let mut arguments = Arguments::from_env();
    let seed: Option<u64> = arguments.opt_value_from_str("--seed")?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads: Option<usize> = arguments.opt_value_from_str("--threads")?;
    let from: Option<u64> = arguments.opt_value_from_str("--from")?;
    let seeds: Option<u64> = arguments.opt_value_from_str("--seeds")?;
    let sabotage: Option<String> = arguments.opt_value_from_str("--sabotage")?;
    Ok(Wanted {
        sabotage: sabotage.map_or(Sabotage::None, |name| mistake(&name)),
        from: seed.or(from).unwrap_or(1),
        seeds: if seed.is_some() {
            1
        } else {
            seeds.unwrap_or(10_000)
        },
        threads: threads.unwrap_or(cores),
        verbose: arguments.contains("--verbose"),
        keep_going: arguments.contains("--keep-going"),
    })
}

/// The known mistake of this name; none for another.
fn mistake(name: &str) -> Sabotage {
    let mut all = sabotage::ALL.into_iter();
    let found = all.find(|mistake| format!("{mistake:?}") == name);
    let found = found.unwrap_or_default();
    println!("{found:?} violates: {:?}", found.violates());
    found
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    sim::name_seeds_in_panics();
    sim::prepare();
    let begun = Instant::now();
    let seeds = wanted.from..wanted.from.saturating_add(wanted.seeds);
    let outcomes = sim::run_all(
        seeds,
        wanted.threads,
        wanted.sabotage,
        wanted.verbose,
        |outcome| outcome.violation.is_some() && !wanted.keep_going,
    );
    let seconds = begun.elapsed().as_secs_f64();
    let tally = sim::sum(&outcomes);
    print(&tally);
    let (done, rate) = (outcomes.len(), outcomes.len() as f64 / seconds.max(0.001));
    println!("{done} seeds in {seconds:.1} s, {rate:.0} seeds/s");
    if let [outcome] = outcomes.as_slice() {
        println!("order of everything: {:016x}", outcome.digest);
    }
    let violations = sim::violations(&outcomes);
    for violation in violations.iter().take(200) {
        println!("\n{violation}");
    }
    if violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\n{} violations", violations.len());
    for (invariant, times) in sim::invariants(&outcomes) {
        println!("{times:>10}  {invariant}");
    }
    ExitCode::FAILURE
}

fn print(tally: &Tally) {
    for kind in ALL {
        println!("{:>10}  {}", tally.of(*kind), kind.name());
    }
    println!("never happened: {:?}", tally.never());
    println!("crashes: {}", tally.crashes());
}
