//! A host program on async-std with a whole provider inside: the provider spawns everything on an executor that the
//! host drives with its own threads, beside whatever else the host does.
//!
//!     cargo run --example async_std_host
//!
//! So that there is something to see, it also brings a network to provide for, and a client. The client proposes an
//! offline deal, the host imports the data through the provider's handle, and everybody watches it come to Proving.
//! A real host has its settings in the environment: `Config::from_env(std::env::vars_os())`.

use async_std::task;
use coracle::chain::{Chain, Lotus};
use coracle::client::deal::{self, Wanted};
use coracle::client::pack;
use coracle::config::Config;
use coracle::deal::Import;
use coracle::devnet::{Devnet, DevnetConfig};
use coracle::filecoin::{Address, SecretKey};
use coracle::market::{DealEvent, Wish};
use coracle::p2p::{Node, NodeConfig};
use coracle::piece::Commp;
use coracle::provider::Provider;
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Between two looks at something that takes its time.
const POLL: Duration = Duration::from_millis(100);

fn main() -> Outcome<()> {
    let home = std::env::temp_dir().join(format!("coracle-example-{}", std::process::id()));
    std::fs::create_dir_all(&home)?;
    let outcome = task::block_on(host(&home));
    std::fs::remove_dir_all(&home)?;
    outcome
}

async fn host(home: &Path) -> Outcome<()> {
    // What the provider spawns runs on two of the host's threads until this channel closes.
    let executor = Arc::new(smol::Executor::<'static>::new());
    let (over, stopped) = smol::channel::bounded::<()>(1);
    let driven: Vec<_> = (0..2)
        .map(|_| {
            let (executor, stopped) = (Arc::clone(&executor), stopped.clone());
            task::spawn(async move {
                let _ = executor.run(stopped.recv()).await;
            })
        })
        .collect();

    let network = Devnet::start(Arc::clone(&executor), DevnetConfig::default()).await?;
    let config = Config::from_env(settings(&network, home))?;
    let provider = Provider::start(&executor, &config).await?;
    println!("provider {} is up", provider.peer_id());
    let outcome = whole_deal(&provider, &network, home).await;

    provider.stop().await;
    drop(over);
    for thread in driven {
        thread.await;
    }
    outcome
}

fn settings(network: &Devnet, home: &Path) -> BTreeMap<OsString, OsString> {
    let set = [
        ("CORACLE_HOME", home.join("provider").into_os_string()),
        ("CORACLE_MINERS", "f01000".into()),
        ("FULLNODE_API_INFO", network.fullnode_api_info().into()),
        ("MINER_API_INFO", network.miner_api_info(0).into()),
        ("CORACLE_LISTEN", "/ip4/127.0.0.1/tcp/0".into()),
        ("CORACLE_HTTP_LISTEN", "127.0.0.1:0".into()),
        ("CORACLE_ADMIN_LISTEN", "127.0.0.1:0".into()),
        ("CORACLE_CHAIN_POLL", "100ms".into()),
        ("CORACLE_PUBLISH_PERIOD", "0s".into()),
        ("CORACLE_PUBLISH_CONFIDENCE", "3".into()),
    ];
    set.map(|(name, value)| (name.into(), value)).into()
}

/// The client's side and the operator's.
async fn whole_deal(provider: &Provider, network: &Devnet, home: &Path) -> Outcome<()> {
    let (node, driver, _) = Node::new(NodeConfig {
        key: libp2p::identity::Keypair::generate_ed25519(),
        listen: Vec::new(),
        external: Vec::new(),
        agent: "example".to_owned(),
        serve: false,
    })?;
    let client = task::spawn(driver);
    let (peer, addresses) = (provider.peer_id(), provider.listen_addrs().await);
    // The provider has an ask once it has seen the chain.
    let miner = Address::id(1000);
    let price = loop {
        let answer = node.ask(peer, &addresses, miner.clone()).await?;
        match answer.ask.and_then(|signed| signed.ask) {
            Some(ask) => break ask.price,
            None => task::sleep(POLL).await,
        }
    };

    let (car, mut wanted) = prepare(network, miner, home).await?;
    wanted.storage_price = price;
    let key: &SecretKey = &network.people().client.key;
    let uuid = Uuid::new_v4();
    let params = deal::propose(&wanted, key, uuid);
    let mut events = provider.market().events_of(uuid)?;
    let answer = node.propose(peer, &addresses, &params).await?;
    if !answer.accepted {
        return Err(answer.message.into());
    }
    println!("deal {uuid} is accepted");
    let import = Import::new(car.to_string_lossy(), true);
    provider.market().wish(uuid, Wish::Import(import)).await?;

    // The host is told what happens; nobody has to ask again and again.
    while let Some(event) = events.next().await {
        match event {
            DealEvent::Logged(_, line) => println!("  {}", line.text),
            DealEvent::Updated(deal) if !deal.error.is_empty() => {
                return Err(deal.error.clone().into());
            }
            DealEvent::Updated(deal) if deal.sealed => break,
            _ => {}
        }
    }
    let request = deal::status_request(uuid, key);
    let answer = node.status(peer, &addresses, &request).await?;
    let status = answer.status.ok_or(answer.error)?;
    println!(
        "the client sees {} {}",
        status.status, status.sealing_status
    );
    node.close().await;
    client.await;
    Ok(())
}

/// A CAR of a mebibyte, and terms for it. Packing, hashing and RPC block: the host has threads for that.
async fn prepare(network: &Devnet, miner: Address, home: &Path) -> Outcome<(PathBuf, Wanted)> {
    let (input, car) = (home.join("input"), home.join("input.car"));
    let (info, epoch) = (network.fullnode_api_info(), network.epoch());
    task::spawn_blocking(move || {
        std::fs::write(&input, vec![b'.'; 1 << 20])?;
        let packed = pack::pack(&input, &car)?;
        let mut hasher = Commp::new();
        hasher.update(&std::fs::read(&car)?);
        let commitment = hasher.finish();
        // The hash of a few blocks may be of a piece that is smaller than the provider's smallest.
        let piece_size = commitment.padded_size.max(1 << 20);
        let root = commitment.extend_to(piece_size).ok_or("too large")?;
        let chain = Lotus::new(&info, None, BTreeMap::new())?;
        let minimum = chain.collateral_bounds(piece_size, false)?.min;
        let wanted = Wanted {
            provider: miner,
            piece_cid: coracle::filecoin::cids::piece_cid(&root),
            piece_size,
            payload_cid: packed.root,
            download: None,
            start_epoch: epoch + deal::START_OFFSET,
            duration: deal::DURATION,
            storage_price: minimum.clone(),
            provider_collateral: deal::default_collateral(&minimum),
            verified: false,
            skip_announce: false,
            remove_unsealed: false,
        };
        Ok((car, wanted))
    })
    .await
}
