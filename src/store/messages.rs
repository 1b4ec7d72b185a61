//! The table of publish messages that are prepared and not done with: what is sent again after a crash.

use super::tables::Bytes;
use super::{StoreError, database};
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};
use uuid::Uuid;

/// Order's UUID, then the message in the chain's own form.
pub(super) const MESSAGES: Bytes = TableDefinition::new("messages");

/// Adds the table to a file that is older than it.
pub(super) fn add(
    database_file: &redb::Database,
    read: &ReadTransaction,
) -> Result<(), StoreError> {
    match read.open_table(MESSAGES) {
        Ok(_) => return Ok(()),
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(database(error)),
    }
    let write = database_file.begin_write().map_err(database)?;
    write.open_table(MESSAGES).map_err(database)?;
    write.commit().map_err(database)
}

/// All messages by their orders.
pub(super) fn all(read: &ReadTransaction) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError> {
    let table = read.open_table(MESSAGES).map_err(database)?;
    let mut messages = Vec::new();
    for entry in table.iter().map_err(database)? {
        let (order, message) = entry.map_err(database)?;
        // A key of another length is none that we wrote.
        if let Ok(order) = Uuid::from_slice(order.value()) {
            messages.push((order, message.value().to_vec()));
        }
    }
    Ok(messages)
}
