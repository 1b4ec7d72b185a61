//! `coracle client …`: propose deals and ask about them, with the reference client's flags and answers
//! (spec boost-mk12 9.2).

mod ask;
mod deal;
mod options;
mod status;
mod transports;

use super::Failure;
use options::Options;

/// Runs `coracle client`.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let verb = arguments.subcommand()?;
    let options = Options::new(arguments);
    match verb.as_deref() {
        Some("deal") => deal::run(options, true),
        Some("offline-deal") => deal::run(options, false),
        // The reference's name of it.
        Some("status" | "deal-status") => status::run(options),
        Some("ask") => ask::run(options),
        Some("transports") => transports::run(options),
        Some(other) => Err(Failure::Usage(format!(
            "unknown command client {other:?}: deal, offline-deal, status, ask or transports"
        ))),
        None => Err(Failure::Usage(
            "client needs deal, offline-deal, status, ask or transports".to_owned(),
        )),
    }
}
