//! Asks while the provider runs, and over its restarts.

use super::chain::worker;
use super::world::{World, other_miner, wait};
use crate::deal::tests::samples::{HEAD, atto, miner, sign, uuid};
use crate::filecoin::{Address, SecretKey};
use crate::market::{AskChange, AskExpiry};
use crate::store::{Listing, Store, StoredAsk};
use crate::wire::{SignedAsk, StorageAsk};

/// What peers are answered.
fn served(running: &super::world::Running, miner: &Address) -> StorageAsk {
    let signed = running.handle.ask(miner).ask.expect("it has an ask");
    signed.ask.expect("there are terms")
}

fn price(price: i128) -> AskChange {
    AskChange {
        price: Some(atto(price)),
        ..AskChange::default()
    }
}

fn until(expiry: AskExpiry) -> AskChange {
    AskChange {
        expiry: Some(expiry),
        ..AskChange::default()
    }
}

fn is_signed_by(signed: &SignedAsk, key: &SecretKey) -> bool {
    let terms = signed.ask.as_ref().unwrap().encode();
    let signature = signed.signature.as_ref();
    signature.is_some_and(|signature| signature.verify(&key.address(), &terms))
}

#[test]
fn asks_are_made_signed_changed_and_kept() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let ask = served(&running, &miner());
        assert_eq!(
            (ask.price, ask.verified_price),
            (atto(50_000_000), atto(5_000_000))
        );
        assert_eq!(
            (ask.min_piece_size, ask.max_piece_size, ask.seq_no),
            (256, 32 << 30, 0)
        );
        assert_eq!((ask.timestamp, ask.expiry), (HEAD, HEAD + 1_000_000));

        // More than 64 bits can count.
        let high = 10_i128.pow(20);
        let changed = running.handle.set_ask(miner(), price(high)).await.unwrap();
        let ask = changed.terms.clone();
        assert_eq!(
            (ask.price, ask.verified_price),
            (atto(high), atto(5_000_000))
        );
        assert_eq!((ask.seq_no, ask.expiry), (1, HEAD + 10_519_200));
        // Edge case 33: signed by the worker over the ask alone.
        assert!(is_signed_by(&changed.signed(), &worker()));
        assert_eq!(running.handle.ask(&miner()).ask, Some(changed.signed()));
        assert_eq!(served(&running, &other_miner()).seq_no, 0);
        running.stop().await;

        let running = world.start().await;
        assert_eq!(running.handle.ask(&miner()).ask, Some(changed.signed()));
        let answer = running.propose(&world.online(1)).await;
        let text = "failed validation: storage price per epoch less than asking price: ";
        assert!(answer.message.starts_with(text), "{}", answer.message);
        let changed = running.handle.set_ask(miner(), price(1)).await.unwrap();
        assert_eq!(changed.terms.seq_no, 2);
        running.accepted(&world.online(1)).await;
    });
}

#[test]
fn an_ask_is_renewed_by_a_running_provider_before_it_ends() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let first = served(&running, &miner());
        // A week before the end; it has not ended for anybody.
        world.chain.state().head = first.expiry - 20_160;
        let renewed = wait("a renewed ask", || {
            Some(served(&running, &miner())).filter(|ask| ask.seq_no == 1)
        })
        .await;
        assert_eq!(
            (renewed.timestamp, renewed.expiry),
            (first.expiry - 20_160, first.expiry - 20_160 + 10_519_200)
        );
        assert_eq!(renewed.price, first.price);
        assert!(is_signed_by(
            &running.handle.ask(&miner()).ask.unwrap(),
            &worker()
        ));
        running.stop().await;
        // Nobody was there while it ended: it is renewed before anybody is answered.
        world.chain.state().head = renewed.expiry + 5;
        let running = world.start().await;
        let again = served(&running, &miner());
        assert_eq!(again.seq_no, 2);
        assert!(!again.has_expired(renewed.expiry + 5));
    });
}

/// The deal of this number, moved so that it starts soon enough after the head.
fn online_at(world: &World, number: u8, head: i64) -> crate::wire::DealParams {
    let mut params = world.online(number);
    let mut proposal = params.proposal.unwrap().proposal;
    proposal.start_epoch = head + 5_000 + i64::from(number);
    proposal.end_epoch = proposal.start_epoch + 518_400;
    params.proposal = Some(sign(proposal));
    params
}

