//! murmur3-x64-64: the first half of the 128-bit variant for 64-bit machines, with seed 0. It
//! decides where a name is in a sharded directory.

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// The first 64 bits of the hash of `data`. Their big-endian bytes are the path in the shards.
pub(super) fn hash(data: &[u8]) -> u64 {
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let (blocks, tail) = data.as_chunks::<16>();
    for block in blocks {
        let (low, high) = halves(block);
        h1 ^= scramble_low(low);
        h1 = h1
            .rotate_left(27)
            .wrapping_add(h2)
            .wrapping_mul(5)
            .wrapping_add(0x52dc_e729);
        h2 ^= scramble_high(high);
        h2 = h2
            .rotate_left(31)
            .wrapping_add(h1)
            .wrapping_mul(5)
            .wrapping_add(0x3849_5ab5);
    }
    let mut last = [0; 16];
    for (slot, byte) in last.iter_mut().zip(tail) {
        *slot = *byte;
    }
    let (low, high) = halves(&last);
    // Scrambling zero gives zero, so a short tail changes only what it reaches.
    h2 ^= scramble_high(high);
    h1 ^= scramble_low(low);
    h1 ^= data.len() as u64;
    h2 ^= data.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finalize(h1);
    h2 = finalize(h2);
    h1.wrapping_add(h2)
}

fn halves(block: &[u8; 16]) -> (u64, u64) {
    let number = u128::from_le_bytes(*block);
    // Cutting off the other half is the point.
    #[allow(clippy::cast_possible_truncation)]
    let halves = (number as u64, (number >> 64) as u64);
    halves
}

fn scramble_low(k: u64) -> u64 {
    k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn scramble_high(k: u64) -> u64 {
    k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finalize(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}
