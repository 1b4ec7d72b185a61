//! The client's side of a deal: its proposal, its questions, the provider that they go to, and packing of data.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod deal;
pub mod pack;
pub mod provider;
pub mod status;
pub mod talk;
