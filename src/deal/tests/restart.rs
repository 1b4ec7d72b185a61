//! What a start makes of stored deals (spec boost-mk12 4.10; edge case 86).

use super::samples::{NOW, at, offline, play, resting, uuid};
use crate::deal::checkpoint::ALL;
use crate::deal::record::Hold;
use crate::deal::step::Event;
use crate::deal::{Checkpoint, Deal, Import};

#[track_caller]
fn check(deal: Deal, expected: &str) {
    let mut live = resting(deal);
    assert_eq!(play(&mut live, Event::Resume), expected);
    // Asked once: a second start signal finds the work under way.
    assert!(matches!(play(&mut live, Event::Resume).as_str(), "-") || expected.contains("WakeUp"));
}

#[test]
fn each_checkpoint_goes_on_where_it_was() {
    let expected = [
        "Accepted → StartPass",
        "Transferred → Publish",
        "Published → WatchMessage",
        // It may have been offered before: whether the sealer has it is looked at first.
        "PublishConfirmed → AddPiece, looking first",
        "AddedPiece → Index",
        "IndexedAndAnnounced → WatchSector",
        "-",
    ];
    for (checkpoint, expected) in ALL.into_iter().zip(expected) {
        check(at(checkpoint), expected);
    }
}

#[test]
fn a_deal_in_an_order_carries_it_out_again() {
    let mut deal = at(Checkpoint::Transferred);
    deal.order = Some(uuid(3));
    let mut live = resting(deal);
    assert_eq!(play(&mut live, Event::Resume), "Transferred → Publish");
    assert_eq!(live.deal.order, Some(uuid(3)), "under the same ID");
}

#[test]
fn a_sealed_deal_rests() {
    let mut deal = at(Checkpoint::IndexedAndAnnounced);
    deal.sealed = true;
    check(deal, "-");
}

#[test]
fn an_offline_deal_waits_for_its_import() {
    check(offline(), "-");
    let mut deal = offline();
    deal.import = Some(Import::new("/a.car", false));
    check(deal.clone(), "Accepted → QueueImport");
    deal.hold = Hold::Room;
    deal.error = "import waits for funds".to_owned();
    check(
        deal.clone(),
        "Accepted waits for room → QueueImport: import waits for funds",
    );
    deal.hold = Hold::None;
    deal.error.clear();
    deal.import.as_mut().unwrap().begun = true;
    check(deal, "Accepted → StartPass");
}

#[test]
fn the_operator_is_waited_for_at_any_checkpoint() {
    for checkpoint in ALL {
        let mut deal = at(checkpoint);
        deal.hold = Hold::Manual;
        check(deal, "-");
    }
}

#[test]
fn a_wait_goes_on() {
    let mut deal = at(Checkpoint::PublishConfirmed);
    deal.hold = Hold::Auto { until: NOW + 7_000 };
    check(deal.clone(), "PublishConfirmed until +7000 → WakeUp(+7000)");
    deal.hold = Hold::Auto { until: NOW - 1 };
    check(deal, "PublishConfirmed → AddPiece, looking first");
}

#[test]
fn data_that_has_gone_is_fetched_again_before_it_is_published() {
    let mut live = resting(at(Checkpoint::Transferred));
    let missing = || Event::DataMissing("/a.car: not found".to_owned());
    assert_eq!(play(&mut live, missing()), "Accepted");
    assert_eq!(live.deal.payload_size, 0);
    assert_eq!(play(&mut live, Event::Resume), "Accepted → StartPass");

    let mut published = at(Checkpoint::Transferred);
    published.order = Some(uuid(3));
    assert_eq!(play(&mut resting(published), missing()), "-");

    let mut deal = offline();
    deal.checkpoint = Checkpoint::Transferred;
    deal.import = Some(Import::new("/a.car", false));
    let mut live = resting(deal);
    assert_eq!(
        play(&mut live, missing()),
        "Accepted waits: imported offline deal file: /a.car: not found"
    );
    // A retry looks at the same file again; its funds are not held meanwhile.
    let import = live.deal.import.as_ref().unwrap();
    assert_eq!((import.path.as_str(), import.begun), ("/a.car", false));
}
