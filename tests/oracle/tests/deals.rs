//! Whole deals of a whole provider: every message that reaches the chain is read by the chain's own types, compared
//! field by field with what clients had signed, and written again to the same bytes.

use bls_signatures::Serialize;
use coracle::chain::{Chain, Lotus};
use coracle::client::deal::{self, Wanted};
use coracle::client::pack;
use coracle::config::Config;
use coracle::deal::Import;
use coracle::devnet::{Devnet, DevnetConfig, Wallet};
use coracle::filecoin::{Address, ClientDealProposal, Label};
use coracle::market::Wish;
use coracle::piece::Commp;
use coracle::provider::Provider;
use coracle::wire::DealParams;
use fil_actor_market_state::v19 as actor;
use fvm_ipld_encoding::{from_slice, to_vec};
use fvm_shared::address::{Address as TheirAddress, Protocol};
use fvm_shared::bigint::BigInt;
use fvm_shared::crypto::signature::{Signature as TheirSignature, SignatureType};
use fvm_shared::econ::TokenAmount as TheirAmount;
use fvm_shared::message::Message as TheirMessage;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Deals that share a message.
const DEALS: usize = 6;

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coracle-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(net: &Devnet, home: &Path, payer: &Address) -> Config {
    let deals = DEALS.to_string();
    let set = [
        ("CORACLE_HOME", home.to_str().expect("UTF-8").to_owned()),
        ("CORACLE_MINERS", "f01000".to_owned()),
        ("FULLNODE_API_INFO", net.fullnode_api_info()),
        ("MINER_API_INFO", net.miner_api_info(0)),
        ("CORACLE_LISTEN", "/ip4/127.0.0.1/tcp/0".to_owned()),
        ("CORACLE_HTTP_LISTEN", "127.0.0.1:0".to_owned()),
        ("CORACLE_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("CORACLE_CHAIN_POLL", "100ms".to_owned()),
        ("CORACLE_PUBLISH_PERIOD", "1h".to_owned()),
        ("CORACLE_PUBLISH_DEALS_MAX", deals),
        ("CORACLE_PUBLISH_CONFIDENCE", "2".to_owned()),
        ("CORACLE_PUBLISH_WALLET", payer.to_string()),
    ];
    let set = set.map(|(name, value)| (name.into(), value.into()));
    Config::from_env(set).expect("settings")
}

/// A CAR, and terms for it.
fn wanted(net: &Devnet, directory: &Path) -> (PathBuf, Wanted) {
    let (input, car) = (directory.join("input"), directory.join("input.car"));
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&input, content).expect("a file");
    let packed = pack::pack(&input, &car).expect("a CAR");
    let mut hasher = Commp::new();
    hasher.update(&std::fs::read(&car).expect("the CAR"));
    let commitment = hasher.finish();
    let chain = Lotus::new(&net.fullnode_api_info(), None, BTreeMap::new()).expect("a node");
    let bounds = chain.collateral_bounds(commitment.padded_size, false);
    let minimum = bounds.expect("bounds").min;
    let wanted = Wanted {
        provider: Address::id(1000),
        piece_cid: commitment.cid(),
        piece_size: commitment.padded_size,
        payload_cid: packed.root,
        download: None,
        start_epoch: net.epoch() + deal::START_OFFSET,
        duration: deal::DURATION,
        storage_price: coracle::filecoin::TokenAmount::from_atto(50_000_000),
        provider_collateral: deal::default_collateral(&minimum),
        verified: false,
        skip_announce: false,
        remove_unsealed: false,
    };
    (car, wanted)
}

/// One deal of each kind of client, label and price.
fn proposals(net: &Devnet, wanted: &Wanted) -> Vec<DealParams> {
    let people = net.people();
    let text = || Label::Text(wanted.payload_cid.to_string());
    let client = &people.client;
    let kinds: [(&Wallet, &Address, Label, bool); DEALS] = [
        (client, &client.address, text(), false),
        (client, &client.id, Label::Text(String::new()), false),
        (
            client,
            &client.address,
            Label::Bytes(vec![0xff, 0xfe, 0]),
            false,
        ),
        (
            &people.bls_client,
            &people.bls_client.address,
            text(),
            false,
        ),
        (
            &people.verified_client,
            &people.verified_client.address,
            text(),
            true,
        ),
        (
            &people.contract,
            &people.contract.address,
            Label::Bytes(Vec::new()),
            false,
        ),
    ];
    let kinds = (1_u8..).zip(kinds);
    let made = kinds.map(|(number, (wallet, address, label, verified))| {
        let wanted = Wanted {
            verified,
            ..wanted.clone()
        };
        let uuid = format!("{number:032x}").parse().expect("a UUID");
        let mut params = deal::propose(&wanted, &wallet.key, uuid);
        let signed = params.proposal.as_mut().expect("a proposal");
        signed.proposal.client = address.clone();
        signed.proposal.label = label;
        signed.signature = wallet.key.sign(&signed.proposal.encode());
        params
    });
    made.collect()
}

