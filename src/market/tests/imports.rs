//! Imports of offline deals: refused at once or queued on disk, judged at their turn (spec boost-mk12 4.9; edge cases
//! 74, 76–79).

use super::world::{Running, World, car, wait};
use crate::deal::step::Verb;
use crate::deal::tests::samples::{self, uuid};
use crate::deal::{Checkpoint, Deal, Hold, Import};
use crate::filecoin::cids;
use crate::market::Wish;
use crate::piece::commp::Commp;
use crate::store::Store;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

async fn wish(running: &Running, uuid: Uuid, verb: Verb) -> Result<(), String> {
    running.handle.wish(uuid, Wish::Verb(verb)).await
}

async fn held(running: &Running, uuid: Uuid) -> Deal {
    running.until(uuid, |deal| deal.hold == Hold::Manual).await
}

/// Imports several files in one call; the answers.
async fn import_all(running: &Running, pairs: &[(Uuid, &Path)]) -> Vec<Result<u64, String>> {
    let import = |path: &Path| Import::new(path.to_string_lossy(), false);
    let imports = pairs
        .iter()
        .map(|(uuid, path)| (*uuid, import(path)))
        .collect();
    running.handle.import(imports).await.unwrap()
}

#[test]
fn edge_76_a_wrong_file_pauses_the_deal_and_the_right_one_goes_on() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let (other, wrong) = world.offline(2);
        let uuid = running.accepted(&params).await;
        running.accepted(&other).await;
        running.import(uuid, &wrong, true).await.unwrap();
        // The next import goes on.
        running.import(other.uuid, &wrong, false).await.unwrap();
        let paused = held(&running, uuid).await;
        let commitment = |number| {
            let mut hasher = Commp::new();
            hasher.update(&car(number));
            hasher.finish().cid()
        };
        let bytes = car(2).len();
        assert_eq!(
            paused.error,
            format!(
                "error when matching commP for imported data for offline deal: commP expected={}, actual={}: \
                 commp mismatch (the data has {bytes} bytes, the piece holds 2032)",
                commitment(1),
                commitment(2)
            )
        );
        running.until_sealed(other.uuid).await;
        assert!(
            wrong.exists(),
            "what does not belong to the deal is not deleted"
        );
        assert_eq!(world.staged(), [format!("{uuid}.blocks")]);
        running.import(uuid, &path, false).await.unwrap();
        running.until_sealed(uuid).await;
        assert_eq!(world.staged(), Vec::<String>::new());
    });
}

#[test]
fn edge_76_a_retry_reads_the_same_path_again() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        std::fs::write(&path, car(2)).unwrap();
        running.import(uuid, &path, false).await.unwrap();
        held(&running, uuid).await;
        std::fs::write(&path, car(1)).unwrap();
        wish(&running, uuid, Verb::Retry).await.unwrap();
        running.until_sealed(uuid).await;
    });
}

#[test]
fn edge_76_a_file_larger_than_the_piece_is_named_with_its_size() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, _) = world.offline(1);
        let uuid = running.accepted(&params).await;
        let large = world.path("large.car");
        let mut bytes = car(1);
        bytes.resize(5_000, 0);
        std::fs::write(&large, bytes).unwrap();
        running.import(uuid, &large, false).await.unwrap();
        let paused = held(&running, uuid).await;
        let size = "(the data has 5000 bytes, the piece holds 2032)";
        assert!(paused.error.ends_with(size), "{}", paused.error);
        assert!(
            paused
                .error
                .contains(&paused.proposal().piece_cid.to_string())
        );
    });
}

