//! [`Chain`] on a Lotus-compatible node.

use super::kind::Kinds;
use super::node::Node;
use super::sending::Senders;
use super::{
    Chain, ChainError, CollateralBounds, DealState, Fate, Head, LocalKeys, Order, Outcome,
    Prepared, ProviderContact, ProviderFacts, Purse, outcome, wallet,
};
use crate::filecoin::address::Protocol;
use crate::filecoin::market_actor;
use crate::filecoin::message::Message;
use crate::filecoin::{
    Address, ChainEpoch, ClientDealProposal, DealProposal, Signature, TokenAmount,
};
use crate::rpc::{EndpointError, Limits};
use cid::Cid;
use std::collections::BTreeMap;

/// CBOR `true`.
const CBOR_TRUE: [u8; 1] = [0xf5];

/// The chain as a Lotus-compatible node has it: Lotus, a Lotus gateway, Forest or Venus over `/rpc/v1`.
///
/// Reads fail over along the list of nodes; what a node's wallet sends stays with that node, a signed message may go to
/// any. No call blocks longer than the time limits of its phases.
pub struct Lotus {
    pub(super) node: Node,
    pub(super) keys: Option<Box<dyn LocalKeys>>,
    pub(super) kinds: Kinds,
    pub(super) senders: Senders,
    publish_wallets: BTreeMap<Address, Address>,
}

impl std::fmt::Debug for Lotus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lotus")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Lotus {
    /// A client for the nodes of `FULLNODE_API_INFO`'s text. `keys` sign before the node's wallet does;
    /// `publish_wallets` names the paying address of a miner's publish messages where the worker is not meant.
    ///
    /// # Errors
    /// [`EndpointError`], which repeats nothing of the text.
    pub fn new(
        endpoints: &str,
        keys: Option<Box<dyn LocalKeys>>,
        publish_wallets: BTreeMap<Address, Address>,
    ) -> Result<Self, EndpointError> {
        Self::with_limits(endpoints, keys, publish_wallets, Limits::default())
    }

    /// As [`Lotus::new`], with time limits of one's own.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn with_limits(
        endpoints: &str,
        keys: Option<Box<dyn LocalKeys>>,
        publish_wallets: BTreeMap<Address, Address>,
        limits: Limits,
    ) -> Result<Self, EndpointError> {
        Ok(Self {
            node: Node::new(endpoints, limits)?,
            keys,
            kinds: Kinds::default(),
            senders: Senders::default(),
            publish_wallets,
        })
    }

    /// The node's methods, for what the market has no word for (`check`, `funds`).
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The configured paying address of a miner, found by any form of the miner's address.
    pub(super) fn publish_wallet(
        &self,
        miner: &Address,
        at: Option<&super::node::Tipset>,
    ) -> Result<Option<&Address>, ChainError> {
        if self.publish_wallets.is_empty() {
            return Ok(None);
        }
        if let Some(wallet) = self.publish_wallets.get(miner) {
            return Ok(Some(wallet));
        }
        let id = self.node.lookup_id(miner, at)?;
        Ok(self.publish_wallets.get(&id))
    }
}

impl Chain for Lotus {
    fn head(&self) -> Result<Head, ChainError> {
        let tipset = self.node.head()?;
        Ok(Head {
            epoch: tipset.epoch,
            timestamp: tipset.timestamp,
        })
    }

    fn finalized(&self) -> Result<ChainEpoch, ChainError> {
        self.final_epoch()
    }

    fn network_version(&self) -> Result<u64, ChainError> {
        self.node.network_version()
    }

    fn provider_facts(&self, miner: &Address) -> Result<ProviderFacts, ChainError> {
        // One tipset for all, so that the numbers fit each other.
        let head = self.node.head()?;
        let at = Some(&head);
        let info = self.node.miner_info(miner, at)?;
        let escrow = self.node.market_balance(miner, at)?;
        let worker = self.node.account_key(&info.worker, at)?;
        let sender = self.publish_sender(miner, &info, &TokenAmount::zero(), at)?;
        Ok(ProviderFacts {
            escrow_available: escrow.available(),
            escrow_locked: escrow.locked,
            publish_wallet: sender.key,
            publish_balance: sender.balance,
            worker,
            sector_size: info.sector_size,
        })
    }

