//! Names to addresses, with a time-out and a stop, which the operating system's look-up has not.

use super::Failure;
use super::patience::{Patience, SLICE, after};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Look-ups that may run at once, those among them that were given up included: each holds a thread until the operating
/// system lets go of it, and a name server that hangs would collect them.
const MAX_LOOK_UPS: usize = 16;

/// Stack of a look-up's thread. musl's resolver keeps its packets on the stack (about 10 KiB), glibc's plug-ins need more.
const STACK: usize = 256 * 1024;

/// Addresses of one name that are tried; more would only make a dead host take longer.
pub(super) const MAX_ADDRESSES: usize = 8;

/// Finds the addresses of a host name and port. Blocks; the operating system's resolver unless a test replaces it.
pub type LookUp = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The operating system's resolver.
pub(super) fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

pub(super) struct Resolver {
    look_up: Arc<LookUp>,
    running: Arc<AtomicUsize>,
}

/// Gives a look-up's place back when its thread ends, however it ends.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Resolver {
    pub fn new(look_up: Arc<LookUp>) -> Self {
        Self {
            look_up,
            running: Arc::default(),
        }
    }

    /// The addresses of a host as it stands in a URL (IPv6 addresses in brackets).
    pub fn resolve(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
        patience: &Patience,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let mut addresses = self
            .look_up(bare, port, limit, patience)?
            .map_err(|error| Failure::again(format!("looking up {host}: {error}")))?;
        addresses.dedup();
        if addresses.is_empty() {
            return Err(Failure::again(format!("looking up {host}: no address")));
        }
        Ok(addresses)
    }

    fn look_up(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
        patience: &Patience,
    ) -> Result<io::Result<Vec<SocketAddr>>, Failure> {
        if self.running.fetch_add(1, Ordering::Relaxed) >= MAX_LOOK_UPS {
            self.running.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::again(format!(
                "looking up {host}: too many look-ups hang"
            )));
        }
        let place = Place(Arc::clone(&self.running));
        let (send, receive) = sync_channel(1);
        let (look_up, name) = (Arc::clone(&self.look_up), host.to_owned());
        std::thread::Builder::new()
            .name("look-up".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let _place = place;
                // The asker may have given up; then nobody waits for the result.
                let _ = send.send(look_up(&name, port));
            })
            .map_err(|error| Failure::again(format!("looking up {host}: no thread: {error}")))?;
        let end = after(limit);
        loop {
            patience.check().map_err(|_| Failure::Stopped)?;
            let left = end.saturating_duration_since(Instant::now());
            match receive.recv_timeout(SLICE.min(left)) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Err(RecvTimeoutError::Timeout) => {
                    let reason = format!("looking up {host}: no answer in {} s", limit.as_secs());
                    return Err(Failure::again(reason));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::again(format!(
                        "looking up {host}: ended without a result"
                    )));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::Control;
    use std::sync::Mutex;

    fn patience() -> (Arc<Control>, Patience) {
        let control = Arc::new(Control::default());
        (Arc::clone(&control), Patience::new(control))
    }

    fn reason(failure: &Failure) -> &str {
        match failure {
            Failure::Again { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn literal_addresses_are_not_looked_up() {
        let resolver = Resolver::new(Arc::new(|_, _| panic!("looked up")));
        let (_, patience) = patience();
        for (host, address) in [("127.0.0.1", "127.0.0.1:81"), ("[::1]", "[::1]:81")] {
            let found = resolver.resolve(host, 81, Duration::from_secs(1), &patience);
            assert_eq!(found, Ok(vec![address.parse().unwrap()]));
        }
    }

    #[test]
    fn failures_are_worth_another_try() {
        let (_, patience) = patience();
        let failing = Resolver::new(Arc::new(|_, _| Err(io::Error::other("no such name"))));
        let failure = failing
            .resolve("a.b", 80, Duration::from_secs(1), &patience)
            .unwrap_err();
        assert_eq!(reason(&failure), "looking up a.b: no such name");
        let empty = Resolver::new(Arc::new(|_, _| Ok(Vec::new())));
        let failure = empty
            .resolve("a.b", 80, Duration::from_secs(1), &patience)
            .unwrap_err();
        assert_eq!(reason(&failure), "looking up a.b: no address");
    }

    #[test]
    fn a_look_up_that_hangs_is_given_up_and_counted() {
        let (hold, held) = sync_channel::<()>(0);
        let held = Mutex::new(held);
        let resolver = Resolver::new(Arc::new(move |_, _| {
            let _ = held.lock().unwrap().recv();
            Ok(Vec::new())
        }));
        let (control, patience) = patience();
        let failure = resolver
            .resolve("a.b", 80, Duration::from_millis(20), &patience)
            .unwrap_err();
        assert!(reason(&failure).contains("no answer in"), "{failure:?}");
        control.stop.store(true, Ordering::Relaxed);
        let stopped = resolver.resolve("a.b", 80, Duration::from_secs(60), &patience);
        assert_eq!(stopped, Err(Failure::Stopped));
        control.stop.store(false, Ordering::Relaxed);
        for _ in 2..MAX_LOOK_UPS {
            let _ = resolver.resolve("a.b", 80, Duration::ZERO, &patience);
        }
        let failure = resolver
            .resolve("a.b", 80, Duration::ZERO, &patience)
            .unwrap_err();
        assert!(
            reason(&failure).contains("too many look-ups hang"),
            "{failure:?}"
        );
        drop(hold);
        let end = after(Duration::from_secs(5));
        while resolver.running.load(Ordering::Relaxed) > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(resolver.running.load(Ordering::Relaxed), 0);
    }
}
