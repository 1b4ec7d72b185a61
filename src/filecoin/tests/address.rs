//! Addresses: spec chain-sealer-rpc C.3.

use super::{address, hex};
use crate::filecoin::address::{Address, AddressError, MAX_BYTES, Protocol};

/// Text and binary form (spec chain-sealer-rpc C.3).
const VECTORS: [(&str, &str); 8] = [
    ("f05", "0005"),
    ("f01000", "00e807"),
    ("f01234", "00d209"),
    (
        "f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq",
        "01ea0f0ea039b291a0f08fd179e0556a8c3277c0d3",
    ),
    (
        "f3vvmn62lofvhjd2ugzca6sof2j2ubwok6cj4xxbfzz4yuxfkgobpihhd2thlanmsh3w2ptld2gqkn2jvlss4a",
        "03ad58df696e2d4e91ea86c881e938ba4ea81b395e12797b84b9cf314b9546705e839c7a99d606b247ddb4f9ac\
         7a3414dd",
    ),
    ("f432f77777777x32lpna", "0420ffffffffff"),
    (
        "f410fkkld55ioe7qg24wvt7fu6pbknb56ht7pt4zamxa",
        "040a52963ef50e27e06d72d59fcb4f3c2a687be3cfef",
    ),
    ("f09223372036854775807", "00ffffffffffffffff7f"),
];

#[test]
fn vectors_both_ways() {
    for (text, bytes) in VECTORS {
        let bytes = hex(bytes);
        let read = Address::from_bytes(&bytes).expect(text);
        assert_eq!(read.as_bytes(), bytes, "{text}");
        assert_eq!(read.payload(), &bytes[1..], "{text}");
        assert_eq!(read.to_string(), text);
        assert_eq!(address(text), read);
        let elsewhere = text.replacen('f', "t", 1);
        assert_eq!(address(&elsewhere), read, "{elsewhere}");
    }
}

#[test]
fn protocols_and_numbers() {
    use Protocol::{Bls, Delegated, Id, Secp256k1};
    let protocols: Vec<Protocol> = VECTORS.iter().map(|(t, _)| address(t).protocol()).collect();
    assert_eq!(
        protocols,
        [Id, Id, Id, Secp256k1, Bls, Delegated, Delegated, Id]
    );
    assert_eq!(address("f01234").actor_id(), Some(1234));
    assert_eq!(
        address("f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq").actor_id(),
        None
    );
    assert_eq!(address("f00"), Address::id(0));
    assert_eq!(Address::market_actor(), address("f05"));
    assert_eq!(
        Address::id(i64::MAX as u64).to_string(),
        "f09223372036854775807"
    );
}

#[test]
fn actor_address_keeps_its_protocol() {
    let mut bytes = vec![2];
    bytes.extend([7; 20]);
    let actor = Address::from_bytes(&bytes).expect("20 bytes of hash");
    assert_eq!(actor.protocol(), Protocol::Actor);
    assert!(actor.to_string().starts_with("f2"));
    assert_eq!(address(&actor.to_string()), actor);
}

#[test]
fn refused_bytes() {
    use AddressError::{Empty, Number, PayloadLength, TooLong};
    let with = |head: &[u8], len: usize| {
        let mut bytes = head.to_vec();
        bytes.resize(head.len() + len, 0x11);
        bytes
    };
    let cases: Vec<(Vec<u8>, AddressError)> = vec![
        (vec![], Empty),
        (vec![0], Number),
        (hex("0080"), Number),
        (hex("008000"), Number),
        (hex("00d20900"), PayloadLength),
        (hex("0080808080808080808001"), Number),
        (hex("00ffffffffffffffffff01"), Number),
        (hex("00ffffffffffffffffffff01"), Number),
        (with(&[1], 19), PayloadLength),
        (with(&[1], 21), PayloadLength),
        (with(&[2], 0), PayloadLength),
        (with(&[3], 47), PayloadLength),
        (with(&[3], 49), PayloadLength),
        (vec![4], Number),
        (with(&hex("048a00"), 20), Number),
        (with(&[4, 10], 55), PayloadLength),
        (with(&[1], MAX_BYTES), TooLong),
        (with(&[5], 20), AddressError::Protocol),
        (with(&[0xff], 20), AddressError::Protocol),
    ];
    for (bytes, error) in cases {
        assert_eq!(Address::from_bytes(&bytes), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn longest_delegated_address() {
    let longest = Address::delegated(i64::MAX as u64, &[0xab; 54]).expect("64 bytes");
    assert_eq!(longest.as_bytes().len(), MAX_BYTES);
    let text = longest.to_string();
    assert_eq!(text.len(), 115);
    assert_eq!(address(&text), longest);
    assert_eq!(
        Address::delegated(10, &[0; 55]),
        Err(AddressError::PayloadLength)
    );
    assert_eq!(
        Address::delegated(1 << 63, &[0; 20]),
        Err(AddressError::Number)
    );
    let empty = Address::delegated(32, &[]).expect("an empty sub-address is one");
    assert_eq!(address(&empty.to_string()), empty);
}

#[test]
fn refused_texts() {
    use AddressError::{Base32, Checksum, Empty, Network, Number, PayloadLength, TooLong};
    let f1 = "f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq";
    let upper = f1.to_uppercase();
    let half_upper = f1.replace('q', "Q");
    let long = format!("f1{}", "a".repeat(114));
    let cases = [
        ("", Empty),
        ("f", AddressError::Protocol),
        ("f5abc", AddressError::Protocol),
        ("x01000", Network),
        ("F01000", Network),
        (" f01000", Network),
        (upper.as_str(), Network),
        (half_upper.as_str(), Base32),
        ("f0", Number),
        ("f0-1", Number),
        ("f0+1", Number),
        ("f01000 ", Number),
        ("f001000", Number),
        ("f09223372036854775808", Number),
        ("f018446744073709551616", Number),
        ("f1", PayloadLength),
        ("f1aaaa", PayloadLength),
        // Unused bits set, then letters of the checksum changed.
        ("f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrr", Base32),
        ("f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdsq", Checksum),
        ("f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrqq", PayloadLength),
        ("f25ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq", Checksum),
        ("f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq=", Base32),
        ("f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdr1", Base32),
        ("f410kkld55ioe7qg24wvt7fu6pbknb56ht7pt4zamxa", Number),
        ("f4fkkld55ioe7qg24wvt7fu6pbknb56ht7pt4zamxa", Number),
        ("f4010fkkld55ioe7qg24wvt7fu6pbknb56ht7pt4zamxa", Number),
        ("f411fkkld55ioe7qg24wvt7fu6pbknb56ht7pt4zamxa", Checksum),
        ("f410fkkld55ioe7qg24wvt7fu6pbknb56ht7pt4zamxb", Base32),
        ("f\u{f6}1", AddressError::Protocol),
        (long.as_str(), TooLong),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<Address>(), Err(error), "{text}");
    }
}

#[test]
fn bytes_decide_equality_and_order() {
    let mut sorted: Vec<Address> = VECTORS.iter().map(|(t, _)| address(t)).collect();
    sorted.sort();
    assert!(sorted.windows(2).all(|w| w[0].as_bytes() < w[1].as_bytes()));
    let set: std::collections::HashSet<Address> = [address("f05"), address("t05")].into();
    assert_eq!(set.len(), 1);
}

#[test]
fn debug_shows_the_text() {
    assert_eq!(format!("{:?}", address("t01000")), "Address(f01000)");
}
