//! Who pays for a publish message, and how it is sent once.

use super::node::{MinerInfo, Tipset};
use super::wallet::node_has;
use super::{ChainError, Lotus, PublishOrder};
use crate::filecoin::market_actor::{self, PublishReturn};
use crate::filecoin::message::Message;
use crate::filecoin::{Address, ClientDealProposal, TokenAmount};
use cid::Cid;

/// The sender of publish messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sender {
    /// Key address.
    pub key: Address,
    /// Its balance.
    pub balance: TokenAmount,
}

impl Lotus {
    /// Chooses the sender (chain-sealer-rpc C.2): the configured address if it is one of the miner's own, then the
    /// worker, then the owner; of these the first whose key somebody here has and whose balance is not below `needed`;
    /// else the first with a key; else the first at all, so that its balance can still be shown.
    pub(super) fn publish_sender(
        &self,
        miner: &Address,
        info: &MinerInfo,
        needed: &TokenAmount,
        at: Option<&Tipset>,
    ) -> Result<Sender, ChainError> {
        let mut candidates = Vec::new();
        if let Some(configured) = self.publish_wallet(miner, at)? {
            let id = self.node.lookup_id(configured, at)?;
            if id == info.worker || id == info.owner || info.controls.contains(&id) {
                candidates.push(id);
            } else {
                self.node.warn_once(format!(
                    "{configured} is no control, worker or owner address of {miner}: it cannot publish"
                ));
            }
        }
        for own in [&info.worker, &info.owner] {
            if !candidates.contains(own) {
                candidates.push(own.clone());
            }
        }
        let (mut first, mut first_with_key) = (None, None);
        for id in &candidates {
            // An owner may be a multisig, which has no key.
            let key = match self.node.account_key(id, at) {
                Ok(key) => key,
                Err(ChainError::Refused { .. }) => continue,
                Err(error) => return Err(error),
            };
            let balance = self.node.wallet_balance(&key)?;
            let usable = self.has_key(&key)?;
            let sender = Sender { key, balance };
            if usable && !sender.balance.is_zero() && sender.balance >= *needed {
                return Ok(sender);
            }
            if usable {
                first_with_key.get_or_insert_with(|| sender.clone());
            }
            first.get_or_insert(sender);
        }
        first_with_key.or(first).ok_or_else(|| {
            ChainError::Malformed(format!("StateMinerInfo: {miner} has no address with a key"))
        })
    }

    fn has_key(&self, key: &Address) -> Result<bool, ChainError> {
        // Only the node can send: `MpoolPushMessage` signs with the node's own key.
        node_has(&self.node, key)
    }

    /// Sends a publish message once for the order's id.
    pub(super) fn send_publish(&self, order: &PublishOrder) -> Result<Cid, ChainError> {
        let info = self.node.miner_info(&order.miner, None)?;
        let sender = self.publish_sender(&order.miner, &info, &order.fee_max, None)?;
        let message = publish_message(sender.key, &order.deals);
        if !self.keeps_identity()?
            && let Some(pending) = self.node.pending_like(&message)?
        {
            log::info!("publish message {pending} is in the node's pool already");
            return Ok(pending);
        }
        let (sent, cid) = self.node.push_message(&message, order.id, &order.fee_max)?;
        if sent.to != message.to || sent.method != message.method || sent.params != message.params {
            // An id that was used before for something else.
            return Err(ChainError::Malformed(format!(
                "MpoolPushMessage: {cid} is another message than the one asked for"
            )));
        }
        Ok(cid)
    }

    /// Whether the node sends once per `MsgUuid`. Lotus does and is the only one that says nothing of itself in old
    /// versions; Forest takes the id and ignores it, Venus does not know it (chain-sealer-rpc C.2, H).
    fn keeps_identity(&self) -> Result<bool, ChainError> {
        let version = self.node.version()?;
        let text = version.version.to_ascii_lowercase();
        Ok(match version.agent.to_ascii_lowercase().as_str() {
            "" => !text.contains("forest") && !text.contains("venus"),
            agent => agent == "lotus",
        })
    }

    /// Simulates a publish message with one deal, from the miner's worker.
    pub(super) fn simulate_publish(
        &self,
        miner: &Address,
        deal: &ClientDealProposal,
    ) -> Result<Option<String>, ChainError> {
        let info = self.node.miner_info(miner, None)?;
        let message = publish_message(info.worker, std::slice::from_ref(deal));
        let result = self.node.state_call(&message)?;
        if result.exit_code != 0 {
            return Ok(Some(format!(
                "non-zero exit code {}: {}",
                result.exit_code, result.error
            )));
        }
        let published = PublishReturn::decode(&result.returned)
            .map_err(|_| ChainError::Malformed("StateCall: no publish result".to_owned()))?;
        Ok(match published.deal_id(0) {
            Some(_) => None,
            None => Some("the market actor drops it".to_owned()),
        })
    }
}

/// PublishStorageDeals to f05; nonce and gas are left to the node.
fn publish_message(from: Address, deals: &[ClientDealProposal]) -> Message {
    Message {
        version: 0,
        to: Address::market_actor(),
        from,
        nonce: 0,
        value: TokenAmount::zero(),
        gas_limit: 0,
        gas_fee_cap: TokenAmount::zero(),
        gas_premium: TokenAmount::zero(),
        method: market_actor::PUBLISH_STORAGE_DEALS,
        params: market_actor::encode_publish(deals),
    }
}
