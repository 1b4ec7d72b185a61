//! `coracle car`: packs files into a CAR, and looks into one.

use super::terminal::{self, Bytes, Progress};
use super::{Failure, args};
use crate::client::pack::{Options, pack_with};
use crate::filecoin::cids::{BLAKE2B_256, blake2b_256};
use crate::piece::car::{IDENTITY, SHA2_256, write_section_head};
use crate::piece::index_file::sizes_path;
use crate::piece::{Block, CarSummary, CarWalker, Spool, build_index};
use cid::Cid;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes read at once, and so the bound of the blocks that are looked at together.
const CHUNK: usize = 1 << 20;

/// Blocks that are named when they are bad; more are only counted.
const NAMED: usize = 20;

/// Runs `coracle car pack|list|verify|index`.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    match arguments.subcommand()?.as_deref() {
        Some("pack") => pack(arguments),
        Some("list") => list(arguments),
        Some("verify") => verify(arguments),
        Some("index") => index(arguments),
        Some(other) => Err(Failure::Usage(format!("unknown command car {other}"))),
        None => Err(Failure::Usage(
            "missing command: car pack|list|verify|index".to_owned(),
        )),
    }
}

/// `-o OUTPUT`, if it is there.
fn output(arguments: &mut pico_args::Arguments) -> Result<Option<PathBuf>, Failure> {
    Ok(arguments.opt_value_from_str(["-o", "--output"])?)
}

fn failed(path: &Path, error: impl Display) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}

fn pack(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let options = Options {
        hidden: arguments.contains("--hidden"),
    };
    let named = output(&mut arguments)?;
    let input = PathBuf::from(args::required(&mut arguments, "INPUT")?);
    args::finish(arguments)?;
    let output = match named {
        Some(output) => output,
        None => default_output(&input)?,
    };
    let packed =
        pack_with(&input, &output, options).map_err(|error| Failure::Failed(error.to_string()))?;
    if json {
        terminal::json(&json!({
            "root": packed.root.to_string(),
            "car_size": packed.car_size,
            "blocks": packed.blocks,
            "output": output.to_string_lossy(),
        }));
    } else {
        terminal::line(format_args!("root    {}", packed.root));
        terminal::line(format_args!(
            "size    {} ({})",
            packed.car_size,
            Bytes(packed.car_size)
        ));
        terminal::line(format_args!("blocks  {}", packed.blocks));
        terminal::line(format_args!("output  {}", output.display()));
    }
    Ok(())
}

/// The input's name with `.car` behind it, in the working directory.
fn default_output(input: &Path) -> Result<PathBuf, Failure> {
    let input = input.canonicalize().map_err(|error| failed(input, error))?;
    let Some(name) = input.file_name() else {
        return Err(Failure::Usage("give the output's name with -o".to_owned()));
    };
    let mut name = name.to_owned();
    name.push(".car");
    Ok(PathBuf::from(name))
}

/// What is done with the blocks that start in one chunk of a file.
type EachChunk<'a> = dyn FnMut(&File, &[Block]) -> Result<(), Failure> + 'a;

/// Walks a CAR from its first byte to its last. `each` gets the blocks of one chunk after the
/// other.
fn walk(
    path: &Path,
    mut walker: CarWalker,
    each: &mut EachChunk<'_>,
) -> Result<CarSummary, Failure> {
    let mut file = File::open(path).map_err(|error| failed(path, error))?;
    let len = file.metadata().map_err(|error| failed(path, error))?.len();
    let mut progress = Progress::new("car", len);
    let mut chunk = vec![0; CHUNK];
    let mut blocks = Vec::new();
    loop {
        let read = match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(path, error)),
        };
        let fed = walker.feed(chunk.get(..read).unwrap_or_default(), &mut |block| {
            blocks.push(block);
        });
        // What was right before the fault is still worth a look.
        each(&file, &blocks)?;
        blocks.clear();
        fed.map_err(|error| failed(path, error))?;
        progress.update(walker.bytes());
    }
    walker.finish().map_err(|error| failed(path, error))
}

fn roots_text(roots: &[Cid]) -> Vec<String> {
    roots.iter().map(Cid::to_string).collect()
}

