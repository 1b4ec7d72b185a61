//! Where a JSON-RPC server is and with which token it is asked: the text of `FULLNODE_API_INFO` and `MINER_API_INFO`
//! (chain-sealer-rpc A.1).
//!
//! | form | example |
//! |---|---|
//! | `TOKEN:MULTIADDR` | `eyJ….eyJ….abc:/ip4/10.0.0.5/tcp/1234/http` |
//! | `TOKEN:URL` | `eyJ….eyJ….abc:https://node.example.net` |
//! | bare `MULTIADDR` or `URL` | `/dns4/node/tcp/1234/http`, `http://127.0.0.1:1234` |
//! | a list of these | `A,B,C` |
//!
//! No error repeats any part of the text: a mistyped entry may well contain the token.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// More fail-over nodes than this in one setting are a mistake in it.
pub const ENDPOINTS_MAX: usize = 8;

/// Longest accepted entry in bytes; a token with all permissions has about 200.
const ENTRY_MAX: usize = 4096;

/// The API version in the path: `/rpc/v1` for a chain node, `/rpc/v0` for a miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `/rpc/v0`: all that a lotus-miner serves.
    V0,
    /// `/rpc/v1`: the chain node's stable methods. Several have other parameters than in v0.
    V1,
}

impl Version {
    fn text(self) -> &'static str {
        match self {
            Self::V0 => "v0",
            Self::V1 => "v1",
        }
    }
}

/// One JSON-RPC server.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// URL that calls are posted to. May hold a hosted node's key, hence private and never shown.
    url: String,
    /// `host:port` or `host`, for people.
    name: String,
    /// JWT of the `Authorization` header.
    token: Option<String>,
}

/// Shows host and port only.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}

/// Host and port.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Why a text is no endpoint. Never holds any part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointError {
    /// Nothing but spaces and commas.
    Empty,
    /// More than [`ENDPOINTS_MAX`] entries, or a list where one entry belongs.
    TooMany,
    /// An entry of more than 4,096 bytes.
    TooLong,
    /// `host:1234`, which Lotus would take for a token.
    BareHost,
    /// What stands before the first `:` is no JWT.
    Token,
    /// Neither a multiaddr nor an http, https, ws or wss URL.
    Form,
    /// A URL with `user:password@`.
    UserInfo,
    /// A host that is no name and no IP address.
    Host,
    /// A multiaddr without `/tcp/PORT`, or a port that is no number up to 65535.
    Port,
    /// A part of the multiaddr that leads to no TCP server.
    Component,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooMany => "has too many entries",
            Self::TooLong => "has an entry of more than 4,096 bytes",
            Self::BareHost => {
                "has a bare host:port; write http://HOST:PORT or /dns4/HOST/tcp/PORT/http, after TOKEN: if there is one"
            }
            Self::Token => {
                "has text before the first ':' that is not a token (three parts joined by dots)"
            }
            Self::Form => {
                "is neither a multiaddr (/ip4/…/tcp/…/http) nor an http, https, ws or wss URL"
            }
            Self::UserInfo => "has a user name in its URL; put the token before the address instead",
            Self::Host => "has no valid host name or IP address",
            Self::Port => "has no valid port (in a multiaddr: /tcp/PORT)",
            Self::Component => "has a multiaddr part other than ip4, ip6, dns, dns4, dns6, tcp, http, https, ws, wss, tls, version",
        })
    }
}

impl std::error::Error for EndpointError {}

impl Endpoint {
    /// Reads one entry.
    ///
    /// # Errors
    /// [`EndpointError`]; a list is [`EndpointError::TooMany`].
    pub fn parse(text: &str, version: Version) -> Result<Self, EndpointError> {
        let mut entries = Self::parse_list(text, version)?;
        let first = entries.pop().ok_or(EndpointError::Empty)?;
        if entries.is_empty() {
            Ok(first)
        } else {
            Err(EndpointError::TooMany)
        }
    }

    /// Reads a comma-separated list of at most [`ENDPOINTS_MAX`] entries; empty entries are passed over.
    ///
    /// # Errors
    /// The first entry's [`EndpointError`], or [`EndpointError::Empty`] if there is none.
    pub fn parse_list(text: &str, version: Version) -> Result<Vec<Self>, EndpointError> {
        let mut entries = Vec::new();
        for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
            if entries.len() == ENDPOINTS_MAX {
                return Err(EndpointError::TooMany);
            }
            entries.push(parse_entry(item, version)?);
        }
        if entries.is_empty() {
            return Err(EndpointError::Empty);
        }
        Ok(entries)
    }

    /// Where calls are posted to. Not for people: it may hold a key.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_tls(&self) -> bool {
        self.url.starts_with("https:")
    }

    /// Value of the `Authorization` header, if there is a token.
    pub fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {token}"))
    }

    /// Where a reader's bytes are pushed to: `…/rpc/v0` becomes `…/rpc/streams/v0/push/<id>` (chain-sealer-rpc E.2).
    /// None if the address has no `/rpc/` in its path.
    pub fn push_url(&self, id: &uuid::Uuid) -> Option<String> {
        let (base, _) = self.url.split_once("/rpc/")?;
        Some(format!("{base}/rpc/streams/v0/push/{id}"))
    }
}

