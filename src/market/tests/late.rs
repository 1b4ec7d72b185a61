//! Start epochs that pass while something is open (spec boost-mk12 4.4, 4.10; weaknesses 25 and 32; edge case 87).

use super::world::{Running, World, start, wait};
use crate::chain::DealState;
use crate::deal::step::{FINALITY, Verb, expired};
use crate::deal::tests::samples::atto;
use crate::deal::{Checkpoint, Deal, Hold, Wait};
use crate::market::Wish;
use crate::sealer::SealerError;
use std::time::Duration;
use uuid::Uuid;

/// A deal whose first hand-over was refused and whose next try is an hour away.
async fn held_at_the_sealer(world: &World, running: &Running) -> Uuid {
    let uuid = running.accepted(&world.online(1)).await;
    let held = running.until(uuid, |deal| deal.hold != Hold::None).await;
    assert_eq!(held.checkpoint, Checkpoint::PublishConfirmed);
    uuid
}

/// A world whose sealer refuses once, and whose deals wait for an hour after a failure.
fn refusing() -> World {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (3_600_000, 3_600_000));
    world.sealer().state().failures = vec![SealerError::Refused {
        code: 1,
        message: "no room".to_owned(),
    }];
    world
}

fn pass_start(world: &World) -> i64 {
    let head = start(1) + 1;
    world.chain.state().head = head;
    head
}

/// Nothing may happen for a while.
async fn stays(running: &Running, uuid: Uuid, checkpoint: Checkpoint) -> Deal {
    smol::Timer::after(Duration::from_millis(300)).await;
    let deal = running.deal(uuid).await.unwrap();
    assert_eq!(deal.checkpoint, checkpoint, "{}", deal.error);
    deal
}

#[test]
fn edge_87_a_deal_in_a_hold_ends_when_nobody_has_its_piece() {
    for manual in [false, true] {
        let world = refusing();
        if manual {
            let file = SealerError::File("unreadable".to_owned());
            world.sealer().state().failures = vec![file];
        }
        world.run(async {
            let running = world.start().await;
            let uuid = held_at_the_sealer(&world, &running).await;
            let hold = running.deal(uuid).await.unwrap().hold;
            assert_eq!(hold == Hold::Manual, manual);
            let head = pass_start(&world);
            let ended = running.until_at(uuid, Checkpoint::Complete).await;
            assert_eq!(ended.error, expired(start(1), head));
            wait("the files' end", || world.staged().is_empty().then_some(())).await;
            assert_eq!(world.sealer().state().added.len(), 0);
        });
    }
}

#[test]
fn edge_87_after_a_restart_too() {
    let world = refusing();
    world.run(async {
        let running = world.start().await;
        let uuid = held_at_the_sealer(&world, &running).await;
        running.stop().await;
        let head = pass_start(&world);
        let running = world.start().await;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert_eq!(ended.error, expired(start(1), head));
    });
}

#[test]
fn a_piece_that_the_sealer_has_is_found_and_goes_on() {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (3_600_000, 3_600_000));
    world.sealer().state().mute = true;
    world.run(async {
        let running = world.start().await;
        let uuid = held_at_the_sealer(&world, &running).await;
        pass_start(&world);
        let deal = running.until_sealed(uuid).await;
        assert_eq!((deal.error.as_str(), deal.late), ("", true));
        assert_eq!(world.sealer().state().calls, 1);
    });
}

#[test]
fn a_deal_that_the_chain_shows_active_goes_on() {
    let world = refusing();
    world.run(async {
        let running = world.start().await;
        let uuid = held_at_the_sealer(&world, &running).await;
        let proposal = running.deal(uuid).await.unwrap().signed.proposal;
        let active = |start_epoch| DealState {
            proposal: crate::filecoin::DealProposal {
                start_epoch,
                ..proposal.clone()
            },
            sector_number: 44,
            sector_start_epoch: start(1) - 9,
            slash_epoch: -1,
        };
        world.chain.state().active.insert(100, active(start(1)));
        pass_start(&world);
        let deal = running
            .until(uuid, |deal| deal.checkpoint >= Checkpoint::AddedPiece)
            .await;
        assert_eq!(deal.sector.unwrap().number, 44);
    });
}

