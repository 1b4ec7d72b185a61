//! The external filter (spec boost-mk12 3.4): a command of the operator's that looks at a judged proposal before it is
//! admitted. It sees the provider's state as of the last looks; nothing is asked for it.

use super::Handle;
use super::command::{self, End, Order};
use super::facts::lock;
use super::inputs::{Holdings, Input, KnownDeal, same_deals};
use crate::deal::admit;
use crate::deal::filter_document::{State, document};
use crate::deal::{Deal, Refusal, filter};
use crate::market::MinerSettings;
use crate::wire::DealParams;
use futures::channel::oneshot;
use smol::lock::Semaphore;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Filter commands that run at the same time: a shell and what it starts take tens of MiB together on a box that may
/// have 256. Further proposals wait, up to the command's time-out.
const RUNNING_MAX: usize = 4;

/// Stack of a thread that watches a command.
const STACK_BYTES: usize = 256 * 1024;

/// When the provider stops, commands are killed at their next look; this is long beside that.
const STOP_WAIT: Duration = Duration::from_millis(500);

/// A shell command. `Debug` does not show it: it may hold the password of whom it asks.
#[derive(Clone, PartialEq, Eq)]
pub struct FilterCommand(pub String);

impl fmt::Debug for FilterCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FilterCommand(…)")
    }
}

/// The external filter of a miner.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Run as `sh -c`.
    pub command: FilterCommand,
    /// Longest run.
    pub time_out: Duration,
    /// A command that takes longer accepts the deal; otherwise it refuses it.
    pub late_accepts: bool,
    /// Names of variables with secrets, which the command does not inherit.
    pub hidden: Vec<String>,
}

/// The places of running commands.
pub(super) struct Places {
    free: Arc<Semaphore>,
    stop: Arc<AtomicBool>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(RUNNING_MAX)),
            stop: Arc::default(),
        }
    }

    /// Kills what runs and waits a moment until it is gone.
    pub(super) async fn stop(&self, late: impl Future<Output = ()>) {
        self.stop.store(true, Ordering::Relaxed);
        let gone = async {
            let mut held = Vec::new();
            for _ in 0..RUNNING_MAX {
                held.push(self.free.acquire_arc().await);
            }
        };
        smol::future::or(gone, late).await;
    }
}

impl Handle {
    /// Asks the miner's external filter, if it has one. What the built-in filter or another deal refuses anyway does not
    /// get that far.
    ///
    /// # Errors
    /// Why the proposal is refused.
    pub(super) async fn ask_filter(
        &self,
        params: &DealParams,
        deal: &Deal,
        known: &[KnownDeal],
    ) -> Result<(), Refusal> {
        let Some(miner) = self.bench.settings.miners.get(deal.miner()) else {
            return Ok(());
        };
        let Some(own) = &miner.filter else {
            return Ok(());
        };
        let (same_proposal, same_uuid) = same_deals(known, deal);
        admit::unique(same_proposal, same_uuid)?;
        let state = self.state(deal).await?;
        let head = self
            .bench
            .head()
            .map_err(|why| Refusal::server_error("deal filter error", &why))?;
        filter::filter(deal, head, &miner.terms)?;
        let input = document(params, &deal.signed, &state, &miner.terms);
        let end = self.run_filter(own, input.into_bytes()).await?;
        verdict(deal, miner, end)
    }

