//! Methods about actors: miners, accounts, the market, DataCap (spec chain-sealer-rpc B.3–B.10, B.15–B.17).

use super::market::{Allocation, least_collateral, total_supply};
use super::params::Params;
use super::rpc::{Answer, Method, RpcError, node};
use super::rpc_chain::state_at;
use super::state::{Actor, Kind, Miner, State};
use super::world::World;
use crate::filecoin::{Address, TokenAmount, cids, json as forms};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;

/// `StateLookupID` answers this code for an address that nobody has.
const ACTOR_NOT_FOUND: i64 = 11;

/// Epochs of a miner's proving period.
const PROVING_PERIOD: i64 = 2880;

/// Epochs of one of its 48 windows.
const WINDOW: i64 = 60;

/// The methods.
pub const METHODS: &[Method] = &[
    node("StateMinerInfo", 2, "read", miner_info),
    node("StateLookupID", 2, "read", lookup_id),
    node("StateAccountKey", 2, "read", account_key),
    node("StateMarketBalance", 2, "read", market_balance),
    node(
        "StateDealProviderCollateralBounds",
        3,
        "read",
        collateral_bounds,
    ),
    node(
        "StateVerifiedClientStatus",
        2,
        "read",
        verified_client_status,
    ),
    node("StateGetActor", 2, "read", get_actor),
    node("WalletBalance", 1, "read", wallet_balance),
    node("StateMarketStorageDeal", 2, "read", market_deal),
    node("StateMinerProvingDeadline", 2, "read", proving_deadline),
    node(
        "StateGetAllocationIdForPendingDeal",
        2,
        "read",
        allocation_id,
    ),
    node(
        "StateGetAllocationForPendingDeal",
        2,
        "read",
        allocation_for_deal,
    ),
    node("StateGetAllocation", 3, "read", get_allocation),
    node("StateSectorGetInfo", 3, "read", sector_info),
];

/// The state that the tipset key at this place of the parameters is about.
fn state(world: &World, params: &Params, index: usize) -> Result<Arc<State>, RpcError> {
    state_at(world, params.tipset(index)?.as_ref())
}

/// The actor behind an address, or an error with this beginning.
fn actor<'s>(state: &'s State, address: &Address, what: &str) -> Result<&'s Actor, RpcError> {
    state
        .actor(address)
        .ok_or_else(|| RpcError::ordinary(format!("{what}{address}: actor not found")))
}

/// The miner behind an address.
fn miner<'s>(state: &'s State, address: &Address) -> Result<&'s Miner, RpcError> {
    let actor = actor(state, address, "failed to load miner actor: ")?;
    match &actor.kind {
        Kind::Miner(miner) => Ok(miner),
        other => Err(RpcError::ordinary(format!(
            "failed to load miner actor state: unknown actor code {}",
            code_cid(other)
        ))),
    }
}

/// A stand-in for the CID of an actor's code.
fn code_cid(kind: &Kind) -> cid::Cid {
    cids::chain_cid(format!("coracle devnet/{}", kind.code_name()).as_bytes())
}

fn id_json(number: u64) -> Value {
    forms::from_address(&Address::id(number))
}

/// A list that is null when empty.
fn list_json(list: Vec<Value>) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        Value::Array(list)
    }
}

fn miner_info(world: &mut World, params: &Params) -> Answer {
    let state = state(world, params, 1)?;
    let miner = miner(&state, &params.address(0)?)?;
    let peer_id = libp2p::PeerId::from_bytes(&miner.peer_id).ok();
    let addresses = miner.multiaddrs.iter();
    let proof = if miner.sector_size > 32 << 30 { 9 } else { 8 };
    Ok(json!({
        "Owner": id_json(miner.owner),
        "Worker": id_json(miner.worker),
        "NewWorker": "<empty>",
        "ControlAddresses": list_json(miner.control.iter().map(|actor| id_json(*actor)).collect()),
        "WorkerChangeEpoch": -1,
        "PeerId": peer_id.map(libp2p::PeerId::to_base58),
        "Multiaddrs": list_json(addresses.map(|bytes| json!(STANDARD.encode(bytes))).collect()),
        "WindowPoStProofType": proof,
        "SectorSize": miner.sector_size,
        "WindowPoStPartitionSectors": 2349,
        "ConsensusFaultElapsed": -1,
        "PendingOwnerAddress": null,
        "Beneficiary": id_json(miner.owner),
        "BeneficiaryTerm": { "Quota": "0", "UsedQuota": "0", "Expiration": 0 },
        "PendingBeneficiaryTerm": null,
    }))
}

