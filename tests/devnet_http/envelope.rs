//! The envelope: paths, arity, HTTP statuses, error codes, batches, tokens.

use crate::harness::*;
use coracle::devnet::DevnetConfig;
use serde_json::{Value, json};

/// Status and error code of a body sent to the node.
fn refused(net: &Net, body: &str) -> (u16, i64) {
    let reply = post(&net.node_url(), None, body);
    (reply.status, error(&reply).0)
}

#[test]
fn the_count_of_parameters_is_exact() {
    let net = start(by_hand());
    for params in [json!(["f01000"]), json!(["f01000", null, null]), json!([])] {
        let reply = call(&net.node_url(), "StateMinerInfo", &params);
        assert_eq!(reply.status, 500);
        let (code, text) = error(&reply);
        assert_eq!(code, -32602);
        assert!(text.contains("Filecoin.StateMinerInfo"), "{text}");
    }
    net.ok("StateMinerInfo", json!(["f01000", null]));
    net.ok("StateMinerInfo", json!(["f01000", []]));
    // No parameters at all may be said in three ways.
    for body in [
        r#"{"jsonrpc":"2.0","id":7,"method":"Filecoin.ChainHead","params":[]}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"Filecoin.ChainHead","params":null}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":"Filecoin.ChainHead"}"#,
    ] {
        result(&post(&net.node_url(), None, body));
    }
}

#[test]
fn each_kind_of_failure_has_its_status_and_code() {
    let net = start(by_hand());
    assert_eq!(refused(&net, ""), (400, -32600));
    assert_eq!(refused(&net, "  \n"), (400, -32600));
    assert_eq!(refused(&net, "[]"), (400, -32600));
    assert_eq!(refused(&net, "{"), (500, -32700));
    assert_eq!(refused(&net, "17"), (500, -32700));
    assert_eq!(refused(&net, &"[".repeat(100_000)), (500, -32700));
    let method = |name: &str| json!({ "id": 7, "method": name, "params": [] }).to_string();
    for name in [
        "Filecoin.NoSuchThing",
        "ChainHead",
        "Filecoin.ChainNotify",
        "",
    ] {
        assert_eq!(refused(&net, &method(name)), (500, -32601), "{name}");
    }
    // A parameter of the wrong type.
    let wrong = json!({ "id": 7, "method": "Filecoin.StateMinerInfo", "params": [5, null] });
    assert_eq!(refused(&net, &wrong.to_string()), (500, -32700));
    let object = json!({ "id": 7, "method": "Filecoin.Version", "params": {} });
    assert_eq!(refused(&net, &object.to_string()), (500, -32700));
    // An error of a method comes with status 200, and some have codes of their own.
    let reply = call(
        &net.node_url(),
        "StateMarketStorageDeal",
        &json!([12, null]),
    );
    assert_eq!(reply.status, 200);
    let (code, text) = error(&reply);
    assert_eq!(code, 1);
    assert!(text.starts_with("deal 12 not found"), "{text}");
    let nobody = "f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq";
    let (code, _) = net.fails("StateLookupID", json!([nobody, null]));
    assert_eq!(code, 11);
}

#[test]
fn a_body_beyond_the_limit_does_not_parse() {
    let net = start(by_hand());
    let body = format!("{{\"x\":\"{}\"}}", "y".repeat(9 << 20));
    assert_eq!(refused(&net, &body), (500, -32700));
}

#[test]
fn ids_come_back_and_notifications_do_not() {
    let net = start(by_hand());
    for id in [json!("a text"), json!(0), json!(9_007_199_254_740_991_u64)] {
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": "Filecoin.Version" });
        let reply = post(&net.node_url(), None, &body.to_string());
        assert_eq!(reply.json()["id"], id);
        assert_eq!(reply.json()["jsonrpc"], "2.0");
    }
    let body = json!({ "jsonrpc": "2.0", "method": "Filecoin.Version" });
    let reply = post(&net.node_url(), None, &body.to_string());
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    let body = json!({ "id": { "x": 1 }, "method": "Filecoin.Version" });
    assert_eq!(refused(&net, &body.to_string()), (500, -32700));
}

#[test]
fn a_batch_is_answered_in_its_order() {
    let net = start(by_hand());
    let batch = json!([
        { "id": 1, "method": "Filecoin.StateNetworkName", "params": [] },
        { "id": 2, "method": "Filecoin.Nothing", "params": [] },
        { "method": "Filecoin.Version" },
        { "id": 3, "method": "Filecoin.StateNetworkVersion", "params": [null] },
    ]);
    let reply = post(&net.node_url(), None, &batch.to_string());
    assert_eq!(reply.status, 200);
    let answers = reply.json();
    assert_eq!(answers.as_array().unwrap().len(), 3);
    assert_eq!(answers[0]["result"], "localnet-coracle");
    assert_eq!(answers[1]["error"]["code"], -32601);
    assert_eq!(answers[2]["id"], 3);
    assert_eq!(answers[2]["result"], 28);
    let long = Value::Array(vec![json!({ "method": "Filecoin.Version" }); 101]);
    assert_eq!(refused(&net, &long.to_string()), (500, -32700));
}

