//! One pass over the bytes of a piece: staging file, piece commitment, CAR walk and block entries move together, and
//! where they agree is a save point.

use super::{Control, Failure, Finished, Job, SavePoint, Source};
use crate::piece::car::CarError;
use crate::piece::commp::Commp;
use crate::piece::spool::Spool;
use crate::piece::walk::CarWalker;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// When save points are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intervals {
    pub bytes: u64,
    pub time: Duration,
}

/// The state of a pass.
pub(super) struct Pass<'a> {
    job: &'a Job,
    control: &'a Arc<Control>,
    saved: &'a mut dyn FnMut(SavePoint),
    intervals: Intervals,
    /// The staging file; none if the source is a local file, which is read where it is.
    file: Option<File>,
    hasher: Commp,
    walker: CarWalker,
    spool: Spool,
    offset: u64,
    validator: Option<String>,
    /// Offset and time of the last save point.
    last: (u64, Instant),
}

impl<'a> Pass<'a> {
    /// Opens the files and goes on from the job's save point, or begins anew if that is not possible.
    pub fn open(
        job: &'a Job,
        size: u64,
        control: &'a Arc<Control>,
        saved: &'a mut dyn FnMut(SavePoint),
        intervals: Intervals,
    ) -> Result<Self, Failure> {
        let parts = match resume(job, size) {
            Ok(Some(parts)) => parts,
            Ok(None) => begin(job)?,
            Err(why) => {
                log::warn!(
                    "{}: beginning at byte 0 instead of {}: {why}",
                    shown(job),
                    job.save.offset
                );
                // The old save point must not claim bytes of the new file.
                saved(SavePoint::default());
                begin(job)?
            }
        };
        control.bytes.store(parts.offset, Ordering::Relaxed);
        Ok(Self {
            job,
            control,
            saved,
            intervals,
            file: parts.file,
            hasher: parts.hasher,
            walker: parts.walker,
            spool: parts.spool,
            offset: parts.offset,
            validator: (parts.offset > 0)
                .then(|| job.save.validator.clone())
                .flatten(),
            last: (parts.offset, Instant::now()),
        })
    }

    /// Bytes that have gone through.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What the source gave as proof that it is still the same file.
    pub fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }

    pub fn set_validator(&mut self, validator: Option<String>) {
        self.validator = validator;
    }

    /// Whether the market wants the pass to end.
    pub fn stopped(&self) -> bool {
        self.control.stop.load(Ordering::Relaxed)
    }

    /// Throws away what is there and begins at byte 0.
    pub fn restart(&mut self) -> Result<(), Failure> {
        // As in `open`: the old point goes before its bytes do.
        if self.last.0 > 0 {
            (self.saved)(SavePoint::default());
        }
        let parts = begin(self.job)?;
        self.file = parts.file;
        self.hasher = parts.hasher;
        self.walker = parts.walker;
        self.spool = parts.spool;
        self.offset = 0;
        self.validator = None;
        self.last = (0, Instant::now());
        self.control.bytes.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// The next bytes, through all parts; makes a save point when one is due.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes)
                .map_err(|error| disk("staging file", &error))?;
        }
        self.hasher.update(bytes);
        let (walker, spool) = (&mut self.walker, &mut self.spool);
        let mut failed = None;
        walker
            .feed(bytes, &mut |block| {
                if failed.is_none() {
                    failed = spool.push(&block).err();
                }
            })
            .map_err(|error| not_a_car(&error))?;
        if let Some(error) = failed {
            return Err(disk("block entries", &error));
        }
        self.offset = self
            .offset
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.control.bytes.store(self.offset, Ordering::Relaxed);
        let (offset, time) = self.last;
        if self.offset.saturating_sub(offset) >= self.intervals.bytes
            || time.elapsed() >= self.intervals.time
        {
            self.save()?;
        }
        Ok(())
    }

    /// Makes a save point here: what it claims is on the disk before it is reported.
    pub fn save(&mut self) -> Result<(), Failure> {
        if self.offset == self.last.0 {
            return Ok(());
        }
        if let Some(file) = &self.file {
            file.sync_data()
                .map_err(|error| disk("staging file", &error))?;
        }
        let spool_len = self
            .spool
            .sync()
            .map_err(|error| disk("block entries", &error))?;
        (self.saved)(SavePoint {
            offset: self.offset,
            hasher: self.hasher.save(),
            walker: self.walker.save(),
            spool_len,
            validator: self.validator.clone(),
        });
        self.last = (self.offset, Instant::now());
        Ok(())
    }

    /// All bytes are through: the result, after a last save point.
    pub fn finish(mut self) -> Result<Finished, Failure> {
        let summary = self.walker.finish().map_err(|error| not_a_car(&error))?;
        self.save()?;
        Ok(Finished {
            commitment: self.hasher.finish(),
            bytes: self.offset,
            car_blocks: summary.blocks,
        })
    }
}

