//! One listening socket, and the concrete addresses under which it can be reached.

use super::transport::Connection;
use async_io::{Async, Timer};
use futures::FutureExt;
use libp2p::core::transport::ListenerId;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::task::{Context, Poll};
use std::time::Duration;

/// Connections that the kernel keeps for us while we are busy; what comes beyond is refused.
const BACKLOG: i32 = 128;

/// How often the addresses of the machine are looked at again: a lease changes rarely, and a minute late is harmless.
const RESCAN: Duration = Duration::from_secs(60);

/// How long accepting rests after it failed. The usual reason is that no file descriptor is free; asking again at
/// once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Most addresses of the machine that are reported; a container host can have hundreds.
const MAX_ADDRESSES: usize = 32;

/// What a listener has to tell.
pub(super) enum ListenerStep {
    /// It can be reached here.
    Gained(IpAddr, u16),
    /// It can no longer be reached here.
    Lost(IpAddr, u16),
    /// Somebody connected.
    Accepted {
        connection: Connection,
        local: SocketAddr,
        remote: SocketAddr,
    },
    /// Accepting failed; it goes on after a pause.
    Failed(io::Error),
}

/// A listening socket.
pub(super) struct Listener {
    id: ListenerId,
    socket: Async<TcpListener>,
    bound: SocketAddr,
    /// Addresses that were reported.
    known: BTreeSet<IpAddr>,
    changes: VecDeque<ListenerStep>,
    /// Until the next look at the machine's addresses; only for a socket bound to all of them.
    rescan: Option<Timer>,
    pause: Option<Timer>,
}

impl Listener {
    /// Binds and listens. An IPv6 socket takes IPv6 only, so that both families can listen on one port.
    pub(super) fn bind(id: ListenerId, address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // A restarted provider must get its port back while connections of its former life still linger.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        let socket = Async::new(TcpListener::from(socket))?;
        let bound = socket.get_ref().local_addr()?;
        let mut listener = Self {
            id,
            socket,
            bound,
            known: BTreeSet::new(),
            changes: VecDeque::new(),
            rescan: None,
            pause: None,
        };
        listener.scan();
        Ok(listener)
    }

    pub(super) fn id(&self) -> ListenerId {
        self.id
    }

    /// Finds out under which addresses the socket can be reached, and notes what has changed.
    fn scan(&mut self) {
        let bound = self.bound.ip();
        let now: BTreeSet<IpAddr> = if bound.is_unspecified() {
            self.rescan = Some(Timer::after(RESCAN));
            machine_addresses(bound.is_ipv4())
        } else {
            BTreeSet::from([bound])
        };
        let port = self.bound.port();
        for &ip in now.difference(&self.known) {
            self.changes.push_back(ListenerStep::Gained(ip, port));
        }
        for &ip in self.known.difference(&now) {
            self.changes.push_back(ListenerStep::Lost(ip, port));
        }
        self.known = now;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ListenerStep> {
        if let Some(timer) = &mut self.rescan
            && timer.poll_unpin(cx).is_ready()
        {
            self.scan();
            if let Some(timer) = &mut self.rescan {
                // So that the new timer is known to the task; it has only just begun.
                let _ = timer.poll_unpin(cx);
            }
        }
        if let Some(change) = self.changes.pop_front() {
            return Poll::Ready(change);
        }
        if let Some(timer) = &mut self.pause {
            if timer.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        self.poll_accept(cx)
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<ListenerStep> {
        loop {
            let error = match self.socket.get_ref().accept() {
                Ok((stream, remote)) => match accepted(stream, remote) {
                    Ok(step) => return Poll::Ready(step),
                    // It is gone again.
                    Err(_) => continue,
                },
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::WouldBlock => match self.socket.poll_readable(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return self.fail(error),
                    Poll::Pending => return Poll::Pending,
                },
                io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset => {}
                _ => return self.fail(error),
            }
        }
    }

    /// The caller polls again after this step, which starts the pause.
    fn fail(&mut self, error: io::Error) -> Poll<ListenerStep> {
        self.pause = Some(Timer::after(ACCEPT_PAUSE));
        Poll::Ready(ListenerStep::Failed(error))
    }
}

fn accepted(stream: std::net::TcpStream, remote: SocketAddr) -> io::Result<ListenerStep> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    Ok(ListenerStep::Accepted {
        connection: Async::new(stream)?,
        local,
        remote,
    })
}

/// The addresses of one family that others can use. Link-local ones of IPv6 mean nothing without an interface.
fn machine_addresses(v4: bool) -> BTreeSet<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::warn!("cannot list the addresses of this machine: {error}");
        Vec::new()
    });
    found
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|ip| match ip {
            IpAddr::V4(_) => v4,
            IpAddr::V6(ip) => !v4 && !ip.is_unicast_link_local(),
        })
        .take(MAX_ADDRESSES)
        .collect()
}
