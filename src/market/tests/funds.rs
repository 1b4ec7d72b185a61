//! Money that is moved by order, between doubles: once wherever the power is cut, never what live deals hold, and every fee
//! counted once.

use super::gate::Mode;
use super::world::{Running, World, other_miner, wait};
use crate::chain::ChainError;
use crate::deal::funds::{Fees, FundsOrder, Kind, ORDERS_KEPT_MAX, Stage};
use crate::deal::tests::samples::{self, atto};
use crate::market::FundsWish;
use crate::market::funding::Funding;
use crate::store::{Store, Write};
use std::time::Duration;
use uuid::Uuid;

fn wish(number: u128, kind: Kind, amount: i64) -> FundsWish {
    FundsWish {
        id: Uuid::from_u128(number),
        miner: samples::miner(),
        kind,
        from: None,
        amount: Some(atto(amount)),
    }
}

fn world() -> World {
    let world = World::new();
    world.chain.state().fee = Some(77);
    world
}

/// The stored order, without asking the provider.
fn stored(running: &Running, wish: &FundsWish) -> Option<FundsOrder> {
    let orders = running.gate.funds().ok()?;
    orders.into_iter().find(|order| order.id == wish.id)
}

async fn until(running: &Running, wish: &FundsWish, stage: Stage) -> FundsOrder {
    let what = format!("the order to be {stage:?}");
    wait(&what, || {
        stored(running, wish).filter(|order| order.stage == stage)
    })
    .await
}

fn fees(running: &Running) -> Fees {
    let all = running.gate.fees().unwrap();
    let own = all
        .into_iter()
        .find(|(miner, _)| *miner == samples::miner());
    own.map(|(_, fees)| fees).unwrap_or_default()
}

async fn refusal(running: &Running, wish: FundsWish) -> String {
    running.handle.order_funds(wish).await.unwrap_err()
}

/// Commits of an undisturbed way.
async fn whole_way(world: &World, wish: &FundsWish) -> u32 {
    let running = world.start().await;
    let before = running.gate.commits();
    running.handle.order_funds(wish.clone()).await.unwrap();
    until(&running, wish, Stage::Done).await;
    let commits = running.gate.commits() - before;
    running.stop().await;
    commits
}

/// Cuts at one commit, starts again, and orders again as who heard nothing does.
async fn cut(world: &World, wish: &FundsWish, commits: u32, written: bool) {
    let when = format!("after {commits} commits, the last one written: {written}");
    let running = world.start().await;
    running.gate.set(Mode::Dying { commits, written });
    let ordered = async {
        // The answer may be lost with the power.
        let _ = running.handle.order_funds(wish.clone()).await;
        std::future::pending::<()>().await;
    };
    let died = async {
        wait("the cut", || {
            (running.gate.mode() == Mode::Dead).then_some(())
        })
        .await;
    };
    smol::future::or(ordered, died).await;
    running.crash().await;

    let running = world.start().await;
    running.handle.order_funds(wish.clone()).await.unwrap();
    let order = until(&running, wish, Stage::Done).await;
    assert_eq!(order.exit_code, Some(0), "{when}");
    assert_eq!(order.fee, Some(atto(77)), "{when}");
    assert_eq!(world.chain.state().transfers.len(), 1, "{when}");
    let counted = fees(&running);
    assert_eq!((counted.counted, counted.funds), (1, atto(77)), "{when}");
    let paid = (wish.kind == Kind::Withdraw).then(|| atto(5));
    assert_eq!(order.paid, paid, "{when}");
    assert_eq!(order.prepared, None, "{when}");
    running.stop().await;
}

#[test]
fn an_order_is_executed_once_wherever_the_power_is_cut() {
    for kind in [Kind::Add, Kind::Withdraw] {
        let order = wish(1, kind, 5);
        let first = world();
        let mut commits = 0;
        first.run(async { commits = whole_way(&first, &order).await });
        assert!(commits >= 5, "the test would look at nothing: {commits}");
        for cut_at in 0..commits {
            for written in [false, true] {
                let world = world();
                world.run(cut(&world, &order, cut_at, written));
            }
        }
    }
}

