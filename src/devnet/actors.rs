//! Carrying out a message: who is asked, what it costs, what comes back (spec chain-sealer-rpc C.5, D.1, D.6).

use super::market::{self, malformed};
use super::state::{Exit, Kind, State, exit, minus, plus};
use crate::filecoin::address::Protocol;
use crate::filecoin::cbor;
use crate::filecoin::market_actor::{
    ADD_BALANCE, AUTHENTICATE_MESSAGE, PUBLISH_STORAGE_DEALS, WITHDRAW_BALANCE,
    decode_authenticate, decode_publish,
};
use crate::filecoin::message::Message;
use crate::filecoin::{ChainEpoch, Signature, SignatureKind, TokenAmount};

/// attoFIL per unit of gas; constant here.
pub const BASE_FEE: u64 = 100;

/// The most gas of a block, and so of a message.
pub const BLOCK_GAS: i64 = 10_000_000_000;

/// The smallest number of an exported method (FRC-42).
const FIRST_EXPORTED: u64 = 1 << 24;

/// CBOR `true`.
const TRUE: u8 = 0xf5;

/// A miner's multiaddrs and peer ID are small; more than this is refused.
const MAX_CONTACT_BYTES: usize = 1024;

/// How a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// 0 is success (spec D.6).
    pub exit: i64,
    /// CBOR, may be empty.
    pub ret: Vec<u8>,
    /// Units.
    pub gas_used: i64,
    /// What a trace would say about a failure; not part of a receipt on a real chain.
    pub text: String,
}

/// One call of an actor's method.
pub struct Call<'a> {
    /// Changed only by a method that succeeds.
    pub state: &'a mut State,
    /// The height of the tipset that holds the message.
    pub epoch: ChainEpoch,
    /// The caller's number.
    pub from: u64,
    /// The callee's number.
    pub to: u64,
    /// attoFIL that come with the call.
    pub value: &'a TokenAmount,
    /// CBOR.
    pub params: &'a [u8],
}

