//! Reads: the forms of values, null against error, and which state an answer is about.

use crate::harness::*;
use coracle::devnet::{DevnetConfig, MinerConfig};
use coracle::filecoin::json as forms;
use serde_json::{Value, json};

#[test]
fn the_head_has_blocks_with_time_and_base_fee() {
    let net = start(by_hand());
    let head = net.ok("ChainHead", json!([]));
    assert_eq!(head["Height"], 5_000_000);
    let block = &head["Blocks"][0];
    assert!(block["Timestamp"].is_u64());
    assert_eq!(block["ParentBaseFee"], "100");
    assert_eq!(
        head["Cids"].as_array().unwrap().len(),
        head["Blocks"].as_array().unwrap().len()
    );
    net.advance(3);
    let later = net.ok("ChainHead", json!([]));
    assert_eq!(later["Height"], 5_000_003);
    let params = net.ok("StateGetNetworkParams", json!([]));
    let genesis = params["GenesisTimestamp"].as_u64().unwrap();
    let delay = params["BlockDelaySecs"].as_u64().unwrap();
    assert_eq!(later["Blocks"][0]["Timestamp"], genesis + 5_000_003 * delay);
    assert_eq!(net.ok("Version", json!([]))["BlockDelay"], delay);
    assert_eq!(net.ok("Version", json!([]))["APIVersion"], 131_840);
    let by_height = net.ok("ChainGetTipSetByHeight", json!([5_000_000, null]));
    assert_eq!(by_height["Cids"], head["Cids"]);
    assert_eq!(net.ok("ChainGetTipSet", json!([head["Cids"]])), by_height);
    net.fails("ChainGetTipSetByHeight", json!([5_000_004, null]));
    net.fails("ChainGetTipSetByHeight", json!([4_999_999, null]));
    let finalized = net.ok("ChainGetFinalizedTipSet", json!([]));
    assert_eq!(finalized["Height"], 5_000_000);
}

#[test]
fn epochs_come_by_the_clock() {
    let net = start(DevnetConfig::default());
    let first = net.ok("ChainHead", json!([]))["Height"].as_i64().unwrap();
    until("two epochs", || net.epoch() >= first + 2);
}

#[test]
fn a_miner_has_owner_worker_and_nullable_contact() {
    let net = start(by_hand());
    let info = net.ok("StateMinerInfo", json!(["f01000", null]));
    let [owner, worker, control] = &net.people().miners[0];
    assert_eq!(info["Owner"], owner.id.to_string());
    assert_eq!(info["Worker"], worker.id.to_string());
    assert_eq!(info["ControlAddresses"], json!([control.id.to_string()]));
    assert_eq!(info["NewWorker"], "<empty>");
    assert_eq!(info["PeerId"], Value::Null);
    assert_eq!(info["Multiaddrs"], Value::Null);
    assert_eq!(info["SectorSize"], 34_359_738_368_u64);
    let peer = libp2p::PeerId::random();
    net.set_contact(0, peer.to_bytes(), vec![vec![4, 127, 0, 0, 1]]);
    let info = net.ok("StateMinerInfo", json!(["f01000", null]));
    assert_eq!(info["PeerId"], peer.to_string());
    assert_eq!(info["Multiaddrs"], json!(["BH8AAAE="]));
    let (code, text) = net.fails("StateMinerInfo", json!(["f09999", null]));
    assert_eq!(code, 1);
    assert!(text.starts_with("failed to load miner actor"), "{text}");
    assert!(text.ends_with("actor not found"), "{text}");
    let (_, text) = net.fails("StateMinerInfo", json!([owner.id.to_string(), null]));
    assert!(text.contains("unknown actor code"), "{text}");
}

