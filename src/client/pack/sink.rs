//! The CAR that blocks are written to.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use cid::Cid;
use cid::multihash::Multihash;
use sha2::{Digest, Sha256};

use super::Packed;
use super::dag::{Codec, Node};
use crate::piece::car::{SHA2_256, write_header, write_section_head};

/// Blocks that are remembered so that an equal one is not written again. At 32 bytes each they
/// take about 3 MiB; blocks beyond them may occur more than once, which a CAR allows.
const REMEMBERED: usize = 1 << 16;

/// Written behind; a chunk passes through in a few writes.
const BUFFER: usize = 256 * 1024;

/// Writes blocks behind a header whose root is not known yet.
pub(super) struct Sink {
    out: BufWriter<File>,
    unfinished: Unfinished,
    size: u64,
    blocks: u64,
    seen: HashSet<[u8; 32]>,
}

/// A file that is removed unless it gets its name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is gone already if all went well.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Sink {
    /// Starts a CAR that will be `output`.
    pub(super) fn create(output: &Path) -> io::Result<Self> {
        let mut name = output.as_os_str().to_owned();
        name.push(".new");
        let path = PathBuf::from(name);
        let mut out = BufWriter::with_capacity(BUFFER, File::create(&path)?);
        // Every root has a CID of one length, so every header is as long as this one.
        let header = write_header(&[to_cid(Codec::Raw, [0; 32])]);
        out.write_all(&header)?;
        Ok(Self {
            out,
            unfinished: Unfinished(path),
            size: header.len() as u64,
            blocks: 0,
            seen: HashSet::new(),
        })
    }

    /// Writes a block whose links have `below` bytes below them.
    pub(super) fn put(&mut self, codec: Codec, data: &[u8], below: u64) -> io::Result<Node> {
        let digest: [u8; 32] = Sha256::digest(data).into();
        let total = below.saturating_add(data.len() as u64);
        let node = Node {
            codec,
            digest,
            total,
        };
        if self.seen.contains(&digest) {
            return Ok(node);
        }
        if self.seen.len() < REMEMBERED {
            self.seen.insert(digest);
        }
        let head = write_section_head(&to_cid(codec, digest), data.len() as u64);
        self.out.write_all(&head)?;
        self.out.write_all(data)?;
        let written = (head.len() as u64).saturating_add(data.len() as u64);
        self.size = self.size.saturating_add(written);
        self.blocks = self.blocks.saturating_add(1);
        Ok(node)
    }

    /// Puts the root in its place and gives the CAR its name.
    pub(super) fn finish(mut self, root: &Node, output: &Path) -> io::Result<Packed> {
        let root = to_cid(root.codec, root.digest);
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&write_header(&[root]))?;
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        std::fs::rename(&self.unfinished.0, output)?;
        Ok(Packed {
            root,
            car_size: self.size,
            blocks: self.blocks,
        })
    }
}

/// The CID of a block.
pub(super) fn to_cid(codec: Codec, digest: [u8; 32]) -> Cid {
    // 32 bytes always fit the 64 of a multihash.
    #[allow(clippy::expect_used)]
    let hash = Multihash::wrap(SHA2_256, &digest).expect("32 bytes fit");
    Cid::new_v1(u64::from(codec.code()), hash)
}
