//! Deals that meet trouble on the main way: each has its text, and none wedges another.

mod harness;

use coracle::client::deal;
use coracle::deal::Checkpoint;
use coracle::devnet::{Effect, Fault};
use harness::{Client, Running, World};
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

impl World {
    /// Another deal still goes all the way.
    fn unharmed(&self, provider: &Running) {
        let (_, wanted) = self.car(999, 50_000);
        let uuid = self.client.accepted(provider, &wanted);
        self.client.proves(provider, uuid);
    }
}

#[test]
fn wrong_data_ends_the_deal_with_both_commitments() {
    let world = World::new("commp");
    let provider = Running::start(&world.vars());
    let (car, mut wanted) = world.car(1, 50_000);
    wanted.piece_cid = coracle::filecoin::cids::piece_cid(&[9; 32]);
    let uuid = world.client.accepted(&provider, &wanted);
    assert_eq!(
        world.client.fails(&provider, uuid),
        format!(
            "failed to verify CommP: commP expected={}, actual={}: commp mismatch",
            wanted.piece_cid, car.piece_cid
        )
    );
    // The client hears of it with the commit; what it left on the disk goes after that.
    let staging = world.scratch.join("home").join("staging");
    harness::wait("an empty staging area", || {
        (std::fs::read_dir(&staging).unwrap().count() == 0).then_some(())
    });
    world.unharmed(&provider);
}

#[test]
fn a_missing_file_ends_the_deal() {
    let world = World::new("missing");
    let provider = Running::start(&world.vars());
    let (_, mut wanted) = world.car(1, 50_000);
    wanted.download.as_mut().unwrap().url = format!("{}nowhere.car", world.server.prefix());
    let uuid = world.client.accepted(&provider, &wanted);
    let error = world.client.fails(&provider, uuid);
    assert!(
        error.starts_with("data-transfer failed: ") && error.contains("404"),
        "{error}"
    );
    world.unharmed(&provider);
}

#[test]
fn a_server_that_recovers_is_asked_again() {
    let world = World::new("recovers");
    world.server.behaviour.status.store(503, Ordering::Relaxed);
    let provider = Running::start(&world.vars());
    let (_, wanted) = world.car(1, 50_000);
    let uuid = world.client.accepted(&provider, &wanted);
    harness::wait("a second try", || {
        (world.server.behaviour.requests.load(Ordering::Relaxed) >= 2).then_some(())
    });
    let status = world.client.status(&provider, uuid).status.unwrap();
    assert_eq!(status.status, "Accepted");
    assert!(status.error.contains("503"), "{}", status.error);
    world.server.behaviour.status.store(0, Ordering::Relaxed);
    let done = world.client.proves(&provider, uuid).status.unwrap();
    assert_eq!(done.error, "");
}

#[test]
fn data_that_is_no_car_ends_the_deal() {
    let world = World::new("nocar");
    let provider = Running::start(&world.vars());
    let (mut car, _) = world.car(1, 50_000);
    car.bytes = std::sync::Arc::new(vec![0xff; 5_000]);
    let url = world.server.serve(&car);
    let wanted = Client::wanted(&world.net, &world.net.miner(), &car, Some(url));
    let uuid = world.client.accepted(&provider, &wanted);
    let error = world.client.fails(&provider, uuid);
    assert!(error.starts_with("data-transfer failed: "), "{error}");
    world.unharmed(&provider);
}

