//! Signatures and keys: spec chain-sealer-rpc C.4, D.3; boost-mk12 1.5.

use super::{address, hex};
use crate::filecoin::key::KeyError;
use crate::filecoin::signature::{ethereum_address, keccak_256, recover};
use crate::filecoin::{Address, SecretKey, Signature, SignatureKind};

/// The client's key of spec chain-sealer-rpc D.3.
const SECP: &str = "c3e509cf4d66bc0c890b916be8a7772194e982cada8d14c81b091b2ba461a9f9";
/// Its signature over the proposal there.
const SECP_SIGNATURE: &str = "a86d1febf0fc1e9363a5c9c465a543963bc387dcce2ac07245bc71b30f7bb272\
    54032b974bb893bf94d64dbb67a26e099208d2bcc18eaade0b6d59efe376546700";
const PROPOSAL: &str = "8bd82a5828000181e203922020de6815dcb348843215a94de532954b60be550a4bec\
    6e74555665e9a5ec4e0f3c1b0000000800000000f555013ecade4b574f8853f106757873dee81b5b3968ec4300d209\
    6d6578616d706c652d6c6162656c1a004f58801a006683c04048001e32b47897400040";

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().expect("the right length")
}

fn secp() -> SecretKey {
    SecretKey::secp256k1(&array(SECP)).expect("a key")
}

fn bls() -> SecretKey {
    SecretKey::generate_bls(&[7; 32]).expect("a key")
}

#[test]
fn a_signed_proposal_has_a_cid_and_a_place_in_the_parameters() {
    use crate::filecoin::market_actor::encode_publish;
    use crate::filecoin::{ClientDealProposal, DealProposal};
    let signed = ClientDealProposal {
        proposal: DealProposal::decode(&hex(PROPOSAL)).expect("a proposal"),
        signature: secp().sign(&hex(PROPOSAL)),
    };
    // SHA-256, not BLAKE2b: the deal protocols' name for it (D.3).
    assert_eq!(
        signed.signed_cid().to_string(),
        "bafyreiasx4h7gvr44yl75g63aliady3e54h2uitqvpctxvysden7wnpwva"
    );
    let params = encode_publish(std::slice::from_ref(&signed));
    assert_eq!((signed.encode().len(), params.len()), (185, 187));
    assert_eq!(params, [hex("8181"), signed.encode()].concat());
}

#[test]
fn secp256k1_vector() {
    let key = secp();
    assert_eq!(
        key.address().to_string(),
        "f1h3fn4s2xj6efh4igov4hhxxidnnts2hmygyrc7y"
    );
    let signature = key.sign(&hex(PROPOSAL));
    assert_eq!(signature.kind, SignatureKind::Secp256k1);
    assert_eq!(signature.data, hex(SECP_SIGNATURE));
    assert!(signature.verify(&key.address(), &hex(PROPOSAL)));
    assert!(!signature.verify(&key.address(), b"another message"));
}

#[test]
fn bls_vector() {
    let key = address(
        "f3tcgq5scpfhdwh4dbalwktzf6mbv3ng2nw7tyzni5cyrsgvineid6jybnweecpa6misa6lk4tvwtxj2gkwpzq",
    );
    let data = hex(
        "9927444bfcffdca34af57b78757b9b90f1cd28d2a3aeed2aa6bde299f8bbb9184756f2287b0588e6d3f2860d2b\
         b2066e0c59778c1e644fb2cfb35fba8f09fa824a9ed825108c82ff4bf634c1037eeaf185f45673d4a1c1c6eeb7\
         12b7d72a5498",
    );
    let signature = Signature {
        kind: SignatureKind::Bls,
        data,
    };
    assert!(signature.verify(&key, b"potato"));
    assert!(!signature.verify(&key, b"potatoe"));
    let mut other = signature.clone();
    other.data[95] ^= 1;
    assert!(!other.verify(&key, b"potato"));
}

#[test]
fn bls_refuses_what_is_not_a_compressed_group_member() {
    let key = bls();
    let good = key.sign(b"message");
    assert!(good.verify(&key.address(), b"message"));
    let with = |data: Vec<u8>| Signature {
        kind: SignatureKind::Bls,
        data,
    };
    let mut infinity = vec![0; 96];
    infinity[0] = 0xc0;
    assert!(
        !with(infinity.clone()).verify(&key.address(), b"message"),
        "infinity"
    );
    let mut uncompressed_flag = good.data.clone();
    uncompressed_flag[0] &= 0x7f;
    assert!(!with(uncompressed_flag).verify(&key.address(), b"message"));
    let point = blst::min_pk::Signature::uncompress(&good.data).expect("a point");
    assert!(
        !with(point.serialize().to_vec()).verify(&key.address(), b"message"),
        "192 bytes"
    );
    assert!(!with(good.data[..95].to_vec()).verify(&key.address(), b"message"));
    assert!(!with(Vec::new()).verify(&key.address(), b"message"));
    // Infinity as key and as signature satisfies the pairing equation, so it must be refused.
    let mut nobody = [0; 48];
    nobody[0] = 0xc0;
    assert!(!with(infinity).verify(&Address::bls(&nobody), b"message"));
    assert!(
        !good.verify(&Address::bls(&[0x11; 48]), b"message"),
        "not a point"
    );
}

