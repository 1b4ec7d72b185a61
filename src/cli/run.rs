//! `coracle run`: the provider, until a signal.

use super::{Failure, logger, settings, signals, terminal};
use crate::config::Config;
use crate::piece::sha256::{self, Kernel};
use crate::provider::Provider;
use std::sync::Arc;
use std::time::Duration;

/// The whole stop must end within 5 s; what is not saved by then goes on from its last save point.
const STOP_MAX: Duration = Duration::from_millis(4_500);

/// Runs the provider.
///
/// # Errors
/// Wrong settings, all of them at once, or what could not be opened.
pub fn run(arguments: pico_args::Arguments) -> Result<(), Failure> {
    super::args::finish(arguments)?;
    let config = settings::load()?;
    logger::start(config.log);
    if let Some(kernel) = config.sha_kernel {
        // Nothing was hashed yet in this process.
        let _ = sha256::choose(kernel);
    }
    log::info!(
        "pieces are hashed by the kernel {}",
        Kernel::chosen().name()
    );
    // Everything that is written here may hold a client's credentials: only the operator reads it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let executor = Arc::new(smol::Executor::new());
    smol::block_on(executor.run(serve(&executor, &config)))
}

async fn serve(executor: &Arc<smol::Executor<'static>>, config: &Config) -> Result<(), Failure> {
    let stop = signals::wait();
    let provider = Provider::start(executor, config)
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let addresses = provider.listen_addrs().await;
    let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    log::info!("coracle {} is peer {}", super::VERSION, provider.peer_id());
    log::info!("deals on {}", listed.join(", "));
    log::info!("pieces on http://{}", provider.http_addr());
    log::info!("commands on http://{}", provider.admin_addr());
    terminal::line(format_args!(
        "ready peer={} listen={} http={} admin={}",
        provider.peer_id(),
        listed.join(","),
        provider.http_addr(),
        provider.admin_addr()
    ));
    let market = provider.market().clone();
    let failed = smol::future::or(
        async {
            stop.await;
            false
        },
        async {
            market.ended().await;
            true
        },
    )
    .await;
    log::info!("stopping");
    smol::future::or(provider.stop(), async {
        async_io::Timer::after(STOP_MAX).await;
        log::warn!("some work did not stop in time");
    })
    .await;
    if failed {
        let text = "the database could not be written to; see the log";
        return Err(Failure::Failed(text.to_owned()));
    }
    Ok(())
}
