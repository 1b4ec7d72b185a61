//! From an order to the outcome of its message.

use super::moves::Turn;
use super::{Checkpoint, Class, Effect, Setback};
use uuid::Uuid;

impl Turn<'_> {
    pub(super) fn ordered(&mut self, order: Uuid) {
        if self.at() == Checkpoint::Transferred && self.live.deal.order.is_none() {
            self.deal().order = Some(order);
            self.out.changed = true;
        }
    }

    pub(super) fn publish_sent(&mut self, cid: cid::Cid) {
        let old = self.live.deal.publish_cid;
        match (self.at(), old) {
            (Checkpoint::Transferred, _) => {
                self.deal().publish_cid = Some(cid);
                self.log(log::Level::Info, format!("publish message {cid} sent"));
                self.reach(Checkpoint::Published);
            }
            // It was sent again because the node had lost it, or another one had replaced it meanwhile.
            (Checkpoint::Published, Some(old)) if old != cid => {
                self.deal().publish_cid = Some(cid);
                self.log(
                    log::Level::Info,
                    format!("publish message {cid} is in the place of {old}"),
                );
                self.out.changed = true;
                self.out.effects.push(Effect::WatchMessage);
            }
            _ => {}
        }
    }

    /// The message will never be executed: the deal is published with another one.
    pub(super) fn superseded(&mut self, why: &str) {
        if self.at() != Checkpoint::Published {
            return;
        }
        self.go_back(Checkpoint::Transferred);
        self.deal().publish_cid = None;
        let reason = format!("wait for confirmation of publish message failed: {why}");
        self.failed_at(Checkpoint::Transferred, Setback::new(Class::Auto, reason));
    }

    /// A node that does not know the message (it was replaced by another node, or lost its pool) is asked on; the operator
    /// sees why nothing happens.
    pub(super) fn message_seen(&mut self, known: bool) {
        if self.at() != Checkpoint::Published {
            return;
        }
        let Some(message) = self.live.deal.publish_cid else {
            return;
        };
        let error = if known {
            String::new()
        } else {
            format!("the chain node does not know publish message {message}; it is looked for on")
        };
        if self.live.deal.error != error {
            if !known {
                self.log(log::Level::Warn, error.clone());
            }
            self.deal().error = error;
            self.out.changed = true;
        }
    }

    pub(super) fn publish_failed(&mut self, setback: Setback, unsent: bool) {
        if self.at() != Checkpoint::Transferred {
            return;
        }
        if unsent {
            self.deal().order = None;
            self.out.changed = true;
        }
        self.failed_at(Checkpoint::Transferred, setback);
    }

    pub(super) fn confirmed(&mut self, message: cid::Cid, exit_code: i64, deal_id: Option<u64>) {
        if self.at() != Checkpoint::Published {
            return;
        }
        self.deal().publish_cid = Some(message);
        self.out.changed = true;
        let deal_id = match deal_id {
            Some(deal_id) if exit_code == 0 => deal_id,
            _ if exit_code == 0 => {
                return self.unpublished(message, "deal was invalid at publication");
            }
            _ => return self.unpublished(message, &format!("exit code {exit_code}")),
        };
        self.deal().chain_deal_id = Some(deal_id);
        self.log(
            log::Level::Info,
            format!("publish message {message} executed, chain deal {deal_id}"),
        );
        self.reach(Checkpoint::PublishConfirmed);
    }

    /// The message was executed without this deal: it can be published again with another one.
    fn unpublished(&mut self, message: cid::Cid, why: &str) {
        let reason = format!("wait for confirmation of publish message {message} failed: {why}");
        self.go_back(Checkpoint::Transferred);
        self.failed_at(Checkpoint::Transferred, Setback::new(Class::Manual, reason));
    }
}
