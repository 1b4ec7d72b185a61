//! Sharded directories and balanced files, built without a file system.

use std::collections::HashSet;

use super::super::dag::{Codec, Link, Node};
use super::super::file::Balanced;
use super::super::hamt::{ShardError, pack_shards};
use super::super::murmur3::hash;
use super::super::sink::{Sink, to_cid};
use super::Place;
use super::reader::{Car, Entry};

fn finish(place: &Place, sink: Sink, root: &Node) -> Car {
    sink.finish(root, &place.output()).unwrap();
    Car::read(&std::fs::read(place.output()).unwrap())
}

fn leaf(sink: &mut Sink, content: &[u8]) -> Node {
    sink.put(Codec::Raw, content, 0).unwrap()
}

#[test]
fn every_name_is_found_by_its_hash() {
    let place = Place::new("lookup");
    let mut sink = Sink::create(&place.output()).unwrap();
    let links: Vec<Link> = (0..5000_u32)
        .map(|number| Link {
            name: format!("entry-{number}"),
            node: leaf(&mut sink, &number.to_le_bytes()),
        })
        .collect();
    let root = pack_shards(links.clone(), &mut sink).unwrap();
    let car = finish(&place, sink, &root);
    let root = to_cid(root.codec, root.digest);
    for link in links {
        let path = hash(link.name.as_bytes()).to_be_bytes();
        let want = to_cid(link.node.codec, link.node.digest);
        assert_eq!(
            car.look_up(&root, &link.name, path),
            Some(want),
            "{}",
            link.name
        );
    }
    let Entry::Directory(entries) = car.tree(&root) else {
        panic!("a directory")
    };
    assert_eq!(entries.len(), 5000);
    assert_eq!(
        car.look_up(&root, "absent", hash(b"absent").to_be_bytes()),
        None
    );
}

#[test]
fn the_order_of_the_entries_does_not_matter() {
    let place = Place::new("order");
    let mut sink = Sink::create(&place.output()).unwrap();
    let node = leaf(&mut sink, b"x");
    let mut links: Vec<Link> = (0..700)
        .map(|number| Link {
            name: format!("{number}"),
            node,
        })
        .collect();
    let one = pack_shards(links.clone(), &mut sink).unwrap();
    links.reverse();
    assert_eq!(pack_shards(links, &mut sink).unwrap(), one);
}

#[test]
fn two_names_that_share_seven_bytes_go_deep() {
    // Equal names stand for equal hashes; the real thing would take 2^32 tries.
    let place = Place::new("collision");
    let mut sink = Sink::create(&place.output()).unwrap();
    let node = leaf(&mut sink, b"x");
    let twice = vec![
        Link {
            name: "a".to_owned(),
            node,
        },
        Link {
            name: "a".to_owned(),
            node,
        },
    ];
    assert!(matches!(
        pack_shards(twice, &mut sink),
        Err(ShardError::Collision)
    ));
}

#[test]
fn names_that_share_a_slot_get_a_shard_of_their_own() {
    let place = Place::new("slot");
    let mut sink = Sink::create(&place.output()).unwrap();
    let node = leaf(&mut sink, b"x");
    let first = |name: &str| hash(name.as_bytes()).to_be_bytes()[0];
    let wanted = first("0");
    let other = (1..1_000_000)
        .map(|n: u32| n.to_string())
        .find(|name| first(name) == wanted)
        .unwrap();
    let links = ["0", &other]
        .map(|name| Link {
            name: name.to_owned(),
            node,
        })
        .to_vec();
    let root = pack_shards(links, &mut sink).unwrap();
    let car = finish(&place, sink, &root);
    let top = car.node(&to_cid(root.codec, root.digest));
    assert_eq!(top.links.len(), 1);
    assert_eq!(top.links[0].1, format!("{wanted:02X}"));
    assert_eq!(car.node(&top.links[0].0).links.len(), 2);
}

/// The depth of every leaf, and the links of the root.
fn depths(car: &Car, root: &Node) -> (HashSet<usize>, usize) {
    fn walk(car: &Car, cid: &cid::Cid, depth: usize, depths: &mut HashSet<usize>) {
        if cid.codec() == 0x55 {
            depths.insert(depth);
            return;
        }
        let node = car.node(cid);
        assert!(node.links.len() <= 1024);
        node.links
            .iter()
            .for_each(|link| walk(car, &link.0, depth + 1, depths));
    }
    let cid = to_cid(root.codec, root.digest);
    let mut found = HashSet::new();
    walk(car, &cid, 0, &mut found);
    let links = if cid.codec() == 0x70 {
        car.node(&cid).links.len()
    } else {
        0
    };
    (found, links)
}

#[test]
fn files_are_balanced_at_every_size() {
    let rows = [
        (1, 0, 0),
        (2, 1, 2),
        (1023, 1, 1023),
        (1024, 1, 1024),
        (1025, 2, 2),
        (2048, 2, 2),
        (2049, 2, 3),
        (1024 * 3 + 7, 2, 4),
    ];
    for (leaves, depth, links) in rows {
        let place = Place::new(&format!("balanced-{leaves}"));
        let mut sink = Sink::create(&place.output()).unwrap();
        let mut tree = Balanced::default();
        for number in 0..leaves {
            let node = leaf(&mut sink, &u32::to_le_bytes(number));
            tree.push(0, node, 4, &mut sink).unwrap();
        }
        let root = tree.finish(&mut sink).unwrap();
        let car = finish(&place, sink, &root);
        assert_eq!(
            depths(&car, &root),
            (HashSet::from([depth]), links),
            "{leaves} leaves"
        );
        let Entry::File(content) = car.tree(&to_cid(root.codec, root.digest)) else {
            panic!()
        };
        let want: Vec<u8> = (0..leaves).flat_map(u32::to_le_bytes).collect();
        assert_eq!(content, want);
    }
}

#[test]
fn a_third_level_begins_after_a_million_chunks() {
    for (leaves, links) in [(1024 * 1024, 1024), (1024 * 1024 + 1, 2)] {
        let place = Place::new(&format!("million-{leaves}"));
        let mut sink = Sink::create(&place.output()).unwrap();
        let node = leaf(&mut sink, b"x");
        let mut tree = Balanced::default();
        for _ in 0..leaves {
            tree.push(0, node, 1, &mut sink).unwrap();
        }
        let root = tree.finish(&mut sink).unwrap();
        let car = finish(&place, sink, &root);
        let top = car.node(&to_cid(root.codec, root.digest));
        assert_eq!((top.links.len(), top.file_size), (links, Some(leaves)));
        // Equal blocks are written once.
        assert!(car.count < 10, "{} blocks", car.count);
    }
}
