//! The clients and the operator. They outlive the provider's processes; what they were doing when one ended they begin
//! anew with the next.

use super::disk::MemoryDisk;
use super::goods::{Good, VERBS, goods};
use super::kinds::Kind;
use super::plan::{Choice, Finale, Plan};
use super::sched::Sched;
use super::tasks::lock;
use super::witness::Book;
use coracle::deal::step::Verb;
use coracle::deal::{Checkpoint, Deal, Hold, Import};
use coracle::market::{Handle, Wish};
use coracle::wire::{DealResponse, DealStatusRequest, DealStatusResponse};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// What a client was told about its deal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Heard {
    accepted: bool,
    refused: bool,
}

/// Everybody who talks to the provider. Cloning shares them.
#[derive(Clone)]
pub struct People {
    sched: Arc<Sched>,
    book: Book,
    plan: Arc<Plan>,
    heard: Arc<Mutex<Vec<Heard>>>,
    disk: MemoryDisk,
}

/// The drop folder.
pub fn drops() -> PathBuf {
    imports().join("drops")
}

/// The file that is dropped for a deal.
fn dropped_file(uuid: Uuid) -> PathBuf {
    drops().join(format!("{uuid}.car"))
}

/// Where the operator's files lie.
pub fn imports() -> PathBuf {
    PathBuf::from("/import")
}

/// The file with the data of a deal.
pub fn import_file(choice: &Choice) -> PathBuf {
    let car = good(choice).car;
    imports().join(format!("{}/{car}.car", choice.number))
}

/// A file with other data.
pub fn wrong_file() -> PathBuf {
    imports().join("wrong.car")
}

/// What the client of this deal has.
pub fn good(choice: &Choice) -> &'static Good {
    &goods().all[usize::try_from(choice.number).expect("few")]
}

impl People {
    /// The people of a plan.
    pub fn new(sched: &Arc<Sched>, book: &Book, plan: &Arc<Plan>, disk: &MemoryDisk) -> Self {
        Self {
            sched: Arc::clone(sched),
            book: book.clone(),
            plan: Arc::clone(plan),
            heard: Arc::new(Mutex::new(vec![Heard::default(); plan.deals.len()])),
            disk: disk.clone(),
        }
    }

    /// Lets them talk to a process.
    pub fn meet(&self, handle: &Handle) {
        for at in 0..self.plan.deals.len() {
            let (people, handle) = (self.clone(), handle.clone());
            self.sched.tasks.spawn("client", async move {
                people.client(at, &handle).await;
            });
        }
        let (people, handle) = (self.clone(), handle.clone());
        self.sched.tasks.spawn("operator", async move {
            people.operator(&handle).await;
        });
    }

    /// Whether every client has an answer.
    pub fn answered(&self) -> bool {
        let heard = lock(&self.heard);
        heard.iter().all(|heard| heard.accepted || heard.refused)
    }

    /// UUIDs of deals whose acceptance was heard.
    pub fn accepted(&self) -> Vec<Uuid> {
        let heard = lock(&self.heard);
        let deals = self.plan.deals.iter().zip(heard.iter());
        deals
            .filter(|(_, heard)| heard.accepted)
            .map(|(choice, _)| good(choice).uuid)
            .collect()
    }

    /// UUIDs under which anything was ever proposed.
    pub fn uuids(&self) -> Vec<Uuid> {
        let goods = self.plan.deals.iter().map(good);
        goods
            .flat_map(|good| [good.uuid, good.other_uuid])
            .collect()
    }

    async fn client(&self, at: usize, handle: &Handle) {
        let choice = self.plan.deals[at];
        let first = self.sched.pick(&[0, 40_000, 1_200_000]);
        self.pause(first).await;
        loop {
            let heard = lock(&self.heard)[at];
            if self.sched.calm() {
                if !heard.accepted && !heard.refused {
                    self.propose(at, &choice, handle).await;
                    self.sched.sleep(60_000).await;
                    continue;
                }
                return self.status(&choice, handle).await;
            }
            if !heard.accepted || self.sched.fault(Kind::Repeat) {
                self.offer(at, &choice, handle).await;
            }
            if self.sched.fault(Kind::OtherUuid) {
                self.other_uuid(&choice, handle).await;
            }
            if self.sched.fault(Kind::OtherProposal) {
                self.other_proposal(&choice, handle).await;
            }
            if self.sched.fault(Kind::Asks) {
                self.status(&choice, handle).await;
            }
            let wait = self.sched.pick(&[1_000, 90_000, 1_500_000, 4_000_000]);
            self.pause(wait).await;
        }
    }

    /// Waits, but not beyond the end of the faults.
    async fn pause(&self, millis: u64) {
        let left = (super::BEGIN + self.plan.calm_after).saturating_sub(self.sched.now());
        self.sched.sleep(millis.min(left + 1)).await;
    }

