//! The walker's saved state: a version byte, then a CBOR array of the fields.

use cid::Cid;
use minicbor::{Decoder, Encoder};

use super::super::car::{CarError, CarFault};
use super::super::header::Header;
use super::super::saved::SaveError;
use super::{CarWalker, MAX_ELEMENT, Stage};

/// Format of the saved record.
const SAVE_VERSION: u8 = 1;

/// Items in the saved record behind its version.
const SAVED_ITEMS: u64 = 12;

impl CarWalker {
    /// The state as a record of a few kilobytes at most.
    pub fn save(&self) -> Vec<u8> {
        let (kind, value) = match self.stage {
            Stage::HeaderLength => (0, 0),
            Stage::Header(end) => (1, end),
            Stage::V2Header => (2, 0),
            Stage::Gap(until) => (3, until),
            Stage::Section => (4, 0),
            Stage::Data(until) => (5, until),
            Stage::Rest => (6, 0),
            Stage::Failed(error) => (7, error.at),
        };
        let fault = match self.stage {
            Stage::Failed(error) => error.fault.to_saved(),
            _ => (0, 0),
        };
        let mut record = vec![SAVE_VERSION];
        let mut e = Encoder::new(&mut record);
        // Writing to a vector cannot fail.
        let _ = self.encode(&mut e, (kind, value), fault);
        record
    }

    fn encode(
        &self,
        e: &mut Encoder<&mut Vec<u8>>,
        stage: (u8, u64),
        fault: (u8, u64),
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        e.array(SAVED_ITEMS)?
            .u8(stage.0)?
            .u64(stage.1)?
            .u8(fault.0)?
            .u64(fault.1)?;
        e.u64(self.position)?
            .bytes(&self.pending)?
            .u8(self.version)?
            .u64(self.limit)?;
        e.u64(self.blocks)?.u64(self.end)?.bool(self.identity)?;
        let numbers = self.header.to_saved();
        e.array(numbers.len().saturating_add(self.header.roots.len()) as u64)?;
        for number in numbers {
            e.u64(number)?;
        }
        for root in &self.header.roots {
            e.bytes(&root.to_bytes())?;
        }
        Ok(())
    }

    /// Takes up a saved state, just after the last byte that had been fed.
    pub fn restore(record: &[u8]) -> Result<Self, SaveError> {
        let (&version, rest) = record.split_first().ok_or(SaveError::Malformed)?;
        if version != SAVE_VERSION {
            return Err(SaveError::Version(version));
        }
        let mut d = Decoder::new(rest);
        if d.array()? != Some(SAVED_ITEMS) {
            return Err(SaveError::Malformed);
        }
        let (kind, value, fault_kind, fault_value) = (d.u8()?, d.u64()?, d.u8()?, d.u64()?);
        let walker = Self {
            stage: read_stage(kind, value, (fault_kind, fault_value))?,
            position: d.u64()?,
            pending: d.bytes()?.to_vec(),
            version: d.u8()?,
            limit: d.u64()?,
            blocks: d.u64()?,
            end: d.u64()?,
            identity: d.bool()?,
            header: read_header_state(&mut d)?,
        };
        let sound = walker.version <= 2 && walker.pending.len() < MAX_ELEMENT;
        if !sound || d.position() != rest.len() {
            return Err(SaveError::Malformed);
        }
        Ok(walker)
    }
}

fn read_stage(kind: u8, value: u64, fault: (u8, u64)) -> Result<Stage, SaveError> {
    Ok(match kind {
        0 => Stage::HeaderLength,
        1 => Stage::Header(value),
        2 => Stage::V2Header,
        3 => Stage::Gap(value),
        4 => Stage::Section,
        5 => Stage::Data(value),
        6 => Stage::Rest,
        7 => {
            let fault = CarFault::from_saved(fault.0, fault.1).ok_or(SaveError::Malformed)?;
            Stage::Failed(CarError { at: value, fault })
        }
        _ => return Err(SaveError::Malformed),
    })
}

fn read_header_state(d: &mut Decoder<'_>) -> Result<Header, SaveError> {
    let items = d.array()?.ok_or(SaveError::Malformed)?;
    let mut numbers = [0; 5];
    for number in &mut numbers {
        *number = d.u64()?;
    }
    let mut roots = Vec::new();
    for _ in numbers.len() as u64..items {
        let root = Cid::try_from(d.bytes()?).map_err(|_| SaveError::Malformed)?;
        roots.push(root);
    }
    Header::from_saved(numbers, roots).ok_or(SaveError::Malformed)
}
