//! What is written is read again, from the same store and from the next one over the same disk.

use super::super::{
    LOG_LINE_BYTES_MAX, LOG_LINES_MAX, LogLine, PieceRecord, Redb, Store, StoredAsk, Write,
    log_line,
};
use super::{Disk, deal, keep, put, store};
use crate::deal::checkpoint::ALL;
use crate::deal::funds::{Fees, FundsOrder, Kind};
use crate::deal::tests::samples::{self, uuid};
use crate::deal::{Checkpoint, Deal};
use crate::filecoin::{Address, cids};
use crate::transfer::SavePoint;
use uuid::Uuid;

/// Writes, then looks with `see` before and after the store was closed.
#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(
    writes: Vec<Write>,
    see: impl Fn(&Redb) -> T,
    expected: &T,
) {
    let disk = Disk::default();
    let first = store(&disk);
    keep(&first, writes);
    assert_eq!(&see(&first), expected, "before closing");
    drop(first);
    assert_eq!(&see(&store(&disk)), expected, "after closing");
}

#[test]
fn a_deal() {
    let kept = deal(1);
    let see = |store: &Redb| {
        (
            store.deal(uuid(1)).unwrap(),
            store.deal(uuid(2)).unwrap(),
            store.by_chain_cid(&kept.chain_cid).unwrap(),
            store.by_chain_cid(&cids::chain_cid(b"unknown")).unwrap(),
        )
    };
    let expected = (Some(kept.clone()), None, Some(uuid(1)), None);
    check(vec![put(&kept)], see, &expected);
}

#[test]
fn a_later_record_replaces_the_earlier_one() {
    let (first, mut second) = (deal(1), deal(1));
    second.error = "later".to_owned();
    second.updated += 1;
    let see = |store: &Redb| store.deal(uuid(1)).unwrap();
    check(vec![put(&first), put(&second)], see, &Some(second.clone()));
}

#[test]
fn live_deals_are_those_that_have_not_ended() {
    let mut deals: Vec<Deal> = (0..)
        .zip(ALL)
        .map(|(number, checkpoint)| Deal {
            uuid: uuid(number),
            chain_cid: deal(number).chain_cid,
            ..samples::at(checkpoint)
        })
        .collect();
    let mut sealed = samples::at(Checkpoint::IndexedAndAnnounced);
    sealed.uuid = uuid(7);
    sealed.sealed = true;
    deals.push(sealed);
    let live: Vec<Uuid> = (0..6).map(uuid).collect();
    let see = |store: &Redb| -> Vec<Uuid> {
        let deals = store.live().unwrap();
        deals.into_iter().map(|deal| deal.uuid).collect()
    };
    check(deals.iter().map(put).collect(), see, &live);
}

#[test]
fn a_deal_that_ends_is_no_longer_live() {
    let (running, mut ended) = (deal(1), deal(1));
    ended.checkpoint = Checkpoint::Complete;
    let see = |store: &Redb| (store.live().unwrap().len(), store.deal(uuid(1)).unwrap());
    check(
        vec![put(&running), put(&ended)],
        see,
        &(0, Some(ended.clone())),
    );
}

fn line(number: u64) -> LogLine {
    log_line(number, log::Level::Info, &format!("line {number}"))
}

#[test]
fn a_log_in_its_order() {
    let lines = [line(3), line(1), line(2)];
    let writes = lines
        .iter()
        .map(|line| Write::Log(uuid(1), line.clone()))
        .chain([Write::Log(uuid(2), line(9))])
        .collect();
    let see = |store: &Redb| {
        (
            store.log(uuid(1)).unwrap(),
            store.log(uuid(2)).unwrap(),
            store.log(uuid(3)).unwrap(),
        )
    };
    check(writes, see, &(lines.to_vec(), vec![line(9)], vec![]));
}

#[test]
fn a_log_forgets_its_oldest_lines() {
    let number = LOG_LINES_MAX + 5;
    // Neighbours of the UUID must not be touched.
    let writes = [uuid(0), uuid(2)]
        .map(|neighbour| Write::Log(neighbour, line(0)))
        .into_iter()
        .chain((0..number).map(|number| Write::Log(uuid(1), line(number))))
        .collect();
    let see = |store: &Redb| {
        let numbers = store.log(uuid(1)).unwrap();
        let neighbours = [uuid(0), uuid(2)].map(|uuid| store.log(uuid).unwrap().len());
        (numbers, neighbours)
    };
    let expected = (5..number).map(line).collect();
    check(writes, see, &(expected, [1, 1]));
}

#[test]
fn numbers_of_lines_go_on_when_the_oldest_have_gone() {
    let gone = 5;
    let total = LOG_LINES_MAX + gone;
    let writes = (0..total)
        .map(|number| Write::Log(uuid(1), line(number)))
        .chain([Write::Log(uuid(2), line(0))])
        .collect();
    let numbered = |first: u64| -> Vec<(u64, LogLine)> {
        (first..total)
            .map(|number| (number, line(number)))
            .collect()
    };
    let see = |store: &Redb| {
        [0, gone + 1, total - 1, total, u64::MAX]
            .map(|first| store.log_from(uuid(1), first).unwrap())
    };
    let expected = [
        numbered(gone),
        numbered(gone + 1),
        numbered(total - 1),
        Vec::new(),
        Vec::new(),
    ];
    check(writes, see, &expected);
}

