//! Tests of packing. The trees are read back by a reader of their own, which shares no code with
//! the packer.

mod dag;
mod profile;
mod reader;
mod shards;
mod trees;

use std::path::{Path, PathBuf};

use super::{Packed, pack};
use reader::Car;

/// A directory of its own for each test, gone afterwards.
pub struct Place(PathBuf);

impl Place {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coracle-pack-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("in")).unwrap();
        Self(path)
    }

    /// The directory that is packed.
    pub fn input(&self) -> PathBuf {
        self.0.join("in")
    }

    /// Where the CAR goes.
    pub fn output(&self) -> PathBuf {
        self.0.join("out.car")
    }

    /// Writes a file below the input directory.
    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.input().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Packs a path, checks what every CAR must be, and opens it.
    pub fn pack(&self, input: &Path) -> (Packed, Car) {
        let packed = pack(input, &self.output()).unwrap();
        let bytes = std::fs::read(self.output()).unwrap();
        assert_eq!(bytes.len() as u64, packed.car_size);
        let car = Car::read(&bytes);
        assert_eq!(car.roots, [packed.root]);
        assert_eq!(car.count, packed.blocks);
        // Nothing temporary stays beside the output.
        assert_eq!(std::fs::read_dir(&self.0).unwrap().count(), 2);
        (packed, car)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Small reproducible noise.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}
