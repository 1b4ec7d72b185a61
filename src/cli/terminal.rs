//! What people see: lines, tables, progress. Scripts use `--json`.
//!
//! Nothing here panics on a closed output: `coracle deal list | head` ends quietly.

use std::fmt::{self, Display, Write as _};
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Is standard output a terminal?
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Is standard error, where progress goes, a terminal?
pub fn is_error_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Writes to standard output; a reader that has gone away ends the process with success.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = written {
        std::process::exit(i32::from(error.kind() != ErrorKind::BrokenPipe));
    }
}

/// Writes one line to standard output.
pub fn line(text: impl Display) {
    print(&format!("{text}\n"));
}

/// Writes one JSON object as one line: the form of every `--json` answer and event.
pub fn json(value: &serde_json::Value) {
    line(value);
}

/// Writes one line to standard error.
pub fn error_line(text: &str) {
    // There is nowhere left to report to.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A table: aligned with a heading on a terminal, else tab-separated rows without one.
#[derive(Debug, Clone, Default)]
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // A tab or line end inside a cell would look like a cell or row of its own.
        let cell = |text: String| text.replace(|c: char| c.is_control(), " ");
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// Prints it to standard output.
    pub fn print(&self) {
        print(&self.text(is_terminal()));
    }

    /// The text that `print` writes.
    pub fn text(&self, aligned: bool) -> String {
        let mut text = String::new();
        if !aligned {
            for row in &self.rows {
                text.push_str(&row.join("\t"));
                text.push('\n');
            }
            return text;
        }
        let heading: Vec<String> = self
            .heading
            .iter()
            .map(|name| name.to_uppercase())
            .collect();
        let all = || std::iter::once(&heading).chain(&self.rows);
        let width = |column: usize| {
            all()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..heading.len())
            .map(|column| width(column).unwrap_or(0))
            .collect();
        for row in all() {
            let mut one = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(one, "{cell:<width$}  ");
            }
            text.push_str(one.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A progress bar on standard error; silent where that is no terminal.
#[derive(Debug)]
pub struct Progress {
    label: String,
    total: u64,
    started: Instant,
    drawn: Option<Instant>,
    shown: bool,
}

/// Redrawing more often than this is only work.
const REDRAW: Duration = Duration::from_millis(100);
/// Characters of the bar itself.
const BAR: u64 = 24;

impl Progress {
    /// A bar for `total` bytes.
    pub fn new(label: impl Into<String>, total: u64) -> Self {
        let shown = is_error_terminal();
        Self {
            label: label.into(),
            total,
            started: Instant::now(),
            drawn: None,
            shown,
        }
    }

    /// Draws the bar at `done` bytes, at most every 100 ms.
    pub fn update(&mut self, done: u64) {
        let now = Instant::now();
        let recent = self
            .drawn
            .is_some_and(|drawn| now.duration_since(drawn) < REDRAW);
        if self.shown && (!recent || done >= self.total) {
            self.drawn = Some(now);
            let text = bar(&self.label, done, self.total, self.started.elapsed());
            let _ = write!(std::io::stderr(), "\r{text}\x1b[K");
        }
    }

    /// Removes the bar from the screen.
    pub fn finish(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar(label: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let scaled = |parts: u64| {
        let part = u128::from(done.min(total)) * u128::from(parts) / u128::from(total.max(1));
        u64::try_from(part).unwrap_or(parts)
    };
    let filled = usize::try_from(scaled(BAR)).unwrap_or(0);
    let empty = usize::try_from(BAR).unwrap_or(0).saturating_sub(filled);
    format!(
        "{label} [{}{}] {:>3} % {} of {}, {}/s",
        "#".repeat(filled),
        ".".repeat(empty),
        scaled(100),
        Bytes(done),
        Bytes(total),
        Bytes(rate(done, elapsed))
    )
}

/// Bytes per second; what was done in no time at all counts as one millisecond.
pub fn rate(bytes: u64, elapsed: Duration) -> u64 {
    let per_second = u128::from(bytes) * 1_000 / elapsed.as_millis().max(1);
    u64::try_from(per_second).unwrap_or(u64::MAX)
}

/// A number of bytes as people read it: `1.5 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u32); 5] = [
            ("PiB", 50),
            ("TiB", 40),
            ("GiB", 30),
            ("MiB", 20),
            ("KiB", 10),
        ];
        for (unit, bits) in UNITS {
            if self.0 >> bits > 0 {
                // Tenths of the unit, cut off; 128 bits because ten times an exbibyte is too much for 64.
                let tenths = (u128::from(self.0) * 10) >> bits;
                return if tenths.is_multiple_of(10) {
                    write!(f, "{} {unit}", tenths / 10)
                } else {
                    write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

/// Milliseconds since 1970 as `2026-11-22T16:20:50.123Z`.
pub fn time_text(unix_millis: u64) -> String {
    let seconds = unix_millis / 1_000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = unix_millis % 1_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Days since 1970 as year, month and day of the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of year 0, so that the leap day ends a year and an era has 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_utc_with_milliseconds() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_598_306_400_123, "2020-08-24T22:00:00.123Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time_text(millis), expected);
        }
    }

    #[test]
    fn bytes_are_cut_to_a_tenth_of_the_largest_unit() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (1_536, "1.5 KiB"),
            (10 << 30, "10 GiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), expected);
        }
    }

    #[test]
    fn a_table_is_aligned_for_people_and_tabbed_for_pipes() {
        let mut table = Table::new(&["uuid", "state"]);
        table.row(["a".to_owned(), "Accepted".to_owned()]);
        table.row(["long\tname".to_owned(), String::new()]);
        assert_eq!(
            table.text(true),
            "UUID       STATE\na          Accepted\nlong name\n"
        );
        assert_eq!(table.text(false), "a\tAccepted\nlong name\t\n");
    }

    #[test]
    fn the_bar_is_bounded_for_every_ratio() {
        let second = Duration::from_secs(1);
        assert_eq!(
            bar("x", 1 << 20, 2 << 20, second),
            "x [############............]  50 % 1 MiB of 2 MiB, 1 MiB/s"
        );
        assert!(bar("x", 5, 0, second).contains("  0 %"));
        assert!(bar("x", u64::MAX, 3, Duration::ZERO).contains("100 %"));
    }
}
