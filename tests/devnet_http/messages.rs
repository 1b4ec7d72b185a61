//! Messages: how they are sent, carried out, found again, replaced and undone.

use crate::harness::*;
use coracle::devnet::DevnetConfig;
use coracle::filecoin::market_actor::{
    ADD_BALANCE, AUTHENTICATE_MESSAGE, PublishReturn, encode_add_balance, encode_authenticate,
};
use coracle::filecoin::message::{Message, SignedMessage};
use coracle::filecoin::{Address, TokenAmount, json as forms};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The decoded return value of a publish message.
fn returned(lookup: &Value) -> PublishReturn {
    let bytes = forms::to_bytes(&lookup["Receipt"]["Return"]).unwrap();
    PublishReturn::decode(&bytes).unwrap()
}

/// A deal of the usual client that differs by its piece.
fn deal(net: &Net, number: u8) -> coracle::filecoin::ClientDealProposal {
    net.deal(&net.people().client, &Piece::new(2048, number))
}

#[test]
fn a_published_deal_is_found_with_its_number() {
    let net = start(by_hand());
    let (cid, found) = net.publish(&[deal(&net, 1)]);
    assert_eq!(found["Message"], cid);
    assert_eq!(found["Receipt"]["ExitCode"], 0);
    assert_eq!(found["Height"], 5_000_002);
    assert_eq!(found["ReturnDec"], Value::Null);
    let id = returned(&found).deal_id(0).unwrap();
    let state = net.ok("StateMarketStorageDeal", json!([id, null]));
    assert_eq!(state["State"]["SectorStartEpoch"], -1);
    assert_eq!(state["State"]["SectorNumber"], 0);
    assert_eq!(state["State"]["SlashEpoch"], -1);
    // On chain everybody has a number, whatever the proposal said.
    let client = net.people().client.id.to_string();
    assert_eq!(state["Proposal"]["Client"], client);
    assert_eq!(state["Proposal"]["Provider"], "f01000");
    assert_eq!(state["Proposal"]["Label"], "a label");
}

#[test]
fn dropped_deals_leave_gaps_in_the_positions() {
    let net = start(by_hand());
    let mut bad = deal(&net, 2);
    bad.signature.data[0] ^= 1;
    let (_, found) = net.publish(&[deal(&net, 1), bad, deal(&net, 3), deal(&net, 4)]);
    assert_eq!(found["Receipt"]["Return"], "goMaBC3T6RoELdPqGgQt0+tCXAE=");
    let ret = returned(&found);
    assert_eq!(ret.deal_id(0), Some(70_112_233));
    assert_eq!(ret.deal_id(1), None);
    assert_eq!(ret.deal_id(2), Some(70_112_234));
    assert_eq!(ret.deal_id(3), Some(70_112_235));
}

#[test]
fn a_batch_of_bad_deals_never_leaves_the_node() {
    let net = start(by_hand());
    let mut bad = deal(&net, 1);
    bad.signature.data[0] ^= 1;
    let message = forms::from_message(&net.publish_message(&[bad]));
    let (code, text) = net.fails("MpoolPushMessage", json!([message, null]));
    assert_eq!(code, 1);
    assert!(text.starts_with("GasEstimateMessageGas error: "), "{text}");
    assert!(text.contains("exit 16"), "{text}");
    let (code, text) = net.fails("GasEstimateMessageGas", json!([message, null, null]));
    assert_eq!(code, 1);
    assert!(text.starts_with("estimating gas used"), "{text}");
    assert!(net.received_messages().is_empty());
    assert_eq!(net.ok("MpoolPending", json!([null])), Value::Null);
}

#[test]
fn an_identity_sends_once() {
    let net = start(by_hand());
    let message = forms::from_message(&net.publish_message(&[deal(&net, 1)]));
    let spec = |id: &str| json!({ "MaxFee": "0", "MsgUuid": id, "MaximizeFeeCap": false });
    let id = "3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a11";
    let first = net.ok("MpoolPushMessage", json!([message, spec(id)]));
    let again = net.ok("MpoolPushMessage", json!([message, spec(id)]));
    assert_eq!(first, again);
    net.advance(5);
    // Also long after: the same deal could not be published twice.
    assert_eq!(
        net.ok("MpoolPushMessage", json!([message, spec(id)])),
        first
    );
    assert_eq!(net.received_messages().len(), 1);
    // All zeros is no identity.
    let nil = "00000000-0000-0000-0000-000000000000";
    net.fails("MpoolPushMessage", json!([message, spec(nil)]));
    let bad = net.fails("MpoolPushMessage", json!([message, spec("not a uuid")]));
    assert_eq!(bad.0, -32700);
}

