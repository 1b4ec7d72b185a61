//! Limits of the stream behaviour, asked without a network.

use crate::p2p::OpenError;
use crate::p2p::handler::Offer;
use crate::p2p::streams::{Streams, Wanted};
use futures::channel::oneshot;
use libp2p::core::{ConnectedPoint, Endpoint, transport::PortUse};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure};
use libp2p::swarm::{
    ConnectionId, DialError, FromSwarm, ListenError, ListenFailure, NetworkBehaviour, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use std::task::{Context, Poll};

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

struct Bench {
    streams: Streams,
    next: usize,
}

impl Bench {
    fn new() -> Self {
        Self {
            streams: Streams::new(Offer::default()),
            next: 1000,
        }
    }

    fn id(&mut self) -> ConnectionId {
        self.next += 1;
        ConnectionId::new_unchecked(self.next)
    }

    fn begin_inbound(&mut self, from: &str) -> Option<ConnectionId> {
        let id = self.id();
        let local = address("/ip4/127.0.0.1/tcp/1");
        let outcome = self
            .streams
            .handle_pending_inbound_connection(id, &local, &address(from));
        outcome.ok().map(|()| id)
    }

    fn establish_inbound(&mut self, id: ConnectionId, peer: PeerId) -> bool {
        let local = address("/ip4/127.0.0.1/tcp/1");
        let admitted = self
            .streams
            .handle_established_inbound_connection(id, peer, &local, &local)
            .is_ok();
        if admitted {
            let endpoint = ConnectedPoint::Listener {
                local_addr: local.clone(),
                send_back_addr: local,
            };
            self.established(id, peer, &endpoint);
        }
        admitted
    }

    fn established(&mut self, id: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint) {
        let event = ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint,
            failed_addresses: &[],
            other_established: 0,
        };
        self.streams
            .on_swarm_event(FromSwarm::ConnectionEstablished(event));
    }

    fn closed(&mut self, id: ConnectionId, peer: PeerId) {
        let endpoint = ConnectedPoint::Dialer {
            address: address("/ip4/127.0.0.1/tcp/1"),
            role_override: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        let event = ConnectionClosed {
            peer_id: peer,
            connection_id: id,
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        };
        self.streams
            .on_swarm_event(FromSwarm::ConnectionClosed(event));
    }

    /// The dial that is asked for next, if any.
    fn dial(&mut self) -> Option<ConnectionId> {
        let mut cx = Context::from_waker(futures::task::noop_waker_ref());
        match self.streams.poll(&mut cx) {
            Poll::Ready(ToSwarm::Dial { opts }) => Some(opts.connection_id()),
            Poll::Ready(other) => panic!("{other:?}"),
            Poll::Pending => None,
        }
    }

    fn dial_failed(&mut self, id: ConnectionId, peer: PeerId) {
        self.streams
            .on_swarm_event(FromSwarm::DialFailure(DialFailure {
                peer_id: Some(peer),
                error: &DialError::Aborted,
                connection_id: id,
            }));
    }

    fn want(&mut self, peer: PeerId, at: &str) -> oneshot::Receiver<Result<(), OpenError>> {
        let (reply, outcome) = oneshot::channel();
        self.streams
            .want(peer, vec![address(at)], Wanted::Connection(reply));
        outcome
    }
}

#[test]
fn handshakes_are_limited_per_address_and_in_all() {
    let mut bench = Bench::new();
    let first: Vec<_> = (0..16)
        .map(|_| bench.begin_inbound("/ip4/1.1.1.1/tcp/9").unwrap())
        .collect();
    assert!(bench.begin_inbound("/ip4/1.1.1.1/tcp/10").is_none());
    assert!(bench.begin_inbound("/ip6/2001:db8::1/tcp/10").is_some());
    let mut others = 0;
    while bench
        .begin_inbound(&format!("/ip4/2.2.2.{others}/tcp/9"))
        .is_some()
    {
        others += 1;
    }
    assert_eq!(others, 64 - 17);
    // A failed handshake gives its place back.
    bench
        .streams
        .on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
            local_addr: &address("/ip4/127.0.0.1/tcp/1"),
            send_back_addr: &address("/ip4/1.1.1.1/tcp/9"),
            error: &ListenError::Aborted,
            connection_id: first[0],
            peer_id: None,
        }));
    assert!(bench.begin_inbound("/ip4/3.3.3.3/tcp/9").is_some());
    assert!(bench.begin_inbound("/ip4/3.3.3.3/tcp/9").is_none());
}

