//! `coracle ask` against the real binary: what it changes is what clients are told and what proposals are judged by.

mod harness;

use coracle::filecoin::TokenAmount;
use coracle::wire::{SignedAsk, StorageAsk};
use harness::{Running, World};
use serde_json::Value;
use std::process::Output;

impl World {
    fn ask(&self, provider: &Running, arguments: &[&str]) -> Output {
        let all: Vec<&str> = [&["ask"], arguments].concat();
        provider.command(&self.vars(), &all)
    }

    /// What a client is told.
    fn told(&self, provider: &Running) -> SignedAsk {
        let asked = self
            .client
            .node
            .ask(provider.peer, &provider.addresses, self.net.miner());
        smol::block_on(asked).unwrap().ask.unwrap()
    }

    fn terms(&self, provider: &Running) -> StorageAsk {
        self.told(provider).ask.unwrap()
    }
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text} {errors}"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output, with: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains(with), "{errors}");
}

#[test]
fn what_is_set_is_what_clients_are_told_also_after_a_restart() {
    let world = World::new("ask-set");
    let provider = world.start();
    let first = world.terms(&provider);
    let all = json(&world.ask(&provider, &["--json"]));
    assert_eq!(all["asks"][0]["price"], first.price.to_string());
    assert_eq!(all["missing"], serde_json::json!([]));

    let set = world.ask(
        &provider,
        &[
            "set",
            "--price",
            "340282366920938463463374607431768211456",
            "--verified-price",
            "0.00000005FIL",
            "--max-piece-size",
            "16GiB",
            "--json",
        ],
    );
    assert_eq!(set.status.code(), Some(0));
    let shown = json(&set);
    let signed = world.told(&provider);
    let terms = signed.ask.clone().unwrap();
    assert_eq!(
        terms.price.to_string(),
        "340282366920938463463374607431768211456"
    );
    assert_eq!(
        terms.verified_price,
        TokenAmount::from_atto(50_000_000_000_u64)
    );
    assert_eq!(
        (terms.min_piece_size, terms.max_piece_size, terms.seq_no),
        (first.min_piece_size, 16 << 30, 1)
    );
    assert!(terms.timestamp > 0 && terms.expiry == terms.timestamp + 10_519_200);
    assert_eq!(shown["price"], terms.price.to_string());
    assert_eq!(shown["signed"], true);
    let [_, worker, _] = &world.net.devnet.people().miners[0];
    let by_worker = |signed: &SignedAsk| {
        let terms = signed.ask.as_ref().unwrap().encode();
        let signature = signed.signature.as_ref().unwrap();
        signature.verify(&worker.address, &terms)
    };
    assert!(by_worker(&signed));

    let wanted = world.wanted(1, 50_000);
    let (_, response) = world.client.propose(&provider, &wanted);
    assert!(
        response
            .message
            .starts_with("failed validation: storage price per epoch less than asking price: "),
        "{}",
        response.message
    );
    provider.kill();

    let provider = world.start();
    assert_eq!(world.told(&provider), signed);
    let miner = world.net.miner().to_string();
    let set = world.ask(&provider, &["set", &miner, "--price", "1"]);
    let shown = text(&set);
    assert!(
        shown.contains("0.000000000000000001 FIL (1 attoFIL)"),
        "{shown}"
    );
    assert_eq!(world.terms(&provider).seq_no, 2);
    assert!(by_worker(&world.told(&provider)));
    world.client.accepted(&provider, &wanted);
    assert_eq!(
        text(&world.ask(&provider, &[&miner])),
        text(&world.ask(&provider, &[]))
    );
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let world = World::new("ask-refused");
    let provider = world.start();
    let before = world.told(&provider);
    let set = |arguments: &[&str]| {
        let all: Vec<&str> = [&["set"], arguments].concat();
        world.ask(&provider, &all)
    };
    refused(
        &set(&["--max-piece-size", "64GiB"]),
        "does not fit a sector",
    );
    refused(
        &set(&["--min-piece-size", "2KiB", "--max-piece-size", "1KiB"]),
        "the smallest piece, 2048 bytes, would be larger than the largest one, 1024 bytes",
    );
    refused(&set(&["--expiry", "1"]), "is not after the head");
    refused(
        &set(&["f09", "--price", "1"]),
        "f09 is not a miner of this provider: f01000",
    );
    refused(
        &world.ask(&provider, &["f09"]),
        "f09 is not a miner of this provider",
    );
    for usage in [
        &["--price", "0.05"] as &[&str],
        &["--price", "-1"],
        &["--min-piece-size", "1000"],
        &["--expiry", "9", "--no-expiry"],
        &[],
        &["nobody", "--price", "1"],
    ] {
        assert_eq!(set(usage).status.code(), Some(2), "{usage:?}");
    }
    let (status, answer) = provider.admin("POST", "/v1/asks/f01000", Some(r#"{"prise": "1"}"#));
    assert_eq!(
        (status, answer["error"].as_str()),
        (400, Some("unknown field \"prise\""))
    );
    let (status, _) = provider.admin("GET", "/v1/asks/nobody", None);
    assert_eq!(status, 400);
    assert_eq!(world.told(&provider), before);
}

#[test]
fn an_ask_ends_when_its_operator_says() {
    let world = World::new("ask-ends");
    let provider = world.start();
    let wanted = world.wanted(1, 50_000);
    let set = world.ask(&provider, &["set", "--valid-for", "40", "--json"]);
    let expiry = json(&set)["expiry"].as_i64().unwrap();
    assert_eq!(json(&set)["renews"], false);
    harness::wait("the end of the ask", || {
        let shown = json(&world.ask(&provider, &["f01000", "--json"]));
        (shown["expired"] == true).then_some(())
    });
    let (_, response) = world.client.propose(&provider, &wanted);
    assert_eq!(
        response.message,
        "failed validation: storage ask has expired"
    );
    let shown = text(&world.ask(&provider, &[]));
    assert!(
        shown.contains(&format!("EXPIRED at epoch {expiry}: proposals are refused")),
        "{shown}"
    );
    // Said once, not at every look.
    let said = format!("ask of f01000: it expired at epoch {expiry} as its operator wanted");
    harness::wait("the log", || provider.log().contains(&said).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(provider.log().matches(&said).count(), 1);
    provider.kill();

    let provider = world.start();
    assert_eq!(world.terms(&provider).expiry, expiry);
    refused(
        &world.ask(&provider, &["set", "--price", "1"]),
        "expired at epoch",
    );
    assert_eq!(
        world.ask(&provider, &["set", "--no-expiry"]).status.code(),
        Some(0)
    );
    world.client.accepted(&provider, &wanted);
}
