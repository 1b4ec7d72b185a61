//! Pieces: the readers, the meeting of HEAD and call, redirects, repeats, restarts.

use crate::harness::*;
use coracle::devnet::DevnetConfig;
use coracle::filecoin::json as forms;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A published deal and its piece, ready to be handed over.
pub struct Handover {
    pub piece: Piece,
    pub info: Value,
    pub deal_id: u64,
}

/// Publishes a deal over a piece.
pub fn published(net: &Net, seed: u8) -> Handover {
    let piece = Piece::new(2048, seed);
    let deal = net.deal(&net.people().client, &piece);
    let (cid, _) = net.publish(std::slice::from_ref(&deal));
    let deals = net.deals();
    let root = piece.cid();
    let (deal_id, _) = deals
        .iter()
        .find(|(_, deal)| deal.proposal.piece_cid == root)
        .unwrap();
    let info = json!({
        "PublishCid": cid,
        "DealID": deal_id,
        "DealProposal": forms::from_proposal(&deal.proposal),
        "DealSchedule": {
            "StartEpoch": deal.proposal.start_epoch,
            "EndEpoch": deal.proposal.end_epoch,
        },
        "PieceActivationManifest": null,
        "KeepUnsealed": true,
    });
    Handover {
        deal_id: *deal_id,
        piece,
        info,
    }
}

pub fn reader(kind: &str, info: &str) -> Value {
    json!({ "Type": kind, "Info": info })
}

/// Adds a piece in the background.
fn adding(net: &Net, params: Value) -> JoinHandle<Reply> {
    let url = net.miner_url();
    thread::spawn(move || call(&url, "SectorAddPieceToAny", &params))
}

pub fn id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Status and Location of a HEAD.
pub fn head(url: &str) -> (u16, Option<String>) {
    let response = agent().head(url).call().unwrap();
    let location = response.headers().get("location");
    let location = location.map(|url| url.to_str().unwrap().to_owned());
    (response.status().as_u16(), location)
}

pub fn send(url: &str, bytes: &[u8]) -> u16 {
    let request = agent().post(url).content_type("application/octet-stream");
    request.send(bytes).unwrap().status().as_u16()
}

/// Pushes a piece the plain way and gives the answer.
pub fn push(net: &Net, it: &Handover) -> Value {
    let id = id();
    let params = json!([it.piece.unpadded(), reader("push", &id), it.info]);
    let call = adding(net, params);
    assert_eq!(head(&net.push_url(&id)), (200, None));
    assert_eq!(send(&net.push_url(&id), &it.piece.bytes), 200);
    result(&call.join().unwrap())
}

#[test]
fn a_pushed_piece_lands_in_a_sector() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let place = push(&net, &it);
    assert_eq!(place, json!({ "Sector": 1187, "Offset": 0 }));
    let second = published(&net, 2);
    let place = push(&net, &second);
    assert_eq!(place, json!({ "Sector": 1187, "Offset": 2048 }));
    let status = net.miner_ok("SectorsStatus", json!([1187, false]));
    assert_eq!(status["State"], "WaitDeals");
    assert_eq!(status["Deals"], json!([it.deal_id, second.deal_id]));
    let piece = &status["Pieces"][0];
    assert_eq!(piece["Piece"]["Size"], 2048);
    assert_eq!(piece["DealInfo"]["DealID"], it.deal_id);
    assert_eq!(piece["DealInfo"]["PublishCid"], it.info["PublishCid"]);
}

#[test]
fn either_half_may_come_first() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let id = id();
    let url = net.push_url(&id);
    let asking = thread::spawn({
        let url = url.clone();
        move || head(&url)
    });
    thread::sleep(Duration::from_millis(200));
    assert!(!asking.is_finished());
    let call = adding(
        &net,
        json!([it.piece.unpadded(), reader("push", &id), it.info]),
    );
    assert_eq!(asking.join().unwrap(), (200, None));
    send(&url, &it.piece.bytes);
    result(&call.join().unwrap());
}

