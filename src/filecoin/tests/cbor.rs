//! The strict CBOR rules: spec boost-mk12 1.2, 1.3.

use super::{address, hex};
use crate::filecoin::cbor::*;
use crate::filecoin::{Signature, SignatureKind, TokenAmount, cids};
use minicbor::Decoder;

fn with<T>(
    bytes: &str,
    get: impl FnOnce(&mut Decoder<'_>) -> Result<T, CborError>,
) -> Result<T, CborError> {
    decode_all(&hex(bytes), get)
}

/// Whether a read fails because a rule is broken, rather than because bytes are missing.
fn malformed<T>(result: &Result<T, CborError>) -> bool {
    matches!(result, Err(CborError::Malformed(_)))
}

#[test]
fn unsigned_integers() {
    // RFC 8949, appendix A.
    let cases = [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("18ff", 255),
        ("190100", 256),
        ("19ffff", 65_535),
        ("1a00010000", 65_536),
        ("1affffffff", u64::from(u32::MAX)),
        ("1b0000000100000000", 1 << 32),
        ("1bffffffffffffffff", u64::MAX),
    ];
    for (bytes, n) in cases {
        assert_eq!(with(bytes, get_u64), Ok(n));
        assert_eq!(encoded(|out| put_u64(out, n)), hex(bytes));
    }
    let refused = [
        "1805",
        "1817",
        "190018",
        "1900ff",
        "1a0000ffff",
        "1b00000000ffffffff",
        "1c",
        "1f",
        "20",
    ];
    for bytes in refused {
        assert!(malformed(&with(bytes, get_u64)), "{bytes}");
    }
    for bytes in ["", "18", "1901", "1a010000", "1b01000000000000"] {
        assert_eq!(with(bytes, get_u64), Err(CborError::Truncated), "{bytes}");
    }
    assert_eq!(with("0000", get_u64), Err(CborError::Trailing));
}

#[test]
fn signed_integers() {
    let cases = [
        ("00", 0),
        ("20", -1),
        ("37", -24),
        ("3818", -25),
        ("3903e7", -1000),
        ("1b7fffffffffffffff", i64::MAX),
        ("3b7fffffffffffffff", i64::MIN),
    ];
    for (bytes, n) in cases {
        assert_eq!(with(bytes, get_i64), Ok(n));
        assert_eq!(encoded(|out| put_i64(out, n)), hex(bytes));
    }
    for bytes in [
        "1b8000000000000000",
        "3b8000000000000000",
        "3bffffffffffffffff",
        "3817",
        "f6",
    ] {
        assert!(malformed(&with(bytes, get_i64)), "{bytes}");
    }
}

#[test]
fn booleans_and_null() {
    assert_eq!(with("f4", get_bool), Ok(false));
    assert_eq!(with("f5", get_bool), Ok(true));
    assert_eq!(encoded(|out| put_bool(out, false)), hex("f4"));
    assert_eq!(encoded(|out| put_bool(out, true)), hex("f5"));
    for bytes in ["f814", "f815", "f6", "f7", "00", "01", "f0", "f8ff"] {
        assert!(malformed(&with(bytes, get_bool)), "{bytes}");
    }
    assert_eq!(encoded(put_null), hex("f6"));
    let bytes = hex("f600");
    let mut d = Decoder::new(&bytes);
    assert!(take_null(&mut d));
    assert!(!take_null(&mut d));
    assert_eq!(get_u64(&mut d), Ok(0));
    assert!(!take_null(&mut d), "the end is no null");
}

#[test]
fn strings_and_their_limits() {
    assert_eq!(with("63616263", |d| get_text(d, 3)), Ok("abc".into()));
    assert_eq!(
        with("63616263", |d| get_text(d, 2)),
        Err(CborError::TooLong("text"))
    );
    assert_eq!(with("43616263", |d| get_bytes(d, 3)), Ok(b"abc".to_vec()));
    assert_eq!(
        with("43616263", |d| get_bytes(d, 2)),
        Err(CborError::TooLong("byte string"))
    );
    assert!(malformed(&with("43616263", |d| get_text(d, 9))));
    assert!(malformed(&with("63616263", |d| get_bytes(d, 9))));
    assert!(malformed(&with("62c328", |d| get_text(d, 9))), "not UTF-8");
    assert!(
        malformed(&with("7f6161ff", |d| get_text(d, 9))),
        "indefinite"
    );
    assert!(
        malformed(&with("5f4161ff", |d| get_bytes(d, 9))),
        "indefinite"
    );
    assert!(
        malformed(&with("7803616263", |d| get_text(d, 9))),
        "not the shortest header"
    );
    assert_eq!(with("6361", |d| get_text(d, 9)), Err(CborError::Truncated));
    // A claim of 2^63 bytes is refused by its length, not waited for.
    let huge = "5b8000000000000000";
    assert_eq!(
        with(huge, |d| get_bytes(d, MAX_BYTES)),
        Err(CborError::TooLong("byte string"))
    );
    assert_eq!(encoded(|out| put_text(out, "abc")), hex("63616263"));
    assert_eq!(encoded(|out| put_bytes(out, b"")), hex("40"));
    assert!(is_bytes(&Decoder::new(&[0x40])));
    assert!(!is_bytes(&Decoder::new(&[0x60])));
    assert!(!is_bytes(&Decoder::new(&[])));
}

#[test]
fn headers_of_arrays_and_maps() {
    assert_eq!(with("80", get_array), Ok(0));
    assert_eq!(with("192000", get_array).ok(), None);
    assert_eq!(with("992000", get_array), Ok(8192));
    assert_eq!(with("992001", get_array), Err(CborError::TooLong("array")));
    assert_eq!(with("b92000", get_map), Ok(8192));
    assert_eq!(
        with("bbffffffffffffffff", get_map),
        Err(CborError::TooLong("map"))
    );
    assert!(malformed(&with("9f", get_array)));
    assert!(malformed(&with("bf", get_map)));
    assert!(malformed(&with("a0", get_array)));
    assert!(malformed(&with("80", get_map)));
    assert_eq!(with("82", |d| expect_array(d, 2)), Ok(()));
    assert!(malformed(&with("83", |d| expect_array(d, 2))));
    assert_eq!(encoded(|out| put_array(out, 300)), hex("99012c"));
    assert_eq!(encoded(|out| put_map(out, 7)), hex("a7"));
}

#[test]
fn content_identifiers() {
    let cid = cids::sha256_cid(cids::DAG_PB, b"root");
    let bytes = "d82a5825000170122048\
                 13494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";
    assert_eq!(with(bytes, get_cid), Ok(cid));
    assert_eq!(encoded(|out| put_cid(out, &cid)), hex(bytes));
    let bytes = bytes.replace(' ', "");
    let changed = |from: &str, to: &str| with(&bytes.replacen(from, to, 1), get_cid);
    assert!(malformed(&changed("d82a", "d82b")), "another tag");
    assert!(malformed(&changed("d82a", "")), "no tag");
    assert!(malformed(&changed("5825", "7825")), "text");
    assert!(
        malformed(&changed("5825000170", "5825010170")),
        "no leading zero"
    );
    assert!(malformed(&changed("5825000170", "5825000270")), "version 2");
    assert!(
        malformed(&changed("5825000170122048", "582500017012214813")),
        "a longer digest"
    );
    assert!(malformed(&with("d82a40", get_cid)));
    assert!(malformed(&with("d82a4100", get_cid)));
    assert_eq!(with("d82a590201", get_cid), Err(CborError::TooLong("CID")));
    assert_eq!(with("d82a5825000170", get_cid), Err(CborError::Truncated));
    assert!(malformed(&with("f6", get_cid)));
}

#[test]
fn amounts_addresses_signatures() {
    // Spec boost-mk12 1.8.
    for (n, bytes) in [(0, "40"), (1, "420001"), (255, "4200ff"), (-1, "420101")] {
        let amount = TokenAmount::from_atto(n);
        assert_eq!(with(bytes, get_amount), Ok(amount.clone()));
        assert_eq!(encoded(|out| put_amount(out, &amount)), hex(bytes));
    }
    assert!(malformed(&with("420201", get_amount)));
    assert!(malformed(&with("01", get_amount)));
    let longest = format!("588000{}", "ff".repeat(127));
    assert!(with(&longest, get_amount).is_ok());
    let longer = format!("588100{}", "ff".repeat(128));
    assert_eq!(with(&longer, get_amount), Err(CborError::TooLong("amount")));

    assert_eq!(with("4300e807", get_address), Ok(address("f01000")));
    assert_eq!(
        encoded(|out| put_address(out, &address("f01000"))),
        hex("4300e807")
    );
    assert!(malformed(&with("40", get_address)));
    assert!(malformed(&with("4105", get_address)));
    let longer = format!("584104{}", "00".repeat(64));
    assert_eq!(
        with(&longer, get_address),
        Err(CborError::TooLong("address"))
    );

    let signature = Signature {
        kind: SignatureKind::Bls,
        data: vec![7, 7],
    };
    assert_eq!(
        encoded(|out| put_signature(out, &signature)),
        hex("43020707")
    );
    assert_eq!(with("43020707", get_signature), Ok(signature));
    assert!(malformed(&with("40", get_signature)));
    assert!(malformed(&with("43040707", get_signature)));
    assert!(malformed(&with("f6", get_signature)));
    let longer = format!("58c901{}", "00".repeat(200));
    assert_eq!(
        with(&longer, get_signature),
        Err(CborError::TooLong("signature"))
    );
}

/// Whole items and what they are (the skipping rules of spec boost-mk12 1.2).
const ITEMS: &[&str] = &[
    "00",
    "1bffffffffffffffff",
    "3903e7",
    "40",
    "43010203",
    "60",
    "62c328", // text in skipped values is not looked into
    "80",
    "83010203",
    "8301820203820405",
    "a0",
    "a26161016162820203",
    "a10102", // keys of skipped maps may be anything
    "c11a514b67b0",
    "c6c6c600", // tags in tags
    "d8208f000102030405060708090a0b0c0d0e",
    "f4",
    "f6",
    "f7",
    "e0",
    "f820",
    "f8ff",
    "f93c00",
    "fa47c35000",
    "fb3ff199999999999a",
    "d82a4900015500050102030405",
    "82d82a450001550000d82a450001550000",
];

#[test]
fn scanner_finds_the_end() {
    for item in ITEMS {
        let bytes = hex(item);
        if item.starts_with("d82a49") {
            // Five bytes of identity digest, where the multihash says so.
            assert!(scan(&bytes).is_err(), "{item}: bytes are left in the CID");
            continue;
        }
        assert_eq!(scan(&bytes), Ok(bytes.len()), "{item}");
        let longer = [bytes.clone(), hex("ff00")].concat();
        assert_eq!(
            scan(&longer),
            Ok(bytes.len()),
            "{item}: what follows is not looked at"
        );
        for cut in 0..bytes.len() {
            assert_eq!(
                scan(&bytes[..cut]),
                Err(CborError::Truncated),
                "{item} cut at {cut}"
            );
        }
    }
}

#[test]
fn scanner_takes_any_portions() {
    for item in ITEMS.iter().filter(|item| !item.starts_with("d82a49")) {
        let bytes = hex(item);
        for portion in 1..=bytes.len() {
            let mut scanner = Scanner::new();
            let mut end = None;
            for part in bytes.chunks(portion) {
                assert_eq!(end, None, "{item}");
                end = scanner.feed(part).expect(item);
            }
            assert_eq!(end, Some(bytes.len() as u64), "{item} by {portion}");
            assert_eq!(
                scanner.feed(&[0xff]),
                Ok(end),
                "once complete it stays complete"
            );
        }
    }
    assert_eq!(Scanner::new().feed(&[]), Ok(None));
}

#[test]
fn scanner_refuses() {
    let refused = [
        "1805",
        "9f01ff",
        "bf616101ff",
        "5f4161ff",
        "7f6161ff",
        "fc",
        "fd",
        "fe",
        "ff",
        "1c",
        "3e",
        "f814",   // a two-byte boolean
        "f90001", // a float whose bits would fit a shorter header, as the reference sees it
        "820118ff80ff",
        "d82a00", // a CID that is not bytes
        "d82a6100",
        "d82a40",
        "d82a4100",
        "d82a450101550000",
        "d82a450003550000",
        "d82a46000155000000",
        "a16161d82a4400015500",
    ];
    for item in refused {
        let bytes = hex(item);
        let result = Scanner::new().feed(&bytes);
        if item.starts_with("8201") {
            assert_eq!(result, Ok(Some(4)), "the item ends before the break");
            continue;
        }
        assert!(malformed(&result), "{item}");
        // The same byte by byte, and it stays refused.
        let mut scanner = Scanner::new();
        let error = bytes.chunks(1).find_map(|byte| scanner.feed(byte).err());
        assert!(error.is_some(), "{item}");
        assert_eq!(scanner.feed(&[0]), Err(error.expect("an error")));
    }
    let long_cid = format!("d82a5865{}", "00".repeat(101));
    assert_eq!(scan(&hex(&long_cid)), Err(CborError::TooLong("CID")));
}

#[test]
fn scanner_bounds_counts_and_depth() {
    let nested = |depth: usize| [vec![0x81; depth], vec![0]].concat();
    assert_eq!(scan(&nested(128)), Ok(129));
    assert_eq!(scan(&nested(129)), Err(CborError::TooDeep));
    assert_eq!(scan(&nested(1_000_000)), Err(CborError::TooDeep));
    let maps: Vec<u8> = [hex("a100").repeat(129), vec![0]].concat();
    assert_eq!(scan(&maps), Err(CborError::TooDeep));
    assert_eq!(
        scan(&[0xc1; 1000]),
        Err(CborError::Truncated),
        "tags do not nest"
    );
    let wide = [vec![0x82], nested(127)[..].to_vec(), nested(127)].concat();
    assert_eq!(scan(&wide), Ok(wide.len()), "depth falls when a level ends");
    for claim in [
        "9b0000000100000000",
        "bb8000000000000000",
        "bbffffffffffffffff",
        "9a00100001",
    ] {
        assert_eq!(
            scan(&hex(claim)),
            Err(CborError::TooLong("array or map")),
            "{claim}"
        );
    }
    assert_eq!(scan(&hex("9a00100000")), Err(CborError::Truncated));
}

#[test]
fn scanner_knows_what_is_still_to_come() {
    let mut scanner = Scanner::new();
    assert_eq!(scanner.least_to_come(), 1);
    // A map of two entries; a key of three bytes; a string that claims 4 GiB.
    for (bytes, least) in [
        ("a2", 4),
        ("63", 6),
        ("6162", 4),
        ("63", 3),
        ("5affffffff", 0xffff_ffff + 2),
        ("00", 0xffff_fffe + 2),
    ] {
        assert_eq!(scanner.feed(&hex(bytes)), Ok(None));
        assert_eq!(scanner.least_to_come(), least, "{bytes}");
    }
    let mut scanner = Scanner::new();
    assert_eq!(scanner.feed(&hex("81820100")), Ok(Some(4)));
    assert_eq!(scanner.least_to_come(), 0);
    let mut scanner = Scanner::new();
    assert_eq!(scanner.feed(&hex("828201")), Ok(None));
    assert_eq!(scanner.least_to_come(), 2);
    assert_eq!(scanner.feed(&hex("d82a")), Ok(None));
    assert_eq!(scanner.least_to_come(), 2);
}

#[test]
fn skipping_leaves_the_decoder_behind_the_item() {
    let bytes = hex("a1616182f93c00d82a45000155000005");
    let mut d = Decoder::new(&bytes);
    skip(&mut d).expect("a map");
    assert_eq!(get_u64(&mut d), Ok(5));
    assert_eq!(skip(&mut d), Err(CborError::Truncated));
    let bytes = hex("1805");
    assert!(malformed(&skip(&mut Decoder::new(&bytes))));
}

#[test]
fn errors_read_well() {
    let texts: Vec<String> = [
        CborError::Malformed("not a CID"),
        CborError::Truncated,
        CborError::TooLong("text"),
        CborError::TooDeep,
        CborError::Trailing,
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    assert_eq!(texts[0], "malformed CBOR: not a CID");
    assert_eq!(texts[2], "malformed CBOR: text too long");
    assert!(texts.iter().all(|text| text.contains("CBOR")));
}
