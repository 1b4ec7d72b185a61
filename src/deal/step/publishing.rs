//! From an order to the outcome of its message.

use super::moves::Turn;
use super::{Checkpoint, Class, Effect, Setback, Sight};
use uuid::Uuid;

/// Messages with a deal that may fail on chain for no reason that a dry run shows: each costs its fee. The last of them has
/// the deal alone, so that one deal takes no others with it.
pub const FAILED_MESSAGES_MAX: u32 = 3;

impl Turn<'_> {
    pub(super) fn ordered(&mut self, order: Uuid) {
        if self.at() == Checkpoint::Transferred && self.live.deal.order.is_none() {
            self.deal().order = Some(order);
            self.out.changed = true;
        }
    }

    /// Nothing of the old order has been sent.
    pub(super) fn reordered(&mut self, order: Uuid) {
        if self.at() == Checkpoint::Transferred && self.live.deal.order.is_some() {
            self.deal().order = Some(order);
            self.log(
                log::Level::Info,
                "goes into another publish message than its neighbours",
            );
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
    pub(super) fn message_seen(&mut self, sight: Sight) {
        if self.at() != Checkpoint::Published {
            return;
        }
        let Some(message) = self.live.deal.publish_cid else {
            return;
        };
        let error = match sight {
            Sight::Waits => String::new(),
            Sight::Stuck(text) => text,
            Sight::Unknown => {
                format!(
                    "the chain node does not know publish message {message}; it is looked for on"
                )
            }
        };
        if self.live.deal.error != error {
            if !error.is_empty() {
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

    pub(super) fn confirmed(
        &mut self,
        message: cid::Cid,
        (exit_code, deal_id): (i64, Option<u64>),
        objection: Option<String>,
    ) {
        if self.at() != Checkpoint::Published {
            return;
        }
        self.deal().publish_cid = Some(message);
        self.out.changed = true;
        let Some(deal_id) = deal_id.filter(|_| exit_code == 0) else {
            return self.unpublished(message, exit_code, objection);
        };
        self.deal().chain_deal_id = Some(deal_id);
        self.deal().failed_messages = 0;
        self.log(
            log::Level::Info,
            format!("publish message {message} executed, chain deal {deal_id}"),
        );
        self.reach(Checkpoint::PublishConfirmed);
    }

    /// The message was executed without this deal: it can be published again with another one. What fails by itself waits
    /// for the operator; what only had such a neighbour goes on.
    fn unpublished(&mut self, message: cid::Cid, exit_code: i64, objection: Option<String>) {
        self.go_back(Checkpoint::Transferred);
        let failed = self.live.deal.failed_messages.saturating_add(1);
        self.deal().failed_messages = failed;
        let dropped = exit_code == 0;
        let mut why = if dropped {
            "deal was invalid at publication".to_owned()
        } else {
            format!("exit code {exit_code}")
        };
        let class = match objection {
            // The client reads the reference's words, the log says more.
            Some(objection) if dropped => {
                self.log(
                    log::Level::Error,
                    format!("publish message {message} did not take it; alone it fails with: {objection}"),
                );
                Class::Manual
            }
            Some(objection) => {
                why = format!("{why}; this deal fails alone too: {objection}");
                Class::Manual
            }
            None if dropped => Class::Manual,
            None if failed < FAILED_MESSAGES_MAX => Class::Auto,
            None => {
                why = format!("{why}, for no reason that a dry run shows, {failed} times");
                Class::Manual
            }
        };
        let reason = format!("wait for confirmation of publish message {message} failed: {why}");
        self.failed_at(Checkpoint::Transferred, Setback::new(class, reason));
    }
}
