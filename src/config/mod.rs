//! The settings: environment and `coracle.env` → [`Config`].
//!
//! In two steps: `raw` reads texts and where they came from, then every entry of the `table` that is
//! set is parsed into its typed place. All that is wrong is reported at once.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod env_file;
mod error;
mod nearest;
mod parties;
mod raw;
pub mod report;
mod setting;
mod table;
pub mod values;

pub use error::{ConfigError, ConfigErrors};
pub use nearest::nearest;
pub use raw::home;
pub use setting::Setting;
pub use table::SETTINGS;

use crate::filecoin::{Address, ChainEpoch, TokenAmount};
use crate::market::FilterCommand;
use crate::piece::sha256::Kernel;
use crate::rpc::Authorities;
use cid::Cid;
use libp2p::Multiaddr;
use raw::Raw;
use setting::Apply;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What one miner's deals are held to. Settings that are the same for all miners are in [`Config`].
#[allow(
    clippy::struct_excessive_bools,
    reason = "four switches that an operator sets one by one"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinerConfig {
    /// The miner's ID address (`f0…`).
    pub address: Address,
    /// Where its sealer fetches pieces; `None`: they are given to its entry of `miner_api_info`.
    pub handover_dir: Option<PathBuf>,
    /// Pays for publish messages; `None` chooses among the miner's own addresses.
    pub publish_wallet: Option<Address>,
    /// The most that one publish message may cost.
    pub publish_fee_max: TokenAmount,
    /// Less free market escrow than this is warned of.
    pub escrow_low: TokenAmount,
    /// Deals in one publish message.
    pub publish_deals_max: usize,
    /// The longest that a deal waits for company in its publish message.
    pub publish_period: Duration,
    /// Epochs on top of a publish message before it counts; none waits for what the chain calls final.
    pub publish_confidence: Option<ChainEpoch>,
    /// Epochs after which a publish message that was not executed is said to be stuck and replaced; 0 is never.
    pub publish_stuck_epochs: ChainEpoch,
    /// Nothing is published before the operator says so.
    pub publish_manual: bool,
    /// The first wait after a failure that goes away by itself.
    pub retry_wait: Duration,
    /// A deal must start at least this many epochs after its proposal.
    pub expected_seal_duration: ChainEpoch,
    /// A deal must start at most this many epochs after its proposal.
    pub start_delay_max: ChainEpoch,
    /// A deal is no longer published this close to its start, in epochs.
    pub sealing_buffer: ChainEpoch,
    /// Are deals taken whose data is downloaded?
    pub consider_online: bool,
    /// Are deals taken whose data is imported?
    pub consider_offline: bool,
    /// Are verified deals taken?
    pub consider_verified: bool,
    /// Are unverified deals taken?
    pub consider_unverified: bool,
    /// Pieces that are refused.
    pub piece_blocklist: Vec<Cid>,
    /// The only clients whose deals are taken; empty: everybody's.
    pub clients_allowed: Vec<Address>,
    /// Clients whose deals are refused.
    pub clients_denied: Vec<Address>,
    /// A shell command that looks at each proposal.
    pub filter: Option<FilterCommand>,
    /// The longest that it may run.
    pub filter_timeout: Duration,
    /// Does a proposal pass when it takes longer?
    pub filter_late_accepts: bool,
    /// Asked of unverified deals, per epoch and GiB.
    pub ask_price: TokenAmount,
    /// Asked of verified deals, per epoch and GiB.
    pub ask_verified_price: TokenAmount,
    /// The smallest padded piece, in bytes.
    pub piece_size_min: u64,
    /// The largest padded piece, in bytes.
    pub piece_size_max: u64,
}

/// All settings of `coracle run`, parsed and checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Database, keys, tokens, `coracle.env`.
    pub home: PathBuf,
    /// Data on its way in.
    pub staging: PathBuf,
    /// Data that was handed over and is still served.
    pub pieces: PathBuf,
    /// The libp2p key's file.
    pub libp2p_key_file: PathBuf,
    /// Was that file named by the operator? Then it must be there; else it is made at the first start.
    pub libp2p_key_given: bool,
    /// Who vouches for chain nodes and sealers over HTTPS; the public authorities if None.
    pub authorities: Option<Authorities>,
    /// The miners, at least one, none twice.
    pub miners: Vec<MinerConfig>,
    /// Where libp2p listens.
    pub listen: Vec<Multiaddr>,
    /// libp2p addresses told to others on top of the observed ones.
    pub announce: Vec<Multiaddr>,
    /// Where pieces are served.
    pub http_listen: SocketAddr,
    /// Where commands and the operator are served.
    pub admin_listen: SocketAddr,
    /// The public address of `http_listen`, without a slash at its end.
    pub public_url: Option<String>,
    /// Where a sealer reaches `http_listen`, without a slash at its end.
    pub sealer_url: Option<String>,
    /// The chain node's address and token. A secret.
    pub fullnode_api_info: String,
    /// The sealers' addresses and tokens. Secrets.
    pub miner_api_info: Vec<String>,
    /// How often the chain's head is read.
    pub chain_poll: Duration,
    /// How often a sealed deal is looked at on chain.
    pub deal_watch: Duration,
    /// Bytes that deals may reserve in `staging`.
    pub staging_bytes_max: u64,
    /// Bytes of them that one client's deals may reserve; 0: no limit of its own.
    pub staging_client_bytes_max: u64,
    /// Percent of them that downloads from one host may reserve; 0: no limit of its own.
    pub staging_host_percent_max: usize,
    /// Bytes that handed-over data may fill in `pieces`.
    pub keep_pieces_bytes_max: u64,
    /// Downloads at the same time.
    pub transfers_max: usize,
    /// How pieces are hashed; None: the fastest that the processor has.
    pub sha_kernel: Option<Kernel>,
    /// Imported files read at the same time.
    pub imports_max: usize,
    /// Where files are imported from by themselves.
    pub drop_folder: Option<PathBuf>,
    /// How often that is looked at.
    pub drop_poll: Duration,
    /// Are files deleted from there once the sealer has their piece?
    pub drop_delete: bool,
    /// URL prefixes from which downloads are allowed though they are not public.
    pub private_urls: Vec<String>,
    /// The database's cache.
    pub db_cache_bytes: u64,
    /// What is logged.
    pub log: log::LevelFilter,
}