#[test]
fn a_post_without_a_head_works_too() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let id = id();
    let call = adding(
        &net,
        json!([it.piece.unpadded(), reader("whatever", &id), it.info]),
    );
    // Bytes beyond the piece are not looked at.
    let mut longer = it.piece.bytes.clone();
    longer.extend_from_slice(b"more");
    assert_eq!(send(&net.push_url(&id), &longer), 200);
    result(&call.join().unwrap());
}

#[test]
fn a_redirected_piece_goes_to_the_worker() {
    let net = start(DevnetConfig {
        worker_redirect: true,
        ..by_hand()
    });
    let it = published(&net, 1);
    let id = id();
    let call = adding(
        &net,
        json!([it.piece.unpadded(), reader("push", &id), it.info]),
    );
    let (status, location) = head(&net.push_url(&id));
    assert_eq!(status, 302);
    let worker = location.unwrap();
    assert!(!worker.starts_with(&net.push_url("")), "{worker}");
    assert!(worker.ends_with(&id), "{worker}");
    assert_eq!(head(&worker), (200, None));
    assert_eq!(send(&worker, &it.piece.bytes), 200);
    result(&call.join().unwrap());
}

#[test]
fn a_repeated_call_reads_nothing() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let place = push(&net, &it);
    let id = id();
    let params = json!([it.piece.unpadded(), reader("push", &id), it.info]);
    let call = adding(&net, params);
    assert_eq!(head(&net.push_url(&id)), (204, None));
    assert_eq!(result(&call.join().unwrap()), place);
    let again = json!([it.piece.unpadded(), reader("null", "0"), it.info]);
    assert_eq!(net.miner_ok("SectorAddPieceToAny", again), place);
    assert_eq!(net.sectors(0)[0].pieces.len(), 1);
}

#[test]
fn a_repeated_call_joins_the_pending_one() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let first = id();
    let params = json!([it.piece.unpadded(), reader("push", &first), it.info]);
    let call = adding(&net, params);
    assert_eq!(head(&net.push_url(&first)), (200, None));
    // The first call now waits for its bytes.
    let second = id();
    let params = json!([it.piece.unpadded(), reader("push", &second), it.info]);
    let joined = adding(&net, params);
    assert_eq!(head(&net.push_url(&second)), (204, None));
    thread::sleep(Duration::from_millis(100));
    assert!(!joined.is_finished());
    send(&net.push_url(&first), &it.piece.bytes);
    let place = result(&call.join().unwrap());
    assert_eq!(result(&joined.join().unwrap()), place);
    assert_eq!(net.sectors(0)[0].pieces.len(), 1);
}

#[test]
fn a_restart_forgets_calls_and_keeps_sectors() {
    let net = start(by_hand());
    let it = published(&net, 1);
    push(&net, &it);
    let waiting = published(&net, 2);
    let id = id();
    let params = json!([waiting.piece.unpadded(), reader("push", &id), waiting.info]);
    let url = net.miner_url();
    let call = thread::spawn(move || {
        let body = json!({ "id": 7, "method": "Filecoin.SectorAddPieceToAny", "params": params });
        agent().post(&url).send(body.to_string()).is_err()
    });
    // The halves have met: the call waits for its bytes.
    assert_eq!(head(&net.push_url(&id)), (200, None));
    net.restart_miner(0);
    assert!(call.join().unwrap(), "the call has to lose its connection");
    // Whoever does not look first adds the piece a second time.
    let place = push(&net, &it);
    assert_eq!(place["Offset"], 2048);
    let status = net.miner_ok("SectorsStatus", json!([1187, false]));
    assert_eq!(status["Deals"], json!([it.deal_id, it.deal_id]));
}

#[test]
fn wrong_bytes_are_refused_and_can_be_sent_again() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let other = Piece::new(2048, 9);
    let id = id();
    let call = adding(
        &net,
        json!([it.piece.unpadded(), reader("push", &id), it.info]),
    );
    head(&net.push_url(&id));
    send(&net.push_url(&id), &other.bytes);
    let (code, text) = error(&call.join().unwrap());
    assert_eq!(code, 1);
    assert_eq!(
        text,
        format!(
            "got unexpected piece CID: expected:{}, got:{}",
            it.piece.cid(),
            other.cid()
        )
    );
    assert!(net.sectors(0).is_empty());
    push(&net, &it);
}

