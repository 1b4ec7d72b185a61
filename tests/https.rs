//! Chain node and sealer over HTTPS: a whole deal of the real binary with servers of a private authority, and what is said
//! where a certificate is not to be trusted.

mod harness;
#[path = "support/tls.rs"]
mod tls;

use coracle::rpc::{
    Authorities, Client as Rpc, Endpoint, Limits, Patience, Phase, RpcError, Version,
};
use harness::{Car, CarServer, Client, Net, Running, Scratch, Vars, vars};
use serde_json::json;
use std::process::{Command, Output};
use tls::{Authority, Front};

const NAMES: &[&str] = &["127.0.0.1", "localhost"];

/// Entry of a server behind a front: the token of its plain one, and the front's URL.
fn entry(plain: &str, front: &Front) -> String {
    let (token, _) = plain.split_once(':').unwrap();
    format!("{token}:https://localhost:{}", front.address.port())
}

struct World {
    net: Net,
    scratch: Scratch,
    server: CarServer,
    authority: Authority,
    node: Front,
    miner: Front,
}

impl World {
    fn new(name: &str) -> Self {
        let net = Net::start(|config| config.auth = true);
        let authority = Authority::new("private authority");
        let node = Front::start(&authority, NAMES, net.devnet.node_addr());
        let miner = Front::start(&authority, NAMES, net.devnet.miner_addr(0).unwrap());
        Self {
            net,
            scratch: Scratch::new(name),
            server: CarServer::start(),
            authority,
            node,
            miner,
        }
    }

    fn vars(&self, authorities: Option<&str>) -> Vars {
        let mut vars = vars(&self.net, &self.scratch.join("home"), &self.server.prefix());
        let node = entry(&self.net.devnet.fullnode_api_info(), &self.node);
        let miner = entry(&self.net.devnet.miner_api_info(0), &self.miner);
        vars.insert("FULLNODE_API_INFO".to_owned(), node);
        vars.insert("MINER_API_INFO".to_owned(), miner);
        if let Some(pem) = authorities {
            let file = self.scratch.join("authorities.pem");
            std::fs::write(&file, pem).unwrap();
            let file = file.display().to_string();
            vars.insert("CORACLE_CA_FILE".to_owned(), file);
        }
        vars
    }
}

fn coracle(vars: &Vars, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.env_clear().envs(vars).args(arguments);
    command.output().unwrap()
}

#[test]
fn a_deal_is_made_and_sealed_over_https_throughout() {
    let world = World::new("https");
    let vars = world.vars(Some(&world.authority.pem()));
    let provider = Running::start(&vars);
    let client = Client::new(world.net.devnet.people().client.key.clone());
    let car = Car::generate(&world.scratch.0, 1, 200_000);
    let url = world.server.serve(&car);
    let wanted = Client::wanted(&world.net, &world.net.miner(), &car, Some(url));
    let uuid = client.accepted(&provider, &wanted);
    client.proves(&provider, uuid);
    let deal = provider.deal(uuid);
    let pieces = world
        .net
        .pieces_of(0, deal["chain_deal_id"].as_u64().unwrap());
    assert_eq!(pieces, 1);
    // Connections are kept: a handshake for each question would be most of the work.
    let (questions, handshakes) = (world.node.requests(), world.node.connections());
    assert!(
        questions > 10 && handshakes * 2 < questions,
        "{questions} over {handshakes}"
    );
    assert!(world.miner.requests() > 0);
    // What `check` sees is what the provider sees.
    let check = coracle(&vars, &["check"]);
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(!told.contains("TLS"), "{told}");
}

#[test]
fn a_certificate_of_nobody_known_is_refused_with_what_to_do() {
    let world = World::new("unknown");
    // Of nobody, and of another authority than the trusted one.
    for authorities in [None, Some(Authority::new("another").pem())] {
        let check = coracle(&world.vars(authorities.as_deref()), &["check"]);
        let told = String::from_utf8_lossy(&check.stdout).into_owned();
        assert_eq!(check.status.code(), Some(1), "{told}");
        for part in ["TLS", "UnknownIssuer", "CORACLE_CA_FILE"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("eyJ"), "no token in {told}");
    }
    assert_eq!((world.node.requests(), world.miner.requests()), (0, 0));
}

#[test]
fn a_file_that_holds_no_authority_is_an_error_of_settings() {
    let world = World::new("file");
    let mut vars = world.vars(Some("nothing of the kind"));
    let told = |vars: &Vars| {
        let output = coracle(vars, &["check"]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = told(&vars);
    for part in ["CORACLE_CA_FILE", "authorities.pem", "no certificate"] {
        assert!(text.contains(part), "{text}");
    }
    vars.insert("CORACLE_CA_FILE".to_owned(), "/nonexistent.pem".to_owned());
    let text = told(&vars);
    assert!(text.contains("/nonexistent.pem"), "{text}");
    // A client's commands read the variable too.
    vars.retain(|name, _| name == "FULLNODE_API_INFO" || name == "CORACLE_CA_FILE");
    let output = coracle(&vars, &["client", "ask", "f01000"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("/nonexistent.pem"), "{text}");
}

#[test]
fn a_name_must_be_the_certificates_own() {
    // The one test of this process that trusts an authority: it holds for all clients made after it.
    let net = Net::start(|_| {});
    let authority = Authority::new("private authority");
    coracle::rpc::trust(&Authorities::from_pem(authority.pem().as_bytes()).unwrap());
    let ask = |front: &Front, host: &str| {
        let url = format!("https://{host}:{}", front.address.port());
        let endpoints = Endpoint::parse_list(&url, Version::V1).unwrap();
        Rpc::new(endpoints, Limits::default()).call("ChainHead", &json!([]), Patience::Short)
    };
    let good = Front::start(&authority, NAMES, net.devnet.node_addr());
    for host in ["localhost", "127.0.0.1"] {
        assert!(ask(&good, host).unwrap()["Height"].is_u64());
    }
    let other = Front::start(&authority, &["node.example.net"], net.devnet.node_addr());
    let refused = ask(&other, "localhost").unwrap_err();
    let RpcError::Unreachable {
        phase: Phase::Connect,
        reason,
        ..
    } = &refused
    else {
        panic!("{refused:?}");
    };
    assert!(
        reason.starts_with("TLS: ") && reason.contains("localhost"),
        "{reason}"
    );
    assert!(refused.before_sending());
    assert_eq!(other.requests(), 0);
    // Another authority's, although the first one is trusted.
    let foreign = Front::start(&Authority::new("another"), NAMES, net.devnet.node_addr());
    let refused = ask(&foreign, "localhost").unwrap_err().to_string();
    assert!(refused.contains("CORACLE_CA_FILE"), "{refused}");
}
