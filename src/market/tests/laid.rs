//! Deals whose sealer fetches its pieces from a directory, from the hand-over to the sector.

use super::world::{Running, World, start, wait};
use crate::chain::DealState;
use crate::deal::ledger::Ledger;
use crate::deal::step::{FINALITY, Verb};
use crate::deal::tests::samples::{self, atto};
use crate::deal::{Checkpoint, Deal, Hold, Sector, Wait};
use crate::market::Wish;
use crate::sealer::{Directory, Names};
use crate::wire::DealParams;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A world whose sample miner has a hand-over directory.
fn world() -> World {
    let mut world = World::new();
    let staging = world.settings.files.staging.clone();
    let directory = Directory::open(&world.path("out"), &staging).unwrap();
    world.sealer = Some(Arc::new(directory));
    world
}

fn out(world: &World) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(world.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn pause(time: Duration) {
    async_io::Timer::after(time).await;
}

fn file(world: &World, name: &str) -> PathBuf {
    world.path("out").join(name)
}

/// A deal whose piece lies ready.
async fn ready(running: &Running, params: &DealParams) -> (Deal, Names) {
    let uuid = running.accepted(params).await;
    laid_out(running, uuid).await
}

async fn laid_out(running: &Running, uuid: Uuid) -> (Deal, Names) {
    let deal = running
        .until(uuid, |deal| Wait::of(deal) == Wait::Place)
        .await;
    assert_eq!((deal.sector, deal.sealing.as_str()), (None, ""));
    let names = Names::short(&deal.proposal().piece_cid);
    (deal, names)
}

fn answer(world: &World, deal: &Deal, names: &Names) {
    let text = format!(
        r#"{{"DealID": {}, "Sector": 45, "Offset": 4096}}"#,
        deal.chain_deal_id.unwrap()
    );
    let unfinished = file(world, ".result");
    fs::write(&unfinished, text).unwrap();
    fs::rename(unfinished, file(world, &names.result)).unwrap();
}

const PLACE: Sector = Sector {
    number: 45,
    offset: 4_096,
};

/// The chain shows the deal active in sector 45.
fn activate(world: &World, deal: &Deal) {
    let state = DealState {
        proposal: deal.proposal().clone(),
        sector_number: 45,
        sector_start_epoch: 7,
        slash_epoch: -1,
    };
    let deal_id = deal.chain_deal_id.unwrap();
    world.chain.state().active.insert(deal_id, state);
}

#[test]
fn a_deal_goes_through_the_directory() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        let (deal, names) = ready(&running, &world.online(1)).await;
        assert_eq!(out(&world), [names.data.as_str(), &names.document]);
        // Kept for retrievals and laid out: one file with two names.
        let kept = world.settings.files.piece(&deal.proposal().piece_cid);
        let (one, other) = (
            fs::metadata(kept).unwrap(),
            fs::metadata(file(&world, &names.data)).unwrap(),
        );
        assert_eq!(one.ino(), other.ino());
        answer(&world, &deal, &names);
        let placed = running.until(deal.uuid, |deal| deal.sector.is_some()).await;
        assert_eq!(placed.sector, Some(PLACE));
        wait("the directory to be empty", || {
            out(&world).is_empty().then_some(())
        })
        .await;
        assert!(!placed.sealed);
        activate(&world, &deal);
        let sealed = running.until_sealed(deal.uuid).await;
        assert_eq!(
            (sealed.sector, sealed.sealing.as_str()),
            (Some(PLACE), "Proving")
        );
        // The kept copy stays.
        assert_eq!(
            one.len(),
            fs::metadata(world.settings.files.piece(&deal.proposal().piece_cid))
                .unwrap()
                .len()
        );
        let log = running.log(deal.uuid).await;
        for part in [
            "laid out for the sealer",
            "sector 45 at offset 4096",
            "sealed",
        ] {
            assert!(log.iter().any(|line| line.text.contains(part)), "{part}");
        }
    });
}

