//! `/fil/storage/ask/1.1.0`: a client asks for a miner's terms.

use super::{Desk, Talk, ask_and_read, finish, hand_in, read_request, refuse};
use crate::filecoin::Address;
use crate::p2p::{Inbound, P2pError};
use crate::wire::{AskRequest, AskResponse, ItemLimits};
use libp2p::{PeerId, StreamProtocol};

pub(in crate::p2p) const PROTOCOL: StreamProtocol = StreamProtocol::new("/fil/storage/ask/1.1.0");

pub(super) async fn serve<S: Talk>(mut stream: S, peer: PeerId, desk: &Desk) {
    let read = read_request(&mut stream, ItemLimits::SMALL, desk).await;
    match read.and_then(|request| AskRequest::decode(&request.bytes)) {
        Ok(AskRequest { miner: Some(miner) }) => {
            let answer = hand_in(desk, |reply| Inbound::Ask { miner, reply });
            finish(stream, answer.await.map(|answer| answer.encode())).await;
        }
        // No miner is named, so it is not one of ours.
        Ok(AskRequest { miner: None }) => {
            finish(stream, Some(AskResponse { ask: None }.encode())).await;
        }
        Err(error) => refuse(stream, peer, "ask request", &error).await,
    }
}

pub(in crate::p2p) async fn request<S: Talk>(
    mut stream: S,
    miner: Address,
) -> Result<AskResponse, P2pError> {
    let request = AskRequest { miner: Some(miner) }.encode();
    let answer = ask_and_read(&mut stream, &request, ItemLimits::SMALL).await?;
    AskResponse::decode(&answer).map_err(P2pError::Answer)
}
