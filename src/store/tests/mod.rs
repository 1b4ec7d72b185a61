//! Tests of the room.

mod crash;
mod damage;
mod disk;
mod group;
mod listing;
mod refused;
mod trips;
mod watch;

use super::{Done, Redb, Store, StoreError, Write};
use crate::deal::Deal;
use crate::deal::tests::samples;
use disk::Disk;
use std::sync::mpsc;

/// A store over a disk in memory.
fn store(disk: &Disk) -> Redb {
    Redb::over(database(disk)).expect("a healthy disk")
}

fn database(disk: &Disk) -> redb::Database {
    redb::Database::builder()
        .set_cache_size(1 << 20)
        .create_with_backend(disk.clone())
        .expect("a healthy disk")
}

#[track_caller]
fn keep(store: &Redb, writes: Vec<Write>) {
    store.commit_and_wait(writes).expect("a healthy disk");
}

/// The sample deal under another UUID.
fn deal(number: u8) -> Deal {
    let mut deal = samples::online();
    deal.uuid = samples::uuid(number);
    deal.chain_cid = crate::filecoin::cids::chain_cid(&[number]);
    deal.created += u64::from(number);
    deal
}

fn put(deal: &Deal) -> Write {
    Write::Deal(Box::new(deal.clone()))
}

/// A completion and where its result arrives.
fn done() -> (Done, mpsc::Receiver<Result<(), StoreError>>) {
    let (tell, told) = mpsc::channel();
    let done = Box::new(move |result| tell.send(result).expect("the test listens"));
    (done, told)
}
