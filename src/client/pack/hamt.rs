//! A directory that is too large for one block, as a HAMT of fanout 256 (UnixFS specification).
//!
//! Each byte of a name's hash picks a slot of one level. A slot holds the entry itself, or a
//! further shard where several entries share it. Link names are the slot as two hexadecimal
//! digits, followed by the entry's name where the link is an entry.

use std::io;

use super::dag::{Codec, Link, Node, encode_node, shard_message};
use super::file::total;
use super::murmur3::hash;
use super::sink::Sink;

/// Levels that a hash of eight bytes can tell apart.
const LEVELS: usize = 8;

/// What went wrong while a directory was sharded.
#[derive(Debug)]
pub(super) enum ShardError {
    /// Two names have the same hash.
    Collision,
    /// The CAR could not be written.
    Write(io::Error),
}

/// Writes the shards of these entries and returns the topmost one.
pub(super) fn pack_shards(links: Vec<Link>, sink: &mut Sink) -> Result<Node, ShardError> {
    let mut entries: Vec<([u8; LEVELS], Link)> = links
        .into_iter()
        .map(|link| (hash(link.name.as_bytes()).to_be_bytes(), link))
        .collect();
    // In the order of their hashes, the entries of every slot are neighbours.
    entries.sort_unstable_by_key(|entry| entry.0);
    pack_shard(&mut entries, 0, sink)
}

fn pack_shard(
    entries: &mut [([u8; LEVELS], Link)],
    level: usize,
    sink: &mut Sink,
) -> Result<Node, ShardError> {
    if level >= LEVELS {
        return Err(ShardError::Collision);
    }
    let slot_of = |hash: &[u8; LEVELS]| hash.get(level).copied().unwrap_or_default();
    let mut taken = [0; 32];
    let mut links = Vec::new();
    for slot in entries.chunk_by_mut(|one, other| slot_of(&one.0) == slot_of(&other.0)) {
        let number = slot.first().map_or(0, |(hash, _)| slot_of(hash));
        mark(&mut taken, number);
        if let [(_, link)] = slot {
            let name = format!("{number:02X}{}", link.name);
            links.push(Link {
                name,
                node: link.node,
            });
        } else {
            let node = pack_shard(slot, level.saturating_add(1), sink)?;
            links.push(Link {
                name: format!("{number:02X}"),
                node,
            });
        }
    }
    let block = encode_node(&links, &shard_message(&taken));
    sink.put(Codec::DagPb, &block, total(&links))
        .map_err(ShardError::Write)
}

/// Sets the bit of a slot in a big-endian number.
fn mark(taken: &mut [u8; 32], slot: u8) {
    if let Some(byte) = taken.iter_mut().rev().nth(usize::from(slot / 8)) {
        *byte |= 1_u8.wrapping_shl(u32::from(slot % 8));
    }
}
