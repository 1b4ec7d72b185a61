//! Handing pieces to lotus-miner with the real binary: fetched by the miner or pushed to it, with crashes of either side in the
//! middle, calls that last, and a miner with very many sectors.

mod harness;

use coracle::client::deal::Wanted;
use coracle::deal::Checkpoint;
use coracle::devnet::{Effect, Event, Fault};
use harness::{Car, CarServer, Client, Net, Running, Scratch, Vars, vars, wait};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Bytes of a piece that is fetched in more than one go.
const LARGE: usize = 3_000_000;

/// One connection as it was passed on.
#[derive(Default)]
struct Exchange {
    asked: Mutex<Vec<u8>>,
    answered: Mutex<Vec<u8>>,
}

impl Exchange {
    /// Head and body of an answer.
    fn answer(&self) -> (String, Vec<u8>) {
        let all = self.answered.lock().unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        (
            String::from_utf8_lossy(&all[..end]).to_lowercase(),
            all[end + 4..].to_vec(),
        )
    }

    /// The path that was asked for.
    fn path(&self) -> String {
        let asked = String::from_utf8_lossy(&self.asked.lock().unwrap()).into_owned();
        asked.split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

/// What the relay's threads share.
#[derive(Default)]
struct Passing {
    /// Where the provider listens; connections end at once while it is not known.
    target: Mutex<Option<SocketAddr>>,
    seen: Mutex<Vec<Arc<Exchange>>>,
    /// Answers stop after so many bytes while this is not 0.
    hold_after: AtomicUsize,
    over: AtomicBool,
}

/// An address under which a sealer reaches the provider, whatever port that has.
struct Relay {
    address: SocketAddr,
    passing: Arc<Passing>,
}

impl Relay {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let passing: Arc<Passing> = Arc::default();
        let shared = Arc::clone(&passing);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let (shared, Ok(stream)) = (Arc::clone(&shared), stream) else {
                    continue;
                };
                std::thread::spawn(move || {
                    // Either side may go away in the middle: that is what some tests are about.
                    let _ = shared.pass(stream);
                });
            }
        });
        Self { address, passing }
    }

    fn to(&self, provider: &Running) {
        *self.passing.target.lock().unwrap() = Some(provider.http);
    }

    fn hold_after(&self, bytes: usize) {
        self.passing.hold_after.store(bytes, Ordering::Relaxed);
    }

    fn seen(&self) -> Vec<Arc<Exchange>> {
        self.passing.seen.lock().unwrap().clone()
    }

    /// Waits until an answer is held.
    fn held(&self) {
        let limit = self.passing.hold_after.load(Ordering::Relaxed);
        wait("a part of the piece", || {
            let seen = self.seen();
            let held = seen
                .iter()
                .any(|it| it.answered.lock().unwrap().len() >= limit);
            held.then_some(())
        });
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.passing.over.store(true, Ordering::Relaxed);
        self.hold_after(0);
        let _ = TcpStream::connect(self.address);
    }
}

