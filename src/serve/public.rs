//! What everybody may ask for: pieces by their CID (FRC-0066), and the padded piece that a sealer fetches.
//!
//! `/piece/{cid}` takes both forms of the piece CID and gives the payload, as spec index-announce-retrieve 4.4 has it;
//! `/padded/{token}` gives exactly the unpadded size of the piece with zeros behind the payload, which is what the `http`
//! reader of lotus-miner wants (spec chain-sealer-rpc E.2 and E.3). Everything else is a quick 404.

use super::files::{FileSpec, not_allowed, serve_file};
use super::listener::{Body, text};
use crate::filecoin::cids::{parse_piece_cid_v2, piece_commitment};
use crate::filecoin::piece_size::unpadded;
use crate::threads::Pool;
use cid::Cid;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, HeaderName,
    HeaderValue, RETRY_AFTER, VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Requests for pieces that may be open at once, bodies in progress included: each holds a file, a chunk and what the
/// connection buffers. More would seek a spinning disk to a standstill.
pub const MAX_OPEN: usize = 64;

/// What a refused client is asked to wait, in seconds.
const WAIT: u64 = 5;

/// Longest text of a CID; a piece CID has at most 70 characters in base32, other bases take up to 90.
const MAX_CID_TEXT: usize = 128;

/// Longest token of a hand-over.
const MAX_TOKEN: usize = 128;

/// A piece's bytes never change under its CID.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=29030400, immutable");

/// Media type of a CAR.
const CAR: &str = "application/vnd.ipld.car; version=1";
/// Media type of bytes that are no CAR.
const BYTES: &str = "application/octet-stream";

/// A piece whose bytes are on this box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The file; the payload is its first `payload_size` bytes.
    pub path: PathBuf,
    /// Bytes before any padding.
    pub payload_size: u64,
    /// Padded size of the piece that the commitment is of.
    pub padded_size: u64,
    /// Whether the payload is a CAR.
    pub is_car: bool,
}

/// Finds pieces; called on the threads that read files.
pub trait PieceLookup: Send + Sync {
    /// The piece with this commitment, if its bytes are here.
    fn find(&self, commitment: &[u8; 32]) -> Option<Kept>;
}

/// Finds what is being handed over to a sealer; called on the threads that read files.
pub trait TokenLookup: Send + Sync {
    /// The piece that this token was given out for. Tokens are secrets: they must not be guessable.
    fn padded(&self, token: &str) -> Option<Kept>;
}

/// The public side; clones share the count of open requests.
#[derive(Clone)]
pub struct Public {
    pieces: Arc<dyn PieceLookup>,
    tokens: Arc<dyn TokenLookup>,
    pool: Pool,
    open: Arc<AtomicUsize>,
    limit: usize,
}

impl Public {
    /// Serves from these look-ups, reading on `pool` (see `files::readers`).
    pub fn new(pieces: Arc<dyn PieceLookup>, tokens: Arc<dyn TokenLookup>, pool: Pool) -> Self {
        Self {
            pieces,
            tokens,
            pool,
            open: Arc::default(),
            limit: MAX_OPEN,
        }
    }