/// What a pass works with at its beginning.
struct Parts {
    file: Option<File>,
    hasher: Commp,
    walker: CarWalker,
    spool: Spool,
    offset: u64,
}

/// Brings everything back to the save point; nothing if there is none.
fn resume(job: &Job, size: u64) -> Result<Option<Parts>, String> {
    let save = &job.save;
    if save.offset == 0 {
        return Ok(None);
    }
    if save.offset > size {
        return Err(format!("more than the {size} bytes there are"));
    }
    let hasher = Commp::restore(&save.hasher).map_err(|error| format!("saved hasher: {error}"))?;
    let walker =
        CarWalker::restore(&save.walker).map_err(|error| format!("saved walker: {error}"))?;
    if hasher.bytes() != save.offset {
        return Err("the saved hasher stands at another byte".to_owned());
    }
    let file = match job.source {
        Source::Local => None,
        Source::Http { .. } => {
            let mut file = OpenOptions::new()
                .write(true)
                .open(&job.file)
                .map_err(|error| format!("staging file: {error}"))?;
            at_least(&job.file, save.offset).map_err(|why| format!("staging file: {why}"))?;
            file.set_len(save.offset)
                .and_then(|()| file.seek(SeekFrom::Start(save.offset)))
                .map_err(|error| format!("staging file: {error}"))?;
            Some(file)
        }
    };
    at_least(&job.spool, save.spool_len).map_err(|why| format!("block entries: {why}"))?;
    let spool = Spool::open_at(&job.spool, save.spool_len)
        .map_err(|error| format!("block entries: {error}"))?;
    Ok(Some(Parts {
        file,
        hasher,
        walker,
        spool,
        offset: save.offset,
    }))
}

fn at_least(path: &Path, length: u64) -> Result<(), String> {
    let found = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if found < length {
        return Err(format!("{found} bytes on disk, {length} saved"));
    }
    Ok(())
}

/// Empty files and fresh state.
fn begin(job: &Job) -> Result<Parts, Failure> {
    let file = match job.source {
        Source::Local => None,
        Source::Http { .. } => {
            Some(create(&job.file).map_err(|error| disk("staging file", &error))?)
        }
    };
    let spool = Spool::create(&job.spool).map_err(|error| disk("block entries", &error))?;
    sync_folder(&job.spool).map_err(|error| disk("block entries", &error))?;
    Ok(Parts {
        file,
        hasher: Commp::new(),
        walker: CarWalker::new(),
        spool,
        offset: 0,
    })
}

fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    sync_folder(path)?;
    Ok(file)
}

/// A save point claims a file, so its name has to be on the disk too.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn disk(what: &str, error: &io::Error) -> Failure {
    Failure::Disk {
        reason: format!("{what}: {error}"),
    }
}

fn not_a_car(error: &CarError) -> Failure {
    Failure::Fatal {
        reason: format!("the data is not a CAR file: {error}"),
    }
}

/// The file's name, for log lines.
fn shown(job: &Job) -> String {
    let name = job.file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
