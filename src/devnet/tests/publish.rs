//! PublishStorageDeals: each rule by which a deal is left out or the whole message fails.

use super::*;
use crate::devnet::market::{FIRST_DEAL, least_collateral};
use crate::filecoin::market_actor::{MAX_DURATION, MIN_DURATION, PublishReturn};
use crate::filecoin::{Signature, SignatureKind};

/// Publishes one deal between two good ones and tells whether it was left out.
#[track_caller]
fn dropped(bench: &mut Bench, deal: ClientDealProposal, reason: &str) {
    let before = bench.client_deal(|deal| deal.label = Label::Text("before".to_owned()));
    let after = bench.client_deal(|deal| deal.label = Label::Text("after".to_owned()));
    let alone = bench.publish(std::slice::from_ref(&deal));
    assert_eq!(alone.exit, 16, "{}", alone.text);
    assert!(
        alone.text.starts_with("All deal proposals invalid"),
        "{}",
        alone.text
    );
    assert!(alone.text.contains(reason), "{}", alone.text);
    let receipt = bench.publish(&[before, deal, after]);
    assert_eq!(receipt.exit, 0, "{}", receipt.text);
    let ret = PublishReturn::decode(&receipt.ret).unwrap();
    assert_eq!(ret.deal_id(0), Some(FIRST_DEAL));
    assert_eq!(ret.deal_id(1), None);
    assert_eq!(ret.deal_id(2), Some(FIRST_DEAL + 1));
}

/// One spoiled proposal, signed as it is.
#[track_caller]
fn spoiled(reason: &str, change: impl FnOnce(&mut DealProposal)) {
    let mut bench = Bench::new();
    let deal = bench.client_deal(change);
    dropped(&mut bench, deal, reason);
}

/// A proposal at an edge that still counts as good.
#[track_caller]
fn fine(change: impl FnOnce(&mut DealProposal)) {
    let mut bench = Bench::new();
    let deal = bench.client_deal(change);
    let receipt = bench.publish(&[deal]);
    assert_eq!(receipt.exit, 0, "{}", receipt.text);
}

#[test]
fn a_good_deal_locks_fee_and_collaterals() {
    let mut bench = Bench::new();
    let client = bench.people.client.address.clone();
    let deal = bench.client_deal(|_| ());
    let receipt = bench.publish(&[deal]);
    assert_eq!(receipt.exit, 0, "{}", receipt.text);
    assert_eq!(bench.escrow(&client), (fil(1000), atto(600_000 * 1000 + 5)));
    assert_eq!(bench.escrow(&Address::id(1000)), (fil(1000), fil(1)));
    let deal = &bench.world.chain.state().market.deals[&FIRST_DEAL];
    assert_eq!(deal.proposal.client, bench.people.client.id);
    assert_eq!(deal.sector, None);
}

#[test]
fn the_callers_are_owner_worker_and_control() {
    let mut bench = Bench::new();
    for index in 0..3 {
        let caller = bench.people.miners[0][index].id.clone();
        let deal = bench.client_deal(|deal| deal.label = Label::Text(index.to_string()));
        assert_eq!(bench.publish_by(&caller, &[deal]).exit, 0);
    }
    let stranger = bench.people.client.id.clone();
    let deal = bench.client_deal(|_| ());
    assert_eq!(bench.publish_by(&stranger, &[deal]).exit, 18);
}

#[test]
fn the_provider_has_to_be_a_miner() {
    let mut bench = Bench::new();
    assert_eq!(bench.publish(&[]).exit, 16);
    let deal = bench.client_deal(|deal| deal.provider = Address::id(999_999));
    assert_eq!(bench.publish(&[deal]).exit, 17);
    let account = bench.people.client.id.clone();
    let deal = bench.client_deal(|deal| deal.provider = account);
    assert_eq!(bench.publish(&[deal]).exit, 16);
}

#[test]
fn garbage_parameters_do_not_decode() {
    let mut bench = Bench::new();
    let worker = bench.worker().id.clone();
    for params in [vec![], vec![0x81], vec![0x81, 0x9f], vec![0xff; 100]] {
        let message = to_market(&worker, PUBLISH_STORAGE_DEALS, TokenAmount::zero(), params);
        assert_eq!(bench.run(&message).exit, 21);
    }
}

