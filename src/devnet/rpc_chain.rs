//! Methods about the chain itself: tipsets, messages, what became of them (spec chain-sealer-rpc B.1, B.2, B.11–B.14).

use super::actors::{self, BASE_FEE};
use super::chain::{Lookup, SearchError, Tipset};
use super::kinds::{self, GATEWAY_DAY, GATEWAY_LOOKBACK};
use super::params::Params;
use super::rpc::{Answer, Later, Method, RpcError, later, node};
use super::server::Shared;
use super::settings::NodeKind;
use super::state::State;
use super::world::World;
use crate::filecoin::market_actor::{PUBLISH_STORAGE_DEALS, PublishReturn};
use crate::filecoin::{Address, TokenAmount, bitfield, cids, json as forms};
use cid::Cid;
use serde_json::{Value, json};
use smol::Timer;
use std::sync::Arc;
use std::time::Duration;

/// `StateWaitMsg` refuses to wait for more.
const MAX_CONFIDENCE: u64 = 900;

/// How often a waiting call looks, when epochs are long or come by hand.
const WAIT_STEP: Duration = Duration::from_millis(50);

/// The methods.
pub const METHODS: &[Method] = &[
    node("ChainHead", 0, "read", chain_head),
    node("ChainGetFinalizedTipSet", 0, "read", chain_finalized),
    node("ChainGetTipSet", 1, "read", chain_get_tipset),
    node(
        "ChainGetTipSetByHeight",
        2,
        "read",
        chain_get_tipset_by_height,
    ),
    node("ChainGetMessage", 1, "read", chain_get_message),
    node("StateNetworkName", 0, "read", network_name),
    node("StateNetworkVersion", 1, "read", network_version),
    node("StateGetNetworkParams", 0, "read", network_params),
    node("Version", 0, "read", version),
    node("StateSearchMsg", 4, "read", search_message),
    later("StateWaitMsg", 4, "read", wait_message),
    node("StateCall", 2, "read", state_call),
];

/// The deprecated interface's own forms of the same names (spec B.12): found first under `/rpc/v0`.
pub const METHODS_V0: &[Method] = &[
    node("StateSearchMsg", 1, "read", |world, params| {
        search(world, params.kind(), None, &params.cid(0)?, (-1, true))
    }),
    node("StateSearchMsgLimited", 2, "read", |world, params| {
        let cid = params.cid(0)?;
        search(world, params.kind(), None, &cid, (params.i64(1)?, true))
    }),
    later("StateWaitMsg", 2, "read", |shared, _, params| {
        let call = params.cid(0).and_then(|cid| Ok((cid, params.u64(1)?)));
        Box::pin(async move {
            let (cid, confidence) = call?;
            wait(shared, cid, confidence, -1, true).await
        })
    }),
];

/// The tipset that a key names; the head without one.
fn tipset<'w>(world: &'w World, key: Option<&Vec<Cid>>) -> Result<&'w Tipset, RpcError> {
    let Some(key) = key else {
        return Ok(world.chain.head());
    };
    world.chain.tipset(key).ok_or_else(|| {
        let block = key.first().map(ToString::to_string).unwrap_or_default();
        RpcError::ordinary(format!(
            "loading tipset: get block {block}: ipld: could not find {block}"
        ))
    })
}

/// The state that a tipset key is about: that before its messages (spec A.6).
pub fn state_at(world: &World, key: Option<&Vec<Cid>>) -> Result<Arc<State>, RpcError> {
    let tipset = tipset(world, key)?;
    let state = tipset.state.clone();
    state.ok_or_else(|| RpcError::ordinary("failed to load state tree: state not available"))
}

/// A list of CIDs.
fn cid_list(cids: &[Cid]) -> Value {
    cids.iter().map(|cid| forms::from_cid(Some(cid))).collect()
}

/// The JSON form of a tipset: with everything that blocks have, most of it made up.
fn tipset_json(world: &World, tipset: &Tipset) -> Value {
    let parents = world.chain.at(tipset.height.saturating_sub(1));
    let parents = if parents.height < tipset.height {
        parents.cids.as_slice()
    } else {
        &[]
    };
    let made_up = |what: &str| {
        let mut content = what.as_bytes().to_vec();
        content.extend_from_slice(&tipset.height.to_be_bytes());
        let cid = cids::chain_cid(&content);
        forms::from_cid(Some(&cid))
    };
    let miner = world.miners.first().map_or(0, |miner| miner.actor);
    let block = json!({
        "Miner": forms::from_address(&Address::id(miner)),
        "Ticket": { "VRFProof": "AA==" },
        "ElectionProof": { "WinCount": 1, "VRFProof": "AA==" },
        "BeaconEntries": null,
        "WinPoStProof": null,
        "Parents": cid_list(parents),
        "ParentWeight": "0",
        "Height": tipset.height,
        "ParentStateRoot": made_up("state"),
        "ParentMessageReceipts": made_up("receipts"),
        "Messages": made_up("messages"),
        "BLSAggregate": { "Type": 2, "Data": "AA==" },
        "Timestamp": world.chain.timestamp(tipset.height),
        "BlockSig": { "Type": 2, "Data": "AA==" },
        "ForkSignaling": 0,
        "ParentBaseFee": BASE_FEE.to_string(),
    });
    let blocks: Vec<Value> = tipset.cids.iter().map(|_| block.clone()).collect();
    json!({ "Cids": cid_list(&tipset.cids), "Blocks": blocks, "Height": tipset.height })
}

