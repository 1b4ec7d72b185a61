//! Which messages wait, which are refused, which go into a tipset.

use super::*;
use crate::devnet::mempool::{PoolError, replacement_premium};
use crate::filecoin::message::SignedMessage;

/// A plain transfer by the client, signed.
fn transfer(bench: &Bench, nonce: u64, change: impl FnOnce(&mut Message)) -> SignedMessage {
    let client = &bench.people.client;
    let mut message = Message {
        version: 0,
        to: bench.people.bls_client.id.clone(),
        from: client.address.clone(),
        nonce,
        value: fil(1),
        gas_limit: 5_000_000,
        gas_fee_cap: atto(100_000),
        gas_premium: atto(1000),
        method: 0,
        params: vec![],
    };
    change(&mut message);
    message.sign(&client.key)
}

fn push(bench: &mut Bench, signed: SignedMessage) -> Result<(), PoolError> {
    bench.world.chain.push(signed).map(|_| ())
}

#[test]
fn a_message_is_carried_out_two_tipsets_later() {
    let mut bench = Bench::new();
    let signed = transfer(&bench, 0, |_| ());
    let cid = bench.world.chain.push(signed).unwrap();
    let epoch = bench.world.chain.epoch();
    let search = |bench: &Bench| {
        let chain = &bench.world.chain;
        chain
            .search(chain.epoch(), &cid, -1, true)
            .unwrap()
            .cloned()
    };
    assert_eq!(search(&bench), None);
    bench.world.tick();
    assert_eq!(search(&bench), None);
    bench.world.tick();
    let found = search(&bench).unwrap();
    assert_eq!(found.height, epoch + 2);
    assert_eq!(found.tipset, bench.world.chain.head().cids);
    assert_eq!(found.receipt.exit, 0);
    let receiver = bench.people.bls_client.id.actor_id().unwrap();
    assert_eq!(bench.world.chain.state().balance(receiver), fil(10_001));
    // The sender has paid a small fee besides.
    let sender = bench.people.client.id.actor_id().unwrap();
    let left = bench.world.chain.state().balance(sender);
    assert!(left < fil(9999) && left > atto(9_998_999 * FIL / 1000));
}

#[test]
fn nonces_have_an_order() {
    let mut bench = Bench::new();
    let ahead = transfer(&bench, 5, |_| ());
    assert_eq!(push(&mut bench, ahead), Err(PoolError::NonceGap));
    for nonce in [4, 0] {
        let signed = transfer(&bench, nonce, |_| ());
        assert_eq!(push(&mut bench, signed), Ok(()));
    }
    bench.world.tick();
    bench.world.tick();
    // Only the first could be mined; the other waits for those between.
    let chain = &bench.world.chain;
    assert_eq!(chain.pool.all().count(), 1);
    let client = bench.people.client.address.clone();
    assert_eq!(chain.pool.next_nonce(&chain.next_state(), &client), 1);
    let used = transfer(&bench, 0, |message| message.value = fil(2));
    assert_eq!(push(&mut bench, used), Err(PoolError::NonceTooLow(1)));
    for nonce in 1..4 {
        let signed = transfer(&bench, nonce, |_| ());
        assert_eq!(push(&mut bench, signed), Ok(()));
    }
    let chain = &bench.world.chain;
    assert_eq!(chain.pool.next_nonce(&chain.next_state(), &client), 5);
    bench.world.tick();
    assert_eq!(bench.world.chain.pool.all().count(), 0);
}

#[test]
fn a_replacement_pays_a_quarter_more() {
    let mut bench = Bench::new();
    let first = transfer(&bench, 0, |_| ());
    assert_eq!(push(&mut bench, first.clone()), Ok(()));
    assert!(matches!(
        push(&mut bench, first.clone()),
        Err(PoolError::AlreadyThere(_, 0))
    ));
    let cheap = transfer(&bench, 0, |message| message.gas_premium = atto(1250));
    assert_eq!(
        push(&mut bench, cheap),
        Err(PoolError::LowPremium(atto(1251)))
    );
    let better = transfer(&bench, 0, |message| message.gas_premium = atto(1251));
    assert_eq!(push(&mut bench, better.clone()), Ok(()));
    bench.world.tick();
    bench.world.tick();
    let chain = &bench.world.chain;
    let epoch = chain.epoch();
    let found = chain.search(epoch, &first.cid(), -1, true).unwrap();
    assert_eq!(found.unwrap().message, better.cid());
    assert_eq!(chain.search(epoch, &first.cid(), -1, false), Ok(None));
}

