//! TCP for libp2p, on the sockets of `async-io`.
//!
//! A [`Tcp`] listens on and dials `/ip4|ip6/…/tcp/…`, and dials `/dns|dns4|dns6/…/tcp/…`. `TCP_NODELAY` is set on
//! accepted and dialed sockets alike: a deal's messages are small and answered at once, and without it each answer
//! waits for the other side's delayed acknowledgement.

use super::listen::{Listener, ListenerStep};
use super::resolve::Resolver;
use async_io::{Async, Timer};
use futures::future::{BoxFuture, FutureExt, Ready, ready};
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::{Transport, multiaddr::Protocol, muxing::StreamMuxerBox, transport::Boxed};
use libp2p::{Multiaddr, PeerId, identity::Keypair, noise, yamux};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A TCP connection; its reading and writing wait on the reactor.
pub(super) type Connection = Async<TcpStream>;

/// How long connecting to one of several addresses of a name may take, so that the next gets its turn.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// How long making a connection may take in all: the name, connecting, and Noise and Yamux with some round trips and
/// a slow box's key exchange. It also bounds how long a silent stranger holds one of the pending places.
const SETUP_WAIT: Duration = Duration::from_secs(15);

/// Most addresses of one name that are tried.
const MAX_ADDRESSES_PER_NAME: usize = 8;

/// Most streams of a connection, both ways. Going beyond it ends the connection, so it stays above what the driver
/// lets run at once for one peer and above the streams that identify and ping hold.
const MAX_STREAMS: usize = 256;

/// TCP with Noise and Yamux on top: what a swarm wants.
pub(super) fn secured(key: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let mut streams = yamux::Config::default();
    streams.set_max_num_streams(MAX_STREAMS);
    Ok(Tcp::new()
        .upgrade(libp2p::core::upgrade::Version::V1)
        .authenticate(noise::Config::new(key)?)
        .multiplex(streams)
        .timeout(SETUP_WAIT)
        .boxed())
}

/// The transport itself.
pub(super) struct Tcp {
    listeners: VecDeque<Listener>,
    /// Listeners that were removed and whose end is still to be told.
    removed: VecDeque<ListenerId>,
    resolver: Resolver,
    /// Woken when a listener is added or removed.
    waker: Option<Waker>,
}

