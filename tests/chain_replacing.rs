//! Replacing a publish message that waits, against a whole (stand-in) chain, in every mode: one nonce, a higher fee within
//! the limit, and whichever the chain executes is found (edge case 84).

#[path = "support/devnet.rs"]
mod support;

use cid::Cid;
use coracle::chain::{Call, Chain, ChainError, LocalKeys, Lotus, Order, Outcome, Prepared};
use coracle::devnet::{FIL, NodeKind, Wallet};
use coracle::filecoin::{Address, SecretKey, Signature, TokenAmount};
use std::collections::{BTreeMap, BTreeSet};
use support::{Net, limits};
use uuid::Uuid;

/// All kinds of nodes, and whether our own keystore has the worker's key.
const MODES: [(NodeKind, bool); 6] = [
    (NodeKind::Lotus, false),
    (NodeKind::Forest, false),
    (NodeKind::Venus, false),
    (NodeKind::Gateway, true),
    (NodeKind::Lotus, true),
    (NodeKind::Forest, true),
];

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

fn worker(net: &Net) -> &Wallet {
    &net.people().miners[0][1]
}

/// A client without any memory: as after a restart.
fn fresh(net: &Net, own_key: bool) -> Lotus {
    let keys = own_key.then(|| Box::new(Keys(vec![worker(net).key.clone()])) as Box<dyn LocalKeys>);
    Lotus::with_limits(&net.fullnode_api_info(), keys, BTreeMap::new(), limits()).unwrap()
}

fn order(net: &Net) -> Order {
    Order {
        id: Uuid::from_u128(1),
        miner: Address::id(1000),
        call: Call::Publish(vec![net.deal(&net.people().client.key, 1)]),
        fee_max: TokenAmount::from_atto(FIL / 20),
    }
}

/// A message that waits because the miners want more.
fn waiting(kind: NodeKind, own_key: bool) -> (Net, Order, Prepared, Cid) {
    let net = Net::start(|config| {
        config.kind = kind;
        config.auth = true;
    });
    let order = order(&net);
    let chain = fresh(&net, own_key);
    let prepared = chain.prepare(&order).unwrap();
    let message = chain.send(&prepared).unwrap();
    let offered = net.received_messages()[0].message.gas_premium.clone();
    net.set_least_premium(&(&offered + &TokenAmount::from_atto(1_u64)));
    net.advance(25);
    assert_eq!(
        outcome(&chain, &message, &order),
        Outcome::Pending,
        "{kind:?}"
    );
    (net, order, prepared, message)
}

fn outcome(chain: &Lotus, message: &Cid, order: &Order) -> Outcome {
    let proposals = [order.deals()[0].proposal.clone()];
    chain.outcome(message, &proposals).unwrap()
}

/// What a crash leaves.
fn stored(prepared: &Prepared) -> Prepared {
    Prepared::decode(&prepared.encode()).unwrap()
}

/// The executed message, with its deal.
#[track_caller]
fn executed(chain: &Lotus, message: &Cid, order: &Order) -> Cid {
    match outcome(chain, message, order) {
        Outcome::Executed {
            message,
            exit_code: 0,
            deals,
            ..
        } if deals[0].is_some() => message,
        other => panic!("{other:?}"),
    }
}

/// Nonces of all publish messages that are on chain or wait.
fn nonces(net: &Net) -> BTreeSet<u64> {
    let messages = net.received_messages();
    let published = messages.iter().filter(|signed| signed.message.method == 4);
    published.map(|signed| signed.message.nonce).collect()
}

#[test]
fn a_replacement_is_executed_in_the_place_of_the_first() {
    for (kind, own_key) in MODES {
        let (net, order, prepared, first) = waiting(kind, own_key);
        let chain = fresh(&net, own_key);
        let replaced = chain.replace(&prepared, &first, &order.fee_max);
        let replaced = replaced.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        assert_eq!(replaced.earlier(), [first], "{kind:?}");
        let message = replaced.message();
        let total = message.gas_fee_cap.times(message.gas_limit);
        assert!(total <= order.fee_max, "{kind:?}: {total}");
        // After a crash, and again.
        let second = fresh(&net, own_key).send(&stored(&replaced)).unwrap();
        assert_ne!(second, first);
        assert_eq!(fresh(&net, own_key).send(&stored(&replaced)), Ok(second));
        net.advance(3);
        assert_eq!(executed(&chain, &second, &order), second, "{kind:?}");
        // Forest names what it was asked for (spec H).
        let named = if kind == NodeKind::Forest {
            first
        } else {
            second
        };
        assert_eq!(executed(&chain, &first, &order), named, "{kind:?}");
        assert_eq!(fresh(&net, own_key).send(&stored(&replaced)), Ok(second));
        assert_eq!(nonces(&net).len(), 1, "{kind:?}");
        assert_eq!(net.deals().len(), 1, "{kind:?}");
    }
}

#[test]
fn the_first_that_is_executed_after_all_is_found_through_its_replacement() {
    for (kind, own_key) in MODES {
        let (net, order, prepared, first) = waiting(kind, own_key);
        let chain = fresh(&net, own_key);
        let replaced = chain.replace(&prepared, &first, &order.fee_max).unwrap();
        // A crash before it was sent; meanwhile the miners want less.
        net.set_least_premium(&TokenAmount::zero());
        net.advance(3);
        let sent = fresh(&net, own_key).send(&stored(&replaced));
        assert_eq!(sent, Ok(first), "{kind:?}");
        assert_eq!(executed(&chain, &first, &order), first, "{kind:?}");
        assert_eq!((nonces(&net).len(), net.deals().len()), (1, 1), "{kind:?}");
        // There is nothing left to be replaced.
        let late = chain.replace(&prepared, &first, &order.fee_max);
        assert!(
            matches!(late, Err(ChainError::Later(_))),
            "{kind:?}: {late:?}"
        );
    }
}

#[test]
fn a_replacement_never_costs_more_than_the_limit() {
    let (net, order, prepared, first) = waiting(NodeKind::Lotus, false);
    let chain = fresh(&net, false);
    let little = TokenAmount::from_atto(1_000_u64);
    let error = chain.replace(&prepared, &first, &little).unwrap_err();
    assert!(matches!(&error, ChainError::Fee(_)), "{error:?}");
    // Each offers more than the one before, until the limit leaves no room or it was replaced often enough.
    let (mut last, mut sent, mut times) = (prepared, first, 0);
    let end = loop {
        match chain.replace(&last, &sent, &order.fee_max) {
            Ok(next) => {
                assert!(times == 0 || next.message().gas_premium > last.message().gas_premium);
                sent = chain.send(&next).unwrap();
                assert_eq!(next.cid(), Some(sent));
                last = next;
                times += 1;
            }
            Err(error) => break error,
        }
        assert!(times < 50, "for ever");
    };
    assert!(matches!(&end, ChainError::Fee(_)), "{end:?}");
    assert!(times > 2, "{times}: {end}");
    assert_eq!(nonces(&net).len(), 1);
    net.advance(3);
    assert_eq!(executed(&chain, &first, &order), sent);
}
