//! Tests of the room.

mod admit;
mod checkpoint;
mod epochs;
mod filter;
mod judge;
mod ledger;
mod order;
mod record;
mod restart;
pub(crate) mod samples;
mod setback;
mod status;
mod step;
mod terms;
mod verbs;
mod wait;
mod walk;
mod wishes;
