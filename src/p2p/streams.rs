//! The behaviour that gives out raw streams: it admits connections, dials on demand, and hands over each stream
//! with the protocol that was agreed on. What is said on a stream is the business of [`super::protocol`].
//!
//! The request-response behaviour of libp2p is not used because the deal protocols want more than it offers: one
//! handler for two protocol versions, a protocol without a request, and streams that end without an answer cleanly.

use super::OpenError;
use super::handler::{Agreed, Handler, Offer, Open, OpenReply};
use futures::channel::oneshot;
use libp2p::core::{Endpoint, multiaddr::Protocol, transport::PortUse};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::task::{Context, Poll, Waker};
use std::{error, fmt};

/// Connections that others made to us. Each costs its Noise and Yamux buffers, about 50 KiB when busy.
const MAX_INBOUND: usize = 128;

/// Connections of one peer, both ways. Two can be made at the same time by accident, a restarted peer may come back
/// before its old one is known to be dead.
const MAX_PER_PEER: usize = 8;

/// Connections in the middle of the handshake.
const MAX_PENDING_INBOUND: usize = 64;

/// The same from one address, so that one silent stranger cannot take all the places.
const MAX_PENDING_PER_IP: usize = 16;

/// Streams that wait for a connection to one peer; what a client has going at once.
const MAX_WAITING_PER_PEER: usize = 64;

/// Peers that are being dialed. A client talks to a few providers at a time.
const MAX_DIALED_PEERS: usize = 64;

/// What somebody wants from a peer.
pub(super) enum Wanted {
    /// A stream with one of these protocols, the first that the peer has.
    Stream(Offer, OpenReply),
    /// A connection, nothing more.
    Connection(oneshot::Sender<Result<(), OpenError>>),
}

impl Wanted {
    fn fail(self, error: OpenError) {
        // Whoever gave up does not want to know.
        match self {
            Self::Stream(_, reply) => drop(reply.send(Err(error))),
            Self::Connection(reply) => drop(reply.send(Err(error))),
        }
    }
}

/// A stream that came from a peer.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) peer: PeerId,
    pub(super) agreed: Agreed,
}

/// What waits for one peer.
struct Waiting {
    /// The dial that is under way.
    dial: ConnectionId,
    /// Where it goes.
    dialed: Vec<Multiaddr>,
    wanted: Vec<(Vec<Multiaddr>, Wanted)>,
}

/// A connection was refused because a limit is reached.
#[derive(Debug)]
struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "too many connections {}", self.0)
    }
}

impl error::Error for Refused {}

pub(super) struct Streams {
    served: Offer,
    waiting: HashMap<PeerId, Waiting>,
    /// Established connections, and whether they were made to us.
    connections: HashMap<PeerId, Vec<(ConnectionId, bool)>>,
    /// Handshakes under way, with the address they come from.
    pending_inbound: HashMap<ConnectionId, Option<IpAddr>>,
    events: VecDeque<ToSwarm<Arrived, Open>>,
    waker: Option<Waker>,
}

