//! Two miners in one provider: each with its own ask, wallet, sealer and limits, against the real binary.

mod harness;

use coracle::client::deal::Wanted;
use coracle::deal::Checkpoint;
use coracle::filecoin::TokenAmount;
use coracle::filecoin::message::SignedMessage;
use harness::{Car, CarServer, Client, Net, Running, Scratch, Vars, vars};
use serde_json::json;
use std::time::Duration;

struct World {
    net: Net,
    scratch: Scratch,
    server: CarServer,
    client: Client,
}

impl World {
    fn new(name: &str) -> Self {
        let net = Net::two_miners();
        let client = Client::new(net.devnet.people().client.key.clone());
        Self {
            net,
            scratch: Scratch::new(name),
            server: CarServer::start(),
            client,
        }
    }

    fn vars(&self, own: &[(&str, String)]) -> Vars {
        let mut vars = vars(&self.net, &self.scratch.join("home"), &self.server.prefix());
        let own = own.iter().cloned();
        vars.extend(own.map(|(name, value)| (name.to_owned(), value)));
        vars
    }

    fn start(&self, vars: &Vars) -> Running {
        let provider = Running::start(vars);
        for miner in &self.net.miners {
            self.client.wait_for_ask(&provider, miner);
        }
        provider
    }

    fn car(&self, seed: u64) -> Car {
        Car::generate(&self.scratch.0, seed, 50_000)
    }

    /// An online deal with the miner of this place.
    fn online(&self, miner: usize, seed: u64) -> Wanted {
        let car = self.car(seed);
        let url = self.server.serve(&car);
        Client::wanted(&self.net, &self.net.miners[miner], &car, Some(url))
    }

    fn refusal(&self, provider: &Running, wanted: &Wanted) -> String {
        let (_, response) = self.client.propose(provider, wanted);
        assert!(!response.accepted);
        response.message
    }

    fn price(&self, provider: &Running, miner: usize) -> TokenAmount {
        let node = &self.client.node;
        let miner = self.net.miners[miner].clone();
        let answer = smol::block_on(node.ask(provider.peer, &provider.addresses, miner));
        answer.unwrap().ask.unwrap().ask.unwrap().price
    }
}

fn set(provider: &Running, vars: &Vars, arguments: &[&str]) -> std::process::Output {
    provider.command(vars, &[&["ask", "set"], arguments].concat())
}

