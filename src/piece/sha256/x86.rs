//! x86-64: the SHA extensions with several messages interleaved, and the portable kernel compiled for AVX2.
//!
//! An instruction does two rounds of one message and takes four cycles, of which the processor can start another one every
//! two: with one message half of the time is waiting.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // constant bounds over arrays of known length
#![allow(clippy::many_single_char_names)] // the names of FIPS 180-4
#![allow(clippy::cast_possible_wrap)] // the intrinsics' numbers are signed, the bits are what counts

use super::constants::{INITIAL, PADDING, ROUNDS};
use super::portable;
use super::{NODE, PAIR};
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_and_si128, _mm_blend_epi16, _mm_loadu_si128,
    _mm_set_epi32, _mm_set_epi64x, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32,
    _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_storeu_si128,
};

/// Messages that are interleaved: 4 fill the waiting time (1.6 times the rate of one); 6 were no faster, 8 slower.
pub(super) const LANES: usize = 4;

/// Whether the processor has what [`hash`] needs.
pub(super) fn has_sha() -> bool {
    is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
}

/// Whether the processor has what [`hash_avx2`] needs.
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
}

/// The portable kernel with registers of eight numbers.
#[target_feature(enable = "avx2")]
pub(super) fn hash_avx2(
    pairs: &[[u8; PAIR]; portable::LANES],
    nodes: &mut [[u8; NODE]; portable::LANES],
) {
    portable::hash(pairs, nodes);
}

/// Hashes `N` pairs of nodes.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(super) fn hash<const N: usize>(pairs: &[[u8; PAIR]; N], nodes: &mut [[u8; NODE]; N]) {
    // The instructions want the state as ABEF and CDGH, and words in the processor's order.
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let [a, b, c, d, e, f, g, h] = INITIAL.map(|number| number as i32);
    let first = (_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h));
    let (mut abef, mut cdgh) = ([first.0; N], [first.1; N]);
    let zero = [_mm_setzero_si128(); N];
    let (mut w0, mut w1, mut w2, mut w3) = (zero, zero, zero, zero);
    for lane in 0..N {
        let (quarters, _) = pairs[lane].as_chunks::<16>();
        w0[lane] = _mm_shuffle_epi8(load(&quarters[0]), swap);
        w1[lane] = _mm_shuffle_epi8(load(&quarters[1]), swap);
        w2[lane] = _mm_shuffle_epi8(load(&quarters[2]), swap);
        w3[lane] = _mm_shuffle_epi8(load(&quarters[3]), swap);
    }
    // Four rounds with the words in $w.
    macro_rules! rounds {
        ($w:ident, $t:expr) => {
            let constants = four(&ROUNDS, $t);
            for lane in 0..N {
                let low = _mm_add_epi32($w[lane], constants);
                cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], low);
                let high = _mm_shuffle_epi32(low, 0x0e);
                abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], high);
            }
        };
    }
    // The words of sixteen rounds later take the place of $a.
    macro_rules! schedule {
        ($a:ident, $b:ident, $c:ident, $d:ident) => {
            for lane in 0..N {
                let low = _mm_sha256msg1_epu32($a[lane], $b[lane]);
                let between = _mm_alignr_epi8($d[lane], $c[lane], 4);
                $a[lane] = _mm_sha256msg2_epu32(_mm_add_epi32(low, between), $d[lane]);
            }
        };
    }
    for t in [0, 16, 32] {
        rounds!(w0, t);
        schedule!(w0, w1, w2, w3);
        rounds!(w1, t + 4);
        schedule!(w1, w2, w3, w0);
        rounds!(w2, t + 8);
        schedule!(w2, w3, w0, w1);
        rounds!(w3, t + 12);
        schedule!(w3, w0, w1, w2);
    }
    rounds!(w0, 48);
    rounds!(w1, 52);
    rounds!(w2, 56);
    rounds!(w3, 60);
    for lane in 0..N {
        abef[lane] = _mm_add_epi32(abef[lane], first.0);
        cdgh[lane] = _mm_add_epi32(cdgh[lane], first.1);
    }
    let middle = (abef, cdgh);
    padding(&mut abef, &mut cdgh);
    let top = _mm_set_epi64x(0x3fff_ffff_ffff_ffff, -1);
    for lane in 0..N {
        let abef = _mm_shuffle_epi32(_mm_add_epi32(abef[lane], middle.0[lane]), 0x1b);
        let cdgh = _mm_shuffle_epi32(_mm_add_epi32(cdgh[lane], middle.1[lane]), 0xb1);
        let low = _mm_shuffle_epi8(_mm_blend_epi16(abef, cdgh, 0xf0), swap);
        let high = _mm_shuffle_epi8(_mm_alignr_epi8(cdgh, abef, 8), swap);
        let (halves, _) = nodes[lane].as_chunks_mut::<16>();
        store(&mut halves[0], low);
        store(&mut halves[1], _mm_and_si128(high, top));
    }
}

/// The rounds of the second block.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[inline]
fn padding<const N: usize>(abef: &mut [__m128i; N], cdgh: &mut [__m128i; N]) {
    for t in (0..64).step_by(4) {
        let low = four(&PADDING, t);
        let high = _mm_shuffle_epi32(low, 0x0e);
        for lane in 0..N {
            cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], low);
        }
        for lane in 0..N {
            abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], high);
        }
    }
}

/// Four numbers of a table, the first in the lowest place.
#[target_feature(enable = "sse2")]
fn four(table: &[u32; 64], t: usize) -> __m128i {
    let [a, b, c, d] = [t, t + 1, t + 2, t + 3].map(|t| table[t] as i32);
    _mm_set_epi32(d, c, b, a)
}

#[target_feature(enable = "sse2")]
fn load(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the reference covers the 16 bytes that are read, and the instruction needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "sse2")]
fn store(bytes: &mut [u8; 16], value: __m128i) {
    // SAFETY: the reference covers the 16 bytes that are written, and the instruction needs no alignment.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), value) }
}
