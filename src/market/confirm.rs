//! Watching publish messages until they are executed and buried (spec boost-mk12 5, chain-sealer-rpc D.7).

use super::inputs::Report;
use super::{Parts, Threads};
use crate::chain::{Chain, ChainError, Outcome};
use crate::deal::Deal;
use crate::deal::step::{Event, Sight};
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
    /// The head at which each was first seen to wait, or last found to wait for too long. It is kept in memory only: after a
    /// start the count begins anew, so that a provider that was away for a day does not take its own absence for the chain's.
    waits_since: BTreeMap<Cid, ChainEpoch>,
    /// What the operator reads of those that have waited for too long.
    alerts: BTreeMap<Cid, String>,
}

/// A message as it was seen.
pub(super) struct Seen {
    /// What the chain says.
    pub outcome: Outcome,
    /// Whether its execution is buried deep enough to count.
    pub buried: bool,
    /// Of the deals that a buried execution did not publish: why they cannot be published by themselves either.
    pub objections: BTreeMap<Uuid, String>,
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
                self.moved(message);
            }
        }
    }

    /// A message waits at this head; for how many epochs it has.
    pub(super) fn waits(&mut self, message: Cid, head: ChainEpoch) -> ChainEpoch {
        let since = self.waits_since.entry(message).or_insert(head);
        head.saturating_sub(*since)
    }

    /// It has waited for too long: the next such wait begins here.
    pub(super) fn count_anew(&mut self, message: Cid, head: ChainEpoch) {
        self.waits_since.insert(message, head);
    }

    /// It does not wait in the pool any more.
    pub(super) fn moved(&mut self, message: Cid) {
        self.waits_since.remove(&message);
        self.alerts.remove(&message);
    }

    /// What the operator reads of a message that has waited for too long; whether that is new.
    pub(super) fn alert(&mut self, message: Cid, text: String) -> bool {
        self.watched.contains_key(&message) && self.alerts.insert(message, text).is_none()
    }

    /// What the operator reads of it, if anything.
    pub(super) fn alert_of(&self, message: &Cid) -> Option<&String> {
        self.alerts.get(message)
    }
}

/// Looks a message up on a chain thread. `earlier` are CIDs in whose place it stands: a node may know one of them only.
/// `confidence` are the epochs on top of it that count as deep enough; none waits for what the chain calls final.
pub(super) fn look_up(
    message: Cid,
    earlier: Vec<Cid>,
    deals: &[&Deal],
    confidence: Option<ChainEpoch>,
    (parts, threads): (&Parts, &Threads),
    reports: &Sender<Report>,
) {
    let uuids: Vec<Uuid> = deals.iter().map(|deal| deal.uuid).collect();
    let deals: Vec<Deal> = deals.iter().map(|deal| (*deal).clone()).collect();
    let (chain, told, asked) = (parts.chain.clone(), reports.clone(), uuids.clone());
    let submitted = threads.chain.submit(move || {
        let seen = look(chain.as_ref(), &message, &earlier, &deals, confidence);
        let _ = told.try_send(Report::Message(message, asked, seen));
    });
    if submitted.is_err() {
        let full = ChainError::Unreachable("too many chain calls wait".to_owned());
        let _ = reports.try_send(Report::Message(message, uuids, Err(full)));
    }
}

fn look(
    chain: &dyn Chain,
    message: &Cid,
    earlier: &[Cid],
    deals: &[Deal],
    confidence: Option<ChainEpoch>,
) -> Result<Seen, ChainError> {
    let proposals: Vec<_> = deals.iter().map(|deal| deal.proposal().clone()).collect();
    let mut outcome = chain.outcome(message, &proposals)?;
    for other in earlier {
        if outcome != Outcome::Unknown {
            break;
        }
        outcome = match chain.outcome(other, &proposals)? {
            executed @ Outcome::Executed { .. } => executed,
            // The one in its place is what is to be sent again.
            Outcome::Pending | Outcome::Unknown => Outcome::Unknown,
        };
    }
    let buried = match (&outcome, confidence) {
        (Outcome::Executed { depth, .. }, Some(confidence)) => *depth >= confidence,
        (Outcome::Executed { epoch, .. }, None) => *epoch <= chain.finalized()?,
        _ => false,
    };
    let objections = match &outcome {
        Outcome::Executed {
            exit_code,
            deals: ids,
            ..
        } if buried => {
            let failed = deals.iter().zip(ids);
            let failed = failed.filter(|(_, id)| *exit_code != 0 || id.is_none());
            let objection = |(deal, _): (&Deal, _)| {
                // Not to be asked now: it is tried alone again before it is published again.
                let objection = chain.dry_run(deal.miner(), &deal.signed).ok()?;
                Some((deal.uuid, objection?))
            };
            failed.filter_map(objection).collect()
        }
        _ => BTreeMap::new(),
    };
    Ok(Seen {
        outcome,
        buried,
        objections,
    })
}

/// The events that a sight of a message means for its deals; none if it could not be looked up. `alert`: it waits, and has
/// for too long.
pub(super) fn events(
    message: Cid,
    deals: &[Uuid],
    seen: &Result<Seen, ChainError>,
    alert: Option<&String>,
) -> Vec<(Uuid, Event)> {
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => {
            log::warn!("publish message {message} cannot be looked up: {error}");
            return Vec::new();
        }
    };
    let sight = match &seen.outcome {
        Outcome::Executed {
            message: executed,
            exit_code,
            deals: ids,
            ..
        } if seen.buried => {
            let event = |(deal, id): (&Uuid, &Option<u64>)| {
                let event = Event::Confirmed {
                    message: *executed,
                    exit_code: *exit_code,
                    deal_id: *id,
                    objection: seen.objections.get(deal).cloned(),
                };
                (*deal, event)
            };
            return deals.iter().zip(ids).map(event).collect();
        }
        Outcome::Pending => alert.map_or(Sight::Waits, |alert| Sight::Stuck(alert.clone())),
        Outcome::Executed { .. } => Sight::Waits,
        Outcome::Unknown => Sight::Unknown,
    };
    let event = |deal: &Uuid| (*deal, Event::MessageSeen(sight.clone()));
    deals.iter().map(event).collect()
}
