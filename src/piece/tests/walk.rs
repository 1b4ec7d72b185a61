//! Walking CARs of both versions, whole, in pieces, and broken.

use cid::Cid;
use cid::multihash::Multihash;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::super::car::{
    Block, CarError, CarFault, MAX_HEADER, MAX_SECTION, write_header, write_section_head,
    write_varint,
};
use super::super::saved::SaveError;
use super::super::walk::{CarSummary, CarWalker};
use super::samples::{HELLO_WORLD, car, hex, raw, section, wrap};
use super::{noise, unhex};

type Walked = Result<(Vec<Block>, CarSummary), CarError>;

/// Feeds chunks of one length.
fn walk_by(bytes: &[u8], step: usize) -> Walked {
    let mut walker = CarWalker::new();
    let mut blocks = Vec::new();
    for chunk in bytes.chunks(step) {
        walker.feed(chunk, &mut |block| blocks.push(block))?;
    }
    Ok((blocks, walker.finish()?))
}

/// Feeds everything at once, and sees that smaller steps come to the same.
fn walk(bytes: &[u8]) -> Walked {
    let whole = walk_by(bytes, bytes.len().max(1));
    for step in [1, 7, 41] {
        assert_eq!(walk_by(bytes, step), whole, "in steps of {step}");
    }
    whole
}

fn fault(bytes: &[u8]) -> CarFault {
    walk(bytes).unwrap_err().fault
}

#[test]
fn the_tiny_vector() {
    let bytes = unhex(HELLO_WORLD);
    assert_eq!(bytes, car(&[b"hello", b"world"]));
    assert_eq!(
        hex(&Sha256::digest(&bytes)),
        "59567817fa7ed163834aaf8d541c595487729859a8ace863142309a0e215bdfc"
    );
    let (blocks, summary) = walk(&bytes).unwrap();
    let hello: Cid = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
        .parse()
        .unwrap();
    let world: Cid = "bafkreicin2sgejgrxnh3nahtj56jvwlkr4sozcf6opvi4wtmmuta5hfyu4"
        .parse()
        .unwrap();
    assert_eq!(
        blocks,
        [
            Block {
                cid: hello,
                offset: 59,
                size: 5
            },
            Block {
                cid: world,
                offset: 101,
                size: 5
            }
        ]
    );
    assert_eq!(
        summary,
        CarSummary {
            version: 1,
            roots: vec![hello],
            blocks: 2,
            end: 143
        }
    );
}

#[test]
fn a_zero_length_ends_the_data() {
    let mut bytes = unhex(HELLO_WORLD);
    let clean = walk(&bytes).unwrap();
    bytes.push(0);
    assert_eq!(walk(&bytes).unwrap(), clean);
    // Nothing behind it counts, not even what could never be a section.
    bytes.extend([0xff; 300]);
    assert_eq!(walk(&bytes).unwrap(), clean);
}

#[test]
fn version_2_reports_offsets_in_the_piece() {
    let inner = unhex(HELLO_WORLD);
    let (plain, _) = walk(&inner).unwrap();
    for (before, after) in [(0, 0), (1413, 40), (3, 0)] {
        let (blocks, summary) = walk(&wrap(&inner, before, after, &[0xff; 99])).unwrap();
        let shift = 51 + before as u64;
        assert_eq!(
            (summary.version, summary.blocks, summary.end),
            (2, 2, 143 + shift)
        );
        for (block, plain) in blocks.iter().zip(&plain) {
            assert_eq!((block.offset, block.cid), (plain.offset + shift, plain.cid));
        }
        assert_eq!(blocks.len(), 2);
    }
}

#[test]
fn version_2_of_the_specification() {
    let inner = unhex(HELLO_WORLD);
    let index = unhex(
        "8108010000001200000000000000010000002800000050000000000000002cf24dba5fb0a30e26e83b2ac5b9
        e29e1b161e5c1fa7425e73043362938b98243b00000000000000486ea46224d1bb4fb680f34f7c9ad96a8f24
        ec88be73ea8e5a6c65260e9cb8a76500000000000000",
    );
    let bytes = wrap(&inner, 0, 0, &index);
    assert_eq!(bytes.len(), 304);
    assert_eq!(
        hex(&Sha256::digest(&bytes)),
        "932209fe1f10213711f8e32e3cefddd278f02badc0c615b881a5ee54f41a6515"
    );
    assert_eq!(walk(&bytes).unwrap().1.end, 194);
}

