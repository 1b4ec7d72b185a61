//! Every byte on disk has an owner in the database: what a start removes, reports and leaves alone.

use super::gate::Mode;
use super::world::{Running, World, car, wait};
use crate::deal::step::Verb;
use crate::deal::tests::samples::uuid;
use crate::deal::{Checkpoint, Hold};
use crate::filecoin::cids::piece_cid;
use crate::market::Wish;
use crate::store::{PieceRecord, Store, Write};
use crate::transfer::SavePoint;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

fn write(path: &Path) -> PathBuf {
    std::fs::write(path, b"left over").unwrap();
    path.to_owned()
}

/// A file in the pieces directory.
fn kept(world: &World, name: &str) -> PathBuf {
    world.settings.files.pieces.join(name)
}

async fn sealed(world: &World, running: &Running, number: u8) -> Uuid {
    let uuid = running.accepted(&world.online(number)).await;
    running.until_sealed(uuid).await;
    uuid
}

#[test]
fn files_of_pieces_that_nobody_keeps_go_and_what_is_not_named_like_ours_stays() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        sealed(&world, &running, 1).await;
        running.stop().await;
        let own = world.pieces();
        let piece = piece_cid(&[7; 32]);
        for ending in [
            "car",
            "idx",
            "idx.sizes",
            "idx.new",
            "idx.sizes.new",
            "idx.runs-0",
        ] {
            write(&kept(&world, &format!("{piece}.{ending}")));
        }
        // What an interrupted sort of a piece that is kept left.
        let (name, _) = own[0].split_once('.').unwrap();
        write(&kept(&world, &format!("{name}.idx.runs-1")));
        let foreign = [
            write(&kept(&world, "notes.txt")),
            write(&kept(&world, "a.car")),
            write(&kept(&world, &format!("{piece}.txt"))),
        ];
        let running = world.start().await;
        for path in &foreign {
            assert!(path.exists(), "{path:?}");
            std::fs::remove_file(path).unwrap();
        }
        assert_eq!(world.pieces(), own);
        assert_eq!(running.pieces(), 1);
    });
}

#[test]
fn a_directory_of_the_operator_s_is_not_swept() {
    let world = World::new();
    std::fs::create_dir_all(&world.settings.files.pieces).unwrap();
    let library = write(&kept(&world, &format!("{}.car", piece_cid(&[7; 32]))));
    world.run(async {
        for _ in 0..2 {
            let running = world.start().await;
            sealed(&world, &running, 1).await;
            running.stop().await;
            std::fs::remove_file(world.path("store.redb")).unwrap();
        }
        assert!(library.exists(), "it was there before us");
        let running = world.start().await;
        running.stop().await;
        // Unless the operator says that it is ours.
        write(&kept(&world, ".coracle-pieces"));
        world.start().await.stop().await;
        assert_eq!(world.pieces(), Vec::<String>::new());
    });
}

#[test]
fn a_mount_point_without_its_disk_costs_no_record() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        sealed(&world, &running, 1).await;
        running.stop().await;
        let pieces = &world.settings.files.pieces;
        let away = world.path("away");
        std::fs::rename(pieces, &away).unwrap();
        let running = world.start().await;
        assert_eq!(running.pieces(), 1);
        running.stop().await;
        std::fs::remove_dir_all(pieces).unwrap();
        std::fs::rename(&away, pieces).unwrap();
        let running = world.start().await;
        assert_eq!((running.pieces(), world.pieces().len()), (1, 3));
    });
}

#[test]
fn a_kept_piece_whose_file_is_gone_is_forgotten() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        sealed(&world, &running, 1).await;
        sealed(&world, &running, 2).await;
        let records = running.gate.pieces().unwrap();
        running.stop().await;
        std::fs::remove_file(&records[0].1.path).unwrap();
        std::fs::remove_file(&records[1].1.index).unwrap();
        let running = world.start().await;
        let left = running.gate.pieces().unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].0, records[1].0);
        assert_eq!(left[0].1.index, "", "it is still served, but not by blocks");
        assert!(running.handle.kept().find(&records[0].0).is_none());
        // One's index went with it, the other's second half is no longer owned.
        running.stop().await;
        let running = world.start().await;
        assert_eq!(
            world.pieces(),
            [format!("{}.car", piece_cid(&records[1].0))]
        );
        drop(running);
    });
}

