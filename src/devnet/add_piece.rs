//! SectorAddPieceToAny and ComputeDataCid: what the caller says about a piece, where its bytes come from, and what they
//! turn out to be (spec chain-sealer-rpc E.1–E.3).

use super::params::Params;
use super::rpc::{Answer, Later, RpcError};
use super::sectors::{PieceDeal, zero_piece};
use super::server::Shared;
use super::streams::{Bits, PushReader};
use super::world::{MinerNode, PieceEntry, PieceKey, World};
use crate::filecoin::json::{self as forms, JsonError};
use crate::filecoin::{ChainEpoch, cids};
use crate::piece::commp::Commp;
use cid::Cid;
use serde_json::{Value, json};
use smol::Timer;
use smol::future::FutureExt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often a repeated call looks whether the first one is done.
const JOIN_STEP: Duration = Duration::from_millis(20);

/// A server that pieces are fetched from has to answer within this time.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// What is read from such a server at a time.
const FETCH_CHUNK: usize = 64 * 1024;

/// What the caller says about a piece.
struct PieceInfo {
    /// What makes a repeated call the same call.
    key: PieceKey,
    piece_cid: Cid,
    start_epoch: ChainEpoch,
    verified: bool,
    deal: Option<PieceDeal>,
}

fn wrong(reason: &'static str) -> RpcError {
    RpcError::ordinary(reason)
}

/// A member of the piece's description.
fn member<'v>(value: &'v Value, name: &str) -> &'v Value {
    forms::field(value, name).unwrap_or(&Value::Null)
}

fn decoded<T>(value: Result<T, JsonError>) -> Result<T, RpcError> {
    value.map_err(|JsonError(reason)| RpcError::param(2, reason))
}

impl PieceInfo {
    /// Reads the description and checks it by itself.
    fn decode(value: &Value) -> Result<Self, RpcError> {
        if !value.is_object() {
            return Err(RpcError::param(2, "not a piece description"));
        }
        let publish_cid = decoded(forms::to_cid(member(value, "PublishCid")))?;
        let deal_id = member(value, "DealID").as_u64().unwrap_or(0);
        let proposal = member(value, "DealProposal");
        let manifest = member(value, "PieceActivationManifest");
        let schedule = member(value, "DealSchedule");
        let epoch = |name: &str| member(schedule, name).as_i64().unwrap_or(0);
        let (start_epoch, end_epoch) = (epoch("StartEpoch"), epoch("EndEpoch"));
        if start_epoch <= 0 || end_epoch <= 0 {
            return Err(wrong("deal schedule epochs have to be above zero"));
        }
        if end_epoch <= start_epoch {
            return Err(wrong("deal schedule ends before it starts"));
        }
        if !manifest.is_null() {
            if publish_cid.is_some() || deal_id != 0 || !proposal.is_null() {
                return Err(wrong(
                    "a piece with an activation manifest must not have PublishCid, DealID or DealProposal",
                ));
            }
            let piece_cid = decoded(forms::to_cid(member(manifest, "CID")))?;
            let piece_cid = piece_cid.ok_or_else(|| wrong("the piece has no CID"))?;
            return Ok(Self {
                key: (piece_cid, 0, piece_cid),
                piece_cid,
                start_epoch,
                verified: false,
                deal: None,
            });
        }
        let publish_cid =
            publish_cid.ok_or_else(|| wrong("a published deal needs its PublishCid"))?;
        if deal_id == 0 {
            return Err(wrong("a published deal needs a DealID that is not 0"));
        }
        if proposal.is_null() {
            return Err(wrong("a published deal needs its DealProposal"));
        }
        let proposal = decoded(forms::to_proposal(proposal))?;
        Ok(Self {
            key: (publish_cid, deal_id, proposal.piece_cid),
            piece_cid: proposal.piece_cid,
            start_epoch,
            verified: proposal.verified,
            deal: Some(PieceDeal {
                publish_cid,
                deal_id,
                proposal,
                start_epoch,
                end_epoch,
                keep_unsealed: member(value, "KeepUnsealed").as_bool().unwrap_or(false),
            }),
        })
    }

    /// The checks that need the chain.
    fn check(&self, world: &World) -> Result<(), RpcError> {
        let epoch = world.chain.epoch();
        if epoch.saturating_add(world.config.sealing_buffer) > self.start_epoch {
            return Err(RpcError::ordinary(format!(
                "current epoch {epoch} has passed deal proposal start epoch {}",
                self.start_epoch
            )));
        }
        let Some(deal) = self.deal.as_ref().filter(|_| self.verified) else {
            return Ok(());
        };
        let market = &world.chain.state().market;
        let on_chain = market.deals.get(&deal.deal_id);
        let allocation = on_chain.and_then(|on_chain| on_chain.allocation);
        if allocation.is_none() {
            return Err(RpcError::ordinary(format!(
                "getting allocation for deal {}: no allocation",
                deal.deal_id
            )));
        }
        Ok(())
    }
}

