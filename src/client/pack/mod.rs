//! Packing a file or a directory into a CAR.
//!
//! The tree is UnixFS by the profile `unixfs-v1-2025` of IPIP-0499, so that any other tool that
//! follows it comes to the same root:
//!
//! | parameter | value |
//! |---|---|
//! | CIDs | version 1, sha2-256 |
//! | files | fixed chunks of 1 MiB as raw leaves, balanced, at most 1024 links a node |
//! | directories | empty ones kept; a HAMT of fanout 256 where the plain block exceeds 256 KiB |
//! | hidden entries | left out, unless asked for |
//! | symbolic links | kept as links; the input itself is followed |
//! | mode, modification time | left out |
//!
//! Blocks are written as they are made, children before parents, and the root is put into the
//! header at the end. Memory holds one chunk, one open node per level of a file, and the entries
//! of the directories between the root and the place of work.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod dag;
mod file;
mod hamt;
mod murmur3;
mod sink;
mod tree;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use cid::Cid;

use sink::Sink;
use tree::Packer;

/// What was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// The CAR's single root.
    pub root: Cid,
    /// Bytes of the CAR.
    pub car_size: u64,
    /// Blocks in the CAR. Of equal blocks usually one is written.
    pub blocks: u64,
}

/// Choices that the profile leaves to the user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether entries whose name starts with a dot are packed.
    pub hidden: bool,
}

/// Why something could not be packed.
#[derive(Debug)]
pub enum PackError {
    /// A file or a directory could not be read.
    Read(PathBuf, io::Error),
    /// The CAR could not be written.
    Write(PathBuf, io::Error),
    /// A name is not UTF-8.
    Name(PathBuf),
    /// Neither a file nor a directory nor a symbolic link.
    Kind(PathBuf),
    /// More directories inside each other than the limit.
    Depth(PathBuf),
    /// More entries in a directory than the limit.
    Entries(PathBuf),
    /// Two names of a sharded directory that its hash function cannot tell apart.
    Collision(PathBuf),
    /// The CAR would become a part of the directory that is packed.
    OutputInside(PathBuf),
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PackError::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            PackError::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            PackError::Name(path) => write!(f, "name is not UTF-8: {}", path.display()),
            PackError::Kind(path) => {
                write!(
                    f,
                    "neither file, directory nor symbolic link: {}",
                    path.display()
                )
            }
            PackError::Depth(path) => {
                write!(
                    f,
                    "more than {} directories deep: {}",
                    tree::MAX_DEPTH,
                    path.display()
                )
            }
            PackError::Entries(path) => {
                write!(
                    f,
                    "more than {} entries: {}",
                    tree::MAX_ENTRIES,
                    path.display()
                )
            }
            PackError::Collision(path) => {
                write!(f, "two names with one hash value: {}", path.display())
            }
            PackError::OutputInside(path) => {
                write!(f, "output lies inside the input: {}", path.display())
            }
        }
    }
}

impl std::error::Error for PackError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PackError::Read(_, error) | PackError::Write(_, error) => Some(error),
            _ => None,
        }
    }
}

/// Packs a file or a directory into the CARv1 `output`, leaving hidden entries out.
///
/// The same input gives the same bytes. `output` appears, or is replaced, only once it is
/// complete.
pub fn pack(input: &Path, output: &Path) -> Result<Packed, PackError> {
    pack_with(input, output, Options::default())
}

/// As [`pack`], with the user's choices.
pub fn pack_with(input: &Path, output: &Path, options: Options) -> Result<Packed, PackError> {
    refuse_output_inside(input, output)?;
    let mut sink =
        Sink::create(output).map_err(|error| PackError::Write(output.to_owned(), error))?;
    let root = Packer::new(&mut sink, output, options).pack_input(input)?;
    sink.finish(&root, output)
        .map_err(|error| PackError::Write(output.to_owned(), error))
}

/// A CAR that grows inside the directory that is packed would be packed itself.
fn refuse_output_inside(input: &Path, output: &Path) -> Result<(), PackError> {
    let read = |error| PackError::Read(input.to_owned(), error);
    let input = input.canonicalize().map_err(read)?;
    let directory = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = |error| PackError::Write(output.to_owned(), error);
    let directory = directory.canonicalize().map_err(write)?;
    let itself = output
        .file_name()
        .is_some_and(|name| directory.join(name) == input);
    if itself || directory.starts_with(&input) {
        return Err(PackError::OutputInside(output.to_owned()));
    }
    Ok(())
}
