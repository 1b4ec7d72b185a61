//! `coracle commp`: the piece commitment of a file.

use super::terminal::{self, Bytes, Progress};
use super::{Failure, args};
use crate::filecoin::cids;
use crate::piece::{Commp, PieceCommitment};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Runs `coracle commp FILE`; `-` reads standard input.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let file = args::required(&mut arguments, "FILE")?;
    args::finish(arguments)?;
    let piece = commit_file(&file)
        .map_err(|error| Failure::Failed(format!("cannot read {file}: {error}")))?;
    // There is none for a payload below 127 bytes.
    let v2 = cids::piece_cid_v2(&piece.root, piece.padded_size, piece.payload_size);
    let v2 = v2.map(|cid| cid.to_string());
    if json {
        terminal::json(&json!({
            "piece_cid": piece.cid().to_string(),
            "piece_size": piece.padded_size,
            "payload_size": piece.payload_size,
            "piece_cid_v2": v2,
        }));
    } else {
        let sized = |bytes: u64| format!("{bytes} ({})", Bytes(bytes));
        terminal::line(format_args!("piece CID     {}", piece.cid()));
        terminal::line(format_args!("piece size    {}", sized(piece.padded_size)));
        terminal::line(format_args!("payload size  {}", sized(piece.payload_size)));
        if let Some(v2) = v2 {
            terminal::line(format_args!("piece CID v2  {v2}"));
        }
    }
    Ok(())
}

fn commit_file(path: &str) -> io::Result<PieceCommitment> {
    if path == "-" {
        return commit(&mut io::stdin().lock(), None);
    }
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    commit(&mut file, Some(Progress::new("commp", len)))
}

/// The commitment of all that a reader gives.
fn commit(input: &mut impl Read, mut progress: Option<Progress>) -> io::Result<PieceCommitment> {
    let mut commp = Commp::new();
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
        let piece = commit(&mut Trickle(&payload, false), None).unwrap();
        let cid = "baga6ea4seaqjkoh4cjw2k3gkvmluved57mca6x6dw6p4onbdyvlzefcuzzih4ky";
        assert_eq!(piece.cid().to_string(), cid);
        assert_eq!((piece.padded_size, piece.payload_size), (1024, 1000));
    }
}
