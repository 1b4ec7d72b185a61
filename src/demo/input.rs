//! The demo's input: given, or generated.

use super::{DemoError, Event, failed};
use crate::client::pack;
use crate::piece::Commp;
use cid::Cid;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files of the generated input and their sizes: 8 MiB in all, with small files, an empty one and one of several chunks.
const GENERATED: [(&str, usize); 6] = [
    ("readme.txt", 1_500),
    ("empty", 0),
    ("photos/harbour.raw", 5 << 20),
    ("photos/boat.raw", 2 << 20),
    ("notes/log.txt", 300_000),
    ("notes/tide.bin", (1 << 20) - 301_500),
];

/// A packed input.
pub(super) struct Packed {
    pub car: PathBuf,
    pub root: Cid,
    pub car_size: u64,
    pub blocks: u64,
    pub piece_cid: Cid,
    pub piece_size: u64,
    packing: Duration,
    committing: Duration,
}

impl Packed {
    pub(super) fn event(&self) -> Event {
        Event::Packed {
            root: self.root,
            car_size: self.car_size,
            blocks: self.blocks,
            piece_cid: self.piece_cid,
            piece_size: self.piece_size,
            packing: self.packing,
            committing: self.committing,
        }
    }
}

/// Packs the input into `<directory>/demo.car` and computes its commitment.
pub(super) fn pack(input: Option<&Path>, directory: &Path) -> Result<Packed, DemoError> {
    let generated = directory.join("input");
    if input.is_none() {
        generate(&generated).map_err(|error| failed("generating the input", error))?;
    }
    let input = input.unwrap_or(&generated);
    let car = directory.join("demo.car");
    let begun = Instant::now();
    let packed = pack::pack(input, &car)
        .map_err(|error| failed(&format!("packing {}", input.display()), error))?;
    let packing = begun.elapsed();
    let begun = Instant::now();
    let commitment = commit(&car).map_err(|error| failed("reading the CAR", error))?;
    Ok(Packed {
        car,
        root: packed.root,
        car_size: packed.car_size,
        blocks: packed.blocks,
        piece_cid: commitment.cid(),
        piece_size: commitment.padded_size,
        packing,
        committing: begun.elapsed(),
    })
}

fn commit(car: &Path) -> std::io::Result<crate::piece::PieceCommitment> {
    let mut file = fs::File::open(car)?;
    let mut hasher = Commp::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..read]);
    }
}

/// Writes files whose bytes look random and are the same every time (xorshift64).
fn generate(directory: &Path) -> std::io::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for (name, size) in GENERATED {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(size);
        fs::File::create(&path)?.write_all(&bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_input_has_eight_mebibytes_and_stays_the_same() {
        let all: usize = GENERATED.iter().map(|(_, size)| size).sum();
        assert_eq!(all, 8 << 20);
        let directory = std::env::temp_dir().join(format!("coracle-input-{}", std::process::id()));
        let one = pack(None, &{
            fs::create_dir_all(&directory).unwrap();
            directory.clone()
        })
        .unwrap();
        let two = pack(None, &directory).unwrap();
        assert_eq!((one.root, one.piece_cid), (two.root, two.piece_cid));
        assert_eq!(one.piece_size, 16 << 20);
        fs::remove_dir_all(&directory).unwrap();
    }
}
