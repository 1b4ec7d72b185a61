//! Money of a miner: what there is, and messages that move it in and out of its market escrow (chain-sealer-rpc D.1).

use super::node::{MinerInfo, Tipset};
use super::publish::{Sender, market_message};
use super::{ChainError, Lotus, Purse};
use crate::filecoin::market_actor;
use crate::filecoin::message::Message;
use crate::filecoin::{Address, TokenAmount};

impl Lotus {
    /// A miner's money, all of it at one head.
    pub(super) fn purse_of(&self, miner: &Address) -> Result<Purse, ChainError> {
        let head = self.node.head()?;
        let at = Some(&head);
        let info = self.node.miner_info(miner, at)?;
        let balance = self.node.market_balance(miner, at)?;
        let worker = self.node.account_key(&info.worker, at)?;
        let worker_balance = self.node.wallet_balance(&worker)?;
        let sender = self.publish_sender(miner, &info, &TokenAmount::zero(), at)?;
        let owner = match self.node.account_key(&info.owner, at) {
            Ok(key) => key,
            // A multisig has no key.
            Err(ChainError::Refused { .. }) => info.owner,
            Err(error) => return Err(error),
        };
        Ok(Purse {
            escrow: balance.escrow,
            locked: balance.locked,
            publish_wallet: sender.key,
            publish_balance: sender.balance,
            worker,
            worker_balance,
            owner,
        })
    }

    /// AddBalance to the miner's escrow, and who sends it.
    pub(super) fn add_balance(
        &self,
        miner: &Address,
        info: &MinerInfo,
        (from, amount): (Option<&Address>, &TokenAmount),
        head: &Tipset,
    ) -> Result<(Sender, Message), ChainError> {
        let at = Some(head);
        let sender = match from {
            Some(from) => {
                let id = self.node.lookup_id(from, at)?;
                self.best_sender(miner, vec![id], amount, at)?
            }
            None => self.publish_sender(miner, info, amount, at)?,
        };
        // A node would refuse to estimate it, in words of its own.
        if sender.balance < *amount {
            return Err(ChainError::NoSender(format!(
                "{} has {}, {} are to be sent",
                sender.key,
                sender.balance.to_fil_text(),
                amount.to_fil_text()
            )));
        }
        let params = market_actor::encode_add_balance(miner);
        let mut message = market_message(sender.key.clone(), market_actor::ADD_BALANCE, params);
        message.value = amount.clone();
        Ok((sender, message))
    }

    /// WithdrawBalance from the miner's escrow, and who sends it.
    pub(super) fn withdraw(
        &self,
        miner: &Address,
        info: &MinerInfo,
        (from, amount): (Option<&Address>, &TokenAmount),
        head: &Tipset,
    ) -> Result<(Sender, Message), ChainError> {
        let at = Some(head);
        let entitled = vec![info.worker.clone(), info.owner.clone()];
        let candidates = match from {
            Some(from) => {
                let id = self.node.lookup_id(from, at)?;
                if !entitled.contains(&id) {
                    return Err(ChainError::NoSender(format!(
                        "{from} is neither owner nor worker of {miner}: only these may withdraw"
                    )));
                }
                vec![id]
            }
            None => entitled,
        };
        let sender = self.best_sender(miner, candidates, &TokenAmount::zero(), at)?;
        let params = market_actor::encode_withdraw(miner, amount);
        let message = market_message(sender.key.clone(), market_actor::WITHDRAW_BALANCE, params);
        Ok((sender, message))
    }
}
