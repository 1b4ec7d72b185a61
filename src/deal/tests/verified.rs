//! What verified deals need beside their client's DataCap (spec chain-sealer-rpc D.2, D.8).

use super::judge::{proposal, text, verified};
use super::samples::{atto, facts, params};
use crate::deal::judge::judge;

#[test]
fn verified_deals_end_with_network_version_29_and_others_do_not() {
    let at = |version: u64, is_verified: bool| {
        let (mut params, mut facts) = (params(), facts());
        if is_verified {
            verified(&mut params, &mut facts);
        }
        facts.network_version = Ok(version);
        judge(&params, &facts)
    };
    for version in [17, 27, 28] {
        assert_eq!(at(version, true), Ok(()));
    }
    for version in [29, 30, u64::MAX] {
        let refusal = at(version, true).unwrap_err();
        assert_eq!(
            refusal.client(),
            "failed validation: verified deals have ended with network version 29"
        );
        let log = refusal.log();
        assert!(
            log.contains(&format!("the chain is at {version}: there is no DataCap")),
            "{log}"
        );
        assert_eq!(at(version, false), Ok(()));
    }
    // Which version it is does not matter to others, known or not.
    let mut unknown = facts();
    unknown.network_version = Err("away".to_owned());
    assert_eq!(text(&params(), &unknown), "");
    let (mut params, mut facts) = (params(), facts());
    verified(&mut params, &mut facts);
    facts.network_version = Err("connection refused".to_owned());
    let refusal = judge(&params, &facts).unwrap_err();
    assert!(
        refusal
            .log()
            .contains("getting network version: connection refused")
    );
    assert!(!refusal.client().contains("refused"));
}

#[test]
fn a_verified_piece_has_a_mebibyte_at_least() {
    for size in [128_u64, 2_048, 1 << 19] {
        let (mut params, mut facts) = (params(), facts());
        verified(&mut params, &mut facts);
        let ask = facts.ask.as_mut().expect("set");
        (ask.min_piece_size, ask.price) = (128, atto(0));
        proposal(&mut params).piece_size = size;
        assert_eq!(
            text(&params, &facts),
            format!("failed validation: verified deal piece size {size} below minimum 1048576")
        );
        proposal(&mut params).verified = false;
        assert_eq!(text(&params, &facts), "");
    }
}