#[test]
fn addresses_are_looked_up_both_ways() {
    let net = start(by_hand());
    let client = &net.people().client;
    let (key, id) = (client.address.to_string(), client.id.to_string());
    assert_eq!(net.ok("StateLookupID", json!([key, null])), id);
    assert_eq!(
        net.ok("StateLookupID", json!(["f0424242", null])),
        "f0424242"
    );
    assert_eq!(net.ok("StateAccountKey", json!([id, null])), key);
    assert_eq!(net.ok("StateAccountKey", json!([key, null])), key);
    let contract = &net.people().contract;
    assert_eq!(
        net.ok("StateAccountKey", json!([contract.id.to_string(), null])),
        contract.address.to_string()
    );
    // A test network's letter means the same address.
    let on_testnet = key.replacen('f', "t", 1);
    assert_eq!(net.ok("StateLookupID", json!([on_testnet, null])), id);
    let (code, text) = net.fails("StateAccountKey", json!(["f01000", null]));
    assert_eq!(code, 1);
    assert!(text.starts_with("failed to get account actor"), "{text}");
    let (_, text) = net.fails("StateAccountKey", json!(["f0424242", null]));
    assert!(text.starts_with("failed to find actor"), "{text}");
    net.fails("StateLookupID", json!(["<empty>", null]));
}

#[test]
fn balances_are_strings() {
    let net = start(by_hand());
    let balance = net.ok("StateMarketBalance", json!(["f01000", null]));
    let thousand = "1000000000000000000000";
    assert_eq!(balance, json!({ "Escrow": thousand, "Locked": "0" }));
    let [owner, _, _] = &net.people().miners[0];
    let balance = net.ok("StateMarketBalance", json!([owner.id.to_string(), null]));
    assert_eq!(balance, json!({ "Escrow": "0", "Locked": "0" }));
    assert_eq!(
        net.fails("StateMarketBalance", json!(["f0999999", null])).0,
        1
    );
    let wallet = net.ok("WalletBalance", json!([owner.address.to_string()]));
    assert_eq!(wallet, "10000000000000000000000");
    assert_eq!(net.ok("WalletBalance", json!(["f0999999"])), "0");
    let actor = net.ok("StateGetActor", json!([owner.id.to_string(), null]));
    assert_eq!(actor["Balance"], wallet);
    assert_eq!(actor["Nonce"], 0);
    assert_eq!(actor["DelegatedAddress"], Value::Null);
    let contract = &net.people().contract;
    let actor = net.ok("StateGetActor", json!([contract.id.to_string(), null]));
    assert_eq!(actor["DelegatedAddress"], contract.address.to_string());
    let (_, text) = net.fails("StateGetActor", json!(["f0999999", null]));
    assert_eq!(text, "actor not found");
}

#[test]
fn the_nodes_least_collateral_is_a_tenth_too_high() {
    let net = start(by_hand());
    let size = 1_u64 << 30;
    let bounds = net.ok(
        "StateDealProviderCollateralBounds",
        json!([size, false, null]),
    );
    let least = forms::to_amount(&bounds["Min"]).unwrap();
    assert_eq!(bounds["Max"], "2000000000000000000000000000");
    // Eleven parts of what the node says are ten parts of what the actor takes.
    let piece = Piece::new(2048, 1);
    let mut deal = net.deal(&net.people().client, &piece);
    deal.proposal.piece_size = size;
    let publish = |deal: &coracle::filecoin::ClientDealProposal| {
        let message = forms::from_message(&net.publish_message(std::slice::from_ref(deal)));
        net.ok("StateCall", json!([message, null]))["MsgRct"]["ExitCode"].clone()
    };
    let client = &net.people().client;
    for (parts, exit) in [(110, 0), (101, 0), (99, 16)] {
        let atto = least.atto() * parts / 110;
        deal.proposal.provider_collateral = coracle::filecoin::TokenAmount::from_atto(atto);
        let deal = sign(client, deal.proposal.clone());
        assert_eq!(publish(&deal), exit, "{parts}");
    }
}