#[test]
fn the_terms_have_bounds() {
    spoiled("label too long", |deal| {
        deal.label = Label::Text("x".repeat(257));
    });
    spoiled("label too long", |deal| {
        deal.label = Label::Bytes(vec![0xff; 257]);
    });
    spoiled("piece size is invalid", |deal| deal.piece_size = 64);
    spoiled("piece size is invalid", |deal| deal.piece_size = 1000);
    spoiled("PieceCID", |deal| {
        deal.piece_cid = cids::chain_cid(b"not a piece");
    });
    spoiled("end before start", |deal| deal.end_epoch = deal.start_epoch);
    spoiled("already elapsed", |deal| {
        deal.start_epoch -= 1001;
    });
    spoiled("duration", |deal| {
        deal.end_epoch = deal.start_epoch + MIN_DURATION - 1;
    });
    spoiled("duration", |deal| {
        deal.end_epoch = deal.start_epoch + MAX_DURATION + 1;
    });
    spoiled("price", |deal| {
        deal.price_per_epoch = TokenAmount::from_atto(-1);
    });
    spoiled("provider collateral", |deal| {
        let least = least_collateral(deal.piece_size);
        deal.provider_collateral = crate::devnet::state::minus(&least, &atto(1));
    });
    spoiled("provider collateral", |deal| {
        deal.provider_collateral = fil(2_000_000_001);
    });
    spoiled("client collateral", |deal| {
        deal.client_collateral = TokenAmount::from_atto(-1);
    });
}

#[test]
fn the_edges_of_the_bounds_are_good() {
    fine(|deal| deal.label = Label::Text("x".repeat(256)));
    fine(|deal| deal.label = Label::Bytes(vec![0xff; 256]));
    fine(|deal| deal.label = Label::Text(String::new()));
    fine(|deal| deal.piece_size = 128);
    fine(|deal| {
        deal.start_epoch -= 1000;
        deal.end_epoch -= 1000;
    });
    fine(|deal| deal.end_epoch = deal.start_epoch + MIN_DURATION);
    fine(|deal| deal.end_epoch = deal.start_epoch + MAX_DURATION);
    fine(|deal| deal.provider_collateral = least_collateral(deal.piece_size));
    fine(|deal| deal.price_per_epoch = TokenAmount::zero());
}

#[test]
fn extreme_numbers_are_only_dropped() {
    for (start, end) in [
        (i64::MIN, i64::MAX),
        (i64::MAX, i64::MIN),
        (i64::MAX, i64::MAX),
        (-1, -1),
    ] {
        spoiled("deal 0", |deal| {
            deal.start_epoch = start;
            deal.end_epoch = end;
        });
    }
    spoiled("piece size is invalid", |deal| deal.piece_size = u64::MAX);
}

#[test]
fn a_wrong_signature_is_dropped() {
    let mut bench = Bench::new();
    let mut deal = bench.client_deal(|_| ());
    deal.signature.data[3] ^= 1;
    dropped(&mut bench, deal, "signature");

    let mut bench = Bench::new();
    let proposal = bench.proposal(&bench.people.client.address);
    let deal = sign(&bench.people.verified_client, proposal);
    dropped(&mut bench, deal, "signature");
}

#[test]
fn every_kind_of_client_that_can_sign_is_taken() {
    let mut bench = Bench::new();
    let bls = bench.deal(&bench.people.bls_client, |_| ());
    let id = bench.people.client.id.clone();
    let by_id = bench.client_deal(|deal| deal.client = id);
    let mut contract = bench.deal(&bench.people.contract, |_| ());
    contract.signature.kind = SignatureKind::Delegated;
    let receipt = bench.publish(&[bls, by_id, contract]);
    assert_eq!(receipt.exit, 0, "{}", receipt.text);
    let ret = PublishReturn::decode(&receipt.ret).unwrap();
    assert_eq!(ret.ids.len(), 3);
}

#[test]
fn an_ethereum_account_is_no_client() {
    let mut bench = Bench::new();
    let proposal = bench.proposal(&bench.people.eth_account.address);
    let signature = Signature {
        kind: SignatureKind::Delegated,
        data: vec![1; 65],
    };
    let deal = ClientDealProposal {
        proposal,
        signature,
    };
    dropped(&mut bench, deal, "signature");
}

#[test]
fn an_unknown_client_is_dropped() {
    let mut bench = Bench::new();
    let deal = bench.client_deal(|deal| deal.client = Address::id(123_456));
    dropped(&mut bench, deal, "resolve client");
}

#[test]
fn a_second_provider_is_dropped() {
    let mut config = DevnetConfig::default();
    let second = crate::devnet::settings::MinerConfig::new(1001);
    config.miners.push(second);
    let mut bench = Bench::with(&config);
    let deal = bench.client_deal(|deal| deal.provider = Address::id(1001));
    let first = bench.client_deal(|_| ());
    let receipt = bench.publish(&[first, deal]);
    let ret = PublishReturn::decode(&receipt.ret).unwrap();
    assert_eq!(ret.deal_id(0), Some(FIRST_DEAL));
    assert_eq!(ret.deal_id(1), None);
}

