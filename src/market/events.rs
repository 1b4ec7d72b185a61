//! Deal events: what is durable about deals, told to whoever embeds the provider or watches one (spec boost-mk12 4.11).
//!
//! The run loop never waits for a subscriber: each has a bounded buffer, and one that is too slow loses the oldest events and
//! is told how many.

use super::Handle;
use super::handle::ReadError;
use crate::deal::Deal;
use crate::store::{LogLine, Write};
use smol::channel::{Receiver, Sender, bounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// Events that wait for a subscriber: the reference's number. Each is a shared snapshot of about 2 KiB.
const WAITING_MAX: usize = 256;

/// Subscribers at the same time: a host's own and the operator's followers. Each costs the loop a push per event.
const SUBSCRIBERS_MAX: usize = 64;

/// Something about a deal that has become durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DealEvent {
    /// It was accepted. The snapshots leave out the transfer's parameters, which may hold credentials.
    New(Arc<Deal>),
    /// It changed.
    Updated(Arc<Deal>),
    /// Its log has a new line.
    Logged(Uuid, Arc<LogLine>),
    /// The subscriber was too slow: so many events before the next one are lost. What they said can be read from the
    /// [`Handle`].
    Missed(u64),
}

impl DealEvent {
    /// The deal that it is about; none for [`DealEvent::Missed`].
    pub fn uuid(&self) -> Option<Uuid> {
        match self {
            Self::New(deal) | Self::Updated(deal) => Some(deal.uuid),
            Self::Logged(uuid, _) => Some(*uuid),
            Self::Missed(_) => None,
        }
    }
}

/// A subscription; it ends when it is dropped.
#[derive(Debug)]
pub struct Events {
    waiting: Receiver<DealEvent>,
    missed: Arc<AtomicU64>,
}

impl Events {
    /// The next event, oldest first; none once the market has stopped and everything was told.
    pub async fn next(&mut self) -> Option<DealEvent> {
        match self.missed.swap(0, Ordering::Relaxed) {
            0 => self.waiting.recv().await.ok(),
            lost => Some(DealEvent::Missed(lost)),
        }
    }
}

struct Subscriber {
    only: Option<Uuid>,
    waiting: Sender<DealEvent>,
    missed: Arc<AtomicU64>,
}

impl Subscriber {
    /// Whether it is still there.
    fn tell(&self, event: &DealEvent) -> bool {
        if self.only.is_some() && self.only != event.uuid() {
            return !self.waiting.is_closed();
        }
        match self.waiting.force_send(event.clone()) {
            Ok(displaced) => {
                let lost = u64::from(displaced.is_some());
                self.missed.fetch_add(lost, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }
}

/// The subscribers; none once the market has stopped. Cloning shares them.
#[derive(Clone)]
pub(super) struct Subscribers(Arc<Mutex<Option<Vec<Subscriber>>>>);

impl Subscribers {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Vec::new()))))
    }

    pub(super) fn add(&self, only: Option<Uuid>) -> Result<Events, ReadError> {
        let mut all = super::facts::lock(&self.0);
        let all = all.as_mut().ok_or(ReadError::Stopped)?;
        all.retain(|subscriber| !subscriber.waiting.is_closed());
        if all.len() >= SUBSCRIBERS_MAX {
            return Err(ReadError::Busy);
        }
        let (sender, waiting) = bounded(WAITING_MAX);
        let missed = Arc::<AtomicU64>::default();
        all.push(Subscriber {
            only,
            waiting: sender,
            missed: Arc::clone(&missed),
        });
        Ok(Events { waiting, missed })
    }

    /// Tells everybody.
    pub(super) fn tell(&self, events: &[DealEvent]) {
        if let Some(all) = super::facts::lock(&self.0).as_mut() {
            all.retain(|subscriber| events.iter().all(|event| subscriber.tell(event)));
        }
    }
}

/// The run loop's end of it: dropped with the loop, it ends all subscriptions.
pub(super) struct Feed(Subscribers);

impl Feed {
    pub(super) fn new(subscribers: Subscribers) -> Self {
        Self(subscribers)
    }

    pub(super) fn tell(&self, events: &[DealEvent]) {
        self.0.tell(events);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        super::facts::lock(&self.0.0).take();
    }
}

/// What a commit of these changes will have made durable; `new` says that they accept a deal.
pub(super) fn of(writes: &mut [Write], new: bool) -> Vec<DealEvent> {
    let mut events = Vec::new();
    for write in writes {
        match write {
            Write::Deal(deal) => {
                // Put aside instead of copied: they may have two megabytes.
                let params = std::mem::take(&mut deal.request.params);
                let snapshot = Arc::new((**deal).clone());
                deal.request.params = params;
                events.push(if new {
                    DealEvent::New(snapshot)
                } else {
                    DealEvent::Updated(snapshot)
                });
            }
            Write::Log(uuid, line) => {
                events.push(DealEvent::Logged(*uuid, Arc::new(line.clone())));
            }
            _ => {}
        }
    }
    events
}

impl Handle {
    /// Subscribes to all deals: from now on, what becomes durable is told.
    ///
    /// # Errors
    /// There are too many subscribers, or the market has stopped.
    pub fn events(&self) -> Result<Events, ReadError> {
        self.subscribers.add(None)
    }

    /// Subscribes to one deal, whether it exists or not.
    ///
    /// # Errors
    /// See [`Handle::events`].
    pub fn events_of(&self, deal: Uuid) -> Result<Events, ReadError> {
        self.subscribers.add(Some(deal))
    }
}
