//! `coracle wallet`: keys in the home directory, in Lotus's format.

use super::{Failure, args, terminal};
use crate::filecoin::keystore::{Keystore, KeystoreError};
use crate::filecoin::{Address, SecretKey, json};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use zeroize::Zeroizing;

/// The longest file that is read as a key: an export has about 220 characters.
const MAX_INPUT: u64 = 4096;
/// Draws for a new key. One is enough but for a chance of 2^-128 each.
const DRAWS: usize = 4;

impl From<KeystoreError> for Failure {
    fn from(error: KeystoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs `coracle wallet …`.
///
/// # Errors
/// Wrong usage, an unknown key, and what the file system says.
pub fn run(mut arguments: pico_args::Arguments, home: &Path) -> Result<(), Failure> {
    let keystore = Keystore::new(home);
    match arguments.subcommand()?.as_deref() {
        Some("new") => new(arguments, &keystore),
        Some("list") => list(arguments, &keystore),
        Some("import") => import(arguments, &keystore),
        Some("export") => export(arguments, &keystore),
        Some("sign") => sign(arguments, &keystore),
        Some(other) => Err(Failure::Usage(format!(
            "unknown wallet command {other:?}; there are new, list, import, export, sign"
        ))),
        None => Err(Failure::Usage(
            "which wallet command? There are new, list, import, export, sign".to_owned(),
        )),
    }
}

/// Makes a key and keeps it.
fn new(mut arguments: pico_args::Arguments, keystore: &Keystore) -> Result<(), Failure> {
    let as_json = arguments.contains("--json");
    let kind = arguments.opt_free_from_str::<String>()?;
    args::finish(arguments)?;
    let make = match kind.as_deref() {
        None | Some("secp256k1") => SecretKey::generate_secp256k1,
        Some("bls") => SecretKey::generate_bls,
        Some(other) => {
            return Err(Failure::Usage(format!(
                "unknown kind of key {other:?}; there are secp256k1 and bls"
            )));
        }
    };
    for _ in 0..DRAWS {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(random.as_mut_slice())
            .map_err(|error| Failure::Failed(format!("no randomness: {error}")))?;
        if let Ok(key) = make(&random) {
            keystore.put(&key)?;
            print_address(&key.address(), as_json);
            return Ok(());
        }
    }
    Err(Failure::Failed(
        "the system's randomness makes no key".to_owned(),
    ))
}

/// Shows the addresses of all keys.
fn list(mut arguments: pico_args::Arguments, keystore: &Keystore) -> Result<(), Failure> {
    let as_json = arguments.contains("--json");
    args::finish(arguments)?;
    for address in keystore.list()? {
        print_address(&address, as_json);
    }
    Ok(())
}

/// Keeps an exported key from a file or from standard input.
fn import(mut arguments: pico_args::Arguments, keystore: &Keystore) -> Result<(), Failure> {
    let as_json = arguments.contains("--json");
    let format = arguments.opt_value_from_str::<_, String>("--format")?;
    let file = arguments.opt_free_from_str::<String>()?;
    args::finish(arguments)?;
    let text = read_input(file.as_deref().unwrap_or("-"))?;
    let is_json = match format.as_deref() {
        None => text.trim_start().starts_with('{'),
        Some("hex-lotus") => false,
        Some("json-lotus") => true,
        Some(other) => {
            return Err(Failure::Usage(format!(
                "unknown format {other:?}; there are hex-lotus and json-lotus"
            )));
        }
    };
    let read = if is_json {
        SecretKey::import_json
    } else {
        SecretKey::import_lotus
    };
    let key = read(&text).map_err(|error| Failure::Failed(error.to_string()))?;
    if !keystore.put(&key)? {
        terminal::error_line("coracle: this key was already here");
    }
    print_address(&key.address(), as_json);
    Ok(())
}

/// Prints a key in the form of `lotus wallet export`.
fn export(mut arguments: pico_args::Arguments, keystore: &Keystore) -> Result<(), Failure> {
    let address = address(&mut arguments)?;
    args::finish(arguments)?;
    let key = find(keystore, &address)?;
    terminal::line(Zeroizing::new(key.export_lotus()).as_str());
    Ok(())
}

/// Signs bytes as they are, without an envelope (spec chain-sealer-rpc C.4), and prints type byte
/// and signature.
fn sign(mut arguments: pico_args::Arguments, keystore: &Keystore) -> Result<(), Failure> {
    let as_json = arguments.contains("--json");
    let address = address(&mut arguments)?;
    let message = args::required(&mut arguments, "the bytes to sign, in hexadecimal")?;
    args::finish(arguments)?;
    let message = unhex(&message)
        .ok_or_else(|| Failure::Usage("the bytes to sign are not hexadecimal".to_owned()))?;
    let signature = find(keystore, &address)?.sign(&message);
    if as_json {
        terminal::json(&json::from_signature(&signature));
    } else {
        let mut hex = String::new();
        for byte in signature.to_bytes() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        terminal::line(hex);
    }
    Ok(())
}

fn print_address(address: &Address, as_json: bool) {
    if as_json {
        terminal::json(&serde_json::json!({ "address": address.to_string() }));
    } else {
        terminal::line(address);
    }
}

/// The next argument as an address.
fn address(arguments: &mut pico_args::Arguments) -> Result<Address, Failure> {
    let text = args::required(arguments, "the key's address")?;
    text.parse()
        .map_err(|error| Failure::Usage(format!("{text}: {error}")))
}

fn find(keystore: &Keystore, address: &Address) -> Result<SecretKey, Failure> {
    keystore.get(address)?.ok_or_else(|| {
        let directory = keystore.directory().display();
        Failure::Failed(format!("no key of {address} in {directory}"))
    })
}

/// The text of a file, or of standard input for `-`.
fn read_input(file: &str) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = if file == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_INPUT)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_INPUT).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::Failed(format!("{file}: {error}")))?;
    Ok(text)
}

/// Bytes of hexadecimal digits, with or without `0x`.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_bytes() {
        assert_eq!(unhex(""), Some(vec![]));
        assert_eq!(unhex("00ffA5"), Some(vec![0, 255, 0xa5]));
        assert_eq!(unhex("0x10"), Some(vec![16]));
        for bad in ["0", "0g", "0x1", "1 2", "\u{fc}"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
