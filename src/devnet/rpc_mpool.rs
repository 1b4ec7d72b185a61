//! Methods that send messages: estimating, signing by the node, pushing (spec chain-sealer-rpc C.2).

use super::actors::{self, BASE_FEE, BLOCK_GAS};
use super::kinds;
use super::market::FIL;
use super::mempool::most_needed;
use super::params::Params;
use super::rpc::{Answer, Method, RpcError, node};
use super::rpc_chain::state_at;
use super::settings::NodeKind;
use super::state::plus;
use super::world::World;
use crate::filecoin::json::{self as forms, JsonError};
use crate::filecoin::market_actor::{
    ADD_BALANCE, WITHDRAW_BALANCE, encode_add_balance, encode_withdraw,
};
use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{Address, TokenAmount};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// attoFIL per unit of gas that miners are offered.
const PREMIUM: u64 = 100_000;

/// How much the base fee may rise before a message no longer gets in: an eighth per block, for 20 blocks.
const BASE_FEE_RISE: i64 = 11;

/// The fee of a message that names none: 0.07 FIL.
const DEFAULT_MAX_FEE: u128 = 7 * FIL / 100;

/// Identities of messages that are remembered.
const MAX_PUSHED: usize = 100_000;

/// The methods.
pub const METHODS: &[Method] = &[
    node("MpoolPushMessage", 2, "sign", push_message),
    node("MpoolPush", 1, "write", push_signed),
    node("MpoolGetNonce", 1, "read", get_nonce),
    node("MpoolPending", 1, "read", pending),
    node("GasEstimateMessageGas", 3, "read", estimate_message),
    node("MarketAddBalance", 3, "sign", market_add_balance),
    node("MarketWithdraw", 3, "sign", market_withdraw),
];

/// What a sender wishes for a message.
#[derive(Default)]
struct SendSpec {
    max_fee: TokenAmount,
    id: Option<Uuid>,
    maximize: bool,
}

impl SendSpec {
    fn decode(value: &Value) -> Result<Self, RpcError> {
        if value.is_null() {
            return Ok(Self::default());
        }
        if !value.is_object() {
            return Err(RpcError::param(1, "not a message spec"));
        }
        let max_fee = match forms::field(value, "MaxFee") {
            None | Some(Value::Null) => TokenAmount::zero(),
            Some(fee) => {
                forms::to_amount(fee).map_err(|JsonError(reason)| RpcError::param(1, reason))?
            }
        };
        let id = match forms::field(value, "MsgUuid") {
            None | Some(Value::Null) => None,
            Some(text) => {
                let id = text.as_str().and_then(|text| Uuid::parse_str(text).ok());
                Some(id.ok_or_else(|| RpcError::param(1, "invalid UUID"))?)
            }
        };
        let maximize = forms::field(value, "MaximizeFeeCap").and_then(Value::as_bool);
        Ok(Self {
            max_fee,
            id: id.filter(|id| !id.is_nil()),
            maximize: maximize.unwrap_or(false),
        })
    }

    /// Lowers (or sets) the fee cap such that the whole message costs no more than it may.
    fn cap(&self, message: &mut Message) {
        let most = if self.max_fee.is_zero() {
            TokenAmount::from_atto(DEFAULT_MAX_FEE)
        } else {
            self.max_fee.clone()
        };
        let per_gas = most
            .atto()
            .checked_div(&message.gas_limit.max(1).into())
            .unwrap_or_default();
        let per_gas = TokenAmount::from_atto(per_gas);
        if self.maximize || message.gas_fee_cap > per_gas {
            message.gas_fee_cap = per_gas;
        }
        if message.gas_premium > message.gas_fee_cap {
            message.gas_premium.clone_from(&message.gas_fee_cap);
        }
    }
}

/// The key address of a sender that may be given by its ID.
fn sender_key(world: &World, from: &Address) -> Result<Address, RpcError> {
    let state = world.chain.state();
    let key = state
        .resolve(from)
        .and_then(|number| state.key_address(number));
    key.ok_or_else(|| {
        RpcError::ordinary(format!(
            "getting key address: failed to find actor: {from}: actor not found"
        ))
    })
}

/// Fills limit, cap and premium in where they are zero, by carrying the message out on what the sender has on its way.
fn estimate(world: &World, message: &mut Message, spec: &SendSpec) -> Result<(), RpcError> {
    if message.gas_limit == 0 {
        let mut state = world.chain.next_state();
        let epoch = world.chain.epoch();
        let key = sender_key(world, &message.from)?;
        let on_chain = Arc::make_mut(&mut state);
        for waiting in world.chain.pool.of(&key) {
            actors::apply(on_chain, epoch, &waiting.message);
        }
        let receipt = actors::run(on_chain, epoch, message);
        if receipt.gas_used > BLOCK_GAS {
            return Err(RpcError::coded(2, "call ran out of gas"));
        }
        if receipt.exit != 0 {
            return Err(RpcError::ordinary(format!(
                "estimating gas used: message execution failed: exit {}, reason: {} (RetCode={})",
                receipt.exit, receipt.text, receipt.exit
            )));
        }
        let quarter = receipt.gas_used.div_euclid(4);
        message.gas_limit = receipt.gas_used.saturating_add(quarter).min(BLOCK_GAS);
    }
    if message.gas_premium.is_zero() {
        message.gas_premium = TokenAmount::from_atto(PREMIUM);
    }
    if message.gas_fee_cap.is_zero() {
        let base = TokenAmount::from_atto(BASE_FEE).times(BASE_FEE_RISE);
        message.gas_fee_cap = plus(&base, &message.gas_premium);
    }
    spec.cap(message);
    Ok(())
}