#[test]
fn what_cannot_be_read_pauses_its_deal_and_the_next_import_goes_on() {
    // Edge case 74 among them: a file that is no CAR is a pause, not an end.
    let mut world = World::new();
    world.settings.imports_max = 1;
    world.run(async {
        let running = world.start().await;
        let text = world.path("text");
        std::fs::write(&text, "not a CAR at all").unwrap();
        let link = world.path("link");
        std::os::unix::fs::symlink(world.path("nowhere"), &link).unwrap();
        let staged = world.settings.files.staging.join("mine.car");
        std::fs::write(&staged, car(5)).unwrap();
        let huge = world.path("huge");
        let file = std::fs::File::create(&huge).unwrap();
        file.set_len((64 << 30) + 1).unwrap();
        let cases = [
            (huge, "has 68719476737 bytes, more than any piece"),
            (world.path("missing"), "No such file"),
            (world.path("staging"), "is not a regular file"),
            (link, "No such file"),
            (text.clone(), "the data is not a CAR file"),
            (staged.clone(), "lies in CORACLE_STAGING"),
        ];
        let mut pairs = Vec::new();
        for (number, (path, _)) in (1..).zip(&cases) {
            let (params, _) = world.offline(number);
            pairs.push((running.accepted(&params).await, path.as_path()));
        }
        let (last, path) = world.offline(9);
        pairs.push((running.accepted(&last).await, path.as_path()));
        let placed = import_all(&running, &pairs).await;
        assert_eq!(placed, (1..=7).map(Ok).collect::<Vec<_>>());
        running.until_sealed(last.uuid).await;
        for ((uuid, _), (path, expected)) in pairs.iter().zip(&cases) {
            let deal = held(&running, *uuid).await;
            assert_eq!(deal.checkpoint, Checkpoint::Accepted);
            assert!(deal.error.contains(expected), "{path:?}: {}", deal.error);
            assert!(!deal.import.unwrap().begun, "it holds no funds");
        }
        assert!(staged.exists());
        // Another kind of mistake than the file: the same path with the right bytes.
        let uuid = pairs[4].0;
        std::fs::write(&text, car(5)).unwrap();
        wish(&running, uuid, Verb::Retry).await.unwrap();
        running.until_sealed(uuid).await;
    });
}

#[test]
fn edge_77_the_three_refusals_of_an_import() {
    let mut world = World::new();
    world.publish_period(Duration::from_secs(3_600));
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let import = |uuid| running.import(uuid, &path, false);
        assert_eq!(
            import(uuid(9)).await.unwrap_err(),
            format!("no pre-existing deal proposal for offline deal {}", uuid(9))
        );
        let online = running.accepted(&world.online(2)).await;
        assert_eq!(
            import(online).await.unwrap_err(),
            format!("deal {online} is not an offline deal")
        );
        let uuid = running.accepted(&params).await;
        import(uuid).await.unwrap();
        let again = import(uuid).await.unwrap_err();
        let text = format!("deal {uuid} has already been imported and reached checkpoint ");
        assert!(again.starts_with(&text), "{again}");
        running.until_at(uuid, Checkpoint::Transferred).await;
        assert_eq!(
            import(uuid).await.unwrap_err(),
            format!("{text}Transferred")
        );
        // Long after its end it is still known.
        wish(&running, uuid, Verb::Fail).await.unwrap();
        assert_eq!(import(uuid).await.unwrap_err(), format!("{text}Complete"));
        world.pass(Duration::from_secs(120));
        running
            .until(online, |deal| deal.checkpoint >= Checkpoint::Transferred)
            .await;
        assert_eq!(import(uuid).await.unwrap_err(), format!("{text}Complete"));
    });
}

#[test]
fn each_import_of_a_call_has_its_own_answer_and_a_path_must_be_absolute() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (one, path) = world.offline(1);
        let (two, second) = world.offline(2);
        for params in [&one, &two] {
            running.accepted(params).await;
        }
        let placed = import_all(
            &running,
            &[
                (uuid(9), &path),
                (one.uuid, Path::new("1.car")),
                (one.uuid, &path),
                (two.uuid, &second),
                (one.uuid, &path),
            ],
        )
        .await;
        let reasons: Vec<_> = placed.iter().map(|placed| placed.as_ref().err()).collect();
        assert!(reasons[0].unwrap().starts_with("no pre-existing deal"));
        assert_eq!(reasons[1].unwrap(), "the path must be absolute: \"1.car\"");
        assert_eq!(placed[2..4], [Ok(1), Ok(2)]);
        assert!(reasons[4].unwrap().contains("has already been imported"));
        running.until_sealed(one.uuid).await;
        running.until_sealed(two.uuid).await;
        let many = vec![(uuid(1), Import::new("/a", false)); crate::market::IMPORTS_MAX + 1];
        assert!(running.handle.import(many).await.is_err());
    });
}

