//! Addresses of actors: one protocol byte and a payload, and their text with a checksum (spec
//! chain-sealer-rpc C.3).
//!
//! The network letter (`f` mainnet, `t` elsewhere) is not part of an address: both are read, `f` is
//! printed, and two addresses are compared by their bytes.

use super::{base32, varint};
use std::fmt;

/// The longest address in bytes: protocol byte, nine bytes of namespace, 54 bytes of sub-address.
/// It is also the limit that the chain sets on an address in CBOR (spec boost-mk12 1.2).
pub const MAX_BYTES: usize = 64;
/// The longest text that is looked at (spec chain-sealer-rpc C.3).
pub const MAX_TEXT: usize = 115;
/// Bytes of a secp256k1 or actor payload (a BLAKE2b-160).
const HASH_LEN: usize = 20;
/// Bytes of a BLS payload (a compressed G1 point).
const BLS_LEN: usize = 48;
/// The longest sub-address of a delegated address.
const MAX_SUBADDRESS: usize = 54;
/// Bytes of the checksum in an address text.
const CHECKSUM_LEN: usize = 4;
/// The namespace of Ethereum addresses: `f410f…`.
pub const ETHEREUM_NAMESPACE: u8 = 10;

/// An actor's address.
#[derive(Clone)]
pub struct Address {
    len: usize,
    bytes: [u8; MAX_BYTES],
}

/// What an address names its actor by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `f0`: the actor's number.
    Id,
    /// `f1`: the hash of a secp256k1 public key.
    Secp256k1,
    /// `f2`: the hash of what created the actor.
    Actor,
    /// `f3`: a BLS public key.
    Bls,
    /// `f4`: a sub-address within the namespace of another actor.
    Delegated,
}

/// Why bytes or a text are not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// There are no bytes or no text.
    Empty,
    /// More than 64 bytes, or more than 115 characters.
    TooLong,
    /// The first letter is neither `f` nor `t`.
    Network,
    /// The protocol is not one of 0 to 4.
    Protocol,
    /// The payload does not have the length of its protocol.
    PayloadLength,
    /// The number is not in its shortest form, or beyond 2^63 - 1.
    Number,
    /// The text is not lower-case base32 in its only valid form.
    Base32,
    /// The checksum does not fit: the text was mistyped.
    Checksum,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the address is empty",
            Self::TooLong => "the address is too long",
            Self::Network => "an address begins with f or t",
            Self::Protocol => "the address has an unknown protocol",
            Self::PayloadLength => "the address has a wrong length",
            Self::Number => "the number in the address is malformed",
            Self::Base32 => "the address is not in lower-case base32",
            Self::Checksum => "the checksum of the address does not fit",
        })
    }
}

impl std::error::Error for AddressError {}

impl Address {
    /// The address of the actor with this number. Numbers are below 2^63; peers refuse the address
    /// of a larger one.
    pub fn id(actor: u64) -> Self {
        let mut bytes = vec![0];
        varint::put(&mut bytes, actor);
        Self::from_checked(&bytes)
    }

    /// The `f1` address of a public key in uncompressed SEC1 form (leading 0x04).
    pub fn secp256k1(uncompressed_public_key: &[u8; 65]) -> Self {
        let hash = blake2b(HASH_LEN, uncompressed_public_key);
        Self::from_parts(1, hash.as_bytes())
    }

    /// The `f3` address of a compressed public key.
    pub fn bls(public_key: &[u8; 48]) -> Self {
        Self::from_parts(3, public_key)
    }

    /// The `f4` address of a sub-address (at most 54 bytes) in the namespace of an actor number
    /// (below 2^63).
    pub fn delegated(namespace: u64, subaddress: &[u8]) -> Result<Self, AddressError> {
        let mut bytes = vec![4];
        varint::put(&mut bytes, namespace);
        bytes.extend_from_slice(subaddress);
        Self::from_bytes(&bytes)
    }

    /// The `f410f…` address of an Ethereum address.
    pub fn ethereum(address: &[u8; 20]) -> Self {
        let mut payload = vec![ETHEREUM_NAMESPACE];
        payload.extend_from_slice(address);
        Self::from_parts(4, &payload)
    }

    /// Reads the binary form: protocol byte and payload.
    pub fn from_bytes(b: &[u8]) -> Result<Self, AddressError> {
        let (&protocol, payload) = b.split_first().ok_or(AddressError::Empty)?;
        if b.len() > MAX_BYTES {
            return Err(AddressError::TooLong);
        }
        match protocol {
            0 => {
                let (_, rest) = number(payload)?;
                expect_length(rest.is_empty())?;
            }
            1 | 2 => expect_length(payload.len() == HASH_LEN)?,
            3 => expect_length(payload.len() == BLS_LEN)?,
            4 => {
                let (_, subaddress) = number(payload)?;
                expect_length(subaddress.len() <= MAX_SUBADDRESS)?;
            }
            _ => return Err(AddressError::Protocol),
        }
        Ok(Self::from_checked(b))
    }

