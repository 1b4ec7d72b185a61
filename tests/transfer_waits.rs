//! How long a transfer waits, for what, and how fast it lets go.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/transfer.rs"]
mod transfer;

use coracle::transfer::{Failure, FetchLimits, Fetcher, LookUp};
use http_server::{Serve, Server, Step};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};
use transfer::{Place, again, car, limits};

fn short(limit: Duration) -> FetchLimits {
    FetchLimits {
        resolve: limit,
        connect: limit,
        first_byte: limit,
        stall: limit,
        ..limits()
    }
}

/// Runs one attempt that has to end by its limit, and gives the reason.
fn ends_by_limit(place: &Place, url: &str, size: usize) -> (String, bool) {
    let begun = Instant::now();
    let failure = place.run(url, size).unwrap_err();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let (reason, progress) = again(&failure);
    (reason.to_owned(), progress)
}

/// Of a wait; threads of a busy machine wait less for their turn, and each limit that is tested for hangs far longer.
const LIMIT: Duration = Duration::from_millis(1_500);

/// A stop is honoured within a second; the rest is for a busy machine. Without it each of these would hang for a minute.
const STOP_MAX: Duration = Duration::from_secs(10);

#[test]
fn each_wait_has_its_limit_and_its_name() {
    let data = car(200_000);
    // No answer at all; a head that comes byte by byte for ever.
    let head = format!("HTTP/1.1 200 x\r\nX: {}", "y".repeat(10_000)).into_bytes();
    for step in [
        Step::RawHang(Vec::new()),
        Step::Drip(head, Duration::from_millis(50)),
    ] {
        let server = Server::start(vec![step]);
        let (reason, progress) = ends_by_limit(&Place::with(short(LIMIT)), &server.url("/"), 1000);
        assert_eq!(
            reason,
            format!(
                "waiting for the answer of {}: no success in 1.5 s",
                server.address
            )
        );
        assert!(!progress);
    }
    // A body that stops.
    let mut answer =
        format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n", data.len()).into_bytes();
    answer.extend_from_slice(&data[..100_000]);
    let server = Server::start(vec![Step::RawHang(answer), Step::File(Serve::new(&data))]);
    let place = Place::with(short(LIMIT));
    let (reason, progress) = ends_by_limit(&place, &server.url("/"), data.len());
    assert!(
        reason.starts_with("body: stalled after 100000 of"),
        "{reason}"
    );
    assert!(progress);
    assert_eq!(place.last_save().offset, 100_000);
    assert!(place.run(&server.url("/"), data.len()).is_ok());
}

#[test]
fn a_body_that_drips_is_a_stalled_one() {
    let data = car(200_000);
    let mut answer =
        format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n", data.len()).into_bytes();
    answer.extend_from_slice(&data);
    let server = Server::start(vec![Step::With(Arc::new(move |_| {
        Step::Drip(answer.clone(), Duration::from_millis(2))
    }))]);
    let (reason, progress) =
        ends_by_limit(&Place::with(short(LIMIT)), &server.url("/"), data.len());
    assert!(reason.contains("stalled") && progress, "{reason}");
}

#[test]
fn a_slow_but_steady_body_is_not_stalled() {
    let data = car(150_000);
    let server = Server::start(vec![Step::File(Serve {
        pause: Duration::from_millis(300),
        ..Serve::new(&data)
    })]);
    // In all more than the limit, never that long without bytes.
    assert!(
        Place::with(short(LIMIT))
            .run(&server.url("/"), data.len())
            .is_ok()
    );
}

/// A listener whose queue is full, so that the system drops further attempts to connect; holds what fills it.
fn full_queue() -> (std::net::SocketAddr, impl Sized) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&listener, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    listen(&listener, 0).unwrap();
    let address: std::net::SocketAddr = getsockname(&listener).unwrap().try_into().unwrap();
    let wait = Duration::from_millis(200);
    let filling: Vec<_> = (0..3)
        .map(|_| std::net::TcpStream::connect_timeout(&address, wait))
        .collect();
    (address, (listener, filling))
}

#[test]
fn connecting_and_looking_up_have_limits_too() {
    let names: Arc<LookUp> = Arc::new(|_, _| {
        thread::sleep(Duration::from_secs(60));
        Ok(Vec::new())
    });
    let place = Place::with_fetcher(Fetcher::with_look_up(short(LIMIT), names));
    let (reason, _) = ends_by_limit(&place, "http://slow.example/", 1000);
    assert!(
        reason.starts_with("looking up slow.example: no answer in"),
        "{reason}"
    );
    let (address, _held) = full_queue();
    let place = Place::with(short(LIMIT));
    let (reason, _) = ends_by_limit(&place, &format!("http://{address}/"), 1000);
    assert_eq!(
        reason,
        format!("connecting to {address}: no success in 1.5 s")
    );
    let place = Place::with(short(Duration::from_secs(60)));
    let latency = stop_latency(&place, &format!("http://{address}/"), 1000, 0);
    assert!(latency < STOP_MAX, "{latency:?}");
}