#[test]
fn an_order_whose_answers_are_lost_is_sent_again_as_it_is() {
    let world = world();
    world.chain.state().mute = true;
    world.run(async {
        let running = world.start().await;
        let add = wish(1, Kind::Add, 5);
        running.handle.order_funds(add.clone()).await.unwrap();
        wait("the message", || {
            (world.chain.state().transfers.len() == 1).then_some(())
        })
        .await;
        let shown = stored(&running, &add).unwrap();
        assert_eq!((shown.stage, shown.exit_code), (Stage::Ordered, None));
        assert!(
            shown.message.is_some(),
            "its CID is known before it is sent"
        );
        running.crash().await;
        let running = world.start().await;
        world.chain.state().mute = false;
        let done = until(&running, &add, Stage::Done).await;
        assert_eq!(done.message, shown.message);
        let state = world.chain.state();
        assert_eq!((state.transfers.len(), state.prepared), (1, 1));
    });
}

#[test]
fn a_message_that_the_nodes_have_lost_is_given_to_them_again() {
    let world = world();
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let add = wish(1, Kind::Add, 5);
        running.handle.order_funds(add.clone()).await.unwrap();
        let sent = until(&running, &add, Stage::Sent).await;
        world.chain.state().transfers.clear();
        wait("the message", || {
            (world.chain.state().transfers.len() == 1).then_some(())
        })
        .await;
        world.chain.state().pending = false;
        let done = until(&running, &add, Stage::Done).await;
        assert_eq!(done.message, sent.message);
        assert_eq!(world.chain.state().prepared, 1);
    });
}

#[test]
fn another_message_is_made_only_when_the_first_will_never_be_executed() {
    for error in [
        ChainError::Unreachable("MpoolPush".to_owned()),
        ChainError::Refused {
            code: 1,
            message: "MpoolPush: not enough funds".to_owned(),
        },
        ChainError::Later("nonce 7 is being used".to_owned()),
        ChainError::Superseded("nonce 7 was used".to_owned()),
    ] {
        let world = world();
        world.chain.state().publish_failures = vec![error.clone()];
        world.run(async {
            let running = world.start().await;
            let add = wish(1, Kind::Add, 5);
            running.handle.order_funds(add.clone()).await.unwrap();
            until(&running, &add, Stage::Done).await;
            let anew = u32::from(matches!(error, ChainError::Superseded(_)));
            let state = world.chain.state();
            assert_eq!(
                (state.transfers.len(), state.prepared),
                (1, 1 + anew),
                "{error}"
            );
        });
    }
}

#[test]
fn the_message_of_an_earlier_order_is_no_result_of_a_later_one() {
    let world = world();
    world.run(async {
        let running = world.start().await;
        let (first, second) = (wish(1, Kind::Add, 5), wish(2, Kind::Add, 5));
        running.handle.order_funds(first.clone()).await.unwrap();
        let done = until(&running, &first, Stage::Done).await;
        // A node that lags behind gave the nonce again, and takes the two for one.
        world.chain.state().taken_for = vec![done.message.unwrap()];
        running.handle.order_funds(second.clone()).await.unwrap();
        let other = until(&running, &second, Stage::Done).await;
        assert_ne!(other.message, done.message);
        let state = world.chain.state();
        assert_eq!((state.transfers.len(), state.prepared), (2, 3));
    });
}

