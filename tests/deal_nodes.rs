//! Whole deals of the real binary against every kind of node, and what a crash or a bad node in between does to them.

mod harness;

use coracle::devnet::{Effect, Fault, NodeKind};
use coracle::filecoin::keystore::Keystore;
use harness::{Car, CarServer, Client, Net, Running, Scratch, Vars, vars, wait};
use std::time::Duration;

struct World {
    net: Net,
    scratch: Scratch,
    server: CarServer,
    client: Client,
    car: Car,
}

impl World {
    /// A devnet of this kind; a gateway's provider has the worker's key of its own.
    fn new(name: &str, kind: NodeKind, more: &[NodeKind]) -> Self {
        let net = Net::start(|config| {
            config.kind = kind;
            config.more_nodes = more.to_vec();
            config.auth = true;
        });
        let scratch = Scratch::new(name);
        if kind == NodeKind::Gateway {
            let [_, worker, _] = &net.devnet.people().miners[0];
            let keystore = Keystore::new(&scratch.join("home"));
            assert!(keystore.put(&worker.key).unwrap());
        }
        Self {
            client: Client::new(net.devnet.people().client.key.clone()),
            car: Car::generate(&scratch.0, 1, 300_000),
            server: CarServer::start(),
            net,
            scratch,
        }
    }

    fn vars(&self) -> Vars {
        vars(&self.net, &self.scratch.join("home"), &self.server.prefix())
    }

    fn propose(&self, provider: &Running) -> uuid::Uuid {
        let url = self.server.serve(&self.car);
        let wanted = Client::wanted(&self.net, &self.net.miner(), &self.car, Some(url));
        self.client.accepted(provider, &wanted)
    }

    /// The deal is sealed, and it was published once.
    fn proves_once(&self, provider: &Running, uuid: uuid::Uuid) {
        let response = self.client.proves(provider, uuid);
        let deal_id = response.status.unwrap().chain_deal_id;
        assert_eq!(self.net.publish_messages(), 1);
        assert_eq!(self.net.devnet.deals().len(), 1);
        assert_eq!(self.net.pieces_of(0, deal_id), 1);
    }
}

#[test]
fn a_deal_goes_all_the_way_with_every_kind_of_node() {
    for kind in [NodeKind::Forest, NodeKind::Venus, NodeKind::Gateway] {
        let world = World::new("kinds", kind, &[]);
        let provider = Running::start(&world.vars());
        let uuid = world.propose(&provider);
        world.proves_once(&provider, uuid);
    }
}

#[test]
fn a_provider_that_is_killed_while_it_sends_sends_the_same_again() {
    for (kind, method) in [
        (NodeKind::Lotus, "MpoolPushMessage"),
        (NodeKind::Forest, "MpoolPush"),
        (NodeKind::Gateway, "MpoolPush"),
    ] {
        for done in [true, false] {
            let world = World::new("killed", kind, &[]);
            // Whatever is sent, no answer comes; while it is down the message is executed.
            world
                .net
                .devnet
                .set_fault(Fault::times(method, 10_000, Effect::Drop { done }));
            let provider = Running::start(&world.vars());
            let uuid = world.propose(&provider);
            wait("an attempt to send", || {
                let shown = provider.deal(uuid);
                shown["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(method))
                    .then_some(())
            });
            assert_eq!(provider.deal(uuid)["checkpoint"], "Transferred");
            provider.kill();
            std::thread::sleep(Duration::from_millis(300));
            world.net.devnet.clear_faults();
            let provider = Running::start(&world.vars());
            world.proves_once(&provider, uuid);
        }
    }
}

#[test]
fn a_message_whose_nonce_somebody_took_is_made_anew() {
    let world = World::new("taken", NodeKind::Forest, &[]);
    let devnet = &world.net.devnet;
    devnet.set_fault(Fault::times(
        "MpoolPush",
        10_000,
        Effect::Drop { done: false },
    ));
    let provider = Running::start(&world.vars());
    let uuid = world.propose(&provider);
    wait("an attempt to send", || {
        let shown = provider.deal(uuid);
        let error = shown["error"].as_str()?;
        error.contains("MpoolPush").then_some(())
    });
    let [_, worker, _] = &devnet.people().miners[0];
    devnet.spend_nonce(worker, None).unwrap();
    devnet.clear_faults();
    world.proves_once(&provider, uuid);
    let (_, log) = provider.admin("GET", &format!("/v1/deals/{uuid}/log"), None);
    let log = log.to_string();
    assert!(log.contains("was used by another message"), "{log}");
}

#[test]
fn a_dead_node_in_the_list_does_not_hold_deals_up() {
    let world = World::new("list", NodeKind::Lotus, &[NodeKind::Lotus]);
    let devnet = &world.net.devnet;
    let url = world.server.serve(&world.car);
    let wanted = Client::wanted(&world.net, &world.net.miner(), &world.car, Some(url));
    let hang = Effect::Delay(Duration::from_secs(120));
    devnet.set_fault(Fault::times("*", 10_000, hang).at(0));
    let mut vars = world.vars();
    let list = [devnet.node_api_info(0), devnet.node_api_info(1)];
    vars.insert("FULLNODE_API_INFO".to_owned(), list.join(","));
    let provider = Running::start(&vars);
    let uuid = world.client.accepted(&provider, &wanted);
    world.proves_once(&provider, uuid);
    assert!(provider.log().contains("passed over"), "{}", provider.log());
}
