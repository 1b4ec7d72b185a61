//! Refused proposals: the newest, with what the client was told and what the operator should know.

use super::view::rfc3339;
use super::{Admin, error};
use crate::serve::listener::{Body, json};
use crate::store::RefusedProposal;
use hyper::{Response, StatusCode};
use serde_json::{Value, json as object};
use uuid::Uuid;

/// Refusals in a listing that names no limit.
const LISTED_DEFAULT: usize = 50;

impl Admin {
    /// Answers `GET /v1/refusals`.
    pub(super) async fn refusals(&self, query: &str) -> Response<Body> {
        let mut limit = LISTED_DEFAULT;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("limit", number)) => match number.parse() {
                    Ok(number) => limit = number,
                    Err(_) => return error(StatusCode::BAD_REQUEST, "limit is not a number"),
                },
                _ => return error(StatusCode::BAD_REQUEST, "unknown query parameter"),
            }
        }
        match self.market.refused(limit).await {
            Ok(refused) => {
                let refusals: Vec<Value> = refused.iter().map(refusal_json).collect();
                json(StatusCode::OK, &object!({ "refusals": refusals }))
            }
            Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
        }
    }
}

fn refusal_json(refused: &RefusedProposal) -> Value {
    object!({
        "time": rfc3339(refused.time),
        "uuid": Uuid::from_bytes(refused.uuid).to_string(),
        "peer": refused.peer,
        "client": refused.client,
        "miner": refused.miner,
        "piece_cid": refused.piece_cid,
        "piece_size": refused.piece_size,
        "offline": refused.offline,
        "told": refused.told,
        "log": refused.log,
        "left_out": refused.left_out,
    })
}
