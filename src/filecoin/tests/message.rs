//! Messages: the worked vector of spec chain-sealer-rpc C.4.

use super::{address, hex};
use crate::filecoin::cbor::CborError;
use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{SecretKey, SignatureKind, TokenAmount};

const KEY: &str = "fb06ee473003bc9e0ce532147faa9e920b5048651a641400928b93c10598c354";
const CBOR: &str = "8a004200055501d5b329e32f51076d8bb2d114fedd954be798aea70749000de0b6b3a764000\
    01a01312d00440016e360440001d4c002444300d209";
const SIGNATURE: &str = "700aecd62382371c919a72e3341e51396b3f1064ebe71f8dd547837712ae3e172f2ada5\
    20716239afd91826d9f2838da90c57a6dc4ee7a53d3b0653f13a6472000";

/// The message of the vector.
pub fn message() -> Message {
    Message {
        version: 0,
        to: address("f05"),
        from: address("f12wzstyzpkedw3c5s2ekp5xmvjptzrlvh7nq6drq"),
        nonce: 7,
        value: TokenAmount::parse_fil("1").expect("1 FIL"),
        gas_limit: 20_000_000,
        gas_fee_cap: TokenAmount::from_atto(1_500_000),
        gas_premium: TokenAmount::from_atto(120_000),
        method: 2,
        params: hex("4300d209"),
    }
}

/// The key of the vector.
pub fn key() -> SecretKey {
    SecretKey::secp256k1(&hex(KEY).try_into().expect("32 bytes")).expect("a key")
}

#[test]
fn worked_vector() {
    let message = message();
    assert_eq!(key().address(), message.from);
    assert_eq!(message.encode(), hex(CBOR));
    assert_eq!(Message::decode(&hex(CBOR)), Ok(message.clone()));
    assert_eq!(
        message.cid().to_string(),
        "bafy2bzacece6x43mowcsbjuryrvijs5nmebwhhk5f5rsc7igi4t75pvryncuc"
    );
    let cid = hex("0171a0e4022089ebf36c758520a691c46a84cbad6103639d5d2f63217d064727febeb1c34541");
    assert_eq!(message.cid().to_bytes(), cid);
    // A hash of a hash: what a secp256k1 key signs.
    assert_eq!(
        crate::filecoin::cids::blake2b_256(&cid).to_vec(),
        hex("649ad460546f33cf8eec9c4ba29e410699cc2e1ab30cb1839dfbee3a07578071")
    );
    let signed = message.clone().sign(&key());
    assert_eq!(signed.signature.data, hex(SIGNATURE));
    assert_eq!(
        signed.cid().to_string(),
        "bafy2bzacebsqy7vhpd6oz7yyu3rjrweocn3b2siqk3lcf67yhwwxcbmpuiwmo"
    );
    assert!(signed.verify(&message.from));
    assert!(!signed.verify(&address("f05")));
}

#[test]
fn signed_messages_both_ways() {
    let bls = SecretKey::generate_bls(&[1; 32]).expect("a key");
    let by_bls = Message {
        from: bls.address(),
        ..message()
    }
    .sign(&bls);
    assert_eq!(by_bls.cid(), by_bls.message.cid());
    assert!(by_bls.verify(&bls.address()));
    let by_secp = message().sign(&key());
    assert_ne!(by_secp.cid(), by_secp.message.cid());
    for signed in [by_bls, by_secp] {
        let bytes = signed.encode();
        assert_eq!(SignedMessage::decode(&bytes), Ok(signed));
        for cut in 0..bytes.len() {
            assert!(
                SignedMessage::decode(&bytes[..cut]).is_err(),
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn every_field_is_signed() {
    let signed = message().sign(&key());
    let from = message().from;
    let changes: [fn(&mut Message); 8] = [
        |m| m.to = address("f06"),
        |m| m.nonce += 1,
        |m| m.value = TokenAmount::zero(),
        |m| m.gas_limit += 1,
        |m| m.gas_fee_cap = TokenAmount::zero(),
        |m| m.gas_premium = TokenAmount::zero(),
        |m| m.method = 3,
        |m| m.params.clear(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut changed = signed.clone();
        change(&mut changed.message);
        assert!(!changed.verify(&from), "change {n}");
    }
}

#[test]
fn delegated_signatures_are_not_over_the_cid() {
    let mut signed = message().sign(&key());
    signed.signature.kind = SignatureKind::Delegated;
    assert!(!signed.verify(&message().from));
}

#[test]
fn refused_messages() {
    let text = CBOR.replace(' ', "");
    let decode = |from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        Message::decode(&hex(&text.replace(from, to)))
    };
    assert!(decode("8a00420005", "8900420005").is_err());
    assert!(decode("8a00420005", "8a01420005").is_err(), "version 1");
    assert!(decode("8a00420005", "8a0040").is_err(), "no recipient");
    assert!(decode("8a00420005", "9f00420005").is_err());
    assert!(
        decode("02444300d209", "02644300d209").is_err(),
        "text for params"
    );
    assert!(decode("02444300d209", "0244").is_err());
    let negative = decode("1a01312d00", "20").expect("gas limits are signed");
    assert_eq!(negative.gas_limit, -1);
    let empty = decode("02444300d209", "0240").expect("no params");
    assert!(empty.params.is_empty());
    let mut longer = hex(&text);
    longer.push(0xf6);
    assert_eq!(Message::decode(&longer), Err(CborError::Trailing));
    let huge = format!("{}5a00200001", &text[..text.len() - 10]);
    assert_eq!(
        Message::decode(&hex(&huge)),
        Err(CborError::TooLong("byte string"))
    );
}
