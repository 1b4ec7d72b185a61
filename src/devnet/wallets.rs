//! The people of a devnet: keys that follow from the seed.

use crate::filecoin::{Address, SecretKey, cids};

/// Somebody with a key, an account and money.
#[derive(Clone)]
pub struct Wallet {
    /// Who it is: `client`, `worker of f01000`, …
    pub name: String,
    /// The key address, f1 or f3.
    pub address: Address,
    /// The account's ID address.
    pub id: Address,
    /// The secret itself: only a devnet gives it away.
    pub key: SecretKey,
}

/// The kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// secp256k1, f1.
    Secp,
    /// BLS, f3.
    Bls,
}

/// The key of this name; another one for another seed.
pub fn key(seed: &[u8; 32], name: &str, kind: KeyKind) -> Option<SecretKey> {
    let mut content = seed.to_vec();
    content.extend_from_slice(name.as_bytes());
    // Nearly every value is a good key; the counter is for the one that is not.
    (0_u8..16).find_map(|counter| {
        let mut content = content.clone();
        content.push(counter);
        let random = cids::blake2b_256(&content);
        match kind {
            KeyKind::Secp => SecretKey::generate_secp256k1(&random).ok(),
            KeyKind::Bls => SecretKey::generate_bls(&random).ok(),
        }
    })
}

/// Bytes that follow from the seed and a name.
pub fn bytes(seed: &[u8; 32], name: &str) -> [u8; 32] {
    let mut content = seed.to_vec();
    content.extend_from_slice(name.as_bytes());
    cids::blake2b_256(&content)
}

/// An f2 address for an actor of this name.
pub fn actor_address(seed: &[u8; 32], name: &str) -> Option<Address> {
    named_address(&[2], seed, name)
}

/// An f410 address of this name.
pub fn delegated_address(seed: &[u8; 32], name: &str) -> Option<Address> {
    named_address(&[4, 10], seed, name)
}

fn named_address(prefix: &[u8], seed: &[u8; 32], name: &str) -> Option<Address> {
    let hash = bytes(seed, name);
    let (short, _) = hash.split_first_chunk::<20>()?;
    let mut binary = prefix.to_vec();
    binary.extend_from_slice(short);
    Address::from_bytes(&binary).ok()
}
