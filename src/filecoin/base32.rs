//! Base32 of RFC 4648 in lower case and without padding, the alphabet of address texts (spec
//! chain-sealer-rpc C.3).

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The text of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(8).div_ceil(5));
    let mut bits: u32 = 0;
    let mut held: u32 = 0;
    for &byte in bytes {
        // Never more than 4 + 8 bits are held.
        bits = (bits << 8) | u32::from(byte);
        held = held.saturating_add(8);
        while held >= 5 {
            held = held.saturating_sub(5);
            text.push(letter(bits >> held));
        }
        bits &= 0x1f;
    }
    if held > 0 {
        text.push(letter(bits << 5_u32.saturating_sub(held)));
    }
    text
}

/// The bytes of `text`; `None` for a foreign character, a length that no bytes have, or unused bits
/// that are not zero. So every byte string has exactly one text.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len().saturating_mul(5) / 8);
    let mut bits: u32 = 0;
    let mut held: u32 = 0;
    for letter in text.bytes() {
        bits = (bits << 5) | value(letter)?;
        held = held.saturating_add(5);
        if held >= 8 {
            held = held.saturating_sub(8);
            let [byte, ..] = (bits >> held).to_le_bytes();
            bytes.push(byte);
        }
        bits &= 0xff;
    }
    let unused = bits & !(u32::MAX << held);
    (held < 5 && unused == 0).then_some(bytes)
}

fn letter(bits: u32) -> char {
    let index = (bits & 0x1f) as usize;
    ALPHABET.get(index).map_or('a', |&b| char::from(b))
}

fn value(letter: u8) -> Option<u32> {
    match letter {
        b'a'..=b'z' => Some(u32::from(letter.saturating_sub(b'a'))),
        b'2'..=b'7' => Some(u32::from(letter.saturating_sub(b'2')).saturating_add(26)),
        _ => None,
    }
}
