//! Strict CBOR as the chain and the deal protocols write and read it (spec boost-mk12 1.2, 1.3).
//!
//! Every header is in its shortest form and every length is definite; what breaks that is refused,
//! not repaired. The `get_*` functions check this themselves, so a decoder need not be preceded by
//! a scan; [`Scanner`] is for streams, where the end of an item has to be found without waiting
//! for the end of the stream.

mod scan;

pub use scan::{Scanner, scan};

use super::{Address, Signature, TokenAmount, address, cids, signature, token};
use cid::Cid;
use minicbor::{Decoder, Encoder};
use std::fmt;

/// Unsigned integer.
const UNSIGNED: u8 = 0;
/// Negative integer.
const NEGATIVE: u8 = 1;
/// Byte string.
const BYTES: u8 = 2;
/// Text string.
const TEXT: u8 = 3;
/// Array.
const ARRAY: u8 = 4;
/// Map.
const MAP: u8 = 5;
/// Tag.
const TAG: u8 = 6;
/// Simple values and floats.
const OTHER: u8 = 7;

/// The tag of a content identifier.
const CID_TAG: u64 = 42;
/// `false` as a simple value.
const FALSE: u64 = 20;
/// `true` as a simple value.
const TRUE: u64 = 21;
/// `null` as a whole item.
const NULL: u8 = 0xf6;

/// Elements of an array and entries of a map (spec boost-mk12 1.2).
pub const MAX_ENTRIES: u64 = 8192;
/// Bytes of a CID field, with its leading zero (spec boost-mk12 1.2).
pub const MAX_CID: usize = 512;
/// Bytes of a text field or key (spec boost-mk12 1.2).
pub const MAX_TEXT: usize = 8192;
/// Bytes of a byte string field (spec boost-mk12 1.2).
pub const MAX_BYTES: usize = 2_097_152;

/// Why bytes are not the item that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CborError {
    /// The bytes break a rule or hold another kind of item; the text says which.
    Malformed(&'static str),
    /// The bytes end inside an item.
    Truncated,
    /// A length or count is beyond the limit of the named thing.
    TooLong(&'static str),
    /// Arrays and maps are nested too deep.
    TooDeep,
    /// Bytes follow the item.
    Trailing,
}

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed CBOR: {what}"),
            Self::Truncated => f.write_str("the CBOR ends inside an item"),
            Self::TooLong(what) => write!(f, "malformed CBOR: {what} too long"),
            Self::TooDeep => f.write_str("the CBOR is nested too deep"),
            Self::Trailing => f.write_str("bytes follow the CBOR item"),
        }
    }
}

impl std::error::Error for CborError {}

/// What is encoded into. Writing into it cannot fail, so the `put_*` functions return nothing.
pub type Out = Encoder<Vec<u8>>;

/// An empty output.
pub fn out() -> Out {
    Encoder::new(Vec::new())
}

/// An item's header: major type, value, and the bytes it takes.
#[derive(Clone, Copy)]
struct Head {
    major: u8,
    value: u64,
    len: usize,
}

/// Reads the header at the front of `bytes`; `None` if it is not all there yet.
fn read_head(bytes: &[u8]) -> Result<Option<Head>, CborError> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let (major, info) = (first >> 5, first & 0x1f);
    let size: usize = match info {
        0..=23 => {
            return Ok(Some(Head {
                major,
                value: info.into(),
                len: 1,
            }));
        }
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        31 => return Err(CborError::Malformed("indefinite length")),
        _ => return Err(CborError::Malformed("reserved header")),
    };
    let Some(value) = rest.get(..size) else {
        return Ok(None);
    };
    let value = value.iter().fold(0_u64, |n, &b| (n << 8) | u64::from(b));
    // The smallest value that needs this many bytes.
    let least: u64 = match size {
        1 => 24,
        2 => 1 << 8,
        4 => 1 << 16,
        _ => 1 << 32,
    };
    if value < least {
        return Err(CborError::Malformed("header not in its shortest form"));
    }
    Ok(Some(Head {
        major,
        value,
        len: size.saturating_add(1),
    }))
}

/// What is left to decode.
fn rest<'b>(d: &Decoder<'b>) -> &'b [u8] {
    d.input().get(d.position()..).unwrap_or_default()
}

/// Reads a header whatever its major type.
fn head(d: &mut Decoder<'_>) -> Result<Head, CborError> {
    let head = read_head(rest(d))?.ok_or(CborError::Truncated)?;
    d.set_position(d.position().saturating_add(head.len));
    Ok(head)
}

