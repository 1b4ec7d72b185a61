//! The drop folder: files named by a deal's UUID or by a piece CID, with or without `.car`, are imported by themselves.
//!
//! It is looked at on a thread of its own, because its disk may be slow or away, and only while a deal waits for data, so
//! that the disk may sleep. A file is taken when two looks have seen the same size and time of change: until then it may
//! still be growing.

use crate::deal::{Checkpoint, Deal, Millis};
use crate::filecoin::cids::piece_commitment;
use crate::market::disk::Disk;
use cid::Cid;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// Where files are dropped and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropFolder {
    /// The directory; absolute.
    pub path: PathBuf,
    /// Between two looks.
    pub poll: Duration,
    /// Whether a file is deleted once the sealer has its piece.
    pub delete_after: bool,
}

/// Files that one look goes through: the next one goes on behind them. Bounds what it asks of the disk and the one commit
/// that the imports share.
const FILES_MAX: usize = 500;

/// Names that are said to be unknown; a folder full of other things shall not fill the log.
const SAID_MAX: usize = 100;

/// The deals that wait for data.
#[derive(Debug, Default)]
pub(in crate::market) struct Wanted {
    uuids: BTreeSet<Uuid>,
    /// By piece, the oldest deal first.
    pieces: BTreeMap<[u8; 32], Vec<(Millis, Uuid)>>,
}

impl Wanted {
    /// Those among these deals that wait for data.
    pub(in crate::market) fn by<'a>(deals: impl Iterator<Item = &'a Deal>) -> Self {
        let mut wanted = Self::default();
        for deal in deals {
            let waits = deal.request.offline && deal.checkpoint == Checkpoint::Accepted;
            // A file that was wrong is not taken again by itself.
            if !waits || deal.import.is_some() {
                continue;
            }
            wanted.uuids.insert(deal.uuid);
            if let Some(commitment) = piece_commitment(&deal.proposal().piece_cid) {
                let deals = wanted.pieces.entry(commitment).or_default();
                deals.push((deal.created, deal.uuid));
            }
        }
        for deals in wanted.pieces.values_mut() {
            deals.sort_unstable();
        }
        wanted
    }

    /// Whether no deal waits.
    pub(in crate::market) fn is_empty(&self) -> bool {
        self.uuids.is_empty()
    }

    /// The deals that a file of this name is for: the one it names, or all that wait for the piece that it names.
    fn of(&self, name: &str) -> Vec<Uuid> {
        let stem = name.strip_suffix(".car").unwrap_or(name);
        if let Ok(uuid) = Uuid::parse_str(stem) {
            return self.uuids.get(&uuid).copied().into_iter().collect();
        }
        let piece = Cid::try_from(stem).ok();
        let deals = piece
            .and_then(|piece| piece_commitment(&piece))
            .and_then(|commitment| self.pieces.get(&commitment));
        deals.into_iter().flatten().map(|(_, uuid)| *uuid).collect()
    }
}

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub(in crate::market) struct Memory {
    /// Size and time of change of files that may be growing. At most one for each name that a waiting deal has.
    seen: BTreeMap<OsString, (u64, Millis)>,
    /// Names that were said to be unknown.
    said: BTreeSet<OsString>,
    /// The last look ended with this name; none if it came to the end of the folder.
    last: Option<OsString>,
    /// Why the folder could not be read, if that was said.
    error: String,
}

/// A file that is complete, and the deals that it is for.
pub(in crate::market) type Dropped = (PathBuf, Vec<Uuid>);

