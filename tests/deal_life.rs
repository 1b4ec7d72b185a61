//! Deals from the proposal to the proving sector, against the real binary.

mod harness;

use coracle::deal::Checkpoint;
use harness::{Car, CarServer, Client, Net, Running, Scratch, vars};
use std::io::Read;

/// A mebibyte and something: two leaves, one of them short.
const SIZE: usize = (1 << 20) + 4_321;

struct World {
    net: Net,
    scratch: Scratch,
    server: CarServer,
    client: Client,
    car: Car,
}

impl World {
    fn new(name: &str) -> Self {
        Self::on(name, Net::start(|_| {}))
    }

    fn on(name: &str, net: Net) -> Self {
        let scratch = Scratch::new(name);
        let client = Client::new(net.devnet.people().client.key.clone());
        let car = Car::generate(&scratch.0, 1, SIZE);
        Self {
            net,
            scratch,
            server: CarServer::start(),
            client,
            car,
        }
    }

    fn vars(&self) -> harness::Vars {
        vars(&self.net, &self.scratch.join("home"), &self.server.prefix())
    }
}

fn fetch(url: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let response = ureq::get(url).call().unwrap();
    response
        .into_body()
        .into_reader()
        .read_to_end(&mut body)
        .unwrap();
    body
}

#[test]
fn an_online_deal_goes_all_the_way() {
    let world = World::new("online");
    let provider = Running::start(&world.vars());
    let url = world.server.serve(&world.car);
    let wanted = Client::wanted(&world.net, &world.net.miner(), &world.car, Some(url));
    let uuid = world.client.accepted(&provider, &wanted);
    let response = world.client.proves(&provider, uuid);
    let status = response.status.unwrap();
    assert_eq!(status.status, "IndexedAndAnnounced");
    assert_eq!(status.error, "");
    assert_eq!(response.bytes_received, world.car.bytes.len() as u64);
    assert_eq!(response.transfer_size, world.car.bytes.len() as u64);
    let on_chain = world.net.devnet.deals();
    assert_eq!(on_chain.len(), 1);
    assert_eq!(on_chain[0].0, status.chain_deal_id);
    assert_eq!(world.net.publish_messages(), 1);
    assert_eq!(world.net.pieces_of(0, status.chain_deal_id), 1);
    // The operator sees the same.
    let deal = provider.deal(uuid);
    assert_eq!(deal["checkpoint"], "IndexedAndAnnounced");
    assert_eq!(deal["chain_deal_id"], status.chain_deal_id);
    assert_eq!(deal["publish_cid"], status.publish_cid.unwrap().to_string());
    assert_eq!(deal["sealing"], "Proving");
    assert_eq!(deal["bytes_received"], world.car.bytes.len() as u64);
    let (_, log) = provider.admin("GET", &format!("/v1/deals/{uuid}/log"), None);
    let log = log["lines"].to_string();
    for checkpoint in ["Transferred", "Published", "PublishConfirmed", "AddedPiece"] {
        assert!(
            log.contains(&format!("reached {checkpoint}")),
            "{checkpoint} is not in {log}"
        );
    }
    // One change at least for each checkpoint, and no commit without one.
    let (_, info) = provider.admin("GET", "/v1/info", None);
    let counted = |name: &str| info["store"][name].as_u64().unwrap();
    assert!(counted("changes") >= 6, "{info}");
    assert!(
        (1..=counted("changes")).contains(&counted("commits")),
        "{info}"
    );
    // The bytes were fetched once, and are served back; nothing is left in staging.
    assert_eq!(
        world
            .server
            .behaviour
            .requests
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );
    let piece = fetch(&format!(
        "http://{}/piece/{}",
        provider.http, world.car.piece_cid
    ));
    assert!(piece == *world.car.bytes);
    let staging = world.scratch.join("home").join("staging");
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
    // Transfer parameters may hold credentials: nobody else reads the database.
    use std::os::unix::fs::PermissionsExt;
    for name in ["", "coracle.redb", "admin-token", "libp2p.key"] {
        let file = world.scratch.join("home").join(name);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
    let (clean, took) = provider.stop();
    assert!(clean, "exit code");
    assert!(took.as_secs() < 5, "{took:?}");
}

#[test]
fn an_offline_deal_waits_for_its_import() {
    let world = World::new("offline");
    let vars = world.vars();
    let provider = Running::start(&vars);
    let wanted = Client::wanted(&world.net, &world.net.miner(), &world.car, None);
    let uuid = world.client.accepted(&provider, &wanted);
    let import = |uuid: &str, path: &std::path::Path| {
        provider.command(&vars, &["import", uuid, path.to_str().unwrap()])
    };
    // Unknown deals and wrong files are refused or park the deal; another import goes on.
    let unknown = import("00000000-0000-4000-8000-000000000000", &world.car.path);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no pre-existing deal proposal"));
    let other = Car::generate(&world.scratch.0, 2, SIZE);
    assert!(import(&uuid.to_string(), &other.path).status.success());
    harness::wait("the mismatch", || {
        let deal = provider.deal(uuid);
        let error = deal["error"].as_str().unwrap();
        (deal["retry"] == "manual" && error.contains("commp mismatch")).then(|| {
            assert!(error.contains(&other.piece_cid.to_string()), "{error}");
        })
    });
    assert_eq!(
        world.client.status(&provider, uuid).status.unwrap().status,
        "Accepted"
    );
    let imported = import(&uuid.to_string(), &world.car.path);
    assert!(
        imported.status.success(),
        "{}",
        String::from_utf8_lossy(&imported.stderr)
    );
    world.client.proves(&provider, uuid);
    assert!(world.car.path.exists(), "the operator's file stays");
    let again = import(&uuid.to_string(), &world.car.path);
    assert_eq!(again.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&again.stderr).contains("has already been imported"));
    let piece = fetch(&format!(
        "http://{}/piece/{}",
        provider.http, world.car.piece_cid
    ));
    assert!(piece == *world.car.bytes);
}

