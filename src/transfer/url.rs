//! The `http` and `https` URLs of transfers: taken apart by ourselves, since what is checked must be what is connected to.

use super::address::is_public;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Longest URL in bytes: presigned URLs stay below 4 KiB, servers refuse longer request lines than this anyway.
const MAX_URL: usize = 8192;
/// Longest host name (RFC 1035).
const MAX_HOST: usize = 253;

/// Why a text is not a URL we can fetch from. The texts say what is wrong without repeating the input, which may hold
/// credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlError(pub &'static str);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for UrlError {}

/// `http` or `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn parse(text: &str) -> Result<Self, UrlError> {
        if text.eq_ignore_ascii_case("http") {
            Ok(Self::Http)
        } else if text.eq_ignore_ascii_case("https") {
            Ok(Self::Https)
        } else if text.eq_ignore_ascii_case("libp2p") {
            Err(UrlError("libp2p:// transfers are not supported"))
        } else {
            Err(UrlError("the scheme is neither http nor https"))
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A URL in its parts. There is no `Debug` or `Display` of the whole, because path, query and user may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct HttpUrl {
    pub scheme: Scheme,
    /// `user:password` as written, percent-encoded.
    pub user: Option<String>,
    /// Lower case; IPv6 addresses in brackets.
    pub host: String,
    /// As written, if written.
    pub port: Option<u16>,
    /// `host:port` as written, for staging quotas and queues (spec boost-mk12 2.1).
    pub written: String,
    /// Path and query, percent-encoded, beginning with `/`.
    pub path: String,
}

impl HttpUrl {
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.is_empty() {
            return Err(UrlError("it is empty"));
        }
        if text.len() > MAX_URL {
            return Err(UrlError("it is too long"));
        }
        if text.chars().any(char::is_control) {
            return Err(UrlError("it has a control character"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(UrlError("it has no scheme"));
        };
        let scheme = Scheme::parse(scheme)?;
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(end) => rest.split_at_checked(end).unwrap_or((rest, "")),
            None => (rest, ""),
        };
        let (user, written) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let (host, port) = host_and_port(written)?;
        Ok(Self {
            scheme,
            user,
            host,
            port,
            written: written.to_owned(),
            path: request_path(path),
        })
    }

    /// The port that is connected to.
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// The URL for the request: without user, password and fragment.
    pub fn request_url(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}{}", self.scheme.name(), self.host, self.path)
    }

    /// Whether both go to the same scheme, host and port (RFC 6454).
    pub fn same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.host == other.host
            && self.effective_port() == other.effective_port()
    }

    /// What a `Location` of an answer to this URL points to (RFC 3986 section 5.2).
    pub fn join(&self, location: &str) -> Result<Self, UrlError> {
        let location = location.split('#').next().unwrap_or_default();
        if location.chars().any(char::is_control) {
            return Err(UrlError("it has a control character"));
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme.name()));
        }
        let scheme_end = location.find(':').unwrap_or(usize::MAX);
        let path_begin = location.find(['/', '?']).unwrap_or(usize::MAX);
        if scheme_end < path_begin {
            return Self::parse(location);
        }
        let (base, _) = cut(&self.path, '?');
        let path = if location.is_empty() {
            self.path.clone()
        } else if location.starts_with('/') {
            without_dots(location)
        } else if location.starts_with('?') {
            format!("{base}{location}")
        } else {
            let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
            without_dots(&format!("{folder}/{location}"))
        };
        if path.len() > MAX_URL {
            return Err(UrlError("it is too long"));
        }
        Ok(Self {
            user: None,
            path: request_path(&path),
            ..self.clone()
        })
    }
}

/// Splits before the first `at`; the second part keeps it.
fn cut(text: &str, at: char) -> (&str, &str) {
    let end = text.find(at).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn host_and_port(written: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = if let Some(rest) = written.strip_prefix('[') {
        let Some((inner, port)) = rest.split_once(']') else {
            return Err(UrlError("the IPv6 address has no closing bracket"));
        };
        let address: Ipv6Addr = inner
            .parse()
            .map_err(|_| UrlError("the IPv6 address is not valid"))?;
        (format!("[{address}]"), port)
    } else {
        let (host, port) = cut(written, ':');
        (host_name(host)?, port)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return Err(UrlError("there is text between the host and the port")),
        Some("") => None,
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            match digits.parse::<u16>() {
                Ok(0) | Err(_) => return Err(UrlError("the port is out of range")),
                Ok(port) => Some(port),
            }
        }
        Some(_) => return Err(UrlError("the port is not a number")),
    };
    Ok((host, port))
}

