//! RLE+: spec chain-sealer-rpc D.4.

use super::hex;
use crate::filecoin::bitfield::{
    BitfieldError, decode, encode, encode_ranges, from_run_lengths, rank, run_lengths,
};
use std::ops::Range;

/// Positions and bytes (spec chain-sealer-rpc D.4).
fn vectors() -> Vec<(Vec<u64>, &'static str)> {
    let published = [0, 2, 4, 5, 6].into_iter().chain(11..28).collect();
    vec![
        (vec![0], "0c"),
        ((0..8).collect(), "1401"),
        (vec![0, 2, 3], "5c01"),
        (vec![1], "18"),
        ((0..20).collect(), "8402"),
        (published, "7c472202"),
        (vec![], ""),
    ]
}

fn positions(ranges: &[Range<u64>]) -> Vec<u64> {
    ranges.iter().cloned().flatten().collect()
}

#[test]
fn vectors_both_ways() {
    for (set, bytes) in vectors() {
        assert_eq!(encode(&set), hex(bytes), "{set:?}");
        let ranges = decode(&hex(bytes), 100).expect(bytes);
        assert_eq!(positions(&ranges), set);
        assert_eq!(encode_ranges(&ranges), hex(bytes));
    }
}

#[test]
fn borders_of_the_block_kinds() {
    for length in [1, 2, 14, 15, 16, 17, 127, 128, 16_383, 16_384] {
        for start in [0, 1, 15, 16, 1 << 40] {
            let range = start..start + length;
            let bytes = encode_ranges(std::slice::from_ref(&range));
            assert_eq!(decode(&bytes, 1), Ok(vec![range]), "{start} {length}");
            assert_ne!(bytes.last(), Some(&0));
        }
    }
    let all = 0..u64::MAX;
    let bytes = encode_ranges(std::slice::from_ref(&all));
    assert_eq!(decode(&bytes, 1), Ok(vec![all]));
}

#[test]
fn input_out_of_order_is_left_out() {
    assert_eq!(encode(&[3, 3, 2, 4]), encode(&[3, 4]));
    assert_eq!(encode(&[u64::MAX]), Vec::<u8>::new());
    let touching = [Range { start: 5, end: 5 }, 0..2, 2..4, 3..3];
    assert_eq!(encode_ranges(&touching), encode(&[0, 1, 2, 3]));
    assert_eq!(
        encode_ranges(&[Range { start: 9, end: 3 }]),
        Vec::<u8>::new()
    );
}

#[test]
fn refused_bytes() {
    let cases = [
        ("0d", "unknown version"),
        ("0e", "unknown version"),
        ("00", "a zero byte at the end"),
        ("0c00", "a zero byte at the end"),
        // A long block whose varint is 0x94 0x00, then a run of one.
        ("84120008", ""),
    ];
    for (bytes, error) in cases {
        if error.is_empty() {
            assert!(decode(&hex(bytes), 10).is_err(), "{bytes}");
        } else {
            assert_eq!(
                decode(&hex(bytes), 10),
                Err(BitfieldError(error)),
                "{bytes}"
            );
        }
    }
    let eleven_groups = [vec![0xe4], vec![0xff; 10], vec![1]].concat();
    assert!(decode(&eleven_groups, 10).is_err());
    assert_eq!(
        decode(&vec![1; 32 * 1024 + 1], 10),
        Err(BitfieldError("longer than 32 KiB"))
    );
    // Two runs whose lengths sum to more than 64 bits.
    let half = u64::MAX / 2 + 1;
    assert!(from_run_lengths(&[half, half], 10).is_err());
    let high = half..u64::MAX;
    let mut bytes = encode_ranges(std::slice::from_ref(&high));
    bytes.push(0xff);
    assert!(decode(&bytes, 10).is_err());
}

#[test]
fn ranges_are_bounded() {
    let every_other: Vec<u64> = (0..100).map(|n| n * 2).collect();
    let bytes = encode(&every_other);
    assert_eq!(decode(&bytes, 100).map(|r| positions(&r)), Ok(every_other));
    assert_eq!(decode(&bytes, 99), Err(BitfieldError("too many ranges")));
    assert_eq!(decode(&[], 0), Ok(vec![]));
    let lengths = run_lengths(&decode(&bytes, 100).expect("decoded"));
    assert!(from_run_lengths(&lengths, 100).is_ok());
    assert_eq!(
        from_run_lengths(&lengths, 99),
        Err(BitfieldError("too many ranges"))
    );
}

#[test]
fn a_run_of_zero_ends_the_set() {
    // Ones, a run of one, a short block of length 0, then a run of one.
    let bits = [0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1];
    let mut bytes = vec![0_u8; 2];
    for (n, bit) in bits.into_iter().enumerate() {
        bytes[n / 8] |= bit << (n % 8);
    }
    assert_eq!(decode(&bytes, 10), Ok(vec![Range { start: 0, end: 1 }]));
}

#[test]
fn ranks() {
    let ranges = [0..1, 2..4, 10..20];
    let cases = [
        (0, (true, 0)),
        (1, (false, 1)),
        (2, (true, 1)),
        (3, (true, 2)),
        (4, (false, 3)),
        (9, (false, 3)),
        (10, (true, 3)),
        (19, (true, 12)),
        (20, (false, 13)),
        (u64::MAX, (false, 13)),
    ];
    for (i, expected) in cases {
        assert_eq!(rank(&ranges, i), expected, "{i}");
    }
    assert_eq!(rank(&[], 0), (false, 0));
}

#[test]
fn json_form() {
    assert_eq!(run_lengths(&[0..1, 2..4]), [0, 1, 1, 2]);
    assert_eq!(from_run_lengths(&[0, 1, 1, 2], 9), Ok(vec![0..1, 2..4]));
    assert_eq!(run_lengths(&[]), [0]);
    assert_eq!(from_run_lengths(&[0], 9), Ok(vec![]));
    assert_eq!(from_run_lengths(&[], 9), Ok(vec![]));
    // Empty runs in the middle join their neighbours, a run of zeros at the end says nothing.
    let joined = from_run_lengths(&[1, 2, 0, 3, 5], 9);
    assert_eq!(joined, Ok(vec![Range { start: 1, end: 6 }]));
}