/// Looks at the folder once.
pub(in crate::market) fn look(
    folder: &Path,
    wanted: &Wanted,
    memory: &mut Memory,
    disk: &dyn Disk,
) -> Vec<Dropped> {
    let after = memory.last.take();
    let mut candidates: BTreeMap<OsString, Vec<Uuid>> = BTreeMap::new();
    let mut unknown = Vec::new();
    let mut left_out = false;
    let listed = disk.names(folder, &mut |name| {
        let deals = name
            .to_str()
            .map(|name| wanted.of(name))
            .unwrap_or_default();
        if deals.is_empty() {
            if unknown.len() < SAID_MAX && !is_hidden(name) && !memory.said.contains(name) {
                unknown.push(name.to_owned());
            }
        } else if after.as_deref().is_none_or(|after| name > after) {
            candidates.insert(name.to_owned(), deals);
            if candidates.len() > FILES_MAX {
                candidates.pop_last();
                left_out = true;
            }
        }
    });
    memory.say(folder, listed.err(), unknown);
    let before = |name: &OsStr| after.as_deref().is_some_and(|after| name <= after);
    let last = candidates.last_key_value().map(|(name, _)| name.clone());
    memory.last = last.filter(|_| left_out);
    let beyond = |name: &OsStr, last: Option<&OsString>| last.is_some_and(|last| name > last);
    // What was not looked at this time is kept in mind; what is not there any more is not.
    let last = memory.last.clone();
    memory.seen.retain(|name, _| {
        before(name) || beyond(name, last.as_ref()) || candidates.contains_key(name)
    });
    let mut dropped = Vec::new();
    for (name, deals) in candidates {
        let path = folder.join(&name);
        let Ok(found) = disk.look(&path) else {
            continue;
        };
        let state = (found.bytes, found.modified);
        // An empty file has not begun to grow.
        if !found.regular || found.bytes == 0 {
            continue;
        }
        if memory.seen.get(&name) == Some(&state) {
            memory.seen.remove(&name);
            dropped.push((path, deals));
        } else {
            memory.seen.insert(name, state);
        }
    }
    dropped
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

impl Memory {
    /// Says what is new: each name once, each error once until it changes.
    fn say(&mut self, folder: &Path, error: Option<std::io::Error>, unknown: Vec<OsString>) {
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        if self.error != error {
            if error.is_empty() {
                log::info!("CORACLE_DROP_FOLDER {} can be read again", folder.display());
            } else {
                log::warn!(
                    "CORACLE_DROP_FOLDER {} cannot be read: {error}",
                    folder.display()
                );
            }
            self.error = error;
        }
        for name in unknown {
            if self.said.len() >= SAID_MAX {
                return;
            }
            log::warn!(
                "CORACLE_DROP_FOLDER: {} is left alone: no deal waits for data under this UUID or piece CID",
                Path::new(&name).display()
            );
            self.said.insert(name);
            if self.said.len() == SAID_MAX {
                log::warn!("CORACLE_DROP_FOLDER: further names are not said");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deal::Import;
    use crate::deal::tests::samples::{self, uuid};
    use crate::filecoin::cids::piece_cid;
    use crate::market::SystemDisk;
    use std::fs;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("coracle-drop-{}", Uuid::new_v4()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn put(&self, name: &str, bytes: usize) {
            fs::write(self.0.join(name), vec![7; bytes]).unwrap();
        }

        fn look(&self, wanted: &Wanted, memory: &mut Memory) -> Vec<(String, Vec<Uuid>)> {
            let dropped = look(&self.0, wanted, memory, &SystemDisk);
            let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            dropped
                .into_iter()
                .map(|(path, deals)| (name(path), deals))
                .collect()
        }
    }

    /// A deal that waits for the piece with this commitment.
    fn deal(number: u8, piece: u8) -> Deal {
        let mut deal = samples::offline();
        deal.uuid = uuid(number);
        deal.created = 1_000 - Millis::from(number);
        deal.signed.proposal.piece_cid = piece_cid(&[piece; 32]);
        deal
    }

    #[test]
    fn a_name_is_a_uuid_or_a_piece_cid() {
        let mut paused = deal(4, 4);
        paused.import = Some(Import::new("/wrong.car", false));
        let mut online = samples::online();
        online.uuid = uuid(5);
        let deals = [deal(1, 7), deal(2, 7), deal(3, 8), paused, online];
        let wanted = Wanted::by(deals.iter());
        let piece = piece_cid(&[7; 32]);
        for (name, expected) in [
            (format!("{}.car", uuid(1)), vec![uuid(1)]),
            (uuid(3).to_string(), vec![uuid(3)]),
            // The oldest first.
            (format!("{piece}.car"), vec![uuid(2), uuid(1)]),
            (piece.to_string(), vec![uuid(2), uuid(1)]),
            (format!("{}.car", uuid(4)), vec![]),
            (uuid(5).to_string(), vec![]),
            (uuid(6).to_string(), vec![]),
            (piece_cid(&[9; 32]).to_string(), vec![]),
            (format!("{piece}.car.part"), vec![]),
            ("notes.txt".to_owned(), vec![]),
        ] {
            assert_eq!(wanted.of(&name), expected, "{name}");
        }
        assert!(Wanted::by(deals[3..].iter()).is_empty());
    }

    #[test]
    fn a_file_is_taken_when_two_looks_saw_it_the_same() {
        let folder = Folder::new();
        let wanted = Wanted::by([deal(1, 7)].iter());
        let mut memory = Memory::default();
        let name = format!("{}.car", uuid(1));
        let mut look = || folder.look(&wanted, &mut memory);
        assert_eq!(look(), []);
        folder.put(&name, 0);
        assert_eq!(look(), []);
        assert_eq!(look(), [], "nothing has come yet");
        folder.put(&name, 100);
        assert_eq!(look(), []);
        folder.put(&name, 200);
        assert_eq!(look(), [], "it grew");
        assert_eq!(look(), [(name.clone(), vec![uuid(1)])]);
        // Gone and back: seen anew.
        assert_eq!(look(), []);
        fs::remove_file(folder.0.join(&name)).unwrap();
        assert_eq!(look(), []);
        folder.put(&name, 200);
        assert_eq!(look(), []);
    }

    #[test]
    fn directories_are_no_files_and_unknown_names_are_said_once() {
        let folder = Folder::new();
        let wanted = Wanted::by([deal(1, 7)].iter());
        let mut memory = Memory::default();
        fs::create_dir(folder.0.join(uuid(1).to_string())).unwrap();
        folder.put("notes.txt", 3);
        folder.put(".hidden", 3);
        for _ in 0..3 {
            assert_eq!(folder.look(&wanted, &mut memory), []);
            let said: Vec<_> = memory.said.iter().collect();
            assert_eq!(said, ["notes.txt"]);
        }
        for number in 0..200 {
            folder.put(&format!("{number}.txt"), 3);
        }
        for _ in 0..3 {
            folder.look(&wanted, &mut memory);
        }
        assert_eq!(memory.said.len(), SAID_MAX);
        fs::remove_dir_all(&folder.0).unwrap();
        assert_eq!(folder.look(&wanted, &mut memory), []);
        assert!(memory.error.contains("No such file"), "{}", memory.error);
    }

    #[test]
    fn a_look_goes_through_a_bounded_number_and_the_next_ones_through_the_rest() {
        let folder = Folder::new();
        let many = FILES_MAX + 100;
        let deals: Vec<Deal> = (0..many)
            .map(|number| {
                let mut deal = deal(1, 7);
                deal.uuid = Uuid::from_u128(number as u128);
                folder.put(&deal.uuid.to_string(), 1);
                deal
            })
            .collect();
        let wanted = Wanted::by(deals.iter());
        let mut memory = Memory::default();
        let mut taken = BTreeSet::new();
        let mut looks = Vec::new();
        for _ in 0..4 {
            let dropped = folder.look(&wanted, &mut memory);
            looks.push(dropped.len());
            taken.extend(dropped.into_iter().map(|(name, _)| name));
            assert!(memory.seen.len() <= many);
        }
        // First all are seen, then all are taken.
        assert_eq!(looks, [0, 0, FILES_MAX, 100]);
        assert_eq!(taken.len(), many);
    }
}
