//! Answers about deals and asks: cases 28 to 33, and the vectors of case 35.

use super::raw_client::message::{
    self, NULL, Proposal, Wallet, bytes, field, map, signed_proposal_cid, status_response,
};
use super::{ASK, MK_1_2_1, STATUS, World};
use cid::Cid;
use uuid::Uuid;

/// An answer that says only what went wrong.
fn failed(uuid: &[u8; 16], error: &str) -> Vec<u8> {
    status_response(error, uuid, (false, NULL.to_vec()), (0, 0))
}

#[test]
fn edge_28_another_wallet_asks() {
    let world = World::new("edge-28");
    world.accepts(MK_1_2_1, &world.proposal().seven());
    let uuid = world.uuid();
    let refused = failed(&uuid, "signature verification failed");
    let stranger = Wallet::new([9; 32]);
    assert_eq!(world.status(uuid, &stranger.sign(&uuid)), refused);
    // The client's own, over another UUID.
    assert_eq!(world.status(uuid, &world.wallet.sign(&[0xcc; 16])), refused);
    // One bit off.
    let mut broken = world.wallet.sign(&uuid);
    broken[20] ^= 1;
    assert_eq!(world.status(uuid, &broken), refused);
    // A signature that was not sent is nobody's.
    let unsigned = map(&[("DealUUID", bytes(&uuid))]);
    assert_eq!(world.ask(STATUS, &unsigned), refused);
    assert_ne!(world.status(uuid, &world.wallet.sign(&uuid)), refused);
}

#[test]
fn edge_29_an_unknown_deal() {
    let world = World::new("edge-29");
    let unknown = [0xcc; 16];
    let text = format!(
        "no storage deal found with deal UUID {}",
        Uuid::from_bytes(unknown)
    );
    for signature in [vec![1; 66], vec![2], world.wallet.sign(&unknown)] {
        assert_eq!(world.status(unknown, &signature), failed(&unknown, &text));
    }
}

#[test]
fn edge_30_an_accepted_deal() {
    let world = World::new("edge-30");
    let proposal = world.proposal();
    let uuid = world.uuid();
    world.accepts(MK_1_2_1, &proposal.seven());
    let answer = world.status(uuid, &world.wallet.sign(&uuid));
    let status = message::deal_status("Accepted", &proposal, None, "");
    let expected = status_response("", &uuid, (true, status), (0, 0));
    assert_eq!(answer, expected);
    // Written out once: what is null and what is zero.
    let parts = b"\x6aPublishCid\xf6\x6bChainDealID\x00\x6dSealingStatus\x60";
    assert!(answer.windows(parts.len()).any(|part| part == parts));
}

#[test]
fn edge_31_a_client_by_its_id() {
    let world = World::new("edge-31");
    let client = world.net.devnet.people().client.id.as_bytes().to_vec();
    assert_eq!(client[0], 0, "an ID address");
    let by_id = world.proposal().with(field::CLIENT, bytes(&client));
    let uuid = world.uuid();
    world.accepts(MK_1_2_1, &by_id.seven());
    let status = message::deal_status("Accepted", &by_id, None, "");
    assert_eq!(
        world.status(uuid, &world.wallet.sign(&uuid)),
        status_response("", &uuid, (true, status), (0, 0))
    );
    let stranger = Wallet::new([9; 32]).sign(&uuid);
    assert_eq!(
        world.status(uuid, &stranger),
        failed(&uuid, "signature verification failed")
    );
}

#[test]
fn edge_32_another_miners_ask() {
    let world = World::new("edge-32");
    let miner = |number| message::ask_request(&message::id_address(number));
    let null = [0xa1, 0x63, 0x41, 0x73, 0x6b, 0xf6];
    assert_eq!(world.ask(ASK, &miner(4242)), null);
    assert_ne!(world.ask(ASK, &miner(1000)), null);
}

#[test]
fn edge_33_an_ask_is_signed_by_the_worker() {
    let world = World::new("edge-33");
    let request = message::ask_request(&message::id_address(1000));
    let answer = world.ask(ASK, &request);
    let rest = answer.strip_prefix(b"\xa1\x63Ask\xa2\x63Ask").unwrap();
    let key = b"\x69Signature\x58\x42";
    let end = rest
        .windows(key.len())
        .position(|part| part == key)
        .unwrap();
    let (terms, signature) = (&rest[..end], &rest[end + key.len()..]);
    assert!(terms.starts_with(b"\xa8\x65Miner\x43\x00\xe8\x07\x65Price\x45\x00\x02\xfa\xf0\x80"));
    assert_eq!(signature.len(), 66);
    let worker = &world.net.devnet.people().miners[0][1];
    assert_eq!(message::signer(signature, terms), worker.address.as_bytes());
    // Over every byte of it.
    let mut other = terms.to_vec();
    other[20] ^= 1;
    assert_ne!(
        message::signer(signature, &other),
        worker.address.as_bytes()
    );
}

/// The deal of spec 1.8, whose CIDs are given there.
#[test]
fn edge_35_the_vectors() {
    let client = [&[1][..], &[0x11; 20]].concat();
    let mut proposal =
        Proposal::new(Wallet::new([1; 32]), [0; 16], 1000).with(field::CLIENT, bytes(&client));
    proposal.signature = Some([&[1][..], &[0xaa; 65]].concat());
    let text = |binary: Vec<u8>| Cid::try_from(binary).unwrap().to_string();
    assert_eq!(
        text(message::proposal_cid(&proposal.tuple())),
        "bafy2bzaceb2qtqpyxkeu5yaaavlfkfqrzugsbzjbdibe6xjm2mgv4nhqckz2u"
    );
    assert_eq!(
        text(signed_proposal_cid(&proposal.signed())),
        "bafyreidzpwvnwqjdpxbvxbxaimae5mnquui22qaxahuudhdxxygqy5qgsa"
    );
}
