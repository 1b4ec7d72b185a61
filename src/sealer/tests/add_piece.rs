use super::*;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// Where the two sides of a hand-over meet: the call waits here for the bytes, and tests for either.
#[derive(Default)]
struct Meeting {
    /// Bytes that came for each reader.
    bodies: Mutex<BTreeMap<String, Vec<u8>>>,
    changed: Condvar,
}

impl Meeting {
    fn bring(&self, reader: &str, body: Vec<u8>) {
        self.bodies.lock().unwrap().insert(reader.to_owned(), body);
        self.changed.notify_all();
    }

    fn wait_for(&self, reader: &str) -> Option<Vec<u8>> {
        let bodies = self.bodies.lock().unwrap();
        let (bodies, _) = self
            .changed
            .wait_timeout_while(bodies, Duration::from_secs(60), |b| !b.contains_key(reader))
            .unwrap();
        bodies.get(reader).cloned()
    }
}

/// The reader's ID in a pushed request's path.
fn reader_of(seen: &Seen) -> String {
    let id = seen.path.strip_prefix("/rpc/streams/v0/push/").unwrap();
    uuid::Uuid::parse_str(id).unwrap().to_string()
}

/// What the call names as its reader.
fn info_of(call: &Seen) -> String {
    call.params()[1]["Info"].as_str().unwrap().to_owned()
}

fn is_call(seen: &Seen) -> bool {
    seen.path == "/rpc/v0"
}

const PLACE: SectorPlace = SectorPlace {
    sector: 1187,
    offset: 17_179_869_184,
};

fn placed() -> Reply {
    Reply::Result(json!({"Sector": 1187, "Offset": 17_179_869_184_u64}))
}

/// A miner that takes the bytes and then answers the call with `answer`.
fn taking(answer: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) -> Server {
    let meeting = Arc::new(Meeting::default());
    Server::start(move |seen| {
        if is_call(seen) {
            let reader = seen.params()[1]["Info"].as_str().unwrap().to_owned();
            match meeting.wait_for(&reader) {
                Some(body) => answer(&body),
                None => Reply::Error(500, -32700, "decoding params: context deadline exceeded"),
            }
        } else {
            if seen.verb == "POST" {
                meeting.bring(&reader_of(seen), seen.body.clone());
            }
            Reply::text(200, "")
        }
    })
}

pub(super) fn go() -> AtomicBool {
    AtomicBool::new(false)
}

#[test]
fn a_piece_is_pushed_while_the_call_waits_for_its_place() {
    let piece = Piece::new(1500);
    let expected = piece.padded();
    let server = taking(move |body| {
        assert_eq!(body, expected);
        placed()
    });
    let miner = miner(&server);
    assert_eq!(miner.add_piece(&piece.handover, &go()), Ok(Some(PLACE)));
    let call = server.seen().into_iter().find(is_call).unwrap();
    let params = call.params();
    assert_eq!(call.method(), "SectorAddPieceToAny");
    assert_eq!(params.as_array().unwrap().len(), 3);
    assert_eq!(params[0], 2032);
    assert_eq!(params[1]["Type"], "push");
    assert_eq!(
        params[2],
        json!({
            "PublishCid": {"/": piece.handover.publish_cid.to_string()},
            "DealID": 70_112_233,
            "DealProposal": {
                "PieceCID": {"/": piece.handover.proposal.piece_cid.to_string()}, "PieceSize": 2048, "VerifiedDeal": true,
                "Client": "f05678", "Provider": "f01234", "Label": "example-label", "StartEpoch": 5_200_000,
                "EndEpoch": 6_718_400, "StoragePricePerEpoch": "0", "ProviderCollateral": "8500000", "ClientCollateral": "0",
            },
            "DealSchedule": {"StartEpoch": 5_200_000, "EndEpoch": 6_718_400},
            "PieceActivationManifest": null,
            "KeepUnsealed": true,
        })
    );
    // Every call has a reader of its own.
    assert_eq!(miner.add_piece(&piece.handover, &go()), Ok(Some(PLACE)));
    let readers: Vec<Value> = server
        .seen()
        .iter()
        .filter(|s| is_call(s))
        .map(|s| s.params()[1]["Info"].clone())
        .collect();
    assert_ne!(readers[0], readers[1]);
}

