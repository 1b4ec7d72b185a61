//! CARs that the tests walk.

use cid::Cid;
use cid::multihash::Multihash;
use sha2::{Digest, Sha256};

use super::super::car::{write_header, write_section_head};
use super::unhex;

/// The two-block CAR of spec index 1.4.
pub const HELLO_WORLD: &str = "3aa265726f6f747381d82a582500015512202cf24dba5fb0a30e26e83b2ac5b9e29e
    1b161e5c1fa7425e73043362938b98246776657273696f6e0129015512202cf24dba5fb0a30e26e83b2ac5b9e29e
    1b161e5c1fa7425e73043362938b982468656c6c6f2901551220486ea46224d1bb4fb680f34f7c9ad96a8f24ec88
    be73ea8e5a6c65260e9cb8a7776f726c64";

pub fn raw(data: &[u8]) -> Cid {
    let digest: [u8; 32] = Sha256::digest(data).into();
    Cid::new_v1(0x55, Multihash::wrap(0x12, &digest).unwrap())
}

pub fn section(cid: &Cid, data: &[u8]) -> Vec<u8> {
    [write_section_head(cid, data.len() as u64), data.to_vec()].concat()
}

/// A CARv1 of these blocks, the first one being the root.
pub fn car(blocks: &[&[u8]]) -> Vec<u8> {
    let root = raw(blocks.first().copied().unwrap_or_default());
    let mut out = write_header(&[root]);
    for data in blocks {
        out.extend(section(&raw(data), data));
    }
    out
}

/// Version 2 around a CARv1, with padding and something in place of an index.
pub fn wrap(inner: &[u8], before: usize, after: usize, index: &[u8]) -> Vec<u8> {
    let mut out = unhex("0aa16776657273696f6e02");
    let offset = 51 + before as u64;
    let index_offset = offset + inner.len() as u64 + after as u64;
    out.extend([0; 16]);
    out.extend(offset.to_le_bytes());
    out.extend((inner.len() as u64).to_le_bytes());
    out.extend(if index.is_empty() { 0 } else { index_offset }.to_le_bytes());
    out.extend(vec![0xaa; before]);
    out.extend(inner);
    out.extend(vec![0xbb; after]);
    out.extend(index);
    out
}

/// Hexadecimal text of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
