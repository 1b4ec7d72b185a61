//! A hand-over directory, for boxes whose sealer pulls: pieces are laid out as files, the sealer takes them when it likes and
//! says later where it put them.
//!
//! Nothing needs to speak JSON-RPC on either side: a shell script is a sealer. For each deal there are
//!
//! ```text
//! <piece CID>.car              the data, a hard link: it must not be changed. Deals with the same piece share it
//! <piece CID>.json             what a sealer needs to know of the deal
//! <piece CID>.result.json      written by the sealer, at the end
//! ```
//!
//! While another deal with the same piece lies there, the second and third name carry the deal's chain ID as well:
//! `<piece CID>.<deal ID>.json`, `<piece CID>.<deal ID>.result.json`. Each document names its two companions, so a sealer looks at
//! every `*.json` that is no `*.result.json` and guesses no name. Names that begin with a dot are unfinished.
//!
//! The document has the fields of lotus-miner's `PieceDealInfo` (spec chain-sealer-rpc E.1) and beside them:
//!
//! | field | meaning |
//! |---|---|
//! | `Format` | 1 |
//! | `Deal` | the deal's UUID, for `coracle deal sealed` |
//! | `Miner` | the miner, `f01234` |
//! | `PieceCID`, `PieceSize` | the piece commitment and the padded piece size |
//! | `UnpaddedSize` | bytes that the sealer reads: those of `File`, then zeros up to this number |
//! | `File`, `PayloadSize` | name and bytes of the data |
//! | `Result` | the name under which the sealer writes its result |
//!
//! The result is `{"DealID": 123, "Sector": 45, "Offset": 0}`: the deal's ID on chain as in the document, the sector's number and the
//! piece's offset in it in padded bytes. It is written under another name and then renamed, or it might be read half. With
//! `{"DealID": 123, "Error": "text"}` a sealer says why it cannot: the text is logged, the deal goes on waiting, and a later
//! result replaces it. What the sealer finds and makes it leaves where it is; once the place is in the deal's record all
//! three are removed here, the data when no other deal needs it.
//!
//! Order of writing: the data is synced, then the document under its unfinished name, then the link is made, then the directory is
//! synced, then the document gets its name, then the directory is synced again. So a document that is seen has its data
//! beside it, whatever crashes in between, and doing it again changes nothing.

mod disk;
mod document;

pub use document::Names;

use super::push::PieceReader;
use super::{Handover, Sealer, SealerError, SectorPlace, SectorStatus};
use cid::Cid;
use document::{Document, Outcome};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Bytes of a document or a result: the longest has a few kB.
const DOCUMENT_BYTES_MAX: u64 = 64 << 10;

/// A hand-over directory. One for each path: its lock keeps deals with the same piece apart.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// What was last complained about, by deal ID, so that it is said once and not at every look. Bounded by the deals that
    /// wait for a result.
    complained: Mutex<BTreeMap<u64, String>>,
}

