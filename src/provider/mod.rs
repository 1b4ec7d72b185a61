//! The whole provider: settings in, a running market node out.
//!
//! It runs on any executor's thread: everything is spawned on the [`smol::Executor`] that the caller drives, alone
//! (`coracle run`) or inside a foreign runtime (`examples/async_std_host.rs`).

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod check;
pub mod identity;
mod protocols;
mod sealers;
mod tickets;

#[cfg(test)]
mod tests;

use crate::chain::Lotus;
use crate::config::{Config, MinerConfig, SETTINGS};
use crate::deal::Terms;
use crate::market::admin::Admin;
use crate::market::{
    self, DropFolder, Files, Handle, MinerSettings, Parts, Settings, SystemDisk, Threads,
};
use crate::p2p::{Node, NodeConfig};
use crate::serve::files;
use crate::serve::listener::{Limits, Listener};
use crate::serve::public::{PieceLookup, Public};
use crate::store::Redb;
use crate::transfer::{FetchLimits, Fetcher};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use libp2p::{Multiaddr, PeerId};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// A running provider.
pub struct Provider {
    market: Handle,
    node: Node,
    http: SocketAddr,
    admin: SocketAddr,
    tasks: Vec<smol::Task<()>>,
    closed: Shared<BoxFuture<'static, ()>>,
}

/// Why a provider could not start: one line for the operator.
#[derive(Debug)]
pub struct ProviderError(String);

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProviderError {}

fn failed(what: &str, why: impl fmt::Display) -> ProviderError {
    ProviderError(format!("{what}: {why}"))
}

/// Open connections of the admin listener: an operator, a monitor, a few scripts.
const ADMIN_CONNECTIONS_MAX: usize = 16;

/// Open connections of the public listener.
const PUBLIC_CONNECTIONS_MAX: usize = 128;

/// Longest wait between two tries, in milliseconds: ten minutes, as the reference.
const RETRY_WAIT_MAX: u64 = 600_000;

impl Provider {
    /// Starts everything; returns when all sockets listen.
    ///
    /// # Errors
    /// What could not be opened, in words for the operator.
    pub async fn start(
        executor: &Arc<smol::Executor<'static>>,
        config: &Config,
    ) -> Result<Self, ProviderError> {
        std::fs::create_dir_all(&config.home)
            .map_err(|error| failed(&config.home.display().to_string(), error))?;
        if let Some(authorities) = &config.authorities {
            crate::rpc::trust(authorities);
        }
        let key = identity::libp2p_key(&config.libp2p_key_file, config.libp2p_key_given)
            .map_err(|error| failed("libp2p key", error))?;
        let token =
            identity::admin_token(&config.home).map_err(|error| failed("admin token", error))?;
        // All sockets before the first deal moves: a port in use is found out without side effects.
        let public = bind("CORACLE_HTTP_LISTEN", config.http_listen).await?;
        let private = bind("CORACLE_ADMIN_LISTEN", config.admin_listen).await?;
        let (http, admin) = (public.local_addr(), private.local_addr());
        let (node, driver, inbound) =
            Node::new(node_config(config, key)).map_err(|error| failed("CORACLE_LISTEN", error))?;

        let threads = Threads::start().map_err(|error| failed("threads", error))?;
        let tickets = tickets::Tickets::default();
        let store = open_store(config)?;
        let closed = store.closed().boxed().shared();
        let parts = parts(config, &tickets, store)?;
        let (market, loop_task) = market::start(settings(config), parts, threads)
            .map_err(|error| failed("start", error))?;
        let protocols = protocols::Protocols {
            market: market.clone(),
            node: node.clone(),
            public_url: config.public_url.clone(),
        };
        let mut tasks = vec![
            executor.spawn(loop_task),
            executor.spawn(driver),
            executor.spawn(protocols.serve(Arc::clone(executor), inbound)),
        ];
        let pieces = pieces(&market, tickets)?;
        let limits = connections(PUBLIC_CONNECTIONS_MAX);
        tasks.push(
            executor.spawn(public.run(Arc::clone(executor), limits, move |request, _| {
                pieces.answer(&request)
            })),
        );
        let about = about(&node.peer_id(), &node.listen_addrs().await, http);
        let operator = Admin::new(market.clone(), token, about);
        let limits = connections(ADMIN_CONNECTIONS_MAX);
        tasks.push(executor.spawn(
            private.run(Arc::clone(executor), limits, move |request, _| {
                let operator = operator.clone();
                async move { operator.answer(request).await }
            }),
        ));
        Ok(Self {
            market,
            node,
            http,
            admin,
            tasks,
            closed,
        })
    }

    /// The market's handle: proposals, status, events, operator's wishes.
    pub fn market(&self) -> &Handle {
        &self.market
    }

    /// The libp2p identity.
    pub fn peer_id(&self) -> PeerId {
        self.node.peer_id()
    }

    /// Where libp2p listens.
    pub async fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.node.listen_addrs().await
    }

    /// Where pieces are served.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where operators are served.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// Ends when the database is closed, so that this process can open it again. That is some time after [`Provider::stop`]: a
    /// thread may still wait for the chain or a sealer then, and an open connection live on the executor until that is dropped.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        self.closed.clone()
    }

    /// Stops taking proposals, saves, and ends. [`Provider::closed`] is for whoever starts a provider again in this process.
    pub async fn stop(self) {
        self.node.close().await;
        self.market.stop().await;
        for task in self.tasks {
            task.cancel().await;
        }
    }
}

async fn bind(setting: &str, address: SocketAddr) -> Result<Listener, ProviderError> {
    let bound = Listener::bind(address).await;
    bound.map_err(|error| failed(&format!("{setting} {address}"), error))
}

