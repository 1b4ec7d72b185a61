//! A server that answers as it is told, and remembers what it was asked: the other side of JSON-RPC in tests.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub verb: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl Seen {
    /// The JSON-RPC object in the body.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The method without its namespace.
    pub fn method(&self) -> String {
        let json = self.json();
        let method = json["method"].as_str().unwrap_or_default();
        method.trim_start_matches("Filecoin.").to_owned()
    }

    pub fn params(&self) -> Value {
        self.json()["params"].clone()
    }
}

/// What the server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// A JSON-RPC result with this request's id.
    Result(Value),
    /// A JSON-RPC error: HTTP status, code, message.
    Error(u16, i64, &'static str),
    /// Any HTTP answer.
    Http(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Closes the connection without an answer.
    Drop,
    /// Waits, then closes.
    Hang(Duration),
}

impl Reply {
    /// An HTTP answer with a text body.
    pub fn text(status: u16, body: &str) -> Self {
        Self::Http(status, Vec::new(), body.as_bytes().to_vec())
    }
}

/// The running server; ends when dropped.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_reading(usize::MAX, handler)
    }

    /// As [`Server::start`], but reads at most `body_max` bytes of a pushed body (an octet stream) before it answers and
    /// closes.
    pub fn start_reading(
        body_max: usize,
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let handler = Arc::new(handler);
        let (all, end) = (Arc::clone(&seen), Arc::clone(&stop));
        std::thread::spawn(move || {
            let count = AtomicUsize::new(0);
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (all, handler) = (Arc::clone(&all), Arc::clone(&handler));
                std::thread::spawn(move || converse(&stream, number, body_max, &all, &*handler));
            }
        });
        Self {
            address,
            seen,
            stop,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, in the order of their coming.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The methods asked so far.
    pub fn methods(&self) -> Vec<String> {
        self.seen().iter().map(Seen::method).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn converse(
    mut stream: &TcpStream,
    connection: usize,
    body_max: usize,
    all: &Mutex<Vec<Seen>>,
    handler: &(dyn Fn(&Seen) -> Reply + Send + Sync),
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((request, whole)) = read_request(&mut reader, connection, body_max) {
        all.lock().unwrap().push(request.clone());
        let id = request.json()["id"].clone();
        let (status, headers, body) = match handler(&request) {
            Reply::Result(result) => (
                200,
                Vec::new(),
                json!({"jsonrpc": "2.0", "id": id, "result": result})
                    .to_string()
                    .into_bytes(),
            ),
            Reply::Error(status, code, message) => (
                status,
                Vec::new(),
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
                    .to_string()
                    .into_bytes(),
            ),
            Reply::Http(status, headers, body) => (status, headers, body),
            Reply::Drop => return,
            Reply::Hang(time) => {
                std::thread::sleep(time);
                return;
            }
        };
        let mut head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.extend([name, ": ", &value, "\r\n"]);
        }
        head.push_str("\r\n");
        // In one write: two would wait for each other's acknowledgement.
        let mut answer = head.into_bytes();
        if request.verb != "HEAD" {
            answer.extend(body);
        }
        let sent = stream.write_all(&answer);
        if sent.is_err() || !whole {
            return;
        }
    }
}

fn read_request(
    reader: &mut BufReader<TcpStream>,
    connection: usize,
    body_max: usize,
) -> Option<(Seen, bool)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (verb, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers
        .get("content-length")
        .map_or(0, |n| n.parse().unwrap());
    let pushed = headers
        .get("content-type")
        .is_some_and(|t| t == "application/octet-stream");
    let take = if pushed { length.min(body_max) } else { length };
    let mut body = vec![0; take];
    reader.read_exact(&mut body).ok()?;
    let request = Seen {
        verb,
        path,
        headers,
        body,
        connection,
    };
    Some((request, take == length))
}
