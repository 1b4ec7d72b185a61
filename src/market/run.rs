//! The run loop: everything that changes a live deal passes through here, one after the other.

use super::calls::Calls;
use super::confirm::Messages;
use super::events::{Feed, Subscribers};
use super::facts::{Bench, lock};
use super::funding::Funding;
use super::import::Imports;
use super::inputs::{Input, Report};
use super::late::Late;
use super::lives::Lives;
use super::passes::{self, Passes, Progress};
use super::publisher::Publisher;
use super::watch::{self, Sectors};
use super::{Handle, Kept, Parts, Settings, StartError, Threads, laid, snapshot, sweep};
use crate::deal::step::Event;
use crate::deal::{Checkpoint, Deal, Millis};
use crate::filecoin::Address;
use crate::store::{StoreError, Write};
use futures::FutureExt;
use futures::channel::oneshot;
use smol::channel::{Receiver, Sender};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

mod admission;
mod dropping;
mod effects;
mod funding;
mod importing;
mod keeping;
mod publishing;
mod sealed;
mod storing;
mod stuck;
mod wishes;

use dropping::Dropping;
use storing::Ticket;

/// Inputs from outside that may wait: their senders wait too, so this bounds memory, not work.
const INPUTS_WAITING_MAX: usize = 256;

/// An ended deal stays in memory this long, so that a proposal that was judged while it ended still meets it.
const LINGER: Millis = 60_000;

/// The clock was set back if it shows so much less than before; smaller steps do no harm.
const SET_BACK: Millis = 5_000;

/// Time for passes to save when the provider stops; the whole stop must end within 5 s.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// The run loop's state.
pub(super) struct Market {
    bench: Arc<Bench>,
    settings: Arc<Settings>,
    parts: Parts,
    threads: Threads,
    live: Lives,
    ended: BTreeSet<(Millis, Uuid)>,
    wakes: BTreeSet<(Millis, Uuid)>,
    tickets: BTreeMap<u64, Ticket>,
    next_ticket: u64,
    passes: Passes,
    /// Passes over imported files, which have a limit of their own.
    import_passes: Passes,
    imports: Imports,
    dropping: Dropping,
    /// Deals whose piece is being moved among the kept ones, or waits for that.
    being_kept: BTreeSet<Uuid>,
    publisher: Publisher,
    messages: Messages,
    funding: Funding,
    calls: Calls,
    late: Late,
    sectors: Sectors,
    kept: Kept,
    looking: bool,
    next_look: Millis,
    next_seal_look: Millis,
    /// Sealed deals are being looked at on chain.
    watching: bool,
    /// When the loop last looked at the clock.
    last_turn: Millis,
    /// A commit has failed: the file must be opened anew.
    broken: bool,
    reports: Sender<Report>,
    feed: Feed,
    /// Closed when the loop ends.
    _running: Sender<()>,
}

impl Market {
    pub(super) fn start(
        settings: Settings,
        parts: Parts,
        threads: Threads,
    ) -> Result<(Handle, impl Future<Output = ()> + Send + 'static), StartError> {
        let settings = Arc::new(settings);
        for directory in [&settings.files.staging, &settings.files.pieces] {
            let created = parts.disk.create_directory(directory);
            created.map_err(|error| StartError::Directory(directory.clone(), error))?;
        }
        let deals = parts.store.live().map_err(StartError::Store)?;
        let kept = sweep::at_start(&settings.files, &parts, &deals)?;
        let stored = parts.store.messages().and_then(Publisher::with);
        let publisher = stored.map_err(StartError::Store)?;
        let (orders, fees) = (parts.store.funds(), parts.store.fees());
        let orders = orders.map_err(StartError::Store)?;
        let funding = Funding::with(orders, fees.map_err(StartError::Store)?);
        laid::sweep(&deals, &parts);
        let bench = Arc::new(Bench::new(
            Arc::clone(&settings),
            parts.clone(),
            threads.clone(),
        ));
        let progress = Progress::default();
        arrived(&deals, &parts, &progress).map_err(StartError::Store)?;
        let (inputs, incoming) = smol::channel::bounded(INPUTS_WAITING_MAX);
        // One report for each effect under way and one for each commit: bounded by the live deals and the judged proposals.
        let (reports, reported) = smol::channel::unbounded();
        let (running, ended) = smol::channel::bounded(1);
        let places = deals
            .iter()
            .filter_map(|deal| Some(deal.import.as_ref()?.place));
        let imports = Imports::new(settings.imports_max, places.max().unwrap_or(0));
        let subscribers = Subscribers::new();
        let handle = Handle::new(
            inputs,
            Arc::clone(&bench),
            progress.clone(),
            kept.clone(),
            imports.queue(),
            subscribers.clone(),
            ended,
        );
        let market = Self {
            passes: Passes::new(settings.transfers_max, progress.clone()),
            import_passes: Passes::new(settings.imports_max, progress),
            imports,
            dropping: Dropping::default(),
            being_kept: BTreeSet::new(),
            live: Lives::new(deals),
            bench,
            settings,
            parts,
            threads,
            ended: BTreeSet::new(),
            wakes: BTreeSet::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            publisher,
            messages: Messages::default(),
            funding,
            calls: Calls::default(),
            late: Late::default(),
            sectors: Sectors::default(),
            kept,
            looking: false,
            next_look: 0,
            next_seal_look: 0,
            watching: false,
            last_turn: 0,
            broken: false,
            reports,
            feed: Feed::new(subscribers),
            _running: running,
        };
        Ok((handle, market.run(incoming, reported)))
    }