/// Padded bytes of an unpadded piece size of the form 127 · 2^k.
fn padded_size(unpadded: u64) -> Option<u64> {
    let quads = unpadded.checked_div(127)?;
    let whole = quads.checked_mul(127) == Some(unpadded);
    (whole && quads.is_power_of_two())
        .then(|| quads.checked_mul(128))
        .flatten()
}

fn not_a_size() -> RpcError {
    wrong("cannot allocate unpadded piece")
}

/// Where the bytes come from, as the parameter says it.
enum Source {
    Push(Uuid),
    Http(String),
    Null(u64),
}

impl Source {
    fn decode(value: &Value) -> Result<Self, RpcError> {
        let text = |name: &str| forms::field(value, name).and_then(Value::as_str);
        let (Some(kind), Some(info)) = (text("Type"), text("Info")) else {
            return Err(RpcError::param(1, "not a reader"));
        };
        match kind {
            "http" => Ok(Self::Http(info.to_owned())),
            "null" => match info.parse() {
                Ok(count) => Ok(Self::Null(count)),
                Err(_) => Err(RpcError::param(1, "parsing null byte count")),
            },
            _ => match Uuid::parse_str(info) {
                Ok(id) => Ok(Self::Push(id)),
                Err(_) => Err(RpcError::param(1, "parsing reader uuid")),
            },
        }
    }
}

/// An opened source that has not been read.
enum Reader {
    Push(PushReader),
    Http(String),
    Null(u64),
}

/// What the hasher reads.
enum Input {
    Bits(Bits),
    Http(String),
    Zeros(u64),
}

impl Reader {
    /// Opens a source; the sender of a pushed one has to be there in time, before anything else is looked at.
    async fn open(shared: &Shared, miner: usize, source: Source) -> Result<Self, RpcError> {
        let id = match source {
            Source::Http(url) => return Ok(Self::Http(url)),
            Source::Null(count) => return Ok(Self::Null(count)),
            Source::Push(id) => id,
        };
        let late = || {
            let text =
                "decoding params for 'Filecoin.SectorAddPieceToAny': context deadline exceeded";
            RpcError::param(1, text)
        };
        let streams = shared.streams.get(miner).ok_or_else(late)?;
        let reader = PushReader::open(streams, id).await;
        reader.map(Self::Push).ok_or_else(late)
    }

    /// Asks for the bytes.
    async fn read(self, shared: &Shared, miner: usize) -> Result<Input, RpcError> {
        match self {
            Self::Http(url) => Ok(Input::Http(url)),
            Self::Null(count) => Ok(Input::Zeros(count)),
            Self::Push(mut reader) => {
                let worker = shared.workers.get(miner).and_then(Option::as_ref);
                let redirect = worker.map(|base| format!("{base}/{}", reader.id()));
                let bits = reader.read(redirect).await;
                bits.map(Input::Bits)
                    .ok_or_else(|| wrong("writing piece: the reader was not written to"))
            }
        }
    }
}

/// The piece CID of exactly `size` bytes; blocks.
fn commit(input: Input, size: u64, close_after: Option<u64>) -> Result<Cid, String> {
    let closed = |commp: &Commp| match close_after {
        Some(limit) if commp.bytes() >= limit => {
            Err(format!("writing piece: disk full after {limit} bytes"))
        }
        _ => Ok(()),
    };
    let short = |got: u64| format!("writing piece: unexpected EOF after {got} of {size} bytes");
    let mut commp = Commp::new();
    match input {
        Input::Zeros(count) if count < size => return Err(short(count)),
        Input::Zeros(_) => {
            let padded = padded_size(size).ok_or_else(|| short(0))?;
            return Ok(zero_piece(padded));
        }
        Input::Bits(bits) => {
            while commp.bytes() < size {
                closed(&commp)?;
                match bits.recv_blocking() {
                    Ok(Ok(bytes)) => feed(&mut commp, &bytes, size),
                    Ok(Err(error)) => return Err(format!("writing piece: {error}")),
                    Err(_ended) => return Err(short(commp.bytes())),
                }
            }
        }
        Input::Http(url) => fetch(&url, &mut commp, size)?,
    }
    if commp.bytes() < size {
        return Err(short(commp.bytes()));
    }
    Ok(cids::piece_cid(&commp.finish().root))
}

/// Hashes as much of these bytes as still belongs to the piece.
fn feed(commp: &mut Commp, bytes: &[u8], size: u64) {
    let left = size.saturating_sub(commp.bytes());
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    commp.update(bytes.get(..left).unwrap_or(bytes));
}

/// Reads a piece from where the caller serves it: a plain GET that has to be answered with 200.
fn fetch(url: &str, commp: &mut Commp, size: u64) -> Result<(), String> {
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(10)
        .http_status_as_error(false)
        .timeout_connect(Some(FETCH_TIMEOUT))
        .timeout_recv_response(Some(FETCH_TIMEOUT))
        .build()
        .new_agent();
    let response = agent
        .get(url)
        .call()
        .map_err(|error| format!("fetching piece: {error}"))?;
    if response.status() != 200 {
        return Err(format!(
            "fetching piece: non-200 code: {}",
            response.status()
        ));
    }
    let mut reader = response.into_body().into_reader();
    let mut chunk = vec![0; FETCH_CHUNK];
    while commp.bytes() < size {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => feed(commp, chunk.get(..count).unwrap_or(&[]), size),
            Err(error) => return Err(format!("fetching piece: {error}")),
        }
    }
    Ok(())
}

