//! The provider and everything around it, from the first start to the last look.

use super::chain::{CONFIDENCE, MemoryChain};
use super::disk::MemoryDisk;
use super::flash::Flash;
use super::goods::{atto, goods, miners};
use super::kinds::Kind;
use super::people::{self, People};
use super::plan::{FEE, Finale, Plan};
use super::rng::Rng;
use super::sabotage::{BlindSealer, ForgetfulDisk, MistakenChain, Sabotage};
use super::sched::{End, Hands, Sched};
use super::sealer::MemorySealer;
use super::server::MemoryServer;
use super::witness::{Book, Witness};
use super::{BEGIN, check};
use coracle::chain::Chain;
use coracle::deal::admit::DISK_MARGIN;
use coracle::deal::{Checkpoint, Deal, Hold, Terms};
use coracle::filecoin::Address;
use coracle::market::{
    self, Disk, DropFolder, Files, FirstAsk, Handle, MinerSettings, Parts, Settings, Threads,
};
use coracle::sealer::Sealer;
use coracle::store::Redb;
use coracle::threads::Jobs;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use uuid::Uuid;

/// Page cache of the database: a small file fits.
const CACHE: usize = 256 * 1024;

/// Longest time from the end of the faults until everything rests: the latest start epoch and the wait for messages that
/// may still come, three times over.
const REST_MAX: u64 = 3 * (1_700 + 900) * super::chain::EPOCH;

/// A database with its tables, as a first start leaves it.
static TEMPLATE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let sched = Arc::new(Sched::new(0, BEGIN, false));
    sched.calm_from(0);
    let flash = Flash::new(&sched, Vec::new());
    drop(open(&flash).expect("an empty disk"));
    flash.bytes()
});

fn open(flash: &Flash) -> Result<Redb, String> {
    let database = redb::Database::builder()
        .set_cache_size(CACHE)
        .create_with_backend(flash.clone())
        .map_err(|error| error.to_string())?;
    Redb::by_hand(database).map_err(|error| error.to_string())
}

/// All that outlives a process.
pub struct World {
    pub sched: Arc<Sched>,
    pub plan: Arc<Plan>,
    pub disk: MemoryDisk,
    pub chain: MemoryChain,
    pub sealers: BTreeMap<Address, MemorySealer>,
    pub book: Book,
    pub people: People,
    pub files: Files,
    flash: Flash,
    server: MemoryServer,
    sabotage: Sabotage,
    settings: Settings,
}

/// One run of the provider.
pub struct Process {
    pub handle: Handle,
    pub store: Arc<Redb>,
}

struct Work {
    jobs: Jobs,
    store: Arc<Redb>,
}

impl Hands for Work {
    fn jobs(&self) -> u64 {
        self.jobs.waiting() as u64
    }

    fn run(&self, number: u64) {
        if let Some(job) = self
            .jobs
            .take(usize::try_from(number).unwrap_or(usize::MAX))
        {
            job();
        }
    }

    fn unwritten(&self) -> bool {
        self.store.waiting() > 0
    }

