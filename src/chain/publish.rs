//! Who pays for a message, and how one is made ready to be sent.

use super::gas;
use super::node::{MinerInfo, Tipset};
use super::prepared::{Prepared, Way};
use super::wallet::{Held, holder};
use super::{Call, ChainError, Lotus, Order};
use crate::filecoin::market_actor::{self, PublishReturn};
use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{Address, ClientDealProposal, TokenAmount};

/// Who has the key of a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signer {
    /// This box.
    Here,
    /// The node with this name.
    Node(String),
}

/// The sender of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sender {
    /// Key address.
    pub key: Address,
    /// Its balance.
    pub balance: TokenAmount,
    /// Who signs, or why nobody can.
    pub signer: Result<Signer, ChainError>,
}

impl Lotus {
    /// Chooses the sender (chain-sealer-rpc C.2): the configured address if it is one of the miner's own, then the
    /// worker, then the owner; of these the best one ([`Self::best_sender`]), so that its balance can be shown even if
    /// nobody has a key.
    pub(super) fn publish_sender(
        &self,
        miner: &Address,
        info: &MinerInfo,
        needed: &TokenAmount,
        at: Option<&Tipset>,
    ) -> Result<Sender, ChainError> {
        let candidates = self.candidates(miner, info, at)?;
        self.best_sender(miner, candidates, needed, at)
    }

    /// Of these ID addresses the first whose key somebody here has and whose balance is not below `needed`; else the first
    /// with a key; else the first at all.
    pub(super) fn best_sender(
        &self,
        miner: &Address,
        candidates: Vec<Address>,
        needed: &TokenAmount,
        at: Option<&Tipset>,
    ) -> Result<Sender, ChainError> {
        let (mut first, mut first_with_key) = (None, None);
        for id in candidates {
            // An owner may be a multisig, which has no key.
            let key = match self.node.account_key(&id, at) {
                Ok(key) => key,
                Err(ChainError::Refused { .. }) => continue,
                Err(error) => return Err(error),
            };
            let balance = self.node.wallet_balance(&key)?;
            let signer = self.signer(&key)?;
            let usable = signer.is_ok();
            let sender = Sender {
                key,
                balance,
                signer,
            };
            if usable && !sender.balance.is_zero() && sender.balance >= *needed {
                return Ok(sender);
            }
            if usable {
                first_with_key.get_or_insert_with(|| sender.clone());
            }
            first.get_or_insert(sender);
        }
        first_with_key.or(first).ok_or_else(|| {
            ChainError::NoSender(format!(
                "none of the addresses for {miner} is an account with a key"
            ))
        })
    }

    /// ID addresses that may publish, the best first.
    fn candidates(
        &self,
        miner: &Address,
        info: &MinerInfo,
        at: Option<&Tipset>,
    ) -> Result<Vec<Address>, ChainError> {
        let mut candidates = Vec::new();
        if let Some(configured) = self.publish_wallet(miner, at)? {
            let id = match self.node.lookup_id(configured, at) {
                Ok(id) => Some(id),
                // Nobody has ever sent it anything: it is nobody's.
                Err(error) if error.is_actor_not_found() => None,
                Err(error) => return Err(error),
            };
            match id.filter(|id| info.is_own(id)) {
                Some(id) => candidates.push(id),
                None => self.node.warn_once(format!(
                    "{configured} is no control, worker or owner address of {miner}: it cannot publish"
                )),
            }
        }
        for own in [&info.worker, &info.owner] {
            if !candidates.contains(own) {
                candidates.push(own.clone());
            }
        }
        Ok(candidates)
    }

    /// Who has the key of this key address: this box before a node, the nodes in the order of their list.
    pub(super) fn signer(&self, key: &Address) -> Result<Result<Signer, ChainError>, ChainError> {
        if self.keys.as_deref().is_some_and(|keys| keys.has(key)) {
            return Ok(Ok(Signer::Here));
        }
        Ok(match holder(&self.node, key)? {
            Held::By(node) => Ok(Signer::Node(node)),
            Held::NotTold(text) => Err(ChainError::Forbidden(text)),
            Held::Nowhere => Err(ChainError::NoSender(format!(
                "neither this box nor a node has the key of {key}: import it with `coracle wallet import`, or name another wallet"
            ))),
        })
    }

