//! The pool of waiting messages: nodes lose theirs, and other messages of the same sender take nonces.

use super::super::goods::identity;
use super::super::kinds::Kind;
use super::super::tasks::lock;
use super::{Answer, CONFIDENCE, MemoryChain, Message, position};
use coracle::chain::{ChainError, Prepared};
use coracle::filecoin::ClientDealProposal;
use uuid::Uuid;

/// Epochs after which the use of a nonce is final.
const FINALITY: i64 = 40;

impl Message {
    /// Whether it is where it was sent to.
    pub(super) fn stays(&self) -> bool {
        !self.lost && self.taken.is_none()
    }

    /// Whether it is certain never to be executed: another message has its nonce, and nothing takes that back.
    pub(super) fn is_void(&self, height: i64) -> bool {
        self.taken.is_some_and(|at| height - at >= FINALITY)
    }
}

impl MemoryChain {
    /// What becomes of signed messages that wait to be executed.
    pub(super) fn disturb_pool(&self, messages: &mut [Message], height: i64) {
        let waiting = messages
            .iter_mut()
            .filter(|message| message.signed && message.execution.is_none());
        for message in waiting {
            match message.taken {
                Some(_) if message.is_void(height) => {}
                Some(_) if self.sched.fault(Kind::NonceBack) => message.taken = None,
                Some(_) => {}
                // It was never going to be executed.
                None if message.due.is_none() => {}
                None if self.sched.fault(Kind::NonceTaken) => message.taken = Some(height),
                None if !message.lost && self.sched.fault(Kind::PoolLost) => message.lost = true,
                None => {}
            }
        }
    }

    /// A message that was sent before is sent again: one that was lost is there again, one whose nonce is used never will be.
    pub(super) fn hold(&self, prepared: &Prepared) -> Answer<()> {
        let height = self.height();
        let mut state = lock(&self.state);
        let mut messages = state.messages.iter_mut();
        // A replacement has the nonce of those in whose place it stands.
        let ours = |known: &&mut Message| {
            let mut cids = prepared
                .cid()
                .into_iter()
                .chain(prepared.earlier().iter().copied());
            prepared.cid().is_some() && cids.any(|cid| known.is(&cid))
        };
        let Some(message) = messages.find(ours) else {
            return Ok(());
        };
        if message.is_void(height) {
            self.sched.count(Kind::Superseded);
            let text = "the nonce was used by another message".to_owned();
            return Err(ChainError::Superseded(text));
        }
        if message.taken.is_some() {
            let text = "another message has the nonce, which is not final yet".to_owned();
            return Err(ChainError::Later(text));
        }
        if message.lost {
            self.sched.count(Kind::SentAgain);
            message.lost = false;
            message.due = message.due.map(|due| due.max(height + 1));
        }
        Ok(())
    }

    /// Whether these deals may go to the chain in a new message: none may be on its way or there already.
    pub(super) fn check_order(&self, order: Uuid, deals: &[ClientDealProposal]) {
        let height = self.height();
        let state = lock(&self.state);
        for deal in deals {
            let identity = identity(deal);
            for message in &state.messages {
                let Some(at) = position(message, &identity) else {
                    continue;
                };
                let failed = message.execution.as_ref().is_some_and(|execution| {
                    execution.ids[at].is_none() && height - execution.epoch >= CONFIDENCE
                });
                if !failed && !message.is_void(height) {
                    self.sched.violated(
                        "at most one publish message per deal",
                        format!(
                            "{:?} is in the message of order {} and now in that of {}: {:?}",
                            deal.proposal.label, message.order, order, message.execution
                        ),
                    );
                }
            }
        }
    }
}
