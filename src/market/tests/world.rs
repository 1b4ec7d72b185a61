//! A provider between doubles of its outside worlds.

use super::chain::MemoryChain;
use super::disk::SmallDisk;
use super::gate::{Gate, Mode};
use super::sealer::MemorySealer;
use super::server::Server;
use crate::deal::tests::samples::{self, HEAD};
use crate::deal::{Checkpoint, Deal, Import, Millis, Terms};
use crate::filecoin::{Address, SecretKey, cids};
use crate::market::{
    self, Files, Filter, FilterCommand, FirstAsk, Handle, MinerSettings, Parts, Settings, Threads,
    Wish,
};
use crate::piece::commp::Commp;
use crate::sealer::Sealer;
use crate::store::{LogLine, Redb, Store};
use crate::transfer::{FetchLimits, Fetcher};
use crate::wire::{DealParams, DealResponse};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that goes with its owner.
pub struct Directory(pub PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// All that outlives a crash.
pub struct World {
    pub chain: Arc<MemoryChain>,
    pub sealers: BTreeMap<Address, Arc<MemorySealer>>,
    /// Seals for the sample miner in the other one's place.
    pub sealer: Option<Arc<dyn Sealer>>,
    pub server: Server,
    pub disk: Arc<SmallDisk>,
    pub settings: Settings,
    executor: smol::Executor<'static>,
    offset: Arc<AtomicU64>,
    directory: Directory,
}

/// One run of the provider.
pub struct Running {
    pub handle: Handle,
    pub gate: Arc<Gate>,
    fetcher: Arc<Fetcher>,
    task: smol::Task<()>,
}

pub fn other_miner() -> Address {
    Address::id(1_001)
}

fn miner_settings() -> MinerSettings {
    MinerSettings {
        terms: Terms {
            retry_first: 20,
            retry_max: 100,
            ..Terms::default()
        },
        publish_period: Duration::ZERO,
        first_ask: FirstAsk::default(),
        filter: None,
    }
}

impl World {
    pub fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("coracle-market-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&directory).expect("a writable temporary directory");
        let miners = [samples::miner(), other_miner()];
        Self {
            chain: Arc::new(MemoryChain::new()),
            sealers: miners.clone().map(|miner| (miner, Arc::default())).into(),
            sealer: None,
            server: Server::start(),
            disk: Arc::default(),
            settings: Settings {
                miners: miners.map(|miner| (miner, miner_settings())).into(),
                files: Files {
                    staging: directory.join("staging"),
                    pieces: directory.join("pieces"),
                },
                transfers_max: 4,
                imports_max: 2,
                drop_folder: None,
                chain_poll: Duration::from_millis(5),
                seal_poll: Duration::from_millis(5),
                deal_watch: Duration::from_secs(3_600),
                keep_bytes_max: u64::MAX,
            },
            executor: smol::Executor::new(),
            offset: Arc::default(),
            directory: Directory(directory),
        }
    }

    /// Runs a test on the world's executor.
    pub fn run(&self, test: impl Future<Output = ()>) {
        smol::block_on(self.executor.run(test));
    }

    pub fn sealer(&self) -> &MemorySealer {
        &self.sealers[&samples::miner()]
    }

    pub fn terms(&mut self, change: impl Fn(&mut Terms)) {
        for own in self.settings.miners.values_mut() {
            change(&mut own.terms);
        }
    }

    /// Gives every miner this external filter.
    pub fn filter(&mut self, command: &str) -> &mut Filter {
        let filter = Filter {
            command: FilterCommand(command.to_owned()),
            // Longer than a shell needs on a busy machine.
            time_out: PATIENCE,
            late_accepts: false,
            hidden: Vec::new(),
        };
        for own in self.settings.miners.values_mut() {
            own.filter = Some(filter.clone());
        }
        let own = self.settings.miners.get_mut(&samples::miner());
        own.and_then(|own| own.filter.as_mut()).expect("just set")
    }

    pub fn publish_period(&mut self, period: Duration) {
        for own in self.settings.miners.values_mut() {
            own.publish_period = period;
        }
    }

    /// Lets time pass for the provider, all at once.
    pub fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        self.offset.fetch_add(millis, Ordering::Relaxed);
    }

    /// Sets the provider's clock back; what had passed is enough for it.
    pub fn set_back(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("a short time");
        self.offset.fetch_sub(millis, Ordering::Relaxed);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.0.join(name)
    }

    /// Starts the provider and waits until it has looked at the chain.
    pub async fn start(&self) -> Running {
        let running = self.start_blind();
        let ready = |running: &Running| {
            let miners = running.handle.settings().miners.keys();
            miners
                .into_iter()
                .all(|miner| running.handle.ask(miner).ask.is_some())
        };
        wait("the first look at the chain", || {
            ready(&running).then_some(())
        })
        .await;
        running
    }

    /// Starts a provider with an external filter and waits until it knows the sectors.
    pub async fn start_filtering(&self) -> Running {
        let running = self.start().await;
        wait("the sectors", || {
            let sectors = running.handle.snapshot().sectors;
            sectors.get(&samples::miner())?.states.clone()
        })
        .await;
        running
    }

    /// Starts the provider.
    pub fn start_blind(&self) -> Running {
        let store = Redb::open(&self.path("store.redb"), 1 << 20).expect("nobody has it open");
        let gate = Arc::new(Gate::over(store));
        let fetcher = Arc::new(Fetcher::new(FetchLimits {
            private_urls: vec!["http://127.0.0.1:*".to_owned()],
            save_every_bytes: 1_024,
            ..FetchLimits::default()
        }));
        let offset = Arc::clone(&self.offset);
        let sealers = self.sealers.iter().map(|(miner, sealer)| {
            let ours = self.sealer.clone().filter(|_| *miner == samples::miner());
            let sealer: Arc<dyn Sealer> = ours.unwrap_or_else(|| sealer.clone());
            (miner.clone(), sealer)
        });
        let parts = Parts {
            chain: self.chain.clone(),
            sealers: sealers.collect(),
            store: gate.clone(),
            fetcher: fetcher.clone(),
            disk: self.disk.clone(),
            now: Arc::new(move || now() + offset.load(Ordering::Relaxed)),
            sleep: Arc::new(market::sleep),
            fresh: Arc::new(Uuid::new_v4),
        };
        let threads = Threads::start().expect("threads");
        let (handle, task) =
            market::start(self.settings.clone(), parts, threads).expect("a healthy directory");
        Running {
            handle,
            gate,
            fetcher,
            task: self.executor.spawn(task),
        }
    }

    /// A proposal whose data the server has.
    pub fn online(&self, number: u8) -> DealParams {
        let car = car(number);
        let url = self.server.put(&number.to_string(), car.clone());
        let mut params = proposal(number, &samples::miner());
        params.transfer.size = car.len() as u64;
        params.transfer.params = samples::transfer_params(&url);
        params
    }

    /// A proposal whose data is to be imported from the file.
    pub fn offline(&self, number: u8) -> (DealParams, PathBuf) {
        let path = self.path(&format!("{number}.car"));
        std::fs::write(&path, car(number)).expect("a writable directory");
        let mut params = proposal(number, &samples::miner());
        params.offline = true;
        params.transfer = crate::wire::Transfer::default();
        (params, path)
    }

    pub fn staged(&self) -> Vec<String> {
        names(&self.settings.files.staging)
    }

    /// Without the sign that the directory is ours.
    pub fn pieces(&self) -> Vec<String> {
        let mut names = names(&self.settings.files.pieces);
        names.retain(|name| name != ".coracle-pieces");
        names
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("it was created");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("fits")
}

impl Running {
    pub async fn propose(&self, params: &DealParams) -> DealResponse {
        self.handle.propose("peer", params.clone()).await
    }

    /// Proposes; the deal must be accepted.
    pub async fn accepted(&self, params: &DealParams) -> Uuid {
        let answer = self.propose(params).await;
        assert_eq!((answer.message.as_str(), answer.accepted), ("", true));
        params.uuid
    }

    pub async fn import(&self, uuid: Uuid, path: &Path, delete_after: bool) -> Result<(), String> {
        let path = path.to_string_lossy().into_owned();
        let import = Import::new(path, delete_after);
        self.handle.wish(uuid, Wish::Import(import)).await
    }

    pub async fn deal(&self, uuid: Uuid) -> Option<Deal> {
        let found = self.handle.deal(uuid).await.expect("a healthy store");
        found.map(|(deal, _)| deal)
    }

    /// Waits until the deal is as wanted.
    pub async fn until(&self, uuid: Uuid, wanted: impl Fn(&Deal) -> bool) -> Deal {
        let begun = Instant::now();
        loop {
            let deal = self.deal(uuid).await.expect("the deal is known");
            if wanted(&deal) {
                return deal;
            }
            assert!(begun.elapsed() < PATIENCE, "{deal:?}");
            smol::Timer::after(Duration::from_millis(2)).await;
        }
    }

    pub async fn until_at(&self, uuid: Uuid, checkpoint: Checkpoint) -> Deal {
        self.until(uuid, |deal| deal.checkpoint == checkpoint).await
    }

    pub async fn until_sealed(&self, uuid: Uuid) -> Deal {
        self.until(uuid, |deal| deal.sealed).await
    }

    pub async fn log(&self, uuid: Uuid) -> Vec<LogLine> {
        self.handle.log(uuid).await.expect("a healthy store")
    }

    /// The power is cut. What was asked of the store and is not on the disk yet is lost.
    pub async fn crash(self) {
        if self.gate.mode() != Mode::Dead {
            self.gate.set(Mode::Dead);
        }
        self.task.cancel().await;
        drop(self.handle);
        self.gate.close();
        // Threads of the old run must not write into files of the new one.
        wait("the end of all threads", || {
            (Arc::strong_count(&self.fetcher) == 1).then_some(())
        })
        .await;
    }

    /// An orderly end.
    pub async fn stop(self) {
        self.handle.stop().await;
        self.task.await;
        drop(self.handle);
        self.gate.close();
    }

    pub fn pieces(&self) -> usize {
        self.gate.pieces().expect("a healthy store").len()
    }
}

/// Waits until there is something.
pub async fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        smol::Timer::after(Duration::from_millis(1)).await;
    }
}

