//! Money: escrow, withdrawals, fees, collateral, and what deals that never start cost.

use super::*;
use crate::devnet::market::{least_collateral, total_supply};
use crate::devnet::state::{MARKET, minus, plus};
use crate::filecoin::market_actor::{
    ADD_BALANCE, AUTHENTICATE_MESSAGE, WITHDRAW_BALANCE, decode_withdraw_return,
    encode_add_balance, encode_authenticate, encode_withdraw,
};
use blake2b_simd::blake2b;

fn add(from: &Wallet, to: &Address, amount: TokenAmount) -> Message {
    to_market(&from.id, ADD_BALANCE, amount, encode_add_balance(to))
}

fn withdraw(from: &Wallet, of: &Address, amount: &TokenAmount) -> Message {
    let params = encode_withdraw(of, amount);
    to_market(&from.id, WITHDRAW_BALANCE, TokenAmount::zero(), params)
}

#[test]
fn anyone_funds_anyone() {
    let mut bench = Bench::new();
    let giver = bench.people.bls_client.clone();
    let miner = Address::id(1000);
    assert_eq!(bench.run(&add(&giver, &miner, fil(3))).exit, 0);
    assert_eq!(bench.escrow(&miner).0, fil(1003));
    let state = bench.world.chain.state();
    assert_eq!(state.balance(giver.id.actor_id().unwrap()), fil(9997));
    let escrow = state.market.balances.values();
    let total = escrow.fold(TokenAmount::zero(), |sum, it| plus(&sum, &it.escrow));
    assert_eq!(state.balance(MARKET), total);
}

#[test]
fn a_new_key_gets_an_account_by_being_funded() {
    let mut bench = Bench::new();
    let giver = bench.people.client.clone();
    let key = crate::devnet::wallets::key(&[3; 32], "new", crate::devnet::wallets::KeyKind::Bls);
    let address = key.unwrap().address();
    assert!(bench.world.chain.state().resolve(&address).is_none());
    assert_eq!(bench.run(&add(&giver, &address, fil(1))).exit, 0);
    assert_eq!(bench.escrow(&address).0, fil(1));
}

#[test]
fn nothing_cannot_be_added_and_nobody_cannot_be_funded() {
    let mut bench = Bench::new();
    let giver = bench.people.client.clone();
    let zero = add(&giver, &Address::id(1000), TokenAmount::zero());
    assert_eq!(bench.run(&zero).exit, 16);
    let nobody = add(&giver, &Address::id(777_777), fil(1));
    assert_eq!(bench.run(&nobody).exit, 16);
    let too_much = add(&giver, &Address::id(1000), fil(10_001));
    assert_eq!(bench.run(&too_much).exit, 6);
    assert_eq!(bench.escrow(&Address::id(1000)).0, fil(1000));
}

#[test]
fn a_miners_money_goes_to_its_owner() {
    let mut bench = Bench::new();
    let [owner, worker, control] = bench.people.miners[0].clone();
    let miner = Address::id(1000);
    let receipt = bench.run(&withdraw(&worker, &miner, &fil(10)));
    assert_eq!(receipt.exit, 0);
    assert_eq!(decode_withdraw_return(&receipt.ret), Ok(fil(10)));
    let state = bench.world.chain.state();
    let number = |wallet: &Wallet| wallet.id.actor_id().unwrap();
    assert_eq!(state.balance(number(&owner)), fil(10_010));
    assert_eq!(state.balance(number(&worker)), fil(10_000));
    assert_eq!(bench.run(&withdraw(&control, &miner, &fil(1))).exit, 18);
    let stranger = bench.people.client.clone();
    assert_eq!(bench.run(&withdraw(&stranger, &miner, &fil(1))).exit, 18);
    let other = bench.people.bls_client.id.clone();
    assert_eq!(bench.run(&withdraw(&stranger, &other, &fil(1))).exit, 18);
}

#[test]
fn a_withdrawal_pays_what_is_free() {
    let mut bench = Bench::new();
    let client = bench.people.client.clone();
    let deal = bench.client_deal(|deal| {
        deal.client_collateral = fil(999);
        deal.price_per_epoch = TokenAmount::zero();
    });
    assert_eq!(bench.publish(&[deal]).exit, 0);
    let all = withdraw(&client, &client.address, &fil(1000));
    let receipt = bench.run(&all);
    assert_eq!(decode_withdraw_return(&receipt.ret), Ok(fil(1)));
    let receipt = bench.run(&all);
    assert_eq!(receipt.exit, 0);
    assert_eq!(
        decode_withdraw_return(&receipt.ret),
        Ok(TokenAmount::zero())
    );
    let negative = withdraw(&client, &client.address, &TokenAmount::from_atto(-1));
    assert_eq!(bench.run(&negative).exit, 16);
}

#[test]
fn a_deal_that_never_starts_costs_the_provider() {
    let mut bench = Bench::new();
    let client = bench.people.client.address.clone();
    let deal = bench.client_deal(|_| ());
    let start = deal.proposal.start_epoch;
    bench.publish(&[deal]);
    while bench.world.chain.epoch() <= start {
        assert_eq!(bench.world.chain.state().market.deals.len(), 1);
        bench.world.tick();
    }
    bench.world.tick();
    assert!(bench.world.chain.state().market.deals.is_empty());
    assert_eq!(bench.escrow(&client), (fil(1000), TokenAmount::zero()));
    let miner = bench.escrow(&Address::id(1000));
    assert_eq!(miner, (fil(999), TokenAmount::zero()));
    assert!(bench.world.chain.state().market.known.is_empty());
}

