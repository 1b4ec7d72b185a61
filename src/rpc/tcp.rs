//! TCP connections with keep-alive probes.
//!
//! A call that adds a piece waits for hours without a byte in either direction. If the other machine loses its power
//! meanwhile, nothing but a probe tells; without one such a call would wait for ever.

use rustix::net::sockopt;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, ShutdownHandle, Transport,
};
use ureq::{Error, Timeout};

/// Silence before the first probe; below the idle limits of common routers and firewalls (some drop after 5 minutes).
const PROBE_AFTER: Duration = Duration::from_secs(120);

/// Between probes without an answer.
const PROBE_EVERY: Duration = Duration::from_secs(30);

/// So many probes without an answer end the connection: 4 minutes after the last byte.
const PROBES: u32 = 4;

/// Opens the connections of every call.
#[derive(Debug, Default)]
pub(super) struct Tcp;

impl Connector<()> for Tcp {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let limit = details.timeout.not_zero().map(|d| *d);
        let begun = Instant::now();
        let mut last = Error::ConnectionFailed;
        for address in &details.addrs {
            let attempt = match limit {
                None => TcpStream::connect(address),
                Some(limit) => {
                    let left = limit.saturating_sub(begun.elapsed());
                    if left.is_zero() {
                        return Err(Error::Timeout(details.timeout.reason));
                    }
                    TcpStream::connect_timeout(address, left)
                }
            };
            match attempt {
                Ok(stream) => return open(stream, details).map(Some),
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    last = Error::Timeout(Timeout::Connect);
                }
                Err(error) => last = Error::Io(error),
            }
        }
        Err(last)
    }
}

fn open(stream: TcpStream, details: &ConnectionDetails<'_>) -> Result<Connection, Error> {
    stream.set_nodelay(true)?;
    keep_alive(&stream)?;
    let stream = Arc::new(Socket(stream));
    (details.register_shutdown)(Arc::downgrade(&stream) as Weak<dyn ShutdownHandle>)?;
    let config = details.config;
    Ok(Connection {
        stream,
        buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
    })
}

fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    Ok(())
}

/// A socket that [`ureq::Agent::shutdown`] can close while another thread waits on it.
struct Socket(TcpStream);

impl ShutdownHandle for Socket {
    fn shutdown(&self) {
        // An error says that it is closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// One open connection.
pub(super) struct Connection {
    stream: Arc<Socket>,
    buffers: LazyBuffers,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.stream.0.peer_addr().ok())
            .finish_non_exhaustive()
    }
}

/// What remains of a phase's time; None without a limit.
///
/// # Errors
/// The time is over.
fn remaining(timeout: NextTimeout) -> Result<Option<Duration>, Error> {
    if timeout.after.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    Ok(timeout.not_zero().map(|d| *d))
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let mut stream = &self.stream.0;
        stream.set_write_timeout(remaining(timeout)?)?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        stream
            .write_all(output)
            .map_err(|error| match error.kind() {
                ErrorKind::TimedOut | ErrorKind::WouldBlock => Error::Timeout(timeout.reason),
                _ => Error::Io(error),
            })
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let limit = remaining(timeout)?;
        let begun = Instant::now();
        let mut stream = &self.stream.0;
        let input = self.buffers.input_append_buf();
        let amount = loop {
            // A read that a signal interrupted goes on with what is left of its time.
            let left = limit.map(|l| l.saturating_sub(begun.elapsed()));
            if left.is_some_and(|l| l.is_zero()) {
                return Err(Error::Timeout(timeout.reason));
            }
            stream.set_read_timeout(left)?;
            match stream.read(input) {
                Ok(amount) => break amount,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                        return Err(Error::Timeout(timeout.reason));
                    }
                    _ => return Err(Error::Io(error)),
                },
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        let mut stream = &self.stream.0;
        // An idle connection has nothing to say: bytes or an end mean that it cannot be used again.
        stream.set_nonblocking(true).is_ok()
            && matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
            && stream.set_nonblocking(false).is_ok()
    }
}