fn chain_head(world: &mut World, _: &Params) -> Answer {
    Ok(tipset_json(world, world.chain.head()))
}

fn chain_finalized(world: &mut World, _: &Params) -> Answer {
    Ok(tipset_json(world, world.chain.finalized()))
}

fn chain_get_tipset(world: &mut World, params: &Params) -> Answer {
    let key = params.tipset(0)?;
    let found = tipset(world, key.as_ref())?;
    not_too_old(world, params.kind(), found.height)?;
    Ok(tipset_json(world, found))
}

fn chain_get_tipset_by_height(world: &mut World, params: &Params) -> Answer {
    let height = params.i64(0)?;
    let from = params.tipset(1)?;
    if height > tipset(world, from.as_ref())?.height {
        return Err(RpcError::ordinary(
            "looking for tipset with height greater than start point",
        ));
    }
    not_too_old(world, params.kind(), height)?;
    let found = world.chain.at(height);
    // A height without a tipset is answered with the one before it.
    if found.height <= height {
        Ok(tipset_json(world, found))
    } else {
        Err(RpcError::ordinary("tipset not available"))
    }
}

fn chain_get_message(world: &mut World, params: &Params) -> Answer {
    let cid = params.cid(0)?;
    match world.chain.message(&cid) {
        Some((_, signed)) => Ok(forms::from_message(&signed.message)),
        None => Err(RpcError::ordinary(format!("ipld: could not find {cid}"))),
    }
}

fn network_name(world: &mut World, _: &Params) -> Answer {
    Ok(json!(world.config.network))
}

fn network_version(world: &mut World, params: &Params) -> Answer {
    tipset(world, params.tipset(0)?.as_ref())?;
    Ok(json!(world.config.network_version))
}

fn network_params(world: &mut World, _: &Params) -> Answer {
    Ok(json!({
        "NetworkName": world.config.network,
        "BlockDelaySecs": world.chain.rules.block_delay,
        "ConsensusMinerMinPower": "10995116277760",
        "PreCommitChallengeDelay": 150,
        "ForkUpgradeParams": {},
        "Eip155ChainID": 31_415_926,
        "GenesisTimestamp": world.chain.rules.genesis_time,
    }))
}

/// A gateway answers nothing about tipsets of more than a day ago.
fn not_too_old(world: &World, kind: NodeKind, height: i64) -> Result<(), RpcError> {
    let age = world.chain.epoch().saturating_sub(height);
    if kind == NodeKind::Gateway && age > GATEWAY_DAY {
        return Err(RpcError::ordinary(
            "bad tipset height: lookbacks of more than 24h0m0s are disallowed",
        ));
    }
    Ok(())
}

fn version(world: &mut World, params: &Params) -> Answer {
    Ok(kinds::version(params.kind(), world.chain.rules.block_delay))
}

fn search_message(world: &mut World, params: &Params) -> Answer {
    let from = params.tipset(0)?;
    let cid = params.cid(1)?;
    let how = (params.i64(2)?, params.bool(3)?);
    search(world, params.kind(), from.as_ref(), &cid, how)
}

fn search(
    world: &World,
    kind: NodeKind,
    from: Option<&Vec<Cid>>,
    cid: &Cid,
    (mut lookback, replaced): (i64, bool),
) -> Answer {
    let from = tipset(world, from)?.height;
    not_too_old(world, kind, from)?;
    if kind == NodeKind::Gateway && !(0..=GATEWAY_LOOKBACK).contains(&lookback) {
        lookback = GATEWAY_LOOKBACK;
    }
    match world.chain.search(from, cid, lookback, replaced) {
        Ok(None) => Ok(Value::Null),
        Ok(Some(lookup)) => {
            let mut found = lookup.clone();
            if kind == NodeKind::Forest {
                // It names the message that was asked for, even if another one replaced it.
                found.message = *cid;
            }
            Ok(lookup_json(&found, &Value::Null))
        }
        Err(error) => Err(search_error(cid, &error)),
    }
}

