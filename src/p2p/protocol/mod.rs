//! What is said on the streams: one file per protocol, each a pair of plain functions over any byte stream, and the
//! steps that they share.
//!
//! One request, one response, one stream (spec boost-mk12 1.6). Neither side waits for the other to close its half.

pub(super) mod ask;
pub(super) mod propose;
pub(super) mod status;
pub(super) mod transports;

use super::{Inbound, P2pError};
use crate::wire::{ItemLimits, ItemReader, WireError, read_item};
use async_io::Timer;
use futures::channel::oneshot;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{PeerId, StreamProtocol};
use smol::channel::Sender;
use smol::lock::{Semaphore, SemaphoreGuardArc};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a peer may take to send its request (spec boost-mk12 1.6).
const REQUEST_WAIT: Duration = Duration::from_secs(10);

/// How long the answer may take to be made; a client waits no longer for it (spec boost-mk12 1.6).
const PROCESS_WAIT: Duration = Duration::from_secs(60);

/// How long writing a request or an answer may take (spec boost-mk12 1.6).
const WRITE_WAIT: Duration = Duration::from_secs(10);

/// How long a client waits for the answer, from when its request is written (spec boost-mk12 1.6).
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// How long a client that has its answer takes to end the stream politely.
const GOODBYE_WAIT: Duration = Duration::from_secs(1);

/// Requests up to this size are read freely; nearly all are below 4 KiB.
const FREE_REQUEST: ItemLimits = ItemLimits { total: 16 * 1024 };

/// Larger requests that are in memory at once. Each may reach 4 MiB, and a hostile peer can have many streams.
const LARGE_REQUESTS: usize = 2;

/// A byte stream to a peer.
pub(super) trait Talk: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Talk for T {}

/// Where requests are handed in.
#[derive(Clone)]
pub(super) struct Desk {
    inbound: Sender<Inbound>,
    large: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(inbound: Sender<Inbound>) -> Self {
        Self {
            inbound,
            large: Arc::new(Semaphore::new(LARGE_REQUESTS)),
        }
    }
}

/// The protocols that a provider answers, newest first.
pub(super) fn served() -> Vec<StreamProtocol> {
    let mut all = propose::PROTOCOLS.to_vec();
    all.extend([status::PROTOCOL, ask::PROTOCOL, transports::PROTOCOL]);
    all
}

/// Serves one stream from its negotiation to its end.
pub(super) async fn serve<S: Talk>(stream: S, protocol: StreamProtocol, peer: PeerId, desk: Desk) {
    if protocol == status::PROTOCOL {
        status::serve(stream, peer, &desk).await;
    } else if protocol == ask::PROTOCOL {
        ask::serve(stream, peer, &desk).await;
    } else if protocol == transports::PROTOCOL {
        transports::serve(stream, &desk).await;
    } else {
        propose::serve(stream, peer, &desk).await;
    }
}

/// A request's bytes, with the permission to keep so many if they are.
struct Request {
    bytes: Vec<u8>,
    _large: Option<SemaphoreGuardArc>,
}

/// Reads a request within its deadline.
async fn read_request<S: Talk>(
    stream: &mut S,
    limits: ItemLimits,
    desk: &Desk,
) -> Result<Request, WireError> {
    let read = async {
        let mut reader = ItemReader::new();
        let free = FREE_REQUEST.total.min(limits.total);
        let large = match reader.read(stream, ItemLimits { total: free }).await {
            Err(WireError::TooLarge(reached)) if reached < limits.total => {
                let permission = desk.large.acquire_arc().await;
                reader.read(stream, limits).await?;
                Some(permission)
            }
            read => read.map(|()| None)?,
        };
        Ok(Request {
            bytes: reader.into_bytes(),
            _large: large,
        })
    };
    within(REQUEST_WAIT, read)
        .await
        .unwrap_or(Err(WireError::Io(io::ErrorKind::TimedOut)))
}

/// Notes a request that is not answered, and ends its stream: cleanly, unless the peer is still sending too much.
async fn refuse<S: Talk>(stream: S, peer: PeerId, what: &str, error: &WireError) {
    log::debug!("{what} of {peer}: {error}");
    if !matches!(error, WireError::TooLarge(_)) {
        finish(stream, None).await;
    }
}

/// Hands a request in and waits for the answer; none if nobody answers, or not in time.
async fn hand_in<A>(desk: &Desk, request: impl FnOnce(oneshot::Sender<A>) -> Inbound) -> Option<A> {
    let (reply, answer) = oneshot::channel();
    let request = request(reply);
    within(PROCESS_WAIT, async {
        desk.inbound.send(request).await.ok()?;
        answer.await.ok()
    })
    .await
    .flatten()
}

/// Writes the answer, if there is one, and closes this side of the stream.
async fn finish<S: Talk>(mut stream: S, answer: Option<Vec<u8>>) {
    let write = async {
        if let Some(answer) = answer {
            stream.write_all(&answer).await?;
        }
        stream.close().await
    };
    match within(WRITE_WAIT, write).await {
        Some(Ok(())) => {}
        Some(Err(error)) => log::debug!("answering: {error}"),
        None => log::debug!("answering: the peer does not take the answer"),
    }
}

/// A client's whole turn: writes the request and reads one item.
async fn ask_and_read<S: Talk>(
    stream: &mut S,
    request: &[u8],
    limits: ItemLimits,
) -> Result<Vec<u8>, P2pError> {
    let write = async {
        stream.write_all(request).await?;
        stream.flush().await
    };
    match within(WRITE_WAIT, write).await {
        Some(Ok(())) => {}
        Some(Err(error)) => return Err(P2pError::Send(error.kind())),
        None => return Err(P2pError::Send(io::ErrorKind::TimedOut)),
    }
    match within(ANSWER_WAIT, read_item(stream, limits)).await {
        Some(Ok(answer)) => {
            let _ = within(GOODBYE_WAIT, stream.close()).await;
            Ok(answer)
        }
        Some(Err(WireError::Ended { after: 0 })) => Err(P2pError::NoAnswer),
        Some(Err(error)) => Err(P2pError::Answer(error)),
        None => Err(P2pError::AnswerTimedOut),
    }
}

/// Reads to the end of the stream, at most this many bytes.
async fn read_to_end<S: Talk>(stream: &mut S, limit: u64) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    let mut limited = stream.take(limit.saturating_add(1));
    match limited.read_to_end(&mut bytes).await {
        Ok(_) if bytes.len() as u64 > limit => Err(WireError::TooLarge(limit)),
        Ok(_) => Ok(bytes),
        Err(error) => Err(WireError::Io(error.kind())),
    }
}

/// The result of a future, if it comes in time.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    smol::future::or(async { Some(work.await) }, async {
        Timer::after(limit).await;
        None
    })
    .await
}
