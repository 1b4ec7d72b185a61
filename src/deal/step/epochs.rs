//! What the chain's height and a deal's state on chain mean for it: start epoch, activation, end.

use super::moves::Turn;
use super::{Checkpoint, Effect, OnChain, expired};
use crate::deal::record::{Ending, Over};
use crate::filecoin::ChainEpoch;

/// Epochs after which no execution is undone (spec chain-sealer-rpc D.7): what is not active that long after its start
/// epoch never will be.
pub const FINALITY: ChainEpoch = 900;

impl Turn<'_> {
    /// The start epoch passed: a deal that nobody can hold to it any more ends, one that the chain or the sealer may have
    /// is asked about first.
    pub(super) fn head(&mut self, head: ChainEpoch) {
        let deal = &self.live.deal;
        let start = deal.proposal().start_epoch;
        if head <= start || deal.ended() {
            return;
        }
        match deal.checkpoint {
            Checkpoint::Accepted => self.end(expired(start, head)),
            Checkpoint::Transferred if deal.order.is_none() => self.end(expired(start, head)),
            // Executed before the start epoch and found only now, it is a deal like any other.
            Checkpoint::Transferred | Checkpoint::Published => {
                self.late("the outcome of its publish message is awaited all the same");
            }
            Checkpoint::PublishConfirmed => {
                self.late("chain and sealer are asked whether its piece was handed over");
                self.out.effects.push(Effect::LookForPiece);
            }
            Checkpoint::AddedPiece | Checkpoint::IndexedAndAnnounced => {
                self.late("it is in time only if the chain shows it active");
            }
            Checkpoint::Complete => {}
        }
    }

    /// Says once that the start epoch has passed, and what is done about it.
    fn late(&mut self, what: &str) {
        if self.live.deal.late {
            return;
        }
        let start = self.live.deal.proposal().start_epoch;
        self.log(
            log::Level::Warn,
            format!("its start epoch {start} has passed; {what}"),
        );
        self.deal().late = true;
        self.out.changed = true;
    }

    /// Nobody has the piece, and it is too late to hand it over.
    pub(super) fn not_activated(&mut self, head: ChainEpoch) {
        let start = self.live.deal.proposal().start_epoch;
        if self.at() == Checkpoint::PublishConfirmed && head > start {
            self.end(expired(start, head));
        }
    }

    /// A sealed deal is looked at from time to time until its time on chain is over.
    pub(super) fn chain_seen(&mut self, head: ChainEpoch, found: OnChain) {
        let deal = &self.live.deal;
        if deal.checkpoint != Checkpoint::IndexedAndAnnounced || !deal.sealed {
            return;
        }
        let proposal = deal.proposal();
        let (start, end) = (proposal.start_epoch, proposal.end_epoch);
        // A node that is behind shows nothing that counts.
        let behind = deal.activated.is_some_and(|since| head <= since);
        if behind {
            return;
        }
        let over = |how, epoch| Some(Over { how, epoch });
        let hopeless = head > start.saturating_add(FINALITY);
        let seen = match found {
            OnChain::Slashed(epoch) => over(Ending::Slashed, epoch),
            _ if head >= end => over(Ending::Expired, end),
            OnChain::Absent if deal.activated.is_some() => over(Ending::Terminated, head),
            OnChain::Absent | OnChain::Inactive if hopeless => over(Ending::NeverActive, head),
            OnChain::Active(_) | OnChain::Absent | OnChain::Inactive => None,
        };
        if let OnChain::Active(since) = found {
            self.active(since);
        }
        self.over(seen);
    }

    fn active(&mut self, since: ChainEpoch) {
        if self.live.deal.activated != Some(since) {
            self.log(
                log::Level::Info,
                format!("active on chain since epoch {since}"),
            );
            self.deal().activated = Some(since);
            self.out.changed = true;
        }
    }

    /// Notes an end; one that was noted stays with its epoch, and one that a re-organisation or a confused node made up is
    /// taken back.
    fn over(&mut self, seen: Option<Over>) {
        let noted = self.live.deal.over;
        if noted.map(|over| over.how) == seen.map(|over| over.how) {
            return;
        }
        match seen {
            None => self.log(log::Level::Info, "on chain again"),
            Some(over) => {
                let text = match over.how {
                    Ending::Expired => format!("its time on chain ended at epoch {}", over.epoch),
                    Ending::Slashed => format!("slashed at epoch {}", over.epoch),
                    Ending::Terminated => format!(
                        "terminated: the chain does not have it any more at epoch {}, before its end epoch",
                        over.epoch
                    ),
                    Ending::NeverActive => format!(
                        "not active on chain at epoch {}: its start epoch has passed, the collateral is lost",
                        over.epoch
                    ),
                };
                let level = match over.how {
                    Ending::Expired => log::Level::Info,
                    _ => log::Level::Error,
                };
                self.log(level, text);
            }
        }
        self.deal().over = seen;
        self.out.changed = true;
    }
}
