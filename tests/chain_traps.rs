//! The traps of section J of spec chain-sealer-rpc against the devnet over real HTTP, those of the chain node here. Where to
//! find each of them:
//!
//! | trap | test |
//! |---|---|
//! | 1, `/rpc/v1` and `/rpc/v0` | `trap_1_the_node_is_asked_under_v1`; `sealer_devnet.rs`: `trap_1_the_miner_is_asked_under_v0` |
//! | 2, exact arity | `trap_2_…` for all kinds of nodes |
//! | 3, bodies with every status, 401 | `trap_3_…`; each code in `src/rpc/tests/client.rs`: `error_objects_are_read_with_every_status` |
//! | 4, forms of values | `trap_4_…`; `src/filecoin/tests/json.rs` |
//! | 5, what is signed | `trap_5_…`; the vectors of section C in `src/filecoin/tests/signature.rs`; `oracle/tests/signatures.rs` |
//! | 6, replaced messages | `trap_6_…` |
//! | 7, null is no error | `trap_7_…` |
//! | 8, ranks and re-read IDs | `trap_8_…` |
//! | 9, ID addresses, labels of bytes | `trap_9_…` |
//! | 10, exit code 0 with nothing | `trap_10_…`; with the real binary `clients.rs`: `each_kind_of_client_…` |
//! | 11, once only | `trap_11_…`; `chain_sending.rs` |
//! | 12, AddPiece | `sealer_devnet.rs`: `trap_12_…` (two), `a_piece_is_pushed_…` with and without redirect, `a_repeated_call_joins_…`; the exact bytes in `src/sealer/tests/push.rs` |
//! | 13, collateral and escrow | `trap_13_…`, `trap_13_money_goes_back_to_the_owner` |
//! | 14, sealing buffer | `sealer_devnet.rs`: `trap_14_…`; `trap_14_a_deal_that_has_begun_…`; too near to be accepted `src/deal/tests/filter.rs`, too near to be published `src/market/tests/classes/rows.rs` |
//! | 15, verified deals | `trap_15_…` (two); with the real binary `clients.rs` |
//! | 16, Curio and droplet | `sealer_devnet.rs`: `trap_16_…`; offline deals, all that droplet takes, `offline_imports.rs` |

#[path = "support/devnet.rs"]
mod support;

use coracle::chain::{Call, Chain, ChainError, LocalKeys, Lotus, Order, Outcome};
use coracle::devnet::{FIL, NodeKind};
use coracle::filecoin::{
    Address, ClientDealProposal, Label, SecretKey, Signature, TokenAmount, cids,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::{Net, limits, signed};
use uuid::Uuid;

const MINER: u64 = 1000;

fn order(id: u128, deals: Vec<ClientDealProposal>) -> Order {
    Order {
        id: Uuid::from_u128(id),
        miner: Address::id(MINER),
        fee_max: TokenAmount::from_atto(FIL / 20),
        call: Call::Publish(deals),
    }
}

fn publish(chain: &Lotus, order: &Order) -> cid::Cid {
    chain.send(&chain.prepare(order).unwrap()).unwrap()
}

/// A call without any client of ours: HTTP status and body.
fn post(url: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let mut request = agent.post(url);
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.send(body).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), text)
}

fn call(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": format!("Filecoin.{method}"), "params": params})
        .to_string()
}

#[test]
fn trap_1_the_node_is_asked_under_v1() {
    let net = Net::start(|_| ());
    let unknown = cids::chain_cid(b"never sent");
    assert_eq!(net.chain().outcome(&unknown, &[]), Ok(Outcome::Unknown));
    // The old interface has other parameters for the same name.
    let v0 = net.chain_at(&format!("http://{}/rpc/v0", net.node_addr()));
    let refused = v0.outcome(&unknown, &[]);
    assert!(
        matches!(refused, Err(ChainError::Refused { code: -32602, .. })),
        "{refused:?}"
    );
}

