use super::*;
use crate::filecoin::json as form;
use crate::filecoin::market_actor;
use crate::filecoin::{Signature, SignatureKind};
use uuid::Uuid;

const CID: &str = "bafy2bzacebsqy7vhpd6oz7yyu3rjrweocn3b2siqk3lcf67yhwwxcbmpuiwmo";
const OTHER: &str = "bafy2bzacece6x43mowcsbjuryrvijs5nmebwhhk5f5rsc7igi4t75pvryncuc";

fn order() -> Order {
    let client = key(7);
    Order {
        id: Uuid::from_u128(0x3f0c_2c1e_8f64_4a0e_9f5e_2b1f_6b8f_0a11),
        miner: id(1234),
        fee_max: atto(50_000),
        call: Call::Publish(vec![signed(
            proposal(&client.address(), &id(1234), 1),
            &client,
        )]),
    }
}

/// A node with one worker that can sign; `push` answers the sending.
pub(super) fn publisher(
    version: &'static str,
    agent: &'static str,
    push: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static,
) -> Server {
    node(move |method, params| match method {
        "ChainHead" => Reply::Result(head(5_000_000)),
        "StateMinerInfo" => Reply::Result(json!({
            "Owner": "f01000", "Worker": "f01001", "ControlAddresses": null, "PeerId": null,
            "Multiaddrs": null, "SectorSize": 2048,
        })),
        "StateAccountKey" => Reply::Result(json!(key(1).address().to_string())),
        "WalletHas" => Reply::Result(json!(true)),
        "WalletBalance" => Reply::Result(json!("5000000")),
        "GasEstimateMessageGas" => {
            let mut message = params[0].clone();
            message["GasLimit"] = json!(1_000);
            message["GasFeeCap"] = json!("900");
            message["GasPremium"] = json!("800");
            message["CID"] = json!({"/": OTHER});
            Reply::Result(message)
        }
        "Version" if agent.is_empty() => {
            Reply::Result(json!({"Version": version, "APIVersion": 1, "BlockDelay": 30}))
        }
        "Version" => Reply::Result(
            json!({"Version": version, "APIVersion": 1, "BlockDelay": 30, "Agent": agent}),
        ),
        "MpoolGetNonce" => Reply::Result(json!(119)),
        "WalletSignMessage" => {
            let message = form::to_message(&params[1]).unwrap();
            Reply::Result(form::from_signed_message(&message.sign(&key(1))))
        }
        "MpoolPending" => Reply::Result(Value::Null),
        other => push(other, params),
    })
}

/// The node's answer to a message for its wallet: the message with a nonce, under this CID.
fn sent(params: &Value, cid: &str) -> Reply {
    let mut message = params[0].clone();
    message["Nonce"] = json!(119);
    Reply::Result(json!({
        "Message": message,
        "Signature": {"Type": 1, "Data": "AA=="},
        "CID": {"/": cid},
    }))
}

pub(super) fn asked(server: &Server, method: &str) -> Vec<Value> {
    let seen = server.seen().into_iter();
    seen.filter(|s| s.method() == method)
        .map(|s| s.params())
        .collect()
}

#[test]
fn a_wallets_message_carries_its_identity_and_stays_below_its_fee() {
    let server = publisher("1.36.2", "lotus", |_, params| sent(params, CID));
    let chain = lotus(&server);
    let prepared = chain.prepare(&order()).unwrap();
    assert_eq!(prepared.cid(), None);
    assert!(asked(&server, "MpoolPushMessage").is_empty());
    assert_eq!(chain.send(&prepared).unwrap().to_string(), CID);
    let pushes = asked(&server, "MpoolPushMessage");
    let [params] = &pushes[..] else {
        panic!("{pushes:?}");
    };
    // 50,000 attoFIL for 1,000 units of gas.
    assert_eq!(
        params[1],
        json!({"MaxFee": "50000", "MsgUuid": "3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a11", "MaximizeFeeCap": false})
    );
    let message = &params[0];
    assert_eq!(
        (&message["GasLimit"], &message["GasFeeCap"]),
        (&json!(1_000), &json!("50"))
    );
    assert_eq!(message["GasPremium"], "50");
    assert_eq!(message["To"], "f05");
    assert_eq!(message["From"], key(1).address().to_string());
    assert_eq!(
        (&message["Method"], &message["Nonce"], &message["Value"]),
        (&json!(4), &json!(0), &json!("0"))
    );
    let bytes = form::to_bytes(&message["Params"]).unwrap();
    assert_eq!(
        market_actor::decode_publish(&bytes).unwrap(),
        order().deals()
    );
    // Once asked what it is, the node is believed for a while.
    chain.send(&chain.prepare(&order()).unwrap()).unwrap();
    assert_eq!(asked(&server, "Version").len(), 1);
}