impl Streams {
    /// Serves these protocols; none at all for a mere client.
    pub(super) fn new(served: Offer) -> Self {
        Self {
            served,
            waiting: HashMap::new(),
            connections: HashMap::new(),
            pending_inbound: HashMap::new(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    /// Gets something from a peer: over a connection that is there, or by dialing these addresses.
    pub(super) fn want(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, wanted: Wanted) {
        if self.connections.contains_key(&peer) {
            self.deliver(peer, wanted);
        } else if let Some(waiting) = self.waiting.get_mut(&peer) {
            if waiting.wanted.len() < MAX_WAITING_PER_PEER {
                waiting.wanted.push((addresses, wanted));
            } else {
                wanted.fail(OpenError::Busy);
            }
        } else if self.waiting.len() < MAX_DIALED_PEERS {
            self.dial(peer, vec![(addresses, wanted)]);
        } else {
            wanted.fail(OpenError::Busy);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Dials for the first in line; the others wait for the outcome.
    fn dial(&mut self, peer: PeerId, wanted: Vec<(Vec<Multiaddr>, Wanted)>) {
        let Some((addresses, _)) = wanted.first() else {
            return;
        };
        let dialed = addresses.clone();
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(dialed.clone())
            .build();
        self.waiting.insert(
            peer,
            Waiting {
                dial: opts.connection_id(),
                dialed,
                wanted,
            },
        );
        self.events.push_back(ToSwarm::Dial { opts });
    }

    fn deliver(&mut self, peer: PeerId, wanted: Wanted) {
        match wanted {
            Wanted::Stream(offer, reply) => {
                // The newest connection: an older one may belong to a life of the peer that has ended.
                let newest = self.connections.get(&peer).and_then(|list| list.last());
                let handler = newest.map_or(NotifyHandler::Any, |&(id, _)| NotifyHandler::One(id));
                self.events.push_back(ToSwarm::NotifyHandler {
                    peer_id: peer,
                    handler,
                    event: Open { offer, reply },
                });
            }
            Wanted::Connection(reply) => drop(reply.send(Ok(()))),
        }
    }

    fn connected(&mut self, peer: PeerId, connection: ConnectionId, inbound: bool) {
        self.pending_inbound.remove(&connection);
        let list = self.connections.entry(peer).or_default();
        list.push((connection, inbound));
        if let Some(waiting) = self.waiting.remove(&peer) {
            for (_, wanted) in waiting.wanted {
                self.deliver(peer, wanted);
            }
        }
    }

    fn disconnected(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(list) = self.connections.get_mut(&peer) {
            list.retain(|&(other, _)| other != connection);
            if list.is_empty() {
                self.connections.remove(&peer);
            }
        }
    }

    /// Fails those who wanted the addresses that were dialed, and dials for the rest.
    fn dial_failed(&mut self, connection: ConnectionId) {
        let Some(peer) = self
            .waiting
            .iter()
            .find_map(|(peer, waiting)| (waiting.dial == connection).then_some(*peer))
        else {
            return;
        };
        let Some(waiting) = self.waiting.remove(&peer) else {
            return;
        };
        let mut rest = Vec::new();
        for (addresses, wanted) in waiting.wanted {
            if addresses == waiting.dialed {
                wanted.fail(OpenError::Unreachable);
            } else {
                rest.push((addresses, wanted));
            }
        }
        self.dial(peer, rest);
    }

    fn check_peer(&self, peer: PeerId) -> Result<(), ConnectionDenied> {
        if self.connections.get(&peer).map_or(0, Vec::len) >= MAX_PER_PEER {
            return Err(ConnectionDenied::new(Refused("of one peer")));
        }
        Ok(())
    }

    fn inbound_count(&self) -> usize {
        let all = self.connections.values().flatten();
        all.filter(|&&(_, inbound)| inbound).count()
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = Arrived;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let ip = ip_of(remote);
        let same = self.pending_inbound.values();
        if self.pending_inbound.len() >= MAX_PENDING_INBOUND {
            return Err(ConnectionDenied::new(Refused("being made")));
        }
        if ip.is_some() && same.filter(|&&other| other == ip).count() >= MAX_PENDING_PER_IP {
            return Err(ConnectionDenied::new(Refused(
                "being made from one address",
            )));
        }
        self.pending_inbound.insert(connection, ip);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        self.pending_inbound.remove(&connection);
        self.check_peer(peer)?;
        if self.inbound_count() >= MAX_INBOUND {
            return Err(ConnectionDenied::new(Refused("to this node")));
        }
        Ok(Handler::new(self.served.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        self.check_peer(peer)?;
        Ok(Handler::new(self.served.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                self.connected(new.peer_id, new.connection_id, new.endpoint.is_listener());
            }
            FromSwarm::ConnectionClosed(old) => self.disconnected(old.peer_id, old.connection_id),
            FromSwarm::DialFailure(failed) => self.dial_failed(failed.connection_id),
            FromSwarm::ListenFailure(failed) => {
                self.pending_inbound.remove(&failed.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, agreed: Agreed) {
        self.events
            .push_back(ToSwarm::GenerateEvent(Arrived { peer, agreed }));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Arrived, Open>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}
