//! The chain nodes: away, silent, strange, behind, of another network, with too small a token.

use crate::world::{World, entry};
use coracle::devnet::{Effect, Fault, NodeKind};
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Another miner's token: as many parts, another secret.
const FOREIGN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJBbGxvdyI6WyJyZWFkIl19.Zm9yZWlnbi1zaWduYXR1cmU";

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs()
}

/// A chain whose head is this old; negative: from the future.
fn head_of(age: i64) -> World {
    World::with(|config| {
        let height = u64::try_from(config.height).unwrap();
        config.genesis_time = Some(now().checked_add_signed(-age).unwrap() - height * 30);
    })
}

#[test]
fn everything_fine_is_exit_code_0_whatever_kind_of_node_it_is() {
    for (name, kind) in NodeKind::ALL {
        let mut world = World::with(|config| config.kind = kind);
        if kind == NodeKind::Gateway {
            // It has no wallet: the keys are here.
            world.set("FULLNODE_API_INFO", world.net.devnet.node_api_info(0));
            world.keep(&world.worker());
        }
        let answer = world.check();
        answer.expect_fine();
        let node = answer.line("ok", "node 127.0.0.1:", "on localnet-coracle");
        let what = node["what"].as_str().unwrap();
        match kind {
            NodeKind::Gateway => assert!(what.contains("the node has no wallet"), "{what}"),
            NodeKind::Venus => assert!(what.contains("does not say what it is v1.18"), "{what}"),
            _ => assert!(
                what.contains(&format!("{name} ")) && what.contains("read, write, sign"),
                "{what}"
            ),
        }
    }
}

#[test]
fn a_node_that_is_away_is_said_and_the_sealer_is_still_looked_at() {
    let mut world = World::new();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    world.set("FULLNODE_API_INFO", format!("http://{closed}"));
    let answer = world.check();
    answer.expect("bad", "node", "not reachable", "start the node");
    answer.line("bad", "f01000", "no chain node can be asked");
    answer.line("ok", "sealer", "works for f01000");
    answer.line("ok", "f01000 sealer", "pieces go to");
}

#[test]
fn a_silent_node_ends_in_time_and_stops_nobody() {
    let world = World::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut alone = World::new();
    alone.set(
        "FULLNODE_API_INFO",
        format!("http://{}", silent.local_addr().unwrap()),
    );
    let answer = alone.check();
    answer.expect("bad", "node", "waiting for the answer", "start the node");
    answer.line("ok", "sealer", "works for f01000");
    assert!(answer.took < Duration::from_secs(30), "{:?}", answer.took);

    // Beside one that answers it is a warning.
    let mut both = world;
    let good = both.net.devnet.fullnode_api_info();
    both.set(
        "FULLNODE_API_INFO",
        format!("http://{},{good}", silent.local_addr().unwrap()),
    );
    let answer = both.check();
    answer.expect_only(
        "warn",
        "node",
        "another node of the list serves",
        "start the node",
    );
    answer.line("ok", "f01000 escrow", "free");
    assert!(answer.took < Duration::from_secs(30), "{:?}", answer.took);
}

#[test]
fn a_wrong_token_is_told_apart_from_a_small_one() {
    let mut world = World::new();
    let good = world.net.devnet.fullnode_api_info();
    world.set("FULLNODE_API_INFO", entry(&good, FOREIGN));
    world.check().expect(
        "bad",
        "node",
        "does not accept the token (HTTP 401)",
        "lotus auth api-info --perm sign",
    );

    world.set("FULLNODE_API_INFO", world.node_entry(&["sign"]));
    world.check().expect(
        "bad",
        "node",
        "missing permission to invoke 'ChainHead'",
        "lacks `read`",
    );

    // What reading and writing alone cannot do.
    let table: [(&[&str], &str, &str); 3] = [
        (&[], "lacks the permission to ask for it", "--perm sign"),
        (
            &["read"],
            "lacks the permission to ask for it",
            "--perm sign",
        ),
        (
            &["read", "write"],
            "lacks the permission `sign`",
            "coracle wallet import",
        ),
    ];
    for (permissions, what, advice) in table {
        world.set("FULLNODE_API_INFO", world.node_entry(permissions));
        let answer = world.check();
        answer.expect("bad", "f01000 publish wallet", what, advice);
        answer.line("ok", "node", "the token may read");
    }
}

