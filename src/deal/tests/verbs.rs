//! Every verb of the operator in every state (spec boost-mk12 4.6, where they differ from the reference is said below).
//!
//! | verb | the reference | here |
//! |---|---|---|
//! | retry | starts the thread if it is not running; kills an offline deal without data | where the deal waits for a retry; else the refusal names what it waits for |
//! | cancel | online: waits until the transfer has stopped, or for ever; offline: terminates before the import | until the data is complete, online or offline, answered at once |
//! | fail | refused while running, allowed at `Published` | refused while something is under way that cannot be called back, or while the message's outcome is open; allowed when the start epoch has passed |
//!
//! Edge case 90 is the texts of `Complete` and of a running deal.

use super::samples::{at, matching, offline, play, resting, running, uuid};
use crate::deal::record::Hold;
use crate::deal::step::{Class, Effect, Event, Live, Setback, Verb};
use crate::deal::{Checkpoint, Import};
use Checkpoint::{
    Accepted, AddedPiece, Complete, IndexedAndAnnounced, PublishConfirmed, Published, Transferred,
};

const UUID: &str = "01010101-0101-0101-0101-010101010101";
const TERMINATED: &str = "Complete → DropStaging: user manually terminated the deal";
const CANCELLED: &str = "Complete → DropStaging: Cancelled";
const TOO_LATE: &str = "refused: transfer already complete";
const OVER: &str = "refused: deal is already complete";
const SEALED: &str = "refused: the deal is sealed: there is nothing left to do";
const ON_ITS_WAY: &str =
    "refused: the publish message is on its way: its outcome must be known first";
const AT_THE_SEALER: &str = "refused: the deal is already with the sealer";

fn not_waiting(what: &str) -> String {
    format!("refused: deal {UUID} is not waiting for a retry: it waits for {what}")
}

fn running_text() -> String {
    format!("refused: the deal {UUID} is running; cannot fail running deal")
}

fn needs_data() -> String {
    format!(
        "refused: deal {UUID} has no data to go on with: bring it with `coracle import {UUID} FILE`"
    )
}

fn held(checkpoint: Checkpoint, hold: Hold) -> Live {
    let mut live = resting(at(checkpoint));
    live.deal.hold = hold;
    live.deal.error = "an old error".to_owned();
    live
}

fn imported() -> Live {
    let mut live = queued();
    live.deal.import.as_mut().unwrap().begun = true;
    live.busy = Some(Effect::StartPass);
    live
}

fn queued() -> Live {
    let mut live = resting(offline());
    live.deal.import = Some(Import::new("/a.car", false));
    live.busy = Some(Effect::QueueImport);
    live
}

fn ordered(mut live: Live) -> Live {
    live.deal.order = Some(uuid(3));
    live
}

fn late(mut live: Live) -> Live {
    live.deal.late = true;
    live
}

fn sealed() -> Live {
    let mut live = resting(at(IndexedAndAnnounced));
    live.deal.sealed = true;
    live
}

#[track_caller]
fn check(state: &str, live: &Live, expected: [&str; 3]) {
    for (verb, expected) in [Verb::Retry, Verb::Cancel, Verb::Fail]
        .into_iter()
        .zip(expected)
    {
        let mut live = live.clone();
        let before = live.deal.clone();
        let shown = play(&mut live, Event::Operator(verb));
        assert_eq!(shown, expected, "{verb:?} of {state}");
        if shown.starts_with("refused") {
            assert_eq!(live.deal, before, "{verb:?} of {state}");
        } else {
            assert_eq!(live.deal.hold, Hold::None, "{verb:?} of {state}");
        }
    }
}

#[test]
fn while_something_is_under_way() {
    let stopped = "Complete → StopPass → DropStaging: Cancelled";
    let running_text = running_text();
    let data = not_waiting("its data");
    check(
        "a transfer",
        &running(Accepted),
        [&data, stopped, &running_text],
    );
    check("an import", &imported(), [&data, stopped, &running_text]);
    let turn = not_waiting("the turn of its import");
    check("a queued import", &queued(), [&turn, CANCELLED, TERMINATED]);
    let mut waits = queued();
    waits.deal.hold = Hold::Room;
    check(
        "an import without funds",
        &waits,
        ["Accepted → QueueImport", CANCELLED, TERMINATED],
    );
    check(
        "a place in a message",
        &running(Transferred),
        [
            &not_waiting("a place in a publish message"),
            TOO_LATE,
            TERMINATED,
        ],
    );
    check(
        "a message being sent",
        &ordered(running(Transferred)),
        [
            &not_waiting("the node's answer to its publish message"),
            TOO_LATE,
            ON_ITS_WAY,
        ],
    );
    check(
        "a message being executed",
        &running(Published),
        [
            &not_waiting("the outcome of its publish message"),
            TOO_LATE,
            ON_ITS_WAY,
        ],
    );
    check(
        "a call at the sealer",
        &running(PublishConfirmed),
        [
            &not_waiting("the sealer to take its piece"),
            TOO_LATE,
            &running_text,
        ],
    );
    check(
        "an index being built",
        &running(AddedPiece),
        [&not_waiting("its index"), TOO_LATE, &running_text],
    );
    check(
        "a sector being sealed",
        &running(IndexedAndAnnounced),
        [
            &not_waiting("its sector to be sealed"),
            TOO_LATE,
            AT_THE_SEALER,
        ],
    );
}

