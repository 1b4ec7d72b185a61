//! The blocks of a UnixFS tree: dag-pb nodes around UnixFS messages, both protocol buffers,
//! written by hand.
//!
//! A dag-pb node is a list of links (field 2: hash 1, name 2, total size 3) followed by its data
//! (field 1); the links come first although their number is higher (dag-pb specification).

use crate::piece::car::write_varint;

/// What a block is, and so the codec of its CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// Bytes of a file.
    Raw,
    /// Everything else.
    DagPb,
}

impl Codec {
    /// Its multicodec, which is below 128 and so its own varint.
    pub(super) fn code(self) -> u8 {
        match self {
            Codec::Raw => 0x55,
            Codec::DagPb => 0x70,
        }
    }
}

/// A block that has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub codec: Codec,
    /// SHA-256 of the block.
    pub digest: [u8; 32],
    /// Bytes of the block and of all below it, each as often as it is linked to.
    pub total: u64,
}

/// Bytes of the CID of a node: version, codec, sha2-256, 32.
pub(super) const CID_LEN: usize = 36;

impl Node {
    /// The binary CID.
    pub(super) fn cid_bytes(&self) -> [u8; CID_LEN] {
        let mut bytes = [0; CID_LEN];
        let (head, digest) = bytes.split_at_mut(4);
        head.copy_from_slice(&[1, self.codec.code(), 0x12, 0x20]);
        digest.copy_from_slice(&self.digest);
        bytes
    }
}

/// A node under a name; file nodes and their parts have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub name: String,
    pub node: Node,
}

/// A dag-pb node of these links and this UnixFS message.
pub(super) fn encode_node(links: &[Link], message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Vec::new();
    for Link { name, node } in links {
        body.clear();
        put_bytes(1, &node.cid_bytes(), &mut body);
        put_bytes(2, name.as_bytes(), &mut body);
        put_number(3, node.total, &mut body);
        put_bytes(2, &body, &mut out);
    }
    put_bytes(1, message, &mut out);
    out
}

/// The length of [`encode_node`] for a plain directory, without making it.
pub(super) fn directory_len(links: &[Link]) -> u64 {
    let field = |len: u64| 1_u64.saturating_add(varint_len(len)).saturating_add(len);
    let links = links.iter().fold(0_u64, |sum, link| {
        let body = field(CID_LEN as u64)
            .saturating_add(field(link.name.len() as u64))
            .saturating_add(1)
            .saturating_add(varint_len(link.node.total));
        sum.saturating_add(field(body))
    });
    links.saturating_add(field(directory_message().len() as u64))
}

/// The UnixFS message of a file's inner node: the bytes below it, and below each of its links.
pub(super) fn file_message(sizes: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(1, 2, &mut out);
    put_number(
        3,
        sizes.iter().fold(0, |sum, size| sum.saturating_add(*size)),
        &mut out,
    );
    for size in sizes {
        put_number(4, *size, &mut out);
    }
    out
}

/// The UnixFS message of a plain directory.
pub(super) fn directory_message() -> Vec<u8> {
    let mut out = Vec::new();
    put_number(1, 1, &mut out);
    out
}

/// The UnixFS message of a symbolic link.
pub(super) fn symlink_message(target: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(1, 4, &mut out);
    put_bytes(2, target, &mut out);
    out
}

/// The UnixFS message of a shard of a directory. `slots` is a big-endian number with a bit for
/// each slot that is taken.
pub(super) fn shard_message(slots: &[u8; 32]) -> Vec<u8> {
    let first = slots
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(slots.len());
    let mut out = Vec::new();
    put_number(1, 5, &mut out);
    put_bytes(2, slots.get(first..).unwrap_or_default(), &mut out);
    // Hash function murmur3-x64-64, fanout 256.
    put_number(5, 0x22, &mut out);
    put_number(6, 256, &mut out);
    out
}

/// Appends a field of bytes.
fn put_bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(field.wrapping_shl(3) | 2);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends a field of one number.
fn put_number(field: u8, value: u64, out: &mut Vec<u8>) {
    out.push(field.wrapping_shl(3));
    write_varint(value, out);
}

/// Bytes of a varint.
fn varint_len(value: u64) -> u64 {
    let bits = u64::BITS.saturating_sub(value.leading_zeros()).max(1);
    u64::from(bits.div_ceil(7))
}
