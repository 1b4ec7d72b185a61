//! The operator's interface: JSON over HTTP on the private listener, with a bearer token.
//!
//! `GET /v1/info`, `GET /v1/deals`, `GET /v1/deals/{uuid}`, `GET /v1/deals/{uuid}/log`,
//! `POST /v1/deals/{uuid}/import|retry|cancel|fail`, `POST /v1/publish`.

use super::{Handle, Wish};
use crate::deal::admit::go_time;
use crate::deal::step::Verb;
use crate::deal::{Checkpoint, Deal, Hold, Import};
use crate::serve::listener::{Body, json, read_body};
use crate::store::Listing;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json as object};
use uuid::Uuid;

/// Bytes of a request body: a path and a flag.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// Deals in one listing.
const LISTED_MAX: usize = 1_000;

/// Deals in a listing that names no limit.
const LISTED_DEFAULT: usize = 50;

/// What the interface knows beside the market.
#[derive(Clone)]
pub struct Admin {
    market: Handle,
    token: String,
    /// Shown by `/v1/info`: version, peer ID, addresses.
    about: Value,
}

impl Admin {
    /// An interface that this token opens.
    pub fn new(market: Handle, token: String, about: Value) -> Self {
        Self {
            market,
            token,
            about,
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if !self.knows(&request) {
            return error(StatusCode::UNAUTHORIZED, "the token is missing or wrong");
        }
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let get = request.method() == Method::GET;
        let post = request.method() == Method::POST;
        match parts.as_slice() {
            ["v1", "info"] if get => self.info(),
            ["v1", "deals"] if get => self.list(request.uri().query().unwrap_or_default()).await,
            ["v1", "publish"] if post => {
                let deals = self.market.publish_now().await;
                json(StatusCode::OK, &object!({ "deals": deals }))
            }
            ["v1", "deals", uuid] if get => match Uuid::parse_str(uuid) {
                Ok(uuid) => self.show(uuid).await,
                Err(_) => bad_uuid(),
            },
            ["v1", "deals", uuid, "log"] if get => match Uuid::parse_str(uuid) {
                Ok(uuid) => self.log(uuid).await,
                Err(_) => bad_uuid(),
            },
            ["v1", "deals", uuid, verb] if post => match Uuid::parse_str(uuid) {
                Ok(uuid) => self.wish(uuid, verb, request).await,
                Err(_) => bad_uuid(),
            },
            _ => error(StatusCode::NOT_FOUND, "no such resource"),
        }
    }

    /// Whether the request carries the token; compared in constant time.
    fn knows(&self, request: &Request<Incoming>) -> bool {
        let given = request
            .headers()
            .get(hyper::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        let differing = given
            .bytes()
            .zip(self.token.bytes())
            .fold(0_u8, |differing, (a, b)| differing | (a ^ b));
        !self.token.is_empty() && given.len() == self.token.len() && differing == 0
    }

    fn info(&self) -> Response<Body> {
        let snapshot = self.market.snapshot();
        let miners: Vec<Value> = snapshot
            .miners
            .iter()
            .map(|(miner, view)| {
                object!({
                    "miner": miner.to_string(),
                    "escrow_available": view.facts.escrow_available.to_string(),
                    "publish_wallet": view.facts.publish_wallet.to_string(),
                    "publish_balance": view.facts.publish_balance.to_string(),
                })
            })
            .collect();
        let mut info = self.about.clone();
        if let Value::Object(fields) = &mut info {
            fields.insert(
                "head".to_owned(),
                object!(snapshot.head.map(|(epoch, _)| epoch)),
            );
            fields.insert("chain_error".to_owned(), object!(snapshot.error));
            fields.insert("miners".to_owned(), Value::Array(miners));
            fields.insert("kept_bytes".to_owned(), object!(self.market.kept().bytes()));
        }
        json(StatusCode::OK, &info)
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
            Ok(Some((deal, bytes))) => json(StatusCode::OK, &deal_json(&deal, bytes)),
            Ok(None) => error(
                StatusCode::NOT_FOUND,
                &format!("no deal has the UUID {uuid}"),
            ),
            Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
        }
    }

    async fn log(&self, uuid: Uuid) -> Response<Body> {
        match self.market.log(uuid).await {
            Ok(lines) => {
                let lines: Vec<Value> = lines
                    .iter()
                    .map(|line| {
                        object!({
                            "time": rfc3339(line.time),
                            "level": line.level_name(),
                            "text": line.text,
                        })
                    })
                    .collect();
                json(StatusCode::OK, &object!({ "lines": lines }))
            }
            Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
        }
    }

    async fn wish(&self, uuid: Uuid, verb: &str, request: Request<Incoming>) -> Response<Body> {
        let wish = match verb {
            "retry" => Wish::Verb(Verb::Retry),
            "cancel" => Wish::Verb(Verb::Cancel),
            "fail" => Wish::Verb(Verb::Fail),
            "import" => {
                let body = match read_body(request, BODY_BYTES_MAX).await {
                    Ok(body) => body,
                    Err(why) => return error(StatusCode::BAD_REQUEST, &why.to_string()),
                };
                let Ok(body) = serde_json::from_slice::<Value>(&body) else {
                    return error(StatusCode::BAD_REQUEST, "the body is not JSON");
                };
                let Some(path) = body.get("path").and_then(Value::as_str) else {
                    return error(StatusCode::BAD_REQUEST, "path is missing");
                };
                let delete = body.get("delete_after_import").and_then(Value::as_bool);
                Wish::Import(Import {
                    path: path.to_owned(),
                    delete_after: delete.unwrap_or(false),
                })
            }
            _ => return error(StatusCode::NOT_FOUND, "no such resource"),
        };
        let known = self.market.deal(uuid).await.ok().flatten();
        if known.is_none() && verb != "import" {
            return error(
                StatusCode::NOT_FOUND,
                &format!("no deal has the UUID {uuid}"),
            );
        }
        let (accepted, reason) = match known.and_then(|(deal, _)| over(&deal, &wish)) {
            Some(reason) => (false, reason),
            None => match self.market.wish(uuid, wish).await {
                Ok(()) => (true, String::new()),
                Err(reason) => (false, reason),
            },
        };
        json(
            StatusCode::OK,
            &object!({ "accepted": accepted, "reason": reason }),
        )
    }
}

fn error(status: StatusCode, text: &str) -> Response<Body> {
    json(status, &object!({ "error": text }))
}

/// Why nothing can be wished for a deal that has ended; none if it has not.
fn over(deal: &Deal, wish: &Wish) -> Option<String> {
    if !deal.ended() {
        return None;
    }
    Some(match wish {
        Wish::Import(_) if !deal.request.offline => {
            format!("deal {} is not an offline deal", deal.uuid)
        }
        Wish::Import(_) => format!(
            "deal {} has already been imported and reached checkpoint {}",
            deal.uuid, deal.checkpoint
        ),
        Wish::Verb(_) if deal.checkpoint == Checkpoint::Complete => {
            "deal is already complete".to_owned()
        }
        Wish::Verb(_) => "the deal is sealed: there is nothing left to do".to_owned(),
    })
}

fn bad_uuid() -> Response<Body> {
    error(StatusCode::BAD_REQUEST, "that is not a deal UUID")
}

fn rfc3339(millis: u64) -> String {
    let text = go_time(millis);
    let time = text.trim_end_matches(" +0000 UTC").replacen(' ', "T", 1);
    format!("{time}Z")
}

/// A deal as operators see it. Transfer parameters are left out: they may hold credentials.
pub fn deal_json(deal: &Deal, bytes_received: u64) -> Value {
    let proposal = deal.proposal();
    let (retry, wakes) = match deal.hold {
        Hold::None => ("", None),
        Hold::Auto { until } => ("auto", Some(rfc3339(until))),
        Hold::Manual => ("manual", None),
    };
    object!({
        "uuid": deal.uuid.to_string(),
        "checkpoint": deal.checkpoint.name(),
        "miner": proposal.provider.to_string(),
        "client": proposal.client.to_string(),
        "peer": deal.request.peer,
        "piece_cid": proposal.piece_cid.to_string(),
        "piece_size": proposal.piece_size,
        "payload_size": deal.payload_size,
        "data_root": deal.request.data_root,
        "verified": proposal.verified,
        "offline": deal.request.offline,
        "skip_announce": deal.request.skip_announce,
        "remove_unsealed": deal.request.remove_unsealed,
        "host": deal.request.host,
        "error": deal.error,
        "retry": retry,
        "retry_at": wakes,
        "bytes_received": bytes_received,
        "transfer_size": deal.request.size,
        "publish_cid": deal.publish_cid.map(|cid| cid.to_string()),
        "chain_deal_id": deal.chain_deal_id,
        "sector": deal.sector.map(|sector| sector.number),
        "offset": deal.sector.map(|sector| sector.offset),
        "sealing": deal.sealing,
        "sealed": deal.sealed,
        "start_epoch": proposal.start_epoch,
        "end_epoch": proposal.end_epoch,
        "price_per_epoch": proposal.price_per_epoch.to_string(),
        "provider_collateral": proposal.provider_collateral.to_string(),
        "signed_proposal_cid": deal.signed.signed_cid().to_string(),
        "created": rfc3339(deal.created),
        "updated": rfc3339(deal.updated),
    })
}

/// RFC 3986 percent-decoding, `+` as a space; none if the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}