impl Tcp {
    pub(super) fn new() -> Self {
        Self {
            listeners: VecDeque::new(),
            removed: VecDeque::new(),
            resolver: Resolver::default(),
            waker: None,
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Transport for Tcp {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = Ready<Result<Connection, io::Error>>;
    type Dial = BoxFuture<'static, Result<Connection, io::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let Some((Host::Ip(ip), port)) = target(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let listener =
            Listener::bind(id, SocketAddr::new(ip, port)).map_err(TransportError::Other)?;
        self.listeners.push_back(listener);
        self.wake();
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.id() != id);
        let found = self.listeners.len() != before;
        if found {
            self.removed.push_back(id);
            self.wake();
        }
        found
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some((host, port)) = target(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let resolver = self.resolver.clone();
        Ok(async move {
            match host {
                Host::Ip(ip) => connect(SocketAddr::new(ip, port)).await,
                Host::Name(name, family) => {
                    let mut ips = resolver.resolve(name, family).await?;
                    ips.truncate(MAX_ADDRESSES_PER_NAME);
                    connect_any(&ips, port).await
                }
            }
        }
        .boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        if let Some(listener_id) = self.removed.pop_front() {
            return Poll::Ready(TransportEvent::ListenerClosed {
                listener_id,
                reason: Ok(()),
            });
        }
        // One turn for each, so that a busy listener does not keep the others waiting.
        for _ in 0..self.listeners.len() {
            let Some(mut listener) = self.listeners.pop_front() else {
                break;
            };
            let step = listener.poll(cx);
            let listener_id = listener.id();
            self.listeners.push_back(listener);
            if let Poll::Ready(step) = step {
                return Poll::Ready(event(listener_id, step));
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn event(
    listener_id: ListenerId,
    step: ListenerStep,
) -> TransportEvent<Ready<Result<Connection, io::Error>>, io::Error> {
    match step {
        ListenerStep::Gained(ip, port) => TransportEvent::NewAddress {
            listener_id,
            listen_addr: multiaddr(SocketAddr::new(ip, port)),
        },
        ListenerStep::Lost(ip, port) => TransportEvent::AddressExpired {
            listener_id,
            listen_addr: multiaddr(SocketAddr::new(ip, port)),
        },
        ListenerStep::Accepted {
            connection,
            local,
            remote,
        } => TransportEvent::Incoming {
            listener_id,
            upgrade: ready(Ok(connection)),
            local_addr: multiaddr(local),
            send_back_addr: multiaddr(remote),
        },
        ListenerStep::Failed(error) => TransportEvent::ListenerError { listener_id, error },
    }
}

/// Which addresses of a name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Both; `/dns`.
    Any,
    /// IPv4; `/dns4`.
    V4,
    /// IPv6; `/dns6`.
    V6,
}

impl Family {
    pub(super) fn wants(self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }
}

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    Name(String, Family),
}

/// Host and port of `/ip…|dns…/tcp/…`, with or without `/p2p/…` behind; none for any other address.
fn target(address: &Multiaddr) -> Option<(Host, u16)> {
    let mut parts = address.iter();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => Host::Ip(ip.into()),
        Protocol::Ip6(ip) => Host::Ip(ip.into()),
        Protocol::Dns(name) => Host::Name(name.into_owned(), Family::Any),
        Protocol::Dns4(name) => Host::Name(name.into_owned(), Family::V4),
        Protocol::Dns6(name) => Host::Name(name.into_owned(), Family::V6),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some((host, port)),
        _ => None,
    }
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

async fn connect_any(ips: &[IpAddr], port: u16) -> io::Result<Connection> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no such address");
    for &ip in ips {
        match connect(SocketAddr::new(ip, port)).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect(address: SocketAddr) -> io::Result<Connection> {
    let connection = smol::future::or(Connection::connect(address), async {
        Timer::after(CONNECT_WAIT).await;
        Err(io::ErrorKind::TimedOut.into())
    })
    .await?;
    connection.get_ref().set_nodelay(true)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_tcp_with_at_most_a_peer_behind() {
        let peer = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq";
        let check = |text: &str, expected: Option<(Host, u16)>| {
            assert_eq!(target(&text.parse().unwrap()), expected, "{text}");
        };
        let ip = |text: &str| Host::Ip(text.parse().unwrap());
        let name = |family| Host::Name("box.example".into(), family);
        check("/ip4/1.2.3.4/tcp/5", Some((ip("1.2.3.4"), 5)));
        check(
            &format!("/ip4/1.2.3.4/tcp/5/p2p/{peer}"),
            Some((ip("1.2.3.4"), 5)),
        );
        check("/ip6/::1/tcp/0", Some((ip("::1"), 0)));
        check("/dns/box.example/tcp/1", Some((name(Family::Any), 1)));
        check("/dns4/box.example/tcp/1", Some((name(Family::V4), 1)));
        check("/dns6/box.example/tcp/1", Some((name(Family::V6), 1)));
        check("/ip4/1.2.3.4/udp/5/quic-v1", None);
        check("/ip4/1.2.3.4/tcp/5/ws", None);
        check("/ip4/1.2.3.4", None);
        check(&format!("/p2p/{peer}"), None);
        check(
            &format!("/ip4/1.2.3.4/tcp/5/p2p/{peer}/p2p-circuit/p2p/{peer}"),
            None,
        );
        assert_eq!(target(&Multiaddr::empty()), None);
    }

    #[test]
    fn families_choose() {
        let v4: IpAddr = "1.2.3.4".parse().unwrap();
        let v6: IpAddr = "::1".parse().unwrap();
        assert!(Family::Any.wants(v4) && Family::Any.wants(v6));
        assert!(Family::V4.wants(v4) && !Family::V4.wants(v6));
        assert!(!Family::V6.wants(v4) && Family::V6.wants(v6));
    }
}
