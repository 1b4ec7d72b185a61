//! What a look found: one line each, with what to do about it.

use std::fmt::Display;

/// Characters of a line: what a server says may be long.
const TEXT_MAX: usize = 500;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// A deal can succeed, but something should be looked at.
    Warn,
    /// A deal could not succeed.
    Bad,
}

impl Level {
    /// `ok`, `warn`, `bad`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at: `node 10.0.0.5:1234`, `f01234 escrow`.
    pub subject: String,
    /// What was found, in one line.
    pub what: String,
    /// What to do, in one line; empty where nothing is to be done.
    pub advice: String,
    /// Commands to run, ready to be copied.
    pub commands: Vec<String>,
}

impl Finding {
    fn new(level: Level, subject: &str, what: impl Display, advice: impl Display) -> Self {
        Self {
            level,
            subject: one_line(subject),
            what: one_line(&what.to_string()),
            advice: one_line(&advice.to_string()),
            commands: Vec::new(),
        }
    }

    /// As it should be.
    pub fn ok(subject: &str, what: impl Display) -> Self {
        Self::new(Level::Ok, subject, what, "")
    }

    /// To be looked at.
    pub fn warn(subject: &str, what: impl Display, advice: impl Display) -> Self {
        Self::new(Level::Warn, subject, what, advice)
    }

    /// A deal could not succeed.
    pub fn bad(subject: &str, what: impl Display, advice: impl Display) -> Self {
        Self::new(Level::Bad, subject, what, advice)
    }

    /// Bad or a warning.
    pub fn wrong(bad: bool, subject: &str, what: impl Display, advice: impl Display) -> Self {
        let level = if bad { Level::Bad } else { Level::Warn };
        Self::new(level, subject, what, advice)
    }

    /// The same with a command to run.
    #[must_use]
    pub fn run(mut self, command: impl Display) -> Self {
        self.commands.push(command.to_string());
        self
    }
}

/// A server's words could forge lines of their own.
fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().take(TEXT_MAX).map(clean).collect();
    if text.chars().nth(TEXT_MAX).is_some() {
        line.push('…');
    }
    line
}

/// A number of bytes for people: `32 GiB`; cut off to a tenth.
pub(super) fn bytes_text(bytes: u64) -> String {
    const UNITS: [(&str, u32); 5] = [
        ("PiB", 50),
        ("TiB", 40),
        ("GiB", 30),
        ("MiB", 20),
        ("KiB", 10),
    ];
    for (unit, bits) in UNITS {
        if bytes >> bits > 0 {
            // 128 bits because ten times an exbibyte is too much for 64.
            let tenths = u128::from(bytes).saturating_mul(10) >> bits;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if tenth == 0 {
                format!("{whole} {unit}")
            } else {
                format!("{whole}.{tenth} {unit}")
            };
        }
    }
    format!("{bytes} B")
}

/// A time for people: `40 s`, `12 min`, `5 h`, `3 d`; cut off.
pub(super) fn time_text(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