/// A method of an actor.
pub type Method = fn(&mut Call<'_>) -> Result<Vec<u8>, Exit>;

/// Numbers and exported numbers of the market's methods.
pub const MARKET_METHODS: &[(u64, u64, Method)] = &[
    (ADD_BALANCE, 822_473_126, market::add_balance),
    (WITHDRAW_BALANCE, 2_280_458_852, market::withdraw_balance),
    (
        PUBLISH_STORAGE_DEALS,
        2_236_929_350,
        super::publish::publish,
    ),
];

/// The miner's methods that a market node uses.
pub const MINER_METHODS: &[(u64, u64, Method)] = &[
    (4, 1_236_548_004, change_peer_id),
    (18, 1_063_480_576, change_multiaddrs),
];

/// Carries a mined message out: the value moves, the fee is paid, the nonce goes up.
pub fn apply(state: &mut State, epoch: ChainEpoch, message: &Message) -> Receipt {
    let Some(from) = state.resolve(&message.from) else {
        return failure(1, "the sender does not exist", 0);
    };
    if let Some(actor) = state.actors.get_mut(&from) {
        actor.nonce = actor.nonce.saturating_add(1);
    }
    let needed = gas_of(message);
    let receipt = if needed > message.gas_limit {
        failure(exit::OUT_OF_GAS, "out of gas", message.gas_limit)
    } else {
        run(state, epoch, message)
    };
    let wasted = wasted(message.gas_limit, receipt.gas_used);
    let burnt = TokenAmount::from_atto(BASE_FEE).times(receipt.gas_used.saturating_add(wasted));
    let tip = message.gas_premium.times(message.gas_limit);
    let fee = plus(&burnt, &tip).min(message.gas_fee_cap.times(message.gas_limit));
    state.credit(from, &minus(&TokenAmount::zero(), &fee));
    receipt
}

/// Units of gas that are paid for though they were not used: beyond a tenth more than was used, the same share of the rest as
/// the limit lies beyond that tenth; all of the rest from twice on.
fn wasted(limit: i64, used: i64) -> i64 {
    let rest = limit.saturating_sub(used).max(0);
    let beyond = limit.saturating_sub(used.saturating_mul(11) / 10).max(0);
    if beyond >= used {
        return rest;
    }
    // Less than 2^80: gas of a block is less than 2^40.
    let product = i128::from(rest).saturating_mul(i128::from(beyond));
    let share = product.checked_div(i128::from(used));
    share.map_or(rest, |share| i64::try_from(share).unwrap_or(rest))
}

/// Carries a message out without looking at nonce, fees or signature.
pub fn run(state: &mut State, epoch: ChainEpoch, message: &Message) -> Receipt {
    let gas_used = gas_of(message);
    match invoke(state, epoch, message) {
        Ok(ret) => Receipt {
            exit: 0,
            ret,
            gas_used,
            text: String::new(),
        },
        Err(reason) => failure(reason.code, &reason.text, gas_used),
    }
}

fn failure(exit: i64, text: &str, gas_used: i64) -> Receipt {
    Receipt {
        exit,
        ret: Vec::new(),
        gas_used,
        text: text.to_owned(),
    }
}

/// Units of gas of a message, close to what the main network takes (spec D.5).
pub fn gas_of(message: &Message) -> i64 {
    let size = i64::try_from(message.params.len()).unwrap_or(i64::MAX);
    let base = size.saturating_mul(1_300).saturating_add(2_000_000);
    let to_market = message.to.actor_id() == Some(super::state::MARKET);
    if !to_market || message.method != PUBLISH_STORAGE_DEALS {
        return base;
    }
    let Ok(deals) = decode_publish(&message.params) else {
        return base;
    };
    let per_deal = |verified: bool| if verified { 107_000_000 } else { 60_000_000 };
    deals.iter().fold(50_000_000, |gas: i64, deal| {
        gas.saturating_add(per_deal(deal.proposal.verified))
    })
}

fn invoke(state: &mut State, epoch: ChainEpoch, message: &Message) -> Result<Vec<u8>, Exit> {
    let from = state
        .resolve(&message.from)
        .ok_or_else(|| Exit::new(1, "the sender does not exist"))?;
    if message.value.is_negative() || message.value > state.balance(from) {
        return Err(Exit::new(
            exit::INSUFFICIENT_FUNDS,
            "the sender's balance does not cover the value",
        ));
    }
    let to = state
        .resolve_or_create(&message.to)
        .ok_or_else(|| Exit::new(5, format!("receiver {} does not exist", message.to)))?;
    let mut call = Call {
        state,
        epoch,
        from,
        to,
        value: &message.value,
        params: &message.params,
    };
    let ret = dispatch(&mut call, message.method)?;
    state.credit(from, &minus(&TokenAmount::zero(), &message.value));
    state.credit(to, &message.value);
    Ok(ret)
}

/// Finds the method of the receiving actor.
fn dispatch(call: &mut Call<'_>, method: u64) -> Result<Vec<u8>, Exit> {
    if method == 0 {
        return Ok(Vec::new());
    }
    let kind = call.state.actors.get(&call.to).map(|actor| &actor.kind);
    let table = match kind {
        Some(Kind::Builtin("storagemarket")) => MARKET_METHODS,
        Some(Kind::Miner(_)) => MINER_METHODS,
        Some(Kind::Account | Kind::EthAccount | Kind::Contract { .. }) => {
            return account_method(call, method);
        }
        _ => &[],
    };
    let found = table
        .iter()
        .find(|(number, exported, _)| *number == method || *exported == method);
    match found {
        Some((_, _, run)) => run(call),
        None => Err(Exit::new(
            exit::UNHANDLED,
            format!("no method {method} on this actor"),
        )),
    }
}

/// Accounts and contracts know AuthenticateMessage, and accept every other exported method with an empty return.
fn account_method(call: &Call<'_>, method: u64) -> Result<Vec<u8>, Exit> {
    if method == AUTHENTICATE_MESSAGE {
        let (signature, bytes) = decode_authenticate(call.params).map_err(malformed)?;
        return authenticate(call.state, call.to, &signature, &bytes);
    }
    if method >= FIRST_EXPORTED {
        return Ok(Vec::new());
    }
    let text = format!("no method {method} on an account");
    Err(Exit::new(exit::UNHANDLED, text))
}

/// What an actor returns from AuthenticateMessage (spec C.6): CBOR `true` from accounts and contracts whose key has
/// signed, nothing at all from an Ethereum account.
pub fn authenticate(
    state: &State,
    number: u64,
    signature: &[u8],
    bytes: &[u8],
) -> Result<Vec<u8>, Exit> {
    let Some(actor) = state.actors.get(&number) else {
        return Err(Exit::new(exit::NOT_FOUND, "no such actor"));
    };
    let (key, code) = match &actor.kind {
        Kind::Account => (actor.robust.clone(), exit::ILLEGAL_ARGUMENT),
        Kind::Contract { signer } => (Some(signer.clone()), exit::REVERTED),
        Kind::EthAccount => return Ok(Vec::new()),
        Kind::Miner(_) | Kind::Builtin(_) => {
            return Err(Exit::new(exit::UNHANDLED, "no AuthenticateMessage"));
        }
    };
    let key = key.ok_or_else(|| Exit::new(exit::NOT_FOUND, "the account has no key"))?;
    let kind = match key.protocol() {
        Protocol::Bls => SignatureKind::Bls,
        _ => SignatureKind::Secp256k1,
    };
    let signature = Signature {
        kind,
        data: signature.to_vec(),
    };
    if signature.verify(&key, bytes) {
        Ok(vec![TRUE])
    } else {
        Err(Exit::new(code, "bad signature"))
    }
}

/// The caller has to be allowed to send for the miner that is called.
fn require_sender(call: &Call<'_>) -> Result<(), Exit> {
    let allowed = call
        .state
        .miner(call.to)
        .is_some_and(|miner| miner.may_send(call.from));
    if allowed {
        Ok(())
    } else {
        Err(Exit::new(exit::FORBIDDEN, "caller is not permitted"))
    }
}

/// ChangePeerID: array(1) of the binary peer ID.
fn change_peer_id(call: &mut Call<'_>) -> Result<Vec<u8>, Exit> {
    require_sender(call)?;
    let mut decoder = minicbor::Decoder::new(call.params);
    if decoder.array().map_err(malformed)? != Some(1) {
        return Err(malformed("not one value"));
    }
    let peer_id = cbor::get_bytes(&mut decoder, MAX_CONTACT_BYTES).map_err(malformed)?;
    if let Some(miner) = call.state.miner_mut(call.to) {
        miner.peer_id = peer_id;
    }
    Ok(Vec::new())
}

/// ChangeMultiaddrs: array(1) of an array of binary multiaddrs.
fn change_multiaddrs(call: &mut Call<'_>) -> Result<Vec<u8>, Exit> {
    require_sender(call)?;
    let mut decoder = minicbor::Decoder::new(call.params);
    if decoder.array().map_err(malformed)? != Some(1) {
        return Err(malformed("not one value"));
    }
    let count = decoder.array().map_err(malformed)?.unwrap_or(0);
    let mut multiaddrs = Vec::new();
    let mut total = 0_usize;
    for _ in 0..count {
        let address = cbor::get_bytes(&mut decoder, MAX_CONTACT_BYTES).map_err(malformed)?;
        total = total.saturating_add(address.len().max(1));
        if total > MAX_CONTACT_BYTES {
            return Err(Exit::new(exit::ILLEGAL_ARGUMENT, "multiaddrs are too long"));
        }
        multiaddrs.push(address);
    }
    if let Some(miner) = call.state.miner_mut(call.to) {
        miner.multiaddrs = multiaddrs;
    }
    Ok(Vec::new())
}
