//! The table of sealed deals that are looked at on chain from time to time, in the order of their turns.
//!
//! Sealed deals are not in memory: of a hundred thousand only the few whose turn has come are read.

use super::tables::{DEALS, Marks, decode_deal, timed};
use super::{StoreError, Watched, database};
use crate::deal::{Deal, Millis};
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use uuid::Uuid;

/// Due, u64 BE, then UUID.
pub(super) const WATCH: Marks = TableDefinition::new("watch");

/// Adds the table of watched deals to a file that is older than it: the deals that are sealed already are due at once.
pub(super) fn add(
    database_file: &redb::Database,
    read: &ReadTransaction,
) -> Result<(), StoreError> {
    match read.open_table(WATCH) {
        Ok(_) => return Ok(()),
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(database(error)),
    }
    let write = database_file.begin_write().map_err(database)?;
    {
        let mut watch = write.open_table(WATCH).map_err(database)?;
        let deals = read.open_table(DEALS).map_err(database)?;
        for entry in deals.iter().map_err(database)? {
            let (uuid, record) = entry.map_err(database)?;
            // A damaged record is said when it is looked for.
            if Deal::decode(record.value()).is_ok_and(|deal| deal.sealed && deal.over.is_none()) {
                watch
                    .insert(timed(0, uuid.value()).as_slice(), ())
                    .map_err(database)?;
            }
        }
    }
    write.commit().map_err(database)
}

/// Gives a deal another turn.
pub(super) fn put(
    transaction: &WriteTransaction,
    deal: Uuid,
    was: Option<Millis>,
    next: Option<Millis>,
) -> Result<(), StoreError> {
    let mut watch = transaction.open_table(WATCH).map_err(database)?;
    if let Some(due) = was {
        let key = timed(due, deal.as_bytes());
        watch.remove(key.as_slice()).map_err(database)?;
    }
    if let Some(due) = next {
        let key = timed(due, deal.as_bytes());
        watch.insert(key.as_slice(), ()).map_err(database)?;
    }
    Ok(())
}

/// Deals whose turn has come, see [`super::Store::watched`].
pub(super) fn due(
    read: &ReadTransaction,
    now: Millis,
    longest: Millis,
    limit: usize,
) -> Result<Vec<Watched>, StoreError> {
    let watch = read.open_table(WATCH).map_err(database)?;
    let deals = read.open_table(DEALS).map_err(database)?;
    let due = timed(now, &[0xff; 16]);
    // Beyond any time that is given: the clock was ahead when it was written.
    let absurd = timed(now.saturating_add(longest), &[0xff; 16]);
    let marks = watch.range(..=due.as_slice()).map_err(database)?;
    let ahead = watch.range(absurd.as_slice()..).map_err(database)?;
    let mut found = Vec::new();
    for mark in marks.chain(ahead).take(limit) {
        let (key, ()) = {
            let (key, value) = mark.map_err(database)?;
            (key.value().to_vec(), value.value())
        };
        let (Some(due), Some(uuid)) = (
            key.first_chunk().map(|due| Millis::from_be_bytes(*due)),
            key.get(8..).and_then(|uuid| Uuid::from_slice(uuid).ok()),
        ) else {
            continue;
        };
        let record = deals
            .get(uuid.as_bytes().as_slice())
            .map_err(database)?
            .map(|record| decode_deal(uuid.as_bytes(), record.value()));
        found.push(Watched {
            due,
            uuid,
            deal: record.transpose(),
        });
    }
    Ok(found)
}
