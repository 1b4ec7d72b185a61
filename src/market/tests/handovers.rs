//! Giving pieces to a sealer that refuses, forgets, hangs (edge cases 85, 87, 88).

use super::world::{World, car, other_miner, start, to_miner, wait};
use crate::chain::DealState;
use crate::deal::step::Verb;
use crate::deal::{Checkpoint, Hold};
use crate::market::Wish;
use crate::sealer::SealerError;
use std::time::Duration;

fn refused() -> SealerError {
    SealerError::Refused {
        code: 1,
        message: "SectorAddPieceToAny: too many sectors".to_owned(),
    }
}

#[test]
fn edge_85_a_sealer_that_refuses_is_asked_again() {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (60_000, 60_000));
    world.sealer().state().failures = vec![refused()];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = running.until(uuid, |deal| deal.hold != Hold::None).await;
        assert!(matches!(held.hold, Hold::Auto { .. }));
        assert_eq!(held.checkpoint, Checkpoint::PublishConfirmed);
        assert_eq!(
            held.error,
            format!(
                "failed to add piece: packing piece {}: AddPiece failed: {}",
                held.proposal().piece_cid,
                refused()
            )
        );
        world.pass(Duration::from_secs(80));
        let deal = running.until_sealed(uuid).await;
        assert_eq!((deal.error.as_str(), deal.tries), ("", 0));
        assert_eq!(world.sealer().state().calls, 2);
        assert_eq!(world.sealer().state().added.len(), 1);
        assert_eq!(world.chain.state().messages.len(), 1);
    });
}

#[test]
fn edge_85_an_operator_s_retry_goes_on_at_the_hand_over() {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (60_000, 60_000));
    world.sealer().state().failures = vec![refused()];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until(uuid, |deal| deal.hold != Hold::None).await;
        running
            .handle
            .wish(uuid, Wish::Verb(Verb::Retry))
            .await
            .unwrap();
        running.until_sealed(uuid).await;
        assert_eq!(world.sealer().state().calls, 2);
        assert_eq!(world.chain.state().messages.len(), 1, "not published again");
    });
}

#[test]
fn a_lost_answer_does_not_add_the_piece_twice() {
    let world = World::new();
    world.sealer().state().mute = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_sealed(uuid).await;
        let state = world.sealer().state();
        assert_eq!((state.calls, state.added.len()), (1, 1));
    });
}

#[test]
fn a_sector_that_is_active_on_chain_is_found_there() {
    let world = World::new();
    world.sealer().state().failures = vec![SealerError::Unreachable("cut off".to_owned())];
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        let proposal = params.proposal.clone().unwrap().proposal;
        let state = DealState {
            proposal,
            sector_number: 44,
            sector_start_epoch: 1,
            slash_epoch: -1,
        };
        world.chain.state().active.insert(100, state);
        let uuid = running.accepted(&params).await;
        let deal = running
            .until(uuid, |deal| deal.checkpoint >= Checkpoint::AddedPiece)
            .await;
        assert_eq!(deal.sector.unwrap().number, 44);
        assert_eq!(world.sealer().state().added.len(), 0);
    });
}

#[test]
fn edge_87_a_deal_whose_start_has_passed_is_not_handed_over() {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (60_000, 60_000));
    world.sealer().state().failures = vec![refused()];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until(uuid, |deal| deal.hold != Hold::None).await;
        running.stop().await;
        world.chain.state().head = start(1) + 1;
        world.pass(Duration::from_secs(80));
        let running = world.start().await;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert_eq!(
            ended.error,
            format!(
                "deal proposal must be proven on chain by deal proposal start epoch {}, \
                 but it has expired: current chain height: {}",
                start(1),
                start(1) + 1
            )
        );
        assert_eq!(world.sealer().state().added.len(), 0);
    });
}

#[test]
fn a_piece_that_the_sealer_has_goes_on_after_its_start_epoch() {
    let world = World::new();
    world.sealer().state().held = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        wait("the call", || {
            (world.sealer().state().running > 0).then_some(())
        })
        .await;
        world.chain.state().head = start(1) + 1;
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(
            running.deal(uuid).await.unwrap().checkpoint,
            Checkpoint::PublishConfirmed
        );
        world.sealer().state().held = false;
        running.until_sealed(uuid).await;
    });
}

