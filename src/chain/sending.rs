//! Sending a prepared message, as often as it takes, with one effect.
//!
//! A signed message is given to the pool again and again: the same bytes are the same message. When a node refuses it,
//! its words are not trusted (every node has others) but the chain is asked: was the nonce used, and by what?

use super::nonce::{NEARBY, NO_LIMIT, Unseen};
use super::prepared::{Prepared, Way};
use super::publish::same_call;
use super::{ChainError, Lotus};
use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{Address, ChainEpoch};
use cid::Cid;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Epochs after which a tipset is final, where the node cannot say which one is (chain-sealer-rpc D.7).
const FINALITY: ChainEpoch = 900;

/// How long a prepared message keeps others from its sender's nonce while nothing is heard of it. Whoever prepared it
/// stores and sends it within seconds; beyond this it was given up.
const HOLD_MAX: Duration = Duration::from_secs(600);

/// Which order's message a sender is busy with: one at a time, because two messages that are prepared at the same time
/// would get the same nonce.
#[derive(Debug, Default)]
pub(super) struct Senders(Mutex<BTreeMap<Vec<u8>, (Uuid, Instant)>>);

impl Senders {
    /// Takes the sender for an order.
    ///
    /// # Errors
    /// [`ChainError::Later`] while another order's message is on its way.
    pub fn take(&self, sender: &Address, order: Uuid) -> Result<(), ChainError> {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // As many entries as there are publishing wallets.
        let held = senders.get(sender.as_bytes());
        if held.is_some_and(|(other, at)| *other != order && at.elapsed() < HOLD_MAX) {
            return Err(ChainError::Later(format!(
                "another message of {sender} is being sent"
            )));
        }
        senders.insert(sender.as_bytes().to_vec(), (order, Instant::now()));
        Ok(())
    }

    /// The order's message needs its sender no more.
    pub fn free(&self, sender: &Address, order: Uuid) {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if senders
            .get(sender.as_bytes())
            .is_some_and(|(held, _)| *held == order)
        {
            senders.remove(sender.as_bytes());
        }
    }
}

/// What a nonce was used for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Use {
    /// By our message, or by the same with another fee: its CID.
    Ours(Cid),
    /// By another message, at this height; ours will never be executed if that is final.
    Anothers(ChainEpoch),
    /// It will be clear later.
    Unclear(String),
    /// By nothing: the pool does not hold our message.
    Nothing,
}

impl Lotus {
    /// Sends a prepared message; its CID, or that of the message that replaced it.
    ///
    /// # Errors
    /// [`ChainError::Superseded`] is the only one after which another message may be prepared for the same order.
    pub(super) fn send_prepared(&self, prepared: &Prepared) -> Result<Cid, ChainError> {
        match &prepared.way {
            Way::Wallet { node, message } => {
                // The node would give it the nonce of a signed message that is on its way.
                self.senders.take(&message.from, prepared.order)?;
                let sent = self.send_by_wallet(node, message, prepared.order);
                self.senders.free(&message.from, prepared.order);
                sent
            }
            Way::Signed { message, since } => {
                // A message that was stored before a restart comes before new ones.
                let held = self.senders.take(&message.message.from, prepared.order);
                if let Err(error) = held {
                    log::debug!("{error}");
                }
                let sent = self.send_signed(message, *since, &prepared.earlier);
                if matches!(
                    sent,
                    Ok(_) | Err(ChainError::Superseded(_) | ChainError::Refused { .. })
                ) {
                    self.senders.free(&message.message.from, prepared.order);
                }
                sent
            }
        }
    }

