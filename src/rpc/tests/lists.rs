//! Several servers in one list: which one is asked, and what a bad one costs.

use super::server::{Reply, Server};
use crate::rpc::{Client, Endpoint, Limits, Patience, Phase, RpcError, Version};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Short waits, so that a test of a time-out does not take long; but longer than a thread of a busy machine waits for its turn,
/// since a server in good health must not seem to hang.
fn limits() -> Limits {
    Limits {
        answer: Duration::from_secs(10),
        long_answer: Duration::from_secs(20),
        failover_answer: Duration::from_secs(1),
        failover_long_answer: Duration::from_secs(2),
        ..Limits::default()
    }
}

fn client_of(servers: &[&Server]) -> Client {
    let urls: Vec<String> = servers.iter().map(|server| server.url()).collect();
    Client::new(
        Endpoint::parse_list(&urls.join(","), Version::V1).unwrap(),
        limits(),
    )
}

fn ask(client: &Client) -> Result<Value, RpcError> {
    client.call("Version", &json!([]), Patience::Short)
}

#[test]
fn a_bad_server_is_passed_over_for_a_while() {
    type Bad = fn() -> Reply;
    let table: [(&str, Bad); 6] = [
        ("a proxy's page", || Reply::text(502, "no")),
        ("limited", || Reply::text(429, "slow down")),
        ("garbage", || Reply::text(200, "<html>hello</html>")),
        ("another's answer", || {
            Reply::text(200, r#"{"id":99,"result":1}"#)
        }),
        ("a stale token", || Reply::text(401, "")),
        ("silence", || Reply::Hang(Duration::from_secs(20))),
    ];
    for (name, bad) in table {
        let first = Server::start(move |_| bad());
        let second = Server::start(|_| Reply::Result(json!(3)));
        let client = client_of(&[&first, &second]);
        for _ in 0..5 {
            assert_eq!(ask(&client), Ok(json!(3)), "{name}");
        }
        assert_eq!(first.seen().len(), 1, "{name} is not asked again at once");
        assert_eq!(second.seen().len(), 5, "{name}");
        assert_eq!(client.names()[0], second.address.to_string(), "{name}");
    }
}

#[test]
fn an_answer_of_error_is_an_answer_and_no_reason_to_ask_elsewhere() {
    for (code, text) in [
        (1, "deal 7 not found"),
        (-32603, "internal"),
        (1, "missing permission to invoke 'X' (need 'sign')"),
    ] {
        let first = Server::start(move |_| Reply::Error(200, code, text));
        let second = Server::start(|_| Reply::Result(json!(3)));
        let client = client_of(&[&first, &second]);
        assert!(ask(&client).is_err() && ask(&client).is_err());
        assert_eq!(first.seen().len(), 2);
        assert!(second.seen().is_empty());
    }
}

#[test]
fn a_method_that_one_server_lacks_is_asked_of_the_next() {
    let gateway = Server::start(|seen| match seen.method().as_str() {
        "WalletHas" => Reply::Error(500, -32601, "method 'Filecoin.WalletHas' not found"),
        _ => Reply::Result(json!("gateway")),
    });
    let away = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&away);
    let node = Server::start(move |_| {
        if gone.load(Ordering::SeqCst) {
            Reply::Drop
        } else {
            Reply::Result(json!("node"))
        }
    });
    let client = client_of(&[&gateway, &node]);
    let has = || client.call("WalletHas", &json!(["f1"]), Patience::Short);
    assert_eq!(has(), Ok(json!("node")));
    assert_eq!(ask(&client), Ok(json!("gateway")), "it is in good health");
    away.store(true, Ordering::SeqCst);
    // Worth another try later: the one that has the method is away.
    let error = has().unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error:?}");
}

#[test]
fn what_must_not_happen_twice_goes_to_one_server_only() {
    let first = Server::start(|_| Reply::Drop);
    let second = Server::start(|_| Reply::Result(json!(3)));
    let client = client_of(&[&first, &second]);
    let push = |server: Option<&str>| {
        client.call_at(server, "MpoolPushMessage", &json!([]), Patience::Long)
    };
    let error = push(None).unwrap_err();
    assert!(!error.before_sending(), "{error:?}");
    assert_eq!((first.seen().len(), second.seen().len()), (1, 0));
    let name = second.address.to_string();
    assert_eq!(push(Some(&name)), Ok(json!(3)));
    assert!(push(Some("elsewhere:1")).is_err());
}

