//! The passes over data, after the model of the real ones: a server that errs, stalls, cuts and lies, a staging file and
//! block entries that are synced before a save point claims them.

use super::disk::{ENTRY, MemoryDisk};
use super::goods::{commitment, goods};
use super::kinds::Kind;
use super::sched::{Dead, Sched};
use coracle::market::Disk;
use coracle::transfer::{Control, Failure, Fetch, Finished, Job, SavePoint, Source};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes that arrive at once.
const CHUNK: usize = 160;

/// Carries passes out.
#[derive(Clone)]
pub struct MemoryServer {
    sched: Arc<Sched>,
    disk: MemoryDisk,
}

/// A pass under way. The saved state of the hasher is the bytes themselves, so what is hashed and what is in the file can
/// differ, as in the real one.
struct Pass<'a> {
    job: &'a Job,
    control: &'a Arc<Control>,
    saved: &'a mut dyn FnMut(SavePoint),
    sched: &'a Sched,
    disk: &'a MemoryDisk,
    hashed: Vec<u8>,
    spool: u64,
    last: u64,
}

fn gone(_: Dead) -> Failure {
    Failure::Stopped
}

fn disk(what: &str, error: &io::Error) -> Failure {
    Failure::Disk {
        reason: format!("{what}: {error}"),
    }
}

fn again(reason: &str, progress: bool) -> Failure {
    Failure::Again {
        reason: reason.to_owned(),
        progress,
        after: None,
    }
}

impl MemoryServer {
    /// A server of the goods' data, whose passes write to the disk.
    pub fn new(sched: &Arc<Sched>, disk: &MemoryDisk) -> Self {
        Self {
            sched: Arc::clone(sched),
            disk: disk.clone(),
        }
    }

    /// The bytes that the server sends this time, or how it refuses.
    fn body(&self, url: &str, size: u64) -> Result<Vec<u8>, Failure> {
        if self.sched.fault(Kind::ServerError) {
            return Err(Failure::Again {
                reason: "the server answered 503".to_owned(),
                progress: false,
                after: self
                    .sched
                    .chance(500)
                    .then(|| self.sched.pick(&[1, 600, 3_600])),
            });
        }
        let fatal = |reason: &str| Failure::Fatal {
            reason: reason.to_owned(),
        };
        if self.sched.fault(Kind::ServerGone) {
            return Err(fatal("the server answered 404"));
        }
        let car = goods().named(url).ok_or_else(|| fatal("no such file"))?;
        let mut body = car.bytes.clone();
        if body.len() as u64 != size {
            return Err(fatal("the server has another size"));
        }
        if self.sched.fault(Kind::ServerWrong) {
            let at = usize::try_from(self.sched.below(size)).expect("short");
            body[at] ^= 1;
        }
        Ok(body)
    }

    fn fetch(&self, url: &str, pass: &mut Pass<'_>, progress: &mut bool) -> Result<(), Failure> {
        let body = self.body(url, pass.job.size)?;
        let slow = self.sched.fault(Kind::ServerSlow);
        while pass.offset() < pass.job.size {
            self.sched.outside().map_err(gone)?;
            let stop = || pass.control.stop.load(Ordering::Relaxed);
            if slow {
                self.sched.wait(20_000, stop).map_err(gone)?;
            }
            if self.sched.fault(Kind::ServerStall) {
                self.sched.wait(60_000, stop).map_err(gone)?;
                if !stop() {
                    return Err(again("the server stalls", *progress));
                }
            }
            if stop() {
                return Err(Failure::Stopped);
            }
            if self.sched.fault(Kind::ServerCut) {
                return Err(again("the connection ended early", *progress));
            }
            let from = usize::try_from(pass.offset()).expect("short");
            let to = body.len().min(from + CHUNK);
            pass.take(&body[from..to])?;
            *progress = true;
        }
        Ok(())
    }

    fn read(&self, pass: &mut Pass<'_>) -> Result<u64, Failure> {
        let bytes = self.disk.read(&pass.job.file);
        let bytes = bytes.map_err(|error| disk("cannot read the file", &error))?;
        for chunk in bytes.chunks(CHUNK) {
            self.sched.outside().map_err(gone)?;
            if pass.control.stop.load(Ordering::Relaxed) {
                return Err(Failure::Stopped);
            }
            pass.take(chunk)?;
        }
        Ok(bytes.len() as u64)
    }
}

