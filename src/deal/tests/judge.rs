//! The checks of spec boost-mk12 3.1: their order, their words, their boundaries (edge cases 36–47).

use super::samples::{COLLATERAL_MIN, HEAD, START, atto, facts, params};
use crate::deal::judge::{Facts, Verdict, judge, transfer_size};
use crate::filecoin::market_actor::{MAX_DURATION, MIN_DURATION};
use crate::filecoin::{Address, DealProposal, Label, cids};
use crate::wire::DealParams;
use cid::Cid;
use cid::multihash::Multihash;

/// Breaks one thing.
type Fault = fn(&mut DealParams, &mut Facts);

pub(super) fn proposal(params: &mut DealParams) -> &mut DealProposal {
    &mut params.proposal.as_mut().expect("a proposal").proposal
}

/// Makes the sample the smallest verified deal, for the price that it offers.
pub(super) fn verified(params: &mut DealParams, facts: &mut Facts) {
    let proposal = proposal(params);
    (proposal.verified, proposal.piece_size) = (true, 1 << 20);
    facts.ask.as_mut().expect("set").verified_price = atto(97_656);
    facts.datacap = Ok(Some(atto(1 << 20)));
}

/// What the client is told; empty if the proposal passes.
fn verdict(fault: Fault) -> String {
    let (mut params, mut facts) = (params(), facts());
    fault(&mut params, &mut facts);
    text(&params, &facts)
}

pub(super) fn text(params: &DealParams, facts: &Facts) -> String {
    match judge(params, facts) {
        Ok(()) => String::new(),
        Err(refusal) => refusal.client().to_owned(),
    }
}

#[track_caller]
fn check(fault: Fault, expected: &str) {
    let expected = match expected {
        "" => String::new(),
        some => format!("failed validation: {some}"),
    };
    assert_eq!(verdict(fault), expected);
}

/// Faults in the order of the table, each with the text that it alone brings.
#[allow(clippy::too_many_lines)] // one table
fn faults() -> Vec<(Fault, &'static str)> {
    vec![
        (
            |_, facts| facts.head = Err("connection refused".to_owned()),
            "server error: getting chain head",
        ),
        (
            |params, _| params.proposal = None,
            "proposal PieceCID undefined",
        ),
        (
            |_, facts| facts.signature = Verdict::Invalid,
            "invalid signature",
        ),
        (
            |params, _| proposal(params).provider = Address::id(1_001),
            "incorrect provider for deal; proposal.Provider: f01001; provider.Address: f01000",
        ),
        (
            |params, _| proposal(params).label = Label::Bytes(vec![0xff; 257]),
            "deal label can be at most 256 bytes, is 257",
        ),
        (
            |params, _| proposal(params).piece_size = 127,
            "proposal piece size is invalid: minimum padded piece size is 128 bytes",
        ),
        (
            |params, _| proposal(params).piece_cid = cids::sha256_cid(cids::RAW, b"no piece"),
            "proposal PieceCID had wrong prefix",
        ),
        (
            |params, _| proposal(params).end_epoch = proposal(params).start_epoch,
            "proposal end 105000 before proposal start 105000",
        ),
        (
            |params, facts| facts.head = Ok(proposal(params).start_epoch + 1),
            "deal start epoch 105000 has already elapsed (current epoch: 105001)",
        ),
        (
            |params, _| proposal(params).end_epoch = proposal(params).start_epoch + 518_399,
            "deal duration out of bounds (min, max, provided): 518400, 3680640, 518399",
        ),
        (
            |params, _| proposal(params).end_epoch = HEAD + MAX_DURATION + 1,
            "invalid deal end epoch 3780641: cannot be more than 3680640 past current epoch 100000",
        ),
        (
            |_, facts| facts.collateral_min = Err("time-out".to_owned()),
            "server error: getting collateral bounds",
        ),
        (
            |params, _| proposal(params).provider_collateral = atto(COLLATERAL_MIN - 1),
            "proposed provider collateral 999 below minimum 1000",
        ),
        (
            |params, _| proposal(params).provider_collateral = atto(2 * COLLATERAL_MIN + 1),
            "proposed provider collateral 2001 above maximum 2000",
        ),
        (
            |_, facts| facts.ask = None,
            "server error: getting storage ask",
        ),
        (
            |params, _| proposal(params).price_per_epoch = atto(8),
            "storage price per epoch less than asking price: 8 < 95",
        ),
        (
            |_, facts| facts.ask.as_mut().expect("set").min_piece_size = 4 << 20,
            "piece size less than minimum required size: 2048 < 4194304",
        ),
        (
            |_, facts| facts.ask.as_mut().expect("set").max_piece_size = 1_024,
            "piece size more than maximum allowed size: 2048 > 1024",
        ),
        (
            |_, facts| facts.client_available = Err("time-out".to_owned()),
            "server error: getting market balance",
        ),
        (
            |_, facts| facts.client_available = Ok(atto(51_840_010)),
            "client available funds in escrow 51840010 not enough to meet storage cost for deal 51840011",
        ),
        (
            |params, facts| {
                verified(params, facts);
                facts.network_version = Err("time-out".to_owned());
            },
            "server error: getting network version",
        ),
        (
            |params, facts| {
                verified(params, facts);
                facts.network_version = Ok(29);
            },
            "verified deals have ended with network version 29",
        ),
        (
            |params, facts| {
                verified(params, facts);
                proposal(params).piece_size = 1 << 19;
            },
            "verified deal piece size 524288 below minimum 1048576",
        ),
        (
            |params, facts| {
                verified(params, facts);
                facts.datacap = Err("time-out".to_owned());
            },
            "server error: getting verified datacap",
        ),
        (
            |params, facts| {
                verified(params, facts);
                facts.datacap = Ok(None);
            },
            "client is not a verified client",
        ),
        (
            |params, facts| {
                verified(params, facts);
                facts.datacap = Ok(Some(atto((1 << 20) - 1)));
            },
            "verified deal DataCap 1048575 too small for proposed piece size 1048576",
        ),
    ]
}

