//! What tests of a whole provider share: a devnet in this process, a server of CARs, the real binary, a client.
//!
//! Everything listens on loopback, on ports that the system chooses, and ends when dropped. Only processes that were started
//! here are killed.
#![allow(dead_code)] // each test file uses its own part

use coracle::client::deal::{self, Download, Wanted};
use coracle::client::pack;
use coracle::deal::Checkpoint;
use coracle::devnet::{Devnet, DevnetConfig, MinerConfig};
use coracle::filecoin::{Address, SecretKey, TokenAmount};
use coracle::p2p::{Node, NodeConfig};
use coracle::piece::Commp;
use coracle::wire::{DealParams, DealResponse, DealStatusResponse};
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Longest wait for anything: far above what the slowest machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that is removed in the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coracle-{name}-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An executor on a thread of its own.
pub struct Host {
    pub executor: Arc<smol::Executor<'static>>,
    stop: Option<smol::channel::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Host {
    pub fn start() -> Self {
        let executor = Arc::new(smol::Executor::new());
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let running = Arc::clone(&executor);
        let thread = std::thread::spawn(move || {
            smol::block_on(running.run(async {
                let _ = stopped.recv().await;
            }));
        });
        Self {
            executor,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A devnet in this process.
pub struct Net {
    pub devnet: Devnet,
    pub miners: Vec<Address>,
    _host: Host,
}

impl Net {
    pub fn start(change: impl FnOnce(&mut DevnetConfig)) -> Self {
        let host = Host::start();
        let mut config = DevnetConfig {
            epoch: Duration::from_millis(50),
            sealing: 10,
            wait_deals: 2,
            ..DevnetConfig::default()
        };
        change(&mut config);
        let miners = config
            .miners
            .iter()
            .map(|miner| Address::id(miner.actor_id))
            .collect();
        let devnet = smol::block_on(Devnet::start(Arc::clone(&host.executor), config)).unwrap();
        Self {
            devnet,
            miners,
            _host: host,
        }
    }

    pub fn two_miners() -> Self {
        Self::start(|config| config.miners = vec![MinerConfig::new(1000), MinerConfig::new(1001)])
    }

    pub fn miner(&self) -> Address {
        self.miners[0].clone()
    }

    /// Entries of `MINER_API_INFO`.
    pub fn miner_info(&self) -> String {
        let all: Vec<_> = (0..self.miners.len())
            .map(|index| self.devnet.miner_api_info(index))
            .collect();
        all.join(",")
    }

    /// Publish messages on chain that succeeded, by their CIDs.
    pub fn publish_messages(&self) -> usize {
        self.devnet
            .received_messages()
            .iter()
            .filter(|signed| signed.message.method == 4)
            .count()
    }

    /// Times that the sealer has taken this deal.
    pub fn pieces_of(&self, miner: usize, deal_id: u64) -> usize {
        let sectors = self.devnet.sectors(miner);
        sectors
            .iter()
            .flat_map(|sector| &sector.pieces)
            .filter(|piece| {
                piece
                    .deal
                    .as_ref()
                    .is_some_and(|deal| deal.deal_id == deal_id)
            })
            .count()
    }
}

/// A CAR with generated content.
#[derive(Clone)]
pub struct Car {
    pub path: PathBuf,
    pub bytes: Arc<Vec<u8>>,
    pub root: cid::Cid,
    pub piece_cid: cid::Cid,
    pub piece_size: u64,
}

impl Car {
    /// Packs `size` bytes that look random and depend on `seed`.
    pub fn generate(directory: &Path, seed: u64, size: usize) -> Self {
        let input = directory.join(format!("input-{seed}"));
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(size);
        std::fs::write(&input, &bytes).unwrap();
        let path = directory.join(format!("{seed}.car"));
        let packed = pack::pack(&input, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut hasher = Commp::new();
        hasher.update(&bytes);
        let commitment = hasher.finish();
        Self {
            path,
            bytes: Arc::new(bytes),
            root: packed.root,
            piece_cid: commitment.cid(),
            piece_size: commitment.padded_size,
        }
    }
}

/// How the server of CARs behaves; may be changed while it runs.
#[derive(Default)]
pub struct Behaviour {
    /// Bytes after which each answer stalls until this is cleared; 0 is none.
    pub stall_after: AtomicU64,
    /// Answers this status to everything; 0 is none.
    pub status: AtomicU64,
    /// Requests so far.
    pub requests: AtomicU64,
    /// Body bytes sent so far.
    pub sent: AtomicU64,
    over: AtomicBool,
}

/// A small HTTP server of CARs with ranges.
pub struct CarServer {
    pub address: SocketAddr,
    pub behaviour: Arc<Behaviour>,
    cars: Arc<Mutex<BTreeMap<String, Arc<Vec<u8>>>>>,
}

impl CarServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Arc::new(Behaviour::default());
        let cars: Arc<Mutex<BTreeMap<String, Arc<Vec<u8>>>>> = Arc::default();
        let (known, rules) = (Arc::clone(&cars), Arc::clone(&behaviour));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if rules.over.load(Ordering::Relaxed) {
                    return;
                }
                let (known, rules) = (Arc::clone(&known), Arc::clone(&rules));
                let Ok(stream) = stream else { continue };
                std::thread::spawn(move || {
                    // A client that goes away is no failure of the server.
                    let _ = serve_one(stream, &known, &rules);
                });
            }
        });
        Self {
            address,
            behaviour,
            cars,
        }
    }

