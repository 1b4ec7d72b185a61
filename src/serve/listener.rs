//! One HTTP/1.1 listener: hyper on smol's sockets, with every resource bounded.
//!
//! A [`Listener`] is bound first (port 0 is allowed, the real port is then known) and run afterwards. It serves until its
//! future is dropped; connections that are then open may finish the answer they are writing, for a few seconds.

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use smol::future::FutureExt;
use smol::io::{AsyncRead, AsyncWrite};
use smol::lock::{Semaphore, SemaphoreGuardArc};
use smol::net::{TcpListener, TcpStream};
use smol::{Executor, Timer, channel};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The body of every answer: its pieces come when the connection can take them.
pub type Body = BoxBody<Bytes, io::Error>;

/// How long an open connection may go on writing after the listener has ended.
const GRACE: Duration = Duration::from_secs(3);

/// A peer that takes no byte of its answer for this long loses the connection, or slow readers would fill all places.
const WRITE_STALL: Duration = Duration::from_secs(60);

/// A request body that is read whole has to be there after this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of a refused body is read and thrown away, and for how long: a socket that is closed with bytes unread resets the
/// connection, and its peer loses the answer that says what was wrong.
const DRAIN_BYTES: u64 = 16 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// The pause after a failed accept: mostly the process is out of file descriptors, and trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes that a connection buffers at most: a slow reader must not hold more than a chunk of its answer.
const CONNECTION_BUFFER: usize = 64 * 1024;

/// The bounds of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; further ones wait in the operating system's queue.
    pub connections: usize,
    /// From the beginning of a wait for a request to the end of its head; also bounds idle connections.
    pub header_timeout: Duration,
    /// Requests that announce a longer body are refused with 413 before the handler sees them. A body without an
    /// announced length is bounded by the handler's use of [`read_body`].
    pub body_bytes: u64,
}

impl Default for Limits {
    /// 256 connections, 30 s for a head, 1 MiB of body.
    fn default() -> Self {
        Self {
            connections: 256,
            header_timeout: Duration::from_secs(30),
            body_bytes: 1 << 20,
        }
    }
}

