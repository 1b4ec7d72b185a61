//! Looking at an import's file when its turn has come, on a thread of its own: its disk may be slow, or gone.

use crate::deal::Deal;
use crate::market::disk::{Disk, free_bytes};
use crate::market::files::Files;
use std::path::Path;

/// What the file needs and what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::market) struct Look {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes that the staging disk has free.
    pub disk_free: u64,
}

/// Bytes of the largest piece that any sector holds: a file beyond it is not read to learn that it is another one.
const PIECE_BYTES_MAX: u64 = 64 << 30;

/// The share of the data that block entries and index may take: some 120 bytes for each block, so 1/256 is enough for
/// blocks of 32 KiB; usual ones have 256 KiB and more.
const INDEX_SHARE: u64 = 256;

impl Look {
    /// Bytes that the import will take on our disk; its data stays where it is.
    pub(in crate::market) fn needs(&self) -> u64 {
        self.bytes.div_ceil(INDEX_SHARE)
    }
}

/// Looks at the file; an error says what is wrong with it and what to do.
pub(in crate::market) fn look(deal: &Deal, files: &Files, disk: &dyn Disk) -> Result<Look, String> {
    let path = Path::new(deal.import.as_ref().map_or("", |import| &import.path));
    let wrong = |what: &str| format!("imported offline deal file '{}': {what}", path.display());
    let cannot = |error: std::io::Error| wrong(&format!("cannot be read: {error}"));
    let found = disk.look(path).map_err(cannot)?;
    if !found.regular {
        return Err(wrong("is not a regular file"));
    }
    if found.bytes > PIECE_BYTES_MAX {
        return Err(wrong(&format!(
            "has {} bytes, more than any piece: it is another file than that of {}",
            found.bytes,
            deal.proposal().piece_cid
        )));
    }
    disk.may_read(path).map_err(cannot)?;
    let real = disk.real(path).map_err(cannot)?;
    for (directory, setting) in [
        (&files.staging, "CORACLE_STAGING"),
        (&files.pieces, "CORACLE_PIECES"),
    ] {
        // What lies there is deleted when nobody needs it.
        if disk
            .real(directory)
            .is_ok_and(|ours| real.starts_with(ours))
        {
            return Err(wrong(&format!(
                "lies in {setting}, whose files Coracle deletes: give it another place (a hard link costs no space)"
            )));
        }
    }
    Ok(Look {
        bytes: found.bytes,
        disk_free: free_bytes(disk, &files.staging),
    })
}