#[test]
fn the_same_deal_under_another_address_is_a_duplicate() {
    let mut bench = Bench::new();
    let id = bench.people.client.id.clone();
    let by_key = bench.client_deal(|_| ());
    let by_id = bench.client_deal(|deal| deal.client = id);
    assert_ne!(by_key.proposal.cid(), by_id.proposal.cid());
    let receipt = bench.publish(&[by_key.clone(), by_id.clone(), by_key.clone()]);
    let ret = PublishReturn::decode(&receipt.ret).unwrap();
    assert_eq!(ret.ids, [FIRST_DEAL]);
    // And in a later message too.
    for deal in [by_key, by_id] {
        let receipt = bench.publish(&[deal]);
        assert_eq!(receipt.exit, 16);
        assert!(receipt.text.contains("duplicate"), "{}", receipt.text);
    }
}

#[test]
fn client_funds_are_counted_over_the_batch() {
    let mut bench = Bench::new();
    let expensive = |bench: &Bench, label: &str| {
        bench.client_deal(|deal| {
            deal.label = Label::Text(label.to_owned());
            deal.client_collateral = fil(400);
        })
    };
    let deals = ["a", "b", "c"].map(|label| expensive(&bench, label));
    let receipt = bench.publish(&deals);
    let ret = PublishReturn::decode(&receipt.ret).unwrap();
    assert_eq!(ret.ids.len(), 2);
    assert_eq!(ret.deal_id(2), None);
    // What is locked stays locked for the next message.
    let receipt = bench.publish(&[expensive(&bench, "d")]);
    assert!(receipt.text.contains("client funds"), "{}", receipt.text);
}

#[test]
fn provider_funds_are_counted_over_the_batch() {
    let mut bench = Bench::new();
    let deals = ["a", "b", "c"].map(|label| {
        bench.client_deal(|deal| {
            deal.label = Label::Text(label.to_owned());
            deal.provider_collateral = fil(400);
        })
    });
    let receipt = bench.publish(&deals);
    let ret = PublishReturn::decode(&receipt.ret).unwrap();
    assert_eq!(ret.ids.len(), 2);
}

#[test]
fn verified_deals_spend_datacap() {
    let mut bench = Bench::new();
    let verified = bench.people.verified_client.clone();
    let number = verified.id.actor_id().unwrap();
    bench.world.chain.change(|state| {
        state.market.datacap.insert(number, atto(3 << 20));
    });
    let deals = ["a", "b"].map(|label| {
        bench.deal(&verified, |deal| {
            deal.label = Label::Text(label.to_owned());
            deal.verified = true;
            deal.piece_size = 2 << 20;
        })
    });
    let receipt = bench.publish(&deals);
    let ret = PublishReturn::decode(&receipt.ret).unwrap();
    assert_eq!((ret.deal_id(0), ret.deal_id(1)), (Some(FIRST_DEAL), None));
    let market = &bench.world.chain.state().market;
    assert_eq!(market.datacap[&number], atto(1 << 20));
    let allocation = market.deals[&FIRST_DEAL].allocation.unwrap();
    let allocation = &market.allocations[&allocation];
    assert_eq!((allocation.client, allocation.provider), (number, 1000));
    assert_eq!(allocation.size, 2 << 20);
    assert_eq!(allocation.expiration, deals[0].proposal.start_epoch);
}

#[test]
fn an_allocation_lives_sixty_days_at_most() {
    let mut bench = Bench::new();
    let verified = bench.people.verified_client.clone();
    let deal = bench.deal(&verified, |deal| {
        deal.verified = true;
        deal.start_epoch += 300_000;
        deal.end_epoch += 300_000;
    });
    bench.publish(&[deal]);
    let allocations = &bench.world.chain.state().market.allocations;
    let expiration = allocations.values().next().unwrap().expiration;
    assert_eq!(expiration, bench.world.chain.epoch() + 172_800);
}

#[test]
fn a_client_without_datacap_makes_no_verified_deal() {
    let mut bench = Bench::new();
    let deal = bench.client_deal(|deal| deal.verified = true);
    dropped(&mut bench, deal, "DataCap");
}

#[test]
fn a_small_verified_piece_fails_the_whole_message() {
    let mut bench = Bench::new();
    let verified = bench.people.verified_client.clone();
    let small = bench.deal(&verified, |deal| {
        deal.verified = true;
        deal.piece_size = 1 << 19;
    });
    let good = bench.client_deal(|_| ());
    let receipt = bench.publish(&[good, small]);
    assert_eq!(receipt.exit, 16);
    assert!(receipt.text.contains("datacap"), "{}", receipt.text);
    let market = &bench.world.chain.state().market;
    assert!(market.deals.is_empty());
    assert_eq!(market.next_deal, FIRST_DEAL);
}
