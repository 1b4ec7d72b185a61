//! `/fil/storage/mk/1.2.1` and `1.2.0`: a client proposes a deal. Both versions carry either form of the request.

use super::{Desk, Talk, ask_and_read, finish, hand_in, read_request, refuse};
use crate::p2p::{Inbound, P2pError};
use crate::wire::{DealParams, DealResponse, ItemLimits};
use libp2p::{PeerId, StreamProtocol};

/// In the order in which a client offers them.
pub(in crate::p2p) const PROTOCOLS: [StreamProtocol; 2] = [
    StreamProtocol::new("/fil/storage/mk/1.2.1"),
    StreamProtocol::new("/fil/storage/mk/1.2.0"),
];

pub(super) async fn serve<S: Talk>(mut stream: S, peer: PeerId, desk: &Desk) {
    let read = read_request(&mut stream, ItemLimits::LARGE, desk).await;
    // The request's permission is kept until the answer is there: the decoded proposal is as large.
    let decoded = read.and_then(|mut request| {
        let params = DealParams::decode(&std::mem::take(&mut request.bytes))?;
        Ok((params, request))
    });
    match decoded {
        Ok((params, _request)) => {
            let params = Box::new(params);
            let answer = hand_in(desk, |reply| Inbound::Proposal {
                peer,
                params,
                reply,
            });
            finish(stream, answer.await.map(|answer| answer.encode())).await;
        }
        Err(error) => refuse(stream, peer, "proposal", &error).await,
    }
}

pub(in crate::p2p) async fn request<S: Talk>(
    mut stream: S,
    params: &DealParams,
) -> Result<DealResponse, P2pError> {
    let answer = ask_and_read(&mut stream, &params.encode(), ItemLimits::SMALL).await?;
    DealResponse::decode(&answer).map_err(P2pError::Answer)
}
