//! Everything a devnet knows, behind one lock: the chain, the node's wallet, the miners. No sockets and no clocks.

use super::chain::{Chain, Rules};
use super::faults::Fault;
use super::market::FIL;
use super::sectors::{Sectors, Timing};
use super::settings::{DevnetConfig, MinerConfig};
use super::state::{self, Kind, Miner, State};
use super::wallets::{self, KeyKind, Wallet};
use crate::filecoin::message::SignedMessage;
use crate::filecoin::{Address, SecretKey, TokenAmount};
use cid::Cid;
use serde_json::Value;
use smol::channel;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// attoFIL that every account begins with: 10,000 FIL.
const BALANCE: u128 = 10_000 * FIL;

/// attoFIL that clients and miners begin with in escrow: 1,000 FIL.
const ESCROW: u128 = 1_000 * FIL;

/// Bytes of DataCap of the verified client: 1 PiB.
const DATACAP: u64 = 1 << 50;

/// The number of a miner's first sector.
const FIRST_SECTOR: u64 = 1187;

/// Calls that are recorded for a test; those after them are only counted.
const RECORDED_MAX: usize = 100_000;

/// A call: its method and its parameters.
pub type Recorded = (&'static str, Vec<Value>);

/// Who asks for a piece to be added: a repeated call with the same is the same call (spec E.1).
pub type PieceKey = (Cid, u64, Cid);

/// How far an added piece has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PieceEntry {
    /// Another call brings the data.
    Pending,
    /// Sector and offset in padded bytes.
    Placed(u64, u64),
}

/// One lotus-miner.
pub struct MinerNode {
    /// The miner's actor number.
    pub actor: u64,
    /// Padded bytes.
    pub sector_size: u64,
    /// Its sectors: they outlive a restart.
    pub sectors: Sectors,
    /// What it remembers of calls: lost in a restart.
    pub pieces: BTreeMap<PieceKey, PieceEntry>,
    /// The next piece is read up to this many bytes only.
    pub close_after: Option<u64>,
    /// Closed by a restart; calls that wait then lose their connection.
    pub running: channel::Sender<()>,
    /// The other end, for those who wait.
    pub restarted: channel::Receiver<()>,
}

impl MinerNode {
    fn new(config: &MinerConfig, timing: Timing) -> Self {
        let (running, restarted) = channel::bounded(1);
        Self {
            actor: config.actor_id,
            sector_size: config.sector_size,
            sectors: Sectors::new(config.sector_size, FIRST_SECTOR, timing),
            pieces: BTreeMap::new(),
            close_after: None,
            running,
            restarted,
        }
    }

    /// What a restart of the process does.
    pub fn restart(&mut self) {
        self.pieces.clear();
        let (running, restarted) = channel::bounded(1);
        self.running = running;
        self.restarted = restarted;
    }
}

/// The people of a devnet.
#[derive(Clone)]
pub struct People {
    /// A client with an f1 address and escrow.
    pub client: Wallet,
    /// A client with an f3 address and escrow.
    pub bls_client: Wallet,
    /// A client with an f1 address, escrow and DataCap.
    pub verified_client: Wallet,
    /// A contract with escrow; `key` is the key whose signatures it accepts.
    pub contract: Wallet,
    /// An Ethereum account with escrow: can be no deal's client; `key` is nobody's.
    pub eth_account: Wallet,
    /// Per miner: owner, worker, control.
    pub miners: Vec<[Wallet; 3]>,
    /// Further clients like `client`, as many as the settings say.
    pub more_clients: Vec<Wallet>,
}

impl People {
    /// Everybody with a key of their own.
    pub fn all(&self) -> Vec<Wallet> {
        let clients = [&self.client, &self.bls_client, &self.verified_client];
        clients
            .into_iter()
            .chain(self.miners.iter().flatten())
            .chain(&self.more_clients)
            .cloned()
            .collect()
    }
}

