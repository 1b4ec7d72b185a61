//! The tables and how they are read and written.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format` | format of the file, u64 |
//! | `deals` | UUID, 16 bytes | deal record |
//! | `live` | UUID | nothing: deals that have not ended |
//! | `by_chain_cid` | chain identity, binary CID | UUID |
//! | `by_time` | created, u64 BE, then UUID | nothing: newest last |
//! | `log` | UUID, then number, u64 BE | log line |
//! | `saves` | UUID | save point of its transfer |
//! | `asks` | miner's address bytes | ask |
//! | `pieces` | commitment, 32 bytes | kept piece |
//! | `refused` | number, u64 BE | refused proposal |
//! | `messages` | publish order, UUID | its prepared message, in the chain's own form |
//! | `funds` | order, UUID | order that moves money, or a publish message's fee |
//! | `fees` | miner's address bytes | sums of fees |
//! | `watch` | when it is due, u64 BE, then UUID | nothing: sealed deals whose time on chain is not over |
//!
//! A table that is younger than a file is created when the file is opened; the file's format stays what it was.

use super::records::{decode_save, encode_save};
use super::{
    LOG_LINES_MAX, Listing, LogLine, PieceRecord, StoreError, StoredAsk, Write, database, funds,
    messages, refused, watch,
};
use crate::deal::record::RecordError;
use crate::deal::{Deal, Millis};
use crate::filecoin::Address;
use crate::filecoin::cids::piece_cid;
use crate::transfer::SavePoint;
use cid::Cid;
use redb::{
    ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};
use uuid::Uuid;

pub(super) type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(super) type Marks = TableDefinition<'static, &'static [u8], ()>;

const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");
pub(super) const DEALS: Bytes = TableDefinition::new("deals");
const LIVE: Marks = TableDefinition::new("live");
const BY_CHAIN_CID: Bytes = TableDefinition::new("by_chain_cid");
const BY_TIME: Marks = TableDefinition::new("by_time");
const LOG: Bytes = TableDefinition::new("log");
const SAVES: Bytes = TableDefinition::new("saves");
const ASKS: Bytes = TableDefinition::new("asks");
const PIECES: Bytes = TableDefinition::new("pieces");

/// Format of the file as a whole; raised when tables change their meaning.
const FORMAT: u64 = 1;

/// Creates the tables of a new file; refuses a file of a newer release and one that is not ours.
pub(super) fn prepare(database_file: &redb::Database) -> Result<(), StoreError> {
    let read = database_file.begin_read().map_err(database)?;
    match read.open_table(META) {
        Ok(meta) => {
            let format = meta.get("format").map_err(database)?;
            check_format(format.map(|format| format.value()))?;
            watch::add(database_file, &read)?;
            messages::add(database_file, &read)?;
            funds::add(database_file, &read)
        }
        Err(TableError::TableDoesNotExist(_)) => {
            if read.list_tables().map_err(database)?.next().is_some() {
                return Err(StoreError::Database(
                    "the file belongs to another program".to_owned(),
                ));
            }
            create(database_file)
        }
        Err(error) => Err(database(error)),
    }
}

fn check_format(format: Option<u64>) -> Result<(), StoreError> {
    if format == Some(FORMAT) {
        return Ok(());
    }
    let format = format.map_or_else(|| "unknown".to_owned(), |format| format.to_string());
    Err(StoreError::Database(format!(
        "the file has format {format}, this release reads {FORMAT}: use a newer release"
    )))
}

fn create(database_file: &redb::Database) -> Result<(), StoreError> {
    let write = database_file.begin_write().map_err(database)?;
    write
        .open_table(META)
        .map_err(database)?
        .insert("format", FORMAT)
        .map_err(database)?;
    for table in [
        DEALS,
        BY_CHAIN_CID,
        LOG,
        SAVES,
        ASKS,
        PIECES,
        messages::MESSAGES,
        funds::FUNDS,
        funds::FEES,
    ] {
        write.open_table(table).map_err(database)?;
    }
    for table in [LIVE, BY_TIME, watch::WATCH] {
        write.open_table(table).map_err(database)?;
    }
    write.commit().map_err(database)
}