impl Passing {
    fn pass(&self, mut client: TcpStream) -> std::io::Result<()> {
        let Some(target) = *self.target.lock().unwrap() else {
            return Ok(());
        };
        let mut server = TcpStream::connect(target)?;
        let exchange = Arc::new(Exchange::default());
        self.seen.lock().unwrap().push(Arc::clone(&exchange));
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        let kept = Arc::clone(&exchange);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                kept.asked
                    .lock()
                    .unwrap()
                    .extend_from_slice(&buffer[..read]);
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
        let mut buffer = [0; 16 * 1024];
        let mut passed = 0;
        while let Ok(read @ 1..) = server.read(&mut buffer) {
            exchange
                .answered
                .lock()
                .unwrap()
                .extend_from_slice(&buffer[..read]);
            passed += read;
            loop {
                let limit = self.hold_after.load(Ordering::Relaxed);
                if limit == 0 || passed < limit {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            client.write_all(&buffer[..read])?;
        }
        client.shutdown(Shutdown::Both)
    }
}

struct World {
    net: Net,
    scratch: Scratch,
    server: CarServer,
    client: Client,
}

impl World {
    fn new(name: &str, net: Net) -> Self {
        let client = Client::new(net.devnet.people().client.key.clone());
        Self {
            net,
            scratch: Scratch::new(name),
            server: CarServer::start(),
            client,
        }
    }

    fn vars(&self) -> Vars {
        vars(&self.net, &self.scratch.join("home"), &self.server.prefix())
    }

    /// Settings of a provider whose pieces are fetched through the relay.
    fn fetched(&self, relay: &Relay) -> Vars {
        let mut vars = self.vars();
        let url = format!("http://{}", relay.address);
        vars.insert("CORACLE_SEALER_URL".to_owned(), url);
        vars
    }

    fn deal(&self, seed: u64, size: usize) -> (Car, Wanted) {
        let car = Car::generate(&self.scratch.0, seed, size);
        let url = self.server.serve(&car);
        let wanted = Client::wanted(&self.net, &self.net.miner(), &car, Some(url));
        (car, wanted)
    }

    /// The deal goes on to the end, and the sealer has its piece once.
    fn ends_well(&self, provider: &Running, uuid: Uuid) {
        let status = self.client.proves(provider, uuid).status.unwrap();
        assert_eq!(self.net.pieces_of(0, status.chain_deal_id), 1);
        assert_eq!(self.net.publish_messages(), 1);
    }

    fn calls(&self, method: &str) -> u64 {
        self.net.devnet.calls().get(method).copied().unwrap_or(0)
    }
}

/// The piece as a sealer has to get it: the CAR, then zeros.
fn padded(car: &Car) -> Vec<u8> {
    let mut bytes = car.bytes.to_vec();
    bytes.resize(usize::try_from(car.piece_size / 128 * 127).unwrap(), 0);
    bytes
}

#[test]
fn the_miner_fetches_exactly_the_padded_piece_as_often_as_it_likes() {
    let world = World::new("fetch", Net::start(|_| {}));
    let relay = Relay::start();
    let provider = Running::start(&world.fetched(&relay));
    relay.to(&provider);
    let (car, wanted) = world.deal(1, 50_000);
    let uuid = world.client.accepted(&provider, &wanted);
    world.ends_well(&provider, uuid);

    let seen = relay.seen();
    assert_eq!(seen.len(), 1, "one call, one fetch");
    let (head, body) = seen[0].answer();
    let whole = padded(&car);
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", whole.len())),
        "{head}"
    );
    assert!(!head.contains("content-encoding"), "{head}");
    assert!(
        body == whole,
        "{} of {} bytes, or others",
        body.len(),
        whole.len()
    );
    let path = seen[0].path();
    let token = path.strip_prefix("/padded/").unwrap();
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(!provider.log().contains(token), "the path is a secret");

    // The data lies among the kept pieces by now; a worker may come again all the same, for all of it or a part.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .build()
        .into();
    let url = format!("http://{}{path}", provider.http);
    for _ in 0..3 {
        let again = agent.get(&url).header("Accept-Encoding", "gzip").call();
        assert!(again.unwrap().body_mut().read_to_vec().unwrap() == whole);
    }
    let head = agent.head(&url).call().unwrap();
    assert_eq!(head.headers()["content-length"], whole.len().to_string());
    let mut part = agent
        .get(&url)
        .header("Range", "bytes=50000-50199")
        .call()
        .unwrap();
    assert_eq!(part.status(), 206);
    assert!(part.body_mut().read_to_vec().unwrap() == whole[50_000..50_200]);
    let guess = format!("http://{}/padded/{}", provider.http, "0".repeat(32));
    assert_eq!(agent.get(&guess).call().unwrap().status(), 404);
}

#[test]
fn killed_while_the_miner_fetches() {
    let world = World::new("fetch-kill", Net::start(|_| {}));
    let relay = Relay::start();
    let vars = world.fetched(&relay);
    let provider = Running::start(&vars);
    relay.to(&provider);
    relay.hold_after(500_000);
    let (_, wanted) = world.deal(1, LARGE);
    let uuid = world.client.accepted(&provider, &wanted);
    relay.held();
    provider.kill();
    let provider = Running::start(&vars);
    relay.to(&provider);
    relay.hold_after(0);
    world.ends_well(&provider, uuid);
}

#[test]
fn the_miner_restarts_while_it_fetches() {
    let world = World::new("fetch-restart", Net::start(|_| {}));
    let relay = Relay::start();
    let provider = Running::start(&world.fetched(&relay));
    relay.to(&provider);
    relay.hold_after(500_000);
    let (_, wanted) = world.deal(1, LARGE);
    let uuid = world.client.accepted(&provider, &wanted);
    relay.held();
    world.net.devnet.restart_miner(0);
    relay.hold_after(0);
    world.ends_well(&provider, uuid);
}

#[test]
fn a_fetch_that_fails_is_tried_again_and_its_address_stays_secret() {
    let world = World::new("fetch-fails", Net::start(|_| {}));
    let relay = Relay::start();
    let provider = Running::start(&world.fetched(&relay));
    let (_, wanted) = world.deal(1, 50_000);
    let uuid = world.client.accepted(&provider, &wanted);
    let status = wait("a failed fetch", || {
        let status = world.client.status(&provider, uuid).status.unwrap();
        status.error.contains("fetching piece").then_some(status)
    });
    assert!(status.error.contains("AddPiece failed"), "{}", status.error);
    relay.to(&provider);
    world.ends_well(&provider, uuid);
    let path = relay.seen()[0].path();
    let token = path.strip_prefix("/padded/").unwrap();
    let log = provider
        .admin("GET", &format!("/v1/deals/{uuid}/log"), None)
        .1;
    assert!(!log.to_string().contains(token) && !provider.log().contains(token));
}

#[test]
fn a_piece_is_pushed_to_the_worker_that_the_miner_names_and_again_when_it_closes_early() {
    let net = Net::start(|config| config.worker_redirect = true);
    let world = World::new("push", net);
    world.net.devnet.set_fault(Fault::once(
        "SectorAddPieceToAny",
        Effect::CloseEarly(500_000),
    ));
    let provider = Running::start(&world.vars());
    let (_, wanted) = world.deal(1, LARGE);
    let uuid = world.client.accepted(&provider, &wanted);
    world.ends_well(&provider, uuid);
    assert_eq!(world.calls("SectorAddPieceToAny"), 2);
    let log = provider
        .admin("GET", &format!("/v1/deals/{uuid}/log"), None)
        .1;
    assert!(log.to_string().contains("disk full"), "{log}");
}

#[test]
fn the_miner_restarts_in_the_middle_of_a_push_and_has_forgotten_everything() {
    let world = World::new("push-restart", Net::start(|_| {}));
    // It had taken the piece already: what a second call would bring is a second copy.
    let lost = Effect::Drop { done: true };
    world
        .net
        .devnet
        .set_fault(Fault::once("SectorAddPieceToAny", lost));
    let forgets = Effect::First(Event::RestartMiner(0));
    world
        .net
        .devnet
        .set_fault(Fault::once("SectorsListInStates", forgets));
    let provider = Running::start(&world.vars());
    let (_, wanted) = world.deal(1, 50_000);
    let uuid = world.client.accepted(&provider, &wanted);
    world.ends_well(&provider, uuid);
    assert_eq!(world.calls("SectorAddPieceToAny"), 1);
}

/// Threads of a process by name.
fn threads(provider: &Running, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", provider.pid())).unwrap();
    let named = |task: std::io::Result<std::fs::DirEntry>| {
        let comm = std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        (comm.trim() == name).then_some(())
    };
    tasks.filter_map(named).count()
}

#[test]
fn calls_that_last_hold_up_nothing_else() {
    let world = World::new("long", Net::start(|_| {}));
    let long = Effect::Delay(Duration::from_secs(600));
    world
        .net
        .devnet
        .set_fault(Fault::times("SectorAddPieceToAny", 8, long));
    let provider = Running::start(&world.vars());
    let mut uuids = Vec::new();
    for seed in 1..=9 {
        let (_, wanted) = world.deal(seed, 5_000);
        uuids.push(world.client.accepted(&provider, &wanted));
    }
    for uuid in &uuids {
        world
            .client
            .reaches(&provider, *uuid, Checkpoint::PublishConfirmed);
    }
    wait("eight calls", || {
        (world.calls("SectorAddPieceToAny") == 8).then_some(())
    });
    // A ninth waits for a place: each call has its own two threads and one for the bytes.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(world.calls("SectorAddPieceToAny"), 8);
    assert_eq!(threads(&provider, "add-piece"), 16);
    assert!(threads(&provider, "push-piece") <= 8);
    // Everything else goes on: proposals, transfers, messages, answers.
    let begun = Instant::now();
    let (_, wanted) = world.deal(10, 5_000);
    let uuid = world.client.accepted(&provider, &wanted);
    let status = world
        .client
        .reaches(&provider, uuid, Checkpoint::PublishConfirmed);
    assert_eq!(status.status.unwrap().status, "PublishConfirmed");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let (good, took) = provider.stop();
    assert!(good && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_miner_with_ten_thousand_sectors_is_asked_for_a_few() {
    let world = World::new("crowd", Net::start(|_| {}));
    let devnet = &world.net.devnet;
    assert!(devnet.add_sectors(0, 9_500, "Proving"));
    assert!(devnet.add_sectors(0, 500, "PreCommit1"));
    devnet.set_fault(Fault::once(
        "SectorAddPieceToAny",
        Effect::Drop { done: false },
    ));
    let provider = Running::start(&world.vars());
    devnet.record();
    let (_, wanted) = world.deal(1, 5_000);
    let uuid = world.client.accepted(&provider, &wanted);
    world
        .client
        .reaches(&provider, uuid, Checkpoint::AddedPiece);
    let calls = devnet.recorded();
    let second = calls
        .iter()
        .rposition(|(method, _)| *method == "SectorAddPieceToAny")
        .unwrap();
    let before = &calls[..second];
    let of = |name: &str| before.iter().filter(|(method, _)| *method == name).count();
    assert_eq!(of("SectorAddPieceToAny"), 1);
    assert_eq!((of("SectorsList"), of("SectorsListInStates")), (0, 2));
    assert_eq!(of("SectorsStatus"), 64);
    // The chain first, and again behind the sealer.
    let at = |name: &str| {
        before
            .iter()
            .position(|(method, _)| *method == name)
            .unwrap()
    };
    assert!(at("StateMarketStorageDeal") < at("SectorsListInStates"));
    assert_eq!(of("StateMarketStorageDeal"), 2);
    world.ends_well(&provider, uuid);
}
