//! The block entries of a transfer, on disk in the order of their arrival.
//!
//! The file starts with eight bytes, `corspl`, zero, version 1. Each entry after them is
//!
//! | bytes | field |
//! |---|---|
//! | 8 | multihash code, big-endian |
//! | 1 | digest length, at most 64 |
//! | n | digest |
//! | 8 | section offset in the piece, big-endian |
//! | 4 | block data size, big-endian |
//!
//! so that comparing entries bytewise sorts them as the index wants them: by code, digest length,
//! digest, offset.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::car::Block;

/// What every spool starts with.
pub(super) const MAGIC: [u8; 8] = *b"corspl\0\x01";

/// The longest digest that a CID holds.
pub(super) const MAX_DIGEST: usize = 64;

/// Bytes before the digest of an entry.
const HEAD: usize = 9;

/// Bytes behind the digest of an entry.
const TAIL: usize = 12;

/// Buffered before each write; a few hundred entries.
const BUFFER: usize = 32 * 1024;

/// Block entries on disk. Memory does not grow with their number.
#[derive(Debug)]
pub struct Spool {
    file: BufWriter<File>,
    len: u64,
}

impl Spool {
    /// Starts an empty spool; whatever was at `path` is gone.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(BUFFER, File::create(path)?);
        file.write_all(&MAGIC)?;
        Ok(Self {
            file,
            len: MAGIC.len() as u64,
        })
    }

    /// Goes on behind byte `len` of a spool, as [`Spool::sync`] reported it; what follows there
    /// was never claimed and is cut off. An error if the file is shorter, or no spool.
    pub fn open_at(path: &Path, len: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        check_magic(&mut file)?;
        if len < MAGIC.len() as u64 || file.metadata()?.len() < len {
            return Err(damaged("spool is shorter than its saved length"));
        }
        file.set_len(len)?;
        file.seek(SeekFrom::Start(len))?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
            len,
        })
    }

    /// Appends an entry.
    pub fn push(&mut self, block: &Block) -> io::Result<()> {
        let hash = block.cid.hash();
        let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let size = u32::try_from(block.size).map_err(too_large)?;
        self.file.write_all(&hash.code().to_be_bytes())?;
        self.file.write_all(&[hash.size()])?;
        self.file.write_all(hash.digest())?;
        self.file.write_all(&block.offset.to_be_bytes())?;
        self.file.write_all(&size.to_be_bytes())?;
        let entry = hash.digest().len().saturating_add(HEAD + TAIL);
        self.len = self.len.saturating_add(entry as u64);
        Ok(())
    }

    /// Puts all entries on the disk. Returns the length of the spool in bytes, which a saved
    /// state may claim from now on.
    pub fn sync(&mut self) -> io::Result<u64> {
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        Ok(self.len)
    }
}

/// Reads the start of a spool.
pub(super) fn check_magic(file: &mut impl Read) -> io::Result<()> {
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic)?;
    if magic == MAGIC {
        Ok(())
    } else {
        Err(damaged("not a spool of a known version"))
    }
}

/// Reads one entry as it is stored. False at the end of the file.
pub(super) fn read_entry(file: &mut impl Read, entry: &mut Vec<u8>) -> io::Result<bool> {
    entry.clear();
    let head = file.take(HEAD as u64).read_to_end(entry)?;
    if head == 0 {
        return Ok(false);
    }
    let digest = entry.get(HEAD - 1).copied().map(usize::from);
    let Some(digest) = digest.filter(|digest| *digest <= MAX_DIGEST) else {
        return Err(damaged("spool holds no entry where one should be"));
    };
    let rest = digest.saturating_add(TAIL);
    if file.take(rest as u64).read_to_end(entry)? != rest {
        return Err(damaged("spool ends within an entry"));
    }
    Ok(true)
}

/// The fields of a stored entry.
pub(super) struct Entry<'a> {
    pub code: u64,
    pub digest: &'a [u8],
    pub offset: u64,
    pub size: u32,
}

/// Takes a stored entry apart. None if it is not whole.
pub(super) fn parse_entry(entry: &[u8]) -> Option<Entry<'_>> {
    let (code, rest) = entry.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first()?;
    let (digest, rest) = rest.split_at_checked(usize::from(*len))?;
    let (offset, size) = rest.split_first_chunk::<8>()?;
    Some(Entry {
        code: u64::from_be_bytes(*code),
        digest,
        offset: u64::from_be_bytes(*offset),
        size: u32::from_be_bytes(size.try_into().ok()?),
    })
}

/// The error of a file that is not what this room wrote.
pub(super) fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
