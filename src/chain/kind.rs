//! What kind of node it is: whether it keeps the identity of a message that its wallet sends.

use super::answer::Answer;
use super::{ChainError, Node};
use crate::rpc::Patience;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a node's word is taken for what it is: another kind may come to the same address, but not often.
const KIND_AGE: Duration = Duration::from_secs(600);

/// Whether nodes, by their names, keep identities, and when they said so.
#[derive(Debug, Default)]
pub(super) struct Kinds(Mutex<BTreeMap<String, (bool, Instant)>>);

impl Kinds {
    /// Whether this node sends once per `MsgUuid` (Lotus). Forest takes the ID and ignores it, Venus does not know it
    /// (chain-sealer-rpc C.2, H); what we do not know is not trusted with it.
    pub fn keeps_identity(&self, node: &Node, name: &str) -> Result<bool, ChainError> {
        let known = {
            let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kinds
                .get(name)
                .filter(|(_, at)| at.elapsed() < KIND_AGE)
                .map(|(keeps, _)| *keeps)
        };
        if let Some(keeps) = known {
            return Ok(keeps);
        }
        let result = node
            .client
            .ask(name, "Version", &json!([]), Patience::Short)?;
        let answer = Answer::new("Version", &result);
        let agent = answer.get("Agent").text().unwrap_or_default();
        let keeps = is_lotus(answer.get("Version").text()?, agent);
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // As many entries as there are nodes in the list.
        kinds.insert(name.to_owned(), (keeps, Instant::now()));
        Ok(keeps)
    }
}

/// Lotus says so, except in old versions: those begin with a digit (`1.20.0+mainnet`), Venus with a letter (`v1.18.0`).
fn is_lotus(version: &str, agent: &str) -> bool {
    let version = version.to_ascii_lowercase();
    match agent.to_ascii_lowercase().as_str() {
        "" => {
            version.starts_with(|c: char| c.is_ascii_digit())
                && !version.contains("forest")
                && !version.contains("venus")
        }
        agent => agent == "lotus",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_lotus_is_trusted_with_an_identity() {
        let table = [
            ("1.36.2+mainnet+git.ab12cd34", "lotus", true),
            ("1.36.2+mainnet+git.ab12cd34", "Lotus", true),
            ("1.20.0+mainnet", "", true),
            ("0.36.0+git.0c0ac1e", "forest", false),
            ("v1.18.0+git.0c0ac1e", "", false),
            ("venus-1.2", "", false),
            ("9.9.9", "something new", false),
            ("", "", false),
        ];
        for (version, agent, keeps) in table {
            assert_eq!(is_lotus(version, agent), keeps, "{version} {agent}");
        }
    }
}