#[test]
fn datacap_is_null_where_there_is_none() {
    let net = start(by_hand());
    let status = |who: &coracle::devnet::Wallet| {
        net.ok(
            "StateVerifiedClientStatus",
            json!([who.address.to_string(), null]),
        )
    };
    assert_eq!(status(&net.people().client), Value::Null);
    assert_eq!(status(&net.people().verified_client), "1125899906842624");
    net.fails("StateVerifiedClientStatus", json!(["f0999999", null]));
}

#[test]
fn an_allocation_is_there_until_claimed() {
    let net = start(by_hand());
    let piece = Piece::new(1 << 20, 1);
    let mut deal = net.deal(&net.people().verified_client, &piece);
    deal.proposal.verified = true;
    let deal = sign(&net.people().verified_client, deal.proposal);
    net.publish(&[deal]);
    let number = net.deals()[0].0;
    let id = net.ok("StateGetAllocationIdForPendingDeal", json!([number, null]));
    assert!(id.as_u64().unwrap() > 0);
    let allocation = net.ok("StateGetAllocationForPendingDeal", json!([number, null]));
    assert_eq!(allocation["Provider"], 1000);
    assert_eq!(allocation["Size"], 1 << 20);
    let client = net.people().verified_client.address.to_string();
    let same = net.ok("StateGetAllocation", json!([client, id, null]));
    assert_eq!(same, allocation);
    let other = net.people().client.address.to_string();
    let none = net.ok("StateGetAllocation", json!([other, id, null]));
    assert_eq!(none, Value::Null);
    assert_eq!(
        net.ok("StateGetAllocationIdForPendingDeal", json!([1, null])),
        0
    );
    assert_eq!(
        net.ok("StateGetAllocationForPendingDeal", json!([1, null])),
        Value::Null
    );
}

#[test]
fn a_tipset_key_pins_the_state() {
    let net = start(by_hand());
    let before = net.ok("ChainHead", json!([]))["Cids"].clone();
    let piece = Piece::new(2048, 1);
    let deal = net.deal(&net.people().client, &piece);
    let (_, found) = net.publish(&[deal]);
    net.advance(2);
    let locked = |key: &Value| {
        let balance = net.ok("StateMarketBalance", json!(["f01000", key]));
        balance["Locked"].clone()
    };
    assert_eq!(locked(&before), "0");
    assert_eq!(locked(&found["TipSet"]), "100000000000000000");
    assert_eq!(locked(&Value::Null), "100000000000000000");
    let unknown =
        json!([{ "/": "bafy2bzacebsqy7vhpd6oz7yyu3rjrweocn3b2siqk3lcf67yhwwxcbmpuiwmo" }]);
    assert_eq!(
        net.fails("StateMarketBalance", json!(["f01000", unknown]))
            .0,
        1
    );
}

#[test]
fn deadlines_and_sectors_of_a_miner() {
    let net = start(by_hand());
    let deadline = net.ok("StateMinerProvingDeadline", json!(["f01000", null]));
    let number = |name: &str| deadline[name].as_i64().unwrap();
    assert_eq!(number("CurrentEpoch"), 5_000_000);
    assert!(number("Open") <= 5_000_000 && 5_000_000 < number("Close"));
    assert_eq!(number("Open"), number("PeriodStart") + 60 * number("Index"));
    let none = net.ok("StateSectorGetInfo", json!(["f01000", 1, null]));
    assert_eq!(none, Value::Null);
}

#[test]
fn several_miners_have_listeners_of_their_own() {
    let net = start(DevnetConfig {
        miners: vec![MinerConfig::new(1000), MinerConfig::new(1234)],
        ..by_hand()
    });
    let second = format!("http://{}/rpc/v0", net.miner_addr(1).unwrap());
    let address = result(&call(&second, "ActorAddress", &json!([])));
    assert_eq!(address, "f01234");
    net.ok("StateMinerInfo", json!(["f01234", null]));
}