#[test]
fn the_sample_passes() {
    check(|_, _| {}, "");
}

#[test]
fn each_fault_has_its_text() {
    for (fault, expected) in faults() {
        check(fault, expected);
    }
}

#[test]
fn of_two_faults_the_earlier_one_is_told() {
    let faults = faults();
    for (position, (first, expected)) in faults.iter().enumerate() {
        for (second, later) in &faults[position + 1..] {
            let (mut params, mut facts) = (params(), facts());
            // The later one goes first, so that the earlier one stands where both touch the same field.
            second(&mut params, &mut facts);
            if params.proposal.is_none() {
                continue;
            }
            first(&mut params, &mut facts);
            let told = text(&params, &facts);
            let (told, expected) = (
                words(&told),
                words(&format!("failed validation: {expected}")),
            );
            assert_eq!(told, expected, "beside the fault {later:?}");
        }
    }
}

/// A text without its numbers: a second fault may change what they are.
fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[test]
fn the_log_knows_the_inner_error_and_the_client_does_not() {
    let (params, mut facts) = (params(), facts());
    facts.signature = Verdict::Unknown("no route to the node".to_owned());
    let refusal = judge(&params, &facts).unwrap_err();
    assert_eq!(
        refusal.client(),
        "failed validation: server error: validating signature"
    );
    assert_eq!(
        refusal.log(),
        "failed validation: server error: validating signature: no route to the node; \
         see that the chain node of FULLNODE_API_INFO is up, in sync and quick enough"
    );
}

#[test]
fn the_provider_must_be_the_id_address() {
    // Edge case 36: the robust address of the same miner.
    let robust = Address::from_bytes(&[[2].as_slice(), &[5; 20]].concat()).unwrap();
    let (mut params, facts) = (params(), facts());
    proposal(&mut params).provider = robust.clone();
    assert_eq!(
        text(&params, &facts),
        format!(
            "failed validation: incorrect provider for deal; proposal.Provider: {robust}; provider.Address: f01000"
        )
    );
}

