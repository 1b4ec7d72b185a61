//! The pieces that stay on the box.

use crate::piece::index_file::sizes_path;
use crate::store::PieceRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Kept pieces by their commitment. Cloning shares them.
#[derive(Clone, Default)]
pub struct Kept {
    pieces: Arc<Mutex<BTreeMap<[u8; 32], PieceRecord>>>,
}

impl Kept {
    /// A kept piece.
    pub fn find(&self, commitment: &[u8; 32]) -> Option<PieceRecord> {
        super::facts::lock(&self.pieces).get(commitment).cloned()
    }

    /// Bytes of all files that are ours.
    pub fn bytes(&self) -> u64 {
        super::facts::lock(&self.pieces)
            .values()
            .filter(|piece| piece.ours)
            .fold(0, |sum, piece| sum.saturating_add(piece.payload_size))
    }

    /// Bytes that come free when all pieces go; those of `linked` do not, because another name keeps them on the disk.
    pub(super) fn reclaimable(&self, linked: &BTreeSet<[u8; 32]>) -> u64 {
        super::facts::lock(&self.pieces)
            .iter()
            .filter(|(commitment, piece)| piece.ours && !linked.contains(*commitment))
            .fold(0, |sum, (_, piece)| sum.saturating_add(piece.payload_size))
    }

    /// Takes a piece out whose file is gone.
    pub(super) fn forget(&self, commitment: &[u8; 32]) {
        super::facts::lock(&self.pieces).remove(commitment);
    }

    pub(super) fn insert(&self, commitment: [u8; 32], piece: PieceRecord) {
        super::facts::lock(&self.pieces).insert(commitment, piece);
    }

    /// Pieces whose files do not lie in this directory.
    pub(super) fn outside(&self, directory: &Path) -> Vec<([u8; 32], PieceRecord)> {
        let pieces = super::facts::lock(&self.pieces);
        let outside = pieces
            .iter()
            .filter(|(_, piece)| Path::new(&piece.path).parent() != Some(directory));
        outside
            .map(|(commitment, piece)| (*commitment, piece.clone()))
            .collect()
    }

    /// Takes pieces that are ours out, oldest first, until at most `bytes` stay; their files are to be deleted. Those that are
    /// `spared` stay: their files are being replaced. Those that are `linked` stay and do not count: deleting them would free
    /// nothing.
    pub(super) fn shrink_to(
        &self,
        bytes: u64,
        spared: &BTreeSet<[u8; 32]>,
        linked: &BTreeSet<[u8; 32]>,
    ) -> Vec<Gone> {
        let mut pieces = super::facts::lock(&self.pieces);
        let mut ours: Vec<_> = pieces
            .iter()
            .filter(|(commitment, piece)| piece.ours && !linked.contains(*commitment))
            .map(|(commitment, piece)| (piece.kept, *commitment, piece.payload_size))
            .collect();
        ours.sort_unstable();
        let mut held = ours
            .iter()
            .fold(0_u64, |sum, (_, _, size)| sum.saturating_add(*size));
        let mut gone = Vec::new();
        for (_, commitment, size) in ours {
            if held <= bytes {
                break;
            }
            if spared.contains(&commitment) {
                continue;
            }
            if let Some(piece) = pieces.remove(&commitment) {
                held = held.saturating_sub(size);
                gone.push(Gone {
                    commitment,
                    files: files_of(&piece),
                });
            }
        }
        gone
    }
}

/// A piece that gave way.
pub(super) struct Gone {
    pub commitment: [u8; 32],
    /// What is to be deleted. A reader that has a file open reads on; the bytes go when it ends.
    pub files: Vec<PathBuf>,
}

/// The files of a kept piece that are ours.
fn files_of(piece: &PieceRecord) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from(&piece.path)];
    if !piece.index.is_empty() {
        let index = PathBuf::from(&piece.index);
        files.extend([sizes_path(&index), index]);
    }
    files
}
