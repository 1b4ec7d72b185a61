//! `/fil/storage/status/1.2.0`: a client asks how its deal is.

use super::{Desk, Talk, ask_and_read, finish, hand_in, read_request, refuse};
use crate::p2p::{Inbound, P2pError};
use crate::wire::{DealStatusRequest, DealStatusResponse, ItemLimits};
use libp2p::{PeerId, StreamProtocol};

pub(in crate::p2p) const PROTOCOL: StreamProtocol =
    StreamProtocol::new("/fil/storage/status/1.2.0");

pub(super) async fn serve<S: Talk>(mut stream: S, peer: PeerId, desk: &Desk) {
    let read = read_request(&mut stream, ItemLimits::SMALL, desk).await;
    match read.and_then(|request| DealStatusRequest::decode(&request.bytes)) {
        Ok(req) => {
            let answer = hand_in(desk, |reply| Inbound::Status { req, reply });
            finish(stream, answer.await.map(|answer| answer.encode())).await;
        }
        Err(error) => refuse(stream, peer, "status request", &error).await,
    }
}

pub(in crate::p2p) async fn request<S: Talk>(
    mut stream: S,
    request: &DealStatusRequest,
) -> Result<DealStatusResponse, P2pError> {
    // The answer holds the proposal, whose label may be long.
    let answer = ask_and_read(&mut stream, &request.encode(), ItemLimits::LARGE).await?;
    DealStatusResponse::decode(&answer).map_err(P2pError::Answer)
}