#[test]
fn two_miners_in_one_provider() {
    let world = World::on("miners", Net::two_miners());
    let provider = Running::start(&world.vars());
    let cars = [world.car.clone(), Car::generate(&world.scratch.0, 2, SIZE)];
    let deals: Vec<_> = world
        .net
        .miners
        .iter()
        .zip(&cars)
        .map(|(miner, car)| {
            let url = world.server.serve(car);
            let wanted = Client::wanted(&world.net, miner, car, Some(url));
            world.client.accepted(&provider, &wanted)
        })
        .collect();
    for (index, uuid) in deals.into_iter().enumerate() {
        let status = world.client.proves(&provider, uuid).status.unwrap();
        assert_eq!(status.proposal.provider, world.net.miners[index]);
        assert_eq!(world.net.pieces_of(index, status.chain_deal_id), 1);
        assert_eq!(world.net.pieces_of(1 - index, status.chain_deal_id), 0);
    }
}

#[test]
fn several_deals_share_a_message() {
    let world = World::new("batch");
    let mut vars = world.vars();
    vars.insert("CORACLE_PUBLISH_PERIOD".to_owned(), "1h".to_owned());
    vars.insert("CORACLE_PUBLISH_DEALS_MAX".to_owned(), "3".to_owned());
    let provider = Running::start(&vars);
    let deals: Vec<_> = (10..13)
        .map(|seed| {
            let car = Car::generate(&world.scratch.0, seed, 10_000);
            let url = world.server.serve(&car);
            let wanted = Client::wanted(&world.net, &world.net.miner(), &car, Some(url));
            world.client.accepted(&provider, &wanted)
        })
        .collect();
    let cids: std::collections::BTreeSet<_> = deals
        .iter()
        .map(|uuid| {
            world
                .client
                .proves(&provider, *uuid)
                .status
                .unwrap()
                .publish_cid
                .unwrap()
        })
        .collect();
    assert_eq!(cids.len(), 1);
    assert_eq!(world.net.publish_messages(), 1);
}

