//! Spool, sort and index file.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cid::Cid;
use cid::multihash::Multihash;
use proptest::prelude::*;

use super::super::car::Block;
use super::super::index_file::{
    IndexEntry, IndexSummary, PieceIndex, build_bounded, build_index, sizes_path,
};
use super::super::sort::Bounds;
use super::super::spool::Spool;
use super::{noise, unhex};

/// A directory of its own for each test, gone afterwards.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("coracle-index-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    fn index(&self) -> PathBuf {
        self.0.join("piece.index")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// So small that a few hundred entries need several passes.
const TIGHT: Bounds = Bounds {
    run: 300,
    fan_in: 3,
};

fn block(code: u64, digest: &[u8], offset: u64, size: u64) -> Block {
    let cid = Cid::new_v1(0x55, Multihash::wrap(code, digest).unwrap());
    Block { cid, offset, size }
}

fn write_spool(path: &Path, blocks: &[Block]) -> u64 {
    let mut spool = Spool::create(path).unwrap();
    for block in blocks {
        spool.push(block).unwrap();
    }
    spool.sync().unwrap()
}

/// The format's definition, built in memory.
fn model(blocks: &[Block]) -> (Vec<u8>, Vec<u8>) {
    type Bucket = Vec<(Vec<u8>, u64, u32)>;
    let mut groups: BTreeMap<u64, BTreeMap<usize, Bucket>> = BTreeMap::new();
    for block in blocks {
        let hash = block.cid.hash();
        let entry = (
            hash.digest().to_vec(),
            block.offset,
            u32::try_from(block.size).unwrap(),
        );
        let group = groups.entry(hash.code()).or_default();
        group
            .entry(hash.digest().len() + 8)
            .or_default()
            .push(entry);
    }
    let mut index = vec![0x81, 0x08];
    let mut sizes = [&b"corsiz\0\x01"[..], &(blocks.len() as u64).to_le_bytes()].concat();
    index.extend(i32::try_from(groups.len()).unwrap().to_le_bytes());
    for (code, widths) in groups {
        index.extend(code.to_le_bytes());
        index.extend(i32::try_from(widths.len()).unwrap().to_le_bytes());
        for (width, mut entries) in widths {
            entries.sort();
            index.extend(u32::try_from(width).unwrap().to_le_bytes());
            index.extend(((width * entries.len()) as u64).to_le_bytes());
            for (digest, offset, size) in entries {
                index.extend(digest);
                index.extend(offset.to_le_bytes());
                sizes.extend(size.to_le_bytes());
            }
        }
    }
    (index, sizes)
}

/// Builds with tight bounds and with the real ones and compares both with the model.
fn check(place: &Place, blocks: &[Block]) -> PieceIndex {
    write_spool(&place.spool(), blocks);
    let (index, sizes) = model(blocks);
    build_bounded(&place.spool(), &place.index(), TIGHT).unwrap();
    assert_eq!(std::fs::read(place.index()).unwrap(), index);
    let summary = build_index(&place.spool(), &place.index()).unwrap();
    assert_eq!(summary.entries, blocks.len() as u64);
    assert_eq!(std::fs::read(place.index()).unwrap(), index);
    assert_eq!(std::fs::read(sizes_path(&place.index())).unwrap(), sizes);
    // Nothing temporary stays.
    assert_eq!(std::fs::read_dir(&place.0).unwrap().count(), 3);
    PieceIndex::open(&place.index()).unwrap()
}

#[test]
fn the_tiny_vector() {
    let place = Place::new("tiny");
    let hello: Cid = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
        .parse()
        .unwrap();
    let world: Cid = "bafkreicin2sgejgrxnh3nahtj56jvwlkr4sozcf6opvi4wtmmuta5hfyu4"
        .parse()
        .unwrap();
    let blocks = [
        Block {
            cid: world,
            offset: 101,
            size: 5,
        },
        Block {
            cid: hello,
            offset: 59,
            size: 5,
        },
    ];
    let index = check(&place, &blocks);
    let want = unhex(
        "8108010000001200000000000000010000002800000050000000000000002cf24dba5fb0a30e26e83b2ac5b9
        e29e1b161e5c1fa7425e73043362938b98243b00000000000000486ea46224d1bb4fb680f34f7c9ad96a8f24
        ec88be73ea8e5a6c65260e9cb8a76500000000000000",
    );
    assert_eq!(std::fs::read(place.index()).unwrap(), want);
    assert_eq!(index.get(hello.hash()).unwrap(), Some((59, 5)));
    assert_eq!(index.get(world.hash()).unwrap(), Some((101, 5)));
    assert_eq!(
        index
            .get(&Multihash::wrap(0x12, &[0; 32]).unwrap())
            .unwrap(),
        None
    );
    assert_eq!(
        index
            .get(&Multihash::wrap(0x12, &[0xff; 32]).unwrap())
            .unwrap(),
        None
    );
}

