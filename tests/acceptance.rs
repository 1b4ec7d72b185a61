//! Acceptance as clients and operators of the real binary meet it: in time whatever the chain does, with the operator's own
//! filter, and with a memory for what was refused.

mod harness;

use coracle::client::deal::Wanted;
use coracle::devnet::{Effect, Fault};
use coracle::filecoin::Address;
use coracle::wire::DealResponse;
use harness::{Running, Vars, World, wait};
use serde_json::Value;
use std::process::Output;
use std::time::{Duration, Instant};

impl World {
    /// Proposes once the provider has looked at the chain and, with a filter, at the sealer.
    fn told(&self, provider: &Running, wanted: &Wanted) -> DealResponse {
        self.client.wait_for_ask(provider, &wanted.provider);
        wait("the provider's state", || {
            let (_, response) = self.client.propose(provider, wanted);
            let early = response.message.contains("getting sealing status");
            (!early).then_some(response)
        })
    }

    fn hang(&self, method: &str) {
        let effect = Effect::Delay(Duration::from_secs(600));
        self.net
            .devnet
            .set_fault(Fault::times(method, 1_000, effect));
    }
}

/// The refusals that the command line shows, newest first.
fn refusals(provider: &Running, vars: &Vars) -> Vec<Value> {
    let output = provider.command(vars, &["deal", "list", "--refused", "--json"]);
    assert!(output.status.success(), "{}", errors(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    value["refusals"].as_array().unwrap().clone()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_hanging_chain_node_keeps_nobody_waiting() {
    let world = World::new("hanging");
    let provider = Running::start(&world.vars());
    let wanted = world.wanted(1, 50_000);
    world.client.wait_for_ask(&provider, &wanted.provider);
    for method in ["StateMarketBalance", "*"] {
        world.hang(method);
        for _ in 0..3 {
            let begun = Instant::now();
            let (_, response) = world.client.propose(&provider, &wanted);
            let took = begun.elapsed();
            assert!(!response.accepted);
            assert!(
                response
                    .message
                    .starts_with("failed validation: server error: getting "),
                "{}",
                response.message
            );
            // Two seconds for the chain, the rest for the way there and back on a busy machine. The node hangs far longer.
            assert!(took < Duration::from_secs(12), "{method}: {took:?}");
        }
    }
    // The provider itself does not hang either.
    let begun = Instant::now();
    assert_eq!(provider.admin("GET", "/v1/deals", None).0, 200);
    assert!(begun.elapsed() < Duration::from_secs(12));
}

#[test]
fn refusals_are_listed_with_their_reasons_and_survive_a_kill() {
    let world = World::new("refused");
    let vars = world.vars();
    let provider = Running::start(&vars);
    let mut cheap = world.wanted(1, 50_000);
    cheap.storage_price = coracle::filecoin::TokenAmount::zero();
    let response = world.told(&provider, &cheap);
    let listed = refusals(&provider, &vars);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["told"], response.message);
    let log = listed[0]["log"].as_str().unwrap();
    assert!(log.contains("`coracle ask set`"), "{log}");
    assert_eq!(listed[0]["piece_cid"], cheap.piece_cid.to_string());
    assert_eq!(listed[0]["miner"], cheap.provider.to_string());
    let (uuid, _) = world.client.propose(&provider, &cheap);
    let shown = provider.command(&vars, &["deal", "list", "--refused", "--limit", "1"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&uuid.to_string()), "{shown}");
    assert!(
        shown.contains("storage price per epoch less than asking price"),
        "{shown}"
    );
    assert_eq!(shown.trim_end().lines().count(), 1, "{shown}");
    let both = provider.command(&vars, &["deal", "list", "--refused", "--state", "Accepted"]);
    assert_eq!(both.status.code(), Some(2));
    // What was listed was stored before.
    provider.kill();
    let provider = Running::start(&vars);
    let listed = refusals(&provider, &vars);
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["uuid"], uuid.to_string());
    assert!(provider.admin("GET", "/v1/refusals?limit=1", None).1["refusals"][0].is_object());
    assert_eq!(provider.admin("GET", "/v1/refusals?limit=x", None).0, 400);
    assert_eq!(provider.admin("GET", "/v1/refusals?state=x", None).0, 400);
}

#[test]
fn the_operators_filter_decides() {
    let world = World::new("filter");
    let seen = world.scratch.join("seen.json");
    let filter = format!(
        "cat > '{}'; echo \"token: ${{FULLNODE_API_INFO:-none}}\"; exit 7",
        seen.display()
    );
    let vars = world.vars_with(&[
        ("CORACLE_FILTER", &filter),
        ("CORACLE_FILTER_TIMEOUT", "30s"),
    ]);
    let provider = Running::start(&vars);
    let wanted = world.wanted(1, 50_000);
    let response = world.told(&provider, &wanted);
    assert!(!response.accepted);
    assert_eq!(response.message, "token: none\n");
    let document: Value = serde_json::from_slice(&std::fs::read(&seen).unwrap()).unwrap();
    assert_eq!(document["Agent"], "boost");
    assert_eq!(document["Transfer"]["Params"], "");
    let proposal = &document["ClientDealProposal"]["Proposal"];
    assert_eq!(proposal["PieceCID"]["/"], wanted.piece_cid.to_string());
    assert!(document["SealingPipelineState"]["SectorStates"].is_object());
    let log = refusals(&provider, &vars)[0]["log"].clone();
    assert_eq!(
        log,
        "the filter command exited with 7 and printed: token: none"
    );
    assert!(
        !provider.log().contains("seen.json"),
        "the command is not logged"
    );
    let (stopped, _) = provider.stop();
    assert!(stopped);
    // Another filter, in the settings of this miner alone.
    let own = world.vars_with(&[
        ("CORACLE_FILTER", "exit 1"),
        ("CORACLE_FILTER_F01000", "exit 0"),
    ]);
    let provider = Running::start(&own);
    let response = world.told(&provider, &wanted);
    assert!(response.accepted, "{}", response.message);
}

#[test]
fn a_denied_client_is_refused_by_its_id_address() {
    let world = World::new("denied");
    let client: Address = world.client.key.address();
    let id = world.net.devnet.people().client.id.to_string();
    let provider = Running::start(&world.vars_with(&[("CORACLE_CLIENTS_DENIED", &id)]));
    let response = world.told(&provider, &world.wanted(1, 50_000));
    assert_eq!(
        response.message,
        format!("miner is not accepting storage deals from client {client}")
    );
}