    /// The provider's state from the last looks and the run loop.
    async fn state(&self, deal: &Deal) -> Result<State, Refusal> {
        let missing = |what: &str, why: &str| {
            let text = format!("storage deal filter: getting {what} status");
            Refusal::server_error(&text, why)
        };
        let (now, poll) = ((self.bench.parts.now)(), self.bench.poll_millis());
        let (miner, sectors) = {
            let snapshot = lock(&self.bench.snapshot);
            let miner = snapshot.fresh_miner(deal.miner(), now, poll);
            let miner = miner.map_err(|why| missing("funds", &why))?.facts.clone();
            let sectors = snapshot.fresh_sectors(deal.miner(), now, poll);
            (miner, sectors.map_err(|why| missing("sealing", &why))?)
        };
        let (reply, answer) = oneshot::channel();
        let asked = Input::Holdings(deal.miner().clone(), reply);
        let stopping = |_| missing("storage", "the provider is stopping");
        self.inputs
            .send(asked)
            .await
            .map_err(|_| missing("storage", "the provider is stopping"))?;
        let Holdings { ledger, staged } = answer.await.map_err(stopping)?;
        Ok(State {
            sectors,
            ledger,
            escrow_available: miner.escrow_available,
            escrow_locked: miner.escrow_locked,
            wallet: miner.publish_wallet,
            wallet_balance: miner.publish_balance,
            staged,
        })
    }

    /// Runs the command on a thread of its own, as soon as there is a place.
    async fn run_filter(&self, own: &Filter, input: Vec<u8>) -> Result<End, Refusal> {
        let places = &self.bench.filters;
        let place = smol::future::or(async { Some(places.free.acquire_arc().await) }, async {
            (self.bench.parts.sleep)(own.time_out).await;
            None
        });
        let Some(place) = place.await else {
            // Not a matter for `late_accepts`: whoever proposes fast enough could make that happen.
            return Err(Refusal::server_error(
                "too many proposals at the same time",
                &format!(
                    "{RUNNING_MAX} filter commands ran for all of {:?}; a quicker CORACLE_FILTER serves more",
                    own.time_out
                ),
            ));
        };
        let (told, end) = oneshot::channel();
        let stop = Arc::clone(&places.stop);
        let now = Instant::now();
        let order = Order {
            command: own.command.0.clone(),
            hidden: own.hidden.clone(),
            input,
            deadline: now.checked_add(own.time_out).unwrap_or(now),
        };
        let work = move || {
            command::run(&order, &stop, told);
            drop(place);
        };
        let started = self.bench.threads.own.start("filter", STACK_BYTES, work);
        started.map_err(|error| not_run(&format!("no thread for the command: {error}")))?;
        end.await
            .map_err(|_| not_run("the thread of the command ended"))
    }

    /// Kills the commands that run.
    pub(super) async fn stop_filters(&self) {
        let late = (self.bench.parts.sleep)(STOP_WAIT);
        self.bench.filters.stop(late).await;
    }
}

/// What a command's end means for the proposal.
fn verdict(deal: &Deal, miner: &MinerSettings, end: End) -> Result<(), Refusal> {
    let late_accepts = miner.filter.as_ref().is_some_and(|own| own.late_accepts);
    match end {
        End::Exited(status, _) if status.success() => Ok(()),
        End::Exited(status, output) => {
            // Untrimmed, as the reference sends it; perhaps nothing.
            let output = String::from_utf8_lossy(&output).into_owned();
            let ended = ended(status);
            let log = match output.trim() {
                "" => format!("the filter command {ended} and printed nothing"),
                said => format!("the filter command {ended} and printed: {said}"),
            };
            Err(Refusal::new(output, log))
        }
        End::Late if late_accepts => {
            log::warn!(
                "deal {}: the filter command took too long and was killed; CORACLE_FILTER_LATE lets the deal pass",
                deal.uuid
            );
            Ok(())
        }
        End::Late => Err(not_run(
            "the command took longer than CORACLE_FILTER_TIMEOUT and was killed; \
             CORACLE_FILTER_LATE says what that means",
        )),
        End::Stopped => Err(not_run("the provider is stopping")),
        End::Failed(error) => Err(not_run(&format!(
            "the command of CORACLE_FILTER could not be run: {error}"
        ))),
    }
}

/// `exited with 1` or `was ended by signal 9`.
fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn not_run(why: &str) -> Refusal {
    Refusal::server_error("deal filter error", why)
}
