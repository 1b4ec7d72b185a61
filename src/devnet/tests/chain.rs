//! Tipsets, old states, look-back, and re-organisations.

use super::*;
use crate::devnet::chain::SearchError;
use crate::devnet::market::FIRST_DEAL;
use crate::filecoin::market_actor::PublishReturn;
use cid::Cid;

/// Sends a publish message of these deals through the pool.
fn send(bench: &mut Bench, deals: &[ClientDealProposal]) -> Cid {
    let worker = bench.worker().clone();
    let params = encode_publish(deals);
    let zero = TokenAmount::zero();
    let mut message = to_market(&worker.address, PUBLISH_STORAGE_DEALS, zero, params);
    let chain = &bench.world.chain;
    message.nonce = chain.pool.next_nonce(&chain.next_state(), &worker.address);
    message.gas_limit = 1_000_000_000;
    message.gas_fee_cap = atto(200_000);
    message.gas_premium = atto(100_000);
    bench.world.chain.push(message.sign(&worker.key)).unwrap()
}

fn tick(bench: &mut Bench, times: u32) {
    for _ in 0..times {
        bench.world.tick();
    }
}

/// The deal number that a message's only deal got.
fn number(bench: &Bench, cid: &Cid) -> Option<u64> {
    let chain = &bench.world.chain;
    let lookup = chain.search(chain.epoch(), cid, -1, true).unwrap()?;
    let ret = PublishReturn::decode(&lookup.receipt.ret).unwrap();
    ret.deal_id(0)
}

