//! Which deals go into which message, and when (spec boost-mk12 5; edge cases 80–83).

use super::world::{Running, World, start, wait};
use crate::chain::ChainError;
use crate::deal::step::Verb;
use crate::deal::tests::samples::{HEAD, uuid};
use crate::deal::{Checkpoint, Hold};
use crate::market::Wish;
use std::time::Duration;

pub const HOUR: Duration = Duration::from_secs(3_600);

/// Deals in each message, in the order of sending.
pub fn messages(world: &World) -> Vec<usize> {
    let state = world.chain.state();
    state
        .messages
        .iter()
        .map(|(_, deals, _)| deals.len())
        .collect()
}

/// Proposes deals and waits until their data is here.
pub async fn transferred(world: &World, running: &Running, numbers: impl Iterator<Item = u8>) {
    for number in numbers {
        let params = world.online(number);
        running.accepted(&params).await;
        running
            .until(params.uuid, |deal| {
                deal.checkpoint >= Checkpoint::Transferred
            })
            .await;
    }
}

#[test]
fn a_full_message_is_sent_at_once_and_a_smaller_one_after_its_time() {
    // Edge case 80.
    let mut world = World::new();
    world.publish_period(HOUR);
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=7).await;
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(messages(&world), Vec::<usize>::new());
        transferred(&world, &running, 8..=9).await;
        for number in 1..=8 {
            running.until_sealed(uuid(number)).await;
        }
        assert_eq!(messages(&world), [8]);
        assert_eq!(
            running.deal(uuid(9)).await.unwrap().checkpoint,
            Checkpoint::Transferred
        );
        world.pass(Duration::from_secs(3_540));
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(messages(&world), [8]);
        world.pass(Duration::from_secs(61));
        running.until_sealed(uuid(9)).await;
        assert_eq!(messages(&world), [8, 1]);
    });
}

#[test]
fn publish_now_does_not_wait() {
    let mut world = World::new();
    world.publish_period(HOUR);
    world.run(async {
        let running = world.start().await;
        assert_eq!(running.handle.publish_now().await, 0);
        transferred(&world, &running, 1..=3).await;
        let sent = wait_for_three(&running).await;
        assert_eq!(sent, 3);
        for number in 1..=3 {
            running.until_sealed(uuid(number)).await;
        }
        assert_eq!(messages(&world), [3]);
    });
}

/// A deal joins those that wait once its checkpoint is stored, which may be a moment after it is seen.
async fn wait_for_three(running: &Running) -> usize {
    smol::Timer::after(Duration::from_millis(50)).await;
    running.handle.publish_now().await
}

#[test]
fn the_terms_say_how_many_deals_share_a_message() {
    let mut world = World::new();
    world.publish_period(HOUR);
    world.terms(|terms| terms.deals_per_message = 2);
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=5).await;
        for number in 1..=4 {
            running.until_sealed(uuid(number)).await;
        }
        assert_eq!(messages(&world), [2, 2]);
    });
}

#[test]
fn one_bad_deal_does_not_spoil_the_message_of_the_others() {
    // Edge case 81.
    let mut world = World::new();
    world.publish_period(HOUR);
    world.terms(|terms| terms.deals_per_message = 3);
    world.chain.state().objected = vec![start(2)];
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=3).await;
        running.until_sealed(uuid(1)).await;
        running.until_sealed(uuid(3)).await;
        assert_eq!(messages(&world), [2]);
        let bad = running
            .until(uuid(2), |deal| deal.hold == Hold::Manual)
            .await;
        assert_eq!(bad.checkpoint, Checkpoint::Transferred);
        assert_eq!(
            bad.error,
            format!(
                "recoverable error to publish deal {}: publish validation failed: \
                 simulating deal publish message: non-zero exit code 16: no",
                uuid(2)
            )
        );
        // The operator has found out why.
        world.chain.state().objected.clear();
        running
            .handle
            .wish(uuid(2), Wish::Verb(Verb::Retry))
            .await
            .unwrap();
        wait("its place", || Some(())).await;
        world.pass(HOUR);
        running.until_sealed(uuid(2)).await;
        assert_eq!(messages(&world), [2, 1]);
    });
}

#[test]
fn a_deal_that_starts_too_soon_is_not_published() {
    // Edge case 82: 479 epochs are too few, then none are left.
    let mut world = World::new();
    world.publish_period(HOUR);
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=1).await;
        world.chain.state().head = start(1) - 479;
        wait("the new head", || {
            let (head, _) = running.handle.snapshot().head?;
            (head == start(1) - 479).then_some(())
        })
        .await;
        world.pass(HOUR);
        let held = running.until(uuid(1), |deal| deal.hold == Hold::Manual).await;
        let why = format!(
            "cannot publish deal with piece CID {}: current epoch {} has passed deal proposal start epoch {}",
            held.proposal().piece_cid,
            start(1) - 479,
            start(1)
        );
        assert!(held.error.ends_with(&why), "{}", held.error);
        world.chain.state().head = start(1) + 1;
        let ended = running.until_at(uuid(1), Checkpoint::Complete).await;
        assert!(ended.error.starts_with("deal proposal must be proven on chain by"));
        wait("the files' end", || world.staged().is_empty().then_some(())).await;
        assert_eq!(messages(&world), Vec::<usize>::new());
    });
}

