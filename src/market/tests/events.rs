//! What subscribers are told, and when.

use super::gate::Mode;
use super::world::{Running, World, wait};
use crate::deal::Checkpoint;
use crate::deal::tests::samples::{self, uuid};
use crate::market::events::{Feed, Subscribers};
use crate::market::{DealEvent, Events, Handle, ReadError, Wish};
use crate::store::{LogLine, Write, log_line};
use futures::FutureExt;
use std::sync::Arc;
use uuid::Uuid;

/// An event that is there already.
fn ready(events: &mut Events) -> Option<DealEvent> {
    events.next().now_or_never().flatten()
}

fn line(number: u64) -> LogLine {
    log_line(number, log::Level::Info, &number.to_string())
}

fn logged(deal: Uuid, number: u64) -> DealEvent {
    DealEvent::Logged(deal, Arc::new(line(number)))
}

/// Subscribers without a market.
struct Hub {
    subscribers: Subscribers,
    feed: Feed,
}

impl Hub {
    fn new() -> Self {
        let subscribers = Subscribers::new();
        let feed = Feed::new(subscribers.clone());
        Self { subscribers, feed }
    }

    fn log(&self, deal: u8, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.feed.tell(&[logged(uuid(deal), number)]);
        }
    }
}

#[test]
fn who_is_too_slow_loses_the_oldest_and_is_told_how_many() {
    let hub = Hub::new();
    let mut slow = hub.subscribers.add(None).unwrap();
    let mut quick = hub.subscribers.add(None).unwrap();
    for number in 0..1_000 {
        hub.log(1, number..number + 1);
        assert_eq!(ready(&mut quick), Some(logged(uuid(1), number)));
    }
    assert_eq!(ready(&mut slow), Some(DealEvent::Missed(1_000 - 256)));
    for number in 1_000 - 256..1_000 {
        assert_eq!(ready(&mut slow), Some(logged(uuid(1), number)));
    }
    assert_eq!(ready(&mut slow), None);
    // From now on nothing is missing any more.
    hub.log(1, 1_000..1_256);
    for number in 1_000..1_256 {
        assert_eq!(ready(&mut slow), Some(logged(uuid(1), number)));
    }
}

#[test]
fn one_deal_s_events_are_not_crowded_out_by_others() {
    let hub = Hub::new();
    let mut one = hub.subscribers.add(Some(uuid(1))).unwrap();
    hub.log(1, 0..1);
    hub.log(2, 0..1_000);
    hub.log(1, 1..2);
    assert_eq!(ready(&mut one), Some(logged(uuid(1), 0)));
    assert_eq!(ready(&mut one), Some(logged(uuid(1), 1)));
    assert_eq!(ready(&mut one), None);
}

#[test]
fn the_number_of_subscribers_is_bounded_and_places_come_back() {
    let hub = Hub::new();
    let mut all: Vec<Events> = (0..64)
        .map(|_| hub.subscribers.add(Some(uuid(9))).unwrap())
        .collect();
    assert_eq!(hub.subscribers.add(None).unwrap_err(), ReadError::Busy);
    all.pop();
    let mut again = hub.subscribers.add(None).unwrap();
    assert_eq!(hub.subscribers.add(None).unwrap_err(), ReadError::Busy);
    hub.log(1, 0..1);
    assert_eq!(ready(&mut again), Some(logged(uuid(1), 0)));
    // Those who have gone without anybody noticing leave with the next event, whosever it is.
    drop(all);
    hub.log(1, 1..2);
    for _ in 0..63 {
        std::mem::forget(hub.subscribers.add(None).unwrap());
    }
    assert_eq!(hub.subscribers.add(None).unwrap_err(), ReadError::Busy);
}

#[test]
fn the_end_is_told_after_everything_else() {
    let hub = Hub::new();
    let mut events = hub.subscribers.add(None).unwrap();
    hub.log(1, 0..2);
    drop(hub.feed);
    for number in 0..2 {
        assert_eq!(ready(&mut events), Some(logged(uuid(1), number)));
    }
    assert_eq!(events.next().now_or_never(), Some(None));
    assert_eq!(hub.subscribers.add(None).unwrap_err(), ReadError::Stopped);
}

#[test]
fn snapshots_leave_out_the_transfer_s_parameters_and_the_stored_deal_keeps_them() {
    let deal = samples::online();
    assert!(!deal.request.params.is_empty());
    let mut writes = vec![
        Write::Deal(Box::new(deal.clone())),
        Write::Log(deal.uuid, line(7)),
        Write::DropSave(deal.uuid),
    ];
    let mut shown = deal.clone();
    shown.request.params.clear();
    let shown = Arc::new(shown);
    let events = crate::market::events::of(&mut writes, true);
    assert_eq!(
        events,
        [DealEvent::New(shown.clone()), logged(deal.uuid, 7)]
    );
    let events = crate::market::events::of(&mut writes, false);
    assert_eq!(events[0], DealEvent::Updated(shown));
    assert!(matches!(&writes[0], Write::Deal(kept) if **kept == deal));
}

