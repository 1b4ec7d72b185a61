//! Mistakes that the simulator found, each as small as it can be shown.

use super::gate::Mode;
use super::world::{World, car, start};
use crate::chain::{ChainError, DealState};
use crate::deal::step::Verb;
use crate::deal::{Checkpoint, Deal, Hold};
use crate::market::Wish;
use std::sync::Arc;
use std::time::Duration;

/// A deal that is active in sector 0.
fn active(deal: &Deal) -> DealState {
    DealState {
        proposal: deal.proposal().clone(),
        sector_number: 0,
        sector_start_epoch: start(1) - 10,
        slash_epoch: -1,
    }
}

#[test]
fn a_token_that_is_refused_does_not_dissolve_an_order_whose_answer_was_lost() {
    let world = World::new();
    world.chain.state().mute = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = running
            .until(uuid, |deal| deal.hold != Hold::None && deal.order.is_some())
            .await;
        let refused = [
            ChainError::Forbidden("MpoolPushMessage".to_owned()),
            ChainError::Unauthorized,
        ];
        {
            let mut chain = world.chain.state();
            chain.publish_failures.extend(refused);
            chain.mute = false;
        }
        let deal = running.until_sealed(uuid).await;
        assert_eq!(deal.order, held.order);
        assert_eq!(world.chain.state().messages.len(), 1);
    });
}

/// A piece that the sealer took, and whose sector is proven before anybody hears of it.
fn taken_and_proven(prepare: impl Fn(&World, DealState)) {
    let world = World::new();
    world.sealer().state().mute = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = |deal: &Deal| deal.checkpoint == Checkpoint::PublishConfirmed && deal.tries > 0;
        let deal = running.until(uuid, held).await;
        prepare(&world, active(&deal));
        world.sealer().state().mute = false;
        let deal = running
            .until(uuid, |deal| deal.checkpoint >= Checkpoint::AddedPiece)
            .await;
        assert_eq!(deal.sector.unwrap().number, 0);
        let added = &world.sealer().state().added;
        assert_eq!(added.len(), 1, "added a second time");
        assert_eq!(added[0].bytes, car(1));
    });
}

#[test]
fn a_sector_that_is_proven_between_two_questions_is_not_overlooked() {
    taken_and_proven(|world, state| {
        let chain = Arc::clone(&world.chain);
        let meanwhile = move || {
            chain.state().active.insert(100, state.clone());
        };
        world.sealer().state().proven = Some(Box::new(meanwhile));
    });
}

#[test]
fn a_chain_that_refuses_the_token_does_not_say_that_a_deal_is_not_active() {
    taken_and_proven(|world, state| {
        let mut chain = world.chain.state();
        chain.active.insert(100, state);
        chain.deal_state_failures = vec![
            ChainError::Unauthorized,
            ChainError::Forbidden("StateMarketStorageDeal".to_owned()),
        ];
        world.sealer().state().proven = Some(Box::new(|| ()));
    });
}

#[test]
fn a_disk_that_fails_does_not_make_a_file_look_lost() {
    for broken in [".blocks", ".car"] {
        let world = World::new();
        world.run(async {
            let running = world.start().await;
            world.sealer().state().held = true;
            let uuid = running.accepted(&world.online(1)).await;
            super::world::wait("the call", || {
                (world.sealer().state().running == 1).then_some(())
            })
            .await;
            world.disk.set_failing(Some(broken));
            world.sealer().state().held = false;
            let failed = |deal: &Deal| deal.checkpoint == Checkpoint::AddedPiece && deal.tries > 0;
            running.until(uuid, failed).await;
            world.disk.set_failing(None);
            running.until_sealed(uuid).await;
            assert_eq!(world.pieces().len(), 3, "data, index, sizes");
            assert_eq!(world.staged(), [""; 0]);
        });
    }
}

#[test]
fn a_deal_that_fails_while_its_file_is_moved_leaves_nothing() {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (60_000, 60_000));
    world.run(async {
        let running = world.start().await;
        world.disk.set_failing(Some("pieces"));
        let uuid = running.accepted(&world.online(1)).await;
        let failed = |deal: &Deal| deal.checkpoint == Checkpoint::AddedPiece && deal.tries > 0;
        running.until(uuid, failed).await;
        assert_eq!(world.pieces().len(), 3, "moved, but not recorded");
        let wish = Wish::Verb(Verb::Fail);
        running.handle.wish(uuid, wish).await.unwrap();
        super::world::wait("the files' end", || {
            (world.pieces().is_empty() && world.staged().is_empty()).then_some(())
        })
        .await;
    });
}

#[test]
fn a_deal_that_ends_on_a_slow_disk_leaves_nothing() {
    // Its end was forgotten before it was stored, and with it what was to be deleted.
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(600);
        let uuid = running.accepted(&world.online(1)).await;
        super::world::wait("the first bytes", || {
            (running.handle.progress.bytes(uuid) == 600).then_some(())
        })
        .await;
        running.gate.set(Mode::Held);
        let cancel = running.handle.wish(uuid, Wish::Verb(Verb::Cancel));
        let slow = async {
            super::world::wait("the commit", || (running.gate.held() > 0).then_some(())).await;
            world.pass(Duration::from_secs(300));
            smol::Timer::after(Duration::from_millis(50)).await;
            running.gate.open();
        };
        let (cancelled, ()) = futures::future::join(cancel, slow).await;
        assert_eq!(cancelled, Ok(()));
        super::world::wait("the files' end", || world.staged().is_empty().then_some(())).await;
        world.server.release();
    });
}

#[test]
fn a_disk_that_fails_at_the_start_does_not_fetch_everything_again() {
    let mut world = World::new();
    world.publish_period(Duration::from_secs(3_600));
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Transferred).await;
        running.stop().await;
        world.disk.set_failing(Some(".car"));
        let running = world.start().await;
        world.disk.set_failing(None);
        running.handle.publish_now().await;
        running.until_sealed(uuid).await;
        assert_eq!(world.server.asked("1"), [0]);
    });
}
