//! Deals with which no message can be made: found, left out, and the others published (spec boost-mk12 5, edge case 81).

use super::gate::Mode;
use super::publishing::{HOUR, messages, transferred};
use super::world::{World, start, wait};
use crate::deal::step::Verb;
use crate::deal::tests::samples::uuid;
use crate::deal::{Checkpoint, Hold};
use crate::market::Wish;
use std::time::Duration;

/// A provider that puts eight deals into a message.
fn world() -> World {
    let mut world = World::new();
    world.publish_period(HOUR);
    world
}

#[test]
fn the_culprit_of_a_batch_waits_with_its_reason_and_the_rest_shares_one_message() {
    let world = world();
    world.chain.state().poisonous = vec![start(3)];
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=8).await;
        let bad = running
            .until(uuid(3), |deal| deal.hold == Hold::Manual)
            .await;
        assert_eq!((bad.checkpoint, bad.order), (Checkpoint::Transferred, None));
        assert_eq!(
            bad.error,
            format!(
                "recoverable error to publish deal {}: publish validation failed: \
                 the message would fail: exit 16: poison",
                uuid(3)
            )
        );
        for number in [1, 2, 4, 5, 6, 7, 8] {
            running.until_sealed(uuid(number)).await;
        }
        assert_eq!(messages(&world), [7]);
        world.chain.state().poisonous.clear();
        let retry = Wish::Verb(Verb::Retry);
        running.handle.wish(uuid(3), retry).await.unwrap();
        smol::Timer::after(Duration::from_millis(50)).await;
        running.handle.publish_now().await;
        running.until_sealed(uuid(3)).await;
    });
}

#[test]
fn deals_that_do_not_go_together_go_after_each_other() {
    let world = world();
    world.chain.state().quarrelling = vec![start(2), start(6)];
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=8).await;
        for number in 1..=8 {
            running.until_sealed(uuid(number)).await;
        }
        let mut sent = messages(&world);
        sent.sort_unstable();
        assert_eq!(sent, [1, 7]);
    });
}

#[test]
fn what_is_too_large_for_one_message_goes_in_as_few_as_it_needs() {
    let world = world();
    world.chain.state().fit = 3;
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=8).await;
        for number in 1..=8 {
            running.until_sealed(uuid(number)).await;
        }
        let mut sent = messages(&world);
        sent.sort_unstable();
        assert_eq!(sent, [2, 3, 3]);
    });
}

#[test]
fn a_batch_of_bad_deals_only_sends_nothing() {
    let world = world();
    world.chain.state().poisonous = (1..=8).map(start).collect();
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=8).await;
        for number in 1..=8 {
            running
                .until(uuid(number), |deal| deal.hold == Hold::Manual)
                .await;
        }
        assert_eq!(messages(&world), Vec::<usize>::new());
    });
}

#[test]
fn a_cut_in_the_middle_publishes_each_deal_once() {
    let mut tried = 0;
    for written in [false, true] {
        for commits in 0.. {
            let mut world = world();
            world.terms(|terms| terms.deals_per_message = 4);
            world.chain.state().poisonous = vec![start(2)];
            world.chain.state().quarrelling = vec![start(1), start(4)];
            let mut done = false;
            world.run(async {
                let running = world.start().await;
                transferred(&world, &running, 1..=4).await;
                // Nothing can be cut before the last deal has joined the others.
                running.gate.set(Mode::Dying { commits, written });
                let died = wait("the cut or the end", || {
                    let died = running.gate.mode() == Mode::Dead;
                    (died || messages(&world).len() == 2).then_some(died)
                });
                let died = died.await;
                done = !died;
                running.crash().await;
                let running = world.start().await;
                running.handle.publish_now().await;
                for number in [1, 3, 4] {
                    let hurried = async {
                        loop {
                            smol::Timer::after(Duration::from_millis(20)).await;
                            running.handle.publish_now().await;
                        }
                    };
                    let sealed = running.until_sealed(uuid(number));
                    smol::future::or(async { drop(sealed.await) }, hurried).await;
                }
                let bad = running
                    .until(uuid(2), |deal| deal.hold == Hold::Manual)
                    .await;
                assert_eq!(bad.order, None);
                // Each in one message, whichever.
                assert_eq!(messages(&world).iter().sum::<usize>(), 3, "after {commits}");
                running.stop().await;
            });
            tried += 1;
            if done {
                break;
            }
        }
    }
    assert!(tried > 6, "the test would look at nothing: {tried}");
}
