//! The kinds of nodes: what each does otherwise than Lotus (spec chain-sealer-rpc A.4, A.8, C.2, G, H), and several nodes
//! of one chain.

use crate::harness::*;
use coracle::devnet::{DevnetConfig, Effect, Fault, NodeKind};
use coracle::filecoin::{TokenAmount, json as forms};
use serde_json::json;

fn of(kind: NodeKind) -> Net {
    start(DevnetConfig { kind, ..by_hand() })
}

#[test]
fn each_kind_says_what_it_is_or_nothing() {
    let version = |kind| of(kind).ok("Version", json!([]));
    assert_eq!(version(NodeKind::Lotus)["Agent"], "lotus");
    assert_eq!(version(NodeKind::Gateway)["Agent"], "lotus");
    assert_eq!(version(NodeKind::Forest)["Agent"], "forest");
    let venus = version(NodeKind::Venus);
    assert!(venus.get("Agent").is_none(), "{venus}");
    assert!(venus["Version"].as_str().unwrap().starts_with('v'));
}

#[test]
fn forest_has_codes_of_its_own_and_always_answers_with_200() {
    let net = start(DevnetConfig {
        kind: NodeKind::Forest,
        auth: true,
        ..by_hand()
    });
    let reply = |method: &str, params| call(&net.node_url(), method, &params);
    let table = [
        ("MarketWithdraw", json!(["f01000", "f01000", "1"]), -32001),
        ("StateMarketStorageDeal", json!([7, null]), -32603),
        (
            "StateLookupID",
            json!(["f2plku564ddywnmb5b2ky7dhk4mb6uacsxuuev3pi", null]),
            -32603,
        ),
        ("StateNetworkName", json!([1]), -32602),
        ("StateLookupID", json!([7, null]), -32602),
        ("WalletHas", json!(["f01000"]), -32003),
    ];
    for (method, params, code) in table {
        let reply = reply(method, params);
        assert_eq!(reply.status, 200, "{method}");
        assert_eq!(error(&reply).0, code, "{method}");
    }
}

#[test]
fn forest_takes_exact_names_and_whole_specs_only() {
    let net = of(NodeKind::Forest);
    let deal = net.deal(&net.people().client, &Piece::new(2048, 1));
    let message = forms::from_message(&net.publish_message(&[deal]));
    let whole = json!({ "MaxFee": "0", "MsgUuid": "3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a11", "MaximizeFeeCap": false });
    for bad in [
        json!({ "MaxFee": "0" }),
        json!({}),
        json!({ "maxFee": "0" }),
    ] {
        assert_eq!(
            net.fails("GasEstimateMessageGas", json!([message, bad, null]))
                .0,
            -32602
        );
    }
    let mut lower = message.clone();
    let from = lower["From"].take();
    lower.as_object_mut().unwrap().remove("From");
    lower["from"] = from;
    assert_eq!(
        net.fails("GasEstimateMessageGas", json!([lower, whole, null]))
            .0,
        -32602
    );
    net.ok("GasEstimateMessageGas", json!([message, whole, null]));
    net.ok("GasEstimateMessageGas", json!([message, null, null]));
}

#[test]
fn only_lotus_keeps_the_identity_of_a_message() {
    for (kind, count) in [
        (NodeKind::Lotus, 1),
        (NodeKind::Forest, 2),
        (NodeKind::Venus, 2),
    ] {
        let net = of(kind);
        let [_, worker, _] = &net.people().miners[0];
        let mut transfer = message(worker, 0, Vec::new());
        transfer.to = net.people().client.id.clone();
        transfer.value = TokenAmount::from_atto(1_u64);
        let spec = json!({ "MaxFee": "0", "MsgUuid": "3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a11", "MaximizeFeeCap": false });
        let params = json!([forms::from_message(&transfer), spec]);
        net.ok("MpoolPushMessage", params.clone());
        net.ok("MpoolPushMessage", params);
        assert_eq!(net.received_messages().len(), count, "{kind:?}");
    }
}