#[test]
fn a_node_that_forgets_identities_only_signs() {
    for (version, agent) in [
        ("0.36.0+git.0c0ac1e", "forest"),
        ("v1.18.0+git.0c0ac1e", ""),
        ("1", "new"),
    ] {
        let server = publisher(version, agent, |method, params| {
            assert_eq!(method, "MpoolPush");
            let signed = form::to_signed_message(&params[0]).unwrap();
            Reply::Result(form::from_cid(Some(&signed.cid())))
        });
        let chain = lotus(&server);
        let prepared = chain.prepare(&order()).unwrap();
        assert!(asked(&server, "MpoolPush").is_empty());
        assert_eq!(prepared.message().nonce, 119);
        let cid = prepared.cid().expect("it is known before it is sent");
        // What was stored is sent, however often, in the same bytes.
        let stored = Prepared::decode(&prepared.encode()).unwrap();
        assert_eq!(chain.send(&stored), Ok(cid));
        assert_eq!(chain.send(&stored), Ok(cid));
        let pushes = asked(&server, "MpoolPush");
        assert_eq!((pushes.len(), &pushes[0]), (2, &pushes[1]), "{agent}");
        assert!(asked(&server, "MpoolPushMessage").is_empty(), "{agent}");
    }
}

#[test]
fn what_comes_back_signed_must_be_what_was_asked_for() {
    type Change = fn(&mut Value);
    let table: [Change; 3] = [
        |signed| signed["Message"]["Nonce"] = json!(7),
        |signed| signed["Signature"]["Data"] = json!("AAAA"),
        |signed| signed["Message"]["Value"] = json!("1"),
    ];
    for change in table {
        let server = node(move |method, params| match method {
            "WalletSignMessage" => {
                let message = form::to_message(&params[1]).unwrap();
                let mut signed = form::from_signed_message(&message.sign(&key(1)));
                change(&mut signed);
                Reply::Result(signed)
            }
            "ChainHead" => Reply::Result(head(5)),
            "StateMinerInfo" => {
                Reply::Result(json!({"Owner": "f01000", "Worker": "f01001", "SectorSize": 2048}))
            }
            "StateAccountKey" => Reply::Result(json!(key(1).address().to_string())),
            "WalletHas" => Reply::Result(json!(true)),
            "WalletBalance" => Reply::Result(json!("5000000")),
            "GasEstimateMessageGas" => {
                let mut message = params[0].clone();
                message["GasLimit"] = json!(1_000);
                message["GasFeeCap"] = json!("900");
                Reply::Result(message)
            }
            "Version" => Reply::Result(json!({"Version": "0.36.0", "Agent": "forest"})),
            "MpoolGetNonce" => Reply::Result(json!(119)),
            other => unknown(other),
        });
        let error = lotus(&server).prepare(&order()).unwrap_err();
        assert!(matches!(error, ChainError::Malformed(_)), "{error:?}");
    }
}

#[test]
fn a_refused_or_lost_push_is_not_repeated() {
    let push = |reply: fn() -> Reply| publisher("1.36.2", "lotus", move |_, _| reply());
    let send = |server: &Server| {
        let chain = lotus(server);
        chain.send(&chain.prepare(&order()).unwrap()).unwrap_err()
    };
    let refused = push(|| Reply::Error(200, 1, "mpool push: not enough funds: 1 < 2"));
    let error = send(&refused);
    assert!(
        matches!(&error, ChainError::Refused { code: 1, message } if message.contains("not enough funds"))
    );
    let lost = push(|| Reply::Drop);
    let error = send(&lost);
    assert!(matches!(error, ChainError::Unreachable(_)), "{error:?}");
    assert_eq!(asked(&lost, "MpoolPushMessage").len(), 1);
    let read_only = push(|| {
        Reply::Error(
            200,
            1,
            "missing permission to invoke 'MpoolPushMessage' (need 'sign')",
        )
    });
    let error = send(&read_only);
    assert!(matches!(error, ChainError::Forbidden(_)), "{error:?}");
}

#[test]
fn an_identity_that_was_used_for_something_else_is_noticed() {
    let server = publisher("1.36.2", "lotus", |_, params| {
        let mut other = params.clone();
        other[0]["Params"] = json!("gYA=");
        sent(&other, CID)
    });
    let chain = lotus(&server);
    let error = chain.send(&chain.prepare(&order()).unwrap()).unwrap_err();
    assert!(
        matches!(&error, ChainError::Malformed(text) if text.contains(CID)),
        "{error:?}"
    );
}

#[test]
fn without_money_or_a_fee_for_it_nothing_is_made() {
    let server = publisher("1.36.2", "lotus", |method, _| unknown(method));
    let chain = lotus(&server);
    let mut poor = order();
    // 900 attoFIL per unit of gas for 1,000 units, out of 5,000,000.
    poor.fee_max = atto(0);
    chain.prepare(&poor).unwrap();
    // The base fee is 20.
    poor.fee_max = atto(19_999);
    let error = chain.prepare(&poor).unwrap_err();
    assert!(matches!(error, ChainError::Fee(_)), "{error:?}");
    poor.fee_max = atto(20_000);
    chain.prepare(&poor).unwrap();
}