/// Kills at a checkpoint that the settings hold the deal at, then goes on with others.
fn killed_at(checkpoint: Checkpoint, hold: &[(&str, &str)], slow: bool) {
    let world = World::new("kill");
    let (free, mut held) = (world.vars(), world.vars());
    for (name, value) in hold {
        held.insert((*name).to_owned(), (*value).to_owned());
    }
    let provider = Running::start(&held);
    if slow {
        world
            .server
            .behaviour
            .stall_after
            .store(600_000, std::sync::atomic::Ordering::Relaxed);
    }
    let url = world.server.serve(&world.car);
    let wanted = Client::wanted(&world.net, &world.net.miner(), &world.car, Some(url));
    let uuid = world.client.accepted(&provider, &wanted);
    world.client.reaches(&provider, uuid, checkpoint);
    if slow {
        harness::wait("some bytes", || {
            (world.client.status(&provider, uuid).bytes_received >= 500_000).then_some(())
        });
    }
    provider.kill();
    world
        .server
        .behaviour
        .stall_after
        .store(0, std::sync::atomic::Ordering::Relaxed);
    let provider = Running::start(&free);
    let status = world.client.proves(&provider, uuid).status.unwrap();
    assert_eq!(world.net.publish_messages(), 1, "publish messages");
    assert_eq!(world.net.devnet.deals().len(), 1, "deals on chain");
    assert_eq!(
        world.net.pieces_of(0, status.chain_deal_id),
        1,
        "pieces at the sealer"
    );
    let piece = fetch(&format!(
        "http://{}/piece/{}",
        provider.http, world.car.piece_cid
    ));
    assert!(piece == *world.car.bytes);
}

#[test]
fn killed_while_transferring() {
    killed_at(Checkpoint::Accepted, &[], true);
}

#[test]
fn killed_at_transferred() {
    killed_at(
        Checkpoint::Transferred,
        &[("CORACLE_PUBLISH_PERIOD", "1h")],
        false,
    );
}

#[test]
fn killed_at_published() {
    killed_at(
        Checkpoint::Published,
        &[("CORACLE_PUBLISH_CONFIDENCE", "800")],
        false,
    );
}

#[test]
fn killed_at_publish_confirmed() {
    // Nobody listens there: the piece cannot be handed over.
    killed_at(
        Checkpoint::PublishConfirmed,
        &[("MINER_API_INFO", "/ip4/127.0.0.1/tcp/1/http")],
        false,
    );
}

#[test]
fn killed_at_added_piece_or_later() {
    killed_at(Checkpoint::AddedPiece, &[], false);
}

#[test]
fn killed_at_indexed() {
    killed_at(Checkpoint::IndexedAndAnnounced, &[], false);
}

#[test]
fn killed_while_the_message_is_being_pushed() {
    use coracle::devnet::{Effect, Fault};
    let world = World::new("push");
    // The node takes the message and its answer is lost, then it hangs until the provider is killed.
    world
        .net
        .devnet
        .set_fault(Fault::once("MpoolPushMessage", Effect::Drop { done: true }));
    let provider = Running::start(&world.vars());
    let url = world.server.serve(&world.car);
    let wanted = Client::wanted(&world.net, &world.net.miner(), &world.car, Some(url));
    let uuid = world.client.accepted(&provider, &wanted);
    world
        .client
        .reaches(&provider, uuid, Checkpoint::Transferred);
    harness::wait("the message", || {
        (world.net.publish_messages() == 1).then_some(())
    });
    provider.kill();
    let provider = Running::start(&world.vars());
    world.client.proves(&provider, uuid);
    assert_eq!(world.net.publish_messages(), 1);
}

#[test]
fn killed_while_the_sealer_takes_the_piece() {
    use coracle::devnet::{Effect, Fault};
    let world = World::new("seal");
    // The sealer takes the piece and the answer is lost.
    world.net.devnet.set_fault(Fault::once(
        "SectorAddPieceToAny",
        Effect::Drop { done: true },
    ));
    let provider = Running::start(&world.vars());
    let url = world.server.serve(&world.car);
    let wanted = Client::wanted(&world.net, &world.net.miner(), &world.car, Some(url));
    let uuid = world.client.accepted(&provider, &wanted);
    let confirmed = world
        .client
        .reaches(&provider, uuid, Checkpoint::PublishConfirmed);
    let deal_id = confirmed.status.unwrap().chain_deal_id;
    harness::wait("the piece", || {
        (world.net.pieces_of(0, deal_id) == 1).then_some(())
    });
    provider.kill();
    world.net.devnet.restart_miner(0);
    let provider = Running::start(&world.vars());
    world.client.proves(&provider, uuid);
    assert_eq!(world.net.pieces_of(0, deal_id), 1);
}