#[test]
fn an_expiry_that_an_operator_gave_is_honoured() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let ask = running
            .handle
            .set_ask(miner(), until(AskExpiry::In(10)))
            .await;
        let ask = ask.unwrap();
        assert_eq!((ask.terms.expiry, ask.expiry_given), (HEAD + 10, true));
        running.accepted(&world.online(1)).await;

        let see = |head: i64| {
            world.chain.state().head = head;
            let handle = running.handle.clone();
            wait("the new head", move || {
                let seen = handle.snapshot().head;
                seen.filter(|(seen, _)| *seen == head)
            })
        };
        // The last epoch that it holds for, and the first that it does not.
        see(HEAD + 9).await;
        running.accepted(&online_at(&world, 2, HEAD + 9)).await;
        see(HEAD + 10).await;
        let late = online_at(&world, 3, HEAD + 10);
        let answer = running.propose(&late).await;
        assert_eq!(answer.message, "failed validation: storage ask has expired");
        running.stop().await;

        // Over a restart as well; the ask is still shown, as it is.
        let running = world.start().await;
        assert_eq!(running.handle.ask(&miner()).ask, Some(ask.signed()));
        let answer = running.propose(&late).await;
        assert_eq!(answer.message, "failed validation: storage ask has expired");
        // The other miner's did not end.
        let other = super::world::to_miner(online_at(&world, 4, HEAD + 10), &other_miner());
        running.accepted(&other).await;

        let refusal = running.handle.set_ask(miner(), price(1)).await;
        assert!(refusal.unwrap_err().contains("expired at epoch 100010"));
        let never = running
            .handle
            .set_ask(miner(), until(AskExpiry::Never))
            .await;
        assert!(!never.unwrap().expiry_given);
        running.accepted(&late).await;
    });
}

#[test]
fn an_ask_is_signed_again_when_the_worker_changes() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let first = running.handle.stored_ask(&miner()).unwrap();
        let made = world.chain.state().signed;
        let next = SecretKey::secp256k1(&[7; 32]).unwrap();
        let by_next = || {
            let signed = running.handle.ask(&miner()).ask.unwrap();
            is_signed_by(&signed, &next).then_some(signed)
        };
        {
            // Nobody has the new worker's key at first.
            let mut state = world.chain.state();
            (state.worker, state.keyless) = (Some(next.clone()), true);
        }
        let unsigned = wait("an ask without a signature", || {
            let signed = running.handle.ask(&miner()).ask?;
            signed.signature.is_none().then_some(signed)
        })
        .await;
        assert_eq!(unsigned.ask, Some(first.terms.clone()));
        running.accepted(&world.online(1)).await;
        world.chain.state().keyless = false;
        let signed = wait("the new worker's signature", by_next).await;
        // The same terms: nothing to count.
        assert_eq!(signed.ask, Some(first.terms.clone()));
        let stored = || running.gate.ask(&miner()).unwrap().unwrap();
        assert_eq!(stored().signed(), signed);
        // Two miners, once each; what is signed is not signed again at every look.
        wait("the other miner's", || {
            (world.chain.state().signed == made + 2).then_some(())
        })
        .await;
        let commits = running.gate.commits();
        running.until_sealed(uuid(1)).await;
        assert_eq!(world.chain.state().signed, made + 2);
        assert!(running.gate.commits() >= commits);
        running.stop().await;
        let running = world.start().await;
        assert_eq!(running.handle.ask(&miner()).ask, Some(signed));
        assert_eq!(world.chain.state().signed, made + 2);
    });
}

#[test]
fn an_ask_without_a_signature_is_an_ask() {
    let world = World::new();
    world.chain.state().keyless = true;
    world.run(async {
        let running = world.start().await;
        assert_eq!(running.handle.ask(&miner()).ask.unwrap().signature, None);
        running.accepted(&world.online(1)).await;
        let changed = running.handle.set_ask(miner(), price(2)).await.unwrap();
        assert_eq!((changed.signature, changed.terms.seq_no), (None, 1));
    });
}

#[test]
fn a_change_and_a_renewal_at_the_same_time_both_happen() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let end = served(&running, &miner()).expiry;
        for round in 1_i64..=20 {
            world.chain.state().head = end + round * 20_000_000;
            let changed = running.handle.set_ask(miner(), price(round.into())).await;
            assert_eq!(changed.unwrap().terms.price, atto(round));
            smol::Timer::after(std::time::Duration::from_millis(7)).await;
            assert_eq!(served(&running, &miner()).price, atto(round));
        }
        // Both the changes and the renewals were counted, whichever came first; a round may see two renewals, one of
        // them with the head of before.
        let seq_no = served(&running, &miner()).seq_no;
        assert!((20..=60).contains(&seq_no), "{seq_no}");
        // A renewal may be between the database and what is served.
        super::world::wait("one ask in both places", || {
            let stored: Option<StoredAsk> = running.gate.ask(&miner()).unwrap();
            (running.handle.stored_ask(&miner()) == stored).then_some(())
        })
        .await;
    });
}

#[test]
fn an_unknown_miner_s_ask_cannot_be_changed() {
    let world = World::new();
    world.run(async {
        let running = world.start().await;
        let refusal = running.handle.set_ask(Address::id(9), price(1)).await;
        assert_eq!(
            refusal.unwrap_err(),
            "f09 is not a miner of this provider: f01000, f01001"
        );
        assert_eq!(running.gate.ask(&Address::id(9)), Ok(None));
        assert_eq!(running.handle.stored_ask(&Address::id(9)), None);
        let none = running.gate.list(&Listing::default()).unwrap();
        assert_eq!(none, (Vec::new(), false));
        running.stop().await;
    });
    // Nor one's own before the chain was seen.
    world.chain.state().away = true;
    world.run(async {
        let running = world.start_blind();
        let refusal = running.handle.set_ask(miner(), price(1)).await;
        assert!(refusal.unwrap_err().contains("has not told about f01000"));
    });
}
