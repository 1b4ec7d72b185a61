//! The chain client against a whole (stand-in) chain: facts, publishing once, deal IDs through re-organisations.

#[path = "support/devnet.rs"]
mod support;

use coracle::chain::{Call, Chain, ChainError, Lotus, Order, Outcome};
use coracle::devnet::{Effect, FIL, Fault};
use coracle::filecoin::{Address, ClientDealProposal, DealProposal, SecretKey, TokenAmount};
use support::{Net, signed};
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

fn publish(chain: &Lotus, order: &Order) -> Result<cid::Cid, ChainError> {
    chain.send(&chain.prepare(order)?)
}

fn proposals(deals: &[ClientDealProposal]) -> Vec<DealProposal> {
    deals.iter().map(|deal| deal.proposal.clone()).collect()
}

#[test]
fn facts_are_those_of_the_chain() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let head = chain.head().unwrap();
    assert_eq!(head.epoch, net.epoch());
    assert_eq!(chain.network_version(), Ok(28));
    let facts = chain.provider_facts(&Address::id(MINER)).unwrap();
    let [_owner, worker, _control] = &net.people().miners[0];
    assert_eq!(facts.worker, worker.address);
    assert_eq!(facts.publish_wallet, worker.address);
    assert_eq!(facts.sector_size, 32 << 30);
    assert!(!facts.publish_balance.is_zero());
    let client = &net.people().client;
    assert_eq!(chain.id_address(&client.address), Ok(client.id.clone()));
    assert_eq!(
        chain.key_address(&client.id),
        Ok(Some(client.address.clone()))
    );
    assert_eq!(chain.datacap(&client.address), Ok(None));
    let verified = &net.people().verified_client;
    assert!(chain.datacap(&verified.address).unwrap().is_some());
    assert!(!chain.client_available(&client.address).unwrap().is_zero());
    let bounds = chain.collateral_bounds(2048, false).unwrap();
    assert!(bounds.min < bounds.max);
    let stranger = SecretKey::secp256k1(&[77; 32]).unwrap().address();
    assert!(
        chain
            .id_address(&stranger)
            .unwrap_err()
            .is_actor_not_found()
    );
    assert_eq!(chain.deal_state(12_345), Ok(None));
}

#[test]
fn a_published_deal_is_found_and_keeps_being_found_when_its_number_changes() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let keys = [&net.people().client.key, &net.people().bls_client.key];
    let mut deals = vec![
        net.deal(keys[0], 1),
        net.deal(keys[1], 2),
        net.deal(keys[0], 3),
    ];
    // The second one cannot be valid: its signature is another's.
    deals[1].signature = deals[0].signature.clone();
    let asked = proposals(&deals);
    let message = publish(&chain, &order(1, deals)).unwrap();
    assert_eq!(chain.outcome(&message, &asked), Ok(Outcome::Pending));
    net.advance(3);
    let Outcome::Executed {
        exit_code,
        depth,
        deals,
        ..
    } = chain.outcome(&message, &asked).unwrap()
    else {
        panic!("not executed");
    };
    assert_eq!(exit_code, 0);
    assert!((1..=3).contains(&depth), "{depth}");
    let [Some(first), None, Some(third)] = deals[..] else {
        panic!("{deals:?}");
    };
    assert_eq!(third, first + 1);
    let state = chain.deal_state(first).unwrap().unwrap();
    assert_eq!(state.proposal.client, net.people().client.id);
    assert_eq!((state.sector_start_epoch, state.slash_epoch), (-1, -1));

    net.reorganise(5);
    net.advance(5);
    let Outcome::Executed { deals, .. } = chain.outcome(&message, &asked).unwrap() else {
        panic!("not executed again");
    };
    let [Some(again), None, Some(_)] = deals[..] else {
        panic!("{deals:?}");
    };
    assert_ne!(again, first, "a re-organisation gives other numbers");
    assert_eq!(
        chain.deal_state(again).unwrap().unwrap().proposal.piece_cid,
        asked[0].piece_cid
    );
}

#[test]
fn an_order_is_sent_once_however_often_it_is_asked_for() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let deals = vec![net.deal(&net.people().client.key, 1)];
    let prepared = chain.prepare(&order(7, deals)).unwrap();
    // The answer to the first attempt is lost, the message is not.
    net.set_fault(Fault::once("MpoolPushMessage", Effect::Drop { done: true }));
    assert!(matches!(
        chain.send(&prepared),
        Err(ChainError::Unreachable(_))
    ));
    let message = chain.send(&prepared).unwrap();
    assert_eq!(chain.send(&prepared), Ok(message));
    assert_eq!(net.received_messages().len(), 1);
    net.advance(2);
    assert_eq!(chain.send(&prepared), Ok(message));
    assert_eq!(net.received_messages().len(), 1);
    let sent = &net.received_messages()[0];
    assert_eq!(sent.cid(), message);
    assert!(sent.verify(&net.people().miners[0][1].address));
}