#[test]
fn trap_2_every_method_has_its_exact_number_of_parameters() {
    for kind in [NodeKind::Lotus, NodeKind::Forest, NodeKind::Venus] {
        let net = Net::start(|config| config.kind = kind);
        let chain = net.chain();
        let node = chain.node();
        let (miner, client) = (Address::id(MINER), &net.people().client);
        let head = node.head().unwrap();
        node.finalized().unwrap();
        node.tipset_at(head.epoch, Some(&head)).unwrap();
        node.network_name().unwrap();
        node.network_version().unwrap();
        node.version().unwrap();
        node.permissions().unwrap();
        node.miner_info(&miner, None).unwrap();
        node.miner_info(&miner, Some(&head)).unwrap();
        node.lookup_id(&client.address, None).unwrap();
        node.account_key(&client.id, Some(&head)).unwrap();
        node.market_balance(&miner, None).unwrap();
        node.collateral_bounds(2048, true).unwrap();
        node.datacap(&client.address).unwrap();
        node.wallet_balance(&client.address).unwrap();
        node.next_nonce(&client.address).unwrap();
        node.nonce_at(&client.address, &head).unwrap();
        assert_eq!(node.market_deal(7), Ok(None));
        assert_eq!(node.pending(|_| true), Ok(None));
        let message = publish(&chain, &order(1, vec![net.deal(&client.key, 1)]));
        node.get_message(&message).unwrap();
        assert_eq!(node.search_message(Some(&head), &message, -1), Ok(None));
    }
    let net = Net::start(|_| ());
    let url = format!("http://{}/rpc/v1", net.node_addr());
    let (status, body) = post(&url, None, &call("StateLookupID", json!(["f01000"])));
    assert_eq!(status, 500);
    assert!(body.contains("-32602"), "{body}");
}

#[test]
fn trap_3_errors_come_with_every_status_and_401_with_none_of_it() {
    let net = Net::start(|config| config.auth = true);
    let url = format!("http://{}/rpc/v1", net.node_addr());
    let table = [
        (400, -32600, String::new()),
        (500, -32700, "{".to_owned()),
        (500, -32601, call("ChainNotify", json!([]))),
        (200, 1, call("StateMarketStorageDeal", json!([7, null]))),
        (200, 1, call("WalletHas", json!(["f01000"]))),
    ];
    for (status, code, body) in table {
        let (found, text) = post(&url, None, &body);
        assert_eq!(found, status, "{text}");
        let object: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["error"]["code"], code, "{text}");
    }
    let stale = Some("eyJh.eyJB.c2ln");
    let (status, text) = post(&url, stale, &call("ChainHead", json!([])));
    assert_eq!((status, text.as_str()), (401, ""));
    // The client tells them apart.
    let chain = net.chain_at(&format!("eyJh.eyJB.c2ln:http://{}", net.node_addr()));
    assert_eq!(chain.head(), Err(ChainError::Unauthorized));
    let chain = net.chain_at(&format!("http://{}", net.node_addr()));
    let sign = chain.prepare(&order(1, vec![net.deal(&net.people().client.key, 1)]));
    assert!(matches!(sign, Err(ChainError::Forbidden(_))), "{sign:?}");
}

#[test]
fn trap_4_null_lists_empty_addresses_and_large_numbers_are_read() {
    let net = Net::start(|_| ());
    // The devnet's miner has no peer ID and no multiaddrs: both are null, and its next worker is `<empty>`.
    let contact = net.chain().provider_contact(&Address::id(MINER)).unwrap();
    assert_eq!((contact.peer_id, contact.multiaddrs.len()), (None, 0));
    let worker = &net.people().miners[0][1];
    // Beyond 64 bits.
    let much = TokenAmount::parse_fil("1999999999.999999999999999999").unwrap();
    net.set_balance(worker, &much);
    assert_eq!(net.chain().node().wallet_balance(&worker.address), Ok(much));
}

/// The worker's key beside the node.
struct Own(SecretKey);

