//! Sending a prepared message against a whole (stand-in) chain, in every mode: once, whatever goes wrong between the
//! steps. A crash is simulated by a new client that has nothing but the stored bytes.

#[path = "support/devnet.rs"]
mod support;

use coracle::chain::{Call, Chain, ChainError, LocalKeys, Lotus, Order, Outcome, Prepared};
use coracle::devnet::{Effect, FIL, Fault, NodeKind, Wallet};
use coracle::filecoin::{Address, SecretKey, Signature, TokenAmount};
use std::collections::BTreeMap;
use support::{Net, limits};
use uuid::Uuid;

const MINER: u64 = 1000;

/// All kinds of nodes, and whether our own keystore has the worker's key.
const MODES: [(NodeKind, bool); 6] = [
    (NodeKind::Lotus, false),
    (NodeKind::Forest, false),
    (NodeKind::Venus, false),
    (NodeKind::Gateway, true),
    (NodeKind::Lotus, true),
    (NodeKind::Forest, true),
];

/// Those in which the message is signed before it is sent.
const SIGNED: [(NodeKind, bool); 5] = [MODES[1], MODES[2], MODES[3], MODES[4], MODES[5]];

/// The keys of this box.
struct Keys(Vec<SecretKey>);

impl LocalKeys for Keys {
    fn has(&self, key: &Address) -> bool {
        self.0.iter().any(|own| own.address() == *key)
    }

    fn sign(&self, key: &Address, bytes: &[u8]) -> Option<Signature> {
        let own = self.0.iter().find(|own| own.address() == *key)?;
        Some(own.sign(bytes))
    }
}

fn net(kind: NodeKind) -> Net {
    Net::start(|config| {
        config.kind = kind;
        config.auth = true;
    })
}

fn worker(net: &Net) -> &Wallet {
    &net.people().miners[0][1]
}

/// A client without any memory: as after a restart.
fn fresh(net: &Net, own_key: bool) -> Lotus {
    at(net, &net.fullnode_api_info(), own_key)
}

fn at(net: &Net, endpoints: &str, own_key: bool) -> Lotus {
    let keys = own_key.then(|| Box::new(Keys(vec![worker(net).key.clone()])) as Box<dyn LocalKeys>);
    Lotus::with_limits(endpoints, keys, BTreeMap::new(), limits()).unwrap()
}

fn order(net: &Net, id: u8) -> Order {
    Order {
        id: Uuid::from_u128(id.into()),
        miner: Address::id(MINER),
        fee_max: TokenAmount::from_atto(FIL / 20),
        call: Call::Publish(vec![net.deal(&net.people().client.key, id)]),
    }
}

/// What a crash leaves.
fn stored(prepared: &Prepared) -> Prepared {
    Prepared::decode(&prepared.encode()).unwrap()
}

/// Publish messages that were ever pushed.
fn published(net: &Net) -> usize {
    let messages = net.received_messages();
    messages.iter().filter(|m| m.message.method == 4).count()
}

