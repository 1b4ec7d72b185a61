//! The judging without anybody to ask, and the bounds of the looking.

use super::contact::{self, Ours, is_public};
use super::disk::{self, Place};
use super::finding::{Finding, Level, bytes_text, time_text};
use super::nodes::{self, NodeFacts, expected_epoch};
use super::sealers::{self, SealerFacts};
use super::url::{Answering, Expected, Fetched, fetch};
use super::{cpu, jobs};
use crate::chain::{Access, ChainError, May, MinerInfo};
use crate::config::Config;
use crate::filecoin::Address;
use crate::sealer::SealerError;
use libp2p::{Multiaddr, PeerId};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn levels(findings: &[Finding]) -> Vec<(Level, &str)> {
    findings
        .iter()
        .map(|finding| (finding.level, finding.subject.as_str()))
        .collect()
}

#[test]
fn jobs_keep_their_order_and_end_at_the_deadline() {
    let mut all: Vec<jobs::Job<u32>> = Vec::new();
    for number in 0..40_u32 {
        all.push(Box::new(move || {
            if number == 3 {
                std::thread::sleep(Duration::from_secs(20));
            }
            number
        }));
    }
    let begun = Instant::now();
    let found = jobs::all(all, Duration::from_millis(700));
    assert!(begun.elapsed() < Duration::from_secs(10));
    for (number, result) in (0..40).zip(found) {
        assert_eq!(result, (number != 3).then_some(number));
    }
    assert!(jobs::all(Vec::<jobs::Job<u32>>::new(), Duration::from_secs(9)).is_empty());
}

#[test]
fn a_servers_words_stay_one_line() {
    let long = format!("a\nok    forged: line\u{1b}[2J{}", "x".repeat(2_000));
    let finding = Finding::bad("s\n", &long, &long);
    for text in [&finding.subject, &finding.what, &finding.advice] {
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.chars().count() <= 501);
    }
    assert!(finding.what.ends_with('…'));
}

#[test]
fn sizes_and_times_are_cut_off() {
    for (bytes, text) in [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_536, "1.5 KiB"),
        (32 << 30, "32 GiB"),
        (u64::MAX, "16383.9 PiB"),
    ] {
        assert_eq!(bytes_text(bytes), text);
    }
    for (seconds, text) in [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
    ] {
        assert_eq!(time_text(seconds), text);
    }
}

#[test]
fn known_networks_have_known_epochs() {
    // chain-sealer-rpc B.1.
    assert_eq!(expected_epoch("mainnet", 1_781_920_050), Some(6_120_455));
    assert_eq!(
        expected_epoch("calibrationnet", 1_667_326_380 + 61),
        Some(2)
    );
    assert_eq!(expected_epoch("mainnet", 5), None);
    assert_eq!(expected_epoch("localnet-x", 1_781_920_050), None);
}

fn seen(network: &str, age: i64) -> nodes::Seen {
    let now = 1_781_920_050;
    nodes::Seen {
        epoch: 6_120_455,
        timestamp: now,
        now: now.checked_add_signed(age).unwrap(),
        network: network.to_owned(),
        network_version: 28,
        version: "1.36.2".to_owned(),
        agent: "lotus".to_owned(),
        block_delay: 0,
        access: Access {
            write: May::Yes,
            sign: May::Unknown("strange".to_owned()),
        },
    }
}

fn node(port: u16, seen: Result<nodes::Seen, ChainError>) -> NodeFacts {
    NodeFacts::of(&format!("http://10.0.0.5:{port}"), seen)
}

#[test]
fn a_node_in_trouble_is_bad_alone_and_a_warning_beside_another() {
    let troubles = [
        ChainError::Unauthorized,
        ChainError::Unreachable("ChainHead at x".to_owned()),
        ChainError::Forbidden("ChainHead".to_owned()),
        ChainError::Malformed("ChainHead".to_owned()),
    ];
    for trouble in troubles {
        let alone = nodes::judge(&[node(1, Err(trouble.clone()))]);
        assert_eq!(levels(&alone), [(Level::Bad, "node 10.0.0.5:1")]);
        assert!(!alone[0].advice.is_empty());
        let both = nodes::judge(&[node(1, Err(trouble)), node(2, Ok(seen("mainnet", 10)))]);
        assert_eq!(
            levels(&both),
            [
                (Level::Warn, "node 10.0.0.5:1"),
                (Level::Ok, "node 10.0.0.5:2"),
                (Level::Ok, "clock")
            ]
        );
    }
    let late = NodeFacts::late("http://10.0.0.5:3");
    assert!(late.usable_entry().is_none());
    assert!(nodes::judge(&[late])[0].what.contains("no answer in time"));
}

