//! Refused proposals are kept for the operator, and cost little.

use super::world::{World, wait};
use crate::deal::tests::samples::{self, HEAD, client_key, uuid};
use crate::store::Store;
use std::time::Duration;

#[test]
fn a_refusal_is_kept_with_both_texts() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let mut early = world.online(1);
        let mut proposal = early.proposal.unwrap().proposal;
        proposal.start_epoch = HEAD + 1;
        let piece = proposal.piece_cid;
        early.proposal = Some(samples::sign(proposal));
        let answer = running.propose(&early).await;
        let kept = running.handle.refused(10).await.unwrap();
        assert_eq!(kept.len(), 1);
        let kept = &kept[0];
        assert_eq!(kept.told, answer.message);
        assert!(kept.log.contains("102880 is the earliest"), "{}", kept.log);
        assert_eq!(kept.uuid, *uuid(1).as_bytes());
        assert_eq!(kept.peer, "peer");
        assert_eq!(kept.client, client_key().address().to_string());
        assert_eq!(kept.miner, "f01000");
        assert_eq!(kept.piece_cid, piece.to_string());
        assert_eq!(
            (kept.piece_size, kept.offline, kept.left_out),
            (2_048, false, 0)
        );
        assert!(kept.time > 1_600_000_000_000);
    });
}

#[test]
fn the_first_refusal_is_durable_at_once_and_the_last_ones_at_the_stop() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let mut none = world.online(1);
        none.proposal = None;
        running.propose(&none).await;
        let stored = || running.gate.refused(10).unwrap().len();
        wait("the first", || (stored() == 1).then_some(())).await;
        // Those after it wait for ten seconds, or for the end.
        running.propose(&none).await;
        running.propose(&none).await;
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(stored(), 1);
        world.pass(Duration::from_secs(11));
        wait("the second and third", || (stored() == 3).then_some(())).await;
        running.propose(&none).await;
        running.stop().await;
        let running = world.start().await;
        let kept = running.handle.refused(10).await.unwrap();
        assert_eq!(kept.len(), 4);
        assert_eq!(kept[0].client, "");
        assert_eq!(
            kept[0].told,
            "failed validation: proposal PieceCID undefined"
        );
    });
}

#[test]
fn a_flood_costs_few_commits_and_hinders_nobody() {
    let mut world = World::new();
    // The loop's own looks at the chain would be counted too.
    world.settings.seal_poll = Duration::from_secs(600);
    world.run(async {
        let running = world.start().await;
        let mut none = world.online(1);
        none.proposal = None;
        let before = running.gate.commits();
        for _ in 0..2_000 {
            running.propose(&none).await;
        }
        assert!(
            running.gate.commits() - before <= 2,
            "{}",
            running.gate.commits() - before
        );
        running.accepted(&world.offline(2).0).await;
        let kept = running.handle.refused(usize::MAX).await.unwrap();
        assert!(kept.len() <= 33, "{}", kept.len());
        let all: u64 = kept.iter().map(|refused| 1 + refused.left_out).sum();
        assert_eq!(all, 2_000);
    });
}

#[test]
fn transfer_parameters_are_in_no_refusal() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        for secret in [
            "secret",
            r#"{"URL":"http://a.example/","Headers":{"Authorization":["secret"]}}"#,
            r#"{"URL":"http://secret:secret@","Headers":{"secret\n":"secret"}}"#,
            r#"{"URL":["secret"]}"#,
        ] {
            let mut params = world.online(1);
            params.transfer.params = secret.as_bytes().to_vec();
            assert!(!running.propose(&params).await.accepted);
        }
        let kept = running.handle.refused(10).await.unwrap();
        assert_eq!(kept.len(), 4);
        assert!(!format!("{kept:?}").contains("secret"), "{kept:?}");
    });
}
