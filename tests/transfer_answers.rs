//! What servers answer, and what becomes of the attempt: classes, sizes, encodings, data that is no CAR.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/transfer.rs"]
mod transfer;

use coracle::transfer::Failure;
use http_server::{Serve, Server, Step};
use std::time::{Duration, Instant};
use transfer::{Place, again, car, commitment, fatal};

fn raw(head: &str, body: &[u8]) -> Step {
    Step::Raw([head.as_bytes(), body].concat())
}

#[test]
fn statuses_decide_between_never_and_later() {
    for (head, expected) in [
        ("HTTP/1.1 400 x\r\n", None),
        ("HTTP/1.1 401 x\r\n", None),
        ("HTTP/1.1 403 x\r\n", None),
        ("HTTP/1.1 404 x\r\n", None),
        ("HTTP/1.1 405 x\r\n", None),
        ("HTTP/1.1 410 x\r\n", None),
        ("HTTP/1.1 451 x\r\n", None),
        ("HTTP/1.1 408 x\r\n", Some(None)),
        ("HTTP/1.1 425 x\r\n", Some(None)),
        ("HTTP/1.1 429 x\r\nRetry-After: 17\r\n", Some(Some(17))),
        (
            "HTTP/1.1 429 x\r\nRetry-After: 999999\r\n",
            Some(Some(3600)),
        ),
        ("HTTP/1.1 500 x\r\n", Some(None)),
        ("HTTP/1.1 502 x\r\n", Some(None)),
        (
            "HTTP/1.1 503 x\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            Some(Some(0)),
        ),
        ("HTTP/1.1 599 x\r\n", Some(None)),
        ("HTTP/1.1 204 x\r\n", Some(None)),
    ] {
        let server = Server::start(vec![raw(&format!("{head}Content-Length: 0\r\n\r\n"), b"")]);
        let failure = Place::new().run(&server.url("/"), 1000).unwrap_err();
        let status = &head[9..12];
        match (expected, &failure) {
            (None, Failure::Fatal { reason }) => assert!(reason.contains(status), "{reason}"),
            (
                Some(wait),
                Failure::Again {
                    reason,
                    progress: false,
                    after,
                },
            ) => {
                assert!(reason.contains(status), "{reason}");
                assert_eq!(*after, wait, "{head}");
            }
            _ => panic!("{head}: {failure:?}"),
        }
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_size_that_contradicts_the_deal_is_fatal_with_both_numbers() {
    let data = car(50_000);
    let length = data.len();
    for declared in [length - 1, length + 1, 1, length * 2] {
        let failure = Place::new()
            .run(&Server::file(&data).url("/"), declared)
            .unwrap_err();
        assert_eq!(
            fatal(&failure),
            format!("the server's file has {length} bytes, the deal declares {declared}")
        );
    }
}

#[test]
fn more_bytes_than_declared_are_never_written() {
    let data = car(100_000);
    let declared = 40_000;
    for head in ["HTTP/1.1 200 x\r\n\r\n", "HTTP/1.0 200 x\r\n\r\n"] {
        let place = Place::new();
        let server = Server::start(vec![raw(head, &data)]);
        let failure = place.run(&server.url("/"), declared).unwrap_err();
        let reason = fatal(&failure);
        assert!(
            reason.ends_with("bytes or more, the deal declares 40000"),
            "{reason}"
        );
        assert!(place.staged().len() <= declared);
    }
    let chunked = Step::File(Serve {
        chunked: Some(700),
        ..Serve::new(&data)
    });
    let failure = Place::new()
        .run(&Server::start(vec![chunked]).url("/"), data.len() - 1)
        .unwrap_err();
    assert_eq!(
        fatal(&failure),
        format!(
            "the server sent {} bytes or more, the deal declares {}",
            data.len(),
            data.len() - 1
        )
    );
}

#[test]
fn a_body_that_ends_early_is_worth_another_try() {
    let data = car(100_000);
    let missing = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n", data.len());
    for head in ["HTTP/1.1 200 x\r\n\r\n", &missing] {
        let place = Place::new();
        let server = Server::start(vec![
            raw(head, &data[..60_000]),
            Step::File(Serve::new(&data)),
        ]);
        let failure = place.run(&server.url("/"), data.len()).unwrap_err();
        assert!(again(&failure).1, "{failure:?}");
        assert_eq!(place.last_save().offset, 60_000);
        let finished = place.run(&server.url("/"), data.len()).unwrap();
        assert_eq!(finished.commitment, commitment(&data));
    }
}

#[test]
fn an_end_that_does_not_come_is_not_waited_for() {
    let data = car(50_000);
    let begun = Instant::now();
    let bytes = [b"HTTP/1.1 200 x\r\n\r\n".as_slice(), &data].concat();
    let server = Server::start(vec![Step::RawHang(bytes)]);
    let finished = Place::new().run(&server.url("/"), data.len()).unwrap();
    assert_eq!(finished.commitment, commitment(&data));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn encoded_bodies_are_refused() {
    let data = car(1000);
    let head = format!(
        "HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        data.len()
    );
    let failure = Place::new()
        .run(&Server::start(vec![raw(&head, &data)]).url("/"), data.len())
        .unwrap_err();
    assert!(fatal(&failure).contains("Content-Encoding"));
    let head = head.replace("gzip", "identity");
    assert!(
        Place::new()
            .run(&Server::start(vec![raw(&head, &data)]).url("/"), data.len())
            .is_ok()
    );
}

#[test]
fn data_that_is_no_car_is_fatal_at_once() {
    for data in [
        vec![0; 100_000],
        b"<html>not found</html>".repeat(5000),
        car(1000)[1..].to_vec(),
    ] {
        let place = Place::new();
        let failure = place
            .run(&Server::file(&data).url("/"), data.len())
            .unwrap_err();
        assert!(
            fatal(&failure).starts_with("the data is not a CAR file: "),
            "{failure:?}"
        );
        assert!(place.last_save().offset == 0);
    }
    // Whole in bytes, cut in its last section.
    let data = car(100_000);
    let cut = &data[..data.len() - 10];
    let failure = Place::new()
        .run(&Server::file(cut).url("/"), cut.len())
        .unwrap_err();
    assert!(
        fatal(&failure).starts_with("the data is not a CAR file: "),
        "{failure:?}"
    );
}

#[test]
fn zeros_after_the_last_section_are_padding() {
    let mut data = car(100_000);
    data.resize(130_048, 0);
    let finished = Place::new()
        .run(&Server::file(&data).url("/"), data.len())
        .unwrap();
    assert_eq!(finished.commitment, commitment(&data));
}

#[test]
fn a_deal_of_no_bytes_is_refused_without_a_request() {
    let server = Server::file(b"");
    let failure = Place::new().run(&server.url("/"), 0).unwrap_err();
    assert!(fatal(&failure).contains("0 bytes"));
    assert!(server.requests().is_empty());
}

#[test]
fn answers_that_are_no_http_are_worth_another_try() {
    let endless = format!("HTTP/1.1 200 x\r\n{}", "a: b\r\n".repeat(40_000));
    for answer in [
        Vec::new(),
        b"\x16\x03\x01garbage garbage\r\n\r\n".to_vec(),
        b"HTTP/1.1 2".to_vec(),
        b"HTTP/1.1 200 x\r\nContent-Length: a\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 x\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        endless.into_bytes(),
    ] {
        let place = Place::new();
        let begun = Instant::now();
        let failure = place
            .run(
                &Server::start(vec![Step::Raw(answer.clone())]).url("/"),
                1000,
            )
            .unwrap_err();
        assert!(!again(&failure).1, "{failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{failure:?}");
    }
}

#[test]
fn an_endless_chunk_line_is_bounded() {
    let answer = format!(
        "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5;{}",
        "x".repeat(1 << 20)
    );
    let failure = Place::new()
        .run(
            &Server::start(vec![Step::Raw(answer.into_bytes())]).url("/"),
            1000,
        )
        .unwrap_err();
    again(&failure);
}

#[test]
fn a_connection_refused_or_reset_is_worth_another_try() {
    let gone = Server::file(b"").address;
    let failure = Place::new()
        .run(&format!("http://{gone}/"), 1000)
        .unwrap_err();
    assert!(
        again(&failure).0.starts_with(&format!("asking {gone}: ")),
        "{failure:?}"
    );
    let server = Server::start(vec![Step::RawReset(Vec::new())]);
    let failure = Place::new().run(&server.url("/"), 1000).unwrap_err();
    again(&failure);
}

#[test]
fn a_disk_that_fails_is_the_disks_failure() {
    let place = Place::new();
    std::fs::create_dir(place.file()).unwrap();
    let data = car(1000);
    let failure = place
        .run(&Server::file(&data).url("/"), data.len())
        .unwrap_err();
    assert!(
        matches!(&failure, Failure::Disk { reason } if reason.starts_with("staging file: ")),
        "{failure:?}"
    );
}