#[test]
fn too_few_bytes_are_refused() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let id = id();
    let call = adding(
        &net,
        json!([it.piece.unpadded(), reader("push", &id), it.info]),
    );
    head(&net.push_url(&id));
    send(&net.push_url(&id), &it.piece.bytes[..1000]);
    let (_, text) = error(&call.join().unwrap());
    assert!(text.contains("unexpected EOF"), "{text}");
    let params = json!([it.piece.unpadded(), reader("null", "2031"), it.info]);
    let (_, text) = net.miner_fails("SectorAddPieceToAny", params);
    assert!(text.contains("unexpected EOF"), "{text}");
}

/// Serves one request with these bytes, and gives its head.
pub fn serve_once(status: &'static str, bytes: Vec<u8>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/padded/x", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_head(&mut stream);
        let length = bytes.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // The other side may have gone after the status.
        let _ = stream.write_all(&bytes);
        request
    });
    (url, thread)
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn the_miner_fetches_a_piece_by_itself() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let (url, served) = serve_once("200 OK", it.piece.bytes.clone());
    let params = json!([it.piece.unpadded(), reader("http", &url), it.info]);
    let place = net.miner_ok("SectorAddPieceToAny", params);
    assert_eq!(place["Sector"], 1187);
    let request = served.join().unwrap();
    assert!(
        request.starts_with("GET /padded/x HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(!request.to_lowercase().contains("authorization"));
}

#[test]
fn only_200_will_do() {
    let net = start(by_hand());
    for (seed, status) in (1..).zip(["206 Partial Content", "404 Not Found"]) {
        let it = published(&net, seed);
        let (url, served) = serve_once(status, it.piece.bytes.clone());
        let params = json!([it.piece.unpadded(), reader("http", &url), it.info]);
        let (code, text) = net.miner_fails("SectorAddPieceToAny", params);
        assert_eq!(code, 1);
        assert!(text.contains("non-200"), "{text}");
        served.join().unwrap();
    }
}

#[test]
fn nobody_there_to_fetch_from_is_an_error() {
    let net = start(by_hand());
    let it = published(&net, 1);
    for url in ["http://127.0.0.1:1/x", "not a url", "file:///etc/passwd"] {
        let params = json!([it.piece.unpadded(), reader("http", url), it.info]);
        let (code, _) = net.miner_fails("SectorAddPieceToAny", params);
        assert_eq!(code, 1, "{url}");
    }
}

#[test]
fn bad_descriptions_are_refused() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let size = it.piece.unpadded();
    let zeros = reader("null", "2032");
    let changed = |name: &str, value: Value| {
        let mut info = it.info.clone();
        info[name] = value;
        info
    };
    for (info, text) in [
        (changed("PublishCid", Value::Null), "PublishCid"),
        (changed("DealID", json!(0)), "DealID"),
        (changed("DealProposal", Value::Null), "DealProposal"),
        (changed("DealSchedule", json!({})), "above zero"),
        (
            changed("DealSchedule", json!({ "StartEpoch": 9, "EndEpoch": 8 })),
            "ends before",
        ),
        (
            changed("PieceActivationManifest", json!({ "Size": 1 })),
            "manifest",
        ),
        (
            changed(
                "DealSchedule",
                json!({ "StartEpoch": 5_000_001, "EndEpoch": 5_600_000 }),
            ),
            "current epoch 5000002 has passed deal proposal start epoch 5000001",
        ),
    ] {
        let (code, message) = net.miner_fails("SectorAddPieceToAny", json!([size, zeros, info]));
        assert_eq!(code, 1, "{message}");
        assert!(message.contains(text), "{message}");
    }
    for bad in [0, 1, 126, 128, 2048, 127 * 3, u64::MAX] {
        let params = json!([bad, zeros, it.info]);
        let (_, message) = net.miner_fails("SectorAddPieceToAny", params);
        assert_eq!(message, "cannot allocate unpadded piece", "{bad}");
    }
    let larger_than_a_sector = 127_u64 << 29;
    let params = json!([larger_than_a_sector, zeros, it.info]);
    let (_, message) = net.miner_fails("SectorAddPieceToAny", params);
    assert_eq!(message, "cannot allocate unpadded piece");
    for reader in [
        json!("3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a11"),
        json!({ "Type": "push", "Info": "no uuid" }),
        json!({ "Type": "null", "Info": "many" }),
        json!({ "Type": "null" }),
        Value::Null,
    ] {
        let (code, _) = net.miner_fails("SectorAddPieceToAny", json!([size, reader, it.info]));
        assert_eq!(code, -32700);
    }
    assert_eq!(
        net.miner_fails("SectorAddPieceToAny", json!([size, zeros]))
            .0,
        -32602
    );
}