#[test]
fn an_order_that_nobody_can_send_ends_with_nothing_sent() {
    let world = world();
    let forbidden = ChainError::NoSender("no key".to_owned());
    world.chain.state().prepare_failures = vec![forbidden];
    world.run(async {
        let running = world.start().await;
        let add = wish(1, Kind::Add, 5);
        running.handle.order_funds(add.clone()).await.unwrap();
        let failed = until(&running, &add, Stage::Failed).await;
        assert!(failed.reason.contains("no key"), "{failed:?}");
        assert!(failed.reason.contains("nothing was sent"), "{failed:?}");
        // The same command again gets the recorded result.
        let again = running.handle.order_funds(add).await.unwrap();
        assert_eq!(again, failed);

        // A chain that stays away: money does not move long after it was asked for.
        let away = ChainError::Unreachable("GasEstimateMessageGas".to_owned());
        world.chain.state().prepare_failures = vec![away; 100_000];
        let later = wish(2, Kind::Add, 5);
        running.handle.order_funds(later.clone()).await.unwrap();
        wait("a try", || {
            (world.chain.state().prepare_failures.len() < 99_999).then_some(())
        })
        .await;
        assert_eq!(stored(&running, &later).unwrap().stage, Stage::Ordered);
        world.pass(Duration::from_secs(601));
        let failed = until(&running, &later, Stage::Failed).await;
        assert!(failed.reason.contains("within 10 minutes"), "{failed:?}");
        assert!(
            failed.reason.contains("GasEstimateMessageGas"),
            "{failed:?}"
        );
        assert_eq!(world.chain.state().transfers.len(), 0);
    });
}

#[test]
fn a_message_that_failed_on_chain_costs_its_fee_and_says_so() {
    let world = world();
    world.chain.state().exit_code = 18;
    world.run(async {
        let running = world.start().await;
        let take = wish(1, Kind::Withdraw, 5);
        running.handle.order_funds(take.clone()).await.unwrap();
        let done = until(&running, &take, Stage::Done).await;
        assert_eq!((done.exit_code, &done.paid), (Some(18), &None));
        assert!(done.reason.contains("exit code 18"), "{}", done.reason);
        assert_eq!(fees(&running).funds, atto(77));
    });
}

#[test]
fn what_is_refused_says_why_and_leaves_nothing() {
    let world = world();
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let uuid = running.accepted(&world.online(1)).await;
        let held = running.deal(uuid).await.unwrap();
        let held = &held.proposal().provider_collateral;
        // Escrow is 1,000,000.
        let free = 1_000_000 - i64::try_from(held.atto().clone()).unwrap();
        let much = refusal(&running, wish(1, Kind::Withdraw, free + 1)).await;
        assert!(much.contains("live deals hold"), "{much}");
        let zero = refusal(&running, wish(1, Kind::Add, 0)).await;
        assert!(zero.contains("zero"), "{zero}");
        let mut strange = wish(1, Kind::Add, 1);
        strange.miner = crate::filecoin::Address::id(99);
        let strange = refusal(&running, strange).await;
        assert!(
            strange.contains("not a miner of this provider"),
            "{strange}"
        );
        let nil = refusal(&running, wish(0, Kind::Add, 1)).await;
        assert!(nil.contains("no order of money"), "{nil}");
        let poor = refusal(&running, wish(1, Kind::Add, i64::MAX)).await;
        assert!(poor.contains("publish wallet: it has"), "{poor}");
        assert_eq!(running.gate.funds(), Ok(Vec::new()));

        // All that is free may go; then the next one waits for its end.
        let mut all = wish(1, Kind::Withdraw, 1);
        all.amount = None;
        let order = running.handle.order_funds(all.clone()).await.unwrap();
        assert_eq!(order.amount, atto(free));
        let busy = refusal(&running, wish(2, Kind::Add, 1)).await;
        assert!(busy.contains("under way"), "{busy}");
        let mut others = wish(2, Kind::Add, 1);
        others.miner = other_miner();
        running.handle.order_funds(others).await.unwrap();
        let again = running.handle.order_funds(all.clone()).await.unwrap();
        assert_eq!(
            again.amount,
            atto(free),
            "the same order, not all that is free now"
        );
        all.kind = Kind::Add;
        all.amount = Some(atto(1));
        let other = refusal(&running, all).await;
        assert!(other.contains("is another one"), "{other}");
    });
}

