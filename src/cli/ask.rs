//! `coracle ask`: what the running provider asks for, and changing it.

use super::Failure;
use super::admin_client::{Admin, array, only_miner};
use super::args::{self, miner_address};
use super::terminal::{self, Bytes};
use crate::config::values;
use crate::filecoin::{Address, TokenAmount};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Seconds of an epoch.
const EPOCH_SECONDS: i64 = 30;

/// Runs `coracle ask`.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    match arguments.subcommand()?.as_deref() {
        Some("set") => set(arguments),
        Some(miner) => show(arguments, Some(miner_address(miner)?)),
        None => show(arguments, None),
    }
}

fn show(mut arguments: pico_args::Arguments, miner: Option<Address>) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let miner = match miner {
        Some(miner) => Some(miner),
        None => free_address(&mut arguments)?,
    };
    args::finish(arguments)?;
    let admin = Admin::connect()?;
    if let Some(miner) = miner {
        print(&admin.get(&format!("/v1/asks/{miner}"))?, json);
        return Ok(());
    }
    let all = admin.get("/v1/asks")?;
    if json {
        terminal::json(&all);
        return Ok(());
    }
    for ask in array(&all, "asks") {
        print(ask, json);
    }
    for miner in array(&all, "missing").iter().filter_map(Value::as_str) {
        terminal::line(format_args!(
            "{miner} has no ask yet: the chain has not told about it"
        ));
    }
    Ok(())
}

fn set(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let change = change(&mut arguments)?;
    let miner = free_address(&mut arguments)?;
    args::finish(arguments)?;
    if change.is_empty() {
        return Err(Failure::Usage(
            "nothing to change: give --price, --verified-price, --min-piece-size, --max-piece-size, \
             --expiry, --valid-for or --no-expiry"
                .to_owned(),
        ));
    }
    let admin = Admin::connect()?;
    let miner = match miner {
        Some(miner) => miner.to_string(),
        None => only_miner(&admin.get("/v1/asks")?, "name one")?,
    };
    let answer = admin.post(&format!("/v1/asks/{miner}"), &Value::Object(change))?;
    let ask = answer.get("ask").unwrap_or(&Value::Null);
    print(ask, json);
    if ask.get("signed").and_then(Value::as_bool) == Some(false) {
        terminal::error_line(
            "The worker's key is not at hand: the ask is served without a signature until it is.",
        );
    }
    Ok(())
}

/// The flags as the provider's interface takes them; only what was given.
fn change(arguments: &mut pico_args::Arguments) -> Result<Map<String, Value>, Failure> {
    let mut change = Map::new();
    for (flag, name) in [("--price", "price"), ("--verified-price", "verified_price")] {
        if let Some(amount) = value(arguments, flag, price)? {
            change.insert(name.to_owned(), json!(amount.to_string()));
        }
    }
    for (flag, name) in [
        ("--min-piece-size", "min_piece_size"),
        ("--max-piece-size", "max_piece_size"),
    ] {
        if let Some(size) = value(arguments, flag, values::piece_size)? {
            change.insert(name.to_owned(), json!(size));
        }
    }
    let at = value(arguments, "--expiry", epoch)?;
    let valid_for = value(arguments, "--valid-for", values::epochs)?;
    let never = arguments.contains("--no-expiry");
    if u8::from(at.is_some()) + u8::from(valid_for.is_some()) + u8::from(never) > 1 {
        return Err(Failure::Usage(
            "only one of --expiry, --valid-for and --no-expiry may be given".to_owned(),
        ));
    }
    if let Some(epoch) = at {
        change.insert("expiry".to_owned(), json!(epoch));
    }
    if let Some(epochs) = valid_for {
        change.insert("valid_for".to_owned(), json!(epochs));
    }
    if never {
        change.insert("no_expiry".to_owned(), json!(true));
    }
    Ok(change)
}

/// A flag's value; the error names the flag.
fn value<T>(
    arguments: &mut pico_args::Arguments,
    flag: &'static str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    let text: Option<String> = arguments.opt_value_from_str(flag)?;
    text.map(|text| read(&text).map_err(|why| Failure::Usage(format!("{flag}: {why}"))))
        .transpose()
}