#[test]
fn version_2_may_hold_zero_padding_inside() {
    let inner = [unhex(HELLO_WORLD), vec![0; 64]].concat();
    assert_eq!(walk(&wrap(&inner, 0, 0, &[])).unwrap().1.end, 194);
}

#[test]
fn identity_and_oversized_digests_are_counted_not_reported() {
    let identity = Cid::new_v1(0x55, Multihash::wrap(0, b"abc").unwrap());
    let mut bytes = write_header(&[identity]);
    bytes.extend(section(&identity, b"abc"));
    // An identity CID of 100 bytes, which the type cannot hold.
    let mut long = vec![0x01, 0x55, 0x00, 100];
    long.extend([9; 100]);
    write_varint(104 + 2, &mut bytes);
    bytes.extend(&long);
    bytes.extend([1, 2]);
    bytes.extend(section(&raw(b"x"), b"x"));
    let (blocks, summary) = walk(&bytes).unwrap();
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].cid, raw(b"x"));
    assert_eq!((summary.blocks, summary.end), (3, bytes.len() as u64));
    assert_eq!(summary.roots, [identity]);

    // On request the identity CID is reported too, also by a walker that was saved.
    let mut walker = CarWalker::restore(&CarWalker::with_identity().save()).unwrap();
    let mut all = Vec::new();
    walker.feed(&bytes, &mut |block| all.push(block)).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].cid, all[0].size), (identity, 3));
}

#[test]
fn empty_blocks_and_empty_cars() {
    let (blocks, _) = walk(&car(&[b"", b"a", b""])).unwrap();
    assert_eq!(
        blocks.iter().map(|block| block.size).collect::<Vec<_>>(),
        [0, 1, 0]
    );
    let (blocks, summary) = walk(&write_header(&[])).unwrap();
    assert_eq!((blocks.len(), summary.end, summary.roots.len()), (0, 18, 0));
}

#[test]
fn header_forms_that_are_read() {
    // Version first, and null in place of the roots.
    assert!(walk(&unhex("11a26776657273696f6e0165726f6f747380")).is_ok());
    assert!(walk(&unhex("11a265726f6f7473f66776657273696f6e01")).is_ok());
    // Heads that are wider than they need to be.
    assert!(
        walk(&unhex(
            "17b802 7805726f6f7473 9a00000000 6776657273696f6e01"
        ))
        .is_ok()
    );
}

#[test]
fn header_forms_that_are_refused() {
    let rows = [
        // Length zero: a piece that is no CAR.
        ("00", CarFault::HeaderLength(0)),
        ("8180801000", CarFault::HeaderLength(MAX_HEADER + 1)),
        // No map, an empty map, three keys, an unbounded map.
        ("0180", CarFault::HeaderSyntax),
        ("01a0", CarFault::HeaderSyntax),
        ("01a3", CarFault::HeaderSyntax),
        ("01bf", CarFault::HeaderSyntax),
        // Unknown key, key twice, roots missing.
        ("07a165726f6f7478", CarFault::HeaderSyntax),
        (
            "13a26776657273696f6e016776657273696f6e01",
            CarFault::HeaderSyntax,
        ),
        ("0aa16776657273696f6e01", CarFault::HeaderSyntax),
        // Versions 0 and 3, a negative one.
        ("11a265726f6f7473806776657273696f6e00", CarFault::Version(0)),
        ("11a265726f6f7473806776657273696f6e03", CarFault::Version(3)),
        (
            "11a265726f6f7473806776657273696f6e20",
            CarFault::HeaderSyntax,
        ),
        // Version 2 with roots.
        (
            "11a265726f6f7473806776657273696f6e02",
            CarFault::HeaderSyntax,
        ),
        // Longer and shorter than its content.
        (
            "12a265726f6f7473806776657273696f6e0100",
            CarFault::HeaderSyntax,
        ),
        (
            "10a265726f6f7473806776657273696f6e01",
            CarFault::HeaderSyntax,
        ),
        // A root with tag 41, one without the prefix byte, one with a byte too many.
        (
            "19a265726f6f747381d8294500015500006776657273696f6e01",
            CarFault::HeaderSyntax,
        ),
        (
            "19a265726f6f747381d82a4501015500006776657273696f6e01",
            CarFault::HeaderSyntax,
        ),
        (
            "1aa265726f6f747381d82a460001550000006776657273696f6e01",
            CarFault::HeaderSyntax,
        ),
        ("ffffffffffffffffff01", CarFault::Varint),
    ];
    for (text, want) in rows {
        assert_eq!(fault(&unhex(text)), want, "{text}");
    }
}

