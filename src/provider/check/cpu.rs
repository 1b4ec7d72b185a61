//! How fast this processor makes piece commitments.

use super::finding::{Finding, time_text};
use crate::config::Config;
use crate::piece::sha256::Kernel;
use std::time::{Duration, Instant};

/// Bytes hashed in one go; they stay in the processor's cache.
const CHUNK: usize = 64 * 1024;

/// How often is measured, and for how long: together short enough not to be noticed.
const SLICES: u32 = 6;
const SLICE: Duration = Duration::from_millis(10);

/// The piece that times are given for.
const PIECE: u64 = 32 << 30;

/// Kernels that are the processor's own SHA-256 instructions.
const INSTRUCTIONS: [&str; 2] = ["sha", "sha2"];

/// Looks at the instructions and measures the kernel that `coracle run` would use.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let kernel = config.sha_kernel.unwrap_or_else(Kernel::chosen);
    let has = Kernel::all().into_iter().any(is_own);
    vec![judge(
        has,
        has && !is_own(kernel) && config.sha_kernel.is_some(),
        kernel.name(),
        rate(kernel),
    )]
}

fn is_own(kernel: Kernel) -> bool {
    INSTRUCTIONS.contains(&kernel.name())
}

/// Bytes of the lowest level of the tree that are hashed in a second, on one core: the best of a few slices, as other
/// work on the box takes its share of some.
fn rate(kernel: Kernel) -> u64 {
    let pairs = vec![0x5a_u8; CHUNK];
    let mut nodes = vec![0; CHUNK / 2];
    let mut best = 0;
    for _ in 0..SLICES {
        let begun = Instant::now();
        let mut hashed = 0_u64;
        while begun.elapsed() < SLICE {
            kernel.hash_pairs(&pairs, &mut nodes);
            hashed = hashed.saturating_add(u64::try_from(CHUNK).unwrap_or(0));
        }
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let rate = hashed.saturating_mul(1_000_000).checked_div(micros);
        best = best.max(rate.unwrap_or(0));
    }
    best
}

/// `has`: the processor has instructions for SHA-256; `passed_over`: the settings choose another kernel all the same.
/// The levels above the lowest are together as much work again.
pub(super) fn judge(has: bool, passed_over: bool, kernel: &str, rate: u64) -> Finding {
    const SUBJECT: &str = "processor";
    let rate = rate / 2;
    let speed = format!(
        "one core makes commitments of {} MiB/s with the kernel {kernel}, a piece of 32 GiB takes about {}",
        rate >> 20,
        time_text(PIECE.checked_div(rate).unwrap_or(u64::MAX))
    );
    if !has {
        return Finding::warn(
            SUBJECT,
            format!("has no SHA-256 instructions; {speed}"),
            "it works: leave enough time before deals start (CORACLE_EXPECTED_SEAL_DURATION)",
        );
    }
    if passed_over {
        return Finding::warn(
            SUBJECT,
            format!("has SHA-256 instructions, but CORACLE_SHA_KERNEL chooses others; {speed}"),
            "leave CORACLE_SHA_KERNEL out",
        );
    }
    Finding::ok(SUBJECT, format!("has SHA-256 instructions; {speed}"))
}
