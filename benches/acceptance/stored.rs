//! What stored deals cost: start-up, memory, listing.

use crate::figures::{mebibytes, spread};
use crate::harness::{Running, Scratch, Vars};
use crate::outside::{Devnet, Silent};
use coracle::client::deal::{self, Download, Wanted};
use coracle::deal::record::{Request, Sector};
use coracle::deal::{Checkpoint, Deal};
use coracle::filecoin::{Address, SecretKey, TokenAmount, cids};
use coracle::store::{PieceRecord, Redb, Store, Write, log_line};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Deals in the store.
const STORED: [u64; 2] = [10_000, 100_000];

/// Of them have not ended: the pieces are with the sealer, but for [`AWAITED`].
const LIVE: u64 = 300;

/// Of the live ones: offline deals whose data is awaited.
const AWAITED: u64 = 20;

/// Kept pieces: the newest deals' ones.
const KEPT: u64 = 1_000;

/// Deals of one commit while the store is filled.
const TOGETHER: u64 = 1_000;

/// Tries of each measurement.
const TRIES: usize = 9;

/// 2026-01-01 in milliseconds.
const BEGIN: u64 = 1_767_225_600_000;

pub fn measure() {
    let devnet = Devnet::start(1);
    let silent = Silent::start();
    let empty = Scratch::new("stored");
    let vars = devnet.vars(&empty.join("home"), &silent.prefix());
    println!("empty store:");
    start_up(&vars);
    for deals in STORED {
        let scratch = Scratch::new("stored");
        let home = scratch.join("home");
        std::fs::create_dir_all(&home).unwrap();
        let file = home.join("coracle.redb");
        fill(&file, &devnet, deals);
        let bytes = std::fs::metadata(&file).unwrap().len();
        println!(
            "{deals} deals, {LIVE} of them live, {KEPT} kept pieces, a file of {} MiB:",
            bytes >> 20
        );
        let vars = devnet.vars(&home, &silent.prefix());
        start_up(&vars);
        after_kill(&vars);
        listing(&vars);
    }
}

/// From the start of the process to its line that says that it listens, after a stop; and the memory that it then has.
fn start_up(vars: &Vars) {
    let mut tries = Vec::new();
    // The first start makes keys and token, and may find the file as something else left it.
    assert!(Running::start(vars).stop().0);
    let (mut idle, mut peak) = (0.0_f64, 0.0_f64);
    for _ in 0..TRIES {
        let begun = Instant::now();
        let provider = Running::start(vars);
        tries.push(begun.elapsed());
        std::thread::sleep(Duration::from_secs(1));
        idle = idle.max(mebibytes(provider.pid(), "VmRSS"));
        peak = peak.max(mebibytes(provider.pid(), "VmHWM"));
        assert!(provider.stop().0);
    }
    println!("  run to ready: {}", spread(tries));
    println!("  RSS a second later: {idle:.1} MiB, peak {peak:.1} MiB");
}

/// The same when the process was killed right after a commit: the file has to be looked through.
fn after_kill(vars: &Vars) {
    let mut tries = Vec::new();
    let mut provider = Running::start(vars);
    let (_, waiting) = provider.admin("GET", "/v1/deals?state=Accepted", None);
    let waiting = waiting["deals"].as_array().unwrap();
    assert!(waiting.len() >= TRIES);
    for deal in waiting.iter().take(TRIES) {
        let path = format!("/v1/deals/{}/cancel", deal["uuid"].as_str().unwrap());
        let (_, answer) = provider.admin("POST", &path, None);
        assert_eq!(answer["accepted"], true, "{answer}");
        provider.kill();
        let begun = Instant::now();
        provider = Running::start(vars);
        tries.push(begun.elapsed());
    }
    println!("  run to ready after a kill: {}", spread(tries));
    assert!(provider.stop().0);
}

/// The newest 50, as the interface answers and as the command prints them.
fn listing(vars: &Vars) {
    let provider = Running::start(vars);
    let (mut asked, mut printed) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        let begun = Instant::now();
        let (status, answer) = provider.admin("GET", "/v1/deals?limit=50", None);
        asked.push(begun.elapsed());
        assert_eq!(status, 200);
        assert_eq!(answer["deals"].as_array().unwrap().len(), 50);
        let begun = Instant::now();
        let output = provider.command(vars, &["deal", "list", "--limit", "50"]);
        printed.push(begun.elapsed());
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap().lines().count();
        assert_eq!(lines, 50);
    }
    println!(
        "  newest 50 over the operator's interface: {}",
        spread(asked)
    );
    println!("  newest 50 with `coracle deal list`: {}", spread(printed));
    println!(
        "  RSS afterwards: {:.1} MiB",
        mebibytes(provider.pid(), "VmRSS")
    );
    assert!(provider.stop().0);
}

/// Fills a new store through its public interface.
fn fill(file: &Path, devnet: &Devnet, deals: u64) {
    let store = Redb::open(file, 64 << 20).unwrap();
    let key = devnet.clients().remove(0);
    let mut number = 0;
    while number < deals {
        let until = (number + TOGETHER).min(deals);
        let writes = (number..until).flat_map(|number| writes(number, deals, devnet, &key));
        store.commit_and_wait(writes.collect()).unwrap();
        number = until;
    }
}

