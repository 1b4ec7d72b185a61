//! Sealed deals inside the run loop: their turns to be looked at on chain.

use super::storing::Ticket;
use super::{Market, millis};
use crate::deal::Millis;
use crate::deal::step::{Event, Live, step};
use crate::market::onchain::{self, Sight, Sights};
use crate::store::{Write, log_line};

impl Market {
    /// Takes the turns that have come, unless some are being taken.
    pub(super) fn look_at_sealed(&mut self, now: Millis) {
        if self.watching {
            return;
        }
        self.watching = true;
        onchain::look(
            now,
            onchain::longest(millis(self.settings.deal_watch)),
            onchain::batch(self.settings.chain_poll),
            &self.parts,
            &self.threads,
            &self.reports,
        );
    }

    /// Sealed deals were looked at: what is new is stored together with their next turns.
    pub(super) fn sealed_seen(&mut self, sights: Option<Sights>) {
        let Some(Sights { head, deals }) = sights else {
            self.watching = false;
            return;
        };
        let mut left = deals.len();
        // Not before their next turns are durable, or the same ones would be taken again.
        self.watching = left > 0;
        for sight in deals {
            left = left.saturating_sub(1);
            let uuid = sight.uuid;
            let writes = self.sight(head, sight);
            // One that is still in memory is shown once this is durable; they share a transaction all the same.
            self.commit(
                writes,
                Ticket {
                    deal: Some(uuid),
                    turns_taken: left == 0,
                    ..Ticket::default()
                },
            );
        }
    }

    fn sight(&mut self, head: i64, sight: Sight) -> Vec<Write> {
        let now = self.now();
        let every = millis(self.settings.deal_watch);
        let Sight { due, uuid, seen } = sight;
        let turn = |next| Write::Watch {
            deal: uuid,
            was: Some(due),
            next,
        };
        let Some((read, found)) = seen else {
            // What cannot be read today may be readable for the next release.
            return vec![turn(Some(now.saturating_add(every)))];
        };
        let Some(found) = found else {
            return vec![turn(Some(now.saturating_add(every)))];
        };
        let Some(miner) = self.settings.miners.get(read.miner()) else {
            return vec![turn(Some(now.saturating_add(every)))];
        };
        let seen = |live: &mut Live| {
            let outcome = step(live, Event::ChainSeen { head, found }, now, &miner.terms);
            (outcome, live.deal.clone())
        };
        // Sealed a moment ago, it is still in memory; else the record is enough.
        let (outcome, deal) = if self.live.get(&uuid).is_some() {
            match self.live.change(&uuid, seen) {
                Some(outcome) => outcome,
                None => return vec![turn(Some(now.saturating_add(every)))],
            }
        } else {
            seen(&mut Live {
                deal: *read,
                busy: None,
            })
        };
        let mut writes = vec![turn(onchain::next(&deal, head, now, every))];
        if outcome.changed {
            writes.push(Write::Deal(Box::new(deal)));
        }
        for line in outcome.lines {
            log::log!(line.level, "deal {uuid}: {}", line.text);
            writes.push(Write::Log(uuid, log_line(now, line.level, &line.text)));
        }
        writes
    }
}
