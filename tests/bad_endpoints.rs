//! One bad endpoint never stalls the provider: the real binary with a chain node and a sealer that hang, while clients and
//! operators go on being served.

mod harness;

use coracle::deal::Checkpoint;
use coracle::devnet::{Effect, Fault, NodeKind};
use harness::{Car, CarServer, Client, Net, Running, Scratch, vars, wait};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Far longer than any test; the call ends when the devnet does.
const HANGS: Effect = Effect::Delay(Duration::from_secs(600));

/// What a person notices; the machine may be busy.
const SOON: Duration = Duration::from_secs(2);

/// Everything that is answered by the main thread is answered soon.
fn is_lively(provider: &Running, client: &Client, net: &Net, uuid: Option<Uuid>) {
    let begun = Instant::now();
    assert_eq!(provider.admin("GET", "/v1/deals", None).0, 200);
    client.wait_for_ask(provider, &net.miner());
    if let Some(uuid) = uuid {
        assert!(client.status(provider, uuid).status.is_some());
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn a_node_of_the_list_that_hangs_delays_no_deal() {
    let net = Net::start(|config| config.more_nodes = vec![NodeKind::Lotus]);
    let scratch = Scratch::new("bad-node");
    let server = CarServer::start();
    let mut vars = vars(&net, &scratch.join("home"), &server.prefix());
    let list = [0, 1].map(|node| net.devnet.node_api_info(node)).join(",");
    vars.insert("FULLNODE_API_INFO".to_owned(), list);
    let car = Car::generate(&scratch.0, 1, 50_000);
    let url = server.serve(&car);
    let wanted = Client::wanted(&net, &net.miner(), &car, Some(url));
    // The first of the list, from the start on.
    let hangs = Fault::times("*", 100_000, HANGS).at(0);
    net.devnet.set_fault(hangs);
    let provider = Running::start(&vars);
    let client = Client::new(net.devnet.people().client.key.clone());
    client.wait_for_ask(&provider, &net.miner());
    is_lively(&provider, &client, &net, None);
    let uuid = wait("acceptance", || {
        let begun = Instant::now();
        let (uuid, response) = client.propose(&provider, &wanted);
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
        response.accepted.then_some(uuid)
    });
    is_lively(&provider, &client, &net, Some(uuid));
    client.proves(&provider, uuid);
}

#[test]
fn a_sealer_that_hangs_stalls_nobody_and_is_waited_for() {
    let net = Net::start(|_| {});
    let scratch = Scratch::new("bad-sealer");
    let server = CarServer::start();
    let vars = vars(&net, &scratch.join("home"), &server.prefix());
    for method in [
        "ActorAddress",
        "SectorAddPieceToAny",
        "SectorsStatus",
        "SectorsSummary",
        "SectorsListInStates",
    ] {
        net.devnet.set_fault(Fault::times(method, 100_000, HANGS));
    }
    let provider = Running::start(&vars);
    let client = Client::new(net.devnet.people().client.key.clone());
    let propose = |seed: u64| {
        let car = Car::generate(&scratch.0, seed, 50_000);
        let url = server.serve(&car);
        let wanted = Client::wanted(&net, &net.miner(), &car, Some(url));
        client.accepted(&provider, &wanted)
    };
    let first = propose(1);
    client.reaches(&provider, first, Checkpoint::PublishConfirmed);
    is_lively(&provider, &client, &net, Some(first));
    // Others are accepted, fetched and published meanwhile.
    let second = propose(2);
    client.reaches(&provider, second, Checkpoint::PublishConfirmed);
    is_lively(&provider, &client, &net, Some(second));
    let (clean, took) = provider.stop();
    assert!(clean && took < Duration::from_secs(5), "{took:?}");
}