#[test]
fn labels_are_counted_in_bytes() {
    let label = |text: &str, params: &mut DealParams| {
        proposal(params).label = Label::Text(text.to_owned());
    };
    let (mut params, facts) = (params(), facts());
    label(&"x".repeat(256), &mut params);
    assert_eq!(text(&params, &facts), "");
    label(&"ü".repeat(128), &mut params);
    assert_eq!(text(&params, &facts), "");
    label(&"ü".repeat(129), &mut params);
    assert_eq!(
        text(&params, &facts),
        "failed validation: deal label can be at most 256 bytes, is 258"
    );
}

#[test]
fn piece_sizes_are_powers_of_two_from_128() {
    let small_ask: Fault = |params, facts| {
        proposal(params).piece_size = 128;
        facts.ask.as_mut().expect("set").min_piece_size = 128;
    };
    check(small_ask, "");
    let odd = "proposal piece size is invalid: padded piece size must be a power of 2";
    check(|params, _| proposal(params).piece_size = 129, odd);
    check(|params, _| proposal(params).piece_size = u64::MAX, odd);
    check(
        |params, _| proposal(params).piece_size = 0,
        "proposal piece size is invalid: minimum padded piece size is 128 bytes",
    );
}

#[test]
fn piece_cids_have_exactly_one_prefix() {
    let wrong = "proposal PieceCID had wrong prefix";
    let with = |codec: u64, hash: u64, digest: &[u8]| {
        Cid::new_v1(codec, Multihash::wrap(hash, digest).unwrap())
    };
    let cases = [
        (with(0xf101, 0x1012, &[9; 32]), ""),
        // Edge case 38: a sealed commitment.
        (with(0xf102, 0x1012, &[9; 32]), wrong),
        (with(0xf101, 0x12, &[9; 32]), wrong),
        (with(0xf101, 0x1012, &[9; 31]), wrong),
        (with(0x55, 0x1011, &[9; 33]), wrong),
    ];
    for (cid, expected) in cases {
        let (mut params, facts) = (params(), facts());
        proposal(&mut params).piece_cid = cid;
        let told = text(&params, &facts);
        assert_eq!(told.trim_start_matches("failed validation: "), expected);
    }
}

#[test]
fn durations_have_inclusive_bounds() {
    // Edge cases 39 and 41; the client's funds cover any of them.
    let lasting = |duration: i64, head: i64| {
        let (mut params, mut facts) = (params(), facts());
        facts.client_available = Ok(atto(i64::MAX));
        facts.head = Ok(head);
        proposal(&mut params).end_epoch = START + duration;
        text(&params, &facts)
    };
    assert!(lasting(MIN_DURATION - 1, START).contains("out of bounds"));
    assert_eq!(lasting(MIN_DURATION, START), "");
    assert_eq!(lasting(MAX_DURATION, START), "");
    assert!(lasting(MAX_DURATION + 1, START).contains("out of bounds"));
    assert_eq!(lasting(MAX_DURATION - 1, START - 1), "");
    assert_eq!(
        lasting(MAX_DURATION - 1, START - 2),
        format!(
            "failed validation: invalid deal end epoch {}: cannot be more than 3680640 past current epoch {}",
            START + MAX_DURATION - 1,
            START - 2
        )
    );
}

#[test]
fn epochs_far_apart_do_not_overflow() {
    let (mut params, facts) = (params(), facts());
    proposal(&mut params).start_epoch = i64::MAX - 1;
    proposal(&mut params).end_epoch = i64::MAX;
    assert!(text(&params, &facts).ends_with("518400, 3680640, 1"));
    proposal(&mut params).start_epoch = i64::MIN;
    assert!(text(&params, &facts).contains("has already elapsed"));
    let mut facts = facts;
    facts.head = Ok(i64::MIN);
    assert!(text(&params, &facts).ends_with("18446744073709551615"));
}

#[test]
fn a_start_at_the_head_has_not_elapsed() {
    // Edge case 40.
    check(
        |params, facts| facts.head = Ok(proposal(params).start_epoch),
        "",
    );
}

