//! The provider's two secrets on disk: its libp2p key and the token of its admin interface.

use crate::chain::LocalKeys;
use crate::filecoin::keystore::Keystore;
use crate::filecoin::{Address, SecretKey, Signature};
use base64::Engine;
use libp2p::identity::Keypair;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Name of the token's file in the home directory.
pub const TOKEN_FILE: &str = "admin-token";

/// Bytes of a key file: the largest kind of key, in Base64 inside JSON, is far smaller.
const KEY_BYTES_MAX: u64 = 16 * 1024;

/// The keys of the home directory, as the chain looks for them: a worker key put there signs asks.
pub struct OwnKeys(Keystore);

impl OwnKeys {
    /// The keys of this home directory.
    pub fn of(home: &Path) -> Self {
        Self(Keystore::new(home))
    }

    fn get(&self, key: &Address) -> Option<SecretKey> {
        self.0.get(key).unwrap_or_else(|error| {
            log::warn!("key of {key}: {error}");
            None
        })
    }
}

impl LocalKeys for OwnKeys {
    fn has(&self, key: &Address) -> bool {
        self.get(key).is_some()
    }

    fn sign(&self, key: &Address, bytes: &[u8]) -> Option<Signature> {
        Some(self.get(key)?.sign(bytes))
    }
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// Reads the libp2p key, or makes one if the file is the default one and missing.
///
/// The file holds the key's protobuf, or, as a Lotus keystore has it, a JSON object whose `PrivateKey` is that in Base64.
///
/// # Errors
/// The file is missing although it was named, others may read it, or it holds no key.
pub fn libp2p_key(path: &Path, named: bool) -> io::Result<Keypair> {
    match known_libp2p_key(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !named => {
            let key = Keypair::generate_ed25519();
            let bytes = key
                .to_protobuf_encoding()
                .map_err(|error| invalid(error.to_string()))?;
            write_secret(path, &bytes)?;
            Ok(key)
        }
        known => known,
    }
}

/// Reads the libp2p key that is there.
///
/// # Errors
/// As [`libp2p_key`]; `NotFound` if there is none.
pub fn known_libp2p_key(path: &Path) -> io::Result<Keypair> {
    let bytes = read_secret(path)?;
    parse_key(&bytes).ok_or_else(|| invalid(format!("{}: no libp2p key", path.display())))
}

fn parse_key(bytes: &[u8]) -> Option<Keypair> {
    if let Ok(key) = Keypair::from_protobuf_encoding(bytes) {
        return Some(key);
    }
    let object: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let text = object.get("PrivateKey")?.as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .ok()?;
    Keypair::from_protobuf_encoding(&bytes).ok()
}

/// Reads the admin token of this home directory, or makes one.
///
/// # Errors
/// The file cannot be read or written, or others may read it.
pub fn admin_token(home: &Path) -> io::Result<String> {
    match known_admin_token(home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut random = [0_u8; 32];
            getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
            let token = random
                .iter()
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            write_secret(&home.join(TOKEN_FILE), token.as_bytes())?;
            Ok(token)
        }
        known => known,
    }
}

/// Reads the admin token that is there.
///
/// # Errors
/// As [`admin_token`]; `NotFound` if there is none.
pub fn known_admin_token(home: &Path) -> io::Result<String> {
    let path = home.join(TOKEN_FILE);
    let text =
        String::from_utf8(read_secret(&path)?).map_err(|_| invalid("the token is not text"))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(invalid(format!(
            "{} is empty: delete it to get a new one",
            path.display()
        )));
    }
    Ok(token.to_owned())
}

fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = fs::metadata(path).map_err(named)?;
    if file.permissions().mode() & 0o077 != 0 {
        return Err(invalid(format!(
            "{}: others may read it; run `chmod 600` on it",
            path.display()
        )));
    }
    if file.len() > KEY_BYTES_MAX {
        return Err(invalid(format!(
            "{}: too large to be a key",
            path.display()
        )));
    }
    fs::read(path).map_err(named)
}

/// Writes a file that only its owner can read; whole or not at all.
fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh: PathBuf = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    if let Some(directory) = path.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("coracle-identity-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_key_is_made_once_and_read_back_in_both_forms() {
        let home = directory("key");
        let path = home.join("libp2p.key");
        let made = libp2p_key(&path, false).unwrap();
        assert_eq!(libp2p_key(&path, true).unwrap().public(), made.public());
        let text =
            base64::engine::general_purpose::STANDARD.encode(made.to_protobuf_encoding().unwrap());
        let lotus = home.join("lotus");
        write_secret(
            &lotus,
            format!("{{\"Type\":\"libp2p-host\",\"PrivateKey\":\"{text}\"}}").as_bytes(),
        )
        .unwrap();
        assert_eq!(libp2p_key(&lotus, true).unwrap().public(), made.public());
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_named_key_must_be_there_and_be_private() {
        let home = directory("private");
        let path = home.join("key");
        assert_eq!(
            libp2p_key(&path, true).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        libp2p_key(&path, false).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            libp2p_key(&path, true)
                .unwrap_err()
                .to_string()
                .contains("chmod 600")
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"not a key").unwrap();
        assert!(
            libp2p_key(&path, true)
                .unwrap_err()
                .to_string()
                .contains("no libp2p key")
        );
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn own_keys_sign_and_others_do_not() {
        let home = directory("keys");
        let (ours, theirs) = (
            SecretKey::secp256k1(&[5; 32]).unwrap(),
            SecretKey::bls(&[6; 32]).unwrap(),
        );
        assert!(Keystore::new(&home).put(&ours).unwrap());
        let keys = OwnKeys::of(&home);
        let signature = keys.sign(&ours.address(), b"ask").unwrap();
        assert!(signature.verify(&ours.address(), b"ask"));
        assert!(keys.has(&ours.address()) && !keys.has(&theirs.address()));
        assert_eq!(keys.sign(&theirs.address(), b"ask"), None);
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn the_token_stays_the_same() {
        let home = directory("token");
        let token = admin_token(&home).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(admin_token(&home).unwrap(), token);
        let mode = fs::metadata(home.join(TOKEN_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(home.join(TOKEN_FILE), " \n").unwrap();
        assert!(admin_token(&home).is_err());
        fs::remove_dir_all(home).unwrap();
    }
}