#[test]
fn connections_are_limited_per_peer_and_in_all() {
    let mut bench = Bench::new();
    let peer = PeerId::random();
    let mut ids = Vec::new();
    loop {
        let id = bench.id();
        if !bench.establish_inbound(id, peer) {
            break;
        }
        ids.push(id);
    }
    assert_eq!(ids.len(), 8);
    bench.closed(ids[0], peer);
    let id = bench.id();
    assert!(bench.establish_inbound(id, peer));
    let mut others = 0;
    loop {
        let id = bench.id();
        if !bench.establish_inbound(id, PeerId::random()) {
            break;
        }
        others += 1;
    }
    assert_eq!(others, 128 - 8);
    // One that we make ourselves is not one of them.
    let (id, other) = (bench.id(), PeerId::random());
    let at = address("/ip4/1.1.1.1/tcp/9");
    let made = bench.streams.handle_established_outbound_connection(
        id,
        other,
        &at,
        Endpoint::Dialer,
        PortUse::New,
    );
    assert!(made.is_ok());
}

#[test]
fn those_who_wait_for_a_peer_share_the_dial() {
    let mut bench = Bench::new();
    let peer = PeerId::random();
    let mut first = bench.want(peer, "/ip4/1.1.1.1/tcp/1");
    let mut second = bench.want(peer, "/ip4/1.1.1.1/tcp/1");
    let mut third = bench.want(peer, "/ip4/1.1.1.1/tcp/2");
    let dial = bench.dial().unwrap();
    assert_eq!(bench.dial(), None);
    bench.dial_failed(dial, peer);
    assert_eq!(first.try_recv(), Ok(Some(Err(OpenError::Unreachable))));
    assert_eq!(second.try_recv(), Ok(Some(Err(OpenError::Unreachable))));
    assert_eq!(third.try_recv(), Ok(None));
    // The third has other addresses, which are tried now.
    let dial = bench.dial().unwrap();
    bench.dial_failed(ConnectionId::new_unchecked(1), peer);
    assert_eq!(third.try_recv(), Ok(None));
    let endpoint = ConnectedPoint::Dialer {
        address: address("/ip4/1.1.1.1/tcp/2"),
        role_override: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    bench.established(dial, peer, &endpoint);
    assert_eq!(third.try_recv(), Ok(Some(Ok(()))));
    // Connected: no dial is needed any more.
    assert_eq!(
        bench.want(peer, "/ip4/1.1.1.1/tcp/3").try_recv(),
        Ok(Some(Ok(())))
    );
    assert_eq!(bench.dial(), None);
    bench.closed(dial, peer);
    assert_eq!(bench.want(peer, "/ip4/1.1.1.1/tcp/3").try_recv(), Ok(None));
    assert!(bench.dial().is_some());
}

#[test]
fn waiting_is_limited_per_peer_and_in_peers() {
    let mut bench = Bench::new();
    let peer = PeerId::random();
    let mut waiting: Vec<_> = (0..65)
        .map(|_| bench.want(peer, "/ip4/1.1.1.1/tcp/1"))
        .collect();
    let last = waiting.last_mut().unwrap();
    assert_eq!(last.try_recv(), Ok(Some(Err(OpenError::Busy))));
    assert_eq!(waiting[63].try_recv(), Ok(None));
    for _ in 0..63 {
        let mut outcome = bench.want(PeerId::random(), "/ip4/1.1.1.1/tcp/1");
        assert_eq!(outcome.try_recv(), Ok(None));
    }
    let mut outcome = bench.want(PeerId::random(), "/ip4/1.1.1.1/tcp/1");
    assert_eq!(outcome.try_recv(), Ok(Some(Err(OpenError::Busy))));
}
