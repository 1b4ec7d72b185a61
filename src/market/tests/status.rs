//! Status answers stay true (spec boost-mk12 1.4, weaknesses 3 and 34).

use super::world::{Running, World, car, wait};
use crate::deal::Checkpoint;
use crate::deal::step::Verb;
use crate::deal::tests::samples::client_key;
use crate::market::Wish;
use crate::wire::{DealStatus, DealStatusRequest};
use std::time::Duration;
use uuid::Uuid;

/// What the client is told, and the bytes that have arrived.
async fn status(running: &Running, uuid: Uuid) -> (DealStatus, u64) {
    let request = DealStatusRequest {
        uuid,
        signature: client_key().sign(uuid.as_bytes()),
    };
    let answer = running.handle.status(request).await;
    assert_eq!(answer.error, "");
    (
        answer.status.expect("there is no error"),
        answer.bytes_received,
    )
}

#[test]
fn bytes_received_stay_true_after_the_transfer() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        let uuid = running.accepted(&params).await;
        running.until_sealed(uuid).await;
        let all = car(1).len() as u64;
        assert_eq!(status(&running, uuid).await.1, all);
        // From the database alone, too.
        running.stop().await;
        let running = world.start().await;
        let (told, bytes) = status(&running, uuid).await;
        assert_eq!((told.status.as_str(), bytes), ("IndexedAndAnnounced", all));
    });
}

#[test]
fn bytes_received_are_true_after_a_restart_before_the_transfer_goes_on() {
    let mut world = World::new();
    world.settings.transfers_max = 2;
    world.server.stall_after(600);
    let uuids = [
        crate::deal::tests::samples::uuid(1),
        crate::deal::tests::samples::uuid(2),
    ];
    world.run(async {
        let running = world.start().await;
        for number in [1, 2] {
            running.accepted(&world.online(number)).await;
        }
        for uuid in uuids {
            wait("the first bytes", || {
                (running.handle.progress.bytes(uuid) == 600).then_some(())
            })
            .await;
        }
        running.stop().await;
    });
    // One place for two: the second waits for it, and its client asks meanwhile.
    world.settings.transfers_max = 1;
    world.run(async {
        let running = world.start_blind();
        for uuid in uuids {
            let (told, bytes) = status(&running, uuid).await;
            assert_eq!((told.status.as_str(), bytes), ("Accepted", 600));
        }
        wait("the transfer", || {
            (world.server.asked("1").len() == 2).then_some(())
        })
        .await;
        smol::Timer::after(Duration::from_millis(30)).await;
        assert_eq!(world.server.asked("2").len(), 1);
        assert_eq!(status(&running, uuids[1]).await.1, 600);
        world.server.release();
        running.until_sealed(uuids[1]).await;
        assert_eq!(status(&running, uuids[1]).await.1, car(2).len() as u64);
    });
}

#[test]
fn bytes_received_are_true_after_a_transfer_that_was_cancelled() {
    let world = World::new();
    world.server.stall_after(600);
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        wait("the first bytes", || {
            (running.handle.progress.bytes(uuid) == 600).then_some(())
        })
        .await;
        let cancel = Wish::Verb(Verb::Cancel);
        running.handle.wish(uuid, cancel).await.unwrap();
        assert_eq!(status(&running, uuid).await.1, 600);
        world.server.release();
        running.stop().await;
        let running = world.start().await;
        let (told, bytes) = status(&running, uuid).await;
        assert_eq!((told.error.as_str(), bytes), ("Cancelled", 600));
    });
}

#[test]
fn there_is_no_sealing_state_before_there_is_a_sector() {
    let mut world = World::new();
    world.publish_period(Duration::from_secs(3_600));
    world.chain.state().pending = true;
    world.sealer().state().held = true;
    world.sealer().state().sector = "PreCommit1".to_owned();
    world.server.stall_after(10);
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let none = async |checkpoint: Checkpoint| {
            running.until_at(uuid, checkpoint).await;
            let (told, _) = status(&running, uuid).await;
            assert_eq!(
                (told.status.as_str(), told.sealing_status.as_str()),
                (checkpoint.name(), "")
            );
        };
        none(Checkpoint::Accepted).await;
        world.server.release();
        none(Checkpoint::Transferred).await;
        world.pass(Duration::from_secs(3_700));
        none(Checkpoint::Published).await;
        world.chain.state().pending = false;
        none(Checkpoint::PublishConfirmed).await;
        world.sealer().state().held = false;
        running.until(uuid, |deal| !deal.sealing.is_empty()).await;
        assert_eq!(status(&running, uuid).await.0.sealing_status, "PreCommit1");
    });
}

#[test]
fn a_sealer_that_is_away_is_no_error_of_the_deal_s() {
    let world = World::new();
    world.sealer().state().sector = "PreCommit1".to_owned();
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running
            .until(uuid, |deal| deal.sealing == "PreCommit1")
            .await;
        world.sealer().state().away = true;
        smol::Timer::after(Duration::from_millis(50)).await;
        let (told, _) = status(&running, uuid).await;
        assert_eq!(
            (told.error.as_str(), told.sealing_status.as_str()),
            ("", "PreCommit1")
        );
        // The last state that was seen is told even by a provider that never saw its sealer.
        running.stop().await;
        let running = world.start_blind();
        let (told, _) = status(&running, uuid).await;
        assert_eq!(
            (told.error.as_str(), told.sealing_status.as_str()),
            ("", "PreCommit1")
        );
        world.sealer().state().away = false;
        world.sealer().state().sector = String::new();
        running.until_sealed(uuid).await;
        assert_eq!(status(&running, uuid).await.0.sealing_status, "Proving");
    });
}
