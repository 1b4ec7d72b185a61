//! Admission (spec boost-mk12 3.3; edge cases 50, 52, 54).

use super::samples::{HEAD, NOW, atto, offline, online, uuid};
use crate::deal::admit::{DISK_MARGIN, Known, Room, admit, go_time};
use crate::deal::ledger::Ledger;
use crate::deal::{Deal, Refusal, Terms};

const GIB: u64 = 1 << 30;

/// An empty provider with room for the sample deal and nothing to spare.
fn room() -> Room {
    Room {
        same_proposal: None,
        same_uuid: None,
        head: HEAD,
        ledger: Ledger::default(),
        host_staging: 0,
        client_staging: 0,
        escrow_available: atto(1_000),
        publish_balance: atto(50_000_000_000_000_000_i64),
        reserved_by_others: atto(0),
        disk_free: GIB + DISK_MARGIN,
    }
}

/// An online deal of this size.
fn deal(size: u64) -> Deal {
    let mut deal = online();
    deal.request.size = size;
    deal
}

fn answer(room: &Room, terms: &Terms) -> Result<(), Refusal> {
    admit(&deal(GIB), room, terms)
}

#[track_caller]
fn check(change: impl FnOnce(&mut Room, &mut Terms), expected: &str) {
    let (mut room, mut terms) = (room(), Terms::default());
    change(&mut room, &mut terms);
    let told = answer(&room, &terms).map_err(|refusal| refusal.client().to_owned());
    assert_eq!(told.err().unwrap_or_default(), expected);
}

const FUNDS: &str = "server error: provider has insufficient funds to accept deal";
const SPACE: &str = "server error: provider has no space left for storage deals";

#[test]
fn an_empty_provider_takes_the_deal() {
    check(|_, _| {}, "");
}

#[test]
fn known_deals_are_named_with_their_time() {
    // Edge case 50; 1,700,000,000 s are 2023-11-14 22:13:20.
    let known = Some(Known {
        uuid: uuid(0xab),
        created: NOW,
    });
    check(
        |room, _| room.same_proposal = known,
        "deal proposal is identical to deal abababab-abab-abab-abab-abababababab \
         (proposed at 2023-11-14 22:13:20.123 +0000 UTC)",
    );
    check(
        |room, _| room.same_uuid = known,
        "deal has the same uuid as deal abababab-abab-abab-abab-abababababab \
         (proposed at 2023-11-14 22:13:20.123 +0000 UTC)",
    );
    check(
        |room, _| (room.same_uuid, room.same_proposal) = (known, known),
        "deal proposal is identical to deal abababab-abab-abab-abab-abababababab \
         (proposed at 2023-11-14 22:13:20.123 +0000 UTC)",
    );
}

#[test]
fn steps_come_in_their_order() {
    let known = Some(Known {
        uuid: uuid(1),
        created: 0,
    });
    let nothing_fits = |room: &mut Room, terms: &mut Terms| {
        room.escrow_available = atto(0);
        room.disk_free = 0;
        terms.online = false;
    };
    check(
        |room, terms| {
            nothing_fits(room, terms);
            room.same_uuid = known;
        },
        "deal has the same uuid as deal 01010101-0101-0101-0101-010101010101 \
         (proposed at 1970-01-01 00:00:00 +0000 UTC)",
    );
    check(
        nothing_fits,
        "miner is not considering online storage deals",
    );
    check(
        |room, terms| {
            nothing_fits(room, terms);
            terms.online = true;
        },
        FUNDS,
    );
    check(|room, _| room.disk_free = 0, SPACE);
}

#[test]
fn collateral_of_live_deals_is_not_free() {
    // Edge case 54: exactly enough is enough.
    check(|room, _| room.escrow_available = atto(999), FUNDS);
    check(
        |room, _| {
            room.escrow_available = atto(3_000);
            room.ledger.collateral = atto(2_000);
        },
        "",
    );
    check(
        |room, _| {
            room.escrow_available = atto(3_000);
            room.ledger.collateral = atto(2_001);
        },
        FUNDS,
    );
}

