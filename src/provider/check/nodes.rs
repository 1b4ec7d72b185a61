//! The chain nodes, each by itself: reached, on the right network, in step with the clock, and what its token may do.

use super::finding::{Finding, time_text};
use crate::chain::{Access, ChainError, May, Node};
use crate::filecoin::ChainEpoch;
use crate::provider::now_millis;
use crate::rpc::Limits;

/// Seconds of an epoch where the node does not say (chain-sealer-rpc A.7).
const EPOCH_SECONDS: u64 = 30;

/// A head this many epochs old is not in step: more empty epochs in a row are very rare (chain-sealer-rpc A.7).
const LAG_WARN: u64 = 5;

/// A head this many epochs old belongs to a node that is syncing: nothing can be published through it.
const LAG_BAD: u64 = 20;

/// A head cannot be from the future: nodes refuse blocks that are. More than this is our clock, not the network's delay.
const AHEAD_SECONDS: u64 = 5;

/// Seconds since 1970 of height 0 of the networks that everybody knows (chain-sealer-rpc A.7).
const GENESIS: [(&str, u64); 2] = [
    ("mainnet", 1_598_306_400),
    ("calibrationnet", 1_667_326_380),
];

/// One node as it was found.
pub(super) struct NodeFacts {
    /// Host and port.
    pub name: String,
    /// Its entry of the setting, with its token. Never shown.
    entry: String,
    /// What it answered, or why not.
    pub seen: Result<Seen, ChainError>,
}

/// What a node answered.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The head's height.
    pub epoch: ChainEpoch,
    /// The head's time, seconds since 1970.
    pub timestamp: u64,
    /// Our time when it was read, seconds since 1970.
    pub now: u64,
    /// The network's name.
    pub network: String,
    /// The network's version.
    pub network_version: u64,
    /// Version text of the node.
    pub version: String,
    /// What kind of node it says it is; may be empty.
    pub agent: String,
    /// Seconds of an epoch; 0 if the node does not say.
    pub block_delay: u64,
    /// What the token may do.
    pub access: Access,
}

impl NodeFacts {
    /// A node that did not answer in time.
    pub fn late(entry: &str) -> Self {
        let late = "no answer in time, with all that was asked".to_owned();
        Self::of(entry, Err(ChainError::Unreachable(late)))
    }

    pub(super) fn of(entry: &str, seen: Result<Seen, ChainError>) -> Self {
        Self {
            name: name(entry),
            entry: entry.to_owned(),
            seen,
        }
    }

    /// Its entry of the setting, if a deal could be made through it.
    pub fn usable_entry(&self) -> Option<&str> {
        self.is_usable().then_some(self.entry.as_str())
    }

    fn is_usable(&self) -> bool {
        self.seen.as_ref().is_ok_and(|seen| lag(seen) <= LAG_BAD)
    }
}

/// The entries of the setting's list.
pub(super) fn entries(list: &str) -> Vec<String> {
    let entries = list.split(',').map(str::trim);
    entries
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect()
}

fn name(entry: &str) -> String {
    Node::new(entry, super::LIMITS)
        .ok()
        .and_then(|node| node.names().into_iter().next())
        .unwrap_or_default()
}

/// Asks one node. Blocks.
pub(super) fn look(entry: &str, limits: Limits) -> NodeFacts {
    // The settings have read the entry: it has a known form.
    let seen = Node::new(entry, limits)
        .map_err(|error| ChainError::Malformed(error.to_string()))
        .and_then(|node| ask(&node));
    NodeFacts::of(entry, seen)
}

fn ask(node: &Node) -> Result<Seen, ChainError> {
    let head = node.head()?;
    let now = now_millis() / 1_000;
    let network = node.network_name()?;
    let network_version = node.network_version()?;
    let version = node.version()?;
    Ok(Seen {
        epoch: head.epoch,
        timestamp: head.timestamp,
        now,
        network,
        network_version,
        version: version.version,
        agent: version.agent,
        block_delay: version.block_delay,
        access: node.access()?,
    })
}

/// The network of the first node that answered.
pub(super) fn network(nodes: &[NodeFacts]) -> Option<String> {
    let mut seen = nodes.iter().filter_map(|node| node.seen.as_ref().ok());
    seen.next().map(|seen| seen.network.clone())
}

/// Epochs since the head, by our clock.
fn lag(seen: &Seen) -> u64 {
    epochs(seen.now.saturating_sub(seen.timestamp), seen)
}

fn epochs(seconds: u64, seen: &Seen) -> u64 {
    seconds.checked_div(delay(seen)).unwrap_or(0)
}

fn delay(seen: &Seen) -> u64 {
    match seen.block_delay {
        0 => EPOCH_SECONDS,
        seconds => seconds,
    }
}

/// One line per node, then the network and the clock.
pub(super) fn judge(nodes: &[NodeFacts]) -> Vec<Finding> {
    let others = nodes.iter().any(NodeFacts::is_usable);
    let mut findings: Vec<Finding> = nodes.iter().map(|node| line(node, others)).collect();
    findings.extend(one_network(nodes));
    findings.extend(clock(nodes));
    findings
}

