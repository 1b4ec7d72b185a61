//! Known mistakes, to be found: what the simulator says is worth as much as what it would notice.

use super::chain::{CONFIDENCE, MemoryChain};
use super::disk::MemoryDisk;
use super::sealer::MemorySealer;
use cid::Cid;
use coracle::chain::{
    Chain, ChainError, CollateralBounds, DealState, Fate, Head, Order, Outcome, Prepared,
    ProviderContact, ProviderFacts, Purse,
};
use coracle::filecoin::{Address, ClientDealProposal, DealProposal, Signature, TokenAmount};
use coracle::market::Disk;
use coracle::sealer::{Handover, Sealer, SealerError, SectorPlace, SectorStatus};
use std::collections::BTreeMap;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// None.
    #[default]
    None,
    /// Each sending of a publish message has a new ID.
    OrdersForgotten,
    /// The store says that it is done before anything is written.
    PromisedEarly,
    /// Nobody looks whether the sealer has a piece already.
    SealerNotAsked,
    /// Names of files are never made durable.
    NamesNotSynced,
    /// Nothing is ever deleted.
    NothingDeleted,
    /// A message counts as superseded as soon as another one has its nonce, final or not.
    SupersededEarly,
    /// A message counts as confirmed as soon as it is executed.
    ConfirmedEarly,
    /// A message that no node has any more is not sent again.
    NotSentAgain,
    /// Nobody looks into the drop folder.
    DropsNotSeen,
}

/// All mistakes.
pub const ALL: [Sabotage; 9] = [
    Sabotage::OrdersForgotten,
    Sabotage::PromisedEarly,
    Sabotage::SealerNotAsked,
    Sabotage::NamesNotSynced,
    Sabotage::NothingDeleted,
    Sabotage::SupersededEarly,
    Sabotage::ConfirmedEarly,
    Sabotage::NotSentAgain,
    Sabotage::DropsNotSeen,
];

impl Sabotage {
    /// The invariants that it breaks.
    pub fn violates(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::OrdersForgotten | Self::SupersededEarly => {
                &["at most one publish message per deal"]
            }
            Self::ConfirmedEarly => &[
                "the chain agrees with the record",
                // One that failed is published again, and its re-organised message too.
                "at most one publish message per deal",
            ],
            Self::DropsNotSeen => &["a dropped file is taken"],
            Self::NotSentAgain => &["every deal comes to its end or to a named wait"],
            Self::PromisedEarly => &[
                "no answer before its commit",
                "no accepted deal is lost",
                "at most one publish message per deal",
            ],
            Self::SealerNotAsked => &["one piece per deal at the sealer"],
            Self::NamesNotSynced | Self::NothingDeleted => &["no orphan file"],
        }
    }
}

/// A chain about whose messages a mistake is made.
pub struct MistakenChain {
    /// The real one.
    pub chain: MemoryChain,
    /// Which mistake.
    pub mistake: Sabotage,
    /// Orders so far.
    pub orders: AtomicU64,
}

impl Chain for MistakenChain {
    fn prepare(&self, order: &Order) -> std::result::Result<Prepared, ChainError> {
        self.chain.prepare(order)
    }

    fn send(&self, prepared: &Prepared) -> std::result::Result<Cid, ChainError> {
        match self.mistake {
            Sabotage::OrdersForgotten => {}
            Sabotage::SupersededEarly => {
                return self.chain.send(prepared).map_err(|error| match error {
                    ChainError::Later(why) => ChainError::Superseded(why),
                    error => error,
                });
            }
            _ => return self.chain.send(prepared),
        }
        let number = self.orders.fetch_add(1, Ordering::Relaxed);
        let id = Uuid::from_u64_pair(number, prepared.order.as_u64_pair().1);
        let message = prepared.message().clone();
        self.chain
            .send(&Prepared::by_wallet(id, "node:1234", message))
    }

    fn head(&self) -> std::result::Result<Head, ChainError> {
        self.chain.head()
    }

    fn finalized(&self) -> std::result::Result<i64, ChainError> {
        self.chain.finalized()
    }

    fn replace(
        &self,
        prepared: &Prepared,
        sent: &Cid,
        fee_max: &TokenAmount,
    ) -> std::result::Result<Prepared, ChainError> {
        self.chain.replace(prepared, sent, fee_max)
    }

    fn network_version(&self) -> std::result::Result<u64, ChainError> {
        self.chain.network_version()
    }

    fn provider_facts(&self, miner: &Address) -> std::result::Result<ProviderFacts, ChainError> {
        self.chain.provider_facts(miner)
    }

