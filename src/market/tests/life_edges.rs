//! Edge cases of spec boost-mk12 12 in the life of a deal, and where each of them is.
//!
//! | edge case | tests |
//! |---|---|
//! | 71 cancel during a transfer | `ends::edge_71_…`; here: prompt whatever the deal waits for |
//! | 72 stop during a transfer | `ends::edge_72_…`, `retries::a_stop_is_no_failure` |
//! | 73 data smaller than the piece | `data::edge_73_…` |
//! | 74 trailing zeros, CARv2, no CAR | `data::edge_74_…`, imported: `imports` |
//! | 75 CAR larger than the piece | `data::edge_75_…`, imported: `imports::edge_76_a_file_larger_…`, the machine: `deal::tests::setback` |
//! | 76–79 imports | `imports` |
//! | 85 add piece fails | `handovers::edge_85_…`, `deal::tests::verbs` |
//! | 86 kill at each checkpoint | here; at each commit: `crash`; the real binary: `tests/deal_life.rs` |
//! | 87 restart after the start epoch | `late::edge_87_…`, `handovers::edge_87_…`, `deal::tests::epochs` |
//! | 88 sector ends without the deal | `handovers::edge_88_…` |
//! | 90 retry of a complete, fail of a running deal | here; every state and verb: `deal::tests::verbs` |

use super::gate::Mode;
use super::world::{Running, World, wait};
use crate::deal::step::Verb;
use crate::deal::tests::samples::{self, atto};
use crate::deal::{Checkpoint, Deal, Hold, Ledger};
use crate::market::Wish;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// "At once", on a busy machine.
const PROMPT: Duration = Duration::from_secs(10);

async fn wish(running: &Running, uuid: Uuid, verb: Verb) -> Result<(), String> {
    running.handle.wish(uuid, Wish::Verb(verb)).await
}

async fn held(running: &Running) -> Ledger {
    running.handle.ledgers().await[&samples::miner()].clone()
}

/// How a deal is brought to a stand at a checkpoint, and how it goes on.
struct Stand {
    at: Checkpoint,
    freeze: fn(&mut World),
    /// It stands still.
    stands: fn(&Deal) -> bool,
    thaw: fn(&World),
    /// Collateral, deals without a message, messages, whether staging bytes are held.
    holds: (i64, u64, u64, bool),
}

fn stands() -> [Stand; 6] {
    [
        Stand {
            at: Checkpoint::Accepted,
            freeze: |world| world.server.stall_after(600),
            stands: |_| true,
            thaw: |world| world.server.release(),
            holds: (1_000, 1, 0, true),
        },
        Stand {
            at: Checkpoint::Transferred,
            freeze: |world| world.publish_period(Duration::from_secs(3_600)),
            stands: |deal| deal.order.is_none(),
            thaw: |world| world.pass(Duration::from_secs(3_700)),
            holds: (1_000, 1, 0, true),
        },
        Stand {
            at: Checkpoint::Published,
            freeze: |world| world.chain.state().pending = true,
            stands: |_| true,
            thaw: |world| world.chain.state().pending = false,
            holds: (1_000, 0, 1, true),
        },
        Stand {
            at: Checkpoint::PublishConfirmed,
            freeze: |world| world.sealer().state().away = true,
            stands: |_| true,
            thaw: |world| world.sealer().state().away = false,
            holds: (0, 0, 0, true),
        },
        Stand {
            at: Checkpoint::AddedPiece,
            freeze: |world| world.sealer().state().held = true,
            stands: |_| true,
            thaw: |world| {
                std::fs::remove_file(&world.settings.files.pieces).unwrap();
                std::fs::create_dir(&world.settings.files.pieces).unwrap();
            },
            holds: (0, 0, 0, false),
        },
        Stand {
            at: Checkpoint::IndexedAndAnnounced,
            freeze: |world| world.sealer().state().sector = "PreCommit1".to_owned(),
            stands: |deal| deal.sealing == "PreCommit1",
            thaw: |world| world.sealer().state().sector = String::new(),
            holds: (0, 0, 0, false),
        },
    ]
}

