//! The edge cases of acceptance, by their numbers in spec boost-mk12 12. This is where each of them is:
//!
//! | Case | Test |
//! |---|---|
//! | 36–49 | here |
//! | 50, 51 | `market/tests/edges.rs`; the order of the texts in `admit.rs` |
//! | 52 | here, and with several deals at the same time in `market/tests/answers.rs` |
//! | 53 | `market/tests/edges.rs` |
//! | 54 | here |
//! | 55, 56 | `market/tests/edges.rs`; the document key by key in `filter_document.rs` |

use super::samples::{COLLATERAL_MIN, HEAD, START, atto, facts, online, params};
use crate::deal::admit::{DISK_MARGIN, Room, admit};
use crate::deal::filter::filter;
use crate::deal::judge::{Facts, judge};
use crate::deal::{Deal, Ledger, Terms};
use crate::filecoin::{Address, DealProposal, Label, cids};
use crate::wire::{DealParams, StorageAsk};
use cid::Cid;
use cid::multihash::Multihash;

/// What the client is told of the sample proposal after this change; empty if it passes validation.
fn judged(change: impl FnOnce(&mut DealProposal, &mut Facts)) -> String {
    let (mut params, mut facts): (DealParams, Facts) = (params(), facts());
    let signed = params.proposal.as_mut().expect("the sample has one");
    change(&mut signed.proposal, &mut facts);
    let told = judge(&params, &facts).err();
    told.map(|refusal| {
        let text = refusal.client().strip_prefix("failed validation: ");
        text.expect("every text of validation has the prefix")
            .to_owned()
    })
    .unwrap_or_default()
}

/// What the built-in filter says of the sample deal with this start.
fn filtered(start_epoch: i64, offline: bool) -> String {
    let mut deal: Deal = if offline {
        super::samples::offline()
    } else {
        online()
    };
    deal.signed.proposal.start_epoch = start_epoch;
    let told = filter(&deal, HEAD, &Terms::default()).err();
    told.map(|refusal| refusal.client().to_owned())
        .unwrap_or_default()
}

fn ask(facts: &mut Facts) -> &mut StorageAsk {
    facts.ask.as_mut().expect("the sample has one")
}

/// A client that can pay for anything.
fn rich(facts: &mut Facts) {
    facts.client_available = Ok(atto(10_i128.pow(30)));
}

#[test]
fn edge_36_the_robust_address_of_the_provider_is_refused() {
    let robust = Address::from_bytes(&[[2].as_slice(), &[5; 20]].concat()).unwrap();
    assert_eq!(
        judged(|proposal, _| proposal.provider = robust.clone()),
        format!(
            "incorrect provider for deal; proposal.Provider: {robust}; provider.Address: f01000"
        )
    );
}

#[test]
fn edge_37_piece_sizes_127_129_128() {
    let sized = |size: u64| {
        judged(|proposal, facts| {
            proposal.piece_size = size;
            ask(facts).min_piece_size = 128;
        })
    };
    assert_eq!(
        sized(127),
        "proposal piece size is invalid: minimum padded piece size is 128 bytes"
    );
    assert_eq!(
        sized(129),
        "proposal piece size is invalid: padded piece size must be a power of 2"
    );
    assert_eq!(sized(128), "");
}

#[test]
fn edge_38_a_sealed_commitment_is_no_piece() {
    let sealed = Cid::new_v1(0xf102, Multihash::wrap(0x1012, &[9; 32]).unwrap());
    assert_eq!(
        judged(|proposal, _| proposal.piece_cid = sealed),
        "proposal PieceCID had wrong prefix"
    );
    assert_eq!(
        judged(|proposal, _| proposal.piece_cid = cids::piece_cid(&[1; 32])),
        ""
    );
}

