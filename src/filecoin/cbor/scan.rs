//! Finds where one item ends, under the rules by which the reference skips a value that it does
//! not know (spec boost-mk12 1.2): shortest headers, definite lengths, and every CID a valid one.
//! Simple values and floats are taken by their header alone.

use super::{ARRAY, BYTES, CID_TAG, CborError, Head, MAP, TAG, TEXT, cid_content, read_head};

/// Arrays and maps within each other. The reference has no limit; no message nests more than five,
/// and a level costs eight bytes here but a stack frame in many decoders.
pub const MAX_DEPTH: usize = 128;
/// Elements of one array, or keys and values of one map. A claim beyond that is longer than any
/// message of ours, so it is refused before its bytes are waited for.
pub const MAX_SCAN_ENTRIES: u64 = 1 << 20;
/// Bytes of a CID within a skipped value, with its leading zero (spec boost-mk12 1.2). No CID of
/// at most 64 bytes of digest is longer.
const MAX_SKIPPED_CID: u64 = 100;

/// An incremental scan of one item.
///
/// It takes the bytes in any portions and keeps at most a header or a CID, and the count of open
/// elements per level.
#[derive(Debug)]
pub struct Scanner {
    /// Elements still to come, per open array or map; the bottom one is the item itself.
    open: Vec<u64>,
    /// The bytes of a header or CID that is not complete; at most 100.
    held: Vec<u8>,
    /// What the next byte belongs to.
    state: State,
    /// Bytes of the item so far.
    taken: u64,
}

#[derive(Debug)]
enum State {
    /// A header.
    Head,
    /// The header after the tag of a CID.
    CidHead,
    /// A CID of this many bytes.
    Cid(u64),
    /// A string with this many bytes to come.
    String(u64),
    /// Nothing: the item is complete.
    Done,
    /// Nothing: a rule was broken.
    Failed(CborError),
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scan at the beginning of an item.
    pub fn new() -> Self {
        Self {
            open: vec![1],
            held: Vec::new(),
            state: State::Head,
            taken: 0,
        }
    }

    /// Takes the next bytes. Once the item is complete: the position of its end within all bytes
    /// that were fed; bytes after it are not looked at. An error stays.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<u64>, CborError> {
        let mut rest = bytes;
        while !rest.is_empty() && !matches!(self.state, State::Done | State::Failed(_)) {
            if let Err(error) = self.step(&mut rest) {
                self.state = State::Failed(error);
            }
        }
        match &self.state {
            State::Done => Ok(Some(self.taken)),
            State::Failed(error) => Err(error.clone()),
            _ => Ok(None),
        }
    }

    /// The least number of bytes that the item still needs: 0 once it is complete. A reader with
    /// a size limit can refuse a claim that would exceed it without reading on.
    pub fn least_to_come(&self) -> u64 {
        let current = match self.state {
            State::Done | State::Failed(_) => return 0,
            State::Head | State::CidHead => 0,
            State::Cid(len) => len.saturating_sub(self.held.len() as u64),
            State::String(left) => left,
        };
        let elements = self
            .open
            .iter()
            .fold(0_u64, |n, left| n.saturating_add(*left));
        // Every open level but the innermost counts the level above it as one element.
        let levels = (self.open.len() as u64).saturating_sub(1);
        let whole = elements.saturating_sub(levels);
        if current == 0 {
            whole
        } else {
            current.saturating_add(whole).saturating_sub(1)
        }
    }

    /// Takes at least one byte of `rest`, which is not empty.
    fn step(&mut self, rest: &mut &[u8]) -> Result<(), CborError> {
        match self.state {
            State::Head | State::CidHead => {
                self.hold(1, rest);
                let Some(head) = read_head(&self.held)? else {
                    return Ok(());
                };
                self.held.clear();
                if matches!(self.state, State::CidHead) {
                    self.enter_cid(head)
                } else {
                    self.enter(head)
                }
            }
            State::Cid(len) => {
                self.hold(len.saturating_sub(self.held.len() as u64), rest);
                if self.held.len() as u64 == len {
                    cid_content(&self.held)?;
                    self.held.clear();
                    self.close();
                }
                Ok(())
            }
            State::String(left) => {
                let left = left.saturating_sub(self.take(left, rest).len() as u64);
                self.state = State::String(left);
                if left == 0 {
                    self.close();
                }
                Ok(())
            }
            State::Done | State::Failed(_) => Ok(()),
        }
    }

    /// Takes up to `n` bytes off `rest`.
    fn take<'b>(&mut self, n: u64, rest: &mut &'b [u8]) -> &'b [u8] {
        let n = usize::try_from(n).unwrap_or(usize::MAX).min(rest.len());
        let (taken, left) = rest.split_at_checked(n).unwrap_or_default();
        *rest = left;
        self.taken = self.taken.saturating_add(taken.len() as u64);
        taken
    }

    /// Moves up to `n` bytes from `rest` to the held ones.
    fn hold(&mut self, n: u64, rest: &mut &[u8]) {
        let taken = self.take(n, rest);
        self.held.extend_from_slice(taken);
    }

    /// Goes on after the header of an item.
    fn enter(&mut self, head: Head) -> Result<(), CborError> {
        match head.major {
            BYTES | TEXT if head.value > 0 => self.state = State::String(head.value),
            ARRAY => self.open(Some(head.value))?,
            MAP => self.open(head.value.checked_mul(2))?,
            TAG if head.value == CID_TAG => self.state = State::CidHead,
            // The tagged item is the one that counts.
            TAG => self.state = State::Head,
            _ => self.close(),
        }
        Ok(())
    }

    fn enter_cid(&mut self, head: Head) -> Result<(), CborError> {
        if head.major != BYTES {
            return Err(CborError::Malformed("a CID that is not a byte string"));
        }
        match head.value {
            0 => Err(CborError::Malformed("an empty CID")),
            1..=MAX_SKIPPED_CID => {
                self.state = State::Cid(head.value);
                Ok(())
            }
            _ => Err(CborError::TooLong("CID")),
        }
    }

    /// Opens an array or map of this many items.
    fn open(&mut self, items: Option<u64>) -> Result<(), CborError> {
        let items = items.filter(|n| *n <= MAX_SCAN_ENTRIES);
        match items {
            None => return Err(CborError::TooLong("array or map")),
            Some(0) => self.close(),
            // The bottom level is the item itself.
            Some(_) if self.open.len() > MAX_DEPTH => return Err(CborError::TooDeep),
            Some(n) => {
                self.open.push(n);
                self.state = State::Head;
            }
        }
        Ok(())
    }

    /// Ends an item, and with it every array or map whose last one it was.
    fn close(&mut self) {
        self.state = State::Head;
        while let Some(left) = self.open.last_mut() {
            *left = left.saturating_sub(1);
            if *left > 0 {
                return;
            }
            self.open.pop();
        }
        self.state = State::Done;
    }
}

/// Scans a whole slice: the length of the first item.
pub fn scan(bytes: &[u8]) -> Result<usize, CborError> {
    let end = Scanner::new().feed(bytes)?.ok_or(CborError::Truncated)?;
    usize::try_from(end).map_err(|_| CborError::Truncated)
}
