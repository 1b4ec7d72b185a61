//! Tests of the settings: values, files, errors, documents.

mod files;
mod imports;
mod needed;
mod shown;
mod values;

use super::*;
use crate::market::FilterCommand;

/// The least that `run` needs.
const LEAST: [(&str, &str); 4] = [
    ("CORACLE_HOME", "/nonexistent/coracle"),
    ("CORACLE_MINERS", "f01000"),
    ("FULLNODE_API_INFO", "http://127.0.0.1:1234"),
    ("MINER_API_INFO", "http://127.0.0.1:2345"),
];

fn vars(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn read(more: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let mut all = vars(&LEAST);
    // Later ones win, as in a map of variables.
    for (name, value) in vars(more) {
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
    }
    Config::from_env(all)
}

fn good(more: &[(&str, &str)]) -> Config {
    read(more).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(more: &[(&str, &str)]) -> Vec<String> {
    read(more)
        .expect_err("must be refused")
        .all
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_least_gives_the_documented_defaults() {
    let config = good(&[]);
    assert_eq!(config.home, PathBuf::from("/nonexistent/coracle"));
    assert_eq!(
        config.staging,
        PathBuf::from("/nonexistent/coracle/staging")
    );
    assert_eq!(config.pieces, PathBuf::from("/nonexistent/coracle/pieces"));
    assert_eq!(
        config.libp2p_key_file,
        PathBuf::from("/nonexistent/coracle/libp2p.key")
    );
    assert!(!config.libp2p_key_given);
    assert_eq!(
        config.listen,
        ["/ip4/0.0.0.0/tcp/24001".parse::<Multiaddr>().unwrap()]
    );
    assert_eq!(config.announce, []);
    assert_eq!(config.http_listen, "0.0.0.0:7777".parse().unwrap());
    assert_eq!(config.admin_listen, "127.0.0.1:7778".parse().unwrap());
    assert_eq!((config.public_url, config.sealer_url), (None, None));
    assert_eq!(config.chain_poll, Duration::from_secs(30));
    assert_eq!(config.staging_bytes_max, 100 << 30);
    assert_eq!(config.staging_client_bytes_max, 0);
    assert_eq!(config.staging_host_percent_max, 0);
    assert_eq!(config.keep_pieces_bytes_max, 100 << 30);
    assert_eq!(config.transfers_max, 2);
    assert_eq!(config.sha_kernel, None);
    assert_eq!(config.db_cache_bytes, 8 << 20);
    assert_eq!(config.private_urls, Vec::<String>::new());
    assert_eq!(config.log, log::LevelFilter::Info);
    assert_eq!(config.miners.len(), 1);
    let expected = MinerConfig {
        address: Address::id(1000),
        handover_dir: None,
        publish_wallet: None,
        publish_fee_max: TokenAmount::from_atto(50_000_000_000_000_000_u64),
        escrow_low: TokenAmount::from_atto(100_000_000_000_000_000_u64),
        publish_deals_max: 8,
        publish_period: Duration::from_secs(3_600),
        publish_confidence: Some(10),
        publish_stuck_epochs: 20,
        publish_manual: false,
        expected_seal_duration: 2_880,
        start_delay_max: 40_320,
        sealing_buffer: 480,
        retry_wait: Duration::from_secs(5),
        consider_online: true,
        consider_offline: true,
        consider_verified: true,
        consider_unverified: true,
        piece_blocklist: Vec::new(),
        clients_allowed: Vec::new(),
        clients_denied: Vec::new(),
        filter: None,
        filter_timeout: Duration::from_secs(1),
        filter_late_accepts: false,
        ask_price: TokenAmount::from_atto(50_000_000),
        ask_verified_price: TokenAmount::from_atto(5_000_000),
        piece_size_min: 256,
        piece_size_max: 32 << 30,
    };
    assert_eq!(config.miners[0], expected);
}

#[test]
fn every_default_is_what_its_own_parser_takes() {
    for setting in SETTINGS {
        let Some(default) = setting.default else {
            continue;
        };
        let applied = match setting.apply {
            Apply::Provider(apply) => apply(&mut Config::blank("/".into()), default),
            Apply::Miner(apply) => apply(&mut MinerConfig::blank(), default),
        };
        assert_eq!(applied, Ok(()), "{}", setting.name);
    }
}

#[test]
fn the_table_is_in_order() {
    for (i, setting) in SETTINGS.iter().enumerate() {
        assert!(
            SETTINGS[..i].iter().all(|other| other.name != setting.name),
            "{}",
            setting.name
        );
        assert!(
            !setting.about.is_empty() && !setting.about.contains('\n'),
            "{}",
            setting.name
        );
        assert!(!setting.about.ends_with('.'), "{}", setting.name);
        assert!(
            !(setting.required && setting.default.is_some()),
            "{}",
            setting.name
        );
        let prefixed = setting.name.starts_with("CORACLE_");
        assert!(
            prefixed || setting.name.ends_with("_API_INFO"),
            "{}",
            setting.name
        );
    }
}

#[test]
fn every_setting_reaches_its_place() {
    let config = good(&[
        ("CORACLE_MINERS", "f01000, t02000"),
        (
            "FULLNODE_API_INFO",
            "a.b.c:/ip4/10.0.0.1/tcp/1234/http,http://10.0.0.2:1234",
        ),
        (
            "MINER_API_INFO",
            "a.b.c:/ip4/10.0.0.3/tcp/2345/http , http://10.0.0.4:2345",
        ),
        ("CORACLE_STAGING", "/big/staging"),
        ("CORACLE_PIECES", "kept"),
        ("CORACLE_LIBP2P_KEY_FILE", "/keys/libp2p"),
        ("CORACLE_LISTEN", "/ip4/1.2.3.4/tcp/5,/ip6/::1/tcp/6"),
        ("CORACLE_ANNOUNCE", "/dns4/sp.example.net/tcp/7"),
        ("CORACLE_HTTP_LISTEN", "[::]:80"),
        ("CORACLE_ADMIN_LISTEN", "127.0.0.1:0"),
        ("CORACLE_PUBLIC_URL", "https://sp.example.net/"),
        ("CORACLE_SEALER_URL", "http://10.0.0.9:7777"),
        ("CORACLE_STAGING_BYTES_MAX", "1GiB"),
        ("CORACLE_STAGING_CLIENT_BYTES_MAX", "256MiB"),
        ("CORACLE_STAGING_HOST_PERCENT_MAX", "40"),
        ("CORACLE_KEEP_PIECES_BYTES_MAX", "0"),
        ("CORACLE_TRANSFERS_MAX", "64"),
        ("CORACLE_SHA_KERNEL", "portable"),
        (
            "CORACLE_PRIVATE_URLS",
            "http://127.0.0.1:*/cars/, http://10.0.0.5",
        ),
        ("CORACLE_CHAIN_POLL", "200ms"),
        ("CORACLE_DB_CACHE_BYTES", "4MiB"),
        ("CORACLE_LOG", "Debug"),
    ]);
    let addresses: Vec<_> = config
        .miners
        .iter()
        .map(|miner| miner.address.clone())
        .collect();
    assert_eq!(addresses, [Address::id(1000), Address::id(2000)]);
    assert_eq!(
        config.fullnode_api_info,
        "a.b.c:/ip4/10.0.0.1/tcp/1234/http,http://10.0.0.2:1234"
    );
    assert_eq!(
        config.miner_api_info,
        ["a.b.c:/ip4/10.0.0.3/tcp/2345/http", "http://10.0.0.4:2345"]
    );
    assert_eq!(config.staging, PathBuf::from("/big/staging"));
    assert_eq!(config.pieces, PathBuf::from("/nonexistent/coracle/kept"));
    assert_eq!(config.libp2p_key_file, PathBuf::from("/keys/libp2p"));
    assert!(config.libp2p_key_given);
    assert_eq!(config.listen.len(), 2);
    assert_eq!(
        config.announce,
        ["/dns4/sp.example.net/tcp/7".parse::<Multiaddr>().unwrap()]
    );
    assert_eq!(config.http_listen, "[::]:80".parse().unwrap());
    assert_eq!(config.admin_listen, "127.0.0.1:0".parse().unwrap());
    assert_eq!(config.public_url.as_deref(), Some("https://sp.example.net"));
    assert_eq!(config.sealer_url.as_deref(), Some("http://10.0.0.9:7777"));
    assert_eq!(config.staging_bytes_max, 1 << 30);
    assert_eq!(config.staging_client_bytes_max, 256 << 20);
    assert_eq!(config.staging_host_percent_max, 40);
    assert_eq!(config.keep_pieces_bytes_max, 0);
    assert_eq!(config.transfers_max, 64);
    assert_eq!(config.sha_kernel.unwrap().name(), "portable");
    assert_eq!(
        config.private_urls,
        ["http://127.0.0.1:*/cars/", "http://10.0.0.5"]
    );
    assert_eq!(config.chain_poll, Duration::from_millis(200));
    assert_eq!(config.db_cache_bytes, 4 << 20);
    assert_eq!(config.log, log::LevelFilter::Debug);
}

#[test]
fn every_setting_of_a_miner_reaches_its_place() {
    let blocked = "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq";
    let config = good(&[
        ("CORACLE_PUBLISH_WALLET", "f0777"),
        ("CORACLE_PUBLISH_FEE_MAX", "1 FIL"),
        ("CORACLE_ESCROW_LOW", "7 attoFIL"),
        ("CORACLE_PUBLISH_DEALS_MAX", "1"),
        ("CORACLE_PUBLISH_PERIOD", "0s"),
        ("CORACLE_PUBLISH_CONFIDENCE", "finality"),
        ("CORACLE_PUBLISH_STUCK_EPOCHS", "1h"),
        ("CORACLE_PUBLISH_MANUAL", "yes"),
        ("CORACLE_EXPECTED_SEAL_DURATION", "1h"),
        ("CORACLE_START_DELAY_MAX", "1d"),
        ("CORACLE_SEALING_BUFFER", "0"),
        ("CORACLE_RETRY_WAIT", "200ms"),
        ("CORACLE_HANDOVER_DIR", "/srv/handover"),
        ("CORACLE_CONSIDER_ONLINE", "no"),
        ("CORACLE_CONSIDER_OFFLINE", "false"),
        ("CORACLE_CONSIDER_VERIFIED", "0"),
        ("CORACLE_CONSIDER_UNVERIFIED", "off"),
        ("CORACLE_PIECE_BLOCKLIST", blocked),
        ("CORACLE_CLIENTS_ALLOWED", "f05, t06"),
        ("CORACLE_CLIENTS_DENIED", "f07"),
        ("CORACLE_FILTER", "jq -e '.IsOffline, true'"),
        ("CORACLE_FILTER_TIMEOUT", "1m"),
        ("CORACLE_FILTER_LATE", "accept"),
        ("CORACLE_ASK_PRICE", "0"),
        ("CORACLE_ASK_VERIFIED_PRICE", "7 attoFIL"),
        ("CORACLE_PIECE_SIZE_MIN", "1KiB"),
        ("CORACLE_PIECE_SIZE_MAX", "64GiB"),
    ]);
    let expected = MinerConfig {
        address: Address::id(1000),
        handover_dir: Some(PathBuf::from("/srv/handover")),
        publish_wallet: Some(Address::id(777)),
        publish_fee_max: TokenAmount::from_atto(1_000_000_000_000_000_000_u64),
        escrow_low: TokenAmount::from_atto(7_u64),
        publish_deals_max: 1,
        publish_period: Duration::ZERO,
        publish_confidence: None,
        publish_stuck_epochs: 120,
        publish_manual: true,
        expected_seal_duration: 120,
        start_delay_max: 2_880,
        sealing_buffer: 0,
        retry_wait: Duration::from_millis(200),
        consider_online: false,
        consider_offline: false,
        consider_verified: false,
        consider_unverified: false,
        piece_blocklist: vec![blocked.parse().unwrap()],
        clients_allowed: vec![Address::id(5), Address::id(6)],
        clients_denied: vec![Address::id(7)],
        filter: Some(FilterCommand("jq -e '.IsOffline, true'".to_owned())),
        filter_timeout: Duration::from_secs(60),
        filter_late_accepts: true,
        ask_price: TokenAmount::zero(),
        ask_verified_price: TokenAmount::from_atto(7),
        piece_size_min: 1_024,
        piece_size_max: 64 << 30,
    };
    assert_eq!(config.miners, [expected]);
}

#[test]
fn a_miner_can_differ_in_what_is_its_own() {
    let config = good(&[
        ("CORACLE_MINERS", "f01000,f02000"),
        ("CORACLE_PUBLISH_DEALS_MAX", "4"),
        ("CORACLE_PUBLISH_DEALS_MAX_F02000", "2"),
        ("CORACLE_CONSIDER_ONLINE_T01000", "false"),
    ]);
    let of = |id| config.miner(&Address::id(id)).unwrap();
    assert_eq!(
        (of(1000).publish_deals_max, of(2000).publish_deals_max),
        (4, 2)
    );
    assert_eq!(
        (of(1000).consider_online, of(2000).consider_online),
        (false, true)
    );
    assert_eq!(config.miner(&Address::id(3000)), None);
}

#[test]
fn an_override_must_be_possible_and_for_a_known_miner() {
    assert_eq!(
        errors(&[
            ("CORACLE_LISTEN_F01000", "/ip4/0.0.0.0/tcp/1"),
            ("CORACLE_PUBLISH_DEALS_MAX_F09", "2"),
            ("CORACLE_PUBLISH_PERIOD_F01000", "soon"),
        ]),
        [
            "CORACLE_LISTEN_F01000: cannot differ from miner to miner",
            "CORACLE_PUBLISH_DEALS_MAX_F09: f09 is not in CORACLE_MINERS",
            "CORACLE_PUBLISH_PERIOD_F01000: \"soon\" is no duration: write 1h30m, 30s or 200ms",
        ]
    );
}

#[test]
fn all_errors_come_at_once_with_their_names() {
    let found = errors(&[
        ("CORACLE_MINERS", "f01000,f01000"),
        ("FULLNODE_API_INFO", "localhost:1234"),
        ("CORACLE_HTTP_LISTEN", "7777"),
        ("CORACLE_TRANSFERS_MAX", "0"),
        ("CORACLE_SHA_KERNEL", "md5"),
        ("CORACLE_PRIVATE_URLS", "10.0.0.0/8"),
        ("CORACLE_PUBLISH_FEE_MAX", "-1 FIL"),
        ("CORACLE_STAGEING", "/x"),
        ("CORACLE_WHATEVER_ELSE", "/x"),
    ]);
    let names: Vec<&str> = found
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        names,
        [
            "CORACLE_STAGEING",
            "CORACLE_WHATEVER_ELSE",
            "CORACLE_MINERS",
            "FULLNODE_API_INFO",
            "CORACLE_HTTP_LISTEN",
            "CORACLE_TRANSFERS_MAX",
            "CORACLE_SHA_KERNEL",
            "CORACLE_PRIVATE_URLS",
            "CORACLE_PUBLISH_FEE_MAX",
        ]
    );
    assert_eq!(
        found[0],
        "CORACLE_STAGEING: is no setting; did you mean CORACLE_STAGING?"
    );
    assert_eq!(
        found[1],
        "CORACLE_WHATEVER_ELSE: is no setting; `coracle settings` lists them"
    );
    assert_eq!(found[2], "CORACLE_MINERS: f01000 is there twice");
}

#[test]
fn an_empty_value_takes_a_setting_back() {
    assert_eq!(good(&[("CORACLE_TRANSFERS_MAX", "")]).transfers_max, 2);
    assert_eq!(good(&[("CORACLE_PUBLIC_URL", "  ")]).public_url, None);
    assert_eq!(
        errors(&[("CORACLE_MINERS", "")])
            .first()
            .map(|line| line.starts_with("CORACLE_MINERS: is not set")),
        Some(true)
    );
}

#[test]
fn what_does_not_go_together_is_refused() {
    assert_eq!(
        errors(&[
            ("CORACLE_PIECES", "staging"),
            ("CORACLE_ADMIN_LISTEN", "0.0.0.0:7777"),
            ("CORACLE_PIECE_SIZE_MIN", "64GiB"),
            ("CORACLE_START_DELAY_MAX", "2879"),
        ]),
        [
            "CORACLE_PIECES: is the same directory as CORACLE_STAGING",
            "CORACLE_ADMIN_LISTEN: is the same address as CORACLE_HTTP_LISTEN, which is public",
            "CORACLE_PIECE_SIZE_MIN: is above CORACLE_PIECE_SIZE_MAX for f01000",
            "CORACLE_EXPECTED_SEAL_DURATION: is above CORACLE_START_DELAY_MAX for f01000: \
             every deal would be refused",
        ]
    );
}

#[test]
fn text_that_is_no_utf8_is_an_error_only_in_our_variables() {
    use std::os::unix::ffi::OsStringExt as _;
    let bad = OsString::from_vec(vec![0xff, 0xfe]);
    let mut all = vars(&LEAST);
    all.push(("OTHER".into(), bad.clone()));
    all.push((bad.clone(), "x".into()));
    assert!(Config::from_env(all.clone()).is_ok());
    all.push(("CORACLE_LISTEN".into(), bad));
    let errors = Config::from_env(all).unwrap_err();
    assert_eq!(errors.to_string(), "CORACLE_LISTEN: is no UTF-8 text");
}

#[test]
fn no_secret_is_shown() {
    let secret = "eyJhbGciOi.eyJBbGxvdyI.S3cr3t";
    let node = format!("{secret}:/ip4/10.0.0.1/tcp/1234/http");
    let miner = format!("{secret}:/ip4/10.0.0.1/tcp/2345/http");
    let config = good(&[("FULLNODE_API_INFO", &node), ("MINER_API_INFO", &miner)]);
    assert!(!format!("{config:?}").contains("S3cr3t"));
    let (rows, _) = report::rows(vars(&[
        ("FULLNODE_API_INFO", &node),
        ("MINER_API_INFO", &miner),
    ]));
    assert!(!format!("{rows:?}").contains("S3cr3t"));
    // A mistyped one is not repeated either.
    for wrong in [
        format!("{secret}:nonsense"),
        format!("{secret} /ip4/1.2.3.4/tcp/1"),
    ] {
        let found = errors(&[("FULLNODE_API_INFO", &wrong), ("MINER_API_INFO", &wrong)]);
        assert_eq!(found.len(), 2);
        assert!(!found.concat().contains("S3cr3t"), "{found:?}");
    }
}

#[test]
fn a_command_needs_only_the_place() {
    let place = Place::from_env(vars(&[
        ("CORACLE_HOME", "/nonexistent/x"),
        ("CORACLE_LISTEN", "nonsense"),
        ("CORACLE_ADMIN_LISTEN", "127.0.0.1:9"),
    ]));
    let expected = Place {
        home: "/nonexistent/x".into(),
        admin_listen: "127.0.0.1:9".parse().unwrap(),
    };
    assert_eq!(place, Ok(expected));
    let place = Place::from_env(vars(&[("HOME", "/nonexistent")])).unwrap();
    assert_eq!(place.home, PathBuf::from("/nonexistent/.coracle"));
    assert_eq!(place.admin_listen, "127.0.0.1:7778".parse().unwrap());
    let wrong = Place::from_env(vars(&[("HOME", "/x"), ("CORACLE_ADMIN_LISTEN", "here")]));
    assert_eq!(wrong.unwrap_err().name, "CORACLE_ADMIN_LISTEN");
    assert_eq!(Place::from_env(vars(&[])).unwrap_err().name, "CORACLE_HOME");
}

#[test]
fn a_filter_s_command_is_not_in_debug_output_and_its_time_is_bounded() {
    let config = good(&[("CORACLE_FILTER", "ask --token S3cr3t")]);
    assert!(!format!("{config:?}").contains("S3cr3t"));
    assert_eq!(
        errors(&[
            ("CORACLE_FILTER_TIMEOUT", "61s"),
            ("CORACLE_FILTER_LATE", "perhaps"),
            ("CORACLE_CLIENTS_DENIED", "f07,me"),
            ("CORACLE_STAGING_HOST_PERCENT_MAX", "101"),
        ])
        .iter()
        .filter_map(|line| line.split(" is ").next())
        .collect::<Vec<_>>(),
        [
            "CORACLE_CLIENTS_DENIED: \"me\"",
            "CORACLE_FILTER_TIMEOUT: \"61s\"",
            "CORACLE_FILTER_LATE: \"perhaps\"",
            "CORACLE_STAGING_HOST_PERCENT_MAX: \"101\"",
        ]
    );
    assert_eq!(errors(&[("CORACLE_FILTER_TIMEOUT", "0s")]).len(), 1);
}