#[test]
fn one_seed_is_one_chain() {
    let run = |seed: u8| {
        let config = DevnetConfig {
            seed: [seed; 32],
            ..DevnetConfig::default()
        };
        let mut bench = Bench::with(&config);
        let deal = bench.client_deal(|_| ());
        let message = send(&mut bench, &[deal]);
        tick(&mut bench, 10);
        (message, bench.world.chain.head().cids.clone())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    assert_ne!(run(1).1, run(2).1);
}

#[test]
fn heights_follow_each_other_and_time_follows_height() {
    let mut bench = Bench::new();
    assert_eq!(bench.world.chain.epoch(), 5_000_000);
    assert_eq!(bench.world.chain.timestamp(5_000_000), 1_800_000_000);
    tick(&mut bench, 7);
    assert_eq!(bench.world.chain.epoch(), 5_000_007);
    let head = bench.world.chain.head();
    assert_eq!(
        bench.world.chain.timestamp(head.height),
        1_800_000_000 + 7 * 30
    );
    for height in 5_000_000..=5_000_007 {
        let tipset = bench.world.chain.at(height);
        assert_eq!(tipset.height, height);
        assert!((1..=3).contains(&tipset.cids.len()));
        let found = bench.world.chain.tipset(&tipset.cids).unwrap();
        assert_eq!(found.height, height);
    }
    assert_eq!(bench.world.chain.finalized().height, 5_000_000);
    tick(&mut bench, 30);
    assert_eq!(bench.world.chain.finalized().height, 5_000_017);
    assert!(bench.world.chain.tipset(&[]).is_none());
}

#[test]
fn an_old_tipset_shows_the_old_state() {
    let mut bench = Bench::new();
    let deal = bench.client_deal(|_| ());
    send(&mut bench, &[deal]);
    tick(&mut bench, 1);
    let inclusion = bench.world.chain.head().clone();
    tick(&mut bench, 1);
    let execution = bench.world.chain.head().clone();
    tick(&mut bench, 5);
    // The tipset that holds the message does not show its effect; the next one does.
    assert!(inclusion.state.unwrap().market.deals.is_empty());
    assert_eq!(execution.state.unwrap().market.deals.len(), 1);
    assert_eq!(bench.world.chain.state().market.deals.len(), 1);
}

#[test]
fn states_and_tipsets_are_forgotten_at_last() {
    let mut bench = Bench::new();
    let first = bench.world.chain.head().cids.clone();
    for _ in 0..70 {
        let client = bench.people.client.clone();
        let deal = bench.deal(&client, |deal| {
            deal.label = Label::Text(deal.start_epoch.to_string());
        });
        send(&mut bench, &[deal]);
        tick(&mut bench, 1);
    }
    let chain = &bench.world.chain;
    assert!(chain.tipset(&first).unwrap().state.is_none());
    assert!(chain.at(chain.epoch() - 10).state.is_some());
    tick(&mut bench, 20_001);
    assert!(bench.world.chain.tipset(&first).is_none());
    // A state that never changed since is still the state of old tipsets.
    let chain = &bench.world.chain;
    assert!(chain.at(chain.epoch() - 15_000).state.is_some());
}

#[test]
fn looking_back_has_an_end() {
    let mut bench = Bench::new();
    let deal = bench.client_deal(|_| ());
    let cid = send(&mut bench, &[deal]);
    tick(&mut bench, 12);
    let chain = &bench.world.chain;
    let head = chain.epoch();
    let found = |from, lookback| chain.search(from, &cid, lookback, true).unwrap().is_some();
    assert!(found(head, -1));
    assert!(!found(head, 0));
    assert!(!found(head, 10));
    assert!(found(head, 11));
    // Seen from an older tipset it had not happened.
    assert!(!found(head - 11, -1));
    assert!(found(head - 10, -1));
    let unknown = cids::chain_cid(b"never heard of");
    assert_eq!(
        chain.search(head, &unknown, -1, true),
        Err(SearchError::Unknown)
    );
}

#[test]
fn a_nonce_used_by_something_else_is_an_error() {
    let mut bench = Bench::new();
    let first = bench.client_deal(|_| ());
    let second = bench.client_deal(|deal| deal.label = Label::Text("other".to_owned()));
    let old = send(&mut bench, &[first]);
    let worker = bench.worker().clone();
    let (_, waiting) = bench.world.chain.message(&old).unwrap();
    let mut other = waiting.message.clone();
    other.params = encode_publish(&[second]);
    other.gas_premium = atto(150_000);
    let new = bench.world.chain.push(other.sign(&worker.key)).unwrap();
    tick(&mut bench, 2);
    let chain = &bench.world.chain;
    let head = chain.epoch();
    assert_eq!(
        chain.search(head, &old, -1, true),
        Err(SearchError::OtherCall(new))
    );
    assert_eq!(chain.search(head, &old, -1, false), Ok(None));
    assert!(chain.search(head, &new, -1, false).unwrap().is_some());
}

#[test]
fn a_reorganisation_gives_deals_other_numbers() {
    for depth in 1..5 {
        let mut bench = Bench::new();
        tick(&mut bench, 5);
        let deal = bench.client_deal(|_| ());
        let cid = send(&mut bench, &[deal]);
        tick(&mut bench, 2);
        assert_eq!(number(&bench, &cid), Some(FIRST_DEAL));
        let before = bench.world.chain.head().clone();
        bench.world.chain.reorganise(depth);
        assert_eq!(bench.world.chain.epoch(), before.height);
        assert_ne!(bench.world.chain.head().cids, before.cids);
        assert!(bench.world.chain.tipset(&before.cids).is_none());
        tick(&mut bench, 3);
        let again = number(&bench, &cid);
        assert_eq!(again, Some(FIRST_DEAL + 1000), "depth {depth}");
        let deals = &bench.world.chain.state().market.deals;
        assert_eq!(deals.len(), 1);
        assert!(deals.contains_key(&(FIRST_DEAL + 1000)));
    }
}

#[test]
fn a_reorganisation_beyond_the_beginning_stops_there() {
    let mut bench = Bench::new();
    tick(&mut bench, 3);
    bench.world.chain.reorganise(1000);
    assert_eq!(bench.world.chain.epoch(), 5_000_003);
    assert_eq!(bench.world.chain.at(5_000_000).height, 5_000_000);
    bench.world.chain.reorganise(0);
    assert_eq!(bench.world.chain.epoch(), 5_000_003);
}

#[test]
fn an_activation_is_carried_out_and_reported() {
    let mut bench = Bench::new();
    let verified = bench.people.verified_client.clone();
    let deal = bench.deal(&verified, |deal| deal.verified = true);
    let end = deal.proposal.end_epoch;
    let piece = deal.proposal.piece_cid;
    bench.publish(&[deal]);
    let chain = &mut bench.world.chain;
    let other = cids::piece_cid(&[8; 32]);
    chain.queue_activation(1000, 8, vec![(FIRST_DEAL, other)]);
    chain.queue_activation(1000, 9, vec![(FIRST_DEAL, piece), (5, piece)]);
    assert_eq!(chain.activation(1000, 9), None);
    chain.tick();
    assert_eq!(chain.activation(1000, 9), None);
    chain.tick();
    let results = chain.activation(1000, 8).unwrap();
    assert_eq!(results[0].1, Err("the deal is of another piece"));
    let results = chain.activation(1000, 9).unwrap();
    assert_eq!(results[0], (FIRST_DEAL, Ok(())));
    assert_eq!(results[1], (5, Err("no such deal")));
    let epoch = chain.epoch() - 1;
    let state = chain.state();
    let deal = &state.market.deals[&FIRST_DEAL];
    assert_eq!(deal.sector, Some((9, epoch)));
    assert_eq!(deal.allocation, None);
    assert!(state.market.allocations.is_empty());
    let sector = &state.miner(1000).unwrap().sectors[&9];
    assert_eq!((sector.activation, sector.expiration), (epoch, end));
    assert_eq!(sector.deal_weight, 0);
    assert_eq!(sector.verified_weight, (1 << 20) * 600_000);
    // Twice is once too often, and another miner's sector is none for this deal.
    chain.queue_activation(1000, 10, vec![(FIRST_DEAL, piece)]);
    chain.queue_activation(1001, 1, vec![(FIRST_DEAL, piece)]);
    chain.tick();
    chain.tick();
    for (miner, sector) in [(1000, 10), (1001, 1)] {
        assert!(chain.activation(miner, sector).unwrap()[0].1.is_err());
    }
    // An active deal does not expire.
    for _ in 0..1100 {
        chain.tick();
    }
    assert_eq!(chain.state().market.deals.len(), 1);
}
