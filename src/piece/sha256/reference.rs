//! The kernel that others are compared with: the `sha2` crate's compression, two blocks a message.

use super::constants::INITIAL;
use super::{NODE, PAIR};
use sha2::digest::generic_array::{GenericArray, typenum::U64};

/// The second block of every digest: the end mark and the message length, 512 bits (FIPS 180-4, 5.1.1).
const PADDING: [u8; PAIR] = {
    let mut block = [0; PAIR];
    block[0] = 0x80;
    block[62] = 0x02;
    block
};

/// Hashes one pair after the other.
pub(super) fn hash(pairs: &[[u8; PAIR]], nodes: &mut [[u8; NODE]]) {
    let mut blocks: [GenericArray<u8, U64>; 2] =
        [GenericArray::from([0; PAIR]), GenericArray::from(PADDING)];
    for (pair, node) in pairs.iter().zip(nodes) {
        blocks[0].copy_from_slice(pair);
        let mut state = INITIAL;
        sha2::compress256(&mut state, &blocks);
        let (words, _) = node.as_chunks_mut::<4>();
        for (word, number) in words.iter_mut().zip(state) {
            *word = number.to_be_bytes();
        }
        node[NODE - 1] &= 0x3f;
    }
}
