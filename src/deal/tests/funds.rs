//! Orders of money: their stored form, what they hold, and when money is short.

use super::samples::{atto, miner};
use crate::deal::funds::{Fees, FundsOrder, Kind, Stage};
use crate::deal::money::{Money, Short};
use crate::deal::record::RecordError;
use crate::deal::{Ledger, Terms};
use crate::filecoin::{Address, TokenAmount, cids};
use uuid::Uuid;

/// An order as the first release that had them stored it.
const ORDER_V1: &str = "01af0050000000000000000000000000000000070119039a024300e807030204420065\
    0542000506420032070108450102030405094200660a58260171a0e40220c2afab8185711059beff\
    eb531cf21dad88a07d6471aac2aa5913f24354bcae1b0b220c4200040d4200080e6177";

fn order() -> FundsOrder {
    let mut order = FundsOrder::new(Uuid::from_u128(7), miner(), Kind::Withdraw, 922);
    order.from = Some(Address::id(101));
    order.amount = atto(5);
    order.fee_max = atto(50);
    order
}

#[test]
fn every_stage_round_trips() {
    let message = cids::chain_cid(b"a message");
    let mut order = order();
    let same = |order: &FundsOrder| {
        assert_eq!(FundsOrder::decode(&order.encode()).as_ref(), Ok(order));
    };
    same(&order);
    order.made(vec![1, 2, 3], Address::id(102), None);
    same(&order);
    order.sent(message);
    same(&order);
    assert!(order.stage.is_open());
    order.executed(message, 18, Some(atto(4)));
    same(&order);
    assert!(!order.stage.is_open());
    order.priced(Some(atto(8)));
    same(&order);
    order.fail("why");
    same(&order);
    for kind in [Kind::Publish, Kind::Add, Kind::Withdraw] {
        order.kind = kind;
        same(&order);
    }
}

#[test]
fn damage_and_newer_records_are_told() {
    let bytes = order().encode();
    for cut in 0..bytes.len() {
        assert!(FundsOrder::decode(&bytes[..cut]).is_err(), "{cut}");
    }
    let mut newer = bytes;
    newer[0] = 2;
    assert_eq!(FundsOrder::decode(&newer), Err(RecordError::Version(2)));
    assert_eq!(Fees::decode(&[2]), Err(RecordError::Version(2)));
    assert!(Fees::decode(&[1]).is_err());
}

#[test]
fn an_order_holds_money_until_it_is_executed() {
    let (wallet, other) = (Address::id(102), Address::id(103));
    let mut take = order();
    take.from = None;
    assert_eq!(take.holds_of_escrow(), atto(5));
    // Nobody knows yet who pays.
    assert_eq!(take.holds_of_wallet(&other), atto(50));
    take.made(Vec::new(), wallet.clone(), None);
    assert_eq!(take.holds_of_wallet(&other), atto(0));
    assert_eq!(take.holds_of_wallet(&wallet), atto(50));
    let message = cids::chain_cid(b"a message");
    take.sent(message);
    assert_eq!(take.holds_of_escrow(), atto(5));
    let mut add = take.clone();
    add.kind = Kind::Add;
    assert_eq!(add.holds_of_escrow(), atto(0));
    assert_eq!(add.holds_of_wallet(&wallet), atto(55));
    for mut done in [take, add] {
        done.executed(message, 0, None);
        assert_eq!(done.holds_of_escrow(), atto(0));
        assert_eq!(done.holds_of_wallet(&wallet), atto(0));
    }
    // A named wallet is another's no concern.
    assert_eq!(order().holds_of_wallet(&other), atto(0));
    assert_eq!(order().holds_of_wallet(&Address::id(101)), atto(50));
}