#[test]
fn a_sealer_that_is_away_is_waited_for_until_nothing_can_help() {
    let world = refusing();
    world.run(async {
        let running = world.start().await;
        let uuid = held_at_the_sealer(&world, &running).await;
        world.sealer().state().away = true;
        pass_start(&world);
        let deal = stays(&running, uuid, Checkpoint::PublishConfirmed).await;
        assert!(deal.late);
        let lines = running.log(uuid).await;
        let said = format!(
            "its start epoch {} has passed; chain and sealer are asked whether its piece was handed over",
            start(1)
        );
        assert_eq!(lines.iter().filter(|line| line.text == said).count(), 1);
        world.chain.state().head = start(1) + FINALITY;
        stays(&running, uuid, Checkpoint::PublishConfirmed).await;
        let head = start(1) + FINALITY + 1;
        world.chain.state().head = head;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert_eq!(ended.error, expired(start(1), head));
    });
}

#[test]
fn a_chain_that_is_away_decides_nothing() {
    let world = refusing();
    world.run(async {
        let running = world.start().await;
        let uuid = held_at_the_sealer(&world, &running).await;
        // Seen once, and then nothing more.
        pass_start(&world);
        world.chain.state().mute_states = true;
        stays(&running, uuid, Checkpoint::PublishConfirmed).await;
        world.chain.state().mute_states = false;
        running.until_at(uuid, Checkpoint::Complete).await;
    });
}

#[test]
fn a_call_that_hangs_is_given_up_when_nothing_can_help() {
    let world = World::new();
    world.sealer().state().held = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        wait("the call", || {
            (world.sealer().state().running == 1).then_some(())
        })
        .await;
        pass_start(&world);
        stays(&running, uuid, Checkpoint::PublishConfirmed).await;
        world.chain.state().head = start(1) + FINALITY + 1;
        running.until_at(uuid, Checkpoint::Complete).await;
        wait("the call's end", || {
            (world.sealer().state().running == 0).then_some(())
        })
        .await;
    });
}

#[test]
fn a_published_deal_waits_for_its_message_whatever_the_height() {
    let world = World::new();
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Published).await;
        world.chain.state().head = start(1) + 50_000;
        let waits = stays(&running, uuid, Checkpoint::Published).await;
        assert_eq!((Wait::of(&waits), waits.late), (Wait::Outcome, true));
        running.stop().await;
        let running = world.start().await;
        let waits = stays(&running, uuid, Checkpoint::Published).await;
        assert_eq!(waits.hold, Hold::None);
        // Executed without the deal, as the actor does with one that is too late.
        world.chain.state().dropped = vec![start(1)];
        world.chain.state().pending = false;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert_eq!(ended.error, expired(start(1), start(1) + 50_000));
    });
}

#[test]
fn a_message_that_was_executed_in_time_and_found_late_counts() {
    let world = World::new();
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        let uuid = running.accepted(&params).await;
        running.until_at(uuid, Checkpoint::Published).await;
        world.chain.state().head = start(1) + 50_000;
        running.until(uuid, |deal| deal.late).await;
        // Somebody handed the piece over by other means: the chain has it in a sector.
        let state = DealState {
            proposal: params.proposal.clone().unwrap().proposal,
            sector_number: 7,
            sector_start_epoch: start(1) - 100,
            slash_epoch: -1,
        };
        world.chain.state().active.insert(100, state);
        world.chain.state().pending = false;
        let deal = running
            .until(uuid, |deal| deal.checkpoint >= Checkpoint::AddedPiece)
            .await;
        assert_eq!(deal.sector.unwrap().number, 7);
        assert_eq!(world.sealer().state().calls, 0);
    });
}

#[test]
fn a_message_that_the_node_does_not_know_is_named_and_may_be_given_up_late() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.chain.state().forgetful = true;
        let uuid = running.accepted(&world.online(1)).await;
        let deal = running.until(uuid, |deal| !deal.error.is_empty()).await;
        let message = deal.publish_cid.unwrap();
        assert_eq!(
            deal.error,
            format!("the chain node does not know publish message {message}; it is looked for on")
        );
        let fail = || running.handle.wish(uuid, Wish::Verb(Verb::Fail));
        let refusal = fail().await.unwrap_err();
        assert!(
            refusal.starts_with("the publish message is on its way"),
            "{refusal}"
        );
        pass_start(&world);
        running.until(uuid, |deal| deal.late).await;
        fail().await.unwrap();
        let ended = running.deal(uuid).await.unwrap();
        assert_eq!(ended.error, "user manually terminated the deal");
        // Nobody looks for the message any more, and what was held is free.
        let held = running.handle.ledgers().await;
        assert!(held.values().all(|held| held.collateral == atto(0)));
    });
}
