//! Sums that are kept are those that adding up anew gives.

use super::samples::{at, client_id, offline, online, uuid};
use crate::deal::checkpoint::ALL;
use crate::deal::ledger::{Ledger, staging_of};
use crate::deal::sums::{Sums, awaited_bytes};
use crate::deal::{Client, Deal, Import};
use crate::filecoin::{Address, TokenAmount};

/// A deal that differs from the others of other numbers in everything that is counted.
fn deal(number: u8) -> Deal {
    let checkpoint = ALL[usize::from(number) % ALL.len()];
    let mut deal = match number % 5 {
        0 => offline(),
        1 => online(),
        _ => at(checkpoint),
    };
    deal.checkpoint = checkpoint;
    deal.uuid = uuid(number);
    deal.order = (number.is_multiple_of(3)).then(|| uuid(200 + number % 2));
    deal.request.size = u64::from(number) << (number % 60);
    deal.request.host = format!("host-{}", number % 4);
    deal.client_id = (!number.is_multiple_of(7)).then(|| Address::id(u64::from(number % 3)));
    deal.signed.proposal.provider = Address::id(1_000 + u64::from(number % 2));
    deal.signed.proposal.provider_collateral =
        TokenAmount::from_atto(u128::MAX / u128::from(number + 1));
    if number.is_multiple_of(4) {
        let mut import = Import::new("/a.car", false);
        import.begun = number.is_multiple_of(8);
        deal.import = Some(import);
    }
    deal
}

fn check(sums: &Sums, deals: &[Deal]) {
    for miner in [999, 1_000, 1_001].map(Address::id) {
        assert_eq!(sums.ledger(&miner), Ledger::of(deals.iter(), &miner));
    }
    for host in ["", "host-0", "host-1", "host-2", "host-3"] {
        let plain = staging_of(deals.iter(), |deal| deal.request.host == host);
        assert_eq!(sums.host(host), plain, "{host}");
    }
    for id in 0..4 {
        let client = Client {
            given: client_id(),
            key: client_id(),
            id: Address::id(id),
        };
        let plain = staging_of(deals.iter(), |deal| {
            deal.client_id.as_ref() == Some(&client.id)
        });
        assert_eq!(sums.client(&client), plain, "client {id}");
    }
    let awaited = deals.iter().map(awaited_bytes);
    assert_eq!(sums.awaited(), awaited.fold(0, u64::saturating_add));
}

#[test]
fn they_equal_the_plain_sums_while_deals_come_change_and_go() {
    let (mut sums, mut deals) = (Sums::default(), Vec::new());
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..300 {
        let new = deal(u8::try_from(random(200)).unwrap());
        match random(5) {
            0 | 1 => {
                sums.put(&new);
                deals.push(new);
            }
            2 | 3 if !deals.is_empty() => {
                let index = random(deals.len());
                sums.take(&deals[index]);
                sums.put(&new);
                deals[index] = new;
            }
            4 if !deals.is_empty() => {
                let gone = deals.swap_remove(random(deals.len()));
                sums.take(&gone);
            }
            _ => {}
        }
        check(&sums, &deals);
    }
    assert!(deals.len() > 20, "nothing was summed up");
    for gone in deals {
        sums.take(&gone);
    }
    assert_eq!(sums, Sums::default(), "nothing stays behind");
}

#[test]
fn sums_beyond_64_bits_are_shown_as_the_most_and_still_undone() {
    let mut sums = Sums::default();
    let mut huge = online();
    huge.request.size = u64::MAX;
    let one = online();
    sums.put(&huge);
    sums.put(&huge);
    sums.put(&one);
    assert_eq!(sums.ledger(huge.miner()).staging, u64::MAX);
    assert_eq!(sums.awaited(), u64::MAX);
    sums.take(&huge);
    sums.take(&huge);
    assert_eq!(sums.ledger(huge.miner()).staging, one.request.size);
    assert_eq!(sums.awaited(), one.request.size);
}
