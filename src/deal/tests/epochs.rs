//! What heights mean: the start epoch (spec boost-mk12 4.4, 4.10; edge case 87), activation, the end (4.8 and after it).

use super::samples::{NOW, START, at, offline, play, resting, running, show, uuid};
use crate::deal::checkpoint::ALL;
use crate::deal::step::{Event, FINALITY, Live, OnChain, Outcome, expired, step};
use crate::deal::{Checkpoint, Ending, Hold, Over, Terms};
use Checkpoint::{
    Accepted, AddedPiece, Complete, IndexedAndAnnounced, PublishConfirmed, Published, Transferred,
};

/// Where the sample deal ends.
const END: i64 = START + 518_400;

#[test]
fn up_to_the_start_epoch_heights_mean_nothing() {
    for checkpoint in ALL {
        assert_eq!(play(&mut running(checkpoint), Event::Head(START)), "-");
    }
}

#[test]
fn after_it_each_checkpoint_has_its_rule() {
    for head in [START + 1, START + FINALITY, START + FINALITY + 1, END] {
        let text = expired(START, head);
        let expected = [
            (
                Accepted,
                format!("Complete → StopPass → DropStaging: {text}"),
            ),
            (Transferred, format!("Complete → DropStaging: {text}")),
            // Whatever the height: the message may have been executed in time.
            (Published, "Published".to_owned()),
            // Chain and sealer know more.
            (
                PublishConfirmed,
                "PublishConfirmed → LookForPiece".to_owned(),
            ),
            (AddedPiece, "AddedPiece".to_owned()),
            (IndexedAndAnnounced, "IndexedAndAnnounced".to_owned()),
            (Complete, "-".to_owned()),
        ];
        for (checkpoint, expected) in expected {
            let mut live = running(checkpoint);
            let busy = live.busy;
            assert_eq!(play(&mut live, Event::Head(head)), expected);
            let ended = live.deal.checkpoint == Complete;
            assert_eq!(live.deal.late, !ended, "{checkpoint}");
            assert!(ended || live.busy == busy, "what runs goes on");
        }
    }
}

#[test]
fn a_passed_start_is_said_once() {
    let mut live = running(Published);
    let head = |live: &mut Live| step(live, Event::Head(START + 1), NOW, &Terms::default());
    let first = head(&mut live);
    assert_eq!(
        first.lines[0].text,
        format!(
            "its start epoch {START} has passed; the outcome of its publish message is awaited all the same"
        )
    );
    assert!(first.changed);
    let second = head(&mut live);
    assert!(!second.changed && second.lines.is_empty());
    // The sealer may be away for days: it is asked for again with each head, the driver paces that.
    let mut live = running(PublishConfirmed);
    head(&mut live);
    assert_eq!(
        play(&mut live, Event::Head(START + 2)),
        "PublishConfirmed → LookForPiece"
    );
}

#[test]
fn members_of_an_order_wait_for_its_outcome() {
    for hold in [Hold::None, Hold::Manual, Hold::Auto { until: u64::MAX }] {
        let mut live = resting(at(Transferred));
        live.deal.order = Some(uuid(3));
        live.deal.hold = hold;
        play(&mut live, Event::Head(START + 100_000));
        assert_eq!((live.deal.checkpoint, live.deal.hold), (Transferred, hold));
    }
}

#[test]
fn a_late_message_that_left_the_deal_out_ends_it() {
    let mut live = running(Published);
    play(&mut live, Event::Head(START + 1));
    let dropped = Event::Confirmed {
        message: super::samples::message(),
        exit_code: 0,
        deal_id: None,
        objection: None,
    };
    assert!(play(&mut live, dropped).starts_with("Transferred waits: "));
    let ended = play(&mut live, Event::Head(START + 2));
    assert_eq!(
        ended,
        format!("Complete → DropStaging: {}", expired(START, START + 2))
    );
}

#[test]
fn holds_do_not_keep_a_deal_alive() {
    // `auto` retries until the start epoch makes it pointless; `manual` waits no longer either.
    for hold in [Hold::Manual, Hold::Auto { until: u64::MAX }] {
        for checkpoint in [Accepted, Transferred] {
            let mut live = resting(at(checkpoint));
            live.deal.hold = hold;
            live.deal.error = "an old error".to_owned();
            let outcome = step(&mut live, Event::Head(START + 1), NOW, &Terms::default());
            assert!(outcome.freed.funds && outcome.freed.space && outcome.freed.finished);
            assert_eq!(
                show(&live, &outcome),
                format!("Complete → DropStaging: {}", expired(START, START + 1))
            );
        }
        let mut live = resting(at(PublishConfirmed));
        live.deal.hold = hold;
        let asked = play(&mut live, Event::Head(START + 1));
        assert!(asked.ends_with(" → LookForPiece"), "{asked}");
    }
}