    /// Proposes, perhaps twice, perhaps without waiting for the answer.
    async fn offer(&self, at: usize, choice: &Choice, handle: &Handle) {
        if self.sched.fault(Kind::GoesAway) {
            let time = self.sched.pick(&[0, 0, 400]);
            let patience = self.sched.sleep(time);
            return smol::future::or(self.propose(at, choice, handle), patience).await;
        }
        if self.sched.fault(Kind::Together) {
            let both = futures::future::join(
                self.propose(at, choice, handle),
                self.propose(at, choice, handle),
            );
            both.await;
            return;
        }
        self.propose(at, choice, handle).await;
    }

    async fn propose(&self, at: usize, choice: &Choice, handle: &Handle) {
        let good = good(choice);
        let params = good.params(good.uuid, choice.offline, choice.remove_unsealed);
        // Under another UUID it may be there already.
        let other = self.book.deal(good.other_uuid).is_some();
        let before = lock(&self.heard)[at];
        let answer = handle.propose("client", params).await;
        self.sched
            .note(|| format!("client of {} hears {answer:?}", good.uuid));
        if answer.accepted {
            lock(&self.heard)[at].accepted = true;
            self.sched.count(Kind::Accepted);
            return self.check_durable(good.uuid);
        }
        self.sched.count(Kind::Refused);
        let unsure =
            answer.message.starts_with("server error") || answer.message.contains("server error: ");
        if before.accepted && !unsure {
            self.sched.violated(
                "a recorded answer stays",
                format!("{} was accepted, now: {}", good.uuid, answer.message),
            );
        }
        let final_answer = !unsure || self.sched.calm();
        if final_answer && (!before.accepted || other) {
            lock(&self.heard)[at].refused = true;
        }
    }

    /// An acceptance that was heard must be on the disk.
    fn check_durable(&self, uuid: Uuid) {
        if self.book.deal(uuid).is_none() {
            let text = format!("{uuid} is accepted and not stored");
            self.sched.violated("no answer before its commit", text);
        }
    }

    async fn other_uuid(&self, choice: &Choice, handle: &Handle) {
        let good = good(choice);
        let known = self.book.deal(good.uuid).is_some();
        let params = good.params(good.other_uuid, choice.offline, choice.remove_unsealed);
        let answer = handle.propose("client", params).await;
        self.refused_if(known, good.other_uuid, &answer);
    }

    async fn other_proposal(&self, choice: &Choice, handle: &Handle) {
        let good = good(choice);
        let known = self.book.deal(good.uuid).is_some();
        if !known {
            return;
        }
        let all = &goods().all;
        let other = all
            .iter()
            .find(|other| {
                other.uuid != good.uuid
                    && other.signed.proposal.provider == good.signed.proposal.provider
            })
            .expect("many goods");
        let params = other.params(good.uuid, choice.offline, false);
        let answer = handle.propose("client", params).await;
        self.refused_if(known, good.uuid, &answer);
    }

    fn refused_if(&self, known: bool, uuid: Uuid, answer: &DealResponse) {
        self.sched
            .note(|| format!("other proposal for {uuid}: {answer:?}"));
        if !answer.accepted {
            return self.sched.count(Kind::Refused);
        }
        if known {
            let text = format!("{uuid} is accepted a second time");
            self.sched
                .violated("exactly one deal per proposal and UUID", text);
        }
        self.check_durable(uuid);
    }

    async fn status(&self, choice: &Choice, handle: &Handle) {
        let good = good(choice);
        let (asked, known) = (self.book.now(), self.book.deal(good.uuid).is_some());
        let answer = handle
            .status(DealStatusRequest {
                uuid: good.uuid,
                signature: good.asks.clone(),
            })
            .await;
        if let Err(what) = self.check_status(&answer, asked, known) {
            let text = format!("{}: {what}", good.uuid);
            self.sched
                .violated("a status answer agrees with the store", text);
        }
    }

    fn check_status(
        &self,
        answer: &DealStatusResponse,
        asked: u64,
        known: bool,
    ) -> Result<(), String> {
        let Some(status) = &answer.status else {
            // While the provider ends it may say that it cannot look.
            let unknown = answer.error.starts_with("no storage deal found");
            if known && unknown {
                return Err(answer.error.clone());
            }
            return Ok(());
        };
        let versions = self.book.since(asked, answer.uuid);
        let agrees = |deal: &Deal| {
            status.status == deal.checkpoint.name()
                && status.error == deal.error
                && status.publish_cid == deal.publish_cid
                && status.chain_deal_id == deal.chain_deal_id.unwrap_or(0)
                && (status.sealing_status.is_empty() || status.sealing_status == deal.sealing)
        };
        if !versions.iter().any(agrees) {
            return Err(format!("{status:?} is none of {versions:?}"));
        }
        let arrived = matches!(
            status.status.as_str(),
            "Transferred" | "Published" | "PublishConfirmed" | "AddedPiece" | "IndexedAndAnnounced"
        );
        if arrived && !answer.offline && answer.bytes_received != answer.transfer_size {
            return Err(format!(
                "{} of {} bytes at {}",
                answer.bytes_received, answer.transfer_size, status.status
            ));
        }
        Ok(())
    }

