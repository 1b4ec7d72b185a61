//! A stand-in for a Filecoin network on loopback: a chain node and a lotus-miner that speak the same JSON-RPC over real
//! HTTP, so that tests and the demo run the production path (spec chain-sealer-rpc A–E, I).
//!
//! Pure: `state`, `market`, `publish`, `actors`, `mempool`, `chain`, `sectors`, `world`. Towards the outside: `rpc` and its
//! tables of methods (`rpc_*`), `add_piece`, `streams`, `server`. There is no consensus, no proof and no disk; deals
//! run until the devnet ends, so nothing pays or settles them.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]
// The methods of a table share one signature, whether they can fail or not.
#![allow(clippy::unnecessary_wraps)]

mod activation;
mod actors;
mod add_piece;
mod chain;
pub mod faults;
mod jwt;
mod kinds;
mod market;
mod mempool;
mod params;
mod publish;
mod rpc;
mod rpc_chain;
mod rpc_miner;
mod rpc_mpool;
mod rpc_state;
mod rpc_wallet;
pub mod sectors;
mod server;
pub mod settings;
mod state;
mod streams;
mod trouble;
mod wallets;
mod world;

#[cfg(test)]
mod tests;

pub use faults::{Effect, Event, Fault};
pub use market::{Deal, FIL};
pub use sectors::Sector;
pub use settings::{DevnetConfig, MinerConfig, NodeKind};
pub use wallets::Wallet;
pub use world::People;

use crate::filecoin::message::SignedMessage;
use crate::filecoin::{ChainEpoch, TokenAmount};
use crate::serve::listener::{Limits, Listener};
use server::{PUSH_PATH, Role, Shared, answer};
use smol::{Executor, Task, Timer};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use world::World;

/// Pieces that are read and hashed at a time: as many as the machines have cores that this runs on.
const READERS: usize = 4;

/// Connections per listener.
const CONNECTIONS: usize = 512;

/// A running devnet. It ends when dropped.
pub struct Devnet {
    shared: Arc<Shared>,
    people: People,
    /// The node, then the further ones.
    nodes: Vec<SocketAddr>,
    miners: Vec<SocketAddr>,
    token: String,
    /// The listeners and the clock; dropping them ends them.
    _tasks: Vec<Task<()>>,
}

impl Devnet {
    /// Binds every listener and starts the clock.
    ///
    /// # Errors
    /// An address cannot be bound, a thread is refused, or the settings make no chain.
    pub async fn start(ex: Arc<Executor<'static>>, config: DevnetConfig) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let Some((world, people)) = World::new(&config, now) else {
            let text = "the devnet's settings make no chain";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let allow: Vec<String> = jwt::PERMISSIONS.map(str::to_owned).to_vec();
        let token = jwt::issue(&world.token_secret, &allow);

        let mut listeners = Vec::new();
        let mut nodes = Vec::new();
        for number in 0..=config.more_nodes.len() {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let address = if number == 0 { config.node } else { any };
            let listener = Listener::bind(address).await?;
            nodes.push(listener.local_addr());
            listeners.push((listener, Role::Node(number)));
        }
        let mut miners = Vec::new();
        let mut workers = Vec::new();
        for (index, miner) in config.miners.iter().enumerate() {
            let listener = Listener::bind(miner.listen).await?;
            miners.push(listener.local_addr());
            listeners.push((listener, Role::Miner(index)));
            let mut worker = None;
            if config.worker_redirect {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let listener = Listener::bind(address).await?;
                worker = Some(format!("http://{}{PUSH_PATH}", listener.local_addr()));
                listeners.push((listener, Role::Worker(index)));
            }
            workers.push(worker);
        }
        let shared = Arc::new(Shared::new(world, workers, READERS)?);
        let limits = Limits {
            connections: CONNECTIONS,
            // Pieces have no limit; calls have their own.
            body_bytes: u64::MAX,
            ..Limits::default()
        };
        let mut tasks: Vec<Task<()>> = Vec::new();
        for (listener, role) in listeners {
            let shared = Arc::clone(&shared);
            let handler = move |request, _| answer(Arc::clone(&shared), role, request);
            tasks.push(ex.spawn(listener.run(Arc::clone(&ex), limits, handler)));
        }
        if !config.epoch.is_zero() {
            tasks.push(ex.spawn(tick(Arc::clone(&shared), config.epoch)));
        }
        Ok(Self {
            shared,
            people,
            nodes,
            miners,
            token,
            _tasks: tasks,
        })
    }

    /// The value for `FULLNODE_API_INFO`: token and multiaddr.
    pub fn fullnode_api_info(&self) -> String {
        self.node_api_info(0)
    }

    /// The same for the node with this place: 0, then the further ones. A gateway takes no token.
    pub fn node_api_info(&self, node: usize) -> String {
        let kind = kinds::kind_of(&self.shared.world().config, node);
        let token = match kind {
            NodeKind::Gateway => "",
            _ => &self.token,
        };
        let address = self.nodes.get(node);
        address.map_or_else(String::new, |address| api_info(token, *address))
    }

