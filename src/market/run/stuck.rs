//! Publish messages that wait in the pool for too long: said once, and replaced by the same with a higher fee.

use super::Market;
use super::storing::Ticket;
use crate::chain::{ChainError, PREPARED_BYTES_MAX, Prepared};
use crate::deal::Checkpoint;
use crate::market::facts::lock;
use crate::market::inputs::{OnItsWay, Publishing};
use crate::market::publisher;
use crate::store::Write;
use cid::Cid;
use uuid::Uuid;

impl Market {
    /// A message was seen to wait, again.
    pub(super) fn waits_in_pool(&mut self, message: Cid, uuids: &[Uuid]) {
        let Some((head, _)) = lock(&self.bench.snapshot).head else {
            return;
        };
        let deal = uuids.iter().find_map(|uuid| self.live.get(uuid));
        let Some((order, own)) = deal.and_then(|live| {
            let own = self.settings.miners.get(live.deal.miner())?;
            Some((live.deal.order?, own))
        }) else {
            return;
        };
        let (limit, fee_max) = (own.terms.stuck_after, own.terms.publish_fee_max.clone());
        if self.messages.waits(message, head) < limit || limit == 0 {
            return;
        }
        self.messages.count_anew(message, head);
        let text = format!("publish message {message} has waited for {limit} epochs or more");
        if self.messages.alert_of(&message).is_none() {
            let deals: Vec<String> = uuids.iter().map(Uuid::to_string).collect();
            log::warn!(
                "{text}: it is to be replaced by one with a higher fee; its deals: {}",
                deals.join(", ")
            );
            self.messages.alert(message, text);
        }
        if let Some(prepared) = self.publisher.prepared(order).cloned()
            && !self.publisher.is_unsent(order)
            && self.publisher.begin(order)
        {
            let (parts, threads, reports) = (&self.parts, &self.threads, &self.reports);
            publisher::replace(prepared, message, fee_max, parts, threads, reports);
        }
    }

    /// The replacement of an order's message was made, or not: it is sent once it is stored in the other's place.
    pub(super) fn replaced(
        &mut self,
        order: Uuid,
        sent: Cid,
        replaced: Result<Prepared, ChainError>,
    ) {
        self.publisher.ended(order);
        // Its outcome may have become known meanwhile.
        let awaited = self
            .live
            .of_order(order)
            .any(|deal| deal.checkpoint == Checkpoint::Published && deal.publish_cid == Some(sent));
        if !awaited || self.publisher.prepared(order).is_none() {
            return;
        }
        let error = match replaced {
            Ok(prepared) => {
                let bytes = prepared.encode();
                if bytes.len() <= PREPARED_BYTES_MAX {
                    self.publisher.replaced(prepared);
                    let orders = vec![order];
                    let writes = vec![Write::Message(order, bytes)];
                    return self.commit(
                        writes,
                        Ticket {
                            orders,
                            ..Ticket::default()
                        },
                    );
                }
                ChainError::TooMuch(format!("{} bytes to be stored", bytes.len()))
            }
            Err(error) => error,
        };
        let help = match error {
            ChainError::Fee(_) => "; a higher CORACLE_PUBLISH_FEE_MAX lets it be replaced",
            _ => "",
        };
        let text = format!(
            "publish message {sent} waits for long and cannot be replaced by one with a higher fee: {error}{help}"
        );
        log::warn!("{text}");
        self.messages.alert(sent, text);
    }

    /// What waits to be published, and what is on its way.
    pub(super) fn publishing(&self) -> Publishing {
        let waiting = self.publisher.queues();
        let waiting = waiting.map(|(miner, since, deals)| {
            // One that ended while it waited is left out.
            let deals = deals.iter().filter(|uuid| {
                let live = self.live.get(uuid);
                live.is_some_and(|live| live.deal.checkpoint == Checkpoint::Transferred)
            });
            (miner.clone(), since, deals.copied().collect())
        });
        let messages = self.publisher.orders().into_iter().filter_map(|order| {
            let prepared = self.publisher.prepared(order)?;
            let mut deals: Vec<_> = self.live.of_order(order).collect();
            deals.sort_by_key(|deal| deal.uuid);
            let message = prepared.message();
            Some(OnItsWay {
                order,
                cid: deals
                    .iter()
                    .filter(|deal| deal.checkpoint == Checkpoint::Published)
                    .find_map(|deal| deal.publish_cid),
                note: deals
                    .iter()
                    .map(|deal| &deal.error)
                    .find(|error| !error.is_empty())
                    .cloned()
                    .unwrap_or_default(),
                deals: deals.iter().map(|deal| deal.uuid).collect(),
                sender: message.from.clone(),
                fee_max: message.gas_fee_cap.times(message.gas_limit),
                replaced: prepared.earlier().len(),
            })
        });
        Publishing {
            waiting: waiting.collect(),
            messages: messages.collect(),
        }
    }
}
