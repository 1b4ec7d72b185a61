//! Walking a CAR while its bytes arrive.
//!
//! The walker is fed chunks of any length and reports each section as soon as its length and CID
//! are there; the data itself it only steps over. Version 2 is version 1 in an envelope: the
//! walker skips to the data, walks it, and ignores all that follows, a client's index included.
//! Offsets count from the start of the piece in both cases (spec index 1.1 to 1.3).

mod saved;

use cid::Cid;

use super::car::{
    Block, CarError, CarFault, MAX_CID, MAX_HEADER, MAX_SECTION, read_cid, read_varint,
};
use super::header::Header;

/// The longest element that is looked at as one: a section's length and CID, or a root with its
/// CBOR heads, each of which may be wider than it needs to be.
const MAX_ELEMENT: usize = MAX_CID + 32;

/// Bytes of a CARv2 before its 40-byte header.
const PRAGMA: u64 = 11;

/// Bytes of the CARv2 header (spec index 1.2).
const V2_HEADER: usize = 40;

/// Where CARv2 data can start at the earliest.
const V2_DATA: u64 = 51;

/// The first number that a CARv2 offset or size cannot be: its implementations use signed ones.
const V2_LIMIT: u64 = 1 << 63;

/// What a walked CAR was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarSummary {
    /// 1 or 2.
    pub version: u8,
    /// The first 16 roots. Those whose digest is above 64 bytes are left out.
    pub roots: Vec<Cid>,
    /// Sections, those included that are not reported as blocks.
    pub blocks: u64,
    /// Bytes from the start of the piece to the end of the last section.
    pub end: u64,
}

/// What the walker stands in front of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The length of a header block.
    HeaderLength,
    /// An element of a header block that ends at this offset.
    Header(u64),
    /// The header behind a CARv2 pragma.
    V2Header,
    /// Bytes before the data of a CARv2, up to this offset.
    Gap(u64),
    /// A section's length and CID, or the end.
    Section,
    /// A section's data, up to this offset.
    Data(u64),
    /// Whatever follows the last section.
    Rest,
    /// Nothing: an element was wrong.
    Failed(CarError),
}

/// A push parser for CARv1 and CARv2 that holds a few kilobytes at most.
#[derive(Debug, Clone)]
pub struct CarWalker {
    stage: Stage,
    /// Bytes from the start of the piece to the element in front.
    position: u64,
    /// The part of that element which has arrived.
    pending: Vec<u8>,
    header: Header,
    /// 1 or 2 once known.
    version: u8,
    /// Where the data of a CARv2 ends.
    limit: u64,
    blocks: u64,
    end: u64,
    /// Whether identity CIDs are reported.
    identity: bool,
}

impl Default for CarWalker {
    fn default() -> Self {
        Self::new()
    }
}

impl CarWalker {
    /// Starts at the first byte of a piece.
    pub fn new() -> Self {
        Self {
            stage: Stage::HeaderLength,
            position: 0,
            pending: Vec::new(),
            header: Header::new(),
            version: 0,
            limit: u64::MAX,
            blocks: 0,
            end: 0,
            identity: false,
        }
    }

    /// Starts at the first byte of a piece and reports identity CIDs like all others, for those
    /// who look at every block.
    pub fn with_identity() -> Self {
        Self {
            identity: true,
            ..Self::new()
        }
    }

    /// Takes the next bytes of the piece and reports the blocks whose section starts in them.
    /// Identity CIDs, and CIDs with a digest above 64 bytes, are not reported: an index has no
    /// use for them.
    ///
    /// An error is final; every later call returns it again.
    pub fn feed(&mut self, data: &[u8], on_block: &mut dyn FnMut(Block)) -> Result<(), CarError> {
        let mut data = data;
        loop {
            self.settle()?;
            if data.is_empty() {
                return Ok(());
            }
            let taken = match self.stage {
                Stage::Failed(error) => return Err(error),
                Stage::Rest => self.skip(data, u64::MAX),
                Stage::Gap(until) | Stage::Data(until) => self.skip(data, until),
                _ => self.take_element(data, on_block)?,
            };
            data = data.get(taken..).unwrap_or_default();
        }
    }