#[test]
fn the_age_of_the_head_decides() {
    // Epochs of 30 s where the node does not say.
    for (age, expected, usable) in [
        (-3, Level::Ok, true),
        (0, Level::Ok, true),
        (5 * 30, Level::Ok, true),
        (6 * 30, Level::Warn, true),
        (20 * 30, Level::Warn, true),
        (21 * 30, Level::Bad, false),
    ] {
        let facts = [node(1, Ok(seen("mainnet", age)))];
        assert_eq!(nodes::judge(&facts)[0].level, expected, "{age}");
        assert_eq!(facts[0].usable_entry().is_some(), usable, "{age}");
    }
    // Devnets have shorter ones.
    let quick = nodes::Seen {
        block_delay: 4,
        ..seen("2k", 25)
    };
    assert_eq!(nodes::judge(&[node(1, Ok(quick))])[0].level, Level::Warn);
    let future = nodes::judge(&[node(1, Ok(seen("mainnet", -6)))]);
    assert_eq!(levels(&future)[1], (Level::Warn, "clock"));
    assert!(
        future[0].what.contains("not known: sign"),
        "{}",
        future[0].what
    );
}

fn config(vars: &[(&str, &str)]) -> Config {
    let base = [
        ("CORACLE_HOME", "/nonexistent"),
        ("CORACLE_MINERS", "f01000,f01001"),
        ("FULLNODE_API_INFO", "http://127.0.0.1:1"),
        ("MINER_API_INFO", "http://127.0.0.1:2"),
    ];
    let all = base.iter().chain(vars);
    let all = all.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::from_env(all).unwrap()
}

fn sealer(port: u16, seen: Result<(u64, Option<&[&str]>), SealerError>) -> SealerFacts {
    SealerFacts {
        name: format!("10.0.0.6:{port}"),
        seen: seen.map(|(miner, permissions)| sealers::Seen {
            miner: Address::id(miner),
            permissions: permissions.map(|all| all.iter().map(ToString::to_string).collect()),
        }),
    }
}

#[test]
fn a_sealer_is_needed_where_no_directory_is() {
    let all: &[&str] = &["read", "write", "sign", "admin"];
    let away = || sealer(1, Err(SealerError::Unreachable("x".to_owned())));
    let table = [
        // Both have theirs; the third is nobody's.
        (
            &[][..],
            vec![
                sealer(1, Ok((1000, Some(all)))),
                sealer(2, Ok((1001, None))),
                away(),
            ],
            [Level::Ok, Level::Ok],
            Level::Warn,
        ),
        // One lacks its own: whatever does not answer might be it.
        (
            &[],
            vec![sealer(1, Ok((1000, Some(all)))), away()],
            [Level::Ok, Level::Bad],
            Level::Bad,
        ),
        // Its directory takes its place.
        (
            &[("CORACLE_HANDOVER_DIR_F01001", "/out")],
            vec![sealer(1, Ok((1000, Some(all)))), away()],
            [Level::Ok, Level::Ok],
            Level::Warn,
        ),
        // With a directory the entry tells of sectors, which needs no more than reading.
        (
            &[("CORACLE_HANDOVER_DIR", "/out")],
            vec![
                sealer(1, Ok((1000, Some(&["read"])))),
                sealer(2, Ok((1001, Some(&["read"])))),
            ],
            [Level::Ok, Level::Ok],
            Level::Ok,
        ),
        (
            &[],
            vec![
                sealer(2, Ok((1001, Some(all)))),
                sealer(1, Ok((1000, Some(&["read"])))),
            ],
            [Level::Bad, Level::Ok],
            Level::Bad,
        ),
        (
            &[],
            vec![
                sealer(2, Ok((1001, Some(all)))),
                sealer(1, Ok((1000, Some(&["admin"])))),
            ],
            [Level::Bad, Level::Ok],
            Level::Bad,
        ),
        (
            &[],
            vec![
                sealer(1, Ok((1000, Some(all)))),
                sealer(2, Ok((1001, Some(all)))),
                sealer(3, Ok((7, Some(all)))),
            ],
            [Level::Ok, Level::Ok],
            Level::Warn,
        ),
    ];
    for (number, (vars, facts, miners, last)) in table.into_iter().enumerate() {
        let config = config(vars);
        for (miner, expected) in config.miners.iter().zip(miners) {
            let line = sealers::of_miner(miner, &facts);
            assert_eq!(line.level, expected, "{number}: {line:?}");
        }
        let lines = sealers::judge(&facts, &config.miners);
        assert_eq!(lines.last().unwrap().level, last, "{number}: {lines:?}");
    }
}

