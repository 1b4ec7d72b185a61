//! What becomes of pieces in sectors.

use crate::harness::*;
use crate::pieces::{head, id, published, push, reader, send, serve_once};
use coracle::filecoin::json as forms;
use coracle::piece::commp::zero_commitment;
use serde_json::{Value, json};
use std::thread;

#[test]
fn a_deal_becomes_active() {
    let net = start(by_hand());
    let it = published(&net, 1);
    push(&net, &it);
    let state = || {
        let state = net.ok("StateMarketStorageDeal", json!([it.deal_id, null]));
        state["State"].clone()
    };
    assert_eq!(state()["SectorStartEpoch"], -1);
    assert_eq!(
        net.miner_ok("SectorStartSealing", json!([1187])),
        Value::Null
    );
    assert_eq!(
        net.miner_ok("SectorsSummary", json!([])),
        json!({ "WaitDeals": 1 })
    );
    net.advance(60);
    assert_eq!(state()["SectorNumber"], 1187);
    let activation = state()["SectorStartEpoch"].as_i64().unwrap();
    assert!(activation > 5_000_000);
    let status = net.miner_ok("SectorsStatus", json!([1187, true]));
    assert_eq!(status["State"], "Proving");
    assert_eq!(status["Activation"], activation);
    assert_eq!(
        net.miner_ok("SectorsStatus", json!([1187, false]))["Activation"],
        0
    );
    // Filling pieces have no deal.
    let deals = status["Deals"].as_array().unwrap();
    assert_eq!(deals[0], it.deal_id);
    assert!(deals.len() > 1 && deals[1..].iter().all(|id| *id == 0));
    assert_eq!(status["Pieces"][1]["DealInfo"], Value::Null);
    let sector = net.ok("StateSectorGetInfo", json!(["f01000", 1187, null]));
    assert_eq!(sector["Activation"], activation);
    assert_eq!(net.fails("SectorStartSealing", json!([1187])).0, -32601);
    net.miner_fails("SectorStartSealing", json!([1187]));
}

#[test]
fn lists_of_sectors_may_be_null() {
    let net = start(by_hand());
    assert_eq!(net.miner_ok("SectorsList", json!([])), json!([]));
    assert_eq!(net.miner_ok("SectorsSummary", json!([])), json!({}));
    net.miner_fails("SectorsStatus", json!([1187, false]));
    let it = published(&net, 1);
    push(&net, &it);
    assert_eq!(net.miner_ok("SectorsList", json!([])), json!([1187]));
    let in_states = |states: Value| net.miner_ok("SectorsListInStates", json!([states]));
    assert_eq!(in_states(json!(["WaitDeals", "Proving"])), json!([1187]));
    assert_eq!(in_states(json!(["Proving"])), Value::Null);
    assert_eq!(in_states(json!(["NoSuchState"])), Value::Null);
    assert_eq!(in_states(Value::Null), Value::Null);
    assert!(net.force_sector(0, 1187, "FailedUnrecoverable", "no luck"));
    let status = net.miner_ok("SectorsStatus", json!([1187, false]));
    assert_eq!(status["State"], "FailedUnrecoverable");
    assert_eq!(status["LastErr"], "no luck");
}

#[test]
fn the_miner_tells_about_itself() {
    let net = start(by_hand());
    let size = net.miner_ok("ActorSectorSize", json!(["f01000"]));
    assert_eq!(size, 34_359_738_368_u64);
    let config = net.miner_ok("ActorAddressConfig", json!([]));
    let control = net.people().miners[0][2].id.to_string();
    assert_eq!(config["DealPublishControl"], json!([control]));
    assert_eq!(config["CommitControl"], Value::Null);
    assert_eq!(net.miner_ok("Version", json!([]))["APIVersion"], 66_816);
}

#[test]
fn commitments_are_computed_on_request() {
    let net = start(by_hand());
    let largest = 127_u64 << 28;
    let zeros = reader("null", &largest.to_string());
    let computed = net.miner_ok("ComputeDataCid", json!([largest, zeros]));
    assert_eq!(computed["Size"], 34_359_738_368_u64);
    let cid = coracle::filecoin::cids::piece_cid(&zero_commitment(30));
    assert_eq!(computed["PieceCID"], forms::from_cid(Some(&cid)));
    let piece = Piece::new(4096, 3);
    let id = id();
    let url = net.miner_url();
    let params = json!([piece.unpadded(), reader("push", &id)]);
    let call = thread::spawn(move || call(&url, "ComputeDataCid", &params));
    head(&net.push_url(&id));
    send(&net.push_url(&id), &piece.bytes);
    let computed = result(&call.join().unwrap());
    assert_eq!(computed["PieceCID"], forms::from_cid(Some(&piece.cid())));
}

#[test]
fn a_piece_without_a_market_deal_is_taken() {
    let net = start(by_hand());
    let piece = Piece::new(2048, 5);
    let info = json!({
        "PublishCid": null, "DealID": 0, "DealProposal": null,
        "DealSchedule": { "StartEpoch": 5_001_000, "EndEpoch": 5_700_000 },
        "PieceActivationManifest": {
            "CID": forms::from_cid(Some(&piece.cid())), "Size": 2048,
            "VerifiedAllocationKey": null, "Notify": null,
        },
        "KeepUnsealed": false,
    });
    let (url, _served) = serve_once("200 OK", piece.bytes.clone());
    let params = json!([piece.unpadded(), reader("http", &url), info]);
    net.miner_ok("SectorAddPieceToAny", params);
    let status = net.miner_ok("SectorsStatus", json!([1187, false]));
    assert_eq!(status["Deals"], json!([0]));
}

#[test]
fn a_verified_piece_needs_its_allocation() {
    let net = start(by_hand());
    let it = published(&net, 1);
    let mut info = it.info.clone();
    info["DealProposal"]["VerifiedDeal"] = json!(true);
    let params = json!([it.piece.unpadded(), reader("null", "0"), info]);
    let (_, text) = net.miner_fails("SectorAddPieceToAny", params);
    assert!(text.starts_with("getting allocation"), "{text}");
}
