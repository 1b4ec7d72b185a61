//! Every deal that has not ended waits for something that has a name.

use super::samples::{at, offline, uuid};
use crate::deal::checkpoint::ALL;
use crate::deal::{Checkpoint, Hold, Import, Wait};
use std::collections::BTreeSet;

#[test]
fn each_state_has_its_name() {
    let mut seen = BTreeSet::new();
    for (checkpoint, expected) in ALL.into_iter().zip([
        "data", "publish", "outcome", "sealer", "index", "sealing", "",
    ]) {
        let mut deal = at(checkpoint);
        assert_eq!(Wait::of(&deal).name(), expected);
        seen.insert(expected);
        if checkpoint != Checkpoint::Complete {
            deal.hold = Hold::Manual;
            assert_eq!(Wait::of(&deal), Wait::Operator);
            deal.hold = Hold::Auto { until: 7 };
            assert_eq!(Wait::of(&deal), Wait::Retry(7));
        }
    }
    assert_eq!(seen.len(), 7, "no two are called the same");
}

#[test]
fn a_message_that_may_have_been_sent_is_another_wait() {
    let mut deal = at(Checkpoint::Transferred);
    deal.order = Some(uuid(3));
    assert_eq!(Wait::of(&deal), Wait::Sending);
}

#[test]
fn an_offline_deal_waits_for_its_data_whatever_went_wrong_before() {
    let mut deal = offline();
    for hold in [Hold::None, Hold::Manual, Hold::Auto { until: 7 }] {
        deal.hold = hold;
        assert_eq!(Wait::of(&deal), Wait::Import);
    }
    let mut import = Import::new("/a.car", false);
    deal.import = Some(import.clone());
    deal.hold = Hold::None;
    assert_eq!(Wait::of(&deal), Wait::Turn);
    deal.hold = Hold::Room;
    assert_eq!(Wait::of(&deal), Wait::Room);
    // A wrong file is looked at again when the operator says so.
    deal.hold = Hold::Manual;
    assert_eq!(Wait::of(&deal), Wait::Operator);
    deal.hold = Hold::None;
    import.begun = true;
    deal.import = Some(import);
    assert_eq!(Wait::of(&deal), Wait::Data);
}

#[test]
fn a_sealed_deal_waits_for_nothing() {
    let mut deal = at(Checkpoint::IndexedAndAnnounced);
    assert_eq!(Wait::of(&deal), Wait::Sealing);
    deal.sealed = true;
    assert_eq!((Wait::of(&deal), deal.ended()), (Wait::Nothing, true));
}

#[test]
fn each_wait_reads_well() {
    let waits = [
        Wait::Nothing,
        Wait::Operator,
        Wait::Retry(1),
        Wait::Import,
        Wait::Turn,
        Wait::Room,
        Wait::Data,
        Wait::Message,
        Wait::Sending,
        Wait::Outcome,
        Wait::Sealer,
        Wait::Index,
        Wait::Sealing,
    ];
    let texts: BTreeSet<String> = waits.iter().map(Wait::to_string).collect();
    let names: BTreeSet<&str> = waits.iter().map(|wait| wait.name()).collect();
    assert_eq!((texts.len(), names.len()), (waits.len(), waits.len()));
}
