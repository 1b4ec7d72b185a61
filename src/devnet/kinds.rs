//! The kinds of nodes: what one kind does otherwise than Lotus (spec chain-sealer-rpc A.4, A.8, C.2, G, H). Pure.

use super::rpc::{Form, RpcError};
use super::settings::{DevnetConfig, NodeKind};
use hyper::StatusCode;
use serde_json::{Value, json};

/// Epochs that a gateway looks back for a message, and the most that it waits for.
pub const GATEWAY_LOOKBACK: i64 = 20;

/// Epochs of a day: a gateway answers nothing about older tipsets.
pub const GATEWAY_DAY: i64 = 2_880;

/// What a gateway has.
const GATEWAY: &[&str] = &[
    "ChainHead",
    "ChainGetMessage",
    "ChainGetTipSet",
    "ChainGetTipSetByHeight",
    "ChainGetFinalizedTipSet",
    "GasEstimateMessageGas",
    "MpoolGetNonce",
    "MpoolPending",
    "MpoolPush",
    "StateAccountKey",
    "StateCall",
    "StateDealProviderCollateralBounds",
    "StateGetActor",
    "StateGetAllocation",
    "StateGetAllocationForPendingDeal",
    "StateGetNetworkParams",
    "StateLookupID",
    "StateMarketBalance",
    "StateMarketStorageDeal",
    "StateMinerInfo",
    "StateNetworkName",
    "StateNetworkVersion",
    "StateSearchMsg",
    "StateWaitMsg",
    "StateVerifiedClientStatus",
    "StateSectorGetInfo",
    "WalletBalance",
    "Version",
];

/// What Forest lacks of what we have.
const NOT_IN_FOREST: &[&str] = &["MarketWithdraw"];

/// The kind of the node with this place: 0, then the further ones.
pub fn kind_of(config: &DevnetConfig, node: usize) -> NodeKind {
    match node.checked_sub(1) {
        None => config.kind,
        Some(further) => config.more_nodes.get(further).copied().unwrap_or_default(),
    }
}

/// Whether this kind of node has a method.
pub fn has(kind: NodeKind, method: &str) -> bool {
    match kind {
        NodeKind::Lotus | NodeKind::Venus => true,
        NodeKind::Forest => !NOT_IN_FOREST.contains(&method),
        NodeKind::Gateway => GATEWAY.contains(&method),
    }
}

/// Whether this kind of node sends once per `MsgUuid`.
pub fn keeps_ids(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Lotus | NodeKind::Gateway)
}

/// What the node says of itself.
pub fn version(kind: NodeKind, block_delay: u64) -> Value {
    // 2.3.0 of the interface.
    let api = 131_840;
    let lotus = concat!("1.36.2+coracle-devnet-", env!("CARGO_PKG_VERSION"));
    match kind {
        NodeKind::Lotus | NodeKind::Gateway => {
            json!({ "Version": lotus, "APIVersion": api, "BlockDelay": block_delay, "Agent": "lotus" })
        }
        NodeKind::Forest => json!({
            "Version": "0.36.0+git.0c0ac1e", "APIVersion": api, "BlockDelay": block_delay, "Agent": "forest",
        }),
        NodeKind::Venus => json!({ "Version": "v1.18.0+git.0c0ac1e", "APIVersion": api }),
    }
}

/// An error as this kind of node tells it.
pub fn error(kind: NodeKind, mut error: RpcError) -> RpcError {
    if kind != NodeKind::Forest || matches!(error.form, Form::Page | Form::Nothing) {
        return error;
    }
    error.code = match (error.form, error.code) {
        (Form::Forbidden, _) => -32003,
        // Scripted errors keep codes that are Forest's already.
        (_, 1 | 2 | 3 | 11 | 12) => -32603,
        (_, -32601) => -32001,
        (_, -32700) if error.message.starts_with("unmarshaling params") => -32602,
        (_, code) => code,
    };
    error.status = StatusCode::OK;
    error
}

/// Forest takes members by their exact names and refuses those it does not know; which must be there differs.
const MESSAGE: &[&str] = &[
    "Version",
    "To",
    "From",
    "Nonce",
    "Value",
    "GasLimit",
    "GasFeeCap",
    "GasPremium",
    "Method",
    "Params",
    "CID",
];

