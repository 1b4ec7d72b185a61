//! The operator's interface: JSON over HTTP on the private listener, with a bearer token.
//!
//! `GET /v1/info`, `GET /v1/deals`, `GET /v1/deals/{uuid}`, `GET /v1/deals/{uuid}/log`,
//! `POST /v1/deals/{uuid}/import|retry|cancel|fail|sealed`, `POST /v1/imports`, `GET|POST /v1/publish`, `GET /v1/asks`,
//! `GET|POST /v1/asks/{miner}`, `GET /v1/refusals`, `GET /v1/funds`, `GET|POST /v1/funds/orders/{uuid}`.

//!
//! One file per kind of resource; this one checks the token and finds the file.

mod asks;
mod deals;
mod funds;
mod imports;
mod log;
mod publish;
mod query;
mod refusals;
mod view;

pub use view::deal_json;

use super::Handle;
use crate::serve::listener::{Body, json};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json as object};
use smol::lock::Semaphore;
use std::sync::Arc;

/// What the interface knows beside the market.
#[derive(Clone)]
pub struct Admin {
    market: Handle,
    token: String,
    /// Shown by `/v1/info`: version, peer ID, addresses.
    about: Value,
    /// Places for questions that wait for a line of a log.
    following: Arc<Semaphore>,
}

impl Admin {
    /// An interface that this token opens.
    pub fn new(market: Handle, token: String, about: Value) -> Self {
        Self {
            market,
            token,
            about,
            following: Arc::new(Semaphore::new(log::WAITING_MAX)),
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
            ["v1", "info"] if get => self.info().await,
            ["v1", "publish"] if get => self.publishing().await,
            ["v1", "publish"] if post => self.publish(request).await,
            ["v1", "asks", rest @ ..] => self.asks(rest, request).await,
            ["v1", "imports"] if post => self.imports(request).await,
            ["v1", "funds", rest @ ..] => self.funds(rest, request).await,
            ["v1", "refusals"] if get => {
                self.refusals(request.uri().query().unwrap_or_default())
                    .await
            }
            ["v1", "deals", rest @ ..] => self.deals(rest, request).await,
            _ => not_found(),
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

    async fn info(&self) -> Response<Body> {
        let snapshot = self.market.snapshot();
        let held = self.market.ledgers().await;
        let miners: Vec<Value> = snapshot
            .miners
            .iter()
            .map(|(miner, view)| {
                let held = held.get(miner).cloned().unwrap_or_default();
                let own = self.market.settings().miners.get(miner);
                let fees = own.map(|own| held.publish_reserve(0, &own.terms));
                object!({
                    "collateral_reserved": held.collateral.to_string(),
                    "publish_reserved": fees.unwrap_or_default().to_string(),
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
            // All miners share one staging area.
            let staging = held.values().next().map_or(0, |held| held.staging);
            fields.insert("staging_reserved".to_owned(), object!(staging));
            fields.insert("kept_bytes".to_owned(), object!(self.market.kept().bytes()));
            let counts = self.market.counts();
            fields.insert(
                "store".to_owned(),
                object!({ "commits": counts.commits, "changes": counts.changes }),
            );
        }
        json(StatusCode::OK, &info)
    }
}

fn error(status: StatusCode, text: &str) -> Response<Body> {
    json(status, &object!({ "error": text }))
}

fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "no such resource")
}
