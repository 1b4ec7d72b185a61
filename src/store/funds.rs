//! The tables of money: orders that move it, and what messages have cost.

use super::tables::Bytes;
use super::{StoreError, database};
use crate::deal::funds::{Fees, FundsOrder};
use crate::filecoin::Address;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};
use uuid::Uuid;

/// Order's UUID, then its record.
pub(super) const FUNDS: Bytes = TableDefinition::new("funds");

/// Miner's address bytes, then the sums of its fees.
pub(super) const FEES: Bytes = TableDefinition::new("fees");

/// Adds the tables to a file that is older than they.
pub(super) fn add(
    database_file: &redb::Database,
    read: &ReadTransaction,
) -> Result<(), StoreError> {
    match read.open_table(FEES) {
        Ok(_) => return Ok(()),
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(database(error)),
    }
    let write = database_file.begin_write().map_err(database)?;
    write.open_table(FUNDS).map_err(database)?;
    write.open_table(FEES).map_err(database)?;
    write.commit().map_err(database)
}

/// All orders. One that cannot be read stops the start: its message may be on its way, and its money must not be promised.
pub(super) fn orders(read: &ReadTransaction) -> Result<Vec<FundsOrder>, StoreError> {
    let table = read.open_table(FUNDS).map_err(database)?;
    let mut orders = Vec::new();
    for entry in table.iter().map_err(database)? {
        let (id, record) = entry.map_err(database)?;
        let order = FundsOrder::decode(record.value()).map_err(|error| {
            let id = Uuid::from_slice(id.value()).unwrap_or_default();
            StoreError::Record(format!("order of money {id}"), error)
        })?;
        orders.push(order);
    }
    Ok(orders)
}

/// The sums of fees by miner.
pub(super) fn fees(read: &ReadTransaction) -> Result<Vec<(Address, Fees)>, StoreError> {
    let table = read.open_table(FEES).map_err(database)?;
    let mut all = Vec::new();
    for entry in table.iter().map_err(database)? {
        let (miner, record) = entry.map_err(database)?;
        // A key that is no address is none that we wrote.
        let Ok(miner) = Address::from_bytes(miner.value()) else {
            continue;
        };
        let fees = Fees::decode(record.value())
            .map_err(|error| StoreError::Record(format!("fees of {miner}"), error))?;
        all.push((miner, fees));
    }
    Ok(all)
}
