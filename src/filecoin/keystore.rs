//! Secret keys on disk: one file per key in `<home>/keystore`, named by its address.
//!
//! A file holds the JSON of a Lotus export, so keys can be carried over by hand. Nobody but the
//! owner may have any right on the directory or on a file of it; a key that others could read is
//! refused, not used.

use super::key::KeyError;
use super::{Address, SecretKey, Signature};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The directory's name within the home directory.
const DIRECTORY: &str = "keystore";
/// What follows the address in a file's name.
const SUFFIX: &str = ".json";
/// What a file that is being written ends with.
const UNFINISHED: &str = ".new";
/// The longest file that is read, in bytes; a key takes about 90.
const MAX_FILE: u64 = 1024;
/// More keys than this are no wallet any more but a mistake (a wrong directory).
const MAX_KEYS: usize = 10_000;
/// Rights of anybody but the owner.
const OTHERS: u32 = 0o077;

/// Why a key could not be read or kept. It never contains key material.
#[derive(Debug)]
pub enum KeystoreError {
    /// The file system refused.
    Io(PathBuf, io::Error),
    /// Others than the owner have rights on this file or directory.
    Permissions(PathBuf),
    /// The file is not a key.
    Malformed(PathBuf, KeyError),
    /// The file holds the key of another address than its name says.
    OtherAddress(PathBuf),
    /// There are more than 10,000 files.
    TooMany(PathBuf),
}

impl fmt::Display for KeystoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Permissions(path) => {
                write!(
                    f,
                    "{}: others have rights on it; run `chmod go= ",
                    path.display()
                )?;
                write!(f, "{}`", path.display())
            }
            Self::Malformed(path, error) => write!(f, "{}: {error}", path.display()),
            Self::OtherAddress(path) => {
                write!(f, "{}: it holds the key of another address", path.display())
            }
            Self::TooMany(path) => write!(f, "{}: too many keys", path.display()),
        }
    }
}

impl std::error::Error for KeystoreError {}

/// The keys of a home directory. Every call looks at the disk, so that a key that was just
/// imported by another process is found.
#[derive(Debug, Clone)]
pub struct Keystore {
    directory: PathBuf,
}

impl Keystore {
    /// The keystore of this home directory. Nothing is created before the first key is kept.
    pub fn new(home: &Path) -> Self {
        Self {
            directory: home.join(DIRECTORY),
        }
    }

    /// Where the keys are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The addresses of all keys, ascending. Files with other names are not looked at.
    pub fn list(&self) -> Result<Vec<Address>, KeystoreError> {
        let mut addresses = Vec::new();
        if !self.is_there()? {
            return Ok(addresses);
        }
        let entries = fs::read_dir(&self.directory).map_err(|e| self.io(e))?;
        for entry in entries {
            let name = entry.map_err(|e| self.io(e))?.file_name();
            let address = name
                .to_str()
                .and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
            addresses.extend(address);
            if addresses.len() > MAX_KEYS {
                return Err(KeystoreError::TooMany(self.directory.clone()));
            }
        }
        addresses.sort();
        addresses.dedup();
        Ok(addresses)
    }

    /// The key of this f1 or f3 address; `None` if it is not here.
    pub fn get(&self, address: &Address) -> Result<Option<SecretKey>, KeystoreError> {
        if !self.is_there()? {
            return Ok(None);
        }
        let path = self.path(address);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(KeystoreError::Io(path, error)),
        };
        let key = read_key(&file, &path)?;
        if key.address() == *address {
            Ok(Some(key))
        } else {
            Err(KeystoreError::OtherAddress(path))
        }
    }

    /// Keeps a key, whole or not at all, and on the disk when it returns. False if it was here
    /// already.
    pub fn put(&self, key: &SecretKey) -> Result<bool, KeystoreError> {
        let address = key.address();
        if self.get(&address)?.is_some() {
            return Ok(false);
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(|e| self.io(e))?;
        let path = self.path(&address);
        // Two processes may keep the same key at once; each renames its own file.
        let fresh = self
            .directory
            .join(format!("{address}.{}{UNFINISHED}", std::process::id()));
        write_key(key, &fresh, &path).map_err(|error| {
            // It is not the key's file yet, and it may hold the key.
            let _ = fs::remove_file(&fresh);
            KeystoreError::Io(path.clone(), error)
        })?;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|e| self.io(e))?;
        Ok(true)
    }

    /// Signs with the key of this address; `None` if it is not here.
    pub fn sign(
        &self,
        address: &Address,
        message: &[u8],
    ) -> Result<Option<Signature>, KeystoreError> {
        Ok(self.get(address)?.map(|key| key.sign(message)))
    }

    /// Whether the directory is there; an error if others have rights on it.
    fn is_there(&self) -> Result<bool, KeystoreError> {
        match fs::metadata(&self.directory) {
            Ok(found) if found.permissions().mode() & OTHERS != 0 => {
                Err(KeystoreError::Permissions(self.directory.clone()))
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.io(error)),
        }
    }

    fn path(&self, address: &Address) -> PathBuf {
        self.directory.join(format!("{address}{SUFFIX}"))
    }

    fn io(&self, error: io::Error) -> KeystoreError {
        KeystoreError::Io(self.directory.clone(), error)
    }
}

/// Reads a key from an open file: what is checked is what is read.
fn read_key(file: &File, path: &Path) -> Result<SecretKey, KeystoreError> {
    let io = |error| KeystoreError::Io(path.to_owned(), error);
    let found = file.metadata().map_err(io)?;
    if found.permissions().mode() & OTHERS != 0 {
        return Err(KeystoreError::Permissions(path.to_owned()));
    }
    let mut json = Zeroizing::new(String::new());
    // One byte more than allowed, so that what is too long is seen to be so.
    file.take(MAX_FILE.saturating_add(1))
        .read_to_string(&mut json)
        .map_err(io)?;
    SecretKey::import_json(&json).map_err(|e| KeystoreError::Malformed(path.to_owned(), e))
}

/// Writes the key beside its place, syncs it and moves it there.
fn write_key(key: &SecretKey, fresh: &Path, path: &Path) -> io::Result<()> {
    // One that a killed process with this number left behind.
    let _ = fs::remove_file(fresh);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(fresh)?;
    let json = Zeroizing::new(key.export_json());
    file.write_all(json.as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, path)
}