#[test]
fn money_on_its_way_out_is_not_promised_to_a_deal() {
    let world = world();
    world.chain.state().pending = true;
    world.run(async {
        let running = world.start().await;
        let take = wish(1, Kind::Withdraw, 1_000_000 - 10);
        running.handle.order_funds(take.clone()).await.unwrap();
        until(&running, &take, Stage::Sent).await;
        let refused = running.propose(&world.online(1)).await;
        assert!(!refused.accepted);
        assert!(
            refused.message.contains("insufficient funds"),
            "{refused:?}"
        );
        // Executed: what the chain shows counts.
        world.chain.state().pending = false;
        until(&running, &take, Stage::Done).await;
        running.accepted(&world.online(2)).await;
    });
}

#[test]
fn a_publish_messages_fee_is_counted_once_wherever_the_power_is_cut() {
    let one = |counted: &Fees| (counted.counted, counted.publish.clone()) == (1, atto(77));
    let whole = world();
    let mut commits = 0;
    whole.run(async {
        let running = whole.start().await;
        let before = running.gate.commits();
        let uuid = running.accepted(&whole.online(1)).await;
        running.until_sealed(uuid).await;
        wait("the fee", || one(&fees(&running)).then_some(())).await;
        commits = running.gate.commits() - before;
    });
    for cut_at in 0..commits {
        let world = world();
        world.run(async {
            let running = world.start().await;
            let written = cut_at % 2 == 0;
            running.gate.set(Mode::Dying {
                commits: cut_at,
                written,
            });
            let params = world.online(1);
            let proposed = async {
                running.propose(&params).await;
                std::future::pending::<()>().await;
            };
            let died = wait("the cut", || {
                (running.gate.mode() == Mode::Dead).then_some(())
            });
            smol::future::or(proposed, died).await;
            running.crash().await;
            let running = world.start().await;
            running.accepted(&params).await;
            running.until_sealed(params.uuid).await;
            wait("the fee", || one(&fees(&running)).then_some(())).await;
        });
    }
}

#[test]
fn a_fee_that_nobody_tells_is_said_to_be_missing() {
    let world = world();
    world.chain.state().fee = None;
    world.run(async {
        let running = world.start().await;
        let add = wish(1, Kind::Add, 5);
        running.handle.order_funds(add.clone()).await.unwrap();
        let done = until(&running, &add, Stage::Done).await;
        assert_eq!((done.exit_code, done.fee), (Some(0), None));
        let counted = fees(&running);
        assert_eq!((counted.counted, counted.untold), (0, 1));
        let asked = world.chain.state().fees_asked;
        smol::Timer::after(Duration::from_millis(50)).await;
        assert_eq!(
            world.chain.state().fees_asked,
            asked,
            "it is not asked for ever"
        );
    });
}

#[test]
fn the_oldest_ended_orders_give_way_and_open_ones_never() {
    let mut funding = Funding::default();
    let number = |id: u64| Uuid::from_u128(u128::from(id));
    let mut order = |id: u64, kind: Kind, ended: bool| {
        let mut order = FundsOrder::new(number(id), samples::miner(), kind, id);
        if ended {
            order.fail("no");
        }
        let writes = funding.insert(order);
        let gone = writes.iter().find_map(|write| match write {
            Write::DropFunds(id) => Some(*id),
            _ => None,
        });
        assert!(writes.len() <= 2);
        gone
    };
    assert_eq!(order(0, Kind::Add, false), None);
    let kept = ORDERS_KEPT_MAX as u64;
    for id in 1..=kept {
        assert_eq!(order(id, Kind::Add, true), None);
    }
    // Publish messages have a limit of their own.
    assert_eq!(order(10_000, Kind::Publish, true), None);
    assert_eq!(order(kept + 1, Kind::Withdraw, true), Some(number(1)));
    assert_eq!(order(kept + 2, Kind::Add, true), Some(number(2)));
    assert!(funding.get(number(0)).is_some());
    assert!(funding.get(number(1)).is_none());
}