#[test]
fn edge_78_an_import_waits_for_funds_and_goes_on_by_itself() {
    let world = World::new();
    world.run(async {
        world.chain.state().escrow = 0;
        let running = world.start().await;
        // Accepted although there is nothing to pay its collateral with.
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        running.import(uuid, &path, false).await.unwrap();
        let waits = running.until(uuid, |deal| deal.hold == Hold::Room).await;
        assert_eq!(waits.error, "import waits for funds");
        assert!(!waits.import.unwrap().begun);
        // Looked at again and again, said once.
        smol::Timer::after(Duration::from_millis(60)).await;
        let lines = running.log(uuid).await;
        let said: Vec<_> = lines
            .iter()
            .filter(|line| line.text.contains("market escrow has 0 FIL free"))
            .collect();
        assert_eq!(said.len(), 1, "{lines:?}");
        // What waits holds nothing: a later deal may take the funds that come.
        world.chain.state().escrow = 1_000;
        let deal = running.until_sealed(uuid).await;
        assert_eq!(deal.error, "");
    });
}

#[test]
fn funds_go_to_the_oldest_import_and_to_one_at_a_time() {
    let mut world = World::new();
    world.publish_period(Duration::from_secs(3_600));
    world.run(async {
        world.chain.state().escrow = samples::COLLATERAL_MIN;
        let running = world.start().await;
        let (first, path) = world.offline(1);
        let (second, other) = world.offline(2);
        for params in [&first, &second] {
            running.accepted(params).await;
        }
        import_all(&running, &[(second.uuid, &other), (first.uuid, &path)]).await;
        running.until_at(second.uuid, Checkpoint::Transferred).await;
        let waits = running
            .until(first.uuid, |deal| deal.hold == Hold::Room)
            .await;
        assert_eq!(waits.error, "import waits for funds");
        // The funds of a deal that ends come free.
        wish(&running, second.uuid, Verb::Fail).await.unwrap();
        running.until_at(first.uuid, Checkpoint::Transferred).await;
    });
}

#[test]
fn an_import_waits_for_disk_space() {
    let world = World::new();
    world.run(async {
        world.disk.set_free(Some(1_000));
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        running.import(uuid, &path, false).await.unwrap();
        let waits = running.until(uuid, |deal| deal.hold == Hold::Room).await;
        assert_eq!(waits.error, "import waits for disk space");
        world.disk.set_free(None);
        running.until_sealed(uuid).await;
    });
}

#[test]
fn an_import_waits_for_the_chain_node() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        world.chain.state().away = true;
        world.pass(Duration::from_secs(3_600));
        running.import(uuid, &path, false).await.unwrap();
        let waits = running.until(uuid, |deal| deal.hold == Hold::Room).await;
        assert_eq!(waits.error, "import waits for the chain node");
        world.chain.state().away = false;
        running.until_sealed(uuid).await;
    });
}

#[test]
fn edge_79_delete_after_import_moves_the_file_once_the_sealer_has_it() {
    let world = World::new();
    world.sealer().state().held = true;
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let (other, kept_by_operator) = world.offline(2);
        for params in [&params, &other] {
            running.accepted(params).await;
        }
        running.import(params.uuid, &path, true).await.unwrap();
        running
            .import(other.uuid, &kept_by_operator, false)
            .await
            .unwrap();
        running
            .until_at(params.uuid, Checkpoint::PublishConfirmed)
            .await;
        assert!(path.exists());
        world.sealer().state().held = false;
        running.until_sealed(params.uuid).await;
        running.until_sealed(other.uuid).await;
        assert!(!path.exists());
        assert_eq!(std::fs::read(&kept_by_operator).unwrap(), car(2));
        let mut kept = running.gate.pieces().unwrap();
        kept.sort_by_key(|(_, piece)| piece.ours);
        assert_eq!(kept[0].1.path, kept_by_operator.to_string_lossy());
        assert!(kept[1].1.ours);
        assert_eq!(std::fs::read(&kept[1].1.path).unwrap(), car(1));
        assert_eq!(
            cids::piece_cid(&kept[1].0),
            running
                .deal(params.uuid)
                .await
                .unwrap()
                .proposal()
                .piece_cid
        );
    });
}

