//! What the rest of the program holds of the market.

use super::accept::JUDGED_MAX;
use super::events::Subscribers;
use super::facts::Bench;
use super::inputs::{Input, Publishing, Wish};
use super::passes::Progress;
use super::{FundsView, FundsWish, ImportQueue, Kept, Settings, Snapshot};
use crate::chain::Purse;
use crate::deal::funds::FundsOrder;
use crate::deal::ledger::Ledger;
use crate::deal::step::{Event, Live, Verb, step};
use crate::deal::{Deal, Refusal, Terms};
use crate::filecoin::{Address, ChainEpoch};
use crate::store::{Counts, Listing, LogLine, StoreError};
use crate::threads::Busy;
use futures::channel::oneshot;
use smol::channel::{Receiver, Sender};
use smol::lock::Semaphore;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// A handle on the run loop and on what may be read beside it. Cloning shares it.
#[derive(Clone)]
pub struct Handle {
    pub(super) inputs: Sender<Input>,
    pub(super) bench: Arc<Bench>,
    pub(super) judging: Arc<Semaphore>,
    pub(super) progress: Progress,
    pub(super) kept: Kept,
    queue: ImportQueue,
    pub(super) subscribers: Subscribers,
    ended: Receiver<()>,
}

/// A read did not work out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// Too much is asked for at the same time.
    Busy,
    /// The database failed.
    Store(StoreError),
    /// The market has stopped.
    Stopped,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy => Busy.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Stopped => f.write_str("the provider is stopping"),
        }
    }
}

impl std::error::Error for ReadError {}

impl Handle {
    pub(super) fn new(
        inputs: Sender<Input>,
        bench: Arc<Bench>,
        progress: Progress,
        kept: Kept,
        queue: ImportQueue,
        subscribers: Subscribers,
        ended: Receiver<()>,
    ) -> Self {
        Self {
            inputs,
            bench,
            judging: Arc::new(Semaphore::new(JUDGED_MAX)),
            progress,
            kept,
            queue,
            subscribers,
            ended,
        }
    }

    /// Waits until the market has ended: after [`Handle::stop`], or by itself because the database failed. Then the
    /// program should end too, so that whoever watches it starts it anew.
    pub async fn ended(&self) {
        // Nothing is ever sent: this ends when the sender is dropped with the loop.
        let _ = self.ended.recv().await;
    }

    /// The settings it was started with.
    pub fn settings(&self) -> &Settings {
        &self.bench.settings
    }

    /// The last look at the chain.
    pub fn snapshot(&self) -> Snapshot {
        super::facts::lock(&self.bench.snapshot).clone()
    }

    /// What the database has committed since the start.
    pub fn counts(&self) -> Counts {
        self.bench.parts.store.counts()
    }

    /// The imports that wait for their turn.
    pub fn import_queue(&self) -> &ImportQueue {
        &self.queue
    }

    /// The kept pieces.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// A deal, live or ended, and the bytes that have arrived for it.
    ///
    /// # Errors
    /// The database failed or the market has stopped.
    pub async fn deal(&self, uuid: Uuid) -> Result<Option<(Deal, u64)>, ReadError> {
        let (reply, live) = oneshot::channel();
        self.inputs
            .send(Input::Look(uuid, reply))
            .await
            .map_err(|_| ReadError::Stopped)?;
        let found = match live.await.map_err(|_| ReadError::Stopped)? {
            Some(deal) => Some(*deal),
            None => self.read(move |store| store.deal(uuid)).await?,
        };
        Ok(found.map(|deal| {
            let bytes = self.bytes_received(&deal);
            (deal, bytes)
        }))
    }

    /// Bytes that have arrived for a deal.
    pub fn bytes_received(&self, deal: &Deal) -> u64 {
        if deal.payload_size > 0 {
            deal.payload_size
        } else if deal.ended() {
            deal.received
        } else {
            self.progress.bytes(deal.uuid)
        }
    }

    /// What live deals hold, for each miner; empty if the market has stopped.
    pub async fn ledgers(&self) -> BTreeMap<Address, Ledger> {
        let (reply, sums) = oneshot::channel();
        if self.inputs.send(Input::Ledgers(reply)).await.is_err() {
            return BTreeMap::new();
        }
        sums.await.unwrap_or_default()
    }

    /// Moves money in or out of a miner's escrow; what is recorded of the order once that is durable. The same order given
    /// again gets what is recorded by then.
    ///
    /// # Errors
    /// Why it is refused; nothing is recorded then.
    pub async fn order_funds(&self, wish: FundsWish) -> Result<FundsOrder, String> {
        let stopped = || "the provider is stopping".to_owned();
        let (reply, answer) = oneshot::channel();
        let sent = self.inputs.send(Input::Funds(wish, reply)).await;
        sent.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// An order of money, and how deep its message is buried while that is not enough.
    ///
    /// # Errors
    /// The market has stopped.
    pub async fn funds_order(
        &self,
        id: Uuid,
    ) -> Result<Option<(FundsOrder, Option<ChainEpoch>)>, ReadError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.inputs.send(Input::ShowOrder(id, reply)).await;
        sent.map_err(|_| ReadError::Stopped)?;
        answer.await.map_err(|_| ReadError::Stopped)
    }

