//! Messages that wait for too long, and those in their place (edge case 84); messages that must be final.

use super::publishing::messages;
use super::world::{Running, World, wait};
use crate::chain::ChainError;
use crate::deal::Checkpoint;
use crate::store::Store;
use uuid::Uuid;

/// A provider whose messages wait until they are replaced.
fn world() -> World {
    let mut world = World::new();
    world.terms(|terms| terms.stuck_after = 20);
    world.chain.state().pending = true;
    world.chain.state().pending_until_replaced = true;
    world
}

/// A deal whose message waits, and was seen to.
async fn waiting(world: &World, running: &Running) -> Uuid {
    let uuid = running.accepted(&world.online(1)).await;
    running.until_at(uuid, Checkpoint::Published).await;
    see(world, running, 0).await;
    uuid
}

/// Lets so many epochs pass and the provider see them.
async fn see(world: &World, running: &Running, epochs: i64) {
    let head = {
        let mut state = world.chain.state();
        state.head += epochs;
        state.head
    };
    wait("the head", || {
        let (seen, _) = running.handle.snapshot().head?;
        (seen == head).then_some(())
    })
    .await;
    // The message is looked up with every look at the chain.
    smol::Timer::after(std::time::Duration::from_millis(40)).await;
}

#[test]
fn a_message_that_waits_for_long_is_replaced_and_either_may_be_executed() {
    for signs_first in [false, true] {
        for executes_replacement in [false, true] {
            let world = world();
            world.chain.state().signs_first = signs_first;
            world.chain.state().executes_replacement = executes_replacement;
            world.run(async {
                let running = world.start().await;
                let uuid = waiting(&world, &running).await;
                let first = running.deal(uuid).await.unwrap().publish_cid.unwrap();
                see(&world, &running, 19).await;
                assert_eq!(world.chain.state().replacements, 0);
                see(&world, &running, 1).await;
                let deal = running.until_sealed(uuid).await;
                let second = {
                    let state = world.chain.state();
                    assert_eq!((state.replacements, state.prepared), (1, 1));
                    state.replaced[&first]
                };
                let executed = if executes_replacement { second } else { first };
                assert_eq!(deal.publish_cid, Some(executed), "edge case 84");
                assert_eq!(messages(&world), [1], "the same deals under the same nonce");
                let log = running.log(uuid).await;
                let line = format!("publish message {second} is in the place of {first}");
                assert!(log.iter().any(|entry| entry.text == line), "{log:?}");
            });
        }
    }
}

#[test]
fn a_message_that_cannot_be_replaced_is_said_once() {
    let world = world();
    world.chain.state().replace_failures = vec![ChainError::Fee("0.05 FIL".to_owned()); 100];
    world.run(async {
        let running = world.start().await;
        let uuid = waiting(&world, &running).await;
        for _ in 0..3 {
            see(&world, &running, 20).await;
        }
        let why = "a higher CORACLE_PUBLISH_FEE_MAX lets it be replaced";
        let deal = running.until(uuid, |deal| deal.error.ends_with(why)).await;
        assert_eq!(deal.checkpoint, Checkpoint::Published);
        let log = running.log(uuid).await;
        let lines = log
            .iter()
            .filter(|line| line.text.contains("CORACLE_PUBLISH_FEE_MAX"));
        assert_eq!(lines.count(), 1, "{log:?}");
        // The operator raises it.
        world.chain.state().replace_failures.clear();
        see(&world, &running, 20).await;
        let deal = running.until_sealed(uuid).await;
        assert_eq!(deal.error, "");
    });
}

#[test]
fn a_message_that_is_executed_in_time_is_not_replaced_and_zero_means_never() {
    let mut world = world();
    world.terms(|terms| terms.stuck_after = 0);
    world.run(async {
        let running = world.start().await;
        let uuid = waiting(&world, &running).await;
        see(&world, &running, 500).await;
        assert_eq!(running.deal(uuid).await.unwrap().error, "");
        world.chain.state().pending = false;
        running.until_sealed(uuid).await;
        assert_eq!(world.chain.state().replacements, 0);
    });
}