#[test]
fn a_dry_run_tells_whether_the_deal_alone_would_be_published() {
    // exit code, return value, text, expected part of the reason
    let table: &[(i64, Value, &str, Option<&str>)] = &[
        // one deal ID, bit 0 set
        (0, json!("goEaBC3T6UEM"), "", None),
        // no deal ID, no bit
        (0, json!("goBA"), "", Some("drops")),
        (
            16,
            Value::Null,
            "All deal proposals invalid",
            Some("non-zero exit code 16: All deal proposals invalid"),
        ),
    ];
    for (exit, returned, text, expected) in table {
        let answer =
            json!({"MsgRct": {"ExitCode": exit, "Return": returned, "GasUsed": 1}, "Error": text});
        let server = node(move |method, _| match method {
            "StateMinerInfo" => {
                Reply::Result(json!({"Owner": "f01000", "Worker": "f01001", "SectorSize": 2048}))
            }
            "StateCall" => Reply::Result(answer.clone()),
            other => unknown(other),
        });
        let reason = lotus(&server)
            .dry_run(&id(1234), &order().deals()[0])
            .unwrap();
        match (&reason, expected) {
            (None, None) => {}
            (Some(reason), Some(part)) => assert!(reason.contains(part), "{reason}"),
            _ => panic!("{exit}: {reason:?}"),
        }
        let call = server
            .seen()
            .into_iter()
            .find(|s| s.method() == "StateCall")
            .unwrap();
        assert_eq!(call.params()[0]["From"], "f01001");
    }
    let server = node(|method, _| match method {
        "StateMinerInfo" => {
            Reply::Result(json!({"Owner": "f01000", "Worker": "f01001", "SectorSize": 2048}))
        }
        _ => Reply::Result(json!({"MsgRct": {"ExitCode": 0, "Return": "AA==", "GasUsed": 1}})),
    });
    let result = lotus(&server).dry_run(&id(1234), &order().deals()[0]);
    assert!(
        matches!(result, Err(ChainError::Malformed(_))),
        "{result:?}"
    );
}

/// One key beside the node.
struct OneKey(SecretKey);

impl LocalKeys for OneKey {
    fn has(&self, key: &Address) -> bool {
        *key == self.0.address()
    }

    fn sign(&self, key: &Address, bytes: &[u8]) -> Option<Signature> {
        self.has(key).then(|| self.0.sign(bytes))
    }
}

#[test]
fn a_key_of_this_box_signs_before_the_node_is_asked() {
    let server = node(|method, params| match method {
        "WalletHas" => Reply::Result(json!(params[0] == key(2).address().to_string())),
        "WalletSign" => {
            assert_eq!(params[1], "Ynl0ZXM=");
            Reply::Result(json!({"Type": 1, "Data": "AQI="}))
        }
        other => unknown(other),
    });
    let chain = lotus_with(&server, Some(Box::new(OneKey(key(1)))), BTreeMap::new());
    let local = chain.sign(&key(1).address(), b"bytes").unwrap().unwrap();
    assert!(local.verify(&key(1).address(), b"bytes"));
    assert!(server.seen().is_empty());
    let remote = chain.sign(&key(2).address(), b"bytes").unwrap();
    assert_eq!(
        remote,
        Some(Signature {
            kind: SignatureKind::Secp256k1,
            data: vec![1, 2]
        })
    );
    assert_eq!(chain.sign(&key(3).address(), b"bytes"), Ok(None));
}

#[test]
fn a_missing_permission_or_wallet_is_no_signature_and_no_error() {
    type Say = fn() -> Reply;
    let table: [(Say, Say); 4] = [
        (
            || {
                Reply::Error(
                    200,
                    1,
                    "missing permission to invoke 'WalletHas' (need 'write')",
                )
            },
            || Reply::Drop,
        ),
        (|| Reply::Error(200, -32003, "no"), || Reply::Drop),
        (
            || Reply::Error(500, -32601, "method 'Filecoin.WalletHas' not found"),
            || Reply::Drop,
        ),
        (
            || Reply::Result(json!(true)),
            || {
                Reply::Error(
                    200,
                    1,
                    "missing permission to invoke 'WalletSign' (need 'sign')",
                )
            },
        ),
    ];
    for (has, sign) in table {
        let server = node(move |method, _| if method == "WalletHas" { has() } else { sign() });
        assert_eq!(lotus(&server).sign(&key(1).address(), b"x"), Ok(None));
    }
    let server = node(|_, _| Reply::Error(200, 1, "key not found"));
    assert!(lotus(&server).sign(&key(1).address(), b"x").is_err());
}
