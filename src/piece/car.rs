//! The small parts that a CAR is made of: varints, CIDs, section heads, limits and faults
//! (spec index 1.1).

use std::fmt;

use cid::Cid;
use cid::multihash::Multihash;

/// The largest header block in bytes; go-car's limit. It is parsed as it arrives, never held.
pub const MAX_HEADER: u64 = 32 << 20;

/// The largest section in bytes, CID and data together; go-car's limit.
pub const MAX_SECTION: u64 = 8 << 20;

/// The longest CID in bytes; go-car's limit for an indexed CID.
pub const MAX_CID: usize = 2048;

/// The longest varint: 63 bits. Multiformats allow no more.
const MAX_VARINT: usize = 9;

/// Multihash code whose digest is the data itself.
pub const IDENTITY: u64 = 0x00;

/// Multihash code of SHA-256.
pub const SHA2_256: u64 = 0x12;

/// Codec of the blocks that a CIDv0 names.
const DAG_PB: u64 = 0x70;

/// One section of a CAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What the section calls its data; not verified.
    pub cid: Cid,
    /// Bytes from the start of the piece to the section's length varint.
    pub offset: u64,
    /// Bytes of the data alone.
    pub size: u64,
}

/// Why some bytes are no CAR, and where that showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarError {
    /// Bytes from the start of the piece to the element that is wrong.
    pub at: u64,
    /// What is wrong with it.
    pub fault: CarFault,
}

/// What is wrong with an element of a CAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarFault {
    /// A number is not minimally encoded or needs more than 63 bits.
    Varint,
    /// The header block is empty or longer than [`MAX_HEADER`].
    HeaderLength(u64),
    /// The header block is not the map that the format describes.
    HeaderSyntax,
    /// Neither version 1 nor 2, or something other than version 1 inside version 2.
    Version(u64),
    /// A CARv2 header places the data inside the header or beyond all bounds.
    DataOffset(u64),
    /// A CARv2 header gives the data no length or one beyond all bounds.
    DataSize(u64),
    /// A CARv2 header places the index beyond all bounds.
    IndexOffset(u64),
    /// A section is longer than [`MAX_SECTION`].
    SectionLength(u64),
    /// A section or a header ends beyond the data that a CARv2 header declares.
    PastData,
    /// A section ends before its own CID does.
    SectionShort,
    /// A CID of a version that is neither 0 nor 1.
    CidVersion(u64),
    /// A CID longer than [`MAX_CID`].
    CidLength(u64),
    /// The bytes ended within an element.
    Truncated,
}

impl CarFault {
    /// The fault as two numbers of a saved state.
    pub(super) fn to_saved(self) -> (u8, u64) {
        match self {
            CarFault::Varint => (0, 0),
            CarFault::HeaderLength(value) => (1, value),
            CarFault::HeaderSyntax => (2, 0),
            CarFault::Version(value) => (3, value),
            CarFault::DataOffset(value) => (4, value),
            CarFault::DataSize(value) => (5, value),
            CarFault::IndexOffset(value) => (6, value),
            CarFault::SectionLength(value) => (7, value),
            CarFault::PastData => (8, 0),
            CarFault::SectionShort => (9, 0),
            CarFault::CidVersion(value) => (10, value),
            CarFault::CidLength(value) => (11, value),
            CarFault::Truncated => (12, 0),
        }
    }

    /// The reverse of [`CarFault::to_saved`].
    pub(super) fn from_saved(kind: u8, value: u64) -> Option<Self> {
        Some(match kind {
            0 => CarFault::Varint,
            1 => CarFault::HeaderLength(value),
            2 => CarFault::HeaderSyntax,
            3 => CarFault::Version(value),
            4 => CarFault::DataOffset(value),
            5 => CarFault::DataSize(value),
            6 => CarFault::IndexOffset(value),
            7 => CarFault::SectionLength(value),
            8 => CarFault::PastData,
            9 => CarFault::SectionShort,
            10 => CarFault::CidVersion(value),
            11 => CarFault::CidLength(value),
            12 => CarFault::Truncated,
            _ => return None,
        })
    }
}

impl fmt::Display for CarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a CAR at byte {}: {}", self.at, self.fault)
    }
}

impl fmt::Display for CarFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CarFault::Varint => f.write_str("bad varint"),
            CarFault::HeaderLength(length) => {
                write!(f, "header of {length} bytes (1 to {MAX_HEADER} allowed)")
            }
            CarFault::HeaderSyntax => f.write_str("malformed header"),
            CarFault::Version(version) => write!(f, "unknown CAR version {version}"),
            CarFault::DataOffset(offset) => write!(f, "CARv2 data offset {offset}"),
            CarFault::DataSize(size) => write!(f, "CARv2 data size {size}"),
            CarFault::IndexOffset(offset) => write!(f, "CARv2 index offset {offset}"),
            CarFault::SectionLength(length) => {
                write!(
                    f,
                    "section of {length} bytes (at most {MAX_SECTION} allowed)"
                )
            }
            CarFault::PastData => f.write_str("element ends beyond the declared CARv2 data"),
            CarFault::SectionShort => f.write_str("section is shorter than its CID"),
            CarFault::CidVersion(version) => write!(f, "unknown CID version {version}"),
            CarFault::CidLength(length) => {
                write!(f, "CID of {length} bytes (at most {MAX_CID} allowed)")
            }
            CarFault::Truncated => f.write_str("the bytes end too early"),
        }
    }
}

