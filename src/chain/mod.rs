//! The chain in the market's words ([`Chain`]) and a Lotus-compatible node over JSON-RPC as its one production
//! implementation ([`Lotus`]).
//!
//! Reads that must agree with each other are pinned to one head. `null`, empty lists and undefined addresses are read as
//! the node means them (chain-sealer-rpc A.5). Nothing here keeps state of deals: a message's identity is persisted by
//! the caller before it is asked for, and what became of it is always derived from the chain again.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod answer;
mod error;
mod funds;
mod gas;
mod kind;
mod known;
mod look;
mod lotus;
mod mempool;
mod node;
mod nonce;
mod outcome;
mod prepared;
mod publish;
mod replacing;
mod sending;
mod wallet;

pub use error::ChainError;
pub use gas::{GAS_BUDGET, MESSAGE_BYTES_MAX};
pub use look::{Access, KeyPlace, May, Publisher};
pub use lotus::Lotus;
pub use node::{CallResult, Found, MarketBalance, MinerInfo, Node, NodeVersion, Tipset};
pub use prepared::{PREPARED_BYTES_MAX, Prepared};
pub use wallet::LocalKeys;

#[cfg(test)]
mod tests;

use crate::filecoin::{
    Address, ChainEpoch, ClientDealProposal, DealProposal, Signature, TokenAmount,
};
use cid::Cid;
use uuid::Uuid;

/// The head of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its height.
    pub epoch: ChainEpoch,
    /// Seconds since 1970 that its blocks carry.
    pub timestamp: u64,
}

/// What acceptance needs to know about one of our miners; read by a background snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderFacts {
    /// Market escrow less what is locked.
    pub escrow_available: TokenAmount,
    /// Market escrow that is locked.
    pub escrow_locked: TokenAmount,
    /// The address that pays for publish messages: the configured one or the best of the miner's own (chain-sealer-rpc C.2), as key address.
    pub publish_wallet: Address,
    /// Its balance.
    pub publish_balance: TokenAmount,
    /// The worker's key address (signs asks).
    pub worker: Address,
    /// Bytes of a sector: no piece may be larger.
    pub sector_size: u64,
}

/// Where a client finds a provider (client side).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderContact {
    /// Text of the on-chain peer ID, if set.
    pub peer_id: Option<String>,
    /// Binary multiaddrs.
    pub multiaddrs: Vec<Vec<u8>>,
}

/// Smallest and largest collateral that a provider may offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollateralBounds {
    /// The node's minimum, 10 % above what the market actor accepts (chain-sealer-rpc B.6).
    pub min: TokenAmount,
    /// The actor's maximum.
    pub max: TokenAmount,
}

/// One message, asked for with an identity that was persisted before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Idempotency key (`MsgUuid`).
    pub id: Uuid,
    /// The miner whose deals or whose escrow it is about.
    pub miner: Address,
    /// Fee cap of the whole message in attoFIL; zero leaves it to the node.
    pub fee_max: TokenAmount,
    /// What the message does.
    pub call: Call,
}

/// What a message asks of the market actor (chain-sealer-rpc D.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Puts these deals on chain, in the order of the message's parameters. The publish wallet pays.
    Publish(Vec<ClientDealProposal>),
    /// Puts money into the miner's escrow.
    AddBalance {
        /// Who pays; None: the publish wallet.
        from: Option<Address>,
        /// attoFIL, above zero.
        amount: TokenAmount,
    },
    /// Takes free money out of the miner's escrow; it goes to the miner's owner, whoever asks.
    Withdraw {
        /// The owner or the worker; None: the one of them whose key is at hand.
        from: Option<Address>,
        /// attoFIL at most; the actor pays what is free.
        amount: TokenAmount,
    },
}

impl Order {
    /// The deals that it publishes; none if it moves money.
    pub fn deals(&self) -> &[ClientDealProposal] {
        match &self.call {
            Call::Publish(deals) => deals,
            Call::AddBalance { .. } | Call::Withdraw { .. } => &[],
        }
    }
}

/// A miner's money, all of it at one head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purse {
    /// All of the market escrow.
    pub escrow: TokenAmount,
    /// The part of it that published deals hold.
    pub locked: TokenAmount,
    /// The address that pays for publish messages.
    pub publish_wallet: Address,
    /// Its balance.
    pub publish_balance: TokenAmount,
    /// The worker's key address.
    pub worker: Address,
    /// Its balance.
    pub worker_balance: TokenAmount,
    /// The owner, who gets what is withdrawn: key address, or ID address if it has no key (a multisig).
    pub owner: Address,
}

/// What became of a message that moves money, seen from the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Not executed yet.
    Pending,
    /// Executed.
    Executed(Receipt),
    /// The node has never heard of it, or another message used its nonce: sending it again tells.
    Unknown,
}

/// The result of an executed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The CID that was executed; another one if the message was replaced.
    pub message: Cid,
    /// Epochs that the execution is buried under.
    pub depth: ChainEpoch,
    /// 0 if the message did what it was sent for (chain-sealer-rpc D.6).
    pub exit_code: i64,
    /// CBOR of the return value.
    pub returned: Vec<u8>,
}

/// What became of a publish message, seen from the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not executed yet.
    Pending,
    /// Executed `depth` epochs below the head.
    Executed {
        /// The CID that was executed; another one if the message was replaced.
        message: Cid,
        /// The height of its execution.
        epoch: ChainEpoch,
        /// Epochs that the execution is buried under.
        depth: ChainEpoch,
        /// 0 if the message did what it was sent for (chain-sealer-rpc D.6).
        exit_code: i64,
        /// Per asked proposal its chain deal ID; None if it was dropped or is not in the message.
        deals: Vec<Option<u64>>,
    },
    /// The node has never heard of it (chain-sealer-rpc B.11), or another message used its nonce: sending it again tells.
    Unknown,
}