#[test]
fn a_node_may_ignore_identities() {
    let net = start(DevnetConfig {
        message_ids: false,
        ..by_hand()
    });
    let to = Address::id(1000);
    let message = message_to(&net.people().miners[0][1].address, &to, 0);
    let spec = json!({
        "MaxFee": "0",
        "MsgUuid": "3f0c2c1e-8f64-4a0e-9f5e-2b1f6b8f0a11",
        "MaximizeFeeCap": false,
    });
    for sent in 1..3 {
        let message = forms::from_message(&message);
        net.ok("MpoolPushMessage", json!([message, spec]));
        assert_eq!(net.received_messages().len(), sent);
    }
}

#[test]
fn the_node_fills_in_nonce_gas_and_key() {
    let net = start(by_hand());
    let [_, worker, _] = &net.people().miners[0];
    let message = forms::from_message(&net.publish_message(&[deal(&net, 1)]));
    let signed = net.ok("MpoolPushMessage", json!([message, null]));
    let inner = &signed["Message"];
    assert_eq!(inner["From"], worker.address.to_string());
    assert_eq!(inner["Nonce"], 0);
    assert!(inner["GasLimit"].as_i64().unwrap() > 100_000_000);
    assert!(inner["GasFeeCap"].is_string() && inner["GasPremium"].is_string());
    let decoded = forms::to_signed_message(&signed).unwrap();
    assert!(decoded.verify(&worker.address));
    // secp256k1: the message to track is the signed one.
    assert_eq!(signed["CID"], forms::from_cid(Some(&decoded.cid())));
    assert_ne!(signed["CID"], inner["CID"]);
    let nonce = |who: &Address| net.ok("MpoolGetNonce", json!([who.to_string()]));
    assert_eq!(nonce(&worker.address), 1);
    assert_eq!(nonce(&worker.id), 1);
    let pending = net.ok("MpoolPending", json!([null]));
    assert_eq!(pending, json!([signed]));
    let mut numbered = net.publish_message(&[deal(&net, 2)]);
    numbered.nonce = 1;
    let numbered = forms::from_message(&numbered);
    let (_, text) = net.fails("MpoolPushMessage", json!([numbered, null]));
    assert!(
        text.starts_with("MpoolPushMessage expects message nonce to be 0"),
        "{text}"
    );
}

#[test]
fn a_low_fee_waits_in_the_pool() {
    let net = start(by_hand());
    let message = forms::from_message(&net.publish_message(&[deal(&net, 1)]));
    let spec = |fee: &str, maximize: bool| {
        json!({
            "MaxFee": fee,
            "MsgUuid": "00000000-0000-0000-0000-000000000000",
            "MaximizeFeeCap": maximize,
        })
    };
    let filled = net.ok(
        "GasEstimateMessageGas",
        json!([message, spec("50000000000000000", true), null]),
    );
    let filled = forms::to_message(&filled).unwrap();
    let cap = filled.gas_fee_cap.times(filled.gas_limit);
    assert!(cap <= TokenAmount::parse_atto("50000000000000000").unwrap());
    assert!(cap > TokenAmount::parse_atto("49999999000000000").unwrap());
    let signed = net.ok("MpoolPushMessage", json!([message, spec("1000", false)]));
    assert_eq!(signed["Message"]["GasFeeCap"], "0");
    net.advance(10);
    let search = json!([null, signed["CID"], -1, true]);
    assert_eq!(net.ok("StateSearchMsg", search), Value::Null);
    assert!(net.ok("MpoolPending", json!([null])).is_array());
}

#[test]
fn not_enough_funds_and_too_long_are_told() {
    let net = start(by_hand());
    let [_, worker, _] = &net.people().miners[0];
    net.set_balance(worker, &TokenAmount::from_atto(1000));
    let message = forms::from_message(&net.publish_message(&[deal(&net, 1)]));
    let (code, text) = net.fails("MpoolPushMessage", json!([message, null]));
    assert_eq!(code, 1);
    assert!(
        text.starts_with("mpool push: not enough funds: 1000 < "),
        "{text}"
    );
    net.set_balance(worker, &TokenAmount::from_atto(FIL));
    let mut long = message_to(&worker.id, &worker.id, 0);
    long.params = vec![0; 70_000];
    let (_, text) = net.fails(
        "MpoolPushMessage",
        json!([forms::from_message(&long), null]),
    );
    assert!(text.contains("message too big"), "{text}");
}