#[test]
fn the_start_epoch_has_to_leave_time_for_sealing() {
    let net = start(DevnetConfig {
        sealing_buffer: 480,
        ..by_hand()
    });
    let it = published(&net, 1);
    // Published at +2, starts at +1000: the last epoch to begin is +520.
    net.advance(518);
    let params = json!([it.piece.unpadded(), reader("null", "0"), it.info]);
    let (_, text) = net.miner_fails("SectorAddPieceToAny", params.clone());
    assert!(text.contains("unexpected EOF"), "{text}");
    net.advance(1);
    let (_, text) = net.miner_fails("SectorAddPieceToAny", params);
    assert!(
        text.starts_with("current epoch 5000521 has passed"),
        "{text}"
    );
}

#[test]
fn a_push_that_nobody_wants_is_no_piece() {
    let net = start(by_hand());
    let bad = agent().head(net.push_url("not-a-uuid")).call().unwrap();
    assert_eq!(bad.status(), 400);
    let it = published(&net, 1);
    let id = id();
    let mut info = it.info.clone();
    info["DealID"] = json!(0);
    let call = adding(
        &net,
        json!([it.piece.unpadded(), reader("push", &id), info]),
    );
    // The call fails after the halves have met: the sender is told to keep its bytes.
    assert_eq!(head(&net.push_url(&id)), (204, None));
    error(&call.join().unwrap());
}

#[test]
fn a_half_that_stays_alone_fails_in_time() {
    let net = start(DevnetConfig {
        // Longer than the halves of a pair come apart on a busy machine.
        pairing: Duration::from_secs(2),
        ..by_hand()
    });
    assert_eq!(head(&net.push_url(&id())), (500, None));
    assert_eq!(send(&net.push_url(&id()), b"bytes"), 500);
    let it = published(&net, 1);
    let params = json!([it.piece.unpadded(), reader("push", &id()), it.info]);
    let reply = call(&net.miner_url(), "SectorAddPieceToAny", &params);
    assert_eq!(reply.status, 500);
    let (code, text) = error(&reply);
    assert_eq!(code, -32700);
    assert!(text.contains("context deadline exceeded"), "{text}");
    // A sender that does not come back after its HEAD.
    let late = id();
    let params = json!([it.piece.unpadded(), reader("push", &late), it.info]);
    let call = adding(&net, params);
    assert_eq!(head(&net.push_url(&late)), (200, None));
    let (code, _) = error(&call.join().unwrap());
    assert_eq!(code, 1);
    // Nothing of all this stands in the way of the piece.
    push(&net, &it);
}

#[test]
fn a_sender_that_goes_away_is_not_told_anything() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let id = id();
    let mut gone = TcpStream::connect(net.miner_addr(0).unwrap()).unwrap();
    let request = format!("HEAD /rpc/streams/v0/push/{id} HTTP/1.1\r\nhost: a\r\n\r\n");
    gone.write_all(request.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(100));
    drop(gone);
    thread::sleep(Duration::from_millis(100));
    let call = adding(
        &net,
        json!([it.piece.unpadded(), reader("push", &id), it.info]),
    );
    thread::sleep(Duration::from_millis(100));
    assert_eq!(head(&net.push_url(&id)), (200, None));
    send(&net.push_url(&id), &it.piece.bytes);
    result(&call.join().unwrap());
}