#[test]
fn data_that_has_gone_waits_for_the_operator() {
    let world = World::new();
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Published).await;
        let file = world.settings.files.staged(uuid);
        std::fs::remove_file(&file).unwrap();
        world.chain.state().pending = false;
        let held = running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        assert_eq!(held.checkpoint, Checkpoint::PublishConfirmed);
        let text = format!(
            "failed to add piece: failed to get size of downloaded file '{}': ",
            file.display()
        );
        assert!(held.error.starts_with(&text), "{}", held.error);
        // The operator brings it back from elsewhere.
        std::fs::write(&file, car(1)).unwrap();
        running
            .handle
            .wish(uuid, Wish::Verb(Verb::Retry))
            .await
            .unwrap();
        running.until_sealed(uuid).await;
    });
}

#[test]
fn a_file_of_another_length_is_not_handed_over() {
    let world = World::new();
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        running.import(uuid, &path, false).await.unwrap();
        running.until_at(uuid, Checkpoint::Published).await;
        std::fs::write(&path, b"replaced").unwrap();
        world.chain.state().pending = false;
        let held = running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        assert!(
            held.error.contains("has 8 bytes instead of"),
            "{}",
            held.error
        );
        assert_eq!(world.sealer().state().calls, 0);
    });
}

#[test]
fn a_sector_is_watched_until_it_has_ended() {
    let world = World::new();
    world.sealer().state().sector = "PreCommit1".to_owned();
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running
            .until(uuid, |deal| deal.sealing == "PreCommit1")
            .await;
        world.sealer().state().sector = "WaitSeed".to_owned();
        running
            .until(uuid, |deal| deal.sealing == "WaitSeed" && !deal.sealed)
            .await;
        // Watched again after a start.
        running.stop().await;
        let running = world.start().await;
        world.sealer().state().sector = "Proving".to_owned();
        running.until_sealed(uuid).await;
        running.stop().await;
        let running = world.start().await;
        assert_eq!(
            running
                .handle
                .list(crate::store::Listing {
                    limit: 9,
                    ..Default::default()
                })
                .await
                .unwrap()
                .0
                .len(),
            1
        );
        // It is looked at on chain, which takes a turn for the next time, and rests.
        smol::Timer::after(Duration::from_millis(50)).await;
        let commits = running.gate.commits();
        assert!(commits <= 1, "{commits}");
    });
}

#[test]
fn edge_88_a_removed_sector_ends_its_deal() {
    let world = World::new();
    {
        let mut state = world.sealer().state();
        state.sector = "Removed".to_owned();
        state.empty = true;
    }
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert_eq!(ended.error, "storage failed - deal not found in sector");
    });
}

#[test]
fn a_deal_that_its_sector_does_not_list_is_sealed_if_the_chain_shows_it_active() {
    let world = World::new();
    world.sealer().state().empty = true;
    world.chain.state().mute_states = true;
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        let proposal = params.proposal.clone().unwrap().proposal;
        let uuid = running.accepted(&params).await;
        // The chain does not say: that is no reason to end it.
        running
            .until_at(uuid, Checkpoint::IndexedAndAnnounced)
            .await;
        wait("some looks", || {
            (world.chain.state().states_asked > 3).then_some(())
        })
        .await;
        let deal = running.deal(uuid).await.unwrap();
        assert_eq!((deal.sealed, deal.error.as_str()), (false, ""));
        let state = DealState {
            proposal,
            sector_number: 0,
            sector_start_epoch: 1,
            slash_epoch: -1,
        };
        world.chain.state().active.insert(100, state);
        world.chain.state().mute_states = false;
        running.until_sealed(uuid).await;
    });
}

#[test]
fn only_so_many_calls_wait_at_the_sealer() {
    let world = World::new();
    world.sealer().state().held = true;
    world.run(async {
        let running = world.start().await;
        let proposals: Vec<_> = (1..=11).map(|number| world.online(number)).collect();
        for params in &proposals {
            running.accepted(params).await;
        }
        for params in &proposals {
            running
                .until_at(params.uuid, Checkpoint::PublishConfirmed)
                .await;
        }
        wait("the calls", || {
            (world.sealer().state().running == 8).then_some(())
        })
        .await;
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(world.sealer().state().running, 8);
        world.sealer().state().held = false;
        for params in &proposals {
            running.until_sealed(params.uuid).await;
        }
        assert_eq!(world.sealer().state().added.len(), 11);
    });
}

