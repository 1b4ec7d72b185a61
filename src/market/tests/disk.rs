//! The operating system's files, with less space than there is, or with defects.

use crate::market::{Disk, Found, SystemDisk};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
pub struct SmallDisk {
    free: Mutex<Option<u64>>,
    failing: Mutex<Option<&'static str>>,
    hanging: AtomicBool,
}

impl SmallDisk {
    /// What has a name that ends like this fails to be looked at or synced.
    pub fn set_failing(&self, end: Option<&'static str>) {
        *self.failing.lock().expect("not poisoned") = end;
    }

    /// Looks at files do not come back while this is set.
    pub fn set_hanging(&self, hanging: bool) {
        self.hanging.store(hanging, Ordering::Relaxed);
    }

    fn works(&self, path: &Path) -> io::Result<()> {
        let failing = *self.failing.lock().expect("not poisoned");
        match failing.filter(|end| path.to_string_lossy().ends_with(end)) {
            Some(_) => Err(io::Error::other("input/output error")),
            None => Ok(()),
        }
    }

    /// Bytes that are said to be free; none says how many there are.
    pub fn set_free(&self, bytes: Option<u64>) {
        *self.free.lock().expect("not poisoned") = bytes;
    }
}

impl Disk for SmallDisk {
    fn size(&self, file: &Path) -> io::Result<u64> {
        self.works(file)?;
        SystemDisk.size(file)
    }

    fn look(&self, file: &Path) -> io::Result<Found> {
        while self.hanging.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        SystemDisk.look(file)
    }

    fn may_read(&self, file: &Path) -> io::Result<()> {
        SystemDisk.may_read(file)
    }

    fn real(&self, path: &Path) -> io::Result<PathBuf> {
        SystemDisk.real(path)
    }

    fn names(&self, directory: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        SystemDisk.names(directory, each)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        SystemDisk.list(directory)
    }

    fn create(&self, file: &Path) -> io::Result<()> {
        SystemDisk.create(file)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        SystemDisk.create_directory(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        SystemDisk.remove(file)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.works(directory)?;
        SystemDisk.sync_directory(directory)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let said = *self.free.lock().expect("not poisoned");
        said.map_or_else(|| SystemDisk.free_bytes(directory), Ok)
    }

    fn build_index(&self, blocks: &Path, index: &Path) -> io::Result<()> {
        SystemDisk.build_index(blocks, index)
    }
}
