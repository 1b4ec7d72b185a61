//! Addresses, amounts, signatures and messages against `fvm_shared`, which the chain's own machine
//! is built on.

use coracle::filecoin::cbor;
use coracle::filecoin::message::{Message, SignedMessage};
use coracle::filecoin::{Address, SecretKey, Signature, SignatureKind, TokenAmount};
use fvm_ipld_encoding::{RawBytes, from_slice, to_vec};
use fvm_shared::address::{Address as TheirAddress, Network};
use fvm_shared::bigint::BigInt;
use fvm_shared::crypto::signature::{Signature as TheirSignature, SignatureType};
use fvm_shared::econ::TokenAmount as TheirAmount;
use fvm_shared::message::Message as TheirMessage;
use proptest::prelude::*;

/// An address of any protocol, as theirs.
fn their_address() -> impl Strategy<Value = TheirAddress> {
    let actor_number = prop_oneof![0_u64..300, 0..=i64::MAX as u64];
    let bytes = |len| prop::collection::vec(any::<u8>(), len);
    prop_oneof![
        actor_number.clone().prop_map(TheirAddress::new_id),
        bytes(65).prop_map(|key| TheirAddress::new_secp256k1(&key).expect("65 bytes")),
        bytes(40).prop_map(|data| TheirAddress::new_actor(&data)),
        bytes(48).prop_map(|key| TheirAddress::new_bls(&key).expect("48 bytes")),
        (actor_number, prop::collection::vec(any::<u8>(), 0..=54))
            .prop_map(|(n, sub)| TheirAddress::new_delegated(n, &sub).expect("at most 54 bytes")),
    ]
}

/// The same address as ours.
fn ours(theirs: &TheirAddress) -> Address {
    Address::from_bytes(&theirs.to_bytes()).expect("their address")
}

fn their_amount() -> impl Strategy<Value = TheirAmount> {
    prop_oneof![
        any::<i64>().prop_map(TheirAmount::from_atto),
        (any::<u128>(), any::<bool>()).prop_map(|(n, negative)| {
            let n = BigInt::from(n);
            TheirAmount::from_atto(if negative { -n } else { n })
        }),
        prop::collection::vec(any::<u8>(), 0..=127).prop_map(|b| TheirAmount::from_atto(
            BigInt::from_bytes_be(fvm_shared::bigint::Sign::Plus, &b)
        )),
    ]
}

fn our_amount(theirs: &TheirAmount) -> TokenAmount {
    TokenAmount::parse_atto(&theirs.atto().to_string()).expect("their amount")
}

fn their_message() -> impl Strategy<Value = TheirMessage> {
    let amounts = (their_amount(), their_amount(), their_amount());
    let numbers = (any::<u64>(), 0..=i64::MAX as u64, any::<u64>());
    let params = prop::collection::vec(any::<u8>(), 0..300);
    (their_address(), their_address(), amounts, numbers, params).prop_map(
        |(
            from,
            to,
            (value, gas_fee_cap, gas_premium),
            (sequence, gas_limit, method_num),
            params,
        )| {
            let params = RawBytes::new(params);
            TheirMessage {
                version: 0,
                from,
                to,
                sequence,
                value,
                method_num,
                params,
                gas_limit,
                gas_fee_cap,
                gas_premium,
            }
        },
    )
}

fn our_message(theirs: &TheirMessage) -> Message {
    Message {
        version: theirs.version,
        to: ours(&theirs.to),
        from: ours(&theirs.from),
        nonce: theirs.sequence,
        value: our_amount(&theirs.value),
        gas_limit: i64::try_from(theirs.gas_limit).expect("63 bits"),
        gas_fee_cap: our_amount(&theirs.gas_fee_cap),
        gas_premium: our_amount(&theirs.gas_premium),
        method: theirs.method_num,
        params: theirs.params.bytes().to_vec(),
    }
}

