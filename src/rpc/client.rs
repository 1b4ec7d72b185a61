//! One call: its request, its answer, its time limits and its fail-over.

use super::{Endpoint, Phase, RpcError};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::{Agent, Timeout};

/// All methods of Lotus-compatible servers live in this namespace.
const NAMESPACE: &str = "Filecoin";

/// Longest part of a server's error text that is kept, in characters. Lotus nests call traces into them.
const MESSAGE_MAX: usize = 600;

/// After a fail-over the first server of the list is tried again this much later.
const RETURN_AFTER: Duration = Duration::from_secs(60);

/// An idle connection is kept for this long; Lotus itself closes after minutes, proxies often after 60 s.
const IDLE: Duration = Duration::from_secs(30);

/// Idle connections kept: one for each thread that usually asks.
const IDLE_CONNECTIONS: usize = 4;

/// Bounds of one call, phase by phase.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Looking the name up.
    pub resolve: Duration,
    /// Opening the connection, TLS included.
    pub connect: Duration,
    /// Sending the head, and again for sending the body.
    pub send: Duration,
    /// From the sent request to the head of the answer, for ordinary reads.
    pub answer: Duration,
    /// The same for [`Patience::Long`].
    pub long_answer: Duration,
    /// Reading the body of the answer.
    pub body: Duration,
    /// Bytes of an answer. The largest ones, with traces of executed messages, have a few hundred kB.
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(5),
            connect: Duration::from_secs(10),
            send: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            // A message search back to genesis or a gas estimate on a small node takes minutes.
            long_answer: Duration::from_secs(300),
            body: Duration::from_secs(60),
            body_bytes: 8 << 20,
        }
    }
}

/// How long an answer may take to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// [`Limits::answer`].
    Short,
    /// [`Limits::long_answer`]: for methods that execute messages or search the chain.
    Long,
    /// No bound: the call ends when the server answers, the connection breaks or [`Client::close`] is called.
    Endless,
}

/// A JSON-RPC client for one server or a list of equal ones. Blocking; shared by threads.
pub struct Client {
    endpoints: Vec<Endpoint>,
    agent: Agent,
    limits: Limits,
    next_id: AtomicU64,
    /// The server that answered last, and since when it is not the first.
    current: Mutex<(usize, Instant)>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client that asks `endpoints` in this order.
    pub fn new(endpoints: Vec<Endpoint>, limits: Limits) -> Self {
        let config = Agent::config_builder()
            // Lotus sends a JSON-RPC body with 4xx and 5xx too (chain-sealer-rpc A.4).
            .http_status_as_error(false)
            // A redirect would turn the POST into a GET and might take the token elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // The node is reached directly, whatever the environment says about proxies.
            .proxy(None)
            .user_agent(concat!("coracle/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(limits.resolve))
            .timeout_connect(Some(limits.connect))
            .timeout_send_request(Some(limits.send))
            .timeout_send_body(Some(limits.send))
            .timeout_recv_response(Some(limits.answer))
            .timeout_recv_body(Some(limits.body))
            .max_idle_age(IDLE)
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .build();
        Self {
            endpoints,
            agent: super::agent(config),
            limits,
            next_id: AtomicU64::new(1),
            current: Mutex::new((0, Instant::now())),
        }
    }

    /// Asks for something that may be asked twice: on [`RpcError::Unreachable`] the next server of the list is tried,
    /// and a server whose idle connection just broke is tried once more.
    ///
    /// `method` comes without its namespace, `params` has exactly as many entries as the method has parameters.
    ///
    /// # Errors
    /// The last server's [`RpcError`].
    pub fn call(
        &self,
        method: &str,
        params: &Value,
        patience: Patience,
    ) -> Result<Value, RpcError> {
        let start = self.starting_point();
        let mut last = RpcError::Malformed {
            method: method.to_owned(),
            reason: "there is no server to ask".to_owned(),
        };
        let order = (start..self.endpoints.len()).chain(0..start);
        for number in order {
            let Some(endpoint) = self.endpoints.get(number) else {
                continue;
            };
            let mut result = self.exchange(endpoint, method, params, patience, false);
            if let Err(RpcError::Unreachable {
                phase: Phase::Answer,
                reason,
                ..
            }) = &result
                && reason == BROKEN
            {
                result = self.exchange(endpoint, method, params, patience, true);
            }
            match result {
                Err(error @ RpcError::Unreachable { .. }) => {
                    log::debug!("{error}");
                    last = error;
                }
                other => {
                    self.remember(number);
                    return other;
                }
            }
        }
        Err(last)
    }

    /// Asks for something that must not happen twice: the first server of the list only, one attempt, on a fresh
    /// connection (an idle one that breaks would leave open whether the request arrived).
    ///
    /// # Errors
    /// The server's [`RpcError`].
    pub fn call_once(
        &self,
        method: &str,
        params: &Value,
        patience: Patience,
    ) -> Result<Value, RpcError> {
        match self.endpoints.first() {
            Some(endpoint) => self.exchange(endpoint, method, params, patience, true),
            None => Err(RpcError::Malformed {
                method: method.to_owned(),
                reason: "there is no server to ask".to_owned(),
            }),
        }
    }

    /// The servers, for messages to people.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Ends every running call of this client with [`RpcError::Unreachable`] and lets no further one begin.
    pub fn close(&self) {
        self.agent.clone().shutdown();
    }

    fn starting_point(&self) -> usize {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != 0 && current.1.elapsed() >= RETURN_AFTER {
            *current = (0, Instant::now());
        }
        current.0
    }

    fn remember(&self, number: usize) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != number {
            *current = (number, Instant::now());
            drop(current);
            if let Some(endpoint) = self.endpoints.get(number) {
                log::info!("now asking {endpoint}");
            }
        }
    }

    fn exchange(
        &self,
        endpoint: &Endpoint,
        method: &str,
        params: &Value,
        patience: Patience,
        fresh: bool,
    ) -> Result<Value, RpcError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = json!({
            "jsonrpc": "2.0",
            "id": id,
            "method": format!("{NAMESPACE}.{method}"),
            "params": params,
        })
        .to_string();
        let mut post = self
            .agent
            .post(endpoint.url())
            .config()
            .timeout_recv_response(match patience {
                Patience::Short => Some(self.limits.answer),
                Patience::Long => Some(self.limits.long_answer),
                Patience::Endless => None,
            })
            .max_idle_age(if fresh { Duration::ZERO } else { IDLE })
            .build()
            .content_type("application/json");
        if let Some(authorization) = endpoint.authorization() {
            post = post.header("Authorization", authorization);
        }
        let failed =
            |error: &ureq::Error, in_body: bool| unreachable(endpoint, method, error, in_body);
        let mut response = post.send(request).map_err(|e| failed(&e, false))?;
        let status = response.status().as_u16();
        if status == 401 {
            return Err(RpcError::Unauthorized {
                endpoint: endpoint.to_string(),
            });
        }
        let body = response
            .body_mut()
            .with_config()
            .limit(self.limits.body_bytes)
            .read_to_vec()
            .map_err(|e| failed(&e, true))?;
        answer(endpoint, method, id, status, &body)
    }
}