/// A published deal as the chain has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealState {
    /// The proposal with ID addresses; a label of bytes shows as an empty text (chain-sealer-rpc A.5).
    pub proposal: DealProposal,
    /// The sector it is in; 0 and without meaning until it is active.
    pub sector_number: u64,
    /// When its sector was activated; -1 until then.
    pub sector_start_epoch: ChainEpoch,
    /// When it was slashed; -1 if it was not.
    pub slash_epoch: ChainEpoch,
}

/// The chain in the market's words. Every call blocks, bounded by the implementation's per-phase time-outs.
///
/// Every method fails with [`ChainError`] when the node cannot be asked or answers with an error; what the chain merely
/// denies (no such deal, no datacap, no key) is a value.
pub trait Chain: Send + Sync {
    /// The head of the chain.
    fn head(&self) -> Result<Head, ChainError>;

    /// The height up to which nothing is undone any more.
    fn finalized(&self) -> Result<ChainEpoch, ChainError>;

    /// The network version at the head.
    fn network_version(&self) -> Result<u64, ChainError>;

    /// What acceptance needs to know about one of our miners, all of it at one head.
    fn provider_facts(&self, miner: &Address) -> Result<ProviderFacts, ChainError>;

    /// Smallest and largest collateral for a piece of this padded size.
    fn collateral_bounds(
        &self,
        padded_size: u64,
        verified: bool,
    ) -> Result<CollateralBounds, ChainError>;

    /// The key address (f1, f3, f410) behind a client's address; a key address without asking the node. None: the node
    /// says that there is none, so the client may be a contract (chain-sealer-rpc C.6).
    fn key_address(&self, client: &Address) -> Result<Option<Address>, ChainError>;

    /// ID address of any address.
    fn id_address(&self, address: &Address) -> Result<Address, ChainError>;

    /// A client's market escrow less what is locked.
    fn client_available(&self, client: &Address) -> Result<TokenAmount, ChainError>;

    /// A client's datacap in bytes; None if it is no verified client.
    fn datacap(&self, client: &Address) -> Result<Option<TokenAmount>, ChainError>;

    /// Whether a contract client holds this for its signature: a simulated `AuthenticateMessage` with exit code 0 that
    /// returned CBOR true.
    fn authenticate(
        &self,
        client: &Address,
        signature: &Signature,
        bytes: &[u8],
    ) -> Result<bool, ChainError>;

    /// Makes an order's message ready to be sent; nothing is sent, and nothing exists that could be executed. What comes
    /// back must be stored before [`Chain::send`]: from then on the order has this message and no other, unless it is
    /// superseded.
    fn prepare(&self, order: &Order) -> Result<Prepared, ChainError>;

    /// Sends a prepared message once, however often it is asked for; its CID, or that of the message that replaced it.
    /// [`ChainError::Superseded`]: it will never be executed, prepare another. After any other error a signed message may
    /// have been sent, and sending it again is the way to find out.
    fn send(&self, prepared: &Prepared) -> Result<Cid, ChainError>;

    /// Makes the message in the place of one that waits for too long: the same under the same nonce, with more for the
    /// miners, and of no more than this total fee (zero: no bound). `sent` is the CID of the one that waits. Nothing is
    /// sent; what comes back is stored in the old one's place before it is sent, and knows the old ones' CIDs, since the
    /// chain may execute either. [`ChainError::Fee`]: the bound leaves no room for it.
    fn replace(
        &self,
        prepared: &Prepared,
        sent: &Cid,
        fee_max: &TokenAmount,
    ) -> Result<Prepared, ChainError>;

    /// Simulates publishing one deal alone: None if it would be published, else why not.
    fn dry_run(
        &self,
        miner: &Address,
        deal: &ClientDealProposal,
    ) -> Result<Option<String>, ChainError>;

    /// What became of a publish message and of these proposals in it, seen from the head.
    fn outcome(&self, message: &Cid, proposals: &[DealProposal]) -> Result<Outcome, ChainError>;

    /// A miner's money, all of it at one head.
    fn purse(&self, miner: &Address) -> Result<Purse, ChainError>;

    /// What became of a message that is no publish message, seen from the head.
    fn fate(&self, message: &Cid) -> Result<Fate, ChainError>;

    /// What an executed message has cost its sender in gas, in attoFIL; None if it was not executed, or if the node does
    /// not tell the base fee.
    fn fee(&self, message: &Cid) -> Result<Option<TokenAmount>, ChainError>;

    /// A published deal; None if the chain has none under this ID.
    fn deal_state(&self, deal_id: u64) -> Result<Option<DealState>, ChainError>;

    /// Up to which epoch a sector can claim the DataCap of a published verified deal (chain-sealer-rpc B.16); None if none
    /// is set aside for it, or a sector has claimed it.
    fn allocation_expiry(&self, deal_id: u64) -> Result<Option<ChainEpoch>, ChainError>;

    /// Signs with a key of the local keystore or of the node; None if neither has it.
    fn sign(&self, key: &Address, bytes: &[u8]) -> Result<Option<Signature>, ChainError>;

    /// Where a provider says on chain that it can be found.
    fn provider_contact(&self, miner: &Address) -> Result<ProviderContact, ChainError>;
}
