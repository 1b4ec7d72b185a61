//! Many clients propose at once: accepted deals per second with durable commits.
//!
//! Each client has a libp2p host, an open connection and a wallet of its own, sends one proposal after the other, each on a
//! stream of its own, and waits for the answer. Signatures are made before. The deals are online deals whose server never answers, so that
//! accepted deals pile up and hold funds and space, as they do while downloads are slow.

use crate::figures::{mebibytes, millis, percentile, processor_time};
use crate::harness::{Host, Running, Scratch};
use crate::outside::{Devnet, Silent};
use coracle::chain::{Chain, Lotus};
use coracle::client::deal::{self, Download, Wanted};
use coracle::filecoin::{SecretKey, TokenAmount, cids};
use coracle::p2p::{Node, NodeConfig};
use coracle::wire::DealParams;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Clients at the same time.
const CLIENTS: usize = 64;

/// Proposals of each client.
const EACH: usize = 160;

/// Proposals of each client before the measuring begins: connections, caches, the first pages of the file.
const WARM: usize = 3;

/// Bytes of each piece.
const PIECE: u64 = 1 << 20;

/// What one proposal came to.
struct Answered {
    since_start: Duration,
    took: Duration,
    /// The refusal's text.
    refused: Option<String>,
}

struct Client {
    node: Node,
    proposals: Vec<DealParams>,
}

/// Where the provider is.
#[derive(Clone)]
struct Target {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
}

pub fn measure() {
    let devnet = Devnet::start(CLIENTS);
    let silent = Silent::start();
    let scratch = Scratch::new("flood");
    let mut vars = devnet.vars(&scratch.join("home"), &silent.prefix());
    // The default level writes a line for each deal; here it goes to a pipe of this process.
    vars.insert("CORACLE_LOG".to_owned(), "warn".to_owned());
    let provider = Running::start(&vars);
    let target = Target {
        peer: provider.peer,
        addresses: provider.addresses.clone(),
    };
    let host = Host::start();
    let clients: Vec<Client> = devnet
        .clients()
        .iter()
        .enumerate()
        .map(|(number, key)| client(&host, &devnet, &silent, key, number))
        .collect();
    connect(&clients, &target, &devnet);
    let idle = mebibytes(provider.pid(), "VmRSS");

    let (clients, _) = propose(&host, clients, &target, WARM);
    let before = counts(&provider);
    let used = processor_time(provider.pid());
    let used_by_devnet = processor_time(devnet.pid());
    let begun = Instant::now();
    let (_, answers) = propose(&host, clients, &target, EACH);
    let took = begun.elapsed();
    let used = processor_time(provider.pid()) - used;
    let used_by_devnet = processor_time(devnet.pid()) - used_by_devnet;
    let after = counts(&provider);
    report(&answers, took);
    let (commits, changes) = (after.0 - before.0, after.1 - before.1);
    let per_second = |count: f64| count / took.as_secs_f64();
    println!(
        "  {:.0} commits/s, {:.1} deals per commit",
        per_second(number(commits)),
        number(changes) / number(commits)
    );
    println!(
        "  provider: RSS {:.1} MiB before, {:.1} MiB after, peak {:.1} MiB; processor {:.0} %, devnet's {:.0} %",
        idle,
        mebibytes(provider.pid(), "VmRSS"),
        mebibytes(provider.pid(), "VmHWM"),
        per_second(used.as_secs_f64()) * 100.0,
        per_second(used_by_devnet.as_secs_f64()) * 100.0,
    );
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

fn client(host: &Host, devnet: &Devnet, silent: &Silent, key: &SecretKey, number: usize) -> Client {
    let (node, driver, _) = Node::new(NodeConfig {
        key: libp2p::identity::Keypair::generate_ed25519(),
        listen: Vec::new(),
        external: Vec::new(),
        agent: "bench".to_owned(),
        serve: false,
    })
    .unwrap();
    host.executor.spawn(driver).detach();
    let chain = Lotus::new(devnet.fullnode(), None, BTreeMap::new()).unwrap();
    let minimum = chain.collateral_bounds(PIECE, false).unwrap().min;
    let proposals = (0..EACH + WARM).map(|each| {
        let content = format!("client {number}, proposal {each}");
        let wanted = Wanted {
            provider: devnet.miner(),
            piece_cid: cids::piece_cid(&masked(cids::blake2b_256(content.as_bytes()))),
            piece_size: PIECE,
            payload_cid: cids::sha256_cid(cids::DAG_PB, content.as_bytes()),
            download: Some(Download {
                url: format!("{}{number}/{each}.car", silent.prefix()),
                headers: vec![("Authorization".to_owned(), "Bearer 0123456789".to_owned())],
                size: PIECE / 2,
            }),
            start_epoch: devnet.epoch() + deal::START_OFFSET,
            duration: deal::DURATION,
            storage_price: TokenAmount::from_atto(50_000_000),
            provider_collateral: deal::default_collateral(&minimum),
            verified: false,
            skip_announce: false,
            remove_unsealed: false,
        };
        deal::propose(&wanted, key, Uuid::new_v4())
    });
    Client {
        node,
        proposals: proposals.collect(),
    }
}

/// The two highest bits of a commitment are zero.
fn masked(mut commitment: [u8; 32]) -> [u8; 32] {
    commitment[31] &= 0x3f;
    commitment
}

/// Opens the connections and waits until the provider knows its terms. A few at a time: handshakes from one address are limited.
fn connect(clients: &[Client], target: &Target, devnet: &Devnet) {
    for client in clients {
        crate::harness::wait("an ask", || {
            let asked = client
                .node
                .ask(target.peer, &target.addresses, devnet.miner());
            smol::block_on(asked).unwrap().ask
        });
    }
}

/// Lets every client send so many proposals, one after the other.
fn propose(
    host: &Host,
    clients: Vec<Client>,
    target: &Target,
    each: usize,
) -> (Vec<Client>, Vec<Answered>) {
    let begun = Instant::now();
    let target = Arc::new(target.clone());
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let target = Arc::clone(&target);
            host.executor.spawn(async move {
                let rest = client.proposals.split_off(each);
                let mut answers = Vec::new();
                for params in std::mem::replace(&mut client.proposals, rest) {
                    let sent = Instant::now();
                    let answer = client
                        .node
                        .propose(target.peer, &target.addresses, &params)
                        .await;
                    answers.push(Answered {
                        since_start: begun.elapsed(),
                        took: sent.elapsed(),
                        refused: match answer {
                            Ok(answer) if answer.accepted => None,
                            Ok(answer) => Some(answer.message),
                            Err(error) => Some(error.to_string()),
                        },
                    });
                }
                (client, answers)
            })
        })
        .collect();
    let mut clients = Vec::new();
    let mut answers = Vec::new();
    for task in tasks {
        let (client, of_one) = smol::block_on(task);
        clients.push(client);
        answers.extend(of_one);
    }
    (clients, answers)
}