#[test]
fn private_addresses_are_refused() {
    let world = World::new("private");
    let mut vars = world.vars();
    vars.remove("CORACLE_PRIVATE_URLS");
    let provider = Running::start(&vars);
    let (_, wanted) = world.car(1, 50_000);
    let uuid = world.client.accepted(&provider, &wanted);
    let error = world.client.fails(&provider, uuid);
    assert!(
        error.contains("private") || error.contains("public"),
        "{error}"
    );
    assert_eq!(world.server.behaviour.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn refusals_carry_the_texts_of_the_checks() {
    let world = World::new("refusals");
    let provider = Running::start(&world.vars());
    let (_, good) = world.car(1, 50_000);
    world.client.wait_for_ask(&provider, &good.provider);
    let refused = |change: &dyn Fn(&mut deal::Wanted)| {
        let mut wanted = good.clone();
        change(&mut wanted);
        let (_, response) = world.client.propose(&provider, &wanted);
        assert!(!response.accepted);
        response.message
    };
    let text = refused(&|wanted| wanted.storage_price = coracle::filecoin::TokenAmount::zero());
    assert!(
        text.starts_with("failed validation: storage price per epoch less than asking price: 0 < "),
        "{text}"
    );
    let text = refused(&|wanted| wanted.duration = 518_399);
    assert_eq!(
        text,
        "failed validation: deal duration out of bounds (min, max, provided): 518400, 3680640, 518399"
    );
    let text = refused(&|wanted| wanted.start_epoch -= 5_000);
    assert!(text.starts_with("cannot seal a sector before "), "{text}");
    let text = refused(&|wanted| wanted.provider = coracle::filecoin::Address::id(77));
    assert!(
        text.contains("incorrect provider for deal; proposal.Provider: f077;"),
        "{text}"
    );
    let text = refused(&|wanted| wanted.download.as_mut().unwrap().size = 1 << 40);
    assert!(text.contains("1099511627776"), "{text}");
    let text = refused(&|wanted| wanted.download.as_mut().unwrap().url = "nonsense".to_owned());
    assert!(
        text.starts_with("server error: get deal transfer host: cannot parse url"),
        "{text}"
    );
    let text = refused(&|wanted| {
        // The smallest piece of a verified deal is 1 MiB.
        *wanted = world.wanted(2, 900_000);
        wanted.verified = true;
    });
    assert_eq!(text, "failed validation: client is not a verified client");
    let forged = {
        let mut params = deal::propose(&good, &world.client.key, Uuid::new_v4());
        params.proposal.as_mut().unwrap().proposal.end_epoch += 1;
        world.client.send(&provider, &params)
    };
    assert_eq!(forged.message, "failed validation: invalid signature");
    assert!(world.net.devnet.deals().is_empty());
}

#[test]
fn the_same_proposal_is_one_deal() {
    let world = World::new("same");
    let provider = Running::start(&world.vars());
    let (_, wanted) = world.car(1, 50_000);
    world.client.wait_for_ask(&provider, &wanted.provider);
    let params = deal::propose(&wanted, &world.client.key, Uuid::new_v4());
    assert!(world.client.send(&provider, &params).accepted);
    assert!(
        world.client.send(&provider, &params).accepted,
        "the recorded answer"
    );
    let mut other = params.clone();
    other.uuid = Uuid::new_v4();
    let response = world.client.send(&provider, &other);
    let expected = format!(
        "deal proposal is identical to deal {} (proposed at ",
        params.uuid
    );
    assert!(
        response.message.starts_with(&expected),
        "{}",
        response.message
    );
    let mut wanted = wanted;
    wanted.start_epoch += 1;
    let same_uuid = deal::propose(&wanted, &world.client.key, params.uuid);
    let response = world.client.send(&provider, &same_uuid);
    let expected = format!(
        "deal has the same uuid as deal {} (proposed at ",
        params.uuid
    );
    assert!(
        response.message.starts_with(&expected),
        "{}",
        response.message
    );
    world.client.proves(&provider, params.uuid);
    assert_eq!(world.net.devnet.deals().len(), 1);
}

#[test]
fn a_chain_that_is_away_refuses_and_recovers() {
    let world = World::new("away");
    let provider = Running::start(&world.vars());
    let (_, wanted) = world.car(1, 50_000);
    world.client.wait_for_ask(&provider, &wanted.provider);
    world.net.devnet.set_fault(Fault::times(
        "StateMarketBalance",
        1_000,
        Effect::Drop { done: false },
    ));
    let (_, response) = world.client.propose(&provider, &wanted);
    assert_eq!(
        response.message,
        "failed validation: server error: getting market balance"
    );
    world.net.devnet.clear_faults();
    let uuid = world.client.accepted(&provider, &wanted);
    world.client.proves(&provider, uuid);
}

#[test]
fn a_slow_chain_is_not_waited_for() {
    let world = World::new("slow");
    let provider = Running::start(&world.vars());
    let (_, wanted) = world.car(1, 50_000);
    world.client.wait_for_ask(&provider, &wanted.provider);
    let slow = Effect::Delay(Duration::from_secs(60));
    world
        .net
        .devnet
        .set_fault(Fault::once("StateDealProviderCollateralBounds", slow));
    let begun = std::time::Instant::now();
    let (_, response) = world.client.propose(&provider, &wanted);
    assert_eq!(
        response.message,
        "failed validation: server error: getting collateral bounds"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_sealer_that_is_away_is_asked_again() {
    let world = World::new("sealer");
    let broken = Effect::Error {
        code: 1,
        message: "no worker".to_owned(),
        done: false,
    };
    world
        .net
        .devnet
        .set_fault(Fault::times("SectorAddPieceToAny", 2, broken));
    let provider = Running::start(&world.vars());
    let (_, wanted) = world.car(1, 50_000);
    let uuid = world.client.accepted(&provider, &wanted);
    let status = harness::wait("the error", || {
        let status = world.client.status(&provider, uuid).status.unwrap();
        (!status.error.is_empty()).then_some(status)
    });
    assert_eq!(status.status, "PublishConfirmed");
    assert!(
        status.error.contains("AddPiece failed") && status.error.contains("no worker"),
        "{}",
        status.error
    );
    world.client.proves(&provider, uuid);
}

#[test]
fn a_lost_answer_of_the_node_publishes_once() {
    let world = World::new("lost");
    world.net.devnet.set_fault(Fault::times(
        "MpoolPushMessage",
        2,
        Effect::Drop { done: true },
    ));
    let provider = Running::start(&world.vars());
    let (_, wanted) = world.car(1, 50_000);
    let uuid = world.client.accepted(&provider, &wanted);
    world.client.proves(&provider, uuid);
    assert_eq!(world.net.publish_messages(), 1);
}

#[test]
fn a_cancelled_transfer_leaves_nothing() {
    let world = World::new("cancel");
    let mut vars = world.vars();
    let provider = Running::start(&vars);
    world
        .server
        .behaviour
        .stall_after
        .store(20_000, Ordering::Relaxed);
    let (_, wanted) = world.car(1, 50_000);
    let uuid = world.client.accepted(&provider, &wanted);
    harness::wait("bytes", || {
        (world.client.status(&provider, uuid).bytes_received > 0).then_some(())
    });
    let (_, answer) = provider.admin("POST", &format!("/v1/deals/{uuid}/cancel"), None);
    assert_eq!(answer["accepted"], true, "{answer}");
    assert_eq!(world.client.fails(&provider, uuid), "Cancelled");
    let staging = world.scratch.join("home").join("staging");
    harness::wait("an empty staging area", || {
        (std::fs::read_dir(&staging).unwrap().count() == 0).then_some(())
    });
    let (_, answer) = provider.admin("POST", &format!("/v1/deals/{uuid}/retry"), None);
    assert_eq!(answer["reason"], "deal is already complete");
    world
        .server
        .behaviour
        .stall_after
        .store(0, Ordering::Relaxed);
    drop(provider);
    // What an earlier run left behind without a deal is swept.
    std::fs::write(staging.join(format!("{}.car", Uuid::new_v4())), b"orphan").unwrap();
    vars.insert("CORACLE_LOG".to_owned(), "info".to_owned());
    let provider = Running::start(&vars);
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    world.unharmed(&provider);
}

#[test]
fn status_is_for_the_client_only() {
    let world = World::new("status");
    let provider = Running::start(&world.vars());
    let (_, wanted) = world.car(1, 50_000);
    let uuid = world.client.accepted(&provider, &wanted);
    let stranger = Client::new(world.net.devnet.people().bls_client.key.clone());
    let response = stranger.status(&provider, uuid);
    assert_eq!(response.error, "signature verification failed");
    assert!(response.status.is_none());
    let unknown = Uuid::new_v4();
    let response = stranger.status(&provider, unknown);
    assert_eq!(
        response.error,
        format!("no storage deal found with deal UUID {unknown}")
    );
    let first = world.client.status(&provider, uuid).status.unwrap();
    assert_eq!(first.sealing_status, "");
    assert!(Checkpoint::from_name(&first.status).is_some());
}
