//! Each phase of an exchange has its own end: none lets a caller wait for ever.

use super::server::{Reply, Server};
use crate::rpc::{Client, Endpoint, Limits, Patience, Phase, RpcError, Version};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The phase under test ends soon, all others late.
fn client(url: &str, change: fn(&mut Limits)) -> Client {
    let mut limits = Limits::default();
    change(&mut limits);
    Client::new(Endpoint::parse_list(url, Version::V1).unwrap(), limits)
}

/// Fails in this phase, after about this time.
#[track_caller]
fn ends_in(client: &Client, params: &serde_json::Value, expected: Phase) {
    let begun = Instant::now();
    let error = client.call("X", params, Patience::Long).unwrap_err();
    let RpcError::Unreachable { phase, reason, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*phase, expected, "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{reason}");
    assert!(error.to_string().contains(&expected.to_string()), "{error}");
}

/// A listener whose answer is given to a thread.
fn listening(talk: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || talk(listener.accept().unwrap().0));
    format!("http://{address}")
}

#[test]
fn a_body_that_stalls_ends_in_its_phase() {
    let url = listening(|mut stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"id\"";
        let _ = stream.read(&mut [0; 4_096]);
        let _ = stream.write_all(head.as_bytes());
        // Until the other side has had enough.
        while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    });
    let client = client(&url, |limits| limits.body = Duration::from_millis(300));
    ends_in(&client, &json!([]), Phase::Body);
}

#[test]
fn a_head_that_trickles_ends_in_its_phase() {
    let url = listening(|mut stream| {
        let _ = stream.read(&mut [0; 4_096]);
        // Each byte in time, the whole never.
        for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain([b'x'; 200].iter()) {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let client = client(&url, |limits| {
        limits.long_answer = Duration::from_millis(400);
    });
    ends_in(&client, &json!([]), Phase::Answer);
}

#[test]
fn a_server_that_does_not_read_ends_in_its_phase() {
    let url = listening(|stream| {
        std::thread::sleep(Duration::from_secs(6));
        drop(stream);
    });
    let client = client(&url, |limits| limits.send = Duration::from_millis(300));
    // More than the buffers of both sides hold.
    let long = "x".repeat(16 << 20);
    ends_in(&client, &json!([long]), Phase::Send);
}

#[test]
fn a_host_that_answers_no_connection_ends_in_its_phase() {
    // A listener whose queue is full does not answer further ones.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue has no end");
    }
    let client = client(&format!("http://{address}"), |limits| {
        limits.connect = Duration::from_millis(300);
    });
    ends_in(&client, &json!([]), Phase::Connect);
}

#[test]
fn a_name_that_nobody_has_ends_in_its_phase() {
    // RFC 6761: never a name; without a name server it is not found either.
    let client = client("http://node.invalid:1234", |limits| {
        limits.resolve = Duration::from_secs(3);
    });
    ends_in(&client, &json!([]), Phase::Resolve);
}

#[test]
fn what_has_come_to_its_end_is_not_felt_by_the_next_call() {
    // A slow answer on one connection, and others meanwhile.
    let server = Server::start(|seen| {
        if seen.method() == "Slow" {
            std::thread::sleep(Duration::from_secs(1));
        }
        Reply::Result(json!(1))
    });
    let client = client(&server.url(), |_| ());
    std::thread::scope(|threads| {
        let slow = threads.spawn(|| client.call("Slow", &json!([]), Patience::Long));
        while server.seen().is_empty() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let begun = Instant::now();
        for _ in 0..10 {
            assert_eq!(
                client.call("Quick", &json!([]), Patience::Short),
                Ok(json!(1))
            );
        }
        assert!(begun.elapsed() < Duration::from_millis(800));
        assert_eq!(slow.join().unwrap(), Ok(json!(1)));
    });
    let connections = server.seen().iter().map(|seen| seen.connection).max();
    assert_eq!(
        connections,
        Some(1),
        "the ten questions shared one connection"
    );
}
