//! `coracle check` through the real binary against the real devnet: everything fine, and each wrong thing on its own.

#[path = "../harness/mod.rs"]
mod harness;

mod around;
mod chain;
mod contact;
mod local;
mod miners;
mod world;
