//! The file system as the market uses it. Data is written by passes and read by sealers and listeners; here are names,
//! sizes and what makes them durable.

use crate::piece::index_file::build_index;
use std::io;
use std::path::{Path, PathBuf};

/// What the market does with files. All of it may wait for a disk.
pub trait Disk: Send + Sync {
    /// Bytes of a file.
    ///
    /// # Errors
    /// It is not there or cannot be looked at.
    fn size(&self, file: &Path) -> io::Result<u64>;

    /// The entries of a directory.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Creates a directory and those above it; one that is there is no error.
    ///
    /// # Errors
    /// The operating system's.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of what has that name.
    ///
    /// # Errors
    /// The operating system's; `CrossesDevices` between two file systems.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, file: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Bytes that the directory's file system has free for us.
    ///
    /// # Errors
    /// The operating system's.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;

    /// Sorts a pass's block entries into an index; the result is durable, but for its name.
    ///
    /// # Errors
    /// A file could not be read or written.
    fn build_index(&self, blocks: &Path, index: &Path) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn size(&self, file: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(file)?.len())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        std::fs::remove_file(file)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::File::open(directory)?.sync_all()
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(directory)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn build_index(&self, blocks: &Path, index: &Path) -> io::Result<()> {
        build_index(blocks, index).map(drop)
    }
}

/// Deletes a file; says so if that fails for another reason than its absence.
pub(super) fn remove(disk: &dyn Disk, file: &Path) {
    if let Err(error) = disk.remove(file)
        && error.kind() != io::ErrorKind::NotFound
    {
        log::warn!("{}: cannot be deleted: {error}", file.display());
    }
}

/// Whether there is a file.
pub(super) fn exists(disk: &dyn Disk, file: &Path) -> bool {
    disk.size(file).is_ok()
}

/// Bytes that a directory's file system has free for us; everything if that cannot be told.
pub(super) fn free_bytes(disk: &dyn Disk, directory: &Path) -> u64 {
    disk.free_bytes(directory).unwrap_or_else(|error| {
        log::warn!("{}: free space unknown: {error}", directory.display());
        u64::MAX
    })
}
