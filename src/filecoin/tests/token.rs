//! Amounts: their bytes, their texts, prices.

use super::hex;
use crate::filecoin::TokenAmount;

fn atto(text: &str) -> TokenAmount {
    TokenAmount::parse_atto(text).expect("an amount")
}

#[test]
fn bytes_both_ways() {
    // Amount and content of the byte string (spec boost-mk12 1.8, chain-sealer-rpc C.4, D.1).
    let cases = [
        ("0", ""),
        ("1", "0001"),
        ("255", "00ff"),
        ("256", "000100"),
        ("-1", "0101"),
        ("-256", "010100"),
        ("1000000000000000000", "000de0b6b3a7640000"),
        ("2500000000000000000", "0022b1c8c1227a0000"),
        (
            "340282366920938463463374607431768211456",
            "000100000000000000000000000000000000",
        ),
    ];
    for (text, bytes) in cases {
        assert_eq!(atto(text).to_bytes(), hex(bytes), "{text}");
        assert_eq!(TokenAmount::from_bytes(&hex(bytes)), Some(atto(text)));
        assert_eq!(atto(text).to_string(), text);
    }
}

#[test]
fn tolerated_and_refused_bytes() {
    assert_eq!(
        TokenAmount::from_bytes(&hex("00")),
        Some(TokenAmount::zero())
    );
    assert_eq!(
        TokenAmount::from_bytes(&hex("01")),
        Some(TokenAmount::zero())
    );
    assert_eq!(
        TokenAmount::from_bytes(&hex("0100")),
        Some(TokenAmount::zero())
    );
    assert_eq!(TokenAmount::from_bytes(&hex("00000001")), Some(atto("1")));
    assert_eq!(TokenAmount::from_bytes(&hex("02")), None);
    assert_eq!(TokenAmount::from_bytes(&hex("ff01")), None);
    assert!(TokenAmount::from_bytes(&[0; 128]).is_some());
    assert!(TokenAmount::from_bytes(&[0; 129]).is_none());
}

#[test]
fn atto_texts() {
    assert_eq!(atto("-0"), TokenAmount::zero());
    assert_eq!(atto("007"), TokenAmount::from_atto(7));
    let refused = [
        "", "-", "+1", "1.0", "1 ", " 1", "0x1", "1e18", "--1", "1-", "\u{664}",
    ];
    for text in refused {
        assert_eq!(TokenAmount::parse_atto(text), None, "{text:?}");
    }
    let largest = TokenAmount::from_bytes(&[vec![0], vec![0xff; 127]].concat()).expect("128 bytes");
    assert_eq!(
        TokenAmount::parse_atto(&largest.to_string()),
        Some(largest.clone())
    );
    let beyond = &largest + &TokenAmount::from_atto(1);
    assert_eq!(TokenAmount::parse_atto(&beyond.to_string()), None);
    assert_eq!(TokenAmount::parse_atto(&"9".repeat(100_000)), None);
}

#[test]
fn fil_texts() {
    let cases = [
        ("0", "0", "0 FIL"),
        ("1", "1000000000000000000", "1 FIL"),
        ("0.05", "50000000000000000", "0.05 FIL"),
        ("0.05 FIL", "50000000000000000", "0.05 FIL"),
        ("12 fil", "12000000000000000000", "12 FIL"),
        ("12FIL", "12000000000000000000", "12 FIL"),
        (" 1.50 Fil ", "1500000000000000000", "1.5 FIL"),
        ("5 attoFIL", "5", "0.000000000000000005 FIL"),
        ("5aFIL", "5", "0.000000000000000005 FIL"),
        ("0.000000000000000001", "1", "0.000000000000000001 FIL"),
        (
            "2000000000",
            "2000000000000000000000000000",
            "2000000000 FIL",
        ),
    ];
    for (text, expected, shown) in cases {
        let amount = TokenAmount::parse_fil(text).expect(text);
        assert_eq!(amount, atto(expected), "{text}");
        assert_eq!(amount.to_fil_text(), shown);
        assert_eq!(TokenAmount::parse_fil(shown), Some(amount));
    }
    assert_eq!(atto("-1500000000000000000").to_fil_text(), "-1.5 FIL");
    assert_eq!(atto("-1").to_fil_text(), "-0.000000000000000001 FIL");
}

#[test]
fn refused_fil_texts() {
    let refused = [
        "",
        " ",
        "FIL",
        "-1",
        "+1",
        ".5",
        "1.",
        "1. FIL",
        "1.2.3",
        "1,5",
        "0.0000000000000000001",
        "1.5 attoFIL",
        "1. attoFIL",
        "1 FILs",
        "1 nanoFIL",
        "1 FIL FIL",
        "1e3",
        "1 \u{20bf}",
        "NaN",
    ];
    for text in refused {
        assert_eq!(TokenAmount::parse_fil(text), None, "{text:?}");
    }
    assert_eq!(TokenAmount::parse_fil(&"9".repeat(100_000)), None);
    assert_eq!(
        TokenAmount::parse_fil(&"9".repeat(300)),
        None,
        "beyond 127 bytes of attoFIL"
    );
}

#[test]
fn prices_round_down() {
    const GIB: u64 = 1 << 30;
    // Price per GiB, padded size, price (spec boost-mk12 3.2).
    let cases = [
        (500_000_000_u64, 32 * GIB, 16_000_000_000_u64),
        (1, GIB, 1),
        (1, GIB / 2, 0),
        (3, GIB / 2, 1),
        (1_073_741_824, 1, 1),
        (0, 32 * GIB, 0),
    ];
    for (per_gib, size, price) in cases {
        let per_gib = TokenAmount::from_atto(per_gib);
        assert_eq!(
            per_gib.price_for(size),
            TokenAmount::from_atto(price),
            "{per_gib} {size}"
        );
    }
    let huge = TokenAmount::from_atto(u64::MAX);
    assert_eq!(
        huge.price_for(1 << 62).to_string(),
        "79228162514264337589248983040"
    );
}

#[test]
fn arithmetic_has_no_border() {
    let max = TokenAmount::from_atto(u64::MAX);
    assert_eq!((&max + &max).to_string(), "36893488147419103230");
    assert_eq!(
        (&TokenAmount::zero() - &max).to_string(),
        "-18446744073709551615"
    );
    assert_eq!(
        max.times(i64::MAX).to_string(),
        "170141183460469231704017187605319778305"
    );
    assert_eq!(TokenAmount::from_atto(2).times(-3).to_string(), "-6");
    assert!((&TokenAmount::zero() - &max).is_negative());
    assert!(!max.is_negative() && !TokenAmount::zero().is_negative());
    assert!((&max - &max).is_zero());
    assert!(atto("-2") < atto("-1") && atto("-1") < atto("0") && atto("9") < atto("10"));
}