/// One deal with its log, and its piece if it is one of the newest.
fn writes(number: u64, deals: u64, devnet: &Devnet, key: &SecretKey) -> Vec<Write> {
    let deal = stored_deal(number, deals, devnet, key);
    let uuid = deal.uuid;
    let line = |minute: u64, text: String| {
        let time = deal.created + minute * 60_000;
        Write::Log(uuid, log_line(time, log::Level::Info, &text))
    };
    let accepted = line(
        0,
        format!(
            "accepted: online deal of {} bytes, piece {}, from client {}",
            deal.request.size,
            deal.proposal().piece_cid,
            deal.proposal().client
        ),
    );
    if deal.checkpoint == Checkpoint::Accepted {
        return vec![accepted, Write::Deal(Box::new(deal))];
    }
    let mut writes = vec![
        accepted,
        line(
            1,
            "try 1 failed, next in 5 s: data-transfer failed: the server closed the connection"
                .to_owned(),
        ),
        line(30, "reached Transferred".to_owned()),
        line(90, "reached Published".to_owned()),
        line(100, "reached PublishConfirmed".to_owned()),
        line(130, "reached AddedPiece".to_owned()),
        line(131, "reached IndexedAndAnnounced".to_owned()),
        line(600, "sealing: Proving".to_owned()),
    ];
    if number + KEPT >= deals {
        let name = deal.proposal().piece_cid;
        let piece = PieceRecord {
            path: format!("/srv/coracle/pieces/{name}.car"),
            index: format!("/srv/coracle/pieces/{name}.idx"),
            payload_size: deal.payload_size,
            padded_size: deal.proposal().piece_size,
            ours: false,
            kept: deal.updated,
        };
        writes.push(Write::Piece(commitment(number), Box::new(piece)));
    }
    writes.push(Write::Deal(Box::new(deal)));
    writes
}

fn commitment(number: u64) -> [u8; 32] {
    let mut bytes = cids::blake2b_256(&number.to_be_bytes());
    bytes[31] &= 0x3f;
    bytes
}

fn stored_deal(number: u64, deals: u64, devnet: &Devnet, key: &SecretKey) -> Deal {
    let content = number.to_be_bytes();
    let size = 1 << 35;
    let wanted = Wanted {
        provider: devnet.miner(),
        piece_cid: cids::piece_cid(&commitment(number)),
        piece_size: size,
        payload_cid: cids::sha256_cid(cids::DAG_PB, &content),
        download: Some(Download {
            url: format!("https://data.example.net/cars/2026/{number}.car?token=0123456789abcdef"),
            headers: vec![(
                "Authorization".to_owned(),
                "Bearer 0123456789abcdef".to_owned(),
            )],
            size: size / 2 + number,
        }),
        start_epoch: devnet.epoch() + deal::START_OFFSET,
        duration: deal::DURATION,
        storage_price: TokenAmount::from_atto(50_000_000),
        provider_collateral: TokenAmount::from_atto(7_345_678_901_234_567_u64),
        verified: number.is_multiple_of(2),
        skip_announce: false,
        remove_unsealed: false,
    };
    let random = cids::blake2b_256(&content);
    let uuid = uuid::Builder::from_random_bytes(random[..16].try_into().unwrap()).into_uuid();
    let params = deal::propose(&wanted, key, uuid);
    let signed = params.proposal.unwrap();
    let created = BEGIN + number * 60_000;
    let request = Request {
        kind: params.transfer.kind,
        params: params.transfer.params,
        size: params.transfer.size,
        client_id: String::new(),
        host: "data.example.net".to_owned(),
        offline: false,
        skip_announce: false,
        remove_unsealed: false,
        data_root: wanted.payload_cid.to_string(),
        peer: "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf".to_owned(),
    };
    let mut deal = Deal::accepted(
        uuid,
        created,
        signed,
        key.address(),
        Address::id(1_234),
        request,
    );
    if number + AWAITED >= deals {
        deal.request.offline = true;
        return deal;
    }
    deal.updated = created + 36_000_000;
    deal.checkpoint_at = created + 7_860_000;
    deal.checkpoint = Checkpoint::IndexedAndAnnounced;
    deal.payload_size = deal.request.size;
    deal.order = Some(Uuid::from_u128(u128::from(number / 8)));
    deal.publish_cid = Some(cids::chain_cid(&(number / 8).to_be_bytes()));
    deal.chain_deal_id = Some(90_000_000 + number);
    deal.handing_over = true;
    deal.sector = Some(Sector {
        number: 1_000 + number,
        offset: 0,
    });
    deal.sealed = number + LIVE < deals;
    deal.sealing = if deal.sealed { "Proving" } else { "PreCommit1" }.to_owned();
    if deal.sealed && number.is_multiple_of(50) {
        deal.checkpoint = Checkpoint::Complete;
        deal.error = "data-transfer failed: the server answered 404 Not Found".to_owned();
    }
    deal
}