#[test]
fn the_operator_tells_the_place() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        let (deal, _) = ready(&running, &world.online(1)).await;
        let told = |sector| {
            let wish = Wish::Verb(Verb::Sealed(sector));
            running.handle.wish(deal.uuid, wish)
        };
        told(PLACE).await.unwrap();
        told(PLACE).await.unwrap();
        let elsewhere = Sector {
            number: 46,
            ..PLACE
        };
        let refused = told(elsewhere).await.unwrap_err();
        assert!(refused.contains("sector 45"), "{refused}");
        wait("the directory to be empty", || {
            out(&world).is_empty().then_some(())
        })
        .await;
        activate(&world, &deal);
        assert_eq!(running.until_sealed(deal.uuid).await.sector, Some(PLACE));
    });
}

#[test]
fn the_chain_tells_the_sector_when_nobody_else_does() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        let (deal, _) = ready(&running, &world.online(1)).await;
        activate(&world, &deal);
        let sealed = running.until_sealed(deal.uuid).await;
        assert_eq!(sealed.sector.unwrap().number, 45);
        wait("the directory to be empty", || {
            out(&world).is_empty().then_some(())
        })
        .await;
    });
}

#[test]
fn a_crash_at_any_moment_lays_out_once() {
    let world = world();
    let laid: std::cell::RefCell<Option<(Deal, Names)>> = None.into();
    world.run(async {
        let running = world.start().await;
        *laid.borrow_mut() = Some(ready(&running, &world.online(1)).await);
        running.stop().await;
    });
    let (deal, names) = laid.into_inner().unwrap();
    let uuid = deal.uuid;
    let written = || {
        let found = fs::metadata(file(&world, &names.document));
        found.unwrap().ino()
    };
    let first = written();
    // The files are there, the record is not: as if the commit had not come through.
    let store = crate::store::Redb::open(&world.path("store.redb"), 1 << 20).unwrap();
    rewind(&store, uuid);
    drop(store);
    let files = &world.settings.files;
    fs::rename(files.piece(&deal.proposal().piece_cid), files.staged(uuid)).unwrap();
    world.run(async {
        let running = world.start().await;
        let (deal, names) = laid_out(&running, uuid).await;
        assert_eq!(written(), first, "laid out twice");
        assert_eq!(world.chain.state().messages.len(), 1);
        // The result came while nobody ran, and what was not removed goes at the next start.
        running.stop().await;
        answer(&world, &deal, &names);
        let running = world.start().await;
        let placed = running.until(uuid, |deal| deal.sector.is_some()).await;
        assert_eq!(placed.sector, Some(PLACE));
        running.stop().await;
        fs::write(file(&world, &names.data), "left").unwrap();
        let document = format!(
            r#"{{"Deal":"{uuid}","DealID":{},"PieceCID":{{"/":"{}"}}}}"#,
            deal.chain_deal_id.unwrap(),
            deal.proposal().piece_cid
        );
        fs::write(file(&world, &names.document), document).unwrap();
        let unknown = file(&world, "unknown.json");
        fs::write(
            &unknown,
            format!(
                r#"{{"Deal":"{}","DealID":5,"PieceCID":{{"/":"{}"}}}}"#,
                Uuid::from_u128(99),
                deal.proposal().piece_cid
            ),
        )
        .unwrap();
        let running = world.start().await;
        assert_eq!(out(&world), ["unknown.json"]);
        running.stop().await;
    });
}

/// Takes the deal back to where its piece was offered and nobody had answered yet.
fn rewind(store: &dyn crate::store::Store, uuid: Uuid) {
    let mut deal = store.deal(uuid).unwrap().unwrap();
    deal.checkpoint = Checkpoint::PublishConfirmed;
    assert!(deal.handing_over);
    let write = crate::store::Write::Deal(Box::new(deal));
    store.commit_and_wait(vec![write]).unwrap();
}

