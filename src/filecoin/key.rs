//! Secret keys of clients and providers, and the text form in which Lotus exports them
//! (spec chain-sealer-rpc C.4).

use super::signature::BLS_DOMAIN;
use super::{Address, Signature, SignatureKind, cids};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blst::min_pk;
use k256::ecdsa::SigningKey;
use std::fmt;
use zeroize::Zeroizing;

/// The longest exported key that is looked at: about 110 characters of JSON, twice that in hex;
/// the rest is room for white space.
const MAX_EXPORT: usize = 1024;

/// A secret key. Its `Debug` form shows the address only, and its memory is wiped when dropped.
#[derive(Clone)]
pub struct SecretKey(Kind);

#[derive(Clone)]
enum Kind {
    Secp256k1(Box<SigningKey>),
    Bls(Box<min_pk::SecretKey>),
}

/// Why something is not a secret key. It never contains key material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// The text or the bytes are not a key; the text says what is wrong.
    Malformed(&'static str),
    /// A key of this kind exists but is not supported here: a delegated one.
    Unsupported,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "not a secret key: {what}"),
            Self::Unsupported => f.write_str("only secp256k1 and bls keys are supported"),
        }
    }
}

impl std::error::Error for KeyError {}

impl SecretKey {
    /// A secp256k1 key: 32 bytes big-endian, not zero and below the group's order.
    pub fn secp256k1(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_slice(seed)
            .map_err(|_| KeyError::Malformed("out of range for secp256k1"))?;
        Ok(Self(Kind::Secp256k1(Box::new(key))))
    }

    /// A BLS key as in a Lotus export: 32 bytes little-endian, not zero and below the group's
    /// order.
    pub fn bls(le_bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let mut be = Zeroizing::new(*le_bytes);
        be.reverse();
        let key = min_pk::SecretKey::from_bytes(be.as_slice())
            .map_err(|_| KeyError::Malformed("out of range for bls"))?;
        Ok(Self(Kind::Bls(Box::new(key))))
    }

    /// A new secp256k1 key from 32 random bytes. The error has a chance of 2^-128; ask again with
    /// other bytes.
    pub fn generate_secp256k1(random: &[u8; 32]) -> Result<Self, KeyError> {
        Self::secp256k1(random)
    }

    /// A new BLS key from 32 random bytes, by the key generation of the BLS signature draft.
    pub fn generate_bls(random: &[u8; 32]) -> Result<Self, KeyError> {
        let key = min_pk::SecretKey::key_gen(random, &[])
            .map_err(|_| KeyError::Malformed("unusable randomness"))?;
        Ok(Self(Kind::Bls(Box::new(key))))
    }

    /// The f1 or f3 address of the key.
    pub fn address(&self) -> Address {
        match &self.0 {
            Kind::Secp256k1(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                // Uncompressed points have 65 bytes.
                let mut public = [0; 65];
                for (to, from) in public.iter_mut().zip(point.as_bytes()) {
                    *to = *from;
                }
                Address::secp256k1(&public)
            }
            Kind::Bls(key) => Address::bls(&key.sk_to_pk().compress()),
        }
    }

    /// Signs a message (not a digest). secp256k1 nonces follow RFC 6979, s is the lower of its two
    /// values, v is 0 or 1.
    pub fn sign(&self, message: &[u8]) -> Signature {
        match &self.0 {
            Kind::Secp256k1(key) => {
                let data = sign_recoverable(key, &cids::blake2b_256(message));
                Signature {
                    kind: SignatureKind::Secp256k1,
                    data,
                }
            }
            Kind::Bls(key) => {
                let data = key.sign(message, BLS_DOMAIN, &[]).compress().to_vec();
                Signature {
                    kind: SignatureKind::Bls,
                    data,
                }
            }
        }
    }

    /// The Lotus export: lower-case hex of `{"Type":"secp256k1"|"bls","PrivateKey":"<base64>"}`.
    pub fn export_lotus(&self) -> String {
        let json = Zeroizing::new(self.export_json());
        let mut hex = String::with_capacity(json.len().saturating_mul(2));
        for byte in json.bytes() {
            for nibble in [byte >> 4, byte & 0xf] {
                hex.extend(char::from_digit(nibble.into(), 16));
            }
        }
        hex
    }

    /// The JSON of the Lotus export.
    pub fn export_json(&self) -> String {
        let (name, bytes) = match &self.0 {
            Kind::Secp256k1(key) => (
                "secp256k1",
                Zeroizing::new(<[u8; 32]>::from(key.to_bytes())),
            ),
            Kind::Bls(key) => {
                let mut bytes = Zeroizing::new(key.to_bytes());
                bytes.reverse();
                ("bls", bytes)
            }
        };
        let base64 = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
        format!(
            "{{\"Type\":\"{name}\",\"PrivateKey\":\"{}\"}}",
            base64.as_str()
        )
    }

    /// Reads a Lotus export; white space around it is ignored.
    pub fn import_lotus(hex: &str) -> Result<Self, KeyError> {
        let hex = hex.trim();
        if hex.len() > MAX_EXPORT {
            return Err(KeyError::Malformed("too long"));
        }
        let json = Zeroizing::new(unhex(hex).ok_or(KeyError::Malformed("not hexadecimal"))?);
        let json = std::str::from_utf8(&json)
            .map_err(|_| KeyError::Malformed("not JSON in hexadecimal"))?;
        Self::import_json(json)
    }

    /// Reads the JSON of a Lotus export. Field names in any case, as Lotus reads them.
    pub fn import_json(json: &str) -> Result<Self, KeyError> {
        if json.len() > MAX_EXPORT {
            return Err(KeyError::Malformed("too long"));
        }
        let value: serde_json::Value =
            serde_json::from_str(json.trim()).map_err(|_| KeyError::Malformed("not JSON"))?;
        let field = |name: &str| super::json::field(&value, name).and_then(|v| v.as_str());
        let kind = field("Type").ok_or(KeyError::Malformed("no Type"))?;
        let base64 = field("PrivateKey").ok_or(KeyError::Malformed("no PrivateKey"))?;
        let bytes = STANDARD
            .decode(base64)
            .map_err(|_| KeyError::Malformed("PrivateKey is not base64"))?;
        let bytes = Zeroizing::new(bytes);
        let bytes: &[u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| KeyError::Malformed("PrivateKey does not have 32 bytes"))?;
        match kind {
            "secp256k1" => Self::secp256k1(bytes),
            "bls" => Self::bls(bytes),
            "delegated" => Err(KeyError::Unsupported),
            _ => Err(KeyError::Malformed("unknown Type")),
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.address())
    }
}

/// Signs a digest: r‖s‖v.
fn sign_recoverable(key: &SigningKey, digest: &[u8; 32]) -> Vec<u8> {
    // A 32-byte digest is never refused; an empty signature would verify nowhere.
    let Ok((signature, id)) = key.sign_prehash_recoverable(digest) else {
        return Vec::new();
    };
    let mut data = signature.to_bytes().to_vec();
    data.push(id.to_byte());
    data
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    let mut digits = hex.chars();
    while let Some(high) = digits.next() {
        let (high, low) = (high.to_digit(16)?, digits.next()?.to_digit(16)?);
        bytes.push(u8::try_from((high << 4) | low).ok()?);
    }
    Some(bytes)
}
