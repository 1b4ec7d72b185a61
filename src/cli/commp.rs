//! `coracle commp`: the piece commitment of a file.

use super::terminal::{self, Bytes, Progress};
use super::{Failure, args};
use crate::config::values;
use crate::filecoin::cids;
use crate::piece::commp::SUBTREE_BYTES;
use crate::piece::sha256::{self, Kernel};
use crate::piece::{Commp, PieceCommitment};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Threads of one command: beyond as many cores the disk is the bottleneck.
const THREADS_MAX: usize = 64;

/// Runs `coracle commp FILE`; `-` reads standard input.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let verbose = arguments.contains("--verbose");
    let threads = arguments.opt_value_from_fn("--threads", threads)?;
    if let Some(kernel) = arguments
        .opt_value_from_fn("--kernel", values::kernel)?
        .flatten()
    {
        // Nothing was hashed yet in this process.
        let _ = sha256::choose(kernel);
    }
    let file = args::required(&mut arguments, "FILE")?;
    args::finish(arguments)?;
    let threads = threads.unwrap_or_else(cores);
    let started = Instant::now();
    let piece = commit_file(&file, threads)
        .map_err(|error| Failure::Failed(format!("cannot read {file}: {error}")))?;
    let seconds = started.elapsed().as_secs_f64();
    // There is none for a payload below 127 bytes.
    let v2 = cids::piece_cid_v2(&piece.root, piece.padded_size, piece.payload_size);
    let v2 = v2.map(|cid| cid.to_string());
    if json {
        let mut facts = json!({
            "piece_cid": piece.cid().to_string(),
            "piece_size": piece.padded_size,
            "payload_size": piece.payload_size,
            "piece_cid_v2": v2,
        });
        if verbose && let Some(facts) = facts.as_object_mut() {
            facts.insert("kernel".to_owned(), json!(Kernel::chosen().name()));
            facts.insert("threads".to_owned(), json!(threads));
            facts.insert("seconds".to_owned(), json!(seconds));
        }
        terminal::json(&facts);
    } else {
        let sized = |bytes: u64| format!("{bytes} ({})", Bytes(bytes));
        terminal::line(format_args!("piece CID     {}", piece.cid()));
        terminal::line(format_args!("piece size    {}", sized(piece.padded_size)));
        terminal::line(format_args!("payload size  {}", sized(piece.payload_size)));
        if let Some(v2) = v2 {
            terminal::line(format_args!("piece CID v2  {v2}"));
        }
        if verbose {
            terminal::line(format_args!("kernel        {}", Kernel::chosen().name()));
            terminal::line(format_args!("threads       {threads}"));
            terminal::line(format_args!("seconds       {seconds:.3}"));
        }
    }
    Ok(())
}

fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|n| (1..=THREADS_MAX).contains(n));
    threads.ok_or_else(|| format!("{text} is no number from 1 to {THREADS_MAX}"))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX))
}

fn commit_file(path: &str, threads: usize) -> io::Result<PieceCommitment> {
    if path == "-" {
        return commit(&mut io::stdin().lock(), Commp::new(), None);
    }
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut progress = Progress::new("commp", metadata.len());
    let mut commp = Commp::new();
    if metadata.is_file() && threads > 1 {
        let subtrees = metadata.len() / SUBTREE_BYTES;
        for root in subtree_roots(&file, subtrees, threads, &mut progress)? {
            commp.push_subtree(root);
        }
        io::Seek::seek(&mut file, io::SeekFrom::Start(commp.bytes()))?;
    }
    commit(&mut file, commp, Some(progress))
}

/// The roots of a file's first subtrees, in their order. Each thread takes the next one that nobody has taken.
fn subtree_roots(
    file: &File,
    count: u64,
    threads: usize,
    progress: &mut Progress,
) -> io::Result<Vec<[u8; 32]>> {
    let next = AtomicU64::new(0);
    let (told, results) = std::sync::mpsc::sync_channel(threads);
    let mut roots = vec![[0; 32]; usize::try_from(count).unwrap_or(usize::MAX)];
    thread::scope(|scope| {
        for _ in 0..threads {
            let (told, next) = (told.clone(), &next);
            scope.spawn(move || {
                let mut bytes = vec![0; usize::try_from(SUBTREE_BYTES).unwrap_or(usize::MAX)];
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    let root = file
                        .read_exact_at(&mut bytes, at.saturating_mul(SUBTREE_BYTES))
                        .map(|()| {
                            let mut commp = Commp::new();
                            commp.update(&bytes);
                            commp.finish().root
                        });
                    // Nobody listens any more after an error.
                    if told.send((at, root)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(told);
        let mut done = 0_u64;
        for (at, root) in results {
            let slot = usize::try_from(at).ok().and_then(|at| roots.get_mut(at));
            if let Some(slot) = slot {
                *slot = root?;
            }
            done = done.saturating_add(SUBTREE_BYTES);
            progress.update(done);
        }
        Ok(roots)
    })
}

/// The commitment of what `commp` has taken and all that a reader gives.
fn commit(
    input: &mut impl Read,
    mut commp: Commp,
    mut progress: Option<Progress>,
) -> io::Result<PieceCommitment> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match input.read(&mut chunk) {
            Ok(0) => return Ok(commp.finish()),
            Ok(read) => commp.update(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if let Some(progress) = &mut progress {
            progress.update(commp.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one by one, with interruptions between them.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn interrupted_and_short_reads_are_read_on() {
        let payload: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let piece = commit(&mut Trickle(&payload, false), Commp::new(), None).unwrap();
        let cid = "baga6ea4seaqjkoh4cjw2k3gkvmluved57mca6x6dw6p4onbdyvlzefcuzzih4ky";
        assert_eq!(piece.cid().to_string(), cid);
        assert_eq!((piece.padded_size, piece.payload_size), (1024, 1000));
    }
}
