//! What becomes of the settings.

use super::{miner_settings, settings};
use crate::config::{Config, SETTINGS};
use crate::filecoin::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

fn config(more: &[(&str, &str)]) -> Result<Config, String> {
    let always = [
        ("CORACLE_HOME", "/nowhere/coracle"),
        ("CORACLE_MINERS", "f01000,f02000"),
        ("FULLNODE_API_INFO", "/ip4/127.0.0.1/tcp/1/http"),
        ("MINER_API_INFO", "/ip4/127.0.0.1/tcp/2/http"),
    ];
    let vars: BTreeMap<OsString, OsString> = always
        .iter()
        .chain(more)
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    Config::from_env(vars).map_err(|error| error.to_string())
}

/// Everything that the market is told about a miner.
fn told(config: &Config, miner: u64) -> String {
    let own = config.miner(&Address::id(miner)).expect("it is there");
    format!("{:?}", miner_settings(config, own))
}

#[test]
fn each_miner_has_its_own_settings_and_the_others_keep_the_common_ones() {
    /// Goes to the chain's or the sealer's side, not to the market's.
    const ELSEWHERE: [&str; 2] = ["CORACLE_PUBLISH_WALLET", "CORACLE_HANDOVER_DIR"];
    /// One of these is a value of any setting, and not its default.
    const TEXTS: [&str; 14] = [
        "false",
        "true",
        "7",
        "2KiB",
        "90s",
        "3h",
        "30d",
        "0.007 FIL",
        "f01234",
        "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq",
        "/bin/true",
        "900ms",
        "accept",
        "refuse",
    ];
    for setting in SETTINGS.iter().filter(|setting| setting.per_miner()) {
        if ELSEWHERE.contains(&setting.name) {
            continue;
        }
        let own = format!("{}_F02000", setting.name);
        // Without a filter, its settings mean nothing.
        let base = ("CORACLE_FILTER", "/bin/true");
        let base = [base]
            .into_iter()
            .filter(|(name, _)| setting.name.starts_with(&format!("{name}_")));
        let base: Vec<(&str, &str)> = base.collect();
        let with = |name: &str, text: &str| config(&[&base[..], &[(name, text)]].concat());
        let plain = config(&base).unwrap();
        let differs = TEXTS.iter().any(|text| {
            let Ok(config) = with(&own, text) else {
                return false;
            };
            assert_eq!(told(&config, 1000), told(&plain, 1000), "{own}");
            told(&config, 2000) != told(&plain, 2000)
        });
        assert!(differs, "{own} reaches nobody");
        // Set for all, it is everybody's.
        let everybody = TEXTS.iter().any(|text| {
            with(setting.name, text).is_ok_and(|config| {
                let same = told(&config, 1000) == told(&config, 2000);
                same && told(&config, 1000) != told(&plain, 1000)
            })
        });
        assert!(everybody, "{} reaches nobody", setting.name);
    }
}

#[test]
fn every_miner_of_the_settings_is_a_miner_of_the_market() {
    let config = config(&[("CORACLE_PUBLISH_WALLET_F02000", "f0123")]).unwrap();
    let miners: BTreeSet<Address> = settings(&config).miners.into_keys().collect();
    assert_eq!(miners, [1000, 2000].map(Address::id).into());
    let wallets: Vec<_> = config
        .miners
        .iter()
        .map(|miner| miner.publish_wallet.clone())
        .collect();
    assert_eq!(wallets, [None, Some(Address::id(123))]);
}

#[test]
fn a_hand_over_directory_is_its_miners_alone() {
    let root = std::env::temp_dir().join(format!("coracle-routed-{}", uuid::Uuid::new_v4()));
    let (home, out) = (root.join("home"), root.join("out"));
    let texts = [&home, &out].map(|path| path.to_string_lossy().into_owned());
    let config = config(&[
        ("CORACLE_HOME", &texts[0]),
        ("CORACLE_HANDOVER_DIR_F02000", &texts[1]),
    ]);
    let routed = super::sealers::routed(&config.unwrap(), &super::tickets::Tickets::default());
    let routed = routed.unwrap();
    let document = format!(
        r#"{{"Deal":"{}","DealID":5,"PieceCID":{{"/":"{}"}}}}"#,
        uuid::Uuid::nil(),
        crate::filecoin::cids::piece_cid(&[1; 32])
    );
    std::fs::write(out.join("a.json"), document).unwrap();
    // Nobody listens where the other's sealer is said to be: it is not asked.
    let lies = |miner| routed[&Address::id(miner)].laid_out().unwrap().len();
    assert_eq!((lies(1000), lies(2000)), (0, 1));
    let nowhere = std::path::Path::new("/nowhere/at/all");
    let takes = |miner| routed[&Address::id(miner)].could_take(nowhere).is_ok();
    assert!(takes(1000) && !takes(2000));
    std::fs::remove_dir_all(root).unwrap();
}
