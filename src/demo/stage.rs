//! The stage: a directory, the devnet, the CAR's server, the provider.

use super::input::Packed;
use super::{DemoError, Event, failed};
use crate::config::Config;
use crate::devnet::{Devnet, DevnetConfig};
use crate::filecoin::{Address, SecretKey};
use crate::provider::Provider;
use crate::serve::files::{self, FileSpec};
use crate::serve::listener::{Limits, Listener};
use cid::Cid;
use libp2p::{Multiaddr, PeerId};
use smol::channel::{Receiver, Sender, bounded};
use std::ffi::OsString;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Length of the devnet's epochs.
const EPOCH: Duration = Duration::from_millis(100);

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Where the demo's files lie; a temporary one is removed in the end.
pub(super) struct Directory {
    path: PathBuf,
    temporary: bool,
}

impl Directory {
    pub(super) fn create(keep: Option<PathBuf>) -> Result<Self, DemoError> {
        let temporary = keep.is_none();
        let path = keep.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("coracle-demo-{}", std::process::id()))
        });
        std::fs::create_dir_all(&path)
            .map_err(|error| failed(&format!("creating {}", path.display()), error))?;
        Ok(Self { path, temporary })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            log::warn!("{}: cannot be removed: {error}", self.path.display());
        }
    }
}

/// A part of the stage on a thread of its own, with an executor of its own.
struct Actor {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Actor {
    /// Starts a part; returns what it tells once it is up.
    fn start<T, F, R>(name: &str, play: F) -> Result<(Self, T), DemoError>
    where
        T: Send + 'static,
        F: FnOnce(Arc<smol::Executor<'static>>, Sender<Result<T, String>>, Receiver<()>) -> R
            + Send
            + 'static,
        R: Future<Output = ()>,
    {
        let (stop, stopped) = bounded(1);
        let (told, up) = bounded(1);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let executor = Arc::new(smol::Executor::new());
                let playing = play(Arc::clone(&executor), told, stopped);
                smol::block_on(executor.run(playing));
            })
            .map_err(|error| failed(name, error))?;
        match up.recv_blocking() {
            Ok(Ok(up)) => Ok((Self { stop, thread }, up)),
            Ok(Err(why)) => Err(failed(name, why)),
            Err(_) => Err(failed(name, "it ended at once")),
        }
    }

    fn stop(self, name: &str) -> Result<(), DemoError> {
        drop(self.stop);
        self.thread.join().map_err(|_| failed(name, "it panicked"))
    }
}

/// What the devnet tells.
struct Chain {
    node_info: String,
    miner_info: String,
    miner: Address,
    wallet: SecretKey,
    car_url: String,
}

/// What the provider tells.
struct Host {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    http: SocketAddr,
    admin: SocketAddr,
}

/// Everything that is up.
pub(super) struct Stage {
    devnet: Actor,
    provider: Actor,
    chain: Chain,
    host: Host,
    home: PathBuf,
}

impl Stage {
    pub(super) fn start(directory: &Path, packed: &Packed) -> Result<Self, DemoError> {
        let (devnet, chain) = start_devnet(packed.car.clone(), packed.car_size)?;
        let home = directory.join("provider");
        let config = Config::from_env(settings(&chain, &home))
            .map_err(|errors| failed("settings", errors))?;
        let (provider, host) = start_provider(config)?;
        Ok(Self {
            devnet,
            provider,
            chain,
            host,
            home,
        })
    }

    pub(super) fn event(&self) -> Event {
        Event::Started {
            provider: self.host.peer.to_string(),
            http: format!("http://{}", self.host.http),
        }
    }

    /// Text for a client's `FULLNODE_API_INFO`.
    pub(super) fn node_info(&self) -> &str {
        &self.chain.node_info
    }

    pub(super) fn miner(&self) -> &Address {
        &self.chain.miner
    }

    /// A funded secp256k1 key.
    pub(super) fn wallet(&self) -> &SecretKey {
        &self.chain.wallet
    }

    pub(super) fn car_url(&self) -> &str {
        &self.chain.car_url
    }

    pub(super) fn peer(&self) -> (PeerId, &[Multiaddr]) {
        (self.host.peer, &self.host.addresses)
    }

