//! The deal protocols over libp2p: TCP, Noise and Yamux, with identify and ping beside them.
//!
//! [`Node::new`] makes a handle, a driver and a queue. The driver is a future that does all the work; any executor
//! may run it. The handle is cheap and can be cloned: it tells addresses and talks to other providers. The queue
//! brings what other peers ask, each with a slot for the answer. Whoever drops the slot lets the stream end without
//! an answer.
//!
//! A request is read until its item is complete, never until the end of the stream; a malformed one is answered by
//! closing the stream. Every wait has a deadline and every queue a limit, named where they apply.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod driver;
mod handler;
mod listen;
mod node;
mod protocol;
mod resolve;
mod streams;
mod transport;

#[cfg(test)]
mod tests;

pub use node::{Node, PeerInfo};

use crate::filecoin::Address;
use crate::wire::{
    AskResponse, DealParams, DealResponse, DealStatusRequest, DealStatusResponse, Transports,
    WireError,
};
use futures::channel::oneshot;
use libp2p::{Multiaddr, PeerId, identity};
use std::fmt;

/// What a node is and where it listens.
#[derive(Clone)]
pub struct NodeConfig {
    /// The node's identity. Its public part names the node to others.
    pub key: identity::Keypair,
    /// Where to listen: `/ip4|ip6/…/tcp/…`, port 0 for any. May be empty for a mere client.
    pub listen: Vec<Multiaddr>,
    /// Addresses that others are told beside those it listens on, such as a router's.
    pub external: Vec<Multiaddr>,
    /// The name and version that others see, as `coracle/0.1.0`.
    pub agent: String,
    /// Whether to answer the deal protocols; otherwise the node only asks.
    pub serve: bool,
}

/// What another peer asks. A dropped `reply` closes the stream without an answer.
#[derive(Debug)]
pub enum Inbound {
    /// A deal is proposed.
    Proposal {
        /// Who proposes it.
        peer: PeerId,
        /// The proposal.
        params: Box<DealParams>,
        /// Where the answer goes.
        reply: oneshot::Sender<DealResponse>,
    },
    /// Somebody asks how a deal is.
    Status {
        /// The question, with its signature.
        req: DealStatusRequest,
        /// Where the answer goes.
        reply: oneshot::Sender<DealStatusResponse>,
    },
    /// Somebody asks for the terms of a miner.
    Ask {
        /// The miner.
        miner: Address,
        /// Where the answer goes.
        reply: oneshot::Sender<AskResponse>,
    },
    /// Somebody asks where pieces can be fetched.
    Transports {
        /// Where the answer goes.
        reply: oneshot::Sender<Transports>,
    },
}

/// Why no stream to a peer could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// None of the addresses led to the peer.
    Unreachable,
    /// The peer has none of the protocols.
    Unsupported,
    /// The connection ended while the stream was being opened.
    ConnectionLost,
    /// The peer took too long.
    TimedOut,
    /// Too many streams wait for this peer already, or too many peers are being dialed.
    Busy,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "the peer could not be reached at any of its addresses",
            Self::Unsupported => "the peer does not speak this protocol",
            Self::ConnectionLost => "the connection to the peer was lost",
            Self::TimedOut => "the peer took too long to open a stream",
            Self::Busy => "too many streams are being opened already",
        })
    }
}

impl std::error::Error for OpenError {}

/// Why something of this room failed.
#[derive(Debug)]
pub enum P2pError {
    /// The node's key cannot be used for the handshake.
    Key,
    /// Listening on this address failed.
    Listen {
        /// Where.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
    /// No stream to the peer could be had.
    Open(OpenError),
    /// Sending the request failed or took too long.
    Send(std::io::ErrorKind),
    /// The peer closed the stream without an answer, as it does when it finds the request malformed.
    NoAnswer,
    /// The answer did not come in time.
    AnswerTimedOut,
    /// The answer could not be read.
    Answer(WireError),
    /// What was to be sent is over a limit of the protocol.
    Request(WireError),
    /// The node has ended.
    Closed,
}

impl fmt::Display for P2pError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("the libp2p key cannot be used"),
            Self::Listen { address, reason } => write!(f, "cannot listen on {address}: {reason}"),
            Self::Open(error) => write!(f, "{error}"),
            Self::Send(kind) => write!(f, "sending the request: {kind}"),
            Self::NoAnswer => f.write_str("the peer closed the stream without an answer"),
            Self::AnswerTimedOut => f.write_str("the peer did not answer in time"),
            Self::Answer(error) => write!(f, "the peer's answer: {error}"),
            Self::Request(error) => write!(f, "the request cannot be sent: {error}"),
            Self::Closed => f.write_str("the libp2p node has ended"),
        }
    }
}

impl std::error::Error for P2pError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => Some(error),
            Self::Answer(error) | Self::Request(error) => Some(error),
            _ => None,
        }
    }
}

impl From<OpenError> for P2pError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}
