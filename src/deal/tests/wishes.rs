//! What an operator can ask for (spec boost-mk12 4.6, 4.9; edge cases 71, 76, 77, 85, 90).

use super::samples::{at, matching, offline, play, resting, running};
use crate::deal::checkpoint::ALL;
use crate::deal::record::Hold;
use crate::deal::step::{Class, Effect, Event, Live, Setback, Verb};
use crate::deal::{Checkpoint, Import};

fn held(checkpoint: Checkpoint, hold: Hold) -> Live {
    let mut live = resting(at(checkpoint));
    live.deal.hold = hold;
    live.deal.error = "an old error".to_owned();
    live
}

fn import(path: &str) -> Event {
    Event::Imported(Import {
        path: path.to_owned(),
        delete_after: false,
    })
}

#[test]
fn a_retry_goes_on_from_the_checkpoint() {
    // Edge case 85: not from the beginning.
    let expected = [
        (Checkpoint::Accepted, "Accepted → StartPass"),
        (Checkpoint::Transferred, "Transferred → Publish"),
        (
            Checkpoint::PublishConfirmed,
            "PublishConfirmed → AddPiece, looking first",
        ),
        (Checkpoint::AddedPiece, "AddedPiece → Index"),
    ];
    for (checkpoint, expected) in expected {
        for hold in [Hold::Manual, Hold::Auto { until: u64::MAX }] {
            let mut live = held(checkpoint, hold);
            assert_eq!(play(&mut live, Event::Operator(Verb::Retry)), expected);
            assert_eq!(live.deal.hold, Hold::None);
        }
    }
}

#[test]
fn a_retry_of_a_deal_without_data_does_not_fail_it() {
    let mut live = resting(offline());
    live.deal.hold = Hold::Manual;
    assert_eq!(play(&mut live, Event::Operator(Verb::Retry)), "Accepted");
    assert_eq!(live.busy, None);
}

#[test]
fn a_complete_deal_wants_nothing() {
    for verb in [Verb::Retry, Verb::Cancel, Verb::Fail] {
        let mut live = held(Checkpoint::Complete, Hold::None);
        assert_eq!(
            play(&mut live, Event::Operator(verb)),
            "refused: deal is already complete"
        );
        assert_eq!(live.deal.error, "an old error");
    }
}

#[test]
fn a_cancel_ends_what_is_awaited() {
    let cancelled = "Complete → DropStaging: Cancelled";
    let mut waits = held(Checkpoint::Accepted, Hold::Auto { until: u64::MAX });
    assert_eq!(play(&mut waits, Event::Operator(Verb::Cancel)), cancelled);
    let mut empty = resting(offline());
    assert_eq!(play(&mut empty, Event::Operator(Verb::Cancel)), cancelled);
    let mut runs = running(Checkpoint::Accepted);
    assert_eq!(
        play(&mut runs, Event::Operator(Verb::Cancel)),
        "Complete → StopPass → DropStaging: Cancelled"
    );
    // What the pass says afterwards comes too late.
    assert_eq!(play(&mut runs, Event::Passed(matching())), "-");
    let stopped = Setback::new(Class::Fatal, "its file is gone");
    assert_eq!(play(&mut runs, Event::PassFailed(stopped)), "-");
    assert_eq!(runs.deal.error, "Cancelled");
}

#[test]
fn a_standing_deal_can_be_failed_until_the_sealer_has_it() {
    let on_its_way = "refused: the publish message is on its way: its outcome must be known first";
    for checkpoint in ALL {
        let expected = match checkpoint {
            Checkpoint::Published => on_its_way,
            Checkpoint::IndexedAndAnnounced => "refused: the deal is already with the sealer",
            Checkpoint::Complete => "refused: deal is already complete",
            _ => "Complete → DropStaging: user manually terminated the deal",
        };
        let mut live = held(checkpoint, Hold::Manual);
        assert_eq!(play(&mut live, Event::Operator(Verb::Fail)), expected);
    }
}

#[test]
fn a_deal_that_waits_for_its_data_or_its_message_is_not_running() {
    let terminated = "Complete → DropStaging: user manually terminated the deal";
    let mut empty = resting(offline());
    assert_eq!(play(&mut empty, Event::Operator(Verb::Fail)), terminated);
    let mut waits = running(Checkpoint::Transferred);
    assert_eq!(waits.busy, Some(Effect::Publish));
    assert_eq!(play(&mut waits, Event::Operator(Verb::Fail)), terminated);
}

#[test]
fn an_import_starts_the_pass() {
    let mut live = resting(offline());
    assert_eq!(play(&mut live, import("/a.car")), "Accepted → StartPass");
    let stored = live.deal.import.as_ref().unwrap();
    assert_eq!(
        (stored.path.as_str(), stored.delete_after),
        ("/a.car", false)
    );
}

#[test]
fn an_import_is_refused_with_its_reason() {
    // Edge case 77.
    let uuid = "01010101-0101-0101-0101-010101010101";
    let mut online = resting(at(Checkpoint::Accepted));
    assert_eq!(
        play(&mut online, import("/a.car")),
        format!("refused: deal {uuid} is not an offline deal")
    );
    let mut busy = resting(offline());
    play(&mut busy, import("/a.car"));
    assert_eq!(
        play(&mut busy, import("/b.car")),
        format!("refused: deal {uuid} is being imported already")
    );
    assert_eq!(busy.deal.import.as_ref().unwrap().path, "/a.car");
    for checkpoint in &ALL[1..] {
        let mut live = resting(offline());
        live.deal.checkpoint = *checkpoint;
        assert_eq!(
            play(&mut live, import("/b.car")),
            format!(
                "refused: deal {uuid} has already been imported and reached checkpoint {checkpoint}"
            )
        );
    }
}

#[test]
fn another_file_may_be_imported_after_one_that_could_not_be_read() {
    let mut live = resting(offline());
    play(&mut live, import("/a.car"));
    let unreadable = Setback::new(
        Class::Manual,
        "imported offline deal file: it is a directory",
    );
    assert_eq!(
        play(&mut live, Event::PassFailed(unreadable)),
        "Accepted waits: imported offline deal file: it is a directory"
    );
    assert_eq!(play(&mut live, import("/b.car")), "Accepted → StartPass");
    assert_eq!(live.deal.error, "");
}
