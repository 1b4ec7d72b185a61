//! Watching publish messages until they are executed and buried (spec boost-mk12 5, chain-sealer-rpc D.7).

use super::inputs::Report;
use super::{Parts, Threads};
use crate::chain::{ChainError, Outcome};
use crate::deal::Deal;
use crate::deal::step::Event;
use crate::filecoin::ChainEpoch;
use cid::Cid;
use smol::channel::Sender;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Messages that are watched, and for which deals.
#[derive(Default)]
pub(super) struct Messages {
    watched: BTreeMap<Cid, BTreeSet<Uuid>>,
    asked: BTreeSet<Cid>,
}

impl Messages {
    /// Watches a message for a deal.
    pub(super) fn watch(&mut self, message: Cid, deal: Uuid) {
        self.watched.entry(message).or_default().insert(deal);
    }

    /// Messages that are not being looked up, with their deals.
    pub(super) fn due(&self) -> Vec<(Cid, Vec<Uuid>)> {
        self.watched
            .iter()
            .filter(|(message, _)| !self.asked.contains(*message))
            .map(|(message, deals)| (*message, deals.iter().copied().collect()))
            .collect()
    }

    /// A message is being looked up.
    pub(super) fn asked(&mut self, message: Cid) {
        self.asked.insert(message);
    }

    /// Its look-up has ended.
    pub(super) fn answered(&mut self, message: Cid) {
        self.asked.remove(&message);
    }

    /// A message has its outcome for this deal; others may have come to it meanwhile.
    pub(super) fn done(&mut self, message: Cid, deal: Uuid) {
        if let Some(deals) = self.watched.get_mut(&message) {
            deals.remove(&deal);
            if deals.is_empty() {
                self.watched.remove(&message);
            }
        }
    }
}

/// Looks a message up on a chain thread.
pub(super) fn look_up(
    message: Cid,
    deals: &[&Deal],
    parts: &Parts,
    threads: &Threads,
    reports: &Sender<Report>,
) {
    let uuids: Vec<Uuid> = deals.iter().map(|deal| deal.uuid).collect();
    let proposals: Vec<_> = deals.iter().map(|deal| deal.proposal().clone()).collect();
    let (chain, told, asked) = (parts.chain.clone(), reports.clone(), uuids.clone());
    let submitted = threads.chain.submit(move || {
        let outcome = chain.outcome(&message, &proposals);
        let _ = told.try_send(Report::Message(message, asked, outcome));
    });
    if submitted.is_err() {
        let full = ChainError::Unreachable("too many chain calls wait".to_owned());
        let _ = reports.try_send(Report::Message(message, uuids, Err(full)));
    }
}

/// The events that an outcome means for its deals; none if it could not be looked up.
pub(super) fn events(
    message: Cid,
    deals: &[Uuid],
    outcome: &Result<Outcome, ChainError>,
    confidence: ChainEpoch,
) -> Vec<(Uuid, Event)> {
    match outcome {
        Ok(Outcome::Executed {
            message: executed,
            depth,
            exit_code,
            deals: ids,
        }) if *depth >= confidence => {
            let event = |(deal, id): (&Uuid, &Option<u64>)| {
                let event = Event::Confirmed {
                    message: *executed,
                    exit_code: *exit_code,
                    deal_id: *id,
                };
                (*deal, event)
            };
            deals.iter().zip(ids).map(event).collect()
        }
        Ok(Outcome::Executed { .. } | Outcome::Pending) => seen(deals, true),
        Ok(Outcome::Unknown) => seen(deals, false),
        Err(error) => {
            log::warn!("publish message {message} cannot be looked up: {error}");
            Vec::new()
        }
    }
}

/// No outcome yet: whether the node knows the message at all.
fn seen(deals: &[Uuid], known: bool) -> Vec<(Uuid, Event)> {
    let event = |deal: &Uuid| (*deal, Event::MessageSeen { known });
    deals.iter().map(event).collect()
}
