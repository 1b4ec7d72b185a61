//! Base32 in lower case and without padding.

use crate::filecoin::base32::{decode, encode};

/// RFC 4648, section 10, in lower case and without padding.
const VECTORS: [(&str, &str); 7] = [
    ("", ""),
    ("f", "my"),
    ("fo", "mzxq"),
    ("foo", "mzxw6"),
    ("foob", "mzxw6yq"),
    ("fooba", "mzxw6ytb"),
    ("foobar", "mzxw6ytboi"),
];

#[test]
fn vectors_both_ways() {
    for (bytes, text) in VECTORS {
        assert_eq!(encode(bytes.as_bytes()), text);
        assert_eq!(decode(text), Some(bytes.as_bytes().to_vec()));
    }
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(decode(&encode(&all)), Some(all));
    assert_eq!(encode(&[0xff; 5]), "77777777");
}

#[test]
fn one_text_per_byte_string() {
    let refused = [
        "a",   // five bits are no byte
        "mzx", // nor are fifteen one and a half
        "mzxw6y", "mz", // unused bits
        "mzxr", "mzxw7", "MY", "my======", "m1", "m8", "m0", "m y", "m\u{e9}",
    ];
    for text in refused {
        assert_eq!(decode(text), None, "{text}");
    }
}
