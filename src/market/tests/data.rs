//! What may be in a piece (edge cases 73–75).

use super::world::{Running, World, car, wait};
use crate::deal::tests::samples::{self, atto};
use crate::deal::{Checkpoint, Deal};
use crate::piece::commp::Commp;
use crate::wire::DealParams;

/// A proposal for these bytes in a piece of this padded size, with the right commitment.
fn proposal(world: &World, bytes: &[u8], padded: u64) -> DealParams {
    let mut hasher = Commp::new();
    hasher.update(bytes);
    let commitment = hasher.finish();
    let root = commitment.extend_to(padded).unwrap_or(commitment.root);
    let mut params = world.online(1);
    let mut proposal = params.proposal.take().expect("there is one").proposal;
    proposal.piece_cid = crate::filecoin::cids::piece_cid(&root);
    proposal.piece_size = padded;
    proposal.price_per_epoch = atto(10_000);
    params.proposal = Some(samples::sign(proposal));
    params.transfer.size = bytes.len() as u64;
    world.server.put("1", bytes.to_vec());
    params
}

/// Blocks that can be read from the kept piece.
fn indexed(running: &Running, deal: &Deal) -> bool {
    let commitment = crate::filecoin::cids::piece_commitment(&deal.proposal().piece_cid);
    let kept = running
        .handle
        .kept()
        .find(&commitment.expect("a commitment"));
    kept.is_some_and(|kept| std::fs::metadata(&kept.index).is_ok_and(|index| index.len() > 0))
}

/// A CARv2 around a CARv1, without an index.
fn version_2(payload: &[u8]) -> Vec<u8> {
    const HEAD: u64 = 11 + 40;
    let mut bytes = b"\x0a\xa1\x67version\x02".to_vec();
    bytes.extend_from_slice(&[0; 16]);
    for number in [HEAD, payload.len() as u64, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes
}

#[track_caller]
fn sealed(bytes: &[u8], padded: u64) {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&proposal(&world, bytes, padded)).await;
        let deal = running.until(uuid, |deal| deal.ended()).await;
        assert_eq!((deal.error.as_str(), deal.sealed), ("", true));
        assert_eq!(deal.payload_size, bytes.len() as u64);
        assert_eq!(world.sealer().state().added[0].bytes, bytes);
        assert!(indexed(&running, &deal));
    });
}

#[test]
fn edge_73_data_smaller_than_its_piece() {
    // The CAR fills a quarter of the piece: the commitment is extended twice.
    sealed(&car(1), 4 * 2_048);
}

#[test]
fn edge_74_a_car_with_zeros_behind_it() {
    let mut bytes = car(1);
    bytes.resize(2_032, 0);
    sealed(&bytes, 2_048);
}

#[test]
fn edge_74_a_car_of_version_2() {
    sealed(&version_2(&car(1)), 2_048);
}

#[test]
fn edge_74_what_is_no_car_is_refused_although_its_commitment_matches() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = proposal(&world, &[0xff; 1_900], 2_048);
        let uuid = running.accepted(&params).await;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert!(
            ended.error.starts_with("data-transfer failed: "),
            "{}",
            ended.error
        );
        assert!(!ended.error.contains("commp mismatch"), "{}", ended.error);
        wait("the files' end", || world.staged().is_empty().then_some(())).await;
        assert!(world.chain.state().messages.is_empty());
    });
}

#[test]
fn edge_75_a_car_larger_than_its_piece() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        // Declared truly, it is refused before a byte moves, with both numbers.
        let params = proposal(&world, &car(1), 1_024);
        let answer = running.propose(&params).await;
        assert!(!answer.accepted);
        for number in [car(1).len(), 1_016] {
            assert!(
                answer.message.contains(&number.to_string()),
                "{}",
                answer.message
            );
        }
        // Declared smaller, the server's first byte too many ends the deal.
        let mut params = params;
        params.transfer.size = 1_016;
        let uuid = running.accepted(&params).await;
        let ended = running.until_at(uuid, Checkpoint::Complete).await;
        assert!(
            ended.error.starts_with("data-transfer failed: "),
            "{}",
            ended.error
        );
        assert!(world.chain.state().messages.is_empty());
    });
}
