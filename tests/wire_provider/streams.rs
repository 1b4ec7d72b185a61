//! When a stream is answered, with which bytes, and when it ends: cases 22 to 27 and 34.

use super::raw_client::message::{self, Proposal, array, bytes, map, text, uint};
use super::raw_client::{End, exchange, open, run};
use super::{ASK, MK_1_2_0, MK_1_2_1, SOON, STATUS, TRANSPORTS, World};
use futures::future::join_all;
use libp2p::multiaddr::Protocol;
use std::time::{Duration, Instant};

/// A good request for each protocol that takes one.
fn requests(world: &World) -> Vec<(&'static str, Vec<u8>)> {
    let unknown = [0xcc; 16];
    vec![
        (MK_1_2_1, world.proposal().seven()),
        (MK_1_2_0, world.proposal().seven()),
        (
            STATUS,
            message::status_request(unknown, &world.wallet.sign(&unknown)),
        ),
        (ASK, message::ask_request(&message::id_address(1000))),
    ]
}

/// What the answer to such a request begins with.
fn beginning(protocol: &str) -> &'static [u8] {
    match protocol {
        STATUS => b"\xa6\x65Error\x78\x49no storage deal found with deal UUID cccccccc-",
        ASK => b"\xa1\x63Ask\xa2\x63Ask\xa8",
        _ => b"\xa2\x67Message\x60\x68Accepted\xf5",
    }
}

#[test]
fn edge_22_what_follows_a_request_is_ignored() {
    let world = World::new("edge-22");
    for garbage in [&b"\xff"[..], &[0xff; 5000]] {
        for (protocol, request) in requests(&world) {
            let answer = world.ask(protocol, &[&request, garbage].concat());
            assert!(answer.starts_with(beginning(protocol)), "{answer:02x?}");
        }
    }
    // Not even a second request is: only the first deal is there.
    let first = world.proposal();
    let answered = uuid::Uuid::from_bytes(world.uuid());
    let second = world.proposal();
    let ignored = uuid::Uuid::from_bytes(world.uuid());
    world.accepts(MK_1_2_1, &[first.seven(), second.seven()].concat());
    let path = |uuid| format!("/v1/deals/{uuid}");
    assert_eq!(world.provider.admin("GET", &path(answered), None).0, 200);
    assert_eq!(world.provider.admin("GET", &path(ignored), None).0, 404);
}

#[test]
fn edge_23_half_a_request_is_closed_after_ten_seconds() {
    let world = World::new("edge-23");
    let late = Duration::from_secs(40);
    let stalled = requests(&world).into_iter().map(|(protocol, request)| {
        let address = world.address;
        async move {
            let begun = Instant::now();
            let half = &request[..request.len() / 2];
            let outcome = exchange(address, protocol, half, late).await;
            (protocol, outcome, begun.elapsed())
        }
    });
    for (protocol, outcome, took) in run(join_all(stalled)) {
        assert_eq!(outcome, (Vec::new(), End::Eof), "{protocol}");
        let seconds = Duration::from_secs;
        assert!(
            (seconds(9)..seconds(30)).contains(&took),
            "{protocol}: {took:?}"
        );
    }
}

/// Sends a request to each protocol and closes the sending side or not; all are answered and closed.
fn answered(world: &World, closes: bool) {
    for (protocol, request) in requests(world) {
        let (answer, end) = run(async {
            let (_connection, mut stream) = open(world.address, protocol).await.unwrap();
            stream.write(&request).await.unwrap();
            if closes {
                stream.half_close().await.unwrap();
            }
            stream.read_to_end(SOON).await
        });
        assert_eq!(end, End::Eof, "{protocol}");
        assert!(answer.starts_with(beginning(protocol)), "{answer:02x?}");
    }
}

#[test]
fn edge_24_the_client_closes_its_side() {
    answered(&World::new("edge-24"), true);
}

#[test]
fn edge_25_the_client_never_closes_its_side() {
    answered(&World::new("edge-25"), false);
}

#[test]
fn edge_26_the_longest_reason_is_well_formed() {
    let world = World::new("edge-26");
    let online = |proposal: Proposal, kind: &str, params: &[u8]| {
        let mut online = proposal
            .with_transfer("Size", uint(1000))
            .with_transfer("Type", text(kind))
            .with_transfer("Params", bytes(params));
        online.offline = false;
        online
    };
    let long_url = format!(r#"{{"URL":"http://{}"}}"#, "é".repeat(500_000));
    for (kind, params) in [
        ("é".repeat(4096), &b""[..]),
        ("\u{1f6f6}".repeat(2048), b""),
        ("http".to_owned(), long_url.as_bytes()),
        ("http".to_owned(), "[".repeat(100_000).as_bytes()),
    ] {
        // Panics unless the answer is one item with a text of its stated length.
        let reason = world.refuses(&online(world.proposal(), &kind, params).seven());
        assert!(reason.len() <= 8192);
        assert!(reason.starts_with("server error: get deal transfer host: "));
    }
}

#[test]
fn edge_27_message_comes_before_accepted() {
    let world = World::new("edge-27");
    let accepted = world.ask(MK_1_2_1, &world.proposal().seven());
    assert_eq!(accepted, b"\xa2\x67Message\x60\x68Accepted\xf5");
    let mut online = world.proposal();
    online.offline = false;
    let refused = world.ask(MK_1_2_1, &online.seven());
    let reason = b"server error: get deal transfer host: cannot parse params for unrecognized transfer type ''";
    let length = u8::try_from(reason.len()).unwrap();
    let expected = [
        &b"\xa2\x67Message\x78"[..],
        &[length],
        reason,
        b"\x68Accepted\xf4",
    ];
    assert_eq!(refused, expected.concat());
}

#[test]
fn edge_34_transports_come_unasked_and_end() {
    let world = World::with(
        "edge-34",
        &[("CORACLE_PUBLIC_URL", "http://203.0.113.7:8080")],
    );
    let begun = Instant::now();
    let (ways, end) = run(async {
        let (_connection, mut stream) = open(world.address, TRANSPORTS).await.unwrap();
        stream.read_to_end(SOON).await
    });
    assert_eq!(end, End::Eof);
    assert!(begun.elapsed() < Duration::from_secs(9), "at once");
    let own = world.provider.addresses[0].clone();
    let own = own.with(Protocol::P2p(world.provider.peer)).to_vec();
    // /ip4/203.0.113.7/tcp/8080/http
    let http = [4, 203, 0, 113, 7, 6, 0x1f, 0x90, 0xe0, 0x03];
    let way = |name: &str, address: &[u8]| {
        map(&[
            ("Name", text(name)),
            ("Addresses", array(&[bytes(address)])),
        ])
    };
    let all = array(&[way("libp2p", &own), way("http", &http)]);
    assert_eq!(ways, map(&[("Protocols", all)]));
}
