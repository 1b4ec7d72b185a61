//! The endpoint forms, and the client against a server that says exactly what a table tells it.

mod client;
mod endpoint;
mod health;
mod lists;
mod phases;
pub mod server;
mod trust;