/// A transfer of nothing.
fn message_to(from: &Address, to: &Address, nonce: u64) -> Message {
    Message {
        version: 0,
        to: to.clone(),
        from: from.clone(),
        nonce,
        value: TokenAmount::zero(),
        gas_limit: 0,
        gas_fee_cap: TokenAmount::zero(),
        gas_premium: TokenAmount::zero(),
        method: 0,
        params: vec![],
    }
}

/// What a client does that signs by itself: estimate, number, sign.
fn locally_signed(net: &Net, who: &coracle::devnet::Wallet, to: &Address) -> SignedMessage {
    let empty = forms::from_message(&message_to(&who.address, to, 0));
    let filled = net.ok("GasEstimateMessageGas", json!([empty, null, null]));
    let mut message = forms::to_message(&filled).unwrap();
    let nonce = net.ok("MpoolGetNonce", json!([who.address.to_string()]));
    message.nonce = nonce.as_u64().unwrap();
    message.sign(&who.key)
}

#[test]
fn local_signing_needs_no_key_on_the_node() {
    let net = start(by_hand());
    for who in [&net.people().client, &net.people().bls_client] {
        let to = Address::id(1000);
        let signed = locally_signed(&net, who, &to);
        let cid = net.ok("MpoolPush", json!([forms::from_signed_message(&signed)]));
        assert_eq!(cid, forms::from_cid(Some(&signed.cid())));
        net.advance(2);
        let found = net.ok("StateSearchMsg", json!([null, cid, -1, true]));
        assert_eq!(found["Receipt"]["ExitCode"], 0);
        assert_eq!(found["Receipt"]["Return"], Value::Null);
        // Either CID finds the message itself.
        for cid in [signed.cid(), signed.message.cid()] {
            let inner = net.ok("ChainGetMessage", json!([forms::from_cid(Some(&cid))]));
            assert_eq!(inner, forms::from_message(&signed.message));
        }
    }
}

#[test]
fn a_pushed_message_is_checked() {
    let net = start(by_hand());
    let client = &net.people().client;
    let signed = locally_signed(&net, client, &Address::id(1000));
    let push = |signed: &SignedMessage| {
        net.fails("MpoolPush", json!([forms::from_signed_message(signed)]))
            .1
    };
    let mut forged = signed.clone();
    forged.message.to = Address::id(1001);
    assert!(push(&forged).contains("signature verification failed"));
    let mut far = signed.message.clone();
    far.nonce = 5;
    assert!(push(&far.sign(&client.key)).contains("nonce gap"));
    net.ok("MpoolPush", json!([forms::from_signed_message(&signed)]));
    assert!(push(&signed).contains("already in mpool"));
    net.advance(2);
    assert!(push(&signed).contains("message nonce too low"));
}

#[test]
fn a_replacement_is_found_under_both_names() {
    let net = start(by_hand());
    let client = &net.people().client;
    let first = locally_signed(&net, client, &Address::id(1000));
    net.ok("MpoolPush", json!([forms::from_signed_message(&first)]));
    let mut better = first.message.clone();
    better.gas_premium = better.gas_premium.times(2);
    better.gas_fee_cap = better.gas_fee_cap.times(2);
    let better = better.sign(&client.key);
    net.ok("MpoolPush", json!([forms::from_signed_message(&better)]));
    net.advance(2);
    let asked = forms::from_cid(Some(&first.cid()));
    let found = net.ok("StateSearchMsg", json!([null, asked, -1, true]));
    assert_eq!(found["Message"], forms::from_cid(Some(&better.cid())));
    let found = net.ok("StateSearchMsg", json!([null, asked, -1, false]));
    assert_eq!(found, Value::Null);
}

#[test]
fn null_is_not_an_error() {
    let net = start(by_hand());
    let message = forms::from_message(&net.publish_message(&[deal(&net, 1)]));
    let signed = net.ok("MpoolPushMessage", json!([message, null]));
    let search = json!([null, signed["CID"], -1, true]);
    assert_eq!(net.ok("StateSearchMsg", search.clone()), Value::Null);
    net.advance(2);
    let found = net.ok("StateSearchMsg", search);
    let none = net.ok("StateSearchMsg", json!([null, signed["CID"], 0, true]));
    assert_eq!(none, Value::Null);
    // The execution tipset shows it; the one before does not.
    let from = |key: &Value| net.ok("StateSearchMsg", json!([key, signed["CID"], -1, true]));
    assert_eq!(from(&found["TipSet"]), found);
    let before = net.ok("ChainGetTipSetByHeight", json!([5_000_001, null]));
    assert_eq!(from(&before["Cids"]), Value::Null);
    let unknown = json!({ "/": "bafy2bzacebsqy7vhpd6oz7yyu3rjrweocn3b2siqk3lcf67yhwwxcbmpuiwmo" });
    let (code, text) = net.fails("StateSearchMsg", json!([null, unknown, -1, true]));
    assert_eq!(code, 1);
    assert!(text.starts_with("failed to load message"), "{text}");
    assert_eq!(net.fails("ChainGetMessage", json!([unknown])).0, 1);
}

