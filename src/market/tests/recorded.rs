//! What was accepted stays accepted, and only that (spec boost-mk12 3.3; chain-sealer-rpc D.2).

use super::world::{Running, World};
use crate::deal::Checkpoint;
use crate::deal::step::Verb;
use crate::deal::tests::samples::{self, HEAD, uuid};
use crate::filecoin::Address;
use crate::wire::DealParams;

async fn told(running: &Running, params: &DealParams) -> String {
    let answer = running.propose(params).await;
    assert!(!answer.accepted, "{answer:?}");
    answer.message
}

/// The same deal, proposed with the client's ID address.
fn by_id(params: &DealParams) -> DealParams {
    let mut proposal = params.proposal.clone().expect("there is one").proposal;
    proposal.client = Address::id(2_000 + u64::from(samples::client_key().address().payload()[0]));
    DealParams {
        proposal: Some(samples::sign(proposal)),
        ..params.clone()
    }
}

#[test]
fn the_recorded_answer_does_not_ask_the_chain() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.accepted(&params).await;
        running.until_sealed(params.uuid).await;
        world.chain.state().poor = true;
        running.accepted(&params).await;
        world.chain.state().hanging = true;
        world.chain.state().away = true;
        running.accepted(&params).await;
        world.chain.state().hanging = false;
        world.chain.state().away = false;
        // Long after its start, and when nothing of it is in memory.
        world.chain.state().head = HEAD + 100_000;
        running.stop().await;
        let running = world.start().await;
        running.accepted(&params).await;
        assert_eq!(world.chain.state().messages.len(), 1);
        assert_eq!(world.sealer().state().added.len(), 1);
    });
}

#[test]
fn a_deal_that_failed_was_accepted_all_the_same() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let (params, _) = world.offline(1);
        running.accepted(&params).await;
        let cancelled = crate::market::Wish::Verb(Verb::Cancel);
        running.handle.wish(params.uuid, cancelled).await.unwrap();
        running.until_at(params.uuid, Checkpoint::Complete).await;
        running.accepted(&params).await;
        running.stop().await;
        let running = world.start().await;
        running.accepted(&params).await;
        let deal = running.deal(params.uuid).await.unwrap();
        assert_eq!(deal.checkpoint, Checkpoint::Complete, "nothing began anew");
    });
}

#[test]
fn another_form_of_the_client_s_address_is_the_same_proposal() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.accepted(&params).await;
        let same = by_id(&params);
        assert_ne!(same.proposal, params.proposal);
        running.accepted(&same).await;
        // Its funds are locked by now, and its start has come.
        world.chain.state().poor = true;
        running.accepted(&same).await;
        world.chain.state().poor = false;
        let mut renamed = same.clone();
        renamed.uuid = uuid(2);
        assert!(
            told(&running, &renamed)
                .await
                .starts_with("deal proposal is identical to deal ")
        );
        running.until_sealed(params.uuid).await;
        assert_eq!(world.chain.state().messages.len(), 1);
    });
}

#[test]
fn a_repeated_proposal_still_needs_its_client_s_signature() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.accepted(&params).await;
        for mut forged in [params.clone(), by_id(&params)] {
            forged.proposal.as_mut().unwrap().signature.data[5] ^= 1;
            assert_eq!(
                told(&running, &forged).await,
                "failed validation: invalid signature"
            );
        }
    });
}

#[test]
fn a_refused_proposal_is_judged_anew() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.chain.state().poor = true;
        let params = world.online(1);
        for _ in 0..2 {
            assert!(
                told(&running, &params)
                    .await
                    .contains("client available funds in escrow 0")
            );
        }
        assert_eq!(running.deal(params.uuid).await, None);
        world.chain.state().poor = false;
        running.accepted(&params).await;
    });
}

#[test]
fn many_duplicates_at_the_same_time_are_one_deal_and_one_answer() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        let copies: Vec<DealParams> = (0..32)
            .map(|copy| {
                if copy % 2 == 0 {
                    params.clone()
                } else {
                    by_id(&params)
                }
            })
            .collect();
        let all = copies.iter().map(|params| running.propose(params));
        let answers = futures::future::join_all(all).await;
        assert!(answers.iter().all(|answer| answer.accepted), "{answers:?}");
        running.until_sealed(params.uuid).await;
        assert_eq!(world.chain.state().messages.len(), 1);
        assert_eq!(world.sealer().state().added.len(), 1);
    });
}

#[test]
fn a_copy_that_the_filter_refuses_does_not_take_an_acceptance_back() {
    let mut world = World::new();
    // Takes the first proposal that it sees, and looks long enough at each for the other to come.
    let seen = world.path("seen");
    world.filter(&format!(
        "mkdir '{}' || {{ sleep 1; exit 1; }}",
        seen.display()
    ));
    world.run(async {
        let running = world.start_filtering().await;
        let params = world.offline(1).0;
        let (first, second) = futures::join!(running.propose(&params), running.propose(&params));
        assert!(first.accepted && second.accepted, "{first:?} {second:?}");
    });
}

#[test]
fn lists_of_clients_hold_for_all_forms_of_an_address() {
    let mut world = World::new();
    let key = samples::client_key().address();
    world.terms(|terms| terms.clients_denied = [key.clone()].into());
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        for params in [params.clone(), by_id(&params)] {
            let client = &params.proposal.as_ref().unwrap().proposal.client;
            assert_eq!(
                told(&running, &params).await,
                format!("miner is not accepting storage deals from client {client}")
            );
        }
    });
}

#[test]
fn a_client_s_quota_counts_all_forms_of_its_address() {
    let mut world = World::new();
    let size = super::world::car(1).len() as u64;
    world.terms(|terms| terms.staging_client_bytes_max = 2 * size);
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(10);
        running.accepted(&world.online(1)).await;
        running.accepted(&by_id(&world.online(2))).await;
        for params in [world.online(3), by_id(&world.online(3))] {
            assert_eq!(
                told(&running, &params).await,
                format!(
                    "client has no staging space left: its deals hold {} of {} bytes, this one needs {size}",
                    2 * size,
                    2 * size
                )
            );
        }
        // Offline deals bring no bytes into the staging area.
        running.accepted(&world.offline(4).0).await;
        world.server.release();
        running.until_at(uuid(1), Checkpoint::IndexedAndAnnounced).await;
        running.accepted(&world.online(3)).await;
    });
}
