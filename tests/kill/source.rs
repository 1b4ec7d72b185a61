//! A server of CARs that gives a part of each only: it then cuts the connection if it has given something new, and stalls
//! if it has not.

use crate::harness::Car;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Served {
    bytes: Arc<Vec<u8>>,
    released: AtomicUsize,
}

type All = Mutex<BTreeMap<String, Arc<Served>>>;

pub struct Source {
    address: SocketAddr,
    cars: Arc<All>,
    over: Arc<AtomicBool>,
}

impl Source {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (cars, over): (Arc<All>, Arc<AtomicBool>) = (Arc::default(), Arc::default());
        let (known, ended) = (Arc::clone(&cars), Arc::clone(&over));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (known, ended) = (Arc::clone(&known), Arc::clone(&ended));
                let Ok(stream) = stream else { continue };
                std::thread::spawn(move || {
                    // A client that is killed is no failure of the server.
                    let _ = serve(stream, &known, &ended);
                });
            }
        });
        Self {
            address,
            cars,
            over,
        }
    }

    pub fn prefix(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serves nothing of a CAR yet; its URL.
    pub fn serve(&self, car: &Car) -> String {
        let name = format!("/{}.car", car.piece_cid);
        let url = format!("http://{}{name}", self.address);
        let served = Served {
            bytes: Arc::clone(&car.bytes),
            released: AtomicUsize::new(0),
        };
        self.cars.lock().unwrap().insert(name, Arc::new(served));
        url
    }

    /// From now on this many bytes of it can be had.
    pub fn release(&self, car: &Car, bytes: usize) {
        let name = format!("/{}.car", car.piece_cid);
        if let Some(served) = self.cars.lock().unwrap().get(&name) {
            served.released.store(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, cars: &All, over: &AtomicBool) -> std::io::Result<()> {
    let Some((path, start)) = request(&stream)? else {
        return Ok(());
    };
    let car = cars.lock().unwrap().get(&path).cloned();
    let Some(car) = car else {
        return stream.write_all(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n");
    };
    let total = car.bytes.len();
    let kind = match start {
        0 => "200 OK\r\n".to_owned(),
        _ => format!(
            "206 x\r\nContent-Range: bytes {start}-{}/{total}\r\n",
            total - 1
        ),
    };
    let length = total - start.min(total);
    let head = format!(
        "HTTP/1.1 {kind}Content-Length: {length}\r\nETag: \"x\"\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut at = start;
    while at < total {
        let end = car.released.load(Ordering::Relaxed).min(at + 8 * 1024);
        if end > at {
            stream.write_all(&car.bytes[at..end])?;
            at = end;
            std::thread::sleep(Duration::from_millis(1));
        } else if at > start || over.load(Ordering::Relaxed) || gone(&stream) {
            return Ok(());
        }
    }
    Ok(())
}

/// Path and first byte of a request.
fn request(stream: &TcpStream) -> std::io::Result<Option<(String, usize)>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(path) = line.split(' ').nth(1).map(ToOwned::to_owned) else {
        return Ok(None);
    };
    let mut start = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header == "\r\n" {
            return Ok(Some((path, start)));
        }
        let header = header.to_ascii_lowercase();
        if let Some(range) = header.strip_prefix("range: bytes=") {
            let first = range.split('-').next().unwrap_or_default().trim();
            start = first.parse().unwrap_or(0);
        }
    }
}

/// Whether the other side has closed; waits a little.
fn gone(mut stream: &TcpStream) -> bool {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
    match stream.read(&mut [0; 64]) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}
