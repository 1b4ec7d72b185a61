//! Commands, one file per group: arguments in, one exit code out.
//!
//! A group is a function `run(arguments) -> Result<(), Failure>`. Help and version are answered here,
//! before any setting is read, so that they work with a broken configuration.

pub mod admin_client;
pub mod args;
pub mod ask;
pub mod car;
pub mod check;
pub mod client;
pub mod commp;
pub mod deal;
pub mod demo;
pub mod devnet;
pub mod funds;
pub mod help;
pub mod import;
pub mod logger;
pub mod publish;
pub mod run;
mod settings;
pub mod signals;
pub mod terminal;
pub mod wallet;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

/// The version line: version, commit, target.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("CORACLE_COMMIT"),
    ", ",
    env!("CORACLE_TARGET"),
    ")"
);

/// Why a command did not do what it was asked for; decides the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The command line or the settings are wrong: exit code 2.
    Usage(String),
    /// It was tried and went wrong: exit code 1.
    Failed(String),
    /// The other side said no: exit code 3.
    Refused(String),
}

impl Failure {
    /// The exit code that scripts see.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) | Self::Refused(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl From<pico_args::Error> for Failure {
    fn from(error: pico_args::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Runs the command of this process and prints its failure once.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let json = args::before_separator(&args).any(|arg| arg == "--json");
    match dispatch(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, json);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// One failure on standard error: an object with `--json`, else a line with a hint.
fn report(failure: &Failure, json: bool) {
    if json {
        terminal::error_line(&serde_json::json!({ "error": failure.to_string() }).to_string());
        return;
    }
    terminal::error_line(&format!("coracle: {failure}"));
    if matches!(failure, Failure::Usage(text) if !text.contains('\n')) {
        terminal::error_line("Try `coracle --help`.");
    }
}

/// Help and version first, then the named group.
fn dispatch(args: Vec<OsString>) -> Result<(), Failure> {
    let asks = |long: &str, short: &str| {
        args::before_separator(&args).any(|arg| arg == long || arg == short)
    };
    if asks("--help", "-h") {
        terminal::print(&help::text(&args));
        return Ok(());
    }
    if asks("--version", "-V") {
        terminal::line(format_args!("coracle {VERSION}"));
        return Ok(());
    }
    let mut arguments = pico_args::Arguments::from_vec(args);
    let Some(group) = arguments.subcommand()? else {
        let rest = arguments.finish();
        if let Some(first) = rest.first() {
            return Err(Failure::Usage(format!(
                "unknown option {}",
                first.to_string_lossy()
            )));
        }
        terminal::print(&help::text(&[]));
        return Err(Failure::Usage("no command given".to_owned()));
    };
    logger::start(if group == "run" {
        log::LevelFilter::Info
    } else {
        log::LevelFilter::Warn
    });
    run_group(&group, arguments)
}

/// The table of groups.
fn run_group(group: &str, arguments: pico_args::Arguments) -> Result<(), Failure> {
    match group {
        "ask" => ask::run(arguments),
        "car" => car::run(arguments),
        "check" => check::run(arguments),
        "client" => client::run(arguments),
        "commp" => commp::run(arguments),
        "demo" => demo::run(arguments),
        "devnet" => devnet::run(arguments),
        "funds" => funds::run(arguments),
        "run" => run::run(arguments),
        "wallet" => wallet::run(arguments, &home()?),
        "deal" => deal::run(arguments),
        "import" => import::run(arguments),
        "publish" => publish::run(arguments),
        "settings" => settings::run(arguments),
        "help" => {
            terminal::print(&help::text(&arguments.finish()));
            Ok(())
        }
        other => Err(Failure::Usage(unknown(other))),
    }
}

/// `unknown command "deel"; did you mean "deal"?`
fn unknown(group: &str) -> String {
    match crate::config::nearest(group, help::GROUPS.iter().map(|entry| entry.name)) {
        Some(near) => format!("unknown command {group:?}; did you mean {near:?}?"),
        None => format!("unknown command {group:?}"),
    }
}

/// The home directory (`CORACLE_HOME`, else `~/.coracle`), without looking at any other setting.
pub fn home() -> Result<PathBuf, Failure> {
    crate::config::home(&|name| std::env::var(name).ok())
        .map_err(|error| Failure::Usage(error.to_string()))
}
