//! Names to addresses, off the main thread: the system's resolver blocks.

use super::transport::Family;
use crate::threads::Pool;
use async_io::Timer;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Names that are looked up at once. Dialing by name is rare: a client has one provider at a time.
const THREADS: usize = 2;

/// Names that wait to be looked up; more than this is refused.
const QUEUE: usize = 16;

/// Stack of a look-up. The system's resolver keeps its packet buffers there and may load modules.
const STACK_BYTES: usize = 256 * 1024;

/// How long a look-up may take. The thread goes on until the system's own time-out, which only delays later names.
const WAIT: Duration = Duration::from_secs(10);

/// Looks names up; clones share the threads, which start with the first name.
#[derive(Clone, Default)]
pub(super) struct Resolver {
    threads: Arc<OnceLock<Option<Pool>>>,
}

impl Resolver {
    /// The addresses of a name, in the system's order of preference.
    pub(super) async fn resolve(&self, name: String, family: Family) -> io::Result<Vec<IpAddr>> {
        let threads = self
            .threads
            .get_or_init(|| Pool::new("names", THREADS, QUEUE, STACK_BYTES).ok())
            .clone()
            .ok_or_else(|| io::Error::other("no thread to look names up"))?;
        let look_up = async {
            threads
                .run(move || look_up(&name, family))
                .await
                .map_err(io::Error::other)?
        };
        smol::future::or(look_up, async {
            Timer::after(WAIT).await;
            Err(io::ErrorKind::TimedOut.into())
        })
        .await
    }
}

fn look_up(name: &str, family: Family) -> io::Result<Vec<IpAddr>> {
    let found = (name, 0u16).to_socket_addrs()?;
    let mut ips: Vec<IpAddr> = Vec::new();
    for ip in found.map(|address| address.ip()) {
        if family.wants(ip) && !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    Ok(ips)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_name_resolves_without_a_network() {
        let resolver = Resolver::default();
        let ips = smol::block_on(resolver.resolve("localhost".into(), Family::Any)).unwrap();
        assert!(!ips.is_empty());
        assert!(ips.iter().all(IpAddr::is_loopback), "{ips:?}");
    }

    #[test]
    fn only_the_wanted_family_comes_back() {
        let resolver = Resolver::default();
        let ips = smol::block_on(resolver.resolve("127.0.0.1".into(), Family::V6)).unwrap();
        assert_eq!(ips, Vec::<IpAddr>::new());
    }

    #[test]
    fn a_name_that_cannot_be_one_fails() {
        let resolver = Resolver::default();
        assert!(smol::block_on(resolver.resolve("a..b".into(), Family::Any)).is_err());
    }
}
