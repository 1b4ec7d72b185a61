//! The devnet as its callers see it: over real HTTP, with a plain client. Each trap of the interface that the server's
//! side decides has its test (spec chain-sealer-rpc J).

// `net.ok("Method", json!([…]))` reads better than with a reference in each of two hundred calls.
#![allow(clippy::needless_pass_by_value)]

mod envelope;
mod faults;
mod harness;
mod kinds;
mod messages;
mod pieces;
mod reads;
mod sectors;
