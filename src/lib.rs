//! Coracle: a Filecoin storage provider's market node that fits on a NAS.
//!
//! The rooms, low to high; a lower room never names a higher one (`ARCHITECTURE.md`).

// Tests are tables and set-ups: pedantry about their form does not pay.
#![cfg_attr(test, allow(clippy::pedantic))]

pub mod threads;

pub mod filecoin;
pub mod piece;

pub mod rpc;

pub mod wire;

pub mod deal;

pub mod chain;
pub mod p2p;
pub mod sealer;
pub mod serve;
pub mod store;
pub mod transfer;

pub mod market;

pub mod client;

pub mod devnet;

pub mod config;
pub mod provider;

pub mod demo;

pub mod cli;
