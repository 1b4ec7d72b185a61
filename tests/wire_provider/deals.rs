//! What can be told only from a deal that goes on: cases 2, 16, 17 and 35.

use super::harness::Car;
use super::raw_client::message::{
    self, Proposal, array, bytes, deal_status, field, proposal_cid, signed_proposal_cid,
    status_response,
};
use super::{MK_1_2_0, MK_1_2_1, World, both_switches};
use cid::Cid;
use coracle::deal::Checkpoint;
use coracle::devnet::Sector;
use coracle::devnet::sectors::PieceDeal;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Status of a GET on the public side.
fn get(world: &World, path: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let url = format!("http://{}{path}", world.provider.http);
    agent.get(&url).call().unwrap().status().as_u16()
}

/// What the sealer was told of the deal.
fn deal_info(world: &World, deal_id: u64) -> PieceDeal {
    let sectors = world.net.devnet.sectors(0);
    let mut deals = sectors.iter().flat_map(Sector::deals);
    deals.find(|deal| deal.deal_id == deal_id).unwrap().clone()
}

/// Parameters of every publish message that the chain was sent.
fn published(world: &World) -> Vec<Vec<u8>> {
    let messages = world.net.devnet.received_messages().into_iter();
    let publishing = messages.filter(|signed| signed.message.method == 4);
    publishing.map(|signed| signed.message.params).collect()
}

fn proves(world: &World, uuid: Uuid) -> u64 {
    let response = world.client.proves(&world.provider, uuid);
    response.status.unwrap().chain_deal_id
}

#[test]
fn edge_2_seven_keys_on_the_older_protocol_are_honoured_to_the_end() {
    let world = World::new("edge-2");
    let cars: [Car; 2] = [world.car(1), world.car(2)];
    for (car, on) in cars.iter().zip([true, false]) {
        let proposal = world.online(car);
        let uuid = Uuid::from_bytes(world.uuid());
        let request = if on {
            both_switches(&proposal)
        } else {
            proposal.seven()
        };
        world.accepts(MK_1_2_0, &request);
        let deal = world.provider.deal(uuid);
        assert_eq!(deal["skip_announce"], on);
        assert_eq!(deal["remove_unsealed"], on);
        let indexed = Checkpoint::IndexedAndAnnounced;
        world.client.reaches(&world.provider, uuid, indexed);
        // The data is kept, or it is not.
        let expected = if on { 404 } else { 200 };
        assert_eq!(get(&world, &format!("/piece/{}", car.piece_cid)), expected);
        let kept = world.scratch.join("home").join("pieces");
        let name = format!("{}.car", car.piece_cid);
        assert_eq!(kept.join(name).exists(), !on);
        // Neither way anything is left in staging.
        let staging = world.scratch.join("home").join("staging");
        assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
        let deal_id = proves(&world, uuid);
        assert_eq!(deal_info(&world, deal_id).keep_unsealed, !on);
    }
}

#[test]
fn edge_16_a_bytes_label_is_published_as_it_is() {
    let world = World::new("edge-16");
    let car = world.car(1);
    // One piece, three deals that differ in nothing but their labels: the last two are those of case 17.
    let template = world.online(&car);
    let mut deal_ids = BTreeSet::new();
    for label in [bytes(&[0x66, 0xff, 0xfe, 0x00]), vec![0x40], vec![0x60]] {
        let other = world.proposal();
        let mut proposal = template.clone().with(field::LABEL, label.clone());
        proposal.uuid = other.uuid;
        let uuid = world.uuid();
        world.accepts(MK_1_2_1, &proposal.seven());
        let deal_id = proves(&world, Uuid::from_bytes(uuid));
        let alone = array(&[array(&[proposal.signed()])]);
        assert!(published(&world).contains(&alone), "label {label:02x?}");
        // The chain has it with ID addresses, and with the same label.
        let client = world.net.devnet.people().client.id.clone();
        let on_chain = proposal.with(field::CLIENT, bytes(client.as_bytes()));
        let deals = world.net.devnet.deals();
        let (_, deal) = deals.iter().find(|(id, _)| *id == deal_id).unwrap();
        assert_eq!(deal.proposal.encode(), on_chain.tuple());
        deal_ids.insert(deal_id);
    }
    assert_eq!(deal_ids.len(), 3);
}

