//! The parsers of single values.

use super::super::values::*;
use crate::filecoin::TokenAmount;
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn sizes() {
    for (text, expected) in [
        ("0", 0),
        ("1234", 1_234),
        ("1B", 1),
        ("10GiB", 10 << 30),
        ("10 gib", 10 << 30),
        ("500MB", 500_000_000),
        ("1.5KiB", 1_536),
        ("0.1kb", 100),
        ("1TB", 1_000_000_000_000),
        ("16777215.999999999TiB", 18_446_744_073_709_550_516),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(bytes(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        "GiB",
        "-1",
        "+1",
        "1.",
        ".5GiB",
        "1.2.3",
        "1e9",
        "10 Gib ib",
        "10G",
        "0x10",
        "1,5GiB",
        "18446744073709551616",
        "16777216TiB",
        "1.0000000000GiB",
        "１GiB",
        "99999999999999999999TiB",
    ] {
        assert!(bytes(text).is_err(), "{text}");
    }
}

#[test]
fn durations() {
    for (text, millis) in [
        ("0s", 0),
        ("200ms", 200),
        ("30s", 30_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("14d", 1_209_600_000),
        ("1d1h1m1s1ms", 90_061_001),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in [
        "",
        "30",
        "s",
        "1.5h",
        "-1s",
        "30m1h",
        "1h1h",
        "1y",
        "1H",
        "99999999999999999d",
        "1s2",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
    assert!(positive_duration("0s").is_err());
    assert_eq!(positive_duration("1ms"), Ok(Duration::from_millis(1)));
}

#[test]
fn epoch_counts() {
    for (text, expected) in [
        ("0", 0),
        ("2880", 2_880),
        ("24h", 2_880),
        ("14d", 40_320),
        ("30s", 1),
    ] {
        assert_eq!(epochs(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        "-1",
        "1.5",
        "31s",
        "29s",
        "9223372036854775808",
        "a day",
    ] {
        assert!(epochs(text).is_err(), "{text}");
    }
}

#[test]
fn switches_and_counts() {
    assert_eq!(switch(" TRUE "), Ok(true));
    assert_eq!(switch("off"), Ok(false));
    assert!(switch("2").is_err() && switch("").is_err());
    assert_eq!(count("1", 1, 64), Ok(1));
    assert_eq!(count("64", 1, 64), Ok(64));
    assert_eq!(
        count("65", 1, 64),
        Err("\"65\" is no number from 1 to 64".to_owned())
    );
    assert!(count("0", 1, 64).is_err() && count("x", 1, 64).is_err());
}

#[test]
fn amounts() {
    let atto = |n: u64| Ok(TokenAmount::from_atto(n));
    assert_eq!(amount("0.05 FIL"), atto(50_000_000_000_000_000));
    assert_eq!(amount("0.05"), atto(50_000_000_000_000_000));
    assert_eq!(amount("5000000 attoFIL"), atto(5_000_000));
    for text in ["", "-1 FIL", "FIL", "1 BTC", "0.0000000000000000001 FIL"] {
        assert!(amount(text).is_err(), "{text}");
    }
}

#[test]
fn piece_sizes() {
    assert_eq!(piece_size("128"), Ok(128));
    assert_eq!(piece_size("32GiB"), Ok(32 << 30));
    for text in ["0", "64", "127", "3GiB", "1GB"] {
        assert!(piece_size(text).is_err(), "{text}");
    }
}

#[test]
fn miner_addresses() {
    assert_eq!(miners("f01000").map(|list| list.len()), Ok(1));
    assert_eq!(miners(" t01000 ,f02000, ").map(|list| list.len()), Ok(2));
    for text in [
        "",
        ",",
        "f01000,f01000",
        "f01000,t01000",
        "1000",
        "f0",
        "f01000 f02000",
    ] {
        assert!(miners(text).is_err(), "{text}");
    }
    let f1 = "f17uoq6tp427uzv7fztkbsnn64iwotfrristwpryy";
    assert_eq!(
        miners(f1),
        Err(format!("{f1:?} is no miner's ID address (f0…)"))
    );
}

#[test]
fn server_urls() {
    for (text, expected) in [
        ("http://a", "http://a"),
        ("https://sp.example.net/", "https://sp.example.net"),
        ("http://10.0.0.1:7777/x/", "http://10.0.0.1:7777/x"),
        ("http://[::1]:80", "http://[::1]:80"),
        (" http://[fe80::1] ", "http://[fe80::1]"),
    ] {
        assert_eq!(url(text).as_deref(), Ok(expected), "{text}");
    }
    for text in [
        "",
        "a",
        "ftp://a",
        "http://",
        "http:///x",
        "http://a b",
        "http://a?x",
        "http://a#x",
        "http://a:",
        "http://a:x",
        "http://a:65536",
        "http://[::1",
        "http://[nonsense]",
        "http://[::1]x:1x",
        "http://a\u{7}",
    ] {
        assert!(url(text).is_err(), "{text}");
    }
    assert_eq!(
        url("http://me:secret@a"),
        Err("has a user in its URL".to_owned())
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,40}") {
        let _ = (bytes(&text), duration(&text), epochs(&text), switch(&text), piece_size(&text));
        let _ = (url(&text), count(&text, 0, 9));
    }

    #[test]
    fn near_misses_do_not_panic(text in "[0-9.]{0,25} ?[a-zA-Z]{0,3}[0-9]{0,20}[dhms]{0,2}") {
        let _ = (bytes(&text), duration(&text), epochs(&text));
    }

    #[test]
    fn whole_sizes_are_exact(number in 0_u64..1 << 23, unit in 0_usize..4) {
        let (name, bits) = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)][unit];
        prop_assert_eq!(bytes(&format!("{number}{name}")), Ok(number << bits));
    }
}
