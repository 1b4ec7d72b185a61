//! Texts of settings → values. Every error says what would have been right.

use crate::filecoin::{Address, ChainEpoch, TokenAmount};
use crate::piece::sha256::Kernel;
use std::path::PathBuf;
use std::time::Duration;

/// Seconds of an epoch.
const EPOCH_SECONDS: u128 = 30;

/// `10GiB`, `500MB`, `1.5TiB` or a plain number of bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write 10GiB, 500MB or a number of bytes");
    let text = text.trim();
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split).ok_or_else(wrong)?;
    let unit: u128 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number = number.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // Nine digits of a fraction are more than anybody writes and cannot overflow.
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let scale = 10_u128.saturating_pow(u32::try_from(fraction.len()).unwrap_or(9));
    let fraction: u128 = fraction.parse().map_err(|_| wrong())?;
    let total = u128::from(whole)
        .checked_mul(unit)
        .and_then(|n| n.checked_add(fraction.checked_mul(unit)?.checked_div(scale)?))
        .ok_or_else(wrong)?;
    u64::try_from(total).map_err(|_| format!("{text:?} is more than 64 bits can count"))
}

/// `auto`, or the name of a kernel that this processor has.
pub fn kernel(text: &str) -> Result<Option<Kernel>, String> {
    let name = text.trim();
    if name == "auto" {
        return Ok(None);
    }
    if let Some(kernel) = Kernel::named(name) {
        return Ok(Some(kernel));
    }
    let names: Vec<&str> = Kernel::all().into_iter().map(Kernel::name).collect();
    let names = names.join(", ");
    Err(format!(
        "{text:?} is no kernel of this processor: write auto, {names}"
    ))
}

/// A directory by its full path: what is set for one miner has no home directory to be relative to.
pub fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text.trim());
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(format!("{text:?} is no full path: begin with /"))
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `1h30m`, `30s`, `200ms`, `14d`: whole numbers with units, the largest first.
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let wrong = || format!("{text:?} is no duration: write 1h30m, 30s or 200ms");
    let mut rest = text.trim();
    let mut millis: u64 = 0;
    let mut smaller_than = u64::MAX;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let number_len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(number_len).ok_or_else(wrong)?;
        let unit_len = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(unit_len).ok_or_else(wrong)?;
        let unit = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?
            .1;
        if unit >= smaller_than {
            return Err(wrong());
        }
        smaller_than = unit;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        millis = number
            .checked_mul(unit)
            .and_then(|n| millis.checked_add(n))
            .ok_or_else(wrong)?;
        rest = after.trim_start();
    }
    Ok(Duration::from_millis(millis))
}

/// A duration that is not zero.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        duration => Ok(duration),
    }
}

/// Time for a filter command: more than none, and not more than a client's patience.
pub fn filter_timeout(text: &str) -> Result<Duration, String> {
    const MAX: Duration = Duration::from_secs(60);
    let given = positive_duration(text)?;
    if given > MAX {
        return Err(format!(
            "{text:?} is longer than a client waits: at most 1m"
        ));
    }
    Ok(given)
}

/// `accept` or `refuse`: whether what came too late passes.
pub fn late(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "accept" => Ok(true),
        "refuse" => Ok(false),
        _ => Err(format!("{text:?} is neither refuse nor accept")),
    }
}

/// `2880` or a duration of whole epochs, `24h`.
pub fn epochs(text: &str) -> Result<ChainEpoch, String> {
    let wrong = || format!("{text:?} is no number of epochs: write 2880, or 24h");
    if digits(text.trim()) {
        return text.trim().parse().map_err(|_| wrong());
    }
    let millis = duration(text).map_err(|_| wrong())?.as_millis();
    let epoch = EPOCH_SECONDS.saturating_mul(1_000);
    if !millis.is_multiple_of(epoch) {
        return Err(format!(
            "{text:?} is no whole number of epochs of {EPOCH_SECONDS} s"
        ));
    }
    ChainEpoch::try_from(millis.checked_div(epoch).unwrap_or(0)).map_err(|_| wrong())
}

/// Epochs, or `finality`, which is none.
pub fn confidence(text: &str) -> Result<Option<ChainEpoch>, String> {
    if text.trim().eq_ignore_ascii_case("finality") {
        return Ok(None);
    }
    let epochs = epochs(text);
    epochs
        .map(Some)
        .map_err(|_| format!("{text:?} is no number of epochs, nor `finality`: write 10"))
}

/// `true` or `false`, and what people write instead.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// A whole number within limits.
pub fn count(text: &str, min: usize, max: usize) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("{text:?} is no number from {min} to {max}")),
    }
}

/// `0.05 FIL`, `5000000 attoFIL`, `0.05`; never negative.
pub fn amount(text: &str) -> Result<TokenAmount, String> {
    TokenAmount::parse_fil(text.trim())
        .filter(|amount| !amount.is_negative())
        .ok_or_else(|| format!("{text:?} is no amount: write 0.05 FIL or 5000000 attoFIL"))
}

/// A padded piece size: a power of two from 128 bytes on.
pub fn piece_size(text: &str) -> Result<u64, String> {
    let size = bytes(text)?;
    if size >= 128 && size.is_power_of_two() {
        Ok(size)
    } else {
        Err(format!(
            "{text:?} is no piece size: a power of two, at least 128 bytes"
        ))
    }
}

/// Any address.
pub fn address(text: &str) -> Result<Address, String> {
    text.trim()
        .parse()
        .map_err(|error| format!("{text:?} is no address: {error}"))
}

/// ID addresses, at least one, none twice.
pub fn miners(text: &str) -> Result<Vec<Address>, String> {
    let mut miners = Vec::new();
    for item in items(text) {
        let miner = address(item)?;
        if miner.actor_id().is_none() {
            return Err(format!("{item:?} is no miner's ID address (f0…)"));
        }
        if miners.contains(&miner) {
            return Err(format!("{item} is there twice"));
        }
        miners.push(miner);
    }
    if miners.is_empty() {
        Err("names no miner".to_owned())
    } else {
        Ok(miners)
    }
}

/// The items of a comma-separated list, without space around them and without empty ones.
pub fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// A list, each item read by `one`.
pub fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    items(text).map(one).collect()
}

/// Something with a text form of its own, named `what` in the error.
pub fn parsed<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{text:?} is no {what}"))
}

/// An `http` or `https` URL of a server, without a slash at its end.
pub fn url(text: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("{text:?} is no URL of a server: {why}");
    let trimmed = text.trim();
    let rest = trimmed
        .strip_prefix("http://")
        .or_else(|| trimmed.strip_prefix("https://"))
        .ok_or_else(|| wrong("it does not begin with http:// or https://"))?;
    if rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '?' || c == '#') {
        return Err(wrong("only scheme, host, port and path"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        // Not shown: it has a password in it.
        return Err("has a user in its URL".to_owned());
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or_else(|| wrong("a [ is not closed"))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(wrong("the host is no IPv6 address"));
        }
        let port = after.strip_prefix(':');
        if port.is_none() && !after.is_empty() {
            return Err(wrong("only a port may follow the host"));
        }
        (host, port)
    } else {
        authority
            .split_once(':')
            .map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    if host.is_empty() {
        return Err(wrong("it has no host"));
    }
    if port.is_some_and(|port| !digits(port) || port.parse::<u16>().is_err()) {
        return Err(wrong("the port is no number up to 65535"));
    }
    Ok(trimmed.trim_end_matches('/').to_owned())
}