proptest! {
    #[test]
    fn addresses_as_bytes_text_and_cbor(theirs in their_address()) {
        let ours = ours(&theirs);
        prop_assert_eq!(ours.as_bytes(), theirs.to_bytes());
        let text = ours.to_string();
        prop_assert_eq!(Network::Mainnet.parse_address(&text).ok(), Some(theirs));
        prop_assert_eq!(text.parse::<Address>(), Ok(ours.clone()));
        let elsewhere = text.replacen('f', "t", 1);
        prop_assert_eq!(Network::Testnet.parse_address(&elsewhere).ok(), Some(theirs));
        prop_assert_eq!(ours.actor_id(), theirs.id().ok());
        let cbor = cbor::encoded(|out| cbor::put_address(out, &ours));
        prop_assert_eq!(cbor, to_vec(&theirs).expect("CBOR"));
    }

    /// What we take for an address, they take for the same one.
    #[test]
    fn address_bytes_of_any_kind(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        if let Ok(ours) = Address::from_bytes(&bytes) {
            let theirs = TheirAddress::from_bytes(&bytes).expect("they take it too");
            prop_assert_eq!(ours.as_bytes(), theirs.to_bytes());
        }
    }

    /// One letter changed: an address only if they say so, and then the same one.
    #[test]
    fn mistyped_addresses(theirs in their_address(), at in any::<prop::sample::Index>(),
                          letter in "[a-z2-7]") {
        let mut text = ours(&theirs).to_string();
        let at = at.index(text.len() - 1) + 1;
        text.replace_range(at..=at, &letter);
        let read = text.parse::<Address>().ok().map(|a| a.as_bytes().to_vec());
        let they_read = Network::Mainnet.parse_address(&text).ok().map(TheirAddress::to_bytes);
        if read != they_read {
            // Only ours refuses a number with leading zeros.
            prop_assert_eq!(read, None);
            prop_assert!(text.starts_with("f00") || text.starts_with("f40"), "{}", text);
        }
    }

    #[test]
    fn amounts(theirs in their_amount()) {
        let ours = our_amount(&theirs);
        let cbor = to_vec(&theirs).expect("CBOR");
        prop_assert_eq!(cbor::encoded(|out| cbor::put_amount(out, &ours)), cbor.clone());
        prop_assert_eq!(cbor::decode_all(&cbor, cbor::get_amount), Ok(ours.clone()));
        prop_assert_eq!(ours.atto().to_string(), theirs.atto().to_string());
        // Theirs shows FIL with all its places.
        prop_assert_eq!(ours.to_fil_text().replace(" FIL", ""), theirs.to_string()
            .trim_end_matches('0').trim_end_matches('.').to_owned());
    }

    /// Amounts of any bytes: what they read, we read alike.
    #[test]
    fn amount_bytes_of_any_kind(bytes in prop::collection::vec(any::<u8>(), 0..140)) {
        let cbor = cbor::encoded(|out| cbor::put_bytes(out, &bytes));
        let theirs: Result<TheirAmount, _> = from_slice(&cbor);
        if let (Ok(theirs), Some(ours)) = (theirs, TokenAmount::from_bytes(&bytes)) {
            prop_assert_eq!(ours, our_amount(&theirs));
        }
    }

    #[test]
    fn messages(theirs in their_message()) {
        let ours = our_message(&theirs);
        let bytes = to_vec(&theirs).expect("CBOR");
        prop_assert_eq!(ours.encode(), bytes.clone());
        prop_assert_eq!(Message::decode(&bytes), Ok(ours.clone()));
        let back: TheirMessage = from_slice(&ours.encode()).expect("our CBOR");
        prop_assert_eq!(back, theirs);
        prop_assert!(ours.cid().to_string().starts_with("bafy2bzace"));
    }

    #[test]
    fn signatures_and_signed_messages(theirs in their_message(), bls in any::<bool>(),
                                      data in prop::collection::vec(any::<u8>(), 0..199)) {
        let (kind, sig_type) = if bls {
            (SignatureKind::Bls, SignatureType::BLS)
        } else {
            (SignatureKind::Secp256k1, SignatureType::Secp256k1)
        };
        let their_signature = TheirSignature { sig_type, bytes: data.clone() };
        let signature = Signature { kind, data };
        let cbor = to_vec(&their_signature).expect("CBOR");
        prop_assert_eq!(cbor::encoded(|out| cbor::put_signature(out, &signature)), cbor);
        let signed = SignedMessage { message: our_message(&theirs), signature };
        let bytes = to_vec(&(&theirs, &their_signature)).expect("CBOR");
        prop_assert_eq!(signed.encode(), bytes.clone());
        let back: (TheirMessage, TheirSignature) = from_slice(&bytes).expect("our CBOR");
        prop_assert_eq!(back, (theirs, their_signature));
        prop_assert_eq!(SignedMessage::decode(&bytes), Ok(signed));
    }

    /// Addresses of keys: their hash of the public key that we derive.
    #[test]
    fn key_addresses(seed in any::<[u8; 32]>()) {
        if let Ok(key) = SecretKey::secp256k1(&seed) {
            let public = k256::ecdsa::SigningKey::from_slice(&seed).expect("a key");
            let public = public.verifying_key().to_encoded_point(false);
            let theirs = TheirAddress::new_secp256k1(public.as_bytes()).expect("65 bytes");
            prop_assert_eq!(key.address(), ours(&theirs));
        }
        if let Ok(key) = SecretKey::generate_bls(&seed) {
            let theirs = TheirAddress::new_bls(key.address().payload()).expect("48 bytes");
            prop_assert_eq!(key.address(), ours(&theirs));
            prop_assert!(key.sign(&seed).verify(&key.address(), &seed));
        }
    }

    /// Any bytes: no reader may panic, and what is read is written as it was.
    #[test]
    fn hostile_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        use coracle::filecoin::{ClientDealProposal, DealProposal};
        let _ = cbor::scan(&bytes);
        let _ = DealProposal::decode(&bytes);
        let _ = ClientDealProposal::decode(&bytes);
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
        }
    }
}

/// A valid item with one byte changed: our scan and a full parse by them agree wherever the rules
/// are the same.
mod mutated {
    use super::*;

    proptest! {
        #[test]
        fn messages(theirs in their_message(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut bytes = to_vec(&theirs).expect("CBOR");
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Ok(ours) = Message::decode(&bytes) {
                // Amounts with leading zeros are read, and written without.
                let again = Message::decode(&ours.encode());
                prop_assert_eq!(again, Ok(ours.clone()));
                if let Ok(theirs) = from_slice::<TheirMessage>(&bytes) {
                    prop_assert_eq!(our_message(&theirs), ours);
                }
            }
        }
    }
}