#[test]
fn a_cancelled_import_leaves_the_queue() {
    let world = World::new();
    world.run(async {
        world.chain.state().escrow = 0;
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        running.import(uuid, &path, true).await.unwrap();
        running.until(uuid, |deal| deal.hold == Hold::Room).await;
        assert_eq!(running.handle.import_queue().len(), 1);
        wish(&running, uuid, Verb::Cancel).await.unwrap();
        wait("the queue", || {
            running.handle.import_queue().is_empty().then_some(())
        })
        .await;
        assert!(path.exists(), "it was never ours");
    });
}

#[test]
fn the_order_of_imports_survives_a_crash() {
    let mut world = World::new();
    world.settings.imports_max = 1;
    world.publish_period(Duration::from_secs(3_600));
    world.run(async {
        world.chain.state().escrow = 0;
        let running = world.start().await;
        let order = [5, 3, 8, 1];
        let mut pairs = Vec::new();
        for number in order {
            let (params, path) = world.offline(number);
            pairs.push((running.accepted(&params).await, path));
        }
        let borrowed: Vec<_> = pairs
            .iter()
            .map(|(uuid, path)| (*uuid, path.as_path()))
            .collect();
        import_all(&running, &borrowed).await;
        running.crash().await;

        world.chain.state().escrow = 1_000_000;
        let running = world.start().await;
        let mut times = Vec::new();
        for (uuid, _) in &pairs {
            let deal = running.until_at(*uuid, Checkpoint::Transferred).await;
            times.push(deal.checkpoint_at);
        }
        assert!(times.is_sorted(), "{times:?}");
        // A later one does not come before them.
        let (params, path) = world.offline(9);
        let late = running.accepted(&params).await;
        running.import(late, &path, false).await.unwrap();
        let places: Vec<u64> = [pairs[3].0, late]
            .map(|uuid| {
                running
                    .gate
                    .deal(uuid)
                    .unwrap()
                    .unwrap()
                    .import
                    .unwrap()
                    .place
            })
            .into();
        assert!(places[0] < places[1]);
    });
}

#[test]
fn a_disk_that_hangs_holds_up_nobody_but_its_import() {
    let mut world = World::new();
    world.settings.imports_max = 1;
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let (other, second) = world.offline(2);
        for params in [&params, &other] {
            running.accepted(params).await;
        }
        world.disk.set_hanging(true);
        running.import(params.uuid, &path, false).await.unwrap();
        running.import(other.uuid, &second, false).await.unwrap();
        let online = running.accepted(&world.online(3)).await;
        running.until_sealed(online).await;
        // Cancelled at once; its place is free when the disk has answered.
        wish(&running, params.uuid, Verb::Cancel).await.unwrap();
        let waits = running.deal(other.uuid).await.unwrap();
        assert_eq!(
            (waits.checkpoint, waits.hold),
            (Checkpoint::Accepted, Hold::None)
        );
        world.disk.set_hanging(false);
        running.until_sealed(other.uuid).await;
        let ended = running.deal(params.uuid).await.unwrap();
        assert_eq!(ended.error, "Cancelled");
    });
}

#[test]
fn a_restart_does_not_say_that_the_chain_is_away_before_it_looked() {
    let mut world = World::new();
    world.settings.imports_max = 1;
    world.publish_period(Duration::from_secs(3_600));
    world.run(async {
        world.chain.state().escrow = 0;
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        running.import(uuid, &path, false).await.unwrap();
        running.until(uuid, |deal| deal.hold == Hold::Room).await;
        running.stop().await;
        world.chain.state().escrow = 1_000_000;
        let running = world.start().await;
        running.until_at(uuid, Checkpoint::Transferred).await;
        let lines = running.log(uuid).await;
        let waits = lines
            .iter()
            .filter(|line| line.text.starts_with("import waits"));
        assert_eq!(waits.count(), 1, "{lines:?}");
    });
}