#[test]
fn an_empty_spool_gives_an_empty_index() {
    let place = Place::new("empty");
    let index = check(&place, &[]);
    assert_eq!((index.entries(), index.iter().count()), (0, 0));
    assert_eq!(
        index
            .get(&Multihash::wrap(0x12, &[0; 32]).unwrap())
            .unwrap(),
        None
    );
    assert_eq!(std::fs::read(place.index()).unwrap(), unhex("810800000000"));
}

#[test]
fn duplicates_are_kept_and_the_first_one_is_found() {
    let place = Place::new("duplicates");
    let mut blocks = Vec::new();
    for offset in [900, 70, 1 << 35, 100] {
        blocks.push(block(0x12, &[5; 32], offset, 10));
        blocks.push(block(0x12, &[6; 32], offset + 1, 11));
    }
    let index = check(&place, &blocks);
    assert_eq!(
        index
            .get(&Multihash::wrap(0x12, &[5; 32]).unwrap())
            .unwrap(),
        Some((70, 10))
    );
    assert_eq!(
        index
            .get(&Multihash::wrap(0x12, &[6; 32]).unwrap())
            .unwrap(),
        Some((71, 11))
    );
    let offsets: Vec<u64> = index.iter().map(|entry| entry.unwrap().offset).collect();
    assert_eq!(
        offsets,
        [70, 100, 900, 1 << 35, 71, 101, 901, (1 << 35) + 1]
    );
}

#[test]
fn many_kinds_of_digests() {
    let place = Place::new("kinds");
    let mut blocks = Vec::new();
    for number in 0..600_u64 {
        let code = [0x12, 0x13, 0xb220, 0x1b][usize::try_from(number % 4).unwrap()];
        let len = [32, 64, 20, 0][usize::try_from(number / 4 % 4).unwrap()];
        blocks.push(block(code, &noise(number, len), number * 100 + 59, number));
    }
    let index = check(&place, &blocks);
    for wanted in &blocks {
        let (offset, size) = index.get(wanted.cid.hash()).unwrap().expect("indexed");
        if !wanted.cid.hash().digest().is_empty() {
            assert_eq!((offset, size), (wanted.offset, wanted.size));
        }
    }
    let read: Vec<IndexEntry> = index.iter().map(Result::unwrap).collect();
    assert_eq!(read.len(), blocks.len());
    for entry in read {
        let fits = |block: &&Block| block.offset == entry.offset;
        let block = blocks.iter().find(fits).expect("a pushed block");
        assert_eq!((*block.cid.hash(), block.size), (entry.hash, entry.size));
    }
}

#[test]
fn too_many_hash_codes_are_left_out() {
    let place = Place::new("codes");
    let blocks: Vec<Block> = (1..=1030)
        .map(|code| block(code, &[1; 4], code * 10, 1))
        .collect();
    write_spool(&place.spool(), &blocks);
    let summary = build_index(&place.spool(), &place.index()).unwrap();
    assert_eq!(
        summary,
        IndexSummary {
            entries: 1024,
            buckets: 1024,
            left_out: 6
        }
    );
    let index = PieceIndex::open(&place.index()).unwrap();
    assert_eq!(
        index.get(blocks[1023].cid.hash()).unwrap(),
        Some((10240, 1))
    );
    assert_eq!(index.get(blocks[1024].cid.hash()).unwrap(), None);
}

#[test]
fn a_spool_goes_on_where_it_was_synced() {
    let place = Place::new("resume");
    let blocks: Vec<Block> = (0..50)
        .map(|number| block(0x12, &noise(number, 32), number, 1))
        .collect();
    let whole = write_spool(&place.spool(), &blocks);
    let want = std::fs::read(place.spool()).unwrap();
    assert_eq!(want.len() as u64, whole);

    let mut spool = Spool::create(&place.spool()).unwrap();
    blocks[..20]
        .iter()
        .for_each(|block| spool.push(block).unwrap());
    let saved = spool.sync().unwrap();
    // These are written, but nothing claims them.
    blocks[30..]
        .iter()
        .for_each(|block| spool.push(block).unwrap());
    drop(spool);
    let mut spool = Spool::open_at(&place.spool(), saved).unwrap();
    blocks[20..]
        .iter()
        .for_each(|block| spool.push(block).unwrap());
    assert_eq!(spool.sync().unwrap(), whole);
    assert_eq!(std::fs::read(place.spool()).unwrap(), want);

    let kind = |len| Spool::open_at(&place.spool(), len).unwrap_err().kind();
    assert_eq!(kind(whole + 1), ErrorKind::InvalidData);
    assert_eq!(kind(7), ErrorKind::InvalidData);
    std::fs::write(place.spool(), b"something else").unwrap();
    assert_eq!(kind(8), ErrorKind::InvalidData);
}

