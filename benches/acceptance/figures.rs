//! Reading the kernel's counts, and printing durations.

use std::time::Duration;

/// A field of `/proc/PID/status` in MiB.
pub fn mebibytes(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .unwrap();
    let kib: u32 = line.trim_end_matches("kB").trim().parse().unwrap();
    f64::from(kib) / 1024.0
}

/// Processor time of a process.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    // Linux counts in hundredths of a second for programs, whatever its own clock does.
    Duration::from_millis(ticks * 10)
}

/// What the kernel says of the last minute: processes that ran or wanted to.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("?").to_owned()
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The duration that this share of them is not above.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted[at]
}

/// Middle, shortest and longest of several tries.
pub fn spread(mut tries: Vec<Duration>) -> String {
    tries.sort();
    format!(
        "{:.1} ms (of {}: {:.1} to {:.1})",
        millis(percentile(&tries, 50)),
        tries.len(),
        millis(tries[0]),
        millis(tries[tries.len() - 1])
    )
}