#[test]
fn a_lost_answer_does_not_publish_twice() {
    let world = World::new();
    world.chain.state().mute = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = running
            .until(uuid, |deal| deal.hold != Hold::None && deal.order.is_some())
            .await;
        assert_eq!(held.checkpoint, Checkpoint::Transferred);
        assert!(held.error.starts_with("recoverable error to publish deal"));
        // Nobody may leave the order now.
        let refusal = running.handle.wish(uuid, Wish::Verb(Verb::Fail)).await;
        assert!(
            refusal
                .unwrap_err()
                .starts_with("the publish message is on its way")
        );
        world.chain.state().mute = false;
        running.until_sealed(uuid).await;
        assert_eq!(messages(&world), [1]);
    });
}

#[test]
fn a_chain_that_goes_away_is_waited_for() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(100);
        let uuid = running.accepted(&world.online(1)).await;
        world.chain.state().away = true;
        world.server.release();
        running.until(uuid, |deal| deal.tries > 1).await;
        assert_eq!(
            running.deal(uuid).await.unwrap().checkpoint,
            Checkpoint::Transferred
        );
        world.chain.state().away = false;
        let deal = running.until_sealed(uuid).await;
        assert_eq!((deal.error.as_str(), deal.tries), ("", 0));
        assert_eq!(messages(&world), [1]);
    });
}

#[test]
fn a_refusal_waits_for_the_operator() {
    let world = World::new();
    world.chain.state().publish_failures = vec![ChainError::Refused {
        code: 1,
        message: "MpoolPushMessage: not enough funds".to_owned(),
    }];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        assert_eq!(
            (held.checkpoint, held.order),
            (Checkpoint::Transferred, None)
        );
        assert!(held.error.contains("not enough funds"), "{}", held.error);
        running
            .handle
            .wish(uuid, Wish::Verb(Verb::Retry))
            .await
            .unwrap();
        running.until_sealed(uuid).await;
        assert_eq!(messages(&world), [1]);
    });
}

#[test]
fn a_dropped_deal_leaves_the_others_their_ids() {
    // Edge case 83.
    let mut world = World::new();
    world.publish_period(HOUR);
    world.terms(|terms| terms.deals_per_message = 3);
    world.chain.state().dropped = vec![start(2)];
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=3).await;
        let first = running.until_sealed(uuid(1)).await;
        let third = running.until_sealed(uuid(3)).await;
        assert_eq!(
            (first.chain_deal_id, third.chain_deal_id),
            (Some(100), Some(102))
        );
        let dropped = running
            .until(uuid(2), |deal| deal.hold == Hold::Manual)
            .await;
        assert!(
            dropped.error.ends_with("deal was invalid at publication"),
            "{}",
            dropped.error
        );
        assert_eq!(dropped.checkpoint, Checkpoint::Transferred);
    });
}

#[test]
fn a_message_is_awaited_until_it_is_executed() {
    let world = World::new();
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Published).await;
        world.chain.state().away = true;
        smol::Timer::after(Duration::from_millis(30)).await;
        world.chain.state().away = false;
        smol::Timer::after(Duration::from_millis(30)).await;
        assert_eq!(
            running.deal(uuid).await.unwrap().checkpoint,
            Checkpoint::Published
        );
        world.chain.state().pending = false;
        running.until_sealed(uuid).await;
    });
}

#[test]
fn a_message_without_confidence_does_not_count() {
    let mut world = World::new();
    world.terms(|terms| terms.confidence = Some(51));
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Published).await;
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(
            running.deal(uuid).await.unwrap().checkpoint,
            Checkpoint::Published
        );
    });
}

#[test]
fn a_failed_message_is_sent_anew_a_few_times_and_then_when_the_operator_says_so() {
    let world = World::new();
    world.chain.state().exit_code = 16;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        let why = "exit code 16, for no reason that a dry run shows, 3 times";
        assert!(held.error.ends_with(why), "{}", held.error);
        assert_eq!(messages(&world), [1; 3]);
        world.chain.state().exit_code = 0;
        running
            .handle
            .wish(uuid, Wish::Verb(Verb::Retry))
            .await
            .unwrap();
        let deal = running.until_sealed(uuid).await;
        assert_eq!(messages(&world), [1; 4]);
        assert_eq!(deal.chain_deal_id, Some(400), "of the fourth message");
        assert_eq!(deal.failed_messages, 0);
    });
}

#[test]
fn a_cancelled_neighbour_is_left_out() {
    let mut world = World::new();
    world.publish_period(HOUR);
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=2).await;
        smol::Timer::after(Duration::from_millis(30)).await;
        running
            .handle
            .wish(uuid(1), Wish::Verb(Verb::Fail))
            .await
            .unwrap();
        running.handle.publish_now().await;
        running.until_sealed(uuid(2)).await;
        assert_eq!(messages(&world), [1]);
        wait("the files' end", || world.staged().is_empty().then_some(())).await;
    });
}

#[test]
fn a_start_epoch_that_passes_ends_a_transfer() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(100);
        let uuid = running.accepted(&world.online(1)).await;
        world.chain.state().head = HEAD + 100_000;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert!(
            ended.error.contains("but it has expired"),
            "{}",
            ended.error
        );
        wait("the files' end", || world.staged().is_empty().then_some(())).await;
        world.server.release();
    });
}