#[test]
fn a_server_that_hangs_costs_little_however_many_ask() {
    let dead = Server::start(|_| Reply::Hang(Duration::from_secs(60)));
    let alive = Server::start(|_| Reply::Result(json!(3)));
    let client = Arc::new(client_of(&[&dead, &alive]));
    let begun = Instant::now();
    // As many as the chain's threads, each with several questions, some of them long ones.
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let client = Arc::clone(&client);
            std::thread::spawn(move || {
                for round in 0..5 {
                    let patience = if (number + round) % 2 == 0 {
                        Patience::Long
                    } else {
                        Patience::Short
                    };
                    assert_eq!(client.call("X", &json!([]), patience), Ok(json!(3)));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(alive.seen().len(), 20);
    assert!(dead.seen().len() <= 4, "{}", dead.seen().len());
}

#[test]
fn the_only_server_hangs_one_call_at_a_time() {
    let back = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let back = Arc::clone(&back);
        move |_| {
            if back.load(Ordering::SeqCst) {
                Reply::Result(json!(1))
            } else {
                Reply::Hang(Duration::from_secs(20))
            }
        }
    });
    let mut limits = limits();
    limits.answer = Duration::from_secs(2);
    let endpoints = Endpoint::parse_list(&server.url(), Version::V1).unwrap();
    let client = Arc::new(Client::new(endpoints, limits));
    assert!(ask(&client).is_err());
    let trial = std::thread::spawn({
        let client = Arc::clone(&client);
        move || ask(&client)
    });
    while server.seen().len() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let begun = Instant::now();
    let error = ask(&client).unwrap_err();
    assert!(
        matches!(
            error,
            RpcError::Unreachable {
                phase: Phase::Choice,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.before_sending());
    assert!(begun.elapsed() < Duration::from_millis(1_500));
    assert!(trial.join().unwrap().is_err());
    back.store(true, Ordering::SeqCst);
    assert_eq!(ask(&client), Ok(json!(1)), "it needs no rest to be over");
    assert_eq!(ask(&client), Ok(json!(1)));
}

#[test]
fn a_survey_finds_the_one_that_lags_and_the_one_that_is_back() {
    let height = Arc::new(AtomicU64::new(1_000));
    let node = |clock: &Arc<AtomicU64>| {
        let clock = Arc::clone(clock);
        Server::start(move |_| Reply::Result(json!(clock.load(Ordering::SeqCst))))
    };
    let slow = node(&height);
    let quick = node(&Arc::new(AtomicU64::new(5_000)));
    let client = client_of(&[&slow, &quick]);
    let survey = || client.survey("ChainHead", &json!([]), Value::as_u64);
    assert_eq!(ask(&client), Ok(json!(1_000)), "nothing is known yet");
    survey();
    assert_eq!(ask(&client), Ok(json!(5_000)));
    height.store(4_900, Ordering::SeqCst);
    survey();
    assert_eq!(ask(&client), Ok(json!(4_900)), "it has caught up");
    // The only one is asked whatever its head.
    let alone = client_of(&[&slow]);
    let asked = slow.seen().len();
    alone.survey("ChainHead", &json!([]), Value::as_u64);
    assert_eq!(slow.seen().len(), asked);
}

#[test]
fn an_encrypted_address_is_spoken_to_in_tls_and_a_plain_server_is_told_apart() {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut first = [0_u8; 1];
        stream.read_exact(&mut first).unwrap();
        // What a server without TLS says to it.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let mut rest = [0_u8; 1024];
        while stream.read(&mut rest).is_ok_and(|read| read > 0) {}
        first[0]
    });
    let endpoints = Endpoint::parse_list(&format!("https://{address}"), Version::V1).unwrap();
    let client = Client::new(endpoints, limits());
    let error = ask(&client).unwrap_err();
    assert!(
        matches!(&error, RpcError::Unreachable { phase: Phase::Connect, reason, .. } if reason.contains("TLS")),
        "{error:?}"
    );
    drop(client);
    assert_eq!(server.join().unwrap(), 0x16, "a TLS handshake record");
}
