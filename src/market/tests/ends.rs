//! Ends of deals and of the provider: cancel, fail, stop (edge cases 71, 72; where the others are, see `life_edges`).

use super::world::{Running, World, car, wait};
use crate::deal::step::Verb;
use crate::deal::tests::samples::{self, uuid};
use crate::deal::{Checkpoint, Hold};
use crate::market::Wish;
use crate::store::Store;
use std::time::Duration;
use uuid::Uuid;

async fn wish(running: &Running, uuid: Uuid, verb: Verb) -> Result<(), String> {
    running.handle.wish(uuid, Wish::Verb(verb)).await
}

/// A deal whose data stops on the way.
async fn stalled(world: &World, running: &Running) -> Uuid {
    world.server.stall_after(600);
    let uuid = running.accepted(&world.online(1)).await;
    wait("the first bytes", || {
        (running.handle.progress.bytes(uuid) == 600).then_some(())
    })
    .await;
    uuid
}

#[test]
fn edge_71_a_cancelled_transfer_leaves_nothing() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let uuid = stalled(&world, &running).await;
        assert_eq!(running.handle.deal(uuid).await.unwrap().unwrap().1, 600);
        wish(&running, uuid, Verb::Cancel).await.unwrap();
        let ended = running.deal(uuid).await.unwrap();
        assert_eq!(
            (ended.checkpoint, ended.error.as_str()),
            (Checkpoint::Complete, "Cancelled")
        );
        wait("the files' end", || world.staged().is_empty().then_some(())).await;
        wait("the save point's end", || {
            (running.gate.save_point(uuid) == Ok(None)).then_some(())
        })
        .await;
        // What was held is free, and the name stays used.
        world.server.release();
        running.accepted(&world.online(2)).await;
        assert_eq!(
            wish(&running, uuid, Verb::Retry).await.unwrap_err(),
            "deal is already complete"
        );
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(running.gate.save_point(uuid), Ok(None));
    });
}

#[test]
fn a_cancelled_deal_in_the_queue_never_begins() {
    let mut world = World::new();
    world.settings.transfers_max = 1;
    world.run(async {
        let running = world.start().await;
        let first = stalled(&world, &running).await;
        let second = running.accepted(&world.online(2)).await;
        let third = running.accepted(&world.online(3)).await;
        wish(&running, second, Verb::Cancel).await.unwrap();
        world.server.release();
        running.until_sealed(first).await;
        running.until_sealed(third).await;
        assert_eq!(world.server.asked("2"), Vec::<usize>::new());
    });
}

#[test]
fn only_so_many_transfers_run_and_they_take_turns() {
    let mut world = World::new();
    world.settings.transfers_max = 2;
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(10);
        for number in 1..=4 {
            running.accepted(&world.online(number)).await;
        }
        wait("two transfers", || {
            let asked = |name: &str| !world.server.asked(name).is_empty();
            (asked("1") && asked("2")).then_some(())
        })
        .await;
        smol::Timer::after(Duration::from_millis(50)).await;
        assert!(world.server.asked("3").is_empty() && world.server.asked("4").is_empty());
        world.server.release();
        for number in 1..=4 {
            running.until_sealed(uuid(number)).await;
        }
    });
}

#[test]
fn unknown_deals_are_said_to_be_unknown() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let refusal = wish(&running, uuid(9), Verb::Cancel).await.unwrap_err();
        assert!(refusal.contains(&uuid(9).to_string()), "{refusal}");
        assert_eq!(running.deal(uuid(9)).await, None);
    });
}

#[test]
fn wrong_data_ends_an_online_deal() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        // As many bytes, other content.
        world.server.put("1", car(2));
        let uuid = running.accepted(&params).await;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert!(
            ended
                .error
                .starts_with("failed to verify CommP: commP expected="),
            "{}",
            ended.error
        );
        wait("the files' end", || world.staged().is_empty().then_some(())).await;
        assert_eq!(world.chain.state().messages.len(), 0);
    });
}

#[test]
fn edge_72_a_stop_saves_and_the_next_start_goes_on() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let uuid = stalled(&world, &running).await;
        let begun = std::time::Instant::now();
        let store = running.gate.clone();
        running.handle.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(20));
        let save = store.save_point(uuid).unwrap().expect("a save point");
        assert_eq!(save.offset, 600);
        assert_eq!(
            store.deal(uuid).unwrap().unwrap().hold,
            Hold::None,
            "no failure"
        );
        running.stop().await;
        world.server.release();
        let running = world.start().await;
        running.until_sealed(uuid).await;
        assert_eq!(world.server.asked("1"), [0, 600]);
        assert_eq!(world.sealer().state().added[0].bytes, car(1));
    });
}

