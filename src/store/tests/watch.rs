//! The turns of sealed deals.

use super::super::{Redb, Store, Watched, Write};
use super::{Disk, database, deal, keep, put, store};
use crate::deal::tests::samples::uuid;
use crate::deal::{Checkpoint, Deal, Ending, Over};
use redb::TableDefinition;

/// Beyond any turn of these tests.
const LONGEST: u64 = 1_000;

fn turn(number: u8, was: Option<u64>, next: Option<u64>) -> Write {
    Write::Watch {
        deal: uuid(number),
        was,
        next,
    }
}

fn due(store: &Redb, now: u64, limit: usize) -> Vec<(u64, u8)> {
    let watched = store.watched(now, LONGEST, limit).unwrap();
    let short = |found: &Watched| (found.due, found.uuid.as_bytes()[0]);
    watched.iter().map(short).collect()
}

fn sealed(number: u8) -> Deal {
    let mut deal = deal(number);
    deal.checkpoint = Checkpoint::IndexedAndAnnounced;
    deal.sealed = true;
    deal
}

#[test]
fn turns_come_in_their_order_and_no_more_than_asked_for() {
    let disk = Disk::default();
    let first = store(&disk);
    keep(
        &first,
        vec![
            put(&sealed(1)),
            put(&sealed(2)),
            put(&sealed(3)),
            turn(1, None, Some(30)),
            turn(2, None, Some(10)),
            turn(3, None, Some(20)),
        ],
    );
    drop(first);
    let store = store(&disk);
    assert_eq!(due(&store, 9, 9), []);
    assert_eq!(due(&store, 10, 9), [(10, 2)]);
    assert_eq!(due(&store, 30, 9), [(10, 2), (20, 3), (30, 1)]);
    assert_eq!(due(&store, 30, 2), [(10, 2), (20, 3)]);
    let found = store.watched(10, LONGEST, 1).unwrap();
    assert_eq!(found[0].deal, Ok(Some(sealed(2))));
}

#[test]
fn a_turn_moves_or_ends() {
    let disk = Disk::default();
    let store = store(&disk);
    keep(
        &store,
        vec![turn(1, None, Some(10)), turn(2, None, Some(10))],
    );
    keep(
        &store,
        vec![turn(1, Some(10), Some(50)), turn(2, Some(10), None)],
    );
    assert_eq!(due(&store, 40, 9), []);
    assert_eq!(due(&store, 50, 9), [(50, 1)]);
}

#[test]
fn a_turn_that_is_absurdly_late_comes_now() {
    let disk = Disk::default();
    let store = store(&disk);
    let now = 100;
    keep(
        &store,
        vec![
            turn(1, None, Some(now + LONGEST)),
            turn(2, None, Some(now + LONGEST + 1)),
            turn(3, None, Some(now)),
        ],
    );
    assert_eq!(due(&store, now, 9), [(now, 3), (now + LONGEST + 1, 2)]);
}

#[test]
fn a_record_that_cannot_be_read_does_not_stand_in_the_way() {
    let disk = Disk::default();
    drop(store(&disk));
    {
        let file = database(&disk);
        let write = file.begin_write().unwrap();
        let deals: TableDefinition<&[u8], &[u8]> = TableDefinition::new("deals");
        write
            .open_table(deals)
            .unwrap()
            .insert(uuid(1).as_bytes().as_slice(), [1, 0xff].as_slice())
            .unwrap();
        write.commit().unwrap();
    }
    let store = store(&disk);
    keep(
        &store,
        vec![
            put(&sealed(2)),
            turn(1, None, Some(1)),
            turn(2, None, Some(2)),
            turn(3, None, Some(3)),
        ],
    );
    let found = store.watched(9, LONGEST, 9).unwrap();
    assert!(found[0].deal.is_err());
    assert_eq!(found[1].deal, Ok(Some(sealed(2))));
    assert_eq!(found[2].deal, Ok(None));
}

/// A file of before there were turns.
fn without_turns(disk: &Disk, deals: &[Deal]) {
    let first = store(disk);
    keep(&first, deals.iter().map(put).collect());
    drop(first);
    let file = database(disk);
    let write = file.begin_write().unwrap();
    let watch: TableDefinition<&[u8], ()> = TableDefinition::new("watch");
    assert!(write.delete_table(watch).unwrap());
    write.commit().unwrap();
}

#[test]
fn the_sealed_deals_of_an_older_file_get_their_turns() {
    let disk = Disk::default();
    let mut failed = deal(1);
    failed.checkpoint = Checkpoint::Complete;
    let mut over = sealed(3);
    over.over = Some(Over {
        how: Ending::Expired,
        epoch: 7,
    });
    without_turns(&disk, &[failed, sealed(2), over, deal(4), sealed(5)]);
    let first = store(&disk);
    assert_eq!(due(&first, 1, 9), [(0, 2), (0, 5)]);
    // Once: what was decided afterwards stays.
    keep(&first, vec![turn(2, Some(0), None)]);
    drop(first);
    assert_eq!(due(&store(&disk), 1, 9), [(0, 5)]);
}