fn connections(connections: usize) -> Limits {
    Limits {
        connections,
        ..Limits::default()
    }
}

fn node_config(config: &Config, key: libp2p::identity::Keypair) -> NodeConfig {
    NodeConfig {
        key,
        listen: config.listen.clone(),
        external: config.announce.clone(),
        agent: format!("coracle/{}", env!("CARGO_PKG_VERSION")),
        serve: true,
    }
}

/// The public side: kept pieces, and those that a sealer fetches.
fn pieces(market: &Handle, tickets: tickets::Tickets) -> Result<Public, ProviderError> {
    let readers = files::readers().map_err(|error| failed("threads", error))?;
    let kept: Arc<dyn PieceLookup> = Arc::new(protocols::KeptPieces(market.clone()));
    let handovers = tickets::Handovers {
        tickets,
        kept: Arc::clone(&kept),
    };
    Ok(Public::new(kept, Arc::new(handovers), readers))
}

fn about(peer: &PeerId, addresses: &[Multiaddr], http: SocketAddr) -> serde_json::Value {
    serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "peer_id": peer.to_string(),
        "addresses": addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "http": http.to_string(),
    })
}

/// The clock of production.
pub fn now_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn open_store(config: &Config) -> Result<Redb, ProviderError> {
    let cache = usize::try_from(config.db_cache_bytes).unwrap_or(usize::MAX);
    Redb::open(&config.home.join("coracle.redb"), cache).map_err(|error| failed("start", error))
}

fn parts(config: &Config, tickets: &tickets::Tickets, store: Redb) -> Result<Parts, ProviderError> {
    let wallets = config
        .miners
        .iter()
        .filter_map(|miner| Some((miner.address.clone(), miner.publish_wallet.clone()?)))
        .collect();
    let chain = Lotus::new(
        &config.fullnode_api_info,
        Some(Box::new(identity::OwnKeys::of(&config.home))),
        wallets,
    )
    .map_err(|error| failed("FULLNODE_API_INFO", error))?;
    let sealers = sealers::routed(config, tickets).map_err(ProviderError)?;
    let limits = FetchLimits {
        private_urls: config.private_urls.clone(),
        ..FetchLimits::default()
    };
    Ok(Parts {
        chain: Arc::new(chain),
        sealers,
        store: Arc::new(store),
        fetcher: Arc::new(Fetcher::new(limits)),
        disk: Arc::new(SystemDisk),
        now: Arc::new(now_millis),
        sleep: Arc::new(market::sleep),
        fresh: Arc::new(Uuid::new_v4),
    })
}

fn settings(config: &Config) -> Settings {
    Settings {
        miners: config
            .miners
            .iter()
            .map(|miner| (miner.address.clone(), miner_settings(config, miner)))
            .collect(),
        files: Files {
            staging: config.staging.clone(),
            pieces: config.pieces.clone(),
        },
        transfers_max: config.transfers_max,
        imports_max: config.imports_max,
        drop_folder: config.drop_folder.as_ref().map(|path| DropFolder {
            // A path that is stored in a record must mean the same at the next start.
            path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            poll: config.drop_poll,
            delete_after: config.drop_delete,
        }),
        chain_poll: config.chain_poll,
        // A sector takes hours: once per epoch is often.
        seal_poll: config.chain_poll,
        deal_watch: config.deal_watch,
        keep_bytes_max: config.keep_pieces_bytes_max,
    }
}

fn miner_settings(config: &Config, miner: &MinerConfig) -> MinerSettings {
    MinerSettings {
        terms: Terms {
            online: miner.consider_online,
            offline: miner.consider_offline,
            verified: miner.consider_verified,
            unverified: miner.consider_unverified,
            blocklist: miner.piece_blocklist.iter().copied().collect(),
            clients_allowed: miner.clients_allowed.iter().cloned().collect(),
            clients_denied: miner.clients_denied.iter().cloned().collect(),
            seal_duration: miner.expected_seal_duration,
            start_delay_max: miner.start_delay_max,
            sealing_buffer: miner.sealing_buffer,
            staging_bytes_max: config.staging_bytes_max,
            staging_host_percent: u64::try_from(config.staging_host_percent_max).unwrap_or(0),
            staging_client_bytes_max: config.staging_client_bytes_max,
            deals_per_message: u64::try_from(miner.publish_deals_max).unwrap_or(u64::MAX),
            publish_fee_max: miner.publish_fee_max.clone(),
            escrow_low: miner.escrow_low.clone(),
            confidence: miner.publish_confidence,
            stuck_after: miner.publish_stuck_epochs,
            publish_by_hand: miner.publish_manual,
            retry_first: u64::try_from(miner.retry_wait.as_millis()).unwrap_or(u64::MAX),
            retry_max: RETRY_WAIT_MAX,
        },
        publish_period: miner.publish_period,
        first_ask: crate::market::FirstAsk {
            price: miner.ask_price.clone(),
            verified_price: miner.ask_verified_price.clone(),
            min_piece_size: miner.piece_size_min,
            max_piece_size: miner.piece_size_max,
        },
        filter: miner.filter.clone().map(|command| market::Filter {
            command,
            time_out: miner.filter_timeout,
            late_accepts: miner.filter_late_accepts,
            hidden: secrets(),
        }),
    }
}

/// Names of the variables that hold secrets or say where they are.
fn secrets() -> Vec<String> {
    let secret = SETTINGS.iter().filter(|setting| setting.secret);
    secret
        .flat_map(|setting| [setting.name.to_owned(), format!("{}_FILE", setting.name)])
        .collect()
}