fn place(setting: &'static str, device: u64, free: u64, used: u64, limit: u64) -> Place {
    Place {
        setting,
        path: PathBuf::from("/somewhere"),
        device: Some(device),
        free,
        used,
        limit,
    }
}

#[test]
fn what_lies_on_one_disk_shares_it() {
    const G: u64 = 1 << 30;
    let home = |device, free| place("CORACLE_HOME", device, free, 0, 0);
    let staging = |device, free, used, limit| place("CORACLE_STAGING", device, free, used, limit);
    let pieces = |device, free, used, limit| place("CORACLE_PIECES", device, free, used, limit);
    let table = [
        // Both fit, to the byte.
        (
            vec![
                home(1, G),
                staging(1, 3 * G, 0, G),
                pieces(1, 3 * G, 0, 2 * G),
            ],
            vec![],
        ),
        (
            vec![
                home(1, G),
                staging(1, 3 * G - 1, 0, G),
                pieces(1, 3 * G - 1, 0, 2 * G),
            ],
            vec![(Level::Warn, "disk space")],
        ),
        // What is used is not needed again.
        (
            vec![staging(1, G, G, 2 * G), pieces(1, G, 2 * G, 2 * G)],
            vec![],
        ),
        // Each on its own.
        (
            vec![staging(1, G, 0, 2 * G), pieces(2, 2 * G, 0, 3 * G)],
            vec![(Level::Warn, "disk space"), (Level::Warn, "disk space")],
        ),
        (
            vec![staging(1, 2 * G, 0, 2 * G), pieces(2, G, 0, G)],
            vec![],
        ),
        // No limit: nothing to hold it against, unless it is full.
        (vec![staging(1, 2 << 20, 0, 0)], vec![]),
        (
            vec![staging(1, 1000, 0, 0)],
            vec![(Level::Bad, "CORACLE_STAGING")],
        ),
        (
            vec![home(1, 100 << 20)],
            vec![(Level::Warn, "CORACLE_HOME")],
        ),
        (vec![home(1, 1 << 20)], vec![(Level::Bad, "CORACLE_HOME")]),
    ];
    for (places, expected) in table {
        let mut findings = disk::room(&places);
        findings.retain(|finding| finding.level != Level::Ok);
        assert_eq!(levels(&findings), expected, "{places:?}");
    }
    let both = |keep| [staging(1, G, 0, G), pieces(2, G, 0, keep)];
    assert!(disk::moving(&both(G)).is_some());
    assert!(disk::moving(&both(0)).is_none());
    assert!(disk::moving(&[staging(1, G, 0, G), pieces(1, G, 0, G)]).is_none());
}

#[test]
fn public_addresses_are_known_by_their_look() {
    for (text, public) in [
        ("/ip4/8.8.8.8/tcp/1", true),
        ("/ip4/10.1.2.3/tcp/1", false),
        ("/ip4/172.16.0.1/tcp/1", false),
        ("/ip4/192.168.1.1/tcp/1", false),
        ("/ip4/100.64.0.1/tcp/1", false),
        ("/ip4/100.128.0.1/tcp/1", true),
        ("/ip4/169.254.0.1/tcp/1", false),
        ("/ip4/0.0.0.0/tcp/1", false),
        ("/ip6/2001:db9::1/tcp/1", true),
        ("/ip6/fd00::1/tcp/1", false),
        ("/ip6/fe80::1/tcp/1", false),
        ("/ip6/::1/tcp/1", false),
        ("/dns4/sp.example.net/tcp/1", true),
        ("/unix/x", false),
    ] {
        assert_eq!(is_public(&text.parse().unwrap()), public, "{text}");
    }
}