/// A file in the way of the kept pieces: their index cannot be built.
async fn block_pieces(world: &World) {
    wait("the call", || {
        (world.sealer().state().running > 0).then_some(())
    })
    .await;
    std::fs::remove_dir_all(&world.settings.files.pieces).unwrap();
    std::fs::write(&world.settings.files.pieces, b"in the way").unwrap();
    world.sealer().state().held = false;
}

async fn unblock_start(world: &World, stand: &Stand) -> Running {
    if stand.at == Checkpoint::AddedPiece {
        // The start wants its directories; the deal waits for its next try.
        (stand.thaw)(world);
    }
    world.start().await
}

async fn killed(world: &World, stand: &Stand) {
    let at = stand.at;
    let running = world.start().await;
    let uuid = running.accepted(&world.online(1)).await;
    if at == Checkpoint::AddedPiece {
        block_pieces(world).await;
    }
    running
        .until(uuid, |deal| deal.checkpoint == at && (stand.stands)(deal))
        .await;
    let (collateral, unpublished, messages, staging) = stand.holds;
    let check = |held: &Ledger, when: &str| {
        assert_eq!(held.collateral, atto(collateral), "{at}, {when}");
        assert_eq!(held.unpublished, unpublished, "{at}, {when}");
        assert_eq!(held.messages, messages, "{at}, {when}");
        assert_eq!(held.staging > 0, staging, "{at}, {when}");
    };
    check(&held(&running).await, "before the kill");
    running.gate.set(Mode::Dead);
    // A thread that waits for the server would outlive the crash.
    world.server.release();
    running.crash().await;
    if at == Checkpoint::Accepted {
        world.server.stall_after(600);
    }
    let running = unblock_start(world, stand).await;
    if at != Checkpoint::AddedPiece {
        check(&held(&running).await, "after the kill");
        (stand.thaw)(world);
    }
    let deal = running.until_sealed(uuid).await;
    assert_eq!(deal.error, "", "{at}");
    assert_eq!(held(&running).await, Ledger::default(), "{at}");
    assert_eq!(world.chain.state().messages.len(), 1, "{at}");
    assert_eq!(world.sealer().state().added.len(), 1, "{at}");
    assert_eq!(world.staged(), Vec::<String>::new(), "{at}");
    running.stop().await;
}

#[test]
fn edge_86_a_kill_at_each_checkpoint_counts_funds_once() {
    for stand in stands() {
        let mut world = World::new();
        (stand.freeze)(&mut world);
        world.run(killed(&world, &stand));
    }
}

#[test]
fn edge_90_the_texts_of_ended_and_running_deals() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(600);
        let uuid = running.accepted(&world.online(1)).await;
        assert_eq!(
            wish(&running, uuid, Verb::Fail).await.unwrap_err(),
            format!("the deal {uuid} is running; cannot fail running deal")
        );
        wish(&running, uuid, Verb::Cancel).await.unwrap();
        let complete = Err("deal is already complete".to_owned());
        for verb in [Verb::Retry, Verb::Cancel, Verb::Fail] {
            assert_eq!(wish(&running, uuid, verb).await, complete);
        }
        // Also when it has left the memory.
        world.pass(Duration::from_secs(120));
        smol::Timer::after(Duration::from_millis(30)).await;
        assert_eq!(wish(&running, uuid, Verb::Retry).await, complete);
        world.server.release();
        running.stop().await;
        let running = world.start().await;
        assert_eq!(wish(&running, uuid, Verb::Retry).await, complete);
        let unknown = wish(&running, samples::uuid(9), Verb::Retry).await;
        assert!(unknown.unwrap_err().starts_with("no storage deal found"));
    });
}

/// Cancels a deal and wants it ended and free of everything at once.
async fn cancels_promptly(running: &Running, uuid: Uuid) {
    let begun = Instant::now();
    wish(running, uuid, Verb::Cancel).await.unwrap();
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    let ended = running.deal(uuid).await.unwrap();
    assert_eq!(
        (ended.checkpoint, ended.error.as_str()),
        (Checkpoint::Complete, "Cancelled")
    );
}

