//! One call: its request, its answer, its time limits and its fail-over.

use super::exchange::{answer, broke, hung, unreachable};
use super::health::{Fitness, Health};
use super::{Endpoint, Phase, RpcError};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use ureq::Agent;

/// All methods of Lotus-compatible servers live in this namespace.
const NAMESPACE: &str = "Filecoin";

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
    /// In place of [`Limits::answer`] as long as there is another server to ask: a dead one must not keep the threads
    /// that the living ones are asked on.
    pub failover_answer: Duration,
    /// In place of [`Limits::long_answer`], likewise.
    pub failover_long_answer: Duration,
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
            failover_answer: Duration::from_secs(5),
            failover_long_answer: Duration::from_secs(30),
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
///
/// Of a list the first server that is in good health is asked. One that is away, talks nonsense or does not take our
/// token is passed over for a bounded time; one whose head is old ([`Client::survey`]) while another's is not.
pub struct Client {
    endpoints: Vec<Endpoint>,
    agent: Agent,
    limits: Limits,
    next_id: AtomicU64,
    health: Mutex<Health>,
    surveying: AtomicBool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// How one exchange is made.
#[derive(Clone, Copy)]
struct Manner {
    /// To the head of the answer; None waits for ever.
    answer: Option<Duration>,
    /// On a connection of its own.
    fresh: bool,
}

impl Client {
    /// A client that asks `endpoints` in this order.
    pub fn new(endpoints: Vec<Endpoint>, limits: Limits) -> Self {
        let config = super::server_config(&limits)
            .timeout_send_body(Some(limits.send))
            .timeout_recv_response(Some(limits.answer))
            .timeout_recv_body(Some(limits.body))
            .max_idle_age(IDLE)
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .build();
        Self {
            health: Mutex::new(Health::new(endpoints.len())),
            endpoints,
            agent: super::agent(config),
            limits,
            next_id: AtomicU64::new(1),
            surveying: AtomicBool::new(false),
        }
    }

    /// Asks for something that may be asked twice: a server that fails is passed over for the next one of the list, and
    /// one whose idle connection just broke is tried once more.
    ///
    /// `method` comes without its namespace, `params` has exactly as many entries as the method has parameters.
    ///
    /// # Errors
    /// [`RpcError`]: an answer of error, or why the server that came closest to an answer gave none.
    pub fn call(
        &self,
        method: &str,
        params: &Value,
        patience: Patience,
    ) -> Result<Value, RpcError> {
        let order = self.candidates(patience);
        let last = order.len().saturating_sub(1);
        let mut failure: Option<RpcError> = None;
        for (position, server) in order.into_iter().enumerate() {
            let alternative = position < last;
            match self.attempt(server, method, params, patience, alternative) {
                Err(error) if error.is_of_the_server() => {
                    log::debug!("{error}");
                    failure = Some(match failure {
                        Some(earlier) if weight(&earlier) > weight(&error) => earlier,
                        _ => error,
                    });
                }
                other => return other,
            }
        }
        Err(failure.unwrap_or_else(|| no_server(method)))
    }

    /// Asks one server for something that may be asked twice; others are not asked in its place. `server` is its name as
    /// [`Client::names`] has it.
    ///
    /// # Errors
    /// The server's [`RpcError`]; [`RpcError::Malformed`] if there is no such server in the list.
    pub fn ask(
        &self,
        server: &str,
        method: &str,
        params: &Value,
        patience: Patience,
    ) -> Result<Value, RpcError> {
        let place = self.place(server).ok_or_else(|| no_server(method))?;
        // Whoever asks one after the other has an alternative.
        let alternative = self.endpoints.len() > 1;
        self.attempt(place, method, params, patience, alternative)
    }

    fn place(&self, server: &str) -> Option<usize> {
        let mut names = self.endpoints.iter().map(Endpoint::to_string);
        names.position(|name| name == server)
    }

    /// Asks one server, one attempt on a fresh connection (an idle one that breaks would leave open whether the request
    /// arrived): for what must not happen twice. `server` is its name as [`Client::names`] has it; None is the first.
    ///
    /// # Errors
    /// The server's [`RpcError`]; [`RpcError::Malformed`] if there is no such server in the list.
    pub fn call_at(
        &self,
        server: Option<&str>,
        method: &str,
        params: &Value,
        patience: Patience,
    ) -> Result<Value, RpcError> {
        let place = match server {
            None => Some(0),
            Some(name) => self.place(name),
        };
        let Some((place, endpoint)) = place.and_then(|p| Some((p, self.endpoints.get(p)?))) else {
            return Err(no_server(method));
        };
        let manner = Manner {
            answer: self.limit(patience, false),
            fresh: true,
        };
        let begun = Instant::now();
        let result = self.exchange(endpoint, method, params, manner);
        self.note(place, begun, &result);
        result
    }

