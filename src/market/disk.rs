//! The file system as the market uses it. Data is written by passes and read by sealers and listeners; here are names,
//! sizes and what makes them durable.

use crate::deal::Millis;
use crate::piece::index_file::build_index;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What lies under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// A file with bytes, not a directory, a device or a pipe. Symbolic links are followed.
    pub regular: bool,
    /// The name itself is a symbolic link.
    pub link: bool,
    /// Its bytes.
    pub bytes: u64,
    /// When it was last written to; 0 if that is not known.
    pub modified: Millis,
}

/// What the market does with files. All of it may wait for a disk.
pub trait Disk: Send + Sync {
    /// Bytes of a file.
    ///
    /// # Errors
    /// It is not there or cannot be looked at.
    fn size(&self, file: &Path) -> io::Result<u64>;

    /// What lies under a name; symbolic links are followed.
    ///
    /// # Errors
    /// It is not there or cannot be looked at.
    fn look(&self, file: &Path) -> io::Result<Found> {
        Ok(Found {
            regular: true,
            link: false,
            bytes: self.size(file)?,
            modified: 0,
        })
    }

    /// Whether we may read this regular file.
    ///
    /// # Errors
    /// Why not.
    fn may_read(&self, file: &Path) -> io::Result<()> {
        self.size(file).map(drop)
    }

    /// The path without symbolic links in it.
    ///
    /// # Errors
    /// It is not there or cannot be looked at.
    fn real(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    /// Shows the names in a directory one after the other, so that one with very many needs no memory.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    fn names(&self, directory: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        for path in self.list(directory)? {
            if let Some(name) = path.file_name() {
                each(name);
            }
        }
        Ok(())
    }

    /// The entries of a directory.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Creates an empty file; one that is there is emptied.
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, file: &Path) -> io::Result<()>;

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

    fn look(&self, file: &Path) -> io::Result<Found> {
        let link = std::fs::symlink_metadata(file)?.is_symlink();
        let found = std::fs::metadata(file)?;
        let modified = found.modified()?.duration_since(UNIX_EPOCH);
        Ok(Found {
            regular: found.is_file(),
            link,
            bytes: found.len(),
            modified: modified.map_or(0, |since| {
                Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
            }),
        })
    }

    fn may_read(&self, file: &Path) -> io::Result<()> {
        std::fs::File::open(file).map(drop)
    }

    fn real(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn names(&self, directory: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            each(&entry?.file_name());
        }
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    }

    fn create(&self, file: &Path) -> io::Result<()> {
        std::fs::File::create(file)?.sync_all()
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
///
/// # Errors
/// It cannot be told: a disk that fails is no reason to take a file for lost.
pub(super) fn exists(disk: &dyn Disk, file: &Path) -> Result<bool, String> {
    match disk.size(file) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// Bytes that a directory's file system has free for us; everything if that cannot be told.
pub(super) fn free_bytes(disk: &dyn Disk, directory: &Path) -> u64 {
    disk.free_bytes(directory).unwrap_or_else(|error| {
        log::warn!("{}: free space unknown: {error}", directory.display());
        u64::MAX
    })
}
