//! When waiting for the other side ends: the market's stop, and the limit on a body that does not move.

use super::Control;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest uninterrupted wait in a socket or a look-up: a stop is seen at the latest after this.
pub(super) const SLICE: Duration = Duration::from_millis(250);

/// Bytes of the body that have to arrive in every stall limit. One byte now and then would hold a connection and a
/// thread for ever; an honest line of 20 bytes per second passes with the default limit.
pub(super) const MIN_BYTES_PER_WINDOW: u64 = 1024;

/// Why a wait was ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The market asked for it.
    Stopped,
    /// The body did not move for the stall limit.
    Stalled,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::Stalled => "stalled",
        })
    }
}

impl std::error::Error for Fault {}

/// Shared by the loop that reads the body and the sockets below it.
#[derive(Debug)]
pub(super) struct Patience {
    control: Arc<Control>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What ended the last wait; the HTTP library in between may wrap or rename the error.
    fault: Option<Fault>,
    /// While a body is read: when the current window ends, and what it has brought.
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    end: Instant,
    length: Duration,
    bytes: u64,
}

impl Patience {
    pub fn new(control: Arc<Control>) -> Self {
        Self {
            control,
            state: Mutex::default(),
        }
    }

    pub fn stopped(&self) -> bool {
        self.control.stop.load(Ordering::Relaxed)
    }

    /// To be called between waits.
    pub fn check(&self) -> Result<(), Fault> {
        let mut state = self.state();
        let stalled = state
            .window
            .as_ref()
            .is_some_and(|window| Instant::now() >= window.end);
        let fault = if self.stopped() {
            Fault::Stopped
        } else if stalled {
            Fault::Stalled
        } else {
            return Ok(());
        };
        state.fault = Some(fault);
        Err(fault)
    }

    /// From now on the body has to move within `length`.
    pub fn begin_body(&self, length: Duration) {
        self.state().window = Some(Window {
            end: after(length),
            length,
            bytes: 0,
        });
    }

    /// Bytes of the body have arrived.
    pub fn arrived(&self, bytes: u64) {
        if let Some(window) = &mut self.state().window {
            window.bytes = window.bytes.saturating_add(bytes);
            if window.bytes >= MIN_BYTES_PER_WINDOW {
                window.bytes = 0;
                window.end = after(window.length);
            }
        }
    }

    /// Why the last wait ended, if we ended it.
    pub fn fault(&self) -> Option<Fault> {
        self.state().fault
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The moment after this wait; a wait beyond what the clock can express never ends in practice.
pub(super) fn after(wait: Duration) -> Instant {
    const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    let now = Instant::now();
    now.checked_add(wait.min(FOREVER)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_seen_before_a_stall() {
        let control = Arc::new(Control::default());
        let patience = Patience::new(Arc::clone(&control));
        assert_eq!(patience.check(), Ok(()));
        patience.begin_body(Duration::ZERO);
        assert_eq!(patience.check(), Err(Fault::Stalled));
        assert_eq!(patience.fault(), Some(Fault::Stalled));
        control.stop.store(true, Ordering::Relaxed);
        assert_eq!(patience.check(), Err(Fault::Stopped));
        assert_eq!(patience.fault(), Some(Fault::Stopped));
    }

    #[test]
    fn a_window_is_renewed_by_enough_bytes_only() {
        let patience = Patience::new(Arc::default());
        patience.begin_body(Duration::from_millis(800));
        std::thread::sleep(Duration::from_millis(500));
        patience.arrived(MIN_BYTES_PER_WINDOW - 1);
        patience.arrived(1);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(patience.check(), Ok(()));
        patience.arrived(MIN_BYTES_PER_WINDOW - 1);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(patience.check(), Err(Fault::Stalled));
    }

    #[test]
    fn a_wait_without_end_does_not_overflow() {
        assert!(after(Duration::MAX) > Instant::now());
    }
}