#[test]
fn a_gateway_has_no_wallet_and_a_short_memory() {
    let net = start(DevnetConfig {
        kind: NodeKind::Gateway,
        auth: true,
        ..by_hand()
    });
    for (method, params) in [
        ("WalletHas", json!(["f01000"])),
        ("WalletSign", json!(["f01000", ""])),
        ("MpoolPushMessage", json!([{}, null])),
        ("MarketAddBalance", json!(["f01000", "f01000", "1"])),
        ("StateGetAllocationIdForPendingDeal", json!([7, null])),
        ("AuthVerify", json!(["x"])),
    ] {
        assert_eq!(net.fails(method, params).0, -32601, "{method}");
    }
    // Pushing needs no token.
    let [_, worker, _] = &net.people().miners[0];
    let mut transfer = message(worker, 0, Vec::new());
    transfer.to = net.people().client.id.clone();
    transfer.from = worker.address.clone();
    let estimated = net.ok(
        "GasEstimateMessageGas",
        json!([forms::from_message(&transfer), null, null]),
    );
    let mut ahead = forms::to_message(&estimated).unwrap();
    ahead.nonce = 1;
    let gap = forms::from_signed_message(&ahead.clone().sign(&worker.key));
    assert!(net.fails("MpoolPush", json!([gap])).1.contains("nonce gap"));
    ahead.nonce = 0;
    let signed = ahead.sign(&worker.key);
    let cid = net.ok("MpoolPush", json!([forms::from_signed_message(&signed)]));
    net.advance(2);
    let search = json!([null, cid, -1, true]);
    assert!(!net.ok("StateSearchMsg", search.clone()).is_null());
    net.advance(30);
    assert!(
        net.ok("StateSearchMsg", search).is_null(),
        "20 epochs back, no more"
    );
    let height = net.epoch() - 2_880;
    net.advance(2_881);
    let text = net.fails("ChainGetTipSetByHeight", json!([height, null])).1;
    assert!(text.contains("24h"), "{text}");
}

#[test]
fn forest_names_the_message_that_was_asked_for() {
    let net = start(DevnetConfig {
        more_nodes: vec![NodeKind::Forest],
        ..by_hand()
    });
    let deal = net.deal(&net.people().client, &Piece::new(2048, 1));
    let sent = forms::from_message(&net.publish_message(&[deal]));
    let cid = net.ok("MpoolPushMessage", json!([sent, null]))["CID"].clone();
    let replaced = net
        .replace_message(&forms::to_cid(&cid).unwrap().unwrap())
        .unwrap();
    net.advance(2);
    let search = json!([null, cid, -1, true]);
    let lotus = net.ok("StateSearchMsg", search.clone());
    assert_eq!(lotus["Message"], forms::from_cid(Some(&replaced)));
    let info = net.node_api_info(1);
    let port = info
        .split("/tcp/")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let url = format!("http://127.0.0.1:{port}/rpc/v1");
    let forest = result(&call(&url, "StateSearchMsg", &search));
    assert_eq!(forest["Message"], cid);
    assert_eq!(forest["Receipt"], lotus["Receipt"]);
}

#[test]
fn trouble_can_be_brought_about_at_any_moment() {
    let net = start(by_hand());
    let [_, worker, _] = &net.people().miners[0];
    // Somebody else's message takes the nonce.
    let nonce = |net: &Net| {
        net.ok("MpoolGetNonce", json!([worker.address.to_string()]))
            .as_u64()
            .unwrap()
    };
    let before = nonce(&net);
    net.spend_nonce(worker, None).unwrap();
    assert_eq!(nonce(&net), before + 1);
    // The node loses what waits.
    net.restart_node();
    assert_eq!(nonce(&net), before);
    assert!(net.received_messages().is_empty());
    // A deal passes when it is estimated and is dropped when it is executed.
    let deals = [
        net.deal(&net.people().client, &Piece::new(2048, 1)),
        net.deal(&net.people().bls_client, &Piece::new(2048, 2)),
    ];
    let sent = forms::from_message(&net.publish_message(&deals));
    let cid = net.ok("MpoolPushMessage", json!([sent, null]))["CID"].clone();
    net.set_escrow(&net.people().client.id, &TokenAmount::zero());
    net.advance(2);
    let found = net.ok("StateSearchMsg", json!([null, cid, -1, true]));
    assert_eq!(found["Receipt"]["ExitCode"], 0);
    assert_eq!(net.deals().len(), 1, "the other client's");
    net.set_network_version(29);
    assert_eq!(net.ok("StateNetworkVersion", json!([null])), 29);
    // A server that answers something else than it should.
    net.set_fault(Fault::once("ChainHead", Effect::Answer(json!("hello"))));
    assert_eq!(net.ok("ChainHead", json!([])), "hello");
}
