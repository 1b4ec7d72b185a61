//! Tests of the chain's values: published and worked vectors, rules at their borders, hostile
//! input. The comparison with other implementations is in `tests/oracle_*.rs`.

mod address;
mod base32;
mod bitfield;
mod cbor;
mod cids;
mod json;
mod keystore;
mod market_actor;
mod message;
mod proposal;
mod signature;
mod token;
mod varint;

/// Bytes of hexadecimal digits; white space is ignored.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| {
            c.to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
                .expect("a hexadecimal digit")
        })
        .collect();
    assert_eq!(digits.len() % 2, 0, "an odd number of digits");
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// The address of this text.
pub fn address(text: &str) -> super::Address {
    text.parse().expect("a valid address")
}
