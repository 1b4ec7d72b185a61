//! What a devnet can be told when it starts.

use crate::filecoin::ChainEpoch;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Any free port on loopback.
fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// What kind of node answers: how it spells its errors, what it is strict about, which methods it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodeKind {
    /// Lotus.
    #[default]
    Lotus,
    /// Forest: exact field names, codes of its own, no memory of a message's identity (spec chain-sealer-rpc H).
    Forest,
    /// Venus: does not say what it is, and knows no identity of a message (spec G, C.2).
    Venus,
    /// A lotus-gateway: no wallet, few methods, limits on how far back is looked (spec A.8).
    Gateway,
}

impl NodeKind {
    /// All kinds, with the names that people call them by.
    pub const ALL: [(&'static str, Self); 4] = [
        ("lotus", Self::Lotus),
        ("forest", Self::Forest),
        ("venus", Self::Venus),
        ("gateway", Self::Gateway),
    ];
}

/// One storage miner and its lotus-miner process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinerConfig {
    /// The miner's actor number.
    pub actor_id: u64,
    /// Where its interface listens.
    pub listen: SocketAddr,
    /// Padded bytes of a sector: a power of two, 2 KiB to 64 GiB.
    pub sector_size: u64,
    /// The binary peer ID on chain; empty for none. A later ChangePeerID message replaces it.
    pub peer_id: Vec<u8>,
    /// Binary multiaddrs on chain.
    pub multiaddrs: Vec<Vec<u8>>,
}

impl MinerConfig {
    /// A miner with 32 GiB sectors on any free port.
    pub fn new(actor_id: u64) -> Self {
        Self {
            actor_id,
            listen: loopback(),
            sector_size: 32 << 30,
            peer_id: Vec::new(),
            multiaddrs: Vec::new(),
        }
    }
}

/// The settings of a devnet. The default suits tests: one miner, free ports, ten epochs a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevnetConfig {
    /// Where the chain node listens.
    pub node: SocketAddr,
    /// What kind of node it is.
    pub kind: NodeKind,
    /// Further nodes of the same chain, each on any free port.
    pub more_nodes: Vec<NodeKind>,
    /// The miners.
    pub miners: Vec<MinerConfig>,
    /// Further clients with f1 addresses and escrow, beside the named ones.
    pub clients: u32,
    /// Real time between tipsets. Zero: no timer, tipsets come from `Devnet::advance` only.
    pub epoch: Duration,
    /// Whether permissions are enforced. Tokens that are sent are checked in any case.
    pub auth: bool,
    /// Keys, tokens and CIDs follow from it.
    pub seed: [u8; 32],
    /// The height of the first head: as on a chain that is years old, so that nothing works by luck near 0.
    pub height: ChainEpoch,
    /// Seconds since 1970 of height 0; none: such that the first head is of now.
    pub genesis_time: Option<u64>,
    /// The network's name.
    pub network: String,
    /// The network's version.
    pub network_version: u64,
    /// Epochs after which a tipset is final.
    pub finality: ChainEpoch,
    /// Epochs that a sector waits for further pieces.
    pub wait_deals: ChainEpoch,
    /// Epochs from packing to proving.
    pub sealing: ChainEpoch,
    /// The miner refuses pieces whose deal starts within this many epochs (lotus-miner's StartEpochSealingBuffer).
    pub sealing_buffer: ChainEpoch,
    /// Whether a Lotus node sends a message once that is pushed again under the same `MsgUuid`; the other kinds never do.
    pub message_ids: bool,
    /// How long the two halves of a pushed piece wait for each other.
    pub pairing: Duration,
    /// Pieces that are pushed are redirected to a worker's address.
    pub worker_redirect: bool,
}

impl Default for DevnetConfig {
    fn default() -> Self {
        Self {
            node: loopback(),
            kind: NodeKind::Lotus,
            more_nodes: Vec::new(),
            miners: vec![MinerConfig::new(1000)],
            clients: 0,
            epoch: Duration::from_millis(100),
            auth: false,
            seed: *b"coracle devnet, not for money...",
            height: 5_000_000,
            genesis_time: None,
            network: "localnet-coracle".to_owned(),
            network_version: 28,
            finality: 20,
            wait_deals: 5,
            sealing: 30,
            sealing_buffer: 480,
            message_ids: true,
            pairing: Duration::from_secs(30),
            worker_redirect: false,
        }
    }
}

impl DevnetConfig {
    /// Seconds between tipsets as their timestamps tell it: the real ones if there are any, else the main network's.
    pub fn block_delay(&self) -> u64 {
        match self.epoch.as_secs() {
            0 => 30,
            seconds => seconds,
        }
    }
}
