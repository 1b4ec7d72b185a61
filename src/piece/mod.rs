//! The bytes of a piece: Fr32 expansion, the commitment tree and its SHA-256 kernel, walking a
//! CAR, the block index. No sockets, no clocks.
//!
//! A piece is seen once, from the first byte to the last, in chunks of any length. [`Commp`] and
//! [`CarWalker`] take those chunks and both can be saved between two of them; a [`Spool`] keeps
//! the block entries that the walker reports until [`build_index`] sorts them. Whoever drives a
//! transfer saves the three together, and can then go on after a restart without reading a byte
//! again.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod car;
pub mod commp;
pub mod fr32;
mod header;
pub mod index_file;
pub mod saved;
pub mod sha256;
mod sort;
pub mod spool;
pub mod walk;

pub use car::{Block, CarError, CarFault};
pub use commp::{Commp, PieceCommitment, zero_commitment};
pub use index_file::{IndexEntry, IndexSummary, PieceIndex, build_index};
pub use saved::SaveError;
pub use spool::Spool;
pub use walk::{CarSummary, CarWalker};

#[cfg(test)]
mod tests;