impl LocalKeys for Own {
    fn has(&self, key: &Address) -> bool {
        *key == self.0.address()
    }

    fn sign(&self, key: &Address, bytes: &[u8]) -> Option<Signature> {
        self.has(key).then(|| self.0.sign(bytes))
    }
}

#[test]
fn trap_5_what_is_signed_here_is_valid_there() {
    let net = Net::start(|_| ());
    let worker = &net.people().miners[0][1];
    let keys = Box::new(Own(worker.key.clone()));
    let chain = Lotus::with_limits(
        &net.fullnode_api_info(),
        Some(keys),
        BTreeMap::new(),
        limits(),
    )
    .unwrap();
    let message = publish(
        &chain,
        &order(1, vec![net.deal(&net.people().client.key, 1)]),
    );
    // The pool verifies signatures, and r‖s‖v has a v of 0 or 1.
    let sent = &net.received_messages()[0];
    assert_eq!(sent.cid(), message);
    assert_ne!(
        sent.message.cid(),
        message,
        "secp256k1: that of the wrapper"
    );
    assert_eq!(sent.signature.data.len(), 65);
    assert!(sent.signature.data[64] <= 1);
}

#[test]
fn trap_6_the_executed_message_may_be_another_than_the_sent_one() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let order = order(1, vec![net.deal(&net.people().client.key, 1)]);
    let message = publish(&chain, &order);
    let replaced = net.replace_message(&message).unwrap();
    net.advance(2);
    let outcome = chain.outcome(&message, &[order.deals()[0].proposal.clone()]);
    let Ok(Outcome::Executed {
        message: executed,
        deals,
        ..
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(executed, replaced);
    assert!(deals[0].is_some());
}

#[test]
fn trap_7_a_message_that_waits_is_not_one_that_nobody_knows() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let message = publish(
        &chain,
        &order(1, vec![net.deal(&net.people().client.key, 1)]),
    );
    assert_eq!(chain.outcome(&message, &[]), Ok(Outcome::Pending));
    let unknown = cids::chain_cid(b"never sent");
    assert_eq!(chain.outcome(&unknown, &[]), Ok(Outcome::Unknown));
}

#[test]
fn trap_8_ids_are_ranked_over_the_deals_that_were_taken_and_change_with_the_chain() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let people = net.people();
    let deals = vec![
        net.deal(&people.client.key, 1),
        net.deal(&people.bls_client.key, 2),
        net.deal(&people.client.key, 3),
    ];
    let asked: Vec<_> = deals.iter().map(|deal| deal.proposal.clone()).collect();
    let message = publish(&chain, &order(1, deals));
    // Good when it was estimated, without escrow when it is executed.
    net.set_escrow(&people.bls_client.id, &TokenAmount::zero());
    net.advance(3);
    let ids = || match chain.outcome(&message, &asked) {
        Ok(Outcome::Executed { deals, .. }) => deals,
        other => panic!("{other:?}"),
    };
    let [Some(first), None, Some(third)] = ids()[..] else {
        panic!("{:?}", ids());
    };
    assert_eq!(third, first + 1);
    net.reorganise(4);
    net.advance(3);
    let [Some(again), _, Some(_)] = ids()[..] else {
        panic!("{:?}", ids());
    };
    assert_ne!(again, first);
}

