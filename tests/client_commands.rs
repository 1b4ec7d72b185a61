//! `coracle client …` as a script uses it: the real binary against a real provider, its answers and exit codes.

mod harness;

use coracle::deal::Checkpoint;
use coracle::filecoin::SecretKey;
use coracle::filecoin::keystore::Keystore;
use harness::{Car, CarServer, Client, Net, Running, Scratch, vars};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

/// A provider on a devnet, a client with a home directory of its own, data to store.
struct Scene {
    provider: Running,
    client: Client,
    car: Car,
    url: String,
    net: Net,
    scratch: Scratch,
    _cars: CarServer,
}

impl Scene {
    fn new() -> Self {
        let scratch = Scratch::new("client-commands");
        let net = Net::start(|_| ());
        let cars = CarServer::start();
        let car = Car::generate(&scratch.0, 1, 50_000);
        let url = cars.serve(&car);
        let provider = Running::start(&vars(&net, &scratch.join("provider"), &cars.prefix()));
        let client = Client::new(net.devnet.people().client.key.clone());
        client.wait_for_ask(&provider, &net.miner());
        let keys = Keystore::new(&scratch.join("client"));
        keys.put(&client.key).unwrap();
        Self {
            provider,
            client,
            car,
            url,
            net,
            scratch,
            _cars: cars,
        }
    }

    fn peer(&self) -> String {
        format!("{}/p2p/{}", self.provider.addresses[0], self.provider.peer)
    }

    /// Lets the chain know where the provider is.
    fn announce(&self) {
        let addresses = self
            .provider
            .addresses
            .iter()
            .map(libp2p::Multiaddr::to_vec);
        self.net
            .devnet
            .set_contact(0, self.provider.peer.to_bytes(), addresses.collect());
        self.net.devnet.advance(1);
    }

    /// Runs the binary as the client, with the chain at hand.
    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(
            arguments,
            &[("FULLNODE_API_INFO", &self.net.devnet.fullnode_api_info())],
        )
    }

    fn run_with(&self, arguments: &[&str], vars: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_coracle"))
            .arg("client")
            .args(arguments)
            .env_clear()
            .env("CORACLE_HOME", self.scratch.join("client"))
            .envs(vars.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn texts(&self) -> [String; 4] {
        [
            self.net.miner().to_string(),
            self.car.piece_cid.to_string(),
            self.car.piece_size.to_string(),
            self.car.root.to_string(),
        ]
    }
}

/// A deal command with the flags that every deal has, then these.
fn deal<'a>(command: &'a str, texts: &'a [String; 4], more: &[&'a str]) -> Vec<&'a str> {
    let [miner, piece, size, root] = texts;
    let mut all = vec![
        command,
        "--provider",
        miner,
        "--commp",
        piece,
        "--piece-size",
        size,
        "--payload-cid",
        root,
    ];
    all.extend(more);
    all
}

#[track_caller]
fn good(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_str(&good(output)).unwrap()
}