    /// What the CAR was, once its last byte has been fed. An error if that byte was within an
    /// element.
    pub fn finish(&self) -> Result<CarSummary, CarError> {
        match self.stage {
            Stage::Failed(error) => Err(error),
            Stage::Rest => Ok(self.summary()),
            Stage::Section if self.pending.is_empty() => Ok(self.summary()),
            _ => Err(CarError {
                at: self.position,
                fault: CarFault::Truncated,
            }),
        }
    }

    /// The first 16 roots, as far as the header has been read.
    pub fn roots(&self) -> &[Cid] {
        &self.header.roots
    }

    /// Bytes fed so far: where the next chunk belongs in the piece.
    pub fn bytes(&self) -> u64 {
        self.position.saturating_add(self.pending.len() as u64)
    }

    fn summary(&self) -> CarSummary {
        CarSummary {
            version: self.version,
            roots: self.header.roots.clone(),
            blocks: self.blocks,
            end: self.end,
        }
    }

    /// Steps over data up to an offset; says how much of it that was.
    fn skip(&mut self, data: &[u8], until: u64) -> usize {
        let left = until.saturating_sub(self.position);
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        self.position = self.position.saturating_add(taken as u64);
        taken
    }

    /// Moves on where that takes no further bytes.
    fn settle(&mut self) -> Result<(), CarError> {
        match self.stage {
            Stage::Header(end) if self.header.is_complete() => {
                let next = self.close_header(end);
                self.stage = self.or_fail(next)?;
            }
            Stage::Gap(until) if self.position >= until => self.stage = Stage::HeaderLength,
            Stage::Data(until) if self.position >= until => {
                self.end = self.position;
                self.stage = Stage::Section;
            }
            _ => {}
        }
        if self.stage == Stage::Section && self.position >= self.limit {
            self.stage = Stage::Rest;
        }
        Ok(())
    }

    /// Takes as much of `data` as belongs to the element in front; says how much that was.
    fn take_element(
        &mut self,
        data: &[u8],
        on_block: &mut dyn FnMut(Block),
    ) -> Result<usize, CarError> {
        let held = self.pending.len();
        if held == 0 {
            // Nearly always the whole element is there already.
            let step = self.step(data, on_block);
            if let Some(len) = self.or_fail(step)? {
                self.position = self.position.saturating_add(len as u64);
                return Ok(len);
            }
        }
        let room = MAX_ELEMENT.saturating_sub(held).min(data.len());
        let mut element = std::mem::take(&mut self.pending);
        element.extend(data.iter().take(room));
        let step = if held == 0 {
            Ok(None)
        } else {
            self.step(&element, on_block)
        };
        match self.or_fail(step)? {
            Some(len) => {
                self.position = self.position.saturating_add(len as u64);
                element.clear();
                self.pending = element;
                Ok(len.saturating_sub(held))
            }
            None if element.len() >= MAX_ELEMENT => {
                self.or_fail(Err(CarFault::CidLength(element.len() as u64)))
            }
            None => {
                self.pending = element;
                Ok(room)
            }
        }
    }

    /// Makes a fault final, with the place where it showed.
    fn or_fail<T>(&mut self, result: Result<T, CarFault>) -> Result<T, CarError> {
        result.map_err(|fault| {
            let error = CarError {
                at: self.position,
                fault,
            };
            self.stage = Stage::Failed(error);
            self.pending = Vec::new();
            error
        })
    }

    /// Reads one element from the front and says how long it was. None: cut short.
    fn step(
        &mut self,
        bytes: &[u8],
        on_block: &mut dyn FnMut(Block),
    ) -> Result<Option<usize>, CarFault> {
        match self.stage {
            Stage::HeaderLength => self.read_header_length(bytes),
            Stage::Header(end) => self.read_header(bytes, end),
            Stage::V2Header => self.read_v2_header(bytes),
            _ => self.read_section(bytes, on_block),
        }
    }