    fn write(&self) {
        self.store.write_waiting();
    }
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, sabotage: Sabotage, verbose: bool) -> Self {
        let plan = Arc::new(Plan::new(&mut Rng::new(!seed)));
        let sched = Arc::new(Sched::new(seed, BEGIN, verbose));
        sched.calm_from(BEGIN + plan.calm_after);
        sched.note(|| format!("{plan:?}"));
        let elsewhere = plan.elsewhere.then(people::imports);
        let capacity = plan.room.saturating_add(DISK_MARGIN);
        let disk = MemoryDisk::new(&sched, capacity, elsewhere);
        for choice in plan.deals.iter().filter(|choice| choice.offline) {
            disk.put(&people::import_file(choice), people::good(choice).bytes());
        }
        disk.put(&people::wrong_file(), &goods().cars[0].bytes[1..]);
        disk.set_capacity(capacity + disk.used());
        let chain = MemoryChain::new(&sched, plan.escrow, plan.balance);
        let files = Files {
            staging: PathBuf::from("/staging"),
            pieces: PathBuf::from("/pieces"),
        };
        let mut settings = settings(&plan, &files);
        if sabotage == Sabotage::DropsNotSeen {
            settings.drop_folder = None;
        }
        let sealers = settings.miners.keys().map(|miner| {
            let sealer = MemorySealer::new(&sched, &disk, &chain);
            (miner.clone(), sealer)
        });
        let book = Book::default();
        Self {
            sealers: sealers.collect(),
            flash: Flash::new(&sched, TEMPLATE.clone()),
            server: MemoryServer::new(&sched, &disk),
            people: People::new(&sched, &book, &plan, &disk),
            sched,
            plan,
            disk,
            chain,
            book,
            files,
            sabotage,
            settings,
        }
    }

    /// Runs to the end; what is wrong is in the scheduler.
    pub fn run(&self) {
        let mut again = u32::from(self.plan.start_again);
        loop {
            let process = match self.start() {
                Ok(process) => process,
                Err(end) => match self.after(end) {
                    true => continue,
                    false => return,
                },
            };
            let end = self.live();
            if end.is_none() {
                // At rest.
                check::at_rest(self, &process, again < u32::from(self.plan.start_again));
                if again == 0 && self.plan.probe {
                    check::probe(self, &process);
                }
                self.sched
                    .die(if again == 0 { End::Over } else { End::Stop });
                again = again.saturating_sub(1);
            }
            self.forget(process);
            if !self.after(self.sched.end().unwrap_or(End::Stop)) {
                return;
            }
        }
    }

    /// The process is torn down; true if another one is to be started.
    fn after(&self, end: End) -> bool {
        if end == End::Crash && self.sched.chance(600) {
            self.sched.note(|| "the power was cut".to_owned());
            self.flash.cut();
            self.disk.cut();
        }
        self.sched.forget();
        end != End::Over
    }

    fn forget(&self, process: Process) {
        self.sched.tasks.clear();
        self.sched.begin(None);
        drop(process);
    }

    fn start(&self) -> Result<Process, End> {
        self.sched.count(Kind::Starts);
        let failed = |what: String| {
            // Only a fault may keep it from starting.
            if self.sched.end().is_none() && self.sched.calm() {
                self.sched.violated("the provider starts", what);
            }
            // Whoever watches it starts it again after a while.
            self.sched.timers.pass(self.sched.now() + 10_000);
            self.sched.end().unwrap_or(End::Stop)
        };
        let store = Arc::new(open(&self.flash).map_err(failed)?);
        self.book.compare(store.as_ref(), &self.sched);
        let jobs = Jobs::default();
        let parts = self.parts(&store);
        let threads = Threads::by_hand(&jobs);
        let (handle, task) = market::start(self.settings.clone(), parts, threads)
            .map_err(|error| failed(error.to_string()))?;
        self.sched.begin(Some(Arc::new(Work {
            jobs,
            store: Arc::clone(&store),
        })));
        self.watch(task, &handle);
        self.people.meet(&handle);
        Ok(Process { handle, store })
    }

    /// Runs the market's task, and stops it now and then.
    fn watch(&self, task: impl Future<Output = ()> + Send + 'static, handle: &Handle) {
        let stopping = Arc::new(AtomicBool::new(false));
        let (sched, stopped, before) = (
            Arc::clone(&self.sched),
            Arc::clone(&stopping),
            self.failed_commits(),
        );
        self.sched.tasks.spawn("market", async move {
            task.await;
            let broken = sched.result().0.of(Kind::DatabaseFails) > before;
            if sched.alive().is_ok() && !broken && !stopped.load(Ordering::Relaxed) {
                sched.violated("the market runs", "it ended by itself");
            }
            sched.die(End::Stop);
        });
        let (sched, handle) = (Arc::clone(&self.sched), handle.clone());
        let left = (BEGIN + self.plan.calm_after).saturating_sub(self.sched.now());
        self.sched.tasks.spawn("hand of fate", async move {
            while !sched.calm() {
                let wait = sched.pick(&[5_000, 200_000, 3_000_000]);
                sched.sleep(wait.min(left + 1)).await;
                if sched.fault(Kind::ClockBack) {
                    sched.set_clock(-sched.pick(&[2_000, 600_000, 40_000_000]));
                }
                if sched.fault(Kind::ClockForward) {
                    sched.set_clock(sched.pick(&[2_000, 600_000, 40_000_000]));
                }
                if sched.fault(Kind::Stop) {
                    stopping.store(true, Ordering::Relaxed);
                    return handle.stop().await;
                }
            }
        });
    }

    fn failed_commits(&self) -> u64 {
        self.sched.result().0.of(Kind::DatabaseFails)
    }

    fn parts(&self, store: &Arc<Redb>) -> Parts {
        let sched = Arc::clone(&self.sched);
        let (clock, timers, ids) = (sched.clone(), sched.clone(), sched.clone());
        let chain: Arc<dyn Chain> = match self.sabotage {
            mistake @ (Sabotage::OrdersForgotten
            | Sabotage::SupersededEarly
            | Sabotage::ConfirmedEarly
            | Sabotage::NotSentAgain) => Arc::new(MistakenChain {
                chain: self.chain.clone(),
                mistake,
                orders: Default::default(),
            }),
            _ => Arc::new(self.chain.clone()),
        };
        let sealers = self.sealers.iter().map(|(miner, sealer)| {
            let sealer: Arc<dyn Sealer> = match self.sabotage {
                Sabotage::SealerNotAsked => Arc::new(BlindSealer(sealer.clone())),
                _ => Arc::new(sealer.clone()),
            };
            (miner.clone(), sealer)
        });
        let disk = self.disk.clone();
        let disk: Arc<dyn Disk> = match self.sabotage {
            Sabotage::NamesNotSynced => Arc::new(ForgetfulDisk { disk, syncs: false }),
            Sabotage::NothingDeleted => Arc::new(ForgetfulDisk { disk, syncs: true }),
            _ => Arc::new(disk),
        };
        Parts {
            chain,
            sealers: sealers.collect(),
            store: Arc::new(Witness {
                store: Arc::clone(store),
                book: self.book.clone(),
                sched: Arc::clone(&self.sched),
                promises_early: self.sabotage == Sabotage::PromisedEarly,
            }),
            fetcher: Arc::new(self.server.clone()),
            disk,
            now: Arc::new(move || clock.clock()),
            sleep: Arc::new(move |time: Duration| {
                let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                Box::pin(timers.sleep(millis))
            }),
            fresh: Arc::new(move || Uuid::from_u64_pair(ids.below(u64::MAX), ids.below(u64::MAX))),
        }
    }

    /// Lets things happen until the process ends or everything rests.
    fn live(&self) -> Option<End> {
        let rest = BEGIN + self.plan.calm_after + REST_MAX;
        loop {
            if let Some(end) = self.sched.end() {
                return Some(end);
            }
            if self.sched.calm() && self.sched.idle() {
                if self.rests() {
                    return None;
                }
                if self.sched.now() > rest {
                    let deals = self.book.deals();
                    let open = check::shorts(deals.iter().filter(|deal| !deal.ended()));
                    self.sched.violated(
                        "every deal comes to its end or to a named wait",
                        format!("answered: {}; {open}", self.people.answered()),
                    );
                }
            }
            if !self.sched.step() && self.sched.end().is_none() {
                self.sched
                    .violated("everything comes to rest", "nothing can happen any more");
            }
        }
    }

    /// Whether every client has its answer and every deal its end, or somebody to wait for.
    fn rests(&self) -> bool {
        let outlasted = match self.plan.finale {
            Finale::Leave => true,
            // The operator has had the time for all tries.
            Finale::Retry | Finale::Fail => {
                self.sched.now() > BEGIN + self.plan.calm_after + 6 * 1_800_000
            }
            Finale::Outlast => {
                let last = 1_700 * super::chain::EPOCH;
                self.sched.now() > BEGIN + last || self.book.all(Deal::ended)
            }
        };
        outlasted && self.people.answered() && self.book.all(|deal| self.settled(deal))
    }

    /// Whether a deal has ended or waits for somebody.
    pub fn settled(&self, deal: &Deal) -> bool {
        deal.ended()
            || deal.hold == Hold::Manual
            || (deal.hold == Hold::Room && self.plan.is_tight())
            || people::waits_for_import(deal)
            || (deal.checkpoint == Checkpoint::Published
                && deal
                    .publish_cid
                    .is_some_and(|message| self.chain.never_executes(message)))
    }
}

