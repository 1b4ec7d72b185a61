//! A deal as its client sees it (spec boost-mk12 1.4, 1.6).

use super::{Checkpoint, Deal};
use crate::filecoin::Signature;
use crate::wire::{DealStatus, DealStatusResponse};
use uuid::Uuid;

/// The answer to a status request.
///
/// `bytes_received` is what has arrived so far; it stays true after the transfer, unlike the reference's.
pub fn answer(deal: &Deal, bytes_received: u64) -> DealStatusResponse {
    DealStatusResponse {
        error: String::new(),
        uuid: deal.uuid,
        offline: deal.request.offline,
        status: Some(DealStatus {
            error: deal.error.clone(),
            status: deal.checkpoint.name().to_owned(),
            proposal: deal.proposal().clone(),
            publish_cid: deal.publish_cid,
            chain_deal_id: deal.chain_deal_id.unwrap_or(0),
            sealing_status: sealing(deal),
            signed_proposal_cid: deal.signed.signed_cid(),
        }),
        transfer_size: deal.request.size,
        bytes_received,
    }
}

/// Empty before there is a sector (the reference reports the state of sector 0 instead).
fn sealing(deal: &Deal) -> String {
    if deal.sector.is_none() || deal.checkpoint < Checkpoint::AddedPiece {
        return String::new();
    }
    deal.sealing.clone()
}

/// An answer that says only what went wrong.
pub fn refusal(uuid: Uuid, error: impl Into<String>) -> DealStatusResponse {
    DealStatusResponse {
        error: error.into(),
        uuid,
        offline: false,
        status: None,
        transfer_size: 0,
        bytes_received: 0,
    }
}

/// The answer for a UUID that nobody knows.
pub fn unknown(uuid: Uuid) -> DealStatusResponse {
    refusal(uuid, format!("no storage deal found with deal UUID {uuid}"))
}

/// Whether the request was signed by the deal's client: the signature is over the 16 bytes of the UUID.
pub fn signed_by_client(deal: &Deal, signature: &Signature) -> bool {
    signature.verify(&deal.client_key, deal.uuid.as_bytes())
}
