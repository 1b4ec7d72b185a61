//! A client that knows nothing of the crate under test: it makes one TCP connection, secures and multiplexes it with
//! libp2p's own parts, and gives out streams on which any bytes can be sent. [`message`] writes the deal protocols'
//! messages by hand, right or wrong.
//!
//! A thread of its own drives each connection, so the calls work under any executor and block none.

// Each test program uses another part of this module.
#![allow(dead_code)]

pub mod message;

use async_io::{Async, Timer};
use futures::channel::{mpsc, oneshot};
use futures::future::poll_fn;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::muxing::StreamMuxerExt;
use libp2p::core::upgrade::OutboundConnectionUpgrade;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, identity, noise, yamux};
use multistream_select::{Negotiated, Version, dialer_select_proto};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::task::Poll;
use std::time::Duration;

/// The address of `/ip4|ip6/…/tcp/…`.
pub fn socket_addr(address: &Multiaddr) -> SocketAddr {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        other => panic!("no IP address: {other:?}"),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) => SocketAddr::new(ip, port),
        other => panic!("no TCP port: {other:?}"),
    }
}

/// A secured connection to a provider.
pub struct Connection {
    /// Who is on the other side.
    pub remote: PeerId,
    /// Who we are.
    pub local: PeerId,
    opens: mpsc::UnboundedSender<oneshot::Sender<yamux::Stream>>,
}

impl Connection {
    /// Connects under a fresh identity.
    pub async fn new(address: SocketAddr) -> io::Result<Self> {
        let key = identity::Keypair::generate_ed25519();
        let socket = Async::<TcpStream>::connect(address).await?;
        socket.get_ref().set_nodelay(true)?;
        let (_, socket) = dialer_select_proto(socket, ["/noise"], Version::V1)
            .await
            .map_err(io::Error::other)?;
        let (remote, secured) = noise::Config::new(&key)
            .map_err(io::Error::other)?
            .upgrade_outbound(socket, "/noise")
            .await
            .map_err(io::Error::other)?;
        let (_, secured) = dialer_select_proto(secured, ["/yamux/1.0.0"], Version::V1)
            .await
            .map_err(io::Error::other)?;
        let muxer = yamux::Config::default()
            .upgrade_outbound(secured, "/yamux/1.0.0")
            .await?;
        let (opens, orders) = mpsc::unbounded();
        std::thread::spawn(move || smol::block_on(drive(muxer, orders)));
        Ok(Self {
            remote,
            local: key.public().to_peer_id(),
            opens,
        })
    }

    /// A stream on which nothing has been said, not even which protocol it is for.
    pub async fn open_bare(&self) -> io::Result<yamux::Stream> {
        let (reply, stream) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::ConnectionReset);
        self.opens.unbounded_send(reply).map_err(|_| gone())?;
        stream.await.map_err(|_| gone())
    }

    /// A stream on which the other side has agreed to this protocol.
    pub async fn open(&self, protocol: &str) -> io::Result<Stream> {
        let bare = self.open_bare().await?;
        let (_, stream) = dialer_select_proto(bare, [protocol.to_owned()], Version::V1)
            .await
            .map_err(io::Error::other)?;
        Ok(Stream {
            stream,
            half_closed: false,
        })
    }
}

/// Keeps the connection going until the last [`Connection`] is dropped or the other side ends it.
async fn drive<M: StreamMuxerExt<Substream = yamux::Stream> + Unpin>(
    mut muxer: M,
    mut orders: mpsc::UnboundedReceiver<oneshot::Sender<yamux::Stream>>,
) {
    let mut order: Option<oneshot::Sender<yamux::Stream>> = None;
    poll_fn(|cx| {
        loop {
            let mut moved = false;
            if order.is_none() {
                match orders.poll_next_unpin(cx) {
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Ready(next) => order = next,
                    Poll::Pending => {}
                }
            }
            if order.is_some() {
                match muxer.poll_outbound_unpin(cx) {
                    Poll::Ready(Ok(stream)) => {
                        let _ = order.take().map(|order| order.send(stream));
                        moved = true;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            match muxer.poll_inbound_unpin(cx) {
                // The other side's identify and ping; this client speaks neither.
                Poll::Ready(Ok(stream)) => {
                    drop(stream);
                    moved = true;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if let Poll::Ready(Err(_)) = muxer.poll_unpin(cx) {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// Connects and opens one stream; the connection lives as long as the pair.
pub async fn open(address: SocketAddr, protocol: &str) -> io::Result<(Connection, Stream)> {
    let connection = Connection::new(address).await?;
    let stream = connection.open(protocol).await?;
    Ok((connection, stream))
}

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The other side closed its half.
    Eof,
    /// The other side reset the stream, or the connection was lost.
    Reset,
    /// Neither happened in time.
    TimedOut,
}

/// A stream whose protocol is agreed on.
pub struct Stream {
    stream: Negotiated<yamux::Stream>,
    half_closed: bool,
}

impl Stream {
    /// Sends these bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Says that nothing more will be sent.
    pub async fn half_close(&mut self) -> io::Result<()> {
        self.half_closed = true;
        self.stream.close().await
    }

    /// Everything until the stream ends or the time is over.
    pub async fn read_to_end(&mut self, limit: Duration) -> (Vec<u8>, End) {
        let mut all = Vec::new();
        let mut timer = Timer::after(limit);
        loop {
            let mut chunk = [0u8; 4096];
            let read =
                smol::future::or(async { Some(self.stream.read(&mut chunk).await) }, async {
                    (&mut timer).await;
                    None
                });
            match read.await {
                Some(Ok(0)) => return (all, self.end().await),
                Some(Ok(count)) => all.extend_from_slice(&chunk[..count]),
                Some(Err(_)) => return (all, End::Reset),
                None => return (all, End::TimedOut),
            }
        }
    }
}

impl Stream {
    /// What a read of no bytes meant: Yamux ends reading in the same way when the other side closes its half and
    /// when it resets the stream, but only after a reset can nothing be written. After closing our half we cannot
    /// tell.
    async fn end(&mut self) -> End {
        if self.half_closed {
            return End::Eof;
        }
        let write = smol::future::or(async { Some(self.stream.write(&[0]).await) }, async {
            Timer::after(Duration::from_millis(100)).await;
            None
        });
        match write.await {
            Some(Err(_)) => End::Reset,
            Some(Ok(_)) | None => End::Eof,
        }
    }
}

/// Sends a request without closing, and reads to the end.
pub async fn exchange(
    address: SocketAddr,
    protocol: &str,
    request: &[u8],
    limit: Duration,
) -> (Vec<u8>, End) {
    let (_connection, mut stream) = open(address, protocol).await.expect("open a stream");
    // The other side may end the stream before it has taken everything.
    let _ = stream.write(request).await;
    stream.read_to_end(limit).await
}

/// Runs a future to its end on this thread.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    smol::block_on(work)
}