#[test]
fn a_header_of_many_roots_is_not_kept() {
    let roots: Vec<Cid> = (0..5000_u32).map(|n| raw(&n.to_le_bytes())).collect();
    let bytes = [
        write_header(&roots),
        section(&roots[0], &0_u32.to_le_bytes()),
    ]
    .concat();
    let (blocks, summary) = walk(&bytes).unwrap();
    assert_eq!(summary.roots, roots[..16]);
    assert_eq!((blocks.len(), summary.end), (1, bytes.len() as u64));
}

#[test]
fn a_header_that_only_declares_its_length_costs_nothing() {
    let mut walker = CarWalker::new();
    let mut bytes = Vec::new();
    write_varint(MAX_HEADER, &mut bytes);
    bytes.extend(unhex("a265726f6f74739affffffff"));
    walker.feed(&bytes, &mut |_| {}).unwrap();
    assert!(walker.save().len() < 100);
    assert_eq!(walker.finish().unwrap_err().fault, CarFault::Truncated);
}

#[test]
fn broken_sections() {
    let head = car(&[b"hello"]);
    let end = head.len() as u64;
    let broken = |tail: &str| walk(&[head.clone(), unhex(tail)].concat()).unwrap_err();
    let error = broken("8180800400");
    assert_eq!(
        error,
        CarError {
            at: end,
            fault: CarFault::SectionLength(MAX_SECTION + 1)
        }
    );
    assert_eq!(broken("8000").fault, CarFault::Varint);
    assert_eq!(broken("0301551200").fault, CarFault::SectionShort);
    assert_eq!(broken("0101").fault, CarFault::SectionShort);
    assert_eq!(
        broken("0a1220000000000000000000").fault,
        CarFault::SectionShort
    );
    assert_eq!(broken("2902551220").fault, CarFault::CidVersion(2));
    assert_eq!(
        broken("80400155128020").fault,
        CarFault::CidLength(4096 + 5)
    );
    // Cut within the length, the CID and the data.
    for tail in ["80", "2901551220", "0601551201aa"] {
        assert_eq!(broken(tail).fault, CarFault::Truncated, "{tail}");
    }
    assert_eq!(fault(&[]), CarFault::Truncated);
}

