//! The chain against canned answers: what is asked, and what is made of every documented form of answer.
//!
//! The bodies are those of the node's interface (chain-sealer-rpc B and C); the server is a table from method to reply.

mod funds;
mod look;
mod outcome;
mod reads;
mod writes;

use super::*;
use crate::filecoin::{
    Address, ClientDealProposal, DealProposal, Label, SecretKey, TokenAmount, cids,
};
use crate::rpc::Limits;
use crate::rpc::tests::server::{Reply, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A node that answers by method and parameters.
fn node(answer: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |seen| answer(&seen.method(), &seen.params()))
}

/// A chain on this node, with short waits.
fn lotus(server: &Server) -> Lotus {
    lotus_with(server, None, BTreeMap::new())
}

fn lotus_with(
    server: &Server,
    keys: Option<Box<dyn LocalKeys>>,
    publish_wallets: BTreeMap<Address, Address>,
) -> Lotus {
    let limits = Limits {
        answer: Duration::from_secs(5),
        long_answer: Duration::from_secs(5),
        ..Limits::default()
    };
    Lotus::with_limits(&server.url(), keys, publish_wallets, limits).unwrap()
}

fn id(actor: u64) -> Address {
    Address::id(actor)
}

fn atto(n: u64) -> TokenAmount {
    TokenAmount::from_atto(n)
}

/// A secp256k1 key made of one number.
fn key(n: u8) -> SecretKey {
    SecretKey::secp256k1(&[n; 32]).unwrap()
}

fn unknown(method: &str) -> Reply {
    panic!("nobody said what {method} answers")
}

/// ChainHead's answer at a height.
fn head(epoch: i64) -> Value {
    json!({
        "Cids": [{"/": "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2"}],
        "Blocks": [{"Miner": "f01938223", "Height": epoch, "Timestamp": 1_781_920_050_u64, "ParentBaseFee": "20", "Proof": {"x": []}}],
        "Height": epoch,
    })
}

/// A tipset key as it must come back.
fn head_key() -> Value {
    head(0)["Cids"].clone()
}

/// A proposal of the client with this key.
fn proposal(client: &Address, provider: &Address, nonce: u8) -> DealProposal {
    DealProposal {
        piece_cid: cids::piece_cid(&[nonce; 32]),
        piece_size: 2048,
        verified: false,
        client: client.clone(),
        provider: provider.clone(),
        label: Label::Text("label".to_owned()),
        start_epoch: 5_200_000,
        end_epoch: 6_718_400,
        price_per_epoch: atto(7),
        provider_collateral: atto(8),
        client_collateral: atto(0),
    }
}

fn signed(proposal: DealProposal, key: &SecretKey) -> ClientDealProposal {
    let signature = key.sign(&proposal.encode());
    ClientDealProposal {
        proposal,
        signature,
    }
}