fn host_name(host: &str) -> Result<String, UrlError> {
    if host.is_empty() {
        return Err(UrlError("it has no host"));
    }
    if host.len() > MAX_HOST {
        return Err(UrlError("the host name is too long"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !host.bytes().all(allowed) {
        return Err(UrlError(
            "the host name has a character that is not allowed",
        ));
    }
    Ok(host.to_ascii_lowercase())
}

/// Path and query as they go into a request: no fragment, `/` in front, everything that a request line cannot carry
/// percent-encoded.
fn request_path(path: &str) -> String {
    let (path, _) = cut(path, '#');
    let mut out = String::with_capacity(path.len().saturating_add(1));
    if !path.starts_with('/') {
        out.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_graphic()
            && !matches!(
                byte,
                b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
            )
        {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(
                    char::from_digit(digit.into(), 16)
                        .unwrap_or('0')
                        .to_ascii_uppercase(),
                );
            }
        }
    }
    out
}

/// Removes `.` and `..` segments of an absolute path (RFC 3986 section 5.2.4); the query stays as it is.
fn without_dots(path: &str) -> String {
    let (path, query) = cut(path, '?');
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

/// Decodes `%XX`; a percent sign that is not followed by two hex digits stays.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (first, rest)
            && let Some(high) = char::from(*high).to_digit(16)
            && let Some(low) = char::from(*low).to_digit(16)
        {
            out.push(u8::try_from((high << 4) | low).unwrap_or(first));
            rest = after;
            continue;
        }
        out.push(first);
    }
    out
}

/// An address prefix from which downloads are allowed although it is not public: `http://127.0.0.1:8080`,
/// `http://nas.lan/exports/`.
///
/// Scheme, host and port must be the same (no port means the scheme's own, `:*` any), and the path must be the prefix's
/// path or below it. Nothing is compared as text: `http://127.0.0.1:80` covers neither `http://127.0.0.1:8080` nor
/// `http://127.0.0.1:80@elsewhere`.
#[derive(Clone)]
pub(super) struct PrivatePrefix {
    url: HttpUrl,
    any_port: bool,
}

impl PrivatePrefix {
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError("it has no scheme"))?;
        let (authority, path) = cut(rest, '/');
        let (authority, any_port) = match authority.strip_suffix(":*") {
            Some(host) => (host, true),
            None => (authority, false),
        };
        let url = HttpUrl::parse(&format!("{scheme}://{authority}{path}"))?;
        if url.user.is_some() {
            return Err(UrlError("a prefix has no user"));
        }
        if url.path.contains('?') {
            return Err(UrlError("a prefix has no query"));
        }
        Ok(Self { url, any_port })
    }

    pub fn covers(&self, url: &HttpUrl) -> bool {
        if self.url.scheme != url.scheme
            || self.url.host != url.host
            || !(self.any_port || self.url.effective_port() == url.effective_port())
        {
            return false;
        }
        let prefix = self.url.path.trim_end_matches('/');
        if prefix.is_empty() {
            return true;
        }
        let (path, _) = cut(&url.path, '?');
        // Servers differ in what they make of dots and encoded slashes: such a path is not below anything.
        let decoded = percent_decoded(path);
        if decoded
            .split(|&byte| byte == b'/' || byte == b'\\')
            .any(|part| part == b"." || part == b"..")
        {
            return false;
        }
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Checks one entry of the list of private address prefixes, for the settings.
///
/// # Errors
/// What is wrong with it.
pub fn check_private_url(text: &str) -> Result<(), UrlError> {
    PrivatePrefix::parse(text).map(|_| ())
}

/// Whether a connection for this URL may go to this address.
pub(super) fn may_connect(url: &HttpUrl, address: IpAddr, private: &[PrivatePrefix]) -> bool {
    is_public(address) || private.iter().any(|prefix| prefix.covers(url))
}
