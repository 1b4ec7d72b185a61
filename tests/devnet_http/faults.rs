//! Scripted trouble: what a caller sees of it, and whether the call was carried out.

use crate::harness::*;
use coracle::devnet::{DevnetConfig, Effect, Fault};
use coracle::filecoin::json as forms;
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn a_dropped_connection_has_or_has_not_done_the_work() {
    let net = start(by_hand());
    let deal = net.deal(&net.people().client, &Piece::new(2048, 1));
    let message = forms::from_message(&net.publish_message(&[deal]));
    let id = "3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a11";
    let spec = json!({ "MaxFee": "0", "MsgUuid": id, "MaximizeFeeCap": false });
    let push = json!({
        "id": 7, "method": "Filecoin.MpoolPushMessage", "params": [message, spec],
    });
    for (done, count) in [(false, 0), (true, 1)] {
        net.set_fault(Fault::once("MpoolPushMessage", Effect::Drop { done }));
        let answer = agent().post(net.node_url()).send(push.to_string());
        assert!(answer.is_err());
        assert_eq!(net.received_messages().len(), count);
    }
    // The repeated call finds the message that is there already.
    let signed = result(&post(&net.node_url(), None, &push.to_string()));
    assert_eq!(net.received_messages().len(), 1);
    let sent = net.received_messages()[0].cid();
    assert_eq!(signed["CID"], forms::from_cid(Some(&sent)));
}

#[test]
fn errors_statuses_and_delays_are_counted() {
    let net = start(by_hand());
    net.set_fault(Fault::times(
        "ChainHead",
        2,
        Effect::Error {
            code: 1,
            message: "chain is on holiday".to_owned(),
            done: false,
        },
    ));
    net.set_fault(Fault::once("ChainHead", Effect::Status(502)));
    net.set_fault(Fault::once(
        "ChainHead",
        Effect::Delay(Duration::from_millis(300)),
    ));
    for _ in 0..2 {
        let failed = net.fails("ChainHead", json!([]));
        assert_eq!(failed, (1, "chain is on holiday".to_owned()));
    }
    net.ok("Version", json!([]));
    let reply = call(&net.node_url(), "ChainHead", &json!([]));
    assert_eq!(reply.status, 502);
    assert!(serde_json::from_str::<serde_json::Value>(&reply.body).is_err());
    let begun = Instant::now();
    net.ok("ChainHead", json!([]));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    net.ok("ChainHead", json!([]));
    net.set_fault(Fault::once("ChainHead", Effect::Status(500)));
    net.clear_faults();
    net.ok("ChainHead", json!([]));
}

#[test]
fn a_late_answer_comes_after_the_work() {
    let net = start(by_hand());
    let deal = net.deal(&net.people().client, &Piece::new(2048, 1));
    let message = forms::from_message(&net.publish_message(&[deal]));
    let late = Duration::from_secs(2);
    net.set_fault(Fault::once("MpoolPushMessage", Effect::Late(late)));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| net.ok("MpoolPushMessage", json!([message, {}])));
        while net.received_messages().is_empty() {
            assert!(begun.elapsed() < late, "not done at once");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(begun.elapsed() >= late);
}

#[test]
fn one_seed_answers_alike() {
    let head = |seed: u8| {
        let net = start(DevnetConfig {
            seed: [seed; 32],
            genesis_time: Some(1_600_000_000),
            ..by_hand()
        });
        net.advance(5);
        (net.ok("ChainHead", json!([])), net.fullnode_api_info())
    };
    let (first, again, other) = (head(1), head(1), head(2));
    assert_eq!(first.0, again.0);
    assert_ne!(first.0, other.0);
    // Tokens too, up to the port.
    let token = |info: &str| info.split_once(':').unwrap().0.to_owned();
    assert_eq!(token(&first.1), token(&again.1));
    assert_ne!(token(&first.1), token(&other.1));
}