#[test]
fn edge_71_a_cancel_is_prompt_while_a_server_hangs_and_gives_the_place_free() {
    // Before the first byte of the body, and in the middle of it.
    for bytes in [0, 600] {
        let mut world = World::new();
        world.settings.transfers_max = 1;
        world.run(async {
            let running = world.start().await;
            world.server.stall_after(bytes);
            let first = running.accepted(&world.online(1)).await;
            wait("the transfer", || {
                (!world.server.asked("1").is_empty()).then_some(())
            })
            .await;
            let second = running.accepted(&world.online(2)).await;
            let queued = running.accepted(&world.online(3)).await;
            cancels_promptly(&running, queued).await;
            cancels_promptly(&running, first).await;
            assert_eq!(held(&running).await.collateral, atto(1_000), "the other's");
            // The server still hangs for the first; the second has its place.
            wait("the second transfer", || {
                (!world.server.asked("2").is_empty()).then_some(())
            })
            .await;
            world.server.release();
            running.until_sealed(second).await;
            assert!(world.server.asked("3").is_empty());
        });
    }
}

#[test]
fn edge_71_a_cancel_is_prompt_in_a_hold() {
    let mut world = World::new();
    world.settings.transfers_max = 1;
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (3_600_000, 3_600_000));
    world.run(async {
        let running = world.start().await;
        // In a backoff.
        world.server.cut_after(600);
        let backoff = running.accepted(&world.online(1)).await;
        running.until(backoff, |deal| deal.tries == 1).await;
        cancels_promptly(&running, backoff).await;
        // Waiting for its import, and paused after a wrong one.
        let (params, _) = world.offline(2);
        let waits = running.accepted(&params).await;
        cancels_promptly(&running, waits).await;
        let (params, path) = world.offline(3);
        std::fs::write(&path, b"something else").unwrap();
        let paused = running.accepted(&params).await;
        running.import(paused, &path, false).await.unwrap();
        running
            .until(paused, |deal| deal.hold == Hold::Manual)
            .await;
        cancels_promptly(&running, paused).await;
        assert_eq!(held(&running).await, Ledger::default());
        wait("the files' end", || world.staged().is_empty().then_some(())).await;
    });
}

#[test]
fn a_cancel_that_comes_too_late_leaves_later_errors_as_they_are() {
    let mut world = World::new();
    world.publish_period(Duration::from_secs(3_600));
    world.chain.state().objected = vec![super::world::start(1)];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Transferred).await;
        assert_eq!(
            wish(&running, uuid, Verb::Cancel).await.unwrap_err(),
            "transfer already complete"
        );
        world.pass(Duration::from_secs(3_700));
        let deal = running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        assert!(
            deal.error.starts_with("recoverable error to publish deal"),
            "{}",
            deal.error
        );
        wish(&running, uuid, Verb::Fail).await.unwrap();
        let ended = running.deal(uuid).await.unwrap();
        assert_eq!(ended.error, "user manually terminated the deal");
    });
}

#[test]
fn a_retry_of_a_deal_without_data_is_refused_and_leaves_it_alive() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        let refusal = wish(&running, uuid, Verb::Retry).await.unwrap_err();
        assert!(refusal.contains("has no data to go on with"), "{refusal}");
        assert!(refusal.contains(&format!("coracle import {uuid} ")));
        running.import(uuid, &path, false).await.unwrap();
        running.until_sealed(uuid).await;
    });
}

#[test]
fn two_miners_do_not_promise_the_same_coin_of_a_shared_wallet() {
    let mut world = World::new();
    world.publish_period(Duration::from_secs(3_600));
    world.chain.state().publish_balance = 50_000_000_000_000_000;
    world.run(async {
        let running = world.start().await;
        running.accepted(&world.online(1)).await;
        // The one message that the wallet can pay for has room for more of the same miner, not for another's.
        running.accepted(&world.online(2)).await;
        let other = super::world::to_miner(world.online(3), &super::world::other_miner());
        let answer = running.propose(&other).await;
        assert_eq!(
            answer.message,
            "server error: provider has insufficient funds to accept deal"
        );
        world.chain.state().publish_balance = 100_000_000_000_000_000;
        wait("the new balance", || {
            let snapshot = running.handle.snapshot();
            let view = snapshot.miners.get(&super::world::other_miner())?;
            (view.facts.publish_balance == atto(100_000_000_000_000_000_i64)).then_some(())
        })
        .await;
        running.accepted(&other).await;
    });
}
