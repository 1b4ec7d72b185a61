//! The index of one piece: where each multihash is.
//!
//! `NAME` is a `MultihashIndexSorted` file (0x0401, spec index 1.4) without any addition, except
//! that its offsets count from the start of the piece, also where the piece is a CARv2. Within
//! equal digests entries are sorted by offset.
//!
//! `NAME.sizes` holds the block sizes: eight bytes (`corsiz`, zero, version 1), the number of
//! entries (u64 LE), then the data size of each entry (u32 LE) in the order of the index.
//!
//! Both are read where they lie; a look-up costs about log2(entries) small reads.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cid::multihash::Multihash;

use super::car::write_varint;
use super::sort::{BOUNDS, Bounds, Region, beside, sorted};
use super::spool::{MAX_DIGEST, damaged, parse_entry};

/// Multicodec `car-multihash-index-sorted`.
const CODEC: u64 = 0x0401;

/// Bytes of that codec as a varint.
const CODEC_LEN: usize = 2;

/// What every side file starts with.
const SIZES_MAGIC: [u8; 8] = *b"corsiz\0\x01";

/// Bytes before the first size.
const SIZES_HEAD: usize = 16;

/// Bytes of one size.
const SIZE: usize = 4;

/// Bytes of an entry behind its digest.
const OFFSET: usize = 8;

/// Pairs of hash code and digest length that an index has room for. Real pieces have one to
/// five; a piece that is made of thousands of unknown ones must not make every look-up slow.
const MAX_BUCKETS: usize = 1024;

/// Written behind and read ahead.
const BUFFER: usize = 64 * 1024;

/// What an index was built of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexSummary {
    /// Entries in the index, duplicates included.
    pub entries: u64,
    /// Pairs of hash code and digest length.
    pub buckets: u64,
    /// Entries left out because there were more than 1024 such pairs.
    pub left_out: u64,
}

/// Sorts a spool into the index `out` and its side file. Takes at most about 8 MiB of memory;
/// temporary files are made beside `out`, and both results appear under their names only when
/// they are complete and on the disk.
pub fn build_index(spool: &Path, out: &Path) -> io::Result<IndexSummary> {
    build_bounded(spool, out, BOUNDS)
}

/// As [`build_index`], with other bounds for the sort.
pub(super) fn build_bounded(spool: &Path, out: &Path, bounds: Bounds) -> io::Result<IndexSummary> {
    let index_new = beside(out, ".new");
    let sizes = sizes_path(out);
    let sizes_new = beside(&sizes, ".new");
    let mut writer = IndexWriter::create(&index_new, &sizes_new)?;
    sorted(spool, out, bounds, &mut |entry| writer.push(entry))?;
    let summary = writer.finish()?;
    // The index goes last: where it is, its sizes are.
    std::fs::rename(&sizes_new, &sizes)?;
    std::fs::rename(&index_new, out)?;
    if let Some(directory) = out.parent().filter(|path| !path.as_os_str().is_empty()) {
        File::open(directory)?.sync_all()?;
    }
    Ok(summary)
}

/// The name of an index's side file.
pub fn sizes_path(index: &Path) -> PathBuf {
    beside(index, ".sizes")
}

/// Writes sorted entries. Counts stand before what they count, so they are written as zero and
/// put right afterwards.
struct IndexWriter {
    index: BufWriter<File>,
    sizes: BufWriter<File>,
    /// Bytes of the index written.
    at: u64,
    codes: u32,
    open: Option<OpenBucket>,
    summary: IndexSummary,
}

/// The bucket that is being written, and the group of its hash code.
struct OpenBucket {
    code: u64,
    /// Where the group's number of buckets stands, and that number.
    widths_at: u64,
    widths: u32,
    digest: usize,
    /// Where the bucket's length stands, and that length.
    length_at: u64,
    length: u64,
}