    /// The same with another number of requests for pieces that may be open at once.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Answers one request; the body, which is not read, may be of any kind.
    pub fn answer<B>(
        &self,
        request: &Request<B>,
    ) -> impl Future<Output = Response<Body>> + Send + 'static + use<B> {
        let route = route(request.method(), request.uri().path());
        let head = Head::of(request);
        let public = self.clone();
        async move {
            match route {
                Route::Root => text(
                    StatusCode::OK,
                    concat!("coracle ", env!("CARGO_PKG_VERSION"), "\n"),
                ),
                Route::Piece(wanted) => shared(public.piece(wanted, head).await),
                Route::BadCid => shared(text(StatusCode::BAD_REQUEST, "not a piece CID")),
                Route::Padded(token) => public.padded(token, head).await,
                Route::NotAllowed => shared(not_allowed()),
                Route::Nothing => text(StatusCode::NOT_FOUND, "not here"),
            }
        }
    }

    async fn piece(self, wanted: Wanted, head: Head) -> Response<Body> {
        let Some(place) = Place::take(&self.open, self.limit) else {
            return busy();
        };
        let (pieces, commitment) = (Arc::clone(&self.pieces), wanted.commitment);
        let Ok(found) = self.pool.run(move || pieces.find(&commitment)).await else {
            return busy();
        };
        let Some((kept, size)) =
            found.and_then(|kept| wanted.size_of(&kept).map(|size| (kept, size)))
        else {
            return text(StatusCode::NOT_FOUND, "no such piece here");
        };
        let spec = FileSpec {
            path: kept.path,
            len: kept.payload_size,
            etag: Some(format!("\"{}\"", wanted.text)),
            content_type: if kept.is_car { CAR } else { BYTES },
            pad_to: Some(size),
        };
        let mut response = head.serve(spec, &self.pool).await;
        if matches!(
            response.status(),
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            response.headers_mut().insert(CACHE_CONTROL, IMMUTABLE);
        }
        response
            .headers_mut()
            .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        response.map(|body| {
            Placed {
                body,
                _place: place,
            }
            .boxed()
        })
    }

    async fn padded(self, token: String, head: Head) -> Response<Body> {
        let tokens = Arc::clone(&self.tokens);
        let Ok(found) = self.pool.run(move || tokens.padded(&token)).await else {
            return busy();
        };
        let Some(kept) = found else {
            return text(StatusCode::NOT_FOUND, "not here");
        };
        let spec = FileSpec {
            path: kept.path,
            len: kept.payload_size,
            etag: None,
            content_type: BYTES,
            pad_to: Some(unpadded(kept.padded_size)),
        };
        let mut response = head.serve(spec, &self.pool).await;
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// What of a request a file's answer depends on, kept while a look-up runs.
struct Head(Request<()>);

impl Head {
    fn of<B>(request: &Request<B>) -> Self {
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.headers_mut() = request.headers().clone();
        Self(head)
    }

    fn serve(
        &self,
        spec: FileSpec,
        pool: &Pool,
    ) -> impl Future<Output = Response<Body>> + Send + 'static + use<> {
        serve_file(&self.0, spec, pool)
    }
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Root,
    Piece(Wanted),
    BadCid,
    Padded(String),
    NotAllowed,
    Nothing,
}

fn route(method: &Method, path: &str) -> Route {
    let known = if path == "/" {
        Route::Root
    } else if let Some(text) = path.strip_prefix("/piece/") {
        Wanted::parse(text).map_or(Route::BadCid, Route::Piece)
    } else if let Some(token) = path.strip_prefix("/padded/") {
        if token.is_empty() || token.len() > MAX_TOKEN || token.contains('/') {
            return Route::Nothing;
        }
        Route::Padded(token.to_owned())
    } else {
        return Route::Nothing;
    };
    if method == Method::GET || method == Method::HEAD {
        known
    } else {
        Route::NotAllowed
    }
}

/// A piece that is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// The CID as requested.
    text: String,
    commitment: [u8; 32],
    /// Bytes before any padding, if the CID says so.
    payload: Option<u64>,
}

impl Wanted {
    fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_CID_TEXT || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let cid = Cid::try_from(text).ok()?;
        let text = text.to_owned();
        if let Some(commitment) = piece_commitment(&cid) {
            return Some(Self {
                text,
                commitment,
                payload: None,
            });
        }
        let v2 = parse_piece_cid_v2(&cid)?;
        Some(Self {
            text,
            commitment: v2.commitment,
            payload: Some(v2.payload),
        })
    }

    /// How many bytes of this piece the CID names. One that names fewer than the payload, or more than the piece holds,
    /// is not the CID of this piece: its commitment was taken from another.
    fn size_of(&self, kept: &Kept) -> Option<u64> {
        match self.payload {
            None => Some(kept.payload_size),
            Some(payload) => (kept.payload_size..=unpadded(kept.padded_size))
                .contains(&payload)
                .then_some(payload),
        }
    }
}

fn busy() -> Response<Body> {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, "too many requests are open");
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(WAIT));
    response
}

/// Lets pages of any origin read the answer: pieces are public.
fn shared(mut response: Response<Body>) -> Response<Body> {
    let all: [(HeaderName, &str); 2] = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            ACCESS_CONTROL_EXPOSE_HEADERS,
            "Accept-Ranges, Content-Length, Content-Range, ETag, Retry-After",
        ),
    ];
    for (name, value) in all {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A place among the open requests, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        if open.fetch_add(1, Ordering::Relaxed) >= limit {
            open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(Arc::clone(open)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that holds its place until it is sent or dropped.
struct Placed {
    body: Body,
    _place: Place,
}

impl hyper::body::Body for Placed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
