//! Deals: listing, showing, and what an operator wishes for them.

use super::imports::body;
use super::query::percent_decoded;
use super::view::deal_json;
use super::{Admin, error, not_found};
use crate::deal::step::Verb;
use crate::deal::{Checkpoint, Sector};
use crate::market::Wish;
use crate::serve::listener::{Body, json};
use crate::store::Listing;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json as object};
use uuid::Uuid;

/// Deals in one listing.
const LISTED_MAX: usize = 1_000;

/// Deals in a listing that names no limit.
const LISTED_DEFAULT: usize = 50;

impl Admin {
    /// Answers a request below `/v1/deals`.
    pub(super) async fn deals(&self, rest: &[&str], request: Request<Incoming>) -> Response<Body> {
        let get = request.method() == Method::GET;
        let post = request.method() == Method::POST;
        let Some((uuid, rest)) = rest.split_first() else {
            if get {
                return self.list(request.uri().query().unwrap_or_default()).await;
            }
            return not_found();
        };
        match (Uuid::parse_str(uuid), rest) {
            (Ok(uuid), []) if get => self.show(uuid).await,
            (Ok(uuid), ["log"]) if get => {
                let query = request.uri().query().unwrap_or_default();
                self.log(uuid, query).await
            }
            (Ok(uuid), [verb]) if post => self.wish(uuid, verb, request).await,
            (Err(_), [] | ["log"]) if get => bad_uuid(),
            (Err(_), [_]) if post => bad_uuid(),
            _ => not_found(),
        }
    }

    async fn list(&self, query: &str) -> Response<Body> {
        let mut listing = Listing {
            limit: LISTED_DEFAULT,
            ..Listing::default()
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(value) = percent_decoded(value) else {
                return error(
                    StatusCode::BAD_REQUEST,
                    "the query is not percent-encoded UTF-8",
                );
            };
            match name {
                "limit" => match value.parse::<usize>() {
                    Ok(limit) => listing.limit = limit.min(LISTED_MAX),
                    Err(_) => return error(StatusCode::BAD_REQUEST, "limit is not a number"),
                },
                "state" if value.is_empty() => {}
                "state" => match Checkpoint::from_name(&value) {
                    Some(checkpoint) => listing.checkpoint = Some(checkpoint),
                    None => return error(StatusCode::BAD_REQUEST, "state is not a checkpoint"),
                },
                "query" => listing.query = Some(value),
                _ => return error(StatusCode::BAD_REQUEST, "unknown query parameter"),
            }
        }
        match self.market.list(listing).await {
            Ok((deals, more)) => {
                let deals: Vec<Value> = deals
                    .iter()
                    .map(|deal| deal_json(deal, self.market.bytes_received(deal)))
                    .collect();
                json(StatusCode::OK, &object!({ "deals": deals, "more": more }))
            }
            Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
        }
    }

    async fn show(&self, uuid: Uuid) -> Response<Body> {
        match self.market.deal(uuid).await {
            Ok(Some((deal, bytes))) => {
                let mut shown = deal_json(&deal, bytes);
                if let Value::Object(fields) = &mut shown {
                    self.import_fields(&deal, fields);
                }
                json(StatusCode::OK, &shown)
            }
            Ok(None) => error(
                StatusCode::NOT_FOUND,
                &format!("no deal has the UUID {uuid}"),
            ),
            Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
        }
    }

    async fn wish(&self, uuid: Uuid, verb: &str, request: Request<Incoming>) -> Response<Body> {
        let wish = match verb {
            "retry" => Wish::Verb(Verb::Retry),
            "cancel" => Wish::Verb(Verb::Cancel),
            "fail" => Wish::Verb(Verb::Fail),
            "import" => return self.import(uuid, request).await,
            "sealed" => match body(request).await.map(|body| sector(&body)) {
                Ok(Some(sector)) => Wish::Verb(Verb::Sealed(sector)),
                Ok(None) => {
                    let text = "sector and offset are needed, as numbers";
                    return error(StatusCode::BAD_REQUEST, text);
                }
                Err(answer) => return answer,
            },
            _ => return not_found(),
        };
        let known = self.market.deal(uuid).await.ok().flatten();
        if known.is_none() {
            return error(
                StatusCode::NOT_FOUND,
                &format!("no deal has the UUID {uuid}"),
            );
        }
        let (accepted, reason) = match self.market.wish(uuid, wish).await {
            Ok(()) => (true, String::new()),
            Err(reason) => (false, reason),
        };
        json(
            StatusCode::OK,
            &object!({ "accepted": accepted, "reason": reason }),
        )
    }
}

/// The body of `sealed`: `{"sector": 45, "offset": 0}`.
fn sector(body: &Value) -> Option<Sector> {
    let number = |name| body.get(name).and_then(Value::as_u64);
    Some(Sector {
        number: number("sector")?,
        offset: number("offset")?,
    })
}

fn bad_uuid() -> Response<Body> {
    error(StatusCode::BAD_REQUEST, "that is not a deal UUID")
}
