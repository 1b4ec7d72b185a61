//! What tests of a whole provider share: a devnet in this process, a server of CARs, the real binary, a client.
//!
//! Everything listens on loopback, on ports that the system chooses, and ends when dropped. Only processes that were started
//! here are killed.
#![allow(dead_code, unused_imports)] // each test file uses its own part

mod cars;
mod client;
mod running;
mod world;

pub use cars::{Behaviour, Car, CarServer};
pub use client::{Client, minimum_collateral};
pub use running::{Running, Vars, vars};
pub use world::World;

use coracle::devnet::{Devnet, DevnetConfig, MinerConfig};
use coracle::filecoin::Address;
use std::path::PathBuf;
use std::sync::Arc;
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
