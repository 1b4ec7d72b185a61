//! What the tests of transfers share: a place on the disk, CARs to fetch, one attempt at a time.

#![allow(dead_code)] // Each test file uses its part.

use coracle::piece::car::{Block, write_header, write_section_head};
use coracle::piece::commp::{Commp, PieceCommitment};
use coracle::piece::spool::Spool;
use coracle::piece::walk::CarWalker;
use coracle::transfer::{
    Control, Failure, Fetch, FetchLimits, Fetcher, Finished, Job, SavePoint, Source,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A CARv1 of about this many bytes.
pub fn car(bytes: usize) -> Vec<u8> {
    car_of(bytes, 1)
}

/// A CARv1 of about this many bytes; the same size and other bytes for another seed.
pub fn car_of(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut block = |length: usize| -> Vec<u8> {
        (0..length)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect()
    };
    let mut car = Vec::new();
    let mut sections = Vec::new();
    let mut left = bytes;
    while left > 0 {
        let data = block(left.min(10_007));
        left -= data.len();
        sections.push((raw_cid(&data), data));
    }
    car.extend(write_header(&[sections[0].0]));
    for (cid, data) in sections {
        car.extend(write_section_head(&cid, data.len() as u64));
        car.extend(data);
    }
    car
}

fn raw_cid(data: &[u8]) -> cid::Cid {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(data);
    cid::Cid::new_v1(0x55, multihash::Multihash::wrap(0x12, &digest).unwrap())
}

/// The commitment of these bytes, computed at once.
pub fn commitment(bytes: &[u8]) -> PieceCommitment {
    let mut hasher = Commp::new();
    hasher.update(bytes);
    hasher.finish()
}

/// The block entries of this CAR as they are on the disk, written at once.
pub fn spool_of(car: &[u8]) -> Vec<u8> {
    let place = Place::new();
    let mut spool = Spool::create(&place.spool()).unwrap();
    let mut push = |block: Block| spool.push(&block).unwrap();
    CarWalker::new().feed(car, &mut push).unwrap();
    spool.sync().unwrap();
    place.spooled()
}

/// Loopback is allowed, and nothing takes long.
pub fn limits() -> FetchLimits {
    FetchLimits {
        private_urls: vec!["http://127.0.0.1:*".to_owned()],
        resolve: Duration::from_secs(20),
        connect: Duration::from_secs(20),
        first_byte: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        ..FetchLimits::default()
    }
}

/// The reason and progress of a failure that is worth another try.
pub fn again(failure: &Failure) -> (&str, bool) {
    match failure {
        Failure::Again {
            reason, progress, ..
        } => (reason, *progress),
        other => panic!("not worth another try: {other:?}"),
    }
}

/// The reason of a failure that no other try can help.
pub fn fatal(failure: &Failure) -> &str {
    match failure {
        Failure::Fatal { reason } => reason,
        other => panic!("not fatal: {other:?}"),
    }
}

/// A folder with a staging file and a spool, the save points made so far, and a fetcher.
pub struct Place {
    folder: PathBuf,
    fetcher: Fetcher,
    pub control: Arc<Control>,
    saves: Mutex<Vec<SavePoint>>,
    headers: Vec<(String, String)>,
}

impl Place {
    pub fn new() -> Self {
        Self::with(limits())
    }

    pub fn with(limits: FetchLimits) -> Self {
        Self::with_fetcher(Fetcher::new(limits))
    }

    pub fn with_fetcher(fetcher: Fetcher) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("coracle-transfer-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            fetcher,
            control: Arc::default(),
            saves: Mutex::default(),
            headers: Vec::new(),
        }
    }

    pub fn headers(mut self, headers: &[(&str, &str)]) -> Self {
        self.headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self
    }

    pub fn file(&self) -> PathBuf {
        self.folder.join("staged")
    }

    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    pub fn staged(&self) -> Vec<u8> {
        std::fs::read(self.file()).unwrap()
    }

    pub fn spooled(&self) -> Vec<u8> {
        std::fs::read(self.spool()).unwrap()
    }

    pub fn saves(&self) -> Vec<SavePoint> {
        self.saves.lock().unwrap().clone()
    }

    pub fn last_save(&self) -> SavePoint {
        self.saves().last().cloned().unwrap_or_default()
    }

    pub fn set_save(&self, save: SavePoint) {
        self.saves.lock().unwrap().push(save);
    }

    pub fn restore(&self, file: &[u8], spool: &[u8], save: &SavePoint) {
        std::fs::write(self.file(), file).unwrap();
        std::fs::write(self.spool(), spool).unwrap();
        self.set_save(save.clone());
    }

    pub fn truncate_file(&self, length: u64) {
        truncate(&self.file(), length);
    }

    pub fn truncate_spool(&self, length: u64) {
        truncate(&self.spool(), length);
    }

    /// One attempt from the last save point.
    pub fn run(&self, url: &str, size: usize) -> Result<Finished, Failure> {
        let source = Source::Http {
            url: url.to_owned(),
            headers: self.headers.clone(),
        };
        self.attempt(source, size, self.file())
    }

    /// One pass over a local file from the last save point.
    pub fn run_local(&self, file: &Path, size: usize) -> Result<Finished, Failure> {
        self.attempt(Source::Local, size, file.to_owned())
    }

    fn attempt(&self, source: Source, size: usize, file: PathBuf) -> Result<Finished, Failure> {
        let job = Job {
            source,
            size: size as u64,
            file,
            spool: self.spool(),
            save: self.last_save(),
        };
        self.fetcher.run(&job, &self.control, &mut |save| {
            self.saves.lock().unwrap().push(save);
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn truncate(path: &Path, length: u64) {
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(length)
        .unwrap();
}
