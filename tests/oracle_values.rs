//! Addresses, amounts, signatures and messages against `fvm_shared`, which the chain's own machine
//! is built on.

use cid::Cid;
use coracle::filecoin::message::{Message, SignedMessage};
use coracle::filecoin::{Address, SecretKey, Signature, SignatureKind, TokenAmount};
use coracle::filecoin::{cbor, cids};
use fvm_ipld_encoding::{RawBytes, from_slice, to_vec};
use fvm_shared::address::{Address as TheirAddress, Network};
use fvm_shared::bigint::BigInt;
use fvm_shared::crypto::signature::{Signature as TheirSignature, SignatureType};
use fvm_shared::econ::TokenAmount as TheirAmount;
use fvm_shared::message::Message as TheirMessage;
use multihash_codetable::{Code, MultihashDigest};
use proptest::prelude::*;
use sha2::Digest;

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
        prop_assert_eq!(ours.cid(), their_cid(&bytes));
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
        // What the chain tracks: for BLS the message without its signature, which is aggregated away.
        let tracked = if bls { to_vec(&theirs).expect("CBOR") } else { bytes.clone() };
        prop_assert_eq!(signed.cid(), their_cid(&tracked));
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

/// The CID of a chain object as their crates make it.
fn their_cid(bytes: &[u8]) -> Cid {
    Cid::new_v1(fvm_ipld_encoding::DAG_CBOR, Code::Blake2b256.digest(bytes))
}

proptest! {
    #[test]
    fn cids_of_chain_objects_as_bytes_text_and_cbor(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (ours, theirs) = (cids::chain_cid(&bytes), their_cid(&bytes));
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(cids::parse_cid(&theirs.to_bytes()), Some(ours));
        let text = ours.to_string();
        prop_assert!(text.starts_with("bafy2bzace"), "{}", text);
        prop_assert_eq!(text.parse::<Cid>().ok(), Some(theirs));
        let cbor = cbor::encoded(|out| cbor::put_cid(out, &ours));
        prop_assert_eq!(&cbor, &to_vec(&theirs).expect("CBOR"));
        prop_assert_eq!(cbor::decode_all(&cbor, cbor::get_cid), Ok(ours));
        let back: Cid = from_slice(&cbor).expect("our CBOR");
        prop_assert_eq!(back, theirs);
    }

    /// CIDs of any kind: what they read from a tagged byte string, we read alike.
    #[test]
    fn cids_of_any_kind(codec in any::<u32>(), hash in any::<u32>(),
                        digest in prop::collection::vec(any::<u8>(), 0..=64),
                        at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let hash = multihash_codetable::Multihash::wrap(hash.into(), &digest).expect("short");
        let cid = Cid::new_v1(codec.into(), hash);
        let mut cbor = to_vec(&cid).expect("CBOR");
        prop_assert_eq!(cbor::encoded(|out| cbor::put_cid(out, &cid)), cbor.clone());
        prop_assert_eq!(cbor::decode_all(&cbor, cbor::get_cid), Ok(cid));
        let at = at.index(cbor.len());
        cbor[at] = to;
        if let (Ok(ours), Ok(theirs)) =
            (cbor::decode_all(&cbor, cbor::get_cid), from_slice::<Cid>(&cbor)) {
            prop_assert_eq!(ours, theirs);
        }
    }

    /// The CIDs of a proposal: the chain's over its own bytes, the deal protocol's over the signed ones with SHA-256, and
    /// the piece's, assembled by hand.
    #[test]
    fn cids_of_proposals(root in any::<[u8; 32]>(), client in their_address(), size in 7_u32..36,
                         price in their_amount(), data in prop::collection::vec(any::<u8>(), 0..97)) {
        use coracle::filecoin::{ClientDealProposal, DealProposal, Label};
        let proposal = DealProposal {
            piece_cid: cids::piece_cid(&root),
            piece_size: 1 << size,
            verified: size % 2 == 0,
            client: ours(&client),
            provider: Address::id(1000),
            label: Label::Text("label".to_owned()),
            start_epoch: 5_200_000,
            end_epoch: 6_718_400,
            price_per_epoch: our_amount(&price),
            provider_collateral: TokenAmount::zero(),
            client_collateral: TokenAmount::zero(),
        };
        let piece = [[0x01, 0x81, 0xe2, 0x03, 0x92, 0x20, 0x20].as_slice(), &root].concat();
        prop_assert_eq!(proposal.piece_cid.to_bytes(), piece);
        prop_assert_eq!(proposal.cid(), their_cid(&proposal.encode()));
        let on_chain = proposal.chain_cid(&Address::id(7), &Address::id(1000));
        let by_id = DealProposal { client: Address::id(7), ..proposal.clone() };
        prop_assert_eq!(on_chain, their_cid(&by_id.encode()));
        let signature = Signature { kind: SignatureKind::Bls, data };
        let signed = ClientDealProposal { proposal, signature };
        let digest = sha2::Sha256::digest(signed.encode());
        let by_hand = [[0x01, 0x71, 0x12, 0x20].as_slice(), digest.as_slice()].concat();
        prop_assert_eq!(signed.signed_cid().to_bytes(), by_hand);
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
