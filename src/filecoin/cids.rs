//! The content identifiers of the deal protocols: of pieces in both forms (spec
//! index-announce-retrieve 2.4), of chain objects and of signed proposals (spec boost-mk12 1.5).

use super::{piece_size, varint};
use cid::Cid;
use cid::multihash::Multihash;
use sha2::{Digest, Sha256};

/// Codec of DAG-CBOR, the encoding of chain objects.
pub const DAG_CBOR: u64 = 0x71;
/// Codec of DAG-PB, the encoding of UnixFS directories and large files.
pub const DAG_PB: u64 = 0x70;
/// Codec of bytes without structure.
pub const RAW: u64 = 0x55;
/// Codec of an unsealed piece commitment.
pub const FIL_COMMITMENT_UNSEALED: u64 = 0xf101;
/// Multihash of a piece commitment without its size.
pub const SHA2_256_TRUNC254_PADDED: u64 = 0x1012;
/// Multihash of a piece commitment with padding and tree height (FRC-0069).
pub const FR32_SHA256_TRUNC254_PADBINTREE: u64 = 0x1011;
/// Multihash SHA-256.
pub const SHA2_256: u64 = 0x12;
/// Multihash BLAKE2b with 32 bytes.
pub const BLAKE2B_256: u64 = 0xb220;

/// Leaves of a piece's tree are 32 bytes: log2.
const LEAF_LOG2: u32 = 5;
/// Height of the smallest piece, 128 bytes.
const MIN_HEIGHT: u32 = 2;
/// Height of the largest size that is calculated with, 2^62 bytes.
const MAX_HEIGHT: u32 = 57;

/// The piece CID in the form of the chain (v1): the commitment alone.
pub fn piece_cid(commitment: &[u8; 32]) -> Cid {
    Cid::new_v1(
        FIL_COMMITMENT_UNSEALED,
        multihash(SHA2_256_TRUNC254_PADDED, commitment),
    )
}

/// The commitment, if the CID has exactly the piece prefix (CIDv1, 0xf101, 0x1012, 32 bytes).
pub fn piece_commitment(cid: &Cid) -> Option<[u8; 32]> {
    let fits = cid.version() == cid::Version::V1
        && cid.codec() == FIL_COMMITMENT_UNSEALED
        && cid.hash().code() == SHA2_256_TRUNC254_PADDED;
    if !fits {
        return None;
    }
    cid.hash().digest().try_into().ok()
}

/// The piece CID with sizes (FRC-0069).
///
/// The FRC wants less padding than payload, so `None` unless `padded_size` is the natural size of
/// `payload` bytes; a payload below 127 bytes belongs to the 128-byte piece.
pub fn piece_cid_v2(commitment: &[u8; 32], padded_size: u64, payload: u64) -> Option<Cid> {
    if piece_size::padded_for_payload(payload) != Some(padded_size) {
        return None;
    }
    let padding = piece_size::unpadded(padded_size).checked_sub(payload)?;
    let height = padded_size.ilog2().checked_sub(LEAF_LOG2)?;
    let mut digest = Vec::with_capacity(43);
    varint::put(&mut digest, padding);
    digest.push(u8::try_from(height).ok()?);
    digest.extend_from_slice(commitment);
    Some(Cid::new_v1(
        RAW,
        multihash(FR32_SHA256_TRUNC254_PADBINTREE, &digest),
    ))
}

/// What a piece CID of the second form says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceCidV2 {
    /// The root of the tree.
    pub commitment: [u8; 32],
    /// Padded size in bytes, a power of two.
    pub padded_size: u64,
    /// Bytes before any padding.
    pub payload: u64,
}

/// Reads a piece CID of the second form (FRC-0069); `None` for any other CID, a height below 2 or
/// above 57, and padding that the FRC does not allow.
pub fn parse_piece_cid_v2(cid: &Cid) -> Option<PieceCidV2> {
    let fits = cid.version() == cid::Version::V1
        && cid.codec() == RAW
        && cid.hash().code() == FR32_SHA256_TRUNC254_PADBINTREE;
    if !fits {
        return None;
    }
    let (padding, rest) = varint::get(cid.hash().digest())?;
    let (&height, root) = rest.split_first()?;
    let commitment: [u8; 32] = root.try_into().ok()?;
    let height = u32::from(height);
    if !(MIN_HEIGHT..=MAX_HEIGHT).contains(&height) {
        return None;
    }
    let padded_size = 1_u64.checked_shl(height.checked_add(LEAF_LOG2)?)?;
    let payload = piece_size::unpadded(padded_size).checked_sub(padding)?;
    let natural = piece_size::padded_for_payload(payload) == Some(padded_size);
    natural.then_some(PieceCidV2 {
        commitment,
        padded_size,
        payload,
    })
}

/// CID of a chain object: CIDv1, DAG-CBOR, BLAKE2b-256.
pub fn chain_cid(bytes: &[u8]) -> Cid {
    Cid::new_v1(DAG_CBOR, multihash(BLAKE2B_256, &blake2b_256(bytes)))
}

/// CIDv1 of this codec with SHA-256.
pub fn sha256_cid(codec: u64, bytes: &[u8]) -> Cid {
    Cid::new_v1(codec, multihash(SHA2_256, &Sha256::digest(bytes)))
}

/// BLAKE2b with 32 bytes of output.
pub fn blake2b_256(bytes: &[u8]) -> [u8; 32] {
    let hash = blake2b_simd::Params::new().hash_length(32).hash(bytes);
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    out
}

/// Reads a binary CID that takes up all of `bytes`. Digests above 64 bytes are not supported.
pub fn parse_cid(bytes: &[u8]) -> Option<Cid> {
    let mut rest = bytes;
    let cid = Cid::read_bytes(&mut rest).ok()?;
    rest.is_empty().then_some(cid)
}

/// A digest of at most 64 bytes always fits.
fn multihash(code: u64, digest: &[u8]) -> Multihash<64> {
    Multihash::wrap(code, digest).unwrap_or_default()
}
