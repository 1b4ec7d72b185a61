//! The ring of refused proposals.

use super::super::{REFUSED_KEPT_MAX, Redb, RefusedProposal, Store, Write};
use super::{Disk, database, keep, store};
use redb::{Database, TableDefinition};

fn refused(number: u64) -> RefusedProposal {
    RefusedProposal {
        time: number,
        uuid: [7; 16],
        peer: "12D3KooWSample".to_owned(),
        client: "f1client".to_owned(),
        miner: "f01000".to_owned(),
        piece_cid: "baga".to_owned(),
        piece_size: 2_048,
        offline: true,
        told: "no".to_owned(),
        log: "no; raise the limit".to_owned(),
        left_out: 3,
    }
}

fn write(number: u64) -> Write {
    Write::Refused(Box::new(refused(number)))
}

fn times(store: &Redb, limit: usize) -> Vec<u64> {
    let found = store.refused(limit).unwrap();
    found.iter().map(|refused| refused.time).collect()
}

#[test]
fn a_new_file_has_none() {
    assert_eq!(store(&Disk::default()).refused(10), Ok(Vec::new()));
}

#[test]
fn the_newest_come_first_and_survive_a_restart() {
    let disk = Disk::default();
    let first = store(&disk);
    keep(&first, vec![write(1), write(2)]);
    keep(&first, vec![write(3)]);
    assert_eq!(times(&first, 10), [3, 2, 1]);
    assert_eq!(times(&first, 2), [3, 2]);
    assert_eq!(times(&first, 0), [0; 0]);
    assert_eq!(first.refused(1), Ok(vec![refused(3)]));
    drop(first);
    let again = store(&disk);
    keep(&again, vec![write(4)]);
    assert_eq!(times(&again, 10), [4, 3, 2, 1]);
}

#[test]
fn the_oldest_give_way() {
    let store = store(&Disk::default());
    keep(&store, (0..REFUSED_KEPT_MAX + 5).map(write).collect());
    let kept = times(&store, usize::MAX);
    assert_eq!(kept.len() as u64, REFUSED_KEPT_MAX);
    assert_eq!(kept.first(), Some(&(REFUSED_KEPT_MAX + 4)));
    assert_eq!(kept.last(), Some(&5));
}

#[test]
fn a_damaged_record_hides_no_other() {
    const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("refused");
    let disk = Disk::default();
    let first = store(&disk);
    keep(&first, vec![write(1), write(2), write(3)]);
    drop(first);
    let file: Database = database(&disk);
    let transaction = file.begin_write().unwrap();
    let key = 1_u64.to_be_bytes();
    transaction
        .open_table(TABLE)
        .unwrap()
        .insert(key.as_slice(), [1, 0xff].as_slice())
        .unwrap();
    transaction.commit().unwrap();
    drop(file);
    let again = store(&disk);
    assert_eq!(times(&again, 10), [3, 1]);
    keep(&again, vec![write(4)]);
    assert_eq!(times(&again, 10), [4, 3, 1]);
}