#[test]
fn edge_17_empty_labels_of_both_kinds() {
    let world = World::new("edge-17");
    let template = world.proposal();
    let deals: Vec<(Uuid, Proposal)> = [vec![0x40], vec![0x60]]
        .into_iter()
        .map(|label| {
            let other = world.proposal();
            let mut proposal = template.clone().with(field::LABEL, label);
            proposal.uuid = other.uuid;
            (Uuid::from_bytes(world.uuid()), proposal)
        })
        .collect();
    let cids: BTreeSet<Vec<u8>> = deals
        .iter()
        .map(|(_, proposal)| proposal_cid(&proposal.tuple()))
        .collect();
    assert_eq!(cids.len(), 2);
    // For the provider, too, they are two deals, and neither comes twice.
    for (uuid, proposal) in &deals {
        world.accepts(MK_1_2_1, &proposal.seven());
        let mut again = proposal.clone();
        again.uuid = world.proposal().uuid;
        let expected = format!("deal proposal is identical to deal {uuid} (proposed at ");
        let reason = world.refuses(&again.seven());
        assert!(reason.starts_with(&expected), "{reason}");
    }
    listed(&world, &deals);
    let world = world.killed_and_restarted();
    listed(&world, &deals);
}

/// Operators and the client see the deals.
fn listed(world: &World, deals: &[(Uuid, Proposal)]) {
    let (status, list) = world.provider.admin("GET", "/v1/deals", None);
    assert_eq!(status, 200);
    let list = list["deals"].as_array().unwrap();
    assert_eq!(list.len(), deals.len());
    let printed = world.provider.command(&world.vars, &["deal", "list"]);
    assert!(printed.status.success());
    let printed = String::from_utf8(printed.stdout).unwrap();
    for (uuid, proposal) in deals {
        let signed = signed_proposal_cid(&proposal.signed());
        let signed = Cid::try_from(signed).unwrap().to_string();
        let uuid_text = uuid.to_string();
        let deal = list.iter().find(|deal| deal["uuid"] == uuid_text.as_str());
        assert_eq!(deal.unwrap()["signed_proposal_cid"], signed);
        assert!(printed.contains(&uuid_text), "{printed}");
        let signature = world.wallet.sign(uuid.as_bytes());
        let status = deal_status("Accepted", proposal, None, "");
        assert_eq!(
            world.status(*uuid.as_bytes(), &signature),
            status_response("", uuid.as_bytes(), (true, status), (0, 0))
        );
    }
}

#[test]
fn edge_35_two_hashes_for_two_cids() {
    let world = World::new("edge-35");
    let car = world.car(1);
    let proposal = world.online(&car);
    let uuid = world.uuid();
    world.accepts(MK_1_2_1, &proposal.seven());
    let deal_id = proves(&world, Uuid::from_bytes(uuid));
    // The signed proposal's CID in the status answer, whose every byte is known.
    let messages = world.net.devnet.received_messages();
    let message = messages.iter().find(|signed| signed.message.method == 4);
    let publish = message.unwrap().cid().to_bytes();
    let publish = Some((publish.as_slice(), deal_id));
    let status = deal_status("IndexedAndAnnounced", &proposal, publish, "Proving");
    let size = car.bytes.len() as u64;
    assert_eq!(
        world.status(uuid, &world.wallet.sign(&uuid)),
        status_response("", &uuid, (false, status), (size, size))
    );
    // The chain's own CID of the proposal, with ID addresses as the market actor has them.
    let client = world.net.devnet.people().client.id.clone();
    let deals = world.net.devnet.deals();
    let (_, deal) = deals.iter().find(|(id, _)| *id == deal_id).unwrap();
    let by_id = proposal
        .clone()
        .with(field::CLIENT, bytes(client.as_bytes()));
    let cid = deal.proposal.cid();
    assert_eq!(cid.to_bytes(), proposal_cid(&by_id.tuple()));
    assert!(cid.to_string().starts_with("bafy2bz"));
    // And as it was signed, in the message's parameters and at the sealer.
    let sent = published(&world);
    assert_eq!(sent, [array(&[array(&[proposal.signed()])])]);
    let deals = coracle::filecoin::market_actor::decode_publish(&sent[0]).unwrap();
    assert_eq!(deals.len(), 1);
    assert_eq!(
        deals[0].proposal.cid().to_bytes(),
        proposal_cid(&proposal.tuple())
    );
    assert_eq!(
        deals[0].signed_cid().to_bytes(),
        signed_proposal_cid(&proposal.signed())
    );
    let at_sealer = deal_info(&world, deal_id).proposal;
    assert_eq!(at_sealer.cid().to_bytes(), proposal_cid(&proposal.tuple()));
    let in_json = world.provider.deal(Uuid::from_bytes(uuid));
    let signed = message::signed_proposal_cid(&proposal.signed());
    let signed = Cid::try_from(signed).unwrap().to_string();
    assert!(signed.starts_with("bafyrei"));
    assert_eq!(in_json["signed_proposal_cid"], signed);
}
