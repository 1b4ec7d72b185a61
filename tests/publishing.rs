//! Publishing by the real binary against the devnet (edge cases 80 to 84 of the specification's section 12).

mod harness;

use coracle::devnet::{Effect, Fault};
use coracle::filecoin::TokenAmount;
use harness::{Running, Vars, World, wait};
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Deals that the provider has taken and transferred.
fn transferred(world: &World, provider: &Running, seeds: std::ops::Range<u64>) -> Vec<Uuid> {
    let propose = |seed| world.client.accepted(provider, &world.wanted(seed, 20_000));
    let deals: Vec<Uuid> = seeds.map(propose).collect();
    for uuid in &deals {
        provider.queues(*uuid);
    }
    deals
}

fn publishing(provider: &Running, vars: &Vars) -> Value {
    let output = provider.command(vars, &["publish", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The CID under which a deal was published.
fn published(provider: &Running, uuid: Uuid) -> String {
    wait("the confirmation", || {
        let shown = provider.deal(uuid);
        shown["chain_deal_id"].as_u64()?;
        Some(shown["publish_cid"].as_str()?.to_owned())
    })
}

/// Nonces that publish messages have.
fn nonces(world: &World) -> usize {
    let messages = world.net.devnet.received_messages();
    let published = messages.iter().filter(|signed| signed.message.method == 4);
    let nonces: BTreeSet<u64> = published.map(|signed| signed.message.nonce).collect();
    nonces.len()
}

/// Two deals whose message waits in the pool until the miners want less, and what the client pays for each.
fn in_the_pool(world: &World) -> (Running, Vec<Uuid>, TokenAmount) {
    let vars = world.vars_with(&[
        ("CORACLE_PUBLISH_PERIOD", "1h"),
        ("CORACLE_PUBLISH_DEALS_MAX", "2"),
        ("CORACLE_PUBLISH_STUCK_EPOCHS", "0"),
    ]);
    world
        .net
        .devnet
        .set_least_premium(&TokenAmount::from_atto(1_000_000_u64));
    let provider = Running::start(&vars);
    world.client.wait_for_ask(&provider, &world.net.miner());
    let mut deals = transferred(world, &provider, 1..3);
    deals.sort_unstable();
    for uuid in &deals {
        wait("the message", || {
            (provider.deal(*uuid)["checkpoint"] == "Published").then_some(())
        });
    }
    let shown = provider.deal(deals[0]);
    let epochs = shown["end_epoch"].as_i64().unwrap() - shown["start_epoch"].as_i64().unwrap();
    let price: u64 = shown["price_per_epoch"].as_str().unwrap().parse().unwrap();
    (provider, deals, TokenAmount::from_atto(price).times(epochs))
}

/// The error of a deal that waits for the operator.
fn waits(provider: &Running, uuid: Uuid) -> String {
    wait("the operator's turn", || {
        let shown = provider.deal(uuid);
        (shown["retry"] == "manual").then(|| shown["error"].as_str().unwrap().to_owned())
    })
}

#[test]
fn edge_81_the_deal_that_spoils_a_message_waits_and_the_others_share_one() {
    let world = World::new("edge-81");
    let refused = |skip| Fault {
        skip,
        ..Fault::once(
            "GasEstimateMessageGas",
            Effect::Error {
                code: 1,
                message: "message execution failed: exit 16".to_owned(),
                done: false,
            },
        )
    };
    // The three together fail, the first one and the first two do not, the third alone does.
    world.net.devnet.set_fault(refused(0));
    world.net.devnet.set_fault(refused(2));
    let vars = world.vars_with(&[
        ("CORACLE_PUBLISH_PERIOD", "1h"),
        ("CORACLE_PUBLISH_DEALS_MAX", "3"),
    ]);
    let provider = Running::start(&vars);
    world.client.wait_for_ask(&provider, &world.net.miner());
    let mut deals = transferred(&world, &provider, 1..4);
    deals.sort_unstable();
    let error = waits(&provider, deals[2]);
    let begin = format!(
        "recoverable error to publish deal {}: publish validation failed: ",
        deals[2]
    );
    assert!(
        error.starts_with(&begin) && error.contains("exit 16"),
        "{error}"
    );
    assert_eq!(
        published(&provider, deals[0]),
        published(&provider, deals[1])
    );
    assert_eq!(world.net.publish_messages(), 1);
}

#[test]
fn edge_82_a_deal_too_near_its_start_is_not_published() {
    let world = World::new("edge-82");
    let vars = world.vars_with(&[("CORACLE_SEALING_BUFFER", "100000")]);
    let provider = Running::start(&vars);
    world.client.wait_for_ask(&provider, &world.net.miner());
    let uuid = world.client.accepted(&provider, &world.wanted(1, 20_000));
    let error = waits(&provider, uuid);
    assert!(
        error.contains("has passed deal proposal start epoch"),
        "{error}"
    );
    assert_eq!(world.net.publish_messages(), 0);
}

#[test]
fn edge_83_a_dropped_deal_waits_and_its_neighbour_gets_its_id() {
    let world = World::new("edge-83");
    let devnet = &world.net.devnet;
    let (provider, deals, price) = in_the_pool(&world);
    // Enough for the first of them.
    devnet.set_escrow(&devnet.people().client.address, &price);
    devnet.set_least_premium(&TokenAmount::zero());
    published(&provider, deals[0]);
    let error = waits(&provider, deals[1]);
    assert!(
        error.ends_with("deal was invalid at publication"),
        "{error}"
    );
    let (_, log) = provider.admin("GET", &format!("/v1/deals/{}/log", deals[1]), None);
    let log = log.to_string();
    assert!(
        log.contains("did not take it; alone it fails with:"),
        "{log}"
    );
    assert_eq!(devnet.deals().len(), 1);
}

#[test]
fn a_message_that_fails_on_chain_tells_each_deal_why_and_can_be_sent_anew() {
    let world = World::new("fails");
    let devnet = &world.net.devnet;
    let (provider, deals, price) = in_the_pool(&world);
    let client = &devnet.people().client.address;
    devnet.set_escrow(client, &TokenAmount::zero());
    devnet.set_least_premium(&TokenAmount::zero());
    for uuid in &deals {
        let error = waits(&provider, *uuid);
        assert!(
            error.contains("exit code 16; this deal fails alone too:"),
            "{error}"
        );
    }
    // The client pays in, the operator tries again.
    devnet.set_escrow(client, &price.times(10));
    for uuid in &deals {
        let path = format!("/v1/deals/{uuid}/retry");
        assert_eq!(provider.admin("POST", &path, None).0, 200);
    }
    assert_eq!(
        published(&provider, deals[0]),
        published(&provider, deals[1])
    );
    assert_eq!(devnet.deals().len(), 2);
}

#[test]
fn a_reorganisation_before_confidence_gives_the_deal_its_new_id() {
    let world = World::new("reorganised");
    let devnet = &world.net.devnet;
    let vars = world.vars_with(&[("CORACLE_PUBLISH_CONFIDENCE", "40")]);
    let provider = Running::start(&vars);
    world.client.wait_for_ask(&provider, &world.net.miner());
    let uuid = world.client.accepted(&provider, &world.wanted(1, 20_000));
    let before = wait("the execution", || {
        devnet.deals().first().map(|(id, _)| *id)
    });
    devnet.reorganise(10);
    published(&provider, uuid);
    let after = devnet.deals()[0].0;
    assert_ne!(before, after, "the test would look at nothing");
    assert_eq!(provider.deal(uuid)["chain_deal_id"], after);
    assert_eq!(world.net.publish_messages(), 1);
}

#[test]
fn edge_80_a_full_message_goes_at_once_and_publish_now_does_not_wait() {
    let world = World::new("edge-80");
    let vars = world.vars_with(&[
        ("CORACLE_PUBLISH_PERIOD", "1h"),
        ("CORACLE_PUBLISH_DEALS_MAX", "3"),
    ]);
    let provider = Running::start(&vars);
    world.client.wait_for_ask(&provider, &world.net.miner());
    let deals = transferred(&world, &provider, 1..3);
    assert_eq!(world.net.publish_messages(), 0, "two of three wait");
    let waits = publishing(&provider, &vars);
    assert_eq!(
        waits["waiting"][0]["deals"].as_array().unwrap().len(),
        2,
        "{waits}"
    );
    let third = transferred(&world, &provider, 3..4);
    let cid = published(&provider, third[0]);
    assert_eq!(published(&provider, deals[0]), cid, "one message");
    assert_eq!(published(&provider, deals[1]), cid);
    let fourth = transferred(&world, &provider, 4..5);
    assert_eq!(world.net.publish_messages(), 1);
    let output = provider.command(&vars, &["publish", "--now"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "publishing 1 deal\n"
    );
    assert_ne!(published(&provider, fourth[0]), cid);
}

#[test]
fn by_hand_only_the_named_deals_are_published() {
    let world = World::new("by-hand");
    let vars = world.vars_with(&[("CORACLE_PUBLISH_MANUAL", "true")]);
    let provider = Running::start(&vars);
    world.client.wait_for_ask(&provider, &world.net.miner());
    let deals = transferred(&world, &provider, 1..4);
    assert_eq!(world.net.publish_messages(), 0);
    let waits = publishing(&provider, &vars);
    assert_eq!(waits["waiting"][0]["manual"], true, "{waits}");
    let named = deals[1].to_string();
    let output = provider.command(&vars, &["publish", "--now", &named]);
    assert_eq!(output.status.code(), Some(0));
    published(&provider, deals[1]);
    assert_eq!(provider.deal(deals[0])["checkpoint"], "Transferred");
    // It does not wait any more.
    let output = provider.command(&vars, &["publish", "--now", &named]);
    assert_eq!(output.status.code(), Some(1));
    let output = provider.command(&vars, &["publish", "--now"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "publishing 2 deals\n"
    );
    assert_eq!(
        published(&provider, deals[0]),
        published(&provider, deals[2])
    );
    assert_eq!(world.net.publish_messages(), 2);
}

#[test]
fn edge_84_a_stuck_message_is_replaced_and_the_executed_ones_cid_is_kept() {
    let world = World::new("edge-84");
    let devnet = &world.net.devnet;
    // More than a first message offers, less than a quarter more.
    devnet.set_least_premium(&TokenAmount::from_atto(110_000_u64));
    let vars = world.vars_with(&[("CORACLE_PUBLISH_STUCK_EPOCHS", "30")]);
    let provider = Running::start(&vars);
    world.client.wait_for_ask(&provider, &world.net.miner());
    let uuid = world.client.accepted(&provider, &world.wanted(1, 20_000));
    let first = wait("the message", || {
        Some(provider.deal(uuid)["publish_cid"].as_str()?.to_owned())
    });
    let kept = published(&provider, uuid);
    assert_ne!(kept, first);
    let messages = devnet.received_messages();
    let executed = messages
        .iter()
        .max_by_key(|signed| signed.message.gas_premium.clone());
    assert_eq!(executed.unwrap().cid().to_string(), kept, "edge case 84");
    assert_eq!((nonces(&world), devnet.deals().len()), (1, 1));
    let log = provider.log();
    let alert =
        format!("publish message {first} has waited for 30 epochs or more: it is to be replaced");
    assert_eq!(log.matches(&alert).count(), 1, "said once: {log}");
    assert!(log.contains(&uuid.to_string()));
}

#[test]
fn edge_84_a_kill_while_a_message_is_stuck_leaves_one_nonce() {
    let world = World::new("edge-84-kill");
    let devnet = &world.net.devnet;
    devnet.set_least_premium(&TokenAmount::from_atto(1_000_000_u64));
    let vars = world.vars_with(&[("CORACLE_PUBLISH_STUCK_EPOCHS", "20")]);
    let provider = Running::start(&vars);
    world.client.wait_for_ask(&provider, &world.net.miner());
    let uuid = world.client.accepted(&provider, &world.wanted(1, 20_000));
    wait("a replacement", || {
        provider.log().contains("is in the place of").then_some(())
    });
    provider.kill();
    devnet.set_least_premium(&TokenAmount::zero());
    let provider = Running::start(&vars);
    published(&provider, uuid);
    assert_eq!((nonces(&world), devnet.deals().len()), (1, 1));
}

#[test]
fn a_message_counts_when_the_chain_calls_it_final() {
    let world = World::new("finality");
    let vars = world.vars_with(&[("CORACLE_PUBLISH_CONFIDENCE", "finality")]);
    let provider = Running::start(&vars);
    world.client.wait_for_ask(&provider, &world.net.miner());
    let uuid = world.client.accepted(&provider, &world.wanted(1, 20_000));
    published(&provider, uuid);
    assert!(
        world
            .net
            .devnet
            .calls()
            .contains_key("ChainGetFinalizedTipSet")
    );
}
