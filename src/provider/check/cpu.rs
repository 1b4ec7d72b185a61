//! How fast this processor makes piece commitments.

use super::finding::{Finding, time_text};
use crate::piece::sha256::hash_pairs;
use std::time::{Duration, Instant};

/// Bytes hashed in one go; they stay in the processor's cache.
const CHUNK: usize = 64 * 1024;

/// How often is measured, and for how long: together short enough not to be noticed.
const SLICES: u32 = 6;
const SLICE: Duration = Duration::from_millis(10);

/// The piece that times are given for.
const PIECE: u64 = 32 << 30;

/// Looks at the instructions and measures.
pub(super) fn look() -> Vec<Finding> {
    vec![judge(sha_instructions(), rate())]
}

/// The processor's SHA-256 instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // each kind of processor has its own
pub(super) enum Instructions {
    /// There, and the commitment uses them.
    Used,
    /// There, but the commitment's kernel has no code for them on this kind of processor.
    Unused,
    /// Not there.
    Missing,
    /// This build cannot tell.
    Unknown,
}

fn sha_instructions() -> Instructions {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let found = if std::arch::is_x86_feature_detected!("sha") {
        Instructions::Used
    } else {
        Instructions::Missing
    };
    #[cfg(target_arch = "aarch64")]
    let found = if std::arch::is_aarch64_feature_detected!("sha2") {
        Instructions::Unused
    } else {
        Instructions::Missing
    };
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let found = Instructions::Unknown;
    found
}

/// Bytes of the lowest level of the tree that are hashed in a second, on one core: the best of a few slices, as other
/// work on the box takes its share of some.
fn rate() -> u64 {
    let pairs = vec![0x5a_u8; CHUNK];
    let mut nodes = vec![0; CHUNK / 2];
    let mut best = 0;
    for _ in 0..SLICES {
        let begun = Instant::now();
        let mut hashed = 0_u64;
        while begun.elapsed() < SLICE {
            hash_pairs(&pairs, &mut nodes);
            hashed = hashed.saturating_add(u64::try_from(CHUNK).unwrap_or(0));
        }
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let rate = hashed.saturating_mul(1_000_000).checked_div(micros);
        best = best.max(rate.unwrap_or(0));
    }
    best
}

/// The levels above the lowest are together as much work again.
pub(super) fn judge(instructions: Instructions, rate: u64) -> Finding {
    const SUBJECT: &str = "processor";
    let rate = rate / 2;
    let speed = format!(
        "one core makes commitments of {} MiB/s: a piece of 32 GiB takes about {}",
        rate >> 20,
        time_text(PIECE.checked_div(rate).unwrap_or(u64::MAX))
    );
    let advice = "it works: leave enough time before deals start (CORACLE_EXPECTED_SEAL_DURATION)";
    match instructions {
        Instructions::Used => Finding::ok(SUBJECT, format!("has SHA-256 instructions; {speed}")),
        Instructions::Unused => Finding::ok(
            SUBJECT,
            format!("has SHA-256 instructions, which this build does not use; {speed}"),
        ),
        Instructions::Missing => Finding::warn(
            SUBJECT,
            format!("has no SHA-256 instructions; {speed}"),
            advice,
        ),
        Instructions::Unknown => Finding::warn(
            SUBJECT,
            format!("it is not known whether it has SHA-256 instructions; {speed}"),
            advice,
        ),
    }
}
