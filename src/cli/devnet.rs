//! `coracle devnet`: a stand-in chain node and its miners, until interrupted.

use super::{Failure, args, signals, terminal};
use crate::devnet::{Devnet, DevnetConfig, MinerConfig, NodeKind, Wallet};
use serde_json::{Value, json};
use smol::Executor;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds between tipsets: quick enough to watch a deal, slow enough to follow it.
const DEFAULT_EPOCH_MS: u64 = 1_000;

/// Shorter epochs would leave no time for anything else; longer ones than the main network's help nobody.
const EPOCH_MS: std::ops::RangeInclusive<u64> = 10..=60_000;

/// Miners at most: each has a listener and threads of its own.
const MAX_MINERS: u64 = 16;

/// Further clients at most: each has a key to be made.
const MAX_CLIENTS: u32 = 1_000;

/// The number of the first miner.
const FIRST_MINER: u64 = 1000;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Options {
    epoch_ms: u64,
    miners: u64,
    clients: u32,
    auth: bool,
    port: u16,
    kind: NodeKind,
    json: bool,
}

impl Options {
    fn read(mut arguments: pico_args::Arguments) -> Result<Self, Failure> {
        let options = Self {
            epoch_ms: arguments
                .opt_value_from_str("--epoch")?
                .unwrap_or(DEFAULT_EPOCH_MS),
            miners: arguments.opt_value_from_str("--miners")?.unwrap_or(1),
            clients: arguments.opt_value_from_str("--clients")?.unwrap_or(0),
            auth: arguments.contains("--auth"),
            port: arguments.opt_value_from_str("--port")?.unwrap_or(0),
            kind: arguments
                .opt_value_from_fn("--node", kind)?
                .unwrap_or_default(),
            json: arguments.contains("--json"),
        };
        args::finish(arguments)?;
        if !EPOCH_MS.contains(&options.epoch_ms) {
            return Err(Failure::Usage(format!(
                "--epoch is in milliseconds, {} to {}",
                EPOCH_MS.start(),
                EPOCH_MS.end()
            )));
        }
        if !(1..=MAX_MINERS).contains(&options.miners) {
            let text = format!("--miners is a number from 1 to {MAX_MINERS}");
            return Err(Failure::Usage(text));
        }
        if options.clients > MAX_CLIENTS {
            let text = format!("--clients is a number up to {MAX_CLIENTS}");
            return Err(Failure::Usage(text));
        }
        Ok(options)
    }

    /// The devnet's settings; the node gets the port, the miners those after it.
    fn config(&self) -> DevnetConfig {
        let address = |offset: u64| {
            let port = u64::from(self.port).saturating_add(offset);
            let port = u16::try_from(port).ok().filter(|_| self.port != 0);
            SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)))
        };
        let miners = (0..self.miners).map(|number| MinerConfig {
            listen: address(number.saturating_add(1)),
            ..MinerConfig::new(FIRST_MINER.saturating_add(number))
        });
        DevnetConfig {
            node: address(0),
            miners: miners.collect(),
            clients: self.clients,
            epoch: Duration::from_millis(self.epoch_ms),
            auth: self.auth,
            kind: self.kind,
            ..DevnetConfig::default()
        }
    }
}

/// A kind of node by its name.
fn kind(name: &str) -> Result<NodeKind, String> {
    let found = NodeKind::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let names = NodeKind::ALL.map(|(known, _)| known);
        format!("--node is one of {}", names.join(", "))
    })
}

/// Runs the command.
///
/// # Errors
/// Wrong options, or an address that cannot be bound.
pub fn run(arguments: pico_args::Arguments) -> Result<(), Failure> {
    let options = Options::read(arguments)?;
    let stopped = signals::wait();
    let ex = Arc::new(Executor::new());
    smol::block_on(ex.run(async {
        let devnet = Devnet::start(Arc::clone(&ex), options.config())
            .await
            .map_err(|error| Failure::Failed(format!("cannot start the devnet: {error}")))?;
        if options.json {
            terminal::json(&as_json(&devnet, &options));
        } else {
            terminal::print(&as_text(&devnet, &options));
        }
        stopped.await;
        Ok(())
    }))
}

