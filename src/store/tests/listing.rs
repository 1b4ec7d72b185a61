//! Listings: newest first, bounded, filtered.

use super::super::{Listing, Store};
use super::{Disk, deal, keep, put, store};
use crate::deal::tests::samples;
use crate::deal::{Checkpoint, Deal};
use crate::filecoin::Address;

/// Five deals, each the newer the higher its number; every one has something of its own.
fn deals() -> Vec<Deal> {
    let mut deals: Vec<Deal> = (1..=5).map(deal).collect();
    deals[0].checkpoint = Checkpoint::Complete;
    deals[0].error = "data-transfer failed: 404".to_owned();
    deals[1].publish_cid = Some(samples::message());
    deals[1].chain_deal_id = Some(4_711);
    deals[2].signed.proposal.client = Address::id(77);
    deals[3].signed.proposal.provider = Address::id(88);
    deals[3].request.peer = "12D3KooWOther".to_owned();
    deals[4].request.data_root = "bafyroot".to_owned();
    deals[4].signed.proposal.piece_cid = crate::filecoin::cids::piece_cid(&[1; 32]);
    deals
}

#[track_caller]
fn check(listing: &Listing, expected: &[u8], more: bool) {
    let disk = Disk::default();
    let store = store(&disk);
    // Their order comes from their times, not from the order of their writing.
    let deals = deals();
    for number in [2, 0, 4, 1, 3] {
        keep(&store, vec![put(&deals[number])]);
    }
    let (listed, there_are_more) = store.list(listing).unwrap();
    let numbers: Vec<u8> = listed.iter().map(|deal| deal.uuid.as_bytes()[0]).collect();
    assert_eq!((numbers.as_slice(), there_are_more), (expected, more));
}

fn limit(limit: usize) -> Listing {
    Listing {
        limit,
        ..Listing::default()
    }
}

#[test]
fn the_newest_come_first() {
    check(&limit(100), &[5, 4, 3, 2, 1], false);
}

#[test]
fn a_limit_says_that_there_are_more() {
    check(&limit(5), &[5, 4, 3, 2, 1], false);
    check(&limit(4), &[5, 4, 3, 2], true);
    check(&limit(1), &[5], true);
    check(&limit(0), &[], true);
}

#[test]
fn a_checkpoint_filters() {
    let at = |checkpoint| Listing {
        checkpoint: Some(checkpoint),
        ..limit(100)
    };
    check(&at(Checkpoint::Complete), &[1], false);
    check(&at(Checkpoint::Accepted), &[5, 4, 3, 2], false);
    check(&at(Checkpoint::Published), &[], false);
    let two = Listing {
        limit: 2,
        ..at(Checkpoint::Accepted)
    };
    check(&two, &[5, 4], true);
}

#[test]
fn a_text_finds_what_it_names() {
    let own = samples::uuid(3).to_string();
    let message = samples::message().to_string();
    let piece = crate::filecoin::cids::piece_cid(&[1; 32]).to_string();
    let cases: [(&str, &[u8]); 11] = [
        ("", &[5, 4, 3, 2, 1]),
        (&own, &[3]),
        (&message, &[2]),
        ("4711", &[2]),
        ("471", &[]),
        ("f077", &[3]),
        ("f088", &[4]),
        ("12D3KooWOther", &[4]),
        ("bafyroot", &[5]),
        (&piece, &[5]),
        ("failed: 404", &[1]),
    ];
    for (query, expected) in cases {
        let listing = Listing {
            query: Some(query.to_owned()),
            ..limit(100)
        };
        check(&listing, expected, false);
    }
}

#[test]
fn two_deals_of_the_same_instant_are_both_listed() {
    let disk = Disk::default();
    let store = store(&disk);
    let (first, mut second) = (deal(1), deal(2));
    second.created = first.created;
    keep(&store, vec![put(&first), put(&second)]);
    assert_eq!(
        store.list(&limit(10)).unwrap(),
        (vec![second, first], false)
    );
}
