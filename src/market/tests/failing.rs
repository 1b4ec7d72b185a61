//! Messages that failed on chain: the reason of each deal, and the others once more.

use super::publishing::{HOUR, messages, transferred};
use super::world::{World, start, wait};
use crate::deal::Hold;
use crate::deal::tests::samples::uuid;

/// A provider whose next message of three deals fails.
fn world() -> World {
    let mut world = World::new();
    world.publish_period(HOUR);
    world.terms(|terms| terms.deals_per_message = 3);
    world.chain.state().exit_code = 16;
    world.chain.state().pending = true;
    world
}

#[test]
fn who_fails_alone_too_waits_and_the_others_are_published_again_at_once() {
    let mut world = world();
    // Neighbours wait for each other that long; a busy machine is slower than the others' waits.
    world.terms(|terms| terms.retry_first = 1_000);
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=3).await;
        wait("the message", || (messages(&world) == [3]).then_some(())).await;
        world.chain.state().objected = vec![start(2)];
        world.chain.state().pending = false;
        let bad = running
            .until(uuid(2), |deal| deal.hold == Hold::Manual)
            .await;
        let why = "exit code 16; this deal fails alone too: non-zero exit code 16: no";
        assert!(bad.error.ends_with(why), "{}", bad.error);
        for number in [1, 3] {
            running
                .until(uuid(number), |deal| deal.failed_messages == 1)
                .await;
        }
        world.chain.state().exit_code = 0;
        for number in [1, 3] {
            let deal = running.until_sealed(uuid(number)).await;
            assert_eq!(deal.failed_messages, 0);
        }
        // Nobody waited for the period.
        assert_eq!(messages(&world), [3, 2]);
    });
}

#[test]
fn the_count_outlives_a_crash_and_the_last_try_is_alone() {
    let world = world();
    world.chain.state().pending = false;
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=3).await;
        running
            .until(uuid(1), |deal| deal.failed_messages == 1)
            .await;
        running.crash().await;
        let running = world.start().await;
        for number in 1..=3 {
            let held = running
                .until(uuid(number), |deal| deal.hold == Hold::Manual)
                .await;
            assert_eq!(held.failed_messages, 3);
            assert!(held.error.ends_with("3 times"), "{}", held.error);
        }
        let sent = messages(&world);
        // Each deal was in three messages, the last of which it had for itself.
        assert_eq!(sent.iter().sum::<usize>(), 9, "{sent:?}");
        assert!(sent.ends_with(&[1]) && sent.iter().filter(|n| **n == 1).count() >= 3);
    });
}

#[test]
fn the_log_says_why_a_deal_was_dropped() {
    // Edge case 83.
    let mut world = World::new();
    world.publish_period(HOUR);
    world.terms(|terms| terms.deals_per_message = 3);
    world.chain.state().dropped = vec![start(2)];
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        transferred(&world, &running, 1..=3).await;
        wait("the message", || (messages(&world) == [3]).then_some(())).await;
        world.chain.state().objected = vec![start(2)];
        world.chain.state().pending = false;
        let bad = running
            .until(uuid(2), |deal| deal.hold == Hold::Manual)
            .await;
        assert!(
            bad.error.ends_with("deal was invalid at publication"),
            "{}",
            bad.error
        );
        let log = running.log(uuid(2)).await;
        let why = "did not take it; alone it fails with: non-zero exit code 16: no";
        assert!(log.iter().any(|line| line.text.ends_with(why)), "{log:?}");
        running.until_sealed(uuid(1)).await;
        running.until_sealed(uuid(3)).await;
    });
}
