//! The rules of changing and renewing.

use super::*;
use crate::deal::tests::samples::{HEAD, atto, miner};

const SECTOR: u64 = 32 << 30;

fn first() -> StoredAsk {
    FirstAsk::default().ask(&miner(), HEAD, SECTOR)
}

fn apply(ask: &StoredAsk, change: AskChange) -> Result<StoredAsk, String> {
    changed(ask, &change, HEAD + 7, SECTOR)
}

#[test]
fn a_first_ask_never_promises_more_than_a_sector() {
    let ask = FirstAsk::default().ask(&miner(), HEAD, 8 << 20);
    assert_eq!(ask.terms.max_piece_size, 8 << 20);
    assert_eq!(first().terms.max_piece_size, SECTOR);
    assert_eq!((first().terms.seq_no, first().expiry_given), (0, false));
}

#[test]
fn what_is_not_changed_stays() {
    let with = |change: fn(&mut AskChange)| {
        let mut wanted = AskChange::default();
        change(&mut wanted);
        apply(&first(), wanted).unwrap().terms
    };
    let untouched = StorageAsk {
        seq_no: 1,
        timestamp: HEAD + 7,
        expiry: HEAD + 7 + 10_519_200,
        ..first().terms
    };
    let beyond_64_bits = 10_i128.pow(30);
    let cases = [
        (
            with(|change| change.price = Some(atto(10_i128.pow(30)))),
            StorageAsk {
                price: atto(beyond_64_bits),
                ..untouched.clone()
            },
        ),
        (
            with(|change| change.verified_price = Some(atto(0))),
            StorageAsk {
                verified_price: atto(0),
                ..untouched.clone()
            },
        ),
        (
            with(|change| change.min_piece_size = Some(1 << 20)),
            StorageAsk {
                min_piece_size: 1 << 20,
                ..untouched.clone()
            },
        ),
        (
            with(|change| change.max_piece_size = Some(1 << 30)),
            StorageAsk {
                max_piece_size: 1 << 30,
                ..untouched.clone()
            },
        ),
        (
            with(|change| change.expiry = Some(AskExpiry::At(HEAD + 8))),
            StorageAsk {
                expiry: HEAD + 8,
                ..untouched.clone()
            },
        ),
        (
            with(|change| change.expiry = Some(AskExpiry::In(1))),
            StorageAsk {
                expiry: HEAD + 8,
                ..untouched.clone()
            },
        ),
        (
            with(|change| change.expiry = Some(AskExpiry::Never)),
            untouched,
        ),
    ];
    for (seen, expected) in cases {
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_change_that_makes_no_sense_says_what_would() {
    let change = AskChange::default;
    let price = |price: i128| AskChange {
        price: Some(atto(price)),
        ..change()
    };
    let size = |min: Option<u64>, max: Option<u64>| AskChange {
        min_piece_size: min,
        max_piece_size: max,
        ..change()
    };
    let until = |expiry: AskExpiry| AskChange {
        expiry: Some(expiry),
        ..change()
    };
    let too_long = TokenAmount::from_bytes(&[&[0, 1], [0; 63].as_slice()].concat()).unwrap();
    let cases = [
        (change(), "nothing to change"),
        (price(-1), "the price -1 is negative"),
        (
            AskChange {
                verified_price: Some(too_long),
                ..change()
            },
            "all the money there is",
        ),
        (
            size(Some(300), None),
            "300 bytes are no piece: a power of two",
        ),
        (size(None, Some(64)), "at least 128 bytes"),
        (
            size(None, Some(64 << 30)),
            "68719476736 bytes, does not fit a sector of this miner, 34359738368 bytes",
        ),
        (
            size(None, Some(128)),
            "the smallest piece, 256 bytes, would be larger than the largest one, 128 bytes",
        ),
        (
            until(AskExpiry::At(HEAD + 7)),
            "epoch 100007 is not after the head, 100007",
        ),
        (until(AskExpiry::In(0)), "is not after the head"),
        (until(AskExpiry::In(-5)), "is not after the head"),
    ];
    for (change, expected) in cases {
        let refusal = apply(&first(), change).unwrap_err();
        assert!(refusal.contains(expected), "{refusal}");
    }
    // Both at once are fine, and so are the bounds themselves.
    apply(&first(), size(Some(128), Some(128))).unwrap();
    apply(&first(), size(Some(SECTOR), Some(SECTOR))).unwrap();
}

#[test]
fn an_expiry_that_was_given_outlives_other_changes() {
    let given = AskChange {
        expiry: Some(AskExpiry::At(HEAD + 20)),
        ..AskChange::default()
    };
    let cheaper = AskChange {
        price: Some(atto(1)),
        ..AskChange::default()
    };
    let ask = apply(&first(), given).unwrap();
    let ask = apply(&ask, cheaper.clone()).unwrap();
    assert_eq!((ask.expiry_given, ask.terms.expiry), (true, HEAD + 20));
    // Once it has passed, a change that leaves it alone would change nothing for anybody.
    let refusal = changed(&ask, &cheaper, HEAD + 20, SECTOR).unwrap_err();
    assert!(refusal.contains("expired at epoch 100020"), "{refusal}");
    let never = AskChange {
        expiry: Some(AskExpiry::Never),
        ..cheaper
    };
    let ask = changed(&ask, &never, HEAD + 20, SECTOR).unwrap();
    assert_eq!(
        (ask.expiry_given, ask.terms.expiry),
        (false, HEAD + 20 + 10_519_200)
    );
}

#[test]
fn an_ask_is_renewed_before_it_ends_unless_its_end_was_given() {
    let end = first().terms.expiry;
    let renewed = |head: ChainEpoch, expiry_given: bool| {
        let mut ask = StoredAsk {
            expiry_given,
            ..first()
        };
        let renewed = renew(&mut ask, head);
        assert_eq!(
            renewed,
            ask != StoredAsk {
                expiry_given,
                ..first()
            }
        );
        renewed.then_some((ask.terms.seq_no, ask.terms.timestamp, ask.terms.expiry))
    };
    assert_eq!(renewed(end - RENEWED_BEFORE - 1, false), None);
    for head in [end - RENEWED_BEFORE, end, end + 1_000_000] {
        assert_eq!(renewed(head, false), Some((1, head, head + 10_519_200)));
        assert_eq!(renewed(head, true), None);
    }
    // Far from overflowing.
    assert_eq!(renewed(i64::MAX, false), Some((1, i64::MAX, i64::MAX)));
}