fn parse_entry(item: &str, version: Version) -> Result<Endpoint, EndpointError> {
    if item.len() > ENTRY_MAX {
        return Err(EndpointError::TooLong);
    }
    let (token, address) = split_token(item)?;
    let (url, name) = if address.starts_with('/') {
        from_multiaddr(address, version)?
    } else {
        from_url(address, version)?
    };
    // What the HTTP client would stumble over later is refused here.
    url.parse::<ureq::http::Uri>()
        .map_err(|_| EndpointError::Form)?;
    Ok(Endpoint {
        url,
        name,
        token: token.map(str::to_owned),
    })
}

/// A token only counts as one if it is a three-part JWT: the union of what old and new Lotus and Venus accept.
fn split_token(item: &str) -> Result<(Option<&str>, &str), EndpointError> {
    if item.starts_with('/') {
        return Ok((None, item));
    }
    let (before, after) = item.split_once(':').ok_or(EndpointError::Form)?;
    if after.starts_with("//") {
        return Ok((None, item));
    }
    if is_token(before) {
        return Ok((Some(before), after));
    }
    if !after.is_empty() && after.bytes().all(|b| b.is_ascii_digit()) {
        return Err(EndpointError::BareHost);
    }
    Err(EndpointError::Token)
}

fn is_token(text: &str) -> bool {
    let part = |p: &str| {
        !p.is_empty()
            && p.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.split('.').count() == 3 && text.split('.').all(part)
}

fn from_url(address: &str, version: Version) -> Result<(String, String), EndpointError> {
    let (scheme, rest) = address.split_once("://").ok_or_else(|| {
        // After a token: `TOKEN:host:1234`.
        match address.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => EndpointError::BareHost,
            _ => EndpointError::Form,
        }
    })?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return Err(EndpointError::Form),
    };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(EndpointError::Form)?;
    if authority.contains('@') {
        return Err(EndpointError::UserInfo);
    }
    check_authority(authority)?;
    if path.bytes().any(|b| b <= b' ' || b >= 0x7f) {
        return Err(EndpointError::Form);
    }
    let (path, query) = path.split_once('?').map_or((path, ""), |(p, q)| (p, q));
    let path = if path.contains("/rpc/") {
        path.to_owned()
    } else {
        format!("{}/rpc/{}", path.trim_end_matches('/'), version.text())
    };
    let mark = if query.is_empty() { "" } else { "?" };
    Ok((
        format!("{scheme}://{authority}{path}{mark}{query}"),
        authority.to_owned(),
    ))
}

fn check_authority(authority: &str) -> Result<(), EndpointError> {
    let (host, port) = if authority.starts_with('[') {
        let (host, rest) = authority.split_once(']').ok_or(EndpointError::Host)?;
        let host = host.strip_prefix('[').unwrap_or(host);
        host.parse::<Ipv6Addr>().map_err(|_| EndpointError::Host)?;
        (
            None,
            rest.strip_prefix(':').or((!rest.is_empty()).then_some("?")),
        )
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(authority), None),
        }
    };
    if host.is_some_and(|h| !is_host(h)) {
        return Err(EndpointError::Host);
    }
    match port {
        Some(port) => port
            .parse::<u16>()
            .map(|_| ())
            .map_err(|_| EndpointError::Port),
        None => Ok(()),
    }
}

/// A DNS name or an IPv4 address, judged by its characters.
fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_')
}

fn from_multiaddr(address: &str, version: Version) -> Result<(String, String), EndpointError> {
    let mut parts = address.split('/').skip(1).filter(|p| !p.is_empty());
    let (mut host, mut port, mut scheme) = (None, None, "http");
    let mut path_version = version.text();
    while let Some(part) = parts.next() {
        match part {
            "ip4" | "ip6" | "dns" | "dns4" | "dns6" => {
                let value = parts.next().ok_or(EndpointError::Host)?;
                host = Some(multiaddr_host(part, value)?);
            }
            "tcp" => {
                let value = parts.next().ok_or(EndpointError::Port)?;
                port = Some(value.parse::<u16>().map_err(|_| EndpointError::Port)?);
            }
            "http" | "ws" => {}
            "https" | "wss" | "tls" => scheme = "https",
            // Venus writes the API version into the address.
            "version" => {
                path_version = parts
                    .next()
                    .filter(|v| v.bytes().all(|b| b.is_ascii_alphanumeric()))
                    .ok_or(EndpointError::Component)?;
            }
            _ => return Err(EndpointError::Component),
        }
    }
    let host = host.ok_or(EndpointError::Host)?;
    let port = port.ok_or(EndpointError::Port)?;
    let name = format!("{host}:{port}");
    Ok((format!("{scheme}://{name}/rpc/{path_version}"), name))
}

fn multiaddr_host(kind: &str, value: &str) -> Result<String, EndpointError> {
    match kind {
        "ip4" => value.parse::<Ipv4Addr>().map(|a| a.to_string()).ok(),
        "ip6" => value.parse::<Ipv6Addr>().map(|a| format!("[{a}]")).ok(),
        _ => is_host(value).then(|| value.to_owned()),
    }
    .ok_or(EndpointError::Host)
}
