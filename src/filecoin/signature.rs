//! Signatures of keys over messages (spec boost-mk12 1.5, chain-sealer-rpc C.4).

use super::{Address, address::Protocol, cids};
use blst::BLST_ERROR;
use blst::min_pk;
use k256::ecdsa::{self, RecoveryId, VerifyingKey};
use sha3::{Digest, Keccak256};

/// The longest signature in CBOR, with its type byte (spec boost-mk12 1.2).
pub const MAX_BYTES: usize = 200;
/// Bytes of a secp256k1 or delegated signature: r, s, v.
const RECOVERABLE_LEN: usize = 65;
/// The domain of BLS signatures of the chain.
pub(super) const BLS_DOMAIN: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_";

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureKind {
    /// Type 1: 65 bytes r‖s‖v over the BLAKE2b-256 of the message.
    Secp256k1,
    /// Type 2: 96 bytes, a compressed point of G2.
    Bls,
    /// Type 3: 65 bytes r‖s‖v over the Keccak-256 of the message.
    Delegated,
}

impl SignatureKind {
    /// The type byte on the wire and the `Type` in JSON.
    pub fn number(self) -> u8 {
        match self {
            Self::Secp256k1 => 1,
            Self::Bls => 2,
            Self::Delegated => 3,
        }
    }

    /// The kind with this type byte.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Secp256k1),
            2 => Some(Self::Bls),
            3 => Some(Self::Delegated),
            _ => None,
        }
    }
}

/// A signature, not yet known to be valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// How it was made.
    pub kind: SignatureKind,
    /// What was made, without the type byte.
    pub data: Vec<u8>,
}

impl Signature {
    /// Type byte and data, the content of the CBOR byte string.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind.number()];
        bytes.extend_from_slice(&self.data);
        bytes
    }

    /// Reads type byte and data: 1 to 200 bytes with a known type. The data's length is only
    /// looked at when it is verified, as in the reference.
    pub fn from_bytes(b: &[u8]) -> Option<Self> {
        let (&number, data) = b.split_first()?;
        if b.len() > MAX_BYTES {
            return None;
        }
        let kind = SignatureKind::from_number(number)?;
        Some(Self {
            kind,
            data: data.to_vec(),
        })
    }

    /// Whether the owner of `key` signed `message`. `key` is an f1, f3 or f410 address; false for
    /// any other, and for a kind that does not fit it.
    pub fn verify(&self, key: &Address, message: &[u8]) -> bool {
        match (self.kind, key.protocol()) {
            (SignatureKind::Secp256k1, Protocol::Secp256k1) => {
                let public = recover(&cids::blake2b_256(message), &self.data);
                public.is_some_and(|public| Address::secp256k1(&public) == *key)
            }
            (SignatureKind::Bls, Protocol::Bls) => verify_bls(key.payload(), &self.data, message),
            (SignatureKind::Delegated, Protocol::Delegated) => {
                let public = recover(&keccak_256(message), &self.data);
                public.is_some_and(|public| ethereum_address(&public) == *key)
            }
            _ => false,
        }
    }
}

/// Keccak-256, the hash of Ethereum (not SHA3-256).
pub fn keccak_256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// The f410 address of a public key in uncompressed form: the last 20 bytes of the Keccak-256 of
/// its two coordinates.
pub fn ethereum_address(public: &[u8; 65]) -> Address {
    let (_, coordinates) = public.split_at(1);
    let hash = keccak_256(coordinates);
    let tail = hash.last_chunk::<20>().copied().unwrap_or_default();
    Address::ethereum(&tail)
}

/// The public key, in uncompressed form, whose owner made the signature r‖s‖v over `digest`.
///
/// As in the reference, v may be 0 to 3 and s need not be the lower of its two values.
pub fn recover(digest: &[u8; 32], data: &[u8]) -> Option<[u8; RECOVERABLE_LEN]> {
    let data: &[u8; RECOVERABLE_LEN] = data.try_into().ok()?;
    let (rs, v) = data.split_at(64);
    let signature = ecdsa::Signature::from_slice(rs).ok()?;
    let id = RecoveryId::from_byte(*v.first()?)?;
    // The library recovers from a low s only; -s belongs to the point with the other y.
    let (signature, id) = match signature.normalize_s() {
        Some(low) => (low, RecoveryId::new(!id.is_y_odd(), id.is_x_reduced())),
        None => (signature, id),
    };
    let key = VerifyingKey::recover_from_prehash(digest, &signature, id).ok()?;
    key.to_encoded_point(false).as_bytes().try_into().ok()
}

/// Both encodings must be compressed points of their groups and not infinity.
fn verify_bls(public: &[u8], data: &[u8], message: &[u8]) -> bool {
    let Ok(public) = min_pk::PublicKey::uncompress(public) else {
        return false;
    };
    let Ok(signature) = min_pk::Signature::uncompress(data) else {
        return false;
    };
    if public.validate().is_err() || signature.validate(true).is_err() {
        return false;
    }
    let result = signature.verify(false, message, BLS_DOMAIN, &[], &public, false);
    result == BLST_ERROR::BLST_SUCCESS
}
