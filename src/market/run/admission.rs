//! Admission inside the run loop: one proposal after the other.

use super::Market;
use super::storing::Ticket;
use crate::chain::ProviderFacts;
use crate::deal::admit::{self, Room};
use crate::deal::ledger;
use crate::deal::step::{Event, Live, step};
use crate::deal::sums::awaited_bytes;
use crate::deal::{Deal, Ledger, Refusal};
use crate::filecoin::{Address, TokenAmount};
use crate::market::Snapshot;
use crate::market::facts::lock;
use crate::market::handle::Answer;
use crate::market::inputs::{Candidate, Holdings, KnownDeal, same_deals};
use crate::store::{StoreError, Write, log_line};
use futures::channel::oneshot;
use std::collections::BTreeMap;
use uuid::Uuid;

impl Market {
    /// Admits a judged proposal: the answer waits for the commit.
    pub(super) fn admit(&mut self, candidate: Candidate) {
        let known = self.known_deals(&candidate);
        let Candidate {
            deal,
            disk_free,
            reply,
            ..
        } = candidate;
        if known
            .iter()
            .any(|(uuid, _, cid)| *uuid == deal.uuid && *cid == deal.chain_cid)
        {
            // The same proposal under the same UUID: the recorded answer, whatever became of the deal.
            return self.answer_again(deal.uuid, reply);
        }
        let admitted = self.room(&deal, &known, disk_free).and_then(|room| {
            let Some(miner) = self.settings.miners.get(deal.miner()) else {
                return Err(not_ours(deal.miner()));
            };
            admit::admit(&deal, &room, &miner.terms)
        });
        if let Err(refusal) = admitted {
            let _ = reply.send(Err(refusal));
            return;
        }
        if !deal.request.offline {
            self.make_room(deal.request.size, disk_free);
        }
        let uuid = deal.uuid;
        let text = format!(
            "accepted: {} deal of {} bytes, piece {}, from client {}",
            if deal.request.offline {
                "offline"
            } else {
                "online"
            },
            deal.request.size,
            deal.proposal().piece_cid,
            deal.proposal().client
        );
        log::info!("deal {uuid}: {text}");
        let line = log_line(deal.created, log::Level::Info, &text);
        let writes = vec![Write::Deal(Box::new(deal.clone())), Write::Log(uuid, line)];
        let mut live = Live { deal, busy: None };
        let Some(miner) = self.settings.miners.get(live.deal.miner()) else {
            return;
        };
        let now = (self.parts.now)();
        let first = step(&mut live, Event::Resume, now, &miner.terms);
        let effects = first
            .effects
            .into_iter()
            .map(|effect| (uuid, effect))
            .collect();
        self.live.insert(live);
        self.commit(
            writes,
            Ticket {
                effects,
                answers: vec![reply],
                deal: Some(uuid),
                ..Ticket::default()
            },
        );
    }

    /// Deals of a candidate's kind that are in memory, beside those that the database has.
    fn known_deals(&self, candidate: &Candidate) -> Vec<KnownDeal> {
        let same_uuid = self.live.get(&candidate.deal.uuid).map(|live| &live.deal);
        let same = self.live.same_proposal(&candidate.deal.chain_cid);
        let live = same.chain(same_uuid);
        let known = live.map(|deal| (deal.uuid, deal.created, deal.chain_cid));
        candidate.known.iter().copied().chain(known).collect()
    }

    /// Answers a proposal that was admitted before; if that is not durable yet, together with the first one.
    fn answer_again(&mut self, uuid: Uuid, reply: oneshot::Sender<Answer>) {
        let pending = self
            .tickets
            .values_mut()
            .find(|ticket| ticket.deal == Some(uuid) && !ticket.answers.is_empty());
        match pending {
            Some(ticket) => ticket.answers.push(reply),
            None => {
                let _ = reply.send(Ok(()));
            }
        }
    }

    pub(super) fn room(
        &self,
        deal: &Deal,
        known: &[KnownDeal],
        disk_free: u64,
    ) -> Result<Room, Refusal> {
        let now = (self.parts.now)();
        let poll = self.bench.poll_millis();
        let away = |why: String| Refusal::server_error("tag funds", &why);
        let snapshot = lock(&self.bench.snapshot);
        let head = snapshot.fresh_head(now, poll).map_err(away)?;
        let miner = snapshot
            .fresh_miner(deal.miner(), now, poll)
            .map_err(away)?;
        let (same_proposal, same_uuid) = same_deals(known, deal);
        Ok(Room {
            same_proposal,
            same_uuid,
            head,
            ledger: self.live.ledger(deal.miner()),
            host_staging: self.live.host_staging(&deal.request.host),
            client_staging: self.live.client_staging(&deal.client()),
            escrow_available: self.escrow_left(deal.miner(), &miner.facts),
            publish_balance: self.wallet_left(&miner.facts),
            reserved_by_others: self.reserved_by_others(deal.miner(), &snapshot),
            // Kept pieces give way to new deals; what accepted deals have yet to bring is not free.
            disk_free: disk_free
                .saturating_add(self.kept.reclaimable(&self.linked()))
                .saturating_sub(self.outstanding()),
        })
    }

