//! JSON-RPC 2.0 over HTTP as Lotus, lotus-miner, Forest, Venus and Curio speak it (chain-sealer-rpc A): where a server
//! is ([`Endpoint`]), one call to it ([`Client`]), and why a call has no answer ([`RpcError`]).
//!
//! The room knows no method. `chain` and `sealer` say what they want to ask; what a status code, an error object or a
//! broken connection means is decided here once for both.
//!
//! Two things never leave this room: the token, and the path or query of an address (hosted nodes put keys there).
//! Errors and log lines name a server by its host and port.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod client;
mod endpoint;
mod error;
mod exchange;
mod health;
mod resolve;
mod tcp;

pub use client::{Client, Limits, Patience};
pub use endpoint::{ENDPOINTS_MAX, Endpoint, EndpointError, Version};
pub use error::{Phase, RpcError};

/// An HTTP client on this room's connections: names remembered for a short while, TCP keep-alive, no proxy. For what
/// goes to the same servers beside JSON-RPC.
pub fn agent(config: ureq::config::Config) -> ureq::Agent {
    use ureq::unversioned::transport::{Connector, RustlsConnector};
    let connector = ().chain(tcp::Tcp).chain(RustlsConnector::default());
    ureq::Agent::with_parts(config, connector, resolve::Resolve::default())
}

#[cfg(test)]
pub(crate) mod tests;
