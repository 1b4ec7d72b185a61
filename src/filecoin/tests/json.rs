//! JSON forms: spec chain-sealer-rpc A.5, B.10, C.1.

use super::message::{key, message};
use super::proposal::{proposal, signed};
use super::{address, hex};
use crate::filecoin::json::*;
use crate::filecoin::message::Message;
use crate::filecoin::{Label, SecretKey, Signature, SignatureKind, TokenAmount};
use serde_json::{Value, json};

#[test]
fn content_identifiers() {
    let cid = message().cid();
    let value = json!({"/": "bafy2bzacece6x43mowcsbjuryrvijs5nmebwhhk5f5rsc7igi4t75pvryncuc"});
    assert_eq!(from_cid(Some(&cid)), value);
    assert_eq!(to_cid(&value), Ok(Some(cid)));
    assert_eq!(from_cid(None), Value::Null);
    assert_eq!(to_cid(&Value::Null), Ok(None));
    let v0 = json!({"/": "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"});
    assert!(matches!(to_cid(&v0), Ok(Some(_))));
    let text = cid.to_string();
    let refused = [
        json!(text),
        json!({}),
        json!({"/": null}),
        json!({"/": ""}),
        json!({"/": "b"}),
        json!({"/": text[..20]}),
        json!({"/": format!("/ipfs/{text}")}),
        json!({"/": format!("{text} ")}),
        json!({"/": {"bytes": "AAAA"}}),
        json!({"/": text, "x": 1}),
        json!([text]),
        json!(1),
    ];
    for value in refused {
        assert!(to_cid(&value).is_err(), "{value}");
    }
}

#[test]
fn amounts_are_strings() {
    let amount = TokenAmount::from_atto(1_500_000_000_000_000_000_u64);
    assert_eq!(from_amount(&amount), json!("1500000000000000000"));
    assert_eq!(to_amount(&json!("1500000000000000000")), Ok(amount));
    assert_eq!(to_amount(&json!("-5")), Ok(TokenAmount::from_atto(-5)));
    for value in [
        json!(5),
        json!(null),
        json!(""),
        json!("0x5"),
        json!("1.5"),
        json!(["5"]),
    ] {
        assert!(to_amount(&value).is_err(), "{value}");
    }
}

#[test]
fn bytes_are_padded_base64() {
    assert_eq!(from_bytes(&[]), Value::Null);
    assert_eq!(from_bytes(&hex("4300d209")), json!("QwDSCQ=="));
    assert_eq!(to_bytes(&json!("QwDSCQ==")), Ok(hex("4300d209")));
    assert_eq!(to_bytes(&json!("")), Ok(vec![]));
    assert_eq!(to_bytes(&Value::Null), Ok(vec![]));
    for value in [
        json!("QwDSCQ"),
        json!("QwDSCR=="),
        json!("_-8="),
        json!([1]),
        json!(1),
    ] {
        assert!(to_bytes(&value).is_err(), "{value}");
    }
}

#[test]
fn addresses() {
    assert_eq!(from_address(&address("t01234")), json!("f01234"));
    for text in ["f01234", "t01234"] {
        assert_eq!(to_address(&json!(text)), Ok(Some(address("f01234"))));
    }
    for none in ["\"<empty>\"", "\"\\u003cempty\\u003e\"", "\"\"", "null"] {
        let value: Value = serde_json::from_str(none).expect("JSON");
        assert_eq!(to_address(&value), Ok(None), "{none}");
    }
    for value in [
        json!("empty"),
        json!(1234),
        json!("1234"),
        json!({}),
        json!("f1"),
    ] {
        assert!(to_address(&value).is_err(), "{value}");
    }
}

#[test]
fn numbers_are_integers() {
    assert_eq!(to_u64(&json!(u64::MAX)), Ok(u64::MAX));
    assert_eq!(to_i64(&json!(i64::MIN)), Ok(i64::MIN));
    assert_eq!(to_bool(&json!(true)), Ok(true));
    assert_eq!(to_text(&json!("x")), Ok("x"));
    for value in [json!(-1), json!(1.0), json!("1"), json!(null), json!(true)] {
        assert!(to_u64(&value).is_err(), "{value}");
    }
    assert!(to_i64(&json!(u64::MAX)).is_err());
    assert!(to_i64(&json!(1.5)).is_err());
    assert!(to_bool(&json!(1)).is_err());
    assert!(to_text(&json!(1)).is_err());
}