#[test]
fn a_superseded_order_has_no_message_and_a_failed_one_ends() {
    let mut order = order();
    order.made(vec![1], Address::id(102), Some(cids::chain_cid(b"a")));
    order.sent(cids::chain_cid(b"a"));
    order.superseded("its nonce is gone");
    assert_eq!(
        (order.stage, &order.prepared, order.message),
        (Stage::Ordered, &None, None)
    );
    assert_eq!(order.reason, "its nonce is gone");
    // A reason is bounded, on a character's end.
    order.fail(&"ß".repeat(1_000));
    assert_eq!(order.reason.chars().count(), 512);
    assert_eq!(order.stage, Stage::Failed);
}

#[test]
fn fees_are_sums_by_what_was_done() {
    let mut fees = Fees::default();
    fees.count(Kind::Publish, Some(&atto(3)));
    fees.count(Kind::Publish, Some(&atto(4)));
    fees.count(Kind::Add, Some(&atto(10)));
    fees.count(Kind::Withdraw, Some(&atto(20)));
    fees.count(Kind::Publish, None);
    let expected = Fees {
        publish: atto(7),
        funds: atto(30),
        counted: 4,
        untold: 1,
    };
    assert_eq!(fees, expected);
    assert_eq!(Fees::decode(&fees.encode()), Ok(fees));
}

fn money(available: i64, reserved: i64, wallet: i64) -> Money {
    let ledger = Ledger {
        collateral: atto(reserved),
        unpublished: 8,
        ..Ledger::default()
    };
    Money::of(atto(available), atto(wallet), &ledger, &terms())
}

fn terms() -> Terms {
    Terms {
        publish_fee_max: atto(10),
        escrow_low: atto(100),
        ..Terms::default()
    }
}

#[test]
fn what_live_deals_hold_stays() {
    let mut money = money(1_000, 300, 0);
    assert_eq!(money.free(), atto(700));
    assert_eq!(money.may_withdraw(&atto(700)), Ok(()));
    let why = money.may_withdraw(&atto(701)).unwrap_err();
    assert!(
        why.contains("live deals hold 0.0000000000000003 FIL"),
        "{why}"
    );
    assert!(why.contains("so 0.0000000000000007 FIL are free"), "{why}");
    money.leaving = atto(500);
    assert!(money.may_withdraw(&atto(201)).is_err());
    assert_eq!(money.may_withdraw(&atto(200)), Ok(()));
    // More was promised than is there: nothing is free, and no negative amount is shown.
    money.available = atto(100);
    assert!(money.free().is_negative());
    let why = money.may_withdraw(&atto(1)).unwrap_err();
    assert!(why.contains("so 0 FIL are free"), "{why}");
}

#[test]
fn the_wallet_keeps_the_fees_of_live_deals() {
    // Eight deals need one message of at most 10, and so does the order's own.
    let money = money(0, 0, 100);
    assert_eq!(money.may_add(&atto(80), &atto(10)), Ok(()));
    let why = money.may_add(&atto(81), &atto(10)).unwrap_err();
    assert!(why.contains("--from"), "{why}");
}

#[test]
fn money_is_short_below_the_threshold_and_a_few_messages() {
    let short = |available, reserved, wallet| money(available, reserved, wallet).short(&terms());
    assert_eq!(short(400, 300, 40), []);
    assert_eq!(short(399, 300, 40), [Short::Escrow(atto(99))]);
    assert_eq!(short(400, 300, 39), [Short::Wallet(atto(39), atto(40))]);
    assert_eq!(short(0, 0, 0).len(), 2);
    let never = Terms {
        publish_fee_max: TokenAmount::zero(),
        escrow_low: TokenAmount::zero(),
        ..Terms::default()
    };
    let none = Money::of(atto(0), atto(0), &Ledger::default(), &never);
    assert_eq!(none.short(&never), []);
}

#[test]
fn the_first_form_is_read_for_ever() {
    let bytes: Vec<u8> = hex(ORDER_V1);
    let read = FundsOrder::decode(&bytes).unwrap();
    assert_eq!((read.id, read.created), (Uuid::from_u128(7), 922));
    assert_eq!((read.kind, read.stage), (Kind::Withdraw, Stage::Sent));
    assert_eq!(read.encode(), bytes);
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
    digits.chunks(2).map(byte).collect()
}
