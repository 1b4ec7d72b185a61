//! Tests of the parts that need no server; those with one are in `tests/transfer_*.rs`.

mod addresses;
mod answer;
mod url;
