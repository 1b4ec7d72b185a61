//! Files in memory, with two views of each: what programs see, and what a power cut leaves.

use super::kinds::Kind;
use super::sched::Sched;
use super::tasks::lock;
use coracle::deal::Millis;
use coracle::market::Disk;
use coracle::piece::index_file::sizes_path;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Bytes of entries that an index is built of, for each block.
pub const ENTRY: usize = 8;

#[derive(Debug, Clone, Default)]
struct Content {
    seen: Vec<u8>,
    /// Other than `seen` only if that was not synced.
    durable: Option<Vec<u8>>,
}

/// A change of names that is not durable yet.
#[derive(Debug, Clone)]
enum Change {
    Create(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, u64),
}

impl Change {
    fn touches(&self, directory: &Path) -> bool {
        let inside = |path: &Path| path.parent() == Some(directory);
        match self {
            Self::Create(path, _) | Self::Remove(path) => inside(path),
            Self::Rename(from, to, _) => inside(from) || inside(to),
        }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (first, second) = match self {
            Self::Create(path, _) | Self::Remove(path) => (path, None),
            Self::Rename(from, to, _) => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<u64, Content>,
    next: u64,
    names: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    changes: Vec<Change>,
    capacity: u64,
    full_until: Millis,
    /// Files that could not be removed because the disk failed.
    excused: BTreeSet<PathBuf>,
}

/// Outlives the processes. Cloning shares it.
#[derive(Clone)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    sched: Arc<Sched>,
    /// Files below it are on another file system.
    elsewhere: Option<PathBuf>,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new(sched: &Arc<Sched>, capacity: u64, elsewhere: Option<PathBuf>) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                capacity,
                ..State::default()
            })),
            sched: Arc::clone(sched),
            elsewhere,
        }
    }

    /// Puts a durable file there, as an operator does.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = lock(&self.state);
        let file = state.fresh(bytes.to_vec());
        state.names.insert(path.to_owned(), file);
        state.durable.insert(path.to_owned(), file);
    }

    /// The same, and the disk grows with it.
    pub fn bring(&self, path: &Path, bytes: &[u8]) {
        let before = self.used();
        self.put(path, bytes);
        let mut state = lock(&self.state);
        let more = state.used().saturating_sub(before);
        state.capacity += more;
    }

    /// A file's bytes, for whoever looks from outside.
    pub fn look(&self, path: &Path) -> Option<Vec<u8>> {
        let state = lock(&self.state);
        let file = state.names.get(path)?;
        Some(state.files[file].seen.clone())
    }

    /// Paths of all files below a directory.
    pub fn below(&self, directory: &Path) -> Vec<PathBuf> {
        let state = lock(&self.state);
        let names = state.names.keys();
        names
            .filter(|path| path.starts_with(directory))
            .cloned()
            .collect()
    }

    /// Whether this file is there only because the disk refused to remove it.
    pub fn excused(&self, path: &Path) -> bool {
        lock(&self.state).excused.contains(path)
    }

    /// Bytes that fit.
    pub fn set_capacity(&self, capacity: u64) {
        lock(&self.state).capacity = capacity;
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        lock(&self.state).used()
    }

    /// The power is cut.
    pub fn cut(&self) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let changes = std::mem::take(&mut state.changes);
        // A journal keeps the order; without one each change is on its own.
        let ordered = self.sched.chance(700);
        let kept = usize::try_from(self.sched.below(changes.len() as u64 + 1)).expect("few");
        for (at, change) in changes.iter().enumerate() {
            let stays = if ordered {
                at < kept
            } else {
                self.sched.chance(500)
            };
            if stays {
                change.apply(&mut state.durable);
            } else {
                self.sched.count(Kind::LostName);
            }
        }
        state.names = state.durable.clone();
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|file, _| named.contains(file));
        for content in state.files.values_mut() {
            let Some(durable) = content.durable.take() else {
                continue;
            };
            match self.sched.below(3) {
                0 => content.seen = durable,
                1 => {
                    let length = self.sched.below(content.seen.len() as u64 + 1);
                    content
                        .seen
                        .truncate(usize::try_from(length).expect("short"));
                }
                // All of it had reached the disk.
                _ => continue,
            }
            self.sched.count(Kind::LostWrite);
        }
    }

    /// An operation is about to happen: it may be slow, fail, or find the process gone.
    fn operation(&self) -> Result<()> {
        let gone = |_| Error::other("the process is gone");
        self.sched.may_crash(Kind::CrashAtDisk).map_err(gone)?;
        if self.sched.fault(Kind::DiskSlow) {
            let time = self.sched.pick(&[20, 1_000, 10_000]);
            self.sched.wait(time, || false).map_err(gone)?;
        }
        if self.sched.fault(Kind::DiskFails) {
            return Err(Error::other("input/output error"));
        }
        Ok(())
    }

    fn room(&self) -> Result<()> {
        if self.sched.fault(Kind::DiskFull) {
            let time = self.sched.pick(&[1_000, 60_000, 3_600_000]);
            lock(&self.state).full_until = self.sched.now() + time;
        }
        if lock(&self.state).full_until > self.sched.now() && !self.sched.calm() {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Creates a file or cuts it to nothing; its name is not durable yet.
    pub fn create(&self, path: &Path) -> Result<()> {
        self.operation()?;
        self.sched
            .note(|| format!("disk: create {}", path.display()));
        self.room()?;
        let mut state = lock(&self.state);
        if let Some(file) = state.names.get(path).copied() {
            state.change(file).clear();
            return Ok(());
        }
        let file = state.fresh(Vec::new());
        state.names.insert(path.to_owned(), file);
        let change = Change::Create(path.to_owned(), file);
        state.changes.push(change);
        Ok(())
    }

    /// Writes at the end of a file.
    pub fn append(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.operation()?;
        self.room()?;
        let mut state = lock(&self.state);
        let file = state.file(path)?;
        state.change(file).extend_from_slice(bytes);
        Ok(())
    }

    /// Cuts a file to a length that it has.
    pub fn truncate(&self, path: &Path, length: u64) -> Result<()> {
        self.operation()?;
        let mut state = lock(&self.state);
        let file = state.file(path)?;
        let length = usize::try_from(length).expect("short");
        match state.files[&file].seen.len() {
            found if found < length => return Err(ErrorKind::UnexpectedEof.into()),
            found if found == length => {}
            _ => state.change(file).truncate(length),
        }
        Ok(())
    }

    /// Makes a file's bytes durable.
    pub fn sync(&self, path: &Path) -> Result<()> {
        self.operation()?;
        self.room()?;
        let mut state = lock(&self.state);
        let file = state.file(path)?;
        if let Some(content) = state.files.get_mut(&file) {
            content.durable = None;
        }
        Ok(())
    }

    /// Reads a whole file.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        self.operation()?;
        let state = lock(&self.state);
        let file = state.file(path)?;
        Ok(state.files[&file].seen.clone())
    }
}

