//! The sockets of a devnet: which paths there are, who may call, and the clock that makes tipsets.

use super::jwt;
use super::kinds;
use super::rpc::{self, Caller, Method};
use super::settings::NodeKind;
use super::streams::{self, Streams};
use super::world::World;
use super::{rpc_chain, rpc_miner, rpc_mpool, rpc_state, rpc_wallet};
use crate::serve::listener::{self, Body, BodyError, read_body};
use crate::threads::Pool;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use smol::future::FutureExt;
use smol::lock::Semaphore;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A call's body; the original allows 100 MiB, which nothing here needs: the longest message is 64 KiB.
const MAX_BODY: u64 = 8 << 20;

/// Where data streams are pushed to.
pub const PUSH_PATH: &str = "/rpc/streams/v0/push";

const NODE_V1: &[&[Method]] = &[
    rpc_chain::METHODS,
    rpc_state::METHODS,
    rpc_mpool::METHODS,
    rpc_wallet::METHODS,
    rpc_wallet::TOKEN_METHODS,
];

/// The deprecated interface: some methods have other parameters.
const NODE_V0: &[&[Method]] = &[
    rpc_chain::METHODS_V0,
    rpc_chain::METHODS,
    rpc_state::METHODS,
    rpc_mpool::METHODS,
    rpc_wallet::METHODS,
    rpc_wallet::TOKEN_METHODS,
];

const MINER_V0: &[&[Method]] = &[rpc_miner::METHODS, rpc_wallet::TOKEN_METHODS];

/// What all connections share.
pub struct Shared {
    world: Mutex<World>,
    /// Per miner, the meetings of pushed pieces.
    pub streams: Vec<Arc<Streams>>,
    /// Per miner, the URL below which its worker takes pushed pieces, if they are redirected.
    pub workers: Vec<Option<String>>,
    /// Threads that read and hash pieces.
    pub hashing: Pool,
    /// As many pieces are read at a time.
    pub reading: Semaphore,
}

impl Shared {
    /// Puts a world behind its lock; `readers` pieces are read at a time.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub fn new(
        world: World,
        workers: Vec<Option<String>>,
        readers: usize,
    ) -> std::io::Result<Self> {
        let pairing = world.config.pairing;
        let meetings = |_| Arc::new(Streams::new(pairing));
        let streams = world.miners.iter().map(meetings).collect();
        Ok(Self {
            world: Mutex::new(world),
            streams,
            workers,
            hashing: Pool::new("devnet-piece", readers, readers, 512 * 1024)?,
            reading: Semaphore::new(readers),
        })
    }

    /// The world, for a short time: never across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is spoken to at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The chain node with this place: 0, then the further ones.
    Node(usize),
    /// The miner with this place in the list.
    Miner(usize),
    /// That miner's worker, which takes nothing but data.
    Worker(usize),
}

/// Answers one HTTP request.
pub async fn answer(shared: Arc<Shared>, role: Role, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/health/livez" || path == "/health/readyz" {
        return listener::empty(StatusCode::OK);
    }
    let Some(allowed) = permissions(&shared.world(), &request) else {
        return listener::empty(StatusCode::UNAUTHORIZED);
    };
    if let Some(id) = path
        .strip_prefix(PUSH_PATH)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        return match role {
            Role::Node(_) => not_found(),
            Role::Miner(miner) | Role::Worker(miner) => push(&shared, miner, id, request).await,
        };
    }
    let (tables, node, miner) = match (role, path.as_str()) {
        (Role::Node(node), "/rpc/v1") => (NODE_V1, Some(node), 0),
        (Role::Node(node), "/rpc/v0") => (NODE_V0, Some(node), 0),
        (Role::Miner(miner), "/rpc/v0") => (MINER_V0, None, miner),
        _ => return not_found(),
    };
    let kind = node.map_or(NodeKind::Lotus, |node| {
        kinds::kind_of(&shared.world().config, node)
    });
    let caller = Caller {
        shared,
        tables,
        node,
        kind,
        miner,
        allowed,
    };
    match read_body(request, MAX_BODY).await {
        Ok(body) => rpc::answer(caller, body).await,
        Err(BodyError::TooLarge) => rpc::too_large(MAX_BODY),
        Err(BodyError::Broken | BodyError::Timeout) => listener::abort(),
    }
}

fn not_found() -> Response<Body> {
    listener::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// One half of a pushed piece; it ends when the miner restarts.
async fn push(
    shared: &Shared,
    miner: usize,
    id: &str,
    request: Request<Incoming>,
) -> Response<Body> {
    let restarted = {
        let world = shared.world();
        world.miners.get(miner).map(|node| node.restarted.clone())
    };
    let (Some(restarted), Some(streams)) = (restarted, shared.streams.get(miner)) else {
        return not_found();
    };
    let restart = async {
        let _ = restarted.recv().await;
        listener::abort()
    };
    streams::answer(Arc::clone(streams), id, request)
        .or(restart)
        .await
}

/// What the caller may do; none if the token is bad. Without a token that is reading, or everything where permissions are
/// not enforced.
fn permissions(world: &World, request: &Request<Incoming>) -> Option<Vec<String>> {
    let everything = || jwt::PERMISSIONS.map(str::to_owned).to_vec();
    let token = match request.headers().get(AUTHORIZATION) {
        Some(header) => Some(header.to_str().ok()?.strip_prefix("Bearer ")?),
        None => query_token(request),
    };
    let allowed = match token {
        Some(token) => jwt::verify(&world.token_secret, token)?,
        None => vec!["read".to_owned()],
    };
    Some(if world.config.auth {
        allowed
    } else {
        everything()
    })
}

/// A token that was put into the URL.
fn query_token(request: &Request<Incoming>) -> Option<&str> {
    let query = request.uri().query()?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))
}
