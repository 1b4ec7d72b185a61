//! Where the two halves of a pushed piece meet: the JSON-RPC call that wants the bytes, and the HTTP requests that bring
//! them (spec chain-sealer-rpc E.2).
//!
//! A sender first asks with HEAD. The answer comes when the miner wants the data: 200 (send it here with POST), 302 (ask
//! there), 204 (not needed). Either half waits for the other, by default for 30 s.

use crate::serve::listener::{self, Body};
use futures::channel::oneshot;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use smol::Timer;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::FutureExt;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Meetings at a time.
const MAX_MEETINGS: usize = 1000;

/// Requests that wait at one meeting.
const MAX_OFFERS: usize = 4;

/// Pieces of a body between socket and hasher; each is at most some ten KiB.
const BODY_QUEUE: usize = 8;

/// The bytes of a piece as they come.
pub type Bits = Receiver<io::Result<Bytes>>;

/// What the miner tells a HEAD request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Send the bytes here.
    Send,
    /// Ask at this URL.
    Redirect(String),
    /// Nothing is needed.
    Nothing,
}

/// A request that waits at a meeting.
enum Offer {
    Head(oneshot::Sender<Wish>),
    Post(Bits),
}

struct Waiting {
    /// Fails when the request has gone away.
    taken: oneshot::Sender<()>,
    offer: Offer,
}

struct Slot {
    users: usize,
    offers: Sender<Waiting>,
    waiting: Receiver<Waiting>,
}

/// The meetings of one miner.
pub struct Streams {
    /// How long one half waits for the other.
    pairing: Duration,
    slots: Mutex<BTreeMap<Uuid, Slot>>,
}

/// One half's presence at a meeting; the meeting ends with its last half.
pub struct Meeting {
    streams: Arc<Streams>,
    id: Uuid,
    offers: Sender<Waiting>,
    waiting: Receiver<Waiting>,
}

impl Streams {
    /// No meetings yet.
    pub fn new(pairing: Duration) -> Self {
        Self {
            pairing,
            slots: Mutex::default(),
        }
    }

    /// Comes to a meeting; none if there are too many.
    pub fn meet(self: &Arc<Self>, id: Uuid) -> Option<Meeting> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_MEETINGS && !slots.contains_key(&id) {
            return None;
        }
        let slot = slots.entry(id).or_insert_with(|| {
            let (offers, waiting) = bounded(MAX_OFFERS);
            Slot {
                users: 0,
                offers,
                waiting,
            }
        });
        slot.users = slot.users.saturating_add(1);
        Some(Meeting {
            streams: Arc::clone(self),
            id,
            offers: slot.offers.clone(),
            waiting: slot.waiting.clone(),
        })
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        let slots = &self.streams.slots;
        let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(&self.id) {
            slot.users = slot.users.saturating_sub(1);
            if slot.users == 0 {
                slots.remove(&self.id);
            }
        }
    }
}

impl Meeting {
    /// Waits no longer than one half does for the other.
    async fn in_time<T>(&self, wait: impl Future<Output = Option<T>>) -> Option<T> {
        let late = async {
            Timer::after(self.streams.pairing).await;
            None
        };
        wait.or(late).await
    }

    /// Offers a request to the other half and waits until it takes it.
    async fn offer(&self, offer: Offer) -> Option<()> {
        let (taken, is_taken) = oneshot::channel();
        self.offers.try_send(Waiting { taken, offer }).ok()?;
        self.in_time(async { is_taken.await.ok() }).await
    }

    /// Takes the next request that is still there.
    async fn take(&self) -> Option<Offer> {
        self.in_time(async {
            loop {
                let waiting = self.waiting.recv().await.ok()?;
                if waiting.taken.send(()).is_ok() {
                    return Some(waiting.offer);
                }
            }
        })
        .await
    }
}

/// The reading half.
pub struct PushReader {
    meeting: Meeting,
    offer: Option<Offer>,
}

impl PushReader {
    /// Waits for the first request of the sender; none if it does not come.
    pub async fn open(streams: &Arc<Streams>, id: Uuid) -> Option<Self> {
        let meeting = streams.meet(id)?;
        let offer = meeting.take().await?;
        Some(Self {
            meeting,
            offer: Some(offer),
        })
    }

    /// The identity that both halves name.
    pub fn id(&self) -> Uuid {
        self.meeting.id
    }

    /// Asks for the bytes, at `redirect` if there is one. None if the sender does not come back.
    pub async fn read(&mut self, redirect: Option<String>) -> Option<Bits> {
        let mut redirect = redirect;
        loop {
            match self.offer.take()? {
                Offer::Post(bits) => return Some(bits),
                Offer::Head(tell) => {
                    let wish = redirect.take().map_or(Wish::Send, Wish::Redirect);
                    tell.send(wish).ok()?;
                    self.offer = self.meeting.take().await;
                }
            }
        }
    }
}

impl Drop for PushReader {
    /// A sender that still waits is told that nothing is needed.
    fn drop(&mut self) {
        if let Some(Offer::Head(tell)) = self.offer.take() {
            // It may have gone meanwhile.
            let _ = tell.send(Wish::Nothing);
        }
    }
}

/// Answers a request to `/rpc/streams/v0/push/{id}`.
pub async fn answer(streams: Arc<Streams>, id: &str, request: Request<Incoming>) -> Response<Body> {
    let Ok(id) = Uuid::parse_str(id) else {
        return listener::text(StatusCode::BAD_REQUEST, "parsing reader uuid");
    };
    let Some(meeting) = streams.meet(id) else {
        return failed();
    };
    if request.method() == Method::HEAD {
        head(&meeting).await
    } else {
        post(&meeting, request).await
    }
}

fn failed() -> Response<Body> {
    listener::empty(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn head(meeting: &Meeting) -> Response<Body> {
    let (tell, told) = oneshot::channel();
    if meeting.offer(Offer::Head(tell)).await.is_none() {
        return failed();
    }
    match told.await {
        Ok(Wish::Send) => listener::empty(StatusCode::OK),
        Ok(Wish::Nothing) => listener::empty(StatusCode::NO_CONTENT),
        Ok(Wish::Redirect(url)) => {
            let mut response = listener::empty(StatusCode::FOUND);
            if let Ok(url) = HeaderValue::from_str(&url) {
                response.headers_mut().insert(LOCATION, url);
            }
            response
        }
        Err(oneshot::Canceled) => failed(),
    }
}

/// Passes the body on until its end, or until the reader has enough.
async fn post(meeting: &Meeting, request: Request<Incoming>) -> Response<Body> {
    let (bits, reader) = bounded(BODY_QUEUE);
    if meeting.offer(Offer::Post(reader)).await.is_none() {
        return failed();
    }
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let bytes = match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_trailers)) => continue,
            Err(error) => Err(io::Error::other(error)),
        };
        if bits.send(bytes).await.is_err() {
            // Closed by the reader, which may have all it wants.
            return listener::empty(StatusCode::OK);
        }
    }
    // The answer waits until the reader has emptied the queue.
    while !bits.is_empty() && !bits.is_closed() {
        Timer::after(Duration::from_millis(5)).await;
    }
    listener::empty(StatusCode::OK)
}