/// Proposes, imports and waits until all sectors prove.
async fn carry_out(provider: &Provider, deals: &[DealParams], car: &Path) {
    let market = provider.market();
    let begun = Instant::now();
    while market.ask(&Address::id(1000)).ask.is_none() {
        assert!(begun.elapsed() < PATIENCE, "no ask");
        smol::Timer::after(Duration::from_millis(20)).await;
    }
    for params in deals {
        let answer = market.propose("peer", params.clone()).await;
        assert!(answer.accepted, "{}", answer.message);
        let import = Import::new(car.to_str().expect("UTF-8"), false);
        let imported = market.wish(params.uuid, Wish::Import(import)).await;
        assert_eq!(imported, Ok(()));
    }
    for params in deals {
        loop {
            let found = market.deal(params.uuid).await.expect("the database");
            let (deal, _) = found.expect("the deal");
            assert_eq!(deal.error, "", "{}", params.uuid);
            if deal.sealed {
                break;
            }
            let at = deal.checkpoint.name();
            assert!(
                begun.elapsed() < PATIENCE,
                "{} is stuck at {at}",
                params.uuid
            );
            smol::Timer::after(Duration::from_millis(20)).await;
        }
    }
}

fn blake2b_256(bytes: &[u8]) -> [u8; 32] {
    let hash = blake2b_simd::Params::new().hash_length(32).hash(bytes);
    hash.as_bytes().try_into().expect("32 bytes")
}

/// Whether this key address made the signature.
fn signed_by(address: &TheirAddress, signature: &TheirSignature, message: &[u8]) -> bool {
    match (signature.sig_type, address.protocol()) {
        (SignatureType::Secp256k1, Protocol::Secp256k1) => {
            let (r_s, v) = signature.bytes.split_at(64);
            let v = RecoveryId::try_from(i32::from(v[0])).expect("0 to 3");
            let r_s = RecoverableSignature::from_compact(r_s, v).expect("r and s");
            let digest = secp256k1::Message::from_digest(blake2b_256(message));
            let key = secp256k1::Secp256k1::new().recover_ecdsa(digest, &r_s);
            let key = key.expect("a key").serialize_uncompressed();
            TheirAddress::new_secp256k1(&key).expect("65 bytes") == *address
        }
        (SignatureType::BLS, Protocol::BLS) => {
            let key = bls_signatures::PublicKey::from_bytes(&address.payload_bytes());
            let parsed = bls_signatures::Signature::from_bytes(&signature.bytes);
            key.expect("a key")
                .verify(parsed.expect("a signature"), message)
        }
        _ => false,
    }
}

fn their_address(ours: &Address) -> TheirAddress {
    TheirAddress::from_bytes(ours.as_bytes()).expect("our address")
}

/// Compares every field of a published deal with what the client signed.
fn compare(theirs: &actor::ClientDealProposal, ours: &ClientDealProposal, signer: &Address) {
    let (their, our) = (&theirs.proposal, &ours.proposal);
    assert_eq!(their.piece_cid.to_bytes(), our.piece_cid.to_bytes());
    assert!(actor::is_piece_cid(&their.piece_cid));
    assert_eq!(their.piece_size.0, our.piece_size);
    assert_eq!(their.piece_size.validate(), Ok(()));
    assert_eq!(their.verified_deal, our.verified);
    assert_eq!(their.client, their_address(&our.client));
    assert_eq!(their.provider, their_address(&our.provider));
    match (&their.label, &our.label) {
        (actor::Label::String(their), Label::Text(our)) => assert_eq!(their, our),
        (actor::Label::Bytes(their), Label::Bytes(our)) => assert_eq!(their, our),
        (their, our) => panic!("{their:?} is of another kind than {our:?}"),
    }
    assert_eq!(their.start_epoch, our.start_epoch);
    assert_eq!(their.end_epoch, our.end_epoch);
    for (their, our) in [
        (&their.storage_price_per_epoch, &our.price_per_epoch),
        (&their.provider_collateral, &our.provider_collateral),
        (&their.client_collateral, &our.client_collateral),
    ] {
        assert_eq!(their.atto().to_string(), our.to_string());
    }
    assert_eq!(theirs.client_signature.bytes, ours.signature.data);
    let bytes = to_vec(their).expect("CBOR");
    let signer = their_address(signer);
    assert!(signed_by(&signer, &theirs.client_signature, &bytes));
}