    /// Asks every server that does not rest for its head and remembers the heads' timestamps (seconds since 1970), so
    /// that one that lags behind is passed over. Does nothing with one server, or while another thread surveys.
    pub fn survey(&self, method: &str, params: &Value, timestamp: impl Fn(&Value) -> Option<u64>) {
        if self.endpoints.len() < 2 || self.surveying.swap(true, Ordering::AcqRel) {
            return;
        }
        // Not in the loop's head: the lock would be held during the calls.
        let order = self.health().order(Instant::now());
        for (server, fitness) in order {
            if fitness == Fitness::Rests {
                continue;
            }
            let answer = self.attempt(server, method, params, Patience::Short, true);
            if let Some(timestamp) = answer.ok().as_ref().and_then(&timestamp) {
                let changed = self.health().head(server, timestamp);
                for (server, lags) in changed {
                    self.say_lag(server, lags);
                }
            }
        }
        self.surveying.store(false, Ordering::Release);
    }

    /// The servers' names (host and port), those to be asked first before the others.
    pub fn names(&self) -> Vec<String> {
        let order = self.health().order(Instant::now());
        order
            .into_iter()
            .filter_map(|(server, _)| Some(self.endpoints.get(server)?.to_string()))
            .collect()
    }

    /// The servers, for messages to people.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Ends every running call of this client with [`RpcError::Unreachable`] and lets no further one begin.
    pub fn close(&self) {
        self.agent.clone().shutdown();
    }

    /// The lock is held for a look, never during a call.
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places to ask at, in this order. A long call is no trial for a server that has just failed, if there is another.
    fn candidates(&self, patience: Patience) -> Vec<usize> {
        let order = self.health().order(Instant::now());
        let fit = order
            .iter()
            .filter(|(_, fitness)| *fitness <= Fitness::Lags)
            .count();
        let take = match (fit, patience) {
            (0, _) | (_, Patience::Short) => order.len(),
            (fit, Patience::Long | Patience::Endless) => fit,
        };
        let places = order.into_iter().take(take);
        places.map(|(server, _)| server).collect()
    }

    fn limit(&self, patience: Patience, alternative: bool) -> Option<Duration> {
        match (patience, alternative) {
            (Patience::Short, true) => Some(self.limits.failover_answer.min(self.limits.answer)),
            (Patience::Short, false) => Some(self.limits.answer),
            (Patience::Long, true) => {
                let limit = self.limits.failover_long_answer;
                Some(limit.min(self.limits.long_answer))
            }
            (Patience::Long, false) => Some(self.limits.long_answer),
            (Patience::Endless, _) => None,
        }
    }

    /// One server's turn.
    fn attempt(
        &self,
        server: usize,
        method: &str,
        params: &Value,
        patience: Patience,
        alternative: bool,
    ) -> Result<Value, RpcError> {
        let endpoint = self
            .endpoints
            .get(server)
            .ok_or_else(|| no_server(method))?;
        let answer = self.limit(patience, alternative);
        let begun = Instant::now();
        let trial = answer.unwrap_or(self.limits.long_answer);
        let only = self.endpoints.len() == 1;
        if !self.health().begin(server, only, trial, begun) {
            return Err(RpcError::Unreachable {
                endpoint: endpoint.to_string(),
                method: method.to_owned(),
                phase: Phase::Choice,
                reason: "it does not answer, and another call is trying it".to_owned(),
            });
        }
        let mut manner = Manner {
            answer,
            fresh: false,
        };
        let mut result = self.exchange(endpoint, method, params, manner);
        if result.as_ref().is_err_and(broke) {
            manner.fresh = true;
            result = self.exchange(endpoint, method, params, manner);
        }
        self.note(server, begun, &result);
        result
    }

    /// Remembers what an exchange says of its server.
    fn note(&self, server: usize, begun: Instant, result: &Result<Value, RpcError>) {
        let now = Instant::now();
        let error = match result {
            Err(error) if error.is_of_the_server() => error,
            _ => {
                if self.health().good(server, now) {
                    self.say(server, "answers again");
                }
                return;
            }
        };
        if matches!(error, RpcError::NoSuchMethod { .. }) {
            // A good answer of a server that can do less than others.
            self.health().good(server, now);
            return;
        }
        let rest = self.health().failed(server, hung(error), begun, now);
        if let Some(rest) = rest
            && self.endpoints.len() > 1
        {
            log::warn!("{error}; passed over for {} s", rest.as_secs());
        }
    }

    fn say(&self, server: usize, what: &str) {
        if let Some(endpoint) = self.endpoints.get(server) {
            log::info!("{endpoint} {what}");
        }
    }

    fn say_lag(&self, server: usize, lags: bool) {
        if lags {
            let limit = super::health::LAG_MAX.as_secs();
            let what = format!("lags more than {limit} s behind another node: passed over");
            self.say(server, &what);
        } else {
            self.say(server, "has caught up");
        }
    }

    fn exchange(
        &self,
        endpoint: &Endpoint,
        method: &str,
        params: &Value,
        manner: Manner,
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
            .timeout_recv_response(manner.answer)
            .max_idle_age(if manner.fresh { Duration::ZERO } else { IDLE })
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

/// Which of several servers' failures is told: the one that may pass by itself before the one that somebody must mend.
fn weight(error: &RpcError) -> u8 {
    match error {
        RpcError::Unreachable {
            phase: Phase::Choice,
            ..
        } => 3,
        RpcError::Unreachable { .. } => 4,
        RpcError::Malformed { .. } => 2,
        RpcError::Unauthorized { .. } => 1,
        _ => 0,
    }
}

fn no_server(method: &str) -> RpcError {
    RpcError::Malformed {
        method: method.to_owned(),
        reason: "there is no such server to ask".to_owned(),
    }
}
