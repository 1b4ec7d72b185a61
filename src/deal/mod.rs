//! The deal machine, pure: what a deal is, when one is accepted, and how it moves.
//!
//! Nothing here reads a clock, a file or a socket. The driver ([`crate::market`]) gathers facts, feeds events with the
//! time in them and carries the effects out. The life of a deal (spec boost-mk12 4):
//!
//! ```text
//! judge → admit → Accepted → Transferred → Published → PublishConfirmed → AddedPiece → IndexedAndAnnounced
//!                     └───────────┴────────────┴──────────────┴───────────────┴──→ Complete (failed, with its error)
//! ```
//!
//! A successful deal stays at `IndexedAndAnnounced` for its clients (4.2); `Complete` is what they know as failure.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod admit;
pub mod checkpoint;
pub mod filter;
pub mod judge;
pub mod ledger;
pub mod record;
pub mod status;
pub mod step;
pub mod terms;
pub mod wait;

#[cfg(test)]
pub(crate) mod tests;

pub use checkpoint::Checkpoint;
pub use record::{Deal, Ending, Hold, Import, Over, Sector};
pub use terms::Terms;
pub use wait::Wait;

/// Milliseconds since 1970, as read from the clock by the driver.
pub type Millis = u64;

/// Why a proposal is refused: one text for the client, one for the operator's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Sent to the client, at most 8192 bytes; never holds raw transfer parameters.
    pub client: String,
    /// Written to the log; names the numbers and the inner error.
    pub log: String,
}

impl Refusal {
    /// A refusal whose two texts are the same.
    pub fn plain(text: impl Into<String>) -> Self {
        let client = text.into();
        Self {
            log: client.clone(),
            client,
        }
    }

    /// A refusal with a text of its own for the log.
    pub fn with_log(client: impl Into<String>, log: impl Into<String>) -> Self {
        Self {
            client: client.into(),
            log: log.into(),
        }
    }
}