/// What a failed command says with `--json`, and its exit code.
fn error(output: &Output) -> (Option<i32>, String) {
    let value: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(output.stdout.is_empty());
    (
        output.status.code(),
        value["error"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn an_online_deal_from_proposal_to_sector() {
    let scene = Scene::new();
    scene.announce();
    let texts = scene.texts();
    let size = scene.car.bytes.len().to_string();
    let online = [
        "--http-url",
        &scene.url,
        "--car-size",
        &size,
        "--verified=false",
        "--json",
    ];
    let sent = json(&scene.run(&deal("deal", &texts, &online)));
    for (key, expected) in [
        ("provider", &texts[0]),
        ("commp", &texts[1]),
        ("payloadCid", &texts[3]),
        ("url", &scene.url),
        ("clientWallet", &scene.client.key.address().to_string()),
    ] {
        assert_eq!(sent[key], **expected, "{key}");
    }
    let epoch = |key: &str| sent[key].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(epoch("endEpoch") - epoch("startEpoch"), 518_400);
    let uuid = sent["dealUuid"].as_str().unwrap();
    scene.client.proves(&scene.provider, uuid.parse().unwrap());

    let asked = ["status", "--provider", &texts[0], "--deal-uuid", uuid];
    let status = json(&scene.run(&[&asked[..], &["--json"]].concat()));
    assert_eq!(status["dealUuid"], uuid);
    assert_eq!(status["status"], "IndexedAndAnnounced");
    assert_eq!(status["statusMessage"], "Sealing: Proving");
    assert_eq!(status["label"], texts[3]);
    assert!(status["chainDealId"].as_u64().unwrap() > 0);
    assert!(
        status["publishCid"]
            .as_str()
            .unwrap()
            .starts_with("bafy2bza")
    );
    let mut alias = asked;
    alias[0] = "deal-status";
    let text = good(&scene.run(&alias));
    assert!(
        text.starts_with(&format!("got deal status response\n  deal uuid: {uuid}\n")),
        "{text}"
    );
    assert!(text.contains("  deal status: Sealing: Proving\n"), "{text}");
}

#[test]
fn an_offline_deal_waits_for_its_data_and_needs_no_chain_when_all_is_said() {
    let scene = Scene::new();
    let texts = scene.texts();
    let peer = scene.peer();
    let start = (scene.net.devnet.epoch() + 5_760).to_string();
    let minimum = harness::minimum_collateral(&scene.net, scene.car.piece_size);
    let collateral = coracle::client::deal::default_collateral(&minimum).to_string();
    let said = [
        "--peer",
        &peer,
        "--start-epoch",
        &start,
        "--provider-collateral",
        &collateral,
        "--verified",
        "false",
    ];
    let text = good(&scene.run_with(&deal("offline-deal", &texts, &said), &[]));
    assert!(
        text.starts_with("sent deal proposal for offline deal\n  deal uuid: "),
        "{text}"
    );
    let uuid = text.lines().nth(1).unwrap().rsplit(' ').next().unwrap();
    scene
        .client
        .reaches(&scene.provider, uuid.parse().unwrap(), Checkpoint::Accepted);
    let status = [
        "status",
        "--provider",
        &texts[0],
        "--deal-uuid",
        uuid,
        "--peer",
        &peer,
    ];
    let text = good(&scene.run_with(&status, &[]));
    assert!(
        text.contains("  deal status: Awaiting Offline Data Import\n"),
        "{text}"
    );
}

#[test]
fn a_refusal_is_exit_code_3_with_the_provider_s_words() {
    let scene = Scene::new();
    let texts = scene.texts();
    let peer = scene.peer();
    let cheap = [
        "--peer",
        &peer,
        "--storage-price",
        "0",
        "--verified=false",
        "--json",
    ];
    let (code, text) = error(&scene.run(&deal("offline-deal", &texts, &cheap)));
    assert_eq!(code, Some(3));
    assert!(text.starts_with("deal proposal rejected: "), "{text}");
    let unknown = "00000000-0000-4000-8000-000000000001";
    let status = [
        "status",
        "--provider",
        &texts[0],
        "--deal-uuid",
        unknown,
        "--peer",
        &peer,
        "--json",
    ];
    let (code, text) = error(&scene.run(&status));
    assert_eq!(code, Some(3));
    assert!(text.contains(unknown), "{text}");
    // Somebody else's key: the provider must not tell.
    let other = SecretKey::secp256k1(&[99; 32]).unwrap();
    let home = Scratch::new("client-other");
    Keystore::new(&home.0).put(&other).unwrap();
    let offline = ["--peer", &peer, "--verified=false", "--json"];
    let sent = json(&scene.run(&deal("offline-deal", &texts, &offline)));
    let uuid = sent["dealUuid"].as_str().unwrap();
    let status = [
        "status",
        "--provider",
        &texts[0],
        "--deal-uuid",
        uuid,
        "--peer",
        &peer,
        "--json",
    ];
    let home = home.0.to_string_lossy().into_owned();
    let (code, text) = error(&scene.run_with(&status, &[("CORACLE_HOME", &home)]));
    assert_eq!(code, Some(3));
    assert!(text.contains("signature"), "{text}");
}

#[test]
fn terms_and_transports_are_shown() {
    let scene = Scene::new();
    scene.announce();
    let [miner, ..] = scene.texts();
    let ask = json(&scene.run(&[
        "ask",
        &miner,
        "--size",
        "1000000",
        "--duration",
        "518400",
        "--json",
    ]));
    assert_eq!(ask["provider"], miner);
    let number = |key: &str| ask[key].as_str().unwrap().parse::<u128>().unwrap();
    assert_eq!(
        number("pricePerEpoch"),
        number("price") * (1 << 20) / (1 << 30)
    );
    assert_eq!(number("totalPrice"), number("pricePerEpoch") * 518_400);
    let text = good(&scene.run(&["ask", &miner]));
    assert!(text.starts_with(&format!("Ask of {miner}\n")), "{text}");
    let transports = json(&scene.run(&["transports", &miner, "--json"]));
    let names: Vec<&str> = transports["protocols"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"libp2p"), "{transports}");
    assert!(good(&scene.run(&["transports", &miner])).starts_with("libp2p\n  /ip4/127.0.0.1/tcp/"));
}

#[test]
fn what_cannot_be_reached_is_exit_code_1_and_a_mistake_2() {
    let scene = Scene::new();
    let texts = scene.texts();
    // No contact on chain.
    let (code, text) = error(&scene.run(&["ask", &texts[0], "--json"]));
    assert_eq!(code, Some(1));
    assert_eq!(
        text,
        format!("storage provider {} has no peer ID set on-chain", texts[0])
    );
    // Nobody listens there.
    let dead = format!("/ip4/127.0.0.1/tcp/9/p2p/{}", scene.provider.peer);
    let (code, text) = error(&scene.run(&["ask", &texts[0], "--peer", &dead, "--json"]));
    assert_eq!(code, Some(1), "{text}");
    // A node that is away.
    let away = [("FULLNODE_API_INFO", "http://127.0.0.1:9")];
    let (code, text) = error(&scene.run_with(&["ask", &texts[0], "--json"], &away));
    assert_eq!(code, Some(1));
    assert!(text.contains("127.0.0.1:9"), "{text}");
    let (code, text) = error(&scene.run_with(&["ask", &texts[0], "--json"], &[]));
    assert_eq!(code, Some(2));
    assert!(
        text.contains("FULLNODE_API_INFO") && text.contains("--peer"),
        "{text}"
    );
    let (code, _) = error(&scene.run_with(
        &["ask", &texts[0], "--json"],
        &[("FULLNODE_API_INFO", "node:1234")],
    ));
    assert_eq!(code, Some(2));
    for arguments in [
        vec!["frobnicate", "--json"],
        vec!["--json"],
        vec!["ask", "x", "--json"],
    ] {
        assert_eq!(error(&scene.run(&arguments)).0, Some(2), "{arguments:?}");
    }
    let stranger = SecretKey::secp256k1(&[98; 32])
        .unwrap()
        .address()
        .to_string();
    let peer = scene.peer();
    let wallet = ["--peer", &peer, "--wallet", &stranger, "--json"];
    let (code, text) = error(&scene.run(&deal("offline-deal", &texts, &wallet)));
    assert_eq!(code, Some(2));
    assert!(text.contains(&stranger), "{text}");
}
