//! Epochs pass on the chain: re-organisations take messages out, due ones are executed.

use super::super::goods::{HEAD, identity};
use super::super::kinds::Kind;
use super::super::tasks::lock;
use super::{CONFIDENCE, Execution, MemoryChain, Message};
use cid::Cid;
use std::collections::BTreeSet;

impl MemoryChain {
    /// Epochs pass: re-organisations, then executions.
    pub(super) fn catch_up(&self) {
        let height = self.height();
        let before = lock(&self.state).seen;
        if before >= height {
            return;
        }
        lock(&self.state).seen = height;
        let mut messages = std::mem::take(&mut lock(&self.state).messages);
        for message in &mut messages {
            let Some(epoch) = message.execution.as_ref().map(|execution| execution.epoch) else {
                continue;
            };
            if height - epoch < CONFIDENCE {
                if self.sched.fault(Kind::Reorg) {
                    self.take_out(message, height);
                }
            } else if before - epoch < CONFIDENCE && self.sched.fault(Kind::ReorgLate) {
                // Deep enough by now, if nothing had happened while nobody looked.
                self.take_out(message, epoch + CONFIDENCE - 1);
            }
        }
        self.disturb_pool(&mut messages, height);
        let mut due: Vec<(i64, usize)> = messages
            .iter()
            .enumerate()
            .filter(|(_, message)| message.execution.is_none() && message.stays())
            .filter_map(|(at, message)| Some((message.due?, at)))
            .filter(|(due, _)| *due <= height)
            .collect();
        due.sort_unstable();
        for (epoch, at) in due {
            let taken: BTreeSet<Cid> = messages.iter().flat_map(published).collect();
            let execution = self.execute(&messages[at], epoch.max(HEAD), &taken);
            messages[at].execution = Some(execution);
        }
        lock(&self.state).messages = messages;
    }

    /// A re-organisation at this height takes a message out; it comes again soon.
    fn take_out(&self, message: &mut Message, height: i64) {
        message.due = Some(height + self.sched.pick(&[0, 1, 4]));
        let old = message.execution.take();
        let ids = old.map(|execution| execution.ids).unwrap_or_default();
        if self.sched.fault(Kind::ReorgIds) {
            // Deals of others came in between.
            lock(&self.state).next_id += 1 + self.sched.below(5);
        } else if let (Some(first), Some(last)) =
            (ids.iter().flatten().min(), ids.iter().flatten().max())
        {
            // The newest ones come back; a number that another message has taken after them does not.
            let mut state = lock(&self.state);
            if state.next_id == *last {
                state.next_id = *first - 1;
            }
        }
        if self.sched.fault(Kind::MessageForgotten) {
            message.forgotten_until = height + self.sched.pick(&[1, 10, 60]);
        }
    }

    fn execute(&self, message: &Message, epoch: i64, taken: &BTreeSet<Cid>) -> Execution {
        let failing = self.sched.fault(Kind::MessageFails);
        let mut next_id = lock(&self.state).next_id;
        let mut ids = Vec::new();
        for deal in &message.deals {
            let valid = deal.proposal.start_epoch >= epoch
                && !taken.contains(&identity(deal))
                && !self.sched.fault(Kind::DealDropped);
            ids.push((valid && !failing).then(|| {
                next_id += 1;
                next_id
            }));
        }
        let none = ids.iter().all(Option::is_none);
        if !none {
            lock(&self.state).next_id = next_id;
        }
        self.sched.note(|| {
            format!(
                "chain: order {} executed at {epoch}: {ids:?}",
                message.order
            )
        });
        Execution {
            epoch,
            exit_code: match (failing, none) {
                (true, _) => 7,
                (false, true) => 16,
                (false, false) => 0,
            },
            ids,
        }
    }
}

/// Identities that a message brought to the chain.
fn published(message: &Message) -> Vec<Cid> {
    let Some(execution) = &message.execution else {
        return Vec::new();
    };
    let deals = message.deals.iter().zip(&execution.ids);
    deals
        .filter(|(_, id)| id.is_some())
        .map(|(deal, _)| identity(deal))
        .collect()
}