fn report(answers: &[Answered], took: Duration) {
    let mut accepted: Vec<Duration> = answers
        .iter()
        .filter(|answer| answer.refused.is_none())
        .map(|answer| answer.took)
        .collect();
    accepted.sort();
    let all = u32::try_from(accepted.len()).unwrap();
    println!(
        "{CLIENTS} clients, {} proposals: {:.0} accepted/s, p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms",
        answers.len(),
        f64::from(all) / took.as_secs_f64(),
        millis(percentile(&accepted, 50)),
        millis(percentile(&accepted, 99)),
        millis(percentile(&accepted, 100)),
    );
    // Whether it gets slower with the number of live deals.
    let quarter = took / 4;
    let rates: Vec<String> = (0..4)
        .map(|part| {
            let from = quarter * part;
            let within = answers.iter().filter(|answer| {
                answer.refused.is_none()
                    && answer.since_start >= from
                    && answer.since_start < from + quarter
            });
            let count = u32::try_from(within.count()).unwrap();
            format!("{:.0}", f64::from(count) / quarter.as_secs_f64())
        })
        .collect();
    println!(
        "  per second in each quarter of the time: {}",
        rates.join(", ")
    );
    let mut refusals: BTreeMap<&str, usize> = BTreeMap::new();
    for text in answers
        .iter()
        .filter_map(|answer| answer.refused.as_deref())
    {
        *refusals.entry(text).or_default() += 1;
    }
    for (text, count) in refusals {
        println!("  {count} refused: {text}");
    }
}

/// Commits and changes so far.
fn counts(provider: &Running) -> (u64, u64) {
    let (_, info) = provider.admin("GET", "/v1/info", None);
    let counted = |name: &str| info["store"][name].as_u64().unwrap();
    (counted("commits"), counted("changes"))
}
