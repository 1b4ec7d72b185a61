//! Deals that go all the way.

use super::world::{World, car, stranger};
use crate::deal::tests::samples::{self, message};
use crate::deal::{Checkpoint, tests::samples::client_key};
use crate::filecoin::cids;
use crate::store::Store;
use crate::wire::DealStatusRequest;

#[test]
fn an_online_deal() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let deal = running.until_sealed(uuid).await;
        assert_eq!(deal.checkpoint, Checkpoint::IndexedAndAnnounced);
        assert_eq!(
            (deal.error.as_str(), deal.sealing.as_str()),
            ("", "Proving")
        );
        assert_eq!(deal.chain_deal_id, Some(100));
        assert_eq!(deal.payload_size, car(1).len() as u64);

        let added = world.sealer().state().added.clone();
        assert_eq!(added.len(), 1);
        assert_eq!(added[0].bytes, car(1));
        assert_eq!(added[0].deal_id, 100);
        assert_eq!(world.chain.state().messages.len(), 1);
        assert_eq!(
            world.chain.state().messages[0].1,
            std::slice::from_ref(&deal.signed)
        );

        // The piece moved out of the staging area, with its index.
        assert_eq!(world.staged(), Vec::<String>::new());
        let piece = deal.proposal().piece_cid;
        assert!(world.pieces().contains(&format!("{piece}.car")));
        let commitment = cids::piece_commitment(&piece).unwrap();
        let kept = running.handle.kept().find(&commitment).unwrap();
        assert_eq!(std::fs::read(&kept.path).unwrap(), car(1));
        assert!(std::path::Path::new(&kept.index).exists());
        assert_eq!(running.gate.pieces().unwrap(), [(commitment, kept)]);
        assert_eq!(running.gate.save_point(uuid), Ok(None));

        let lines: Vec<String> = running
            .log(uuid)
            .await
            .into_iter()
            .map(|line| line.text)
            .collect();
        assert!(
            lines[0].starts_with("accepted: online deal of "),
            "{lines:?}"
        );
        for checkpoint in ["Transferred", "Published", "PublishConfirmed", "AddedPiece"] {
            assert!(
                lines.contains(&format!("reached {checkpoint}")),
                "{lines:?}"
            );
        }
        assert!(
            !lines.iter().any(|line| line.contains("hidden")),
            "{lines:?}"
        );
    });
}

#[test]
fn an_offline_deal() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, path) = world.offline(1);
        let uuid = running.accepted(&params).await;
        assert_eq!(
            running.deal(uuid).await.unwrap().checkpoint,
            Checkpoint::Accepted
        );
        running.import(uuid, &path, false).await.unwrap();
        let deal = running.until_sealed(uuid).await;
        assert_eq!(deal.payload_size, car(1).len() as u64);
        assert_eq!(world.sealer().state().added[0].bytes, car(1));
        // The operator's file stays where it is and is not ours.
        assert_eq!(std::fs::read(&path).unwrap(), car(1));
        let kept = running.gate.pieces().unwrap()[0].1.clone();
        assert_eq!(
            (kept.path, kept.ours),
            (path.to_string_lossy().into_owned(), false)
        );
        assert_eq!(world.staged(), Vec::<String>::new());
    });
}

#[test]
fn no_unsealed_copy_stays_if_the_client_does_not_want_it() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let mut online = world.online(1);
        online.remove_unsealed = true;
        let (mut offline, path) = world.offline(2);
        offline.remove_unsealed = true;
        for params in [&online, &offline] {
            running.accepted(params).await;
        }
        running.import(offline.uuid, &path, false).await.unwrap();
        for params in [&online, &offline] {
            running.until_sealed(params.uuid).await;
        }
        assert_eq!(world.staged(), Vec::<String>::new());
        assert_eq!(world.pieces(), Vec::<String>::new());
        assert_eq!(running.pieces(), 0);
        assert!(path.exists(), "the operator's own");
    });
}

#[test]
fn another_deal_s_copy_of_the_same_piece_stays() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let first = world.online(1);
        running.accepted(&first).await;
        running.until_sealed(first.uuid).await;
        let kept = world.pieces();
        // The same data again, for another start.
        let mut second = world.online(1);
        second.uuid = samples::uuid(2);
        second.remove_unsealed = true;
        let mut proposal = second.proposal.unwrap().proposal;
        proposal.start_epoch += 7;
        proposal.end_epoch += 7;
        second.proposal = Some(samples::sign(proposal));
        running.accepted(&second).await;
        running.until_sealed(second.uuid).await;
        assert_eq!(world.pieces(), kept);
        assert_eq!(running.pieces(), 1);
    });
}

#[test]
fn many_deals_at_the_same_time() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let proposals: Vec<_> = (1..=12).map(|number| world.online(number)).collect();
        let answers = proposals.iter().map(|params| running.propose(params));
        for answer in futures::future::join_all(answers).await {
            assert!(answer.accepted, "{}", answer.message);
        }
        for params in &proposals {
            running.until_sealed(params.uuid).await;
        }
        let mut ids: Vec<u64> = world
            .sealer()
            .state()
            .added
            .iter()
            .map(|added| added.deal_id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 12);
        assert_eq!(running.pieces(), 12);
    });
}

#[test]
fn kept_pieces_give_way_oldest_first() {
    let mut world = World::new();
    let size = car(1).len() as u64;
    world.settings.keep_bytes_max = 2 * size;
    world.run(async {
        let running = world.start().await;
        for number in 1..=3 {
            let params = world.online(number);
            running.accepted(&params).await;
            running.until_sealed(params.uuid).await;
        }
        let mut kept: Vec<[u8; 32]> = running
            .gate
            .pieces()
            .unwrap()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        kept.sort_unstable();
        let commitment = |number| {
            let piece = world.online(number).proposal.unwrap().proposal.piece_cid;
            cids::piece_commitment(&piece).unwrap()
        };
        let mut expected = [commitment(2), commitment(3)];
        expected.sort_unstable();
        assert_eq!(kept, expected);
        assert_eq!(running.handle.kept().bytes(), 2 * size);
        assert_eq!(
            world
                .pieces()
                .iter()
                .filter(|name| !name.contains(".idx"))
                .count(),
            2
        );
    });
}

#[test]
fn a_status_is_for_the_client_alone() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_sealed(uuid).await;
        let ask = |uuid: uuid::Uuid, key: crate::filecoin::SecretKey| {
            let signature = key.sign(uuid.as_bytes());
            running.handle.status(DealStatusRequest { uuid, signature })
        };
        let answer = ask(uuid, client_key()).await;
        assert_eq!(answer.error, "");
        assert_eq!(answer.bytes_received, car(1).len() as u64);
        let status = answer.status.unwrap();
        assert_eq!(
            (status.status.as_str(), status.chain_deal_id),
            ("IndexedAndAnnounced", 100)
        );
        assert_ne!(status.publish_cid, Some(message()));
        let answer = ask(uuid, stranger()).await;
        assert_eq!(answer.error, "signature verification failed");
        assert_eq!(answer.status, None);
        let unknown = samples::uuid(99);
        let answer = ask(unknown, stranger()).await;
        assert_eq!(
            answer.error,
            format!("no storage deal found with deal UUID {unknown}")
        );
    });
}
