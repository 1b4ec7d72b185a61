//! Blocks and their encoding.

use proptest::prelude::*;

use super::super::dag::{
    Codec, Link, Node, directory_len, directory_message, encode_node, file_message, shard_message,
    symlink_message,
};
use super::super::murmur3::hash;
use super::noise;
use super::reader::parse_node;

fn link(name: &str, total: u64) -> Link {
    let digest = noise(total, 32).try_into().unwrap();
    Link {
        name: name.to_owned(),
        node: Node {
            codec: Codec::Raw,
            digest,
            total,
        },
    }
}

#[test]
fn an_empty_directory_is_four_bytes() {
    assert_eq!(encode_node(&[], &directory_message()), [0x0a, 2, 0x08, 1]);
}

#[test]
fn links_come_before_data() {
    let node = encode_node(&[link("a", 300)], &directory_message());
    // 38 for the hash, 3 for the name, 3 for the size.
    assert_eq!(node[..6], [0x12, 44, 0x0a, 36, 1, 0x55]);
    assert_eq!(node[40..46], [0x12, 1, b'a', 0x18, 0xac, 2]);
    assert_eq!(node[46..], [0x0a, 2, 0x08, 1]);
}

#[test]
fn messages() {
    assert_eq!(
        file_message(&[5, 300]),
        [8, 2, 0x18, 0xb1, 2, 0x20, 5, 0x20, 0xac, 2]
    );
    assert_eq!(symlink_message(b"x/y"), [8, 4, 0x12, 3, b'x', b'/', b'y']);
    let mut slots = [0; 32];
    slots[30] = 0x80;
    assert_eq!(
        shard_message(&slots),
        [8, 5, 0x12, 2, 0x80, 0, 0x28, 0x22, 0x30, 0x80, 2]
    );
}

#[test]
fn murmur3_values() {
    // First halves of the published 128-bit values with seed 0.
    let rows: [(&str, u64); 5] = [
        ("", 0),
        ("hello", 0xcbd8_a7b3_41bd_9b02),
        ("hello, world", 0x342f_ac62_3a5e_bc8e),
        ("19 Jan 2038 at 3:14:07 AM", 0xb89e_5988_b737_affc),
        (
            "The quick brown fox jumps over the lazy dog.",
            0xcd99_481f_9ee9_02c9,
        ),
    ];
    for (text, want) in rows {
        assert_eq!(hash(text.as_bytes()), want, "{text}");
    }
}

proptest! {
    #[test]
    fn the_length_of_a_directory_is_known_without_making_it(
        rows in prop::collection::vec(("[a-z]{1,300}", any::<u64>()), 0..40),
    ) {
        let mut links: Vec<Link> = rows.iter().map(|(name, total)| link(name, *total)).collect();
        links.sort_by(|one, other| one.name.cmp(&other.name));
        let block = encode_node(&links, &directory_message());
        prop_assert_eq!(block.len() as u64, directory_len(&links));
        let read = parse_node(&block);
        prop_assert_eq!(read.links.len(), links.len());
        for (read, link) in read.links.iter().zip(&links) {
            prop_assert_eq!(read.0.to_bytes(), link.node.cid_bytes());
            prop_assert_eq!((&read.1, read.2), (&link.name, link.node.total));
        }
    }
}
