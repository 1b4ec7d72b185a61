//! Several nodes in one list, over real HTTP: one bad node costs little, and what was sent stays sent once.

#[path = "support/devnet.rs"]
mod support;

use coracle::chain::{Call, Chain, ChainError, Order, Outcome};
use coracle::devnet::{Effect, FIL, Fault, NodeKind};
use coracle::filecoin::{Address, TokenAmount};
use coracle::rpc::{Phase, RpcError};
use coracle::sealer::SealerError;
use coracle::threads::Pool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::Net;
use uuid::Uuid;

/// The chain's threads, as the provider has them.
const THREADS: usize = 4;

fn endpoints(net: &Net, nodes: usize) -> String {
    let all: Vec<String> = (0..nodes).map(|node| net.node_api_info(node)).collect();
    all.join(",")
}

fn order(net: &Net, id: u8) -> Order {
    Order {
        id: Uuid::from_u128(id.into()),
        miner: Address::id(1000),
        fee_max: TokenAmount::from_atto(FIL / 20),
        call: Call::Publish(vec![net.deal(&net.people().client.key, id)]),
    }
}

#[test]
fn a_node_that_hangs_does_not_starve_the_good_one() {
    // Two devnets: one of them never answers.
    let dead = Net::start(|_| ());
    let alive = Net::start(|_| ());
    dead.set_fault(Fault::times(
        "*",
        1_000,
        Effect::Delay(Duration::from_secs(60)),
    ));
    let list = format!("{},{}", dead.fullnode_api_info(), alive.fullnode_api_info());
    let chain = Arc::new(alive.chain_at(&list));
    let pool = Pool::new("chain-test", THREADS, 64, 512 * 1024).unwrap();
    let begun = Instant::now();
    let questions: Vec<_> = (0..40_u64)
        .map(|number| {
            let chain = Arc::clone(&chain);
            let client = alive.people().client.id.clone();
            pool.run(move || match number % 4 {
                0 => chain.head().map(|_| ()),
                1 => chain.key_address(&client).map(|_| ()),
                2 => chain.provider_facts(&Address::id(1000)).map(|_| ()),
                _ => chain.collateral_bounds(2048, false).map(|_| ()),
            })
        })
        .collect();
    for question in questions {
        assert_eq!(smol::block_on(question), Ok(Ok(())));
    }
    // The first ones waited for the dead node, each thread once; the others did not.
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    assert_eq!(chain.head().unwrap().epoch, alive.epoch());
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_node_that_lags_is_passed_over_and_comes_back() {
    let slow = Net::start(|config| config.genesis_time = Some(1_600_000_000));
    let quick = Net::start(|config| config.genesis_time = Some(1_600_000_000));
    quick.advance(6);
    let list = format!("{},{}", slow.fullnode_api_info(), quick.fullnode_api_info());
    // 6 epochs of 30 s behind: more than 5.
    assert_eq!(slow.chain_at(&list).head().unwrap().epoch, quick.epoch());
    slow.advance(3);
    // 3 epochs behind is no lag, and the first of the list is asked first.
    assert_eq!(slow.chain_at(&list).head().unwrap().epoch, slow.epoch());
}

#[test]
fn a_stale_token_at_one_node_is_passed_over_and_at_all_nodes_told() {
    let net = Net::start(|config| {
        config.auth = true;
        config.more_nodes = vec![NodeKind::Lotus];
    });
    let stale = format!("eyJh.eyJB.c2ln:http://{}", net.node_addr());
    let chain = net.chain_at(&format!("{stale},{}", net.node_api_info(1)));
    assert!(chain.head().is_ok());
    let chain = net.chain_at(&format!("{stale},{stale}"));
    assert_eq!(chain.head(), Err(ChainError::Unauthorized));
    // A missing permission is another matter: the token is good.
    let reader = format!("{}:http://{}", net.token(&["read"]), net.node_addr());
    let prepared = net.chain_at(&reader).prepare(&order(&net, 1));
    assert!(
        matches!(prepared, Err(ChainError::Forbidden(_))),
        "{prepared:?}"
    );
}

#[test]
fn garbage_of_one_node_is_no_answer() {
    let net = Net::start(|config| config.more_nodes = vec![NodeKind::Lotus]);
    net.set_fault(Fault::times("*", 100, Effect::Status(502)).at(0));
    let chain = net.chain_at(&endpoints(&net, 2));
    for _ in 0..3 {
        assert_eq!(chain.head().unwrap().epoch, net.epoch());
    }
    net.clear_faults();
}

#[test]
fn what_a_wallet_sends_stays_with_its_node() {
    let net = Net::start(|config| config.more_nodes = vec![NodeKind::Lotus]);
    let order = order(&net, 1);
    let chain = net.chain_at(&endpoints(&net, 2));
    let prepared = chain.prepare(&order).unwrap();
    assert_eq!(prepared.cid(), None);
    // The answer is lost, and the node is away for a while: the other one must not be asked instead.
    net.set_fault(Fault::once("MpoolPushMessage", Effect::Drop { done: true }).at(0));
    assert!(matches!(
        chain.send(&prepared),
        Err(ChainError::Unreachable(_))
    ));
    net.set_fault(Fault::times("*", 50, Effect::Status(502)).at(0));
    assert!(matches!(
        chain.send(&prepared),
        Err(ChainError::Unreachable(_))
    ));
    assert!(chain.head().is_ok(), "reads go on with the other one");
    assert_eq!(net.received_messages().len(), 1);
    net.clear_faults();
    let message = chain.send(&prepared).unwrap();
    assert_eq!(net.received_messages().len(), 1);
    assert_eq!(net.received_messages()[0].cid(), message);
}

#[test]
fn a_signed_message_may_go_to_any_node() {
    let net = Net::start(|config| {
        config.kind = NodeKind::Forest;
        config.more_nodes = vec![NodeKind::Forest, NodeKind::Gateway];
    });
    let order = order(&net, 1);
    let chain = net.chain_at(&endpoints(&net, 3));
    let prepared = chain.prepare(&order).unwrap();
    // The first takes it and says nothing, the second is away.
    net.set_fault(Fault::times("MpoolPush", 2, Effect::Drop { done: true }).at(0));
    net.set_fault(Fault::times("MpoolPush", 9, Effect::Status(503)).at(1));
    let message = chain.send(&prepared).unwrap();
    assert_eq!(Some(message), prepared.cid());
    net.advance(2);
    assert_eq!(net.received_messages().len(), 1);
    let outcome = chain.outcome(&message, &[order.deals()[0].proposal.clone()]);
    assert!(
        matches!(outcome, Ok(Outcome::Executed { exit_code: 0, .. })),
        "{outcome:?}"
    );
}

#[test]
fn the_wallet_is_found_at_the_node_that_has_one() {
    let net = Net::start(|config| {
        config.kind = NodeKind::Gateway;
        config.more_nodes = vec![NodeKind::Venus];
    });
    let chain = net.chain_at(&endpoints(&net, 2));
    let worker = &net.people().miners[0][1];
    assert!(chain.sign(&worker.address, b"ask").unwrap().is_some());
    let order = order(&net, 1);
    let message = chain.send(&chain.prepare(&order).unwrap()).unwrap();
    net.advance(2);
    let outcome = chain.outcome(&message, &[order.deals()[0].proposal.clone()]);
    assert!(
        matches!(outcome, Ok(Outcome::Executed { exit_code: 0, .. })),
        "{outcome:?}"
    );
}

#[test]
fn both_layers_above_tell_an_error_in_the_same_words() {
    let errors = [
        RpcError::Unreachable {
            endpoint: "node:1".to_owned(),
            method: "Version".to_owned(),
            phase: Phase::Connect,
            reason: "no connection".to_owned(),
        },
        RpcError::Refused {
            method: "Version".to_owned(),
            code: 1,
            message: "no".to_owned(),
        },
        RpcError::NoSuchMethod {
            method: "Version".to_owned(),
            code: -32601,
            message: "not found".to_owned(),
        },
        RpcError::TooLarge {
            method: "Version".to_owned(),
            limit: 7,
        },
    ];
    for error in errors {
        let detail = error.detail();
        assert!(detail.contains("Version"), "{detail}");
        let told = [
            error.to_string(),
            ChainError::from(error.clone()).to_string(),
            SealerError::from(error).to_string(),
        ];
        assert!(told.iter().all(|text| text.ends_with(&detail)), "{told:?}");
    }
}
