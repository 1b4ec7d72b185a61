//! The power is cut at every commit of a deal's way, before and after it reaches the disk. The next start goes on; the
//! deal is published once and its piece added once.

use super::gate::Mode;
use super::world::{World, car, wait};
use crate::deal::Checkpoint;
use crate::deal::tests::samples::uuid;
use crate::store::Store;

/// Commits of an undisturbed way, asks not counted.
async fn whole_way(world: &World) -> u32 {
    let running = world.start().await;
    let before = running.gate.commits();
    let uuid = running.accepted(&world.online(1)).await;
    running.until_sealed(uuid).await;
    let commits = running.gate.commits() - before;
    running.stop().await;
    commits
}

/// Cuts at one commit, starts again, and looks at what has come of the deal.
async fn cut(world: &World, commits: u32, written: bool) {
    let running = world.start().await;
    let params = world.online(1);
    running.gate.set(Mode::Dying { commits, written });
    let answer = async {
        let answer = running.propose(&params).await;
        assert!(answer.accepted);
        std::future::pending::<bool>().await
    };
    let died = async {
        wait("the cut", || {
            (running.gate.mode() == Mode::Dead).then_some(())
        })
        .await;
        true
    };
    smol::future::or(answer, died).await;
    running.crash().await;

    let running = world.start().await;
    // A client that heard nothing asks again, in the same words.
    running.accepted(&params).await;
    let deal = running.until_sealed(params.uuid).await;
    let when = format!("after {commits} commits, the last one written: {written}");
    assert_eq!(deal.checkpoint, Checkpoint::IndexedAndAnnounced, "{when}");
    assert_eq!(world.chain.state().messages.len(), 1, "{when}");
    let added = world.sealer().state().added.clone();
    assert_eq!(added.len(), 1, "{when}");
    assert_eq!(added[0].bytes, car(1), "{when}");
    assert_eq!(world.staged(), Vec::<String>::new(), "{when}");
    assert_eq!(running.pieces(), 1, "{when}");
    assert_eq!(running.gate.save_point(params.uuid), Ok(None), "{when}");
    running.stop().await;
}

fn cut_everywhere(written: bool, signs_first: bool) {
    let world = World::new();
    world.chain.state().signs_first = signs_first;
    let mut commits = 0;
    world.run(async { commits = whole_way(&world).await });
    assert!(commits > 6, "the test would look at nothing");
    for cut_at in 0..commits {
        let world = World::new();
        world.chain.state().signs_first = signs_first;
        world.run(cut(&world, cut_at, written));
    }
}

#[test]
fn what_was_being_written_is_lost() {
    cut_everywhere(false, false);
}

#[test]
fn what_was_being_written_is_there() {
    cut_everywhere(true, false);
}

#[test]
fn a_message_that_is_signed_first_is_no_other_after_a_cut() {
    cut_everywhere(false, true);
    cut_everywhere(true, true);
}

#[test]
fn a_transfer_goes_on_where_it_was_saved() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(1_500);
        let uuid = running.accepted(&world.online(1)).await;
        // A save point is made after each KiB.
        let save = wait("a save point", || running.gate.save_point(uuid).ok()?).await;
        assert!((1_024..=1_500).contains(&save.offset), "{}", save.offset);
        let crash = running.crash();
        world.server.release();
        crash.await;
        let running = world.start().await;
        running.until_sealed(uuid).await;
        let asked = world.server.asked("1");
        assert_eq!(asked[0], 0);
        assert!(asked[1] >= 1_024, "from the save point: {asked:?}");
        assert_eq!(world.sealer().state().added[0].bytes, car(1));
    });
}

#[test]
fn an_order_of_several_deals_is_sent_once() {
    let mut world = World::new();
    world.publish_period(std::time::Duration::from_secs(3_600));
    world.terms(|terms| terms.deals_per_message = 3);
    world.chain.state().mute = true;
    world.run(async {
        let running = world.start().await;
        for number in 1..=3 {
            running.accepted(&world.online(number)).await;
        }
        wait("the message", || {
            (!world.chain.state().messages.is_empty()).then_some(())
        })
        .await;
        running.crash().await;
        world.chain.state().mute = false;
        let running = world.start().await;
        for number in 1..=3 {
            running.until_sealed(uuid(number)).await;
        }
        let messages = world.chain.state().messages.clone();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].1.len(), 3);
    });
}

#[test]
fn a_piece_that_the_sealer_took_meanwhile_is_found() {
    let world = World::new();
    world.sealer().state().held = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        wait("the call", || {
            (world.sealer().state().running == 1).then_some(())
        })
        .await;
        let crash = running.crash();
        // The sealer goes on although nobody hears it any more.
        world.sealer().state().held = false;
        crash.await;
        assert_eq!(world.sealer().state().added.len(), 1);
        let running = world.start().await;
        running.until_sealed(uuid).await;
        assert_eq!(world.sealer().state().calls, 1);
    });
}