    pub(super) fn piece_url(&self, piece: &Cid) -> String {
        format!("http://{}/piece/{piece}", self.host.http)
    }

    /// The provider's admin interface and the file of its token.
    pub(super) fn admin(&self) -> (SocketAddr, PathBuf) {
        (
            self.host.admin,
            self.home.join(crate::provider::identity::TOKEN_FILE),
        )
    }

    pub(super) fn stop(self) -> Result<(), DemoError> {
        self.provider.stop("provider")?;
        self.devnet.stop("devnet")
    }
}

fn start_devnet(car: PathBuf, car_size: u64) -> Result<(Actor, Chain), DemoError> {
    Actor::start("devnet", move |executor, told, stopped| async move {
        match play_devnet(&executor, car, car_size).await {
            Ok((chain, _devnet, _server)) => {
                let _ = told.send(Ok(chain)).await;
                // Ends when the stage drops its side.
                let _ = stopped.recv().await;
            }
            Err(why) => {
                let _ = told.send(Err(why)).await;
            }
        }
    })
}

async fn play_devnet(
    executor: &Arc<smol::Executor<'static>>,
    car: PathBuf,
    car_size: u64,
) -> Result<(Chain, Devnet, smol::Task<()>), String> {
    let config = DevnetConfig {
        epoch: EPOCH,
        ..DevnetConfig::default()
    };
    let miner = config
        .miners
        .first()
        .ok_or("the devnet has no miner")?
        .actor_id;
    let devnet = Devnet::start(Arc::clone(executor), config)
        .await
        .map_err(text)?;
    let readers = files::readers().map_err(text)?;
    let listener = Listener::bind(LOOPBACK).await.map_err(text)?;
    let car_url = format!("http://{}/demo.car", listener.local_addr());
    let serving = listener.run(
        Arc::clone(executor),
        Limits::default(),
        move |request, _| {
            let spec = FileSpec {
                path: car.clone(),
                len: car_size,
                etag: Some("\"demo\"".to_owned()),
                content_type: "application/vnd.ipld.car; version=1",
                pad_to: None,
            };
            files::serve_file(&request, spec, &readers)
        },
    );
    let server = executor.spawn(serving);
    let chain = Chain {
        node_info: devnet.fullnode_api_info(),
        miner_info: devnet.miner_api_info(0),
        miner: Address::id(miner),
        wallet: devnet.people().client.key.clone(),
        car_url,
    };
    Ok((chain, devnet, server))
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// The provider's settings, in the form that `coracle run` reads from its environment.
fn settings(chain: &Chain, home: &Path) -> Vec<(OsString, OsString)> {
    let prefix = chain.car_url.trim_end_matches("demo.car").to_owned();
    let set = |name: &str, value: String| (OsString::from(name), OsString::from(value));
    vec![
        set("CORACLE_HOME", home.to_string_lossy().into_owned()),
        set("CORACLE_MINERS", chain.miner.to_string()),
        set("FULLNODE_API_INFO", chain.node_info.clone()),
        set("MINER_API_INFO", chain.miner_info.clone()),
        set("CORACLE_LISTEN", "/ip4/127.0.0.1/tcp/0".to_owned()),
        set("CORACLE_HTTP_LISTEN", "127.0.0.1:0".to_owned()),
        set("CORACLE_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        set("CORACLE_PRIVATE_URLS", prefix),
        set("CORACLE_CHAIN_POLL", "100ms".to_owned()),
        set("CORACLE_PUBLISH_PERIOD", "0s".to_owned()),
        set("CORACLE_PUBLISH_CONFIDENCE", "3".to_owned()),
    ]
}

fn start_provider(config: Config) -> Result<(Actor, Host), DemoError> {
    Actor::start("provider", move |executor, told, stopped| async move {
        match Provider::start(&executor, &config).await {
            Ok(provider) => {
                let host = Host {
                    peer: provider.peer_id(),
                    addresses: provider.listen_addrs().await,
                    http: provider.http_addr(),
                    admin: provider.admin_addr(),
                };
                let _ = told.send(Ok(host)).await;
                let _ = stopped.recv().await;
                provider.stop().await;
            }
            Err(error) => {
                let _ = told.send(Err(error.to_string())).await;
            }
        }
    })
}
