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
        if lock(&self.state).seen >= height {
            return;
        }
        lock(&self.state).seen = height;
        let mut messages = std::mem::take(&mut lock(&self.state).messages);
        for message in &mut messages {
            let shallow = message
                .execution
                .as_ref()
                .is_some_and(|execution| height - execution.epoch < CONFIDENCE);
            if shallow && self.sched.fault(Kind::Reorg) {
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
        }
        let mut due: Vec<(i64, usize)> = messages
            .iter()
            .enumerate()
            .filter(|(_, message)| message.execution.is_none())
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