#[test]
fn signatures() {
    let signature = Signature {
        kind: SignatureKind::Delegated,
        data: vec![1, 2, 3],
    };
    let value = json!({"Type": 3, "Data": "AQID"});
    assert_eq!(from_signature(&signature), value);
    assert_eq!(to_signature(&value), Ok(signature.clone()));
    assert_eq!(
        to_signature(&json!({"type": 3, "DATA": "AQID", "More": 1})),
        Ok(signature)
    );
    for value in [
        json!({"Type": 0, "Data": "AQID"}),
        json!({"Type": 4, "Data": "AQID"}),
        json!({"Type": 257, "Data": "AQID"}),
        json!({"Type": "secp256k1", "Data": "AQID"}),
        json!({"Data": "AQID"}),
        json!({"Type": 1, "Data": [1]}),
        json!("AQID"),
        Value::Null,
    ] {
        assert!(to_signature(&value).is_err(), "{value}");
    }
}

#[test]
fn messages_both_ways() {
    let value = json!({
        "Version": 0,
        "To": "f05",
        "From": "f12wzstyzpkedw3c5s2ekp5xmvjptzrlvh7nq6drq",
        "Nonce": 7,
        "Value": "1000000000000000000",
        "GasLimit": 20_000_000,
        "GasFeeCap": "1500000",
        "GasPremium": "120000",
        "Method": 2,
        "Params": "QwDSCQ==",
    });
    assert_eq!(from_message(&message()), value);
    assert_eq!(to_message(&value), Ok(message()));
    let signed = message().sign(&key());
    let signed_value = from_signed_message(&signed);
    assert_eq!(signed_value["Message"], value);
    assert_eq!(
        signed_value["CID"],
        json!({"/": "bafy2bzacebsqy7vhpd6oz7yyu3rjrweocn3b2siqk3lcf67yhwwxcbmpuiwmo"})
    );
    assert_eq!(to_signed_message(&signed_value), Ok(signed));
}

#[test]
fn bls_messages_are_tracked_by_the_unsigned_cid() {
    let signed = message().sign(&SecretKey::generate_bls(&[1; 32]).expect("a key"));
    assert_eq!(
        from_signed_message(&signed)["CID"],
        from_cid(Some(&message().cid()))
    );
}

#[test]
fn messages_are_read_leniently_in_names_only() {
    let least = json!({"to": "t05", "FROM": "f01001", "CID": {"/": "ignored"}, "Extra": []});
    let read = to_message(&least).expect("the rest is zero");
    assert_eq!((read.nonce, read.gas_limit, read.method), (0, 0, 0));
    assert!(read.value.is_zero() && read.gas_fee_cap.is_zero() && read.params.is_empty());
    let refused = [
        json!({"To": "f05"}),
        json!({"To": "<empty>", "From": "f01001"}),
        json!({"To": "f05", "From": "f01001", "Version": 1}),
        json!({"To": "f05", "From": "f01001", "Nonce": "7"}),
        json!({"To": "f05", "From": "f01001", "Nonce": -7}),
        json!({"To": "f05", "From": "f01001", "Value": 7}),
        json!({"To": "f05", "From": "f01001", "Value": null}),
        json!({"To": "f05", "From": "f01001", "GasLimit": 1.5}),
        json!({"To": "f05", "From": "f01001", "Params": "zz!"}),
        json!([]),
        Value::Null,
    ];
    for value in refused {
        assert!(to_message(&value).is_err(), "{value}");
    }
    // The exact name wins over another spelling, whichever comes first.
    let both = json!({"to": "f06", "To": "f05", "From": "f01001"});
    assert_eq!(to_message(&both).map(|m| m.to), Ok(address("f05")));
}

/// Spec chain-sealer-rpc B.10, shortened to the proposal.
const NODE_PROPOSAL: &str = r#"{"PieceCID":{"/":"baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa"},"PieceSize":34359738368,"VerifiedDeal":true,"Client":"f05678","Provider":"f01234","Label":"example-label","StartEpoch":5200000,"EndEpoch":6718400,"StoragePricePerEpoch":"0","ProviderCollateral":"8500000000000000","ClientCollateral":"0"}"#;

