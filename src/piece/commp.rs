//! The piece commitment (CommP), computed while the bytes go by.
//!
//! Payload bytes are collected to quads of 127, expanded by Fr32 to four leaves each and hashed
//! pairwise up a binary tree whose missing right side counts as zeros (spec index 2.3). Leaves
//! wait in a batch, so that each level of the tree is hashed in one long run. What a batch leaves
//! over is at most one node per level; those nodes are all the state there is, and they fit in a
//! small record.

use std::fmt;
use std::sync::OnceLock;

use cid::Cid;
use cid::multihash::Multihash;

use super::fr32::{self, EXPANDED, QUAD};
use super::saved::SaveError;
use super::sha256::{NODE, PAIR, hash_pairs, parent};

/// The payload of one quad, in bytes.
const QUAD_BYTES: u64 = QUAD as u64;

/// The level of the node that covers one quad: 32 bytes are level 0, four of them level 2.
const QUAD_LEVEL: usize = 2;

/// Quads of one batch. 512 make 64 KiB of leaves: they stay in a processor's nearest caches, and
/// less than one digest in a thousand belongs to a level too short to fill a kernel's lanes.
const BATCH_QUADS: usize = 512;

/// The level of subtrees that are hashed on their own, and put together by [`Commp::push_subtree`]. 8 MiB of leaves are work
/// for some milliseconds, and few enough bytes to hold one for each core.
const SUBTREE_LEVEL: usize = 18;

/// Payload bytes under a subtree that is hashed on its own.
pub const SUBTREE_BYTES: u64 = QUAD_BYTES << (SUBTREE_LEVEL - QUAD_LEVEL);

/// Levels that are kept. The node of level 58 covers 2^63 padded bytes, the last that a `u64`
/// can name.
const LEVELS: usize = 59;

/// The largest padded size that is handled, and so the bound of what a saved record may claim.
/// The network's largest piece is 2^36 bytes.
const MAX_PADDED: u64 = 1 << 62;

/// The payload that fills [`MAX_PADDED`].
const MAX_PAYLOAD: u64 = MAX_PADDED - MAX_PADDED / 128;

/// Format of the saved record.
const SAVE_VERSION: u8 = 1;

/// Multicodec `fil-commitment-unsealed`.
const COMMITMENT_UNSEALED: u64 = 0xf101;

/// Multicodec `sha2-256-trunc254-padded`.
const TRUNCATED_SHA256: u64 = 0x1012;

/// The commitment of a piece together with the sizes it was computed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceCommitment {
    /// The root of the tree.
    pub root: [u8; NODE],
    /// Padded bytes under the root: a power of two, at least 128.
    pub padded_size: u64,
    /// Bytes that were hashed, before any padding.
    pub payload_size: u64,
}

impl PieceCommitment {
    /// The root of the same payload in a piece of `padded` bytes, the new space being zeros
    /// (spec index 2.3). None if `padded` is no piece size or smaller than this piece.
    pub fn extend_to(&self, padded: u64) -> Option<[u8; NODE]> {
        if !padded.is_power_of_two() || padded < self.padded_size {
            return None;
        }
        let from = level_of(self.padded_size);
        let to = level_of(padded);
        Some((from..to).fold(self.root, |node, level| {
            parent(&node, &zero_commitment(level))
        }))
    }

    /// The piece CID, version 1 (spec index 2.4). It does not carry the size.
    pub fn cid(&self) -> Cid {
        piece_cid(&self.root)
    }
}

/// The piece CID, version 1, of a root.
fn piece_cid(root: &[u8; NODE]) -> Cid {
    // 32 bytes always fit the 64 of a multihash.
    #[allow(clippy::expect_used)]
    let hash = Multihash::wrap(TRUNCATED_SHA256, root).expect("32 bytes fit");
    Cid::new_v1(COMMITMENT_UNSEALED, hash)
}

