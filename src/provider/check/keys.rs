//! Secrets on disk: who may read them, and whether they are what their names say.

use super::finding::Finding;
use crate::config::Config;
use crate::filecoin::keystore::Keystore;
use crate::provider::identity;
use std::io::ErrorKind;
use std::path::Path;

/// Keys that are looked at one by one; a wallet has a handful.
const KEYS_MAX: usize = 256;

/// The libp2p key, the admin token, the keystore.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = vec![libp2p_key(config)];
    findings.extend(admin_token(&config.home));
    findings.extend(keystore(&config.home));
    findings
}

fn libp2p_key(config: &Config) -> Finding {
    const SUBJECT: &str = "libp2p key";
    let path = &config.libp2p_key_file;
    match identity::known_libp2p_key(path) {
        Ok(key) => Finding::ok(
            SUBJECT,
            format!(
                "{} is that of peer {}",
                path.display(),
                key.public().to_peer_id()
            ),
        ),
        Err(error) if error.kind() == ErrorKind::NotFound && !config.libp2p_key_given => {
            Finding::warn(
                SUBJECT,
                format!(
                    "there is none yet: the first `coracle run` makes {}",
                    path.display()
                ),
                "if the miner has a libp2p host already whose peer ID stands on chain, name its key's file in CORACLE_LIBP2P_KEY_FILE",
            )
        }
        Err(error) => Finding::bad(
            SUBJECT,
            error,
            "the provider does not start without it: mend the file, or name another one in CORACLE_LIBP2P_KEY_FILE",
        ),
    }
}

fn admin_token(home: &Path) -> Option<Finding> {
    match identity::known_admin_token(home) {
        // Made at the first start.
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(Finding::bad(
            "admin token",
            error,
            "the provider does not start with it: run the command, or delete the file to get a new one",
        )),
    }
}

fn keystore(home: &Path) -> Vec<Finding> {
    const SUBJECT: &str = "keystore";
    let keystore = Keystore::new(home);
    let mend = "a key that cannot be used does not sign: mend it as the line says, or import the key again";
    let addresses = match keystore.list() {
        Ok(addresses) => addresses,
        Err(error) => return vec![Finding::warn(SUBJECT, error, mend)],
    };
    if addresses.is_empty() {
        return vec![Finding::ok(
            SUBJECT,
            "has no key: the wallets are the node's",
        )];
    }
    let mut findings = Vec::new();
    let mut good = 0_usize;
    for address in addresses.iter().take(KEYS_MAX) {
        match keystore.get(address) {
            Ok(_) => good = good.saturating_add(1),
            Err(error) => findings.push(Finding::warn(SUBJECT, error, mend)),
        }
    }
    findings.insert(
        0,
        Finding::ok(
            SUBJECT,
            format!("keys that only their owner can read: {good}"),
        ),
    );
    findings
}
