//! What must be set, and what need not be.

use super::*;

#[test]
fn what_is_required_is_named_when_missing() {
    let found = Config::from_env(vars(&[("HOME", "/nonexistent"), ("CORACLE_LOG", "info")]));
    let found = found.unwrap_err();
    assert!(!found.nothing_set);
    let names: Vec<&str> = found.all.iter().map(|error| error.name.as_str()).collect();
    assert_eq!(
        names,
        ["CORACLE_MINERS", "FULLNODE_API_INFO", "MINER_API_INFO"]
    );
    assert!(found.all[0].reason.starts_with("is not set: the miners"));
}

#[test]
fn nothing_set_is_told_from_something_wrong() {
    let nothing = |pairs: &[(&str, &str)]| Config::from_env(vars(pairs)).unwrap_err().nothing_set;
    assert!(nothing(&[("HOME", "/nonexistent"), ("PATH", "/bin")]));
    assert!(nothing(&[
        ("CORACLE_HOME", "/nonexistent"),
        ("CORACLE_MINERS", "")
    ]));
    assert!(!nothing(&[
        ("HOME", "/nonexistent"),
        ("CORACLE_MINERS", "f01000")
    ]));
    assert!(!nothing(&[
        ("HOME", "/nonexistent"),
        ("CORACLE_NONSENSE", "1")
    ]));
}

#[test]
fn who_has_a_hand_over_directory_needs_no_sealer_s_address() {
    let alone = |more: &[(&str, &str)]| {
        let mut all = vars(&LEAST);
        all.retain(|(name, _)| name != "MINER_API_INFO");
        all.extend(vars(more));
        Config::from_env(all)
    };
    let missing = alone(&[]).unwrap_err();
    let shown = missing.to_string();
    assert!(shown.starts_with("MINER_API_INFO: is not set"), "{shown}");
    assert!(shown.contains("CORACLE_HANDOVER_DIR"), "{shown}");
    let config = alone(&[("CORACLE_HANDOVER_DIR", "/srv/pieces")]).unwrap();
    assert_eq!(config.miner_api_info, Vec::<String>::new());
    let path = config.miners[0].handover_dir.as_deref();
    assert_eq!(path, Some(std::path::Path::new("/srv/pieces")));
    // One miner of two still needs an address.
    let two = [
        ("CORACLE_MINERS", "f01000,f01001"),
        ("CORACLE_HANDOVER_DIR_F01001", "/srv/pieces"),
    ];
    assert!(
        alone(&two)
            .unwrap_err()
            .to_string()
            .contains("MINER_API_INFO")
    );
    let config = good(&two);
    assert_eq!(config.miners[0].handover_dir, None);
    assert!(config.miners[1].handover_dir.is_some());
    let relative = errors(&[("CORACLE_HANDOVER_DIR", "pieces")]);
    assert_eq!(
        relative,
        ["CORACLE_HANDOVER_DIR: \"pieces\" is no full path: begin with /"]
    );
}
