//! The built-in filter (spec boost-mk12 3.4; edge cases 40, 48, 49).

use super::samples::{self, HEAD, START, online, proposal};
use crate::deal::Terms;
use crate::deal::filter::filter;
use crate::filecoin::DealProposal;

type Change = fn(&mut DealProposal, &mut Terms);

#[track_caller]
fn check(offline: bool, change: Change, expected: &str) {
    let (mut deal, mut terms) = (
        if offline {
            samples::offline()
        } else {
            online()
        },
        Terms::default(),
    );
    change(&mut deal.signed.proposal, &mut terms);
    let told = filter(&deal, HEAD, &terms).map_err(|refusal| refusal.client().to_owned());
    assert_eq!(told.err().unwrap_or_default(), expected);
}

#[test]
fn switches_refuse_their_kind_and_no_other() {
    let online = "miner is not considering online storage deals";
    let offline = "miner is not accepting offline storage deals";
    let verified = "miner is not accepting verified storage deals";
    let unverified = "miner is not accepting unverified storage deals";
    check(false, |_, _| {}, "");
    check(true, |_, _| {}, "");
    check(false, |_, terms| terms.online = false, online);
    check(true, |_, terms| terms.online = false, "");
    check(true, |_, terms| terms.offline = false, offline);
    check(false, |_, terms| terms.offline = false, "");
    check(false, |_, terms| terms.verified = false, "");
    check(false, |_, terms| terms.unverified = false, unverified);
    let paying: Change = |proposal, terms| {
        proposal.verified = true;
        terms.verified = false;
    };
    check(false, paying, verified);
    let capped: Change = |proposal, terms| {
        proposal.verified = true;
        terms.unverified = false;
    };
    check(false, capped, "");
}

#[test]
fn the_first_condition_is_told() {
    let all: Change = |proposal, terms| {
        (terms.online, terms.unverified) = (false, false);
        terms.blocklist.insert(proposal.piece_cid);
        proposal.start_epoch = HEAD;
    };
    check(false, all, "miner is not considering online storage deals");
    let but_online: Change = |proposal, terms| {
        terms.unverified = false;
        terms.blocklist.insert(proposal.piece_cid);
    };
    check(
        false,
        but_online,
        "miner is not accepting unverified storage deals",
    );
}

#[test]
fn a_blocked_piece_is_named() {
    let blocked: Change = |proposal, terms| {
        terms.blocklist.insert(proposal.piece_cid);
    };
    let text = format!("miner has blocklisted piece CID {}", proposal().piece_cid);
    check(false, blocked, &text);
}

#[test]
fn sealing_needs_its_time() {
    // Edge cases 40 and 48.
    check(false, |deal, _| deal.start_epoch = HEAD + 2_880, "");
    check(
        false,
        |deal, _| deal.start_epoch = HEAD + 2_879,
        "cannot seal a sector before 102879: earliest acceptable start epoch is 102880",
    );
    check(
        true,
        |deal, _| deal.start_epoch = HEAD,
        "cannot seal a sector before 100000: earliest acceptable start epoch is 102880",
    );
    let at_once: Change = |deal, terms| {
        deal.start_epoch = HEAD;
        terms.seal_duration = 0;
    };
    check(true, at_once, "");
}

#[test]
fn only_online_deals_may_start_too_late() {
    // Edge case 49.
    check(false, |deal, _| deal.start_epoch = HEAD + 43_200, "");
    check(
        false,
        |deal, _| deal.start_epoch = HEAD + 43_201,
        "deal start epoch is too far in the future: 143201 > 143200",
    );
    check(true, |deal, _| deal.start_epoch = HEAD + 43_201, "");
}

#[test]
fn extreme_settings_do_not_overflow() {
    let patient: Change = |_, terms| {
        terms.seal_duration = i64::MAX;
        terms.start_delay_max = i64::MAX;
    };
    check(
        false,
        patient,
        &format!(
            "cannot seal a sector before {START}: earliest acceptable start epoch is {}",
            i64::MAX
        ),
    );
}

#[test]
fn the_log_has_the_numbers() {
    let mut deal = online();
    deal.signed.proposal.start_epoch = HEAD + 10;
    let refusal = filter(&deal, HEAD, &Terms::default()).unwrap_err();
    for number in ["100010", "100000", "2880", "102880"] {
        assert!(refusal.log().contains(number), "{}", refusal.log());
    }
}
