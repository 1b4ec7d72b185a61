//! Whole inputs: directories, links, names, and what is refused.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;

use super::super::{Options, PackError, pack, pack_with};
use super::reader::Entry;
use super::{Place, noise};

fn file(content: &[u8]) -> Entry {
    Entry::File(content.to_vec())
}

fn directory(entries: &[(&str, Entry)]) -> Entry {
    let entries = entries.iter();
    Entry::Directory(
        entries
            .map(|(name, entry)| ((*name).to_owned(), entry.clone()))
            .collect(),
    )
}

#[test]
fn a_directory_of_everything() {
    let place = Place::new("everything");
    place.write("b.txt", b"second");
    place.write("a.txt", b"first");
    place.write("Z", b"");
    place.write("deep/er/est", b"down here");
    place.write(".hidden", b"not packed");
    place.write(".dir/inside", b"not packed");
    place.write("\u{e4}\u{1f6f6}", b"a boat");
    std::fs::create_dir(place.input().join("empty")).unwrap();
    symlink("a.txt", place.input().join("link")).unwrap();
    symlink("/nowhere/at/all", place.input().join("dangling")).unwrap();
    let (packed, car) = place.pack(&place.input());
    let want = directory(&[
        ("Z", file(b"")),
        ("a.txt", file(b"first")),
        ("b.txt", file(b"second")),
        ("dangling", Entry::Symlink("/nowhere/at/all".to_owned())),
        (
            "deep",
            directory(&[("er", directory(&[("est", file(b"down here"))]))]),
        ),
        ("empty", directory(&[])),
        ("link", Entry::Symlink("a.txt".to_owned())),
        ("\u{e4}\u{1f6f6}", file(b"a boat")),
    ]);
    assert_eq!(car.tree(&packed.root), want);
}

#[test]
fn hidden_entries_on_request() {
    let place = Place::new("hidden");
    place.write(".hidden", b"1");
    place.write("seen", b"2");
    let (plain, _) = place.pack(&place.input());
    let all = pack_with(&place.input(), &place.output(), Options { hidden: true }).unwrap();
    assert_ne!(plain.root, all.root);
    let car = super::Car::read(&std::fs::read(place.output()).unwrap());
    let want = directory(&[(".hidden", file(b"1")), ("seen", file(b"2"))]);
    assert_eq!(car.tree(&all.root), want);
    // What the user names is packed whatever it is called.
    let (named, _) = place.pack(&place.input().join(".hidden"));
    assert_eq!(named.blocks, 1);
}

#[test]
fn the_input_itself_is_followed() {
    let place = Place::new("followed");
    let path = place.write("file", b"hello");
    let link = place.input().join("link");
    symlink("file", &link).unwrap();
    assert_eq!(place.pack(&link).0, place.pack(&path).0);
    let root = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
    assert_eq!(place.pack(&link).0.root.to_string(), root);
}

#[test]
fn well_known_roots() {
    let place = Place::new("known");
    let empty = place.write("empty", b"");
    let root = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    let (packed, _) = place.pack(&empty);
    assert_eq!(packed.root.to_string(), root);
    // Header of 59 bytes, a length byte and 36 bytes of CID.
    assert_eq!((packed.car_size, packed.blocks), (96, 1));
}

#[test]
fn large_files_come_back() {
    let place = Place::new("large");
    let content = noise(1, 3 * (1 << 20) + 17);
    let path = place.write("large", &content);
    let (packed, car) = place.pack(&path);
    assert_eq!(packed.blocks, 5);
    assert_eq!(car.tree(&packed.root), file(&content));
    // Exactly two chunks: no empty third one.
    let path = place.write("two", &content[..2 << 20]);
    let (packed, car) = place.pack(&path);
    assert_eq!((packed.blocks, car.node(&packed.root).links.len()), (3, 2));
}