    fn send_by_wallet(&self, node: &str, message: &Message, id: Uuid) -> Result<Cid, ChainError> {
        // The total fee is bounded already; the node's own bound must not lower it.
        let fee = super::gas::most_needed(message);
        match self.node.push_message_at(node, message, id, &fee) {
            Ok((sent, cid)) if same_call(&sent, message) => Ok(cid),
            // An ID that was used before for something else.
            Ok((_, cid)) => Err(ChainError::Malformed(format!(
                "MpoolPushMessage: {cid} is another message than the one asked for"
            ))),
            Err(refused @ ChainError::Refused { .. }) => {
                // A node that lost its memory of IDs refuses what is on its way already.
                match self.node.pending(|waiting| same_call(waiting, message)) {
                    Ok(Some((_, cid))) => Ok(cid),
                    _ => Err(refused),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// `earlier` are the CIDs of the messages that this one was put in the place of: any of them may be executed.
    fn send_signed(
        &self,
        signed: &SignedMessage,
        since: ChainEpoch,
        earlier: &[Cid],
    ) -> Result<Cid, ChainError> {
        let cid = signed.cid();
        let refused = match self.node.push_signed(signed) {
            Ok(pushed) if pushed == cid => return Ok(cid),
            Ok(other) => {
                return Err(ChainError::Malformed(format!(
                    "MpoolPush: {other} is another message than {cid}"
                )));
            }
            Err(refused @ ChainError::Refused { .. }) => refused,
            Err(error) => return Err(error),
        };
        log::debug!("message {cid}: {refused}");
        match self.use_of_nonce(signed, since, earlier)? {
            Use::Ours(cid) => Ok(cid),
            Use::Nothing => Err(refused),
            Use::Unclear(why) => Err(ChainError::Later(format!("message {cid}: {why}"))),
            Use::Anothers(height) => {
                let nonce = signed.message.nonce;
                let text = format!(
                    "message {cid}: nonce {nonce} of {} was used by another message at epoch {height}",
                    signed.message.from
                );
                if self.is_final(height)? {
                    Err(ChainError::Superseded(text))
                } else {
                    Err(ChainError::Later(format!("{text}, which is not final yet")))
                }
            }
        }
    }

    /// Finds out what the nonce of a message was used for.
    fn use_of_nonce(
        &self,
        signed: &SignedMessage,
        since: ChainEpoch,
        earlier: &[Cid],
    ) -> Result<Use, ChainError> {
        let (from, nonce) = (&signed.message.from, signed.message.nonce);
        let head = self.node.head()?;
        if self.node.nonce_at(from, &head)? <= nonce {
            return self.use_in_pool(signed);
        }
        // A node that has never stored one of them finds another.
        let ours: Vec<Cid> = std::iter::once(signed.cid())
            .chain(earlier.iter().copied())
            .collect();
        for cid in &ours {
            if let Some(found) = self.node.executed(&head, cid, NO_LIMIT)? {
                return Ok(Use::Ours(found.message));
            }
        }
        // A gateway sees the last few epochs only: look where the nonce was used.
        let Some(at) = self
            .node
            .first_after(from, nonce, (since, Unseen::GiveUp), &head)?
        else {
            let text = format!("nobody can tell what nonce {nonce} was used for");
            return Ok(Use::Unclear(text));
        };
        for cid in &ours {
            if let Some(found) = self.node.executed(&at, cid, NEARBY)? {
                return Ok(Use::Ours(found.message));
            }
        }
        Ok(Use::Anothers(at.epoch))
    }

    /// The nonce is not used on chain: what waits under it?
    fn use_in_pool(&self, signed: &SignedMessage) -> Result<Use, ChainError> {
        let (from, nonce) = (&signed.message.from, signed.message.nonce);
        let same = |waiting: &Message| waiting.from == *from && waiting.nonce == nonce;
        if let Some((waiting, cid)) = self.node.pending(same)? {
            return Ok(if same_call(&waiting, &signed.message) {
                Use::Ours(cid)
            } else {
                Use::Unclear(format!(
                    "another message waits under nonce {nonce} of {from}: {cid}"
                ))
            });
        }
        let next = self.node.next_nonce(from)?;
        Ok(match next.cmp(&nonce) {
            std::cmp::Ordering::Greater => {
                Use::Unclear(format!("nonce {nonce} of {from} is being used"))
            }
            std::cmp::Ordering::Less => Use::Unclear(format!(
                "the node waits for nonce {next} of {from} before {nonce}: an earlier message is lost"
            )),
            std::cmp::Ordering::Equal => Use::Nothing,
        })
    }

    fn is_final(&self, height: ChainEpoch) -> Result<bool, ChainError> {
        Ok(height <= self.final_epoch()?)
    }

    /// The height up to which nothing is undone: the node's word, and where it has none, the rule that holds without it.
    pub(super) fn final_epoch(&self) -> Result<ChainEpoch, ChainError> {
        match self.node.finalized() {
            Ok(tipset) => Ok(tipset.epoch),
            Err(ChainError::Refused { .. }) => Ok(self.node.head()?.epoch.saturating_sub(FINALITY)),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_busy_with_one_order_at_a_time() {
        let senders = Senders::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sender = Address::id(7);
        senders.take(&sender, one).unwrap();
        senders.take(&sender, one).unwrap();
        assert!(matches!(
            senders.take(&sender, other),
            Err(ChainError::Later(_))
        ));
        senders.take(&Address::id(8), other).unwrap();
        senders.free(&sender, other);
        assert!(senders.take(&sender, other).is_err(), "it was not his");
        senders.free(&sender, one);
        senders.take(&sender, other).unwrap();
    }
}
