//! A small reader of CARs and UnixFS trees, for the tests only.

use std::collections::{BTreeMap, HashMap};

use cid::Cid;
use sha2::{Digest, Sha256};

/// All blocks of a CAR, each of them verified.
pub struct Car {
    pub roots: Vec<Cid>,
    pub count: u64,
    blocks: HashMap<Cid, Vec<u8>>,
}

/// What is in a UnixFS tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    File(Vec<u8>),
    Directory(BTreeMap<String, Entry>),
    Symlink(String),
}

/// A dag-pb node, taken apart.
pub struct Node {
    pub links: Vec<(Cid, String, u64)>,
    pub kind: u64,
    pub data: Option<Vec<u8>>,
    pub file_size: Option<u64>,
    pub block_sizes: Vec<u64>,
    pub hash_and_fanout: Option<(u64, u64)>,
}

/// One field of a protocol buffer: number, then a number or bytes.
enum Field<'a> {
    Number(u64, u64),
    Bytes(u64, &'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("whole varint");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn fields(mut bytes: &[u8]) -> Vec<Field<'_>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        match key & 7 {
            0 => out.push(Field::Number(key >> 3, varint(&mut bytes))),
            2 => {
                let len = usize::try_from(varint(&mut bytes)).unwrap();
                let (field, rest) = bytes.split_at(len);
                out.push(Field::Bytes(key >> 3, field));
                bytes = rest;
            }
            other => panic!("wire type {other}"),
        }
    }
    out
}

fn parse_link(bytes: &[u8]) -> (Cid, String, u64) {
    match fields(bytes).as_slice() {
        [
            Field::Bytes(1, hash),
            Field::Bytes(2, name),
            Field::Number(3, size),
        ] => (
            Cid::try_from(*hash).unwrap(),
            String::from_utf8(name.to_vec()).unwrap(),
            *size,
        ),
        _ => panic!("a link has hash, name and size in this order"),
    }
}

pub fn parse_node(bytes: &[u8]) -> Node {
    let mut node = Node {
        links: Vec::new(),
        kind: u64::MAX,
        data: None,
        file_size: None,
        block_sizes: Vec::new(),
        hash_and_fanout: None,
    };
    let mut fields_seen = Vec::new();
    for field in fields(bytes) {
        match field {
            Field::Bytes(2, link) => {
                assert_eq!(node.kind, u64::MAX, "links come before data");
                node.links.push(parse_link(link));
            }
            Field::Bytes(1, message) => {
                for field in fields(message) {
                    match field {
                        Field::Number(1, kind) => node.kind = kind,
                        Field::Bytes(2, data) => node.data = Some(data.to_vec()),
                        Field::Number(3, size) => node.file_size = Some(size),
                        Field::Number(4, size) => node.block_sizes.push(size),
                        Field::Number(5, hash) => node.hash_and_fanout = Some((hash, 0)),
                        Field::Number(6, fanout) => {
                            node.hash_and_fanout.as_mut().expect("hash first").1 = fanout;
                        }
                        _ => panic!("unknown field"),
                    }
                }
                fields_seen.push(1);
            }
            _ => panic!("unknown field"),
        }
    }
    assert_eq!(fields_seen, [1], "data exactly once");
    node
}

impl Car {
    pub fn read(mut bytes: &[u8]) -> Self {
        let header_len = usize::try_from(varint(&mut bytes)).unwrap();
        let (header, rest) = bytes.split_at(header_len);
        bytes = rest;
        // The one form that a packer writes: roots of 36 bytes, then version 1.
        let mut roots = Vec::new();
        for link in header
            .windows(5)
            .enumerate()
            .filter(|(_, w)| *w == [0xd8, 0x2a, 0x58, 0x25, 0])
        {
            roots.push(Cid::try_from(&header[link.0 + 5..link.0 + 41]).unwrap());
        }
        assert!(header.ends_with(b"gversion\x01"));
        let mut blocks = HashMap::new();
        let mut count = 0;
        while !bytes.is_empty() {
            let len = usize::try_from(varint(&mut bytes)).unwrap();
            let (section, rest) = bytes.split_at(len);
            bytes = rest;
            let (cid, data) = section.split_at(36);
            let cid = Cid::try_from(cid).unwrap();
            assert_eq!(
                cid.hash().digest(),
                Sha256::digest(data).as_slice(),
                "{cid}"
            );
            blocks.insert(cid, data.to_vec());
            count += 1;
        }
        Self {
            roots,
            count,
            blocks,
        }
    }

