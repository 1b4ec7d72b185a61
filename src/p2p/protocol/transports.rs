//! `/fil/retrieval/transports/1.0.0`: where pieces can be fetched. The provider writes at once and closes its side,
//! which ends the answer; nothing is asked (spec boost-mk12 1.7).

use super::{Desk, Talk, finish, hand_in, read_to_end, within};
use crate::p2p::{Inbound, P2pError};
use crate::wire::{MAX_TRANSPORTS_BYTES, Transports};
use libp2p::StreamProtocol;
use std::time::Duration;

pub(in crate::p2p) const PROTOCOL: StreamProtocol =
    StreamProtocol::new("/fil/retrieval/transports/1.0.0");

/// How long a client waits for the answer and its end (spec boost-mk12 1.7).
const ANSWER_WAIT: Duration = Duration::from_secs(30);

pub(super) async fn serve<S: Talk>(stream: S, desk: &Desk) {
    let answer = hand_in(desk, |reply| Inbound::Transports { reply });
    finish(stream, answer.await.map(|answer| answer.encode())).await;
}

pub(in crate::p2p) async fn request<S: Talk>(mut stream: S) -> Result<Transports, P2pError> {
    let read = read_to_end(&mut stream, MAX_TRANSPORTS_BYTES);
    let answer = match within(ANSWER_WAIT, read).await {
        Some(read) => read.map_err(P2pError::Answer)?,
        None => return Err(P2pError::AnswerTimedOut),
    };
    if answer.is_empty() {
        return Err(P2pError::NoAnswer);
    }
    Transports::decode(&answer).map_err(P2pError::Answer)
}
