//! Maps with text keys, and the values in them that the chain does not have: what all messages of this room share.

use super::WireError;
use crate::filecoin::cbor::{self, CborError, Out, put_bytes, put_map};
use minicbor::Decoder;
use uuid::Uuid;

/// Longest text of a message, its keys included, in bytes (spec boost-mk12 1.2, size limits).
pub const MAX_TEXT_BYTES: usize = cbor::MAX_TEXT;

/// The major type of a text, in the three high bits of its header.
const TEXT: u8 = 3;

/// Bytes of a UUID.
const UUID_BYTES: usize = 16;

/// An output that begins with a map of this many entries.
pub(super) fn begin(entries: u64) -> Out {
    let mut out = cbor::out();
    put_map(&mut out, entries);
    out
}

pub(super) fn put_key(out: &mut Out, key: &'static str) {
    cbor::put_text(out, key);
}

/// Writes a text, cut at the last character that ends within [`MAX_TEXT_BYTES`]: a longer one would end the
/// reference's encoder in the middle of the map (spec boost-mk12 1.2).
pub(super) fn put_text(out: &mut Out, text: &str) {
    cbor::put_text(out, cut_text(text, MAX_TEXT_BYTES));
}

/// The longest prefix of whole characters that has at most `max` bytes.
pub fn cut_text(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    // A character has at most four bytes, so one of the last four places is a boundary.
    (0..4)
        .find_map(|back| text.get(..max.saturating_sub(back)))
        .unwrap_or_default()
}

pub(super) fn put_uuid(out: &mut Out, uuid: &Uuid) {
    put_bytes(out, uuid.as_bytes());
}

/// Reads a map: `field` is given each key and reads its value, or returns false for a key it does not know, whose
/// value is then skipped. A repeated key comes twice, so that the last one wins.
pub(super) fn each_entry<'b>(
    d: &mut Decoder<'b>,
    mut field: impl FnMut(&[u8], &mut Decoder<'b>) -> Result<bool, WireError>,
) -> Result<(), WireError> {
    for _ in 0..cbor::get_map(d)? {
        let key = raw_text(d, "key")?;
        if !field(key, d)? {
            cbor::skip(d)?;
        }
    }
    Ok(())
}

/// A text of at most [`MAX_TEXT_BYTES`]. The reference does not check that such a text is UTF-8 (it does for a
/// deal's label only), so what is not becomes the replacement character instead of an error.
pub(super) fn get_text(d: &mut Decoder<'_>, name: &'static str) -> Result<String, WireError> {
    raw_text(d, name).map(|text| String::from_utf8_lossy(text).into_owned())
}

pub(super) fn get_uuid(d: &mut Decoder<'_>, name: &'static str) -> Result<Uuid, WireError> {
    let raw = cbor::get_bytes(d, UUID_BYTES)?;
    Uuid::from_slice(&raw).map_err(|_| WireError::Field(name))
}

/// A value that may be null.
pub(super) fn nullable<'b, T>(
    d: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, WireError>,
) -> Result<Option<T>, WireError> {
    if cbor::take_null(d) {
        Ok(None)
    } else {
        read(d).map(Some)
    }
}

/// The content of a text of at most [`MAX_TEXT_BYTES`], whatever its bytes.
fn raw_text<'b>(d: &mut Decoder<'b>, name: &'static str) -> Result<&'b [u8], WireError> {
    let input = d.input();
    let start = d.position();
    cbor::skip(d)?;
    let item = input.get(start..d.position());
    let (first, rest) = item
        .and_then(<[u8]>::split_first)
        .ok_or(WireError::Cbor(CborError::Truncated))?;
    let length_bytes = match first & 0x1f {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        _ => 8,
    };
    match rest.get(length_bytes..) {
        Some(text) if first >> 5 == TEXT && text.len() <= MAX_TEXT_BYTES => Ok(text),
        _ => Err(WireError::Field(name)),
    }
}