/// `50000000` is attoFIL, as for the client's commands; with a unit it is what the unit says.
fn price(text: &str) -> Result<TokenAmount, String> {
    let text = text.trim();
    let wrong = || {
        format!("{text:?} is no price: write attoFIL per GiB and epoch, 50000000, or 0.00000005FIL")
    };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return TokenAmount::parse_atto(text).ok_or_else(wrong);
    }
    if !text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        // 0.05 alone may have been meant either way.
        return Err(wrong());
    }
    TokenAmount::parse_fil(text).ok_or_else(wrong)
}

fn epoch(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no epoch: write a number; --valid-for takes 14d as well");
    let epoch: i64 = text.trim().parse().map_err(|_| wrong())?;
    (epoch >= 0).then_some(epoch).ok_or_else(wrong)
}

/// The next free argument as an address, if there is one.
fn free_address(arguments: &mut pico_args::Arguments) -> Result<Option<Address>, Failure> {
    let text: Option<String> = arguments.opt_free_from_str()?;
    match text {
        Some(text) if text.starts_with('-') => {
            Err(Failure::Usage(format!("unexpected option {text}")))
        }
        Some(text) => miner_address(&text).map(Some),
        None => Ok(None),
    }
}

fn print(ask: &Value, json: bool) {
    if json {
        terminal::json(ask);
    } else {
        terminal::print(&text(ask));
    }
}

/// An ask for people.
fn text(ask: &Value) -> String {
    let string = |name: &str| ask.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| ask.get(name).and_then(Value::as_i64).unwrap_or_default();
    let size = |name: &str| ask.get(name).and_then(Value::as_u64).unwrap_or_default();
    let is = |name: &str| ask.get(name).and_then(Value::as_bool) == Some(true);
    let price = |name: &str| {
        let atto = string(name);
        let fil = TokenAmount::parse_atto(atto).map(|price| price.to_fil_text());
        format!("{} ({atto} attoFIL)", fil.unwrap_or_default())
    };
    let mut text = format!("Ask of {}\n", string("miner"));
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<32} {value}");
    };
    line("price per GiB and epoch", &price("price"));
    line("verified price per GiB and epoch", &price("verified_price"));
    line("smallest piece", &Bytes(size("min_piece_size")).to_string());
    line("largest piece", &Bytes(size("max_piece_size")).to_string());
    let changed = format!("{}, at epoch {}", number("seq_no"), number("timestamp"));
    line("sequence number", &changed);
    let expiry = number("expiry");
    let until = if is("expired") {
        format!("EXPIRED at epoch {expiry}: proposals are refused")
    } else if is("renews") {
        format!("epoch {expiry}, renewed before that")
    } else {
        let head = ask.get("head").and_then(Value::as_i64);
        let left = head.map(|head| time_left(expiry.saturating_sub(head)));
        format!("epoch {expiry}{}, as was set", left.unwrap_or_default())
    };
    line("valid until", &until);
    let signed = if is("signed") {
        "by the worker"
    } else {
        "no: the worker's key is not at hand"
    };
    line("signed", signed);
    text
}

