//! One provider for several miners.

use super::world::{World, other_miner, to_miner};
use crate::deal::tests::samples::{miner, uuid};
use crate::filecoin::Address;
use std::time::Duration;

#[test]
fn each_miner_has_its_messages_and_its_sealer() {
    let mut world = World::new();
    world.publish_period(Duration::from_secs(3_600));
    world.run(async {
        let running = world.start().await;
        for number in [1, 2] {
            running.accepted(&world.online(number)).await;
        }
        let third = to_miner(world.online(3), &other_miner());
        running.accepted(&third).await;
        for number in 1..=3 {
            running
                .until_at(uuid(number), crate::deal::Checkpoint::Transferred)
                .await;
        }
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(running.handle.publish_now().await, 3);
        for number in 1..=3 {
            running.until_sealed(uuid(number)).await;
        }
        let mut sizes: Vec<usize> = world
            .chain
            .state()
            .messages
            .iter()
            .map(|(_, deals, _)| deals.len())
            .collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 2]);
        for (_, deals, _) in &world.chain.state().messages {
            let first = &deals[0].proposal.provider;
            assert!(deals.iter().all(|deal| deal.proposal.provider == *first));
        }
        let added = |miner: &Address| world.sealers[miner].state().added.len();
        assert_eq!((added(&miner()), added(&other_miner())), (2, 1));
    });
}

#[test]
fn each_miner_has_its_terms() {
    let mut world = World::new();
    let other = world.settings.miners.get_mut(&other_miner()).unwrap();
    other.terms.online = false;
    other.first_ask.min_piece_size = 4_096;
    world.run(async {
        let running = world.start().await;
        running.accepted(&world.online(1)).await;
        let answer = running
            .propose(&to_miner(world.online(2), &other_miner()))
            .await;
        assert_eq!(
            answer.message,
            "failed validation: piece size less than minimum required size: 2048 < 4096"
        );
    });
}

#[test]
fn a_stranger_s_miner_is_refused() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = to_miner(world.online(1), &Address::id(9));
        assert_eq!(
            running.propose(&params).await.message,
            "failed validation: incorrect provider for deal; proposal.Provider: f09; provider.Address: f01000"
        );
        assert_eq!(running.handle.ask(&Address::id(9)).ask, None);
    });
}

#[test]
fn collateral_of_one_miner_does_not_weigh_on_the_other() {
    let world = World::new();
    world.chain.state().escrow = 1_000;
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(10);
        running.accepted(&world.online(1)).await;
        let second = running.propose(&world.online(2)).await;
        assert!(
            second.message.contains("insufficient funds"),
            "{}",
            second.message
        );
        running
            .accepted(&to_miner(world.online(3), &other_miner()))
            .await;
        world.server.release();
    });
}

#[test]
fn one_sealer_that_is_away_does_not_stop_the_other() {
    let world = World::new();
    world.sealer().state().held = true;
    world.run(async {
        let running = world.start().await;
        running.accepted(&world.online(1)).await;
        running
            .accepted(&to_miner(world.online(2), &other_miner()))
            .await;
        running.until_sealed(uuid(2)).await;
        world.sealer().state().held = false;
        running.until_sealed(uuid(1)).await;
    });
}

#[test]
fn a_deal_of_a_miner_that_was_taken_out_of_the_settings_is_left_alone() {
    let mut world = World::new();
    world.chain.state().pending = true;
    let uuid = uuid(1);
    world.run(async {
        let running = world.start().await;
        running
            .accepted(&to_miner(world.online(1), &other_miner()))
            .await;
        running
            .until_at(uuid, crate::deal::Checkpoint::Published)
            .await;
        running.stop().await;
    });
    let settings = world.settings.miners.remove(&other_miner()).unwrap();
    world.run(async {
        let running = world.start().await;
        world.chain.state().pending = false;
        smol::Timer::after(Duration::from_millis(50)).await;
        let deal = running.deal(uuid).await.unwrap();
        assert_eq!(deal.checkpoint, crate::deal::Checkpoint::Published);
        running.stop().await;
    });
    world.settings.miners.insert(other_miner(), settings);
    world.run(async {
        let running = world.start().await;
        running.until_sealed(uuid).await;
    });
}
