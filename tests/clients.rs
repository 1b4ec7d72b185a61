//! Clients of every kind and verified deals, with the real binary against the devnet: whose signature is taken for whose
//! (spec chain-sealer-rpc C.6), and what DataCap asks for (B.7, B.16, D.8).

mod harness;

use coracle::client::deal;
use coracle::devnet::{Effect, Fault, Wallet};
use coracle::filecoin::{Address, SecretKey};
use coracle::wire::{DealParams, DealResponse};
use harness::{Running, World, wait};
use uuid::Uuid;

const INVALID: &str = "failed validation: invalid signature";
const UNKNOWN: &str = "failed validation: server error: validating signature";

impl World {
    /// A proposal of the client at this address, signed with this key.
    fn proposal(&self, seed: u64, client: &Address, key: &SecretKey) -> DealParams {
        let mut params = deal::propose(&self.wanted(seed, 20_000), key, Uuid::new_v4());
        let signed = params.proposal.as_mut().unwrap();
        signed.proposal.client = client.clone();
        signed.signature = key.sign(&signed.proposal.encode());
        params
    }

    fn told(&self, provider: &Running, params: &DealParams) -> DealResponse {
        self.client.send(provider, params)
    }

    fn trouble(&self, method: &str, effect: Effect) {
        let fault = Fault::times(method, 1_000, effect);
        self.net.devnet.set_fault(fault);
    }
}

fn sealed(provider: &Running, uuid: Uuid) {
    wait("the sector", || {
        let deal = provider.deal(uuid);
        assert_ne!(deal["checkpoint"], "Complete", "{deal}");
        (deal["sealed"] == true).then_some(())
    });
}

#[test]
fn each_kind_of_client_signs_in_its_own_way_and_is_sealed() {
    let world = World::new("kinds");
    let provider = world.start();
    let people = world.net.devnet.people();
    let clients: [(&str, &Wallet); 3] = [
        ("f1", &people.client),
        ("f3", &people.bls_client),
        ("f4", &people.contract),
    ];
    let mut seed = 0;
    let mut accepted = Vec::new();
    for (kind, client) in clients {
        for address in [&client.address, &client.id] {
            seed += 1;
            let params = world.proposal(seed, address, &client.key);
            let response = world.told(&provider, &params);
            assert_eq!(
                (response.message.as_str(), response.accepted),
                ("", true),
                "{kind} as {address}"
            );
            accepted.push(params.uuid);
            // The same with somebody else's signature, or one over something else.
            seed += 1;
            let mut forged = world.proposal(seed, address, &people.verified_client.key);
            assert_eq!(world.told(&provider, &forged).message, INVALID, "{kind}");
            let signed = forged.proposal.as_mut().unwrap();
            signed.signature = client.key.sign(b"another proposal");
            assert_eq!(world.told(&provider, &forged).message, INVALID, "{kind}");
        }
    }
    // An Ethereum account takes any call of the method with exit code 0 and returns nothing.
    let account = &people.eth_account;
    for address in [&account.address, &account.id] {
        seed += 1;
        let params = world.proposal(seed, address, &account.key);
        assert_eq!(world.told(&provider, &params).message, INVALID, "{address}");
    }
    // An actor that is neither, and nobody.
    for (actor, text) in [(1_000, INVALID), (99_999, INVALID)] {
        seed += 1;
        let params = world.proposal(seed, &Address::id(actor), &people.client.key);
        assert_eq!(world.told(&provider, &params).message, text, "f0{actor}");
    }
    for uuid in accepted {
        sealed(&provider, uuid);
    }
}