/// The miners' connection strings.
fn miner_infos(devnet: &Devnet, options: &Options) -> Vec<String> {
    let indexes = 0..usize::try_from(options.miners).unwrap_or(0);
    indexes.map(|index| devnet.miner_api_info(index)).collect()
}

/// One object with everything, for scripts.
fn as_json(devnet: &Devnet, options: &Options) -> Value {
    let wallet = |wallet: &Wallet| {
        json!({
            "name": wallet.name,
            "address": wallet.address.to_string(),
            "id": wallet.id.to_string(),
            "key": wallet.key.export_lotus(),
        })
    };
    json!({
        "fullnode_api_info": devnet.fullnode_api_info(),
        "miner_api_info": miner_infos(devnet, options),
        "epoch_ms": options.epoch_ms,
        "head": devnet.epoch(),
        "wallets": devnet.wallets().iter().map(wallet).collect::<Vec<Value>>(),
    })
}

/// Two settings and the clients' keys, in a form that an environment file can hold.
fn as_text(devnet: &Devnet, options: &Options) -> String {
    let mut text = format!(
        "FULLNODE_API_INFO={}\nMINER_API_INFO={}\n",
        devnet.fullnode_api_info(),
        miner_infos(devnet, options).join(",")
    );
    let people = devnet.people();
    let mut line = |line: String| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{line}");
    };
    line("#".to_owned());
    line("# Clients with 10,000 FIL and 1,000 FIL of market escrow. `coracle wallet import` takes the keys.".to_owned());
    let named = [&people.client, &people.bls_client, &people.verified_client];
    for wallet in named.into_iter().chain(&people.more_clients) {
        line("#".to_owned());
        line(format!("# {}", wallet.name));
        line(format!("#   address {}", wallet.address));
        line(format!("#   key     {}", wallet.key.export_lotus()));
    }
    if options.kind == NodeKind::Gateway {
        line("#".to_owned());
        line(
            "# A gateway has no wallet: the workers' keys belong into the provider's keystore."
                .to_owned(),
        );
        for [_, worker, _] in &people.miners {
            line("#".to_owned());
            line(format!("# {}", worker.name));
            line(format!("#   address {}", worker.address));
            line(format!("#   key     {}", worker.key.export_lotus()));
        }
    }
    line("#".to_owned());
    let millis = options.epoch_ms;
    line(format!(
        "# The chain is at epoch {} and gets one more every {millis} ms, until Ctrl-C.",
        devnet.epoch()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn read(line: &str) -> Result<Options, Failure> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        Options::read(pico_args::Arguments::from_vec(words))
    }

    #[test]
    fn without_options_it_takes_free_ports() {
        let config = read("").unwrap().config();
        assert_eq!(config.node.port(), 0);
        assert_eq!(config.miners.len(), 1);
        assert_eq!(config.clients, 0);
        assert_eq!(config.miners[0].listen.port(), 0);
        assert_eq!(config.epoch, Duration::from_secs(1));
        assert!(!config.auth);
        assert_eq!(config.kind, NodeKind::Lotus);
        let forest = read("--node forest").unwrap().config();
        assert_eq!(forest.kind, NodeKind::Forest);
    }

    #[test]
    fn ports_follow_the_node() {
        let config = read("--port 7000 --miners 3 --clients 64 --epoch 50 --auth")
            .unwrap()
            .config();
        assert_eq!(config.node.port(), 7000);
        let miners: Vec<(u64, u16)> = config
            .miners
            .iter()
            .map(|miner| (miner.actor_id, miner.listen.port()))
            .collect();
        assert_eq!(miners, [(1000, 7001), (1001, 7002), (1002, 7003)]);
        assert_eq!(config.epoch, Duration::from_millis(50));
        assert!(config.auth);
        assert_eq!(config.clients, 64);
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for line in [
            "--epoch 0",
            "--epoch 60001",
            "--epoch soon",
            "--miners 0",
            "--miners 17",
            "--clients 1001",
            "--port 65536",
            "--node curio",
            "extra",
            "--what",
        ] {
            assert!(matches!(read(line), Err(Failure::Usage(_))), "{line}");
        }
    }
}