#[test]
fn every_cut_but_those_between_sections_is_an_error() {
    for (bytes, shift) in [
        (unhex(HELLO_WORLD), 0),
        (wrap(&unhex(HELLO_WORLD), 9, 0, &[]), 60),
    ] {
        for cut in 0..bytes.len() {
            let between = [59, 101].contains(&(cut as u64).wrapping_sub(shift));
            assert_eq!(
                walk_by(&bytes[..cut], 1000).is_ok(),
                between,
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn version_2_headers_that_are_refused() {
    let inner = unhex(HELLO_WORLD);
    let patched = |place: usize, value: u64| {
        let mut bytes = wrap(&inner, 0, 0, &[]);
        bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
        fault(&bytes)
    };
    assert_eq!(patched(27, 50), CarFault::DataOffset(50));
    assert_eq!(patched(27, 1 << 63), CarFault::DataOffset(1 << 63));
    assert_eq!(patched(35, 0), CarFault::DataSize(0));
    assert_eq!(patched(35, 1 << 63), CarFault::DataSize(1 << 63));
    assert_eq!(patched(43, 1 << 63), CarFault::IndexOffset(1 << 63));
    // Data that ends within a section, and within the header.
    assert_eq!(patched(35, 142), CarFault::PastData);
    assert_eq!(patched(35, 58), CarFault::PastData);
    assert_eq!(
        fault(&wrap(&wrap(&inner, 0, 0, &[]), 0, 0, &[])),
        CarFault::Version(2)
    );
    // The largest numbers that are allowed lead nowhere, but not astray.
    assert_eq!(patched(27, (1 << 63) - 1), CarFault::Truncated);
}

#[test]
fn an_error_is_final_even_when_saved() {
    let mut walker = CarWalker::new();
    let error = walker.feed(&[0], &mut |_| {}).unwrap_err();
    assert_eq!(walker.feed(&unhex(HELLO_WORLD), &mut |_| {}), Err(error));
    assert_eq!(walker.finish(), Err(error));
    let mut again = CarWalker::restore(&walker.save()).unwrap();
    assert_eq!(again.feed(&[], &mut |_| {}), Ok(()));
    assert_eq!(again.feed(&[1], &mut |_| {}), Err(error));
    assert_eq!(again.finish(), Err(error));
}

#[test]
fn records_are_strict() {
    let mut walker = CarWalker::new();
    walker
        .feed(&unhex(HELLO_WORLD)[..110], &mut |_| {})
        .unwrap();
    let record = walker.save();
    let mut newer = record.clone();
    newer[0] = 9;
    assert_eq!(
        CarWalker::restore(&newer).unwrap_err(),
        SaveError::Version(9)
    );
    for length in 0..record.len() {
        assert_eq!(
            CarWalker::restore(&record[..length]).unwrap_err(),
            SaveError::Malformed
        );
    }
    let longer = [&record[..], &[0]].concat();
    assert_eq!(
        CarWalker::restore(&longer).unwrap_err(),
        SaveError::Malformed
    );
}

#[test]
fn the_first_format_stays_readable() {
    let bytes = unhex(HELLO_WORLD);
    let mut walker = CarWalker::new();
    walker.feed(&bytes[..110], &mut |_| {}).unwrap();
    // Version; stage, its value, no fault; position, what is pending of the second section;
    // CAR version, no limit, blocks, end, no identity CIDs; the header and its root.
    let record = unhex(
        "01 8c 04 00 00 00 1865 49 2901551220486ea462
         01 1bffffffffffffffff 01 1865 f4
         86 01 00 00 01 01
         5824 015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    );
    assert_eq!(walker.save(), record);
    let mut restored = CarWalker::restore(&record).unwrap();
    assert_eq!(restored.bytes(), 110);
    restored.feed(&bytes[110..], &mut |_| {}).unwrap();
    assert_eq!(restored.finish().unwrap(), walk(&bytes).unwrap().1);
}

/// A CAR of noise blocks in one of several dresses.
fn dressed(lengths: &[usize], seed: u64, dress: u8) -> Vec<u8> {
    let data: Vec<Vec<u8>> = lengths
        .iter()
        .zip(seed..)
        .map(|(length, seed)| noise(seed, *length))
        .collect();
    let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let inner = car(&slices);
    match dress {
        0 => inner,
        1 => [inner, vec![0; 77]].concat(),
        2 => wrap(&inner, 0, 0, b"index"),
        _ => wrap(&inner, 100, 3, b""),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_and_any_save_report_the_same(
        lengths in prop::collection::vec(0_usize..400, 0..40),
        seed in 0_u64..1 << 32,
        dress in 0_u8..4,
        steps in prop::collection::vec((1_usize..700, any::<bool>()), 1..10),
    ) {
        let bytes = dressed(&lengths, seed, dress);
        let whole = walk_by(&bytes, bytes.len()).unwrap();
        prop_assert_eq!(whole.0.len(), lengths.len());
        for block in &whole.0 {
            // Reading the section where it is said to be gives its CID again.
            let place = usize::try_from(block.offset).unwrap();
            let head = write_section_head(&block.cid, block.size);
            prop_assert_eq!(&bytes[place..place + head.len()], &head[..]);
        }
        let mut walker = CarWalker::new();
        let mut blocks = Vec::new();
        let mut rest = &bytes[..];
        for (step, save) in steps.iter().cycle() {
            let (head, tail) = rest.split_at(rest.len().min(*step));
            walker.feed(head, &mut |block| blocks.push(block)).unwrap();
            prop_assert_eq!(walker.bytes(), (bytes.len() - tail.len()) as u64);
            if *save {
                walker = CarWalker::restore(&walker.save()).unwrap();
            }
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!((blocks, walker.finish().unwrap()), whole);
    }

    #[test]
    fn damage_never_panics_and_never_depends_on_the_split(
        seed in 0_u64..1 << 32,
        dress in 0_u8..4,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        step in 1_usize..50,
    ) {
        let mut bytes = dressed(&[3, 0, 200], seed, dress);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        prop_assert_eq!(walk_by(&bytes, step), walk_by(&bytes, bytes.len()));
    }

    #[test]
    fn no_record_makes_it_panic(record in prop::collection::vec(any::<u8>(), 0..200)) {
        let record = [vec![1, 0x8c], record].concat();
        if let Ok(mut walker) = CarWalker::restore(&record) {
            let _ = walker.feed(&[1; 300], &mut |_| {});
        }
    }
}
