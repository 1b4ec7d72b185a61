//! Answers to status requests (spec boost-mk12 1.4, 1.6; edge cases 28–31).

use super::samples::{at, client_key, message, offline, online, sign, uuid};
use crate::deal::checkpoint::ALL;
use crate::deal::{Checkpoint, status};
use crate::filecoin::{Address, SecretKey};

#[test]
fn an_accepted_deal_has_no_message_yet() {
    // Edge case 30.
    let answer = status::answer(&online(), 700);
    assert_eq!(answer.error, "");
    assert_eq!((answer.transfer_size, answer.bytes_received), (2_000, 700));
    assert!(!answer.offline);
    let deal = answer.status.unwrap();
    assert_eq!(deal.publish_cid, None);
    assert_eq!(deal.chain_deal_id, 0);
    assert_eq!(deal.status, "Accepted");
    assert_eq!(deal.sealing_status, "");
    assert_eq!(deal.proposal, online().signed.proposal);
    assert_eq!(deal.signed_proposal_cid, online().signed.signed_cid());
}

#[test]
fn every_checkpoint_has_its_name() {
    for checkpoint in ALL {
        let answer = status::answer(&at(checkpoint), 0).status.unwrap();
        assert_eq!(answer.status, checkpoint.name());
    }
}

#[test]
fn the_sealing_state_is_told_once_there_is_a_sector() {
    let sealing = |checkpoint| {
        let mut deal = at(checkpoint);
        deal.sealing = "PreCommit1".to_owned();
        status::answer(&deal, 0).status.unwrap().sealing_status
    };
    assert_eq!(sealing(Checkpoint::PublishConfirmed), "");
    assert_eq!(sealing(Checkpoint::AddedPiece), "PreCommit1");
    let mut failed = at(Checkpoint::Complete);
    failed.sector = None;
    failed.sealing = "left over".to_owned();
    assert_eq!(
        status::answer(&failed, 0).status.unwrap().sealing_status,
        ""
    );
}

#[test]
fn a_failed_deal_says_why() {
    let mut deal = at(Checkpoint::Published);
    deal.checkpoint = Checkpoint::Complete;
    deal.error = "why".to_owned();
    let answer = status::answer(&deal, 0);
    assert_eq!(answer.error, "", "this one is about the request");
    let told = answer.status.unwrap();
    assert_eq!(told.error, "why");
    assert_eq!(told.publish_cid, Some(message()));
}

#[test]
fn an_offline_deal_says_so() {
    assert!(status::answer(&offline(), 0).offline);
}

#[test]
fn unknown_deals_and_refusals_have_no_status() {
    // Edge cases 28 and 29.
    let unknown = status::unknown(uuid(1));
    assert_eq!(
        unknown.error,
        "no storage deal found with deal UUID 01010101-0101-0101-0101-010101010101"
    );
    assert_eq!(unknown.status, None);
    assert_eq!(unknown.uuid, uuid(1));
    let refused = status::refusal(uuid(1), "signature verification failed");
    assert_eq!(refused.error, "signature verification failed");
    assert_eq!(refused.status, None);
}

#[test]
fn only_the_client_s_key_signs_the_request() {
    // Edge case 31: the proposal names the client by its ID, the key is known from acceptance.
    let mut deal = online();
    let mut proposal = deal.signed.proposal.clone();
    proposal.client = Address::id(2_000);
    deal.signed = sign(proposal);
    let signature = client_key().sign(deal.uuid.as_bytes());
    assert!(status::signed_by_client(&deal, &signature));
    let other = SecretKey::secp256k1(&[8; 32]).unwrap();
    let foreign = other.sign(deal.uuid.as_bytes());
    assert!(!status::signed_by_client(&deal, &foreign));
    let elsewhere = client_key().sign(uuid(2).as_bytes());
    assert!(!status::signed_by_client(&deal, &elsewhere));
}
