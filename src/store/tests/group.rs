//! Commits that are asked for at the same time share transactions.

use super::super::{Counts, Redb, Store, StoreError, Write};
use super::{Disk, database, deal, done, keep, put, store};
use crate::deal::tests::samples::uuid;
use std::sync::Arc;

const COMMITS: u8 = 250;

#[test]
fn commits_that_wait_share_one_transaction() {
    let disk = Disk::default();
    let store = store(&disk);
    keep(&store, vec![put(&deal(1))]);
    let before = disk.syncs();
    keep(&store, vec![put(&deal(2))]);
    let alone = disk.syncs() - before;
    assert!(alone > 0, "a commit is synced");

    disk.hold();
    let (first, _told) = done();
    store.commit(vec![put(&deal(3))], first);
    // Two for each, so that the order within a deal can be looked at.
    let mut all = Vec::new();
    for number in 0..COMMITS {
        for error in ["first", "second"] {
            let (done, told) = done();
            let mut deal = deal(number);
            deal.error = error.to_owned();
            store.commit(vec![put(&deal)], done);
            all.push(told);
        }
    }
    let before = disk.syncs();
    for told in &all {
        assert!(told.try_recv().is_err(), "told before anything is synced");
    }
    disk.release();
    for told in all {
        assert_eq!(told.recv().unwrap(), Ok(()));
    }
    // The first one alone, perhaps with a few others, then everything else; a growing file syncs once more.
    let together = disk.syncs() - before;
    assert!(
        together <= 5 * alone,
        "{together} syncs for {COMMITS} deals"
    );
    for number in 0..COMMITS {
        let kept = store.deal(uuid(number)).unwrap().unwrap();
        assert_eq!(kept.error, "second", "in the order of asking");
    }
}

#[test]
fn nothing_is_said_before_it_is_synced() {
    let disk = Disk::default();
    let store = store(&disk);
    let before = disk.syncs();
    disk.hold();
    let (done, told) = done();
    store.commit(vec![put(&deal(1))], done);
    let early = told.recv_timeout(std::time::Duration::from_millis(50));
    assert!(early.is_err(), "{early:?}");
    assert_eq!(store.deal(uuid(1)), Ok(None), "not readable either");
    disk.release();
    assert_eq!(told.recv().unwrap(), Ok(()));
    assert!(disk.syncs() > before);
}

#[test]
fn what_waits_when_the_store_is_closed_is_still_written() {
    let disk = Disk::default();
    let closing = store(&disk);
    disk.hold();
    let told: Vec<_> = (1..=20)
        .map(|number| {
            let (done, told) = done();
            closing.commit(vec![put(&deal(number))], done);
            told
        })
        .collect();
    let closer = std::thread::spawn(move || drop(closing));
    disk.release();
    closer.join().unwrap();
    for told in told {
        assert_eq!(told.recv().unwrap(), Ok(()));
    }
    assert_eq!(store(&disk).live().unwrap().len(), 20);
}

#[test]
fn a_disk_that_fails_fails_everybody_who_waited() {
    let disk = Disk::default();
    let store = store(&disk);
    keep(&store, vec![put(&deal(1))]);
    disk.hold();
    disk.cut_at(disk.syncs());
    let told: Vec<_> = (2..=10)
        .map(|number| {
            let (done, told) = done();
            store.commit(vec![put(&deal(number))], done);
            told
        })
        .collect();
    disk.release();
    let before = store.counts();
    for told in told {
        let result = told.recv().unwrap();
        assert!(matches!(result, Err(StoreError::Database(_))), "{result:?}");
    }
    assert_eq!(store.counts(), before, "only what is durable counts");
    // It stays so until the file is opened again.
    let (done, told) = done();
    store.commit(vec![Write::DropSave(uuid(1))], done);
    assert!(told.recv().unwrap().is_err());
}

#[test]
fn without_a_thread_commits_wait_for_a_hand() {
    let disk = Disk::default();
    let store = Redb::by_hand(database(&disk)).unwrap();
    let (first, told_first) = done();
    let (second, told_second) = done();
    store.commit(vec![Write::DropPiece([1; 32])], first);
    store.commit(vec![Write::DropPiece([2; 32])], second);
    assert!(told_first.try_recv().is_err());
    let syncs = disk.syncs();
    assert_eq!(store.waiting(), 2);
    assert_eq!(store.write_waiting(), 2);
    assert!(disk.syncs() > syncs);
    assert_eq!(told_first.try_recv(), Ok(Ok(())));
    assert_eq!(told_second.try_recv(), Ok(Ok(())));
    assert_eq!(store.write_waiting(), 0);
    let together = Counts {
        commits: 1,
        changes: 2,
    };
    assert_eq!(store.counts(), together);
    // Who waits is the hand, for all that waited before.
    let (third, told_third) = done();
    store.commit(vec![Write::DropPiece([3; 32])], third);
    assert_eq!(store.commit_and_wait(Vec::new()), Ok(()));
    assert_eq!(told_third.try_recv(), Ok(Ok(())));
}

#[test]
fn a_file_is_closed_with_its_last_user_and_opens_again() {
    use futures::FutureExt;
    let path = std::env::temp_dir().join(format!("coracle-closed-{}", uuid::Uuid::new_v4()));
    let first = Arc::new(Redb::open(&path, 1 << 20).unwrap());
    let mut closed = Box::pin(first.closed());
    let second = Arc::clone(&first);
    keep(&first, vec![put(&deal(1))]);
    drop(first);
    assert!((&mut closed).now_or_never().is_none(), "it has a user");
    assert!(Redb::open(&path, 1 << 20).is_err());
    let user = std::thread::spawn(move || {
        let found = second.deal(uuid(1));
        drop(second);
        found
    });
    smol::block_on(closed);
    let again = Redb::open(&path, 1 << 20).unwrap();
    assert_eq!(again.deal(uuid(1)), user.join().unwrap());
    drop(again);
    std::fs::remove_file(&path).unwrap();
}