/// Everything of a message but its parameters.
fn check_message(message: &TheirMessage, signature: &TheirSignature, payer: &Address) {
    assert_eq!(message.check().map_err(|error| error.to_string()), Ok(()));
    assert_eq!(message.version, 0);
    assert_eq!(message.to, TheirAddress::new_id(5));
    assert_eq!(message.from, their_address(payer));
    assert_eq!(message.sequence, 0, "the account's first message");
    assert_eq!(message.value, TheirAmount::from_atto(0));
    assert_eq!(
        message.method_num,
        actor::Method::PublishStorageDeals as u64
    );
    assert!(message.gas_premium <= message.gas_fee_cap);
    // The default of CORACLE_PUBLISH_FEE_MAX: 0.05 FIL.
    let most = message.gas_fee_cap.atto() * BigInt::from(message.gas_limit);
    assert!(most <= BigInt::from(50_000_000_000_000_000_u64), "{most}");
    let cid = [
        &[0x01, 0x71, 0xa0, 0xe4, 0x02, 0x20],
        &blake2b_256(&to_vec(message).expect("CBOR"))[..],
    ];
    assert!(signed_by(&message.from, signature, &cid.concat()));
}

/// Runs deals whose publish message this wallet pays for.
fn messages_paid_by(name: &str, payer: impl FnOnce(&Devnet) -> Wallet) {
    let scratch = Scratch::new(name);
    let executor = Arc::new(smol::Executor::<'static>::new());
    let run = executor.run(async {
        let config = DevnetConfig {
            epoch: Duration::from_millis(50),
            sealing: 10,
            wait_deals: 2,
            ..DevnetConfig::default()
        };
        let net = Devnet::start(Arc::clone(&executor), config).await;
        let net = Arc::new(net.expect("a devnet"));
        let payer = payer(&net).address;
        let config = settings(&net, &scratch.0.join("home"), &payer);
        let provider = Provider::start(&executor, &config).await;
        let provider = provider.expect("a provider");
        let directory = scratch.0.clone();
        let known = Arc::clone(&net);
        // It asks the node, which runs on this thread.
        let (car, wanted) = smol::unblock(move || wanted(&known, &directory)).await;
        let deals = proposals(&net, &wanted);
        carry_out(&provider, &deals, &car).await;
        provider.stop().await;
        (net, payer, deals)
    });
    let (net, payer, deals) = smol::block_on(run);

    let received = net.received_messages();
    assert_eq!(received.len(), 1, "all deals share a message");
    let bytes = received[0].encode();
    let signed: (TheirMessage, TheirSignature) = from_slice(&bytes).expect("their message");
    assert_eq!(to_vec(&signed).expect("CBOR"), bytes);
    let (message, signature) = signed;
    check_message(&message, &signature, &payer);

    let params: actor::PublishStorageDealsParams =
        from_slice(message.params.bytes()).expect("their parameters");
    assert_eq!(to_vec(&params).expect("CBOR"), message.params.bytes());
    assert_eq!(params.deals.len(), deals.len());
    let people = net.people();
    for theirs in &params.deals {
        let same = |params: &&DealParams| {
            let ours = &params.proposal.as_ref().expect("a proposal").proposal;
            ours.encode() == to_vec(&theirs.proposal).expect("CBOR")
        };
        let ours = deals.iter().find(same).expect("nothing but our deals");
        let ours = ours.proposal.as_ref().expect("a proposal");
        let client = &ours.proposal.client;
        let all = [
            &people.client,
            &people.bls_client,
            &people.verified_client,
            &people.contract,
        ];
        let of = |wallet: &&&Wallet| [&wallet.address, &wallet.id].contains(&client);
        let signer = all.iter().find(of).expect("a client").key.address();
        compare(theirs, ours, &signer);
    }
}

#[test]
fn messages_of_a_secp256k1_wallet() {
    messages_paid_by("oracle-secp", |net| net.people().miners[0][1].clone());
}

#[test]
fn messages_of_a_bls_wallet() {
    messages_paid_by("oracle-bls", |net| net.people().miners[0][2].clone());
}
