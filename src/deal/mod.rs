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
mod client;
pub mod filter;
pub mod filter_document;
pub mod funds;
pub mod judge;
pub mod ledger;
pub mod money;
pub mod record;
mod refusal;
pub mod status;
pub mod step;
pub mod sums;
pub mod terms;
mod versioned;
pub mod wait;

#[cfg(test)]
pub(crate) mod tests;

pub use checkpoint::Checkpoint;
pub use client::Client;
pub use ledger::Ledger;
pub use record::{Deal, Ending, Hold, Import, Over, Sector};
pub use refusal::Refusal;
pub use terms::Terms;
pub use wait::Wait;

/// Milliseconds since 1970, as read from the clock by the driver.
pub type Millis = u64;