#[test]
fn trap_9_the_chain_has_id_addresses_and_no_labels_of_bytes() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let client = &net.people().client;
    let mut proposal = net.deal(&client.key, 1).proposal;
    proposal.label = Label::Bytes(vec![0xff, 0xfe]);
    let deal = signed(proposal.clone(), &client.key);
    let message = publish(&chain, &order(1, vec![deal]));
    net.advance(2);
    let outcome = chain.outcome(&message, std::slice::from_ref(&proposal));
    let Ok(Outcome::Executed { deals, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    let state = chain.deal_state(deals[0].unwrap()).unwrap().unwrap();
    assert_eq!(state.proposal.client, client.id);
    assert_ne!(state.proposal.client, proposal.client);
    assert_eq!(state.proposal.label, Label::Text(String::new()));
    // The same deal under the client's ID is found too, and is a duplicate for the actor.
    let mut other = proposal;
    other.client = client.id.clone();
    let outcome = chain.outcome(&message, std::slice::from_ref(&other));
    assert!(matches!(outcome, Ok(Outcome::Executed { deals, .. }) if deals[0].is_some()));
    let again = signed(other, &client.key);
    assert!(
        chain
            .dry_run(&Address::id(MINER), &again)
            .unwrap()
            .is_some()
    );
}

#[test]
fn trap_10_exit_code_0_without_a_result_is_no_signature() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let people = net.people();
    let signature = people.contract.key.sign(b"proposal");
    let asks = |who: &Address| chain.authenticate(who, &signature, b"proposal");
    assert_eq!(asks(&people.contract.address), Ok(true));
    assert_eq!(asks(&people.eth_account.address), Ok(false));
}

#[test]
fn trap_11_only_lotus_is_trusted_to_send_once() {
    for (kind, signed_first) in [
        (NodeKind::Lotus, false),
        (NodeKind::Forest, true),
        (NodeKind::Venus, true),
    ] {
        let net = Net::start(|config| config.kind = kind);
        let order = order(1, vec![net.deal(&net.people().client.key, 1)]);
        let chain = net.chain();
        let prepared = chain.prepare(&order).unwrap();
        assert_eq!(prepared.cid().is_some(), signed_first, "{kind:?}");
        let first = chain.send(&prepared);
        assert_eq!(chain.send(&prepared), first);
        assert_eq!(net.received_messages().len(), 1, "{kind:?}");
    }
}

#[test]
fn trap_13_collateral_is_inflated_and_escrow_holds_what_is_locked() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let miner = Address::id(MINER);
    let before = chain.provider_facts(&miner).unwrap();
    let deal = net.deal(&net.people().client.key, 1);
    publish(&chain, &order(1, vec![deal.clone()]));
    net.advance(2);
    let after = chain.provider_facts(&miner).unwrap();
    let collateral = &deal.proposal.provider_collateral;
    assert_eq!(
        &before.escrow_available - &after.escrow_available,
        *collateral
    );
    assert_eq!(&after.escrow_locked - &before.escrow_locked, *collateral);
    let balance = chain.node().market_balance(&miner, None).unwrap();
    assert_eq!(balance.available(), after.escrow_available);
    assert_eq!(
        &after.escrow_available + &after.escrow_locked,
        balance.escrow
    );
    // The worker's own account is another one.
    let worker = chain.node().market_balance(&after.worker, None).unwrap();
    assert!(worker.escrow.is_zero());
    // What lies between the actor's minimum and the node's is valid on chain.
    let bounds = chain.collateral_bounds(32 << 30, false).unwrap();
    let mut thrifty = net.deal(&net.people().client.key, 2).proposal;
    thrifty.piece_size = 32 << 30;
    thrifty.provider_collateral = &bounds.min - &TokenAmount::from_atto(1_u64);
    let thrifty = signed(thrifty, &net.people().client.key);
    assert_eq!(chain.dry_run(&miner, &thrifty), Ok(None));
}

#[test]
fn trap_15_datacap_is_spent_on_padded_bytes_of_a_mebibyte_at_least() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let client = &net.people().verified_client;
    let verified = |size: u64| {
        let mut proposal = net.deal(&client.key, 1).proposal;
        proposal.verified = true;
        proposal.piece_size = size;
        signed(proposal, &client.key)
    };
    let miner = Address::id(MINER);
    let small = chain.dry_run(&miner, &verified(1 << 19)).unwrap();
    assert!(small.unwrap().contains("datacap"));
    assert_eq!(chain.dry_run(&miner, &verified(1 << 20)), Ok(None));
    let before = chain.datacap(&client.address).unwrap().unwrap();
    publish(&chain, &order(1, vec![verified(1 << 20)]));
    net.advance(2);
    let after = chain.datacap(&client.address).unwrap().unwrap();
    assert_eq!(&before - &after, TokenAmount::from_atto(1_u64 << 20));
}