/// A CAR with a few blocks; each number has its own.
pub fn car(number: u8) -> Vec<u8> {
    let section = |cid: &[u8], data: &[u8]| {
        let mut length = cid.len() + data.len();
        let mut bytes = Vec::new();
        while length > 0x7f {
            bytes.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).expect("seven bits"));
        bytes.extend_from_slice(cid);
        bytes.extend_from_slice(data);
        bytes
    };
    let blocks: Vec<Vec<u8>> = (0..4).map(|block| vec![number ^ block; 400]).collect();
    let cids = blocks
        .iter()
        .map(|data| cids::sha256_cid(cids::RAW, data).to_bytes());
    let cids: Vec<Vec<u8>> = cids.collect();
    // {"roots": [42(h'00' + CID)], "version": 1}
    let mut header = b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00".to_vec();
    header.extend_from_slice(&cids[0]);
    header.extend_from_slice(b"\x67version\x01");
    let mut bytes = section(&header, b"");
    for (cid, data) in cids.iter().zip(&blocks) {
        bytes.extend(section(cid, data));
    }
    bytes
}

/// A signed proposal for the CAR of this number; each starts at an epoch of its own.
fn proposal(number: u8, miner: &Address) -> DealParams {
    let mut hasher = Commp::new();
    hasher.update(&car(number));
    let commitment = hasher.finish();
    let mut proposal = samples::proposal();
    proposal.piece_cid = commitment.cid();
    proposal.piece_size = commitment.padded_size;
    proposal.provider = miner.clone();
    proposal.start_epoch = start(number);
    proposal.end_epoch = start(number) + 518_400;
    DealParams {
        uuid: samples::uuid(number),
        proposal: Some(samples::sign(proposal)),
        ..samples::params()
    }
}

/// When the deal of this number starts.
pub fn start(number: u8) -> i64 {
    HEAD + 5_000 + i64::from(number)
}

/// Gives the proposal to another miner; signed anew.
pub fn to_miner(mut params: DealParams, miner: &Address) -> DealParams {
    let mut proposal = params.proposal.expect("there is one").proposal;
    proposal.provider = miner.clone();
    params.proposal = Some(samples::sign(proposal));
    params
}

/// Another client's key.
pub fn stranger() -> SecretKey {
    SecretKey::secp256k1(&[9; 32]).expect("a valid scalar")
}