/// Checks the members of messages and what goes with them.
///
/// # Errors
/// A member has a name that this kind of node does not know, or one is missing.
pub fn check_names(kind: NodeKind, method: &str, params: &[Value]) -> Result<(), RpcError> {
    if kind != NodeKind::Forest {
        return Ok(());
    }
    let at = |index: usize| params.get(index).unwrap_or(&Value::Null);
    let message = |index: usize| check(index, at(index), MESSAGE, &["To", "From"]);
    let spec = || {
        let all = ["MaxFee", "MsgUuid", "MaximizeFeeCap"];
        if at(1).is_null() {
            return Ok(());
        }
        check(1, at(1), &all, &all)
    };
    match method {
        "MpoolPushMessage" | "GasEstimateMessageGas" => message(0).and_then(|()| spec()),
        "StateCall" => message(0),
        "WalletSignMessage" => message(1),
        "MpoolPush" => {
            let needed = ["Message", "Signature"];
            check(0, at(0), &["Message", "Signature", "CID"], &needed)?;
            let inner = at(0).get("Message").unwrap_or(&Value::Null);
            check(0, inner, MESSAGE, &["To", "From"])?;
            let signature = at(0).get("Signature").unwrap_or(&Value::Null);
            check(0, signature, &["Type", "Data"], &["Type", "Data"])
        }
        _ => Ok(()),
    }
}

fn check(index: usize, value: &Value, known: &[&str], needed: &[&str]) -> Result<(), RpcError> {
    let Some(members) = value.as_object() else {
        return Err(RpcError::param(index, "expected a map"));
    };
    if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(RpcError::param(index, &format!("unknown field `{name}`")));
    }
    match needed.iter().find(|name| !members.contains_key(**name)) {
        Some(name) => Err(RpcError::param(index, &format!("missing field `{name}`"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Value {
        json!({ "To": "f05", "From": "f01001", "Method": 4 })
    }

    #[test]
    fn forest_is_strict_about_names_and_lotus_is_not() {
        let spec = json!({ "MaxFee": "0", "MsgUuid": "x", "MaximizeFeeCap": false });
        let mut lower = message();
        lower["method"] = lower["Method"].take();
        let mut without = message();
        without.as_object_mut().unwrap().remove("From");
        let table: [(&str, Value, bool); 9] = [
            ("MpoolPushMessage", json!([message(), spec]), true),
            ("MpoolPushMessage", json!([message(), null]), true),
            (
                "MpoolPushMessage",
                json!([message(), { "MaxFee": "0" }]),
                false,
            ),
            ("MpoolPushMessage", json!([lower, null]), false),
            ("StateCall", json!([without, null]), false),
            (
                "GasEstimateMessageGas",
                json!([message(), { "MaxFee": "0", "x": 1 }, null]),
                false,
            ),
            ("WalletSignMessage", json!(["f01001", message()]), true),
            (
                "MpoolPush",
                json!([{ "Message": message(), "Signature": { "Type": 1, "Data": "AA==" } }]),
                true,
            ),
            (
                "MpoolPush",
                json!([{ "Message": message(), "Signature": { "type": 1, "Data": "AA==" } }]),
                false,
            ),
        ];
        for (method, params, good) in table {
            let params = params.as_array().unwrap();
            let checked = check_names(NodeKind::Forest, method, params);
            assert_eq!(checked.is_ok(), good, "{method} {params:?}");
            assert!(check_names(NodeKind::Lotus, method, params).is_ok());
        }
    }

    #[test]
    fn errors_have_the_codes_of_the_kind() {
        let ordinary = RpcError::ordinary("no");
        assert_eq!(error(NodeKind::Lotus, ordinary.clone()).code, 1);
        assert_eq!(error(NodeKind::Venus, ordinary.clone()).code, 1);
        assert_eq!(error(NodeKind::Forest, ordinary).code, -32603);
        let param = error(NodeKind::Forest, RpcError::param(0, "no"));
        assert_eq!((param.code, param.status), (-32602, StatusCode::OK));
    }
}