/// The state behind the lock.
pub struct World {
    /// The chain.
    pub chain: Chain,
    /// The settings it was started with.
    pub config: DevnetConfig,
    /// Keys that the node holds, by key address.
    pub keys: BTreeMap<Vec<u8>, SecretKey>,
    /// The wallet's default address.
    pub default_key: Option<Address>,
    /// Messages that were pushed with an identity (spec C.2).
    pub pushed: BTreeMap<Uuid, SignedMessage>,
    /// The miners, in the order of the settings.
    pub miners: Vec<MinerNode>,
    /// Scripted trouble.
    pub faults: Vec<Fault>,
    /// Signs tokens.
    pub token_secret: [u8; 32],
    /// Calls of each method, of all nodes and miners.
    pub calls: BTreeMap<&'static str, u64>,
    /// The calls themselves, from when a test asked for them.
    pub recorded: Option<Vec<Recorded>>,
}

impl World {
    /// The first state of a devnet. None if the seed is unlucky beyond belief.
    pub fn new(config: &DevnetConfig, now: u64) -> Option<(Self, People)> {
        let mut state = State::new();
        let people = populate(&mut state, config)?;
        let height = u64::try_from(config.height).unwrap_or(0);
        let block_delay = config.block_delay();
        let rules = Rules {
            seed: config.seed,
            genesis_time: config
                .genesis_time
                .unwrap_or_else(|| now.saturating_sub(height.saturating_mul(block_delay))),
            block_delay,
            finality: config.finality,
        };
        let timing = Timing {
            wait_deals: config.wait_deals,
            sealing: config.sealing,
        };
        let on_node = people.miners.iter().flatten();
        let keys = on_node.map(|wallet| (wallet.address.as_bytes().to_vec(), wallet.key.clone()));
        let first = people.miners.first();
        let world = Self {
            chain: Chain::new(rules, config.height, state),
            config: config.clone(),
            keys: keys.collect(),
            default_key: first.map(|[owner, _, _]| owner.address.clone()),
            pushed: BTreeMap::new(),
            calls: BTreeMap::new(),
            recorded: None,
            miners: config
                .miners
                .iter()
                .map(|miner| MinerNode::new(miner, timing))
                .collect(),
            faults: Vec::new(),
            token_secret: wallets::bytes(&config.seed, "token secret"),
        };
        Some((world, people))
    }

    /// Makes the next tipset and lets the sectors follow.
    pub fn tick(&mut self) {
        self.skip(0);
    }

    /// Makes the tipset behind so many heights that have none, and lets the sectors follow.
    pub fn skip(&mut self, rounds: u32) {
        self.chain.tick_after(rounds);
        let epoch = self.chain.epoch();
        for miner in &mut self.miners {
            let chain = &self.chain;
            let actor = miner.actor;
            let submit = miner.sectors.tick(epoch, |sector| {
                let results = chain.activation(actor, sector)?;
                let failed = results.iter().find_map(|(deal, result)| {
                    let reason = result.err()?;
                    Some(format!("deal {deal}: {reason}"))
                });
                Some(failed.map_or(Ok(()), Err))
            });
            for (sector, deals) in submit {
                self.chain.queue_activation(actor, sector, deals);
            }
        }
    }

    /// Counts a call that has the right form.
    pub fn count(&mut self, method: &'static str, params: &[Value]) {
        let count = self.calls.entry(method).or_default();
        *count = count.saturating_add(1);
        if let Some(recorded) = &mut self.recorded
            && recorded.len() < RECORDED_MAX
        {
            recorded.push((method, params.to_vec()));
        }
    }

    /// The key that the node holds for this address.
    pub fn key(&self, address: &Address) -> Option<&SecretKey> {
        self.keys.get(address.as_bytes())
    }
}

