//! Whose certificates an HTTPS chain node or sealer may show.
//!
//! A matter of the process, as the system's own list of authorities is one: it is set once, before the first client is
//! made. It holds for the servers that the operator has named and for nothing else: whoever may vouch for a private node
//! must not thereby vouch for every host that a client's data comes from.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Bytes of a file of authorities: the whole list of a Linux distribution has about 250 kB.
const AUTHORITIES_BYTES_MAX: u64 = 4 << 20;

/// Authorities to trust in place of the public ones: the DER of their certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Vec<Vec<u8>>);

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

impl Authorities {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// Why it cannot be used; the file is not named in it.
    pub fn read(file: &Path) -> Result<Self, String> {
        let mut pem = Vec::new();
        let opened = File::open(file).map_err(|error| error.to_string())?;
        let mut limited = opened.take(AUTHORITIES_BYTES_MAX.saturating_add(1));
        limited
            .read_to_end(&mut pem)
            .map_err(|error| error.to_string())?;
        if limited.limit() == 0 {
            return Err(format!("has more than {AUTHORITIES_BYTES_MAX} bytes"));
        }
        Self::from_pem(&pem).map_err(str::to_owned)
    }

    /// The certificates in a PEM text; what else is in it does not count.
    ///
    /// # Errors
    /// There is none, or one of them is damaged.
    pub fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        let mut found = Vec::new();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => found.push(certificate.der().to_vec()),
                Ok(_) => {}
                Err(_) => return Err("is no PEM file of certificates"),
            }
        }
        if found.is_empty() {
            return Err("has no certificate in it: -----BEGIN CERTIFICATE----- is looked for");
        }
        Ok(Self(found))
    }

    fn roots(&self) -> RootCerts {
        let certificate = |der: &Vec<u8>| Certificate::from_der(der).to_owned();
        let certificates: Vec<_> = self.0.iter().map(certificate).collect();
        RootCerts::new_with_certs(&certificates)
    }
}

static TRUSTED: OnceLock<Authorities> = OnceLock::new();

/// Trusts these authorities and no others from now on; without it the public ones are trusted. The first call counts.
pub fn trust(authorities: &Authorities) {
    let trusted = TRUSTED.get_or_init(|| authorities.clone());
    if trusted != authorities {
        log::warn!(
            "other authorities are trusted already; these are trusted from the next start on"
        );
    }
}

/// The roots for connections to nodes and sealers.
pub(super) fn roots() -> RootCerts {
    TRUSTED.get().map_or(RootCerts::WebPki, Authorities::roots)
}

/// What a failed handshake means, and what to do where that is known.
pub(super) fn handshake_failure(text: &str) -> String {
    let advice = if text.contains("UnknownIssuer") {
        "; if its certificate is of an authority of your own, CORACLE_CA_FILE names that one's certificate"
    } else if text.contains("CaUsedAsEndEntity") {
        "; it shows the certificate of an authority itself: give it one that the authority has signed"
    } else if text.contains("InvalidContentType") {
        "; what answers there speaks no TLS: is it http instead of https?"
    } else {
        ""
    };
    format!("TLS: {text}{advice}")
}
