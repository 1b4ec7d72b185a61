//! Too much, too slow, gone away, not stored.

use super::gate::Mode;
use super::world::{World, wait};
use crate::deal::Checkpoint;
use crate::deal::tests::samples::uuid;
use crate::store::{Listing, Store};
use futures::FutureExt;
use std::time::{Duration, Instant};

#[test]
fn only_so_many_proposals_are_judged_at_the_same_time() {
    let world = World::new();
    world.chain.state().escrow = 1_000_000_000;
    world.run(async {
        let running = world.start().await;
        running.gate.set(Mode::Held);
        let proposals: Vec<_> = (1..=64).map(|number| world.offline(number).0).collect();
        let mut all = Box::pin(futures::future::join_all(
            proposals.iter().map(|params| running.propose(params)),
        ));
        let asked = wait("all commits", || (running.gate.held() == 64).then_some(()));
        futures::select_biased! {
            _ = (&mut all).fuse() => panic!("answered before anything was stored"),
            () = asked.fuse() => {}
        }
        let one_more = running.propose(&world.offline(65).0).await;
        assert_eq!(
            one_more.message,
            "server error: too many proposals at the same time"
        );
        running.gate.open();
        assert!(all.await.iter().all(|answer| answer.accepted));
        running.accepted(&world.offline(65).0).await;
        let listing = Listing {
            limit: 100,
            ..Listing::default()
        };
        assert_eq!(running.handle.list(listing).await.unwrap().0.len(), 65);
    });
}

#[test]
fn a_chain_that_hangs_does_not_keep_the_client_waiting() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.chain.state().hanging = true;
        let begun = Instant::now();
        let answer = running.propose(&world.online(1)).await;
        assert_eq!(
            answer.message,
            "failed validation: server error: getting market balance"
        );
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(1_900), "{took:?}");
        assert!(took < Duration::from_secs(20), "{took:?}");
        world.chain.state().hanging = false;
        running.accepted(&world.online(1)).await;
    });
}

#[test]
fn a_client_that_goes_away_has_its_deal_all_the_same() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.gate.set(Mode::Held);
        let mut answer = Box::pin(running.propose(&params));
        let asked = wait("the commit", || (running.gate.held() > 0).then_some(()));
        futures::select_biased! {
            early = (&mut answer).fuse() => panic!("{early:?}"),
            () = asked.fuse() => {}
        }
        drop(answer);
        running.gate.open();
        running.until_sealed(params.uuid).await;
    });
}

#[test]
fn what_could_not_be_stored_is_not_begun() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(100);
        let uuid = running.accepted(&world.online(1)).await;
        wait("the transfer", || {
            (!world.server.asked("1").is_empty()).then_some(())
        })
        .await;
        running.gate.set(Mode::Failing);
        let before = running.gate.commits();
        world.server.release();
        // `Transferred` cannot be stored, so nothing is published.
        wait("a commit", || {
            (running.gate.commits() > before).then_some(())
        })
        .await;
        running.handle.ended().await;
        assert_eq!(world.chain.state().messages.len(), 0);
        assert_eq!(
            running.gate.deal(uuid).unwrap().unwrap().checkpoint,
            Checkpoint::Accepted
        );
        running.crash().await;
        let running = world.start().await;
        running.until_sealed(uuid).await;
        assert_eq!(world.chain.state().messages.len(), 1);
    });
}

#[test]
fn a_wish_that_could_not_be_stored_is_not_granted() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let deal = running.accepted(&params).await;
        running.gate.set(Mode::Failing);
        let refusal = running.import(deal, &path, false).await.unwrap_err();
        assert!(refusal.contains("the disk is full"), "{refusal}");
        assert_eq!(running.gate.deal(deal).unwrap().unwrap().import, None);
        running.crash().await;
        let running = world.start().await;
        assert_eq!(running.deal(deal).await.unwrap().import, None);
        running.import(deal, &path, false).await.unwrap();
        running.until_sealed(deal).await;
    });
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut world = World::new();
    let day = Duration::from_secs(86_400);
    world.publish_period(Duration::from_secs(3_600));
    world.settings.chain_poll = Duration::from_secs(10);
    world.pass(day);
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Transferred).await;
        smol::Timer::after(Duration::from_millis(30)).await;
        world.set_back(day);
        world.chain.state().head += 1;
        let head = world.chain.state().head;
        wait("a look at the chain", || {
            let (seen, _) = running.handle.snapshot().head?;
            (seen == head).then_some(())
        })
        .await;
        // An hour is an hour, not a day and an hour.
        world.pass(Duration::from_secs(3_601));
        running.until_at(uuid, Checkpoint::Published).await;
    });
}

#[test]
fn a_deal_is_shown_as_it_is_stored() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let deal = running.accepted(&params).await;
        running.gate.set(Mode::Held);
        let import = running.import(deal, &path, false);
        let look = async {
            wait("the commit", || (running.gate.held() > 0).then_some(())).await;
            let mut shown = Box::pin(running.deal(deal));
            smol::Timer::after(Duration::from_millis(30)).await;
            assert!(
                (&mut shown).now_or_never().is_none(),
                "shown before it is stored"
            );
            running.gate.open();
            shown.await
        };
        let (imported, shown) = futures::join!(import, look);
        imported.unwrap();
        assert!(shown.unwrap().import.is_some());
        assert_eq!(running.deal(uuid(99)).await, None);
    });
}
