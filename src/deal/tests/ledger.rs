//! What live deals hold (spec boost-mk12 4.7).

use super::samples::{at, atto, miner, offline, online, uuid};
use crate::deal::checkpoint::ALL;
use crate::deal::ledger::{Ledger, holds_funds, staging_bytes};
use crate::deal::{Checkpoint, Deal, Import, Terms};
use crate::filecoin::Address;

fn ledger(deals: &[Deal]) -> Ledger {
    Ledger::of(deals.iter(), &miner())
}

#[test]
fn nothing_is_held_for_nobody() {
    assert_eq!(ledger(&[]), Ledger::default());
    assert_eq!(Ledger::default().collateral, atto(0));
}

#[test]
fn each_checkpoint_holds_what_it_holds() {
    // Collateral, a place in a message or a message of its own, bytes.
    let expected = [
        (Checkpoint::Accepted, 1_000, (1, 0), 2_000),
        (Checkpoint::Transferred, 1_000, (1, 0), 2_000),
        (Checkpoint::Published, 1_000, (0, 1), 2_000),
        (Checkpoint::PublishConfirmed, 0, (0, 0), 2_000),
        (Checkpoint::AddedPiece, 0, (0, 0), 0),
        (Checkpoint::IndexedAndAnnounced, 0, (0, 0), 0),
        (Checkpoint::Complete, 0, (0, 0), 0),
    ];
    assert_eq!(expected.map(|(checkpoint, ..)| checkpoint), ALL);
    for (checkpoint, collateral, (unpublished, messages), staging) in expected {
        let sums = ledger(&[at(checkpoint)]);
        assert_eq!(sums.collateral, atto(collateral), "{checkpoint}");
        assert_eq!(sums.unpublished, unpublished, "{checkpoint}");
        assert_eq!(sums.messages, messages, "{checkpoint}");
        assert_eq!(sums.staging, staging, "{checkpoint}");
    }
}

#[test]
fn an_offline_deal_holds_funds_from_its_import_s_turn_on_and_never_space() {
    let mut deal = offline();
    assert!(!holds_funds(&deal));
    let mut import = Import::new("/a.car", true);
    deal.import = Some(import.clone());
    deal.request.size = 5_000;
    assert!(!holds_funds(&deal), "it waits for its turn");
    import.begun = true;
    deal.import = Some(import);
    assert!(holds_funds(&deal));
    assert_eq!(staging_bytes(&deal), 0);
}

#[test]
fn sums_are_over_all_deals_of_the_miner() {
    let mut foreign = online();
    foreign.signed.proposal.provider = Address::id(1_001);
    let deals = [online(), at(Checkpoint::Published), foreign, online()];
    let sums = ledger(&deals);
    assert_eq!(sums.collateral, atto(3_000));
    assert_eq!(sums.unpublished, 2);
    assert_eq!(sums.staging, 8_000, "all miners share one staging area");
}

#[test]
fn absurd_sizes_saturate() {
    let mut deal = online();
    deal.request.size = u64::MAX;
    assert_eq!(ledger(&[deal.clone(), deal]).staging, u64::MAX);
}

#[test]
fn the_reserve_is_a_fee_cap_for_each_message() {
    let mut terms = Terms {
        publish_fee_max: atto(10),
        deals_per_message: 8,
        ..Terms::default()
    };
    let cases = [(0, 0), (1, 10), (8, 10), (9, 20), (16, 20), (17, 30)];
    for (unpublished, expected) in cases {
        let reserve = Ledger::default().publish_reserve(unpublished, &terms);
        assert_eq!(reserve, atto(expected), "{unpublished}");
    }
    let sums = Ledger {
        unpublished: 7,
        messages: 2,
        ..Ledger::default()
    };
    assert_eq!(sums.publish_reserve(1, &terms), atto(30));
    assert_eq!(sums.publish_reserve(2, &terms), atto(40));
    terms.deals_per_message = 0;
    assert_eq!(Ledger::default().publish_reserve(3, &terms), atto(30));
}

#[test]
fn a_message_counts_once_from_its_order_to_its_confirmation() {
    let ordered = |checkpoint, order| {
        let mut deal = at(checkpoint);
        deal.order = Some(uuid(order));
        deal
    };
    // Two deals share the first message, which is sent for one of them already: that cannot be, but must not count twice.
    let deals = [
        ordered(Checkpoint::Transferred, 1),
        ordered(Checkpoint::Published, 1),
        ordered(Checkpoint::Published, 2),
        ordered(Checkpoint::PublishConfirmed, 3),
        at(Checkpoint::Transferred),
    ];
    let sums = ledger(&deals);
    assert_eq!((sums.messages, sums.unpublished), (2, 1));
    assert_eq!(sums.collateral, atto(4_000));
}
