//! The methods of lotus-miner (spec chain-sealer-rpc E.4).

use super::add_piece::{add_piece, compute_data_cid, miner_at};
use super::params::Params;
use super::rpc::{Answer, Method, RpcError, later, miner};
use super::sectors::{PROVING, Piece, Sector};
use super::world::World;
use crate::filecoin::{Address, cids, json as forms};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Version 1.5.0 of the interface.
const API_VERSION: u64 = 66_816;

/// The methods.
pub const METHODS: &[Method] = &[
    later("SectorAddPieceToAny", 3, "admin", add_piece),
    later("ComputeDataCid", 2, "admin", compute_data_cid),
    miner("ActorAddress", 0, "read", actor_address),
    miner("ActorSectorSize", 1, "read", actor_sector_size),
    miner("ActorAddressConfig", 0, "read", actor_address_config),
    miner("SectorsStatus", 2, "read", sectors_status),
    miner("SectorsList", 0, "read", sectors_list),
    miner("SectorsListInStates", 1, "read", sectors_list_in_states),
    miner("SectorsSummary", 0, "read", sectors_summary),
    miner("SectorStartSealing", 1, "write", sector_start_sealing),
    miner("Version", 0, "read", version),
];

fn actor_address(world: &mut World, miner: usize, _: &Params) -> Answer {
    let actor = miner_at(world, miner)?.actor;
    Ok(forms::from_address(&Address::id(actor)))
}

fn actor_sector_size(world: &mut World, _: usize, params: &Params) -> Answer {
    let address = params.address(0)?;
    let state = world.chain.state();
    let miner = state.resolve(&address).and_then(|actor| state.miner(actor));
    match miner {
        Some(miner) => Ok(json!(miner.sector_size)),
        None => Err(RpcError::ordinary(format!(
            "failed to load miner actor: {address}: actor not found"
        ))),
    }
}

fn actor_address_config(world: &mut World, miner: usize, _: &Params) -> Answer {
    let actor = miner_at(world, miner)?.actor;
    let control = world.chain.state().miner(actor).map(|on_chain| {
        let control = on_chain.control.iter();
        control.map(|number| forms::from_address(&Address::id(*number)))
    });
    let control = control.map(Iterator::collect::<Vec<Value>>);
    Ok(json!({
        "PreCommitControl": null,
        "CommitControl": null,
        "TerminateControl": null,
        "DealPublishControl": control,
        "DisableOwnerFallback": false,
        "DisableWorkerFallback": false,
    }))
}

fn version(world: &mut World, _: usize, _: &Params) -> Answer {
    Ok(json!({
        "Version": concat!("1.36.2+coracle-devnet-", env!("CARGO_PKG_VERSION")),
        "APIVersion": API_VERSION,
        "BlockDelay": world.chain.rules.block_delay,
        "Agent": "lotus-miner",
    }))
}

fn sectors_list(world: &mut World, miner: usize, _: &Params) -> Answer {
    let sectors = miner_at(world, miner)?.sectors.all();
    Ok(sectors.map(|sector| json!(sector.number)).collect())
}

/// Null when there are none, as the original has it.
fn sectors_list_in_states(world: &mut World, miner: usize, params: &Params) -> Answer {
    let states = params.texts(0)?;
    let sectors = miner_at(world, miner)?.sectors.all();
    let matching = sectors.filter(|sector| states.contains(&sector.state));
    let numbers: Vec<Value> = matching.map(|sector| json!(sector.number)).collect();
    Ok(if numbers.is_empty() {
        Value::Null
    } else {
        Value::Array(numbers)
    })
}

fn sectors_summary(world: &mut World, miner: usize, _: &Params) -> Answer {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for sector in miner_at(world, miner)?.sectors.all() {
        let count = counts.entry(&sector.state).or_default();
        *count = count.saturating_add(1);
    }
    let counts = counts.into_iter();
    let counts = counts.map(|(state, count)| (state.to_owned(), json!(count)));
    Ok(Value::Object(counts.collect::<Map<String, Value>>()))
}