#[test]
fn equal_blocks_are_written_once_but_counted_in_sizes() {
    let place = Place::new("equal");
    let path = place.write("zeros", &vec![0; 5 << 20]);
    let (packed, car) = place.pack(&path);
    assert_eq!(packed.blocks, 2);
    assert_eq!(car.tree(&packed.root), file(&vec![0; 5 << 20]));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (one, other) = (Place::new("same-1"), Place::new("same-2"));
    let names = ["x", "y", "a/b", "a/c", "zz"];
    for name in names {
        one.write(name, name.as_bytes());
    }
    for name in names.iter().rev() {
        other.write(name, name.as_bytes());
    }
    let (packed, _) = one.pack(&one.input());
    assert_eq!(other.pack(&other.input()).0, packed);
    let bytes = |place: &Place| std::fs::read(place.output()).unwrap();
    assert_eq!(bytes(&one), bytes(&other));
}

#[test]
fn what_is_refused() {
    let place = Place::new("refused");
    place.write("ok", b"1");
    let output = place.output();
    let fails = |input: &Path, output: &Path| pack(input, output).unwrap_err();
    assert!(matches!(
        fails(&place.input().join("absent"), &output),
        PackError::Read(..)
    ));
    let inside = place.input().join("out.car");
    assert!(matches!(
        fails(&place.input(), &inside),
        PackError::OutputInside(_)
    ));
    let deeper = place.input().join("sub/../out.car");
    std::fs::create_dir(place.input().join("sub")).unwrap();
    assert!(matches!(
        fails(&place.input(), &deeper),
        PackError::OutputInside(_)
    ));
    let itself = place.input().join("ok");
    assert!(matches!(
        fails(&itself, &itself),
        PackError::OutputInside(_)
    ));
    assert_eq!(std::fs::read(&itself).unwrap(), b"1");
    let nowhere = place.output().join("missing/out.car");
    assert!(matches!(
        fails(&place.input(), &nowhere),
        PackError::Write(..)
    ));

    let socket = std::os::unix::net::UnixListener::bind(place.input().join("socket")).unwrap();
    assert!(matches!(fails(&place.input(), &output), PackError::Kind(_)));
    drop(socket);
    std::fs::remove_file(place.input().join("socket")).unwrap();

    let name = place.input().join(OsStr::from_bytes(b"latin-\xe4"));
    std::fs::write(name, b"1").unwrap();
    let error = fails(&place.input(), &output);
    assert!(matches!(error, PackError::Name(_)));
    assert!(
        error.to_string().starts_with("name is not UTF-8: "),
        "{error}"
    );
    // Nothing is left of what failed.
    assert!(!output.exists());
    assert_eq!(
        std::fs::read_dir(output.parent().unwrap()).unwrap().count(),
        1
    );
}

#[test]
fn a_failure_leaves_an_older_car_alone() {
    let place = Place::new("older");
    place.write("ok", b"1");
    place.pack(&place.input());
    let before = std::fs::read(place.output()).unwrap();
    std::os::unix::net::UnixListener::bind(place.input().join("socket")).unwrap();
    assert!(pack(&place.input(), &place.output()).is_err());
    assert_eq!(std::fs::read(place.output()).unwrap(), before);
}

/// Writes a tree to the disk.
fn write_tree(place: &Place, prefix: &str, tree: &BTreeMap<String, Entry>) {
    for (name, entry) in tree {
        let path = format!("{prefix}{name}");
        match entry {
            Entry::File(content) => drop(place.write(&path, content)),
            Entry::Symlink(target) => symlink(target, place.input().join(path)).unwrap(),
            Entry::Directory(below) => {
                std::fs::create_dir(place.input().join(&path)).unwrap();
                write_tree(place, &format!("{path}/"), below);
            }
        }
    }
}

fn any_tree() -> impl Strategy<Value = BTreeMap<String, Entry>> {
    let leaf = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Entry::File),
        "[a-z./]{1,20}".prop_map(Entry::Symlink),
    ];
    let entry = leaf.prop_recursive(3, 40, 8, |inner| {
        prop::collection::btree_map("[a-zA-Z0-9 _-]{1,12}", inner, 0..8).prop_map(Entry::Directory)
    });
    prop::collection::btree_map("[a-zA-Z0-9 _-]{1,12}", entry, 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_tree_comes_back(tree in any_tree()) {
        let place = Place::new("any");
        write_tree(&place, "", &tree);
        let (packed, car) = place.pack(&place.input());
        prop_assert_eq!(car.tree(&packed.root), Entry::Directory(tree));
    }
}
