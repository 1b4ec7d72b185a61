//! Name look-ups for the JSON-RPC client.
//!
//! `ureq` looks a host up for every request, also when it then takes an open connection, and spawns a thread for each
//! look-up that has a time-out. A node is asked several times a second, so: an IP address needs no look-up, and the
//! answer for a name is kept for a short while.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer is used again. Short enough that a node which moves is found soon.
const KEEP: Duration = Duration::from_secs(30);

/// Names kept at a time; a client talks to at most a handful of hosts.
const NAMES_MAX: usize = 16;

#[derive(Debug)]
struct Known {
    authority: String,
    addresses: Vec<SocketAddr>,
    at: Instant,
}

/// A resolver with a small memory.
#[derive(Debug, Default)]
pub(super) struct Resolve {
    inner: DefaultResolver,
    known: Mutex<Vec<Known>>,
}

impl Resolver for Resolve {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        if let Some(address) = literal(uri) {
            let mut result = self.empty();
            result.push(address);
            return Ok(result);
        }
        let authority = uri
            .authority()
            .map(|a| format!("{}//{}", uri.scheme_str().unwrap_or_default(), a.as_str()));
        let Some(authority) = authority else {
            return Err(ureq::Error::HostNotFound);
        };
        let now = Instant::now();
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|k| now.saturating_duration_since(k.at) < KEEP);
            if let Some(found) = known.iter().find(|k| k.authority == authority) {
                let mut result = self.empty();
                for address in &found.addresses {
                    result.push(*address);
                }
                return Ok(result);
            }
        }
        let result = self
            .inner
            .resolve(uri, config, timeout)
            .map_err(|error| match error {
                // A failed look-up comes as an unspecific I/O error; callers need to know that nothing was sent.
                ureq::Error::Io(_) => ureq::Error::HostNotFound,
                other => other,
            })?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < NAMES_MAX {
            known.push(Known {
                authority,
                addresses: result.iter().copied().collect(),
                at: now,
            });
        }
        Ok(result)
    }
}

/// The address of a URI whose host is one already.
fn literal(uri: &Uri) -> Option<SocketAddr> {
    let authority = uri.authority()?;
    let host = authority.host();
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    let ip: IpAddr = host.parse().ok()?;
    let port = authority.port_u16().or(match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })?;
    Some(SocketAddr::new(ip, port))
}