fn sector_start_sealing(world: &mut World, miner: usize, params: &Params) -> Answer {
    let number = params.u64(0)?;
    if miner_at(world, miner)?.sectors.start_sealing(number) {
        Ok(Value::Null)
    } else {
        Err(RpcError::ordinary(format!(
            "sector {number} is not waiting for deals"
        )))
    }
}

/// A piece as SectorsStatus shows it.
fn piece_json(piece: &Piece) -> Value {
    let deal = piece.deal.as_ref().map(|deal| {
        json!({
            "PublishCid": forms::from_cid(Some(&deal.publish_cid)),
            "DealID": deal.deal_id,
            "DealProposal": forms::from_proposal(&deal.proposal),
            "DealSchedule": { "StartEpoch": deal.start_epoch, "EndEpoch": deal.end_epoch },
            "PieceActivationManifest": null,
            "KeepUnsealed": deal.keep_unsealed,
        })
    });
    json!({
        "Piece": { "Size": piece.size, "PieceCID": forms::from_cid(Some(&piece.cid)) },
        "DealInfo": deal,
    })
}

fn sectors_status(world: &mut World, miner: usize, params: &Params) -> Answer {
    let (number, on_chain) = (params.u64(0)?, params.bool(1)?);
    let actor = miner_at(world, miner)?.actor;
    let Some(sector) = miner_at(world, miner)?.sectors.get(number) else {
        return Err(RpcError::ordinary(format!(
            "failed to get sector info for sector {number}: sector not found"
        )));
    };
    let mut status = status_json(sector);
    let state = world.chain.state();
    let committed = state.miner(actor).and_then(|it| it.sectors.get(&number));
    if let (true, Some(committed), Some(members)) = (on_chain, committed, status.as_object_mut()) {
        let facts = [
            ("Activation", json!(committed.activation)),
            ("Expiration", json!(committed.expiration)),
            ("DealWeight", json!(committed.deal_weight.to_string())),
            (
                "VerifiedDealWeight",
                json!(committed.verified_weight.to_string()),
            ),
        ];
        members.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(status)
}

/// What the miner knows of a sector; CIDs of sealed data and messages are made up.
fn status_json(sector: &Sector) -> Value {
    let made_up = |what: &str| {
        let mut content = what.as_bytes().to_vec();
        content.extend_from_slice(&sector.number.to_be_bytes());
        cids::chain_cid(&content)
    };
    let proven = sector.state == PROVING;
    let message = |what: &str, sent: bool| {
        let cid = sent.then(|| made_up(what));
        forms::from_cid(cid.as_ref())
    };
    let sealing = sector.sealing_since.is_some();
    let data = sealing.then(|| cids::piece_cid(&cids::blake2b_256(&made_up("data").to_bytes())));
    let deals = sector.pieces.iter();
    let deals = deals.map(|piece| piece.deal.as_ref().map_or(0, |deal| deal.deal_id));
    json!({
        "SectorID": sector.number,
        "State": sector.state,
        "CommD": forms::from_cid(data.as_ref()),
        "CommR": message("sealed", sealing),
        "Proof": if proven { json!("AA==") } else { Value::Null },
        "Deals": deals.collect::<Vec<u64>>(),
        "Pieces": sector.pieces.iter().map(piece_json).collect::<Vec<Value>>(),
        "Ticket": { "Value": if sealing { json!("Bw==") } else { Value::Null }, "Epoch": sector.sealing_since.unwrap_or(0) },
        "Seed": { "Value": null, "Epoch": 0 },
        "PreCommitMsg": message("pre-commit", sealing),
        "CommitMsg": message("commit", proven),
        "Retries": 0,
        "ToUpgrade": false,
        "ReplicaUpdateMessage": null,
        "LastErr": sector.last_error,
        "Log": [],
        "SealProof": 8,
        "Activation": 0,
        "Expiration": 0,
        "DealWeight": "0",
        "VerifiedDealWeight": "0",
        "InitialPledge": "0",
        "OnTime": 0,
        "Early": 0,
    })
}
