//! Storing what changed, and what may happen only after that.

use super::Market;
use crate::deal::step::{self, Effect, Event};
use crate::deal::{Checkpoint, Deal, Refusal};
use crate::market::events::{self, DealEvent};
use crate::market::handle::Answer;
use crate::market::inputs::{AllPlaced, Report};
use crate::market::lives::Lives;
use crate::market::{MinerSettings, Settings};
use crate::store::{StoreError, Write, log_line};
use futures::channel::oneshot;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What happens once a commit is durable.
#[derive(Default)]
pub(super) struct Ticket {
    /// The deal that it is about.
    pub deal: Option<Uuid>,
    /// Carried out.
    pub effects: Vec<(Uuid, Effect)>,
    /// Sent.
    pub orders: Vec<Uuid>,
    /// Orders of money that go on.
    pub funds: Vec<Uuid>,
    /// Clients that wait for the acceptance of the deal.
    pub answers: Vec<oneshot::Sender<Answer>>,
    /// Who brought data for offline deals, and what they are told of each.
    pub placed: Option<(oneshot::Sender<AllPlaced>, AllPlaced)>,
    /// The deals of these imports.
    pub imported: BTreeSet<Uuid>,
    /// The operator, who wished for something.
    pub told: Option<oneshot::Sender<Result<(), String>>>,
    /// The last of the turns of sealed deals that were taken together.
    pub turns_taken: bool,
    /// Asked how the deal is while it was being stored: told once what they see is durable.
    pub lookers: Vec<(Uuid, oneshot::Sender<Option<Box<Deal>>>)>,
    /// Told to the subscribers; made by `commit`.
    pub events: Vec<DealEvent>,
}

impl Market {
    /// Moves a deal and stores what changed; effects wait for the commit.
    pub(super) fn apply(
        &mut self,
        uuid: Uuid,
        event: Event,
        told: Option<oneshot::Sender<Result<(), String>>>,
    ) {
        self.apply_with(uuid, event, told, Vec::new());
    }

    pub(super) fn apply_with(
        &mut self,
        uuid: Uuid,
        event: Event,
        told: Option<oneshot::Sender<Result<(), String>>>,
        mut writes: Vec<Write>,
    ) {
        let now = self.now();
        let miner = match own_miner(&self.live, &self.settings, uuid) {
            Ok(miner) => miner,
            Err(why) => {
                if let Some(told) = told {
                    let _ = told.send(Err(why));
                }
                return;
            }
        };
        let arrived = self.passes.progress.bytes(uuid);
        let moved = self.live.change(&uuid, |live| {
            let outcome = step::step(live, event, now, &miner.terms);
            let deal = &mut live.deal;
            if outcome.refused.is_none()
                && deal.checkpoint == Checkpoint::Complete
                && deal.payload_size == 0
            {
                deal.received = arrived;
            }
            outcome
        });
        let (Some(outcome), Some(live)) = (moved, self.live.get(&uuid)) else {
            return;
        };
        if let Some(refused) = outcome.refused {
            if let Some(told) = told {
                let _ = told.send(Err(refused));
            }
            return;
        }
        if outcome.freed.finished && live.deal.sealed {
            // From now on it has its turns to be looked at on chain, and need not be in memory.
            writes.push(Write::Watch {
                deal: uuid,
                was: None,
                next: Some(now),
            });
        }
        if outcome.changed {
            writes.push(Write::Deal(Box::new(live.deal.clone())));
            if live.deal.checkpoint >= Checkpoint::Transferred {
                writes.push(Write::DropSave(uuid));
            }
        }
        if live.deal.ended() && outcome.changed {
            self.ended.insert((now, uuid));
        }
        for line in &outcome.lines {
            log::log!(line.level, "deal {uuid}: {}", line.text);
            writes.push(Write::Log(uuid, log_line(now, line.level, &line.text)));
        }
        let effects = outcome.effects.into_iter();
        let effects = effects.map(|effect| (uuid, effect)).collect();
        if outcome.freed.funds || outcome.freed.space {
            // What it held may let an import begin.
            self.imports.stir();
        }
        if outcome.freed.finished {
            self.leave_queue(uuid);
        }
        self.commit(
            writes,
            Ticket {
                effects,
                told,
                deal: Some(uuid),
                ..Ticket::default()
            },
        );
    }

