//! The passes over data: queue, threads, progress.

use super::files::Files;
use super::inputs::Report;
use super::{Parts, Threads};
use crate::deal::step::{Class, Event, Pass, Setback};
use crate::deal::{Deal, Millis};
use crate::store::Write;
use crate::transfer::{Control, Failure, Finished, Job, SavePoint, Source, parse_params};
use smol::channel::Sender;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// Stack of a pass's thread: TLS and the buffers, which live on the heap, leave it nearly empty.
const STACK_BYTES: usize = 512 * 1024;

/// Bytes received by running and recently saved passes.
#[derive(Clone, Default)]
pub struct Progress {
    controls: Arc<Mutex<BTreeMap<Uuid, Arc<Control>>>>,
}

impl Progress {
    /// Bytes that have arrived for this deal.
    pub fn bytes(&self, deal: Uuid) -> u64 {
        let controls = super::facts::lock(&self.controls);
        controls
            .get(&deal)
            .map_or(0, |control| control.bytes.load(Ordering::Relaxed))
    }

    /// Notes what arrived before the last stop.
    pub(super) fn saved(&self, deal: Uuid, bytes: u64) {
        let mut controls = super::facts::lock(&self.controls);
        let control = controls.entry(deal).or_default();
        control.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that have arrived for all deals together, of each at most what `most` says.
    pub(super) fn arrived(&self, most: impl Fn(Uuid) -> u64) -> u64 {
        let controls = super::facts::lock(&self.controls);
        let arrived = controls
            .iter()
            .map(|(deal, control)| control.bytes.load(Ordering::Relaxed).min(most(*deal)));
        arrived.fold(0, u64::saturating_add)
    }

    fn open(&self, deal: Uuid) -> Arc<Control> {
        let mut controls = super::facts::lock(&self.controls);
        let control = controls.entry(deal).or_default();
        control.stop.store(false, Ordering::Relaxed);
        Arc::clone(control)
    }

    fn stop(&self, deal: Uuid) {
        if let Some(control) = super::facts::lock(&self.controls).get(&deal) {
            control.stop.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn forget(&self, deal: Uuid) {
        super::facts::lock(&self.controls).remove(&deal);
    }
}

/// Cancelled passes that do not count any more although they have not ended. They do so within moments, unless a disk hangs;
/// beyond this they keep their places, which bounds the threads.
const LEAVING_MAX: usize = 8;

/// Passes that run and passes that wait for a place.
pub(super) struct Passes {
    running: BTreeSet<Uuid>,
    /// Those of them that were cancelled: their places are free already.
    leaving: BTreeSet<Uuid>,
    waiting: VecDeque<Uuid>,
    max: usize,
    pub(super) progress: Progress,
    stopping: bool,
}

impl Passes {
    pub(super) fn new(max: usize, progress: Progress) -> Self {
        Self {
            running: BTreeSet::new(),
            leaving: BTreeSet::new(),
            waiting: VecDeque::new(),
            max: max.max(1),
            progress,
            stopping: false,
        }
    }

    /// Puts a deal at the end of the queue.
    pub(super) fn enqueue(&mut self, deal: Uuid) {
        if !self.waiting.contains(&deal) {
            self.waiting.push_back(deal);
        }
    }

    /// The next deal, if there is a place for it.
    pub(super) fn next(&mut self) -> Option<Uuid> {
        let left = self.leaving.len().min(LEAVING_MAX);
        if self.stopping || self.running.len().saturating_sub(left) >= self.max {
            return None;
        }
        let position = self
            .waiting
            .iter()
            .position(|deal| !self.running.contains(deal))?;
        let deal = self.waiting.remove(position)?;
        self.running.insert(deal);
        Some(deal)
    }

    /// Takes a deal out of the queue and ends its pass if it runs; its place is free at once.
    pub(super) fn stop(&mut self, deal: Uuid) {
        self.waiting.retain(|waiting| *waiting != deal);
        if self.running.contains(&deal) {
            self.leaving.insert(deal);
            self.progress.stop(deal);
        }
    }

    /// A pass has ended.
    pub(super) fn ended(&mut self, deal: Uuid) {
        self.running.remove(&deal);
        self.leaving.remove(&deal);
    }

    /// Deals whose passes run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Uuid> {
        self.running.iter()
    }

    /// Whether a pass still holds the deal's files open.
    pub(super) fn runs(&self, deal: Uuid) -> bool {
        self.running.contains(&deal)
    }

    /// Ends all passes; they save first.
    pub(super) fn stop_all(&mut self) {
        self.stopping = true;
        self.waiting.clear();
        for deal in &self.running {
            self.progress.stop(*deal);
        }
    }

    /// Whether none runs.
    pub(super) fn idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Starts the pass of a deal on a thread of its own.
    pub(super) fn start(
        &self,
        deal: &Deal,
        parts: &Parts,
        threads: &Threads,
        files: &Files,
        reports: &Sender<Report>,
    ) {
        let uuid = deal.uuid;
        let control = self.progress.open(uuid);
        let (deal, parts, files, told) =
            (deal.clone(), parts.clone(), files.clone(), reports.clone());
        let started = threads.own.start("pass", STACK_BYTES, move || {
            let result = run(&deal, &parts, &files, &control);
            // The loop has ended if nobody takes the report; the save point is on disk.
            let _ = told.try_send(Report::Pass(uuid, result));
        });
        if let Err(error) = started {
            let reason = format!("no thread for the transfer: {error}");
            let failure = Failure::Again {
                reason,
                progress: false,
                after: None,
            };
            let _ = reports.try_send(Report::Pass(uuid, Err(failure)));
        }
    }
}

fn run(
    deal: &Deal,
    parts: &Parts,
    files: &Files,
    control: &Arc<Control>,
) -> Result<Finished, Failure> {
    let job = job(deal, parts, files)?;
    let mut saved = |save: SavePoint| {
        // An import is read from its beginning: nothing is to be remembered.
        if deal.import.is_some() {
            return;
        }
        // Not stored means that the next start goes on from an older point: slower, never wrong.
        if let Err(error) = parts
            .store
            .commit_and_wait(vec![Write::Save(deal.uuid, save)])
        {
            log::warn!("deal {}: save point not stored: {error}", deal.uuid);
        }
    };
    parts.fetcher.run(&job, control, &mut saved)
}

fn job(deal: &Deal, parts: &Parts, files: &Files) -> Result<Job, Failure> {
    let spool = files.blocks(deal.uuid);
    if let Some(import) = &deal.import {
        // Read from its beginning: the file is not ours and may have been replaced.
        return Ok(Job {
            source: Source::Local,
            size: 0,
            file: import.path.clone().into(),
            spool,
            save: SavePoint::default(),
        });
    }
    let save = parts
        .store
        .save_point(deal.uuid)
        .map_err(|error| Failure::Disk {
            reason: error.to_string(),
        })?;
    let (params, _) =
        parse_params(&deal.request.kind, &deal.request.params).map_err(|_| Failure::Fatal {
            reason: "the stored transfer parameters cannot be read".to_owned(),
        })?;
    Ok(Job {
        source: Source::Http {
            url: params.url,
            headers: params.headers,
        },
        size: deal.request.size,
        file: files.staged(deal.uuid),
        spool,
        save: save.unwrap_or_default(),
    })
}

/// A pass's end in the machine's words.
pub(super) fn event(deal: &Deal, result: Result<Finished, Failure>) -> Event {
    match result {
        Ok(finished) => Event::Passed(Pass {
            commitment: finished.commitment.extend_to(deal.proposal().piece_size),
            natural: finished.commitment.root,
            bytes: finished.bytes,
        }),
        Err(failure) => Event::PassFailed(setback(deal, failure)),
    }
}

fn setback(deal: &Deal, failure: Failure) -> Setback {
    let offline = deal.request.offline;
    match failure {
        Failure::Stopped => Setback::new(Class::Stopped, "stopped"),
        Failure::Again {
            reason,
            progress,
            after,
        } => Setback {
            class: Class::Auto,
            reason: format!("data-transfer failed: {reason}"),
            progress,
            wait: after.map(|seconds: u64| -> Millis { seconds.saturating_mul(1_000) }),
        },
        // Another file may be imported; another download would bring the same.
        Failure::Fatal { reason } if offline => Setback::new(
            Class::Manual,
            format!("imported offline deal file: {reason}"),
        ),
        Failure::Fatal { reason } => {
            Setback::new(Class::Fatal, format!("data-transfer failed: {reason}"))
        }
        Failure::Disk { reason } => Setback::new(Class::Auto, format!("staging area: {reason}")),
    }
}