    pub fn block(&self, cid: &Cid) -> &[u8] {
        self.blocks
            .get(cid)
            .unwrap_or_else(|| panic!("{cid} is missing"))
    }

    pub fn node(&self, cid: &Cid) -> Node {
        assert_eq!(cid.codec(), 0x70, "{cid} is no dag-pb");
        parse_node(self.block(cid))
    }

    /// Bytes of a block and of all below it: what a link's size must say.
    fn total(&self, cid: &Cid) -> u64 {
        let own = self.block(cid).len() as u64;
        if cid.codec() == 0x55 {
            return own;
        }
        own + self
            .node(cid)
            .links
            .iter()
            .map(|link| self.total(&link.0))
            .sum::<u64>()
    }

    /// The whole tree; every size that it states is checked.
    pub fn tree(&self, cid: &Cid) -> Entry {
        if cid.codec() == 0x55 {
            return Entry::File(self.block(cid).to_vec());
        }
        let node = self.node(cid);
        for (child, _, size) in &node.links {
            assert_eq!(*size, self.total(child), "size of the link to {child}");
        }
        match node.kind {
            1 => {
                assert!(
                    node.links.is_sorted_by(|one, other| one.1 < other.1),
                    "sorted names"
                );
                let entries = node.links.iter();
                Entry::Directory(
                    entries
                        .map(|(cid, name, _)| (name.clone(), self.tree(cid)))
                        .collect(),
                )
            }
            2 => self.file(&node),
            4 => {
                let target = node.data.expect("a target");
                Entry::Symlink(String::from_utf8(target).unwrap())
            }
            5 => {
                let mut entries = BTreeMap::new();
                self.shard(&node, &mut entries);
                Entry::Directory(entries)
            }
            kind => panic!("kind {kind}"),
        }
    }

    fn file(&self, node: &Node) -> Entry {
        let mut content = Vec::new();
        assert_eq!(node.links.len(), node.block_sizes.len());
        for ((cid, name, _), size) in node.links.iter().zip(&node.block_sizes) {
            assert_eq!(name, "");
            let Entry::File(part) = self.tree(cid) else {
                panic!("a part of a file")
            };
            assert_eq!(part.len() as u64, *size);
            content.extend(part);
        }
        assert_eq!(node.file_size, Some(content.len() as u64));
        Entry::File(content)
    }

    fn shard(&self, node: &Node, entries: &mut BTreeMap<String, Entry>) {
        assert_eq!(node.hash_and_fanout, Some((0x22, 256)));
        let slots: Vec<u8> = node
            .links
            .iter()
            .map(|(_, name, _)| u8::from_str_radix(&name[..2], 16).unwrap())
            .collect();
        assert!(
            slots.is_sorted_by(|one, other| one < other),
            "slots in order"
        );
        let bits = node.data.clone().expect("a bit field");
        assert_ne!(bits.first(), Some(&0), "no leading zeros");
        let set = |slot: u8| {
            let byte = bits
                .iter()
                .rev()
                .nth(usize::from(slot / 8))
                .copied()
                .unwrap_or_default();
            byte >> (slot % 8) & 1 == 1
        };
        for slot in 0..=255 {
            assert_eq!(set(slot), slots.contains(&slot), "slot {slot}");
        }
        for (cid, name, _) in &node.links {
            assert_eq!(name[..2], name[..2].to_uppercase());
            if name.len() == 2 {
                let below = self.node(cid);
                assert!(
                    below.links.len() > 1 || below.links[0].1.len() == 2,
                    "a needless shard"
                );
                self.shard(&below, entries);
            } else {
                entries.insert(name[2..].to_owned(), self.tree(cid));
            }
        }
    }

    /// Follows one name's hash down the shards, as a gateway does.
    pub fn look_up(&self, root: &Cid, name: &str, hash: [u8; 8]) -> Option<Cid> {
        let mut node = self.node(root);
        for byte in hash {
            let prefix = format!("{byte:02X}");
            let link = node.links.iter().find(|link| link.1.starts_with(&prefix))?;
            if link.1.len() > 2 {
                return (link.1[2..] == *name).then_some(link.0);
            }
            node = self.node(&link.0);
        }
        None
    }
}