#[test]
fn each_asks_its_own_price() {
    let world = World::new("miners-asks");
    let vars = world.vars(&[("CORACLE_ASK_PRICE_F01001", "60000000 attoFIL".to_owned())]);
    let provider = world.start(&vars);
    let text = "failed validation: storage price per epoch less than asking price: ";
    // Clients offer 50,000,000.
    let (first, second) = (world.online(0, 1), world.online(1, 2));
    world.client.accepted(&provider, &first);
    let refusal = world.refusal(&provider, &second);
    assert!(refusal.starts_with(text), "{refusal}");

    // With several miners the one that is meant has to be named.
    let unnamed = set(&provider, &vars, &["--price", "1"]);
    assert_eq!(unnamed.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&unnamed.stderr);
    assert!(errors.contains("f01000, f01001"), "{errors}");
    assert!(
        set(&provider, &vars, &["f01001", "--price", "50000000"])
            .status
            .success()
    );
    assert!(
        set(&provider, &vars, &["f01000", "--price", "50100000"])
            .status
            .success()
    );
    world.client.accepted(&provider, &second);
    let refusal = world.refusal(&provider, &world.online(0, 3));
    assert!(refusal.starts_with(text), "{refusal}");
    provider.kill();

    let provider = world.start(&vars);
    let prices = [0, 1].map(|miner| world.price(&provider, miner).to_string());
    assert_eq!(prices, ["50100000", "50000000"]);
    let shown = provider.command(&vars, &["ask", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let each = |field: &str| json!([shown["asks"][0][field], shown["asks"][1][field]]);
    assert_eq!(each("miner"), json!(["f01000", "f01001"]));
    assert_eq!(each("seq_no"), json!([1, 1]));
}

#[test]
fn each_publishes_from_its_wallet_at_its_time_and_adds_to_its_sealer() {
    let world = World::new("miners-publish");
    let people = world.net.devnet.people();
    let [_, worker, _] = &people.miners[0];
    let [_, _, control] = &people.miners[1];
    let vars = world.vars(&[
        ("CORACLE_PUBLISH_WALLET_F01001", control.address.to_string()),
        ("CORACLE_PUBLISH_PERIOD_F01000", "1h".to_owned()),
    ]);
    let provider = world.start(&vars);
    let (_, info) = provider.admin("GET", "/v1/info", None);
    let wallets: Vec<_> = info["miners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|miner| miner["publish_wallet"].clone())
        .collect();
    assert_eq!(
        wallets,
        [
            json!(worker.address.to_string()),
            json!(control.address.to_string())
        ]
    );

    let first = world.client.accepted(&provider, &world.online(0, 1));
    let second = world.client.accepted(&provider, &world.online(1, 2));
    // The second miner's goes out at once, the first one's waits for company.
    let second_status = world.client.proves(&provider, second).status.unwrap();
    world
        .client
        .reaches(&provider, first, Checkpoint::Transferred);
    assert_eq!(provider.deal(first)["checkpoint"], "Transferred");
    assert_eq!(world.net.publish_messages(), 1);
    provider.queues(first);
    let published = provider.command(&vars, &["publish", "--now"]);
    assert_eq!(
        String::from_utf8_lossy(&published.stdout),
        "publishing 1 deal\n"
    );
    let first_status = world.client.proves(&provider, first).status.unwrap();

    let messages = world.net.devnet.received_messages();
    for (own, wallet, status) in [(0, worker, first_status), (1, control, second_status)] {
        let sent = |signed: &&SignedMessage| Some(signed.cid()) == status.publish_cid;
        let message = messages.iter().find(sent).expect("it is on chain");
        assert_eq!(message.message.from, wallet.address);
        assert_eq!(status.proposal.provider, world.net.miners[own]);
        assert_eq!(world.net.pieces_of(own, status.chain_deal_id), 1);
        assert_eq!(world.net.pieces_of(1 - own, status.chain_deal_id), 0);
    }
}

#[test]
fn each_has_its_limits() {
    let world = World::new("miners-limits");
    let vars = world.vars(&[
        ("CORACLE_CONSIDER_OFFLINE_F01001", "false".to_owned()),
        ("CORACLE_EXPECTED_SEAL_DURATION_F01001", "10d".to_owned()),
        ("CORACLE_PIECE_SIZE_MIN_F01000", "1MiB".to_owned()),
    ]);
    let provider = world.start(&vars);
    let miners = world.net.miners.clone();
    let offline = |miner: usize, seed: u64| {
        // A piece that both take.
        let car = Car::generate(&world.scratch.0, seed, 600_000);
        Client::wanted(&world.net, &miners[miner], &car, None)
    };
    world.client.accepted(&provider, &offline(0, 1));
    let mut late = offline(1, 2);
    late.start_epoch += 30_000;
    assert_eq!(
        world.refusal(&provider, &late),
        "miner is not accepting offline storage deals"
    );
    // What is smaller than the first one takes is not too small for the second, which wants more time.
    let refusal = world.refusal(&provider, &world.online(0, 3));
    assert!(
        refusal.ends_with("piece size less than minimum required size: 65536 < 1048576"),
        "{refusal}"
    );
    let soon = world.online(1, 4);
    let refusal = world.refusal(&provider, &soon);
    assert!(refusal.contains("cannot seal a sector before"), "{refusal}");
    let late = Wanted {
        start_epoch: soon.start_epoch + 30_000,
        ..world.online(1, 5)
    };
    let late = world.client.accepted(&provider, &late);
    let within = Duration::from_secs(60);
    world
        .client
        .reaches_within(&provider, late, Checkpoint::PublishConfirmed, within);
}

#[test]
fn funds_of_one_do_not_weigh_on_the_other() {
    let world = World::new("miners-funds");
    // No wallet holds that much.
    let vars = world.vars(&[(
        "CORACLE_PUBLISH_FEE_MAX_F01001",
        "1000000000 FIL".to_owned(),
    )]);
    let provider = world.start(&vars);
    assert_eq!(
        world.refusal(&provider, &world.online(1, 1)),
        "server error: provider has insufficient funds to accept deal"
    );
    let uuid = world.client.accepted(&provider, &world.online(0, 2));
    world
        .client
        .reaches(&provider, uuid, Checkpoint::PublishConfirmed);
}