#[test]
fn a_piece_can_be_fetched_instead() {
    let piece = Piece::new(1500);
    let server = Server::start(|seen| {
        assert!(is_call(seen), "nothing is pushed");
        placed()
    });
    let miner = miner(&server).with_fetch_url(Box::new(|piece| {
        format!("http://10.0.0.7/{}", piece.deal_id)
    }));
    assert_eq!(miner.add_piece(&piece.handover, &go()), Ok(Some(PLACE)));
    let params = server.seen()[0].params();
    assert_eq!(
        params[1],
        json!({"Type": "http", "Info": "http://10.0.0.7/70112233"})
    );
}

#[test]
fn a_miner_that_has_the_piece_answers_while_head_hangs() {
    // The answer comes at once; HEAD would stay open for a minute, or gets 204.
    for head in [
        || Reply::Hang(Duration::from_secs(60)),
        || Reply::text(204, ""),
    ] {
        let server = Server::start(move |seen| if is_call(seen) { placed() } else { head() });
        let piece = Piece::new(1500);
        let begun = Instant::now();
        assert_eq!(
            miner(&server).add_piece(&piece.handover, &go()),
            Ok(Some(PLACE))
        );
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(server.seen().iter().all(|s| is_call(s) || s.verb == "HEAD"));
    }
}

#[test]
fn the_call_decides_even_when_the_push_breaks() {
    let meeting = Arc::new(Meeting::default());
    let server = Server::start_reading(600, move |seen| {
        if seen.method() == "SectorAddPieceToAny" {
            let reader = seen.params()[1]["Info"].as_str().unwrap().to_owned();
            meeting.wait_for(&reader);
            std::thread::sleep(Duration::from_millis(300));
            placed()
        } else if seen.verb == "HEAD" {
            Reply::text(200, "")
        } else {
            meeting.bring(&reader_of(seen), Vec::new());
            Reply::Drop
        }
    });
    let piece = Piece::new(1500);
    assert_eq!(
        miner(&server).add_piece(&piece.handover, &go()),
        Ok(Some(PLACE))
    );
}

#[test]
fn a_refusal_is_the_miners_and_keeps_its_words() {
    let server = taking(|_| Reply::Error(200, 1, "got unexpected piece CID: expected:a, got:b"));
    let error = miner(&server)
        .add_piece(&Piece::new(1500).handover, &go())
        .unwrap_err();
    assert!(
        matches!(&error, SealerError::Refused { code: 1, message } if message.contains("unexpected piece CID"))
    );
    let server = Server::start(|seen| {
        if is_call(seen) {
            Reply::Error(500, -32700, "decoding params: context deadline exceeded")
        } else {
            Reply::text(500, "")
        }
    });
    let error = miner(&server)
        .add_piece(&Piece::new(1500).handover, &go())
        .unwrap_err();
    assert!(
        matches!(error, SealerError::Refused { code: -32700, .. }),
        "{error:?}"
    );
    let server = taking(|_| Reply::Result(json!({"Sector": 1})));
    let error = miner(&server)
        .add_piece(&Piece::new(1500).handover, &go())
        .unwrap_err();
    assert!(matches!(error, SealerError::Malformed(_)), "{error:?}");
}

#[test]
fn a_call_that_lasts_is_waited_for_beyond_every_limit_of_other_calls() {
    let server = taking(|_| {
        std::thread::sleep(Duration::from_millis(1_500));
        placed()
    });
    let short = Duration::from_millis(200);
    let limits = Limits {
        answer: short,
        long_answer: short,
        ..limits()
    };
    let miner = LotusMiner::new(&server.url(), limits).unwrap();
    let begun = Instant::now();
    let placed = miner.add_piece(&Piece::new(1500).handover, &go());
    assert_eq!(placed, Ok(Some(PLACE)));
    assert!(begun.elapsed() >= Duration::from_millis(1_500));
}

