//! A look at everything that a deal needs: chain nodes, sealers, the miners on chain, this box, and how the world reaches
//! it. Nothing is changed: no key is made, no database opened, no message sent; where files are tried they are removed again.
//!
//! In two rounds, each bounded in time: first what can be asked alone (each node, each sealer, the box, the URLs), then
//! each miner through the nodes that answered. Looking and judging are apart: the judging is pure.

mod contact;
mod cpu;
mod disk;
mod finding;
mod jobs;
mod keys;
mod listening;
mod miners;
mod money;
mod nodes;
mod sealers;
mod url;

#[cfg(test)]
mod tests;

pub use finding::{Finding, Level};

use crate::chain::Lotus;
use crate::config::Config;
use crate::filecoin::{Address, TokenAmount};
use crate::rpc::{self, Limits};
use jobs::Job;
use libp2p::{Multiaddr, PeerId};
use money::Funds;
use nodes::NodeFacts;
use sealers::SealerFacts;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The first round ends after this time, whoever has not answered: an endpoint that hangs is found out within
/// [`LIMITS`], and a few calls to a slow one fit.
pub const FIRST_MAX: Duration = Duration::from_secs(45);

/// The second round ends after this time; it asks only nodes that answered in the first.
pub const SECOND_MAX: Duration = Duration::from_secs(45);

/// Limits of each call: somebody waits in front of the screen, so shorter than the provider's own.
pub const LIMITS: Limits = Limits {
    resolve: Duration::from_secs(5),
    connect: Duration::from_secs(5),
    send: Duration::from_secs(5),
    answer: Duration::from_secs(10),
    long_answer: Duration::from_secs(20),
    failover_answer: Duration::from_secs(5),
    failover_long_answer: Duration::from_secs(10),
    body: Duration::from_secs(10),
    body_bytes: 8 << 20,
};

/// What a provider says of itself that runs with these settings.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its peer ID.
    pub peer: PeerId,
    /// Where its libp2p host listens.
    pub addresses: Vec<Multiaddr>,
    /// Bytes that live deals reserve in `CORACLE_STAGING`.
    pub staging_reserved: u64,
    /// Bytes that kept pieces fill in `CORACLE_PIECES`.
    pub kept_bytes: u64,
    /// What it holds for the live deals of each miner.
    pub held: BTreeMap<Address, Held>,
}

/// Money that a running provider holds for a miner's live deals, attoFIL.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Of the market escrow, as collateral.
    pub collateral: TokenAmount,
    /// Of the publish wallet, for publish messages.
    pub fees: TokenAmount,
}

/// What one job of the first round brings.
enum Part {
    Findings(Vec<Finding>),
    Node(NodeFacts),
    Sealer(SealerFacts),
}

/// Looks at everything. `running` is the provider of this home directory, if there is one; blocks for
/// [`FIRST_MAX`] and [`SECOND_MAX`] together at most.
pub fn run(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    if let Some(authorities) = &config.authorities {
        rpc::trust(authorities);
    }
    let config = Arc::new(config.clone());
    let entries = nodes::entries(&config.fullnode_api_info);
    let parts = jobs::all(first_round(&config, running, &entries), FIRST_MAX);
    let mut parts = parts.into_iter();

    let mut findings = vec![provider_line(running)];
    findings.extend(
        parts
            .by_ref()
            .take(1)
            .flat_map(|part| findings_of(part, "this box")),
    );
    let urls: Vec<Finding> = parts
        .by_ref()
        .take(1)
        .flat_map(|part| findings_of(part, "addresses"))
        .collect();
    let (mut seen, mut sealers) = (Vec::new(), Vec::new());
    for (place, part) in parts.enumerate() {
        match (part, entries.get(place)) {
            (Some(Part::Node(facts)), _) => seen.push(facts),
            (Some(Part::Sealer(facts)), _) => sealers.push(facts),
            (_, Some(entry)) => seen.push(NodeFacts::late(entry)),
            (_, None) => {
                let sealer = place.saturating_sub(entries.len());
                let entry = config.miner_api_info.get(sealer);
                sealers.push(SealerFacts::late(entry.map_or("", String::as_str)));
            }
        }
    }
    findings.extend(nodes::judge(&seen));
    findings.extend(sealers::judge(&sealers, &config.miners));
    findings.extend(second_round(&config, running, &seen, &sealers));
    findings.extend(urls);
    findings
}