impl IndexWriter {
    fn create(index: &Path, sizes: &Path) -> io::Result<Self> {
        let mut writer = Self {
            index: BufWriter::with_capacity(BUFFER, File::create(index)?),
            sizes: BufWriter::with_capacity(BUFFER, File::create(sizes)?),
            at: 0,
            codes: 0,
            open: None,
            summary: IndexSummary::default(),
        };
        let mut codec = Vec::new();
        write_varint(CODEC, &mut codec);
        writer.put(&codec)?;
        writer.put(&[0; 4])?;
        writer.sizes.write_all(&SIZES_MAGIC)?;
        writer.sizes.write_all(&[0; 8])?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at = self.at.saturating_add(bytes.len() as u64);
        self.index.write_all(bytes)
    }

    fn push(&mut self, entry: &[u8]) -> io::Result<()> {
        let entry = parse_entry(entry).ok_or_else(|| damaged("not an entry"))?;
        let fits = self
            .open
            .as_ref()
            .is_some_and(|open| open.code == entry.code && open.digest == entry.digest.len());
        if !fits && !self.open_bucket(entry.code, entry.digest.len())? {
            self.summary.left_out = self.summary.left_out.saturating_add(1);
            return Ok(());
        }
        self.put(entry.digest)?;
        self.put(&entry.offset.to_le_bytes())?;
        self.sizes.write_all(&entry.size.to_le_bytes())?;
        if let Some(open) = &mut self.open {
            let width = entry.digest.len().saturating_add(OFFSET);
            open.length = open.length.saturating_add(width as u64);
        }
        self.summary.entries = self.summary.entries.saturating_add(1);
        Ok(())
    }

    /// Starts a bucket, and the group of its code if that is new. False if there is no room.
    fn open_bucket(&mut self, code: u64, digest: usize) -> io::Result<bool> {
        if self.summary.buckets >= MAX_BUCKETS as u64 {
            return Ok(false);
        }
        let before = self.close_bucket()?.filter(|open| open.code == code);
        let (widths_at, widths) = if let Some(open) = before {
            (open.widths_at, open.widths)
        } else {
            self.codes = self.codes.saturating_add(1);
            self.put(&code.to_le_bytes())?;
            let widths_at = self.at;
            self.put(&[0; 4])?;
            (widths_at, 0)
        };
        let width = u32::try_from(digest.saturating_add(OFFSET)).unwrap_or(u32::MAX);
        self.put(&width.to_le_bytes())?;
        let length_at = self.at;
        self.put(&[0; 8])?;
        let widths = widths.saturating_add(1);
        self.open = Some(OpenBucket {
            code,
            widths_at,
            widths,
            digest,
            length_at,
            length: 0,
        });
        self.summary.buckets = self.summary.buckets.saturating_add(1);
        Ok(true)
    }

    /// Puts the counts of the open bucket right.
    fn close_bucket(&mut self) -> io::Result<Option<OpenBucket>> {
        let Some(open) = self.open.take() else {
            return Ok(None);
        };
        self.index.flush()?;
        let file = self.index.get_ref();
        file.write_all_at(&open.length.to_le_bytes(), open.length_at)?;
        file.write_all_at(&open.widths.to_le_bytes(), open.widths_at)?;
        Ok(Some(open))
    }

    fn finish(mut self) -> io::Result<IndexSummary> {
        self.close_bucket()?;
        self.index.flush()?;
        self.index
            .get_ref()
            .write_all_at(&self.codes.to_le_bytes(), CODEC_LEN as u64)?;
        self.index.get_ref().sync_all()?;
        self.sizes.flush()?;
        let count = self.summary.entries.to_le_bytes();
        self.sizes
            .get_ref()
            .write_all_at(&count, SIZES_MAGIC.len() as u64)?;
        self.sizes.get_ref().sync_all()?;
        Ok(self.summary)
    }
}

/// One bucket of an index file.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    code: u64,
    /// Digest length in bytes.
    digest: usize,
    /// Where its first entry is in the file.
    start: u64,
    entries: u64,
    /// Entries of the buckets before it.
    ordinal: u64,
}