#[test]
fn bytes_that_lie_ready_are_not_free() {
    let mut world = world();
    world.settings.keep_bytes_max = 0;
    world.run(async {
        let running = world.start().await;
        let (deal, names) = ready(&running, &world.online(1)).await;
        // Although nothing is to be kept: deleting our name would free nothing.
        assert_eq!(world.pieces().len(), 3, "{:?}", world.pieces());
        let held = |deal: &Deal| Ledger::of([deal].into_iter(), &samples::miner()).staging;
        assert_eq!(held(&deal), deal.request.size);
        answer(&world, &deal, &names);
        let placed = running.until(deal.uuid, |deal| deal.sector.is_some()).await;
        assert_eq!(held(&placed), 0);
        // The next piece that is kept makes the room.
        let (_, second) = ready(&running, &world.online(2)).await;
        let kept = world.pieces();
        assert!(!kept.contains(&names.data), "{kept:?}");
        assert!(kept.contains(&second.data), "{kept:?}");
    });
}

#[test]
fn an_answer_that_makes_no_sense_leaves_the_deal_waiting() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        let (deal, names) = ready(&running, &world.online(1)).await;
        for text in [
            "{\"DealID\":".to_owned(),
            r#"{"DealID": 1, "Sector": 1, "Offset": 0}"#.to_owned(),
            format!(
                r#"{{"DealID": {}, "Error": "no space"}}"#,
                deal.chain_deal_id.unwrap()
            ),
        ] {
            fs::write(file(&world, &names.result), text).unwrap();
            pause(Duration::from_millis(50)).await;
            let now = running.deal(deal.uuid).await.unwrap();
            assert_eq!((now.sector, now.hold), (None, Hold::None));
        }
        answer(&world, &deal, &names);
        running.until(deal.uuid, |deal| deal.sector.is_some()).await;
    });
}

#[test]
fn a_deal_that_never_becomes_active_ends_and_takes_its_files_away() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        let (deal, _) = ready(&running, &world.online(1)).await;
        // Late is not yet hopeless.
        world.chain.state().head = start(1) + 1;
        running.until(deal.uuid, |deal| deal.late).await;
        pause(Duration::from_millis(300)).await;
        assert_eq!(out(&world).len(), 2);
        world.chain.state().head = start(1) + FINALITY + 1;
        let ended = running.until_at(deal.uuid, Checkpoint::Complete).await;
        assert_eq!(ended.error, "storage failed - deal not found in sector");
        wait("the directory to be empty", || {
            out(&world).is_empty().then_some(())
        })
        .await;
    });
}

#[test]
fn a_sector_that_never_proves_ends_the_deal() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        let (deal, names) = ready(&running, &world.online(1)).await;
        answer(&world, &deal, &names);
        running.until(deal.uuid, |deal| deal.sector.is_some()).await;
        world.chain.state().head = start(1) + FINALITY + 1;
        let ended = running.until_at(deal.uuid, Checkpoint::Complete).await;
        assert_eq!(ended.sector, Some(PLACE));
        assert_eq!(ended.error, "storage failed - deal not found in sector");
    });
}

#[test]
fn the_operator_gives_up_a_deal_that_lies_ready_too_late() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        let (deal, _) = ready(&running, &world.online(1)).await;
        let fail = || running.handle.wish(deal.uuid, Wish::Verb(Verb::Fail));
        assert_eq!(
            fail().await.unwrap_err(),
            "the deal is already with the sealer"
        );
        world.chain.state().head = start(1) + 1;
        running.until(deal.uuid, |deal| deal.late).await;
        fail().await.unwrap();
        wait("the directory to be empty", || {
            out(&world).is_empty().then_some(())
        })
        .await;
        assert_eq!(
            atto(0),
            Ledger::of([].into_iter(), &samples::miner()).collateral
        );
    });
}