/// Shows no secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("home", &self.home)
            .field("staging", &self.staging)
            .field("pieces", &self.pieces)
            .field("miners", &self.miners)
            .field("listen", &self.listen)
            .field("announce", &self.announce)
            .field("http_listen", &self.http_listen)
            .field("admin_listen", &self.admin_listen)
            .field("authorities", &self.authorities)
            .field("public_url", &self.public_url)
            .field("sealer_url", &self.sealer_url)
            .field("staging_bytes_max", &self.staging_bytes_max)
            .field("transfers_max", &self.transfers_max)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the variables (for a process `std::env::vars_os()`), `coracle.env` in the home directory and
    /// the files of secrets; creates nothing.
    pub fn from_env(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        let raw = Raw::read(vars);
        resolve(&raw).map_err(|all| ConfigErrors {
            all,
            nothing_set: raw.is_empty(),
        })
    }

    /// The settings of one of our miners.
    pub fn miner(&self, address: &Address) -> Option<&MinerConfig> {
        self.miners.iter().find(|miner| miner.address == *address)
    }

    /// A place for every setting before its default is put there; no value of it is ever used.
    fn blank(home: PathBuf) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            home,
            staging: PathBuf::new(),
            pieces: PathBuf::new(),
            libp2p_key_file: PathBuf::new(),
            libp2p_key_given: false,
            authorities: None,
            miners: Vec::new(),
            listen: Vec::new(),
            announce: Vec::new(),
            http_listen: nowhere,
            admin_listen: nowhere,
            public_url: None,
            sealer_url: None,
            fullnode_api_info: String::new(),
            miner_api_info: Vec::new(),
            chain_poll: Duration::ZERO,
            deal_watch: Duration::ZERO,
            staging_bytes_max: 0,
            staging_client_bytes_max: 0,
            staging_host_percent_max: 0,
            keep_pieces_bytes_max: 0,
            transfers_max: 0,
            sha_kernel: None,
            imports_max: 0,
            drop_folder: None,
            drop_poll: Duration::ZERO,
            drop_delete: false,
            private_urls: Vec::new(),
            db_cache_bytes: 0,
            log: log::LevelFilter::Off,
        }
    }
}

impl MinerConfig {
    /// As [`Config::blank`].
    fn blank() -> Self {
        Self {
            address: Address::id(0),
            handover_dir: None,
            publish_wallet: None,
            publish_fee_max: TokenAmount::default(),
            escrow_low: TokenAmount::default(),
            publish_deals_max: 0,
            publish_period: Duration::ZERO,
            publish_confidence: None,
            publish_stuck_epochs: 0,
            publish_manual: false,
            retry_wait: Duration::ZERO,
            expected_seal_duration: 0,
            start_delay_max: 0,
            sealing_buffer: 0,
            consider_online: false,
            consider_offline: false,
            consider_verified: false,
            consider_unverified: false,
            piece_blocklist: Vec::new(),
            clients_allowed: Vec::new(),
            clients_denied: Vec::new(),
            filter: None,
            filter_timeout: Duration::ZERO,
            filter_late_accepts: false,
            ask_price: TokenAmount::default(),
            ask_verified_price: TokenAmount::default(),
            piece_size_min: 0,
            piece_size_max: 0,
        }
    }
}

/// Where the running provider is found: all that a command needs that acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The home directory, with the admin token.
    pub home: PathBuf,
    /// Where the admin interface listens.
    pub admin_listen: SocketAddr,
}