impl Bucket {
    fn width(&self) -> u64 {
        self.digest.saturating_add(OFFSET) as u64
    }

    fn end(&self) -> u64 {
        self.start
            .saturating_add(self.entries.saturating_mul(self.width()))
    }
}

/// An index that is read where it lies. Holds two open files and a few bytes per bucket.
#[derive(Debug)]
pub struct PieceIndex {
    index: File,
    sizes: File,
    buckets: Vec<Bucket>,
    entries: u64,
}

/// One entry of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// The block's multihash.
    pub hash: Multihash<64>,
    /// Bytes from the start of the piece to the section.
    pub offset: u64,
    /// Bytes of the block's data.
    pub size: u64,
}

impl PieceIndex {
    /// Opens an index and its side file. `InvalidData` if the two are not what
    /// [`build_index`] writes, or do not belong together.
    pub fn open(path: &Path) -> io::Result<Self> {
        let index = File::open(path)?;
        let sizes = File::open(sizes_path(path))?;
        let buckets = read_buckets(&index)?;
        let entries = buckets
            .iter()
            .fold(0_u64, |sum, bucket| sum.saturating_add(bucket.entries));
        let mut head = [0; SIZES_HEAD];
        sizes.read_exact_at(&mut head, 0)?;
        let expected = [SIZES_MAGIC, entries.to_le_bytes()].concat();
        let length = size_at(entries);
        if head != *expected || sizes.metadata()?.len() != length {
            return Err(damaged("sizes do not belong to the index"));
        }
        Ok(Self {
            index,
            sizes,
            buckets,
            entries,
        })
    }

    /// Entries, duplicates included.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Offset of the section in the piece and size of the block's data. Of several sections with
    /// the same multihash the first one in the piece is given.
    pub fn get(&self, hash: &Multihash<64>) -> io::Result<Option<(u64, u64)>> {
        let wanted = hash.digest();
        let fits = |bucket: &&Bucket| bucket.code == hash.code() && bucket.digest == wanted.len();
        let Some(bucket) = self.buckets.iter().find(fits) else {
            return Ok(None);
        };
        // The first entry whose digest is not below the wanted one lies in low..=high.
        let (mut low, mut high) = (0, bucket.entries);
        while low < high {
            let middle = low.midpoint(high);
            let (found, _) = self.read_entry(bucket, middle)?;
            if found.digest() < wanted {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        if low >= bucket.entries {
            return Ok(None);
        }
        let (found, offset) = self.read_entry(bucket, low)?;
        if found.digest() != wanted {
            return Ok(None);
        }
        let mut size = [0; SIZE];
        self.sizes
            .read_exact_at(&mut size, size_at(bucket.ordinal.saturating_add(low)))?;
        Ok(Some((offset, u64::from(u32::from_le_bytes(size)))))
    }

    fn read_entry(&self, bucket: &Bucket, number: u64) -> io::Result<(Multihash<64>, u64)> {
        let mut buffer = [0; MAX_DIGEST + OFFSET];
        let entry = buffer
            .get_mut(..bucket.digest.saturating_add(OFFSET))
            .ok_or_else(|| damaged("digest is too long"))?;
        let place = bucket
            .start
            .saturating_add(number.saturating_mul(bucket.width()));
        self.index.read_exact_at(entry, place)?;
        split_entry(bucket.code, entry)
    }

    /// All entries in the order of the index.
    pub fn iter(&self) -> Entries<'_> {
        let sizes = Region::new(&self.sizes, size_at(0), u64::MAX);
        Entries {
            index: &self.index,
            buckets: self.buckets.iter(),
            bucket: None,
            sizes: BufReader::with_capacity(BUFFER, sizes),
        }
    }
}

impl<'a> IntoIterator for &'a PieceIndex {
    type Item = io::Result<IndexEntry>;
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

/// The entries of an index, read one after the other.
pub struct Entries<'a> {
    index: &'a File,
    buckets: std::slice::Iter<'a, Bucket>,
    /// The open bucket, entries left in it, and their bytes.
    bucket: Option<(Bucket, u64, BufReader<Region<'a>>)>,
    sizes: BufReader<Region<'a>>,
}

impl Iterator for Entries<'_> {
    type Item = io::Result<IndexEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.bucket.as_ref().is_none_or(|(_, left, _)| *left == 0) {
            let bucket = *self.buckets.next()?;
            let region = Region::new(self.index, bucket.start, bucket.end());
            let bytes = BufReader::with_capacity(BUFFER, region);
            self.bucket = Some((bucket, bucket.entries, bytes));
        }
        let (bucket, left, bytes) = self.bucket.as_mut()?;
        *left = left.saturating_sub(1);
        Some(read_next(bucket, bytes, &mut self.sizes))
    }
}