/// Carries one change out inside a transaction.
pub(super) fn apply(transaction: &WriteTransaction, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Deal(deal) => put_deal(transaction, deal),
        Write::Log(uuid, line) => put_line(transaction, *uuid, line),
        Write::Save(uuid, save) => put(transaction, SAVES, uuid.as_bytes(), &encode_save(save)),
        Write::DropSave(uuid) => remove(transaction, SAVES, uuid.as_bytes()),
        Write::Ask(miner, ask) => put(transaction, ASKS, miner.as_bytes(), &ask.encode()),
        Write::Piece(commitment, piece) => put(transaction, PIECES, commitment, &piece.encode()),
        Write::DropPiece(commitment) => remove(transaction, PIECES, commitment),
        Write::Refused(proposal) => refused::put(transaction, proposal),
        Write::Message(order, message) => {
            put(transaction, messages::MESSAGES, order.as_bytes(), message)
        }
        Write::DropMessage(order) => remove(transaction, messages::MESSAGES, order.as_bytes()),
        Write::Funds(order) => put(
            transaction,
            funds::FUNDS,
            order.id.as_bytes(),
            &order.encode(),
        ),
        Write::DropFunds(order) => remove(transaction, funds::FUNDS, order.as_bytes()),
        Write::Fees(miner, fees) => put(transaction, funds::FEES, miner.as_bytes(), &fees.encode()),
        Write::Watch { deal, was, next } => watch::put(transaction, *deal, *was, *next),
    }
}

fn put(
    transaction: &WriteTransaction,
    table: Bytes,
    key: &[u8],
    value: &[u8],
) -> Result<(), StoreError> {
    transaction
        .open_table(table)
        .map_err(database)?
        .insert(key, value)
        .map_err(database)?;
    Ok(())
}

fn remove(transaction: &WriteTransaction, table: Bytes, key: &[u8]) -> Result<(), StoreError> {
    transaction
        .open_table(table)
        .map_err(database)?
        .remove(key)
        .map_err(database)?;
    Ok(())
}

fn put_deal(transaction: &WriteTransaction, deal: &Deal) -> Result<(), StoreError> {
    let uuid: &[u8] = deal.uuid.as_bytes();
    put(transaction, DEALS, uuid, &deal.encode())?;
    put(transaction, BY_CHAIN_CID, &deal.chain_cid.to_bytes(), uuid)?;
    let mut by_time = transaction.open_table(BY_TIME).map_err(database)?;
    by_time
        .insert(time_key(deal).as_slice(), ())
        .map_err(database)?;
    let mut live = transaction.open_table(LIVE).map_err(database)?;
    if deal.ended() {
        live.remove(uuid).map_err(database)?;
    } else {
        live.insert(uuid, ()).map_err(database)?;
    }
    Ok(())
}

fn time_key(deal: &Deal) -> Vec<u8> {
    timed(deal.created, deal.uuid.as_bytes())
}

/// A key in the order of times.
pub(super) fn timed(time: Millis, uuid: &[u8]) -> Vec<u8> {
    let mut key = time.to_be_bytes().to_vec();
    key.extend_from_slice(uuid);
    key
}

fn line_key(uuid: Uuid, number: u64) -> Vec<u8> {
    let mut key = uuid.as_bytes().to_vec();
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The number in a line's key.
fn line_number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(16..24)?.try_into().ok()?))
}

/// Appends a line and lets the oldest one beyond the limit go.
fn put_line(transaction: &WriteTransaction, uuid: Uuid, line: &LogLine) -> Result<(), StoreError> {
    let mut log = transaction.open_table(LOG).map_err(database)?;
    let (first, last) = (line_key(uuid, 0), line_key(uuid, u64::MAX));
    let newest = log
        .range(first.as_slice()..=last.as_slice())
        .map_err(database)?
        .next_back()
        .transpose()
        .map_err(database)?
        .and_then(|(key, _)| line_number(key.value()));
    let number = newest.map_or(0, |newest| newest.saturating_add(1));
    log.insert(line_key(uuid, number).as_slice(), line.encode().as_slice())
        .map_err(database)?;
    if let Some(oldest) = number.checked_sub(LOG_LINES_MAX) {
        log.remove(line_key(uuid, oldest).as_slice())
            .map_err(database)?;
    }
    Ok(())
}

fn get<T>(
    read: &ReadTransaction,
    table: Bytes,
    key: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let table = read.open_table(table).map_err(database)?;
    let value = table.get(key).map_err(database)?;
    value.map(|value| decode(value.value())).transpose()
}

/// Names the record that cannot be read.
fn of(kind: &str, key: impl std::fmt::Display) -> impl FnOnce(RecordError) -> StoreError {
    let name = format!("{kind} {key}");
    |error| StoreError::Record(name, error)
}

pub(super) fn decode_deal(uuid: &[u8], bytes: &[u8]) -> Result<Deal, StoreError> {
    let name = Uuid::from_slice(uuid).unwrap_or_default();
    Deal::decode(bytes).map_err(of("deal", name))
}

pub(super) fn deal(read: &ReadTransaction, uuid: Uuid) -> Result<Option<Deal>, StoreError> {
    get(read, DEALS, uuid.as_bytes(), |bytes| {
        decode_deal(uuid.as_bytes(), bytes)
    })
}

