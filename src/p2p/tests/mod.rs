//! Nodes on loopback that talk to each other, and peers that do not behave.

mod hostile;
mod limits;
mod nodes;
mod talk;

use super::{Inbound, Node, NodeConfig};
use crate::wire::{
    AskResponse, DealParams, DealResponse, DealStatusResponse, Transfer, Transport, Transports,
};
use libp2p::{Multiaddr, identity::Keypair};
use smol::channel::Receiver;
use std::time::Duration;
use uuid::Uuid;

/// A node whose driver has a thread of its own.
fn start(config: NodeConfig) -> (Node, Receiver<Inbound>) {
    let (node, driver, inbound) = Node::new(config).unwrap();
    std::thread::spawn(move || smol::block_on(driver));
    (node, inbound)
}

fn config(serve: bool) -> NodeConfig {
    NodeConfig {
        key: Keypair::generate_ed25519(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        external: Vec::new(),
        agent: "coracle/test".into(),
        serve,
    }
}

/// A node that asks but does not answer or listen.
fn client() -> Node {
    let mut config = config(false);
    config.listen.clear();
    start(config).0
}

/// A provider with fixed answers, and its addresses.
fn provider() -> (Node, Vec<Multiaddr>) {
    provider_of(config(true))
}

fn provider_of(config: NodeConfig) -> (Node, Vec<Multiaddr>) {
    let (node, inbound) = start(config);
    std::thread::spawn(move || {
        while let Ok(asked) = inbound.recv_blocking() {
            answer(asked);
        }
    });
    let addresses = smol::block_on(node.listen_addrs());
    (node, addresses)
}

fn answer(asked: Inbound) {
    match asked {
        Inbound::Proposal {
            peer,
            params,
            reply,
        } => {
            let _ = reply.send(DealResponse {
                accepted: params.offline,
                message: peer.to_string(),
            });
        }
        Inbound::Status { req, reply } => {
            let _ = reply.send(DealStatusResponse {
                error: "unknown".into(),
                uuid: req.uuid,
                ..DealStatusResponse::default()
            });
        }
        Inbound::Ask { reply, .. } => {
            let _ = reply.send(AskResponse { ask: None });
        }
        Inbound::Transports { reply } => {
            let _ = reply.send(Transports(vec![Transport {
                name: "libp2p".into(),
                addresses: vec![vec![1, 2, 3]],
            }]));
        }
    }
}

/// A proposal that says nothing much; `offline` makes the fixed answer an accepting one.
fn params(offline: bool) -> DealParams {
    DealParams {
        uuid: Uuid::from_u128(7),
        transfer: Transfer::default(),
        offline,
        data_root: None,
        skip_announce: false,
        proposal: None,
        remove_unsealed: false,
    }
}

/// The result of a future that must come within this many seconds.
fn soon<T>(seconds: u64, work: impl Future<Output = T>) -> T {
    smol::block_on(super::protocol::within(Duration::from_secs(seconds), work))
        .expect("it took too long")
}