/// Reads a source on a thread of its own; few at a time.
async fn read_piece(
    shared: &Shared,
    miner: usize,
    reader: Reader,
    size: u64,
) -> Result<Cid, RpcError> {
    let _place = shared.reading.acquire().await;
    let input = reader.read(shared, miner).await?;
    let close_after = miner_at(&mut shared.world(), miner)?.close_after.take();
    let work = move || commit(input, size, close_after);
    match shared.hashing.run(work).await {
        Ok(result) => result.map_err(RpcError::ordinary),
        Err(busy) => Err(RpcError::ordinary(busy.to_string())),
    }
}

/// The miner at this place of the list.
pub fn miner_at(world: &mut World, miner: usize) -> Result<&mut MinerNode, RpcError> {
    let found = world.miners.get_mut(miner);
    found.ok_or_else(|| wrong("no such miner"))
}

/// Ends a call when the miner restarts meanwhile.
async fn unless_restarted(
    shared: &Shared,
    miner: usize,
    work: impl Future<Output = Answer>,
) -> Answer {
    let restarted = miner_at(&mut shared.world(), miner)?.restarted.clone();
    let restart = async {
        let _ = restarted.recv().await;
        Err(RpcError::abort())
    };
    work.or(restart).await
}

/// The method ComputeDataCid.
pub fn compute_data_cid(shared: Arc<Shared>, miner: usize, params: Params) -> Later {
    Box::pin(async move {
        let work = async {
            let size = params.u64(0)?;
            let source = Source::decode(params.raw(1))?;
            let reader = Reader::open(&shared, miner, source).await?;
            let padded = padded_size(size).ok_or_else(not_a_size)?;
            let cid = read_piece(&shared, miner, reader, size).await?;
            Ok(json!({ "Size": padded, "PieceCID": forms::from_cid(Some(&cid)) }))
        };
        unless_restarted(&shared, miner, work).await
    })
}

/// The method SectorAddPieceToAny.
pub fn add_piece(shared: Arc<Shared>, miner: usize, params: Params) -> Later {
    Box::pin(async move {
        let work = add_piece_to_any(&shared, miner, &params);
        unless_restarted(&shared, miner, work).await
    })
}

async fn add_piece_to_any(shared: &Shared, miner: usize, params: &Params) -> Answer {
    let size = params.u64(0)?;
    let source = Source::decode(params.raw(1))?;
    let reader = Reader::open(shared, miner, source).await?;
    let info = PieceInfo::decode(params.raw(2))?;
    let padded = padded_size(size).ok_or_else(not_a_size)?;
    let (first, restarted) = {
        let mut world = shared.world();
        info.check(&world)?;
        let node = miner_at(&mut world, miner)?;
        if padded > node.sector_size {
            return Err(not_a_size());
        }
        let first = !node.pieces.contains_key(&info.key);
        if first {
            node.pieces.insert(info.key, PieceEntry::Pending);
        }
        (first, node.restarted.clone())
    };
    if !first {
        // The reader goes unread.
        drop(reader);
        return joined(shared, miner, &info.key).await;
    }
    let mut pending = Pending {
        shared,
        miner,
        key: info.key,
        restarted,
        done: false,
    };
    let got = read_piece(shared, miner, reader, size).await?;
    if got != info.piece_cid {
        return Err(RpcError::ordinary(format!(
            "got unexpected piece CID: expected:{}, got:{got}",
            info.piece_cid
        )));
    }
    let mut world = shared.world();
    let epoch = world.chain.epoch();
    let node = miner_at(&mut world, miner)?;
    let place = node.sectors.add(epoch, got, padded, info.deal);
    let (sector, offset) = place.map_err(|_| wrong("no sector has room for the piece"))?;
    let entry = PieceEntry::Placed(sector, offset);
    node.pieces.insert(info.key, entry);
    pending.done = true;
    Ok(json!({ "Sector": sector, "Offset": offset }))
}

/// Waits for the call that came first.
async fn joined(shared: &Shared, miner: usize, key: &PieceKey) -> Answer {
    loop {
        match miner_at(&mut shared.world(), miner)?.pieces.get(key) {
            Some(PieceEntry::Placed(sector, offset)) => {
                return Ok(json!({ "Sector": sector, "Offset": offset }));
            }
            Some(PieceEntry::Pending) => {}
            None => return Err(wrong("the pending call for the same piece failed")),
        }
        Timer::after(JOIN_STEP).await;
    }
}

/// Forgets a call that ended without a place for its piece, however it ended.
struct Pending<'s> {
    shared: &'s Shared,
    miner: usize,
    key: PieceKey,
    /// Closed when the miner has restarted: an entry of the same key is then another call's.
    restarted: smol::channel::Receiver<()>,
    done: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.done || self.restarted.is_closed() {
            return;
        }
        if let Ok(node) = miner_at(&mut self.shared.world(), self.miner) {
            node.pieces.remove(&self.key);
        }
    }
}