    async fn operator(&self, handle: &Handle) {
        loop {
            let wait = self.sched.pick(&[30_000, 300_000, 1_800_000]);
            self.pause(wait).await;
            if self.sched.calm() {
                break;
            }
            if self.sched.fault(Kind::PublishNow) {
                handle.publish_now().await;
            }
            for choice in &self.plan.deals {
                for (verb, kind) in VERBS
                    .into_iter()
                    .zip([Kind::Retry, Kind::Cancel, Kind::Fail])
                {
                    // Ends are rarer than they would be if each deal met all of them.
                    let rare = verb == Verb::Retry || self.sched.chance(250);
                    if rare && self.sched.fault(kind) {
                        self.verb(choice, verb, handle).await;
                    }
                }
                if choice.offline {
                    self.imports(choice, handle).await;
                }
            }
        }
        for _ in 0..6 {
            self.finish(handle).await;
            self.sched.sleep(1_800_000).await;
        }
    }

    async fn verb(&self, choice: &Choice, verb: Verb, handle: &Handle) {
        let uuid = good(choice).uuid;
        let granted = handle.wish(uuid, Wish::Verb(verb)).await;
        self.sched
            .note(|| format!("operator: {verb:?} {uuid}: {granted:?}"));
        if granted.is_err() {
            return;
        }
        self.sched.count(Kind::WishGranted);
        let stored = self.book.deal(uuid);
        let ended = stored
            .as_ref()
            .is_some_and(|deal| deal.checkpoint == Checkpoint::Complete);
        if verb != Verb::Retry && !ended {
            let text = format!("{verb:?} of {uuid} is granted, stored is {stored:?}");
            self.sched.violated("no answer before its commit", text);
        }
    }

    async fn imports(&self, choice: &Choice, handle: &Handle) {
        if self.plan.drops.is_some() {
            // Whoever has a folder needs no command.
            if self.sched.fault(Kind::Drop) {
                self.drop_file(choice).await;
            }
            return;
        }
        if self.sched.fault(Kind::ImportWrong) {
            self.import(choice, wrong_file(), handle).await;
        }
        if self.sched.fault(Kind::ImportMissing) {
            self.import(choice, imports().join("missing"), handle).await;
        }
        if self.sched.fault(Kind::Import) {
            self.import(choice, import_file(choice), handle).await;
        }
    }

    /// Writes a file into the drop folder, in two parts, unless the deal has its data: what was taken stays as it is.
    async fn drop_file(&self, choice: &Choice) {
        let uuid = good(choice).uuid;
        let (file, bytes) = (dropped_file(uuid), good(choice).bytes());
        let wanted = || {
            self.book
                .deal(uuid)
                .is_none_or(|deal| waits_for_import(&deal))
        };
        if !wanted() || self.disk.look(&file).is_some_and(|there| there == bytes) {
            return;
        }
        self.disk.bring(&file, &bytes[..bytes.len() / 2]);
        let time = self.sched.pick(&[1, 20_000]);
        self.pause(time).await;
        if wanted() {
            self.disk.bring(&file, bytes);
        }
    }

    /// Whether a file waits in the drop folder for this deal, whole and untouched.
    pub fn has_dropped(&self, deal: &Deal) -> bool {
        let mut choices = self.plan.deals.iter();
        let choice = choices.find(|choice| good(choice).uuid == deal.uuid);
        let found = self.disk.look(&dropped_file(deal.uuid));
        choice.is_some_and(|choice| found.is_some_and(|bytes| bytes == good(choice).bytes()))
    }

    async fn import(&self, choice: &Choice, path: PathBuf, handle: &Handle) {
        let uuid = good(choice).uuid;
        let delete_after = choice.delete_after && path != wrong_file();
        let import = Import::new(path.to_string_lossy(), delete_after);
        let granted = handle.wish(uuid, Wish::Import(import)).await;
        self.sched.note(|| {
            format!(
                "operator: import {} for {uuid}: {granted:?}",
                path.display()
            )
        });
        if granted.is_ok() {
            self.sched.count(Kind::WishGranted);
        }
    }

    /// The faults are over: what waits is dealt with as planned.
    async fn finish(&self, handle: &Handle) {
        let verb = match self.plan.finale {
            Finale::Retry => Verb::Retry,
            Finale::Fail => Verb::Fail,
            Finale::Leave | Finale::Outlast => return,
        };
        for choice in &self.plan.deals {
            let Some(deal) = self.book.deal(good(choice).uuid) else {
                continue;
            };
            if waits_for_import(&deal) && verb == Verb::Retry {
                self.import(choice, import_file(choice), handle).await;
            } else if deal.hold == Hold::Manual || waits_for_import(&deal) {
                self.verb(choice, verb, handle).await;
            }
        }
    }
}

/// An offline deal whose data is still to come.
pub fn waits_for_import(deal: &Deal) -> bool {
    deal.checkpoint == Checkpoint::Accepted && deal.request.offline && deal.import.is_none()
}