#[test]
fn datacap_of_a_deal_that_never_starts_comes_back() {
    let mut bench = Bench::new();
    let verified = bench.people.verified_client.clone();
    let number = verified.id.actor_id().unwrap();
    let before = bench.world.chain.state().market.datacap[&number].clone();
    let deal = bench.deal(&verified, |deal| {
        deal.verified = true;
        deal.start_epoch -= 998;
    });
    assert_eq!(bench.publish(&[deal]).exit, 0);
    assert_ne!(bench.world.chain.state().market.datacap[&number], before);
    for _ in 0..5 {
        bench.world.tick();
    }
    let market = &bench.world.chain.state().market;
    assert_eq!(market.datacap[&number], before);
    assert!(market.allocations.is_empty());
}

#[test]
fn collateral_grows_with_the_piece() {
    assert_eq!(least_collateral(0), TokenAmount::zero());
    let small = least_collateral(1 << 20);
    let large = least_collateral(32 << 30);
    // Rounding down loses less than one attoFIL per MiB.
    assert!(large >= small.times(32 << 10));
    assert!(minus(&large, &small.times(32 << 10)) < atto(32 << 10));
    // The main network's order of magnitude: 0.0085 FIL for 32 GiB.
    assert!(large > atto(FIL / 1000) && large < atto(FIL / 10));
    assert!(least_collateral(u64::MAX) < total_supply());
}

#[test]
fn accounts_authenticate_and_ethereum_accounts_accept_anything() {
    let mut bench = Bench::new();
    let ask = |bench: &mut Bench, who: &Wallet, signature: &[u8]| {
        let params = encode_authenticate(signature, b"the message");
        let from = Address::market_actor();
        let mut message = to_market(&from, AUTHENTICATE_MESSAGE, TokenAmount::zero(), params);
        message.to = who.address.clone();
        let receipt = bench.run(&message);
        (receipt.exit, receipt.ret)
    };
    let people = bench.people.clone();
    for who in [&people.client, &people.bls_client, &people.contract] {
        let good = who.key.sign(b"the message").data;
        assert_eq!(ask(&mut bench, who, &good), (0, vec![0xf5]));
        let bad = who.key.sign(b"another").data;
        let (exit, ret) = ask(&mut bench, who, &bad);
        assert!(exit != 0 && ret.is_empty());
    }
    let bad = vec![9; 65];
    assert_eq!(ask(&mut bench, &people.eth_account, &bad), (0, vec![]));
}

#[test]
fn exported_numbers_are_those_of_their_names() {
    let exported = |name: &str| {
        let hash = blake2b(format!("1|{name}").as_bytes());
        let words = hash.as_bytes().chunks(4);
        let mut words = words.map(|word| u32::from_be_bytes(word.try_into().unwrap()));
        u64::from(words.find(|word| *word >= 1 << 24).unwrap())
    };
    let numbers: Vec<u64> = actors::MARKET_METHODS
        .iter()
        .chain(actors::MINER_METHODS)
        .map(|(_, exported, _)| *exported)
        .collect();
    let names = [
        "AddBalance",
        "WithdrawBalance",
        "PublishStorageDeals",
        "ChangePeerID",
        "ChangeMultiaddrs",
    ];
    assert_eq!(numbers, names.map(exported));
    assert_eq!(AUTHENTICATE_MESSAGE, exported("AuthenticateMessage"));
}

#[test]
fn a_method_that_is_not_there_is_unhandled() {
    let mut bench = Bench::new();
    let client = bench.people.client.clone();
    for to in [
        Address::market_actor(),
        Address::id(1000),
        Address::id(6),
        client.address.clone(),
    ] {
        let mut message = to_market(&client.id, 77, TokenAmount::zero(), vec![]);
        message.to = to;
        assert_eq!(bench.run(&message).exit, 22);
    }
    let mut message = to_market(&client.id, 0, fil(1), vec![]);
    message.to = Address::id(888_888);
    assert_eq!(bench.run(&message).exit, 5);
}

#[test]
fn the_worker_changes_the_miners_contact() {
    use crate::filecoin::cbor;
    let mut bench = Bench::new();
    let worker = bench.worker().id.clone();
    let stranger = bench.people.client.id.clone();
    let peer = cbor::encoded(|out| {
        cbor::put_array(out, 1);
        cbor::put_bytes(out, &[0, 1, 2]);
    });
    let addresses = cbor::encoded(|out| {
        cbor::put_array(out, 1);
        cbor::put_array(out, 2);
        cbor::put_bytes(out, &[4]);
        cbor::put_bytes(out, &[5]);
    });
    for (method, params) in [(4, peer), (18, addresses)] {
        let mut message = to_market(&stranger, method, TokenAmount::zero(), params);
        message.to = Address::id(1000);
        assert_eq!(bench.run(&message).exit, 18);
        message.from = worker.clone();
        assert_eq!(bench.run(&message).exit, 0);
        message.params = vec![0x80];
        assert_eq!(bench.run(&message).exit, 21);
    }
    let miner = bench.world.chain.state().miner(1000).unwrap();
    assert_eq!(miner.peer_id, [0, 1, 2]);
    assert_eq!(miner.multiaddrs, [vec![4], vec![5]]);
}