#[test]
fn proposals_both_ways() {
    let value: Value = serde_json::from_str(NODE_PROPOSAL).expect("JSON");
    let read = to_proposal(&value).expect("a proposal");
    assert_eq!(read.client, address("f05678"));
    assert_eq!(
        read.cid().to_string(),
        "bafy2bzacebj4hr6ly2e543xtjr6l27cacoxcc6uye3mlschqdsxntuoutis2m"
    );
    assert_eq!(from_proposal(&read), value);
    assert_eq!(to_proposal(&from_proposal(&proposal())), Ok(proposal()));
    let signed = signed();
    assert_eq!(
        to_client_proposal(&from_client_proposal(&signed)),
        Ok(signed)
    );
}

#[test]
fn labels_of_bytes_are_lost() {
    let mut bytes = proposal();
    bytes.label = Label::Bytes(vec![1, 2]);
    let value = from_proposal(&bytes);
    assert_eq!(value["Label"], json!(""));
    assert_eq!(
        to_proposal(&value).map(|p| p.label),
        Ok(Label::Text(String::new()))
    );
}

#[test]
fn every_field_of_a_proposal_is_needed() {
    let value = from_proposal(&proposal());
    for name in value.as_object().expect("an object").keys() {
        let mut without = value.clone();
        without.as_object_mut().expect("an object").remove(name);
        assert_eq!(to_proposal(&without).is_ok(), name == "Label", "{name}");
        let mut wrong = value.clone();
        wrong[name] = json!([]);
        assert!(to_proposal(&wrong).is_err(), "{name}");
    }
    assert!(to_proposal(&Value::Null).is_err());
    assert!(to_client_proposal(&json!({"Proposal": value})).is_err());
}

#[test]
fn fields_by_name() {
    let value = json!({"a": 1, "B": 2});
    assert_eq!(field(&value, "A"), Some(&json!(1)));
    assert_eq!(field(&value, "b"), Some(&json!(2)));
    assert_eq!(field(&value, "c"), None);
    assert_eq!(field(&json!("a"), "a"), None);
    assert_eq!(field(&Value::Null, "a"), None);
    // Only ASCII letters fold: no other name reaches a field.
    assert_eq!(field(&json!({"\u{212a}ey": 1}), "Key"), None);
}

/// Cases 1 to 4 of the network's public vectors: a message's JSON and its CBOR.
const UNSIGNED: &str = include_str!("data/unsigned_messages.json");
/// The network's public vectors of BLS signatures.
const SIGNING: &str = include_str!("data/message_signing.json");

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("an array")
}

#[test]
fn public_vectors_of_messages() {
    let cases = cases(UNSIGNED);
    assert_eq!(cases.len(), 4);
    for case in cases {
        let message = to_message(&case["message"]).expect("a message");
        let cbor = hex(to_text(&case["hex_cbor"]).expect("hexadecimal"));
        assert_eq!(message.encode(), cbor);
        assert_eq!(Message::decode(&cbor), Ok(message.clone()));
        // They print addresses of a test network; all else is the same.
        let mut printed = from_message(&message);
        for name in ["To", "From"] {
            let text = to_text(&printed[name])
                .expect("an address")
                .replacen('f', "t", 1);
            printed[name] = json!(text);
        }
        assert_eq!(printed, case["message"]);
    }
}

#[test]
fn public_vectors_of_bls_signatures() {
    let cases = cases(SIGNING);
    assert_eq!(cases.len(), 2);
    for case in cases {
        let message = to_message(&case["Unsigned"]).expect("a message");
        assert_eq!(case["Cid"], json!(message.cid().to_string()));
        let cid = hex(to_text(&case["CidHexBytes"]).expect("hexadecimal"));
        assert_eq!(message.cid().to_bytes(), cid);
        let export = json!({"Type": "bls", "PrivateKey": case["PrivateKey"]});
        let key = SecretKey::import_json(&export.to_string()).expect("a key");
        assert_eq!(key.address(), message.from);
        let signed = message.sign(&key);
        assert_eq!(from_signature(&signed.signature), case["Signature"]);
        assert!(signed.verify(&key.address()));
    }
}