#[test]
fn tls_has_the_limit_of_connecting() {
    let allowed = FetchLimits {
        private_urls: vec!["https://127.0.0.1:*".to_owned()],
        ..short(LIMIT)
    };
    // The test server waits for a request head that never comes.
    let silent = Server::start(vec![Step::RawHang(Vec::new())]);
    let url = format!("https://{}/", silent.address);
    let (reason, _) = ends_by_limit(&Place::with(allowed.clone()), &url, 1000);
    assert!(reason.starts_with("connecting to 127.0.0.1"), "{reason}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let plain = thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 x\r\n\r\n");
    });
    let (reason, _) = ends_by_limit(&Place::with(allowed), &url, 1000);
    assert!(
        reason.contains("TLS") || reason.contains("corrupt") || reason.contains("record"),
        "{reason}"
    );
    plain.join().unwrap();
}

/// Stops an attempt while it hangs in this, after so many bytes, and gives the time that the stop took.
fn stop_latency(place: &Place, url: &str, size: usize, bytes: u64) -> Duration {
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            let result = place.run(url, size);
            (result, Instant::now())
        });
        let begun = Instant::now();
        while place.control.bytes.load(Ordering::Relaxed) < bytes {
            assert!(begun.elapsed() < Duration::from_secs(30), "no bytes");
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(400));
        assert!(!running.is_finished(), "ended by itself");
        let told = Instant::now();
        place.control.stop.store(true, Ordering::Relaxed);
        let (result, ended) = running.join().unwrap();
        assert_eq!(result.unwrap_err(), Failure::Stopped);
        ended - told
    })
}

#[test]
fn a_stop_is_honoured_within_a_second_wherever_it_hangs() {
    let data = car(200_000);
    let allowed = || FetchLimits {
        private_urls: vec![
            "http://127.0.0.1:*".to_owned(),
            "https://127.0.0.1:*".to_owned(),
        ],
        connect: Duration::from_secs(60),
        resolve: Duration::from_secs(60),
        ..short(Duration::from_secs(60))
    };
    let mut half = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n", data.len()).into_bytes();
    half.extend_from_slice(&data[..100_000]);
    let hanging = Server::start(vec![Step::RawHang(Vec::new())]);
    let stalling = Server::start(vec![Step::RawHang(half)]);
    let steady = Server::start(vec![Step::File(Serve {
        pause: Duration::from_millis(500),
        ..Serve::new(&data)
    })]);
    let (tls, place) = (
        format!("https://{}/", hanging.address),
        Place::with(allowed()),
    );
    for (place, url, bytes) in [
        (Place::with(allowed()), hanging.url("/"), 0),
        (place, tls, 0),
        (Place::with(allowed()), stalling.url("/"), 100_000),
        (Place::with(allowed()), steady.url("/"), 1),
    ] {
        let latency = stop_latency(&place, &url, data.len(), bytes);
        assert!(latency < STOP_MAX, "{url}: {latency:?}");
    }
    let slow_name: Arc<LookUp> = Arc::new(|_, _| {
        thread::sleep(Duration::from_secs(60));
        Ok(Vec::new())
    });
    let place = Place::with_fetcher(Fetcher::with_look_up(allowed(), slow_name));
    let latency = stop_latency(&place, "http://slow.example/", 1000, 0);
    assert!(latency < STOP_MAX, "look-up: {latency:?}");
}

#[test]
fn a_stop_saves_what_is_there_and_a_start_goes_on_from_it() {
    let data = car(200_000);
    let mut half = format!(
        "HTTP/1.1 200 x\r\nETag: \"v1\"\r\nContent-Length: {}\r\n\r\n",
        data.len()
    )
    .into_bytes();
    half.extend_from_slice(&data[..100_000]);
    let server = Server::start(vec![Step::RawHang(half), Step::File(Serve::new(&data))]);
    let place = Place::new();
    stop_latency(&place, &server.url("/"), data.len(), 100_000);
    assert_eq!(place.last_save().offset, 100_000);
    assert_eq!(place.last_save().validator.as_deref(), Some("\"v1\""));
    assert_eq!(place.control.bytes.load(Ordering::Relaxed), 100_000);
    // Still told to stop: nothing is asked.
    assert_eq!(
        place.run(&server.url("/"), data.len()).unwrap_err(),
        Failure::Stopped
    );
    assert_eq!(server.requests().len(), 1);
    place.control.stop.store(false, Ordering::Relaxed);
    let finished = place.run(&server.url("/"), data.len()).unwrap();
    assert_eq!(finished.commitment, transfer::commitment(&data));
    assert_eq!(server.requests()[1].range(), Some(100_000));
    assert_eq!(
        place.control.bytes.load(Ordering::Relaxed),
        data.len() as u64
    );
}

#[test]
fn an_attempt_fits_a_small_stack() {
    let data = car(500_000);
    let server = Server::file(&data);
    let tls = FetchLimits {
        private_urls: vec![
            "http://127.0.0.1:*".to_owned(),
            "https://127.0.0.1:*".to_owned(),
        ],
        ..short(LIMIT)
    };
    thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(move || {
            let place = Place::with(tls);
            assert!(place.run(&server.url("/"), data.len()).is_ok());
            let hang = Server::start(vec![Step::RawHang(Vec::new())]);
            again(
                &place
                    .run(&format!("https://{}/", hang.address), 1 << 30)
                    .unwrap_err(),
            );
        })
        .unwrap()
        .join()
        .unwrap();
}