fn lookup_id(world: &mut World, params: &Params) -> Answer {
    let address = params.address(0)?;
    let state = state(world, params, 1)?;
    if address.actor_id().is_some() {
        return Ok(forms::from_address(&address));
    }
    match state.resolve(&address) {
        Some(number) => Ok(id_json(number)),
        None => Err(RpcError::coded(ACTOR_NOT_FOUND, "actor not found")),
    }
}

fn account_key(world: &mut World, params: &Params) -> Answer {
    use crate::filecoin::address::Protocol;
    let address = params.address(0)?;
    let state = state(world, params, 1)?;
    if !matches!(address.protocol(), Protocol::Id | Protocol::Actor) {
        return Ok(forms::from_address(&address));
    }
    let Some(number) = state.resolve(&address) else {
        return Err(RpcError::ordinary(format!(
            "failed to find actor: {address}: actor not found"
        )));
    };
    match state.key_address(number) {
        Some(key) => Ok(forms::from_address(&key)),
        None => Err(RpcError::ordinary(format!(
            "failed to get account actor state for {address}: unknown actor code"
        ))),
    }
}

fn market_balance(world: &mut World, params: &Params) -> Answer {
    let address = params.address(0)?;
    let state = state(world, params, 1)?;
    let Some(number) = state.resolve(&address) else {
        return Err(RpcError::ordinary(format!(
            "failed to resolve address {address}: actor not found"
        )));
    };
    let balance = state.market.balance(number);
    Ok(json!({
        "Escrow": forms::from_amount(&balance.escrow),
        "Locked": forms::from_amount(&balance.locked),
    }))
}

/// The node's least collateral is a tenth above the actor's.
fn collateral_bounds(world: &mut World, params: &Params) -> Answer {
    let (size, _verified) = (params.u64(0)?, params.bool(1)?);
    state(world, params, 2)?;
    let least = least_collateral(size).times(110);
    let least = least.atto().checked_div(&100.into()).unwrap_or_default();
    Ok(json!({
        "Min": forms::from_amount(&TokenAmount::from_atto(least)),
        "Max": forms::from_amount(&total_supply()),
    }))
}

fn verified_client_status(world: &mut World, params: &Params) -> Answer {
    let address = params.address(0)?;
    let state = state(world, params, 1)?;
    let Some(number) = state.resolve(&address) else {
        return Err(RpcError::ordinary(format!(
            "look up ID address: {address}: actor not found"
        )));
    };
    let cap = state.market.datacap.get(&number);
    Ok(cap.map_or(Value::Null, forms::from_amount))
}

fn get_actor(world: &mut World, params: &Params) -> Answer {
    let address = params.address(0)?;
    let state = state(world, params, 1)?;
    let actor = state
        .actor(&address)
        .ok_or_else(|| RpcError::ordinary("actor not found"))?;
    let delegated = match actor.kind {
        Kind::EthAccount | Kind::Contract { .. } => actor.robust.as_ref(),
        _ => None,
    };
    let code = code_cid(&actor.kind);
    let head = cids::chain_cid(address.as_bytes());
    Ok(json!({
        "Code": forms::from_cid(Some(&code)),
        "Head": forms::from_cid(Some(&head)),
        "Nonce": actor.nonce,
        "Balance": forms::from_amount(&actor.balance),
        "DelegatedAddress": delegated.map(forms::from_address),
    }))
}

fn wallet_balance(world: &mut World, params: &Params) -> Answer {
    let address = params.address(0)?;
    let actor = world.chain.state().actor(&address);
    let balance = actor.map_or_else(TokenAmount::zero, |actor| actor.balance.clone());
    Ok(forms::from_amount(&balance))
}

