//! RLE+ against `fvm_ipld_bitfield`, the implementation that the chain's actors use.

use coracle::filecoin::bitfield::{
    decode, encode, encode_ranges, from_run_lengths, rank, run_lengths,
};
use fvm_ipld_bitfield::BitField;
use fvm_ipld_bitfield::json::BitFieldJson;
use proptest::prelude::*;
use std::ops::Range;

/// More ranges than any case here has.
const MANY: usize = 10_000;

/// Ascending ranges with gaps; short and long runs alike.
fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
    let run = prop_oneof![Just(1), 2_u64..20, 1_u64..300, 1_u64..1 << 40];
    (
        any::<bool>(),
        prop::collection::vec((run.clone(), run), 0..40),
    )
        .prop_map(|(gap, runs)| {
            let mut at = 0;
            let mut ranges = Vec::new();
            for (n, (zeros, ones)) in runs.into_iter().enumerate() {
                let start = if n == 0 && !gap { 0 } else { at + zeros };
                at = start + ones;
                ranges.push(start..at);
            }
            ranges
        })
}

proptest! {
    #[test]
    fn same_bytes_both_ways(ranges in ranges()) {
        let ours = encode_ranges(&ranges);
        let theirs = BitField::from_bytes(&ours).expect("our bytes");
        prop_assert_eq!(theirs.ranges().collect::<Vec<_>>(), ranges.clone());
        prop_assert_eq!(theirs.to_bytes(), ours.clone());
        prop_assert_eq!(decode(&ours, MANY), Ok(ranges.clone()));
        let json = serde_json::to_value(BitFieldJson(theirs)).expect("JSON");
        prop_assert_eq!(json, serde_json::json!(run_lengths(&ranges)));
        prop_assert_eq!(from_run_lengths(&run_lengths(&ranges), MANY), Ok(ranges));
    }

    #[test]
    fn same_set_from_positions(set in prop::collection::btree_set(0_u64..2000, 0..200)) {
        let positions: Vec<u64> = set.iter().copied().collect();
        let theirs = BitField::try_from_bits(positions.iter().copied()).expect("below u64::MAX");
        prop_assert_eq!(encode(&positions), theirs.to_bytes());
        let ranges = decode(&theirs.to_bytes(), MANY).expect("their bytes");
        for i in 0..2001 {
            let below = set.range(..i).count() as u64;
            prop_assert_eq!(rank(&ranges, i), (set.contains(&i), below));
        }
    }

    /// What they read, we read alike. They also insist on the shortest form of every run, which
    /// readers of the chain's returns need not.
    #[test]
    fn what_they_read_we_read(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        let ours = decode(&bytes, MANY);
        if let Ok(theirs) = BitField::from_bytes(&bytes) {
            prop_assert_eq!(ours, Ok(theirs.ranges().collect::<Vec<_>>()));
        } else if let Ok(ranges) = ours {
            prop_assert_ne!(encode_ranges(&ranges), bytes);
        }
    }
}
