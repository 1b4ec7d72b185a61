//! CARs, and a server of them that can be told to misbehave.

use coracle::client::pack;
use coracle::piece::Commp;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A CAR with generated content.
#[derive(Clone)]
pub struct Car {
    pub path: PathBuf,
    pub bytes: Arc<Vec<u8>>,
    pub root: cid::Cid,
    pub piece_cid: cid::Cid,
    pub piece_size: u64,
}

impl Car {
    /// Packs `size` bytes that look random and depend on `seed`.
    pub fn generate(directory: &Path, seed: u64, size: usize) -> Self {
        let input = directory.join(format!("input-{seed}"));
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(size);
        std::fs::write(&input, &bytes).unwrap();
        let path = directory.join(format!("{seed}.car"));
        let packed = pack::pack(&input, &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut hasher = Commp::new();
        hasher.update(&bytes);
        let commitment = hasher.finish();
        Self {
            path,
            bytes: Arc::new(bytes),
            root: packed.root,
            piece_cid: commitment.cid(),
            piece_size: commitment.padded_size,
        }
    }
}

/// How the server of CARs behaves; may be changed while it runs.
#[derive(Default)]
pub struct Behaviour {
    /// Bytes after which each answer stalls until this is cleared; 0 is none.
    pub stall_after: AtomicU64,
    /// Answers this status to everything; 0 is none.
    pub status: AtomicU64,
    /// Requests so far.
    pub requests: AtomicU64,
    /// Body bytes sent so far.
    pub sent: AtomicU64,
    over: AtomicBool,
}

/// A small HTTP server of CARs with ranges.
pub struct CarServer {
    pub address: SocketAddr,
    pub behaviour: Arc<Behaviour>,
    cars: Arc<Mutex<BTreeMap<String, Arc<Vec<u8>>>>>,
}

impl CarServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Arc::new(Behaviour::default());
        let cars: Arc<Mutex<BTreeMap<String, Arc<Vec<u8>>>>> = Arc::default();
        let (known, rules) = (Arc::clone(&cars), Arc::clone(&behaviour));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if rules.over.load(Ordering::Relaxed) {
                    return;
                }
                let (known, rules) = (Arc::clone(&known), Arc::clone(&rules));
                let Ok(stream) = stream else { continue };
                std::thread::spawn(move || {
                    // A client that goes away is no failure of the server.
                    let _ = serve_one(stream, &known, &rules);
                });
            }
        });
        Self {
            address,
            behaviour,
            cars,
        }
    }

    /// Serves a CAR; its URL.
    pub fn serve(&self, car: &Car) -> String {
        let name = format!("/{}.car", car.piece_cid);
        self.cars
            .lock()
            .unwrap()
            .insert(name.clone(), Arc::clone(&car.bytes));
        format!("http://{}{name}", self.address)
    }

    pub fn prefix(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for CarServer {
    fn drop(&mut self) {
        self.behaviour.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve_one(
    mut stream: TcpStream,
    cars: &Mutex<BTreeMap<String, Arc<Vec<u8>>>>,
    rules: &Behaviour,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut start = 0_usize;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header == "\r\n" {
            break;
        }
        if let Some(range) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
            start = range
                .split('-')
                .next()
                .unwrap_or_default()
                .trim()
                .parse()
                .unwrap_or(0);
        }
    }
    rules.requests.fetch_add(1, Ordering::Relaxed);
    let status = rules.status.load(Ordering::Relaxed);
    let car = cars.lock().unwrap().get(&path).cloned();
    let (Some(car), 0) = (car, status) else {
        let status = if status == 0 { 404 } else { status };
        return stream.write_all(
            format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
    };
    let total = car.len();
    let head = if start == 0 {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {total}\r\nETag: \"x\"\r\nConnection: close\r\n\r\n"
        )
    } else {
        format!(
            "HTTP/1.1 206 Partial\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{total}\r\nETag: \"x\"\r\nConnection: close\r\n\r\n",
            total - start,
            total - 1
        )
    };
    stream.write_all(head.as_bytes())?;
    let mut at = start;
    while at < total {
        let stall = usize::try_from(rules.stall_after.load(Ordering::Relaxed)).unwrap();
        if stall > 0 && at >= stall {
            if rules.over.load(Ordering::Relaxed) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        let mut end = total.min(at + 64 * 1024);
        if stall > 0 {
            end = end.min(stall);
        }
        stream.write_all(&car[at..end])?;
        rules.sent.fetch_add((end - at) as u64, Ordering::Relaxed);
        at = end;
    }
    Ok(())
}
