//! What an operator can ask for (spec boost-mk12 4.6), and why it is refused.

use super::moves::Turn;
use super::{Checkpoint, Effect, Verb};
use crate::deal::record::Hold;
use crate::deal::wait::Wait;

/// Why a deal cannot be failed while its message may be known to the chain.
const ON_ITS_WAY: &str = "the publish message is on its way: its outcome must be known first";

impl Turn<'_> {
    pub(super) fn operator(&mut self, verb: Verb) {
        let deal = &self.live.deal;
        if deal.checkpoint == Checkpoint::Complete {
            return self.refuse("deal is already complete");
        }
        if deal.ended() {
            return self.refuse("the deal is sealed: there is nothing left to do");
        }
        match verb {
            Verb::Retry => self.retry(),
            Verb::Cancel if deal.checkpoint == Checkpoint::Accepted => {
                self.end("Cancelled".to_owned());
            }
            // Nothing is noted of a cancel that comes too late: later errors keep their own text.
            Verb::Cancel => self.refuse("transfer already complete"),
            Verb::Fail => self.fail(),
            Verb::Sealed(sector) => self.placed(sector),
        }
    }

    fn retry(&mut self) {
        let deal = &self.live.deal;
        let uuid = deal.uuid;
        match Wait::of(deal) {
            Wait::Import => {
                let text = format!(
                    "deal {uuid} has no data to go on with: bring it with `coracle import {uuid} FILE`"
                );
                return self.refuse(&text);
            }
            Wait::Operator | Wait::Retry(_) | Wait::Room => {}
            other => {
                let text = format!("deal {uuid} is not waiting for a retry: it waits for {other}");
                return self.refuse(&text);
            }
        }
        self.log(log::Level::Info, "retry asked for by the operator");
        let deal = self.deal();
        deal.hold = Hold::None;
        deal.error.clear();
        deal.failed_messages = 0;
        self.out.changed = true;
        self.live.busy = None;
        self.next();
    }

    fn fail(&mut self) {
        let deal = &self.live.deal;
        let uuid = deal.uuid;
        // After its start epoch a deal that is not active never will be: giving it up costs nothing more.
        let late = deal.late;
        match (deal.checkpoint, self.live.busy) {
            // Members of an order leave it together: the same message must be asked for again.
            (Checkpoint::Transferred, _) if deal.order.is_some() => self.refuse(ON_ITS_WAY),
            (Checkpoint::Published, _) if !late => self.refuse(ON_ITS_WAY),
            (Checkpoint::IndexedAndAnnounced, _) if !late => {
                self.refuse("the deal is already with the sealer");
            }
            // A deal that waits for its place in a queue, or for others, is not running.
            (
                _,
                None
                | Some(
                    Effect::QueueImport
                    | Effect::Publish
                    | Effect::WatchMessage
                    | Effect::WatchSector,
                ),
            ) => {
                self.end("user manually terminated the deal".to_owned());
            }
            _ => {
                let text = format!("the deal {uuid} is running; cannot fail running deal");
                self.refuse(&text);
            }
        }
    }

    pub(super) fn refuse(&mut self, text: &str) {
        self.out.refused = Some(text.to_owned());
    }
}
