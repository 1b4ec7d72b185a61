//! Sealed deals on chain: activation, expiry, termination, at a slow pace and with nothing of them in memory.

use super::world::{Running, World, start};
use crate::chain::DealState;
use crate::deal::tests::samples::{HEAD, uuid};
use crate::deal::{Checkpoint, Deal, Ending};
use crate::market::onchain;
use crate::store::Store;
use std::time::Duration;
use uuid::Uuid;

/// When the sample sectors became active: before the head.
const SINCE: i64 = HEAD - 5;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A world that looks at active deals once a day.
fn world() -> World {
    let mut world = World::new();
    world.settings.deal_watch = DAY;
    world
}

/// What the chain shows of the deal of this number, the only one of its message.
fn activate(world: &World, number: u8, deal_id: u64, since: i64) {
    let proposal = world
        .online(number)
        .proposal
        .expect("there is one")
        .proposal;
    let state = DealState {
        proposal,
        sector_number: 0,
        sector_start_epoch: since,
        slash_epoch: -1,
    };
    world.chain.state().active.insert(deal_id, state);
}

async fn sealed(world: &World, running: &Running, number: u8) -> Uuid {
    let uuid = running.accepted(&world.online(number)).await;
    running.until_sealed(uuid).await;
    uuid
}

/// Waits for a look that changes what is wanted, letting time pass for it.
async fn after_a_turn(
    world: &World,
    running: &Running,
    uuid: Uuid,
    wanted: impl Fn(&Deal) -> bool,
) -> Deal {
    for _ in 0..3_000 {
        // The longest way to the next turn: a day and an eighth. One may have been taken a moment too early.
        world.pass(DAY + DAY / 8);
        smol::Timer::after(Duration::from_millis(20)).await;
        let deal = running.deal(uuid).await.unwrap();
        if wanted(&deal) {
            return deal;
        }
    }
    panic!("no turn brought it: {:?}", running.deal(uuid).await);
}

/// Turns that are still to come.
fn turns(running: &Running) -> usize {
    running.gate.watched(u64::MAX - 1, 0, 100).unwrap().len()
}

async fn said(running: &Running, uuid: Uuid, text: &str) -> usize {
    let lines = running.log(uuid).await;
    lines.iter().filter(|line| line.text == text).count()
}

#[test]
fn activation_and_expiry_are_shown() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        activate(&world, 1, 100, SINCE);
        let uuid = sealed(&world, &running, 1).await;
        let active = running.until(uuid, |deal| deal.activated.is_some()).await;
        assert_eq!((active.activated, active.over), (Some(SINCE), None));
        let line = format!("active on chain since epoch {}", SINCE);
        assert_eq!(said(&running, uuid, &line).await, 1);
        assert_eq!(turns(&running), 1);

        // A start does not forget its turn.
        running.stop().await;
        let running = world.start().await;
        let end = active.proposal().end_epoch;
        world.chain.state().head = end;
        let over = after_a_turn(&world, &running, uuid, |deal| deal.over.is_some()).await;
        assert_eq!(
            over.over.map(|over| (over.how, over.epoch)),
            Some((Ending::Expired, end))
        );
        // For its clients nothing has changed.
        assert_eq!(over.checkpoint, Checkpoint::IndexedAndAnnounced);
        assert_eq!(over.error, "");
        let line = format!("its time on chain ended at epoch {end}");
        assert_eq!(said(&running, uuid, &line).await, 1);
        assert_eq!(turns(&running), 0, "there is nothing more to learn");
    });
}

#[test]
fn a_deal_is_looked_at_once_in_its_time() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        activate(&world, 1, 100, SINCE);
        let uuid = sealed(&world, &running, 1).await;
        running.until(uuid, |deal| deal.activated.is_some()).await;
        let asked = world.chain.state().states_asked;
        world.pass(DAY - Duration::from_secs(60));
        smol::Timer::after(Duration::from_millis(100)).await;
        assert_eq!(world.chain.state().states_asked, asked);
        world.pass(DAY / 8 + Duration::from_secs(60));
        super::world::wait("the next look", || {
            (world.chain.state().states_asked == asked + 1).then_some(())
        })
        .await;
    });
}

#[test]
fn a_terminated_deal_is_said_to_be_so_and_looked_at_until_it_is_certain() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        activate(&world, 1, 100, SINCE);
        let uuid = sealed(&world, &running, 1).await;
        running.until(uuid, |deal| deal.activated.is_some()).await;
        world.chain.state().active.clear();
        world.chain.state().head = start(1) + 10_000;
        let over = after_a_turn(&world, &running, uuid, |deal| deal.over.is_some()).await;
        let over = over.over.unwrap();
        assert_eq!(
            (over.how, over.epoch),
            (Ending::Terminated, start(1) + 10_000)
        );
        assert_eq!(turns(&running), 1);

        // The node was not whole.
        activate(&world, 1, 100, SINCE);
        after_a_turn(&world, &running, uuid, |deal| deal.over.is_none()).await;
        assert_eq!(said(&running, uuid, "on chain again").await, 1);

        world.chain.state().active.clear();
        after_a_turn(&world, &running, uuid, |deal| deal.over.is_some()).await;
        world.chain.state().head = start(1) + 11_000;
        after_a_turn(&world, &running, uuid, |_| turns(&running) == 0).await;
    });
}

#[test]
fn another_deal_under_the_same_id_is_not_ours() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        // Sealed in time, as far as the sealer says; after a re-organisation the ID is another deal's.
        activate(&world, 2, 100, SINCE);
        let uuid = sealed(&world, &running, 1).await;
        world.chain.state().head = start(1) + 901;
        let over = after_a_turn(&world, &running, uuid, |deal| deal.over.is_some()).await;
        assert_eq!(over.over.unwrap().how, Ending::NeverActive);
        assert_eq!(over.activated, None);
    });
}

#[test]
fn a_chain_that_is_away_costs_no_turn() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        world.chain.state().mute_states = true;
        activate(&world, 1, 100, SINCE);
        let uuid = sealed(&world, &running, 1).await;
        super::world::wait("some looks", || {
            (world.chain.state().states_asked > 3).then_some(())
        })
        .await;
        let deal = running.deal(uuid).await.unwrap();
        assert_eq!((deal.activated, deal.over), (None, None));
        assert_eq!(turns(&running), 1);
        world.chain.state().mute_states = false;
        running.until(uuid, |deal| deal.activated.is_some()).await;
    });
}

#[test]
fn a_start_reads_no_sealed_deal_and_all_of_them_have_their_turns() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        for number in 1..=5 {
            sealed(&world, &running, number).await;
        }
        running.stop().await;
        for number in 1..=5_u8 {
            activate(&world, number, u64::from(number) * 100, SINCE);
        }
        world.pass(DAY);
        let running = world.start().await;
        assert_eq!(running.gate.live(), Ok(vec![]));
        for number in 1..=5 {
            running
                .until(uuid(number), |deal| deal.activated.is_some())
                .await;
        }
    });
}

#[test]
fn the_pace_is_bounded() {
    assert_eq!(onchain::batch(Duration::from_secs(30)), 30);
    assert_eq!(onchain::batch(Duration::from_secs(1)), 1);
    assert_eq!(onchain::batch(Duration::from_millis(5)), 1);
    assert_eq!(onchain::batch(Duration::from_secs(1 << 40)), 1_000);
}
