use super::server::{Reply, Seen, Server};
use crate::rpc::{Client, Endpoint, Limits, Patience, Phase, RpcError, Version};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const TOKEN: &str = "eyJh.eyJB.c2ln";

/// Short waits, so that a test of a time-out does not take long.
fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        answer: Duration::from_secs(1),
        long_answer: Duration::from_secs(15),
        body_bytes: 4096,
        ..Limits::default()
    }
}

fn client(list: &str) -> Client {
    Client::new(Endpoint::parse_list(list, Version::V1).unwrap(), limits())
}

fn ask(server: &Server) -> Result<Value, RpcError> {
    client(&server.url()).call("Version", &json!([]), Patience::Short)
}

#[test]
fn a_call_is_a_post_of_a_json_rpc_object_with_the_token() {
    let server = Server::start(|_| Reply::Result(json!("f01987654")));
    let client = client(&format!("{TOKEN}:{}", server.url()));
    let params = json!(["f01", null]);
    assert_eq!(
        client.call("StateLookupID", &params, Patience::Short),
        Ok(json!("f01987654"))
    );
    client.call("Version", &json!([]), Patience::Long).unwrap();
    let seen = server.seen();
    assert_eq!(
        (seen[0].verb.as_str(), seen[0].path.as_str()),
        ("POST", "/rpc/v1")
    );
    assert_eq!(seen[0].headers["content-type"], "application/json");
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(
        seen[0].json(),
        json!({"jsonrpc": "2.0", "id": 1, "method": "Filecoin.StateLookupID", "params": params})
    );
    assert_eq!(seen[1].json()["id"], 2);
    assert_eq!(seen[1].connection, 0, "the connection is used again");
    let bare = Server::start(|_| Reply::Result(Value::Null));
    assert_eq!(ask(&bare), Ok(Value::Null));
    assert!(!bare.seen()[0].headers.contains_key("authorization"));
}

#[test]
fn error_objects_are_read_with_every_status() {
    type Check = fn(&RpcError) -> bool;
    let table: &[(u16, i64, &str, Check)] = &[
        (
            200,
            1,
            "deal 7 not found",
            |e| matches!(e, RpcError::Refused { code: 1, message, .. } if message == "deal 7 not found"),
        ),
        (200, 11, "actor not found", |e| {
            matches!(e, RpcError::Refused { code: 11, .. })
        }),
        (200, -32603, "internal", |e| {
            matches!(e, RpcError::Refused { code: -32603, .. })
        }),
        (400, -32600, "empty", |e| {
            matches!(e, RpcError::Refused { code: -32600, .. })
        }),
        (200, 2, "call ran out of gas", |e| {
            matches!(e, RpcError::Refused { code: 2, .. })
        }),
        (200, 3, "execution reverted", |e| {
            matches!(e, RpcError::Refused { code: 3, .. })
        }),
        (200, 12, "requested epoch was a null round", |e| {
            matches!(e, RpcError::Refused { code: 12, .. })
        }),
        (200, 4, "F3 is not running", |e| {
            matches!(e, RpcError::Refused { code: 4, .. })
        }),
        (200, 13, "payment channels are disabled", |e| {
            matches!(e, RpcError::Refused { code: 13, .. })
        }),
        (200, -32005, "block range limit", |e| {
            matches!(e, RpcError::Refused { code: -32005, .. })
        }),
        // Proxies and gateways put their own status over an answer.
        (404, -32601, "method not found", |e| {
            matches!(e, RpcError::NoSuchMethod { code: -32601, .. })
        }),
        (403, -32003, "not allowed", |e| {
            matches!(e, RpcError::Forbidden { .. })
        }),
        (429, 1, "slow down", |e| {
            matches!(e, RpcError::Refused { code: 1, .. })
        }),
        (503, 1, "catching up", |e| {
            matches!(e, RpcError::Refused { code: 1, .. })
        }),
        (200, -32002, "expensive state fork", |e| {
            matches!(e, RpcError::Refused { code: -32002, .. })
        }),
        (500, -32601, "method not found", |e| {
            matches!(e, RpcError::NoSuchMethod { code: -32601, .. })
        }),
        (200, -32001, "not supported by Forest", |e| {
            matches!(e, RpcError::NoSuchMethod { code: -32001, .. })
        }),
        (500, -32602, "wrong param count", |e| {
            matches!(e, RpcError::Refused { code: -32602, .. })
        }),
        (500, -32700, "unmarshaling params", |e| {
            matches!(e, RpcError::Refused { code: -32700, .. })
        }),
        (500, 0, "panic", |e| {
            matches!(e, RpcError::Refused { code: 0, .. })
        }),
        (
            200,
            1,
            "missing permission to invoke 'WalletSign' (need 'sign')",
            |e| matches!(e, RpcError::Forbidden { .. }),
        ),
        (200, -32003, "forbidden", |e| {
            matches!(e, RpcError::Forbidden { .. })
        }),
    ];
    for (status, code, message, check) in table {
        let (status, code, message) = (*status, *code, *message);
        let server = Server::start(move |_| Reply::Error(status, code, message));
        let error = ask(&server).unwrap_err();
        assert!(check(&error), "{status} {code}: {error:?}");
        assert!(error.to_string().contains("Version"), "{error}");
    }
}

