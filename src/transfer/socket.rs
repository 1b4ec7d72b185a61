//! The sockets under the HTTP library: connected to addresses that were checked, and never blocking for longer than a
//! slice, so that a stop or a stall ends the wait whatever the other side does.

use super::patience::{Fault, Patience, SLICE, after};
use super::resolve::MAX_ADDRESSES;
use async_io::{Async, Timer};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

/// Gives the addresses that were checked for this hop, and nothing else: what is connected to cannot differ from what
/// was looked at, whatever a name server says the second time.
#[derive(Debug)]
pub(super) struct Pinned(pub Vec<SocketAddr>);

impl Resolver for Pinned {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        for address in self.0.iter().take(MAX_ADDRESSES) {
            addresses.push(*address);
        }
        if addresses.is_empty() {
            return Err(Error::HostNotFound);
        }
        Ok(addresses)
    }
}

/// Opens the sockets of one attempt.
#[derive(Debug)]
pub(super) struct Sockets(pub Arc<Patience>);

impl Connector<()> for Sockets {
    type Out = Socket;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Socket>, Error> {
        let stream = connect(&details.addrs, limit_of(details.timeout), &self.0)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SLICE))?;
        stream.set_write_timeout(Some(SLICE))?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Socket {
            stream,
            buffers,
            patience: Arc::clone(&self.0),
        }))
    }
}

/// The library's limit of this step, without one if it has none.
fn limit_of(timeout: NextTimeout) -> Option<Duration> {
    (!timeout.after.is_not_happening()).then(|| *timeout.after)
}

/// Tries the addresses in turn; each gets an equal part of the time that is left.
fn connect(
    addresses: &[SocketAddr],
    limit: Option<Duration>,
    patience: &Patience,
) -> Result<TcpStream, Error> {
    let end = after(limit.unwrap_or(Duration::MAX));
    let mut last = Error::ConnectionFailed;
    for (number, address) in addresses.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len().saturating_sub(number))
            .unwrap_or(1)
            .max(1);
        let part = left.checked_div(others).unwrap_or(left);
        match async_io::block_on(connect_one(*address, part, patience)) {
            Ok(stream) => return Ok(stream),
            Err(error) if patience.stopped() => return Err(error.into()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                last = Error::Timeout(Timeout::Connect);
            }
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

async fn connect_one(
    address: SocketAddr,
    limit: Duration,
    patience: &Patience,
) -> io::Result<TcpStream> {
    let connecting = Async::<TcpStream>::connect(address);
    let watching = async {
        let end = after(limit);
        loop {
            patience.check().map_err(io::Error::other)?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Timer::after(SLICE.min(left)).await;
        }
    };
    let stream = smol::future::or(connecting, watching).await?.into_inner()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// A connected socket with its buffers.
pub(super) struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
    patience: Arc<Patience>,
}

impl Socket {
    /// Whether a wait may go on: not stopped, not stalled, and within the library's limit of this step.
    fn go_on(&self, begun: Instant, timeout: NextTimeout) -> Result<(), Error> {
        self.patience.check().map_err(ended)?;
        match limit_of(timeout) {
            Some(limit) if begun.elapsed() >= limit => Err(Error::Timeout(timeout.reason)),
            _ => Ok(()),
        }
    }
}

/// The kind is one that the library takes for an error and not for the end of a body.
fn ended(fault: Fault) -> Error {
    Error::Io(io::Error::other(fault))
}

/// Whether the wait of one slice is over and nothing else happened.
fn is_slice(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let begun = Instant::now();
        let mut sent: usize = 0;
        while sent < amount {
            self.go_on(begun, timeout)?;
            let output = self.buffers.output().get(sent..amount).unwrap_or_default();
            match (&self.stream).write(output) {
                Ok(0) => return Err(Error::Io(io::ErrorKind::WriteZero.into())),
                Ok(more) => sent = sent.saturating_add(more),
                Err(error) if is_slice(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let begun = Instant::now();
        loop {
            self.go_on(begun, timeout)?;
            let room = self.buffers.input_append_buf();
            if room.is_empty() {
                // A read into nothing would look like the end of the connection.
                return Err(Error::Io(io::Error::other(
                    "a head or chunk line is too long",
                )));
            }
            match (&self.stream).read(room) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(amount > 0);
                }
                Err(error) if is_slice(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // No connection is used twice: every attempt has its own.
        false
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}
