//! `auto` retries by itself, `manual` waits for the operator, a stop is neither (spec boost-mk12 4.5, 4.10, weakness 25).

use super::world::{World, start};
use crate::deal::step::{Verb, expired};
use crate::deal::tests::samples::{self, atto};
use crate::deal::{Checkpoint, Hold};
use crate::market::Wish;
use std::time::Duration;

/// Milliseconds.
const HOUR: u64 = 3_600_000;

/// A world in which whatever is tried again is so an hour later.
fn patient() -> World {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (HOUR, HOUR));
    world
}

#[test]
fn publishing_when_the_start_epoch_has_passed() {
    let mut world = patient();
    world.publish_period(Duration::from_secs(3_600));
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Transferred).await;
        let head = start(1) + 1;
        world.chain.state().head = head;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert_eq!(ended.error, expired(start(1), head));
        assert!(world.chain.state().messages.is_empty());
    });
}

#[test]
fn a_wait_and_its_count_survive_a_restart() {
    let world = patient();
    world.server.status(503);
    world.run(async {
        let mut running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        for tries in 1..=4 {
            let held = running
                .until(uuid, |deal| deal.tries == tries && deal.hold != Hold::None)
                .await;
            let asked = world.server.asked("1").len();
            running.stop().await;
            running = world.start().await;
            // The wait is the same one, down to its end: nothing is tried before that.
            smol::Timer::after(Duration::from_millis(30)).await;
            let again = running.deal(uuid).await.unwrap();
            assert_eq!((again.hold, again.tries), (held.hold, tries));
            assert_eq!(again.error, held.error);
            assert_eq!(world.server.asked("1").len(), asked);
            world.pass(Duration::from_millis(HOUR + HOUR / 2));
        }
        world.server.well();
        world.pass(Duration::from_millis(HOUR + HOUR / 2));
        let deal = running.until_sealed(uuid).await;
        assert_eq!((deal.tries, deal.error.as_str()), (0, ""));
    });
}

#[test]
fn a_wait_doubles_up_to_its_limit() {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (60_000, 240_000));
    world.server.status(503);
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let mut waits = Vec::new();
        for tries in 1..=4 {
            let held = running.until(uuid, |deal| deal.tries == tries).await;
            let Hold::Auto { until } = held.hold else {
                panic!("{held:?}");
            };
            // Each is longer by a spread of up to a quarter.
            waits.push((until - held.updated) / 60_000);
            world.pass(Duration::from_millis(until - held.updated));
        }
        assert_eq!(waits, [1, 2, 4, 4]);
    });
}

#[test]
fn auto_ends_at_once_when_the_start_epoch_makes_it_pointless() {
    let world = patient();
    world.server.status(503);
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until(uuid, |deal| deal.tries == 1).await;
        let held = running.handle.ledgers().await[&samples::miner()].clone();
        assert_eq!(held.collateral, atto(1_000));
        assert!(held.staging > 0);
        let head = start(1) + 1;
        world.chain.state().head = head;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert_eq!(ended.error, expired(start(1), head));
        let held = running.handle.ledgers().await[&samples::miner()].clone();
        assert_eq!((held.collateral, held.staging), (atto(0), 0));
        assert_eq!(held.unpublished, 0);
        super::world::wait("the files' end", || world.staged().is_empty().then_some(())).await;
    });
}

#[test]
fn manual_waits_for_the_operator_and_nobody_else() {
    let world = patient();
    world.chain.state().objected = vec![start(1)];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        world.chain.state().objected.clear();
        running.stop().await;
        world.pass(Duration::from_secs(100 * 24 * 3_600));
        let running = world.start().await;
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(running.deal(uuid).await.unwrap().hold, Hold::Manual);
        let retried = running.handle.wish(uuid, Wish::Verb(Verb::Retry)).await;
        assert_eq!(retried, Ok(()));
        running.until_sealed(uuid).await;
    });
}

#[test]
fn a_stop_is_no_failure() {
    // In the queue, in a transfer, while publishing, while waiting for confirmation, at the sealer.
    let mut world = World::new();
    world.settings.transfers_max = 1;
    world.server.stall_after(600);
    world.run(async {
        let running = world.start().await;
        let first = running.accepted(&world.online(1)).await;
        let second = running.accepted(&world.online(2)).await;
        super::world::wait("the transfer", || {
            (!world.server.asked("1").is_empty()).then_some(())
        })
        .await;
        running.stop().await;
        let running = world.start().await;
        for uuid in [first, second] {
            let deal = running.deal(uuid).await.unwrap();
            assert_eq!(
                (deal.hold, deal.tries, deal.error.as_str()),
                (Hold::None, 0, "")
            );
        }
        world.chain.state().pending = true;
        world.server.release();
        running.until_at(first, Checkpoint::Published).await;
        running.stop().await;
        let running = world.start().await;
        let deal = running.deal(first).await.unwrap();
        assert_eq!((deal.hold, deal.error.as_str()), (Hold::None, ""));
        world.sealer().state().held = true;
        world.chain.state().pending = false;
        super::world::wait("the call", || {
            (world.sealer().state().running > 0).then_some(())
        })
        .await;
        running.stop().await;
        world.sealer().state().held = false;
        let running = world.start().await;
        let deal = running.deal(first).await.unwrap();
        assert_eq!((deal.tries, deal.error.as_str()), (0, ""));
        running.until_sealed(first).await;
        running.until_sealed(second).await;
    });
}