#[test]
fn premiums_of_replacements_round_up() {
    for (old, least) in [(0, 1), (1, 2), (4, 6), (1000, 1251)] {
        assert_eq!(replacement_premium(&atto(old)), atto(least));
    }
}

#[test]
fn bad_messages_are_refused() {
    let mut bench = Bench::new();
    let mut forged = transfer(&bench, 0, |_| ());
    forged.message.value = fil(2);
    assert_eq!(push(&mut bench, forged), Err(PoolError::Signature));
    let rich = transfer(&bench, 0, |message| message.value = fil(20_000));
    assert!(matches!(
        push(&mut bench, rich),
        Err(PoolError::NotEnoughFunds(_, _))
    ));
    let long = transfer(&bench, 0, |message| message.params = vec![0; 65_536]);
    assert!(matches!(push(&mut bench, long), Err(PoolError::TooBig(_))));
    let unknown = transfer(&bench, 0, |message| message.from = Address::id(999_999));
    assert_eq!(push(&mut bench, unknown), Err(PoolError::Sender));
    let changes: [fn(&mut Message); 5] = [
        |message| message.gas_limit = 0,
        |message| message.gas_limit = i64::MAX,
        |message| message.gas_premium = TokenAmount::from_atto(-1),
        |message| message.gas_premium = fil(1),
        |message| message.value = TokenAmount::from_atto(-1),
    ];
    for change in changes {
        let signed = transfer(&bench, 0, change);
        assert_eq!(push(&mut bench, signed), Err(PoolError::Gas));
    }
    assert_eq!(bench.world.chain.pool.all().count(), 0);
}

#[test]
fn a_fee_cap_below_the_base_fee_waits() {
    let mut bench = Bench::new();
    let signed = transfer(&bench, 0, |message| {
        message.gas_fee_cap = atto(99);
        message.gas_premium = atto(99);
    });
    assert_eq!(push(&mut bench, signed), Ok(()));
    for _ in 0..5 {
        bench.world.tick();
    }
    assert_eq!(bench.world.chain.pool.all().count(), 1);
}

#[test]
fn money_is_counted_over_what_waits() {
    let mut bench = Bench::new();
    for nonce in 0..2 {
        let signed = transfer(&bench, nonce, |message| message.value = fil(6000));
        assert_eq!(push(&mut bench, signed), Ok(()));
    }
    bench.world.tick();
    // The second one has to wait until there is money again.
    assert_eq!(bench.world.chain.pool.all().count(), 1);
}

#[test]
fn too_little_gas_is_an_exit_code() {
    let mut bench = Bench::new();
    let signed = transfer(&bench, 0, |message| message.gas_limit = 1000);
    let cid = bench.world.chain.push(signed).unwrap();
    bench.world.tick();
    bench.world.tick();
    let chain = &bench.world.chain;
    let found = chain.search(chain.epoch(), &cid, -1, true).unwrap();
    assert_eq!(found.unwrap().receipt.exit, 7);
    let receiver = bench.people.bls_client.id.actor_id().unwrap();
    assert_eq!(chain.state().balance(receiver), fil(10_000));
}

#[test]
fn one_sender_has_a_thousand_places() {
    let mut bench = Bench::new();
    for nonce in 0..1000 {
        let signed = transfer(&bench, nonce, |message| message.value = atto(1));
        assert_eq!(push(&mut bench, signed), Ok(()));
    }
    let signed = transfer(&bench, 1000, |message| message.value = atto(1));
    assert_eq!(push(&mut bench, signed), Err(PoolError::TooMany));
}
