//! A scriptable HTTP server for tests: it does what it is told, right or wrong, and remembers what it was asked.
//!
//! Each connection takes the next [`Step`] of the script (the last one is repeated), reads one request head and acts.

#![allow(dead_code)] // Each test file uses its part.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What one connection does after it has read a request.
#[derive(Clone)]
pub enum Step {
    /// These bytes, then the connection ends.
    Raw(Vec<u8>),
    /// These bytes, then a TCP reset.
    RawReset(Vec<u8>),
    /// These bytes, then nothing until the server ends.
    RawHang(Vec<u8>),
    /// These bytes one by one with a pause between them.
    Drip(Vec<u8>, Duration),
    /// Serves this file with ranges; see [`Serve`].
    File(Serve),
    /// Whatever this makes of the request.
    With(Arc<dyn Fn(&Request) -> Step + Send + Sync>),
}

/// How a file is served.
#[derive(Clone)]
pub struct Serve {
    pub bytes: Arc<Vec<u8>>,
    pub etag: Option<String>,
    /// Ends the connection after this many body bytes.
    pub cut_after: Option<usize>,
    /// Ends by a reset instead of a clean close.
    pub reset: bool,
    /// Answers 200 with the whole file whatever range was asked for.
    pub ignore_range: bool,
    /// Sends the body in chunks of this size.
    pub chunked: Option<usize>,
    /// Waits between pieces of 16 KiB.
    pub pause: Duration,
}

impl Serve {
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: Arc::new(bytes.to_vec()),
            etag: Some("\"v1\"".to_owned()),
            cut_after: None,
            reset: false,
            ignore_range: false,
            chunked: None,
            pause: Duration::ZERO,
        }
    }
}

/// A request as it was read.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first byte of `Range: bytes=N-`.
    pub fn range(&self) -> Option<usize> {
        self.header("range")?
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// A running server; it ends when dropped.
pub struct Server {
    pub address: SocketAddr,
    pub requests: Arc<Mutex<Vec<Request>>>,
    end: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let end = Arc::new(AtomicBool::new(false));
        let (seen, ended) = (Arc::clone(&requests), Arc::clone(&end));
        let thread = thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let step = script[number.min(script.len() - 1)].clone();
                let (seen, ended) = (Arc::clone(&seen), Arc::clone(&ended));
                thread::spawn(move || serve(stream.unwrap(), step, &seen, &ended));
            }
        });
        Self {
            address,
            requests,
            end,
            thread: Some(thread),
        }
    }

    pub fn file(bytes: &[u8]) -> Self {
        Self::start(vec![Step::File(Serve::new(bytes))])
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, step: Step, seen: &Mutex<Vec<Request>>, ended: &AtomicBool) {
    let Some(request) = read_request(&mut stream) else {
        return;
    };
    seen.lock().unwrap().push(request.clone());
    act(&mut stream, step, &request, ended);
}

fn act(stream: &mut TcpStream, step: Step, request: &Request, ended: &AtomicBool) {
    match step {
        Step::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
            finish(stream);
        }
        Step::RawReset(bytes) => {
            let _ = stream.write_all(&bytes);
            reset(stream);
        }
        Step::RawHang(bytes) => {
            let _ = stream.write_all(&bytes);
            while !ended.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
        }
        Step::Drip(bytes, pause) => {
            for byte in bytes {
                if stream.write_all(&[byte]).is_err() || ended.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(pause);
            }
            finish(stream);
        }
        Step::File(file) => serve_file(stream, &file, request),
        Step::With(make) => act(stream, make(request), request, ended),
    }
}

fn serve_file(stream: &mut TcpStream, file: &Serve, request: &Request) {
    let total = file.bytes.len();
    let first = request.range().filter(|_| !file.ignore_range);
    // If-Range: another validator means the whole file.
    let first = first.filter(|_| match request.header("if-range") {
        Some(validator) => file.etag.as_deref() == Some(validator),
        None => true,
    });
    let mut head = match first {
        Some(first) if first >= total => {
            let answer = format!(
                "HTTP/1.1 416 x\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
            return finish(stream);
        }
        Some(first) => format!(
            "HTTP/1.1 206 x\r\nContent-Range: bytes {first}-{}/{total}\r\n",
            total - 1
        ),
        None => "HTTP/1.1 200 x\r\n".to_owned(),
    };
    let body = &file.bytes[first.unwrap_or(0)..];
    if let Some(etag) = &file.etag {
        head.extend(["ETag: ", etag, "\r\n"]);
    }
    let framing = match file.chunked {
        Some(_) => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
        None => format!("Content-Length: {}\r\n\r\n", body.len()),
    };
    head.push_str(&framing);
    let _ = stream.write_all(head.as_bytes());
    let sent = &body[..file.cut_after.unwrap_or(body.len()).min(body.len())];
    for piece in sent.chunks(file.chunked.unwrap_or(16 * 1024)) {
        let written = match file.chunked {
            Some(_) => write!(stream, "{:x};ext=1\r\n", piece.len())
                .and_then(|()| stream.write_all(piece))
                .and_then(|()| stream.write_all(b"\r\n")),
            None => stream.write_all(piece),
        };
        if written.is_err() {
            return;
        }
        thread::sleep(file.pause);
    }
    if file.chunked.is_some() && sent.len() == body.len() {
        let _ = stream.write_all(b"0\r\n\r\n");
    }
    if file.reset {
        reset(stream);
    } else {
        finish(stream);
    }
}

/// Closes the sending side and waits until the other side has closed too, so that nothing is lost.
fn finish(stream: &mut TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest), Ok(read) if read > 0) {}
}

/// Gives what was sent time to arrive, then resets the connection.
fn reset(stream: &TcpStream) {
    thread::sleep(Duration::from_millis(50));
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Request {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        headers,
    })
}
