//! The database file of the first release, row by row: it is read for ever, and the same rows are still written.
//!
//! `tests/data/store-v1.txt` has a line for each row: table, key and value in hexadecimal. It is never edited. A change
//! that breaks these tests breaks the files of those who run a release; it needs another format version.

use coracle::deal::Deal;
use coracle::filecoin::{Address, Signature, SignatureKind, TokenAmount};
use coracle::store::{LogLine, PieceRecord, Redb, Store, StoredAsk, Write};
use coracle::transfer::SavePoint;
use coracle::wire::StorageAsk;
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const ROWS: &str = include_str!("data/store-v1.txt");

/// Tables whose rows have values, and those whose rows have none.
const VALUED: [&str; 6] = ["asks", "by_chain_cid", "deals", "log", "pieces", "saves"];
const MARKED: [&str; 2] = ["by_time", "live"];

/// Tables that came later: created in an older file, and empty unless it holds what belongs there.
const LATER: [&str; 1] = ["watch"];
const LATER_VALUED: [&str; 3] = ["fees", "funds", "messages"];

type Bytes<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;
type Marks<'a> = TableDefinition<'a, &'static [u8], ()>;
type Meta = TableDefinition<'static, &'static str, u64>;

const META: Meta = TableDefinition::new("meta");

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
    digits.chunks_exact(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A path that goes with its owner.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let name = format!("coracle-format-{}-{name}.redb", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The deal of the rows.
fn deal() -> Deal {
    let row = ROWS.lines().find(|row| row.starts_with("deals ")).unwrap();
    Deal::decode(&unhex(row.split(' ').nth(2).unwrap())).unwrap()
}

fn line() -> LogLine {
    LogLine {
        time: 1_700_000_000_123,
        level: 3,
        text: "accepted".to_owned(),
    }
}

fn save() -> SavePoint {
    SavePoint {
        offset: 65_536,
        hasher: vec![1, 2, 3],
        walker: vec![4, 5],
        spool_len: 300,
        validator: Some("\"etag\"".to_owned()),
    }
}

fn ask() -> StoredAsk {
    StoredAsk {
        terms: StorageAsk {
            miner: Address::id(1_000),
            price: TokenAmount::from_atto(50_000_000),
            seq_no: 3,
            expiry: 10_519_200,
            timestamp: 100,
            max_piece_size: 32 << 30,
            min_piece_size: 256,
            verified_price: TokenAmount::from_atto(0),
        },
        signature: Some(Signature {
            kind: SignatureKind::Bls,
            data: vec![0xb1; 96],
        }),
        expiry_given: false,
    }
}

fn piece() -> PieceRecord {
    PieceRecord {
        path: "/srv/pieces/a.car".to_owned(),
        index: "/srv/pieces/a.idx".to_owned(),
        payload_size: 2_000,
        padded_size: 2_048,
        ours: true,
        kept: 1_700_000_000_456,
    }
}

fn writes() -> Vec<Write> {
    let deal = deal();
    let uuid = deal.uuid;
    vec![
        Write::Deal(Box::new(deal)),
        Write::Log(uuid, line()),
        Write::Save(uuid, save()),
        Write::Ask(Address::id(1_000), Box::new(ask())),
        Write::Piece([7; 32], Box::new(piece())),
    ]
}

/// Builds the file as the first release left it.
fn build(path: &Path) {
    let database = redb::Database::create(path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert("format", 1).unwrap();
    for table in VALUED {
        let definition: Bytes = TableDefinition::new(table);
        write.open_table(definition).unwrap();
    }
    for table in MARKED {
        let definition: Marks = TableDefinition::new(table);
        write.open_table(definition).unwrap();
    }
    for row in ROWS.lines() {
        let mut fields = row.split(' ');
        let (table, key) = (fields.next().unwrap(), unhex(fields.next().unwrap()));
        if let Some(value) = fields.next() {
            let definition: Bytes = TableDefinition::new(table);
            let mut table = write.open_table(definition).unwrap();
            table
                .insert(key.as_slice(), unhex(value).as_slice())
                .unwrap();
        } else {
            let definition: Marks = TableDefinition::new(table);
            let mut table = write.open_table(definition).unwrap();
            table.insert(key.as_slice(), ()).unwrap();
        }
    }
    write.commit().unwrap();
}

/// All rows of a file, as in the stored text.
fn rows(path: &Path) -> String {
    let database = redb::Database::open(path).unwrap();
    let read = database.begin_read().unwrap();
    let format = read.open_table(META).unwrap().get("format").unwrap();
    assert_eq!(format.map(|format| format.value()), Some(1));
    let mut text = String::new();
    for name in VALUED {
        let definition: Bytes = TableDefinition::new(name);
        for row in read.open_table(definition).unwrap().iter().unwrap() {
            let (key, value) = row.unwrap();
            writeln!(text, "{name} {} {}", hex(key.value()), hex(value.value())).unwrap();
        }
    }
    for name in MARKED {
        let definition: Marks = TableDefinition::new(name);
        for row in read.open_table(definition).unwrap().iter().unwrap() {
            writeln!(text, "{name} {}", hex(row.unwrap().0.value())).unwrap();
        }
    }
    assert_eq!(
        read.list_tables().unwrap().count(),
        VALUED.len() + MARKED.len() + LATER.len() + LATER_VALUED.len() + 1
    );
    for name in LATER {
        let definition: Marks = TableDefinition::new(name);
        assert!(read.open_table(definition).unwrap().is_empty().unwrap());
    }
    for name in LATER_VALUED {
        let definition: Bytes = TableDefinition::new(name);
        assert!(read.open_table(definition).unwrap().is_empty().unwrap());
    }
    text
}

#[test]
fn the_first_release_s_file_is_read() {
    let file = File::new("read");
    build(&file.0);
    let store = Redb::open(&file.0, 1 << 20).unwrap();
    let deal = deal();
    assert_eq!(store.deal(deal.uuid), Ok(Some(deal.clone())));
    assert_eq!(store.live(), Ok(vec![deal.clone()]));
    assert_eq!(store.by_chain_cid(&deal.chain_cid), Ok(Some(deal.uuid)));
    assert_eq!(store.log(deal.uuid), Ok(vec![line()]));
    assert_eq!(store.save_point(deal.uuid), Ok(Some(save())));
    assert_eq!(store.ask(&Address::id(1_000)), Ok(Some(ask())));
    assert_eq!(store.pieces(), Ok(vec![([7; 32], piece())]));
    assert_eq!(store.messages(), Ok(Vec::new()));
    assert_eq!(store.funds(), Ok(Vec::new()));
    assert_eq!(store.fees(), Ok(Vec::new()));
}

#[test]
fn the_same_rows_are_written() {
    let file = File::new("written");
    let store = Redb::open(&file.0, 1 << 20).unwrap();
    store.commit_and_wait(writes()).unwrap();
    drop(store);
    assert_eq!(rows(&file.0), ROWS);
}

#[test]
fn a_file_that_was_read_is_not_changed() {
    let file = File::new("unchanged");
    build(&file.0);
    drop(Redb::open(&file.0, 1 << 20).unwrap());
    assert_eq!(rows(&file.0), ROWS);
}
