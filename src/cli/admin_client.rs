//! Commands talk to the running provider through its admin listener: HTTP, JSON, a bearer token.

use super::Failure;
use crate::config::Place;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use ureq::Agent;

/// The token's file in the home directory; the provider writes it, readable by its owner only.
pub const TOKEN_FILE: &str = "admin-token";
/// A provider on this box answers at once, or has a transfer's disk under it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer: a few thousand deals.
const ANSWER_MAX: u64 = 16 * 1024 * 1024;
/// The largest token file.
const TOKEN_MAX: u64 = 4 * 1024;

/// The way to the running provider.
#[derive(Debug)]
pub struct Admin {
    agent: Agent,
    address: SocketAddr,
    token: String,
}

impl Admin {
    /// Finds the provider of this environment's home directory.
    pub fn connect() -> Result<Self, Failure> {
        let place = Place::from_env(std::env::vars_os())
            .map_err(|error| Failure::Usage(error.to_string()))?;
        Self::at(&place)
    }

    /// Finds the provider at a place; nothing is sent yet.
    pub fn at(place: &Place) -> Result<Self, Failure> {
        let path = place.home.join(TOKEN_FILE);
        let token = read_token(&path).map_err(|error| {
            let reason = if error.kind() == std::io::ErrorKind::NotFound {
                "no provider has run with this home directory (CORACLE_HOME)".to_owned()
            } else {
                error.to_string()
            };
            Failure::Failed(format!("cannot read {}: {reason}", path.display()))
        })?;
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy of the environment would get the token.
            .proxy(None)
            .build();
        Ok(Self {
            agent: config.into(),
            address: reachable(place.admin_listen),
            token,
        })
    }

    /// Reads something. `path` begins with a slash.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self
            .agent
            .get(self.url(path))
            .header("authorization", self.bearer());
        self.answer(request.call())
    }

    /// Asks for something to be done; the answer's `accepted: false` is a refusal.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self
            .agent
            .post(self.url(path))
            .header("authorization", self.bearer())
            .header("content-type", "application/json");
        let answer = self.answer(request.send(body.to_string().as_bytes()))?;
        if answer.get("accepted").and_then(Value::as_bool) == Some(false) {
            let reason = answer.get("reason").and_then(Value::as_str);
            return Err(Failure::Refused(
                reason.unwrap_or("refused without a reason").to_owned(),
            ));
        }
        Ok(answer)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn answer(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let mut response = result.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        let value: Option<Value> = serde_json::from_str(&text).ok();
        if status.is_success() {
            return value.ok_or_else(|| {
                Failure::Failed(format!(
                    "{} answered with something else than JSON",
                    self.address
                ))
            });
        }
        if status.as_u16() == 401 {
            return Err(Failure::Failed(format!(
                "the provider at {} does not take this home directory's token: \
                 is it the provider of another one?",
                self.address
            )));
        }
        let told = value
            .as_ref()
            .and_then(|value| value.get("error"))
            .and_then(Value::as_str);
        let text = told.map_or_else(|| format!("HTTP status {status}"), str::to_owned);
        if status.is_client_error() {
            Err(Failure::Refused(text))
        } else {
            Err(Failure::Failed(text))
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::Failed(format!(
            "no answer from a provider at {} (CORACLE_ADMIN_LISTEN): {error}",
            self.address
        ))
    }
}

/// Where an address to listen on is reached from this box.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn read_token(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(TOKEN_MAX)
        .read_to_string(&mut text)?;
    let token = text.trim();
    // What may stand in a header; anything else is no token of ours.
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(std::io::Error::other("it holds no token"));
    }
    Ok(token.to_owned())
}

/// A value as part of a query string.
pub fn query_escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A list in an answer; empty if there is none of this name.
pub fn array<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The provider's only miner, from the answer of `/v1/asks`; an error says `how` to name one of several.
pub fn only_miner(all: &Value, how: &str) -> Result<String, Failure> {
    let asks = array(all, "asks").iter().filter_map(|ask| ask.get("miner"));
    let miners: Vec<&str> = asks
        .chain(array(all, "missing"))
        .filter_map(Value::as_str)
        .collect();
    match miners.as_slice() {
        [only] => Ok((*only).to_owned()),
        several => Err(Failure::Usage(format!(
            "the provider has several miners, {how}: {}",
            several.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_reached_over_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("10.0.0.1:3", "10.0.0.1:3"),
        ] {
            assert_eq!(
                reachable(listen.parse().unwrap()),
                expected.parse().unwrap()
            );
        }
    }

    #[test]
    fn a_query_value_cannot_add_a_parameter() {
        assert_eq!(query_escape("a b&c=d/é"), "a%20b%26c%3Dd%2F%C3%A9");
        assert_eq!(query_escape("f01234-x_y.z~"), "f01234-x_y.z~");
    }
}