#[test]
fn while_a_deal_stands_still() {
    for hold in [Hold::Manual, Hold::Auto { until: u64::MAX }] {
        let live = |checkpoint| held(checkpoint, hold);
        check(
            "a transfer",
            &live(Accepted),
            ["Accepted → StartPass", CANCELLED, TERMINATED],
        );
        check(
            "publishing",
            &live(Transferred),
            ["Transferred → Publish", TOO_LATE, TERMINATED],
        );
        check(
            "sending",
            &ordered(live(Transferred)),
            ["Transferred → Publish", TOO_LATE, ON_ITS_WAY],
        );
        // Edge case 85: from where it stands, not from the beginning.
        check(
            "a hand-over",
            &live(PublishConfirmed),
            [
                "PublishConfirmed → AddPiece, looking first",
                TOO_LATE,
                TERMINATED,
            ],
        );
        check(
            "indexing",
            &live(AddedPiece),
            ["AddedPiece → Index", TOO_LATE, TERMINATED],
        );
    }
}

#[test]
fn an_offline_deal_without_data() {
    let needs_data = needs_data();
    let mut live = resting(offline());
    check(
        "one that was never imported",
        &live,
        [&needs_data, CANCELLED, TERMINATED],
    );
    // After a wrong file the same path is read again.
    live.deal.import = Some(Import::new("/a.car", false));
    live.deal.hold = Hold::Manual;
    live.deal.error = "commp mismatch".to_owned();
    check(
        "one with a wrong file",
        &live,
        ["Accepted → QueueImport", CANCELLED, TERMINATED],
    );
}

#[test]
fn edge_90_ended_and_running_deals() {
    check(
        "a failed deal",
        &held(Complete, Hold::None),
        [OVER, OVER, OVER],
    );
    check("a sealed deal", &sealed(), [SEALED, SEALED, SEALED]);
    let mut live = held(Complete, Hold::None);
    play(&mut live, Event::Operator(Verb::Retry));
    assert_eq!(live.deal.error, "an old error");
    let shown = play(&mut running(Accepted), Event::Operator(Verb::Fail));
    assert_eq!(shown, running_text());
}

#[test]
fn a_deal_that_is_too_late_may_be_given_up() {
    let outcome = not_waiting("the outcome of its publish message");
    check(
        "a message",
        &late(running(Published)),
        [&outcome, TOO_LATE, TERMINATED],
    );
    let sealing = not_waiting("its sector to be sealed");
    check(
        "a sector",
        &late(running(IndexedAndAnnounced)),
        [&sealing, TOO_LATE, TERMINATED],
    );
    // Others of its message may still be in time: it would be another message without this one.
    let sending = not_waiting("the node's answer to its publish message");
    check(
        "a member of an order",
        &late(ordered(running(Transferred))),
        [&sending, TOO_LATE, ON_ITS_WAY],
    );
    check(
        "a call",
        &late(running(PublishConfirmed)),
        [
            &not_waiting("the sealer to take its piece"),
            TOO_LATE,
            &running_text(),
        ],
    );
}

#[test]
fn what_a_cancelled_pass_says_afterwards_comes_too_late() {
    let mut live = running(Accepted);
    play(&mut live, Event::Operator(Verb::Cancel));
    assert_eq!(play(&mut live, Event::Passed(matching())), "-");
    let stopped = Setback::new(Class::Fatal, "its file is gone");
    assert_eq!(play(&mut live, Event::PassFailed(stopped)), "-");
    assert_eq!(live.deal.error, "Cancelled");
}

#[test]
fn a_cancel_that_comes_too_late_changes_no_later_error() {
    for checkpoint in [Transferred, PublishConfirmed, AddedPiece] {
        let mut live = running(checkpoint);
        assert_eq!(play(&mut live, Event::Operator(Verb::Cancel)), TOO_LATE);
        let setback = || Setback::new(Class::Fatal, "its own reason");
        let failure = match checkpoint {
            Transferred => Event::PublishFailed {
                setback: setback(),
                unsent: true,
            },
            PublishConfirmed => Event::AddPieceFailed(setback()),
            _ => Event::IndexFailed(setback()),
        };
        let ended = play(&mut live, failure);
        assert_eq!(ended, "Complete → DropStaging: its own reason");
    }
}
