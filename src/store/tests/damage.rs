//! Files that are not ours, that are newer, or that are damaged.

use super::super::{Listing, Redb, Store, StoreError};
use super::{Disk, database, deal, keep, put, store};
use crate::deal::record::RecordError;
use crate::deal::tests::samples::{miner, uuid};
use crate::store::Write;
use crate::transfer::SavePoint;
use redb::{ReadableDatabase, TableDefinition};

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Replaces a value behind the store's back.
fn tamper(disk: &Disk, table: &'static str, key: &[u8], value: &[u8]) {
    let database = database(disk);
    let write = database.begin_write().unwrap();
    let table: Bytes = TableDefinition::new(table);
    write.open_table(table).unwrap().insert(key, value).unwrap();
    write.commit().unwrap();
}

fn with_two_deals() -> Disk {
    let disk = Disk::default();
    keep(&store(&disk), vec![put(&deal(1)), put(&deal(2))]);
    disk
}

fn refused(disk: &Disk) -> String {
    let error = Redb::over(database(disk)).err().expect("must be refused");
    error.to_string()
}

#[test]
fn a_newer_file_is_refused() {
    let disk = with_two_deals();
    let database = database(&disk);
    let write = database.begin_write().unwrap();
    let meta: TableDefinition<&str, u64> = TableDefinition::new("meta");
    write.open_table(meta).unwrap().insert("format", 2).unwrap();
    write.commit().unwrap();
    drop(database);
    assert_eq!(
        refused(&disk),
        "database: the file has format 2, this release reads 1: use a newer release"
    );
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let disk = Disk::default();
    tamper(&disk, "somebody_s", b"key", b"value");
    assert_eq!(
        refused(&disk),
        "database: the file belongs to another program"
    );
    let names = database(&disk)
        .begin_read()
        .unwrap()
        .list_tables()
        .unwrap()
        .count();
    assert_eq!(names, 1);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let path = std::env::temp_dir().join(format!("coracle-{}", uuid::Uuid::new_v4()));
    std::fs::write(&path, b"not a database").unwrap();
    let error = Redb::open(&path, 1 << 20).err().expect("must be refused");
    assert!(error.to_string().contains(&path.display().to_string()));
    assert_eq!(std::fs::read(&path).unwrap(), b"not a database");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_damaged_deal_is_named_and_hides_no_other() {
    let disk = with_two_deals();
    tamper(&disk, "deals", uuid(1).as_bytes(), &[1, 0xff]);
    let store = store(&disk);
    let name = "database: deal 01010101-0101-0101-0101-010101010101: the record is damaged: ";
    // Starting without it would delete its data.
    let error = store.live().unwrap_err().to_string();
    assert!(error.starts_with(name), "{error}");
    let error = store.deal(uuid(1)).unwrap_err().to_string();
    assert!(error.starts_with(name), "{error}");
    assert_eq!(store.deal(uuid(2)), Ok(Some(deal(2))));
    let all = Listing {
        limit: 10,
        ..Listing::default()
    };
    assert_eq!(store.list(&all), Ok((vec![deal(2)], false)));
}

#[test]
fn a_newer_deal_is_named() {
    let disk = with_two_deals();
    tamper(&disk, "deals", uuid(2).as_bytes(), &[9, 0xa0]);
    let error = store(&disk).live().unwrap_err();
    let name = "deal 02020202-0202-0202-0202-020202020202".to_owned();
    assert_eq!(error, StoreError::Record(name, RecordError::Version(9)));
}

#[test]
fn smaller_records_are_named_too() {
    let disk = with_two_deals();
    keep(
        &store(&disk),
        vec![Write::Save(uuid(1), SavePoint::default())],
    );
    let mut line = uuid(1).as_bytes().to_vec();
    line.extend_from_slice(&[0; 8]);
    tamper(&disk, "saves", uuid(1).as_bytes(), &[]);
    tamper(&disk, "asks", miner().as_bytes(), &[1, 0]);
    tamper(&disk, "log", &line, &[0xff]);
    tamper(&disk, "pieces", &[4; 32], &[1]);
    tamper(&disk, "pieces", b"short key", &[1]);
    let store = store(&disk);
    let starts = |error: StoreError, with: &str| {
        let text = error.to_string();
        assert!(text.starts_with(&format!("database: {with}")), "{text}");
    };
    let deal = "01010101-0101-0101-0101-010101010101";
    starts(
        store.save_point(uuid(1)).unwrap_err(),
        &format!("save point of deal {deal}: the record is damaged: empty"),
    );
    starts(store.ask(&miner()).unwrap_err(), "ask of f01000: ");
    starts(
        store.log(uuid(1)).unwrap_err(),
        &format!("log of deal {deal}: "),
    );
    assert_eq!(store.pieces(), Ok(Vec::new()));
}