    /// Makes an order's message ready to be sent: sender, gas, fee, and where its CID can be known before, nonce and
    /// signature. Nothing is sent.
    ///
    /// # Errors
    /// [`ChainError`]; in no case does anything exist that could be executed.
    pub(super) fn prepare_order(&self, order: &Order) -> Result<Prepared, ChainError> {
        let head = self.node.head()?;
        let at = Some(&head);
        let info = self.node.miner_info(&order.miner, at)?;
        let (sender, unpriced) = match &order.call {
            Call::Publish(deals) => {
                let sender = self.publish_sender(&order.miner, &info, &TokenAmount::zero(), at)?;
                let message = publish_message(sender.key.clone(), deals);
                (sender, message)
            }
            Call::AddBalance { from, amount } => {
                self.add_balance(&order.miner, &info, (from.as_ref(), amount), &head)?
            }
            Call::Withdraw { from, amount } => {
                self.withdraw(&order.miner, &info, (from.as_ref(), amount), &head)?
            }
        };
        let signer = sender.signer?;
        gas::check_size(&unpriced)?;
        let estimated = self.node.estimate(&unpriced, &order.fee_max);
        let mut message = estimated.map_err(|error| match error {
            // Which text is about the deals, every node has its own words for.
            ChainError::Refused { message, .. } if !order.deals().is_empty() => {
                ChainError::WouldFail(message)
            }
            other => other,
        })?;
        if !same_call(&message, &unpriced) {
            return Err(ChainError::Malformed(
                "GasEstimateMessageGas: another message than the one asked for".to_owned(),
            ));
        }
        gas::bound(&mut message, &order.fee_max, &head.base_fee)?;
        let needed = gas::most_needed(&message);
        if sender.balance < needed {
            return Err(ChainError::NoSender(format!(
                "{} has {}, the message may cost {}",
                sender.key,
                sender.balance.to_fil_text(),
                needed.to_fil_text()
            )));
        }
        let way = match signer {
            // A second publish message is without effect, a second transfer is not: money waits for nobody's memory of
            // identities, it is bound to a nonce.
            Signer::Node(node)
                if matches!(order.call, Call::Publish(_))
                    && self.kinds.keeps_identity(&self.node, &node)? =>
            {
                message.nonce = 0;
                Way::Wallet { node, message }
            }
            signer => {
                self.senders.take(&sender.key, order.id)?;
                let signed = self.number_and_sign(&signer, message);
                if signed.is_err() {
                    self.senders.free(&sender.key, order.id);
                }
                Way::Signed {
                    message: signed?,
                    since: head.epoch,
                }
            }
        };
        Ok(Prepared {
            order: order.id,
            way,
            earlier: Vec::new(),
        })
    }

    /// Gives a message the next nonce and signs it.
    fn number_and_sign(
        &self,
        signer: &Signer,
        mut message: Message,
    ) -> Result<SignedMessage, ChainError> {
        message.nonce = self.node.next_nonce(&message.from)?;
        self.sign_message(signer, &message)
    }

    /// Signs a message and looks at what came back.
    pub(super) fn sign_message(
        &self,
        signer: &Signer,
        message: &Message,
    ) -> Result<SignedMessage, ChainError> {
        let from = &message.from;
        let signed = match signer {
            Signer::Here => {
                let bytes = message.cid().to_bytes();
                let signature = self.keys.as_deref().and_then(|k| k.sign(from, &bytes));
                signature.map(|signature| SignedMessage {
                    message: message.clone(),
                    signature,
                })
            }
            Signer::Node(node) => Some(self.node.sign_message_at(node, message)?),
        };
        match signed {
            Some(signed) if signed.message == *message && signed.verify(from) => Ok(signed),
            Some(_) => Err(ChainError::Malformed(format!(
                "WalletSignMessage: not the message that was asked for, or not signed by {from}"
            ))),
            None => Err(ChainError::NoSender(format!("the key of {from} is gone"))),
        }
    }

    /// Simulates a publish message with one deal, from the miner's worker.
    pub(super) fn simulate_publish(
        &self,
        miner: &Address,
        deal: &ClientDealProposal,
    ) -> Result<Option<String>, ChainError> {
        let info = self.node.recent_miner_info(miner)?;
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

/// Whether two messages differ in no more than nonce and gas.
pub(super) fn same_call(a: &Message, b: &Message) -> bool {
    a.from == b.from
        && a.to == b.to
        && a.value == b.value
        && a.method == b.method
        && a.params == b.params
}

/// PublishStorageDeals to f05, without nonce and gas.
fn publish_message(from: Address, deals: &[ClientDealProposal]) -> Message {
    let method = market_actor::PUBLISH_STORAGE_DEALS;
    market_message(from, method, market_actor::encode_publish(deals))
}

/// A message to f05 without value, nonce and gas.
pub(super) fn market_message(from: Address, method: u64, params: Vec<u8>) -> Message {
    Message {
        version: 0,
        to: Address::market_actor(),
        from,
        nonce: 0,
        value: TokenAmount::zero(),
        gas_limit: 0,
        gas_fee_cap: TokenAmount::zero(),
        gas_premium: TokenAmount::zero(),
        method,
        params,
    }
}
