//! How deals and times are shown to operators.

use crate::deal::admit::go_time;
use crate::deal::{Deal, Ending, Hold, Wait};
use serde_json::{Value, json as object};

/// A time in milliseconds since 1970 as RFC 3339 in UTC.
pub(super) fn rfc3339(millis: u64) -> String {
    let text = go_time(millis);
    let time = text.trim_end_matches(" +0000 UTC").replacen(' ', "T", 1);
    format!("{time}Z")
}

/// One word for a sealed deal's state on chain, as it was last seen; empty before that.
fn on_chain(deal: &Deal) -> &'static str {
    match (deal.over, deal.activated) {
        (Some(over), _) => over.how.name(),
        (None, Some(_)) => "active",
        (None, None) => "",
    }
}

/// A deal as operators see it. Transfer parameters are left out: they may hold credentials.
pub fn deal_json(deal: &Deal, bytes_received: u64) -> Value {
    let proposal = deal.proposal();
    let (retry, wakes) = match deal.hold {
        Hold::None => ("", None),
        Hold::Auto { until } => ("auto", Some(rfc3339(until))),
        Hold::Manual => ("manual", None),
        Hold::Room => ("auto", None),
    };
    object!({
        "uuid": deal.uuid.to_string(),
        "checkpoint": deal.checkpoint.name(),
        "miner": proposal.provider.to_string(),
        "client": proposal.client.to_string(),
        "peer": deal.request.peer,
        "piece_cid": proposal.piece_cid.to_string(),
        "piece_size": proposal.piece_size,
        "payload_size": deal.payload_size,
        "data_root": deal.request.data_root,
        "verified": proposal.verified,
        "offline": deal.request.offline,
        "skip_announce": deal.request.skip_announce,
        "remove_unsealed": deal.request.remove_unsealed,
        "host": deal.request.host,
        "error": deal.error,
        "retry": retry,
        "retry_at": wakes,
        "bytes_received": bytes_received,
        "transfer_size": deal.request.size,
        "publish_cid": deal.publish_cid.map(|cid| cid.to_string()),
        "chain_deal_id": deal.chain_deal_id,
        "sector": deal.sector.map(|sector| sector.number),
        "offset": deal.sector.map(|sector| sector.offset),
        "sealing": deal.sealing,
        "sealed": deal.sealed,
        "waits_for": Wait::of(deal).name(),
        "late": deal.late,
        "on_chain": on_chain(deal),
        "activated_epoch": deal.activated,
        "slashed_epoch": deal.over.filter(|over| over.how == Ending::Slashed).map(|over| over.epoch),
        "expired": deal.over.is_some_and(|over| over.how == Ending::Expired),
        "ended_epoch": deal.over.map(|over| over.epoch),
        "start_epoch": proposal.start_epoch,
        "end_epoch": proposal.end_epoch,
        "price_per_epoch": proposal.price_per_epoch.to_string(),
        "provider_collateral": proposal.provider_collateral.to_string(),
        "signed_proposal_cid": deal.signed.signed_cid().to_string(),
        "created": rfc3339(deal.created),
        "updated": rfc3339(deal.updated),
    })
}
