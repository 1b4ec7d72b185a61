use super::*;
use std::io::{Read, Write};
use std::net::TcpStream as Plain;
use std::thread;

/// The two moments of a slow answer.
#[derive(Clone)]
struct Slow {
    begun: channel::Sender<()>,
    end: channel::Receiver<()>,
}

/// A running listener; dropping `stop` ends it.
struct Served {
    address: SocketAddr,
    stop: channel::Sender<()>,
    thread: thread::JoinHandle<()>,
    begun: channel::Receiver<()>,
    end: channel::Sender<()>,
}

/// Echoes bodies of up to 16 bytes; some paths misbehave. What is slow tells its beginning, and waits to be told to end.
async fn echo(request: Request<Incoming>, slow: Slow) -> Response<Body> {
    match request.uri().path() {
        "/abort" => abort(),
        "/slow" => {
            let _ = slow.begun.send(()).await;
            let _ = slow.end.recv().await;
            text(StatusCode::OK, "slow")
        }
        _ => match read_body(request, 16).await {
            Ok(body) => bytes(StatusCode::OK, "application/octet-stream", body),
            Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
        },
    }
}

fn serve(limits: Limits) -> Served {
    let listener = smol::block_on(Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
    let address = listener.local_addr();
    let (stop, stopped) = channel::bounded::<()>(1);
    let ((tell, begun), (end, told)) = (channel::bounded(1), channel::bounded(1));
    let slow = Slow {
        begun: tell,
        end: told,
    };
    let thread = thread::spawn(move || {
        let ex = Arc::new(Executor::new());
        let main = {
            let ex = Arc::clone(&ex);
            async move {
                let answer = move |request, _| echo(request, slow.clone());
                let serve = listener.run(Arc::clone(&ex), limits, answer);
                let stop = async {
                    let _ = stopped.recv().await;
                };
                serve.or(stop).await;
                // What is open may finish.
                for _ in 0..600 {
                    if ex.is_empty() {
                        return;
                    }
                    Timer::after(Duration::from_millis(50)).await;
                }
            }
        };
        smol::block_on(ex.run(main));
    });
    Served {
        address,
        stop,
        thread,
        begun,
        end,
    }
}

/// Sends these bytes and reads until the other side closes.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = Plain::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_body_is_read_whole_and_answered() {
    let served = serve(Limits::default());
    assert_ne!(served.address.port(), 0);
    let answer = exchange(
        served.address,
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[test]
fn a_long_body_is_refused_announced_or_not() {
    let served = serve(Limits {
        body_bytes: 20,
        ..Limits::default()
    });
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    let announced = exchange(served.address, &format!("{head}content-length: 21\r\n\r\n"));
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    let chunked = exchange(
        served.address,
        &format!(
            "{head}transfer-encoding: chunked\r\n\r\n11\r\n{}\r\n0\r\n\r\n",
            "x".repeat(17)
        ),
    );
    assert!(
        chunked.ends_with("the request body is too large"),
        "{chunked}"
    );
}

#[test]
fn the_sender_of_a_long_body_finds_its_answer() {
    let served = serve(Limits {
        body_bytes: 20,
        ..Limits::default()
    });
    // More than the sockets' buffers hold: without reading on, the sender would meet a reset connection.
    let bytes = "x".repeat(12 << 20);
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    let size = bytes.len();
    let announced = format!("{head}content-length: {size}\r\n\r\n{bytes}");
    let chunked =
        format!("{head}transfer-encoding: chunked\r\n\r\n{size:x}\r\n{bytes}\r\n0\r\n\r\n");
    for (request, status) in [(announced, "413"), (chunked, "400")] {
        let answer = exchange(served.address, &request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[test]
fn an_abort_ends_the_connection_without_an_answer() {
    let served = serve(Limits::default());
    assert_eq!(
        exchange(served.address, "GET /abort HTTP/1.1\r\nhost: a\r\n\r\n"),
        ""
    );
}

#[test]
fn a_slow_head_loses_its_connection() {
    let served = serve(Limits {
        header_timeout: Duration::from_millis(200),
        ..Limits::default()
    });
    let begun = std::time::Instant::now();
    let answer = exchange(served.address, "GET / HTTP/1.1\r\nhost");
    assert!(!answer.contains("200 OK"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn connections_beyond_the_limit_wait() {
    let served = serve(Limits {
        connections: 1,
        ..Limits::default()
    });
    let holder = Plain::connect(served.address).unwrap();
    thread::sleep(Duration::from_millis(100));
    let address = served.address;
    let waiting = thread::spawn(move || {
        exchange(
            address,
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        )
    });
    thread::sleep(Duration::from_millis(200));
    assert!(!waiting.is_finished());
    drop(holder);
    assert!(waiting.join().unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn an_answer_in_progress_outlives_the_listener() {
    let served = serve(Limits::default());
    let address = served.address;
    let request = "GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let asking = thread::spawn(move || exchange(address, request));
    served.begun.recv_blocking().unwrap();
    drop(served.stop);
    while Plain::connect(address).is_ok() {
        thread::sleep(Duration::from_millis(10));
    }
    served.end.send_blocking(()).unwrap();
    assert!(asking.join().unwrap().ends_with("slow"));
    served.thread.join().unwrap();
    assert!(Plain::connect(address).is_err());
}

#[test]
fn a_peer_that_reads_nothing_is_given_up() {
    use smol::io::{AsyncReadExt, AsyncWriteExt};
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = smol::future::zip(TcpStream::connect(address), listener.accept()).await;
        let mut near = Guarded::new(near.unwrap(), Duration::from_secs(1));
        let (mut far, _) = far.unwrap();
        // More than the buffers of both sides hold.
        let bytes = vec![7; 64 << 20];
        let error = near.write_all(&bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // One that reads slowly, but reads, is waited for.
        let mut near = near;
        let read = async {
            let mut chunk = vec![0; 1 << 20];
            loop {
                Timer::after(Duration::from_millis(20)).await;
                far.read(&mut chunk).await.unwrap();
            }
        };
        let write = async { near.write_all(&bytes[..8 << 20]).await.unwrap() };
        smol::future::or(read, write).await;
    });
}