impl Fetch for MemoryServer {
    fn run(
        &self,
        job: &Job,
        control: &Arc<Control>,
        saved: &mut dyn FnMut(SavePoint),
    ) -> Result<Finished, Failure> {
        self.sched.outside().map_err(gone)?;
        let mut pass = Pass::open(self, job, control, saved)?;
        let mut progress = false;
        let ended = match &job.source {
            Source::Local => self.read(&mut pass).map(drop),
            Source::Http { url, .. } => self.fetch(url, &mut pass, &mut progress),
        };
        // A process that is gone saves nothing.
        self.sched.alive().map_err(gone)?;
        match ended {
            Ok(()) => {
                pass.save()?;
                self.sched.outside().map_err(gone)?;
                Ok(Finished {
                    commitment: commitment(&pass.hashed),
                    bytes: pass.offset(),
                    car_blocks: pass.spool / ENTRY as u64,
                })
            }
            Err(failure @ (Failure::Again { .. } | Failure::Stopped)) => {
                pass.save()?;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }
}

impl<'a> Pass<'a> {
    fn open(
        server: &'a MemoryServer,
        job: &'a Job,
        control: &'a Arc<Control>,
        saved: &'a mut dyn FnMut(SavePoint),
    ) -> Result<Self, Failure> {
        let mut pass = Self {
            job,
            control,
            saved,
            sched: &server.sched,
            disk: &server.disk,
            hashed: Vec::new(),
            spool: 0,
            last: 0,
        };
        if job.save.offset > 0 && pass.resume().is_ok() {
            server.sched.count(Kind::Resumed);
        } else {
            if job.save.offset > 0 {
                // The old save point must not claim bytes of the new file.
                server.sched.alive().map_err(gone)?;
                (pass.saved)(SavePoint::default());
            }
            pass.begin().map_err(|error| disk("staging", &error))?;
        }
        control.bytes.store(pass.offset(), Ordering::Relaxed);
        pass.last = pass.offset();
        Ok(pass)
    }

    fn offset(&self) -> u64 {
        self.hashed.len() as u64
    }

    fn resume(&mut self) -> io::Result<()> {
        let save = &self.job.save;
        self.disk.truncate(&self.job.file, save.offset)?;
        self.disk.truncate(&self.job.spool, save.spool_len)?;
        self.hashed.clone_from(&save.hasher);
        self.spool = save.spool_len;
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let staged = (self.job.source != Source::Local).then_some(&self.job.file);
        for file in staged.into_iter().chain([&self.job.spool]) {
            self.disk.create(file)?;
            let folder = file.parent().unwrap_or(Path::new("/"));
            self.disk.sync_directory(folder)?;
        }
        (self.hashed, self.spool) = (Vec::new(), 0);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.job.source != Source::Local {
            let written = self.disk.append(&self.job.file, bytes);
            written.map_err(|error| disk("staging file", &error))?;
        }
        let written = self.disk.append(&self.job.spool, &[7; ENTRY]);
        written.map_err(|error| disk("block entries", &error))?;
        self.spool += ENTRY as u64;
        self.hashed.extend_from_slice(bytes);
        self.control.bytes.store(self.offset(), Ordering::Relaxed);
        if self.sched.chance(250) {
            self.save()?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), Failure> {
        if self.offset() == self.last {
            return Ok(());
        }
        if self.job.source != Source::Local {
            let synced = self.disk.sync(&self.job.file);
            synced.map_err(|error| disk("staging file", &error))?;
        }
        let synced = self.disk.sync(&self.job.spool);
        synced.map_err(|error| disk("block entries", &error))?;
        let save = SavePoint {
            offset: self.offset(),
            hasher: self.hashed.clone(),
            walker: Vec::new(),
            spool_len: self.spool,
            validator: None,
        };
        (self.saved)(save);
        self.last = self.offset();
        self.sched.alive().map_err(gone)
    }
}