#[test]
fn kinds_must_fit_the_address() {
    let (secp, bls) = (secp(), bls());
    let mut signature = secp.sign(b"message");
    assert!(!signature.verify(&bls.address(), b"message"));
    assert!(
        !signature.verify(&address("f01234"), b"message"),
        "an ID is no key"
    );
    signature.kind = SignatureKind::Bls;
    assert!(!signature.verify(&secp.address(), b"message"));
    signature.kind = SignatureKind::Delegated;
    assert!(!signature.verify(&secp.address(), b"message"));
    let mut signature = bls.sign(b"message");
    signature.kind = SignatureKind::Secp256k1;
    assert!(!signature.verify(&bls.address(), b"message"));
}

#[test]
fn malformed_recoverable_signatures() {
    let key = secp();
    let good = key.sign(b"message");
    let bad = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut signature = good.clone();
        change(&mut signature.data);
        assert!(
            !signature.verify(&key.address(), b"message"),
            "{:02x?}",
            signature.data
        );
    };
    bad(&|data| data[64] ^= 1);
    bad(&|data| data[64] = 4);
    bad(&|data| data[64] = data[64].wrapping_add(27));
    bad(&|data| data[0] ^= 0x80);
    bad(&|data| data[40] ^= 1);
    bad(&|data| data.truncate(64));
    bad(&|data| data.push(0));
    bad(&|data| data.clear());
    bad(&|data| data[..32].fill(0));
    bad(&|data| data[32..64].fill(0));
    bad(&|data| data[..32].fill(0xff));
    bad(&|data| data[32..64].fill(0xff));
}

#[test]
fn signed_with_low_s_and_verified_with_either() {
    let key = secp();
    for n in 0..16_u8 {
        let signature = key.sign(&[n]);
        let parsed = k256::ecdsa::Signature::from_slice(&signature.data[..64]).expect("valid");
        assert!(parsed.normalize_s().is_none(), "s is low");
        assert!(signature.data[64] < 2);
        // The other s of the same signature, with the other v: the reference recovers from it too.
        let (r, s) = parsed.split_scalars();
        let other = k256::ecdsa::Signature::from_scalars(r, -*s).expect("valid");
        let mut data = other.to_bytes().to_vec();
        data.push(signature.data[64] ^ 1);
        let other = Signature {
            kind: SignatureKind::Secp256k1,
            data,
        };
        assert!(other.verify(&key.address(), &[n]));
        assert!(!other.verify(&key.address(), &[n, n]));
    }
}

#[test]
fn keccak_and_ethereum_addresses() {
    assert_eq!(
        keccak_256(b"").to_vec(),
        hex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
    );
    assert_eq!(
        keccak_256(b"abc").to_vec(),
        hex("4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45")
    );
    // The key 1: its public key is the group's generator, its address is well known.
    let generator = array(
        "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
         483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
    );
    let known = Address::ethereum(&array("7e5f4552091a69125d5dfcb7b8c2659029395bdf"));
    assert_eq!(ethereum_address(&generator), known);
    assert!(known.to_string().starts_with("f410f"));
}

#[test]
fn delegated_signatures() {
    let key = k256::ecdsa::SigningKey::from_slice(&[9; 32]).expect("a key");
    let public = key.verifying_key().to_encoded_point(false);
    let owner = ethereum_address(public.as_bytes().try_into().expect("65 bytes"));
    let message = [0x42; 16];
    let (signed, id) = key
        .sign_prehash_recoverable(&keccak_256(&message))
        .expect("signed");
    let mut data = signed.to_bytes().to_vec();
    data.push(id.to_byte());
    let signature = Signature {
        kind: SignatureKind::Delegated,
        data,
    };
    assert!(signature.verify(&owner, &message));
    assert!(!signature.verify(&owner, &message[1..]));
    assert!(!signature.verify(&Address::ethereum(&[3; 20]), &message));
    // The same 20 bytes in another namespace are another owner.
    let elsewhere = Address::delegated(11, &owner.payload()[1..]).expect("an address");
    assert!(!signature.verify(&elsewhere, &message));
    assert!(recover(&keccak_256(&message), &signature.data).is_some());
}