#[test]
fn a_crash_around_a_replacement_neither_loses_nor_doubles_it() {
    use super::gate::Mode;
    for signs_first in [false, true] {
        for written in [false, true] {
            for commits in 0..4 {
                let world = world();
                world.chain.state().signs_first = signs_first;
                world.run(async {
                    let running = world.start().await;
                    let uuid = waiting(&world, &running).await;
                    // Nothing hears of what is sent, so that the cut falls between making and sending, or after it.
                    world.chain.state().pending_until_replaced = false;
                    running.gate.set(Mode::Dying { commits, written });
                    see(&world, &running, 20).await;
                    running.crash().await;
                    let stored = {
                        let replaced = world.chain.state().replaced.clone();
                        replaced.len()
                    };
                    assert!(stored <= 1);
                    world.chain.state().pending_until_replaced = true;
                    let running = world.start().await;
                    for _ in 0..3 {
                        see(&world, &running, 20).await;
                    }
                    running.until_sealed(uuid).await;
                    assert_eq!(messages(&world), [1], "one nonce");
                    assert_eq!(world.chain.state().prepared, 1);
                    wait("its end", || {
                        running.gate.messages().unwrap().is_empty().then_some(())
                    })
                    .await;
                    running.stop().await;
                });
            }
        }
    }
}

#[test]
fn a_replacement_whose_answer_was_lost_is_sent_again() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        let uuid = waiting(&world, &running).await;
        let lost = ChainError::Unreachable("no answer".to_owned());
        world.chain.state().publish_failures = vec![lost; 3];
        see(&world, &running, 20).await;
        let deal = running.until_sealed(uuid).await;
        assert!(deal.publish_cid.is_some());
        let state = world.chain.state();
        assert_eq!((state.replacements, state.prepared), (1, 1));
        assert!(state.publish_failures.is_empty());
    });
}

#[test]
fn a_message_counts_when_it_is_final_if_that_is_wanted() {
    let mut world = World::new();
    world.terms(|terms| terms.confidence = None);
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Published).await;
        see(&world, &running, 0).await;
        let executed = {
            let mut state = world.chain.state();
            let executed = state.head - state.depth;
            state.finalized = executed - 1;
            executed
        };
        see(&world, &running, 0).await;
        assert_eq!(
            running.deal(uuid).await.unwrap().checkpoint,
            Checkpoint::Published
        );
        world.chain.state().finalized = executed;
        running.until_sealed(uuid).await;
    });
}

#[test]
fn a_message_that_a_reorganisation_took_out_waits_again_and_gets_its_new_id() {
    let world = World::new();
    world.chain.state().depth = 3;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Published).await;
        see(&world, &running, 1).await;
        // Out of the chain, and in again after another message.
        world.chain.state().pending = true;
        see(&world, &running, 1).await;
        let deal = running.deal(uuid).await.unwrap();
        assert_eq!(
            (deal.checkpoint, deal.chain_deal_id),
            (Checkpoint::Published, None)
        );
        {
            let mut state = world.chain.state();
            let other = (
                Uuid::from_u128(7),
                Vec::new(),
                crate::filecoin::cids::chain_cid(b"other"),
            );
            state.messages.insert(0, other);
            state.pending = false;
            state.depth = 50;
        }
        let deal = running.until_sealed(uuid).await;
        assert_eq!(deal.chain_deal_id, Some(200), "read anew");
    });
}

#[test]
fn by_hand_nothing_is_published_before_the_operator_says_so() {
    use super::publishing::transferred;
    use crate::deal::tests::samples::uuid;
    use std::collections::BTreeSet;
    let mut world = World::new();
    world.terms(|terms| terms.publish_by_hand = true);
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=10).await;
        world.pass(super::publishing::HOUR * 24);
        smol::Timer::after(std::time::Duration::from_millis(60)).await;
        assert_eq!(messages(&world), Vec::<usize>::new());
        let waits = running.handle.publishing().await.waiting;
        assert_eq!((waits.len(), waits[0].2.len()), (1, 10));
        let named = BTreeSet::from([uuid(3), uuid(5), uuid(99)]);
        let meant = running.handle.publish(Some(named)).await;
        assert_eq!(meant, [uuid(3), uuid(5)]);
        running.until_sealed(uuid(3)).await;
        running.until_sealed(uuid(5)).await;
        assert_eq!(messages(&world), [2], "no others with them");
        // All the rest: of more than one message too.
        world.chain.state().messages.clear();
        assert_eq!(running.handle.publish_now().await, 8);
        for number in [1, 2, 4, 6, 7, 8, 9, 10] {
            running.until_sealed(uuid(number)).await;
        }
        assert_eq!(messages(&world), [8]);
    });
}