/// The level whose nodes cover `padded` bytes, a power of two of at least 32.
fn level_of(padded: u64) -> usize {
    padded
        .trailing_zeros()
        .saturating_sub(NODE.trailing_zeros()) as usize
}

/// The root of a subtree of zeros: level 0 is a leaf of 32 bytes, level 30 a 32 GiB piece.
///
/// Levels above 58 cover more bytes than a `u64` counts; asking for one gives level 58.
pub fn zero_commitment(level: usize) -> [u8; NODE] {
    static TABLE: OnceLock<[[u8; NODE]; LEVELS]> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut nodes = [[0; NODE]; LEVELS];
        let mut node = [0; NODE];
        for slot in &mut nodes {
            *slot = node;
            node = parent(&node, &node);
        }
        nodes
    });
    table
        .get(level)
        .or(table.last())
        .copied()
        .unwrap_or_default()
}

/// The streaming commitment. Takes chunks of any length; holds about 130 KiB whatever the piece.
#[derive(Clone)]
pub struct Commp {
    /// Payload bytes seen.
    bytes: u64,
    /// The bytes since the last whole quad; `bytes % 127` of them count.
    tail: [u8; QUAD],
    /// Expanded quads that wait to be hashed together.
    batch: Vec<u8>,
    tree: Tree,
}

impl Default for Commp {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Commp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commp")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Commp {
    /// Starts at the first byte of a piece.
    pub fn new() -> Self {
        Self {
            bytes: 0,
            tail: [0; QUAD],
            batch: Vec::with_capacity(BATCH_QUADS * EXPANDED),
            tree: Tree::new(),
        }
    }

    /// Payload bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes of the payload.
    pub fn update(&mut self, data: &[u8]) {
        let held = self.tail_len();
        // 2^64 bytes do not go by in a machine's life; saturating keeps the type honest.
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        let mut data = data;
        if held > 0 {
            let (kept, free) = self.tail.split_at_mut(held);
            let taken = free.len().min(data.len());
            let (head, rest) = data.split_at(taken);
            for (slot, byte) in free.iter_mut().zip(head) {
                *slot = *byte;
            }
            if kept.len().saturating_add(taken) < QUAD {
                return;
            }
            let quad = self.tail;
            self.push_quad(&quad);
            data = rest;
        }
        let (quads, rest) = data.as_chunks::<QUAD>();
        for quad in quads {
            self.push_quad(quad);
        }
        for (slot, byte) in self.tail.iter_mut().zip(rest) {
            *slot = *byte;
        }
    }

    /// Takes a run of zeros, in a time that hardly depends on its length: the roots of subtrees of zeros are known.
    pub fn update_zeros(&mut self, count: u64) {
        let zeros = [0; QUAD];
        let mut left = count;
        let open = QUAD_BYTES.saturating_sub(self.bytes % QUAD_BYTES) % QUAD_BYTES;
        self.update(zero_bytes(&zeros, left.min(open)));
        left = left.saturating_sub(open);
        self.flush();
        while left >= QUAD_BYTES {
            // The largest subtree that begins at this place and does not go beyond the zeros.
            let fits = (left / QUAD_BYTES).ilog2();
            let place = self.tree.quads.trailing_zeros();
            let bit = fits.min(place);
            let level = (bit as usize).saturating_add(QUAD_LEVEL);
            let bytes = QUAD_BYTES.saturating_mul(1 << bit);
            self.tree.add(level, zero_commitment(level));
            self.bytes = self.bytes.saturating_add(bytes);
            left = left.saturating_sub(bytes);
        }
        self.update(zero_bytes(&zeros, left));
    }

    /// Takes the root of the next subtree, whose [`SUBTREE_BYTES`] bytes were hashed elsewhere. False, with nothing
    /// taken, unless a whole number of such subtrees was taken before.
    pub fn push_subtree(&mut self, root: [u8; NODE]) -> bool {
        if !self.bytes.is_multiple_of(SUBTREE_BYTES) {
            return false;
        }
        self.flush();
        self.tree.add(SUBTREE_LEVEL, root);
        self.bytes = self.bytes.saturating_add(SUBTREE_BYTES);
        true
    }