#[test]
fn a_key_that_is_denied_is_told_from_one_that_is_not_told() {
    let world = World::new("denied");
    let provider = world.start();
    let people = world.net.devnet.people();
    let contract = |seed: u64| world.proposal(seed, &people.contract.id, &people.contract.key);
    let account = |seed: u64| world.proposal(seed, &people.client.id, &people.client.key);
    // The node has no key for anybody: whoever has signed says so itself.
    world.trouble(
        "StateAccountKey",
        Effect::Error {
            code: 1,
            message: "failed to get account actor state: unknown actor code".to_owned(),
            done: false,
        },
    );
    for params in [contract(1), account(2)] {
        let response = world.told(&provider, &params);
        assert!(response.accepted, "{}", response.message);
    }
    let forged = world.proposal(3, &people.contract.id, &people.client.key);
    assert_eq!(world.told(&provider, &forged).message, INVALID);
    // The node does not say whether there is one.
    for effect in [
        Effect::Status(502),
        Effect::Error {
            code: -32601,
            message: "method not found".to_owned(),
            done: false,
        },
    ] {
        world.net.devnet.clear_faults();
        world.trouble("StateAccountKey", effect);
        for params in [contract(4), account(5)] {
            assert_eq!(world.told(&provider, &params).message, UNKNOWN);
        }
    }
    // And an answer that is no true: exit code 0 with nothing, or with something else.
    world.net.devnet.clear_faults();
    for returned in [serde_json::Value::Null, "9A==".into(), "AQ==".into()] {
        let answer = serde_json::json!({
            "MsgRct": { "ExitCode": 0, "Return": returned, "GasUsed": 1 },
            "Error": "",
        });
        world.net.devnet.clear_faults();
        world.trouble("StateCall", Effect::Answer(answer));
        assert_eq!(world.told(&provider, &contract(6)).message, INVALID);
    }
    world.net.devnet.clear_faults();
    assert!(world.told(&provider, &contract(6)).accepted);
}

#[test]
fn a_verified_deal_is_sealed_until_network_version_29() {
    let world = World::new("verified");
    let provider = world.start();
    let people = world.net.devnet.people();
    let client = &people.verified_client;
    let propose = |provider: &Running, seed: u64, bytes: usize, key: &SecretKey| {
        let mut wanted = world.wanted(seed, bytes);
        wanted.verified = true;
        let params = deal::propose(&wanted, key, Uuid::new_v4());
        (params.uuid, world.told(provider, &params))
    };
    // 1 MiB is the least, of padded bytes.
    let (_, small) = propose(&provider, 1, 300_000, &client.key);
    assert_eq!(
        small.message,
        "failed validation: verified deal piece size 524288 below minimum 1048576"
    );
    let (_, other) = propose(&provider, 2, 600_000, &people.client.key);
    assert_eq!(
        other.message,
        "failed validation: client is not a verified client"
    );
    let (uuid, taken) = propose(&provider, 3, 600_000, &client.key);
    assert!(taken.accepted, "{}", taken.message);
    sealed(&provider, uuid);
    // The next start asks for the version anew.
    provider.stop();
    world.net.devnet.set_network_version(29);
    let provider = world.start();
    let (_, late) = propose(&provider, 4, 600_000, &client.key);
    assert_eq!(
        late.message,
        "failed validation: verified deals have ended with network version 29"
    );
    let refusals = provider.command(&world.vars(), &["deal", "list", "--refused", "--json"]);
    let refusals = String::from_utf8_lossy(&refusals.stdout).into_owned();
    assert!(
        refusals.contains("the chain is at 29: there is no DataCap"),
        "{refusals}"
    );
    let unverified = world.proposal(5, &client.address, &client.key);
    assert!(world.told(&provider, &unverified).accepted);
    // Whether they have ended is not known.
    provider.stop();
    world.trouble("StateNetworkVersion", Effect::Status(502));
    let provider = world.start();
    let (_, unknown) = propose(&provider, 6, 600_000, &client.key);
    assert_eq!(
        unknown.message,
        "failed validation: server error: getting network version"
    );
}

#[test]
fn a_piece_without_datacap_on_chain_is_not_handed_over() {
    let world = World::new("allocation");
    let provider = world.start();
    let client = &world.net.devnet.people().verified_client;
    // Nothing is set aside, as after an upgrade that ends it.
    world.trouble(
        "StateGetAllocationForPendingDeal",
        Effect::Answer(serde_json::Value::Null),
    );
    let mut wanted = world.wanted(1, 600_000);
    wanted.verified = true;
    let params = deal::propose(&wanted, &client.key, Uuid::new_v4());
    assert!(world.told(&provider, &params).accepted);
    let error = wait("the operator's turn", || {
        let deal = provider.deal(params.uuid);
        (deal["retry"] == "manual").then(|| deal["error"].as_str().unwrap().to_owned())
    });
    assert!(
        error.starts_with("failed to add piece: no DataCap is set aside on chain"),
        "{error}"
    );
    world.net.devnet.clear_faults();
    let uuid = params.uuid.to_string();
    let retried = provider.command(&world.vars(), &["deal", "retry", &uuid]);
    assert!(retried.status.success());
    sealed(&provider, params.uuid);
}
