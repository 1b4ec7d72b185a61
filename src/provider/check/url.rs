//! Fetching our own URLs back, and answering on our own address while nobody else does.

use crate::rpc;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The whole fetch; a server on this box answers at once, one behind a tunnel soon.
const FETCH_MAX: Duration = Duration::from_secs(10);

/// Bytes of the answer that are read: ours has some thirty.
const ANSWER_MAX: u64 = 4 * 1024;

/// A request's head ends within this time, or nobody waits for it.
const REQUEST_MAX: Duration = Duration::from_secs(2);

/// Bytes of a request's head that are read.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// What the URL should lead to.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// A running provider.
    Provider,
    /// [`Answering`], which says exactly this.
    Text(String),
}

/// What a URL led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fetched {
    /// This box.
    Ours,
    /// Another server, described.
    Other(String),
    /// Nowhere, for this reason.
    Nothing(String),
}

/// Fetches the root of a URL. Blocks, at most for [`FETCH_MAX`].
pub(super) fn fetch(url: &str, expected: &Expected) -> Fetched {
    let config = rpc::agent_config(&super::LIMITS)
        .timeout_global(Some(FETCH_MAX))
        .build();
    let mut response = match rpc::agent(config).get(format!("{url}/")).call() {
        Ok(response) => response,
        Err(error) => return Fetched::Nothing(error.to_string()),
    };
    let status = response.status();
    let body = response.body_mut().with_config().limit(ANSWER_MAX);
    let text = body.read_to_string().unwrap_or_default();
    let ours = match expected {
        Expected::Provider => text.starts_with("coracle "),
        Expected::Text(expected) => text.trim() == expected,
    };
    if status.is_success() && ours {
        Fetched::Ours
    } else {
        Fetched::Other(format!("HTTP status {}", status.as_u16()))
    }
}

/// Answers every request on one socket with a text that nobody can guess, until dropped.
pub(super) struct Answering {
    text: String,
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Answering {
    /// None if there is no thread for it.
    pub fn start(listener: TcpListener) -> Option<Self> {
        let text = format!("coracle check {}", uuid::Uuid::new_v4());
        let address = listener.local_addr().ok()?;
        let over = Arc::new(AtomicBool::new(false));
        let (said, ended) = (text.clone(), Arc::clone(&over));
        let thread = std::thread::Builder::new()
            .name("check-http".to_owned())
            .spawn(move || {
                // One after the other: the only request that counts is our own.
                for stream in listener.incoming() {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Ok(stream) = stream {
                        // A peer that goes away is no failure of ours.
                        let _ = answer(stream, &said);
                    }
                }
            })
            .ok()?;
        Some(Self {
            text,
            address,
            over,
            thread: Some(thread),
        })
    }

    /// What it answers.
    pub fn text(&self) -> String {
        self.text.clone()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread; an unspecified address is reached over loopback.
        let _ = TcpStream::connect_timeout(&self.address, REQUEST_MAX);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, text: &str) -> std::io::Result<()> {
    let begun = Instant::now();
    stream.set_write_timeout(Some(REQUEST_MAX))?;
    let mut head: Vec<u8> = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < REQUEST_BYTES_MAX {
        let left = REQUEST_MAX.saturating_sub(begun.elapsed());
        // Nothing left is an error, as it should be.
        stream.set_read_timeout(Some(left))?;
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        head.extend(buffer.iter().take(read));
    }
    let length = text.len().saturating_add(1);
    stream.write_all(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}\n"
        )
        .as_bytes(),
    )
}
