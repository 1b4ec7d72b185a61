//! Sorting a spool that may be larger than memory.
//!
//! Runs of a few megabytes are sorted in memory and written one after the other; then as many
//! runs as fit a fixed set of buffers are merged, again and again until one pass can merge all
//! that is left.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::spool::{check_magic, read_entry};

/// Memory and fan-in of a sort.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Entry bytes sorted in memory at once.
    pub run: usize,
    /// Runs merged at once.
    pub fan_in: usize,
}

/// 4 MiB a run and 64 runs a pass: one pass sorts 5 million blocks, two sort more than any
/// sector holds, and neither takes more than 8 MiB.
pub(super) const BOUNDS: Bounds = Bounds {
    run: 4 << 20,
    fan_in: 64,
};

/// Read ahead from each run that is merged: 64 of them make 2 MiB.
const MERGE_BUFFER: usize = 32 * 1024;

/// Read ahead and written behind where there is one file only.
const FILE_BUFFER: usize = 64 * 1024;

/// A part of a file as a reader of its own.
pub(super) struct Region<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> Region<'a> {
    pub(super) fn new(file: &'a File, at: u64, end: u64) -> Self {
        Self { file, at, end }
    }
}

impl Read for Region<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = self
            .file
            .read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.at)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

/// A file that does not outlive the sort.
struct Scratch {
    path: PathBuf,
    file: File,
    /// Where each of its runs ends.
    ends: Vec<u64>,
}

impl Scratch {
    fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        Ok(Self {
            path,
            file,
            ends: Vec::new(),
        })
    }

    /// The runs with these numbers, each as a reader.
    fn runs(&self, from: usize, count: usize) -> Vec<BufReader<Region<'_>>> {
        let mut start = match from.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or_default(),
            None => 0,
        };
        let mut runs = Vec::new();
        for end in self.ends.iter().skip(from).take(count) {
            let region = Region::new(&self.file, start, *end);
            runs.push(BufReader::with_capacity(MERGE_BUFFER, region));
            start = *end;
        }
        runs
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file that stays behind costs space until the next sort of the same name.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The name of a file that belongs beside another one.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Hands all entries of a spool to `each` in their bytewise order. `scratch` names files that
/// are made and removed.
pub(super) fn sorted(
    spool: &Path,
    scratch: &Path,
    bounds: Bounds,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut runs = write_runs(spool, beside(scratch, ".runs-0"), bounds.run)?;
    // Merging one by one would never end.
    let fan_in = bounds.fan_in.max(2);
    for pass in 1_u32.. {
        if runs.ends.len() <= fan_in {
            break;
        }
        runs = merge_pass(&runs, beside(scratch, &format!(".runs-{pass}")), fan_in)?;
    }
    merge(runs.runs(0, fan_in), each)
}

/// Cuts the spool into runs that are sorted each.
fn write_runs(spool: &Path, path: PathBuf, bound: usize) -> io::Result<Scratch> {
    let mut scratch = Scratch::create(path)?;
    let mut spool = BufReader::with_capacity(FILE_BUFFER, File::open(spool)?);
    check_magic(&mut spool)?;
    let mut out = BufWriter::with_capacity(FILE_BUFFER, &scratch.file);
    let mut run = Run::default();
    let mut entry = Vec::new();
    let mut end = 0;
    let mut ends = Vec::new();
    loop {
        let more = read_entry(&mut spool, &mut entry)?;
        let full = run.bytes.len().saturating_add(entry.len()) > bound;
        if (full || !more) && !run.bytes.is_empty() {
            end = run.write_sorted(&mut out)?.saturating_add(end);
            ends.push(end);
        }
        if !more {
            break;
        }
        run.push(&entry);
    }
    out.flush()?;
    drop(out);
    scratch.ends = ends;
    Ok(scratch)
}

/// Entries in memory, one behind the other.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    /// Where each entry starts and ends; a run stays far below 4 GiB.
    places: Vec<(u32, u32)>,
}

impl Run {
    fn push(&mut self, entry: &[u8]) {
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(entry);
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.places.push((start, end));
    }

    /// Writes all entries in order, and is empty again. Returns the bytes written.
    fn write_sorted(&mut self, out: &mut impl Write) -> io::Result<u64> {
        let bytes = &self.bytes;
        let entry = |place: &(u32, u32)| {
            bytes
                .get(place.0 as usize..place.1 as usize)
                .unwrap_or_default()
        };
        self.places
            .sort_unstable_by(|one, other| entry(one).cmp(entry(other)));
        for place in &self.places {
            out.write_all(entry(place))?;
        }
        let written = self.bytes.len() as u64;
        self.bytes.clear();
        self.places.clear();
        Ok(written)
    }
}

/// Makes one run of every `fan_in` runs.
fn merge_pass(runs: &Scratch, path: PathBuf, fan_in: usize) -> io::Result<Scratch> {
    let mut merged = Scratch::create(path)?;
    let mut out = BufWriter::with_capacity(FILE_BUFFER, &merged.file);
    let mut end = 0_u64;
    let mut ends = Vec::new();
    for from in (0..runs.ends.len()).step_by(fan_in) {
        merge(runs.runs(from, fan_in), &mut |entry| {
            end = end.saturating_add(entry.len() as u64);
            out.write_all(entry)
        })?;
        ends.push(end);
    }
    out.flush()?;
    drop(out);
    merged.ends = ends;
    Ok(merged)
}

/// Merges sorted runs.
fn merge(
    mut runs: Vec<BufReader<Region<'_>>>,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut heap = BinaryHeap::new();
    for (number, run) in runs.iter_mut().enumerate() {
        let mut entry = Vec::new();
        if read_entry(run, &mut entry)? {
            heap.push(Reverse((entry, number)));
        }
    }
    while let Some(Reverse((mut entry, number))) = heap.pop() {
        each(&entry)?;
        if let Some(run) = runs.get_mut(number)
            && read_entry(run, &mut entry)?
        {
            heap.push(Reverse((entry, number)));
        }
    }
    Ok(())
}
