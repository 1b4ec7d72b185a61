//! One hand-over: the call that lasts for hours, the bytes beside it, and a way out of both.
//!
//! The HTTP client blocks and can only be ended from outside, by shutting its connections down. So the call runs on a
//! thread of its own, the push on another, and the caller's thread waits for their results and for `stop`. On the way
//! out both clients are shut down: a thread that waits on a socket then ends at once, one that is still looking a
//! name up or connecting ends after the limits of these phases; nobody waits for it.

use super::lotus_miner::{LotusMiner, malformed};
use super::push::{self, PieceReader, Pushed};
use super::{Handover, SealerError, SectorPlace};
use crate::filecoin::{json as form, piece_size};
use crate::rpc::{Client, Patience, RpcError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use uuid::Uuid;

const METHOD: &str = "SectorAddPieceToAny";

/// How often `stop` is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Stack of the two threads: HTTP and TLS on buffers of the heap.
const STACK: usize = 512 << 10;

/// What stands for the part of a piece's address that nobody can guess.
const SECRET: &str = "…";

enum Event {
    Answered(Result<Value, RpcError>),
    Pushed(Pushed),
}

/// Hands a piece to lotus-miner and waits until it lies in a sector.
pub(super) fn add_piece(
    miner: &LotusMiner,
    piece: &Handover,
    stop: &AtomicBool,
) -> Result<SectorPlace, SealerError> {
    if piece.deal_id == 0 {
        // lotus-miner takes 0 for "no deal" and refuses (spec chain-sealer-rpc E.1).
        return Err(SealerError::Refused {
            code: 0,
            message: format!("{METHOD}: a deal with the ID 0 cannot be handed over"),
        });
    }
    let reader = PieceReader::open(piece)?;
    let (events, received) = mpsc::channel();
    let call = Arc::new(Client::new(vec![miner.endpoint.clone()], miner.limits));
    let bytes = push::agent(&miner.limits);
    let secret;
    let stream = if let Some(fetch_url) = &miner.fetch_url {
        let url = fetch_url(piece);
        let path = url.rsplit('/').next().unwrap_or_default();
        secret = path.to_owned();
        json!({"Type": "http", "Info": url})
    } else {
        let id = Uuid::new_v4();
        let url = miner
            .endpoint
            .push_url(&id)
            .ok_or_else(|| malformed(METHOD, "the address has no /rpc/ in its path"))?;
        start_push(bytes.clone(), url, reader, events.clone())?;
        secret = id.to_string();
        json!({"Type": "push", "Info": id.to_string()})
    };
    let size = piece_size::unpadded(piece.proposal.piece_size);
    start_call(&call, json!([size, stream, deal_info(piece)]), events)?;
    let result = wait(&received, stop);
    // Whatever still runs has lost its purpose: HEAD hangs if the miner had the piece already.
    call.close();
    bytes.shutdown();
    // A miner that could not fetch the piece repeats where it tried to, and clients read the reason.
    result.map_err(|error| error.without(&secret, SECRET))
}

fn start_push(
    agent: ureq::Agent,
    url: String,
    mut reader: PieceReader,
    events: Sender<Event>,
) -> Result<(), SealerError> {
    start("push-piece", move || {
        // Nobody listens any more once the call has ended.
        let _ = events.send(Event::Pushed(push::push(&agent, &url, &mut reader)));
    })
}

fn start_call(call: &Arc<Client>, params: Value, events: Sender<Event>) -> Result<(), SealerError> {
    let call = Arc::clone(call);
    start("add-piece", move || {
        let result = call.call_at(None, METHOD, &params, Patience::Endless);
        let _ = events.send(Event::Answered(result));
    })
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), SealerError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map(|_| ())
        .map_err(|error| SealerError::Unreachable(format!("no thread for {METHOD}: {error}")))
}

/// Waits for the call's result. A broken push is no result: the miner may have closed its reader early because it had
/// what it wanted, and if it did not, it says so in its answer.
fn wait(events: &mpsc::Receiver<Event>, stop: &AtomicBool) -> Result<SectorPlace, SealerError> {
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(SealerError::Stopped);
        }
        match events.recv_timeout(LOOK) {
            Ok(Event::Answered(result)) => return place(&result.map_err(refused)?),
            Ok(Event::Pushed(Pushed::File(reason))) => return Err(SealerError::File(reason)),
            Ok(Event::Pushed(Pushed::Broken(reason))) => {
                log::warn!("pushing a piece ended early: {reason}; waiting for the sealer's word");
            }
            Ok(Event::Pushed(pushed)) => log::debug!("pushing a piece: {pushed:?}"),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(SealerError::Unreachable(format!(
                    "{METHOD} ended without a result"
                )));
            }
        }
    }
}

/// A server without this method is up and well and will never take a piece: the operator hears what would.
fn refused(error: RpcError) -> SealerError {
    let unknown = matches!(error, RpcError::NoSuchMethod { .. });
    match SealerError::from(error) {
        SealerError::Refused { code, message } if unknown => SealerError::Refused {
            code,
            message: format!(
                "{message}; the sealer is no lotus-miner, and takes no pieces from a market beside it (Curio does not since \
                 v1.24.3): for one that fetches them by other means set CORACLE_HANDOVER_DIR"
            ),
        },
        error => error,
    }
}

fn place(result: &Value) -> Result<SectorPlace, SealerError> {
    let number = |name| {
        result
            .get(name)
            .and_then(Value::as_u64)
            .ok_or_else(|| malformed(METHOD, "no sector or offset"))
    };
    Ok(SectorPlace {
        sector: number("Sector")?,
        offset: number("Offset")?,
    })
}

/// The third parameter: a published deal (chain-sealer-rpc E.1).
pub(super) fn deal_info(piece: &Handover) -> Value {
    let proposal = &piece.proposal;
    json!({
        "PublishCid": form::from_cid(Some(&piece.publish_cid)),
        "DealID": piece.deal_id,
        "DealProposal": form::from_proposal(proposal),
        "DealSchedule": {"StartEpoch": proposal.start_epoch, "EndEpoch": proposal.end_epoch},
        "PieceActivationManifest": null,
        "KeepUnsealed": piece.keep_unsealed,
    })
}