    fn collateral_bounds(
        &self,
        padded_size: u64,
        verified: bool,
    ) -> Result<CollateralBounds, ChainError> {
        self.node.collateral_bounds(padded_size, verified)
    }

    fn key_address(&self, client: &Address) -> Result<Option<Address>, ChainError> {
        if !matches!(client.protocol(), Protocol::Id | Protocol::Actor) {
            // The node would only echo it (chain-sealer-rpc B.4).
            return Ok(Some(client.clone()));
        }
        match self.node.account_key(client, None) {
            Ok(key) => Ok(Some(key)),
            Err(error) if error.is_denied() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn id_address(&self, address: &Address) -> Result<Address, ChainError> {
        self.node.lookup_id(address, None)
    }

    fn client_available(&self, client: &Address) -> Result<TokenAmount, ChainError> {
        Ok(self.node.market_balance(client, None)?.available())
    }

    fn datacap(&self, client: &Address) -> Result<Option<TokenAmount>, ChainError> {
        self.node.datacap(client)
    }

    fn authenticate(
        &self,
        client: &Address,
        signature: &Signature,
        bytes: &[u8],
    ) -> Result<bool, ChainError> {
        let result = self.node.state_call(&Message {
            version: 0,
            to: client.clone(),
            from: Address::market_actor(),
            nonce: 0,
            value: TokenAmount::zero(),
            gas_limit: 0,
            gas_fee_cap: TokenAmount::zero(),
            gas_premium: TokenAmount::zero(),
            method: market_actor::AUTHENTICATE_MESSAGE,
            params: market_actor::encode_authenticate(&signature.data, bytes),
        })?;
        // An Ethereum account takes any such method with exit code 0 and returns nothing: the code alone would let every
        // signature pass (chain-sealer-rpc C.6).
        Ok(result.exit_code == 0 && result.returned == CBOR_TRUE)
    }

    fn prepare(&self, order: &Order) -> Result<Prepared, ChainError> {
        self.prepare_order(order)
    }

    fn send(&self, prepared: &Prepared) -> Result<Cid, ChainError> {
        self.send_prepared(prepared)
    }

    fn replace(
        &self,
        prepared: &Prepared,
        sent: &Cid,
        fee_max: &TokenAmount,
    ) -> Result<Prepared, ChainError> {
        self.replace_prepared(prepared, sent, fee_max)
    }

    fn dry_run(
        &self,
        miner: &Address,
        deal: &ClientDealProposal,
    ) -> Result<Option<String>, ChainError> {
        self.simulate_publish(miner, deal)
    }

    fn outcome(&self, message: &Cid, proposals: &[DealProposal]) -> Result<Outcome, ChainError> {
        outcome::outcome(&self.node, message, proposals)
    }

    fn purse(&self, miner: &Address) -> Result<Purse, ChainError> {
        self.purse_of(miner)
    }

    fn fate(&self, message: &Cid) -> Result<Fate, ChainError> {
        outcome::fate(&self.node, message)
    }

    fn fee(&self, message: &Cid) -> Result<Option<TokenAmount>, ChainError> {
        outcome::fee(&self.node, message)
    }

    fn deal_state(&self, deal_id: u64) -> Result<Option<DealState>, ChainError> {
        self.node.market_deal(deal_id)
    }

    fn allocation_expiry(&self, deal_id: u64) -> Result<Option<ChainEpoch>, ChainError> {
        self.node.allocation_expiry(deal_id)
    }

    fn sign(&self, key: &Address, bytes: &[u8]) -> Result<Option<Signature>, ChainError> {
        wallet::sign(self.keys.as_deref(), &self.node, key, bytes)
    }

    fn provider_contact(&self, miner: &Address) -> Result<ProviderContact, ChainError> {
        let info = self.node.miner_info(miner, None)?;
        Ok(ProviderContact {
            peer_id: info.peer_id,
            multiaddrs: info.multiaddrs,
        })
    }
}
