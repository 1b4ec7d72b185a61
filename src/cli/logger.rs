//! Log records on standard error, one bounded line each.
//!
//! What each level promises the operator: `error` needs a person, `warn` may need one later, `info` is
//! one line per step of a deal and per change of state, `debug` is one line per call to the outside,
//! `trace` is everything. Secrets appear at no level.

use log::{LevelFilter, Log, Metadata, Record};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest line in bytes: one journal line, and no peer fills a small disk with one message.
const LINE_MAX: usize = 1_024;

/// The variable that sets the level.
pub const VARIABLE: &str = "CORACLE_LOG";

struct Stderr {
    colours: bool,
}

/// Starts the log at the level of `CORACLE_LOG`, else at `default`. A second start changes the level only.
pub fn start(default: LevelFilter) {
    let level = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| parse_level(&text))
        .unwrap_or(default);
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // The only failure is that a logger is there already.
    let _ = log::set_boxed_logger(Box::new(Stderr { colours }));
    log::set_max_level(level);
}

/// `off`, `error`, `warn`, `info`, `debug` or `trace`, in any case.
pub fn parse_level(text: &str) -> Option<LevelFilter> {
    text.trim().parse().ok()
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries speak only about trouble, unless everything is asked for. The HTTP client never says more: its
        // traces hold whole addresses, and addresses may hold credentials.
        let target = metadata.target();
        target.starts_with("coracle")
            || metadata.level() <= log::Level::Warn
            || (log::max_level() == LevelFilter::Trace && !target.starts_with("ureq"))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let line = format_line(
                u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
                record.level(),
                record.target(),
                &record.args().to_string(),
                self.colours,
            );
            // A closed standard error must not stop the provider.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// One line with its end: time, level, target, text with control characters escaped.
fn format_line(
    unix_millis: u64,
    level: log::Level,
    target: &str,
    text: &str,
    colours: bool,
) -> String {
    let mut line = super::terminal::time_text(unix_millis);
    let colour = match level {
        log::Level::Error => "\x1b[31m",
        log::Level::Warn => "\x1b[33m",
        log::Level::Info => "\x1b[32m",
        log::Level::Debug | log::Level::Trace => "\x1b[2m",
    };
    // Writing to a String cannot fail.
    let _ = if colours {
        write!(line, " {colour}{level:<5}\x1b[0m ")
    } else {
        write!(line, " {level:<5} ")
    };
    line.push_str(target.strip_prefix("coracle::").unwrap_or(target));
    line.push_str(": ");
    for character in text.chars() {
        // Room for the longest escape and the mark of the cut.
        if line.len() + 16 > LINE_MAX {
            line.push('…');
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    #[test]
    fn a_line_has_time_level_place_and_text() {
        assert_eq!(
            format_line(
                1_000,
                Level::Info,
                "coracle::market",
                "deal accepted",
                false
            ),
            "1970-01-01T00:00:01.000Z INFO  market: deal accepted\n"
        );
    }

    #[test]
    fn colours_only_when_asked() {
        assert!(!format_line(0, Level::Error, "x", "y", false).contains('\x1b'));
        assert!(format_line(0, Level::Error, "x", "y", true).contains("\x1b[31mERROR"));
    }

    #[test]
    fn a_peer_cannot_forge_a_second_line_or_colours() {
        let line = format_line(0, Level::Warn, "p2p", "a\nb\x1b[31m\r", false);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with("a\\nb\\u{1b}[31m\\r\n"), "{line}");
    }

    #[test]
    fn a_long_message_is_cut_with_a_mark() {
        for text in [
            "é".repeat(5_000),
            "\u{1}".repeat(5_000),
            "x".repeat(1_000_000),
        ] {
            let line = format_line(0, Level::Warn, "p2p", &text, true);
            assert!(line.len() <= LINE_MAX, "{}", line.len());
            assert!(line.ends_with("…\n"));
        }
    }

    #[test]
    fn levels_are_read_in_any_case() {
        assert_eq!(parse_level(" Debug "), Some(LevelFilter::Debug));
        assert_eq!(parse_level("OFF"), Some(LevelFilter::Off));
        assert_eq!(parse_level("loud"), None);
    }

    #[test]
    fn libraries_are_quiet_below_warn() {
        let logger = Stderr { colours: false };
        let of = |level, target| Metadata::builder().level(level).target(target).build();
        assert!(logger.enabled(&of(Level::Debug, "coracle::market")));
        assert!(logger.enabled(&of(Level::Warn, "rustls")));
        assert!(!logger.enabled(&of(Level::Info, "rustls")));
    }
}
