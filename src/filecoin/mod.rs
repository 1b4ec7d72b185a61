//! The chain's own values: what they are, their bytes and their text. No sockets, no clocks; only
//! `keystore` touches files.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod address;
mod base32;
pub mod bitfield;
pub mod cbor;
pub mod cids;
pub mod json;
pub mod key;
pub mod keystore;
pub mod market_actor;
pub mod message;
pub mod piece_size;
pub mod proposal;
pub mod signature;
pub mod token;
mod varint;

pub use address::Address;
pub use key::SecretKey;
pub use proposal::{ClientDealProposal, DealProposal, Label};
pub use signature::{Signature, SignatureKind};
pub use token::TokenAmount;

/// A height of the chain, in epochs (30 s on mainnet).
pub type ChainEpoch = i64;

#[cfg(test)]
mod tests;