pub(super) fn live(read: &ReadTransaction) -> Result<Vec<Deal>, StoreError> {
    let marks = read.open_table(LIVE).map_err(database)?;
    let deals = read.open_table(DEALS).map_err(database)?;
    let mut found = Vec::new();
    for mark in marks.iter().map_err(database)? {
        let (uuid, ()) = {
            let (uuid, value) = mark.map_err(database)?;
            (uuid.value().to_vec(), value.value())
        };
        if let Some(record) = deals.get(uuid.as_slice()).map_err(database)? {
            found.push(decode_deal(&uuid, record.value())?);
        }
    }
    Ok(found)
}

pub(super) fn by_chain_cid(read: &ReadTransaction, cid: &Cid) -> Result<Option<Uuid>, StoreError> {
    get(read, BY_CHAIN_CID, &cid.to_bytes(), |bytes| {
        Uuid::from_slice(bytes).map_err(|error| StoreError::Database(error.to_string()))
    })
}

pub(super) fn list(
    read: &ReadTransaction,
    listing: &Listing,
) -> Result<(Vec<Deal>, bool), StoreError> {
    let times = read.open_table(BY_TIME).map_err(database)?;
    let deals = read.open_table(DEALS).map_err(database)?;
    let mut found = Vec::new();
    for entry in times.iter().map_err(database)?.rev() {
        let (key, _) = entry.map_err(database)?;
        let uuid = key.value().get(8..).unwrap_or_default().to_vec();
        let Some(record) = deals.get(uuid.as_slice()).map_err(database)? else {
            continue;
        };
        let deal = match decode_deal(&uuid, record.value()) {
            Ok(deal) => deal,
            Err(error) => {
                log::error!("{error}");
                continue;
            }
        };
        if !matches(&deal, listing) {
            continue;
        }
        if found.len() >= listing.limit {
            return Ok((found, true));
        }
        found.push(deal);
    }
    Ok((found, false))
}

fn matches(deal: &Deal, listing: &Listing) -> bool {
    if listing
        .checkpoint
        .is_some_and(|wanted| wanted != deal.checkpoint)
    {
        return false;
    }
    let Some(query) = listing.query.as_deref().filter(|query| !query.is_empty()) else {
        return true;
    };
    let proposal = deal.proposal();
    deal.uuid.to_string() == query
        || proposal.piece_cid.to_string() == query
        || proposal.client.to_string() == query
        || proposal.provider.to_string() == query
        || deal.request.data_root == query
        || deal.request.peer == query
        || deal.publish_cid.is_some_and(|cid| cid.to_string() == query)
        || deal.chain_deal_id.is_some_and(|id| id.to_string() == query)
        || deal.error.contains(query)
}

pub(super) fn log(
    read: &ReadTransaction,
    uuid: Uuid,
    first: u64,
) -> Result<Vec<(u64, LogLine)>, StoreError> {
    let table = read.open_table(LOG).map_err(database)?;
    let (first, last) = (line_key(uuid, first), line_key(uuid, u64::MAX));
    let mut lines = Vec::new();
    for entry in table
        .range(first.as_slice()..=last.as_slice())
        .map_err(database)?
    {
        let (key, line) = entry.map_err(database)?;
        let line = LogLine::decode(line.value()).map_err(of("log of deal", uuid))?;
        lines.push((line_number(key.value()).unwrap_or_default(), line));
    }
    Ok(lines)
}

pub(super) fn save_point(
    read: &ReadTransaction,
    uuid: Uuid,
) -> Result<Option<SavePoint>, StoreError> {
    get(read, SAVES, uuid.as_bytes(), |bytes| {
        decode_save(bytes).map_err(of("save point of deal", uuid))
    })
}

pub(super) fn saves(read: &ReadTransaction) -> Result<Vec<Uuid>, StoreError> {
    let table = read.open_table(SAVES).map_err(database)?;
    let mut found = Vec::new();
    for entry in table.iter().map_err(database)? {
        let (uuid, _) = entry.map_err(database)?;
        found.extend(Uuid::from_slice(uuid.value()));
    }
    Ok(found)
}

pub(super) fn ask(
    read: &ReadTransaction,
    miner: &Address,
) -> Result<Option<StoredAsk>, StoreError> {
    get(read, ASKS, miner.as_bytes(), |bytes| {
        StoredAsk::decode(bytes).map_err(of("ask of", miner))
    })
}

pub(super) fn pieces(read: &ReadTransaction) -> Result<Vec<([u8; 32], PieceRecord)>, StoreError> {
    let table = read.open_table(PIECES).map_err(database)?;
    let mut found = Vec::new();
    for entry in table.iter().map_err(database)? {
        let (commitment, piece) = entry.map_err(database)?;
        let Ok(commitment) = commitment.value().try_into() else {
            continue;
        };
        let name = piece_cid(&commitment);
        match PieceRecord::decode(piece.value()).map_err(of("kept piece", name)) {
            Ok(piece) => found.push((commitment, piece)),
            Err(error) => log::error!("{error}"),
        }
    }
    Ok(found)
}