impl State {
    fn fresh(&mut self, seen: Vec<u8>) -> u64 {
        self.next += 1;
        let content = Content {
            seen,
            durable: None,
        };
        self.files.insert(self.next, content);
        self.next
    }

    fn file(&self, path: &Path) -> Result<u64> {
        let file = self.names.get(path).copied();
        file.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// The bytes of a file that is about to change; what was durable is kept.
    fn change(&mut self, file: u64) -> &mut Vec<u8> {
        let content = self.files.get_mut(&file).expect("a named file");
        if content.durable.is_none() {
            content.durable = Some(content.seen.clone());
        }
        &mut content.seen
    }

    fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|file| self.files.get(file));
        files.map(|content| content.seen.len() as u64).sum()
    }
}

impl Disk for MemoryDisk {
    fn size(&self, file: &Path) -> Result<u64> {
        self.operation()?;
        let state = lock(&self.state);
        let file = state.file(file)?;
        Ok(state.files[&file].seen.len() as u64)
    }

    fn list(&self, directory: &Path) -> Result<Vec<PathBuf>> {
        self.operation()?;
        Ok(self.below(directory))
    }

    fn create(&self, file: &Path) -> Result<()> {
        Self::create(self, file)
    }

    fn create_directory(&self, _: &Path) -> Result<()> {
        self.operation()
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.operation()?;
        let is_elsewhere = |path: &Path| {
            let elsewhere = self.elsewhere.as_ref();
            elsewhere.is_some_and(|elsewhere| path.starts_with(elsewhere))
        };
        if is_elsewhere(from) != is_elsewhere(to) {
            return Err(ErrorKind::CrossesDevices.into());
        }
        self.sched
            .note(|| format!("disk: rename {} to {}", from.display(), to.display()));
        let mut state = lock(&self.state);
        let file = state.file(from)?;
        let change = Change::Rename(from.to_owned(), to.to_owned(), file);
        change.apply(&mut state.names);
        state.changes.push(change);
        Ok(())
    }

    fn remove(&self, file: &Path) -> Result<()> {
        let path = file;
        if let Err(error) = self.operation() {
            if self.sched.alive().is_ok() && lock(&self.state).names.contains_key(path) {
                lock(&self.state).excused.insert(path.to_owned());
            }
            return Err(error);
        }
        self.sched
            .note(|| format!("disk: remove {}", path.display()));
        let mut state = lock(&self.state);
        state.file(path)?;
        state.names.remove(path);
        state.excused.remove(path);
        state.changes.push(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> Result<()> {
        self.operation()?;
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let changes = std::mem::take(&mut state.changes);
        // What a synced change builds upon is on the disk with it.
        let mut wanted: BTreeSet<PathBuf> = BTreeSet::new();
        let (mut synced, mut open) = (Vec::new(), Vec::new());
        for change in changes.into_iter().rev() {
            let builds_upon = change.paths().any(|path| wanted.contains(path));
            if builds_upon || change.touches(directory) {
                wanted.extend(change.paths().cloned());
                synced.push(change);
            } else {
                open.push(change);
            }
        }
        open.reverse();
        state.changes = open;
        for change in synced.iter().rev() {
            change.apply(&mut state.durable);
        }
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> Result<u64> {
        self.operation()?;
        if self.room().is_err() {
            return Ok(0);
        }
        let state = lock(&self.state);
        Ok(state.capacity.saturating_sub(state.used()))
    }

    fn build_index(&self, blocks: &Path, index: &Path) -> Result<()> {
        self.sched
            .note(|| format!("disk: build {}", index.display()));
        let entries = self.read(blocks)?;
        if entries.len() % ENTRY != 0 {
            return Err(Error::other("half a block entry"));
        }
        for path in [index.to_owned(), sizes_path(index)] {
            self.operation()?;
            self.room()?;
            let mut state = lock(&self.state);
            let file = state.fresh(entries.clone());
            let change = Change::Create(path, file);
            change.apply(&mut state.names);
            state.changes.push(change);
        }
        Ok(())
    }
}
