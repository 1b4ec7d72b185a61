//! Fr32: spreads 254-bit groups over 32-byte words, so that each word is a field element.
//!
//! 127 bytes, read as one little-endian number, are cut into four groups of 254 bits; each group
//! becomes 32 bytes whose top two bits are zero (spec index 2.2).

/// Bytes that go into one expansion.
pub const QUAD: usize = 127;

/// Bytes that come out of one expansion.
pub const EXPANDED: usize = 128;

/// Keeps the low 254 bits of a word's last 64.
const TOP: u64 = u64::MAX >> 2;

/// Expands 127 bytes of payload into four 32-byte words (spec index 2.2).
///
/// Both sides are handled as sixteen 64-bit numbers. Group `g` starts `254 * g` bits into the
/// input and `256 * g` bits into the output, so every number of the group is the input's number
/// at the same place moved up by `2 * g` bits.
pub fn expand(quad: &[u8; QUAD], out: &mut [u8; EXPANDED]) {
    out[..QUAD].copy_from_slice(quad);
    out[QUAD] = 0;
    let (numbers, _) = out.as_chunks_mut::<8>();
    let (groups, _) = numbers.as_chunks_mut::<4>();
    let mut before = 0;
    let mut shift = 0_u32;
    for group in groups {
        let mut word = [0; 4];
        for (number, bytes) in word.iter_mut().zip(group.iter()) {
            let here = u64::from_le_bytes(*bytes);
            // Twice, because a shift by 64 is not defined and the first group needs none.
            let carried = (before >> 1) >> (63 ^ shift);
            *number = (here << shift) | carried;
            before = here;
        }
        word[3] &= TOP;
        for (bytes, number) in group.iter_mut().zip(word) {
            *bytes = number.to_le_bytes();
        }
        shift = shift.wrapping_add(2);
    }
}