/// The next event; it must come within the patience of these tests.
async fn next(events: &mut Events) -> Option<DealEvent> {
    let late = async {
        smol::Timer::after(std::time::Duration::from_secs(60)).await;
        panic!("waited in vain for an event");
    };
    smol::future::or(events.next(), late).await
}

/// Collects events until the deal is sealed.
async fn until_sealed(events: &mut Events) -> Vec<DealEvent> {
    let mut seen = Vec::new();
    loop {
        let event = next(events).await.expect("the market runs");
        let sealed = matches!(&event, DealEvent::Updated(deal) if deal.sealed);
        seen.push(event);
        if sealed {
            return seen;
        }
    }
}

#[test]
fn a_deal_is_told_from_its_acceptance_to_its_end() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let mut all = running.handle.events().unwrap();
        let mut other = running.handle.events_of(uuid(2)).unwrap();
        let mut own = running.handle.events_of(uuid(1)).unwrap();
        running.accepted(&world.online(1)).await;
        let seen = until_sealed(&mut all).await;
        assert_eq!(until_sealed(&mut own).await, seen);
        assert_eq!(ready(&mut other), None);

        assert!(
            matches!(&seen[0], DealEvent::New(deal) if deal.checkpoint == Checkpoint::Accepted)
        );
        let deals: Vec<_> = seen
            .iter()
            .filter_map(|event| match event {
                DealEvent::New(deal) | DealEvent::Updated(deal) => Some(deal),
                _ => None,
            })
            .collect();
        assert!(
            deals
                .windows(2)
                .all(|two| two[0].checkpoint <= two[1].checkpoint)
        );
        assert!(deals.iter().all(|deal| deal.request.params.is_empty()));
        // The lines are those of the log, in its order.
        let lines: Vec<LogLine> = seen
            .iter()
            .filter_map(|event| match event {
                DealEvent::Logged(_, line) => Some((**line).clone()),
                _ => None,
            })
            .collect();
        assert!(lines.len() >= 5, "{lines:?}");
        assert!(running.log(uuid(1)).await.starts_with(&lines));
        let kept = running.deal(uuid(1)).await.unwrap();
        assert!(!kept.request.params.is_empty());

        running.stop().await;
        while let Some(event) = next(&mut all).await {
            assert_eq!(event.uuid(), Some(uuid(1)));
        }
    });
}

/// Proposes in the background.
fn propose(running: &Running, params: &crate::wire::DealParams) -> smol::Task<bool> {
    let (handle, params): (Handle, _) = (running.handle.clone(), params.clone());
    smol::spawn(async move { handle.propose("peer", params).await.accepted })
}

#[test]
fn nothing_is_told_before_it_is_durable() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let mut events = running.handle.events().unwrap();
        running.gate.set(Mode::Held);
        let proposal = propose(&running, &world.online(1));
        wait("the commit", || (running.gate.held() > 0).then_some(())).await;
        // Time enough for whoever would be early; a subscription of now is early enough as well.
        smol::Timer::after(std::time::Duration::from_millis(50)).await;
        assert_eq!(ready(&mut events), None);
        let mut late = running.handle.events_of(uuid(1)).unwrap();
        running.gate.open();
        for events in [&mut events, &mut late] {
            let first = next(events).await;
            assert!(matches!(first, Some(DealEvent::New(deal)) if deal.uuid == uuid(1)));
        }
        assert!(proposal.await);
    });
}

#[test]
fn what_was_not_stored_is_not_told() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let mut events = running.handle.events().unwrap();
        running.gate.set(Mode::Failing);
        let answer = running.propose(&world.online(1)).await;
        assert!(!answer.accepted);
        // The loop ends itself: the database cannot be written to.
        assert_eq!(next(&mut events).await, None);
        assert_eq!(running.handle.events().unwrap_err(), ReadError::Stopped);
    });
}

#[test]
fn an_operator_s_wish_is_told() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(10);
        running.accepted(&world.online(1)).await;
        let mut events = running.handle.events_of(uuid(1)).unwrap();
        let cancel = Wish::Verb(crate::deal::step::Verb::Cancel);
        running.handle.wish(uuid(1), cancel).await.unwrap();
        let ended = loop {
            if let Some(DealEvent::Updated(deal)) = next(&mut events).await
                && deal.ended()
            {
                break deal;
            }
        };
        assert_eq!(
            (ended.checkpoint, ended.error.as_str()),
            (Checkpoint::Complete, "Cancelled")
        );
        world.server.release();
    });
}
