use super::*;
use crate::sealer::push::{PieceReader, Pushed, agent, push, redirected};
use std::io::Read;

fn pushed(url: &str, piece: &Piece) -> Pushed {
    let mut reader = PieceReader::open(&piece.handover).unwrap();
    push(&agent(&limits()), url, &mut reader)
}

#[test]
fn a_reader_gives_the_file_and_then_zeros_up_to_the_piece() {
    for size in [1, 127, 2031, 2032] {
        let piece = Piece::new(size);
        let mut reader = PieceReader::open(&piece.handover).unwrap();
        assert_eq!(reader.left(), 2032);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all, piece.padded(), "{size}");
        assert_eq!((reader.left(), reader.failure()), (0, None));
    }
}

#[test]
fn a_file_that_is_not_as_recorded_is_not_sent() {
    let too_large = Piece::new(2033);
    let error = PieceReader::open(&too_large.handover).unwrap_err();
    assert!(
        matches!(&error, SealerError::File(text) if text.contains("2032")),
        "{error}"
    );
    let mut other_size = Piece::new(100);
    other_size.handover.payload_size = 101;
    let error = PieceReader::open(&other_size.handover).unwrap_err();
    assert!(
        matches!(&error, SealerError::File(text) if text.contains("100") && text.contains("101"))
    );
    let mut gone = Piece::new(100);
    gone.handover.file = PathBuf::from("/nowhere/coracle");
    assert!(matches!(
        PieceReader::open(&gone.handover),
        Err(SealerError::File(_))
    ));
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_the_files_fault() {
    let piece = Piece::new(2000);
    let mut reader = PieceReader::open(&piece.handover).unwrap();
    std::fs::write(&piece.handover.file, b"short").unwrap();
    let mut all = Vec::new();
    assert!(reader.read_to_end(&mut all).is_err());
    assert!(reader.failure().is_some());
}

#[test]
fn head_then_post_of_exactly_the_piece_without_a_token() {
    let server = Server::start(|_| Reply::text(200, ""));
    let piece = Piece::new(1000);
    let url = format!("{}/rpc/streams/v0/push/x", server.url());
    assert_eq!(pushed(&url, &piece), Pushed::All);
    let seen = server.seen();
    let verbs: Vec<&str> = seen.iter().map(|s| s.verb.as_str()).collect();
    assert_eq!(verbs, ["HEAD", "POST"]);
    for request in &seen {
        assert_eq!(request.path, "/rpc/streams/v0/push/x");
        assert_eq!(request.headers["content-type"], "application/octet-stream");
        assert!(!request.headers.contains_key("authorization"));
    }
    assert_eq!(seen[1].headers["content-length"], "2032");
    assert!(!seen[1].headers.contains_key("transfer-encoding"));
    assert_eq!(seen[1].body, piece.padded());
}

#[test]
fn redirects_lead_to_the_worker_that_takes_the_bytes() {
    let worker = Server::start(|seen| match seen.path.as_str() {
        "/first" => Reply::Http(302, vec![("Location", "/second".into())], Vec::new()),
        _ => Reply::text(200, ""),
    });
    let target = format!("{}/first", worker.url());
    let miner =
        Server::start(move |_| Reply::Http(302, vec![("Location", target.clone())], Vec::new()));
    let piece = Piece::new(1000);
    assert_eq!(pushed(&miner.url(), &piece), Pushed::All);
    assert_eq!(miner.seen().len(), 1);
    let steps: Vec<String> = worker
        .seen()
        .iter()
        .map(|s| format!("{} {}", s.verb, s.path))
        .collect();
    assert_eq!(steps, ["HEAD /first", "HEAD /second", "POST /second"]);
    assert_eq!(worker.seen()[2].body, piece.padded());
}

#[test]
fn every_other_answer_to_head_sends_nothing() {
    type Check = fn(&Pushed) -> bool;
    let table: [(Say, Check); 6] = [
        (|| Reply::text(204, ""), |p| *p == Pushed::Unwanted),
        (
            || Reply::text(500, ""),
            |p| matches!(p, Pushed::Broken(text) if text.contains("500")),
        ),
        (
            || Reply::text(401, ""),
            |p| matches!(p, Pushed::Broken(text) if text.contains("401")),
        ),
        (|| Reply::text(302, ""), |p| matches!(p, Pushed::Broken(_))),
        (
            || Reply::Http(302, vec![("Location", "/".into())], Vec::new()),
            |p| matches!(p, Pushed::Broken(text) if text.contains("times")),
        ),
        (|| Reply::Drop, |p| matches!(p, Pushed::Broken(_))),
    ];
    for (reply, check) in table {
        let server = Server::start(move |_| reply());
        let result = pushed(&server.url(), &Piece::new(10));
        assert!(check(&result), "{result:?}");
        assert!(server.seen().iter().all(|s| s.verb == "HEAD"));
    }
}

#[test]
fn a_miner_that_closes_early_breaks_the_push_and_nothing_else() {
    let server = Server::start_reading(100, |seen| {
        if seen.verb == "HEAD" {
            Reply::text(200, "")
        } else {
            Reply::Drop
        }
    });
    let result = pushed(&server.url(), &Piece::new(1000));
    assert!(matches!(result, Pushed::Broken(_)), "{result:?}");
}

#[test]
fn locations_may_be_absolute_or_paths() {
    let from = "http://miner:2345/rpc/streams/v0/push/x?a=1";
    let table = [
        ("/y", Some("http://miner:2345/y")),
        (
            "http://worker:3456/rpc/streams/v0/push/x",
            Some("http://worker:3456/rpc/streams/v0/push/x"),
        ),
        ("https://worker/x", Some("https://worker/x")),
        ("//evil/x", None),
        ("file:///etc/passwd", None),
        ("", None),
    ];
    for (location, expected) in table {
        assert_eq!(
            redirected(from, location).as_deref(),
            expected,
            "{location}"
        );
    }
}