impl Directory {
    /// Opens the directory, or makes it, and tries whether files of `staging` can be linked into it.
    ///
    /// # Errors
    /// One line for the operator: it cannot be made, written to, or lies on another file system.
    pub fn open(path: &Path, staging: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
        disk::try_link(staging, path)?;
        Ok(Self {
            path: path.to_owned(),
            complained: Mutex::default(),
        })
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this file could be linked into the directory: it is on the same file system.
    ///
    /// # Errors
    /// [`SealerError::File`], in words for the operator.
    pub fn could_take(&self, file: &Path) -> Result<(), SealerError> {
        disk::same_file_system(file, &self.path).map_err(SealerError::File)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.complained
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The names under which a deal's document and result stand, or would stand if it were handed over now.
    fn names(&self, deal_id: u64, piece_cid: &Cid) -> Result<(Names, bool), SealerError> {
        let short = Names::short(piece_cid);
        match self.document(&short.document)? {
            Some(found) if found.deal_id == deal_id => return Ok((short, true)),
            Some(_) => {}
            // The long name was given while another deal had the short one.
            None => {
                let long = Names::long(piece_cid, deal_id);
                let there = self.document(&long.document)?.is_some();
                return Ok(if there { (long, true) } else { (short, false) });
            }
        }
        let long = Names::long(piece_cid, deal_id);
        let there = self.document(&long.document)?.is_some();
        Ok((long, there))
    }

    fn document(&self, name: &str) -> Result<Option<Document>, SealerError> {
        let Some(bytes) = self.read(name)? else {
            return Ok(None);
        };
        let document = Document::parse(&bytes).map_err(|why| self.file_error(name, why))?;
        Ok(Some(document))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, SealerError> {
        disk::read(&self.path.join(name), DOCUMENT_BYTES_MAX)
            .map_err(|error| self.file_error(name, error))
    }

    fn file_error(&self, name: &str, why: impl std::fmt::Display) -> SealerError {
        SealerError::File(format!("{}: {why}", self.path.join(name).display()))
    }

    /// Lays everything out, unless it lies there.
    fn lay_out(&self, piece: &Handover) -> Result<(), SealerError> {
        let _one_at_a_time = self.lock();
        let piece_cid = &piece.proposal.piece_cid;
        let (names, there) = self.names(piece.deal_id, piece_cid)?;
        if !there {
            let others = self.documents(piece_cid)?;
            let linked = disk::link(&piece.file, &self.path.join(&names.data), others.is_empty())
                .map_err(SealerError::File)?;
            let bytes = document::write(piece, &names, linked);
            let file = self.path.join(&names.document);
            disk::write(&file, &bytes).map_err(|error| self.file_error(&names.document, error))?;
        }
        // Also when it was there: the crash may have come before the last of these.
        disk::sync(&self.path).map_err(|error| self.file_error("", error))
    }

    /// The documents of deals with this piece.
    fn documents(&self, piece_cid: &Cid) -> Result<Vec<String>, SealerError> {
        disk::names(&self.path, |name| document::is_document(name, piece_cid))
            .map_err(|error| self.file_error("", error))
    }

    /// The sealer's result for a deal, under either name.
    fn result(&self, deal_id: u64, piece_cid: &Cid) -> Result<Option<SectorPlace>, SealerError> {
        for names in [Names::long(piece_cid, deal_id), Names::short(piece_cid)] {
            let Some(bytes) = self.read(&names.result)? else {
                continue;
            };
            match document::outcome(&bytes, deal_id) {
                Ok(None) => {}
                Ok(Some(Outcome::Placed(place))) => return Ok(Some(place)),
                Ok(Some(Outcome::Failed(text))) => {
                    return Err(SealerError::Refused {
                        code: 0,
                        message: format!("{}: {text}", self.path.join(&names.result).display()),
                    });
                }
                Err(why) => return Err(self.file_error(&names.result, why)),
            }
        }
        Ok(None)
    }
}

impl Sealer for Directory {
    fn add_piece(
        &self,
        piece: &Handover,
        _stop: &AtomicBool,
    ) -> Result<Option<SectorPlace>, SealerError> {
        // Its checks: there, whole, not larger than the piece.
        PieceReader::open(piece)?;
        disk::sync(&piece.file)
            .map_err(|error| SealerError::File(format!("{}: {error}", piece.file.display())))?;
        self.lay_out(piece)?;
        Ok(None)
    }

    fn find(&self, deal_id: u64, piece_cid: &Cid) -> Result<Option<SectorPlace>, SealerError> {
        let found = self.result(deal_id, piece_cid);
        let mut complained = self.lock();
        match &found {
            Ok(_) => {
                complained.remove(&deal_id);
            }
            Err(error) => {
                let text = error.to_string();
                if complained.get(&deal_id) != Some(&text) {
                    log::warn!("chain deal {deal_id} in the hand-over directory: {text}");
                    complained.insert(deal_id, text);
                }
            }
        }
        found
    }

    fn sector(&self, _number: u64) -> Result<SectorStatus, SealerError> {
        // Files say nothing of a sector: the chain does.
        Ok(SectorStatus {
            state: String::new(),
            deals: Vec::new(),
        })
    }

    fn summary(&self) -> Result<BTreeMap<String, u64>, SealerError> {
        Ok(BTreeMap::new())
    }

    fn laid_out(&self) -> Result<Vec<(Uuid, u64, Cid)>, SealerError> {
        let names = disk::names(&self.path, document::may_be_document)
            .map_err(|error| self.file_error("", error))?;
        let documents = names.iter().map(|name| self.document(name));
        // What cannot be read is no document of ours.
        Ok(documents
            .filter_map(|read| read.ok().flatten())
            .filter_map(|document| Some((document.deal?, document.deal_id, document.piece_cid?)))
            .collect())
    }

    fn clear(&self, deal_id: u64, piece_cid: &Cid) -> Result<(), SealerError> {
        let mut complained = self.lock();
        complained.remove(&deal_id);
        let (names, there) = self.names(deal_id, piece_cid)?;
        let drop = |name: &str| {
            disk::remove(&self.path.join(name)).map_err(|error| self.file_error(name, error))
        };
        if there {
            drop(&names.document)?;
        }
        for names in [Names::long(piece_cid, deal_id), Names::short(piece_cid)] {
            let ours = match self.read(&names.result)? {
                // One that cannot be read goes with the deal whose name it has.
                Some(bytes) => match document::outcome(&bytes, deal_id) {
                    Ok(outcome) => outcome.is_some(),
                    Err(_) => there && self.document(&names.document)?.is_none(),
                },
                None => false,
            };
            if ours {
                drop(&names.result)?;
            }
        }
        if self.documents(piece_cid)?.is_empty() {
            drop(&Names::short(piece_cid).data)?;
        }
        disk::sync(&self.path).map_err(|error| self.file_error("", error))
    }

    fn could_take(&self, file: &Path) -> Result<(), SealerError> {
        Directory::could_take(self, file)
    }
}
