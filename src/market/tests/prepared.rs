//! The prepared message of an order: stored before it is sent, sent again as it is, replaced only when it is certain never
//! to be executed.

use super::world::{World, wait};
use crate::chain::ChainError;
use crate::deal::step::Verb;
use crate::deal::{Checkpoint, Hold};
use crate::market::Wish;
use crate::store::Store;

fn unreachable() -> ChainError {
    ChainError::Unreachable("MpoolPush at node:1234, while waiting".to_owned())
}

fn refused() -> ChainError {
    ChainError::Refused {
        code: 1,
        message: "MpoolPush: not enough funds".to_owned(),
    }
}

/// Messages made and messages sent.
fn counts(world: &World) -> (u32, usize) {
    let state = world.chain.state();
    (state.prepared, state.messages.len())
}

#[test]
fn a_message_is_stored_before_it_is_sent_and_until_its_outcome_is_known() {
    for signs_first in [false, true] {
        let world = World::new();
        world.chain.state().signs_first = signs_first;
        world.chain.state().publish_failures = vec![unreachable(); 1_000];
        world.run(async {
            let running = world.start().await;
            let uuid = running.accepted(&world.online(1)).await;
            let held = running.until(uuid, |deal| deal.tries > 1).await;
            let stored = running.gate.messages().unwrap();
            assert_eq!(stored.len(), 1);
            assert_eq!(Some(stored[0].0), held.order, "under its order");
            running.crash().await;
            assert_eq!(counts(&world), (1, 0));

            let running = world.start().await;
            assert_eq!(running.gate.messages(), Ok(stored));
            world.chain.state().publish_failures.clear();
            running.until_sealed(uuid).await;
            assert_eq!(counts(&world), (1, 1), "no second message was made");
            wait("its end", || {
                running.gate.messages().unwrap().is_empty().then_some(())
            })
            .await;
        });
    }
}

#[test]
fn a_signed_message_that_is_refused_stays_what_it_is() {
    let world = World::new();
    world.chain.state().signs_first = true;
    world.chain.state().publish_failures = vec![refused()];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = running.until(uuid, |deal| deal.hold == Hold::Manual).await;
        assert!(held.order.is_some() && held.error.contains("not enough funds"));
        let retry = Wish::Verb(Verb::Retry);
        running.handle.wish(uuid, retry).await.unwrap();
        running.until_sealed(uuid).await;
        assert_eq!(counts(&world), (1, 1));
    });
}

#[test]
fn a_message_whose_nonce_is_gone_is_made_anew() {
    let world = World::new();
    world.chain.state().signs_first = true;
    world.chain.state().publish_failures =
        vec![ChainError::Superseded("nonce 7 was used".to_owned())];
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        running.until_sealed(uuid).await;
        assert_eq!(counts(&world), (2, 1));
    });
}

#[test]
fn what_cannot_be_made_now_is_made_later() {
    // Whether the order stays does not matter to the deal: nothing exists yet.
    for error in [
        unreachable(),
        ChainError::Later("another message".to_owned()),
        ChainError::NoSender("no key".to_owned()),
        ChainError::Fee("the base fee".to_owned()),
        ChainError::Forbidden("WalletHas".to_owned()),
    ] {
        let world = World::new();
        world.chain.state().prepare_failures = vec![error.clone()];
        world.run(async {
            let running = world.start().await;
            let uuid = running.accepted(&world.online(1)).await;
            running.until_sealed(uuid).await;
            let log = running.log(uuid).await;
            let why = error.to_string();
            assert!(log.iter().any(|line| line.text.contains(&why)), "{why}");
            assert_eq!(counts(&world), (1, 1));
        });
    }
}

#[test]
fn a_message_that_the_node_has_lost_is_sent_again() {
    let world = World::new();
    world.chain.state().signs_first = true;
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let sent = running.until_at(uuid, Checkpoint::Published).await;
        world.chain.state().messages.clear();
        wait("the message", || (counts(&world).1 == 1).then_some(())).await;
        world.chain.state().pending = false;
        let deal = running.until_sealed(uuid).await;
        assert_eq!(deal.publish_cid, sent.publish_cid, "the very same");
        assert_eq!(counts(&world), (1, 1));
    });
}

#[test]
fn a_sent_message_that_will_never_be_executed_is_replaced() {
    let world = World::new();
    world.chain.state().signs_first = true;
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let sent = running.until_at(uuid, Checkpoint::Published).await;
        {
            let mut state = world.chain.state();
            state.messages.clear();
            state.publish_failures = vec![ChainError::Superseded("nonce 7 was used".to_owned())];
            state.pending = false;
        }
        let deal = running.until_sealed(uuid).await;
        assert_ne!(deal.publish_cid, sent.publish_cid);
        assert_eq!(counts(&world), (2, 1));
        let log = running.log(uuid).await;
        assert!(
            log.iter()
                .any(|line| line.text.contains("nonce 7 was used"))
        );
    });
}

#[test]
fn a_wallet_that_forgot_sends_another_which_is_followed() {
    let world = World::new();
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let sent = running.until_at(uuid, Checkpoint::Published).await;
        {
            let mut state = world.chain.state();
            state.messages.clear();
            state.forgot = true;
        }
        let other = running
            .until(uuid, |deal| deal.publish_cid != sent.publish_cid)
            .await;
        assert_eq!(other.checkpoint, Checkpoint::Published);
        world.chain.state().pending = false;
        running.until_sealed(uuid).await;
        assert_eq!(counts(&world), (1, 1));
    });
}

#[test]
fn a_stored_message_that_cannot_be_read_stops_the_start() {
    use crate::market::publisher::Publisher;
    let order = uuid::Uuid::from_u128(7);
    assert!(Publisher::with(vec![(order, vec![0x85, 9])]).is_err());
    assert!(Publisher::with(Vec::new()).is_ok());
}
