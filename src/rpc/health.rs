//! Which servers of a list are asked, and in which order: the circuit breaker. Pure; time is passed in.
//!
//! A server that fails rests for a while, longer with each failure in a row. When its rest is over one call tries it, and
//! the others go elsewhere until that one has its answer: so a server that hangs holds one thread, not all of them.

use std::time::{Duration, Instant};

/// Rest after a first failure: about what a restart of a small proxy takes.
const REST_FIRST: Duration = Duration::from_secs(5);

/// Longest rest. A node that comes back is used again within this time.
const REST_MAX: Duration = Duration::from_secs(120);

/// A head that is this much older than another server's makes a server lag: five block delays of the main network
/// (chain-sealer-rpc A.7).
pub(super) const LAG_MAX: Duration = Duration::from_secs(150);

/// What is known of one server.
#[derive(Debug, Clone, Default)]
struct State {
    /// Failures in a row.
    failures: u32,
    /// Rests until then.
    rests_until: Option<Instant>,
    /// Since when a call tries it after a failure.
    tried: Option<Instant>,
    /// When it last answered.
    answered: Option<Instant>,
    /// Its last failure was silence.
    hung: bool,
    /// Timestamp of its head in seconds, when it was last asked for it.
    head: Option<u64>,
    /// It has been said that it lags.
    lags: bool,
}

/// How well a server may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fitness {
    /// Its last call was answered, or it has never been asked.
    Good,
    /// It answers, but its head is old.
    Lags,
    /// It failed and its rest is over: one call may try it.
    Recovering,
    /// It failed a short while ago: only if there is nothing better.
    Rests,
}

/// What is known of the servers of a list, by their place.
#[derive(Debug)]
pub(super) struct Health(Vec<State>);

impl Health {
    pub fn new(servers: usize) -> Self {
        Self(vec![State::default(); servers])
    }

    /// All places, those to be asked first before the others; equally fit ones in the order of the list.
    pub fn order(&self, now: Instant) -> Vec<(usize, Fitness)> {
        let best = self.0.iter().filter_map(|state| state.head).max();
        let mut order: Vec<(usize, Fitness)> = self
            .0
            .iter()
            .map(|state| state.fitness(best, now))
            .enumerate()
            .collect();
        order.sort_by_key(|(_, fitness)| *fitness);
        order
    }

    /// Whether a call to this server may begin. After a failure by silence one call at a time may, until
    /// [`Health::good`] or [`Health::failed`], or for `patience` at most; after any other failure too, unless the server
    /// is the `only` one: what fails at once needs no guard then.
    pub fn begin(&mut self, server: usize, only: bool, patience: Duration, now: Instant) -> bool {
        let Some(state) = self.0.get_mut(server) else {
            return false;
        };
        if state.failures == 0 || (only && !state.hung) {
            return true;
        }
        let trying = |since: Instant| now.saturating_duration_since(since) < patience;
        if state.tried.is_some_and(trying) {
            return false;
        }
        state.tried = Some(now);
        true
    }

    /// A server has answered; whether it had failed before.
    pub fn good(&mut self, server: usize, now: Instant) -> bool {
        let Some(state) = self.0.get_mut(server) else {
            return false;
        };
        let recovered = state.failures > 0;
        *state = State {
            head: state.head,
            lags: state.lags,
            answered: Some(now),
            ..State::default()
        };
        recovered
    }

    /// A call that began at `begun` has failed; `hung` if by silence. Gives the server's rest if the failure counts
    /// against it: a call that took too long while others were answered was too much to ask, no more.
    pub fn failed(
        &mut self,
        server: usize,
        hung: bool,
        begun: Instant,
        now: Instant,
    ) -> Option<Duration> {
        let state = self.0.get_mut(server)?;
        if hung && state.answered.is_some_and(|at| at > begun) {
            return None;
        }
        let doubled = 1_u32.checked_shl(state.failures).unwrap_or(u32::MAX);
        let rest = REST_FIRST.saturating_mul(doubled).min(REST_MAX);
        state.failures = state.failures.saturating_add(1);
        state.rests_until = now.checked_add(rest);
        state.tried = None;
        state.hung = hung;
        Some(rest)
    }

    /// A server has told the timestamp of its head, in seconds. Gives the servers that lag from now on, or no longer do.
    pub fn head(&mut self, server: usize, timestamp: u64) -> Vec<(usize, bool)> {
        if let Some(state) = self.0.get_mut(server) {
            state.head = Some(timestamp);
        }
        let best = self.0.iter().filter_map(|state| state.head).max();
        let mut changed = Vec::new();
        for (place, state) in self.0.iter_mut().enumerate() {
            let lags = state.is_behind(best);
            if lags != state.lags {
                state.lags = lags;
                changed.push((place, lags));
            }
        }
        changed
    }
}

impl State {
    fn fitness(&self, best: Option<u64>, now: Instant) -> Fitness {
        if self.rests_until.is_some_and(|until| now < until) {
            Fitness::Rests
        } else if self.failures > 0 {
            Fitness::Recovering
        } else if self.is_behind(best) {
            Fitness::Lags
        } else {
            Fitness::Good
        }
    }

    fn is_behind(&self, best: Option<u64>) -> bool {
        match (self.head, best) {
            (Some(own), Some(best)) => best.saturating_sub(own) > LAG_MAX.as_secs(),
            _ => false,
        }
    }
}
