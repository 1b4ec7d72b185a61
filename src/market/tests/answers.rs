//! When and with what a proposal is answered.

use super::gate::Mode;
use super::world::{World, wait};
use crate::deal::Checkpoint;
use crate::deal::tests::samples::{self, HEAD};
use crate::store::Store;
use crate::wire::DealResponse;
use futures::FutureExt;
use std::cell::Cell;

fn refused(answer: &DealResponse) -> &str {
    assert!(!answer.accepted);
    &answer.message
}

#[test]
fn no_answer_precedes_its_commit() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.gate.set(Mode::Held);
        let mut answer = Box::pin(running.propose(&params));
        // The commit is asked for; until it is through there is no answer, and nothing is begun.
        let asked = wait("the commit", || (running.gate.held() > 0).then_some(()));
        let pause = smol::Timer::after(std::time::Duration::from_millis(50));
        futures::select_biased! {
            early = (&mut answer).fuse() => panic!("{early:?}"),
            () = asked.then(|()| pause.map(|_| ())).fuse() => {}
        }
        assert!((&mut answer).now_or_never().is_none());
        assert_eq!(running.gate.deal(params.uuid), Ok(None));
        assert_eq!(world.server.asked("1"), Vec::<usize>::new());
        running.gate.open();
        assert!(answer.await.accepted);
        assert!(running.gate.deal(params.uuid).unwrap().is_some());
        running.until_sealed(params.uuid).await;
    });
}

#[test]
fn a_failed_commit_is_a_refusal_and_leaves_nothing() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.gate.set(Mode::Failing);
        assert_eq!(
            refused(&running.propose(&params).await),
            "server error: save to db"
        );
        assert_eq!(running.gate.deal(params.uuid), Ok(None));
        assert_eq!(world.staged(), Vec::<String>::new());
        // Nothing stands in the way of the next try, once the file is opened anew.
        running.handle.ended().await;
        running.crash().await;
        let running = world.start().await;
        assert_eq!(running.deal(params.uuid).await, None);
        running.accepted(&params).await;
        running.until_sealed(params.uuid).await;
    });
}

#[test]
fn the_same_proposal_again_gets_the_same_answer() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.accepted(&params).await;
        running.accepted(&params).await;
        running.until_sealed(params.uuid).await;
        running.accepted(&params).await;
        assert_eq!(world.chain.state().messages.len(), 1);
    });
}

#[test]
fn of_concurrent_duplicates_one_becomes_a_deal() {
    // Edge case 51.
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        let mut renamed = params.clone();
        renamed.uuid = samples::uuid(2);
        running.gate.set(Mode::Held);
        let answers =
            [&params, &params, &renamed, &params, &renamed].map(|params| running.propose(params));
        let mut answers = Box::pin(futures::future::join_all(answers));
        let asked = wait("the commit", || (running.gate.held() > 0).then_some(()));
        let pause = smol::Timer::after(std::time::Duration::from_millis(50));
        futures::select_biased! {
            early = (&mut answers).fuse() => panic!("{early:?}"),
            () = asked.then(|()| pause.map(|_| ())).fuse() => {}
        }
        running.gate.open();
        let answers = answers.await;
        let mut won: Vec<&DealResponse> = Vec::new();
        let mut lost = Vec::new();
        for (position, answer) in answers.iter().enumerate() {
            if answer.accepted {
                won.push(answer);
            } else {
                lost.push((position, answer.message.as_str()));
            }
        }
        let listed = running
            .gate
            .list(&crate::store::Listing {
                limit: 10,
                ..Default::default()
            })
            .unwrap()
            .0;
        assert_eq!(listed.len(), 1, "{answers:?}");
        let winner = listed[0].uuid;
        for (position, message) in lost {
            let uuid = if [2, 4].contains(&position) {
                renamed.uuid
            } else {
                params.uuid
            };
            assert_ne!(uuid, winner);
            let text = format!("deal proposal is identical to deal {winner} (proposed at ");
            assert!(message.starts_with(&text), "{message}");
        }
        assert!(won.len() == 2 || won.len() == 3);
        running.until_sealed(winner).await;
        assert_eq!(world.sealer().state().added.len(), 1);
    });
}