#[test]
fn node_and_miner_have_their_own_paths() {
    let net = start(by_hand());
    let head = json!({ "id": 7, "method": "Filecoin.ChainHead", "params": [] }).to_string();
    let node = format!("http://{}", net.node_addr());
    let miner = format!("http://{}", net.miner_addr(0).unwrap());
    for (url, status) in [
        (format!("{node}/rpc/v1"), 200),
        (format!("{node}/rpc/v0"), 200),
        (format!("{node}/rpc/v2"), 404),
        (format!("{node}/"), 404),
        (format!("{miner}/rpc/v1"), 404),
        (format!("{miner}/rpc/v0"), 500),
    ] {
        assert_eq!(post(&url, None, &head).status, status, "{url}");
    }
    // The deprecated interface counts the parameters of some methods differently.
    let message = json!({ "/": "bafy2bzacebsqy7vhpd6oz7yyu3rjrweocn3b2siqk3lcf67yhwwxcbmpuiwmo" });
    let search = json!([message]);
    let old = call(&format!("{node}/rpc/v0"), "StateSearchMsg", &search);
    assert!(error(&old).1.starts_with("failed to load message"));
    let new = call(&format!("{node}/rpc/v1"), "StateSearchMsg", &search);
    assert_eq!(error(&new).0, -32602);
    assert_eq!(net.miner_ok("ActorAddress", json!([])), "f01000");
    let live = agent().get(format!("{node}/health/livez")).call().unwrap();
    assert_eq!(live.status(), 200);
}

#[test]
fn a_bad_token_is_refused_before_anything_else() {
    for auth in [false, true] {
        let net = start(DevnetConfig { auth, ..by_hand() });
        let head = json!({ "id": 7, "method": "Filecoin.ChainHead", "params": [] }).to_string();
        let good = net.token(&["read"]);
        let stale = format!("{}x", &good[..good.len() - 1]);
        for header in [
            format!("Bearer {stale}"),
            "Bearer ".to_owned(),
            good.clone(),
            format!("Basic {good}"),
        ] {
            for url in [net.node_url(), net.miner_url()] {
                let reply = post(&url, Some(&header), &head);
                assert_eq!(reply.status, 401, "{header}");
                assert_eq!(reply.body, "");
            }
        }
        let url = net.push_url("3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a11");
        let reply = post(&url, Some(&format!("Bearer {stale}")), "");
        assert_eq!(reply.status, 401);
        let reply = post(&net.node_url(), Some(&format!("Bearer {good}")), &head);
        assert_eq!(reply.status, 200);
        let in_query = format!("{}?token={good}", net.node_url());
        assert_eq!(post(&in_query, None, &head).status, 200);
    }
}

#[test]
fn permissions_are_a_set() {
    let net = start(DevnetConfig {
        auth: true,
        ..by_hand()
    });
    let has = json!({ "id": 7, "method": "Filecoin.WalletHas", "params": ["f01"] }).to_string();
    let try_with = |allow: &[&str]| {
        let header = format!("Bearer {}", net.token(allow));
        post(&net.node_url(), Some(&header), &has)
    };
    let reply = post(&net.node_url(), None, &has);
    assert_eq!(reply.status, 200);
    let (code, text) = error(&reply);
    assert_eq!(code, 1);
    assert_eq!(
        text,
        "missing permission to invoke 'WalletHas' (need 'write')"
    );
    error(&try_with(&["read", "sign", "admin"]));
    assert_eq!(result(&try_with(&["write"])), false);
}

#[test]
fn tokens_tell_what_they_allow_and_make_others() {
    let net = start(by_hand());
    let info = net.fullnode_api_info();
    let (token, address) = info.split_once(':').unwrap();
    assert_eq!(
        address,
        format!("/ip4/127.0.0.1/tcp/{}/http", net.node_addr().port())
    );
    let allowed = net.ok("AuthVerify", json!([token]));
    assert_eq!(allowed, json!(["read", "write", "sign", "admin"]));
    let made = net.ok("AuthNew", json!([["read", "write"]]));
    let made = coracle::filecoin::json::to_bytes(&made).unwrap();
    let made = String::from_utf8(made).unwrap();
    assert_eq!(
        net.miner_ok("AuthVerify", json!([made])),
        json!(["read", "write"])
    );
    assert_eq!(net.fails("AuthVerify", json!(["a.b.c"])).0, 1);
    assert!(net.miner_api_info(0).starts_with(token));
    assert_eq!(net.miner_api_info(1), "");
}
