//! The drop folder, and files that several deals need.

use super::world::{Running, World, car, wait};
use crate::deal::step::Verb;
use crate::deal::tests::samples;
use crate::deal::{Checkpoint, Hold};
use crate::market::{DropFolder, Wish};
use crate::store::Store;
use crate::wire::DealParams;
use std::path::PathBuf;
use std::time::Duration;

fn world(delete_after: bool) -> (World, PathBuf) {
    let mut world = World::new();
    let path = world.path("drops");
    std::fs::create_dir_all(&path).unwrap();
    world.settings.drop_folder = Some(DropFolder {
        path: path.clone(),
        poll: Duration::from_millis(10),
        delete_after,
    });
    (world, path)
}

/// Another deal for the same piece.
fn twin(params: &DealParams, number: u8) -> DealParams {
    let mut twin = params.clone();
    let mut proposal = twin.proposal.expect("there is one").proposal;
    proposal.start_epoch += i64::from(number);
    proposal.end_epoch += i64::from(number);
    twin.proposal = Some(samples::sign(proposal));
    twin.uuid = samples::uuid(number);
    twin
}

async fn sealed(running: &Running, params: &DealParams) {
    running.until_sealed(params.uuid).await;
}

#[test]
fn files_named_by_uuid_or_piece_are_imported() {
    let (world, folder) = world(false);
    world.run(async {
        let running = world.start().await;
        let (by_uuid, _) = world.offline(1);
        let (by_piece, _) = world.offline(2);
        for params in [&by_uuid, &by_piece] {
            running.accepted(params).await;
        }
        let piece = by_piece.proposal.as_ref().unwrap().proposal.piece_cid;
        let files = [
            folder.join(format!("{}.car", by_uuid.uuid)),
            folder.join(piece.to_string()),
        ];
        std::fs::write(&files[0], car(1)).unwrap();
        std::fs::write(&files[1], car(2)).unwrap();
        std::fs::write(folder.join("notes.txt"), "leave me alone").unwrap();
        sealed(&running, &by_uuid).await;
        sealed(&running, &by_piece).await;
        // Kept by default: they are served from where they are.
        for file in &files {
            assert!(file.exists());
        }
        let kept = running.gate.pieces().unwrap();
        assert!(kept.iter().all(|(_, piece)| !piece.ours));
        assert!(folder.join("notes.txt").exists());
    });
}

#[test]
fn a_wrong_file_pauses_its_deal_and_is_not_taken_again() {
    let (world, folder) = world(true);
    world.run(async {
        let running = world.start().await;
        let (params, _) = world.offline(1);
        let uuid = running.accepted(&params).await;
        let file = folder.join(format!("{uuid}.car"));
        std::fs::write(&file, car(2)).unwrap();
        let held = running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        assert!(held.error.contains("commp mismatch"), "{}", held.error);
        let lines = running.log(uuid).await.len();
        smol::Timer::after(Duration::from_millis(100)).await;
        assert_eq!(running.log(uuid).await.len(), lines, "it is left alone");
        assert!(file.exists());
        std::fs::write(&file, car(1)).unwrap();
        let retry = Wish::Verb(Verb::Retry);
        running.handle.wish(uuid, retry).await.unwrap();
        running.until_sealed(uuid).await;
        assert!(!file.exists(), "it was to be deleted");
    });
}

#[test]
fn a_file_serves_all_deals_that_wait_for_its_piece_and_goes_with_the_last() {
    let (world, folder) = world(true);
    world.run(async {
        let running = world.start().await;
        let (first, _) = world.offline(1);
        let deals = [first.clone(), twin(&first, 11), twin(&first, 12)];
        for params in &deals {
            running.accepted(params).await;
        }
        world.sealer().state().held = true;
        let piece = first.proposal.as_ref().unwrap().proposal.piece_cid;
        let file = folder.join(format!("{piece}.car"));
        std::fs::write(&file, car(1)).unwrap();
        for params in &deals {
            running
                .until_at(params.uuid, Checkpoint::PublishConfirmed)
                .await;
        }
        world.sealer().state().held = false;
        for params in &deals {
            sealed(&running, params).await;
        }
        assert_eq!(world.sealer().state().added.len(), 3);
        assert!(!file.exists());
        let kept = running.gate.pieces().unwrap();
        assert_eq!(kept.len(), 1);
        assert!(kept[0].1.ours);
        assert_eq!(std::fs::read(&kept[0].1.path).unwrap(), car(1));
    });
}

#[test]
fn a_file_that_another_deal_waits_to_read_is_not_taken_away() {
    let mut world = World::new();
    world.settings.imports_max = 1;
    world.run(async {
        let running = world.start().await;
        let (first, path) = world.offline(1);
        let second = twin(&first, 11);
        for params in [&first, &second] {
            running.accepted(params).await;
        }
        // The second one waits for a commit that is never needed: funds for one deal only.
        world.chain.state().escrow = samples::COLLATERAL_MIN;
        wait("the new balance", || {
            let snapshot = running.handle.snapshot();
            let view = snapshot.miners.get(&samples::miner())?;
            let escrow = &view.facts.escrow_available;
            (*escrow == samples::atto(samples::COLLATERAL_MIN)).then_some(())
        })
        .await;
        running.import(first.uuid, &path, true).await.unwrap();
        running.import(second.uuid, &path, true).await.unwrap();
        world.chain.state().pending = true;
        running
            .until(second.uuid, |deal| deal.hold == Hold::Room)
            .await;
        world.chain.state().escrow = 0;
        world.chain.state().pending = false;
        sealed(&running, &first).await;
        assert!(path.exists(), "the second deal has not read it yet");
        world.chain.state().escrow = 1_000_000;
        sealed(&running, &second).await;
        assert!(!path.exists());
    });
}

#[test]
fn a_symbolic_link_is_read_and_never_deleted() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        running.accepted(&params).await;
        let link = world.path("link.car");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        running.import(params.uuid, &link, true).await.unwrap();
        sealed(&running, &params).await;
        assert!(link.exists() && path.exists());
        let kept = running.gate.pieces().unwrap()[0].1.clone();
        assert_eq!(
            (kept.path.as_str(), kept.ours),
            (link.to_str().unwrap(), false)
        );
    });
}

#[test]
fn a_piece_that_is_kept_already_is_not_given_up_for_an_operator_s_file() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (first, path) = world.offline(1);
        let second = twin(&first, 11);
        running.accepted(&first).await;
        running.import(first.uuid, &path, true).await.unwrap();
        sealed(&running, &first).await;
        let kept = running.gate.pieces().unwrap();
        std::fs::write(&path, car(1)).unwrap();
        running.accepted(&second).await;
        running.import(second.uuid, &path, false).await.unwrap();
        sealed(&running, &second).await;
        let now = running.gate.pieces().unwrap();
        assert_eq!(
            (now.len(), &now[0].1.path, now[0].1.ours),
            (1, &kept[0].1.path, true)
        );
        assert!(path.exists());
        // Nothing has lost its owner.
        let names = world.pieces();
        running.stop().await;
        let running = world.start().await;
        assert_eq!(world.pieces(), names);
        drop(running);
    });
}
