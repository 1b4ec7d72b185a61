//! The ring of refused proposals: the newest so many, for an operator who wants to know why deals do not come.
//!
//! The table is made by the first refusal.

use super::tables::Bytes;
use super::{REFUSED_KEPT_MAX, RefusedProposal, StoreError, database};
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

/// Number, u64 BE, rising by one.
const REFUSED: Bytes = TableDefinition::new("refused");

/// Appends a refusal and lets the oldest ones beyond the limit go.
pub(super) fn put(
    transaction: &WriteTransaction,
    refused: &RefusedProposal,
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(REFUSED).map_err(database)?;
    let newest = table.last().map_err(database)?;
    let number = newest
        .map(|(key, _)| number(key.value()))
        .map_or(0, |newest| newest.saturating_add(1));
    table
        .insert(number.to_be_bytes().as_slice(), refused.encode().as_slice())
        .map_err(database)?;
    let gone = number.saturating_sub(REFUSED_KEPT_MAX.saturating_sub(1));
    loop {
        let oldest = table.first().map_err(database)?;
        let oldest = oldest.map(|(key, _)| self::number(key.value()));
        if oldest.is_none_or(|oldest| oldest >= gone) {
            return Ok(());
        }
        table.pop_first().map_err(database)?;
    }
}

/// The number in a key; a key of another form counts as the oldest.
fn number(key: &[u8]) -> u64 {
    key.try_into().map_or(0, u64::from_be_bytes)
}

/// The newest refusals, newest first, see [`super::Store::refused`].
pub(super) fn list(
    read: &ReadTransaction,
    limit: usize,
) -> Result<Vec<RefusedProposal>, StoreError> {
    let table = match read.open_table(REFUSED) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(database(error)),
    };
    let mut found = Vec::new();
    for entry in table.iter().map_err(database)?.rev() {
        if found.len() >= limit {
            break;
        }
        let (key, record) = entry.map_err(database)?;
        match RefusedProposal::decode(record.value()) {
            Ok(refused) => found.push(refused),
            // It must not hide the others.
            Err(error) => log::error!("refused proposal {}: {error}", number(key.value())),
        }
    }
    Ok(found)
}
