//! Scripted trouble: what a caller sees of it, and whether the call was carried out.

use crate::harness::*;
use coracle::devnet::{DevnetConfig, Effect, Event, Fault};
use coracle::filecoin::{TokenAmount, json as forms};
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

/// Lets this happen with the next question for the head.
fn with_the_next_head(net: &Net, event: Event) -> i64 {
    net.set_fault(Fault::once("ChainHead", Effect::First(event)));
    net.ok("ChainHead", json!([]))["Height"].as_i64().unwrap()
}

#[test]
fn a_script_replaces_messages_that_wait() {
    let net = start(by_hand());
    let deal = net.deal(&net.people().client, &Piece::new(2048, 1));
    let message = forms::from_message(&net.publish_message(&[deal]));
    let sent = net.ok("MpoolPushMessage", json!([message, null]))["CID"].clone();
    with_the_next_head(&net, Event::ReplaceWaiting);
    assert_eq!(net.received_messages().len(), 2);
    net.advance(2);
    let found = net.ok("StateSearchMsg", json!([null, sent, -1, true]));
    assert_ne!(found["Message"], sent);
    assert_eq!(found["Receipt"]["ExitCode"], 0);
    assert_eq!(net.deals().len(), 1);
}

#[test]
fn a_script_reorganises_the_chain_and_leaves_heights_empty() {
    let net = start(by_hand());
    let deal = net.deal(&net.people().client, &Piece::new(2048, 1));
    net.publish(&[deal]);
    let before = net.deals()[0].0;
    with_the_next_head(&net, Event::Reorganise(3));
    net.advance(2);
    let after = net.deals();
    assert_eq!(after.len(), 1);
    assert_ne!(after[0].0, before);
    let height = net.epoch();
    assert_eq!(with_the_next_head(&net, Event::Skip(100)), height + 101);
    // A height without a tipset is answered with the one before it.
    let at = net.ok("ChainGetTipSetByHeight", json!([height + 50, null]));
    assert_eq!(at["Height"], height);
}

#[test]
fn a_script_restarts_the_node_without_its_mempool() {
    let net = start(by_hand());
    let deal = net.deal(&net.people().client, &Piece::new(2048, 1));
    let message = forms::from_message(&net.publish_message(&[deal]));
    let id = "3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a12";
    let spec = json!({ "MaxFee": "0", "MsgUuid": id, "MaximizeFeeCap": false });
    net.ok("MpoolPushMessage", json!([message, spec]));
    with_the_next_head(&net, Event::RestartNode);
    assert!(net.received_messages().is_empty());
    net.advance(3);
    assert!(net.deals().is_empty());
    // The identity is forgotten too: it is sent as if for the first time.
    net.ok("MpoolPushMessage", json!([message, spec]));
    net.advance(2);
    assert_eq!(net.deals().len(), 1);
}

#[test]
fn a_script_restarts_the_miner_and_takes_the_money_of_a_client() {
    let net = start(by_hand());
    // A call that waits for bytes which nobody brings loses its connection.
    let url = net.miner_url();
    let waiting = std::thread::spawn(move || {
        let reader = json!({ "Type": "push", "Info": "3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a13" });
        let call =
            json!({ "id": 1, "method": "Filecoin.ComputeDataCid", "params": [2032, reader] });
        agent().post(&url).send(call.to_string()).is_err()
    });
    while !net.calls().contains_key("ComputeDataCid") {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    let restart = Effect::First(Event::RestartMiner(0));
    net.set_fault(Fault::once("SectorsSummary", restart));
    assert_eq!(net.miner_ok("SectorsSummary", json!([])), json!({}));
    assert!(waiting.join().unwrap());

    let client = net.people().client.clone();
    let deal = net.deal(&client, &Piece::new(2048, 1));
    let message = forms::from_message(&net.publish_message(&[deal]));
    let broke = Event::Escrow(client.address.clone(), TokenAmount::zero());
    let sent = net.ok("MpoolPushMessage", json!([message, null]))["CID"].clone();
    with_the_next_head(&net, broke);
    net.advance(2);
    let found = net.ok("StateSearchMsg", json!([null, sent, -1, true]));
    assert_ne!(found["Receipt"]["ExitCode"], 0, "{found}");
    assert!(net.deals().is_empty());
}

#[test]
fn deals_are_terminated_and_slashed_and_miners_grow_old() {
    let net = start(by_hand());
    let pieces = [Piece::new(2048, 1), Piece::new(2048, 2)];
    let client = net.people().client.clone();
    net.publish(&pieces.map(|piece| net.deal(&client, &piece)));
    let [first, second] = [net.deals()[0].0, net.deals()[1].0];
    assert!(net.terminate_deal(first) && !net.terminate_deal(first));
    let (_, text) = net.fails("StateMarketStorageDeal", json!([first, null]));
    assert!(text.contains("slashed"), "{text}");
    assert!(net.slash_deal(second) && !net.slash_deal(first));
    let state = net.ok("StateMarketStorageDeal", json!([second, null]))["State"].clone();
    assert_eq!(state["SlashEpoch"], net.epoch());

    assert!(net.add_sectors(0, 10_000, "Proving"));
    assert!(!net.add_sectors(1, 1, "Proving"), "no such miner");
    net.advance(3);
    let summary = net.miner_ok("SectorsSummary", json!([]));
    assert_eq!(summary, json!({ "Proving": 10_000 }));
    let listed = net.miner_ok("SectorsList", json!([]));
    assert_eq!(listed.as_array().unwrap().len(), 10_000);
}
