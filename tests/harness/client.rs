//! A client that proposes deals and follows them.

use super::{Car, Host, Net, PATIENCE, Running, wait, wait_within};
use coracle::client::deal::{self, Download, Wanted};
use coracle::deal::Checkpoint;
use coracle::filecoin::{Address, SecretKey, TokenAmount};
use coracle::p2p::{Node, NodeConfig};
use coracle::wire::{DealParams, DealResponse, DealStatusResponse};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// A client with a libp2p host of its own.
pub struct Client {
    pub node: Node,
    pub key: SecretKey,
    _host: Host,
}

impl Client {
    pub fn new(key: SecretKey) -> Self {
        let host = Host::start();
        let (node, driver, _) = Node::new(NodeConfig {
            key: libp2p::identity::Keypair::generate_ed25519(),
            listen: Vec::new(),
            external: Vec::new(),
            agent: "test".to_owned(),
            serve: false,
        })
        .unwrap();
        host.executor.spawn(driver).detach();
        Self {
            node,
            key,
            _host: host,
        }
    }

    /// Terms that a provider accepts.
    pub fn wanted(net: &Net, miner: &Address, car: &Car, url: Option<String>) -> Wanted {
        Wanted {
            provider: miner.clone(),
            piece_cid: car.piece_cid,
            piece_size: car.piece_size,
            payload_cid: car.root,
            download: url.map(|url| Download {
                url,
                headers: Vec::new(),
                size: car.bytes.len() as u64,
            }),
            start_epoch: net.devnet.epoch() + deal::START_OFFSET,
            duration: deal::DURATION,
            storage_price: TokenAmount::from_atto(50_000_000),
            provider_collateral: deal::default_collateral(&minimum_collateral(net, car.piece_size)),
            verified: false,
            skip_announce: false,
            remove_unsealed: false,
        }
    }

    pub fn propose(&self, provider: &Running, wanted: &Wanted) -> (Uuid, DealResponse) {
        let uuid = Uuid::new_v4();
        let params = deal::propose(wanted, &self.key, uuid);
        (uuid, self.send(provider, &params))
    }

    pub fn send(&self, provider: &Running, params: &DealParams) -> DealResponse {
        smol::block_on(
            self.node
                .propose(provider.peer, &provider.addresses, params),
        )
        .unwrap()
    }

    /// Waits until the provider has seen the chain, proposes, and expects acceptance.
    pub fn accepted(&self, provider: &Running, wanted: &Wanted) -> Uuid {
        self.wait_for_ask(provider, &wanted.provider);
        // The chain has two seconds to tell the facts. A machine that is too busy for that is asked again, as clients do.
        let late = "failed validation: server error: getting ";
        let (uuid, response) = wait("an answer in time", || {
            let answered = self.propose(provider, wanted);
            (!answered.1.message.starts_with(late)).then_some(answered)
        });
        assert!(response.accepted, "refused: {}", response.message);
        uuid
    }

    pub fn wait_for_ask(&self, provider: &Running, miner: &Address) {
        wait("an ask", || {
            let answer = smol::block_on(self.node.ask(
                provider.peer,
                &provider.addresses,
                miner.clone(),
            ));
            answer.unwrap().ask
        });
    }

    pub fn status(&self, provider: &Running, uuid: Uuid) -> DealStatusResponse {
        let request = deal::status_request(uuid, &self.key);
        smol::block_on(
            self.node
                .status(provider.peer, &provider.addresses, &request),
        )
        .unwrap()
    }

    /// Waits for a checkpoint, or for a later one; fails when the deal fails.
    pub fn reaches(
        &self,
        provider: &Running,
        uuid: Uuid,
        wanted: Checkpoint,
    ) -> DealStatusResponse {
        self.reaches_within(provider, uuid, wanted, PATIENCE)
    }

    /// The same with another patience.
    pub fn reaches_within(
        &self,
        provider: &Running,
        uuid: Uuid,
        wanted: Checkpoint,
        patience: Duration,
    ) -> DealStatusResponse {
        wait_within(wanted.name(), patience, || {
            let response = self.status(provider, uuid);
            let status = response
                .status
                .clone()
                .unwrap_or_else(|| panic!("{}", response.error));
            let now = Checkpoint::from_name(&status.status).unwrap();
            assert!(
                now != Checkpoint::Complete || wanted == Checkpoint::Complete,
                "the deal failed: {}",
                status.error
            );
            (now >= wanted).then_some(response)
        })
    }

    /// Waits until the sector proves.
    pub fn proves(&self, provider: &Running, uuid: Uuid) -> DealStatusResponse {
        wait("Proving", || {
            let response = self.status(provider, uuid);
            let status = response
                .status
                .clone()
                .unwrap_or_else(|| panic!("{}", response.error));
            assert_ne!(
                status.status, "Complete",
                "the deal failed: {}",
                status.error
            );
            (status.sealing_status == "Proving").then_some(response)
        })
    }

    /// Waits for a failure; its text.
    pub fn fails(&self, provider: &Running, uuid: Uuid) -> String {
        self.reaches(provider, uuid, Checkpoint::Complete)
            .status
            .unwrap()
            .error
    }
}

/// The smallest collateral that the chain wants.
pub fn minimum_collateral(net: &Net, piece_size: u64) -> TokenAmount {
    use coracle::chain::{Chain, Lotus};
    let chain = Lotus::new(&net.devnet.fullnode_api_info(), None, BTreeMap::new()).unwrap();
    chain.collateral_bounds(piece_size, false).unwrap().min
}