/// The box, the addresses, then the nodes and the sealers in the order of the settings.
fn first_round(
    config: &Arc<Config>,
    running: Option<&Running>,
    entries: &[String],
) -> Vec<Job<Part>> {
    let mut jobs: Vec<Job<Part>> = Vec::new();
    let (own, known) = (Arc::clone(config), running.cloned());
    jobs.push(Box::new(move || {
        let mut findings = cpu::look(&own);
        findings.extend(keys::look(&own));
        findings.extend(disk::look(&own, known.as_ref()));
        Part::Findings(findings)
    }));
    let (own, runs) = (Arc::clone(config), running.is_some());
    jobs.push(Box::new(move || {
        Part::Findings(listening::look(&own, runs))
    }));
    for entry in entries {
        let entry = entry.clone();
        jobs.push(Box::new(move || Part::Node(nodes::look(&entry, LIMITS))));
    }
    for entry in &config.miner_api_info {
        let entry = entry.clone();
        jobs.push(Box::new(move || {
            Part::Sealer(sealers::look(&entry, LIMITS))
        }));
    }
    jobs
}

fn findings_of(part: Option<Part>, subject: &str) -> Vec<Finding> {
    match part {
        Some(Part::Findings(findings)) => findings,
        _ => vec![Finding::bad(
            subject,
            format!("not known within {} s", FIRST_MAX.as_secs()),
            "a disk or a network share that hangs is the usual reason: look at it",
        )],
    }
}

/// Each miner on chain, through the nodes that answered.
fn second_round(
    config: &Arc<Config>,
    running: Option<&Running>,
    seen: &[NodeFacts],
    sealers: &[SealerFacts],
) -> Vec<Finding> {
    let good: Vec<&str> = seen.iter().filter_map(NodeFacts::usable_entry).collect();
    let chain = if good.is_empty() {
        None
    } else {
        chain(config, &good.join(","))
    };
    let jobs = config.miners.iter().map(|miner| {
        let (miner, chain) = (miner.clone(), chain.clone());
        let job: Job<_> = Box::new(move || chain.map(|chain| miners::look(&chain, &miner)));
        job
    });
    let looks = jobs::all(jobs.collect(), SECOND_MAX);
    let ours = contact::ours(config, running);
    let network = nodes::network(seen);
    let mut findings = Vec::new();
    for (miner, look) in config.miners.iter().zip(looks) {
        findings.extend(match look {
            Some(Some(Ok(look))) => {
                let held = running.and_then(|running| running.held.get(&miner.address));
                let terms = super::miner_settings(config, miner).terms;
                let funds = Funds::of(&look, held, &terms);
                let mut findings = miners::judge(miner, &look, &funds, seen);
                findings.extend(contact::judge(
                    &miner.address,
                    &look.info,
                    &ours,
                    network.as_deref(),
                ));
                findings
            }
            Some(Some(Err(error))) => vec![miners::absent(
                miner,
                &error,
                network.as_deref().unwrap_or("this network"),
            )],
            Some(None) => vec![miners::unseen(miner, "no chain node can be asked")],
            None => vec![miners::unseen(
                miner,
                &format!("the chain node took longer than {} s", SECOND_MAX.as_secs()),
            )],
        });
        findings.push(sealers::of_miner(miner, sealers));
    }
    findings
}

fn chain(config: &Config, endpoints: &str) -> Option<Arc<Lotus>> {
    let wallets: BTreeMap<_, _> = config
        .miners
        .iter()
        .filter_map(|miner| Some((miner.address.clone(), miner.publish_wallet.clone()?)))
        .collect();
    let keys = super::identity::OwnKeys::of(&config.home);
    // The entries were read by the settings: they have a known form.
    Lotus::with_limits(endpoints, Some(Box::new(keys)), wallets, LIMITS)
        .ok()
        .map(Arc::new)
}

fn provider_line(running: Option<&Running>) -> Finding {
    match running {
        Some(running) => Finding::ok("provider", format!("runs, peer {}", running.peer)),
        None => Finding::ok("provider", "does not run with this home directory"),
    }
}
