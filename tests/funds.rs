//! Money of the real binary's miner against a devnet: shown, moved in and out of escrow, once however often it is asked for.

mod harness;

use coracle::devnet::{Effect, Fault, NodeKind};
use coracle::filecoin::keystore::Keystore;
use coracle::filecoin::{TokenAmount, market_actor};
use harness::{Car, CarServer, Client, Net, Running, Scratch, Vars, vars, wait};
use serde_json::Value;
use std::process::Output;
use std::time::Duration;
use uuid::Uuid;

const FIL: u128 = 1_000_000_000_000_000_000;

struct World {
    net: Net,
    scratch: Scratch,
}

impl World {
    /// A devnet of this kind; a gateway's provider has the worker's key of its own.
    fn new(kind: NodeKind) -> Self {
        let net = Net::start(|config| {
            config.kind = kind;
            config.auth = true;
        });
        let scratch = Scratch::new("funds");
        if kind == NodeKind::Gateway {
            let [_, worker, _] = &net.devnet.people().miners[0];
            let keystore = Keystore::new(&scratch.join("home"));
            assert!(keystore.put(&worker.key).unwrap());
        }
        Self { net, scratch }
    }

    fn vars(&self) -> Vars {
        vars(&self.net, &self.scratch.join("home"), "http://127.0.0.1:*")
    }

    /// A provider that has looked at the chain.
    fn start(&self) -> Running {
        let provider = Running::start(&self.vars());
        wait("a look at the chain", || {
            let (_, info) = provider.admin("GET", "/v1/info", None);
            (info["miners"].as_array()?.len() == self.net.miners.len()).then_some(())
        });
        provider
    }

    /// Messages of this method that the chain has, and what they carry.
    fn messages(&self, method: u64) -> Vec<(TokenAmount, Vec<u8>)> {
        let all = self.net.devnet.received_messages();
        let all = all.into_iter().map(|signed| signed.message);
        all.filter(|message| message.method == method)
            .map(|message| (message.value, message.params))
            .collect()
    }

    fn funds(&self, provider: &Running) -> Value {
        let shown = succeeded(&provider.command(&self.vars(), &["funds", "--json"]));
        shown["miners"][0].clone()
    }
}

