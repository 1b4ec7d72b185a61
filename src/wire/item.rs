//! Taking one item off a stream.

use super::WireError;
use crate::filecoin::cbor::Scanner;
use futures::{AsyncRead, AsyncReadExt};

/// Total bytes of a request or answer without large fields: a handful of texts of 8 KiB, and room for keys that
/// are skipped.
pub const SMALL_ITEM_BYTES: u64 = 64 * 1024;

/// Total bytes of a message that may hold the two large fields at once, `Params` and a label of 2 MiB each
/// (spec boost-mk12 1.2). The reference has no limit on the whole; what goes beyond this can only be skipped keys.
const LARGE_ITEM_BYTES: u64 = 4 * 1024 * 1024 + 4 * SMALL_ITEM_BYTES;

/// Bytes asked of the stream at once: a usual proposal with its headers comes in one piece.
const CHUNK_BYTES: usize = 4096;

/// How much of a stream one item may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemLimits {
    /// Largest item, in bytes, its headers included.
    pub total: u64,
}

impl ItemLimits {
    /// For status, ask and short answers.
    pub const SMALL: Self = Self {
        total: SMALL_ITEM_BYTES,
    };
    /// For proposals, and for status answers, which hold a proposal.
    pub const LARGE: Self = Self {
        total: LARGE_ITEM_BYTES,
    };
}

/// Reads exactly one complete item, as soon as its last byte is there: neither an end of the stream nor a byte
/// after the item is waited for. The result may be followed by bytes that happened to come along with it.
///
/// Memory grows with the bytes that have come, not with what a header declares.
///
/// # Errors
/// The item is not strict CBOR, is larger than the limit or declares to be, or the stream failed or ended before the item did.
pub async fn read_item<R: AsyncRead + Unpin>(
    stream: &mut R,
    limits: ItemLimits,
) -> Result<Vec<u8>, WireError> {
    let mut reader = ItemReader::new();
    reader.read(stream, limits).await?;
    Ok(reader.into_bytes())
}

/// An item that is being read, so that a reader may stop at a first limit and go on to a larger one.
pub(crate) struct ItemReader {
    scanner: Scanner,
    bytes: Vec<u8>,
    complete: bool,
}

impl ItemReader {
    pub(crate) fn new() -> Self {
        Self {
            scanner: Scanner::new(),
            bytes: Vec::new(),
            complete: false,
        }
    }

    /// Reads on until the item is complete; see [`read_item`]. After [`WireError::TooLarge`] it may be called again
    /// with a larger limit.
    pub(crate) async fn read<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        limits: ItemLimits,
    ) -> Result<(), WireError> {
        let mut chunk = [0u8; CHUNK_BYTES];
        while !self.complete {
            let have = self.bytes.len() as u64;
            // What the item declares counts, so that a claim beyond the limit is refused before its bytes come. At
            // least one byte is to come as long as it is not complete.
            if have.saturating_add(self.scanner.least_to_come()) > limits.total {
                return Err(WireError::TooLarge(limits.total));
            }
            let room = limits.total.saturating_sub(have);
            let room = usize::try_from(room).map_or(CHUNK_BYTES, |room| room.min(CHUNK_BYTES));
            let space = chunk.get_mut(..room).unwrap_or_default();
            let count = match stream.read(space).await {
                Ok(0) => return Err(WireError::Ended { after: have }),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(WireError::Io(error.kind())),
            };
            let come = chunk.get(..count).unwrap_or_default();
            self.bytes.extend_from_slice(come);
            self.complete = self.scanner.feed(come)?.is_some();
        }
        Ok(())
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