#[test]
fn pieces_outside_the_directory_are_looked_for_too() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let [imported, moved, ours] = [1, 2, 3].map(|number| {
            let path = world.path(&format!("{number}"));
            std::fs::write(&path, car(number)).unwrap();
            path
        });
        let record = |path: &Path, ours| PieceRecord {
            path: path.to_string_lossy().into_owned(),
            index: String::new(),
            payload_size: std::fs::metadata(path).unwrap().len(),
            padded_size: 2_048,
            ours,
            kept: 1,
        };
        let records = [
            ([1; 32], record(&imported, false)),
            ([2; 32], record(&moved, true)),
            ([3; 32], record(&ours, true)),
        ];
        let writes = records.map(|(commitment, record)| Write::Piece(commitment, Box::new(record)));
        running.gate.commit_and_wait(writes.to_vec()).unwrap();
        running.stop().await;
        std::fs::remove_file(&imported).unwrap();
        std::fs::rename(&moved, kept(&world, "2")).unwrap();
        std::fs::remove_file(&ours).unwrap();
        let running = world.start().await;
        wait("the look", || {
            let kept = running.handle.kept();
            (kept.find(&[3; 32]).is_none()).then_some(())
        })
        .await;
        let path = |commitment| running.handle.kept().find(&commitment).unwrap().path;
        assert_eq!(
            path([1; 32]),
            imported.to_string_lossy(),
            "its disk may come back"
        );
        assert_eq!(path([2; 32]), kept(&world, "2").to_string_lossy());
        wait("the commits", || (running.pieces() == 2).then_some(())).await;
    });
}

#[test]
fn save_points_without_a_transfer_go() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(600);
        let stalled = running.accepted(&world.online(1)).await;
        wait("a save point", || {
            let bytes = running.handle.progress.bytes(stalled);
            (bytes == 600).then_some(())
        })
        .await;
        running.stop().await;
        let running = world.start_blind();
        let save = SavePoint::default();
        running
            .gate
            .commit_and_wait(vec![Write::Save(uuid(70), save)])
            .unwrap();
        assert_eq!(running.gate.saves().unwrap(), [stalled, uuid(70)]);
        running.stop().await;
        let running = world.start().await;
        assert_eq!(running.gate.saves().unwrap(), [stalled]);
        world.server.release();
        running.until_sealed(stalled).await;
        assert_eq!(running.gate.saves().unwrap(), Vec::<Uuid>::new());
    });
}

/// An end is stored, and the power is cut before what it frees is deleted.
#[test]
fn what_a_crash_left_of_an_ended_deal_goes_at_the_next_start() {
    for written in [true, false] {
        let world = World::new();
        world.run(async {
            let running = world.start().await;
            world.server.stall_after(600);
            let uuid = running.accepted(&world.online(1)).await;
            wait("the first bytes", || {
                (running.handle.progress.bytes(uuid) == 600).then_some(())
            })
            .await;
            running.gate.set(Mode::Dying {
                commits: 0,
                written,
            });
            let handle = running.handle.clone();
            let cancel = async { handle.wish(uuid, Wish::Verb(Verb::Cancel)).await };
            let crash = async {
                wait("the last commit", || {
                    (running.gate.mode() == Mode::Dead).then_some(())
                })
                .await;
            };
            // The answer never comes: the commit's end is not heard of.
            futures::future::select(Box::pin(cancel), Box::pin(crash)).await;
            drop(handle);
            world.server.release();
            running.crash().await;
            assert!(!world.staged().is_empty(), "the crash left its files");
            let running = world.start().await;
            if written {
                assert_eq!(world.staged(), Vec::<String>::new());
                assert_eq!(running.gate.saves().unwrap(), Vec::<Uuid>::new());
                let deal = running.deal(uuid).await.unwrap();
                assert_eq!(
                    (deal.checkpoint, deal.error.as_str()),
                    (Checkpoint::Complete, "Cancelled")
                );
            } else {
                running.until_sealed(uuid).await;
            }
        });
    }
}

