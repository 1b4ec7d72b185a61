//! Walking the input, directories depth first and names in byte order.

use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::dag::{
    Codec, Link, Node, directory_len, directory_message, encode_node, symlink_message,
};
use super::file::{CHUNK, FileError, pack_file, total};
use super::hamt::{ShardError, pack_shards};
use super::sink::Sink;
use super::{Options, PackError};

/// Directories inside each other. The operating system's longest path has about twice as many.
pub(super) const MAX_DEPTH: usize = 1000;

/// Entries of one directory: their names and CIDs are in memory together, some 100 bytes each.
pub(super) const MAX_ENTRIES: usize = 1 << 22;

/// The largest block of a plain directory; beyond it the directory is sharded (IPIP-0499,
/// `block-bytes`).
const MAX_PLAIN: u64 = 256 * 1024;

/// Packs one input.
pub(super) struct Packer<'a> {
    sink: &'a mut Sink,
    output: &'a Path,
    options: Options,
    chunk: Vec<u8>,
}

impl<'a> Packer<'a> {
    pub(super) fn new(sink: &'a mut Sink, output: &'a Path, options: Options) -> Self {
        Self {
            sink,
            output,
            options,
            chunk: Vec::with_capacity(CHUNK),
        }
    }

    /// Packs what the user named. A symbolic link stands for what it points to.
    pub(super) fn pack_input(&mut self, path: &Path) -> Result<Node, PackError> {
        let metadata = fs::metadata(path).map_err(|error| read_error(path, error))?;
        self.pack_entry(path, &metadata, 0)
    }

    fn pack_entry(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        depth: usize,
    ) -> Result<Node, PackError> {
        let kind = metadata.file_type();
        if kind.is_dir() {
            self.pack_directory(path, depth)
        } else if kind.is_file() {
            self.pack_file(path)
        } else if kind.is_symlink() {
            self.pack_symlink(path)
        } else {
            Err(PackError::Kind(path.to_owned()))
        }
    }

    fn pack_file(&mut self, path: &Path) -> Result<Node, PackError> {
        let mut file = File::open(path).map_err(|error| read_error(path, error))?;
        pack_file(&mut file, &mut self.chunk, self.sink).map_err(|error| match error {
            FileError::Read(error) => read_error(path, error),
            FileError::Write(error) => self.write_error(error),
        })
    }

    fn pack_symlink(&mut self, path: &Path) -> Result<Node, PackError> {
        let target = fs::read_link(path).map_err(|error| read_error(path, error))?;
        let message = symlink_message(target.as_os_str().as_bytes());
        let block = encode_node(&[], &message);
        self.sink
            .put(Codec::DagPb, &block, 0)
            .map_err(|error| self.write_error(error))
    }

    fn pack_directory(&mut self, path: &Path, depth: usize) -> Result<Node, PackError> {
        if depth >= MAX_DEPTH {
            return Err(PackError::Depth(path.to_owned()));
        }
        let mut links = Vec::new();
        for name in self.read_names(path)? {
            let entry = path.join(&name);
            let metadata =
                fs::symlink_metadata(&entry).map_err(|error| read_error(&entry, error))?;
            let node = self.pack_entry(&entry, &metadata, depth.saturating_add(1))?;
            links.push(Link { name, node });
        }
        if directory_len(&links) > MAX_PLAIN {
            return pack_shards(links, self.sink).map_err(|error| match error {
                ShardError::Collision => PackError::Collision(path.to_owned()),
                ShardError::Write(error) => self.write_error(error),
            });
        }
        let block = encode_node(&links, &directory_message());
        let below = total(&links);
        self.sink
            .put(Codec::DagPb, &block, below)
            .map_err(|error| self.write_error(error))
    }

    /// The names that are packed, in the order that dag-pb wants: by their bytes.
    fn read_names(&self, path: &Path) -> Result<Vec<String>, PackError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| read_error(path, error))? {
            let entry = entry.map_err(|error| read_error(path, error))?;
            let name = entry.file_name();
            if !self.options.hidden && name.as_bytes().starts_with(b".") {
                continue;
            }
            let Ok(name) = name.into_string() else {
                return Err(PackError::Name(entry.path()));
            };
            if names.len() >= MAX_ENTRIES {
                return Err(PackError::Entries(path.to_owned()));
            }
            names.push(name);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn write_error(&self, error: std::io::Error) -> PackError {
        PackError::Write(self.output.to_owned(), error)
    }
}

fn read_error(path: &Path, error: std::io::Error) -> PackError {
    PackError::Read(PathBuf::from(path), error)
}