fn market_deal(world: &mut World, params: &Params) -> Answer {
    let number = params.u64(0)?;
    let state = state(world, params, 1)?;
    let Some(deal) = state.market.deals.get(&number) else {
        return Err(RpcError::ordinary(format!(
            "deal {number} not found - deal may not have completed sealing before deal proposal start epoch, or deal may have been slashed"
        )));
    };
    let (sector, start) = deal.sector.unwrap_or((0, -1));
    Ok(json!({
        "Proposal": forms::from_proposal(&deal.proposal),
        "State": {
            "SectorNumber": sector,
            "SectorStartEpoch": start,
            "LastUpdatedEpoch": -1,
            "SlashEpoch": deal.slashed.unwrap_or(-1),
        },
    }))
}

fn proving_deadline(world: &mut World, params: &Params) -> Answer {
    let state = state(world, params, 1)?;
    miner(&state, &params.address(0)?)?;
    let epoch = world.chain.epoch();
    let into = epoch.rem_euclid(PROVING_PERIOD);
    let start = epoch.saturating_sub(into);
    let index = into.div_euclid(WINDOW);
    let open = start.saturating_add(index.saturating_mul(WINDOW));
    Ok(json!({
        "CurrentEpoch": epoch,
        "PeriodStart": start,
        "Index": index,
        "Open": open,
        "Close": open.saturating_add(WINDOW),
        "Challenge": open.saturating_sub(20),
        "FaultCutoff": open.saturating_sub(70),
        "WPoStPeriodDeadlines": 48,
        "WPoStProvingPeriod": PROVING_PERIOD,
        "WPoStChallengeWindow": WINDOW,
        "WPoStChallengeLookback": 20,
        "FaultDeclarationCutoff": 70,
    }))
}

fn allocation_json(allocation: Option<&Allocation>) -> Value {
    allocation.map_or(Value::Null, |allocation| {
        json!({
            "Client": allocation.client,
            "Provider": allocation.provider,
            "Data": forms::from_cid(Some(&allocation.data)),
            "Size": allocation.size,
            "TermMin": allocation.term_min,
            "TermMax": allocation.term_max,
            "Expiration": allocation.expiration,
        })
    })
}

fn allocation_id(world: &mut World, params: &Params) -> Answer {
    let state = state(world, params, 1)?;
    let deal = state.market.deals.get(&params.u64(0)?);
    Ok(json!(deal.and_then(|deal| deal.allocation).unwrap_or(0)))
}

fn allocation_for_deal(world: &mut World, params: &Params) -> Answer {
    let state = state(world, params, 1)?;
    let deal = state.market.deals.get(&params.u64(0)?);
    let number = deal.and_then(|deal| deal.allocation);
    let allocation = number.and_then(|number| state.market.allocations.get(&number));
    Ok(allocation_json(allocation))
}

fn get_allocation(world: &mut World, params: &Params) -> Answer {
    let address = params.address(0)?;
    let state = state(world, params, 2)?;
    let client = state.resolve(&address);
    let allocation = state.market.allocations.get(&params.u64(1)?);
    let allocation = allocation.filter(|allocation| Some(allocation.client) == client);
    Ok(allocation_json(allocation))
}

fn sector_info(world: &mut World, params: &Params) -> Answer {
    let state = state(world, params, 2)?;
    let miner = miner(&state, &params.address(0)?)?;
    let number = params.u64(1)?;
    let Some(sector) = miner.sectors.get(&number) else {
        return Ok(Value::Null);
    };
    let sealed = cids::chain_cid(&number.to_be_bytes());
    Ok(json!({
        "SectorNumber": number,
        "SealProof": 8,
        "SealedCID": forms::from_cid(Some(&sealed)),
        "DeprecatedDealIDs": null,
        "Activation": sector.activation,
        "Expiration": sector.expiration,
        "DealWeight": sector.deal_weight.to_string(),
        "VerifiedDealWeight": sector.verified_weight.to_string(),
        "InitialPledge": "0",
        "PowerBaseEpoch": sector.activation,
        "Flags": 0,
    }))
}
