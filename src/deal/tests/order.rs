//! Publish orders: when one stays, when it is dissolved (spec boost-mk12 5; edge cases 81–84).

use super::samples::{NOW, message, play, replacement, running, uuid};
use crate::deal::step::{Class, Event, FAILED_MESSAGES_MAX, Line, Setback, Verb, step};
use crate::deal::{Checkpoint, Hold, Terms};

fn failed(class: Class, unsent: bool) -> Event {
    Event::PublishFailed {
        setback: Setback::new(class, "why"),
        unsent,
    }
}

#[test]
fn an_order_that_may_have_been_sent_stays() {
    let mut live = running(Checkpoint::Transferred);
    play(&mut live, Event::Ordered(uuid(3)));
    play(&mut live, failed(Class::Auto, false));
    assert_eq!(
        live.deal.order,
        Some(uuid(3)),
        "asked for again under its ID"
    );
    let later = NOW + 60_000;
    let outcome = step(&mut live, Event::Resume, later, &Terms::default());
    assert_eq!(outcome.effects, [crate::deal::step::Effect::Publish]);
}

#[test]
fn an_order_that_was_refused_is_dissolved() {
    let mut live = running(Checkpoint::Transferred);
    play(&mut live, Event::Ordered(uuid(3)));
    assert_eq!(
        play(&mut live, failed(Class::Manual, true)),
        "Transferred waits: why"
    );
    assert_eq!(live.deal.order, None);
    assert_eq!(
        play(&mut live, Event::Operator(Verb::Retry)),
        "Transferred → Publish"
    );
}

#[test]
fn no_member_leaves_an_order_alone() {
    let mut live = running(Checkpoint::Transferred);
    live.deal.order = Some(uuid(3));
    let on_its_way = "refused: the publish message is on its way: its outcome must be known first";
    assert_eq!(play(&mut live, Event::Operator(Verb::Fail)), on_its_way);
    play(&mut live, failed(Class::Auto, false));
    assert_eq!(play(&mut live, Event::Operator(Verb::Fail)), on_its_way);
    play(&mut live, failed(Class::Auto, true));
    assert!(play(&mut live, Event::Operator(Verb::Fail)).starts_with("Complete"));
}

/// The message was executed with this exit code and without the deal.
fn executed(exit_code: i64, objection: Option<&str>) -> Event {
    Event::Confirmed {
        message: message(),
        exit_code,
        deal_id: None,
        objection: objection.map(str::to_owned),
    }
}

fn not_confirmed(why: &str) -> String {
    format!(
        "wait for confirmation of publish message {} failed: {why}",
        message()
    )
}

#[test]
fn a_deal_without_fault_is_published_again_by_itself_and_not_for_ever() {
    let mut live = running(Checkpoint::Published);
    for failed in 1..FAILED_MESSAGES_MAX {
        let shown = play(&mut live, executed(16, None));
        assert!(shown.starts_with("Transferred until +"), "{shown}");
        assert_eq!(live.deal.error, not_confirmed("exit code 16"));
        assert_eq!((live.deal.order, live.deal.chain_deal_id), (None, None));
        assert_eq!(live.deal.failed_messages, failed);
        let later = NOW + 600_000;
        let outcome = step(&mut live, Event::Resume, later, &Terms::default());
        assert_eq!(outcome.effects, [crate::deal::step::Effect::Publish]);
        play(&mut live, Event::Ordered(uuid(3)));
        play(&mut live, Event::PublishSent(message()));
    }
    play(&mut live, executed(16, None));
    let why = "exit code 16, for no reason that a dry run shows, 3 times";
    assert_eq!(
        (live.deal.hold, live.deal.error.as_str()),
        (Hold::Manual, not_confirmed(why).as_str())
    );
    // The operator has looked: it may fail as often again.
    assert_eq!(
        play(&mut live, Event::Operator(Verb::Retry)),
        "Transferred → Publish"
    );
    assert_eq!(live.deal.failed_messages, 0);
}

#[test]
fn a_deal_that_fails_alone_too_waits_for_the_operator() {
    let mut live = running(Checkpoint::Published);
    let why = "exit code 16; this deal fails alone too: no funds";
    assert_eq!(
        play(&mut live, executed(16, Some("no funds"))),
        format!("Transferred waits: {}", not_confirmed(why))
    );
    assert_eq!(live.deal.order, None);
}

#[test]
fn an_executed_message_ends_the_count_of_failed_ones() {
    let mut live = running(Checkpoint::Published);
    live.deal.failed_messages = 2;
    let taken = Event::Confirmed {
        message: replacement(),
        exit_code: 0,
        deal_id: Some(7),
        objection: None,
    };
    play(&mut live, taken);
    assert_eq!(live.deal.failed_messages, 0);
    assert_eq!(live.deal.publish_cid, Some(replacement()), "edge case 84");
}

#[test]
fn a_deal_that_does_not_fit_goes_with_another_order() {
    let mut live = running(Checkpoint::Transferred);
    assert_eq!(play(&mut live, Event::Reordered(uuid(4))), "-");
    play(&mut live, Event::Ordered(uuid(3)));
    play(&mut live, Event::Reordered(uuid(4)));
    assert_eq!(live.deal.order, Some(uuid(4)));
    let mut live = running(Checkpoint::Published);
    let order = live.deal.order;
    assert_eq!(play(&mut live, Event::Reordered(uuid(9))), "-", "too late");
    assert_eq!(live.deal.order, order);
}

#[test]
fn a_dropped_deal_says_so() {
    // Edge case 83: the message was executed, this deal was not in it.
    let mut live = running(Checkpoint::Published);
    let invalid = not_confirmed("deal was invalid at publication");
    assert_eq!(
        play(&mut live, executed(0, None)),
        format!("Transferred waits: {invalid}")
    );
    assert_eq!(live.deal.order, None);
    // The reason that a dry run gives is for the log.
    let mut other = running(Checkpoint::Published);
    let event = executed(0, Some("no escrow"));
    let outcome = step(&mut other, event, NOW, &Terms::default());
    assert_eq!(other.deal.error, invalid);
    let told = |line: &Line| line.text.contains("alone it fails with: no escrow");
    assert!(outcome.lines.iter().any(told), "{:?}", outcome.lines);
    assert!(play(&mut live, Event::Operator(Verb::Fail)).starts_with("Complete"));
}

#[test]
fn an_exit_code_counts_more_than_a_deal_id() {
    let mut live = running(Checkpoint::Published);
    let executed = Event::Confirmed {
        message: message(),
        exit_code: 1,
        deal_id: Some(3),
        objection: None,
    };
    assert!(play(&mut live, executed).starts_with("Transferred until"));
    assert_eq!(live.deal.chain_deal_id, None);
}

#[test]
fn going_back_is_dated() {
    let mut live = running(Checkpoint::Published);
    let executed = Event::Confirmed {
        message: message(),
        exit_code: 1,
        deal_id: None,
        objection: None,
    };
    step(&mut live, executed, NOW + 9, &Terms::default());
    assert_eq!(live.deal.checkpoint_at, NOW + 9);
}