    /// Stores, and redeems the ticket when that is durable; at once if there is nothing to store.
    pub(super) fn commit(&mut self, mut writes: Vec<Write>, mut ticket: Ticket) {
        ticket.events = events::of(&mut writes, !ticket.answers.is_empty());
        let number = self.next_ticket;
        self.next_ticket = number.wrapping_add(1);
        self.tickets.insert(number, ticket);
        if writes.is_empty() {
            return self.redeem(number, &Ok(()));
        }
        let told = self.reports.clone();
        self.parts.store.commit(
            writes,
            Box::new(move |result| {
                let _ = told.try_send(Report::Committed(number, result));
            }),
        );
    }

    pub(super) fn redeem(&mut self, number: u64, result: &Result<(), StoreError>) {
        let Some(ticket) = self.tickets.remove(&number) else {
            return;
        };
        if let Err(error) = result {
            // What is in memory is ahead of the file now: nothing more may follow from it.
            log::error!("not stored: {error}");
            self.broken = true;
        }
        if result.is_err() && !ticket.answers.is_empty() {
            // It was never accepted.
            if let Some(uuid) = ticket.deal {
                self.live.remove(&uuid);
            }
        }
        if ticket.turns_taken {
            self.watching = false;
        }
        for answer in ticket.answers {
            // The client may have gone; the deal is accepted all the same.
            let _ = answer.send(result.clone().map_err(|error| not_saved(&error)));
        }
        if let Some(told) = ticket.told {
            let _ = told.send(result.clone().map_err(|error| error.to_string()));
        }
        if let Some((told, mut placed)) = ticket.placed {
            if let Err(error) = result {
                for place in placed.iter_mut().flatten() {
                    *place = Err(error.to_string());
                }
            }
            let _ = told.send(placed);
        }
        if result.is_ok() {
            self.feed.tell(&ticket.events);
            for (uuid, effect) in ticket.effects {
                self.carry_out(uuid, effect);
            }
            for order in ticket.orders {
                self.send_order(order);
            }
            for order in ticket.funds {
                self.funds_stored(order);
            }
        }
        if let Some(uuid) = ticket.deal
            && let Some(live) = self.live.get(&uuid)
            && live.deal.payload_size > 0
            && !self.passes.runs(uuid)
            && !self.import_passes.runs(uuid)
        {
            // The record tells it from now on.
            self.passes.progress.forget(uuid);
        }
        for (uuid, looker) in ticket.lookers {
            self.show(uuid, looker);
        }
        self.start_waiting();
    }

    /// Shows a live deal; one that is being stored is shown once that is durable.
    pub(super) fn show(&mut self, uuid: Uuid, looker: oneshot::Sender<Option<Box<Deal>>>) {
        let storing = self
            .tickets
            .values_mut()
            .rev()
            .find(|ticket| ticket.deal == Some(uuid) || ticket.imported.contains(&uuid));
        match storing {
            Some(ticket) => ticket.lookers.push((uuid, looker)),
            None => {
                let _ = looker.send(self.live.get(&uuid).map(|live| Box::new(live.deal.clone())));
            }
        }
    }
}

/// The settings of a live deal's miner, or what an operator is told.
fn own_miner<'a>(
    lives: &Lives,
    settings: &'a Settings,
    uuid: Uuid,
) -> Result<&'a MinerSettings, String> {
    let live = lives
        .get(&uuid)
        .ok_or_else(|| format!("no storage deal found with deal UUID {uuid}"))?;
    let miner = live.deal.miner();
    settings.miners.get(miner).ok_or_else(|| {
        format!(
            "deal {uuid} belongs to {miner}, which is not among the miners of the settings any more"
        )
    })
}

fn not_saved(error: &StoreError) -> Refusal {
    Refusal::server_error("save to db", &error.to_string())
}
