//! SIGINT and SIGTERM as something to wait for.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Completes at the first SIGINT or SIGTERM after this call; a second one ends the process at once.
///
/// The signals are caught from the call on, not from the first poll.
pub fn wait() -> impl Future<Output = ()> + Send + 'static {
    let caught = catch();
    async move {
        let read = match caught {
            Ok(stream) => stream.readable().await,
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            // The default action still ends the process.
            log::warn!("cannot wait for signals: {error}");
            std::future::pending::<()>().await;
        }
    }
}

fn catch() -> io::Result<smol::Async<UnixStream>> {
    let (read, write) = UnixStream::pair()?;
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: at the first signal the flag is not yet set when the default is considered.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&seen))?;
        signal_hook::flag::register(signal, Arc::clone(&seen))?;
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    smol::Async::new(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_signal_between_call_and_poll_is_not_lost() {
        let waiting = wait();
        signal_hook::low_level::raise(SIGTERM).unwrap();
        let in_time = smol::block_on(smol::future::or(
            async {
                waiting.await;
                true
            },
            async {
                smol::Timer::after(Duration::from_secs(10)).await;
                false
            },
        ));
        assert!(in_time);
    }
}