#[test]
fn refusals_are_told_apart_by_the_miner_s_words() {
    let refused = |text: &str| SealerError::Refused {
        code: 1,
        message: format!("SectorAddPieceToAny: {text}"),
    };
    let table = [
        (
            "storage call error 0: got unexpected piece CID: expected:baga1, got:baga2",
            Refusal::OtherData,
        ),
        (
            "current epoch 5000100 has passed deal proposal start epoch 5000400",
            Refusal::TooLate,
        ),
        ("no worker can take it", Refusal::Other),
    ];
    for (text, expected) in table {
        assert_eq!(refused(text).refusal(), expected, "{text}");
        let elsewhere = SealerError::Unreachable(text.to_owned());
        assert_eq!(elsewhere.refusal(), Refusal::Other);
    }
}

#[test]
fn a_miner_that_repeats_the_piece_s_address_gives_no_secret_away() {
    for fetched in [false, true] {
        let server = Server::start(move |seen| {
            if !is_call(seen) {
                return Reply::Hang(Duration::from_secs(60));
            }
            let call: Value = serde_json::from_slice(&seen.body).unwrap();
            let message = format!(
                "fetching piece: Get \"{}\": connection refused",
                info_of(seen)
            );
            let answer = json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": 1, "message": message}});
            Reply::Http(200, Vec::new(), answer.to_string().into_bytes())
        });
        let mut miner = miner(&server);
        if fetched {
            miner = miner.with_fetch_url(Box::new(|_| {
                "http://10.0.0.7:9090/padded/0123456789abcdef".to_owned()
            }));
        }
        let error = miner
            .add_piece(&Piece::new(1500).handover, &go())
            .unwrap_err();
        let text = error.to_string();
        let asked = server.seen();
        let call = asked.iter().find(|seen| is_call(seen)).unwrap();
        let info = info_of(call);
        let secret = info.rsplit('/').next().unwrap();
        assert!(!text.contains(secret), "{text}");
        assert!(text.contains("fetching piece: Get") && text.contains("connection refused"));
    }
}

#[test]
fn a_broken_call_is_unreachable() {
    let server = Server::start(|seen| {
        if is_call(seen) {
            Reply::Drop
        } else {
            Reply::Hang(Duration::from_secs(60))
        }
    });
    let error = miner(&server)
        .add_piece(&Piece::new(1500).handover, &go())
        .unwrap_err();
    assert!(matches!(error, SealerError::Unreachable(_)), "{error:?}");
}

#[test]
fn stopping_ends_the_wait_promptly() {
    let server = Server::start(|_| Reply::Hang(Duration::from_secs(60)));
    let miner = miner(&server);
    let piece = Piece::new(1500);
    let stop = Arc::new(go());
    let setter = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            stop.store(true, Ordering::Relaxed);
        })
    };
    let begun = Instant::now();
    assert_eq!(
        miner.add_piece(&piece.handover, &stop),
        Err(SealerError::Stopped)
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
    setter.join().unwrap();
    // What is set already keeps a call from beginning to wait.
    assert_eq!(
        miner.add_piece(&piece.handover, &stop),
        Err(SealerError::Stopped)
    );
}

#[test]
fn what_cannot_be_handed_over_is_not_asked_for() {
    let server = Server::start(|_| placed());
    let miner = miner(&server);
    let mut first_deal = Piece::new(1500);
    first_deal.handover.deal_id = 0;
    assert!(matches!(
        miner.add_piece(&first_deal.handover, &go()),
        Err(SealerError::Refused { code: 0, .. })
    ));
    let too_large = Piece::new(5000);
    assert!(matches!(
        miner.add_piece(&too_large.handover, &go()),
        Err(SealerError::File(_))
    ));
    assert!(server.seen().is_empty());
}