#[test]
fn wire_form() {
    let signature = Signature {
        kind: SignatureKind::Bls,
        data: vec![5; 3],
    };
    assert_eq!(signature.to_bytes(), [2, 5, 5, 5]);
    for kind in [
        SignatureKind::Secp256k1,
        SignatureKind::Bls,
        SignatureKind::Delegated,
    ] {
        let signature = Signature {
            kind,
            data: vec![1; 65],
        };
        assert_eq!(
            Signature::from_bytes(&signature.to_bytes()),
            Some(signature)
        );
    }
    assert_eq!(Signature::from_bytes(&[]), None);
    assert_eq!(Signature::from_bytes(&[0, 1]), None);
    assert_eq!(Signature::from_bytes(&[4, 1]), None);
    assert!(
        Signature::from_bytes(&[1]).is_some(),
        "the length is looked at when verifying"
    );
    let mut long = vec![1; 200];
    assert!(Signature::from_bytes(&long).is_some());
    long.push(1);
    assert_eq!(Signature::from_bytes(&long), None);
}

fn hexadecimal(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes all");
        hex
    })
}

#[test]
fn lotus_export_both_ways() {
    let json =
        r#"{"Type":"secp256k1","PrivateKey":"w+UJz01mvAyJC5Fr6Kd3IZTpgsrajRTIGwkbK6RhqfE="}"#;
    // The key is SECP but for its last byte, so the base64 text is checked as well.
    let key = SecretKey::import_json(json).expect("a key");
    assert_eq!(key.export_json(), json);
    assert_eq!(key.export_lotus(), hexadecimal(json));
    for key in [secp(), bls()] {
        let export = key.export_lotus();
        assert!(
            export
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        );
        let again = SecretKey::import_lotus(&format!(" {export}\n")).expect("its own export");
        assert_eq!(again.address(), key.address());
        assert_eq!(again.sign(b"message"), key.sign(b"message"));
        let upper = SecretKey::import_lotus(&export.to_uppercase()).expect("upper case");
        assert_eq!(upper.address(), key.address());
    }
}

#[test]
fn bls_bytes_are_little_endian() {
    let mut one = [0; 32];
    one[0] = 1;
    let key = SecretKey::bls(&one).expect("the key 1");
    // The public key of 1 is the generator of G1.
    let generator = hex(
        "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb\
         22c6bb",
    );
    assert_eq!(key.address().payload(), generator);
    assert!(
        key.export_json()
            .contains("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    );
}

#[test]
fn refused_keys() {
    assert!(SecretKey::secp256k1(&[0; 32]).is_err());
    assert!(SecretKey::secp256k1(&[0xff; 32]).is_err());
    assert!(SecretKey::bls(&[0; 32]).is_err());
    assert!(SecretKey::bls(&[0xff; 32]).is_err());
    assert!(SecretKey::generate_secp256k1(&[0; 32]).is_err());
    let key = "w+UJz01mvAyJC5Fr6Kd3IZTpgsrajRTIGwkbK6RhqfE=";
    let jsons = [
        String::new(),
        "{}".into(),
        "[]".into(),
        "null".into(),
        format!(r#"{{"Type":"secp256k1","PrivateKey":"{key}""#),
        format!(r#"{{"Type":"secp256r1","PrivateKey":"{key}"}}"#),
        format!(r#"{{"Type":1,"PrivateKey":"{key}"}}"#),
        format!(r#"{{"PrivateKey":"{key}"}}"#),
        r#"{"Type":"secp256k1"}"#.into(),
        r#"{"Type":"secp256k1","PrivateKey":"AAAA"}"#.into(),
        r#"{"Type":"secp256k1","PrivateKey":"!"}"#.into(),
        format!(
            r#"{{"Type":"secp256k1","PrivateKey":"{key}","x":"{}"}}"#,
            "x".repeat(1024)
        ),
    ];
    for json in jsons {
        assert!(
            matches!(SecretKey::import_json(&json), Err(KeyError::Malformed(_))),
            "{json}"
        );
    }
    let delegated = format!(r#"{{"Type":"delegated","PrivateKey":"{key}"}}"#);
    assert!(matches!(
        SecretKey::import_json(&delegated),
        Err(KeyError::Unsupported)
    ));
    for hex in ["", "0", "zz", "7b7d", "7b7", "ff00", "\u{20ac}"] {
        assert!(SecretKey::import_lotus(hex).is_err(), "{hex}");
    }
}

#[test]
fn debug_and_errors_hide_the_key() {
    let shown = format!("{:?}", secp());
    assert_eq!(
        shown,
        "SecretKey(f1h3fn4s2xj6efh4igov4hhxxidnnts2hmygyrc7y)"
    );
    let error = SecretKey::import_json(&format!("{{\"Type\":\"bls\",\"PrivateKey\":\"{SECP}\"}}"));
    let error = error.expect_err("no base64 of 32 bytes");
    let shown = format!("{error:?} {error}");
    assert!(!shown.contains(&SECP[..8]));
}