    /// Each miner's money as the provider sees it.
    ///
    /// # Errors
    /// The market has stopped.
    pub async fn funds(&self) -> Result<BTreeMap<Address, FundsView>, ReadError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.inputs.send(Input::ShowFunds(reply)).await;
        sent.map_err(|_| ReadError::Stopped)?;
        answer.await.map_err(|_| ReadError::Stopped)
    }

    /// A miner's money as the chain shows it now.
    ///
    /// # Errors
    /// The chain is away, or too much is asked of it at present.
    pub async fn purse(&self, miner: Address) -> Result<Purse, String> {
        let chain = self.bench.parts.chain.clone();
        let asked = self.bench.threads.chain.run(move || chain.purse(&miner));
        match asked.await {
            Ok(purse) => purse.map_err(|error| error.to_string()),
            Err(busy) => Err(busy.to_string()),
        }
    }

    /// Deals, newest first, and whether there are more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list(&self, listing: Listing) -> Result<(Vec<Deal>, bool), ReadError> {
        self.read(move |store| store.list(&listing)).await
    }

    /// A deal's log from the line of this number on, oldest first, each with its number; lines beyond the limit of
    /// [`crate::store::LOG_LINES_MAX`] have gone.
    ///
    /// # Errors
    /// The database failed.
    pub async fn log_from(&self, uuid: Uuid, first: u64) -> Result<Vec<(u64, LogLine)>, ReadError> {
        self.read(move |store| store.log_from(uuid, first)).await
    }

    /// A deal's log, oldest line first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn log(&self, uuid: Uuid) -> Result<Vec<LogLine>, ReadError> {
        self.read(move |store| store.log(uuid)).await
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn crate::store::Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let store = self.bench.parts.store.clone();
        let answer = self
            .bench
            .threads
            .disk
            .run(move || question(store.as_ref()))
            .await;
        answer
            .map_err(|Busy| ReadError::Busy)?
            .map_err(ReadError::Store)
    }

    /// Carries an operator's wish out.
    ///
    /// # Errors
    /// Why it was refused.
    pub async fn wish(&self, uuid: Uuid, wish: Wish) -> Result<(), String> {
        let stopped = || "the provider is stopping".to_owned();
        let verb = match wish {
            Wish::Verb(verb) => verb,
            Wish::Import(import) => {
                let placed = self.import(vec![(uuid, import)]).await?.pop();
                return placed.unwrap_or_else(|| Err(stopped())).map(drop);
            }
        };
        // One that has ended may have left the memory; the machine says the same of it.
        let (deal, _) = self
            .deal(uuid)
            .await
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("no storage deal found with deal UUID {uuid}"))?;
        if deal.ended() {
            return Err(refusal(deal, verb));
        }
        let (reply, answer) = oneshot::channel();
        self.inputs
            .send(Input::UpdateRetry(uuid, verb, reply))
            .await
            .map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Publishes what waits, now; the number of deals.
    pub async fn publish_now(&self) -> usize {
        self.publish(None).await.len()
    }

    /// Publishes these deals now, as far as they wait for it, or all that wait; the deals that are meant.
    pub async fn publish(&self, only: Option<BTreeSet<Uuid>>) -> Vec<Uuid> {
        let (reply, answer) = oneshot::channel();
        let input = Input::PublishNow(only, reply);
        if self.inputs.send(input).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// What waits to be published, and what is on its way.
    pub async fn publishing(&self) -> Publishing {
        let (reply, answer) = oneshot::channel();
        if self.inputs.send(Input::Publishing(reply)).await.is_err() {
            return Publishing::default();
        }
        answer.await.unwrap_or_default()
    }

    /// Stops: takes nothing more, lets passes save, and returns when everything is durable.
    pub async fn stop(&self) {
        self.stop_filters().await;
        let (reply, stopped) = oneshot::channel();
        if self.inputs.send(Input::Stop(reply)).await.is_ok() {
            // Dropped without an answer means that it has ended too.
            let _ = stopped.await;
        }
    }
}

/// Why nothing can be wished for a deal that has ended.
fn refusal(deal: Deal, verb: Verb) -> String {
    let mut live = Live { deal, busy: None };
    let outcome = step(&mut live, Event::Operator(verb), 0, &Terms::default());
    outcome.refused.unwrap_or_default()
}

/// A refusal as the candidate's sender hears it.
pub(super) type Answer = Result<(), Refusal>;
