//! The pieces that stay on the box.

use super::disk::{Disk, remove};
use crate::piece::index_file::sizes_path;
use crate::store::PieceRecord;
use std::collections::BTreeMap;
use std::path::Path;
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

    /// All of them.
    pub(super) fn all(&self) -> Vec<([u8; 32], PieceRecord)> {
        let pieces = super::facts::lock(&self.pieces);
        pieces
            .iter()
            .map(|(key, piece)| (*key, piece.clone()))
            .collect()
    }

    /// Takes a piece out whose file is gone.
    pub(super) fn forget(&self, commitment: &[u8; 32]) {
        super::facts::lock(&self.pieces).remove(commitment);
    }

    pub(super) fn insert(&self, commitment: [u8; 32], piece: PieceRecord) {
        super::facts::lock(&self.pieces).insert(commitment, piece);
    }

    /// Takes pieces that are ours out, oldest first, until at most `bytes` stay; their files are deleted.
    pub(super) fn shrink_to(&self, disk: &dyn Disk, bytes: u64) -> Vec<[u8; 32]> {
        let mut pieces = super::facts::lock(&self.pieces);
        let mut ours: Vec<_> = pieces
            .iter()
            .filter(|(_, piece)| piece.ours)
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
            if let Some(piece) = pieces.remove(&commitment) {
                // A reader that has the file open reads on; the bytes go when it ends.
                remove(disk, Path::new(&piece.path));
                if !piece.index.is_empty() {
                    remove(disk, Path::new(&piece.index));
                    remove(disk, &sizes_path(Path::new(&piece.index)));
                }
            }
            held = held.saturating_sub(size);
            gone.push(commitment);
        }
        gone
    }
}
