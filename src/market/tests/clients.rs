//! Clients of every kind, and verified deals (spec chain-sealer-rpc B.16, C.6, D.8).

use super::chain::MemoryChain;
use super::world::{Running, World, car, wait};
use crate::deal::step::Verb;
use crate::deal::tests::samples::{self, HEAD, atto};
use crate::deal::{Checkpoint, Hold};
use crate::filecoin::{Address, SignatureKind, cids};
use crate::market::{Snapshot, Wish, snapshot};
use crate::piece::commp::Commp;
use crate::wire::DealParams;
use std::time::Duration;

const UNKNOWN: &str = "failed validation: server error: validating signature";
const INVALID: &str = "failed validation: invalid signature";

/// The sample proposal of a client at this address, signed by the sample key.
fn from(world: &World, number: u8, client: &Address) -> DealParams {
    let mut params = world.online(number);
    let mut proposal = params.proposal.expect("there is one").proposal;
    proposal.client = client.clone();
    params.proposal = Some(samples::sign(proposal));
    params
}

fn delegated() -> Address {
    Address::from_bytes(&[[4, 10].as_slice(), &[7; 20]].concat()).expect("an f410 address")
}

fn robust() -> Address {
    Address::from_bytes(&[[2].as_slice(), &[5; 20]].concat()).expect("an f2 address")
}

async fn refused(running: &Running, params: &DealParams) -> String {
    let answer = running.propose(params).await;
    assert!(!answer.accepted);
    answer.message
}

#[test]
fn an_id_client_is_checked_by_the_key_behind_it() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let client = samples::client_id();
        let params = from(&world, 1, &client);
        running.accepted(&params).await;
        let deal = running.deal(params.uuid).await.unwrap();
        assert_eq!(deal.client_key, samples::client_key().address());
        let mut forged = from(&world, 2, &client);
        forged.proposal.as_mut().unwrap().signature.data[7] ^= 1;
        assert_eq!(refused(&running, &forged).await, INVALID);
        assert_eq!(world.chain.state().authenticated, 0, "it has a key");
    });
}

#[test]
fn an_actor_without_a_key_authenticates_itself() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.chain.state().contracts = true;
        let client = samples::client_id();
        let params = from(&world, 1, &client);
        running.accepted(&params).await;
        assert_eq!(world.chain.state().authenticated, 1);
        let deal = running.deal(params.uuid).await.unwrap();
        assert_eq!(deal.client_key, client);
        assert_eq!(deal.client_id, Some(client.clone()));
        world.chain.state().disowned = true;
        let other = from(&world, 2, &client);
        assert_eq!(refused(&running, &other).await, INVALID);
        assert_eq!(world.chain.state().authenticated, 2);
    });
}

#[test]
fn a_key_that_nobody_tells_is_not_a_missing_one() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.chain.state().mute_keys = true;
        for (number, client) in [(1, samples::client_id()), (2, robust())] {
            let told = refused(&running, &from(&world, number, &client)).await;
            assert_eq!(told, UNKNOWN, "{client}");
        }
        assert_eq!(world.chain.state().authenticated, 0);
        // A delegated address needs no look-up to be asked.
        running.accepted(&from(&world, 3, &delegated())).await;
        assert_eq!(world.chain.state().authenticated, 1);
    });
}

#[test]
fn a_delegated_client_is_asked_on_chain_whatever_kind_its_signature_is() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        for (number, kind) in [
            (1, SignatureKind::Secp256k1),
            (2, SignatureKind::Bls),
            (3, SignatureKind::Delegated),
        ] {
            let mut params = from(&world, number, &delegated());
            params.proposal.as_mut().unwrap().signature.kind = kind;
            running.accepted(&params).await;
            assert_eq!(world.chain.state().authenticated, u32::from(number));
        }
        world.chain.state().disowned = true;
        let told = refused(&running, &from(&world, 4, &delegated())).await;
        assert_eq!(told, INVALID);
    });
}