#[test]
fn waiting_blocks_nobody_else() {
    let net = start(by_hand());
    let message = forms::from_message(&net.publish_message(&[deal(&net, 1)]));
    let signed = net.ok("MpoolPushMessage", json!([message, null]));
    let url = net.node_url();
    let cid = signed["CID"].clone();
    let waiting =
        std::thread::spawn(move || result(&call(&url, "StateWaitMsg", &json!([cid, 3, -1, true]))));
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(60));
        assert!(!waiting.is_finished());
        let begun = Instant::now();
        net.ok("ChainHead", json!([]));
        assert!(begun.elapsed() < Duration::from_secs(20));
        net.advance(1);
    }
    let found = waiting.join().unwrap();
    assert_eq!(found["Height"], 5_000_002);
    assert_eq!(found["ReturnDec"]["IDs"], json!([70_112_233]));
    assert_eq!(found["ReturnDec"]["ValidDeals"], json!([0, 1]));
    let (_, text) = net.fails("StateWaitMsg", json!([signed["CID"], 901, -1, true]));
    assert!(text.contains("900"), "{text}");
}

#[test]
fn a_reorganisation_changes_deal_numbers() {
    let net = start(by_hand());
    net.advance(5);
    let (cid, found) = net.publish(&[deal(&net, 1)]);
    let before = returned(&found).deal_id(0).unwrap();
    net.reorganise(2);
    net.advance(3);
    let again = net.ok("StateSearchMsg", json!([null, cid, -1, true]));
    let after = returned(&again).deal_id(0).unwrap();
    assert_ne!(before, after);
    net.fails("StateMarketStorageDeal", json!([before, null]));
    net.ok("StateMarketStorageDeal", json!([after, null]));
    net.fails("ChainGetTipSet", json!([found["TipSet"]]));
}

#[test]
fn a_dry_run_changes_nothing() {
    let net = start(by_hand());
    let good = deal(&net, 1);
    let mut bad = deal(&net, 1);
    bad.signature.data[0] ^= 1;
    for (deal, exit) in [(&good, 0), (&bad, 16), (&good, 0)] {
        let message = net.publish_message(std::slice::from_ref(deal));
        let called = net.ok("StateCall", json!([forms::from_message(&message), null]));
        assert_eq!(called["MsgRct"]["ExitCode"], exit);
        assert_eq!(called["Error"] == "", exit == 0);
    }
    assert!(net.deals().is_empty());
    assert_eq!(net.fails("StateDecodeParams", json!([])).0, -32601);
}

#[test]
fn only_true_authenticates() {
    let net = start(by_hand());
    let ask = |who: &coracle::devnet::Wallet, signature: &[u8]| {
        let mut message = message_to(&Address::market_actor(), &who.address, 0);
        message.method = AUTHENTICATE_MESSAGE;
        message.params = encode_authenticate(signature, b"a proposal");
        let called = net.ok("StateCall", json!([forms::from_message(&message), null]));
        let receipt = &called["MsgRct"];
        (receipt["ExitCode"].clone(), receipt["Return"].clone())
    };
    let people = net.people();
    let contract = &people.contract;
    let good = contract.key.sign(b"a proposal").data;
    assert_eq!(ask(contract, &good), (json!(0), json!("9Q==")));
    let (exit, ret) = ask(contract, &[0; 65]);
    assert_eq!((exit, ret), (json!(33), Value::Null));
    // An Ethereum account is content with anything, and says nothing.
    let eth = ask(&people.eth_account, &[0; 65]);
    assert_eq!(eth, (json!(0), Value::Null));
}