    /// The value for `MINER_API_INFO` of the miner with this place in the settings; empty if there is no such miner.
    pub fn miner_api_info(&self, index: usize) -> String {
        let address = self.miners.get(index);
        address.map_or_else(String::new, |address| api_info(&self.token, *address))
    }

    /// A token with these permissions only.
    pub fn token(&self, allow: &[&str]) -> String {
        let allow: Vec<String> = allow.iter().map(|name| (*name).to_owned()).collect();
        jwt::issue(&self.shared.world().token_secret, &allow)
    }

    /// The node's address.
    pub fn node_addr(&self) -> SocketAddr {
        // There is always a first one.
        let none = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.nodes.first().copied().unwrap_or(none)
    }

    /// The address of the miner with this place in the settings.
    pub fn miner_addr(&self, index: usize) -> Option<SocketAddr> {
        self.miners.get(index).copied()
    }

    /// Clients, owners, workers, and their keys.
    pub fn people(&self) -> &People {
        &self.people
    }

    /// Everybody who has a key, funded.
    pub fn wallets(&self) -> Vec<Wallet> {
        self.people.all()
    }

    /// The head's height.
    pub fn epoch(&self) -> ChainEpoch {
        self.shared.world().chain.epoch()
    }

    /// Makes tipsets at once.
    pub fn advance(&self, epochs: u32) {
        for _ in 0..epochs {
            self.shared.world().tick();
        }
    }

    /// Every message that was pushed, in no special order.
    pub fn received_messages(&self) -> Vec<SignedMessage> {
        let world = self.shared.world();
        world.chain.messages().cloned().collect()
    }

    /// The sectors of the miner with this place in the settings.
    pub fn sectors(&self, miner: usize) -> Vec<Sector> {
        let world = self.shared.world();
        let miner = world.miners.get(miner);
        miner.map_or_else(Vec::new, |miner| miner.sectors.all().cloned().collect())
    }

    /// Live deals with their numbers, as the head's state has them.
    pub fn deals(&self) -> Vec<(u64, Deal)> {
        let world = self.shared.world();
        let deals = world.chain.state().market.deals.iter();
        deals
            .map(|(number, deal)| (*number, Deal::clone(deal)))
            .collect()
    }

    /// How often each method was called, at all nodes and miners together, since the start.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.shared.world().calls.clone()
    }

    /// Begins to record calls with their parameters, and forgets those recorded so far; see [`Devnet::recorded`].
    pub fn record(&self) {
        self.shared.world().recorded = Some(Vec::new());
    }

    /// The calls since [`Devnet::record`], at all nodes and miners together, in their order; the first 100,000 of them.
    pub fn recorded(&self) -> Vec<(&'static str, Vec<serde_json::Value>)> {
        self.shared.world().recorded.clone().unwrap_or_default()
    }

    /// Adds scripted trouble; earlier trouble comes first.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.world().faults.push(fault);
    }

    /// Ends all scripted trouble.
    pub fn clear_faults(&self) {
        self.shared.world().faults.clear();
    }

    /// Puts a sector into any state, in which it stays; false if there is no such sector.
    pub fn force_sector(&self, miner: usize, sector: u64, state: &str, error: &str) -> bool {
        let mut world = self.shared.world();
        let miner = world.miners.get_mut(miner);
        miner.is_some_and(|miner| miner.sectors.force(sector, state, error))
    }

    /// Changes what a miner has on chain as its contact: binary peer ID and multiaddrs.
    pub fn set_contact(&self, miner: usize, peer_id: Vec<u8>, multiaddrs: Vec<Vec<u8>>) {
        let mut world = self.shared.world();
        let Some(actor) = world.miners.get(miner).map(|miner| miner.actor) else {
            return;
        };
        world.chain.change(|state| {
            if let Some(miner) = state.miner_mut(actor) {
                miner.peer_id = peer_id;
                miner.multiaddrs = multiaddrs;
            }
        });
    }

    /// Changes an account's balance on chain to this many attoFIL.
    pub fn set_balance(&self, wallet: &Wallet, balance: &TokenAmount) {
        self.shared.world().chain.change(|state| {
            let number = state.resolve(&wallet.address);
            if let Some(actor) = number.and_then(|number| state.actors.get_mut(&number)) {
                actor.balance = balance.clone();
            }
        });
    }
}

/// Token and multiaddr, as Lotus prints them.
fn api_info(token: &str, address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "ip4" } else { "ip6" };
    let colon = if token.is_empty() { "" } else { ":" };
    format!(
        "{token}{colon}/{family}/{}/tcp/{}/http",
        address.ip(),
        address.port()
    )
}

/// The clock.
async fn tick(shared: Arc<Shared>, epoch: Duration) {
    loop {
        Timer::after(epoch).await;
        shared.world().tick();
    }
}