/// One line per block, then one about the whole. A CAR may have more blocks than memory, so with
/// `--json` too each block is an object of its own.
fn list(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let path = PathBuf::from(args::required(&mut arguments, "FILE")?);
    args::finish(arguments)?;
    let mut text = String::new();
    let summary = walk(&path, CarWalker::with_identity(), &mut |_, blocks| {
        text.clear();
        for Block { cid, offset, size } in blocks {
            // Writing to a string cannot fail.
            let _ = if json {
                let cid = cid.to_string();
                writeln!(
                    text,
                    "{}",
                    json!({ "cid": cid, "offset": offset, "size": size })
                )
            } else {
                writeln!(text, "{cid}\t{offset}\t{size}")
            };
        }
        terminal::print(&text);
        Ok(())
    })?;
    if json {
        terminal::json(&json!({
            "version": summary.version,
            "roots": roots_text(&summary.roots),
            "blocks": summary.blocks,
            "end": summary.end,
        }));
    } else if terminal::is_terminal() {
        terminal::line(format_args!(
            "version {}, {} blocks, {} bytes, roots: {}",
            summary.version,
            summary.blocks,
            summary.end,
            roots_text(&summary.roots).join(" ")
        ));
    }
    Ok(())
}

/// What verifying has come to.
#[derive(Default)]
struct Verified {
    good: u64,
    /// Blocks whose data does not have the hash that their CID names.
    bad: u64,
    /// Blocks whose hash function is not known here.
    unknown: u64,
    /// The first of the bad and unknown ones.
    named: Vec<String>,
    seen_roots: BTreeSet<Cid>,
}

/// Whether data has the hash of its CID. None: that hash function is not known.
fn matches(cid: &Cid, data: &[u8]) -> Option<bool> {
    let digest = cid.hash().digest();
    match cid.hash().code() {
        IDENTITY => Some(digest == data),
        SHA2_256 => Some(digest == Sha256::digest(data).as_slice()),
        BLAKE2B_256 => Some(digest == blake2b_256(data)),
        _ => None,
    }
}

impl Verified {
    fn check(&mut self, block: &Block, data: &[u8]) {
        let what = match matches(&block.cid, data) {
            Some(true) => {
                self.good += 1;
                return;
            }
            Some(false) => {
                self.bad += 1;
                "wrong hash"
            }
            None => {
                self.unknown += 1;
                "unknown hash function"
            }
        };
        if self.named.len() < NAMED {
            self.named
                .push(format!("{} at {}: {what}", block.cid, block.offset));
        }
    }
}

fn verify(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let path = PathBuf::from(args::required(&mut arguments, "FILE")?);
    args::finish(arguments)?;
    // The roots are read first, so that they can be looked for among the blocks.
    let roots = read_roots(&path)?;
    let mut verified = Verified::default();
    let mut data = Vec::new();
    let summary = walk(&path, CarWalker::with_identity(), &mut |file, blocks| {
        for block in blocks {
            if roots.contains(&block.cid) {
                verified.seen_roots.insert(block.cid);
            }
            let head = write_section_head(&block.cid, block.size).len() as u64;
            // The walker lets no section above 8 MiB pass.
            data.resize(usize::try_from(block.size).unwrap_or_default(), 0);
            // A file that ends here is a fault that the walker will name.
            if file.read_exact_at(&mut data, block.offset + head).is_ok() {
                verified.check(block, &data);
            }
        }
        Ok(())
    })?;
    // What the walker cannot even name has a digest that no known function gives.
    verified.unknown = summary.blocks - verified.good - verified.bad;
    report(&path, json, &summary, &verified)
}

/// The roots of a CAR, without walking its blocks.
fn read_roots(path: &Path) -> Result<Vec<Cid>, Failure> {
    let mut file = File::open(path).map_err(|error| failed(path, error))?;
    let mut walker = CarWalker::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut chunk).map_err(|error| failed(path, error))?;
        let mut blocks = 0;
        let fed = walker.feed(chunk.get(..read).unwrap_or_default(), &mut |_| blocks += 1);
        if fed.is_err() || blocks > 0 || read == 0 {
            // A fault is reported by the walk that follows.
            return Ok(walker.roots().to_vec());
        }
    }
}

