//! Who proposes: one client, however its address is written.

use crate::filecoin::Address;
use std::collections::BTreeSet;

/// A client's address in the forms that acceptance got to know. An actor has one ID address and at most one key, so two
/// proposals of one client meet in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// As the proposal has it.
    pub given: Address,
    /// The key behind it.
    pub key: Address,
    /// Its ID address (`f0`).
    pub id: Address,
}

impl Client {
    /// Whether one of these addresses is the client's, in whatever form either side wrote it.
    pub fn is_among(&self, addresses: &BTreeSet<Address>) -> bool {
        [&self.given, &self.key, &self.id]
            .into_iter()
            .any(|own| addresses.contains(own))
    }
}
