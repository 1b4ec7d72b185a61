use super::*;
use crate::filecoin::json as form;
use crate::filecoin::market_actor;
use crate::filecoin::{Signature, SignatureKind};
use uuid::Uuid;

const CID: &str = "bafy2bzacebsqy7vhpd6oz7yyu3rjrweocn3b2siqk3lcf67yhwwxcbmpuiwmo";
const OTHER: &str = "bafy2bzacece6x43mowcsbjuryrvijs5nmebwhhk5f5rsc7igi4t75pvryncuc";

fn order() -> PublishOrder {
    let client = key(7);
    PublishOrder {
        id: Uuid::from_u128(0x3f0c_2c1e_8f64_4a0e_9f5e_2b1f_6b8f_0a11),
        miner: id(1234),
        deals: vec![signed(proposal(&client.address(), &id(1234), 1), &client)],
        fee_max: atto(50),
    }
}

/// A node with one worker that can sign; `push` answers the sending, `more` the rest.
fn publisher(
    agent: &'static str,
    push: impl Fn(&Value) -> Reply + Send + Sync + 'static,
    pending: Value,
) -> Server {
    node(move |method, params| match method {
        "StateMinerInfo" => Reply::Result(json!({
            "Owner": "f01000", "Worker": "f01001", "ControlAddresses": null, "PeerId": null,
            "Multiaddrs": null, "SectorSize": 2048,
        })),
        "StateAccountKey" => Reply::Result(json!(key(1).address().to_string())),
        "WalletHas" => Reply::Result(json!(true)),
        "WalletBalance" => Reply::Result(json!("5000")),
        "Version" if agent.is_empty() => {
            Reply::Result(json!({"Version": "1.20.0+mainnet", "APIVersion": 1, "BlockDelay": 30}))
        }
        "Version" => Reply::Result(
            json!({"Version": "x", "APIVersion": 1, "BlockDelay": 30, "Agent": agent}),
        ),
        "MpoolPending" => Reply::Result(pending.clone()),
        "MpoolPushMessage" => push(params),
        other => unknown(other),
    })
}

/// The node's answer to a sent message: the message as it came, under this CID.
fn sent(params: &Value, cid: &str) -> Reply {
    let mut message = params[0].clone();
    message["Nonce"] = json!(119);
    Reply::Result(json!({
        "Message": message,
        "Signature": {"Type": 1, "Data": "AA=="},
        "CID": {"/": cid},
    }))
}

#[test]
fn a_publish_message_carries_its_identity_and_fee_limit() {
    let server = publisher("lotus", |params| sent(params, CID), Value::Null);
    let cid = lotus(&server).publish(&order()).unwrap();
    assert_eq!(cid.to_string(), CID);
    let pushes: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|s| s.method() == "MpoolPushMessage")
        .collect();
    assert_eq!(pushes.len(), 1);
    let params = pushes[0].params();
    assert_eq!(
        params[1],
        json!({"MaxFee": "50", "MsgUuid": "3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a11", "MaximizeFeeCap": false})
    );
    let message = &params[0];
    assert_eq!(message["To"], "f05");
    assert_eq!(message["From"], key(1).address().to_string());
    assert_eq!(
        (&message["Method"], &message["Nonce"]),
        (&json!(4), &json!(0))
    );
    assert_eq!(
        (&message["Value"], &message["GasLimit"]),
        (&json!("0"), &json!(0))
    );
    let bytes = form::to_bytes(&message["Params"]).unwrap();
    assert_eq!(market_actor::decode_publish(&bytes).unwrap(), order().deals);
    assert!(!server.methods().contains(&"MpoolPending".to_owned()));
}

#[test]
fn a_node_that_forgets_identities_is_asked_for_the_message_first() {
    // agent, whether the pool holds the same message, expected CID, whether it was sent
    let params = form::from_bytes(&market_actor::encode_publish(&order().deals));
    let entry = |params: &Value, from: u8| {
        json!({
            "Message": {"Version": 0, "To": "f05", "From": key(from).address().to_string(), "Nonce": 5, "Value": "0",
                "GasLimit": 1, "GasFeeCap": "1", "GasPremium": "1", "Method": 4, "Params": params},
            "Signature": {"Type": 1, "Data": "AA=="}, "CID": {"/": OTHER},
        })
    };
    let same = entry(&params, 1);
    let others = json!([entry(&json!("gYA="), 1), entry(&params, 2), {"Message": {"To": 7}}]);
    let table = [
        ("forest", json!([same]), OTHER, false),
        ("forest", others.clone(), CID, true),
        ("forest", Value::Null, CID, true),
        ("venus", json!([same]), OTHER, false),
        ("Lotus", json!([same]), CID, true),
        ("", json!([same]), CID, true),
    ];
    for (agent, pending, expected, is_sent) in table {
        let server = publisher(agent, |params| sent(params, CID), pending);
        let cid = lotus(&server).publish(&order()).unwrap();
        assert_eq!(cid.to_string(), expected, "{agent}");
        let pushed = server.methods().contains(&"MpoolPushMessage".to_owned());
        assert_eq!(pushed, is_sent, "{agent}");
    }
}

#[test]
fn a_refused_or_lost_push_is_not_repeated() {
    let refused = publisher(
        "lotus",
        |_| Reply::Error(200, 1, "mpool push: not enough funds: 1 < 2"),
        Value::Null,
    );
    let error = lotus(&refused).publish(&order()).unwrap_err();
    assert!(
        matches!(&error, ChainError::Refused { code: 1, message } if message.contains("not enough funds"))
    );
    let lost = publisher("lotus", |_| Reply::Drop, Value::Null);
    let error = lotus(&lost).publish(&order()).unwrap_err();
    assert!(matches!(error, ChainError::Unreachable(_)), "{error:?}");
    let pushes = lost
        .methods()
        .iter()
        .filter(|m| *m == "MpoolPushMessage")
        .count();
    assert_eq!(pushes, 1);
    let read_only = publisher(
        "lotus",
        |_| {
            Reply::Error(
                200,
                1,
                "missing permission to invoke 'MpoolPushMessage' (need 'sign')",
            )
        },
        Value::Null,
    );
    let error = lotus(&read_only).publish(&order()).unwrap_err();
    assert!(matches!(error, ChainError::Forbidden(_)), "{error:?}");
}

#[test]
fn an_identity_that_was_used_for_something_else_is_noticed() {
    let server = publisher(
        "lotus",
        |params| {
            let mut other = params.clone();
            other[0]["Params"] = json!("gYA=");
            sent(&other, CID)
        },
        Value::Null,
    );
    let error = lotus(&server).publish(&order()).unwrap_err();
    assert!(
        matches!(&error, ChainError::Malformed(text) if text.contains(CID)),
        "{error:?}"
    );
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
            .dry_run(&id(1234), &order().deals[0])
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
    let result = lotus(&server).dry_run(&id(1234), &order().deals[0]);
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
