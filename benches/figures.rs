//! The provider's figures, measured on the real binary against the devnet: `cargo bench --bench figures`.
//!
//! Memory is the process's own resident size as the kernel counts it. Rates are printed beside a plain loop that reads the same
//! bytes from the same server in the same run, because absolute times say little.

#[path = "../tests/harness/mod.rs"]
mod harness;

use coracle::deal::Checkpoint;
use harness::{Car, CarServer, Client, Net, Running, Scratch, vars};
use std::io::Read;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Bytes of the large transfers.
const LARGE: usize = 1 << 30;

/// Transfers at the same time.
const TOGETHER: usize = 4;

fn kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    line.trim_start_matches(':')
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse()
        .unwrap()
}

fn mebibytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap()) / 1024.0
}

fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .count()
}

fn rate(bytes: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(bytes >> 20).unwrap()) / took.as_secs_f64()
}

/// Reads a URL to its end and throws the bytes away.
fn plain(url: &str) -> Duration {
    let begun = Instant::now();
    let mut body = ureq::get(url)
        .call()
        .unwrap()
        .into_body()
        .into_with_config()
        .limit(u64::MAX)
        .reader();
    let mut buffer = vec![0; 256 * 1024];
    let mut all = 0;
    loop {
        let read = body.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        all += read;
    }
    assert!(all > 0);
    begun.elapsed()
}

/// Waits for the deals' data; the largest resident size meanwhile, in KiB.
fn largest_until_transferred(client: &Client, provider: &Running, mut waiting: Vec<Uuid>) -> u64 {
    let begun = Instant::now();
    let mut largest = 0;
    while !waiting.is_empty() {
        largest = largest.max(kib(provider.pid(), "VmRSS"));
        std::thread::sleep(Duration::from_millis(100));
        waiting.retain(|uuid| {
            let status = client.status(provider, *uuid).status.unwrap();
            assert_eq!(status.error, "");
            Checkpoint::from_name(&status.status).unwrap() < Checkpoint::Transferred
        });
        assert!(begun.elapsed() < Duration::from_secs(600));
    }
    largest
}

fn main() {
    let net = Net::start(|config| config.epoch = Duration::from_millis(200));
    let scratch = Scratch::new("figures");
    let client = Client::new(net.devnet.people().client.key.clone());
    let server = CarServer::start();
    let mut vars = vars(&net, &scratch.join("home"), &server.prefix());
    vars.insert("CORACLE_TRANSFERS_MAX".to_owned(), TOGETHER.to_string());
    vars.insert("CORACLE_LOG".to_owned(), "warn".to_owned());
    // The deals stay at Transferred: the figures are those of transfers.
    vars.insert("CORACLE_PUBLISH_PERIOD".to_owned(), "1h".to_owned());

    let size = std::fs::metadata(env!("CARGO_BIN_EXE_coracle"))
        .unwrap()
        .len();
    println!("binary: {:.2} MiB", mebibytes(size / 1024));
    let begun = Instant::now();
    let provider = Running::start(&vars);
    println!(
        "run to ready, empty store: {} ms",
        begun.elapsed().as_millis()
    );
    client.wait_for_ask(&provider, &net.miner());
    std::thread::sleep(Duration::from_secs(2));
    let pid = provider.pid();
    println!(
        "RSS idle: {:.1} MiB, {} threads",
        mebibytes(kib(pid, "VmRSS")),
        threads(pid)
    );

    let car = Car::generate(&scratch.0, 1, LARGE);
    let url = server.serve(&car);
    let baseline = plain(&url);
    let propose = |number: i64| {
        let mut wanted = Client::wanted(&net, &net.miner(), &car, Some(url.clone()));
        wanted.start_epoch += number;
        client.accepted(&provider, &wanted)
    };
    let begun = Instant::now();
    let one = propose(0);
    client.reaches_within(
        &provider,
        one,
        Checkpoint::Transferred,
        Duration::from_secs(300),
    );
    let took = begun.elapsed();
    println!(
        "one 1 GiB transfer: {:.0} MiB/s with CommP, index and staging; a plain read of it {:.0} MiB/s; ratio {:.2}",
        rate(LARGE, took),
        rate(LARGE, baseline),
        baseline.as_secs_f64() / took.as_secs_f64()
    );
    println!("RSS peak so far: {:.1} MiB", mebibytes(kib(pid, "VmHWM")));

    let begun = Instant::now();
    let deals: Vec<_> = (1..=i64::try_from(TOGETHER).unwrap())
        .map(propose)
        .collect();
    let largest = largest_until_transferred(&client, &provider, deals);
    println!(
        "{TOGETHER} concurrent 1 GiB transfers: {:.0} MiB/s together, RSS largest sample {:.1} MiB, peak {:.1} MiB, {} threads",
        rate(LARGE * TOGETHER, begun.elapsed()),
        mebibytes(largest),
        mebibytes(kib(pid, "VmHWM")),
        threads(pid)
    );
    let (clean, took) = provider.stop();
    assert!(clean);
    println!("stop: {} ms", took.as_millis());
}