/// Reads a header of this major type, or leaves the decoder where it was.
fn expect(d: &mut Decoder<'_>, major: u8, else_: &'static str) -> Result<u64, CborError> {
    let at = d.position();
    let head = head(d)?;
    if head.major != major {
        d.set_position(at);
        return Err(CborError::Malformed(else_));
    }
    Ok(head.value)
}

/// Takes the content of a string of `len` bytes.
fn take<'b>(
    d: &mut Decoder<'b>,
    len: u64,
    max: usize,
    what: &'static str,
) -> Result<&'b [u8], CborError> {
    let len = usize::try_from(len).map_err(|_| CborError::TooLong(what))?;
    if len > max {
        return Err(CborError::TooLong(what));
    }
    let content = rest(d).get(..len).ok_or(CborError::Truncated)?;
    d.set_position(d.position().saturating_add(len));
    Ok(content)
}

fn put_head(out: &mut Out, major: u8, value: u64) {
    let bytes = out.writer_mut();
    let major = major << 5;
    let be = value.to_be_bytes();
    let (info, size) = match value {
        0..=23 => {
            bytes.push(major | be[7]);
            return;
        }
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    bytes.push(major | info);
    bytes.extend(be.iter().skip(8_usize.saturating_sub(size)));
}

/// Writes an unsigned integer.
pub fn put_u64(out: &mut Out, n: u64) {
    put_head(out, UNSIGNED, n);
}

/// Writes a signed integer.
pub fn put_i64(out: &mut Out, n: i64) {
    match u64::try_from(n) {
        Ok(n) => put_head(out, UNSIGNED, n),
        // The value of a negative n is -1 - n, which is its complement.
        Err(_) => put_head(out, NEGATIVE, (!n).unsigned_abs()),
    }
}

/// Writes a boolean.
pub fn put_bool(out: &mut Out, b: bool) {
    put_head(out, OTHER, if b { TRUE } else { FALSE });
}

/// Writes a null.
pub fn put_null(out: &mut Out) {
    out.writer_mut().push(NULL);
}

/// Writes a byte string.
pub fn put_bytes(out: &mut Out, b: &[u8]) {
    put_head(out, BYTES, b.len() as u64);
    out.writer_mut().extend_from_slice(b);
}

/// Writes a text string.
pub fn put_text(out: &mut Out, s: &str) {
    put_head(out, TEXT, s.len() as u64);
    out.writer_mut().extend_from_slice(s.as_bytes());
}

/// Writes the header of an array; its elements follow.
pub fn put_array(out: &mut Out, len: u64) {
    put_head(out, ARRAY, len);
}

/// Writes the header of a map; its keys and values follow in turn.
pub fn put_map(out: &mut Out, len: u64) {
    put_head(out, MAP, len);
}

/// Writes a content identifier.
pub fn put_cid(out: &mut Out, cid: &Cid) {
    let cid = cid.to_bytes();
    put_head(out, TAG, CID_TAG);
    put_head(out, BYTES, (cid.len() as u64).saturating_add(1));
    out.writer_mut().push(0);
    out.writer_mut().extend_from_slice(&cid);
}

/// Writes an address.
pub fn put_address(out: &mut Out, a: &Address) {
    put_bytes(out, a.as_bytes());
}

/// Writes an amount.
pub fn put_amount(out: &mut Out, a: &TokenAmount) {
    put_bytes(out, &a.to_bytes());
}

/// Writes a signature.
pub fn put_signature(out: &mut Out, s: &Signature) {
    put_bytes(out, &s.to_bytes());
}

/// Reads a content identifier.
pub fn get_cid(d: &mut Decoder<'_>) -> Result<Cid, CborError> {
    if expect(d, TAG, "not a CID")? != CID_TAG {
        return Err(CborError::Malformed("not a CID"));
    }
    let len = expect(d, BYTES, "a CID that is not a byte string")?;
    cid_content(take(d, len, MAX_CID, "CID")?)
}

/// Reads a CID from the content of its byte string.
fn cid_content(content: &[u8]) -> Result<Cid, CborError> {
    let cid = content
        .strip_prefix(&[0])
        .ok_or(CborError::Malformed("a CID without leading 00"))?;
    cids::parse_cid(cid).ok_or(CborError::Malformed("invalid CID"))
}

/// Reads an address.
pub fn get_address(d: &mut Decoder<'_>) -> Result<Address, CborError> {
    let len = expect(d, BYTES, "an address that is not a byte string")?;
    let content = take(d, len, address::MAX_BYTES, "address")?;
    Address::from_bytes(content).map_err(|_| CborError::Malformed("invalid address"))
}

/// Reads an amount.
pub fn get_amount(d: &mut Decoder<'_>) -> Result<TokenAmount, CborError> {
    let len = expect(d, BYTES, "an amount that is not a byte string")?;
    let content = take(d, len, token::MAX_BYTES, "amount")?;
    TokenAmount::from_bytes(content).ok_or(CborError::Malformed("invalid sign of an amount"))
}

/// Reads a signature.
pub fn get_signature(d: &mut Decoder<'_>) -> Result<Signature, CborError> {
    let len = expect(d, BYTES, "a signature that is not a byte string")?;
    let content = take(d, len, signature::MAX_BYTES, "signature")?;
    Signature::from_bytes(content).ok_or(CborError::Malformed("unknown type of signature"))
}

/// Reads a text string of at most `max` bytes.
pub fn get_text(d: &mut Decoder<'_>, max: usize) -> Result<String, CborError> {
    let len = expect(d, TEXT, "not a text string")?;
    let content = take(d, len, max, "text")?;
    String::from_utf8(content.to_vec()).map_err(|_| CborError::Malformed("text is not UTF-8"))
}

/// Reads a byte string of at most `max` bytes.
pub fn get_bytes(d: &mut Decoder<'_>, max: usize) -> Result<Vec<u8>, CborError> {
    let len = expect(d, BYTES, "not a byte string")?;
    take(d, len, max, "byte string").map(<[u8]>::to_vec)
}

/// Reads an unsigned integer.
pub fn get_u64(d: &mut Decoder<'_>) -> Result<u64, CborError> {
    expect(d, UNSIGNED, "not an unsigned integer")
}

/// Reads a signed integer, whose magnitude fits 63 bits.
pub fn get_i64(d: &mut Decoder<'_>) -> Result<i64, CborError> {
    let at = d.position();
    let head = head(d)?;
    let value =
        i64::try_from(head.value).map_err(|_| CborError::Malformed("integer beyond 63 bits"));
    match head.major {
        UNSIGNED => value,
        NEGATIVE => value.map(|n| !n),
        _ => {
            d.set_position(at);
            Err(CborError::Malformed("not an integer"))
        }
    }
}

/// Reads a boolean, in its one-byte form.
pub fn get_bool(d: &mut Decoder<'_>) -> Result<bool, CborError> {
    match expect(d, OTHER, "not a boolean")? {
        FALSE => Ok(false),
        TRUE => Ok(true),
        _ => Err(CborError::Malformed("not a boolean")),
    }
}

/// Takes a null if one is next, and says whether it was.
pub fn take_null(d: &mut Decoder<'_>) -> bool {
    let found = rest(d).first() == Some(&NULL);
    if found {
        d.set_position(d.position().saturating_add(1));
    }
    found
}

/// Reads the header of an array: its number of elements, at most 8192.
pub fn get_array(d: &mut Decoder<'_>) -> Result<u64, CborError> {
    let len = expect(d, ARRAY, "not an array")?;
    if len > MAX_ENTRIES {
        Err(CborError::TooLong("array"))
    } else {
        Ok(len)
    }
}

/// Reads the header of an array that must have exactly `len` elements.
pub fn expect_array(d: &mut Decoder<'_>, len: u64) -> Result<(), CborError> {
    if expect(d, ARRAY, "not an array")? == len {
        Ok(())
    } else {
        Err(CborError::Malformed("wrong number of array elements"))
    }
}

/// Reads the header of a map: its number of entries, at most 8192.
pub fn get_map(d: &mut Decoder<'_>) -> Result<u64, CborError> {
    let len = expect(d, MAP, "not a map")?;
    if len > MAX_ENTRIES {
        Err(CborError::TooLong("map"))
    } else {
        Ok(len)
    }
}

/// Whether the next item is a byte string.
pub fn is_bytes(d: &Decoder<'_>) -> bool {
    rest(d).first().is_some_and(|b| b >> 5 == BYTES)
}

/// Skips one whole item, of any kind, under the scanner's rules.
pub fn skip(d: &mut Decoder<'_>) -> Result<(), CborError> {
    let len = scan(rest(d))?;
    d.set_position(d.position().saturating_add(len));
    Ok(())
}

/// Decodes `bytes` as exactly one item, with nothing after it.
pub fn decode_all<'b, T>(
    bytes: &'b [u8],
    decode: impl FnOnce(&mut Decoder<'b>) -> Result<T, CborError>,
) -> Result<T, CborError> {
    let mut d = Decoder::new(bytes);
    let value = decode(&mut d)?;
    if rest(&d).is_empty() {
        Ok(value)
    } else {
        Err(CborError::Trailing)
    }
}

/// Encodes by filling an empty output.
pub fn encoded(fill: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut out = out();
    fill(&mut out);
    out.into_writer()
}
