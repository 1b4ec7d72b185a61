//! The live deals: indexes follow every change.

use crate::deal::step::{Effect, Live};
use crate::deal::tests::samples::{at, online, uuid};
use crate::deal::{Checkpoint, Deal, Ledger, ledger};
use crate::market::lives::Lives;
use uuid::Uuid;

fn deal(number: u8) -> Deal {
    let mut deal = online();
    deal.uuid = uuid(number);
    deal
}

fn uuids<'a>(deals: impl Iterator<Item = &'a Deal>) -> Vec<Uuid> {
    deals.map(|deal| deal.uuid).collect()
}

#[test]
fn a_change_is_seen_in_sums_and_indexes() {
    let mut lives = Lives::new([deal(1), deal(2), deal(3)]);
    let cid = deal(1).chain_cid;
    let miner = deal(1).miner().clone();
    assert_eq!(
        uuids(lives.same_proposal(&cid)),
        [uuid(1), uuid(2), uuid(3)]
    );
    assert_eq!(lives.ledger(&miner).unpublished, 3);

    let order = uuid(9);
    for number in [3, 1] {
        let busy = lives.change(&uuid(number), |live| {
            live.deal.order = Some(order);
            live.deal.checkpoint = Checkpoint::Published;
            live.busy
        });
        assert_eq!(busy, Some(None));
    }
    assert_eq!(uuids(lives.of_order(order)), [uuid(1), uuid(3)]);
    assert_eq!(lives.ledger(&miner).unpublished, 1);
    assert_eq!(lives.ledger(&miner).messages, 1);

    // It leaves its order.
    lives.change(&uuid(1), |live| live.deal.order = None);
    assert_eq!(uuids(lives.of_order(order)), [uuid(3)]);
    lives.remove(&uuid(3));
    assert_eq!(lives.of_order(order).count(), 0);
    assert_eq!(uuids(lives.same_proposal(&cid)), [uuid(1), uuid(2)]);
    assert!(lives.get(&uuid(3)).is_none());
    assert_eq!(lives.change(&uuid(3), |_| ()), None);
    assert_eq!(lives.uuids(), [uuid(1), uuid(2)]);
}

#[test]
fn a_deal_that_is_put_in_again_counts_once() {
    let mut lives = Lives::new([deal(1)]);
    let deal = Deal {
        uuid: uuid(1),
        ..at(Checkpoint::Transferred)
    };
    let (miner, host) = (deal.miner().clone(), deal.request.host.clone());
    lives.insert(Live {
        deal: deal.clone(),
        busy: None,
    });
    assert_eq!(
        lives.ledger(&miner),
        Ledger::of([&deal].into_iter(), &miner)
    );
    assert_eq!(lives.host_staging(&host), ledger::staging_bytes(&deal));
    assert_eq!(lives.awaited(), 0);
    lives.remove(&uuid(1));
    assert_eq!(lives.ledger(&miner), Ledger::default());
    assert_eq!(lives.host_staging(&host), 0);
}

#[test]
fn a_client_s_bytes_are_those_of_all_forms_of_its_address() {
    let (mut named, mut nameless) = (deal(1), deal(2));
    named.client_id = Some(crate::filecoin::Address::id(77));
    nameless.client_id = None;
    let client = named.client();
    let bytes = ledger::staging_bytes(&named);
    assert!(bytes > 0 && nameless.is_of(&client));
    let mut lives = Lives::new([named, nameless]);
    assert_eq!(lives.client_staging(&client), 2 * bytes);
    lives.change(&uuid(2), |live| {
        live.deal.checkpoint = Checkpoint::AddedPiece;
        live.deal.sector = Some(crate::deal::Sector {
            number: 1,
            offset: 0,
        });
    });
    assert_eq!(lives.client_staging(&client), bytes);
    lives.remove(&uuid(1));
    assert_eq!(lives.client_staging(&client), 0);
}

#[test]
fn what_lies_ready_what_is_added_and_what_is_imported_follow_their_deals() {
    let mut offline = deal(3);
    offline.request.offline = true;
    let mut lives = Lives::new([deal(1), deal(2), offline]);
    let seen = |lives: &Lives| {
        let (ready, added) = (uuids(lives.ready()), uuids(lives.added()));
        (ready, added, lives.importing())
    };
    assert_eq!(seen(&lives), (vec![], vec![], 0));
    for number in [1, 2] {
        lives.change(&uuid(number), |live| {
            live.deal.checkpoint = Checkpoint::AddedPiece;
        });
    }
    // A pass alone makes an import; that of an online deal is a download.
    for number in [1, 3] {
        lives.change(&uuid(number), |live| live.busy = Some(Effect::StartPass));
    }
    let both = vec![uuid(1), uuid(2)];
    assert_eq!(seen(&lives), (both.clone(), both, 1));

    lives.change(&uuid(1), |live| {
        live.deal.checkpoint = Checkpoint::IndexedAndAnnounced;
    });
    lives.change(&uuid(2), |live| {
        live.deal.sector = Some(crate::deal::Sector {
            number: 1,
            offset: 0,
        });
    });
    lives.change(&uuid(3), |live| {
        live.deal.checkpoint = Checkpoint::Transferred;
    });
    assert_eq!(seen(&lives), (vec![uuid(1)], vec![uuid(2)], 0));
    lives.remove(&uuid(1));
    lives.remove(&uuid(2));
    assert_eq!(seen(&lives), (vec![], vec![], 0));
}