#[test]
fn with_the_key_here_the_node_need_not_sign() {
    let mut world = World::new();
    world.keep(&world.worker());
    world.set("FULLNODE_API_INFO", world.node_entry(&["read", "write"]));
    let answer = world.check();
    answer.expect_fine();
    answer.line("ok", "f01000 publish wallet", "its key is here");
    answer.line("ok", "keystore", "only their owner can read: 1");
    // It must take messages, though.
    world.set("FULLNODE_API_INFO", world.node_entry(&["read"]));
    world.check().expect_only(
        "bad",
        "f01000 publish wallet",
        "lacks the permission `write`",
        "--perm write",
    );
}

#[test]
fn a_gateway_without_a_key_here_cannot_publish() {
    let mut world = World::with(|config| config.kind = NodeKind::Gateway);
    world.set("FULLNODE_API_INFO", world.net.devnet.node_api_info(0));
    let answer = world.check();
    answer.expect(
        "bad",
        "f01000 publish wallet",
        "neither in this box's keystore",
        "coracle wallet import",
    );
    answer.line("warn", "f01000 asks", "cannot be signed");
    // A control address whose key is here would do.
    let control = world.net.devnet.people().miners[0][2].clone();
    world.keep(&control.key);
    let advice = format!("CORACLE_PUBLISH_WALLET={}", control.id);
    world
        .check()
        .expect("bad", "f01000 publish wallet", "cannot sign", &advice);
    world.set("CORACLE_PUBLISH_WALLET", &control.id);
    world
        .check()
        .expect_only("warn", "f01000 asks", "cannot be signed", "worker's key");
}

#[test]
fn a_node_that_lags_is_waited_for() {
    // Slow networks have a few empty epochs.
    head_of(60).check().expect_fine();
    head_of(8 * 30)
        .check()
        .expect_only("warn", "node", "8 epochs behind", "lotus sync wait");
    head_of(3_000).check().expect(
        "bad",
        "node",
        "100 epochs behind",
        "this box's clock is ahead",
    );
    // Another node that keeps up makes it a warning.
    let (mut good, late) = (World::new(), head_of(3_000));
    let late_entry = late.net.devnet.fullnode_api_info();
    let both = format!("{late_entry},{}", good.net.devnet.fullnode_api_info());
    good.set("FULLNODE_API_INFO", both);
    good.check()
        .expect_only("warn", "node", "100 epochs behind", "lotus sync wait");
}

#[test]
fn a_head_from_the_future_is_our_clock() {
    let answer = head_of(-300).check();
    answer.expect_only("warn", "clock", "behind the head of the chain", "NTP");
    World::new().check().line("ok", "clock", "agrees");
}

#[test]
fn nodes_of_different_networks_are_refused() {
    let (mut world, other) = (
        World::new(),
        World::with(|config| config.network = "othernet".to_owned()),
    );
    let entries = [&world, &other].map(|world| world.net.devnet.fullnode_api_info());
    world.set("FULLNODE_API_INFO", entries.join(","));
    world.check().expect_only(
        "bad",
        "network",
        "localnet-coracle, othernet",
        "FULLNODE_API_INFO",
    );
}

#[test]
fn a_known_network_has_known_epochs() {
    const GENESIS: u64 = 1_598_306_400;
    let at = |height: u64| {
        World::with(|config| {
            config.network = "mainnet".to_owned();
            config.genesis_time = Some(now() - height * 30);
            config.height = i64::try_from(height).unwrap();
        })
    };
    let answer = at((now() - GENESIS) / 30 - 1_000).check();
    answer.expect("bad", "network", "says mainnet", "follows another chain");
    // On the main network nobody reaches loopback.
    let height = (now() - GENESIS) / 30;
    let world = World::with(|config| {
        config.network = "mainnet".to_owned();
        config.genesis_time = Some(GENESIS);
        config.height = i64::try_from(height).unwrap();
    });
    world.check().expect_only(
        "warn",
        "f01000 multiaddrs",
        "only this network's neighbours",
        "set-addrs",
    );
}

#[test]
fn an_address_that_is_no_chain_node_is_said() {
    let mut world = World::new();
    world.set("FULLNODE_API_INFO", world.net.devnet.miner_api_info(0));
    world.check().expect("bad", "node", "", "FULLNODE_API_INFO");
    let world = World::new();
    world.net.devnet.set_fault(Fault::times(
        "ChainHead",
        9,
        Effect::Answer(serde_json::json!("nonsense")),
    ));
    world.check().expect(
        "bad",
        "node",
        "unexpected form",
        "is FULLNODE_API_INFO the address of a chain node",
    );
}
