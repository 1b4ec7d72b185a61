//! The JSON-RPC envelope as go-jsonrpc speaks it (spec chain-sealer-rpc A.2–A.4): strict arity, errors with their own
//! HTTP status, batches, permissions, and the faults that a test has asked for.

use super::faults::{Effect, strike};
use super::kinds;
use super::params::Params;
use super::server::Shared;
use super::settings::NodeKind;
use super::world::World;
use crate::serve::listener::{self, Body};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use smol::Timer;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Calls of one batch.
const MAX_BATCH: usize = 100;

/// A failed call: what is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The JSON-RPC code.
    pub code: i64,
    /// For people, and for the many who match on it.
    pub message: String,
    /// Further facts.
    pub data: Option<Value>,
    /// What it looks like.
    pub form: Form,
}

/// What a failed call looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JSON-RPC error.
    Envelope,
    /// A JSON-RPC error that says that the token is not enough.
    Forbidden,
    /// The HTTP status and some text: as from a proxy.
    Page,
    /// Nothing: the connection ends.
    Nothing,
}

impl RpcError {
    fn new(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            data: None,
            form: Form::Envelope,
        }
    }

    /// An ordinary error of a method.
    pub fn ordinary(message: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, 1, message)
    }

    /// An error of a method with a code of its own.
    pub fn coded(code: i64, message: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, code, message)
    }

    /// A parameter that does not decode.
    pub fn param(index: usize, reason: &str) -> Self {
        let text = format!("unmarshaling params (param {index}): {reason}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, -32700, text)
    }

    /// A request that does not parse.
    fn parse(reason: &str) -> Self {
        let text = format!("unmarshaling request: {reason}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, -32700, text)
    }

    /// An empty request.
    fn empty() -> Self {
        Self::new(StatusCode::BAD_REQUEST, -32600, "Invalid request")
    }

    /// No such method here.
    fn not_found(method: &str) -> Self {
        let text = format!("method '{method}' not found");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, -32601, text)
    }

    /// Too few or too many parameters.
    fn arity(method: &str, got: usize, wanted: usize) -> Self {
        let text = format!("wrong param count (method '{method}'): {got} != {wanted}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, -32602, text)
    }

    /// The token does not give what the method needs.
    fn forbidden(method: &Method) -> Self {
        let mut error = Self::ordinary(format!(
            "missing permission to invoke '{}' (need '{}')",
            method.name, method.need
        ));
        error.form = Form::Forbidden;
        error
    }

    /// No answer at all.
    pub fn abort() -> Self {
        let mut error = Self::ordinary("");
        error.form = Form::Nothing;
        error
    }

    /// Whether it is anything but a JSON-RPC error.
    fn is_no_answer(&self) -> bool {
        matches!(self.form, Form::Page | Form::Nothing)
    }

    /// An HTTP status instead of an answer.
    fn page(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut error = Self::new(status, 0, "scripted trouble");
        error.form = Form::Page;
        error
    }
}

/// What a method answers.
pub type Answer = Result<Value, RpcError>;

/// An answer that takes its time.
pub type Later = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// How a method is carried out.
#[derive(Clone, Copy)]
pub enum Run {
    /// At once, on the node's side.
    Node(fn(&mut World, &Params) -> Answer),
    /// At once, by the miner with this place in the list.
    Miner(fn(&mut World, usize, &Params) -> Answer),
    /// Without holding the world while it waits; the number is the miner's place.
    Later(fn(Arc<Shared>, usize, Params) -> Later),
}

/// One method of a table.
pub struct Method {
    /// Without the prefix `Filecoin.`.
    pub name: &'static str,
    /// How many parameters, exactly.
    pub arity: usize,
    /// The permission it needs.
    pub need: &'static str,
    /// What it does.
    pub run: Run,
}

/// A method of the node that answers at once.
pub const fn node(
    name: &'static str,
    arity: usize,
    need: &'static str,
    run: fn(&mut World, &Params) -> Answer,
) -> Method {
    Method {
        name,
        arity,
        need,
        run: Run::Node(run),
    }
}

/// A method of a miner that answers at once.
pub const fn miner(
    name: &'static str,
    arity: usize,
    need: &'static str,
    run: fn(&mut World, usize, &Params) -> Answer,
) -> Method {
    Method {
        name,
        arity,
        need,
        run: Run::Miner(run),
    }
}

/// A method that takes its time.
pub const fn later(
    name: &'static str,
    arity: usize,
    need: &'static str,
    run: fn(Arc<Shared>, usize, Params) -> Later,
) -> Method {
    Method {
        name,
        arity,
        need,
        run: Run::Later(run),
    }
}

/// Who calls, and what is on offer.
pub struct Caller {
    /// The state behind everything.
    pub shared: Arc<Shared>,
    /// The tables in which a method is looked up, the first that has it wins.
    pub tables: &'static [&'static [Method]],
    /// The place of the node that is spoken to; none for a miner.
    pub node: Option<usize>,
    /// What kind of node it is; a miner is like Lotus.
    pub kind: NodeKind,
    /// The place of the miner that is spoken to; 0 on a node.
    pub miner: usize,
    /// What the token allows.
    pub allowed: Vec<String>,
}

/// Answers a request's body: one call, or a batch of them.
pub async fn answer(caller: Caller, body: Vec<u8>) -> Response<Body> {
    if body.trim_ascii().is_empty() {
        return single(&Value::Null, Err(RpcError::empty()));
    }
    match serde_json::from_slice(&body) {
        Ok(Value::Array(batch)) => answer_batch(&caller, batch).await,
        Ok(request) => {
            let Some((id, result)) = call(&caller, &request).await else {
                return listener::empty(StatusCode::OK);
            };
            single(&id, result)
        }
        Err(error) => single(&Value::Null, Err(RpcError::parse(&error.to_string()))),
    }
}