#[test]
fn edge_39_durations_at_their_bounds() {
    let lasting = |duration: i64| {
        judged(|proposal, facts| {
            rich(facts);
            facts.head = Ok(START);
            proposal.end_epoch = START + duration;
        })
    };
    let out = |duration: i64| {
        format!("deal duration out of bounds (min, max, provided): 518400, 3680640, {duration}")
    };
    assert_eq!(lasting(518_399), out(518_399));
    assert_eq!(lasting(518_400), "");
    assert_eq!(lasting(3_680_640), "");
    assert_eq!(lasting(3_680_641), out(3_680_641));
}

#[test]
fn edge_40_a_start_at_the_head_has_not_elapsed_but_is_too_early() {
    assert_eq!(judged(|_, facts| facts.head = Ok(START)), "");
    assert_eq!(
        judged(|_, facts| facts.head = Ok(START + 1)),
        "deal start epoch 105000 has already elapsed (current epoch: 105001)"
    );
    assert!(filtered(HEAD, false).starts_with("cannot seal a sector before 100000"));
}

#[test]
fn edge_41_the_end_may_lie_3680640_epochs_ahead() {
    let ending = |end: i64| {
        judged(|proposal, facts| {
            rich(facts);
            proposal.end_epoch = end;
        })
    };
    assert_eq!(ending(HEAD + 3_680_640), "");
    assert_eq!(
        ending(HEAD + 3_680_641),
        "invalid deal end epoch 3780641: cannot be more than 3680640 past current epoch 100000"
    );
}

#[test]
fn edge_42_collateral_from_once_to_twice_the_minimum() {
    let offering = |amount: i64| judged(|proposal, _| proposal.provider_collateral = atto(amount));
    assert_eq!(
        offering(COLLATERAL_MIN - 1),
        "proposed provider collateral 999 below minimum 1000"
    );
    assert_eq!(offering(COLLATERAL_MIN), "");
    assert_eq!(offering(2 * COLLATERAL_MIN), "");
    assert_eq!(
        offering(2 * COLLATERAL_MIN + 1),
        "proposed provider collateral 2001 above maximum 2000"
    );
}

#[test]
fn edge_43_the_price_is_rounded_down() {
    // 50,000,000 × 2,048 / 2^30 = 95.36…
    let paying = |price: i64| judged(|proposal, _| proposal.price_per_epoch = atto(price));
    assert_eq!(paying(95), "");
    assert_eq!(
        paying(94),
        "storage price per epoch less than asking price: 94 < 95"
    );
    let half_a_gib = |price: i64| {
        judged(|proposal, facts| {
            ask(facts).price = atto(1);
            proposal.piece_size = 512 << 20;
            proposal.price_per_epoch = atto(price);
        })
    };
    assert_eq!(half_a_gib(0), "");
    assert_eq!(
        half_a_gib(-1),
        "storage price per epoch less than asking price: -1 < 0"
    );
}

#[test]
fn edge_44_the_asks_sizes_are_inclusive() {
    let asking = |min: u64, max: u64| {
        judged(|_, facts| {
            ask(facts).min_piece_size = min;
            ask(facts).max_piece_size = max;
        })
    };
    assert_eq!(asking(2_048, 2_048), "");
    assert_eq!(
        asking(4_096, 8_192),
        "piece size less than minimum required size: 2048 < 4096"
    );
    assert_eq!(
        asking(512, 1_024),
        "piece size more than maximum allowed size: 2048 > 1024"
    );
}

#[test]
fn edge_45_the_client_needs_what_it_owes_to_the_last_atto() {
    // 100 × 518,400 for the storage and 11 of collateral.
    let having = |amount: i64| judged(|_, facts| facts.client_available = Ok(atto(amount)));
    assert_eq!(having(51_840_011), "");
    assert_eq!(
        having(51_840_010),
        "client available funds in escrow 51840010 not enough to meet storage cost for deal 51840011"
    );
}

