//! AArch64: the SHA-2 instructions with several messages interleaved.
//!
//! An instruction does four rounds of one message and its result is there after four to six cycles: with one message most
//! of the time is waiting.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // constant bounds over arrays of known length
#![allow(clippy::many_single_char_names)] // the names of FIPS 180-4

use super::constants::{INITIAL, PADDING, ROUNDS};
use super::{NODE, PAIR};
use std::arch::aarch64::{
    uint32x4_t, vaddq_u32, vdupq_n_u32, vld1q_u8, vld1q_u32, vreinterpretq_u8_u32,
    vreinterpretq_u32_u8, vrev32q_u8, vsha256h2q_u32, vsha256hq_u32, vsha256su0q_u32,
    vsha256su1q_u32, vst1q_u8,
};
use std::arch::is_aarch64_feature_detected;

/// Messages that are interleaved: the state and the words of four fill 24 of the 32 registers.
pub(super) const LANES: usize = 4;

/// Whether the processor has what [`hash`] needs.
pub(super) fn has_sha2() -> bool {
    is_aarch64_feature_detected!("sha2")
}

/// Hashes `N` pairs of nodes.
#[target_feature(enable = "neon,sha2")]
pub(super) fn hash<const N: usize>(pairs: &[[u8; PAIR]; N], nodes: &mut [[u8; NODE]; N]) {
    let (halves, _) = INITIAL.as_chunks::<4>();
    let first = (numbers(&halves[0]), numbers(&halves[1]));
    let (mut abcd, mut efgh) = ([first.0; N], [first.1; N]);
    let zero = [vdupq_n_u32(0); N];
    let (mut w0, mut w1, mut w2, mut w3) = (zero, zero, zero, zero);
    for lane in 0..N {
        let (quarters, _) = pairs[lane].as_chunks::<16>();
        w0[lane] = load(&quarters[0]);
        w1[lane] = load(&quarters[1]);
        w2[lane] = load(&quarters[2]);
        w3[lane] = load(&quarters[3]);
    }
    let (constants, _) = ROUNDS.as_chunks::<4>();
    // Four rounds with the words in $w.
    macro_rules! rounds {
        ($w:ident, $t:expr) => {
            let constant = numbers(&constants[$t]);
            for lane in 0..N {
                let words = vaddq_u32($w[lane], constant);
                let before = abcd[lane];
                abcd[lane] = vsha256hq_u32(before, efgh[lane], words);
                efgh[lane] = vsha256h2q_u32(efgh[lane], before, words);
            }
        };
    }
    // The words of sixteen rounds later take the place of $a.
    macro_rules! schedule {
        ($a:ident, $b:ident, $c:ident, $d:ident) => {
            for lane in 0..N {
                let low = vsha256su0q_u32($a[lane], $b[lane]);
                $a[lane] = vsha256su1q_u32(low, $c[lane], $d[lane]);
            }
        };
    }
    for t in [0, 4, 8] {
        rounds!(w0, t);
        schedule!(w0, w1, w2, w3);
        rounds!(w1, t + 1);
        schedule!(w1, w2, w3, w0);
        rounds!(w2, t + 2);
        schedule!(w2, w3, w0, w1);
        rounds!(w3, t + 3);
        schedule!(w3, w0, w1, w2);
    }
    rounds!(w0, 12);
    rounds!(w1, 13);
    rounds!(w2, 14);
    rounds!(w3, 15);
    for lane in 0..N {
        abcd[lane] = vaddq_u32(abcd[lane], first.0);
        efgh[lane] = vaddq_u32(efgh[lane], first.1);
    }
    let middle = (abcd, efgh);
    for constants in PADDING.as_chunks::<4>().0 {
        let words = numbers(constants);
        for lane in 0..N {
            let before = abcd[lane];
            abcd[lane] = vsha256hq_u32(before, efgh[lane], words);
            efgh[lane] = vsha256h2q_u32(efgh[lane], before, words);
        }
    }
    for lane in 0..N {
        let (halves, _) = nodes[lane].as_chunks_mut::<16>();
        store(&mut halves[0], vaddq_u32(abcd[lane], middle.0[lane]));
        store(&mut halves[1], vaddq_u32(efgh[lane], middle.1[lane]));
        nodes[lane][NODE - 1] &= 0x3f;
    }
}

#[target_feature(enable = "neon")]
fn numbers(table: &[u32; 4]) -> uint32x4_t {
    // SAFETY: the reference covers the four numbers that are read, and it is aligned as they are.
    unsafe { vld1q_u32(table.as_ptr()) }
}

/// Sixteen bytes as four numbers, the first byte the highest.
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; 16]) -> uint32x4_t {
    // SAFETY: the reference covers the 16 bytes that are read; bytes need no alignment.
    let bytes = unsafe { vld1q_u8(bytes.as_ptr()) };
    vreinterpretq_u32_u8(vrev32q_u8(bytes))
}

#[target_feature(enable = "neon")]
fn store(bytes: &mut [u8; 16], value: uint32x4_t) {
    let value = vrev32q_u8(vreinterpretq_u8_u32(value));
    // SAFETY: the reference covers the 16 bytes that are written; bytes need no alignment.
    unsafe { vst1q_u8(bytes.as_mut_ptr(), value) }
}