fn deal_of(chain: &Lotus, message: &cid::Cid, order: &Order) -> Option<u64> {
    match chain.outcome(message, &[order.deals()[0].proposal.clone()]) {
        Ok(Outcome::Executed {
            deals,
            exit_code: 0,
            ..
        }) => deals[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_node_takes_a_message_once() {
    for (kind, own_key) in MODES {
        let net = net(kind);
        let order = order(&net, 1);
        let chain = fresh(&net, own_key);
        let prepared = chain
            .prepare(&order)
            .unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        assert_eq!(published(&net), 0, "{kind:?}: preparing sends nothing");
        let known = prepared.cid();
        assert_eq!(
            known.is_none(),
            kind == NodeKind::Lotus && !own_key,
            "{kind:?}"
        );
        let message = chain
            .send(&prepared)
            .unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        assert!(known.is_none_or(|known| known == message));
        // After a crash, at once, in a tipset, executed.
        for epochs in [0, 1, 2, 30] {
            net.advance(epochs);
            let again = fresh(&net, own_key).send(&stored(&prepared));
            // In a tipset and not executed, nobody can tell whose message used the nonce.
            if !(epochs == 1 && matches!(again, Err(ChainError::Later(_)))) {
                assert_eq!(again, Ok(message), "{kind:?} after {epochs}");
            }
        }
        assert_eq!(published(&net), 1, "{kind:?}");
        assert!(deal_of(&chain, &message, &order).is_some(), "{kind:?}");
        let sent = &net.received_messages()[0];
        assert!(sent.verify(&worker(&net).address));
        let fee = sent.message.gas_fee_cap.times(sent.message.gas_limit);
        assert!(fee <= order.fee_max, "{kind:?}: {fee}");
    }
}

#[test]
fn a_bls_worker_signs_here_too() {
    let net = net(NodeKind::Gateway);
    let [owner, _, control] = &net.people().miners[0];
    let wallets = BTreeMap::from([(Address::id(MINER), control.address.clone())]);
    let keys = Box::new(Keys(vec![control.key.clone(), owner.key.clone()]));
    let chain =
        Lotus::with_limits(&net.fullnode_api_info(), Some(keys), wallets, limits()).unwrap();
    let order = order(&net, 1);
    let prepared = chain.prepare(&order).unwrap();
    assert_eq!(prepared.sender(), &control.address);
    let message = chain.send(&prepared).unwrap();
    net.advance(2);
    assert_eq!(chain.send(&stored(&prepared)), Ok(message));
    assert!(deal_of(&chain, &message, &order).is_some());
}

#[test]
fn a_lost_answer_with_the_effect_done_is_found_again() {
    for (kind, own_key) in MODES {
        for done in [true, false] {
            let net = net(kind);
            let order = order(&net, 1);
            let chain = fresh(&net, own_key);
            let prepared = chain.prepare(&order).unwrap();
            let method = match prepared.cid() {
                None => "MpoolPushMessage",
                Some(_) => "MpoolPush",
            };
            // A read is tried again on a new connection: twice for what may be asked twice.
            net.set_fault(Fault::times(method, 2, Effect::Drop { done }));
            let lost = chain.send(&prepared);
            assert!(
                matches!(lost, Err(ChainError::Unreachable(_))),
                "{kind:?} {lost:?}"
            );
            net.clear_faults();
            let message = fresh(&net, own_key).send(&stored(&prepared)).unwrap();
            net.advance(3);
            assert_eq!(fresh(&net, own_key).send(&stored(&prepared)), Ok(message));
            assert_eq!(published(&net), 1, "{kind:?} {done}");
            assert!(deal_of(&chain, &message, &order).is_some());
        }
    }
}

#[test]
fn a_crash_before_anything_was_stored_leaves_nothing() {
    for (kind, own_key) in MODES {
        let net = net(kind);
        let order = order(&net, 1);
        let _lost = fresh(&net, own_key).prepare(&order).unwrap();
        let chain = fresh(&net, own_key);
        let message = chain.send(&chain.prepare(&order).unwrap()).unwrap();
        net.advance(2);
        assert_eq!(published(&net), 1, "{kind:?}");
        assert!(deal_of(&chain, &message, &order).is_some());
    }
}

#[test]
fn a_replacement_with_a_higher_fee_is_ours() {
    for (kind, own_key) in MODES {
        let net = net(kind);
        let order = order(&net, 1);
        let chain = fresh(&net, own_key);
        let prepared = chain.prepare(&order).unwrap();
        let message = chain.send(&prepared).unwrap();
        let replaced = net.replace_message(&message).expect("it waits");
        let again = fresh(&net, own_key).send(&stored(&prepared)).unwrap();
        if prepared.cid().is_some() {
            assert_eq!(again, replaced, "{kind:?}: what waits now");
        }
        net.advance(3);
        let outcome = chain.outcome(&message, &[order.deals()[0].proposal.clone()]);
        let Ok(Outcome::Executed {
            message: executed,
            deals,
            ..
        }) = outcome
        else {
            panic!("{kind:?}: {outcome:?}");
        };
        // Forest names what it was asked for (spec H).
        let named = if kind == NodeKind::Forest {
            message
        } else {
            replaced
        };
        assert_eq!(executed, named, "{kind:?}");
        assert!(deals[0].is_some());
    }
}

#[test]
fn a_nonce_that_somebody_else_took_is_told_only_when_that_is_final() {
    for (kind, own_key) in SIGNED {
        let net = net(kind);
        let order = order(&net, 1);
        let chain = fresh(&net, own_key);
        let prepared = chain.prepare(&order).unwrap();
        net.advance(2);
        let other = net.spend_nonce(worker(&net), None).unwrap();
        // It waits, it is in a tipset, it is executed, but nothing is final.
        for epochs in [0, 1, 2] {
            net.advance(epochs);
            let result = fresh(&net, own_key).send(&stored(&prepared));
            assert!(
                matches!(result, Err(ChainError::Later(_))),
                "{kind:?} after {epochs}: {result:?}"
            );
        }
        net.advance(25);
        let result = fresh(&net, own_key).send(&stored(&prepared));
        assert!(
            matches!(result, Err(ChainError::Superseded(_))),
            "{kind:?}: {result:?}"
        );
        assert_ne!(prepared.cid(), Some(other));
        // Another may be made, and takes effect.
        let second = chain.prepare(&order).unwrap();
        assert_eq!(second.message().nonce, prepared.message().nonce + 1);
        let message = chain.send(&second).unwrap();
        net.advance(2);
        assert!(deal_of(&chain, &message, &order).is_some());
        assert_eq!(published(&net), 1, "{kind:?}");
    }
}

#[test]
fn a_message_of_long_ago_is_found_where_its_nonce_was_used() {
    // A gateway searches 20 epochs back only.
    for gap in [0, 1, 2, 40, 300] {
        let net = net(NodeKind::Gateway);
        let order = order(&net, 1);
        let chain = fresh(&net, true);
        let prepared = chain.prepare(&order).unwrap();
        net.advance(gap);
        let message = chain.send(&prepared).unwrap();
        net.advance(200);
        let head = chain.node().head().unwrap();
        let searched = chain.node().search_message(Some(&head), &message, -1);
        assert_eq!(searched, Ok(None), "the gateway does not see it any more");
        assert!(deal_of(&chain, &message, &order).is_some());
        let found = fresh(&net, true).send(&stored(&prepared));
        assert_eq!(found, Ok(message), "after {gap}");
        assert_eq!(published(&net), 1);
    }
}

#[test]
fn what_is_too_long_ago_is_never_called_lost() {
    let net = net(NodeKind::Gateway);
    let chain = fresh(&net, true);
    let prepared = chain.prepare(&order(&net, 1)).unwrap();
    let message = chain.send(&prepared).unwrap();
    // More than a day: the gateway answers nothing about it.
    net.advance(6_000);
    let result = fresh(&net, true).send(&stored(&prepared));
    assert!(matches!(result, Err(ChainError::Later(_))), "{result:?}");
    // Another node of the list knows.
    assert_eq!(published(&net), 1);
    assert_eq!(net.received_messages()[0].cid(), message);
}

#[test]
fn a_node_that_lost_its_pool_gets_the_same_message_again() {
    for (kind, own_key) in SIGNED {
        let net = net(kind);
        let order = order(&net, 1);
        let chain = fresh(&net, own_key);
        let prepared = chain.prepare(&order).unwrap();
        let message = chain.send(&prepared).unwrap();
        net.restart_node();
        assert!(net.received_messages().is_empty());
        let outcome = chain.outcome(&message, &[order.deals()[0].proposal.clone()]);
        assert_eq!(outcome, Ok(Outcome::Unknown));
        assert_eq!(fresh(&net, own_key).send(&stored(&prepared)), Ok(message));
        net.advance(2);
        assert!(deal_of(&chain, &message, &order).is_some(), "{kind:?}");
        assert_eq!(published(&net), 1);
    }
}

#[test]
fn a_lotus_that_forgot_identities_does_not_publish_twice() {
    let net = net(NodeKind::Lotus);
    let order = order(&net, 1);
    let chain = fresh(&net, false);
    let prepared = chain.prepare(&order).unwrap();
    let message = chain.send(&prepared).unwrap();
    net.advance(2);
    assert!(deal_of(&chain, &message, &order).is_some());
    net.restart_node();
    // What it sends again is another message; the market actor drops a deal that is there.
    let second = fresh(&net, false).send(&stored(&prepared)).unwrap();
    net.advance(2);
    let outcome = chain.outcome(&second, &[order.deals()[0].proposal.clone()]);
    assert!(
        matches!(&outcome, Ok(Outcome::Executed { exit_code: 16, .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_reorganisation_does_not_make_a_second_message() {
    for (kind, own_key) in MODES {
        let net = net(kind);
        let order = order(&net, 1);
        let chain = fresh(&net, own_key);
        let prepared = chain.prepare(&order).unwrap();
        let message = chain.send(&prepared).unwrap();
        net.advance(4);
        let before = deal_of(&chain, &message, &order);
        net.reorganise(5);
        assert_eq!(fresh(&net, own_key).send(&stored(&prepared)), Ok(message));
        net.advance(4);
        assert_eq!(fresh(&net, own_key).send(&stored(&prepared)), Ok(message));
        let after = deal_of(&chain, &message, &order);
        assert!(
            after.is_some() && after != before,
            "{kind:?}: {before:?} {after:?}"
        );
        assert_eq!(published(&net), 1, "{kind:?}");
    }
}

#[test]
fn two_orders_of_one_sender_do_not_share_a_nonce() {
    for (kind, own_key) in SIGNED {
        let net = net(kind);
        let chain = fresh(&net, own_key);
        let (first, second) = (order(&net, 1), order(&net, 2));
        let prepared = chain.prepare(&first).unwrap();
        let busy = chain.prepare(&second);
        assert!(
            matches!(busy, Err(ChainError::Later(_))),
            "{kind:?}: {busy:?}"
        );
        let one = chain.send(&prepared).unwrap();
        let other = chain.send(&chain.prepare(&second).unwrap()).unwrap();
        net.advance(2);
        assert!(deal_of(&chain, &one, &first).is_some());
        assert!(deal_of(&chain, &other, &second).is_some(), "{kind:?}");
    }
}

#[test]
fn a_refusal_by_the_pool_keeps_the_message_for_later() {
    let net = net(NodeKind::Forest);
    let order = order(&net, 1);
    let chain = fresh(&net, false);
    let prepared = chain.prepare(&order).unwrap();
    // Somebody empties the wallet meanwhile.
    net.set_balance(worker(&net), &TokenAmount::from_atto(1_u64));
    let error = chain.send(&prepared).unwrap_err();
    assert!(
        matches!(&error, ChainError::Refused { message, .. } if message.contains("not enough funds")),
        "{error:?}"
    );
    net.set_balance(worker(&net), &TokenAmount::from_atto(FIL));
    let message = fresh(&net, false).send(&stored(&prepared)).unwrap();
    net.advance(2);
    assert!(deal_of(&chain, &message, &order).is_some());
    assert_eq!(published(&net), 1);
}

#[test]
fn nothing_is_made_of_what_cannot_be_sent() {
    let net = net(NodeKind::Lotus);
    let reader = at(&net, &format!("http://{}", net.node_addr()), false);
    let error = reader.prepare(&order(&net, 1)).unwrap_err();
    assert!(
        matches!(&error, ChainError::Forbidden(text) if text.contains("WalletHas")),
        "{error:?}"
    );
    let gateway = self::net(NodeKind::Gateway);
    let error = fresh(&gateway, false)
        .prepare(&order(&gateway, 1))
        .unwrap_err();
    assert!(
        matches!(&error, ChainError::NoSender(text) if text.contains("wallet import")),
        "{error:?}"
    );
    let chain = fresh(&net, false);
    let mut thrifty = order(&net, 1);
    thrifty.fee_max = TokenAmount::from_atto(1_000_u64);
    assert!(matches!(chain.prepare(&thrifty), Err(ChainError::Fee(_))));
    let mut long = order(&net, 1);
    long.call = Call::Publish(vec![long.deals()[0].clone(); 400]);
    let error = chain.prepare(&long).unwrap_err();
    assert!(
        matches!(&error, ChainError::TooMuch(text) if text.contains("65536")),
        "{error:?}"
    );
    let mut late = order(&net, 1);
    let mut started = late.deals().to_vec();
    started[0].proposal.start_epoch = net.epoch() - 1;
    late.call = Call::Publish(started);
    let error = chain.prepare(&late).unwrap_err();
    assert!(matches!(&error, ChainError::WouldFail(_)), "{error:?}");
    net.set_balance(worker(&net), &TokenAmount::from_atto(5_u64));
    let [owner, ..] = &net.people().miners[0];
    net.set_balance(owner, &TokenAmount::from_atto(5_u64));
    let error = chain.prepare(&order(&net, 1)).unwrap_err();
    assert!(
        matches!(&error, ChainError::NoSender(text) if text.contains("may cost")),
        "{error:?}"
    );
    assert!(net.received_messages().is_empty());
}

#[test]
fn a_token_without_sign_is_enough_with_a_key_of_our_own() {
    for kind in [NodeKind::Lotus, NodeKind::Forest, NodeKind::Venus] {
        let net = net(kind);
        let token = net.token(&["read", "write"]);
        let endpoint = format!("{token}:http://{}", net.node_addr());
        let order = order(&net, 1);
        let without = at(&net, &endpoint, false);
        let refused = match without.prepare(&order) {
            Ok(prepared) => without.send(&prepared).map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(
            matches!(refused, Err(ChainError::Forbidden(_))),
            "{kind:?}: {refused:?}"
        );
        let chain = at(&net, &endpoint, true);
        let message = chain.send(&chain.prepare(&order).unwrap()).unwrap();
        net.advance(2);
        assert!(deal_of(&chain, &message, &order).is_some(), "{kind:?}");
        assert_eq!(published(&net), 1);
    }
}

#[test]
fn an_order_costs_few_calls_however_many_deals_are_in_it() {
    for (kind, own_key, most) in [
        (NodeKind::Lotus, false, 8),
        (NodeKind::Forest, false, 10),
        (NodeKind::Gateway, true, 8),
    ] {
        let net = net(kind);
        let chain = fresh(&net, own_key);
        // What kind of node it is is asked once.
        chain
            .send(&chain.prepare(&order(&net, 1)).unwrap())
            .unwrap();
        net.advance(2);
        let before: u64 = net.calls().values().sum();
        let mut full = order(&net, 2);
        let client = &net.people().client.key;
        let more = (3..10).map(|number| net.deal(client, number));
        full.call = Call::Publish(full.deals().iter().cloned().chain(more).collect());
        chain.send(&chain.prepare(&full).unwrap()).unwrap();
        let calls: u64 = net.calls().values().sum::<u64>() - before;
        assert!(calls <= most, "{kind:?}: {calls}");
    }
}
