//! Methods about the node's keys and about tokens (spec chain-sealer-rpc A.3, C.2).

use super::jwt;
use super::params::Params;
use super::rpc::{Answer, Method, RpcError, node};
use super::world::World;
use crate::filecoin::{Address, SecretKey, json as forms};
use serde_json::{Value, json};

/// The node's methods.
pub const METHODS: &[Method] = &[
    node("WalletSign", 2, "sign", sign),
    node("WalletSignMessage", 2, "sign", sign_message),
    node("WalletVerify", 3, "read", verify),
    node("WalletHas", 1, "write", has),
    node("WalletList", 0, "write", list),
    node("WalletDefaultAddress", 0, "write", default_address),
];

/// The token methods, which the miner has too.
pub const TOKEN_METHODS: &[Method] = &[
    node("AuthVerify", 1, "read", auth_verify),
    node("AuthNew", 1, "admin", auth_new),
];

/// The node's key behind an address; an ID is resolved first.
fn key<'w>(world: &'w World, address: &Address) -> Result<&'w SecretKey, RpcError> {
    let state = world.chain.state();
    let resolved = match address.actor_id() {
        None => Some(address.clone()),
        Some(number) => state.key_address(number),
    };
    let Some(resolved) = resolved else {
        return Err(RpcError::ordinary(format!(
            "failed to resolve ID address: {address}"
        )));
    };
    world.key(&resolved).ok_or_else(|| {
        RpcError::ordinary(format!(
            "signing using key '{resolved}': key info not found"
        ))
    })
}

fn sign(world: &mut World, params: &Params) -> Answer {
    let key = key(world, &params.address(0)?)?;
    Ok(forms::from_signature(&key.sign(&params.bytes(1)?)))
}

fn sign_message(world: &mut World, params: &Params) -> Answer {
    let key = key(world, &params.address(0)?)?;
    let signed = params.message(1)?.sign(key);
    Ok(forms::from_signed_message(&signed))
}

fn verify(_: &mut World, params: &Params) -> Answer {
    let address = params.address(0)?;
    let bytes = params.bytes(1)?;
    let signature = params.signature(2)?;
    Ok(json!(signature.verify(&address, &bytes)))
}

/// Asks for the key itself: an ID address is not looked up (spec C.2).
fn has(world: &mut World, params: &Params) -> Answer {
    Ok(json!(world.key(&params.address(0)?).is_some()))
}

fn list(world: &mut World, _: &Params) -> Answer {
    let keys = world.keys.values();
    let addresses = keys.map(|key| forms::from_address(&key.address()));
    Ok(Value::Array(addresses.collect()))
}

fn default_address(world: &mut World, _: &Params) -> Answer {
    match &world.default_key {
        Some(address) => Ok(forms::from_address(address)),
        None => Err(RpcError::ordinary(
            "failed to get default key: key info not found",
        )),
    }
}

fn auth_verify(world: &mut World, params: &Params) -> Answer {
    match jwt::verify(&world.token_secret, params.text(0)?) {
        Some(allowed) => Ok(json!(allowed)),
        None => Err(RpcError::ordinary("JWT Verification failed")),
    }
}

fn auth_new(world: &mut World, params: &Params) -> Answer {
    let token = jwt::issue(&world.token_secret, &params.texts(0)?);
    Ok(forms::from_bytes(token.as_bytes()))
}
