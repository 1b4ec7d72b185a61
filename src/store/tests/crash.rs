//! The power is cut at every sync: what was promised is there, and nothing is there by halves.

use super::super::{LogLine, PieceRecord, Redb, Store, Write, log_line};
use super::{Disk, deal, done, put};
use crate::deal::tests::samples::uuid;
use crate::transfer::SavePoint;

/// Commits of the workload.
const COMMITS: u8 = 8;

fn line(number: u8) -> LogLine {
    log_line(u64::from(number), log::Level::Info, "a line")
}

/// One commit: a record of its own in each table, and one record that every commit replaces.
fn writes(number: u8) -> Vec<Write> {
    let mut shared = deal(200);
    shared.tries = u32::from(number);
    // Large enough that the file has to grow on the way.
    shared.error = "x".repeat(usize::from(number) * 5_000);
    let piece = PieceRecord {
        path: "/a.car".to_owned(),
        index: String::new(),
        payload_size: 1,
        padded_size: 128,
        ours: true,
        kept: 0,
    };
    vec![
        put(&deal(number)),
        Write::Log(uuid(number), line(number)),
        Write::Save(uuid(number), SavePoint::default()),
        Write::Piece([number; 32], Box::new(piece)),
        put(&shared),
    ]
}

/// Asks for all commits in small groups and gives those that were promised.
fn work(disk: &Disk, together: usize) -> Vec<u8> {
    let Ok(database) = redb::Database::builder().create_with_backend(disk.clone()) else {
        return Vec::new();
    };
    let Ok(store) = Redb::over(database) else {
        return Vec::new();
    };
    let mut promised = Vec::new();
    let numbers: Vec<u8> = (1..=COMMITS).collect();
    for group in numbers.chunks(together) {
        let told = group.iter().map(|number| {
            let (done, told) = done();
            store.commit(writes(*number), done);
            (*number, told)
        });
        for (number, told) in told.collect::<Vec<_>>() {
            if told.recv().expect("always told").is_ok() {
                promised.push(number);
            }
        }
    }
    promised
}

/// Looks at what a cut has left.
#[track_caller]
fn check(bytes: Vec<u8>, promised: &[u8], when: &str) {
    let disk = Disk::with(bytes);
    let store = super::store(&disk);
    let pieces: Vec<u8> = store
        .pieces()
        .unwrap()
        .iter()
        .map(|(key, _)| key[0])
        .collect();
    let mut last = 0;
    for number in 1..=COMMITS {
        let there = store.deal(uuid(number)).unwrap().is_some();
        let by_cid = store.by_chain_cid(&deal(number).chain_cid).unwrap();
        assert_eq!(
            by_cid,
            there.then(|| uuid(number)),
            "{when}: commit {number}"
        );
        let lines = store.log(uuid(number)).unwrap();
        assert_eq!(
            lines,
            vec![line(number); usize::from(there)],
            "{when}: commit {number}"
        );
        let saved = store.save_point(uuid(number)).unwrap().is_some();
        assert_eq!(saved, there, "{when}: commit {number}");
        assert_eq!(pieces.contains(&number), there, "{when}: commit {number}");
        assert!(
            there || !promised.contains(&number),
            "{when}: commit {number} is lost"
        );
        if there {
            assert_eq!(last + 1, number, "{when}: without the one before it");
            last = number;
        }
    }
    let shared = store.deal(uuid(200)).unwrap();
    assert_eq!(
        shared.map(|deal| deal.tries).unwrap_or_default(),
        u32::from(last),
        "{when}"
    );
    assert_eq!(
        store.live().unwrap().len(),
        usize::from(last + u8::from(last > 0))
    );
    // And it can be written to again.
    super::keep(&store, writes(100));
}

fn cut_everywhere(together: usize) {
    // A file is created beside its place, so a cut can only meet a finished one.
    let created = Disk::default();
    drop(super::store(&created));
    let empty = created.after_cut(|| false);
    let whole = Disk::with(empty.clone());
    assert_eq!(work(&whole, together).len(), usize::from(COMMITS));
    let syncs = whole.syncs();
    assert!(syncs > 4, "the test would look at nothing");
    for cut in 0..syncs {
        let disk = Disk::with(empty.clone());
        disk.cut_at(cut);
        let promised = work(&disk, together);
        assert!(promised.len() <= usize::from(COMMITS));
        check(
            disk.after_cut(|| false),
            &promised,
            &format!("nothing after sync {cut}"),
        );
        check(
            disk.after_cut(|| true),
            &promised,
            &format!("everything up to sync {cut}"),
        );
        for seed in 1..=2_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ cut as u64;
            let torn = disk.after_cut(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state & 1 == 0
            });
            check(torn, &promised, &format!("torn at sync {cut}, seed {seed}"));
        }
    }
}

#[test]
fn one_after_the_other() {
    cut_everywhere(1);
}

#[test]
fn several_at_the_same_time() {
    cut_everywhere(5);
}