/// The reason of a connection that ended before an answer came.
const BROKEN: &str = "the connection broke";

/// Sorts a transport error by its phase, in words that name no more than host and port.
fn unreachable(endpoint: &Endpoint, method: &str, error: &ureq::Error, in_body: bool) -> RpcError {
    use std::io::ErrorKind;
    let (phase, reason) = match error {
        ureq::Error::BodyExceedsLimit(limit) => {
            return RpcError::Malformed {
                method: method.to_owned(),
                reason: format!("the answer is larger than {limit} bytes"),
            };
        }
        ureq::Error::HostNotFound => (Phase::Resolve, "no such host".to_owned()),
        ureq::Error::Timeout(timeout) => (
            match timeout {
                Timeout::Resolve => Phase::Resolve,
                Timeout::Connect => Phase::Connect,
                Timeout::SendRequest | Timeout::SendBody => Phase::Send,
                Timeout::RecvBody => Phase::Body,
                _ => Phase::Answer,
            },
            "it took too long".to_owned(),
        ),
        ureq::Error::ConnectionFailed => (Phase::Connect, "no connection".to_owned()),
        ureq::Error::Tls(text) => (Phase::Connect, format!("TLS: {text}")),
        ureq::Error::Rustls(error) => (Phase::Connect, format!("TLS: {error}")),
        ureq::Error::Io(io) => match io.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => (Phase::Connect, io.kind().to_string()),
            _ if in_body => (Phase::Body, BROKEN.to_owned()),
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => (Phase::Answer, BROKEN.to_owned()),
            kind => (Phase::Answer, kind.to_string()),
        },
        _ if in_body => (Phase::Body, "the answer is not valid HTTP".to_owned()),
        _ => (Phase::Answer, "the answer is not valid HTTP".to_owned()),
    };
    RpcError::Unreachable {
        endpoint: endpoint.to_string(),
        method: method.to_owned(),
        phase,
        reason,
    }
}

/// Reads an HTTP answer as JSON-RPC, whatever its status.
fn answer(
    endpoint: &Endpoint,
    method: &str,
    id: u64,
    status: u16,
    body: &[u8],
) -> Result<Value, RpcError> {
    let malformed = |reason: &str| RpcError::Malformed {
        method: method.to_owned(),
        reason: reason.to_owned(),
    };
    let parsed = serde_json::from_slice::<Value>(body).ok();
    let Some(Value::Object(mut object)) = parsed else {
        if status == 200 {
            return Err(malformed("it is not a JSON object"));
        }
        return Err(RpcError::Unreachable {
            endpoint: endpoint.to_string(),
            method: method.to_owned(),
            phase: Phase::Answer,
            reason: format!("HTTP {status} without a JSON-RPC answer"),
        });
    };
    if let Some(error) = object.get("error").filter(|e| !e.is_null()) {
        return Err(refusal(method, error));
    }
    // Lotus holds the id as a float; ours stay far below 2^53, so both readings are exact.
    let same_id = object.get("id").is_some_and(|given| {
        given.as_u64() == Some(id)
            || given
                .as_f64()
                .is_some_and(|f| f.to_string() == id.to_string())
    });
    if !same_id {
        return Err(malformed("it belongs to another request"));
    }
    object
        .remove("result")
        .ok_or_else(|| malformed("it has neither a result nor an error"))
}

/// Sorts an error object (chain-sealer-rpc A.4). Texts are only looked at where Lotus has one code for everything.
fn refusal(method: &str, error: &Value) -> RpcError {
    let code = error.get("code").and_then(Value::as_i64).unwrap_or(0);
    let text = error.get("message").and_then(Value::as_str);
    let message = shorten(text.unwrap_or("no message"));
    let method = method.to_owned();
    // Forest has a code of its own for a missing permission, Lotus the code for everything.
    if code == -32003 || (code == 1 && message.contains("missing permission to invoke")) {
        return RpcError::Forbidden { method, message };
    }
    RpcError::Refused {
        method,
        code,
        message,
    }
}

/// A server's text, cut to [`MESSAGE_MAX`] characters and without control characters (they would forge log lines).
fn shorten(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(MESSAGE_MAX).map(clean).collect();
    if text.chars().nth(MESSAGE_MAX).is_some() {
        short.push('…');
    }
    short
}
