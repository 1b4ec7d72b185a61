//! HTTP towards others: the listener that every server of this crate uses, files with ranges, and the public side.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod files;
pub mod listener;
pub mod public;
mod range;