/// The answer to a body beyond the limit.
pub fn too_large(limit: u64) -> Response<Body> {
    let text = format!("request bigger than maximum {limit} allowed");
    single(&Value::Null, Err(RpcError::parse(&text)))
}

/// The response to one call.
fn single(id: &Value, result: Answer) -> Response<Body> {
    match &result {
        Ok(_) => listener::json(StatusCode::OK, &envelope(id, result)),
        Err(error) => match error.form {
            Form::Nothing => listener::abort(),
            Form::Page => listener::text(error.status, error.message.clone()),
            Form::Envelope | Form::Forbidden => {
                let status = error.status;
                listener::json(status, &envelope(id, result))
            }
        },
    }
}

/// The response to a batch: the answers in the order of the calls.
async fn answer_batch(caller: &Caller, batch: Vec<Value>) -> Response<Body> {
    if batch.is_empty() {
        return single(&Value::Null, Err(RpcError::empty()));
    }
    if batch.len() > MAX_BATCH {
        return single(&Value::Null, Err(RpcError::parse("the batch is too long")));
    }
    let mut answers = Vec::new();
    for request in batch {
        match call(caller, &request).await {
            Some((id, Err(error))) if error.is_no_answer() => {
                return single(&id, Err(error));
            }
            Some((id, result)) => answers.push(envelope(&id, result)),
            None => {}
        }
    }
    listener::json(StatusCode::OK, &Value::Array(answers))
}

fn envelope(id: &Value, result: Answer) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => {
            let mut object = json!({ "code": error.code, "message": error.message });
            if let (Some(members), Some(data)) = (object.as_object_mut(), error.data) {
                members.insert("data".to_owned(), data);
            }
            json!({ "jsonrpc": "2.0", "id": id, "error": object })
        }
    }
}

/// Carries one call out; none for a notification.
async fn call(caller: &Caller, request: &Value) -> Option<(Value, Answer)> {
    if !request.is_object() {
        return Some((Value::Null, Err(RpcError::parse("not an object"))));
    }
    let id = match request.get("id") {
        None | Some(Value::Null) => None,
        Some(id @ (Value::String(_) | Value::Number(_))) => Some(id.clone()),
        Some(_) => {
            let error = RpcError::parse("the id is neither string nor number");
            return Some((Value::Null, Err(error)));
        }
    };
    let result = find_and_run(caller, request).await;
    let result = result.map_err(|error| kinds::error(caller.kind, error));
    match (id, result) {
        // Whoever does not want an answer still loses the connection.
        (None, Err(error)) if error.is_no_answer() => Some((Value::Null, Err(error))),
        (None, _) => None,
        (Some(id), result) => Some((id, result)),
    }
}

/// The first method of this name.
fn find(tables: &'static [&'static [Method]], name: &str) -> Option<&'static Method> {
    let mut methods = tables.iter().flat_map(|table| table.iter());
    methods.find(|method| method.name == name)
}

/// Looks the method up, checks count and permission, and runs it through the faults.
async fn find_and_run(caller: &Caller, request: &Value) -> Answer {
    let full = request.get("method").and_then(Value::as_str).unwrap_or("");
    let name = full.strip_prefix("Filecoin.").unwrap_or("");
    let found = find(caller.tables, name).filter(|_| kinds::has(caller.kind, name));
    let Some(method) = found else {
        return Err(RpcError::not_found(full));
    };
    let params = match request.get("params") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(params)) => params.clone(),
        Some(_) => return Err(RpcError::param(0, "params are no array")),
    };
    if params.len() != method.arity {
        return Err(RpcError::arity(full, params.len(), method.arity));
    }
    kinds::check_names(caller.kind, name, &params)?;
    caller.shared.world().count(method.name, &params);
    let effect = strike(&mut caller.shared.world().faults, name, caller.node);
    match effect {
        None => run(caller, method, params).await,
        Some(Effect::Delay(time)) => {
            Timer::after(time).await;
            run(caller, method, params).await
        }
        Some(Effect::Late(time)) => {
            let answer = run(caller, method, params).await;
            Timer::after(time).await;
            answer
        }
        Some(Effect::Drop { done }) => {
            if done {
                let _ = run(caller, method, params).await;
            }
            Err(RpcError::abort())
        }
        Some(Effect::Error {
            code,
            message,
            done,
        }) => {
            if done {
                let _ = run(caller, method, params).await;
            }
            Err(RpcError::coded(code, message))
        }
        Some(Effect::Status(status)) => Err(RpcError::page(status)),
        Some(Effect::Answer(answer)) => {
            let _ = run(caller, method, params).await;
            Ok(answer)
        }
        Some(Effect::First(event)) => {
            caller.shared.world().happen(&event);
            run(caller, method, params).await
        }
        Some(Effect::CloseEarly(bytes)) => {
            if let Some(miner) = caller.shared.world().miners.get_mut(caller.miner) {
                miner.close_after = Some(bytes);
            }
            run(caller, method, params).await
        }
    }
}

async fn run(caller: &Caller, method: &Method, params: Vec<Value>) -> Answer {
    // Whatever a gateway has is for everybody.
    let open = caller.kind == NodeKind::Gateway;
    if !open && !caller.allowed.iter().any(|allowed| allowed == method.need) {
        return Err(RpcError::forbidden(method));
    }
    let params = Params(params, caller.kind);
    match method.run {
        Run::Node(run) => run(&mut caller.shared.world(), &params),
        Run::Miner(run) => run(&mut caller.shared.world(), caller.miner, &params),
        Run::Later(run) => run(Arc::clone(&caller.shared), caller.miner, params).await,
    }
}