fn report(
    path: &Path,
    json: bool,
    summary: &CarSummary,
    verified: &Verified,
) -> Result<(), Failure> {
    let Verified {
        good,
        bad,
        unknown,
        named,
        seen_roots,
    } = verified;
    let has_roots = summary.roots.iter().all(|root| {
        // An identity root is its own block.
        root.hash().code() == IDENTITY || seen_roots.contains(root)
    });
    if json {
        terminal::json(&json!({
            "version": summary.version,
            "roots": roots_text(&summary.roots),
            "roots_present": has_roots,
            "blocks": summary.blocks,
            "verified": good,
            "wrong": bad,
            "unknown": unknown,
            "named": named,
        }));
    } else {
        named.iter().for_each(terminal::line);
        terminal::line(format_args!("{good} of {} blocks verified", summary.blocks));
        if !has_roots {
            terminal::line("a root is not among the blocks");
        }
    }
    if *bad == 0 && *unknown == 0 {
        return Ok(());
    }
    let text = format!("{bad} blocks with a wrong hash, {unknown} with an unknown hash function");
    Err(failed(path, text))
}

fn index(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let named = output(&mut arguments)?;
    let path = PathBuf::from(args::required(&mut arguments, "FILE")?);
    args::finish(arguments)?;
    let beside = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let output = named.unwrap_or_else(|| beside(&path, ".index"));
    let spool_path = beside(&output, ".spool");
    let built = spool_blocks(&path, &spool_path)
        .and_then(|()| build_index(&spool_path, &output).map_err(|error| failed(&output, error)));
    // If it cannot be removed it is in nobody's way.
    let _ = std::fs::remove_file(&spool_path);
    let built = built?;
    if json {
        terminal::json(&json!({
            "index": output.to_string_lossy(),
            "sizes": sizes_path(&output).to_string_lossy(),
            "entries": built.entries,
            "left_out": built.left_out,
        }));
    } else {
        terminal::line(format_args!(
            "{} entries in {}",
            built.entries,
            output.display()
        ));
    }
    Ok(())
}

fn spool_blocks(path: &Path, spool_path: &Path) -> Result<(), Failure> {
    let mut spool = Spool::create(spool_path).map_err(|error| failed(spool_path, error))?;
    walk(path, CarWalker::new(), &mut |_, blocks| {
        let pushed = blocks.iter().try_for_each(|block| spool.push(block));
        pushed.map_err(|error| failed(spool_path, error))
    })?;
    spool.sync().map_err(|error| failed(spool_path, error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cid::multihash::Multihash;

    fn cid(code: u64, digest: &[u8]) -> Cid {
        Cid::new_v1(0x55, Multihash::wrap(code, digest).unwrap())
    }

    #[test]
    fn three_hash_functions_are_known() {
        let data = b"hello";
        let sha256 = Sha256::digest(data);
        for (good, bad) in [
            (cid(0x12, &sha256), cid(0x12, &[0; 32])),
            (cid(0xb220, &blake2b_256(data)), cid(0xb220, &sha256)),
            (cid(0x00, data), cid(0x00, b"hell")),
        ] {
            assert_eq!(matches(&good, data), Some(true));
            assert_eq!(matches(&bad, data), Some(false));
            assert_eq!(matches(&good, b"other"), Some(false));
        }
        // A digest that was cut short names too many blocks to prove anything.
        assert_eq!(matches(&cid(0x12, &sha256[..20]), data), Some(false));
        assert_eq!(matches(&cid(0x13, &[0; 64]), data), None);
    }

    #[test]
    fn only_the_first_bad_blocks_are_named() {
        let mut verified = Verified::default();
        for offset in 0..100 {
            let block = Block {
                cid: cid(0x12, &[1; 32]),
                offset,
                size: 5,
            };
            verified.check(&block, b"hello");
        }
        assert_eq!(
            (verified.good, verified.bad, verified.named.len()),
            (0, 100, NAMED)
        );
        assert!(verified.named[0].ends_with(" at 0: wrong hash"));
    }

    #[test]
    fn the_default_output_is_named_after_the_input() {
        let name = |path: &str| default_output(Path::new(path)).map(PathBuf::into_os_string);
        assert_eq!(name("src").unwrap(), "src.car");
        assert_eq!(name("src/lib.rs").unwrap(), "lib.rs.car");
        assert!(matches!(name("/"), Err(Failure::Usage(_))));
        assert!(matches!(name("/does/not/exist"), Err(Failure::Failed(_))));
    }
}