    fn collateral_bounds(
        &self,
        size: u64,
        verified: bool,
    ) -> std::result::Result<CollateralBounds, ChainError> {
        self.chain.collateral_bounds(size, verified)
    }

    fn key_address(&self, client: &Address) -> std::result::Result<Option<Address>, ChainError> {
        self.chain.key_address(client)
    }

    fn id_address(&self, address: &Address) -> std::result::Result<Address, ChainError> {
        self.chain.id_address(address)
    }

    fn client_available(&self, client: &Address) -> std::result::Result<TokenAmount, ChainError> {
        self.chain.client_available(client)
    }

    fn datacap(&self, client: &Address) -> std::result::Result<Option<TokenAmount>, ChainError> {
        self.chain.datacap(client)
    }

    fn authenticate(
        &self,
        client: &Address,
        signature: &Signature,
        bytes: &[u8],
    ) -> std::result::Result<bool, ChainError> {
        self.chain.authenticate(client, signature, bytes)
    }

    fn dry_run(
        &self,
        miner: &Address,
        deal: &ClientDealProposal,
    ) -> std::result::Result<Option<String>, ChainError> {
        self.chain.dry_run(miner, deal)
    }

    fn outcome(
        &self,
        message: &Cid,
        proposals: &[DealProposal],
    ) -> std::result::Result<Outcome, ChainError> {
        let mut outcome = self.chain.outcome(message, proposals)?;
        match (self.mistake, &mut outcome) {
            (Sabotage::ConfirmedEarly, Outcome::Executed { depth, .. }) => *depth += CONFIDENCE,
            (Sabotage::NotSentAgain, Outcome::Unknown) => outcome = Outcome::Pending,
            _ => {}
        }
        Ok(outcome)
    }

    fn purse(&self, miner: &Address) -> std::result::Result<Purse, ChainError> {
        self.chain.purse(miner)
    }

    fn fate(&self, message: &Cid) -> std::result::Result<Fate, ChainError> {
        self.chain.fate(message)
    }

    fn fee(&self, message: &Cid) -> std::result::Result<Option<TokenAmount>, ChainError> {
        self.chain.fee(message)
    }

    fn deal_state(&self, deal_id: u64) -> std::result::Result<Option<DealState>, ChainError> {
        self.chain.deal_state(deal_id)
    }

    fn allocation_expiry(&self, deal_id: u64) -> std::result::Result<Option<i64>, ChainError> {
        self.chain.allocation_expiry(deal_id)
    }

    fn sign(
        &self,
        key: &Address,
        bytes: &[u8],
    ) -> std::result::Result<Option<Signature>, ChainError> {
        self.chain.sign(key, bytes)
    }

    fn provider_contact(
        &self,
        miner: &Address,
    ) -> std::result::Result<ProviderContact, ChainError> {
        self.chain.provider_contact(miner)
    }
}

/// A sealer that never knows a piece.
pub struct BlindSealer(pub MemorySealer);

impl Sealer for BlindSealer {
    fn add_piece(
        &self,
        piece: &Handover,
        stop: &AtomicBool,
    ) -> std::result::Result<Option<SectorPlace>, SealerError> {
        self.0.add_piece(piece, stop)
    }

    fn find(&self, _: u64, _: &Cid) -> std::result::Result<Option<SectorPlace>, SealerError> {
        Ok(None)
    }

    fn sector(&self, number: u64) -> std::result::Result<SectorStatus, SealerError> {
        self.0.sector(number)
    }

    fn summary(&self) -> std::result::Result<BTreeMap<String, u64>, SealerError> {
        self.0.summary()
    }
}

/// A disk on which something is forgotten.
pub struct ForgetfulDisk {
    /// The real one.
    pub disk: MemoryDisk,
    /// Whether names are made durable, else files deleted.
    pub syncs: bool,
}

impl Disk for ForgetfulDisk {
    fn size(&self, file: &Path) -> Result<u64> {
        self.disk.size(file)
    }

    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>> {
        self.disk.list(directory)
    }

    fn create(&self, file: &Path) -> Result<()> {
        Disk::create(&self.disk, file)
    }

    fn create_directory(&self, directory: &Path) -> Result<()> {
        self.disk.create_directory(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, file: &Path) -> Result<()> {
        if self.syncs {
            return Ok(());
        }
        self.disk.remove(file)
    }

    fn sync_directory(&self, directory: &Path) -> Result<()> {
        if self.syncs {
            return self.disk.sync_directory(directory);
        }
        Ok(())
    }

    fn free_bytes(&self, directory: &Path) -> Result<u64> {
        self.disk.free_bytes(directory)
    }

    fn build_index(&self, blocks: &Path, index: &Path) -> Result<()> {
        self.disk.build_index(blocks, index)
    }
}