#[test]
fn the_line_to_run_names_what_the_world_reaches() {
    let parsed = |texts: &[&str]| -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let table: [(&[&str], bool, Option<&str>, &str); 5] = [
        // What was named is taken as it is.
        (
            &["/ip4/10.0.0.1/tcp/7"],
            true,
            Some("mainnet"),
            "set-addrs /ip4/10.0.0.1/tcp/7",
        ),
        // Of this box's own addresses only the public ones.
        (
            &["/ip4/10.0.0.1/tcp/7", "/ip4/8.8.8.8/tcp/7"],
            false,
            Some("mainnet"),
            "set-addrs /ip4/8.8.8.8/tcp/7",
        ),
        // None: the router's has to be filled in, with our port.
        (
            &["/ip4/10.0.0.1/tcp/7"],
            false,
            Some("calibrationnet"),
            "set-addrs /ip4/PUBLIC.IP.ADDRESS/tcp/7",
        ),
        (
            &[],
            false,
            Some("mainnet"),
            "set-addrs /ip4/PUBLIC.IP.ADDRESS/tcp/24001",
        ),
        // In a network of one's own nobody is far away.
        (
            &["/ip4/10.0.0.1/tcp/7", "/ip4/10.0.0.2/tcp/7"],
            false,
            Some("2k"),
            "set-addrs /ip4/10.0.0.1/tcp/7 /ip4/10.0.0.2/tcp/7",
        ),
    ];
    let peer = PeerId::random();
    let info = MinerInfo {
        owner: Address::id(1),
        worker: Address::id(2),
        controls: Vec::new(),
        peer_id: Some(peer.to_string()),
        // One that cannot be read counts as none.
        multiaddrs: vec![vec![0xff, 0xff]],
        sector_size: 1,
    };
    for (addresses, named, network, line) in table {
        let ours = Ours {
            peer: Some(peer),
            addresses: parsed(addresses),
            named,
        };
        let found = contact::judge(&Address::id(1000), &info, &ours, network);
        assert_eq!(
            levels(&found),
            [
                (Level::Ok, "f01000 peer ID"),
                (Level::Bad, "f01000 multiaddrs")
            ]
        );
        assert_eq!(found[1].commands, [format!("lotus-miner actor {line}")]);
        let router = found[1].advice.contains("forward a port");
        assert_eq!(router, line.contains("PUBLIC"), "{}", found[1].advice);
    }
}

#[test]
fn a_processor_without_the_instructions_works_too() {
    let table = [
        (
            true,
            false,
            Level::Ok,
            "has SHA-256 instructions; one core makes commitments of 64 MiB/s",
        ),
        (true, true, Level::Warn, "CORACLE_SHA_KERNEL"),
        (false, false, Level::Warn, "has no SHA-256 instructions"),
    ];
    for (has, passed_over, level, text) in table {
        let finding = cpu::judge(has, passed_over, "avx2", 128 << 20);
        assert_eq!(finding.level, level);
        assert!(
            finding.what.contains(text) && finding.what.contains("kernel avx2"),
            "{}",
            finding.what
        );
        assert!(
            finding.what.contains("takes about 8 min"),
            "{}",
            finding.what
        );
    }
    // A clock that stands still divides by nothing.
    assert_eq!(cpu::judge(true, false, "sha", 0).level, Level::Ok);
}

#[test]
fn our_own_answer_is_known_from_anothers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}");
    let answering = Answering::start(listener).unwrap();
    let own = Expected::Text(answering.text());
    // Somebody who connects and says nothing does not keep us waiting for long.
    let idle = TcpStream::connect(address).unwrap();
    assert_eq!(fetch(&url, &own), Fetched::Ours);
    drop(idle);
    let other = Expected::Text("coracle check of another process".to_owned());
    assert!(matches!(fetch(&url, &other), Fetched::Other(_)));
    // A head that never ends is cut off.
    let mut endless = TcpStream::connect(address).unwrap();
    let _ = endless.write_all(&vec![b'x'; 64 * 1024]);
    let mut answer = String::new();
    let _ = endless.read_to_string(&mut answer);
    let begun = Instant::now();
    drop(answering);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(matches!(fetch(&url, &own), Fetched::Nothing(_)));
}
