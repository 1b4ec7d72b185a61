//! The one narrow kernel of the commitment tree: many independent SHA-256 digests of 64 bytes.
//!
//! Everything that makes a piece commitment fast or slow happens here, so a faster kernel for
//! some processor replaces this function and nothing else.

use sha2::digest::generic_array::{GenericArray, typenum::U64};

/// Bytes of a tree node.
pub const NODE: usize = 32;

/// Bytes of two nodes side by side: what is hashed into their parent.
pub const PAIR: usize = 64;

/// SHA-256's initial state (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The second block of every digest: the end mark and the message length, 512 bits
/// (FIPS 180-4, 5.1.1).
const PADDING: [u8; PAIR] = {
    let mut block = [0; PAIR];
    block[0] = 0x80;
    block[62] = 0x02;
    block
};

/// Hashes every 64 bytes of `pairs` into the 32 bytes at the same place of `out`: SHA-256 with
/// the top two bits of byte 31 cleared (spec index 2.3).
///
/// `out` must be half as long as `pairs`; where the two do not match, the shorter one decides.
pub fn hash_pairs(pairs: &[u8], out: &mut [u8]) {
    debug_assert_eq!(pairs.len(), out.len().saturating_mul(2));
    let (pairs, _) = pairs.as_chunks::<PAIR>();
    let (nodes, _) = out.as_chunks_mut::<NODE>();
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

/// The parent of two nodes.
pub(crate) fn parent(left: &[u8; NODE], right: &[u8; NODE]) -> [u8; NODE] {
    let mut pair = [0; PAIR];
    let (low, high) = pair.split_at_mut(NODE);
    low.copy_from_slice(left);
    high.copy_from_slice(right);
    let mut node = [0; NODE];
    hash_pairs(&pair, &mut node);
    node
}