    /// The binary form: protocol byte and payload.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// What the address names its actor by.
    pub fn protocol(&self) -> Protocol {
        match self.bytes[0] {
            0 => Protocol::Id,
            1 => Protocol::Secp256k1,
            2 => Protocol::Actor,
            3 => Protocol::Bls,
            // The constructors let only 0 to 4 pass.
            _ => Protocol::Delegated,
        }
    }

    /// The binary form without the protocol byte.
    pub fn payload(&self) -> &[u8] {
        self.as_bytes().get(1..).unwrap_or_default()
    }

    /// The number of an ID address.
    pub fn actor_id(&self) -> Option<u64> {
        if self.protocol() != Protocol::Id {
            return None;
        }
        varint::get(self.payload()).map(|(id, _)| id)
    }

    /// The storage market actor, f05.
    pub fn market_actor() -> Self {
        Self::id(5)
    }

    fn from_parts(protocol: u8, payload: &[u8]) -> Self {
        let mut bytes = vec![protocol];
        bytes.extend_from_slice(payload);
        Self::from_checked(&bytes)
    }

    /// Takes bytes whose form is known to be right, and so at most 64.
    fn from_checked(b: &[u8]) -> Self {
        let mut bytes = [0; MAX_BYTES];
        for (to, from) in bytes.iter_mut().zip(b) {
            *to = *from;
        }
        Self {
            len: b.len().min(MAX_BYTES),
            bytes,
        }
    }

    fn checksum(&self) -> [u8; CHECKSUM_LEN] {
        let mut sum = [0; CHECKSUM_LEN];
        let hash = blake2b(CHECKSUM_LEN, self.as_bytes());
        for (to, from) in sum.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        sum
    }
}

/// BLAKE2b with this many bytes of output (not a truncated longer one).
fn blake2b(len: usize, bytes: &[u8]) -> blake2b_simd::Hash {
    blake2b_simd::Params::new().hash_length(len).hash(bytes)
}

fn expect_length(fits: bool) -> Result<(), AddressError> {
    if fits {
        Ok(())
    } else {
        Err(AddressError::PayloadLength)
    }
}

/// An actor number at the head of a payload, and what follows it.
fn number(payload: &[u8]) -> Result<(u64, &[u8]), AddressError> {
    match varint::get(payload) {
        Some((value, rest)) if i64::try_from(value).is_ok() => Ok((value, rest)),
        _ => Err(AddressError::Number),
    }
}

/// A decimal actor number in its only form: no sign, no leading zeros, below 2^63.
fn decimal(text: &str) -> Result<u64, AddressError> {
    let only_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    if !only_digits || !canonical {
        return Err(AddressError::Number);
    }
    let value: i64 = text.parse().map_err(|_| AddressError::Number)?;
    u64::try_from(value).map_err(|_| AddressError::Number)
}

/// Splits base32 of payload and checksum.
fn split_checksum(text: &str) -> Result<(Vec<u8>, [u8; CHECKSUM_LEN]), AddressError> {
    let mut bytes = base32::decode(text).ok_or(AddressError::Base32)?;
    let at = bytes
        .len()
        .checked_sub(CHECKSUM_LEN)
        .ok_or(AddressError::PayloadLength)?;
    let sum = bytes
        .split_off(at)
        .try_into()
        .map_err(|_| AddressError::PayloadLength)?;
    Ok((bytes, sum))
}

/// Accepts the letters f and t.
impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(s: &str) -> Result<Self, AddressError> {
        if s.is_empty() {
            return Err(AddressError::Empty);
        }
        if s.len() > MAX_TEXT {
            return Err(AddressError::TooLong);
        }
        let rest = s.strip_prefix(['f', 't']).ok_or(AddressError::Network)?;
        let mut chars = rest.chars();
        let protocol = chars.next().ok_or(AddressError::Protocol)?;
        let body = chars.as_str();
        let (address, sum) = match protocol {
            '0' => return Ok(Self::id(decimal(body)?)),
            '1'..='3' => {
                let (payload, sum) = split_checksum(body)?;
                let mut bytes = vec![(protocol as u8).saturating_sub(b'0')];
                bytes.extend_from_slice(&payload);
                (Self::from_bytes(&bytes)?, sum)
            }
            '4' => {
                let (namespace, body) = body.split_once('f').ok_or(AddressError::Number)?;
                let (subaddress, sum) = split_checksum(body)?;
                (Self::delegated(decimal(namespace)?, &subaddress)?, sum)
            }
            _ => return Err(AddressError::Protocol),
        };
        if address.checksum() == sum {
            Ok(address)
        } else {
            Err(AddressError::Checksum)
        }
    }
}

/// Prints with the letter f.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol() {
            Protocol::Id => return write!(f, "f0{}", self.actor_id().unwrap_or_default()),
            Protocol::Secp256k1 => 1,
            Protocol::Actor => 2,
            Protocol::Bls => 3,
            Protocol::Delegated => 4,
        };
        write!(f, "f{protocol}")?;
        let mut body = self.payload().to_vec();
        if protocol == 4 {
            let (namespace, subaddress) = varint::get(self.payload()).unwrap_or_default();
            write!(f, "{namespace}f")?;
            body = subaddress.to_vec();
        }
        body.extend_from_slice(&self.checksum());
        f.write_str(&base32::encode(&body))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Address {}

impl std::hash::Hash for Address {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}
