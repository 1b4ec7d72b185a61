//! The header block of a CAR, read element by element.
//!
//! It is a CBOR map of roots and version (spec index 1.1). A hostile header may be 32 MiB long
//! and name millions of roots, so nothing of it is collected but the first few roots: each step
//! needs one key, one number or one root in front of it.

use cid::Cid;

use super::car::{CarFault, MAX_CID, read_cid};

/// Roots that are kept. Deals have one; more than these are checked and counted, not kept.
pub(super) const MAX_ROOTS: usize = 16;

/// What the next element of the header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The map's head.
    Map,
    /// A key, or the end.
    Key,
    /// The head of the array of roots.
    Roots,
    /// One root.
    Root,
    /// The version number.
    Version,
}

/// The state of reading one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    next: Next,
    keys_left: u64,
    roots_left: u64,
    /// Whether the key `roots` has been there.
    pub has_roots: bool,
    /// The value of the key `version`; zero before it.
    pub version: u64,
    /// The first [`MAX_ROOTS`] roots.
    pub roots: Vec<Cid>,
}

impl Header {
    pub(super) fn new() -> Self {
        Self {
            next: Next::Map,
            keys_left: 0,
            roots_left: 0,
            has_roots: false,
            version: 0,
            roots: Vec::new(),
        }
    }

    /// Whether the last element has been read.
    pub(super) fn is_complete(&self) -> bool {
        self.next == Next::Key && self.keys_left == 0
    }

    /// Reads one element from the front and says how long it was. None: cut short.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, CarFault> {
        match self.next {
            Next::Map => self.read_map(bytes),
            Next::Key => self.read_key(bytes),
            Next::Roots => self.read_roots(bytes),
            Next::Root => self.read_root(bytes),
            Next::Version => self.read_version(bytes),
        }
    }

    fn read_map(&mut self, bytes: &[u8]) -> Result<Option<usize>, CarFault> {
        let Some((entries, len)) = read_head(bytes, 5)? else {
            return Ok(None);
        };
        if entries == 0 || entries > 2 {
            return Err(CarFault::HeaderSyntax);
        }
        self.keys_left = entries;
        self.next = Next::Key;
        Ok(Some(len))
    }

    fn read_key(&mut self, bytes: &[u8]) -> Result<Option<usize>, CarFault> {
        let Some((length, len)) = read_head(bytes, 3)? else {
            return Ok(None);
        };
        let rest = bytes.get(len..).unwrap_or_default();
        let (name, next, again): (&[u8], _, _) = match length {
            5 => (b"roots", Next::Roots, self.has_roots),
            7 => (b"version", Next::Version, self.version != 0),
            _ => return Err(CarFault::HeaderSyntax),
        };
        if again || !name.starts_with(rest.get(..name.len()).unwrap_or(rest)) {
            return Err(CarFault::HeaderSyntax);
        }
        if rest.len() < name.len() {
            return Ok(None);
        }
        self.keys_left = self.keys_left.saturating_sub(1);
        self.next = next;
        Ok(Some(len.saturating_add(name.len())))
    }

    fn read_roots(&mut self, bytes: &[u8]) -> Result<Option<usize>, CarFault> {
        // A writer in Go that was given no roots leaves null.
        let head = if bytes.first() == Some(&0xf6) {
            Some((0, 1))
        } else {
            read_head(bytes, 4)?
        };
        let Some((count, len)) = head else {
            return Ok(None);
        };
        self.has_roots = true;
        self.roots_left = count;
        self.next = if count == 0 { Next::Key } else { Next::Root };
        Ok(Some(len))
    }

    fn read_root(&mut self, bytes: &[u8]) -> Result<Option<usize>, CarFault> {
        let Some((tag, tag_len)) = read_head(bytes, 6)? else {
            return Ok(None);
        };
        let rest = bytes.get(tag_len..).unwrap_or_default();
        let Some((length, head_len)) = read_head(rest, 2)? else {
            return Ok(None);
        };
        if tag != 42 || length < 2 {
            return Err(CarFault::HeaderSyntax);
        }
        if length > MAX_CID as u64 {
            return Err(CarFault::CidLength(length));
        }
        let length = usize::try_from(length).map_err(|_| CarFault::HeaderSyntax)?;
        let rest = rest.get(head_len..).unwrap_or_default();
        let Some(link) = rest.get(..length) else {
            return Ok(None);
        };
        // The byte 0 is the multibase prefix of binary.
        let Some((0, cid)) = link.split_first() else {
            return Err(CarFault::HeaderSyntax);
        };
        let Some(raw) = read_cid(cid)? else {
            return Err(CarFault::HeaderSyntax);
        };
        if raw.len != cid.len() {
            return Err(CarFault::HeaderSyntax);
        }
        if self.roots.len() < MAX_ROOTS {
            self.roots.extend(raw.to_cid());
        }
        self.roots_left = self.roots_left.saturating_sub(1);
        if self.roots_left == 0 {
            self.next = Next::Key;
        }
        Ok(Some(
            tag_len.saturating_add(head_len).saturating_add(length),
        ))
    }

    fn read_version(&mut self, bytes: &[u8]) -> Result<Option<usize>, CarFault> {
        let Some((version, len)) = read_head(bytes, 0)? else {
            return Ok(None);
        };
        if version != 1 && version != 2 {
            return Err(CarFault::Version(version));
        }
        self.version = version;
        self.next = Next::Key;
        Ok(Some(len))
    }

    /// The numbers of a saved state; the roots are saved beside them.
    pub(super) fn to_saved(&self) -> [u64; 5] {
        let next = match self.next {
            Next::Map => 0,
            Next::Key => 1,
            Next::Roots => 2,
            Next::Root => 3,
            Next::Version => 4,
        };
        [
            next,
            self.keys_left,
            self.roots_left,
            u64::from(self.has_roots),
            self.version,
        ]
    }

    /// The reverse of [`Header::to_saved`].
    pub(super) fn from_saved(numbers: [u64; 5], roots: Vec<Cid>) -> Option<Self> {
        let [next, keys_left, roots_left, has_roots, version] = numbers;
        let next = match next {
            0 => Next::Map,
            1 => Next::Key,
            2 => Next::Roots,
            3 => Next::Root,
            4 => Next::Version,
            _ => return None,
        };
        if keys_left > 2 || has_roots > 1 || version > 2 || roots.len() > MAX_ROOTS {
            return None;
        }
        Some(Self {
            next,
            keys_left,
            roots_left,
            has_roots: has_roots == 1,
            version,
            roots,
        })
    }
}

/// Reads the head of a CBOR item of this major type: its argument and the head's length
/// (RFC 8949, 3). Indefinite lengths are refused. None: cut short.
fn read_head(bytes: &[u8], major: u8) -> Result<Option<(u64, usize)>, CarFault> {
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if first >> 5 != major {
        return Err(CarFault::HeaderSyntax);
    }
    let info = first & 0x1f;
    let width = match info {
        0..=23 => return Ok(Some((u64::from(info), 1))),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return Err(CarFault::HeaderSyntax),
    };
    let Some(argument) = rest.get(..width) else {
        return Ok(None);
    };
    let value = argument
        .iter()
        .fold(0, |value: u64, byte| (value << 8) | u64::from(*byte));
    Ok(Some((value, width.saturating_add(1))))
}