    fn now(&self) -> Millis {
        (self.parts.now)()
    }

    async fn run(mut self, incoming: Receiver<Input>, reported: Receiver<Report>) {
        self.begin();
        loop {
            self.turn();
            let wait = self.next_turn().saturating_sub(self.now());
            let timer = (self.parts.sleep)(Duration::from_millis(wait));
            futures::select_biased! {
                report = reported.recv().fuse() => {
                    if let Ok(report) = report { self.report(report); }
                    if self.broken {
                        log::error!("stopping: the database cannot be written to; it is opened again at the next start");
                        return self.stop(oneshot::channel().0, &reported).await;
                    }
                }
                input = incoming.recv().fuse() => match input {
                    Ok(Input::Stop(reply)) => return self.stop(reply, &reported).await,
                    Ok(input) => self.input(input),
                    // Every handle is gone: nobody can ask for anything any more.
                    Err(_) => {
                        let (reply, _) = oneshot::channel();
                        return self.stop(reply, &reported).await;
                    }
                },
                () = FutureExt::fuse(timer) => {}
            }
        }
    }

    /// What time alone brings about.
    fn turn(&mut self) {
        let now = self.now();
        if now.saturating_add(SET_BACK) < self.last_turn {
            self.clock_set_back(now);
        }
        self.last_turn = now;
        while let Some((at, uuid)) = self.wakes.first().copied()
            && at <= now
        {
            self.wakes.remove(&(at, uuid));
            self.apply(uuid, Event::Resume, None);
        }
        while let Some((at, uuid)) = self.ended.first().copied()
            && at.saturating_add(LINGER) <= now
        {
            // A slow disk: what its end asked for, and who waits to hear of it, come after the commit.
            let storing = |ticket: &Ticket| ticket.deal == Some(uuid);
            if self.tickets.values().any(storing) {
                break;
            }
            self.ended.remove(&(at, uuid));
            self.live.remove(&uuid);
            self.passes.progress.forget(uuid);
            self.sectors.forget(uuid);
        }
        if now >= self.next_look && !self.looking {
            self.look(now);
        }
        if now >= self.next_seal_look {
            self.next_seal_look = now.saturating_add(millis(self.settings.seal_poll));
            let watched = self.sectors.take();
            let deals = watched
                .iter()
                .filter_map(|uuid| Some(&self.live.get(uuid)?.deal));
            let poll = millis(self.settings.seal_poll);
            let (sectors, parts, threads) = (&mut self.sectors, &self.parts, &self.threads);
            let ask_chain = |uuid| sectors.chain_due(uuid, now, poll);
            watch::look(deals, ask_chain, parts, threads, &self.reports);
        }
        if self.bench.refusals.due(now).is_some_and(|at| at <= now) {
            self.keep_refusals();
        }
        self.look_at_drops(now);
        self.publish_due();
        self.start_imports();
        self.start_waiting();
    }

    /// What waits for a time of the clock as it was would wait for too long.
    fn clock_set_back(&mut self, now: Millis) {
        log::warn!("the clock was set back; what waited for a time is looked at again");
        (self.next_look, self.next_seal_look) = (now, now);
        self.publisher.clock_set_back(now);
        self.dropping.clock_set_back(now);
        self.wakes.clear();
        for uuid in self.live.uuids() {
            self.apply(uuid, Event::Resume, None);
        }
    }

    fn next_turn(&self) -> Millis {
        let mut next = self.next_seal_look;
        if !self.looking {
            next = next.min(self.next_look);
        }
        if let Some((at, _)) = self.wakes.first() {
            next = next.min(*at);
        }
        if let Some(at) = self.publisher.due(&self.settings.miners) {
            next = next.min(at);
        }
        if let Some(at) = self.bench.refusals.due(self.last_turn) {
            next = next.min(at);
        }
        if let Some(at) = self.dropping.due()
            && self.settings.drop_folder.is_some()
        {
            next = next.min(at);
        }
        next
    }

