//! Putting a message with a higher fee in the place of one that waits for too long (chain-sealer-rpc C.2).

use super::gas;
use super::prepared::{Prepared, REPLACED_MAX, Way};
use super::publish::same_call;
use super::{ChainError, Lotus};
use crate::filecoin::TokenAmount;
use crate::filecoin::message::Message;
use cid::Cid;

impl Lotus {
    /// Makes the replacement of a message that was sent and waits under the CID `sent`: same nonce, higher fee.
    ///
    /// # Errors
    /// [`ChainError::Fee`] if `fee_max` leaves no room; [`ChainError::Later`] if another fee would not help. Nothing was
    /// sent in any case, and what waits goes on waiting.
    pub(super) fn replace_prepared(
        &self,
        prepared: &Prepared,
        sent: &Cid,
        fee_max: &TokenAmount,
    ) -> Result<Prepared, ChainError> {
        if prepared.earlier.len() >= REPLACED_MAX {
            return Err(ChainError::Fee(format!(
                "the message was replaced {} times already",
                prepared.earlier.len()
            )));
        }
        let head = self.node.head()?;
        let mut message = self.waiting(prepared, sent)?;
        let from = message.from.clone();
        let used = self.node.nonce_at(&from, &head)?;
        if used > message.nonce {
            return Err(ChainError::Later(format!(
                "nonce {} of {from} was used just now",
                message.nonce
            )));
        }
        if used < message.nonce {
            return Err(ChainError::Later(format!(
                "the message of {from} with nonce {used} comes first: this one has nonce {}, and a higher fee would not help it",
                message.nonce
            )));
        }
        gas::raise(&mut message, fee_max, &head.base_fee)?;
        let needed = gas::most_needed(&message);
        let balance = self.node.wallet_balance(&from)?;
        if balance < needed {
            return Err(ChainError::NoSender(format!(
                "{from} has {}, the message may cost {}",
                balance.to_fil_text(),
                needed.to_fil_text()
            )));
        }
        let signer = self.signer(&from)??;
        let signed = self.sign_message(&signer, &message)?;
        let since = match &prepared.way {
            Way::Signed { since, .. } => *since,
            // Its nonce is free at this head.
            Way::Wallet { .. } => head.epoch,
        };
        let known = prepared.earlier.iter().copied();
        let replaced = known.chain(prepared.cid()).chain([*sent]);
        Ok(Prepared::signed(prepared.order, signed, since).in_place_of(replaced))
    }

    /// The message that waits, with nonce and fee as it was sent: a wallet chose the nonce, and somebody else may have
    /// replaced the message before.
    fn waiting(&self, prepared: &Prepared, sent: &Cid) -> Result<Message, ChainError> {
        let ours = prepared.message();
        if prepared.cid() == Some(*sent) {
            return Ok(ours.clone());
        }
        let found = match self.node.get_message(sent) {
            Err(ChainError::Refused { .. }) => {
                let waiting = self.node.pending(|waiting| same_call(waiting, ours))?;
                waiting.map(|(message, _)| message)
            }
            found => Some(found?),
        };
        match found {
            Some(found) if same_call(&found, ours) => Ok(found),
            _ => Err(ChainError::Later(format!(
                "the node does not show message {sent}"
            ))),
        }
    }
}
