//! The tokens of the JSON-RPC interfaces: JSON web tokens signed with HMAC-SHA-256 (spec chain-sealer-rpc A.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The permissions there are; a token names those it gives, none implies another.
pub const PERMISSIONS: [&str; 4] = ["read", "write", "sign", "admin"];

/// The longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 4096;

/// The block of SHA-256 in bytes, which HMAC pads its key to.
const BLOCK: usize = 64;

/// HMAC-SHA-256 (RFC 2104) with a key of at most one block; longer keys would have to be hashed first.
fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let pad = |with: u8| -> [u8; BLOCK] {
        let mut block = [with; BLOCK];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

/// A token that gives these permissions.
pub fn issue(secret: &[u8; 32], allow: &[String]) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let body = URL_SAFE_NO_PAD.encode(json!({ "Allow": allow }).to_string());
    let signed = format!("{head}.{body}");
    let signature = URL_SAFE_NO_PAD.encode(hmac(secret, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// The permissions that a token gives; none if it was not issued with this secret.
pub fn verify(secret: &[u8; 32], token: &str) -> Option<Vec<String>> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, body) = signed.split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let expected = hmac(secret, signed.as_bytes());
    let differences = signature
        .iter()
        .zip(&expected)
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    if signature.len() != expected.len() || differences != 0 {
        return None;
    }
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    if head.get("alg").and_then(Value::as_str) != Some("HS256") {
        return None;
    }
    let body: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    let allow = body.get("Allow")?.as_array()?;
    allow
        .iter()
        .map(|permission| permission.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<String> {
        PERMISSIONS.iter().map(|name| (*name).to_owned()).collect()
    }

    /// RFC 4231 test case 2 has a short key; ours are 32 bytes, so its key is padded with zeros, which HMAC does too.
    #[test]
    fn the_mac_is_that_of_the_rfc() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let expected = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95,
            0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9,
            0x64, 0xec, 0x38, 0x43,
        ];
        assert_eq!(hmac(&key, b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn a_token_gives_what_it_was_issued_with() {
        let token = issue(&[7; 32], &all());
        assert_eq!(token.matches('.').count(), 2);
        assert_eq!(verify(&[7; 32], &token), Some(all()));
        assert_eq!(verify(&[8; 32], &token), None);
    }

    #[test]
    fn a_changed_token_gives_nothing() {
        let token = issue(&[7; 32], &["read".to_owned()]);
        let stronger = issue(&[8; 32], &all());
        let signature = token.rsplit_once('.').unwrap().1;
        let body = stronger.rsplit_once('.').unwrap().0;
        for bad in [
            "",
            "..",
            "a.b",
            &token[..token.len() - 2],
            &format!("{body}.{signature}"),
            &format!("{token}\n"),
        ] {
            assert_eq!(verify(&[7; 32], bad), None, "{bad}");
        }
    }
}