#[test]
fn a_long_line_is_cut_between_characters() {
    let cases = [
        ("short".to_owned(), 5),
        ("x".repeat(LOG_LINE_BYTES_MAX), LOG_LINE_BYTES_MAX),
        ("x".repeat(LOG_LINE_BYTES_MAX + 1), LOG_LINE_BYTES_MAX),
        // The limit lies within the last character that would still begin before it.
        ("€".repeat(LOG_LINE_BYTES_MAX), LOG_LINE_BYTES_MAX / 3 * 3),
        (String::new(), 0),
    ];
    for (text, expected) in cases {
        let line = log_line(0, log::Level::Warn, &text);
        assert_eq!(line.text.len(), expected);
        assert!(text.starts_with(&line.text));
    }
}

#[test]
fn levels_have_names() {
    let names: Vec<&str> = log::Level::iter()
        .map(|level| log_line(0, level, "").level_name())
        .collect();
    assert_eq!(names, ["ERROR", "WARN", "INFO", "DEBUG", "DEBUG"]);
}

#[test]
fn a_save_point() {
    let save = SavePoint {
        offset: u64::MAX,
        hasher: vec![1, 2, 3],
        walker: vec![0xff; 300],
        spool_len: 7,
        validator: Some("\"etag\"".to_owned()),
    };
    let bare = SavePoint::default();
    let see = |store: &Redb| [1, 2, 3].map(|number| store.save_point(uuid(number)).unwrap());
    let writes = vec![
        Write::Save(uuid(1), bare.clone()),
        Write::Save(uuid(1), save.clone()),
        Write::Save(uuid(2), bare.clone()),
        Write::Save(uuid(3), bare.clone()),
        Write::DropSave(uuid(3)),
        Write::DropSave(uuid(4)),
    ];
    check(writes, see, &[Some(save.clone()), Some(bare), None]);
}

#[test]
fn an_ask() {
    let signature = samples::client_key().sign(b"ask");
    let signed = StoredAsk {
        terms: samples::ask(),
        signature: Some(signature),
        expiry_given: false,
    };
    let unsigned = StoredAsk {
        terms: crate::wire::StorageAsk {
            miner: Address::id(5),
            price: samples::atto(i128::MAX),
            ..samples::ask()
        },
        signature: None,
        expiry_given: true,
    };
    let writes = vec![
        Write::Ask(samples::miner(), Box::new(signed.clone())),
        Write::Ask(Address::id(5), Box::new(unsigned.clone())),
    ];
    let see = |store: &Redb| {
        [samples::miner(), Address::id(5), Address::id(6)].map(|miner| store.ask(&miner).unwrap())
    };
    check(writes, see, &[Some(signed.clone()), Some(unsigned), None]);
}

#[test]
fn pieces() {
    let piece = |number: u64| PieceRecord {
        path: format!("/pieces/{number}.car"),
        index: String::new(),
        payload_size: number,
        padded_size: 2_048,
        ours: number.is_multiple_of(2),
        kept: number,
    };
    let put = |key: u8, number: u64| Write::Piece([key; 32], Box::new(piece(number)));
    let writes = vec![
        put(1, 10),
        put(2, 20),
        put(1, 11),
        put(3, 30),
        Write::DropPiece([3; 32]),
        Write::DropPiece([4; 32]),
    ];
    let see = |store: &Redb| store.pieces().unwrap();
    check(
        writes,
        see,
        &vec![([1; 32], piece(11)), ([2; 32], piece(20))],
    );
}

#[test]
fn an_empty_store_has_nothing() {
    let see = |store: &Redb| {
        (
            store.live().unwrap().len(),
            store.pieces().unwrap().len(),
            store
                .list(&super::super::Listing::default())
                .unwrap()
                .0
                .len(),
        )
    };
    check(Vec::new(), see, &(0, 0, 0));
}

#[test]
fn a_file_is_opened_by_one_program_at_a_time() {
    let name = format!("coracle-store-{}.redb", Uuid::new_v4());
    let path = std::env::temp_dir().join(name);
    let first = Redb::open(&path, 1 << 20).unwrap();
    keep(&first, vec![put(&deal(1))]);
    let error = Redb::open(&path, 1 << 20)
        .err()
        .expect("it is open already");
    assert!(error.to_string().contains(&path.display().to_string()));
    drop(first);
    let second = Redb::open(&path, 1 << 20).unwrap();
    assert_eq!(second.deal(uuid(1)), Ok(Some(deal(1))));
    drop(second);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_creation_that_was_cut_off_is_begun_anew() {
    let name = format!("coracle-store-{}.redb", Uuid::new_v4());
    let path = std::env::temp_dir().join(name);
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, [0; 5_000]).unwrap();
    let store = Redb::open(&path, 1 << 20).unwrap();
    keep(&store, vec![put(&deal(1))]);
    assert!(!unfinished.exists());
    drop(store);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn orders_of_money_and_sums_of_fees() {
    let order = |number: u8| {
        let mut order = FundsOrder::new(uuid(number), Address::id(1), Kind::Add, 9);
        order.amount = samples::atto(u64::from(number));
        order
    };
    let mut later = order(1);
    later.fail("why");
    let fees = |counted: u64| Fees {
        counted,
        ..Fees::default()
    };
    let keep = |miner: u64, counted| Write::Fees(Address::id(miner), Box::new(fees(counted)));
    let writes = vec![
        Write::Funds(Box::new(order(1))),
        Write::Funds(Box::new(order(2))),
        Write::Funds(Box::new(later.clone())),
        Write::DropFunds(uuid(2)),
        Write::DropFunds(uuid(3)),
        keep(1, 1),
        keep(2, 7),
        keep(1, 2),
    ];
    let see = |store: &Redb| (store.funds().unwrap(), store.fees().unwrap());
    let sums = vec![(Address::id(1), fees(2)), (Address::id(2), fees(7))];
    check(writes, see, &(vec![later.clone()], sums));
}