/// A verified proposal of the smallest size.
fn verified(world: &World, number: u8) -> DealParams {
    let mut hasher = Commp::new();
    hasher.update(&car(number));
    let commitment = hasher.finish().extend_to(1 << 20);
    let mut params = world.online(number);
    let mut proposal = params.proposal.expect("there is one").proposal;
    (proposal.verified, proposal.piece_size) = (true, 1 << 20);
    proposal.piece_cid = cids::piece_cid(&commitment.expect("it is larger"));
    proposal.price_per_epoch = atto(5_000_000);
    params.proposal = Some(samples::sign(proposal));
    params
}

#[test]
fn a_verified_deal_lives_until_the_network_forgets_datacap() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.chain.state().datacap = Some(1 << 20);
        let uuid = running.accepted(&verified(&world, 1)).await;
        running.until_sealed(uuid).await;
        world.chain.state().network_version = 29;
        // What was read is good for a while.
        world.pass(Duration::from_secs(601));
        wait("the new version", || {
            let version = running.handle.snapshot().network_version;
            version.filter(|(version, _)| *version == 29)
        })
        .await;
        assert_eq!(
            refused(&running, &verified(&world, 2)).await,
            "failed validation: verified deals have ended with network version 29"
        );
        running.accepted(&world.online(3)).await;
    });
}

#[test]
fn a_version_is_asked_for_now_and_then_and_does_not_count_for_ever() {
    const MINUTE: u64 = 60_000;
    let chain = MemoryChain::new();
    let look = |last: &Snapshot, minute: u64| {
        snapshot::look(&chain, &[], &|| minute * MINUTE, last.clone())
    };
    let nothing = Snapshot::default();
    let why = nothing.fresh_version(0).unwrap_err();
    assert!(why.contains("not looked at yet"), "{why}");
    let seen = look(&nothing, 100);
    assert_eq!(seen.fresh_version(100 * MINUTE), Ok(28));
    chain.state().network_version = 29;
    let seen = look(&seen, 109);
    assert_eq!(seen.fresh_version(109 * MINUTE), Ok(28), "not asked again");
    let seen = look(&seen, 110);
    assert_eq!(seen.fresh_version(140 * MINUTE), Ok(29));
    // A clock that was set back makes it old as well.
    assert!(seen.fresh_version(79 * MINUTE).is_err());
    chain.state().away = true;
    let seen = look(&seen, 141);
    let why = seen.fresh_version(141 * MINUTE).unwrap_err();
    assert!(why.contains("it is away"), "{why}");
}

#[test]
fn datacap_that_no_sector_can_claim_keeps_the_piece_back() {
    for (expiry, text) in [
        (
            None,
            "failed to add piece: no DataCap is set aside on chain for chain deal 100,",
        ),
        (
            Some(HEAD - 1),
            "failed to add piece: its DataCap could be claimed until epoch 99999, at most 60 days",
        ),
    ] {
        let world = World::new();
        world.run(async {
            let running = world.start().await;
            world.chain.state().datacap = Some(1 << 20);
            world.chain.state().allocation_expiry = expiry;
            let uuid = running.accepted(&verified(&world, 1)).await;
            let deal = running.until(uuid, |deal| deal.hold == Hold::Manual).await;
            assert_eq!(deal.checkpoint, Checkpoint::PublishConfirmed);
            assert!(deal.error.starts_with(text), "{}", deal.error);
            assert_eq!(world.sealer().state().calls, 0);
            // At that epoch itself a sector still can.
            world.chain.state().allocation_expiry = Some(HEAD);
            let retry = Wish::Verb(Verb::Retry);
            running.handle.wish(uuid, retry).await.unwrap();
            running.until_sealed(uuid).await;
            // An unverified deal has none and needs none.
            world.chain.state().allocation_expiry = None;
            let uuid = running.accepted(&world.online(2)).await;
            running.until_sealed(uuid).await;
        });
    }
}