#[test]
fn an_offline_deal_that_waits_for_its_data_expires_too() {
    let mut live = resting(offline());
    let shown = play(&mut live, Event::Head(START + 1));
    assert_eq!(
        shown,
        format!("Complete → DropStaging: {}", expired(START, START + 1))
    );
}

#[test]
fn edge_87_nobody_has_the_piece_and_it_is_too_late() {
    for checkpoint in ALL {
        for mut live in [running(checkpoint), resting(at(checkpoint))] {
            let shown = play(&mut live, Event::NotActivated(START + 1));
            let expected = if checkpoint == PublishConfirmed {
                format!("Complete → DropStaging: {}", expired(START, START + 1))
            } else {
                "-".to_owned()
            };
            assert_eq!(shown, expected, "{checkpoint}");
        }
    }
    let in_time = play(&mut running(PublishConfirmed), Event::NotActivated(START));
    assert_eq!(in_time, "-");
}

fn sealed() -> Live {
    let mut live = resting(at(IndexedAndAnnounced));
    live.deal.sealed = true;
    live
}

fn look(live: &mut Live, head: i64, found: OnChain) -> Outcome {
    let outcome = step(
        live,
        Event::ChainSeen { head, found },
        NOW,
        &Terms::default(),
    );
    assert!(outcome.effects.is_empty());
    assert_eq!(live.deal.checkpoint, IndexedAndAnnounced, "for its clients");
    assert_eq!(outcome.changed, !outcome.lines.is_empty());
    outcome
}

/// What is seen, and what the log and the record say of it.
#[track_caller]
fn check(live: &mut Live, head: i64, found: OnChain, line: &str, over: Option<(Ending, i64)>) {
    let outcome = look(live, head, found);
    let lines: Vec<&str> = outcome
        .lines
        .iter()
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(lines.join("; "), line);
    assert_eq!(live.deal.over.map(|Over { how, epoch }| (how, epoch)), over);
}

#[test]
fn a_deal_becomes_active_and_ends() {
    let mut live = sealed();
    let since = START - 40;
    check(&mut live, START - 50, OnChain::Inactive, "", None);
    let text = format!("active on chain since epoch {since}");
    check(&mut live, START - 30, OnChain::Active(since), &text, None);
    assert_eq!(live.deal.activated, Some(since));
    check(&mut live, END - 1, OnChain::Active(since), "", None);
    let text = format!("its time on chain ended at epoch {END}");
    let over = Some((Ending::Expired, END));
    check(&mut live, END + 5, OnChain::Active(since), &text, over);
    check(&mut live, END + 9, OnChain::Absent, "", over);
}

#[test]
fn an_end_that_was_settled_before_it_was_seen_is_an_end_too() {
    let mut live = sealed();
    let text = format!("its time on chain ended at epoch {END}");
    let over = Some((Ending::Expired, END));
    check(&mut live, END, OnChain::Absent, &text, over);
}

#[test]
fn a_terminated_deal_is_said_to_be_so() {
    let mut live = sealed();
    look(&mut live, START, OnChain::Active(START - 1));
    let head = START + 10_000;
    let text = format!(
        "terminated: the chain does not have it any more at epoch {head}, before its end epoch"
    );
    let over = Some((Ending::Terminated, head));
    check(&mut live, head, OnChain::Absent, &text, over);
    // Seen again: where it was first seen stays.
    check(&mut live, head + 5, OnChain::Absent, "", over);
    // A node that was not whole made it up.
    check(
        &mut live,
        head + 9,
        OnChain::Active(START - 1),
        "on chain again",
        None,
    );
}

#[test]
fn a_slashed_deal_has_the_chain_s_epoch() {
    let mut live = sealed();
    let over = Some((Ending::Slashed, START + 77));
    let text = format!("slashed at epoch {}", START + 77);
    check(
        &mut live,
        START + 100,
        OnChain::Slashed(START + 77),
        &text,
        over,
    );
}

#[test]
fn a_deal_that_was_never_activated_is_said_to_be_so_when_it_is_certain() {
    for found in [OnChain::Inactive, OnChain::Absent] {
        let mut live = sealed();
        check(&mut live, START + FINALITY, found, "", None);
        let head = START + FINALITY + 1;
        let text = format!(
            "not active on chain at epoch {head}: its start epoch has passed, the collateral is lost"
        );
        let over = Some((Ending::NeverActive, head));
        check(&mut live, head, found, &text, over);
    }
}

#[test]
fn a_node_that_is_behind_says_nothing() {
    let mut live = sealed();
    look(&mut live, START, OnChain::Active(START - 1));
    check(&mut live, START - 1, OnChain::Absent, "", None);
    assert_eq!(live.deal.activated, Some(START - 1));
}

#[test]
fn only_sealed_deals_are_looked_at() {
    for checkpoint in ALL {
        let seen = Event::ChainSeen {
            head: END,
            found: OnChain::Absent,
        };
        assert_eq!(play(&mut running(checkpoint), seen), "-");
    }
}
