//! The look at the disk at a start: what a power cut brought back or took away.

use super::world::{World, car};
use crate::filecoin::cids;
use crate::store::Store;

fn write(path: std::path::PathBuf) {
    std::fs::write(path, b"left over").unwrap();
}

#[test]
fn deleted_files_that_came_back_are_deleted_again() {
    // Found by the simulator: a power cut after the deletion, before the directory was synced.
    let world = World::new();
    world.sealer().state().sector = "PreCommit1".to_owned();
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let indexed = crate::deal::Checkpoint::IndexedAndAnnounced;
        let deal = running.until_at(uuid, indexed).await;
        running.stop().await;
        let kept = world.pieces();
        assert_eq!(kept.len(), 3, "{kept:?}");
        // The deal is live until its sector is sealed, but it needs no staged file any more.
        write(world.settings.files.staged(uuid));
        write(world.settings.files.blocks(uuid));
        let forgotten = cids::piece_cid(&[77; 32]);
        write(world.settings.files.piece(&forgotten));
        write(world.settings.files.index(&forgotten));
        write(
            world
                .settings
                .files
                .pieces
                .join(format!("{forgotten}.idx.new")),
        );
        let notes = world.settings.files.pieces.join("notes.txt");
        write(notes.clone());
        let running = world.start().await;
        assert_eq!(world.staged(), [""; 0]);
        std::fs::remove_file(notes).expect("not ours to delete");
        assert_eq!(world.pieces(), kept);
        world.sealer().state().sector = String::new();
        assert_eq!(running.until_sealed(uuid).await.uuid, deal.uuid);
        running.stop().await;
    });
}

#[test]
fn a_piece_whose_file_is_gone_is_forgotten() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let deal = running.until_sealed(uuid).await;
        let bytes = running.handle.kept().bytes();
        assert_eq!(bytes, car(1).len() as u64);
        running.stop().await;
        let piece = deal.proposal().piece_cid;
        std::fs::remove_file(world.settings.files.piece(&piece)).unwrap();
        let running = world.start().await;
        assert_eq!(running.handle.kept().bytes(), 0);
        super::world::wait("the record's end", || (running.pieces() == 0).then_some(())).await;
        assert_eq!(world.pieces(), [""; 0], "its index goes too");
        assert!(running.gate.deal(uuid).unwrap().is_some());
        running.stop().await;
    });
}