#[test]
fn what_ends_is_deleted_in_the_same_step() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.chain.state().pending = true;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::Published).await;
        assert!(!world.staged().is_empty());
        world.chain.state().exit_code = 1;
        world.chain.state().pending = false;
        running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        running
            .handle
            .wish(uuid, Wish::Verb(Verb::Fail))
            .await
            .unwrap();
        wait("the files' end", || world.staged().is_empty().then_some(())).await;
    });
}

#[test]
fn an_imported_file_that_is_gone_at_start_waits_for_the_operator() {
    let mut world = World::new();
    world.publish_period(Duration::from_secs(3_600));
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        running.import(uuid, &path, false).await.unwrap();
        running.until_at(uuid, Checkpoint::Transferred).await;
        running.stop().await;
        std::fs::remove_file(&path).unwrap();
        let running = world.start().await;
        let held = running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        assert_eq!(held.checkpoint, Checkpoint::Accepted);
        assert!(
            held.error.contains(&path.display().to_string()),
            "{}",
            held.error
        );
        // It is brought back and looked at again.
        std::fs::write(&path, car(1)).unwrap();
        running
            .handle
            .wish(uuid, Wish::Verb(Verb::Retry))
            .await
            .unwrap();
        running.until_at(uuid, Checkpoint::Transferred).await;
    });
}

#[test]
fn a_piece_that_was_being_kept_is_not_taken_for_an_orphan() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.sealer().state().held = true;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_at(uuid, Checkpoint::PublishConfirmed).await;
        world.sealer().state().held = false;
        // The commit of `AddedPiece` goes through, that of the kept piece does not: its file has been moved by then.
        running.gate.set(Mode::Dying {
            commits: 1,
            written: false,
        });
        wait("the last commit", || {
            (running.gate.mode() == Mode::Dead).then_some(())
        })
        .await;
        running.crash().await;
        assert!(world.pieces().iter().any(|name| name.ends_with(".car")));
        let running = world.start().await;
        running.until_sealed(uuid).await;
        let record = running.gate.pieces().unwrap()[0].1.clone();
        assert_eq!(std::fs::read(&record.path).unwrap(), car(1));
        assert_eq!(world.staged(), Vec::<String>::new());
    });
}

#[test]
fn deleted_files_that_came_back_are_deleted_again() {
    // Found by the simulator: a power cut after the deletion, before the directory was synced.
    let world = World::new();
    world.sealer().state().sector = "PreCommit1".to_owned();
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running
            .until_at(uuid, Checkpoint::IndexedAndAnnounced)
            .await;
        running.stop().await;
        // The deal is live until its sector is sealed, but it needs no staged file any more.
        write(&world.settings.files.staged(uuid));
        write(&world.settings.files.blocks(uuid));
        let running = world.start().await;
        assert_eq!(world.staged(), [""; 0]);
        world.sealer().state().sector = String::new();
        running.until_sealed(uuid).await;
    });
}

#[test]
fn the_index_of_a_forgotten_piece_goes_too() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let uuid = sealed(&world, &running, 1).await;
        assert_eq!(running.handle.kept().bytes(), car(1).len() as u64);
        running.stop().await;
        let piece = kept(&world, &world.pieces()[0]);
        std::fs::remove_file(piece).unwrap();
        let running = world.start().await;
        assert_eq!(running.handle.kept().bytes(), 0);
        assert_eq!((running.pieces(), world.pieces().len()), (0, 0));
        assert!(running.gate.deal(uuid).unwrap().is_some());
    });
}
