//! What a deal waits for, by name: every deal that has not ended waits for something, and the operator can read what.

use super::{Checkpoint, Deal, Hold, Millis};
use std::fmt;

/// What has to happen before a deal goes on. Follows from the record alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing: it has ended.
    Nothing,
    /// The operator: something must be put right, then `retry`.
    Operator,
    /// The next try, at this time.
    Retry(Millis),
    /// The operator brings the data of an offline deal.
    Import,
    /// The turn of its import.
    Turn,
    /// Funds or disk space for its import, or the chain node that knows of them: the record's error says which.
    Room,
    /// The pass over the data, or a place for it.
    Data,
    /// A place in a publish message.
    Message,
    /// The node's answer to a publish message that may have been sent.
    Sending,
    /// The execution of its publish message, buried deep enough.
    Outcome,
    /// The sealer takes the piece.
    Sealer,
    /// The index.
    Index,
    /// The sealer fetches the piece that lies ready, and tells its sector.
    Place,
    /// The sector's proof.
    Sealing,
}

impl Wait {
    /// What this deal waits for.
    pub fn of(deal: &Deal) -> Self {
        if deal.ended() {
            return Self::Nothing;
        }
        let needs_data = deal.request.offline && deal.import.is_none();
        match (deal.checkpoint, deal.hold) {
            // Whatever went wrong with the last file: the next import is what helps.
            (Checkpoint::Accepted, _) if needs_data => Self::Import,
            (_, Hold::Manual) => Self::Operator,
            (_, Hold::Auto { until }) => Self::Retry(until),
            (_, Hold::Room) => Self::Room,
            (Checkpoint::Accepted, Hold::None) => match &deal.import {
                Some(import) if !import.begun => Self::Turn,
                _ => Self::Data,
            },
            (Checkpoint::Transferred, Hold::None) if deal.order.is_some() => Self::Sending,
            (Checkpoint::Transferred, Hold::None) => Self::Message,
            (Checkpoint::Published, Hold::None) => Self::Outcome,
            (Checkpoint::PublishConfirmed, Hold::None) => Self::Sealer,
            (Checkpoint::AddedPiece, Hold::None) => Self::Index,
            (Checkpoint::IndexedAndAnnounced, Hold::None) if deal.sector.is_none() => Self::Place,
            (Checkpoint::IndexedAndAnnounced, Hold::None) => Self::Sealing,
            (Checkpoint::Complete, Hold::None) => Self::Nothing,
        }
    }

    /// One word for listings and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Operator => "operator",
            Self::Retry(_) => "retry",
            Self::Import => "import",
            Self::Turn => "turn",
            Self::Room => "room",
            Self::Data => "data",
            Self::Message => "publish",
            Self::Sending => "sending",
            Self::Outcome => "outcome",
            Self::Sealer => "sealer",
            Self::Index => "index",
            Self::Place => "place",
            Self::Sealing => "sealing",
        }
    }
}

impl fmt::Display for Wait {
    /// A clause that follows "it waits for".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Operator => "the operator",
            Self::Retry(_) => "its next try",
            Self::Import => "its data to be imported",
            Self::Turn => "the turn of its import",
            Self::Room => "funds or space for its import",
            Self::Data => "its data",
            Self::Message => "a place in a publish message",
            Self::Sending => "the node's answer to its publish message",
            Self::Outcome => "the outcome of its publish message",
            Self::Sealer => "the sealer to take its piece",
            Self::Index => "its index",
            Self::Place => "the sealer to tell where it put the piece",
            Self::Sealing => "its sector to be sealed",
        })
    }
}