impl Place {
    /// Reads only these two settings, so that a mistake in another one is in nobody's way.
    pub fn from_env(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let raw = Raw::read(vars);
        let home = raw.home.clone()?;
        let mut config = Config::blank(home);
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == "CORACLE_ADMIN_LISTEN");
        if let Some((setting, Apply::Provider(apply))) = setting.map(|s| (s, s.apply)) {
            let text = raw
                .text(setting.name)
                .or(setting.default)
                .unwrap_or_default();
            apply(&mut config, text).map_err(|reason| ConfigError::new(setting.name, reason))?;
        }
        Ok(Self {
            home: config.home,
            admin_listen: config.admin_listen,
        })
    }
}

/// Puts every text into its typed place.
fn resolve(raw: &Raw) -> Result<Config, Vec<ConfigError>> {
    let mut errors = raw.errors.clone();
    let home = match &raw.home {
        Ok(home) => home.clone(),
        Err(error) => {
            errors.insert(0, error.clone());
            PathBuf::from(".")
        }
    };
    let mut config = Config::blank(home);
    let mut shared = MinerConfig::blank();
    for setting in SETTINGS {
        let given = raw.text(setting.name);
        let applied = match (given.or(setting.default), setting.apply) {
            (Some(text), Apply::Provider(apply)) => apply(&mut config, text),
            (Some(text), Apply::Miner(apply)) => apply(&mut shared, text),
            (None, _) if setting.required => Err(format!("is not set: {}", setting.about)),
            (None, _) => Ok(()),
        };
        let unread = raw
            .errors
            .iter()
            .any(|error| error.name.starts_with(setting.name));
        if let Err(reason) = applied
            && !(given.is_none() && unread)
        {
            errors.push(ConfigError::new(setting.name, reason));
        }
    }
    config.libp2p_key_given = raw.text("CORACLE_LIBP2P_KEY_FILE").is_some();
    for miner in &mut config.miners {
        let address = std::mem::replace(&mut miner.address, Address::id(0));
        *miner = MinerConfig {
            address,
            ..shared.clone()
        };
    }
    apply_overrides(raw, &mut config, &mut errors);
    check_together(&config, &mut errors);
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(errors)
    }
}

/// `CORACLE_X_F01234` over `CORACLE_X`.
fn apply_overrides(raw: &Raw, config: &mut Config, errors: &mut Vec<ConfigError>) {
    for (name, setting, actor, text) in raw.overrides() {
        let Apply::Miner(apply) = setting.apply else {
            errors.push(ConfigError::new(name, "cannot differ from miner to miner"));
            continue;
        };
        let miner = config
            .miners
            .iter_mut()
            .find(|m| m.address.actor_id() == Some(actor));
        let applied = match miner {
            Some(miner) => apply(miner, text),
            None => Err(format!("f0{actor} is not in CORACLE_MINERS")),
        };
        if let Err(reason) = applied {
            errors.push(ConfigError::new(name, reason));
        }
    }
}

/// Every miner needs somebody who seals for it.
fn check_sealers(config: &Config, errors: &mut Vec<ConfigError>) {
    let known = errors
        .iter()
        .any(|error| error.name.starts_with("MINER_API_INFO"));
    if known || !config.miner_api_info.is_empty() {
        return;
    }
    // Without a miner at all this is still the first thing to be set.
    let all = config
        .miners
        .iter()
        .all(|miner| miner.handover_dir.is_some());
    if config.miners.is_empty() || !all {
        errors.push(ConfigError::new(
            "MINER_API_INFO",
            "is not set: the sealers, as `lotus-miner auth api-info` prints them; \
             a miner whose sealer fetches its pieces needs CORACLE_HANDOVER_DIR instead",
        ));
    }
}

/// What no setting can know alone.
fn check_together(config: &Config, errors: &mut Vec<ConfigError>) {
    // Where a directory could not be parsed both are empty: that has been reported.
    if config.staging == config.pieces && config.staging != PathBuf::new() {
        errors.push(ConfigError::new(
            "CORACLE_PIECES",
            "is the same directory as CORACLE_STAGING",
        ));
    }
    for (directory, name) in [
        (&config.staging, "CORACLE_STAGING"),
        (&config.pieces, "CORACLE_PIECES"),
    ] {
        if config.drop_folder.as_ref() == Some(directory) {
            errors.push(ConfigError::new(
                "CORACLE_DROP_FOLDER",
                format!("is the same directory as {name}, whose files are deleted"),
            ));
        }
    }
    if config.http_listen == config.admin_listen && config.http_listen.port() != 0 {
        errors.push(ConfigError::new(
            "CORACLE_ADMIN_LISTEN",
            "is the same address as CORACLE_HTTP_LISTEN, which is public",
        ));
    }
    check_sealers(config, errors);
    for miner in &config.miners {
        if miner.piece_size_min > miner.piece_size_max {
            errors.push(ConfigError::new(
                "CORACLE_PIECE_SIZE_MIN",
                format!("is above CORACLE_PIECE_SIZE_MAX for {}", miner.address),
            ));
        }
        if miner.expected_seal_duration > miner.start_delay_max {
            errors.push(ConfigError::new(
                "CORACLE_EXPECTED_SEAL_DURATION",
                format!(
                    "is above CORACLE_START_DELAY_MAX for {}: every deal would be refused",
                    miner.address
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests;