    /// The commitment of the bytes so far at its natural size, the smallest that holds them and
    /// at least 128 bytes. More bytes may follow.
    pub fn finish(&self) -> PieceCommitment {
        let mut tree = self.flushed();
        let held = self.tail_len();
        if held > 0 || self.bytes == 0 {
            let mut quad = [0; QUAD];
            for (slot, byte) in quad.iter_mut().zip(self.tail.iter().take(held)) {
                *slot = *byte;
            }
            let mut leaves = [0; EXPANDED];
            fr32::expand(&quad, &mut leaves);
            tree.push(&leaves);
        }
        let (root, level) = tree.root();
        PieceCommitment {
            root,
            padded_size: (NODE as u64) << level,
            payload_size: self.bytes,
        }
    }

    /// The state as a record of at most 2 KiB: version, bytes so far (u64 LE), the bytes of the
    /// unfinished quad, one node for each bit that is set in the number of whole quads, low first.
    pub fn save(&self) -> Vec<u8> {
        let tree = self.flushed();
        let mut record = vec![SAVE_VERSION];
        record.extend_from_slice(&self.bytes.to_le_bytes());
        record.extend(self.tail.iter().take(self.tail_len()));
        for (level, node) in tree.pending.iter().enumerate() {
            if tree.holds(level) {
                record.extend_from_slice(node);
            }
        }
        record
    }

    /// Takes up a saved state, just after its last byte.
    pub fn restore(record: &[u8]) -> Result<Self, SaveError> {
        let (&version, rest) = record.split_first().ok_or(SaveError::Malformed)?;
        if version != SAVE_VERSION {
            return Err(SaveError::Version(version));
        }
        let (count, rest) = rest.split_first_chunk::<8>().ok_or(SaveError::Malformed)?;
        let mut commp = Self::new();
        commp.bytes = u64::from_le_bytes(*count);
        if commp.bytes > MAX_PAYLOAD {
            return Err(SaveError::Malformed);
        }
        let held = commp.tail_len();
        let (tail, rest) = rest.split_at_checked(held).ok_or(SaveError::Malformed)?;
        for (slot, byte) in commp.tail.iter_mut().zip(tail) {
            *slot = *byte;
        }
        commp.tree.quads = commp.bytes / QUAD_BYTES;
        let (nodes, rest) = rest.as_chunks::<NODE>();
        if !rest.is_empty() || nodes.len() != commp.tree.quads.count_ones() as usize {
            return Err(SaveError::Malformed);
        }
        let mut nodes = nodes.iter();
        for level in 0..LEVELS {
            if commp.tree.holds(level)
                && let (Some(slot), Some(node)) = (commp.tree.pending.get_mut(level), nodes.next())
            {
                *slot = *node;
            }
        }
        Ok(commp)
    }

    /// Bytes of the unfinished quad.
    fn tail_len(&self) -> usize {
        // The remainder is below 127.
        #[allow(clippy::cast_possible_truncation)]
        let held = (self.bytes % QUAD_BYTES) as usize;
        held
    }

    fn push_quad(&mut self, quad: &[u8; QUAD]) {
        let mut leaves = [0; EXPANDED];
        fr32::expand(quad, &mut leaves);
        self.batch.extend_from_slice(&leaves);
        if self.batch.len() >= BATCH_QUADS * EXPANDED {
            self.flush();
        }
    }

    /// Hashes what waits.
    fn flush(&mut self) {
        self.tree.push(&self.batch);
        self.batch.clear();
    }

    /// The tree with the waiting batch hashed into it.
    fn flushed(&self) -> Tree {
        let mut tree = self.tree.clone();
        tree.push(&self.batch);
        tree
    }
}

/// The open edge of the tree: for every bit that is set in the count of quads, the root of the
/// complete subtree which that bit stands for. Adding a run of quads is binary addition.
#[derive(Clone)]
struct Tree {
    /// Quads hashed.
    quads: u64,
    /// By level; only those that [`Tree::holds`] says mean anything.
    pending: [[u8; NODE]; LEVELS],
}

