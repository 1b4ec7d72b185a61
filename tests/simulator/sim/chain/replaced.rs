//! Messages that wait for too long and are replaced by the same with a higher fee.

use super::super::goods::atto;
use super::super::kinds::Kind;
use super::super::tasks::lock;
use super::{Answer, MemoryChain, Message, worker};
use cid::Cid;
use coracle::chain::{ChainError, Prepared};

impl Message {
    /// Whether it is known under this CID.
    pub(super) fn is(&self, cid: &Cid) -> bool {
        self.cid == *cid || self.executed_as == *cid || self.replacements.contains(cid)
    }
}

impl MemoryChain {
    /// Puts a replacement in the place of the message that waits under its nonce; the chain may execute either.
    pub(super) fn take_replacement(&self, prepared: &Prepared) -> Option<Cid> {
        let cid = prepared.cid().filter(|_| !prepared.earlier().is_empty())?;
        let (old, moves) = (self.sched.chance(300), self.sched.chance(800));
        let now = self.height();
        let mut state = lock(&self.state);
        let mut messages = state.messages.iter_mut();
        let message = messages.find(|known| prepared.earlier().iter().any(|cid| known.is(cid)))?;
        message.replacements.push(cid);
        if message.execution.is_none() {
            if !old {
                message.executed_as = cid;
            }
            if moves {
                message.due = Some(message.due.map_or(now + 1, |due| due.min(now + 1)));
            }
        }
        Some(cid)
    }

    /// Makes the same with a higher fee.
    pub(super) fn replacement(&self, prepared: &Prepared, sent: &Cid) -> Answer<Prepared> {
        self.here()?;
        let executed = {
            let state = lock(&self.state);
            let mut messages = state.messages.iter();
            let known = messages.find(|message| message.is(sent));
            known.is_none_or(|message| message.execution.is_some() || !message.stays())
        };
        if executed {
            return Err(ChainError::Later("its nonce was used".to_owned()));
        }
        let mut message = prepared.message().clone();
        message.gas_premium = &message.gas_premium + &atto(1);
        let signed = message.sign(&worker());
        let earlier = prepared.earlier().iter().copied();
        let earlier = earlier.chain(prepared.cid()).chain([*sent]);
        self.sched.count(Kind::Replaced);
        self.back(Prepared::signed(prepared.order, signed, self.height()).in_place_of(earlier))
    }
}
