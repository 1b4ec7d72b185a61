//! The library under a foreign executor: async-std runs a whole provider, and a bare node.

mod harness;

use async_std::future::timeout;
use async_std::task::{self, JoinHandle};
use coracle::client::deal;
use coracle::config::Config;
use coracle::filecoin::SecretKey;
use coracle::market::DealEvent;
use coracle::p2p::{Inbound, Node, NodeConfig};
use coracle::provider::Provider;
use coracle::wire::{AskResponse, DealParams, DealResponse, DealStatus, Transfer, Transports};
use harness::{Car, CarServer, Net, PATIENCE, Scratch};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

fn config(serve: bool) -> NodeConfig {
    NodeConfig {
        key: Keypair::generate_ed25519(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        external: Vec::new(),
        agent: "coracle/embedded".into(),
        serve,
    }
}

/// A provider whose tasks run on async-std's threads.
struct Embedded {
    provider: Provider,
    over: smol::channel::Sender<()>,
    driven: Vec<JoinHandle<()>>,
}

impl Embedded {
    async fn start(config: &Config) -> Self {
        let executor = Arc::new(smol::Executor::<'static>::new());
        let (over, stopped) = smol::channel::bounded::<()>(1);
        // More than one, so that tasks wander between the host's threads.
        let driven = (0..3)
            .map(|_| {
                let (executor, stopped) = (Arc::clone(&executor), stopped.clone());
                task::spawn(async move {
                    let _ = executor.run(stopped.recv()).await;
                })
            })
            .collect();
        let provider = Provider::start(&executor, config).await.unwrap();
        Self {
            provider,
            over,
            driven,
        }
    }

    /// Ends with nothing left on the host's threads, and none of the provider's own at work.
    async fn stop(self) {
        let ends = async {
            let closed = self.provider.closed();
            self.provider.stop().await;
            drop(self.over);
            for driven in self.driven {
                driven.await;
            }
            closed.await;
        };
        timeout(PATIENCE, ends).await.expect("the provider ends");
    }

    async fn door(&self) -> (PeerId, Vec<Multiaddr>) {
        (self.provider.peer_id(), self.provider.listen_addrs().await)
    }
}

/// A client on async-std as well.
struct Customer {
    node: Node,
    driver: JoinHandle<()>,
    key: SecretKey,
}

impl Customer {
    fn new(key: SecretKey) -> Self {
        let (node, driver, _) = Node::new(config(false)).unwrap();
        Self {
            node,
            driver: task::spawn(driver),
            key,
        }
    }

    /// The deal's status once it is as wanted.
    async fn sees(
        &self,
        (peer, addresses): &(PeerId, Vec<Multiaddr>),
        uuid: Uuid,
        wanted: impl Fn(&DealStatus) -> bool,
    ) -> DealStatus {
        let begun = Instant::now();
        loop {
            let request = deal::status_request(uuid, &self.key);
            let answer = self.node.status(*peer, addresses, &request).await.unwrap();
            let status = answer.status.expect(&answer.error);
            assert_eq!(status.error, "");
            if wanted(&status) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "stuck at {}", status.status);
            task::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn waits_for_ask(&self, (peer, addresses): &(PeerId, Vec<Multiaddr>), net: &Net) {
        let begun = Instant::now();
        loop {
            let answer = self.node.ask(*peer, addresses, net.miner()).await.unwrap();
            if answer.ask.is_some() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no ask");
            task::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn leave(self) {
        self.node.close().await;
        self.driver.await;
    }
}

/// The whole piece as the public side gives it.
async fn fetched(provider: &Provider, car: &Car) -> Vec<u8> {
    let url = format!("http://{}/piece/{}", provider.http_addr(), car.piece_cid);
    task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let mut response = agent.get(&url).call().unwrap();
        response.body_mut().read_to_vec().unwrap()
    })
    .await
}

#[test]
fn a_provider_lives_in_an_async_std_host() {
    let net = Net::start(|_| {});
    let scratch = Scratch::new("embedded");
    let cars = CarServer::start();
    let car = Car::generate(&scratch.0, 1, (1 << 20) + 4_321);
    let url = cars.serve(&car);
    let vars = harness::vars(&net, &scratch.join("home"), &cars.prefix());
    let vars = vars
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()));
    let settings = Config::from_env(vars).unwrap();
    let wanted = harness::Client::wanted(&net, &net.miner(), &car, Some(url));

    task::block_on(async {
        // The host's own work goes on beside the provider's.
        let beats = Arc::new(AtomicU64::new(0));
        let beating = task::spawn({
            let beats = Arc::clone(&beats);
            async move {
                loop {
                    task::sleep(Duration::from_millis(10)).await;
                    beats.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let host = Embedded::start(&settings).await;
        let door = host.door().await;
        let customer = Customer::new(net.devnet.people().client.key.clone());
        customer.waits_for_ask(&door, &net).await;
        let uuid = Uuid::new_v4();
        let params = deal::propose(&wanted, &customer.key, uuid);
        let mut events = host.provider.market().events().unwrap();
        let watching = task::spawn(async move {
            let mut seen = Vec::new();
            while let Some(event) = events.next().await {
                seen.push(event);
            }
            seen
        });
        let answer = customer.node.propose(door.0, &door.1, &params).await;
        let answer = answer.unwrap();
        assert!(answer.accepted, "{}", answer.message);
        let proving = |status: &DealStatus| status.sealing_status == "Proving";
        let status = customer.sees(&door, uuid, proving).await;
        assert_eq!(status.status, "IndexedAndAnnounced");
        assert_eq!(net.publish_messages(), 1);
        assert_eq!(net.pieces_of(0, status.chain_deal_id), 1);
        assert!(fetched(&host.provider, &car).await == *car.bytes);
        // The host has the handle that the operator's commands go through.
        let (deal, bytes) = host.provider.market().deal(uuid).await.unwrap().unwrap();
        assert_eq!(deal.chain_deal_id, Some(status.chain_deal_id));
        assert_eq!(bytes, car.bytes.len() as u64);
        host.stop().await;
        // The host was told of all of it, and that it is over.
        let seen = timeout(PATIENCE, watching).await.unwrap();
        assert!(matches!(&seen[0], DealEvent::New(deal) if deal.uuid == uuid));
        let proving = |event: &DealEvent| matches!(event, DealEvent::Updated(deal) if deal.sealed);
        assert!(seen.iter().any(proving));

        // In the same process again: everything was let go of, and is found again.
        let host = Embedded::start(&settings).await;
        let again = host.door().await;
        assert_eq!(again.0, door.0, "the identity stays");
        let found = customer.sees(&again, uuid, |_| true).await;
        assert_eq!(found, status);
        assert!(fetched(&host.provider, &car).await == *car.bytes);
        host.stop().await;
        customer.leave().await;
        beating.cancel().await;
        assert!(beats.load(Ordering::Relaxed) > 10);
    });
}

fn params(size: u64) -> DealParams {
    DealParams {
        uuid: Uuid::from_u128(size.into()),
        transfer: Transfer {
            size,
            ..Transfer::default()
        },
        offline: true,
        data_root: None,
        skip_announce: false,
        proposal: None,
        remove_unsealed: false,
    }
}

fn answer(asked: Inbound) {
    match asked {
        Inbound::Proposal { params, reply, .. } => {
            let _ = reply.send(DealResponse {
                accepted: params.transfer.size.is_multiple_of(2),
                message: params.uuid.to_string(),
            });
        }
        Inbound::Ask { reply, .. } => drop(reply.send(AskResponse { ask: None })),
        Inbound::Transports { reply } => drop(reply.send(Transports::default())),
        Inbound::Status { .. } => {}
    }
}

#[test]
fn a_node_lives_in_an_async_std_host() {
    task::block_on(async {
        let (provider, driver, inbound) = Node::new(config(true)).unwrap();
        let provider_task = task::spawn(driver);
        let desk_task = task::spawn(async move {
            let mut count = 0;
            while let Ok(asked) = inbound.recv().await {
                answer(asked);
                count += 1;
            }
            count
        });
        let (client, driver, _) = Node::new(config(false)).unwrap();
        let client_task = task::spawn(driver);
        let peer = provider.peer_id();
        let addresses = provider.listen_addrs().await;

        let info = client.protocols(peer, &addresses).await.unwrap();
        assert_eq!(info.agent, "coracle/embedded");
        // The asking may be spread over the host's threads as well.
        let asking: Vec<_> = (0..20)
            .map(|size| {
                let (client, addresses) = (client.clone(), addresses.clone());
                task::spawn(async move { client.propose(peer, &addresses, &params(size)).await })
            })
            .collect();
        for (size, asking) in (0u64..).zip(asking) {
            let answer = asking.await.unwrap();
            assert_eq!(answer.accepted, size.is_multiple_of(2));
            assert_eq!(answer.message, params(size).uuid.to_string());
        }
        assert_eq!(client.transports(peer, &addresses).await.unwrap().0, []);

        client.close().await;
        provider.close().await;
        let ends = async {
            client_task.await;
            provider_task.await;
            desk_task.await
        };
        let count = timeout(Duration::from_secs(10), ends).await;
        assert_eq!(count, Ok(21), "all tasks of the host end with the nodes");
    });
}