#[test]
fn a_duplicate_does_not_overtake_the_commit_of_the_first() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.gate.set(Mode::Held);
        let answered = Cell::new(0);
        let propose = async || {
            let answer = running.propose(&params).await;
            answered.set(answered.get() + 1);
            answer
        };
        let mut both = Box::pin(futures::future::join(propose(), propose()));
        let asked = wait("the commit", || (running.gate.held() > 0).then_some(()));
        let pause = smol::Timer::after(std::time::Duration::from_millis(50));
        futures::select_biased! {
            _ = (&mut both).fuse() => panic!("answered early"),
            () = asked.then(|()| pause.map(|_| ())).fuse() => {}
        }
        assert_eq!(answered.get(), 0);
        running.gate.open();
        let (first, second) = both.await;
        assert!(first.accepted && second.accepted);
    });
}

#[test]
fn used_names_are_refused_for_ever() {
    // Edge case 50.
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let params = world.online(1);
        running.accepted(&params).await;
        running.until_sealed(params.uuid).await;
        let mut renamed = params.clone();
        renamed.uuid = samples::uuid(2);
        let identical = format!(
            "deal proposal is identical to deal {} (proposed at ",
            params.uuid
        );
        let mut other = world.online(3);
        other.uuid = params.uuid;
        let same_uuid = format!(
            "deal has the same uuid as deal {} (proposed at ",
            params.uuid
        );
        let answers = [(&renamed, &identical), (&other, &same_uuid)];
        for (params, text) in answers {
            let answer = running.propose(params).await;
            assert!(refused(&answer).starts_with(text), "{}", answer.message);
        }
        // Also when nothing of it is in memory any more.
        running.stop().await;
        let running = world.start().await;
        for (params, text) in answers {
            let answer = running.propose(params).await;
            assert!(refused(&answer).starts_with(text), "{}", answer.message);
        }
    });
}

#[test]
fn a_chain_that_is_away_is_a_server_error() {
    let world = World::new();
    world.run(async {
        world.chain.state().away = true;
        let running = world.start_blind();
        let params = world.online(1);
        assert_eq!(
            refused(&running.propose(&params).await),
            "failed validation: server error: getting chain head"
        );
        world.chain.state().away = false;
        wait("a look at the chain", || {
            running.handle.ask(&samples::miner()).ask
        })
        .await;
        world.chain.state().away = true;
        // The head is still fresh, the rest cannot be asked.
        assert_eq!(
            refused(&running.propose(&params).await),
            "failed validation: server error: getting collateral bounds"
        );
        world.pass(std::time::Duration::from_secs(121));
        assert_eq!(
            refused(&running.propose(&params).await),
            "failed validation: server error: getting chain head"
        );
        world.chain.state().head = HEAD + 1;
        world.chain.state().away = false;
        wait("a look at the chain", || {
            let (head, _) = running.handle.snapshot().head?;
            (head == HEAD + 1).then_some(())
        })
        .await;
        running.accepted(&params).await;
    });
}

#[test]
fn proposals_are_judged_and_filtered() {
    let mut world = World::new();
    world.terms(|terms| terms.offline = false);
    world.run(async {
        let running = world.start().await;
        let check = |params, expected: &'static str| {
            let running = &running;
            async move {
                let answer = running.propose(&params).await;
                assert!(!answer.accepted);
                assert_eq!(answer.message, expected);
            }
        };
        let mut none = world.online(1);
        none.proposal = None;
        check(none, "failed validation: proposal PieceCID undefined").await;
        let mut forged = world.online(1);
        forged.proposal.as_mut().unwrap().signature.data[5] ^= 1;
        check(forged, "failed validation: invalid signature").await;
        let mut early = world.online(1);
        let mut proposal = early.proposal.unwrap().proposal;
        proposal.start_epoch = HEAD + 2_879;
        early.proposal = Some(samples::sign(proposal));
        check(
            early,
            "cannot seal a sector before 102879: earliest acceptable start epoch is 102880",
        )
        .await;
        check(world.offline(1).0, "miner is not accepting offline storage deals").await;
        // Edge case 6: no transfer at all.
        let mut bare = world.online(1);
        bare.transfer = crate::wire::Transfer::default();
        check(
            bare,
            "server error: get deal transfer host: cannot parse params for unrecognized transfer type ''",
        )
        .await;
        let mut empty = world.online(1);
        empty.transfer.size = 0;
        check(
            empty,
            "transfer size 0 does not fit the piece: it must be at least 1 and at most 2032 bytes",
        )
        .await;
        assert_eq!(running.gate.list(&crate::store::Listing { limit: 1, ..Default::default() }).unwrap().0, []);
    });
}