    /// What live deals hold, for each miner.
    pub(super) fn ledgers(&self) -> BTreeMap<Address, Ledger> {
        let miners = self.settings.miners.keys().cloned();
        miners
            .map(|miner| (miner.clone(), self.live.ledger(&miner)))
            .collect()
    }

    /// Escrow that the chain has not locked, less what withdrawals under way take.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    fn escrow_left(&self, miner: &Address, facts: &ProviderFacts) -> TokenAmount {
        &facts.escrow_available - &self.funding.leaving(miner)
    }

    /// The publish wallet's balance, less what orders of money under way take.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    fn wallet_left(&self, facts: &ProviderFacts) -> TokenAmount {
        &facts.publish_balance - &self.funding.taking(&facts.publish_wallet)
    }

    /// What live deals of other miners need of the wallet that pays for this miner's messages: two miners may share one.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    pub(super) fn reserved_by_others(&self, miner: &Address, snapshot: &Snapshot) -> TokenAmount {
        let wallet = |miner: &Address| Some(&snapshot.miners.get(miner)?.facts.publish_wallet);
        let mut reserved = TokenAmount::default();
        for (other, own) in &self.settings.miners {
            if other != miner && wallet(other).is_some() && wallet(other) == wallet(miner) {
                let needed = self.live.ledger(other).publish_reserve(0, &own.terms);
                reserved = &reserved + &needed;
            }
        }
        reserved
    }

    /// Stores the refusals that wait.
    pub(super) fn keep_refusals(&mut self) {
        let waiting = self.bench.refusals.take(self.now());
        if waiting.is_empty() {
            return;
        }
        let writes = waiting
            .into_iter()
            .map(|refused| Write::Refused(Box::new(refused)));
        self.commit(writes.collect(), Ticket::default());
    }

    /// Stores the refusals that wait; told once they and those before them are durable.
    pub(super) fn show_refusals(&mut self, told: oneshot::Sender<Result<(), String>>) {
        self.keep_refusals();
        // Commits become durable in the order of their asking, so an empty one is after all of them.
        let done = move |result: Result<(), StoreError>| {
            let _ = told.send(result.map_err(|error| error.to_string()));
        };
        self.parts.store.commit(Vec::new(), Box::new(done));
    }

    /// What the live deals hold, as this miner sees it.
    pub(super) fn holdings(&self, miner: &Address) -> Holdings {
        let staged = self
            .live
            .deals()
            .filter(|deal| ledger::staging_bytes(deal) > 0)
            .map(|deal| match deal.payload_size {
                0 => self.passes.progress.bytes(deal.uuid),
                whole => whole,
            });
        Holdings {
            ledger: self.live.ledger(miner),
            staged: staged.fold(0, u64::saturating_add),
        }
    }

    /// Bytes that accepted deals have yet to bring to the disk.
    fn outstanding(&self) -> u64 {
        // Few have begun to arrive: one pass over those instead of over all deals.
        let arrived = self.passes.progress.arrived(|uuid| {
            let live = self.live.get(&uuid);
            live.map_or(0, |live| awaited_bytes(&live.deal))
        });
        self.live.awaited().saturating_sub(arrived)
    }

    /// Lets kept pieces give way until this much more fits.
    pub(super) fn make_room(&mut self, size: u64, disk_free: u64) {
        let wanted = size
            .saturating_add(admit::DISK_MARGIN)
            .saturating_add(self.outstanding());
        if wanted <= disk_free {
            return;
        }
        let missing = wanted.saturating_sub(disk_free);
        let stay = self
            .kept
            .reclaimable(&self.linked())
            .saturating_sub(missing);
        let writes = self.shrink_kept(stay, None);
        if !writes.is_empty() {
            log::info!("{} kept pieces gave way to a new deal", writes.len());
            self.commit(writes, Ticket::default());
        }
    }
}

fn not_ours(miner: &Address) -> Refusal {
    Refusal::server_error(
        "the miner is not ours",
        &format!("CORACLE_MINERS does not name {miner}"),
    )
}