#[test]
fn one_fee_cap_serves_a_whole_message() {
    let cap = 50_000_000_000_000_000_i64;
    // Edge case 54.
    check(|room, _| room.publish_balance = atto(cap - 1), FUNDS);
    check(|room, _| room.ledger.unpublished = 7, "");
    check(|room, _| room.ledger.unpublished = 8, FUNDS);
    check(
        |room, _| {
            room.ledger.unpublished = 15;
            room.publish_balance = atto(2 * cap);
        },
        "",
    );
    // A message that is under way, and those of another miner with the same wallet, need theirs too.
    check(|room, _| room.ledger.messages = 1, FUNDS);
    check(|room, _| room.reserved_by_others = atto(1), FUNDS);
    check(
        |room, _| {
            room.ledger.messages = 1;
            room.reserved_by_others = atto(cap);
            room.publish_balance = atto(3 * cap);
        },
        "",
    );
    check(
        |room, terms| {
            terms.publish_fee_max = atto(0);
            room.publish_balance = atto(0);
            room.ledger.unpublished = u64::MAX;
        },
        "",
    );
}

#[test]
fn a_staging_area_may_not_be_filled_exactly() {
    // Edge case 52.
    let staging = |held: u64, max: u64| {
        move |room: &mut Room, terms: &mut Terms| {
            room.ledger.staging = held;
            terms.staging_bytes_max = max;
        }
    };
    check(staging(GIB, 2 * GIB), SPACE);
    check(staging(GIB - 1, 2 * GIB), "");
    check(staging(0, 1), SPACE);
    check(staging(u64::MAX - 1, 0), "");
    check(staging(u64::MAX, u64::MAX), SPACE);
}

#[test]
fn the_disk_keeps_its_margin() {
    check(|room, _| room.disk_free = GIB + DISK_MARGIN - 1, SPACE);
    let (mut room, terms) = (room(), Terms::default());
    room.disk_free = u64::MAX;
    let huge = admit(&deal(u64::MAX), &room, &terms);
    assert_eq!(huge, Ok(()), "saturates instead of wrapping to nothing");
}

#[test]
fn an_offline_deal_reserves_nothing() {
    // Edge case 78.
    let (mut room, terms) = (room(), Terms::default());
    room.escrow_available = atto(0);
    room.publish_balance = atto(0);
    room.disk_free = 0;
    assert_eq!(admit(&offline(), &room, &terms), Ok(()));
}

#[test]
fn the_log_names_the_amounts() {
    let (mut room, terms) = (room(), Terms::default());
    room.escrow_available = atto(0);
    let log = answer(&room, &terms).unwrap_err().log().to_owned();
    assert!(log.contains("0.000000000000001 FIL"), "{log}");
    assert!(log.contains("add funds"), "{log}");
}

#[test]
fn times_look_like_the_reference_s() {
    let cases = [
        (0, "1970-01-01 00:00:00 +0000 UTC"),
        (1_767_323_045_120, "2026-01-02 03:04:05.12 +0000 UTC"),
        (1_767_323_045_007, "2026-01-02 03:04:05.007 +0000 UTC"),
        (951_782_399_999, "2000-02-28 23:59:59.999 +0000 UTC"),
        (951_782_400_000, "2000-02-29 00:00:00 +0000 UTC"),
        (4_107_542_399_000, "2100-02-28 23:59:59 +0000 UTC"),
        (4_107_542_400_000, "2100-03-01 00:00:00 +0000 UTC"),
        (1_735_689_599_000, "2024-12-31 23:59:59 +0000 UTC"),
    ];
    for (millis, expected) in cases {
        assert_eq!(go_time(millis), expected);
    }
    assert!(go_time(u64::MAX).ends_with("+0000 UTC"));
}
