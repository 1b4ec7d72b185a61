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
mod trust;

pub use client::{Client, Limits, Patience};
pub use endpoint::{ENDPOINTS_MAX, Endpoint, EndpointError, Version};
pub use error::{Phase, RpcError};
pub use trust::{Authorities, trust};

use ureq::Agent;
use ureq::config::{Config, ConfigBuilder};
use ureq::tls::TlsConfig;
use ureq::typestate::AgentScope;

/// How every HTTP client of this room begins: where it goes, and how long it may take to get its question there. What waits for
/// the answer is each client's own.
pub fn agent_config(limits: &Limits) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        // Lotus sends a JSON-RPC body with 4xx and 5xx too (chain-sealer-rpc A.4).
        .http_status_as_error(false)
        // A redirect would turn a POST into a GET and might take the token elsewhere.
        .max_redirects(0)
        .max_redirects_will_error(false)
        // The server is reached directly, whatever the environment says about proxies.
        .proxy(None)
        .user_agent(concat!("coracle/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(limits.resolve))
        .timeout_connect(Some(limits.connect))
        .timeout_send_request(Some(limits.send))
}

/// As [`agent_config`], for the servers that the operator has named: their certificates may come from authorities of the
/// operator's own ([`trust()`]).
pub fn server_config(limits: &Limits) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder().root_certs(trust::roots()).build();
    agent_config(limits).tls_config(tls)
}

/// An HTTP client on this room's connections: names remembered for a short while, TCP keep-alive, no proxy. For what
/// goes to the same servers beside JSON-RPC.
pub fn agent(config: Config) -> Agent {
    use ureq::unversioned::transport::{Connector, RustlsConnector};
    let connector = ().chain(tcp::Tcp).chain(RustlsConnector::default());
    Agent::with_parts(config, connector, resolve::Resolve::default())
}

#[cfg(test)]
pub(crate) mod tests;