fn succeeded(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn atto(value: &Value) -> u128 {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn money_goes_in_and_out_with_every_kind_of_node() {
    for (_, kind) in NodeKind::ALL {
        let world = World::new(kind);
        let provider = world.start();
        let vars = world.vars();
        let before = world.funds(&provider);
        assert_eq!(before["fees"]["messages"], 0, "{kind:?}");
        assert_eq!(before["error"], Value::Null);

        let added = succeeded(&provider.command(&vars, &["funds", "add", "1.5", "--json"]));
        assert_eq!(
            (&added["state"], &added["exit_code"]),
            (&"executed".into(), &0.into())
        );
        let miner = world.net.miner();
        let params = market_actor::encode_add_balance(&miner);
        let paid = TokenAmount::from_atto(FIL + FIL / 2);
        assert_eq!(world.messages(2), [(paid, params)], "{kind:?}");

        let taken = ["funds", "withdraw", "0.25FIL", "--json"];
        let taken = succeeded(&provider.command(&vars, &taken));
        assert_eq!(
            (&taken["state"], &taken["exit_code"]),
            (&"executed".into(), &0.into())
        );
        assert_eq!(atto(&taken["paid"]), FIL / 4);
        let params = market_actor::encode_withdraw(&miner, &TokenAmount::from_atto(FIL / 4));
        assert_eq!(world.messages(3), [(TokenAmount::zero(), params)]);

        let after = wait("both fees", || {
            let shown = world.funds(&provider);
            (shown["fees"]["messages"] == 2).then_some(shown)
        });
        let gained = atto(&after["escrow"]) - atto(&before["escrow"]);
        assert_eq!(gained, FIL + FIL / 4, "{kind:?}");
        // The publish wallet is the worker, who sent both; nothing else has taken or brought money.
        let spent = atto(&before["worker_balance"]) - atto(&after["worker_balance"]);
        assert_eq!(
            atto(&after["fees"]["funds"]) + FIL + FIL / 2,
            spent,
            "{kind:?}"
        );
        assert_eq!(atto(&after["fees"]["publish"]), 0);
        assert_eq!(after["orders"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn an_order_is_sent_once_although_no_answer_comes_and_the_provider_is_killed() {
    for kind in [NodeKind::Lotus, NodeKind::Forest, NodeKind::Gateway] {
        for done in [true, false] {
            let world = World::new(kind);
            let vars = world.vars();
            let drop = Effect::Drop { done };
            world
                .net
                .devnet
                .set_fault(Fault::times("MpoolPush", 10_000, drop));
            let provider = world.start();
            let id = Uuid::new_v4().to_string();
            let command = ["funds", "add", "2", "--id", &id, "--no-wait", "--json"];
            let order = succeeded(&provider.command(&vars, &command));
            assert_eq!(order["id"], id.as_str());
            let shown = wait("an attempt to send", || {
                let shown = provider.command(&vars, &["funds", "show", &id, "--json"]);
                let shown = succeeded(&shown);
                shown["reason"]
                    .as_str()?
                    .contains("MpoolPush")
                    .then_some(shown)
            });
            let message = shown["message"].as_str().unwrap().to_owned();
            provider.kill();
            std::thread::sleep(Duration::from_millis(300));
            world.net.devnet.clear_faults();

            let provider = world.start();
            // The same command is the same order, and waits for its end.
            let order = ["funds", "add", "2", "--id", &id, "--json"];
            let order = succeeded(&provider.command(&vars, &order));
            assert_eq!(
                (&order["exit_code"], &order["message"]),
                (&0.into(), &message.into())
            );
            assert_eq!(world.messages(2).len(), 1, "{kind:?} {done}");
            let again = ["funds", "add", "2", "--id", &id, "--json"];
            let again = succeeded(&provider.command(&vars, &again));
            assert_eq!(again["message"], order["message"]);
            assert_eq!(world.messages(2).len(), 1);

            // Another order under its ID is refused.
            let other = ["funds", "add", "3", "--id", &id];
            let other = provider.command(&vars, &other);
            assert_eq!(other.status.code(), Some(3));
            let errors = String::from_utf8_lossy(&other.stderr).into_owned();
            assert!(errors.contains("is another one"), "{errors}");
        }
    }
}

#[test]
fn what_live_deals_hold_is_shown_and_not_withdrawn() {
    let world = World::new(NodeKind::Lotus);
    let mut vars = world.vars();
    // The deal waits for others and stays unpublished.
    vars.insert("CORACLE_PUBLISH_PERIOD".to_owned(), "1h".to_owned());
    let server = CarServer::start();
    let client = Client::new(world.net.devnet.people().client.key.clone());
    let car = Car::generate(&world.scratch.0, 1, 50_000);
    let provider = Running::start(&vars);
    client.wait_for_ask(&provider, &world.net.miner());
    let wanted = Client::wanted(
        &world.net,
        &world.net.miner(),
        &car,
        Some(server.serve(&car)),
    );
    let held = &wanted.provider_collateral;
    let collateral: u128 = held.to_string().parse().unwrap();
    let deal = client.accepted(&provider, &wanted);

    let shown = world.funds(&provider);
    assert_eq!(atto(&shown["reserved"]), collateral);
    let (escrow, locked) = (atto(&shown["escrow"]), atto(&shown["locked"]));
    let free = escrow - locked - collateral;
    assert_eq!(atto(&shown["free"]), free);
    assert!(atto(&shown["publish_reserved"]) > 0);

    let more = format!("{}attoFIL", free + 1);
    let refused = provider.command(&vars, &["funds", "withdraw", &more]);
    assert_eq!(refused.status.code(), Some(3));
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    let holds = format!("live deals hold {}", held.to_fil_text());
    assert!(errors.contains(&holds), "{errors}");
    wait("the log", || {
        let log = provider.log();
        log.contains("funds withdraw of f01000: refused")
            .then_some(())
    });

    let all = ["funds", "withdraw", "--all", "--json"];
    let taken = succeeded(&provider.command(&vars, &all));
    assert_eq!((atto(&taken["amount"]), atto(&taken["paid"])), (free, free));
    let text = provider.command(&vars, &["funds"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("0 FIL  LOW"), "{text}");
    // Said once, however often the chain is looked at.
    wait("the warning", || {
        provider.log().contains("CORACLE_ESCROW_LOW").then_some(())
    });
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(provider.log().matches("CORACLE_ESCROW_LOW").count(), 1);

    // The deal's publication is not short of money, and its fee is counted.
    provider.queues(deal);
    assert!(
        provider
            .command(&vars, &["publish", "--now"])
            .status
            .success()
    );
    wait("the fee", || {
        let shown = world.funds(&provider);
        (atto(&shown["fees"]["publish"]) > 0).then_some(())
    });
    // And that there is enough again is said once too.
    let add = ["funds", "add", "1", "--json"];
    succeeded(&provider.command(&vars, &add));
    let enough = "f01000: the free market escrow is enough again";
    wait("the good news", || {
        provider.log().contains(enough).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(provider.log().matches(enough).count(), 1);
    assert_eq!(provider.log().matches("CORACLE_ESCROW_LOW").count(), 1);
}

#[test]
fn an_order_that_cannot_work_says_why_and_moves_nothing() {
    let world = World::new(NodeKind::Lotus);
    let provider = world.start();
    let vars = world.vars();
    let [owner, worker, control] = &world.net.devnet.people().miners[0];
    // Only owner and worker may withdraw.
    let from = [
        "funds",
        "withdraw",
        "1",
        "--from",
        &control.key.address().to_string(),
    ];
    let failed = provider.command(&vars, &from);
    assert_eq!(failed.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(errors.contains("neither owner nor worker"), "{errors}");
    assert!(errors.contains("nothing was sent"), "{errors}");
    // More than the wallet has.
    let much = provider.command(&vars, &["funds", "add", "1000000000"]);
    assert_eq!(much.status.code(), Some(3));
    let errors = String::from_utf8_lossy(&much.stderr).into_owned();
    assert!(errors.contains("publish wallet: it has"), "{errors}");
    let owner_address = owner.key.address().to_string();
    let much = ["funds", "add", "1000000000", "--from", &owner_address];
    let much = provider.command(&vars, &much);
    assert_eq!(much.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&much.stderr).into_owned();
    assert!(errors.contains("cannot be sent"), "{errors}");
    assert_eq!(world.messages(2).len() + world.messages(3).len(), 0);

    // Somebody else's wallet may pay, and the owner may withdraw.
    let add = ["funds", "add", "1", "--from", &owner_address, "--json"];
    let added = succeeded(&provider.command(&vars, &add));
    assert_eq!(added["from"], owner_address.as_str());
    let take = ["funds", "withdraw", "1", "--from", &owner_address, "--json"];
    let taken = succeeded(&provider.command(&vars, &take));
    assert_eq!(atto(&taken["paid"]), FIL);
    let _ = worker;
}