#[test]
fn the_first_spool_format_stays_readable() {
    let place = Place::new("format");
    let record = unhex(
        "636f7273706c0001
         0000000000000012 04 01020304 000000000000003b 00000005
         000000000000b220 00 0000000100000000 00800000",
    );
    let blocks = [
        block(0x12, &[1, 2, 3, 4], 59, 5),
        block(0xb220, &[], 1 << 32, 8 << 20),
    ];
    assert_eq!(write_spool(&place.spool(), &blocks), record.len() as u64);
    assert_eq!(std::fs::read(place.spool()).unwrap(), record);
    let index = check(&place, &blocks);
    assert_eq!(index.get(blocks[0].cid.hash()).unwrap(), Some((59, 5)));
    let last = index.get(blocks[1].cid.hash()).unwrap();
    assert_eq!(last, Some((1 << 32, 8 << 20)));
    let too_large = block(0x12, &[1], 0, 1 << 32);
    let mut spool = Spool::create(&place.spool()).unwrap();
    assert_eq!(
        spool.push(&too_large).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn damaged_spools_are_errors() {
    let place = Place::new("damaged-spool");
    write_spool(
        &place.spool(),
        &[block(0x12, &[1; 32], 59, 5), block(0x12, &[2; 32], 99, 5)],
    );
    let good = std::fs::read(place.spool()).unwrap();
    let mut failures = 0;
    for cut in 0..good.len() {
        std::fs::write(place.spool(), &good[..cut]).unwrap();
        failures += usize::from(build_index(&place.spool(), &place.index()).is_err());
    }
    // The two cuts between entries are spools of fewer entries.
    assert_eq!(failures, good.len() - 2);
    let mut bad = good.clone();
    bad[16] = 65;
    std::fs::write(place.spool(), &bad).unwrap();
    assert!(build_index(&place.spool(), &place.index()).is_err());
}

#[test]
fn damaged_indexes_are_errors() {
    let place = Place::new("damaged-index");
    let index = check(
        &place,
        &[block(0x12, &[1; 32], 59, 5), block(0x13, &[2; 64], 99, 5)],
    );
    drop(index);
    let good = std::fs::read(place.index()).unwrap();
    let sizes = std::fs::read(sizes_path(&place.index())).unwrap();
    for cut in 0..good.len() {
        std::fs::write(place.index(), &good[..cut]).unwrap();
        assert!(PieceIndex::open(&place.index()).is_err(), "cut at {cut}");
    }
    std::fs::write(place.index(), [&good[..], &[0]].concat()).unwrap();
    assert!(PieceIndex::open(&place.index()).is_err());
    // Codec, counts, width and length of the first bucket.
    for (at, value) in [
        (0, 0x80),
        (2, 3),
        (3, 0xff),
        (14, 2),
        (18, 7),
        (18, 39),
        (29, 0x80),
    ] {
        let mut bad = good.clone();
        bad[at] = value;
        std::fs::write(place.index(), &bad).unwrap();
        assert!(PieceIndex::open(&place.index()).is_err(), "byte {at}");
    }
    std::fs::write(place.index(), &good).unwrap();
    assert!(PieceIndex::open(&place.index()).is_ok());
    for cut in 0..sizes.len() {
        std::fs::write(sizes_path(&place.index()), &sizes[..cut]).unwrap();
        assert!(
            PieceIndex::open(&place.index()).is_err(),
            "sizes cut at {cut}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_blocks_give_the_defined_file(
        // Few different digests, so that equal ones meet in different runs.
        rows in prop::collection::vec((0_u64..3, 0_u64..40, 0_usize..3, 0_u64..1000), 0..400),
    ) {
        let place = Place::new("any");
        let blocks: Vec<Block> = rows
            .iter()
            .enumerate()
            .map(|(number, (code, seed, len, size))| {
                let digest = noise(*seed, [4, 32, 64][*len]);
                block(0x12 + code, &digest, number as u64 * 50, *size)
            })
            .collect();
        let index = check(&place, &blocks);
        for block in &blocks {
            let first = blocks.iter().find(|other| other.cid == block.cid).unwrap();
            let found = index.get(block.cid.hash()).unwrap();
            prop_assert_eq!(found, Some((first.offset, first.size)));
        }
    }
}
