//! `GET /v1/publish`: what waits to be published and what is on its way. `POST /v1/publish`: publish now.

use super::imports::body;
use super::view::rfc3339;
use super::{Admin, error};
use crate::serve::listener::{Body, json};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json as object};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Deals that one request may name: more than any message holds.
const NAMED_MAX: usize = 1_000;

impl Admin {
    pub(super) async fn publishing(&self) -> Response<Body> {
        let publishing = self.market.publishing().await;
        let miners = &self.market.settings().miners;
        let waiting = publishing.waiting.into_iter().map(|(miner, since, deals)| {
            let own = miners.get(&miner);
            let manual = own.is_some_and(|own| own.terms.publish_by_hand);
            let period = own.map_or(0, |own| own.publish_period.as_millis());
            let due = since.saturating_add(u64::try_from(period).unwrap_or(u64::MAX));
            object!({
                "miner": miner.to_string(),
                "since": rfc3339(since),
                "due": (!manual).then(|| rfc3339(due)),
                "manual": manual,
                "deals": texts(&deals),
            })
        });
        let messages = publishing.messages.into_iter().map(|message| {
            object!({
                "order": message.order.to_string(),
                "publish_cid": message.cid.map(|cid| cid.to_string()),
                "deals": texts(&message.deals),
                "sender": message.sender.to_string(),
                "fee_max": message.fee_max.to_string(),
                "replaced": message.replaced,
                "note": message.note,
            })
        });
        let (waiting, messages): (Vec<Value>, Vec<Value>) = (waiting.collect(), messages.collect());
        let answer = object!({ "waiting": waiting, "messages": messages });
        json(StatusCode::OK, &answer)
    }

    /// Publishes the named deals, or all that wait.
    pub(super) async fn publish(&self, request: Request<Incoming>) -> Response<Body> {
        let body = match body(request).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let only = match body.get("uuids") {
            None | Some(Value::Null) => None,
            Some(Value::Array(named)) if named.len() <= NAMED_MAX => {
                let uuid = |text: &Value| Uuid::parse_str(text.as_str()?).ok();
                match named.iter().map(uuid).collect::<Option<BTreeSet<Uuid>>>() {
                    Some(only) => Some(only),
                    None => return error(StatusCode::BAD_REQUEST, "uuids holds no UUIDs"),
                }
            }
            Some(_) => {
                let text = format!("uuids is no list of at most {NAMED_MAX}");
                return error(StatusCode::BAD_REQUEST, &text);
            }
        };
        let published = self.market.publish(only).await;
        json(
            StatusCode::OK,
            &object!({ "deals": published.len(), "uuids": texts(&published) }),
        )
    }
}

fn texts(uuids: &[Uuid]) -> Vec<String> {
    uuids.iter().map(Uuid::to_string).collect()
}