/// A bound socket that is ready to serve.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds the address; port 0 lets the operating system choose.
    ///
    /// # Errors
    /// The address is in use, not ours or not allowed.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until dropped. The handler is called once per request, with the peer's address; its future is dropped
    /// when the peer goes away before the answer.
    pub async fn run<H, F>(self, ex: Arc<Executor<'static>>, limits: Limits, handler: H)
    where
        H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(limits.connections.max(1)));
        // Nobody sends on it: dropping `_open` with this future tells every connection to end.
        let (_open, ended) = channel::bounded::<()>(1);
        loop {
            let place = places.acquire_arc().await;
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    let handler = handler.clone();
                    let ended = ended.clone();
                    ex.spawn(connection(stream, peer, limits, handler, ended, place))
                        .detach();
                }
                Err(error) => {
                    log::debug!("{}: accept: {error}", self.address);
                    Timer::after(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Serves one connection to its end; `_place` is its place among the allowed ones.
async fn connection<H, F>(
    stream: TcpStream,
    peer: SocketAddr,
    limits: Limits,
    handler: H,
    ended: channel::Receiver<()>,
    _place: SemaphoreGuardArc,
) where
    H: Fn(Request<Incoming>, SocketAddr) -> F,
    F: Future<Output = Response<Body>>,
{
    // Both only help: small answers go out at once, and dead peers of hour-long calls are noticed.
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_socket_keepalive(&stream, true);
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = if announced(&request) > limits.body_bytes {
            Err(request)
        } else {
            Ok(handler(request, peer))
        };
        async move {
            let response = match answer {
                Ok(answer) => answer.await,
                Err(request) => {
                    // Who asks first is told before sending anything.
                    if !request.headers().contains_key(EXPECT) {
                        drain(request.into_body()).await;
                    }
                    text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
                }
            };
            match response.extensions().get::<Aborted>() {
                Some(_) => Err(Aborted),
                None => Ok(response),
            }
        }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(SmolTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(CONNECTION_BUFFER)
            .serve_connection(FuturesIo::new(Guarded::new(stream, WRITE_STALL)), service)
    );
    let finished = async {
        let result = serving.as_mut().await;
        Some(result)
    };
    let told = async {
        let _ = ended.recv().await;
        None
    };
    let mut result = finished.or(told).await;
    if result.is_none() {
        serving.as_mut().graceful_shutdown();
        result = async { Some(serving.await) }
            .or(async {
                Timer::after(GRACE).await;
                None
            })
            .await;
    }
    if let Some(Err(error)) = result {
        log::trace!("{peer}: {error}");
    }
}

/// The body length that the request announces, 0 if it announces none.
fn announced(request: &Request<Incoming>) -> u64 {
    request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok())
        .unwrap_or(0)
}

/// A connection whose writes have to make progress.
struct Guarded {
    stream: TcpStream,
    /// How long a write may wait.
    patience: Duration,
    /// Runs while a write waits.
    stall: Option<Timer>,
}

impl Guarded {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            stall: None,
        }
    }

    /// Passes a write's result on; one that waits for too long becomes an error.
    fn guard<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stall = None;
            return result;
        }
        let patience = self.patience;
        let timer = self.stall.get_or_insert_with(|| Timer::after(patience));
        match timer.poll(cx) {
            Poll::Ready(_) => {
                self.stall = None;
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.guard(result, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets have nothing to flush: this says nothing about progress.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_close(cx);
        self.guard(result, cx)
    }
}

/// Marks an answer that is not to be sent: the connection ends instead.
#[derive(Debug, Clone, Copy)]
struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handler ended the connection")
    }
}

impl std::error::Error for Aborted {}

/// Why a request's body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than allowed.
    TooLarge,
    /// The connection broke, or the framing is wrong.
    Broken,
    /// It was not there in time.
    Timeout,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the request body is too large",
            Self::Broken => "the request body ended early",
            Self::Timeout => "the request body did not come in time",
        })
    }
}

impl std::error::Error for BodyError {}

/// Reads a request's body, of at most `max` bytes.
///
/// # Errors
/// See [`BodyError`].
pub async fn read_body(request: Request<Incoming>, max: u64) -> Result<Vec<u8>, BodyError> {
    let limit = usize::try_from(max).unwrap_or(usize::MAX);
    let mut body = request.into_body();
    let collect = async {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
                continue;
            };
            if data.len() > limit.saturating_sub(bytes.len()) {
                return Err(BodyError::TooLarge);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    };
    let late = async {
        Timer::after(BODY_TIMEOUT).await;
        Err(BodyError::Timeout)
    };
    let read = collect.or(late).await;
    if read == Err(BodyError::TooLarge) {
        drain(body).await;
    }
    read
}

/// Reads what is left of a refused body, within bounds, so that its sender comes to read the answer.
async fn drain(mut body: Incoming) {
    let read = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
            if left == 0 {
                return;
            }
        }
    };
    let late = async {
        Timer::after(DRAIN_TIME).await;
    };
    read.or(late).await;
}

/// An answer with these bytes and this content type.
pub fn bytes(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let body = Full::new(body.into())
        .map_err(|never| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer in plain text.
pub fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    bytes(status, "text/plain; charset=utf-8", body.into())
}

/// An answer in JSON.
pub fn json(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    bytes(status, "application/json", body.to_string())
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let body = Full::new(Bytes::new())
        .map_err(|never| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// Not an answer: the connection ends without one.
pub fn abort() -> Response<Body> {
    let mut response = empty(StatusCode::INTERNAL_SERVER_ERROR);
    response.extensions_mut().insert(Aborted);
    response
}

#[cfg(test)]
mod tests;
