//! Publish orders: when one stays, when it is dissolved (spec boost-mk12 5; edge cases 81–84).

use super::samples::{NOW, message, play, replacement, running, uuid};
use crate::deal::step::{Class, Event, Setback, Verb, step};
use crate::deal::{Checkpoint, Terms};

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

#[test]
fn a_failed_message_lets_its_deals_be_published_again() {
    let mut live = running(Checkpoint::Published);
    let executed = Event::Confirmed {
        message: replacement(),
        exit_code: 16,
        deal_id: None,
    };
    assert_eq!(
        play(&mut live, executed),
        format!(
            "Transferred waits: wait for confirmation of publish message {} failed: exit code 16",
            replacement()
        )
    );
    assert_eq!((live.deal.order, live.deal.chain_deal_id), (None, None));
    assert_eq!(
        play(&mut live, Event::Operator(Verb::Retry)),
        "Transferred → Publish"
    );
}

#[test]
fn a_dropped_deal_says_so() {
    // Edge case 83: the message was executed, this deal was not in it.
    let mut live = running(Checkpoint::Published);
    let executed = Event::Confirmed {
        message: message(),
        exit_code: 0,
        deal_id: None,
    };
    assert_eq!(
        play(&mut live, executed),
        format!(
            "Transferred waits: wait for confirmation of publish message {} failed: \
             deal was invalid at publication",
            message()
        )
    );
    assert_eq!(live.deal.order, None);
    assert!(play(&mut live, Event::Operator(Verb::Fail)).starts_with("Complete"));
}

#[test]
fn an_exit_code_counts_more_than_a_deal_id() {
    let mut live = running(Checkpoint::Published);
    let executed = Event::Confirmed {
        message: message(),
        exit_code: 1,
        deal_id: Some(3),
    };
    assert!(play(&mut live, executed).starts_with("Transferred waits"));
    assert_eq!(live.deal.chain_deal_id, None);
}

#[test]
fn going_back_is_dated() {
    let mut live = running(Checkpoint::Published);
    let executed = Event::Confirmed {
        message: message(),
        exit_code: 1,
        deal_id: None,
    };
    step(&mut live, executed, NOW + 9, &Terms::default());
    assert_eq!(live.deal.checkpoint_at, NOW + 9);
}
