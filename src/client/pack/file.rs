//! A file as a balanced tree: chunks as raw leaves, at most 1024 links a node, every leaf at the
//! same depth (IPIP-0499, `balanced`).

use std::io::{self, Read};

use super::dag::{Codec, Link, Node, encode_node, file_message};
use super::sink::Sink;

/// Bytes of a chunk.
pub(super) const CHUNK: usize = 1 << 20;

/// Links of a node.
const WIDTH: usize = 1024;

/// What went wrong while a file was packed.
#[derive(Debug)]
pub(super) enum FileError {
    /// The file could not be read.
    Read(io::Error),
    /// The CAR could not be written.
    Write(io::Error),
}

/// Packs the bytes of one file. `chunk` is scratch space that later files use again.
pub(super) fn pack_file(
    file: &mut impl Read,
    chunk: &mut Vec<u8>,
    sink: &mut Sink,
) -> Result<Node, FileError> {
    let mut tree = Balanced::default();
    loop {
        chunk.clear();
        let read = file
            .take(CHUNK as u64)
            .read_to_end(chunk)
            .map_err(FileError::Read)?;
        // An empty file is one empty leaf.
        if read == 0 && !tree.levels.is_empty() {
            break;
        }
        let leaf = sink.put(Codec::Raw, chunk, 0).map_err(FileError::Write)?;
        tree.push(0, leaf, read as u64, sink)
            .map_err(FileError::Write)?;
        if read < CHUNK {
            break;
        }
    }
    tree.finish(sink).map_err(FileError::Write)
}

/// The open nodes of a tree that grows at its right edge, leaves' parents first. A full node
/// stays open until something follows it, so at the end no level is empty.
#[derive(Default)]
pub(super) struct Balanced {
    levels: Vec<Level>,
}

/// An open node.
#[derive(Default)]
struct Level {
    links: Vec<Link>,
    /// File bytes below each link.
    sizes: Vec<u64>,
}

impl Balanced {
    /// Adds a node that covers `size` bytes of the file to the right edge of a level.
    pub(super) fn push(
        &mut self,
        level: usize,
        node: Node,
        size: u64,
        sink: &mut Sink,
    ) -> io::Result<()> {
        if self.levels.len() <= level {
            self.levels.push(Level::default());
        }
        let full = self
            .levels
            .get_mut(level)
            .filter(|open| open.links.len() >= WIDTH);
        if let Some(full) = full.map(std::mem::take) {
            let (parent, covered) = full.write(sink)?;
            self.push(level.saturating_add(1), parent, covered, sink)?;
        }
        if let Some(open) = self.levels.get_mut(level) {
            open.links.push(Link {
                name: String::new(),
                node,
            });
            open.sizes.push(size);
        }
        Ok(())
    }

    /// Closes all levels. At least one node must have been added.
    pub(super) fn finish(mut self, sink: &mut Sink) -> io::Result<Node> {
        let mut level = 0_usize;
        loop {
            let top = level.saturating_add(1) >= self.levels.len();
            let open = self
                .levels
                .get_mut(level)
                .map(std::mem::take)
                .unwrap_or_default();
            if top && let [only] = open.links.as_slice() {
                return Ok(only.node);
            }
            let (node, size) = open.write(sink)?;
            if top {
                return Ok(node);
            }
            level = level.saturating_add(1);
            self.push(level, node, size, sink)?;
        }
    }
}

impl Level {
    fn write(self, sink: &mut Sink) -> io::Result<(Node, u64)> {
        let size = self
            .sizes
            .iter()
            .fold(0_u64, |sum, size| sum.saturating_add(*size));
        let below = total(&self.links);
        let block = encode_node(&self.links, &file_message(&self.sizes));
        Ok((sink.put(Codec::DagPb, &block, below)?, size))
    }
}

/// The bytes below a node of these links.
pub(super) fn total(links: &[Link]) -> u64 {
    links
        .iter()
        .fold(0_u64, |sum, link| sum.saturating_add(link.node.total))
}