#[test]
fn no_text_echoes_transfer_parameters() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        for secret in [
            "not json: secret",
            r#"{"URL":"secret://secret"}"#,
            r#"{"URL":"http://user:secret@"}"#,
        ] {
            let mut params = world.online(1);
            params.transfer.params = secret.as_bytes().to_vec();
            let answer = running.propose(&params).await;
            assert!(!answer.accepted);
            assert!(
                answer
                    .message
                    .starts_with("server error: get deal transfer host: "),
                "{}",
                answer.message
            );
            assert!(!answer.message.contains("secret"), "{}", answer.message);
        }
    });
}

#[test]
fn collateral_is_promised_once() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        // Enough for two deals; the data does not come, so nothing is given back.
        world.chain.state().escrow = 2_000;
        let poor = || {
            running.handle.snapshot().miners[&samples::miner()]
                .facts
                .escrow_available
                == samples::atto(2_000)
        };
        wait("the new balance", || poor().then_some(())).await;
        world.server.stall_after(10);
        let proposals: Vec<_> = (1..=4).map(|number| world.online(number)).collect();
        let answers =
            futures::future::join_all(proposals.iter().map(|params| running.propose(params))).await;
        let accepted = answers.iter().filter(|answer| answer.accepted).count();
        assert_eq!(accepted, 2, "{answers:?}");
        for answer in answers.iter().filter(|answer| !answer.accepted) {
            assert_eq!(
                answer.message,
                "server error: provider has insufficient funds to accept deal"
            );
        }
        world.server.release();
    });
}

#[test]
fn staging_space_is_promised_once() {
    let mut world = World::new();
    let size = super::world::car(1).len() as u64;
    world.terms(|terms| terms.staging_bytes_max = 2 * size + 1);
    world.run(async {
        let running = world.start().await;
        world.server.stall_after(10);
        let proposals: Vec<_> = (1..=4).map(|number| world.online(number)).collect();
        let answers =
            futures::future::join_all(proposals.iter().map(|params| running.propose(params))).await;
        assert_eq!(answers.iter().filter(|answer| answer.accepted).count(), 2);
        for answer in answers.iter().filter(|answer| !answer.accepted) {
            assert_eq!(
                answer.message,
                "server error: provider has no space left for storage deals"
            );
        }
        world.server.release();
        for (params, answer) in proposals.iter().zip(&answers) {
            if answer.accepted {
                running
                    .until_at(params.uuid, Checkpoint::IndexedAndAnnounced)
                    .await;
            }
        }
        // What the sealer has is free again.
        for (params, _) in proposals
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| !answer.accepted)
        {
            running.accepted(params).await;
        }
    });
}

#[test]
fn a_contract_client_is_asked_on_chain() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let mut params = world.online(1);
        let signed = params.proposal.as_mut().unwrap();
        signed.proposal.client = crate::filecoin::Address::ethereum(&[7; 20]);
        running.accepted(&params).await;
        assert_eq!(world.chain.state().authenticated, 1);
    });
}

#[test]
fn a_contract_without_a_key_is_asked_on_chain_too() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        world.chain.state().contracts = true;
        let mut params = world.online(1);
        let robust = crate::filecoin::Address::from_bytes(&[[2].as_slice(), &[5; 20]].concat());
        let robust = robust.unwrap();
        params.proposal.as_mut().unwrap().proposal.client = robust.clone();
        running.accepted(&params).await;
        assert_eq!(world.chain.state().authenticated, 1);
        let deal = running.deal(params.uuid).await.unwrap();
        assert_eq!(deal.client_key, robust);
        assert_eq!(deal.client_id, Some(crate::filecoin::Address::id(2_005)));
    });
}