#[test]
fn collateral_lies_between_once_and_twice_the_minimum() {
    // Edge case 42.
    check(
        |params, _| proposal(params).provider_collateral = atto(2 * COLLATERAL_MIN),
        "",
    );
    check(
        |params, _| proposal(params).provider_collateral = atto(-1),
        "proposed provider collateral -1 below minimum 1000",
    );
    let nothing: Fault = |params, facts| {
        facts.collateral_min = Ok(atto(0));
        proposal(params).provider_collateral = atto(0);
    };
    check(nothing, "");
    let something: Fault = |_, facts| facts.collateral_min = Ok(atto(0));
    check(
        something,
        "proposed provider collateral 1000 above maximum 0",
    );
}

#[test]
fn the_price_is_rounded_down() {
    // Edge case 43: 50,000,000 × 2,048 / 2^30 = 95.36…
    check(|params, _| proposal(params).price_per_epoch = atto(95), "");
    check(
        |params, _| proposal(params).price_per_epoch = atto(-5),
        "storage price per epoch less than asking price: -5 < 95",
    );
    let free: Fault = |params, facts| {
        facts.ask.as_mut().expect("set").price = atto(1);
        proposal(params).piece_size = 512 << 20;
        proposal(params).price_per_epoch = atto(0);
    };
    check(free, "");
    // A verified deal has a price of its own: 97,656 × 2^20 / 2^30 = 95.36…
    let right: Fault = |params, facts| {
        verified(params, facts);
        proposal(params).price_per_epoch = atto(95);
    };
    check(right, "");
    let cheap: Fault = |params, facts| {
        verified(params, facts);
        proposal(params).price_per_epoch = atto(94);
    };
    check(
        cheap,
        "storage price per epoch less than asking price: 94 < 95",
    );
}

#[test]
fn an_ask_holds_until_its_expiry() {
    check(
        |_, facts| facts.ask.as_mut().expect("set").expiry = HEAD + 1,
        "",
    );
    check(
        |_, facts| facts.ask.as_mut().expect("set").expiry = HEAD,
        "storage ask has expired",
    );
    // Said before the price, which is no longer asked for; the log has the epochs.
    let mut facts = facts();
    facts.ask.as_mut().expect("set").expiry = HEAD - 5;
    let mut params = params();
    proposal(&mut params).price_per_epoch = atto(0);
    let refusal = judge(&params, &facts).expect_err("expired");
    assert_eq!(
        refusal.client(),
        "failed validation: storage ask has expired"
    );
    assert!(
        refusal
            .log()
            .contains("f01000 expired at epoch 99995, the head is 100000"),
        "{}",
        refusal.log()
    );
}

#[test]
fn the_ask_bounds_are_inclusive() {
    // Edge case 44.
    let exact: Fault = |_, facts| {
        let ask = facts.ask.as_mut().expect("set");
        (ask.min_piece_size, ask.max_piece_size) = (2_048, 2_048);
    };
    check(exact, "");
}

#[test]
fn the_client_needs_fee_and_collateral_to_the_last_atto() {
    // Edge case 45; the sample has exactly what it needs.
    check(
        |params, _| proposal(params).client_collateral = atto(12),
        "client available funds in escrow 51840011 not enough to meet storage cost for deal 51840012",
    );
}

#[test]
fn datacap_may_be_used_up() {
    // Edge case 46: padded bytes, to the last one.
    check(verified, "");
    // An unverified deal does not look at it.
    check(|_, facts| facts.datacap = Err("away".to_owned()), "");
}

#[test]
fn a_transfer_must_fit_its_piece() {
    let sized = |size: u64, offline: bool| {
        let mut params = params();
        params.transfer.size = size;
        params.offline = offline;
        transfer_size(&params)
    };
    let text = |size: u64| {
        format!(
            "transfer size {size} does not fit the piece: it must be at least 1 and at most 2032 bytes"
        )
    };
    assert_eq!(sized(1, false), Ok(()));
    assert_eq!(sized(2_032, false), Ok(()));
    assert_eq!(sized(0, false).unwrap_err().client(), text(0));
    assert_eq!(sized(2_033, false).unwrap_err().client(), text(2_033));
    assert_eq!(sized(u64::MAX, false).unwrap_err().client(), text(u64::MAX));
    assert_eq!(sized(0, true), Ok(()));
}