#[test]
fn trap_15_datacap_is_set_aside_for_sixty_days_at_most_and_until_the_start() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let client = &net.people().verified_client;
    let verified = |number: u8, days: i64| {
        let mut proposal = net.deal(&client.key, number).proposal;
        (proposal.verified, proposal.piece_size) = (true, 1 << 20);
        proposal.start_epoch = net.epoch() + days * 2_880;
        proposal.end_epoch = proposal.start_epoch + 518_400;
        signed(proposal, &client.key)
    };
    let mut plain = verified(3, 10).proposal;
    plain.verified = false;
    let deals = vec![
        verified(1, 30),
        verified(2, 200),
        signed(plain, &client.key),
    ];
    let asked: Vec<_> = deals.iter().map(|deal| deal.proposal.clone()).collect();
    let message = publish(&chain, &order(1, deals));
    net.advance(3);
    let Ok(Outcome::Executed { deals, depth, .. }) = chain.outcome(&message, &asked) else {
        panic!("not executed");
    };
    let expiry = |place: usize| chain.allocation_expiry(deals[place].unwrap()).unwrap();
    assert_eq!(expiry(0), Some(asked[0].start_epoch));
    // Executed in the tipset before the one that shows it.
    let executed = net.epoch() - depth - 1;
    assert_eq!(expiry(1), Some(executed + 172_800));
    assert!(expiry(1).unwrap() < asked[1].start_epoch);
    assert_eq!(expiry(2), None);
    assert_eq!(chain.allocation_expiry(12_345), Ok(None));
}

#[test]
fn trap_14_a_deal_that_has_begun_is_not_published() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let client = &net.people().client;
    let starting = |offset: i64| {
        let mut proposal = net.deal(&client.key, 1).proposal;
        proposal.start_epoch = net.epoch() + offset;
        signed(proposal, &client.key)
    };
    let miner = Address::id(MINER);
    assert_eq!(chain.dry_run(&miner, &starting(10)), Ok(None));
    assert!(chain.dry_run(&miner, &starting(-1)).unwrap().is_some());
}

#[test]
fn trap_13_money_goes_back_to_the_owner() {
    use coracle::filecoin::market_actor;
    use coracle::filecoin::message::Message;
    let net = Net::start(|_| ());
    let chain = net.chain();
    let node = chain.node();
    let [owner, worker, _] = &net.people().miners[0];
    let miner = Address::id(MINER);
    let fil = TokenAmount::from_atto(FIL);
    let (owned, held) = (
        node.wallet_balance(&owner.address).unwrap(),
        node.market_balance(&miner, None).unwrap().escrow,
    );
    let message = Message {
        version: 0,
        to: Address::market_actor(),
        from: worker.address.clone(),
        nonce: node.next_nonce(&worker.address).unwrap(),
        value: TokenAmount::zero(),
        gas_limit: 50_000_000,
        gas_fee_cap: TokenAmount::from_atto(1_000_000_u64),
        gas_premium: TokenAmount::from_atto(200_000_u64),
        method: market_actor::WITHDRAW_BALANCE,
        params: market_actor::encode_withdraw(&miner, &fil),
    };
    let sent = coracle::filecoin::json::from_signed_message(&message.sign(&worker.key));
    let (status, text) = post(
        &format!("http://{}/rpc/v1", net.node_addr()),
        None,
        &call("MpoolPush", json!([sent])),
    );
    assert!(status == 200 && !text.contains("error"), "{text}");
    net.advance(3);
    assert_eq!(
        &held - &node.market_balance(&miner, None).unwrap().escrow,
        fil
    );
    assert_eq!(
        &node.wallet_balance(&owner.address).unwrap() - &owned,
        fil,
        "the worker asked, the owner has it"
    );
}