#[test]
fn a_dry_run_agrees_with_the_chain() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let miner = Address::id(MINER);
    let good = net.deal(&net.people().client.key, 1);
    assert_eq!(chain.dry_run(&miner, &good), Ok(None));
    let mut late = good.proposal.clone();
    late.start_epoch = net.epoch() - 1;
    let late = signed(late, &net.people().client.key);
    let reason = chain.dry_run(&miner, &late).unwrap().unwrap();
    assert!(reason.contains("16"), "{reason}");
    let error = publish(&chain, &order(1, vec![late])).unwrap_err();
    assert!(matches!(error, ChainError::WouldFail(_)), "{error:?}");
    assert!(
        net.received_messages().is_empty(),
        "what cannot succeed never leaves the node"
    );
    // The dry run did not publish anything.
    let message = publish(&chain, &order(2, vec![good.clone()])).unwrap();
    net.advance(2);
    let reason = chain.dry_run(&miner, &good).unwrap();
    assert!(reason.is_some(), "a duplicate of {message}");
}

#[test]
fn contracts_authenticate_and_ethereum_accounts_do_not() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let contract = &net.people().contract;
    let good = contract.key.sign(b"proposal");
    assert_eq!(
        chain.authenticate(&contract.address, &good, b"proposal"),
        Ok(true)
    );
    assert_eq!(
        chain.authenticate(&contract.address, &good, b"another"),
        Ok(false)
    );
    let account = &net.people().eth_account;
    assert_eq!(
        chain.authenticate(&account.address, &good, b"proposal"),
        Ok(false)
    );
}

#[test]
fn the_node_signs_with_its_own_keys_only() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    let worker = &net.people().miners[0][1];
    let signature = chain.sign(&worker.address, b"ask").unwrap().unwrap();
    assert!(signature.verify(&worker.address, b"ask"));
    let stranger = SecretKey::secp256k1(&[77; 32]).unwrap().address();
    assert_eq!(chain.sign(&stranger, b"ask"), Ok(None));
}

#[test]
fn a_token_that_may_only_read_is_enough_to_look() {
    let net = Net::start(|config| config.auth = true);
    let address = net.node_addr();
    let reader = format!("{}:http://{address}", net.token(&["read"]));
    let chain = net.chain_at(&reader);
    let facts = chain.provider_facts(&Address::id(MINER)).unwrap();
    let worker = &net.people().miners[0][1].address;
    assert_eq!(&facts.worker, worker);
    assert_eq!(chain.sign(worker, b"x"), Ok(None));
    let deal = net.deal(&net.people().client.key, 1);
    let error = publish(&chain, &order(1, vec![deal])).unwrap_err();
    assert!(matches!(error, ChainError::Forbidden(_)), "{error:?}");
    assert_eq!(chain.node().permissions().unwrap(), ["read"]);
    let stale = net.chain_at(&format!("eyJh.eyJB.c2ln:http://{address}"));
    assert_eq!(stale.head(), Err(ChainError::Unauthorized));
}

#[test]
fn a_dead_node_of_the_list_is_passed_over() {
    let net = Net::start(|_| ());
    let chain = net.chain_at(&format!("http://127.0.0.1:9,{}", net.fullnode_api_info()));
    assert_eq!(chain.head().unwrap().epoch, net.epoch());
    // What was never asked of the dead one may be asked of the living one.
    let deal = net.deal(&net.people().client.key, 1);
    let order = order(1, vec![deal]);
    let prepared = chain.prepare(&order).unwrap();
    let message = chain.send(&prepared).unwrap();
    assert_eq!(net.received_messages()[0].cid(), message);
}

#[test]
fn trouble_has_its_class() {
    let net = Net::start(|_| ());
    let chain = net.chain();
    net.set_fault(Fault::times("ChainHead", 1, Effect::Status(502)));
    assert!(
        matches!(chain.head(), Err(ChainError::Unreachable(text)) if text.contains("ChainHead") && text.contains("502"))
    );
    let failing = Effect::Error {
        code: -32603,
        message: "overloaded".to_owned(),
        done: false,
    };
    net.set_fault(Fault::once("ChainHead", failing));
    assert!(matches!(
        chain.head(),
        Err(ChainError::Refused { code: -32603, .. })
    ));
    // A read that loses its connection is asked once more.
    net.set_fault(Fault::once("ChainHead", Effect::Drop { done: false }));
    assert!(chain.head().is_ok());
    let unknown = coracle::filecoin::cids::chain_cid(b"never sent");
    assert_eq!(chain.outcome(&unknown, &[]), Ok(Outcome::Unknown));
}
