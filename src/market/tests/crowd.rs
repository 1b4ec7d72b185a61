//! Six thousand imports at once (peers-and-demand 4 #2: they crash the reference): nothing waits for them, and none is lost.

use super::world::{Running, World, car};
use crate::deal::tests::samples::{self, HEAD};
use crate::deal::{Checkpoint, Deal, Import, Wait};
use crate::filecoin::{TokenAmount, cids};
use crate::piece::commp::Commp;
use crate::store::{Store, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const CROWD: usize = 6_000;

/// Longest answer while thousands wait. It takes some 50 ms; the rest is for machines that do much else.
const ANSWER_MAX: Duration = Duration::from_secs(20);

fn name(number: usize) -> Uuid {
    Uuid::from_u128(0xc0_0000 + number as u128)
}

/// Offline deals that wait for the same piece; stored without being proposed.
fn crowd() -> Vec<Deal> {
    let mut hasher = Commp::new();
    hasher.update(&car(1));
    let commitment = hasher.finish();
    let mut deal = samples::offline();
    let proposal = &mut deal.signed.proposal;
    proposal.piece_cid = commitment.cid();
    proposal.piece_size = commitment.padded_size;
    proposal.start_epoch = HEAD + 10_000;
    proposal.end_epoch = HEAD + 600_000;
    let numbered = |number: usize| Deal {
        uuid: name(number),
        chain_cid: cids::chain_cid(&number.to_be_bytes()),
        ..deal.clone()
    };
    (0..CROWD).map(numbered).collect()
}

/// Imports them all in reverse order, as many at a time as the command sends; the positions that were answered.
async fn import_all(running: &Running, path: &Path) -> Vec<u64> {
    let mut places = Vec::new();
    let path = path.to_string_lossy();
    let order: Vec<usize> = (0..CROWD).rev().collect();
    for piece in order.chunks(500) {
        let import = |number: &usize| (name(*number), Import::new(path.as_ref(), false));
        let placed = running
            .handle
            .import(piece.iter().map(import).collect())
            .await;
        places.extend(placed.unwrap().into_iter().map(|place| place.unwrap()));
    }
    places
}

/// Proposals and questions while the crowd comes in.
async fn others(world: &World, running: &Running) {
    for number in 10..18 {
        let begun = Instant::now();
        let online = running.accepted(&world.online(number)).await;
        assert!(begun.elapsed() < ANSWER_MAX, "{:?}", begun.elapsed());
        let begun = Instant::now();
        assert!(running.deal(online).await.is_some());
        assert!(running.deal(name(0)).await.is_some());
        assert!(begun.elapsed() < ANSWER_MAX, "{:?}", begun.elapsed());
    }
}

fn stored(running: &Running) -> Vec<Deal> {
    let mut deals = running.gate.live().unwrap();
    deals.retain(|deal| deal.request.offline);
    deals
}

fn is_done(deal: &Deal) -> bool {
    deal.checkpoint >= Checkpoint::Transferred
}

#[test]
fn six_thousand_imports_wait_on_disk_and_hold_nobody_up() {
    let mut world = World::new();
    world.settings.imports_max = 2;
    world.settings.chain_poll = Duration::from_millis(500);
    world.publish_period(Duration::from_secs(3_600));
    world.terms(|terms| {
        terms.publish_fee_max = TokenAmount::default();
        // They stay where their import brought them.
        terms.deals_per_message = u64::MAX;
    });
    world.chain.state().escrow = i64::MAX;
    world.run(async {
        let running = world.start().await;
        let writes = crowd().into_iter().map(|deal| Write::Deal(Box::new(deal)));
        running.gate.commit_and_wait(writes.collect()).unwrap();
        running.stop().await;

        let running = world.start().await;
        let (_, path) = world.offline(1);
        let (mut places, ()) =
            futures::join!(import_all(&running, &path), others(&world, &running));
        assert_eq!((places.len(), places[0]), (CROWD, 1));
        // Each is behind those that were there before, less those that had their turn.
        let mut asked = places.iter().zip(1_u64..);
        assert!(asked.all(|(place, asked)| *place <= asked));
        places.sort_unstable();
        assert!(places[CROWD - 1] > 3_000, "{}", places[CROWD - 1]);
        let last = running.deal(name(0)).await.unwrap();
        assert_eq!(Wait::of(&last), Wait::Turn);
        running
            .until_at(name(CROWD - 20), Checkpoint::Transferred)
            .await;
        running.crash().await;

        // All that was answered is there, in its order: who had their turn is first.
        let running = world.start_blind();
        let mut deals = stored(&running);
        deals.sort_by_key(|deal| std::cmp::Reverse(deal.uuid));
        assert_eq!(deals.len(), CROWD);
        assert!(deals.iter().all(|deal| deal.import.is_some()));
        let done = deals.iter().filter(|deal| is_done(deal)).count();
        assert!((20..CROWD).contains(&done), "{done}");
        let later = deals.iter().skip(done + world.settings.imports_max);
        assert!(later.clone().all(|deal| !is_done(deal)));
        let queued = later.map(|deal| deal.import.as_ref().unwrap().place);
        assert!(queued.is_sorted(), "the order is that of asking");
        // And goes on where it was.
        let next = deals[done + 50].uuid;
        let rest = CROWD - done;
        super::world::wait("the queue", || {
            (running.handle.import_queue().len() > rest - 60).then_some(())
        })
        .await;
        running.until_at(next, Checkpoint::Transferred).await;
        let after = stored(&running);
        let last = after.iter().find(|deal| deal.uuid == name(0)).unwrap();
        assert!(!is_done(last));
        running.stop().await;
    });
}