#[test]
fn the_wallet_knows_its_own_keys_only() {
    let net = start(by_hand());
    let people = net.people();
    let [owner, worker, _] = &people.miners[0];
    let has = |who: &Address| net.ok("WalletHas", json!([who.to_string()]));
    assert_eq!(has(&worker.address), true);
    assert_eq!(has(&worker.id), false);
    assert_eq!(has(&people.client.address), false);
    let list = net.ok("WalletList", json!([]));
    assert_eq!(list.as_array().unwrap().len(), 3);
    let default = net.ok("WalletDefaultAddress", json!([]));
    assert_eq!(default, owner.address.to_string());
    for who in [&worker.address, &worker.id, &owner.address] {
        let signed = net.ok("WalletSign", json!([who.to_string(), "cG90YXRv"]));
        let key = net.ok("StateAccountKey", json!([who.to_string(), null]));
        let verify = |key: &Value, data: &str| {
            net.ok("WalletVerify", json!([key, data, signed])) == json!(true)
        };
        assert!(verify(&key, "cG90YXRv"));
        assert!(!verify(&key, "cG90YXRvZXM="));
        assert!(!verify(&json!(worker.id.to_string()), "cG90YXRv"));
    }
    let (_, text) = net.fails(
        "WalletSign",
        json!([people.client.address.to_string(), "cG90YXRv"]),
    );
    assert!(text.contains("key info not found"), "{text}");
    let mut message = message_to(&worker.address, &owner.address, 0);
    message.gas_limit = 1;
    let signed = net.ok(
        "WalletSignMessage",
        json!([worker.address.to_string(), forms::from_message(&message)]),
    );
    let signed = forms::to_signed_message(&signed).unwrap();
    assert!(signed.verify(&worker.address));
}

#[test]
fn escrow_is_filled_and_emptied_by_the_node() {
    let net = start(by_hand());
    let [owner, worker, _] = &net.people().miners[0];
    let half = "500000000000000000";
    let add = json!([worker.address.to_string(), "f01000", half]);
    let cid = net.ok("MarketAddBalance", add);
    net.advance(2);
    let found = net.ok("StateSearchMsg", json!([null, cid, -1, true]));
    assert_eq!(found["Receipt"]["ExitCode"], 0);
    let escrow = || net.ok("StateMarketBalance", json!(["f01000", null]))["Escrow"].clone();
    assert_eq!(escrow(), "1000500000000000000000");
    let before = net.ok("WalletBalance", json!([owner.address.to_string()]));
    let out = json!([worker.id.to_string(), "f01000", half]);
    let cid = net.ok("MarketWithdraw", out);
    net.advance(2);
    let found = net.ok("StateSearchMsg", json!([null, cid, -1, true]));
    assert_eq!(found["Receipt"]["ExitCode"], 0);
    assert_eq!(escrow(), "1000000000000000000000");
    // The worker asked, the owner got it.
    let after = net.ok("WalletBalance", json!([owner.address.to_string()]));
    let atto = |value: &Value| forms::to_amount(value).unwrap();
    let gained = &atto(&after) - &atto(&before);
    assert_eq!(gained.to_string(), half);
    let number = json!([worker.address.to_string(), "f01000", 5]);
    assert_eq!(net.fails("MarketAddBalance", number).0, -32700);
    let client = net.people().client.address.to_string();
    let (_, text) = net.fails("MarketAddBalance", json!([client, client, half]));
    assert!(text.contains("key info not found"), "{text}");
}

#[test]
fn names_of_members_may_have_any_case() {
    let net = start(by_hand());
    let mut message = message(&net.people().miners[0][1], ADD_BALANCE, vec![]);
    message.params = encode_add_balance(&Address::id(1000));
    message.value = TokenAmount::from_atto(1);
    let shape = forms::from_message(&message);
    let members = shape.as_object().unwrap().iter();
    let lower: serde_json::Map<String, Value> = members
        .map(|(name, value)| (name.to_lowercase(), value.clone()))
        .collect();
    net.ok("MpoolPushMessage", json!([lower, { "maxfee": "0" }]));
    assert_eq!(net.received_messages().len(), 1);
}

#[test]
fn a_deal_that_is_not_sealed_in_time_is_gone() {
    let net = start(by_hand());
    let mut deal = deal(&net, 1);
    deal.proposal.start_epoch = net.epoch() + 5;
    let deal = sign(&net.people().client, deal.proposal);
    net.publish(&[deal]);
    let number = net.deals()[0].0;
    net.ok("StateMarketStorageDeal", json!([number, null]));
    net.advance(6);
    let (_, text) = net.fails("StateMarketStorageDeal", json!([number, null]));
    assert!(text.starts_with(&format!("deal {number} not found")));
    let balance = net.ok("StateMarketBalance", json!(["f01000", null]));
    assert_eq!(balance["Escrow"], "999900000000000000000");
    assert_eq!(balance["Locked"], "0");
}
