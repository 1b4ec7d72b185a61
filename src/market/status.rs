//! Answers to clients: status of a deal, ask of a miner.

use super::Handle;
use crate::deal::status;
use crate::filecoin::Address;
use crate::wire::{AskResponse, DealStatusRequest, DealStatusResponse};

impl Handle {
    /// Answers a status request (spec boost-mk12 1.6).
    ///
    /// The deal is looked up before the signature is checked, as clients expect the two texts in that order.
    pub async fn status(&self, request: DealStatusRequest) -> DealStatusResponse {
        let uuid = request.uuid;
        let (deal, bytes) = match self.deal(uuid).await {
            Ok(Some(found)) => found,
            Ok(None) => return status::unknown(uuid),
            Err(error) => {
                log::error!("status of deal {uuid}: {error}");
                return status::refusal(uuid, "failed to fetch deal status");
            }
        };
        let (checked, answer) = (deal.clone(), status::answer(&deal, bytes));
        let signed = self
            .bench
            .threads
            .checks
            .run(move || status::signed_by_client(&checked, &request.signature))
            .await;
        match signed {
            Ok(true) => answer,
            Ok(false) => status::refusal(uuid, "signature verification failed"),
            Err(busy) => {
                log::warn!("status of deal {uuid}: {busy}");
                status::refusal(uuid, "failed to fetch deal status")
            }
        }
    }

    /// Answers an ask request; none for a miner that is not ours.
    pub fn ask(&self, miner: &Address) -> AskResponse {
        AskResponse {
            ask: self.stored_ask(miner).map(|ask| ask.signed()),
        }
    }
}