impl Tree {
    fn new() -> Self {
        Self {
            quads: 0,
            pending: [[0; NODE]; LEVELS],
        }
    }

    /// Whether a subtree waits for its right sibling at this level.
    fn holds(&self, level: usize) -> bool {
        level
            .checked_sub(QUAD_LEVEL)
            .and_then(|bit| self.quads.checked_shr(u32::try_from(bit).ok()?))
            .is_some_and(|quads| quads & 1 == 1)
    }

    /// Hashes expanded quads into the tree, each level in one run.
    fn push(&mut self, leaves: &[u8]) {
        let quads = leaves.len() / EXPANDED;
        if quads == 0 {
            return;
        }
        let mut run = Vec::new();
        let mut parents = Vec::new();
        // Whole quads leave nothing over on the two levels inside them.
        hash_run(leaves, &mut parents);
        std::mem::swap(&mut run, &mut parents);
        for level in QUAD_LEVEL..LEVELS {
            parents.clear();
            if self.holds(level)
                && let Some(node) = self.pending.get(level)
            {
                parents.extend_from_slice(node);
            }
            hash_run(&run, &mut parents);
            std::mem::swap(&mut run, &mut parents);
            let (nodes, _) = run.as_chunks::<NODE>();
            if nodes.len() % 2 == 1
                && let (Some(slot), Some(node)) = (self.pending.get_mut(level), nodes.last())
            {
                *slot = *node;
            }
            if nodes.len() < 2 {
                break;
            }
        }
        self.quads = self.quads.saturating_add(quads as u64);
    }

    /// Takes the root of a complete subtree. Its place must be a multiple of its size.
    fn add(&mut self, level: usize, root: [u8; NODE]) {
        let quads = 1_u64 << level.saturating_sub(QUAD_LEVEL).min(63);
        debug_assert!(self.quads.is_multiple_of(quads));
        let mut node = root;
        for (at, slot) in self.pending.iter_mut().enumerate().skip(level) {
            let bit = at.saturating_sub(QUAD_LEVEL);
            if self.quads >> bit.min(63) & 1 == 0 {
                *slot = node;
                break;
            }
            node = parent(slot, &node);
        }
        self.quads = self.quads.saturating_add(quads);
    }

    /// The root over at least one quad, and its level.
    fn root(&self) -> ([u8; NODE], usize) {
        let last = self.quads.saturating_sub(1);
        let height =
            (u64::BITS.saturating_sub(last.leading_zeros()) as usize).saturating_add(QUAD_LEVEL);
        let mut open: Option<[u8; NODE]> = None;
        for (level, node) in self.pending.iter().enumerate().take(height) {
            open = match (self.holds(level), open) {
                (true, Some(right)) => Some(parent(node, &right)),
                (true, None) => Some(parent(node, &zero_commitment(level))),
                (false, Some(left)) => Some(parent(&left, &zero_commitment(level))),
                (false, None) => None,
            };
        }
        let whole = self.pending.get(height).copied().unwrap_or_default();
        (open.unwrap_or(whole), height)
    }
}

/// The first `count` of these zeros.
fn zero_bytes(zeros: &[u8; QUAD], count: u64) -> &[u8] {
    let count = usize::try_from(count).unwrap_or(QUAD);
    zeros.get(..count).unwrap_or(zeros)
}

/// Appends the parents of all whole pairs of `run` to `parents`.
fn hash_run(run: &[u8], parents: &mut Vec<u8>) {
    let pairs = run.len() / PAIR;
    let start = parents.len();
    let end = start.saturating_add(pairs.saturating_mul(NODE));
    parents.resize(end, 0);
    let whole = run.get(..pairs.saturating_mul(PAIR)).unwrap_or_default();
    hash_pairs(whole, parents.get_mut(start..).unwrap_or_default());
}