fn estimate_message(world: &mut World, params: &Params) -> Answer {
    let mut message = params.message(0)?;
    let spec = SendSpec::decode(params.raw(1))?;
    state_at(world, params.tipset(2)?.as_ref())?;
    estimate(world, &mut message, &spec)?;
    Ok(forms::from_message(&message))
}

fn push_message(world: &mut World, params: &Params) -> Answer {
    let message = params.message(0)?;
    let mut spec = SendSpec::decode(params.raw(1))?;
    let keeps = world.config.message_ids && kinds::keeps_ids(params.kind());
    spec.id = spec.id.filter(|_| keeps);
    let signed = send(world, message, &spec)?;
    Ok(forms::from_signed_message(&signed))
}

/// Estimates, numbers, signs and pushes a message by the node's own key.
fn send(
    world: &mut World,
    mut message: Message,
    spec: &SendSpec,
) -> Result<SignedMessage, RpcError> {
    if message.nonce != 0 {
        return Err(RpcError::ordinary(format!(
            "MpoolPushMessage expects message nonce to be 0, was {}",
            message.nonce
        )));
    }
    if let Some(known) = spec.id.and_then(|id| world.pushed.get(&id)) {
        return Ok(known.clone());
    }
    message.from = sender_key(world, &message.from)?;
    estimate(world, &mut message, spec).map_err(|error| {
        RpcError::ordinary(format!("GasEstimateMessageGas error: {}", error.message))
    })?;
    let state = world.chain.next_state();
    let needed = most_needed(&message);
    let balance = state
        .resolve(&message.from)
        .map_or_else(TokenAmount::zero, |number| state.balance(number));
    if balance < needed {
        return Err(RpcError::ordinary(format!(
            "mpool push: not enough funds: {balance} < {needed}"
        )));
    }
    message.nonce = world.chain.pool.next_nonce(&state, &message.from);
    let Some(key) = world.key(&message.from) else {
        return Err(RpcError::ordinary(format!(
            "mpool push: failed to sign message: signing using key '{}': key info not found",
            message.from
        )));
    };
    let signed = message.sign(key);
    push(world, signed.clone())?;
    if let Some(id) = spec.id {
        if world.pushed.len() >= MAX_PUSHED {
            world.pushed.pop_first();
        }
        world.pushed.insert(id, signed.clone());
    }
    Ok(signed)
}

fn push(world: &mut World, signed: SignedMessage) -> Result<cid::Cid, RpcError> {
    let pushed = world.chain.push(signed);
    pushed.map_err(|error| RpcError::ordinary(format!("mpool push: {error}")))
}

fn push_signed(world: &mut World, params: &Params) -> Answer {
    let signed = params.signed_message(0)?;
    if params.kind() == NodeKind::Gateway {
        // What strangers push has no nonces ahead of its time.
        let next = next_nonce(world, &signed.message.from)?;
        if signed.message.nonce > next {
            return Err(RpcError::ordinary("mpool push: unfulfilled nonce gap"));
        }
    }
    let cid = push(world, signed)?;
    Ok(forms::from_cid(Some(&cid)))
}

fn get_nonce(world: &mut World, params: &Params) -> Answer {
    Ok(json!(next_nonce(world, &params.address(0)?)?))
}

fn next_nonce(world: &World, address: &Address) -> Result<u64, RpcError> {
    let state = world.chain.next_state();
    let Some(actor) = state.actor(address) else {
        return Err(RpcError::ordinary(format!(
            "resolution lookup failed ({address}): actor not found"
        )));
    };
    let key = actor.robust.as_ref().unwrap_or(address);
    Ok(world.chain.pool.next_nonce(&state, key))
}

fn pending(world: &mut World, params: &Params) -> Answer {
    state_at(world, params.tipset(0)?.as_ref())?;
    let messages: Vec<Value> = world
        .chain
        .pool
        .all()
        .map(forms::from_signed_message)
        .collect();
    // A list that was never appended to.
    Ok(if messages.is_empty() {
        Value::Null
    } else {
        Value::Array(messages)
    })
}

/// A message to the market actor by a wallet of the node.
fn to_market(
    world: &mut World,
    from: Address,
    value: TokenAmount,
    method: u64,
    params: Vec<u8>,
) -> Answer {
    let message = Message {
        version: 0,
        to: Address::market_actor(),
        from,
        nonce: 0,
        value,
        gas_limit: 0,
        gas_fee_cap: TokenAmount::zero(),
        gas_premium: TokenAmount::zero(),
        method,
        params,
    };
    let signed = send(world, message, &SendSpec::default())?;
    Ok(forms::from_cid(Some(&signed.cid())))
}

fn market_add_balance(world: &mut World, params: &Params) -> Answer {
    let (wallet, address) = (params.address(0)?, params.address(1)?);
    let body = encode_add_balance(&address);
    to_market(world, wallet, params.amount(2)?, ADD_BALANCE, body)
}

fn market_withdraw(world: &mut World, params: &Params) -> Answer {
    let (wallet, address) = (params.address(0)?, params.address(1)?);
    let body = encode_withdraw(&address, &params.amount(2)?);
    to_market(world, wallet, TokenAmount::zero(), WITHDRAW_BALANCE, body)
}