impl std::error::Error for CarError {}

/// Reads a minimal varint from the front: its value and its length in bytes. None: cut short.
pub(super) fn read_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, CarFault> {
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().take(MAX_VARINT).enumerate() {
        // At most 8 * 7 = 56, so the seven bits stay within 63.
        let shift = u32::try_from(place.saturating_mul(7)).unwrap_or_default();
        value |= u64::from(byte & 0x7f)
            .checked_shl(shift)
            .unwrap_or_default();
        if byte & 0x80 == 0 {
            // A last byte of zero says nothing: the number has a shorter form.
            if *byte == 0 && place > 0 {
                return Err(CarFault::Varint);
            }
            return Ok(Some((value, place.saturating_add(1))));
        }
    }
    if bytes.len() >= MAX_VARINT {
        Err(CarFault::Varint)
    } else {
        Ok(None)
    }
}

/// Appends a varint.
pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// A CID as it stands in a CAR. Its digest may be longer than [`Cid`] can hold.
pub(super) struct RawCid<'a> {
    /// Bytes of the whole CID.
    pub len: usize,
    version: u64,
    codec: u64,
    code: u64,
    digest: &'a [u8],
}

impl RawCid<'_> {
    /// The CID, if an index has a use for it: identity CIDs carry their data themselves, and a
    /// digest above 64 bytes belongs to no hash function that blocks are named with.
    pub(super) fn to_indexed(&self) -> Option<Cid> {
        if self.code == IDENTITY {
            None
        } else {
            self.to_cid()
        }
    }

    /// The CID, unless its digest is above 64 bytes.
    pub(super) fn to_cid(&self) -> Option<Cid> {
        let hash = Multihash::wrap(self.code, self.digest).ok()?;
        if self.version == 0 {
            Cid::new_v0(hash).ok()
        } else {
            Some(Cid::new_v1(self.codec, hash))
        }
    }
}

/// Reads a CID of version 0 or 1 from the front (spec index 1.1). None: cut short.
pub(super) fn read_cid(bytes: &[u8]) -> Result<Option<RawCid<'_>>, CarFault> {
    let mut rest = bytes;
    let mut version = 0;
    let mut codec = DAG_PB;
    // The one byte that could still begin a CIDv0 decides nothing; a version 18 does not exist.
    if bytes.len() < 2 {
        return Ok(None);
    }
    if !bytes.starts_with(&[0x12, 0x20]) {
        let Some(value) = take_varint(&mut rest)? else {
            return Ok(None);
        };
        if value != 1 {
            return Err(CarFault::CidVersion(value));
        }
        version = value;
        let Some(value) = take_varint(&mut rest)? else {
            return Ok(None);
        };
        codec = value;
    }
    let Some(code) = take_varint(&mut rest)? else {
        return Ok(None);
    };
    let Some(length) = take_varint(&mut rest)? else {
        return Ok(None);
    };
    let head = bytes.len().saturating_sub(rest.len());
    let whole = length.saturating_add(head as u64);
    if whole > MAX_CID as u64 {
        return Err(CarFault::CidLength(whole));
    }
    let length = usize::try_from(length).map_err(|_| CarFault::CidLength(whole))?;
    let Some(digest) = rest.get(..length) else {
        return Ok(None);
    };
    let len = head.saturating_add(length);
    Ok(Some(RawCid {
        len,
        version,
        codec,
        code,
        digest,
    }))
}

/// Reads a varint and moves on behind it.
fn take_varint(bytes: &mut &[u8]) -> Result<Option<u64>, CarFault> {
    let Some((value, len)) = read_varint(bytes)? else {
        return Ok(None);
    };
    *bytes = bytes.get(len..).unwrap_or_default();
    Ok(Some(value))
}

/// The header of a CARv1 with its length in front (spec index 1.1).
pub fn write_header(roots: &[Cid]) -> Vec<u8> {
    let mut block = vec![0xa2, 0x65];
    block.extend_from_slice(b"roots");
    write_cbor_head(4, roots.len() as u64, &mut block);
    for root in roots {
        let bytes = root.to_bytes();
        block.extend_from_slice(&[0xd8, 0x2a]);
        write_cbor_head(2, (bytes.len() as u64).saturating_add(1), &mut block);
        block.push(0);
        block.extend_from_slice(&bytes);
    }
    block.push(0x67);
    block.extend_from_slice(b"version");
    block.push(1);
    let mut out = Vec::new();
    write_varint(block.len() as u64, &mut out);
    out.extend_from_slice(&block);
    out
}

/// What stands in a section before the data: the length of both, and the CID.
pub fn write_section_head(cid: &Cid, data: u64) -> Vec<u8> {
    let bytes = cid.to_bytes();
    let mut out = Vec::new();
    write_varint((bytes.len() as u64).saturating_add(data), &mut out);
    out.extend_from_slice(&bytes);
    out
}

/// Appends the shortest head of a CBOR item (RFC 8949, 3).
fn write_cbor_head(major: u8, value: u64, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let (info, used) = match value {
        0..24 => (bytes[7], 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    out.push(major.wrapping_shl(5) | info);
    out.extend(bytes.iter().skip(bytes.len().saturating_sub(used)));
}