#[test]
fn nothing_is_accepted_after_a_stop() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        running.handle.stop().await;
        let answer = running.propose(&world.online(1)).await;
        assert_eq!(answer.message, "server error: the provider is stopping");
        assert!(running.handle.deal(uuid(1)).await.is_err());
        assert!(wish(&running, uuid(1), Verb::Retry).await.is_err());
        assert_eq!(running.handle.publish_now().await, 0);
        running.handle.stop().await;
    });
}

#[test]
fn a_stop_answers_those_whose_deals_are_being_stored() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.gate.set(super::gate::Mode::Held);
        let answer = running.propose(&params);
        let stop = async {
            wait("the commit", || (running.gate.held() > 0).then_some(())).await;
            let stopped = running.handle.stop();
            let opened = async {
                smol::Timer::after(Duration::from_millis(20)).await;
                running.gate.open();
            };
            futures::join!(stopped, opened);
        };
        let (answer, ()) = futures::join!(answer, stop);
        assert!(answer.accepted);
        assert!(running.gate.deal(params.uuid).unwrap().is_some());
    });
}

#[test]
fn a_stop_ends_calls_that_wait_at_the_sealer() {
    let world = World::new();
    world.sealer().state().held = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        wait("the call", || {
            (world.sealer().state().running == 1).then_some(())
        })
        .await;
        running.stop().await;
        wait("its end", || {
            (world.sealer().state().running == 0).then_some(())
        })
        .await;
        world.sealer().state().held = false;
        let running = world.start().await;
        running.until_sealed(uuid).await;
        assert_eq!(world.sealer().state().added.len(), 1);
    });
}

#[test]
fn a_start_sweeps_what_nobody_owns() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let uuid = stalled(&world, &running).await;
        running.stop().await;
        let staging = &world.settings.files.staging;
        for orphan in [samples::uuid(50), samples::uuid(51)] {
            std::fs::write(world.settings.files.staged(orphan), b"left over").unwrap();
            std::fs::write(world.settings.files.blocks(orphan), b"left over").unwrap();
        }
        std::fs::write(staging.join("notes.txt"), b"the operator's").unwrap();
        let running = world.start().await;
        let own = [
            format!("{uuid}.blocks"),
            format!("{uuid}.car"),
            "notes.txt".to_owned(),
        ];
        assert_eq!(world.staged(), own);
        world.server.release();
        running.until_sealed(uuid).await;
        assert_eq!(world.staged(), ["notes.txt"]);
    });
}

#[test]
fn data_that_vanished_while_nobody_looked_is_fetched_again() {
    let mut world = World::new();
    world.publish_period(Duration::from_secs(3_600));
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Transferred).await;
        running.stop().await;
        std::fs::remove_file(world.settings.files.staged(uuid)).unwrap();
        let running = world.start().await;
        wait("the second transfer", || {
            (world.server.asked("1") == [0, 0]).then_some(())
        })
        .await;
        running.until_at(uuid, Checkpoint::Transferred).await;
        smol::Timer::after(Duration::from_millis(30)).await;
        running.handle.publish_now().await;
        running.until_sealed(uuid).await;
        assert_eq!(world.sealer().state().added[0].bytes, car(1));
    });
}

#[test]
fn a_store_that_cannot_be_read_stops_the_start() {
    let world = World::new();
    std::fs::write(
        world
            .settings
            .files
            .staging
            .parent()
            .unwrap()
            .join("staging"),
        b"a file",
    )
    .unwrap();
    let store = crate::store::Redb::open(&world.path("store.redb"), 1 << 20).unwrap();
    let parts = crate::market::Parts {
        chain: world.chain.clone(),
        sealers: std::collections::BTreeMap::new(),
        store: std::sync::Arc::new(store),
        fetcher: std::sync::Arc::new(crate::transfer::Fetcher::new(
            crate::transfer::FetchLimits::default(),
        )),
        disk: std::sync::Arc::new(crate::market::SystemDisk),
        now: std::sync::Arc::new(|| 0),
        sleep: std::sync::Arc::new(crate::market::sleep),
        fresh: std::sync::Arc::new(Uuid::new_v4),
    };
    let threads = crate::market::Threads::start().unwrap();
    let error = crate::market::start(world.settings.clone(), parts, threads)
        .err()
        .expect("the staging area is a file");
    assert!(error.to_string().contains("staging"), "{error}");
}
