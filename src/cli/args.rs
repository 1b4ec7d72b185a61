//! What the command groups share in reading arguments.

use super::Failure;
use crate::filecoin::Address;
use std::ffi::{OsStr, OsString};

/// The arguments before a `--`: what may be an option.
pub fn before_separator(args: &[OsString]) -> impl Iterator<Item = &OsStr> {
    args.iter()
        .map(OsString::as_os_str)
        .take_while(|arg| *arg != "--")
}

/// Ends the reading of options: anything left is an error that names it.
pub fn finish(arguments: pico_args::Arguments) -> Result<(), Failure> {
    match arguments.finish().first() {
        None => Ok(()),
        Some(left) => {
            let left = left.to_string_lossy();
            let kind = if left.starts_with('-') {
                "option"
            } else {
                "argument"
            };
            Err(Failure::Usage(format!("unexpected {kind} {left}")))
        }
    }
}

/// The next free argument, or an error that says what is missing.
pub fn required(
    arguments: &mut pico_args::Arguments,
    what: &'static str,
) -> Result<String, Failure> {
    match arguments.opt_free_from_str::<String>()? {
        Some(text) if text.starts_with("--") => {
            Err(Failure::Usage(format!("unexpected option {text}")))
        }
        Some(text) => Ok(text),
        None => Err(Failure::Usage(format!("missing argument: {what}"))),
    }
}

/// A miner's address.
pub fn miner_address(text: &str) -> Result<Address, Failure> {
    let parsed = text.parse();
    parsed.map_err(|error| Failure::Usage(format!("{text:?} is no miner's address: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn options_end_at_the_separator() {
        let args = words("commp -- --help");
        assert!(!before_separator(&args).any(|arg| arg == "--help"));
        let args = words("commp --help -- x");
        assert!(before_separator(&args).any(|arg| arg == "--help"));
    }

    #[test]
    fn what_is_left_over_is_named() {
        let arguments = pico_args::Arguments::from_vec(words("--frobnicate"));
        assert_eq!(
            finish(arguments),
            Err(Failure::Usage("unexpected option --frobnicate".to_owned()))
        );
        let arguments = pico_args::Arguments::from_vec(words("stray"));
        assert_eq!(
            finish(arguments),
            Err(Failure::Usage("unexpected argument stray".to_owned()))
        );
        assert_eq!(finish(pico_args::Arguments::from_vec(Vec::new())), Ok(()));
    }

    #[test]
    fn a_required_argument_is_not_an_option() {
        let mut arguments = pico_args::Arguments::from_vec(words("file"));
        assert_eq!(required(&mut arguments, "FILE"), Ok("file".to_owned()));
        assert_eq!(
            required(&mut arguments, "FILE"),
            Err(Failure::Usage("missing argument: FILE".to_owned()))
        );
        let mut arguments = pico_args::Arguments::from_vec(words("--what"));
        assert_eq!(
            required(&mut arguments, "FILE"),
            Err(Failure::Usage("unexpected option --what".to_owned()))
        );
    }
}
