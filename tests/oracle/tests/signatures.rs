//! Signatures both ways against libsecp256k1 and against another BLS implementation.

use bls_signatures::Serialize;
use coracle::filecoin::signature::{ethereum_address, keccak_256, recover};
use coracle::filecoin::{Address, SecretKey, Signature, SignatureKind, cids};
use proptest::prelude::*;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey, Secp256k1, SecretKey as TheirSecretKey};

fn their_recovery(digest: [u8; 32], data: &[u8]) -> Option<[u8; 65]> {
    let (rs, v) = data.split_at_checked(64)?;
    let [v] = v else {
        return None;
    };
    let id = RecoveryId::try_from(i32::from(*v)).ok()?;
    let signature = RecoverableSignature::from_compact(rs, id).ok()?;
    let key = Secp256k1::new()
        .recover_ecdsa(Message::from_digest(digest), &signature)
        .ok()?;
    Some(key.serialize_uncompressed())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn secp256k1_both_ways(seed in any::<[u8; 32]>(),
                           message in prop::collection::vec(any::<u8>(), 0..200)) {
        let Ok(key) = SecretKey::secp256k1(&seed) else {
            return Ok(());
        };
        let context = Secp256k1::new();
        let theirs = TheirSecretKey::from_byte_array(seed).expect("a key");
        let public = PublicKey::from_secret_key(&context, &theirs);
        prop_assert_eq!(key.address(), Address::secp256k1(&public.serialize_uncompressed()));
        // The nonces follow RFC 6979 on both sides, so the signatures are the same.
        let digest = Message::from_digest(cids::blake2b_256(&message));
        let (id, rs) = context.sign_ecdsa_recoverable(digest, &theirs).serialize_compact();
        let mut data = rs.to_vec();
        data.push(u8::try_from(i32::from(id)).expect("0 to 3"));
        let ours = key.sign(&message);
        prop_assert_eq!(&ours.data, &data);
        prop_assert!(ours.verify(&key.address(), &message));
        prop_assert_eq!(their_recovery(cids::blake2b_256(&message), &data),
                        Some(public.serialize_uncompressed()));
    }

    /// Signatures of any bytes with any v: recovered to the same key, or to none by both.
    #[test]
    fn recovery_of_anything(digest in any::<[u8; 32]>(), v in 0_u8..6,
                            rs in prop::collection::vec(any::<u8>(), 64), small_r in any::<bool>()) {
        let mut data = rs;
        data.push(v);
        if small_r {
            // Below p - n, where v = 2 and 3 have a meaning.
            data[..17].fill(0);
        }
        prop_assert_eq!(recover(&digest, &data), their_recovery(digest, &data));
    }

    #[test]
    fn recovery_of_a_changed_signature(seed in any::<[u8; 32]>(), at in 0_usize..65, bit in 0_u8..8) {
        let Ok(key) = SecretKey::secp256k1(&seed) else {
            return Ok(());
        };
        let mut data = key.sign(&seed).data;
        data[at] ^= 1_u8 << bit;
        let digest = cids::blake2b_256(&seed);
        prop_assert_eq!(recover(&digest, &data), their_recovery(digest, &data));
        let changed = Signature { kind: SignatureKind::Secp256k1, data };
        prop_assert!(!changed.verify(&key.address(), &seed));
    }

    #[test]
    fn delegated(seed in any::<[u8; 32]>(), message in prop::collection::vec(any::<u8>(), 0..64)) {
        let Ok(secret) = TheirSecretKey::from_byte_array(seed) else {
            return Ok(());
        };
        let context = Secp256k1::new();
        let public = PublicKey::from_secret_key(&context, &secret).serialize_uncompressed();
        let digest = Message::from_digest(keccak_256(&message));
        let (id, rs) = context.sign_ecdsa_recoverable(digest, &secret).serialize_compact();
        let mut data = rs.to_vec();
        data.push(u8::try_from(i32::from(id)).expect("0 to 3"));
        let signature = Signature { kind: SignatureKind::Delegated, data };
        prop_assert!(signature.verify(&ethereum_address(&public), &message));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn bls_both_ways(random in any::<[u8; 32]>(),
                     message in prop::collection::vec(any::<u8>(), 0..200)) {
        let ours = SecretKey::generate_bls(&random).expect("a key");
        // Their key generation from key material is another draft's, so the key is handed over.
        let json = ours.export_json();
        let theirs = their_bls_key(&json);
        let public = theirs.public_key();
        let address = ours.address();
        prop_assert_eq!(public.as_bytes(), address.payload());
        let signature = theirs.sign(&message);
        prop_assert_eq!(&ours.sign(&message).data, &signature.as_bytes());
        prop_assert!(public.verify(signature, &message));
        prop_assert!(ours.sign(&message).verify(&ours.address(), &message));
    }

    #[test]
    fn changed_bls_signatures(random in any::<[u8; 32]>(), at in 0_usize..96, bit in 0_u8..8) {
        let key = SecretKey::generate_bls(&random).expect("a key");
        let mut signature = key.sign(&random);
        signature.data[at] ^= 1_u8 << bit;
        prop_assert!(!signature.verify(&key.address(), &random));
        let they = bls_signatures::Signature::from_bytes(&signature.data).is_ok_and(|signature| {
            let key = bls_signatures::PublicKey::from_bytes(key.address().payload());
            key.is_ok_and(|key| key.verify(signature, &random))
        });
        prop_assert!(!they);
    }
}

/// Their key from the base64 text of a Lotus export.
fn their_bls_key(json: &str) -> bls_signatures::PrivateKey {
    let base64 = json.split('"').nth(7).expect("the PrivateKey");
    let mut bits: u32 = 0;
    let mut held = 0;
    let mut bytes = Vec::new();
    for letter in base64.bytes().filter(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bls_signatures::PrivateKey::from_bytes(&bytes).expect("32 bytes, little-endian")
}