/// Where the size of an entry stands in the side file.
fn size_at(entry: u64) -> u64 {
    entry
        .saturating_mul(SIZE as u64)
        .saturating_add(SIZES_HEAD as u64)
}

fn read_next(
    bucket: &Bucket,
    bytes: &mut impl Read,
    sizes: &mut impl Read,
) -> io::Result<IndexEntry> {
    let mut buffer = [0; MAX_DIGEST + OFFSET];
    let entry = buffer
        .get_mut(..bucket.digest.saturating_add(OFFSET))
        .ok_or_else(|| damaged("digest is too long"))?;
    bytes.read_exact(entry)?;
    let (hash, offset) = split_entry(bucket.code, entry)?;
    let mut size = [0; SIZE];
    sizes.read_exact(&mut size)?;
    Ok(IndexEntry {
        hash,
        offset,
        size: u64::from(u32::from_le_bytes(size)),
    })
}

/// An entry as it is stored: digest, offset.
fn split_entry(code: u64, entry: &[u8]) -> io::Result<(Multihash<64>, u64)> {
    let (digest, offset) = entry
        .split_last_chunk::<OFFSET>()
        .ok_or_else(|| damaged("entry is too short"))?;
    let hash = Multihash::wrap(code, digest).map_err(|_| damaged("digest is too long"))?;
    Ok((hash, u64::from_le_bytes(*offset)))
}

/// Reads where the buckets are; their entries are left alone.
fn read_buckets(index: &File) -> io::Result<Vec<Bucket>> {
    let length = index.metadata()?.len();
    let mut at = 0_u64;
    let mut codec = Vec::new();
    write_varint(CODEC, &mut codec);
    if take::<CODEC_LEN>(index, &mut at)? != *codec {
        return Err(damaged("not a sorted multihash index"));
    }
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut ordinal = 0_u64;
    for _ in 0..u32::from_le_bytes(take(index, &mut at)?) {
        let code = u64::from_le_bytes(take(index, &mut at)?);
        for _ in 0..u32::from_le_bytes(take(index, &mut at)?) {
            let width = u32::from_le_bytes(take(index, &mut at)?);
            let bytes = u64::from_le_bytes(take(index, &mut at)?);
            let digest = (width as usize).checked_sub(OFFSET);
            let entries = bytes.checked_div(u64::from(width)).unwrap_or_default();
            let whole = entries.checked_mul(u64::from(width)) == Some(bytes);
            let digest = digest.filter(|digest| *digest <= MAX_DIGEST && whole);
            let Some(digest) = digest else {
                return Err(damaged("bucket is malformed"));
            };
            let bucket = Bucket {
                code,
                digest,
                start: at,
                entries,
                ordinal,
            };
            at = at.saturating_add(bytes);
            if at > length || buckets.len() >= MAX_BUCKETS {
                return Err(damaged("index is cut short"));
            }
            ordinal = ordinal.saturating_add(entries);
            buckets.push(bucket);
        }
    }
    if at == length {
        Ok(buckets)
    } else {
        Err(damaged("index is longer than its buckets"))
    }
}

/// Reads a few bytes and moves on behind them.
fn take<const N: usize>(file: &File, at: &mut u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, *at)?;
    *at = at.saturating_add(N as u64);
    Ok(bytes)
}