/// Makes the accounts, the miners and their money.
fn populate(state: &mut State, config: &DevnetConfig) -> Option<People> {
    let seed = &config.seed;
    let account = |state: &mut State, name, kind| account(state, seed, name, kind);
    let client = account(state, "client".to_owned(), KeyKind::Secp)?;
    let bls_client = account(state, "BLS client".to_owned(), KeyKind::Bls)?;
    let verified_client = account(state, "verified client".to_owned(), KeyKind::Secp)?;
    let mut miners = Vec::new();
    for miner in &config.miners {
        if state.actors.contains_key(&miner.actor_id) {
            // The number is taken: by an account, or by another miner.
            return None;
        }
        let name = format!("f0{}", miner.actor_id);
        let owner = account(state, format!("owner of {name}"), KeyKind::Bls)?;
        let worker = account(state, format!("worker of {name}"), KeyKind::Secp)?;
        let control = account(state, format!("control of {name}"), KeyKind::Bls)?;
        let actor = Miner {
            owner: owner.id.actor_id()?,
            worker: worker.id.actor_id()?,
            control: vec![control.id.actor_id()?],
            peer_id: miner.peer_id.clone(),
            multiaddrs: miner.multiaddrs.clone(),
            sector_size: miner.sector_size,
            sectors: BTreeMap::new(),
        };
        let robust = wallets::actor_address(seed, &name);
        let kind = Kind::Miner(Arc::new(actor));
        state.insert(miner.actor_id, kind, robust, TokenAmount::zero());
        deposit(state, miner.actor_id);
        miners.push([owner, worker, control]);
    }
    let signer = wallets::key(seed, "signer of the contract", KeyKind::Secp)?;
    let kind = Kind::Contract {
        signer: signer.address(),
    };
    let contract = delegated(state, seed, "contract", kind, signer)?;
    let nobody = wallets::key(seed, "nobody", KeyKind::Secp)?;
    let eth_account = delegated(state, seed, "Ethereum account", Kind::EthAccount, nobody)?;
    let clients = [
        &client,
        &bls_client,
        &verified_client,
        &contract,
        &eth_account,
    ];
    for wallet in clients {
        deposit(state, wallet.id.actor_id()?);
    }
    // Last, so that everybody else has the same numbers whatever their number is.
    let mut more_clients = Vec::new();
    for number in 1..=config.clients {
        let wallet = account(state, format!("client {number}"), KeyKind::Secp)?;
        deposit(state, wallet.id.actor_id()?);
        more_clients.push(wallet);
    }
    let cap = TokenAmount::from_atto(DATACAP);
    let verified = verified_client.id.actor_id()?;
    state.market.datacap.insert(verified, cap);
    Some(People {
        client,
        bls_client,
        verified_client,
        contract,
        eth_account,
        miners,
        more_clients,
    })
}

/// Somebody with an account of their own.
fn account(state: &mut State, seed: &[u8; 32], name: String, kind: KeyKind) -> Option<Wallet> {
    let key = wallets::key(seed, &name, kind)?;
    let address = key.address();
    let number = state.add(
        Kind::Account,
        address.clone(),
        TokenAmount::from_atto(BALANCE),
    );
    Some(Wallet {
        name,
        address,
        id: Address::id(number),
        key,
    })
}

/// Somebody behind an f410 address.
fn delegated(
    state: &mut State,
    seed: &[u8; 32],
    name: &str,
    kind: Kind,
    key: SecretKey,
) -> Option<Wallet> {
    let address = wallets::delegated_address(seed, name)?;
    let number = state.add(kind, address.clone(), TokenAmount::from_atto(BALANCE));
    Some(Wallet {
        name: name.to_owned(),
        address,
        id: Address::id(number),
        key,
    })
}

/// Puts the first escrow down.
fn deposit(state: &mut State, number: u64) {
    let amount = TokenAmount::from_atto(ESCROW);
    state.market.deposit(number, &amount);
    state.credit(state::MARKET, &amount);
}