/// What lotus-miner says of bytes that are not the piece.
fn other_data() -> SealerError {
    SealerError::Refused {
        code: 1,
        message: "SectorAddPieceToAny: got unexpected piece CID: expected:baga1, got:baga2"
            .to_owned(),
    }
}

#[test]
fn a_piece_that_was_damaged_on_its_way_is_offered_again() {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (60_000, 60_000));
    world.sealer().state().failures = vec![other_data()];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = running.until(uuid, |deal| deal.hold != Hold::None).await;
        assert!(matches!(held.hold, Hold::Auto { .. }), "{held:?}");
        for part in [
            "AddPiece failed: ",
            "got unexpected piece CID: expected:baga1",
            "the file was read again and is as it should be",
        ] {
            assert!(held.error.contains(part), "{}", held.error);
        }
        world.pass(Duration::from_secs(80));
        running.until_sealed(uuid).await;
        assert_eq!(world.sealer().state().calls, 2);
    });
}

#[test]
fn a_file_that_has_changed_since_it_was_checked_waits_for_the_operator() {
    let world = World::new();
    world.sealer().state().held = true;
    world.sealer().state().failures = vec![other_data()];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        wait("the call", || {
            (world.sealer().state().running == 1).then_some(())
        })
        .await;
        let file = world.settings.files.staged(uuid);
        let whole = std::fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        damaged[100] ^= 1;
        std::fs::write(&file, damaged).unwrap();
        world.sealer().state().held = false;
        let held = running.until(uuid, |deal| deal.hold != Hold::None).await;
        assert_eq!(held.hold, Hold::Manual, "{}", held.error);
        let named = file.display().to_string();
        for part in ["has changed since it was checked", &named] {
            assert!(held.error.contains(part), "{}", held.error);
        }
        std::fs::write(&file, whole).unwrap();
        let retried = running.handle.wish(uuid, Wish::Verb(Verb::Retry)).await;
        retried.unwrap();
        running.until_sealed(uuid).await;
        assert_eq!(world.sealer().state().added.len(), 1);
    });
}

#[test]
fn a_deal_that_starts_too_soon_for_the_sealer_waits_for_the_operator() {
    let world = World::new();
    world.sealer().state().failures = vec![SealerError::Refused {
        code: 1,
        message: "SectorAddPieceToAny: current epoch 7 has passed deal proposal start epoch 9"
            .to_owned(),
    }];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = running.until(uuid, |deal| deal.hold != Hold::None).await;
        assert_eq!(held.hold, Hold::Manual);
        assert!(
            held.error.contains("StartEpochSealingBuffer"),
            "{}",
            held.error
        );
        assert_eq!(
            world.sealer().state().calls,
            1,
            "no further call will do better"
        );
        // The operator has changed the miner's setting.
        let retried = running.handle.wish(uuid, Wish::Verb(Verb::Retry)).await;
        retried.unwrap();
        running.until_sealed(uuid).await;
    });
}

#[test]
fn a_sealer_that_takes_nothing_holds_up_no_other_one() {
    let world = World::new();
    world.sealer().state().held = true;
    world.run(async {
        let running = world.start().await;
        for number in 1..=9 {
            running.accepted(&world.online(number)).await;
        }
        wait("the calls", || {
            (world.sealer().state().running == 8).then_some(())
        })
        .await;
        let other = to_miner(world.online(10), &other_miner());
        running.accepted(&other).await;
        running.until_sealed(other.uuid).await;
        assert_eq!(world.sealer().state().running, 8);
        world.sealer().state().held = false;
        for number in 1..=9 {
            running.until_sealed(world.online(number).uuid).await;
        }
    });
}

#[test]
fn the_chain_is_asked_before_the_sealer_and_again_behind_it() {
    let world = World::new();
    world.sealer().state().failures = vec![SealerError::Unreachable("cut off".to_owned())];
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.accepted(&params).await;
        running.until_sealed(params.uuid).await;
        let first = world.chain.state().states_asked;
        // Looked up before the second call: nothing on chain, nothing at the sealer, still nothing on chain.
        assert!(first >= 2, "{first}");
        assert_eq!(world.sealer().state().calls, 2);
    });
}
