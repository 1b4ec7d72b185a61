//! Unsigned LEB128 in its shortest form.

use super::hex;
use crate::filecoin::varint::{get, put};

#[test]
fn both_ways() {
    let cases = [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (u64::from(u32::MAX), "ffffffff0f"),
        (i64::MAX as u64, "ffffffffffffffff7f"),
        (u64::MAX, "ffffffffffffffffff01"),
    ];
    for (value, bytes) in cases {
        let mut out = Vec::new();
        put(&mut out, value);
        assert_eq!(out, hex(bytes), "{value}");
        let empty: &[u8] = &[];
        assert_eq!(get(&out), Some((value, empty)));
        out.extend([0xff, 0]);
        assert_eq!(
            get(&out),
            Some((value, &[0xff, 0][..])),
            "what follows is left"
        );
        for cut in 0..out.len() - 2 {
            assert_eq!(get(&out[..cut]), None, "{value} cut at {cut}");
        }
    }
}

#[test]
fn refused() {
    let refused = [
        "",
        "80",
        "8000",
        "ff00",
        "808000",
        "ffffffffffffffffff02", // 65 bits
        "ffffffffffffffffff7f",
        "ffffffffffffffffffff01", // eleven groups
        "80808080808080808000",   // nothing in the tenth
    ];
    for bytes in refused {
        assert_eq!(get(&hex(bytes)), None, "{bytes}");
    }
}