#[test]
fn what_is_no_json_rpc_answer_is_told_apart() {
    let reply = |status, body: &'static str| {
        let server = Server::start(move |_| Reply::text(status, body));
        (ask(&server).unwrap_err(), server)
    };
    let (error, server) = reply(401, "");
    assert_eq!(
        error,
        RpcError::Unauthorized {
            endpoint: server.address.to_string()
        }
    );
    for status in [301, 404, 429, 502] {
        let (error, server) = reply(status, "<html>no</html>");
        let text = error.to_string();
        assert!(matches!(
            error,
            RpcError::Unreachable {
                phase: Phase::Answer,
                ..
            }
        ));
        assert!(text.contains(&status.to_string()), "{text}");
        assert!(text.contains(&server.address.to_string()), "{text}");
    }
    for body in [
        "",
        "hello",
        "[]",
        "7",
        r#"{"id":1}"#,
        r#"{"id":9,"result":1}"#,
        r#"{"result":1}"#,
    ] {
        let (error, _server) = reply(200, body);
        assert!(
            matches!(error, RpcError::Malformed { .. }),
            "{body}: {error:?}"
        );
    }
    let (error, _server) = reply(200, r#"{"id":null,"error":{"code":"x"}}"#);
    assert!(
        matches!(error, RpcError::Refused { code: 0, .. }),
        "{error:?}"
    );
}

#[test]
fn ids_may_come_back_as_floats_and_redirects_are_not_followed() {
    let server = Server::start(|seen| match seen.path.as_str() {
        "/rpc/v1" => Reply::text(200, r#"{"id":1.0,"result":5}"#),
        _ => Reply::Drop,
    });
    assert_eq!(ask(&server), Ok(json!(5)));
    let target = Server::start(|_| Reply::Result(json!(1)));
    let url = target.url();
    let server =
        Server::start(move |_| Reply::Http(307, vec![("Location", url.clone())], Vec::new()));
    assert!(matches!(ask(&server), Err(RpcError::Unreachable { .. })));
    assert!(target.seen().is_empty(), "the token must not travel");
}

#[test]
fn phases_are_named() {
    // A port that nobody listens on.
    let closed = {
        let server = Server::start(|_| Reply::Drop);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        drop(server);
        listener.local_addr().unwrap()
    };
    let error = client(&format!("http://{closed}"))
        .call("Version", &json!([]), Patience::Short)
        .unwrap_err();
    assert!(error.before_sending(), "{error:?}");

    let silent = Server::start(|_| Reply::Hang(Duration::from_secs(30)));
    let begun = Instant::now();
    let error = ask(&silent).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert!(
        matches!(
            error,
            RpcError::Unreachable {
                phase: Phase::Answer,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!error.before_sending());

    let huge = Server::start(|_| Reply::Http(200, Vec::new(), vec![b' '; 5000]));
    assert!(
        matches!(ask(&huge), Err(error @ RpcError::TooLarge { limit: 4096, .. }) if error.to_string().contains("4096"))
    );

    let short =
        Server::start(|_| Reply::Http(200, vec![("Content-Length", "900".into())], b"{".to_vec()));
    assert!(ask(&short).is_err());
}

#[test]
fn a_long_answer_has_a_limit_of_its_own() {
    let server = Server::start(|_| {
        std::thread::sleep(Duration::from_secs(2));
        Reply::Result(json!(1))
    });
    let client = client(&server.url());
    assert!(
        client
            .call("StateCall", &json!([]), Patience::Short)
            .is_err()
    );
    assert_eq!(
        client.call("StateCall", &json!([]), Patience::Long),
        Ok(json!(1))
    );
    assert_eq!(
        client.call("StateCall", &json!([]), Patience::Endless),
        Ok(json!(1))
    );
}

#[test]
fn a_connection_that_breaks_is_tried_once_more_for_reads() {
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_: &Seen| match count.fetch_add(1, Ordering::SeqCst) {
        1 => Reply::Drop,
        n => Reply::Result(json!(n)),
    });
    let client = client(&server.url());
    assert_eq!(client.call("A", &json!([]), Patience::Short), Ok(json!(0)));
    assert_eq!(client.call("B", &json!([]), Patience::Short), Ok(json!(2)));
    assert_eq!(server.methods(), ["A", "B", "B"]);
}

#[test]
fn closing_ends_a_call_that_waits() {
    let server = Server::start(|_| Reply::Hang(Duration::from_secs(20)));
    let client = Arc::new(client(&server.url()));
    let asking = Arc::clone(&client);
    let begun = Instant::now();
    let call = std::thread::spawn(move || asking.call_at(None, "X", &json!([]), Patience::Endless));
    while server.seen().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    client.close();
    assert!(matches!(
        call.join().unwrap(),
        Err(RpcError::Unreachable { .. })
    ));
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert!(client.call("Y", &json!([]), Patience::Short).is_err());
}

#[test]
fn a_servers_text_cannot_flood_or_forge_the_log() {
    let long = format!("a\nb\u{1b}[31m{}", "x".repeat(5000));
    let body = json!({"id": 1, "error": {"code": 1, "message": long}}).to_string();
    let server = Server::start(move |_| Reply::text(200, &body));
    let Err(RpcError::TooLarge { .. }) = ask(&server) else {
        panic!("over the limit of the test's client");
    };
    let long = format!("a\nb\u{1b}[31m{}", "x".repeat(2000));
    let body = json!({"id": 1, "error": {"code": 1, "message": long}}).to_string();
    let server = Server::start(move |_| Reply::text(200, &body));
    let text = ask(&server).unwrap_err().to_string();
    assert!(text.chars().count() < 700 && text.ends_with('…'), "{text}");
    assert!(!text.contains('\n') && !text.contains('\u{1b}'));
}