fn search_error(cid: &Cid, error: &SearchError) -> RpcError {
    RpcError::ordinary(match error {
        SearchError::Unknown => format!("failed to load message: ipld: could not find {cid}"),
        SearchError::OtherCall(other) => format!(
            "found message with equal nonce as the one we are looking for that is NOT a valid replacement message (F:{cid} TS: {other})"
        ),
    })
}

fn lookup_json(lookup: &Lookup, decoded: &Value) -> Value {
    let receipt = &lookup.receipt;
    json!({
        "Message": forms::from_cid(Some(&lookup.message)),
        "Receipt": {
            "ExitCode": receipt.exit,
            "Return": forms::from_bytes(&receipt.ret),
            "GasUsed": receipt.gas_used,
            "EventsRoot": null,
        },
        "ReturnDec": decoded,
        "TipSet": cid_list(&lookup.tipset),
        "Height": lookup.height,
    })
}

fn wait_message(shared: Arc<Shared>, _: usize, params: Params) -> Later {
    Box::pin(async move {
        let (cid, confidence) = (params.cid(0)?, params.u64(1)?);
        wait(shared, cid, confidence, params.i64(2)?, params.bool(3)?).await
    })
}

/// Waits until a message's execution tipset is buried by `confidence` epochs. Other calls go on meanwhile; the wait ends
/// with the connection.
async fn wait(
    shared: Arc<Shared>,
    cid: Cid,
    confidence: u64,
    lookback: i64,
    replaced: bool,
) -> Answer {
    if confidence > MAX_CONFIDENCE {
        return Err(RpcError::ordinary(format!(
            "confidence {confidence} is above the limit of {MAX_CONFIDENCE}"
        )));
    }
    // What lies further back than this when the wait begins does not count; what comes later does.
    let begun = shared.world().chain.epoch();
    loop {
        {
            let world = shared.world();
            let head = world.chain.epoch();
            let passed = head.saturating_sub(begun);
            let lookback = if lookback < 0 {
                lookback
            } else {
                lookback.saturating_add(passed)
            };
            let found = world.chain.search(head, &cid, lookback, replaced);
            let found = found.map_err(|error| search_error(&cid, &error))?;
            if let Some(lookup) = found {
                let depth = head.saturating_sub(lookup.height);
                if u64::try_from(depth).unwrap_or(0) >= confidence {
                    return Ok(lookup_json(lookup, &decoded_return(&world, lookup)));
                }
            }
        }
        Timer::after(WAIT_STEP).await;
    }
}

/// The return value in JSON, as only waiting gives it: known for publishing.
fn decoded_return(world: &World, lookup: &Lookup) -> Value {
    let publish = world
        .chain
        .message(&lookup.message)
        .is_some_and(|(_, signed)| {
            signed.message.to == Address::market_actor()
                && signed.message.method == PUBLISH_STORAGE_DEALS
        });
    match PublishReturn::decode(&lookup.receipt.ret) {
        Ok(decoded) if publish => json!({
            "IDs": decoded.ids,
            "ValidDeals": bitfield::run_lengths(&decoded.valid),
        }),
        _ => Value::Null,
    }
}

/// Carries a message out on a copy of the state, without signature, nonce or balance (spec B.14).
fn state_call(world: &mut World, params: &Params) -> Answer {
    let message = params.message(0)?;
    let key = params.tipset(1)?;
    let epoch = tipset(world, key.as_ref())?.height;
    let mut state = State::clone(&*state_at(world, key.as_ref())?);
    if state.resolve(&message.from).is_none() {
        return Err(RpcError::ordinary(format!(
            "failed to look up from actor {}: actor not found",
            message.from
        )));
    }
    let receipt = actors::run(&mut state, epoch, &message);
    let cid = message.cid();
    let error = if receipt.exit == 0 {
        String::new()
    } else {
        format!(
            "message failed with backtrace:\n00: {} (method {}) -- {} ({})\n",
            message.to, message.method, receipt.text, receipt.exit
        )
    };
    let zero = TokenAmount::zero().to_string();
    let result = json!({
        "ExitCode": receipt.exit,
        "Return": forms::from_bytes(&receipt.ret),
        "GasUsed": receipt.gas_used,
        "EventsRoot": null,
    });
    Ok(json!({
        "MsgCid": forms::from_cid(Some(&cid)),
        "Msg": forms::from_message(&message),
        "MsgRct": result,
        "GasCost": {
            "Message": null, "GasUsed": "0", "BaseFeeBurn": zero, "OverEstimationBurn": zero,
            "MinerPenalty": zero, "MinerTip": zero, "Refund": zero, "TotalCost": zero,
        },
        "ExecutionTrace": {
            "Msg": { "From": forms::from_address(&message.from), "To": forms::from_address(&message.to) },
            "MsgRct": result, "InvokedActor": null, "GasCharges": null, "Subcalls": null,
        },
        "Error": error,
        "Duration": 12_345,
    }))
}
