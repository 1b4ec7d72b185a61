//! The kernel for every processor: sixteen messages side by side, written so that the compiler turns the loops over them
//! into vector instructions, whatever width the target has.
//!
//! Each loop runs over the messages and has a straight body of eight rounds. That is the form that loop vectorisers
//! know best: small arrays as vector types came out three times as slow.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // constant bounds over arrays of known length
#![allow(clippy::many_single_char_names)] // the names of FIPS 180-4

use super::constants::{INITIAL, PADDING, ROUNDS};
use super::{NODE, PAIR};

/// Messages that are hashed side by side. With 16 the set-up of a loop is small beside its work, also with registers of
/// eight numbers; 32 were no faster.
pub(super) const LANES: usize = 16;

/// One number of each message.
type Row<const L: usize> = [u32; L];

/// Hashes as many pairs of nodes as there are lanes.
#[inline(always)]
#[allow(clippy::inline_always)] // compiled again for each set of vector instructions
pub(super) fn hash<const L: usize>(pairs: &[[u8; PAIR]; L], nodes: &mut [[u8; NODE]; L]) {
    let mut words = [[0; L]; 16];
    for (lane, pair) in pairs.iter().enumerate() {
        for (row, bytes) in words.iter_mut().zip(pair.as_chunks::<4>().0) {
            row[lane] = u32::from_be_bytes(*bytes);
        }
    }
    let mut state = INITIAL.map(|number| [number; L]);
    for (quarter, constants) in ROUNDS.as_chunks::<16>().0.iter().enumerate() {
        for (words, constants) in words
            .as_chunks::<8>()
            .0
            .iter()
            .zip(constants.as_chunks::<8>().0)
        {
            rounds(&mut state, |round, lane| {
                words[round][lane].wrapping_add(constants[round])
            });
        }
        if quarter < 3 {
            for t in 0..16 {
                schedule(&mut words, t);
            }
        }
    }
    let middle = INITIAL.map(|number| [number; L]);
    add(&mut state, &middle);
    let middle = state;
    for constants in PADDING.as_chunks::<8>().0 {
        rounds(&mut state, |round, _| constants[round]);
    }
    add(&mut state, &middle);
    for (lane, node) in nodes.iter_mut().enumerate() {
        for (bytes, row) in node.as_chunks_mut::<4>().0.iter_mut().zip(&state) {
            *bytes = row[lane].to_be_bytes();
        }
        node[NODE - 1] &= 0x3f;
    }
}

/// Eight rounds of every message; `word` gives round constant plus schedule word.
#[inline(always)]
#[allow(clippy::inline_always)]
fn rounds<const L: usize>(state: &mut [Row<L>; 8], word: impl Fn(usize, usize) -> u32) {
    let [a, b, c, d, e, f, g, h] = state;
    for lane in 0..L {
        let mut s = [
            a[lane], b[lane], c[lane], d[lane], e[lane], f[lane], g[lane], h[lane],
        ];
        s = round(s, word(0, lane));
        s = round(s, word(1, lane));
        s = round(s, word(2, lane));
        s = round(s, word(3, lane));
        s = round(s, word(4, lane));
        s = round(s, word(5, lane));
        s = round(s, word(6, lane));
        s = round(s, word(7, lane));
        [
            a[lane], b[lane], c[lane], d[lane], e[lane], f[lane], g[lane], h[lane],
        ] = s;
    }
}

/// One round (FIPS 180-4, 6.2.2).
#[inline(always)]
#[allow(clippy::inline_always, clippy::many_single_char_names)] // the standard's names
fn round([a, b, c, d, e, f, g, h]: [u32; 8], word: u32) -> [u32; 8] {
    let high = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choice = g ^ (e & (f ^ g));
    let first = h.wrapping_add(high).wrapping_add(choice).wrapping_add(word);
    let low = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let majority = (a & b) | (c & (a | b));
    let new = first.wrapping_add(low).wrapping_add(majority);
    [new, a, b, c, d.wrapping_add(first), e, f, g]
}

/// Puts the schedule word of sixteen rounds later in the place of a word.
#[inline(always)]
#[allow(clippy::inline_always)]
fn schedule<const L: usize>(words: &mut [Row<L>; 16], t: usize) {
    let (near, far, between) = (
        words[(t + 1) % 16],
        words[(t + 14) % 16],
        words[(t + 9) % 16],
    );
    let into = &mut words[t];
    for lane in 0..L {
        let (x, y) = (near[lane], far[lane]);
        let low = x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3);
        let high = y.rotate_right(17) ^ y.rotate_right(19) ^ (y >> 10);
        into[lane] = into[lane]
            .wrapping_add(low)
            .wrapping_add(between[lane])
            .wrapping_add(high);
    }
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn add<const L: usize>(state: &mut [Row<L>; 8], other: &[Row<L>; 8]) {
    for (row, other) in state.iter_mut().zip(other) {
        for (number, other) in row.iter_mut().zip(other) {
            *number = number.wrapping_add(*other);
        }
    }
}
