//! Files over HTTP: whole or in part, with zeros after their end where a piece needs them, never more than one chunk of
//! a request in memory. Ranges and conditions are in `range`.

use super::listener::{Body, empty, text};
use super::range::{Part, Plan, plan};
use crate::threads::Pool;
use futures::channel::oneshot;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue,
};
use hyper::{Request, Response, StatusCode};
use smol::Timer;
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes that are read at once. Large enough for a disk, and small enough that many open requests fit a small box.
pub const CHUNK: usize = 64 * 1024;

/// Where the zeros after the end of a file come from.
static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// The pause after the readers' queue was full: they free a place every few milliseconds.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Threads of [`readers`]: one reads while another waits for a disk.
const READERS: usize = 2;

/// Reads that may wait: one per connection of the listeners together, and some for look-ups. Beyond it they are asked
/// for again after [`BUSY_PAUSE`].
const QUEUE: usize = 512;

/// Stack of a reading thread; a look-up in the database runs there too.
const STACK: usize = 256 * 1024;

/// The threads that read files for all requests.
///
/// # Errors
/// The operating system refused a thread.
pub fn readers() -> io::Result<Pool> {
    Pool::new("read", READERS, QUEUE, STACK)
}

/// A file and how it is to be shown.
#[derive(Debug, Clone)]
pub struct FileSpec {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of it that are served; it may be longer.
    pub len: u64,
    /// A strong ETag as it goes out, quotes included.
    pub etag: Option<String>,
    /// Its media type.
    pub content_type: &'static str,
    /// Bytes of the body if they are not `len`: zeros follow up to here, or the end is left out.
    pub pad_to: Option<u64>,
}

impl FileSpec {
    /// Bytes of the whole body.
    fn total(&self) -> u64 {
        self.pad_to.unwrap_or(self.len)
    }
}

/// Answers a GET or HEAD with a file.
///
/// 200 or 206, 304 for a matching `If-None-Match`, 416 for a range behind the end, 405 for other methods, 404 if the file
/// is not there and 503 if it cannot be read or has become shorter. The file is read on `pool`, a chunk at a time as the
/// connection takes them; when the client goes away, everything is freed.
pub fn serve_file<B>(
    request: &Request<B>,
    spec: FileSpec,
    pool: &Pool,
) -> impl Future<Output = Response<Body>> + Send + 'static + use<B> {
    let plan = plan(
        request.method(),
        request.headers(),
        spec.etag.as_deref(),
        spec.total(),
    );
    let pool = pool.clone();
    async move {
        let mut response = match plan {
            Plan::NotAllowed => return not_allowed(),
            Plan::NotModified => empty(StatusCode::NOT_MODIFIED),
            Plan::Unsatisfiable => {
                let mut response = text(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "the range is behind the end",
                );
                set(
                    &mut response,
                    CONTENT_RANGE,
                    &format!("bytes */{}", spec.total()),
                );
                response
            }
            Plan::Send(part) => match send(&spec, part, pool).await {
                Ok(response) => response,
                Err(response) => return response,
            },
        };
        response
            .headers_mut()
            .insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(etag) = &spec.etag {
            set(&mut response, ETAG, etag);
        }
        response
    }
}

/// 405 with the methods that there are.
pub(super) fn not_allowed() -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// Sets a header from a text of our own; one that is not valid in a header is left out.
fn set(response: &mut Response<Body>, name: hyper::header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Opens the file and makes the answer; or the answer that says why not.
async fn send(spec: &FileSpec, part: Part, pool: Pool) -> Result<Response<Body>, Response<Body>> {
    let (path, len) = (spec.path.clone(), spec.len);
    let opened = pool.run(move || open(&path, len)).await;
    let file = match opened {
        Ok(Ok(file)) => file,
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(text(StatusCode::NOT_FOUND, "not here"));
        }
        Ok(Err(error)) => {
            log::warn!("serving {}: {error}", spec.path.display());
            return Err(text(StatusCode::SERVICE_UNAVAILABLE, "not readable now"));
        }
        Err(busy) => return Err(text(StatusCode::SERVICE_UNAVAILABLE, busy.to_string())),
    };
    let length = part.end.saturating_sub(part.first);
    let body = FileBody {
        file: Arc::new(file),
        len: spec.len,
        at: part.first,
        end: if part.head { part.first } else { part.end },
        pool,
        state: State::Idle,
    };
    let mut response = Response::new(body.boxed());
    if part.partial {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let last = part.end.saturating_sub(1);
        set(
            &mut response,
            CONTENT_RANGE,
            &format!("bytes {}-{last}/{}", part.first, spec.total()),
        );
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(spec.content_type));
    Ok(response)
}

/// Opens a regular file of at least this length.
fn open(path: &std::path::Path, len: u64) -> io::Result<File> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("not a file"));
    }
    if found.len() < len {
        return Err(io::Error::other(format!(
            "{} bytes instead of {len}",
            found.len()
        )));
    }
    Ok(file)
}

/// A part of a file that is read as it is taken.
struct FileBody {
    file: Arc<File>,
    /// Bytes that come from the file; zeros are behind them.
    len: u64,
    /// The next byte.
    at: u64,
    /// The first byte that is not sent.
    end: u64,
    pool: Pool,
    state: State,
}

enum State {
    /// Nothing is under way.
    Idle,
    /// A chunk is being read.
    Reading(oneshot::Receiver<io::Result<Bytes>>),
    /// The readers' queue was full.
    Busy(Timer),
}

impl FileBody {
    /// Asks for the next chunk of the file.
    fn read(&self) -> State {
        let until = self.end.min(self.len);
        let size = usize::try_from(until.saturating_sub(self.at))
            .unwrap_or(CHUNK)
            .min(CHUNK);
        let (file, at) = (Arc::clone(&self.file), self.at);
        let (done, result) = oneshot::channel();
        let asked = self.pool.submit(move || {
            let mut chunk = vec![0; size];
            let read = file.read_exact_at(&mut chunk, at);
            // The client may be gone; then nobody waits for it.
            let _ = done.send(read.map(|()| Bytes::from(chunk)));
        });
        match asked {
            Ok(()) => State::Reading(result),
            Err(_) => State::Busy(Timer::after(BUSY_PAUSE)),
        }
    }

    /// The next zeros.
    fn zeros(&self) -> Bytes {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(CHUNK);
        Bytes::from_static(ZEROS.get(..left.min(CHUNK)).unwrap_or_default())
    }

    fn take(&mut self, chunk: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.at = self
            .at
            .saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Idle if this.at >= this.end => return Poll::Ready(None),
                State::Idle if this.at >= this.len => {
                    let zeros = this.zeros();
                    return this.take(zeros);
                }
                State::Idle => this.state = this.read(),
                State::Busy(timer) => match Pin::new(timer).poll(cx) {
                    Poll::Ready(_) => this.state = State::Idle,
                    Poll::Pending => return Poll::Pending,
                },
                State::Reading(result) => {
                    let read = match Pin::new(result).poll(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(read) => read,
                    };
                    this.state = State::Idle;
                    return match read {
                        Ok(Ok(chunk)) => this.take(chunk),
                        Ok(Err(error)) => Poll::Ready(Some(Err(error))),
                        Err(_) => {
                            Poll::Ready(Some(Err(io::Error::other("the readers have ended"))))
                        }
                    };
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end.saturating_sub(self.at))
    }
}