fn settings(plan: &Plan, files: &Files) -> Settings {
    let own = MinerSettings {
        terms: Terms {
            seal_duration: 100,
            sealing_buffer: 40,
            start_delay_max: 100_000,
            staging_bytes_max: plan.staging_bytes_max,
            deals_per_message: plan.deals_per_message,
            publish_fee_max: atto(FEE),
            confidence: Some(CONFIDENCE),
            ..Terms::default()
        },
        publish_period: Duration::from_secs(plan.publish_period),
        first_ask: FirstAsk::default(),
        filter: None,
    };
    let count = if plan.two_miners { 2 } else { 1 };
    let miners = miners().into_iter().take(count);
    Settings {
        drop_folder: plan.drops.map(|delete_after| DropFolder {
            path: people::drops(),
            poll: Duration::from_secs(60),
            delete_after,
        }),
        miners: miners.map(|miner| (miner, own.clone())).collect(),
        files: files.clone(),
        transfers_max: plan.transfers_max,
        imports_max: plan.transfers_max,
        chain_poll: Duration::from_secs(plan.chain_poll),
        deal_watch: Duration::from_secs(12 * 3_600),
        seal_poll: Duration::from_secs(plan.seal_poll),
        keep_bytes_max: plan.keep_bytes_max,
    }
}