/// ` (in 3 days)`, in the largest unit that is not zero.
fn time_left(epochs: i64) -> String {
    let minutes = epochs.saturating_mul(EPOCH_SECONDS) / 60;
    let (number, unit) = match minutes {
        0..120 => (minutes, "minutes"),
        120..2_880 => (minutes / 60, "hours"),
        _ => (minutes / 1_440, "days"),
    };
    format!(" (in {number} {unit})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn read(flags: &str) -> Result<Value, Failure> {
        let words = flags.split_whitespace().map(OsString::from).collect();
        let mut arguments = pico_args::Arguments::from_vec(words);
        let change = change(&mut arguments)?;
        args::finish(arguments)?;
        Ok(Value::Object(change))
    }

    #[test]
    fn a_price_is_atto_unless_it_has_a_unit() {
        let cases = [
            ("50000000", "50000000"),
            ("0", "0"),
            (
                "340282366920938463463374607431768211456",
                "340282366920938463463374607431768211456",
            ),
            ("0.00000005FIL", "50000000000"),
            ("0.05 fil", "50000000000000000"),
            ("7 attoFIL", "7"),
        ];
        for (text, expected) in cases {
            assert_eq!(price(text).unwrap().to_string(), expected, "{text}");
        }
        for text in [
            "",
            "-1",
            "0.05",
            "1 FILs",
            "0.0000000000000000001FIL",
            "1e9",
            "1.5attoFIL",
        ] {
            let error = price(text).unwrap_err();
            assert!(error.contains("0.00000005FIL"), "{error}");
        }
    }

    #[test]
    fn flags_become_what_the_provider_takes() {
        let flags = "--price 0.00000005FIL --verified-price 3 --min-piece-size 1MiB --max-piece-size 32GiB \
                     --valid-for 24h";
        assert_eq!(
            read(flags).unwrap(),
            json!({
                "price": "50000000000", "verified_price": "3", "min_piece_size": 1_048_576,
                "max_piece_size": 34_359_738_368_u64, "valid_for": 2_880,
            })
        );
        assert_eq!(read("--expiry 7").unwrap(), json!({ "expiry": 7 }));
        assert_eq!(read("--no-expiry").unwrap(), json!({ "no_expiry": true }));
        assert_eq!(read("").unwrap(), json!({}));
    }

    #[test]
    fn mistakes_name_their_flag() {
        let cases = [
            ("--price x", "--price: \"x\" is no price"),
            (
                "--min-piece-size 1000",
                "--min-piece-size: \"1000\" is no piece size",
            ),
            ("--expiry tomorrow", "--expiry: \"tomorrow\" is no epoch"),
            (
                "--valid-for 45s",
                "--valid-for: \"45s\" is no whole number of epochs",
            ),
            ("--expiry 7 --no-expiry", "only one of"),
            ("--prise 7", "unexpected option --prise"),
        ];
        for (flags, expected) in cases {
            match read(flags) {
                Err(Failure::Usage(text)) => assert!(text.contains(expected), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }

    fn sample() -> Value {
        json!({
            "miner": "f01000", "price": "50000000", "verified_price": "100000000000000000000",
            "min_piece_size": 256, "max_piece_size": 34_359_738_368_u64, "seq_no": 3,
            "timestamp": 100, "expiry": 3_000, "renews": true, "expired": false, "signed": true,
            "head": 110,
        })
    }

    #[test]
    fn an_ask_is_shown_with_units_and_its_end() {
        let shown = text(&sample());
        for expected in [
            "Ask of f01000\n",
            "0.00000000005 FIL (50000000 attoFIL)",
            "100 FIL (100000000000000000000 attoFIL)",
            "256 B",
            "32 GiB",
            "3, at epoch 100",
            "epoch 3000, renewed before that",
            "by the worker",
        ] {
            assert!(shown.contains(expected), "{shown}");
        }
        let mut ask = sample();
        ask["renews"] = json!(false);
        assert!(text(&ask).contains("epoch 3000 (in 24 hours), as was set"));
        ask["expired"] = json!(true);
        ask["signed"] = json!(false);
        let shown = text(&ask);
        assert!(
            shown.contains("EXPIRED at epoch 3000: proposals are refused"),
            "{shown}"
        );
        assert!(
            shown.contains("no: the worker's key is not at hand"),
            "{shown}"
        );
    }

    #[test]
    fn the_time_left_has_a_unit_that_fits() {
        assert_eq!(time_left(10), " (in 5 minutes)");
        assert_eq!(time_left(240), " (in 2 hours)");
        assert_eq!(time_left(5_760), " (in 2 days)");
        assert_eq!(time_left(i64::MAX), " (in 106751991167300 days)");
    }

    #[test]
    fn without_a_name_only_the_only_miner_is_meant() {
        let only = json!({ "asks": [{ "miner": "f01" }], "missing": [] });
        assert_eq!(only_miner(&only, "name one"), Ok("f01".to_owned()));
        let waiting = json!({ "asks": [], "missing": ["f02"] });
        assert_eq!(only_miner(&waiting, "name one"), Ok("f02".to_owned()));
        let two = json!({ "asks": [{ "miner": "f01" }], "missing": ["f02"] });
        assert!(
            matches!(only_miner(&two, "name one"), Err(Failure::Usage(text)) if text.ends_with("f01, f02"))
        );
    }
}
