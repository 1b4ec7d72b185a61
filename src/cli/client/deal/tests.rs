use super::*;
use std::ffi::OsString;

const COMMP: &str = "baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa";
const PAYLOAD: &str = "bafy2bzacebsqy7vhpd6oz7yyu3rjrweocn3b2siqk3lcf67yhwwxcbmpuiwmo";

/// The needed flags, then these; a later one of the same name is not allowed, so `without` drops one.
fn line(without: &str, more: &str) -> Options {
    let needed = [
        ("--provider", "f01234"),
        ("--commp", COMMP),
        ("--piece-size", "2048"),
        ("--payload-cid", PAYLOAD),
        ("--http-url", "http://a.example/x.car"),
        ("--car-size", "1000"),
    ];
    let mut words: Vec<OsString> = Vec::new();
    for (flag, value) in needed.iter().filter(|(flag, _)| *flag != without) {
        words.extend([OsString::from(flag), OsString::from(value)]);
    }
    words.extend(more.split_whitespace().map(OsString::from));
    Options::new(pico_args::Arguments::from_vec(words))
}

fn asked(without: &str, more: &str) -> Result<Asked, Failure> {
    let mut options = line(without, more);
    let asked = read(&mut options, true)?;
    options.finish()?;
    Ok(asked)
}

#[test]
fn defaults_are_the_reference_s() {
    let asked = asked("", "").unwrap();
    assert_eq!(asked.start, Start::After(5760));
    assert_eq!(asked.duration, 518_400);
    assert!(asked.verified && !asked.skip_announce && !asked.remove_unsealed);
    assert_eq!(
        (asked.storage_price, asked.provider_collateral),
        (None, None)
    );
    assert_eq!(asked.download.unwrap().headers, []);
}

#[test]
fn every_flag_has_its_place() {
    let asked = asked(
        "",
        "--verified=false --skip-ipni-announce --remove-unsealed-copy --start-epoch 77 --duration 600000 \
         --storage-price 5 --provider-collateral 9 --http-headers Authorization=Basic=eA== --http-headers X=",
    )
    .unwrap();
    assert!(!asked.verified && asked.skip_announce && asked.remove_unsealed);
    assert_eq!((asked.start, asked.duration), (Start::At(77), 600_000));
    assert_eq!(asked.storage_price, Some(TokenAmount::from_atto(5)));
    assert_eq!(asked.provider_collateral, Some(TokenAmount::from_atto(9)));
    let headers = asked.download.unwrap().headers;
    let expected = [("Authorization", "Basic=eA=="), ("X", "")];
    assert_eq!(headers, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
}

#[test]
fn mistakes_are_usage_errors_that_name_them() {
    for (without, more, part) in [
        ("--provider", "", "--provider"),
        ("--commp", "", "--commp"),
        ("--piece-size", "--piece-size 2000", "power of two"),
        ("--commp", &format!("--commp {PAYLOAD}"), "piece CID"),
        ("--car-size", "--car-size 0", "cannot be 0"),
        ("--car-size", "--car-size 2033", "more than fits"),
        (
            "--http-url",
            "--http-url libp2p:///ip4/1.2.3.4/tcp/5",
            "http://",
        ),
        ("", "--http-headers secret", "NAME=VALUE"),
        ("", "--http-headers =secret", "NAME=VALUE"),
        ("", "--start-epoch 5 --start-epoch-head-offset 7", "exclude"),
        ("", "--duration 0", "positive"),
        ("", "--storage-price x", "attoFIL"),
        ("", "--storage-price -5", "attoFIL"),
        ("", "--peer x", "--peer"),
        ("", "--frobnicate", "--frobnicate"),
    ] {
        match asked(without, more) {
            Err(Failure::Usage(text)) => {
                assert!(text.contains(part), "{more}: {text}");
                assert!(!text.contains("secret"), "{text}");
            }
            Err(other) => panic!("{more}: {other:?}"),
            Ok(_) => panic!("{more} was taken"),
        }
    }
}

#[test]
fn a_piece_cid_of_the_second_version_is_taken_if_its_size_agrees() {
    let second = cids::piece_cid_v2(&[7; 32], 2048, 1500).unwrap();
    assert_eq!(piece_cid(second, 2048), Ok(cids::piece_cid(&[7; 32])));
    assert!(matches!(piece_cid(second, 4096), Err(Failure::Usage(text)) if text.contains("2048")));
}

#[test]
fn with_everything_named_nobody_is_asked() {
    let asked = asked(
        "",
        "--start-epoch 100 --provider-collateral 9 --storage-price 5 --duration 600000",
    )
    .unwrap();
    let wanted = complete(&asked).unwrap();
    assert_eq!((wanted.start_epoch, wanted.duration), (100, 600_000));
    let key = SecretKey::secp256k1(&[5; 32]).unwrap();
    let uuid = Uuid::from_u128(1);
    let facts = facts(&wanted, &key, uuid);
    assert_eq!(
        facts,
        json!({
            "dealUuid": "00000000-0000-0000-0000-000000000001",
            "provider": "f01234",
            "clientWallet": key.address().to_string(),
            "payloadCid": PAYLOAD,
            "url": "http://a.example/x.car",
            "commp": COMMP,
            "startEpoch": "100",
            "endEpoch": "600100",
            "providerCollateral": "9",
        })
    );
    let text = text(&wanted, &key, uuid);
    assert!(
        text.starts_with("sent deal proposal\n  deal uuid: 0000"),
        "{text}"
    );
    assert!(
        text.contains("\n  url: http://a.example/x.car\n  commp: baga"),
        "{text}"
    );
    assert!(
        text.contains("\n  start epoch: 100\n  end epoch: 600100\n"),
        "{text}"
    );
}

#[test]
fn an_offline_deal_has_no_url() {
    let mut options = Options::new(pico_args::Arguments::from_vec(
        format!("--provider f01234 --commp {COMMP} --piece-size 2048 --payload-cid {PAYLOAD} --start-epoch 1 --provider-collateral 0")
            .split_whitespace()
            .map(OsString::from)
            .collect(),
    ));
    let asked = read(&mut options, false).unwrap();
    options.finish().unwrap();
    let wanted = complete(&asked).unwrap();
    let key = SecretKey::secp256k1(&[5; 32]).unwrap();
    assert!(facts(&wanted, &key, Uuid::nil()).get("url").is_none());
    let text = text(&wanted, &key, Uuid::nil());
    assert!(
        text.starts_with("sent deal proposal for offline deal\n"),
        "{text}"
    );
    assert!(!text.contains("url"), "{text}");
}
