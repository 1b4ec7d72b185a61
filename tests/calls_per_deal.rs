//! What a deal costs and how long it is in our hands: calls of node and miner over its life, and the time from `Transferred` to
//! `AddedPiece`. `cargo test --test calls_per_deal -- --nocapture` prints both tables.
//!
//! A call belongs to one of these columns:
//!
//! | column | calls |
//! |---|---|
//! | regular | the look at chain and miners that is made with or without deals, every `CORACLE_CHAIN_POLL` |
//! | waiting | looks for something that is awaited: the publish message, the sector, the deal's activation. One look is enough for all deals of a message or a sector |
//! | once | what a process asks each node and miner once |
//! | deals | everything else: it is caused by these deals alone |

mod harness;

use coracle::deal::Checkpoint;
use harness::{Car, CarServer, Client, Net, Running, Scratch, vars, wait};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

type Counts = BTreeMap<&'static str, u64>;

fn counts(calls: &[(&'static str, Vec<Value>)]) -> Counts {
    let mut counts = Counts::new();
    for (method, _) in calls {
        *counts.entry(method).or_default() += 1;
    }
    counts
}

/// Regular looks: nothing else asks for the miner's escrow.
fn looks(calls: &[(&'static str, Vec<Value>)]) -> u64 {
    let escrow = |(method, params): &&(&str, Vec<Value>)| {
        *method == "StateMarketBalance" && params[0] == "f01000"
    };
    calls.iter().filter(escrow).count() as u64
}

/// Waits until a regular look has just ended, and records from there on.
fn record_from_here(net: &Net) {
    between_looks(net, 1);
    net.devnet.record();
}

/// Waits for the end of this many more regular looks.
fn between_looks(net: &Net, number: u64) {
    let wallet = |net: &Net| net.devnet.calls().get("WalletHas").copied().unwrap_or(0);
    let before = wallet(net);
    wait("regular looks", || {
        (wallet(net) >= before + number).then_some(())
    });
}

/// Those between the ends of two regular looks: one that was half done at the beginning or at the end is left out.
fn whole_looks(mut calls: Vec<(&'static str, Vec<Value>)>) -> Vec<(&'static str, Vec<Value>)> {
    let ends = |(method, _): &(&str, Vec<Value>)| *method == "WalletHas";
    let first = calls.iter().position(ends).expect("a look");
    let last = calls.iter().rposition(ends).expect("a look");
    calls.truncate(last + 1);
    calls.drain(..=first);
    calls
}

/// The calls of a batch of deals over their lives, by column and method.
struct Table {
    regular: Counts,
    waiting: Counts,
    once: Counts,
    deals: Counts,
}

impl Table {
    fn new(all: Counts, looks: u64, regular: &Counts) -> Self {
        let get = |method: &str| all.get(method).copied().unwrap_or(0);
        // Each of these asks for the head before.
        let heads = get("StateSearchMsg") + get("StateMarketStorageDeal");
        let mut table = Self {
            regular: Counts::new(),
            waiting: Counts::new(),
            once: Counts::new(),
            deals: Counts::new(),
        };
        for (method, total) in &all {
            let each = regular.get(method).copied().unwrap_or(0) * looks;
            let waiting = match *method {
                "StateSearchMsg"
                | "ChainGetMessage"
                | "StateGetActor"
                | "SectorsStatus"
                | "StateMarketStorageDeal" => *total,
                "ChainHead" => heads,
                _ => 0,
            };
            let once = match *method {
                // By each of the calls that begin before the first has its answer.
                "ActorAddress" => *total,
                "Version" => 1,
                _ => 0,
            };
            let rest = total.checked_sub(each + waiting + once);
            let rest =
                rest.unwrap_or_else(|| panic!("{method}: {total} < {each} + {waiting} + {once}"));
            for (column, count) in [
                (&mut table.regular, each),
                (&mut table.waiting, waiting),
                (&mut table.once, once),
                (&mut table.deals, rest),
            ] {
                if count > 0 {
                    column.insert(method, count);
                }
            }
        }
        table
    }

    fn caused(&self) -> u64 {
        self.deals.values().sum()
    }

    fn print(&self, count: u64) {
        let mut methods: Vec<_> = [&self.regular, &self.waiting, &self.once, &self.deals]
            .into_iter()
            .flat_map(|column| column.keys())
            .collect();
        methods.sort_unstable();
        methods.dedup();
        println!(
            "| {count} deals in one message | deals | waiting | once | regular |\n|---|---|---|---|---|"
        );
        let row = |name: &str, of: &dyn Fn(&Counts) -> u64| {
            let columns = [&self.deals, &self.waiting, &self.once, &self.regular].map(of);
            println!(
                "| {name} | {} | {} | {} | {} |",
                columns[0], columns[1], columns[2], columns[3]
            );
        };
        for method in methods {
            row(method, &|column| column.get(method).copied().unwrap_or(0));
        }
        row("together", &|column| column.values().sum());
    }
}

/// The whole life of `count` deals of one client that go into one message.
fn life(count: u64) -> Table {
    let net = Net::start(|config| config.epoch = Duration::from_millis(200));
    let scratch = Scratch::new("calls");
    let server = CarServer::start();
    let client = Client::new(net.devnet.people().client.key.clone());
    let mut vars = vars(&net, &scratch.join("home"), &server.prefix());
    // Rare enough that no look comes in the middle of another; and with it one sealed deal is looked at with each.
    vars.insert("CORACLE_CHAIN_POLL".to_owned(), "1s".to_owned());
    vars.insert("CORACLE_PUBLISH_PERIOD".to_owned(), "1h".to_owned());
    vars.insert("CORACLE_PUBLISH_DEALS_MAX".to_owned(), count.to_string());
    let provider = Running::start(&vars);
    client.wait_for_ask(&provider, &net.miner());
    let wanted: Vec<_> = (1..=count)
        .map(|seed| {
            let car = Car::generate(&scratch.0, seed, 50_000);
            Client::wanted(&net, &net.miner(), &car, Some(server.serve(&car)))
        })
        .collect();

    record_from_here(&net);
    between_looks(&net, 4);
    let idle = whole_looks(net.devnet.recorded());
    let idle_looks = looks(&idle);
    let mut regular = counts(&idle);
    for (method, count) in &mut regular {
        assert_eq!(
            *count % idle_looks,
            0,
            "{method} is not asked with each look"
        );
        *count /= idle_looks;
    }

    record_from_here(&net);
    between_looks(&net, 1);
    let uuids: Vec<_> = wanted
        .iter()
        .map(|wanted| client.propose(&provider, wanted))
        .map(|(uuid, answer)| {
            assert!(answer.accepted, "{}", answer.message);
            uuid
        })
        .collect();
    for uuid in uuids {
        client.proves(&provider, uuid);
        wait("its activation", || {
            let deal = provider.deal(uuid);
            (deal["on_chain"] == "active").then_some(())
        });
    }
    between_looks(&net, 2);
    let calls = whole_looks(net.devnet.recorded());
    assert_eq!(net.publish_messages(), 1);
    let table = Table::new(counts(&calls), looks(&calls), &regular);
    table.print(count);
    table
}

#[test]
fn a_deal_costs_twelve_calls_and_each_further_one_in_its_message_four() {
    let one = life(1);
    assert!(one.caused() <= 12, "{:?}", one.deals);
    let eight = life(8);
    let activations =
        eight.waiting["StateMarketStorageDeal"] - one.waiting["StateMarketStorageDeal"];
    let further = eight.caused() - one.caused() + activations;
    assert!(further <= 7 * 4, "{further}: {:?}", eight.deals);
    // What is awaited is awaited for all of them together.
    assert_eq!(eight.deals["GasEstimateMessageGas"], 1);
    assert_eq!(eight.deals["StateLookupID"], 1);
}

fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// When each epoch began, as the devnet made them.
struct Epochs {
    began: Arc<Mutex<Vec<u64>>>,
    over: Arc<AtomicBool>,
}

impl Epochs {
    /// The newest one that had begun.
    fn before(&self, at: u64) -> u64 {
        let began = self.began.lock().unwrap();
        began
            .iter()
            .rev()
            .find(|began| **began <= at)
            .copied()
            .unwrap()
    }
}

/// When the deal's log says this, in milliseconds since 1970.
fn said(provider: &Running, uuid: Uuid, text: &str) -> u64 {
    const DAY: u64 = 86_400_000;
    let (_, log) = provider.admin("GET", &format!("/v1/deals/{uuid}/log"), None);
    let lines = log["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["text"] == text);
    let line = line.unwrap_or_else(|| panic!("{text}: {log}"));
    // "2026-11-22T22:26:12.345Z", without zeros at the end of the fraction: the time of day, of the last day that had it.
    let (_, time) = line["time"].as_str().unwrap().split_once('T').unwrap();
    let (clock, fraction) = time
        .trim_end_matches('Z')
        .split_once('.')
        .unwrap_or((time, "0"));
    let clock = clock.trim_end_matches('Z').split(':');
    let seconds = clock.fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap());
    let of_day = seconds * 1_000 + format!("{fraction:0<3}").parse::<u64>().unwrap();
    let now = millis();
    now - (now % DAY + DAY - of_day) % DAY
}

#[test]
fn from_transferred_to_added_a_deal_waits_for_tipsets() {
    println!(
        "| epoch | in all | preparing and sending | until the message is executed and confirmed | until that is seen | hand-over |"
    );
    println!("|---|---|---|---|---|---|");
    for epoch in [200, 1_000] {
        let net = Net::start(|config| config.epoch = Duration::from_millis(epoch));
        let scratch = Scratch::new("time");
        let server = CarServer::start();
        let client = Client::new(net.devnet.people().client.key.clone());
        let mut vars = vars(&net, &scratch.join("home"), &server.prefix());
        vars.insert("CORACLE_CHAIN_POLL".to_owned(), "50ms".to_owned());
        let provider = Running::start(&vars);
        let car = Car::generate(&scratch.0, 1, 8 << 20);
        let wanted = Client::wanted(&net, &net.miner(), &car, Some(server.serve(&car)));
        client.wait_for_ask(&provider, &net.miner());
        let epochs = Epochs {
            began: Arc::default(),
            over: Arc::default(),
        };
        let uuid = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = 0;
                while !epochs.over.load(Ordering::Relaxed) {
                    let now = net.devnet.epoch();
                    if now != last {
                        epochs.began.lock().unwrap().push(millis());
                        last = now;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let (uuid, answer) = client.propose(&provider, &wanted);
            assert!(answer.accepted, "{}", answer.message);
            client.reaches(&provider, uuid, Checkpoint::AddedPiece);
            epochs.over.store(true, Ordering::Relaxed);
            uuid
        });
        let [transferred, published, confirmed, added] =
            ["Transferred", "Published", "PublishConfirmed", "AddedPiece"]
                .map(|checkpoint| said(&provider, uuid, &format!("reached {checkpoint}")));
        let tipset = epochs.before(confirmed).max(published);
        let parts = [
            published - transferred,
            tipset - published,
            confirmed - tipset,
            added - confirmed,
        ];
        println!(
            "| {epoch} ms | {} ms | {} ms | {} ms | {} ms | {} ms |",
            added - transferred,
            parts[0],
            parts[1],
            parts[2],
            parts[3]
        );
        // Two tipsets until it is executed, two of confidence: what is ours must not add another kind of wait.
        let ours = parts[0] + parts[2] + parts[3];
        // Ten seconds are for a busy machine; a wait of another kind would be a poll's, or a retry's of a minute.
        assert!(ours < 30_000, "{parts:?}");
        assert!(parts[1] <= 8 * epoch + 10_000, "{parts:?}");
    }
}