/// A node that is away is a warning while another one serves.
fn line(node: &NodeFacts, others: bool) -> Finding {
    let subject = format!("node {}", node.name);
    let seen = match &node.seen {
        Ok(seen) => seen,
        Err(error) => {
            let (what, advice) = trouble(error);
            let what = if others {
                format!("{what}; another node of the list serves meanwhile")
            } else {
                what
            };
            return Finding::wrong(!others, &subject, what, advice);
        }
    };
    let age = seen.now.saturating_sub(seen.timestamp);
    let what = format!(
        "{} on {} (network version {}), head {} is {} old; the token may {}",
        kind(seen),
        seen.network,
        seen.network_version,
        seen.epoch,
        time_text(age),
        allowed(&seen.access)
    );
    let lag = lag(seen);
    if lag > LAG_WARN {
        let bad = lag > LAG_BAD && !others;
        let advice = "wait until the node is in sync (`lotus sync wait`); if it is, this box's clock is ahead: let NTP set it";
        return Finding::wrong(
            bad,
            &subject,
            format!("{what}: {lag} epochs behind"),
            advice,
        );
    }
    Finding::ok(&subject, what)
}

fn kind(seen: &Seen) -> String {
    let agent = if seen.agent.is_empty() {
        "a node that does not say what it is"
    } else {
        &seen.agent
    };
    format!("{agent} {}", seen.version)
}

fn allowed(access: &Access) -> String {
    let mut may = vec!["read".to_owned()];
    let mut unknown = Vec::new();
    for (name, one) in [("write", &access.write), ("sign", &access.sign)] {
        match one {
            May::Yes => may.push(name.to_owned()),
            May::Unknown(_) => unknown.push(name),
            May::No | May::NotThere => {}
        }
    }
    let mut text = may.join(", ");
    if access.write == May::NotThere {
        text.push_str(" and push what is signed here (the node has no wallet)");
    }
    if !unknown.is_empty() {
        text = format!("{text}; not known: {}", unknown.join(", "));
    }
    text
}

/// What is wrong with a node that gives no good answer, and what to do.
fn trouble(error: &ChainError) -> (String, String) {
    let advice = match error {
        ChainError::Unauthorized => {
            return (
                "does not accept the token (HTTP 401): it is wrong, of another node, or has expired".to_owned(),
                "set FULLNODE_API_INFO to what `lotus auth api-info --perm sign` prints on the node".to_owned(),
            );
        }
        ChainError::Forbidden(_) => {
            "the token is accepted but lacks `read`: set FULLNODE_API_INFO to what `lotus auth api-info --perm sign` prints"
        }
        ChainError::Unreachable(_) => {
            "start the node, correct FULLNODE_API_INFO, or let the node listen on an address that this box reaches"
        }
        _ => {
            "is FULLNODE_API_INFO the address of a chain node (Lotus, Forest, Venus or a gateway), not of a miner?"
        }
    };
    (error.to_string(), advice.to_owned())
}

/// All nodes of a list must be of one network, and what a known network's node says must be of its chain.
fn one_network(nodes: &[NodeFacts]) -> Vec<Finding> {
    const SUBJECT: &str = "network";
    let mut names: Vec<&str> = Vec::new();
    let mut findings = Vec::new();
    for node in nodes {
        let Ok(seen) = &node.seen else { continue };
        if !names.contains(&seen.network.as_str()) {
            names.push(&seen.network);
        }
        if let Some(expected) = expected_epoch(&seen.network, seen.timestamp)
            && expected != seen.epoch
        {
            findings.push(Finding::bad(
                SUBJECT,
                format!(
                    "{} says {}, but there the time of its head belongs to epoch {expected}, not {}",
                    node.name, seen.network, seen.epoch
                ),
                "the node follows another chain: look at how it was started and from which snapshot",
            ));
        }
    }
    if names.len() > 1 {
        findings.push(Finding::bad(
            SUBJECT,
            format!("the nodes are of different networks: {}", names.join(", ")),
            "take those out of FULLNODE_API_INFO that are not of the miners' network",
        ));
    }
    findings
}

/// The epoch of a time on a known network.
pub(super) fn expected_epoch(network: &str, timestamp: u64) -> Option<ChainEpoch> {
    let (_, genesis) = GENESIS.iter().find(|(name, _)| *name == network)?;
    let since = timestamp.checked_sub(*genesis)?;
    ChainEpoch::try_from(since / EPOCH_SECONDS).ok()
}

/// Our clock against the youngest head: it may be late by what the network takes, never early.
fn clock(nodes: &[NodeFacts]) -> Option<Finding> {
    const SUBJECT: &str = "clock";
    let seen = nodes.iter().filter_map(|node| node.seen.as_ref().ok());
    let seen = seen.max_by_key(|seen| seen.timestamp)?;
    let ahead = seen.timestamp.saturating_sub(seen.now);
    if ahead > AHEAD_SECONDS {
        return Some(Finding::warn(
            SUBJECT,
            format!(
                "this box's clock is {} ({} epochs) behind the head of the chain",
                time_text(ahead),
                epochs(ahead, seen)
            ),
            "let NTP set it (`timedatectl set-ntp true`): logs, time-outs and certificates depend on it",
        ));
    }
    // A head that is too old has its own line.
    (lag(seen) <= LAG_WARN).then(|| Finding::ok(SUBJECT, "agrees with the head of the chain"))
}
