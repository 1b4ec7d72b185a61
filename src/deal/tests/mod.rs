//! Tests of the room.

mod admit;
mod checkpoint;
mod clients;
mod edges;
mod epochs;
mod filter;
mod filter_document;
mod funds;
mod judge;
mod laid;
mod ledger;
mod order;
mod record;
mod refusal;
mod restart;
pub(crate) mod samples;
mod setback;
mod status;
mod step;
mod sums;
mod terms;
mod verbs;
mod verified;
mod wait;
mod walk;
mod wishes;
