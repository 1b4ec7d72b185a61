//! RLE+ bitfields: sets of positions as run lengths, packed into bits
//! (spec chain-sealer-rpc D.4).
//!
//! Bits are read from the low end of each byte. After a version (two zero bits) and the value of
//! the first run come blocks, one run each: `1` is a run of one, `01` and four bits a run of 0 to
//! 15, `00` and a varint any run. The runs' values alternate; a run of length zero ends the set.

use std::fmt;
use std::ops::Range;

/// The longest encoding that is read (spec chain-sealer-rpc D.4).
pub const MAX_BYTES: usize = 32 * 1024;
/// Groups of seven bits in a run's varint.
const MAX_GROUPS: u32 = 10;
/// The shortest run that takes the varint form.
const LONG_RUN: u64 = 16;

/// Why bytes are not a bitfield; the text says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitfieldError(pub &'static str);

impl fmt::Display for BitfieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed bitfield: {}", self.0)
    }
}

impl std::error::Error for BitfieldError {}

/// The RLE+ bytes of these positions, which ascend; one that does not is left out. So is the
/// position `u64::MAX`, which has no place in a bitfield.
pub fn encode(set: &[u64]) -> Vec<u8> {
    let mut ranges = Vec::new();
    for &position in set {
        push(&mut ranges, position..position.saturating_add(1));
    }
    encode_ranges(&ranges)
}

/// Appends a range to ascending ones, or extends the last one by it. What lies below the end of
/// the last one is left out.
fn push(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
        _ if range.is_empty() => {}
        _ => ranges.push(range),
    }
}

/// The RLE+ bytes of these ranges, which ascend.
pub fn encode_ranges(ranges: &[Range<u64>]) -> Vec<u8> {
    let mut apart = Vec::new();
    for range in ranges {
        push(&mut apart, range.clone());
    }
    if apart.is_empty() {
        return Vec::new();
    }
    let mut lengths = run_lengths(&apart).into_iter().peekable();
    // The zero-run at the front says by its length which value the first real run has.
    let ones_first = lengths.next_if_eq(&0).is_some();
    let mut bits = BitWriter::default();
    bits.put(0, 2);
    bits.put(u64::from(ones_first), 1);
    for length in lengths {
        match length {
            1 => bits.put(1, 1),
            2..LONG_RUN => {
                bits.put(0b10, 2);
                bits.put(length, 4);
            }
            _ => {
                bits.put(0, 2);
                bits.put_varint(length);
            }
        }
    }
    bits.finish()
}

/// The ranges of set bits in RLE+ bytes, ascending and not touching; at most `max_ranges`.
pub fn decode(bytes: &[u8], max_ranges: usize) -> Result<Vec<Range<u64>>, BitfieldError> {
    let mut ranges = Vec::new();
    if bytes.is_empty() {
        return Ok(ranges);
    }
    if bytes.len() > MAX_BYTES {
        return Err(BitfieldError("longer than 32 KiB"));
    }
    if bytes.last() == Some(&0) {
        return Err(BitfieldError("a zero byte at the end"));
    }
    let mut bits = BitReader { bytes, at: 0 };
    if bits.take(2) != 0 {
        return Err(BitfieldError("unknown version"));
    }
    let mut set = bits.take(1) == 1;
    let mut position: u64 = 0;
    loop {
        let length = bits.run()?;
        if length == 0 {
            return Ok(ranges);
        }
        let end = position
            .checked_add(length)
            .ok_or(BitfieldError("beyond 64 bits"))?;
        if set {
            if ranges.len() >= max_ranges {
                return Err(BitfieldError("too many ranges"));
            }
            ranges.push(position..end);
        }
        set = !set;
        position = end;
    }
}

/// Whether bit `i` is set, and how many set bits lie below it, in ranges that ascend.
pub fn rank(ranges: &[Range<u64>], i: u64) -> (bool, u64) {
    let mut below: u64 = 0;
    for range in ranges {
        if range.start > i {
            break;
        }
        let end = range.end.min(i);
        below = below.saturating_add(end.saturating_sub(range.start));
        if range.contains(&i) {
            return (true, below);
        }
    }
    (false, below)
}

/// The JSON form: run lengths, beginning with a run of zeros that may be empty. The empty set is
/// that run alone.
pub fn run_lengths(ranges: &[Range<u64>]) -> Vec<u64> {
    if ranges.is_empty() {
        return vec![0];
    }
    let mut lengths = Vec::new();
    let mut at: u64 = 0;
    for range in ranges {
        lengths.push(range.start.saturating_sub(at));
        lengths.push(range.end.saturating_sub(range.start));
        at = range.end;
    }
    lengths
}

/// The ranges of the JSON form. Empty runs join their neighbours; at most `max_ranges`.
pub fn from_run_lengths(
    lengths: &[u64],
    max_ranges: usize,
) -> Result<Vec<Range<u64>>, BitfieldError> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut at: u64 = 0;
    for (index, &length) in lengths.iter().enumerate() {
        let end = at
            .checked_add(length)
            .ok_or(BitfieldError("beyond 64 bits"))?;
        if index % 2 == 1 {
            push(&mut ranges, at..end);
        }
        if ranges.len() > max_ranges {
            return Err(BitfieldError("too many ranges"));
        }
        at = end;
    }
    Ok(ranges)
}

/// Appends bits from the low end of each byte.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    /// Bits in the last byte that are still free.
    free: u32,
}

impl BitWriter {
    /// Appends the low `count` bits of `value`, lowest first.
    fn put(&mut self, value: u64, count: u32) {
        for n in 0..count {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let bit = u8::from((value >> n) & 1 == 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << 8_u32.saturating_sub(self.free);
            }
            self.free = self.free.saturating_sub(1);
        }
    }

    fn put_varint(&mut self, value: u64) {
        let mut bytes = Vec::new();
        super::varint::put(&mut bytes, value);
        for byte in bytes {
            self.put(byte.into(), 8);
        }
    }

    /// The bytes without zeros at the end; reading goes on as if they were there.
    fn finish(mut self) -> Vec<u8> {
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }
}

/// Takes bits from the low end of each byte; zeros after the last one.
struct BitReader<'b> {
    bytes: &'b [u8],
    /// Bits taken so far.
    at: usize,
}

impl BitReader<'_> {
    /// The next `count` bits, at most eight; the first one is the lowest.
    fn take(&mut self, count: u32) -> u64 {
        let mut value = 0;
        for n in 0..count {
            let byte = self.bytes.get(self.at / 8).copied().unwrap_or(0);
            let bit = (byte >> (self.at % 8)) & 1;
            value |= u64::from(bit) << n;
            self.at = self.at.saturating_add(1);
        }
        value
    }

    /// The length of the next run; 0 at the end.
    fn run(&mut self) -> Result<u64, BitfieldError> {
        if self.take(1) == 1 {
            return Ok(1);
        }
        if self.take(1) == 1 {
            return Ok(self.take(4));
        }
        let mut length: u64 = 0;
        for group in 0..MAX_GROUPS {
            let byte = self.take(8);
            let shift = group.saturating_mul(7);
            let bits = byte & 0x7f;
            let placed = bits << shift;
            if placed >> shift != bits {
                return Err(BitfieldError("a run beyond 64 bits"));
            }
            length |= placed;
            if byte & 0x80 == 0 {
                return if byte == 0 && group > 0 {
                    Err(BitfieldError("a run not in its shortest form"))
                } else {
                    Ok(length)
                };
            }
        }
        Err(BitfieldError("a run beyond 64 bits"))
    }
}
