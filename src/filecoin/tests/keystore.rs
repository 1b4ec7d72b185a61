//! Keys on disk.

use super::message::key;
use crate::filecoin::keystore::{Keystore, KeystoreError};
use crate::filecoin::{Address, SecretKey};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A directory of its own for a test, removed in the end.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let name = format!("coracle-keystore-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn keystore(&self) -> Keystore {
        Keystore::new(&self.0)
    }

    fn file(&self, address: &Address) -> PathBuf {
        self.0.join("keystore").join(format!("{address}.json"))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("we own it");
}

fn bls() -> SecretKey {
    SecretKey::generate_bls(&[3; 32]).expect("a key")
}

#[test]
fn an_empty_keystore_creates_nothing() {
    let home = Home::new("empty");
    let keystore = home.keystore();
    assert_eq!(keystore.list().expect("no directory is no key"), []);
    assert!(keystore.get(&key().address()).expect("none").is_none());
    assert!(
        keystore
            .sign(&key().address(), b"x")
            .expect("none")
            .is_none()
    );
    assert!(!keystore.directory().exists());
}

#[test]
fn keys_are_kept_privately_and_found_again() {
    let home = Home::new("kept");
    let keystore = home.keystore();
    for key in [key(), bls()] {
        assert!(keystore.put(&key).expect("kept"));
        assert!(!keystore.put(&key).expect("kept before"));
        let found = home
            .keystore()
            .get(&key.address())
            .expect("read")
            .expect("found");
        assert_eq!(found.sign(b"message"), key.sign(b"message"));
        let signature = keystore
            .sign(&key.address(), b"x")
            .expect("read")
            .expect("found");
        assert!(signature.verify(&key.address(), b"x"));
        assert_eq!(mode(&home.file(&key.address())), 0o600);
    }
    assert_eq!(mode(keystore.directory()), 0o700);
    let mut both = vec![key().address(), bls().address()];
    both.sort();
    assert_eq!(keystore.list().expect("listed"), both);
    let files = fs::read_dir(keystore.directory()).expect("there").count();
    assert_eq!(files, 2, "nothing unfinished is left");
}

#[test]
fn foreign_files_are_no_keys() {
    let home = Home::new("foreign");
    let keystore = home.keystore();
    keystore.put(&key()).expect("kept");
    for name in [
        "README",
        "f1abc.json",
        ".json",
        "f01.json.new",
        "\u{fc}.json",
    ] {
        fs::write(keystore.directory().join(name), "x").expect("written");
    }
    assert_eq!(keystore.list().expect("listed"), [key().address()]);
}

#[test]
fn what_others_may_read_is_refused() {
    let home = Home::new("open");
    let keystore = home.keystore();
    keystore.put(&key()).expect("kept");
    let file = home.file(&key().address());
    for open in [0o640, 0o604, 0o620, 0o601] {
        set_mode(&file, open);
        let error = keystore
            .get(&key().address())
            .expect_err("others have rights");
        assert!(matches!(error, KeystoreError::Permissions(_)), "{open:o}");
        assert!(error.to_string().contains("chmod go= "), "{error}");
    }
    set_mode(&file, 0o400);
    assert!(
        keystore
            .get(&key().address())
            .expect("fewer rights are fine")
            .is_some()
    );
    for open in [0o750, 0o701] {
        set_mode(keystore.directory(), open);
        assert!(
            matches!(keystore.list(), Err(KeystoreError::Permissions(_))),
            "{open:o}"
        );
        assert!(keystore.get(&key().address()).is_err());
        assert!(keystore.put(&bls()).is_err());
    }
    set_mode(keystore.directory(), 0o700);
    assert!(
        keystore
            .get(&key().address())
            .expect("private again")
            .is_some()
    );
}

#[test]
fn files_that_are_not_this_key() {
    let home = Home::new("wrong");
    let keystore = home.keystore();
    let address = key().address();
    keystore.put(&key()).expect("kept");
    let file = home.file(&address);
    let write = |content: &str| fs::write(&file, content).expect("written");
    for content in ["", "{}", &"x".repeat(5000), &key().export_lotus()] {
        write(content);
        let error = keystore.get(&address).expect_err("no key");
        assert!(matches!(error, KeystoreError::Malformed(..)), "{error}");
    }
    write(&bls().export_json());
    let error = keystore.get(&address).expect_err("another key");
    assert!(matches!(error, KeystoreError::OtherAddress(_)), "{error}");
    // By hand with a line end, as editors leave it.
    write(&format!("{}\n", key().export_json()));
    assert!(keystore.get(&address).expect("read").is_some());
}

#[test]
fn errors_name_the_file_and_not_the_key() {
    let home = Home::new("errors");
    let keystore = home.keystore();
    keystore.put(&key()).expect("kept");
    let file = home.file(&key().address());
    let secret = key().export_json();
    fs::write(&file, secret.replace("secp256k1", "bls ")).expect("written");
    let error = keystore.get(&key().address()).expect_err("no such kind");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains(&file.display().to_string()));
    let base64 = secret.split('"').nth(7).expect("the key");
    assert!(!shown.contains(&base64[..8]));
}

#[test]
fn a_left_over_of_a_killed_process_is_no_hindrance() {
    let home = Home::new("killed");
    let keystore = home.keystore();
    keystore.put(&bls()).expect("kept");
    let left = format!("{}.{}.new", key().address(), std::process::id());
    fs::write(keystore.directory().join(&left), "half").expect("written");
    assert!(keystore.put(&key()).expect("kept"));
    assert!(!keystore.directory().join(left).exists());
    assert!(keystore.get(&key().address()).expect("read").is_some());
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let home = Home::new("file");
    fs::write(&home.0, "a file").expect("written");
    let error = home.keystore().put(&key()).expect_err("not a directory");
    assert!(matches!(error, KeystoreError::Io(..)), "{error}");
    fs::remove_file(&home.0).expect("removed");
}