#[test]
fn edge_46_data_cap_may_be_used_up() {
    let with = |datacap: Option<i64>| {
        judged(|proposal, facts| {
            // The smallest piece that may be verified.
            (proposal.verified, proposal.piece_size) = (true, 1 << 20);
            facts.ask.as_mut().expect("set").verified_price = atto(0);
            facts.datacap = Ok(datacap.map(atto));
        })
    };
    assert_eq!(with(Some(1_048_576)), "");
    assert_eq!(
        with(Some(1_048_575)),
        "verified deal DataCap 1048575 too small for proposed piece size 1048576"
    );
    assert_eq!(with(None), "client is not a verified client");
}

#[test]
fn edge_47_labels_are_counted_in_bytes() {
    let labelled = |label: Label| judged(|proposal, _| proposal.label = label);
    assert_eq!(labelled(Label::Text("x".repeat(256))), "");
    assert_eq!(labelled(Label::Text("ü".repeat(128))), "");
    assert_eq!(
        labelled(Label::Text("x".repeat(257))),
        "deal label can be at most 256 bytes, is 257"
    );
    assert_eq!(
        labelled(Label::Text("ü".repeat(129))),
        "deal label can be at most 256 bytes, is 258"
    );
    assert_eq!(labelled(Label::Bytes(vec![0xff; 256])), "");
    assert_eq!(
        labelled(Label::Bytes(vec![0xff; 257])),
        "deal label can be at most 256 bytes, is 257"
    );
}

#[test]
fn edge_48_sealing_needs_2880_epochs() {
    for offline in [false, true] {
        assert_eq!(filtered(HEAD + 2_880, offline), "");
        assert_eq!(
            filtered(HEAD + 2_879, offline),
            "cannot seal a sector before 102879: earliest acceptable start epoch is 102880"
        );
    }
}

#[test]
fn edge_49_only_online_deals_may_start_too_late() {
    assert_eq!(filtered(HEAD + 43_200, false), "");
    assert_eq!(
        filtered(HEAD + 43_201, false),
        "deal start epoch is too far in the future: 143201 > 143200"
    );
    assert_eq!(filtered(HEAD + 43_201, true), "");
}

/// What admission says of the sample deal of 1,000 bytes after this change; empty if it is admitted.
fn admitted(change: impl FnOnce(&mut Room, &mut Terms)) -> String {
    let mut deal = online();
    deal.request.size = 1_000;
    let (mut room, mut terms) = (
        Room {
            same_proposal: None,
            same_uuid: None,
            head: HEAD,
            ledger: Ledger::default(),
            host_staging: 0,
            client_staging: 0,
            escrow_available: atto(COLLATERAL_MIN),
            publish_balance: atto(50_000_000_000_000_000_i64),
            reserved_by_others: atto(0),
            disk_free: 1_000 + DISK_MARGIN,
        },
        Terms::default(),
    );
    change(&mut room, &mut terms);
    let told = admit(&deal, &room, &terms).err();
    told.map(|refusal| refusal.client().to_owned())
        .unwrap_or_default()
}

#[test]
fn edge_52_the_staging_area_may_not_be_filled_exactly() {
    let staging = |max: u64| {
        admitted(|room, terms| {
            room.ledger.staging = 9_000;
            terms.staging_bytes_max = max;
        })
    };
    let full = "server error: provider has no space left for storage deals";
    assert_eq!(staging(10_000), full);
    assert_eq!(staging(10_001), "");
    assert_eq!(staging(0), "");
}

#[test]
fn edge_54_funds_to_the_last_atto() {
    let poor = "server error: provider has insufficient funds to accept deal";
    assert_eq!(admitted(|_, _| {}), "");
    assert_eq!(
        admitted(|room, _| room.escrow_available = atto(COLLATERAL_MIN - 1)),
        poor
    );
    assert_eq!(
        admitted(|room, _| room.publish_balance = atto(49_999_999_999_999_999_i64)),
        poor
    );
}