    /// Looks at the chain on its threads: head, own funds, publish messages.
    fn look(&mut self, now: Millis) {
        self.looking = true;
        self.next_look = now.saturating_add(millis(self.settings.chain_poll));
        let bench = Arc::clone(&self.bench);
        let told = self.reports.clone();
        let submitted = self.threads.chain.submit(move || {
            let miners: Vec<Address> = bench.settings.miners.keys().cloned().collect();
            let last = lock(&bench.snapshot).clone();
            let mut seen =
                snapshot::look(bench.parts.chain.as_ref(), &miners, &*bench.parts.now, last);
            let mut snapshot = lock(&bench.snapshot);
            // The sealers may have answered meanwhile.
            seen.sectors = std::mem::take(&mut snapshot.sectors);
            *snapshot = seen.clone();
            drop(snapshot);
            bench.prepare_asks();
            let _ = told.try_send(Report::Snapshot(Box::new(seen)));
        });
        if submitted.is_err() {
            self.looking = false;
        }
        self.bench.count_sectors();
        self.look_at_messages();
        self.look_at_funds();
        self.look_at_sealed(now);
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Committed(ticket, result) => self.redeem(ticket, &result),
            Report::Pass(uuid, result) => {
                let offline = self.import_passes.runs(uuid);
                self.passes.ended(uuid);
                self.import_passes.ended(uuid);
                self.imports.stir();
                match self.live.get(&uuid) {
                    Some(live) if live.deal.checkpoint != Checkpoint::Complete => {
                        let event = passes::event(&live.deal, result);
                        self.apply(uuid, event, None);
                    }
                    // Ended while the pass still had its files open and may have saved.
                    _ => {
                        let staged = self.settings.files.staged_by(uuid, offline);
                        self.delete(staged);
                        self.commit(vec![Write::DropSave(uuid)], Ticket::default());
                    }
                }
            }
            Report::Deleted => self.imports.stir(),
            Report::DataFound(uuid, found) => self.data_found(uuid, found),
            Report::PieceFound(commitment, path, found) => {
                self.piece_found(commitment, &path, found);
            }
            Report::Dropped(memory, dropped) => self.dropped(*memory, dropped),
            Report::ImportLooked(uuid, found) => self.import_looked(uuid, found),
            Report::Snapshot(seen) => {
                self.looking = false;
                // Funds may have come, and the disk is looked at again at the same pace.
                self.imports.chain_seen();
                if let Some(error) = &seen.error {
                    log::warn!("the chain cannot be looked at: {error}");
                }
                self.warn_of_shortage();
                if let Some((head, _)) = seen.head.filter(|_| seen.error.is_none()) {
                    for uuid in self.live.uuids() {
                        self.apply(uuid, Event::Head(head), None);
                    }
                }
            }
            Report::DryRun(miner, tried) => self.order(&miner, tried),
            Report::Prepared(order, made) => self.prepared(order, *made),
            Report::Replaced(order, sent, replaced) => self.replaced(order, sent, *replaced),
            Report::Publish(order, sent) => self.published(order, &sent),
            Report::Message(message, uuids, seen) => self.message(message, &uuids, &seen),
            Report::Funds(id, step) => self.funds_step(id, step),
            Report::Call(uuid, event) => {
                self.calls.ended(uuid);
                self.apply(uuid, event, None);
            }
            Report::Looked(uuid, found) => self.looked(uuid, found),
            Report::Event(uuid, event) => {
                if matches!(event, Event::IndexFailed(_)) {
                    self.being_kept.remove(&uuid);
                }
                self.apply(uuid, event, None);
            }
            Report::Kept(uuid, piece) => self.keep(uuid, piece),
            Report::Sights(sights) => self.sealed_seen(sights),
        }
    }

    /// Lets passes save, waits for the commits, ends.
    async fn stop(mut self, reply: oneshot::Sender<()>, reported: &Receiver<Report>) {
        if !self.broken {
            self.keep_refusals();
        }
        self.passes.stop_all();
        self.import_passes.stop_all();
        self.calls.stop_all();
        let deadline = (self.parts.sleep)(STOP_WAIT);
        let saved = async {
            while !self.passes.idle() || !self.import_passes.idle() || !self.tickets.is_empty() {
                match reported.recv().await {
                    Ok(Report::Pass(uuid, _)) => {
                        self.passes.ended(uuid);
                        self.import_passes.ended(uuid);
                    }
                    Ok(Report::Committed(ticket, result)) => {
                        // Nothing more is begun, but who waits for an answer gets the true one.
                        if let Some(ticket) = self.tickets.get_mut(&ticket) {
                            ticket.effects.clear();
                            ticket.orders.clear();
                            ticket.funds.clear();
                        }
                        self.redeem(ticket, &result);
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        };
        smol::future::or(saved, async {
            deadline.await;
        })
        .await;
        let _ = reply.send(());
    }
}

/// Notes how much has arrived of the transfers that will go on: their clients may ask before they do.
fn arrived(deals: &[Deal], parts: &Parts, progress: &Progress) -> Result<(), StoreError> {
    for deal in deals {
        if deal.checkpoint == Checkpoint::Accepted
            && !deal.request.offline
            && let Some(save) = parts.store.save_point(deal.uuid)?
        {
            progress.saved(deal.uuid, save.offset);
        }
    }
    Ok(())
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
