//! Imports: `POST /v1/deals/{uuid}/import` with `path` and `delete_after_import`, and `POST /v1/imports` with many of them.

use super::{Admin, error};
use crate::deal::{Deal, Hold, Import};
use crate::market::IMPORTS_MAX;
use crate::serve::listener::{Body, json, read_body};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json as object};
use uuid::Uuid;

/// Bytes of a body: [`IMPORTS_MAX`] imports with long paths.
const BODY_BYTES_MAX: u64 = 2 * 1024 * 1024;

impl Admin {
    /// Queues one import.
    pub(super) async fn import(&self, uuid: Uuid, request: Request<Incoming>) -> Response<Body> {
        let body = match body(request).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let Some(path) = body.get("path").and_then(Value::as_str) else {
            return error(StatusCode::BAD_REQUEST, "path is missing");
        };
        let import = Import::new(path, delete_after(&body));
        match self.market.import(vec![(uuid, import)]).await {
            Ok(mut placed) => {
                let placed = placed.pop().unwrap_or_else(|| Err(String::new()));
                json(StatusCode::OK, &Value::Object(answer(placed)))
            }
            Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, &why),
        }
    }

    /// Queues many imports in their order; each has an answer of its own.
    pub(super) async fn imports(&self, request: Request<Incoming>) -> Response<Body> {
        let body = match body(request).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let Some(listed) = body.get("imports").and_then(Value::as_array) else {
            return error(StatusCode::BAD_REQUEST, "imports is missing");
        };
        if listed.len() > IMPORTS_MAX {
            let text = format!("at most {IMPORTS_MAX} imports in one request");
            return error(StatusCode::BAD_REQUEST, &text);
        }
        let delete = delete_after(&body);
        let mut imports = Vec::with_capacity(listed.len());
        for one in listed {
            let text = |name| one.get(name).and_then(Value::as_str);
            let uuid = text("uuid").and_then(|uuid| Uuid::parse_str(uuid).ok());
            let (Some(uuid), Some(path)) = (uuid, text("path")) else {
                let text = "each import needs the uuid of a deal and a path";
                return error(StatusCode::BAD_REQUEST, text);
            };
            imports.push((uuid, Import::new(path, delete)));
        }
        let uuids: Vec<Uuid> = imports.iter().map(|(uuid, _)| *uuid).collect();
        match self.market.import(imports).await {
            Ok(placed) => {
                let told = uuids.iter().zip(placed).map(|(uuid, placed)| {
                    let mut answer = answer(placed);
                    answer.insert("uuid".to_owned(), object!(uuid.to_string()));
                    Value::Object(answer)
                });
                let told: Vec<Value> = told.collect();
                json(StatusCode::OK, &object!({ "imports": told }))
            }
            Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, &why),
        }
    }

    /// The import of a deal as operators see it; nothing before there is one.
    pub(super) fn import_fields(&self, deal: &Deal, fields: &mut Map<String, Value>) {
        let Some(import) = &deal.import else {
            return;
        };
        let queue = self.market.import_queue();
        let position = queue.position(import.place, deal.uuid);
        let state = match (deal.hold, position) {
            _ if deal.payload_size > 0 => "done",
            (Hold::Room, _) => "waits for funds or space",
            (_, Some(_)) => "queued",
            (Hold::None, None) if import.begun => "being read",
            _ => "stopped",
        };
        let known = [
            ("import_path", object!(import.path)),
            ("import_state", object!(state)),
            ("import_place", object!(position)),
            ("delete_after_import", object!(import.delete_after)),
        ];
        fields.extend(known.map(|(name, value)| (name.to_owned(), value)));
    }
}

pub(super) async fn body(request: Request<Incoming>) -> Result<Value, Response<Body>> {
    let bad = |text: &str| error(StatusCode::BAD_REQUEST, text);
    let body = read_body(request, BODY_BYTES_MAX).await;
    let body = body.map_err(|why| bad(&why.to_string()))?;
    serde_json::from_slice(&body).map_err(|_| bad("the body is not JSON"))
}

fn delete_after(body: &Value) -> bool {
    let delete = body.get("delete_after_import").and_then(Value::as_bool);
    delete.unwrap_or(false)
}

fn answer(placed: Result<u64, String>) -> Map<String, Value> {
    let (accepted, place, reason) = match placed {
        Ok(place) => (true, Some(place), String::new()),
        Err(reason) => (false, None, reason),
    };
    let fields = [
        ("accepted", object!(accepted)),
        ("reason", object!(reason)),
        ("place", object!(place)),
    ];
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}