    /// Serves a CAR; its URL.
    pub fn serve(&self, car: &Car) -> String {
        let name = format!("/{}.car", car.piece_cid);
        self.cars
            .lock()
            .unwrap()
            .insert(name.clone(), Arc::clone(&car.bytes));
        format!("http://{}{name}", self.address)
    }

    pub fn prefix(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for CarServer {
    fn drop(&mut self) {
        self.behaviour.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve_one(
    mut stream: TcpStream,
    cars: &Mutex<BTreeMap<String, Arc<Vec<u8>>>>,
    rules: &Behaviour,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut start = 0_usize;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header == "\r\n" {
            break;
        }
        if let Some(range) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
            start = range
                .split('-')
                .next()
                .unwrap_or_default()
                .trim()
                .parse()
                .unwrap_or(0);
        }
    }
    rules.requests.fetch_add(1, Ordering::Relaxed);
    let status = rules.status.load(Ordering::Relaxed);
    let car = cars.lock().unwrap().get(&path).cloned();
    let (Some(car), 0) = (car, status) else {
        let status = if status == 0 { 404 } else { status };
        return stream.write_all(
            format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
    };
    let total = car.len();
    let head = if start == 0 {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {total}\r\nETag: \"x\"\r\nConnection: close\r\n\r\n"
        )
    } else {
        format!(
            "HTTP/1.1 206 Partial\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{total}\r\nETag: \"x\"\r\nConnection: close\r\n\r\n",
            total - start,
            total - 1
        )
    };
    stream.write_all(head.as_bytes())?;
    let mut at = start;
    while at < total {
        let stall = usize::try_from(rules.stall_after.load(Ordering::Relaxed)).unwrap();
        if stall > 0 && at >= stall {
            if rules.over.load(Ordering::Relaxed) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        let mut end = total.min(at + 64 * 1024);
        if stall > 0 {
            end = end.min(stall);
        }
        stream.write_all(&car[at..end])?;
        rules.sent.fetch_add((end - at) as u64, Ordering::Relaxed);
        at = end;
    }
    Ok(())
}

/// Settings of a provider, by name.
pub type Vars = BTreeMap<String, String>;

/// Settings that suit a test: everything on loopback, quick polls, messages at once.
pub fn vars(net: &Net, home: &Path, private: &str) -> Vars {
    let miners: Vec<_> = net.miners.iter().map(ToString::to_string).collect();
    [
        ("CORACLE_HOME", home.to_string_lossy().into_owned()),
        ("CORACLE_MINERS", miners.join(",")),
        ("FULLNODE_API_INFO", net.devnet.fullnode_api_info()),
        ("MINER_API_INFO", net.miner_info()),
        ("CORACLE_LISTEN", "/ip4/127.0.0.1/tcp/0".to_owned()),
        ("CORACLE_HTTP_LISTEN", "127.0.0.1:0".to_owned()),
        ("CORACLE_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("CORACLE_PRIVATE_URLS", private.to_owned()),
        ("CORACLE_CHAIN_POLL", "100ms".to_owned()),
        ("CORACLE_RETRY_WAIT", "200ms".to_owned()),
        ("CORACLE_PUBLISH_PERIOD", "0s".to_owned()),
        ("CORACLE_PUBLISH_CONFIDENCE", "2".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// The real binary, running `coracle run`.
pub struct Running {
    child: Child,
    pub peer: PeerId,
    pub addresses: Vec<Multiaddr>,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    home: PathBuf,
    log: Arc<Mutex<String>>,
}

impl Running {
    pub fn start(vars: &Vars) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .arg("run")
            .env_clear()
            .envs(vars)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<String>> = Arc::default();
        let (mut errors, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = errors.read(&mut buffer) {
                if read == 0 {
                    break;
                }
                kept.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        if !line.starts_with("ready ") {
            let _ = child.wait();
            panic!("the provider did not start: {line} {}", log.lock().unwrap());
        }
        let field = |name: &str| {
            line.split_whitespace()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_else(|| panic!("no {name} in {line}"))
                .to_owned()
        };
        Self {
            peer: field("peer").parse().unwrap(),
            addresses: field("listen")
                .split(',')
                .map(|text| text.parse().unwrap())
                .collect(),
            http: field("http").parse().unwrap(),
            admin: field("admin").parse().unwrap(),
            home: vars["CORACLE_HOME"].clone().into(),
            child,
            log,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; whether it exited with 0, and how long that took.
    pub fn stop(mut self) -> (bool, Duration) {
        let begun = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        (status.success(), begun.elapsed())
    }

    /// An admin request; status and JSON.
    pub fn admin(&self, method: &str, path: &str, body: Option<&str>) -> (u16, serde_json::Value) {
        let token = std::fs::read_to_string(self.home.join("admin-token")).unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        let url = format!("http://{}{path}", self.admin);
        let bearer = format!("Bearer {token}");
        let mut response = match method {
            "GET" => agent.get(&url).header("Authorization", &bearer).call(),
            _ => agent
                .post(&url)
                .header("Authorization", &bearer)
                .send(body.unwrap_or_default().as_bytes()),
        }
        .unwrap();
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(serde_json::Value::Null),
        )
    }

    /// A deal as the operator sees it.
    pub fn deal(&self, uuid: Uuid) -> serde_json::Value {
        self.admin("GET", &format!("/v1/deals/{uuid}"), None).1
    }

    /// Runs another command of the binary against this provider.
    pub fn command(&self, vars: &Vars, arguments: &[&str]) -> std::process::Output {
        let mut vars = vars.clone();
        vars.insert("CORACLE_ADMIN_LISTEN".to_owned(), self.admin.to_string());
        Command::new(env!("CARGO_BIN_EXE_coracle"))
            .args(arguments)
            .env_clear()
            .envs(&vars)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone where a test killed or stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- provider's log\n{}", self.log.lock().unwrap());
        }
    }
}

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
        let (uuid, response) = self.propose(provider, wanted);
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

/// Asks again and again until there is an answer.
pub fn wait<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_within(what, PATIENCE, ask)
}

/// The same with another patience.
pub fn wait_within<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < patience, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