    fn read_header_length(&mut self, bytes: &[u8]) -> Result<Option<usize>, CarFault> {
        let Some((length, len)) = read_varint(bytes)? else {
            return Ok(None);
        };
        if length == 0 || length > MAX_HEADER {
            return Err(CarFault::HeaderLength(length));
        }
        self.header = Header::new();
        self.stage = Stage::Header(self.bounded_end(len, length)?);
        Ok(Some(len))
    }

    fn read_header(&mut self, bytes: &[u8], end: u64) -> Result<Option<usize>, CarFault> {
        let left = end.saturating_sub(self.position);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        match (
            self.header.step(bytes.get(..left).unwrap_or(bytes))?,
            bytes.len() < left,
        ) {
            (None, false) => Err(CarFault::HeaderSyntax),
            (step, _) => Ok(step),
        }
    }

    /// What comes after a header block.
    fn close_header(&mut self, end: u64) -> Result<Stage, CarFault> {
        if self.position != end {
            return Err(CarFault::HeaderSyntax);
        }
        let within = self.limit != u64::MAX;
        match (self.header.version, self.header.has_roots) {
            (1, true) => {
                if !within {
                    self.version = 1;
                }
                self.end = end;
                Ok(Stage::Section)
            }
            (2, false) if !within && end == PRAGMA => Ok(Stage::V2Header),
            (2, _) if within => Err(CarFault::Version(2)),
            _ => Err(CarFault::HeaderSyntax),
        }
    }

    fn read_v2_header(&mut self, bytes: &[u8]) -> Result<Option<usize>, CarFault> {
        let Some(fields) = bytes.first_chunk::<V2_HEADER>() else {
            return Ok(None);
        };
        let (numbers, _) = fields.as_chunks::<8>();
        // The first two are the characteristics; they say something about the index only.
        let [_, _, offset, size, index] =
            [0, 1, 2, 3, 4].map(|place| numbers.get(place).copied().map_or(0, u64::from_le_bytes));
        if !(V2_DATA..V2_LIMIT).contains(&offset) {
            return Err(CarFault::DataOffset(offset));
        }
        if size == 0 || size >= V2_LIMIT {
            return Err(CarFault::DataSize(size));
        }
        if index >= V2_LIMIT {
            return Err(CarFault::IndexOffset(index));
        }
        self.version = 2;
        // Both are below 2^63, so the sum stays below u64::MAX, which stands for no limit.
        self.limit = offset.saturating_add(size);
        self.stage = Stage::Gap(offset);
        Ok(Some(V2_HEADER))
    }

    fn read_section(
        &mut self,
        bytes: &[u8],
        on_block: &mut dyn FnMut(Block),
    ) -> Result<Option<usize>, CarFault> {
        let Some((length, len)) = read_varint(bytes)? else {
            return Ok(None);
        };
        if length == 0 {
            self.stage = Stage::Rest;
            return Ok(Some(len));
        }
        if length > MAX_SECTION {
            return Err(CarFault::SectionLength(length));
        }
        let until = self.bounded_end(len, length)?;
        let rest = bytes.get(len..).unwrap_or_default();
        let inside = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(raw) = read_cid(rest.get(..inside).unwrap_or(rest))? else {
            let whole = rest.len() >= inside;
            return if whole {
                Err(CarFault::SectionShort)
            } else {
                Ok(None)
            };
        };
        let cid = if self.identity {
            raw.to_cid()
        } else {
            raw.to_indexed()
        };
        if let Some(cid) = cid {
            let size = length.saturating_sub(raw.len as u64);
            on_block(Block {
                cid,
                offset: self.position,
                size,
            });
        }
        self.blocks = self.blocks.saturating_add(1);
        self.stage = Stage::Data(until);
        Ok(Some(len.saturating_add(raw.len)))
    }

    /// Where something ends that is `length` bytes long behind its `len` bytes of length.
    fn bounded_end(&self, len: usize, length: u64) -> Result<u64, CarFault> {
        let end = self
            .position
            .saturating_add(len as u64)
            .saturating_add(length);
        if end > self.limit {
            Err(CarFault::PastData)
        } else {
            Ok(end)
        }
    }
}
