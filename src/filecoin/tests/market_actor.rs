//! Parameters and returns of f05: spec chain-sealer-rpc D.1, D.3, D.4.

use super::proposal::signed;
use super::{address, hex};
use crate::filecoin::cbor::CborError;
use crate::filecoin::market_actor::*;
use crate::filecoin::{Label, TokenAmount};
use std::ops::Range;

#[test]
fn publish_params_both_ways() {
    let one = signed();
    let mut other = signed();
    other.proposal.label = Label::Bytes(vec![0xff]);
    let bytes = encode_publish(std::slice::from_ref(&one));
    assert_eq!(bytes, [hex("8181"), one.encode()].concat());
    for deals in [vec![], vec![one.clone()], vec![one, other]] {
        let bytes = encode_publish(&deals);
        assert_eq!(decode_publish(&bytes), Ok(deals));
        for cut in 0..bytes.len() {
            assert!(decode_publish(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}

/// FRC-0042: the first four-byte word from 2^24 on in the BLAKE2b-512 of the method's name.
fn frc_42(name: &str) -> u64 {
    let digest = blake2b_simd::blake2b(format!("1|{name}").as_bytes());
    let words = digest.as_bytes().chunks_exact(4);
    let mut numbers = words.map(|word| u32::from_be_bytes(word.try_into().expect("four bytes")));
    let number = numbers.find(|number| *number >= 1 << 24);
    u64::from(number.expect("one of sixteen"))
}

#[test]
fn method_numbers_follow_from_names() {
    for (name, number) in [
        ("AddBalance", 822_473_126),
        ("WithdrawBalance", 2_280_458_852),
        ("PublishStorageDeals", 2_236_929_350),
        ("GetBalance", 726_108_461),
        ("GetDealActivation", 2_567_238_399),
        ("GetDealSector", 2_611_213_344),
        ("SettleDealPayments", 1_900_091_594),
        ("SectorContentChanged", 2_034_386_435),
        ("AuthenticateMessage", AUTHENTICATE_MESSAGE),
        ("MarketNotifyDeal", 4_186_741_094),
        ("IsControllingAddress", 348_244_887),
    ] {
        assert_eq!(frc_42(name), number, "{name}");
    }
}

#[test]
fn refused_publish_params() {
    assert!(decode_publish(&hex("80")).is_err());
    assert!(decode_publish(&hex("8280")).is_err());
    assert!(decode_publish(&hex("8180ff")).is_err());
    assert!(decode_publish(&hex("8181f6")).is_err());
    assert_eq!(
        decode_publish(&hex("81992001")),
        Err(CborError::TooLong("array"))
    );
    // A claim of 8192 deals ends with the bytes, not with memory.
    assert_eq!(decode_publish(&hex("81992000")), Err(CborError::Truncated));
}

#[test]
fn publish_returns_both_ways() {
    let one = PublishReturn {
        ids: vec![70_112_233],
        valid: vec![Range { start: 0, end: 1 }],
    };
    assert_eq!(one.encode(), hex("82811a042dd3e9410c"));
    let dropped = PublishReturn {
        ids: vec![70_112_233, 70_112_234, 70_112_235],
        valid: vec![0..1, 2..4],
    };
    let bytes = hex("82831a042dd3e91a042dd3ea1a042dd3eb425c01");
    assert_eq!(dropped.encode(), bytes);
    assert_eq!(PublishReturn::decode(&bytes), Ok(dropped.clone()));
    let found: Vec<Option<u64>> = (0..5).map(|i| dropped.deal_id(i)).collect();
    let ids = [
        Some(70_112_233),
        None,
        Some(70_112_234),
        Some(70_112_235),
        None,
    ];
    assert_eq!(found, ids);
    assert_eq!(dropped.deal_id(u64::MAX), None);
    let none = PublishReturn {
        ids: vec![],
        valid: vec![],
    };
    assert_eq!(none.encode(), hex("828040"));
    assert_eq!(PublishReturn::decode(&hex("828040")), Ok(none));
}

#[test]
fn a_return_that_lacks_ids_names_none() {
    let short = PublishReturn {
        ids: vec![7],
        valid: vec![Range { start: 0, end: 3 }],
    };
    let read = PublishReturn::decode(&short.encode()).expect("well formed");
    assert_eq!(read.deal_id(0), Some(7));
    assert_eq!(read.deal_id(1), None);
}

#[test]
fn refused_publish_returns() {
    let refused = [
        "",
        "f6",
        "81",
        "828140",
        "8280f6",
        "82804100",
        "82804101",
        "828060",
        "82810c40ff",
    ];
    for bytes in refused {
        assert!(PublishReturn::decode(&hex(bytes)).is_err(), "{bytes}");
    }
}

#[test]
fn balances() {
    let provider = address("f01234");
    assert_eq!(encode_add_balance(&provider), hex("4300d209"));
    assert_eq!(decode_add_balance(&hex("4300d209")), Ok(provider.clone()));
    assert!(decode_add_balance(&hex("814300d209")).is_err());
    let amount = TokenAmount::parse_fil("2.5").expect("an amount");
    let bytes = hex("824300d209490022b1c8c1227a0000");
    assert_eq!(encode_withdraw(&provider, &amount), bytes);
    assert_eq!(decode_withdraw(&bytes), Ok((provider, amount.clone())));
    assert!(decode_withdraw(&bytes[..14]).is_err());
    assert_eq!(encode_withdraw_return(&amount), hex("490022b1c8c1227a0000"));
    assert_eq!(
        decode_withdraw_return(&hex("490022b1c8c1227a0000")),
        Ok(amount)
    );
}

#[test]
fn authentication() {
    let bytes = encode_authenticate(&[1, 2], b"abc");
    assert_eq!(bytes, hex("8242010243616263"));
    assert_eq!(
        decode_authenticate(&bytes),
        Ok((vec![1, 2], b"abc".to_vec()))
    );
    assert!(decode_authenticate(&hex("82420102")).is_err());
    assert!(decode_authenticate(&hex("8362")).is_err());
}

/// FRC-0042: the first word of BLAKE2b-512("1|" + name) that is at least 2^24.
fn method_number(name: &str) -> u64 {
    let hash = blake2b_simd::blake2b(format!("1|{name}").as_bytes());
    hash.as_bytes()
        .chunks(4)
        .map(|word| u64::from(u32::from_be_bytes(word.try_into().expect("4 bytes"))))
        .find(|number| *number >= 1 << 24)
        .expect("a word")
}

#[test]
fn exported_method_numbers() {
    assert_eq!(method_number("AuthenticateMessage"), AUTHENTICATE_MESSAGE);
    assert_eq!(method_number("PublishStorageDeals"), 2_236_929_350);
}

#[test]
fn limits_in_days() {
    const DAY: i64 = 2880;
    assert_eq!(MIN_DURATION, 180 * DAY);
    assert_eq!(MAX_DURATION, 1278 * DAY);
}
