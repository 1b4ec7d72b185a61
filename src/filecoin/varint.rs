//! Unsigned LEB128 integers as addresses and piece multihashes carry them: little-endian groups of
//! seven bits, in the shortest form (the multiformats `unsigned-varint` rule).

/// The longest encoding of a `u64`: ten groups of seven bits.
pub const MAX_LEN: usize = 10;

/// Appends the shortest encoding of `value`.
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            // What is left are at most seven bits.
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Reads one integer from the head of `bytes`: its value and what follows it.
///
/// `None` if the bytes end early, the value does not fit 64 bits, or a shorter encoding of it
/// exists.
pub fn get(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value: u64 = 0;
    let mut rest = bytes;
    for group in 0..MAX_LEN {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        let bits = u64::from(byte & 0x7f);
        let shift = u32::try_from(group).ok()?.checked_mul(7)?;
        let placed = bits.checked_shl(shift)?;
        if placed >> shift != bits {
            return None;
        }
        value |= placed;
        if byte & 0x80 == 0 {
            // A zero in the last of several groups could have been left away.
            return (byte != 0 || group == 0).then_some((value, rest));
        }
    }
    None
}
