//! CARs over HTTP: a listener on this box that serves from memory, whole or from a byte on, and can stall.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// Bodies stop after this many bytes until the server is released.
    stall_after: Option<usize>,
    /// Bodies end after this many bytes.
    cut_after: Option<usize>,
    /// What every request is answered with.
    status: Option<u16>,
    /// First bytes of the bodies that were asked for.
    asked: Vec<(String, usize)>,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

pub struct Server {
    address: SocketAddr,
    state: Shared,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let state = Shared::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that leaves in the middle is no concern of the server's.
                std::thread::spawn(move || drop(serve(&stream, &state)));
            }
        });
        Self { address, state }
    }

    /// Serves these bytes and gives their URL.
    pub fn put(&self, name: &str, bytes: Vec<u8>) -> String {
        let path = format!("/{name}");
        let url = format!("http://{}{path}", self.address);
        self.lock().files.insert(path, bytes);
        url
    }

    pub fn stall_after(&self, bytes: usize) {
        self.lock().stall_after = Some(bytes);
    }

    pub fn cut_after(&self, bytes: usize) {
        self.lock().cut_after = Some(bytes);
    }

    pub fn status(&self, code: u16) {
        self.lock().status = Some(code);
    }

    /// Everything is answered as it should be again.
    pub fn well(&self) {
        self.lock().status = None;
    }

    pub fn release(&self) {
        self.lock().stall_after = None;
        self.state.1.notify_all();
    }

    /// First bytes of the bodies that were asked for under this name.
    pub fn asked(&self, name: &str) -> Vec<usize> {
        let state = self.lock();
        let own = state.asked.iter().filter(|(path, _)| path[1..] == *name);
        own.map(|(_, from)| *from).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().expect("not poisoned")
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut path, mut from) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().unwrap_or_default().to_owned();
        }
        let lower = line.to_ascii_lowercase();
        if let Some(range) = lower.strip_prefix("range: bytes=") {
            from = range
                .split('-')
                .next()
                .map_or(0, |first| first.parse().unwrap_or(0));
        }
    }
    let mut state = shared.0.lock().expect("not poisoned");
    state.asked.push((path.clone(), from));
    let mut out = stream;
    if let Some(code) = state.status {
        drop(state);
        let head = format!("HTTP/1.1 {code} No\r\ncontent-length: 0\r\n\r\n");
        return out.write_all(head.as_bytes());
    }
    let Some(bytes) = state.files.get(&path).cloned() else {
        drop(state);
        return out.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    };
    let stall = state.stall_after.map(|stall| stall.saturating_sub(from));
    let cut = state.cut_after;
    drop(state);
    let (size, body) = (bytes.len(), &bytes[from..]);
    let head = match from {
        0 => format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n"),
        _ => format!(
            "HTTP/1.1 206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {from}-{}/{size}\r\n",
            body.len(),
            size - 1
        ),
    };
    out.write_all(format!("{head}etag: \"one\"\r\nconnection: close\r\n\r\n").as_bytes())?;
    if let Some(cut) = cut {
        return out.write_all(&body[..cut.min(body.len())]);
    }
    let first = stall.unwrap_or(body.len()).min(body.len());
    out.write_all(&body[..first])?;
    let mut state = shared.0.lock().expect("not poisoned");
    while stall.is_some() && state.stall_after.is_some() {
        state = shared.1.wait(state).expect("not poisoned");
    }
    drop(state);
    out.write_all(&body[first..])
}
