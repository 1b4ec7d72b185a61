//! The built-in deal filter (spec boost-mk12 3.4), in its order and words, and the operator's lists of clients.

use super::{Deal, Refusal, Terms};
use crate::filecoin::ChainEpoch;

/// Applies the seven conditions, then the lists of clients.
///
/// # Errors
/// The first condition that does not hold.
pub fn filter(deal: &Deal, head: ChainEpoch, terms: &Terms) -> Result<(), Refusal> {
    kind(deal, terms)?;
    let proposal = deal.proposal();
    if terms.blocklist.contains(&proposal.piece_cid) {
        return Err(Refusal::advised(
            format!("miner has blocklisted piece CID {}", proposal.piece_cid),
            "CORACLE_PIECE_BLOCKLIST names it",
        ));
    }
    start(deal, head, terms)?;
    client(deal, terms)
}

/// Online or offline, verified or not.
fn kind(deal: &Deal, terms: &Terms) -> Result<(), Refusal> {
    let (offline, verified) = (deal.request.offline, deal.proposal().verified);
    let refused = if !offline && !terms.online {
        Some((
            "miner is not considering online storage deals",
            "CORACLE_CONSIDER_ONLINE is false",
        ))
    } else if offline && !terms.offline {
        Some((
            "miner is not accepting offline storage deals",
            "CORACLE_CONSIDER_OFFLINE is false",
        ))
    } else if verified && !terms.verified {
        Some((
            "miner is not accepting verified storage deals",
            "CORACLE_CONSIDER_VERIFIED is false",
        ))
    } else if !verified && !terms.unverified {
        Some((
            "miner is not accepting unverified storage deals",
            "CORACLE_CONSIDER_UNVERIFIED is false",
        ))
    } else {
        None
    };
    refused.map_or(Ok(()), |(text, advice)| Err(Refusal::advised(text, advice)))
}

/// The window in which a deal may start.
fn start(deal: &Deal, head: ChainEpoch, terms: &Terms) -> Result<(), Refusal> {
    let start = deal.proposal().start_epoch;
    let earliest = head.saturating_add(terms.seal_duration);
    if start < earliest {
        return Err(Refusal::new(
            // Begins with the reference's text, which clients look for; the number after it saves them a guess.
            format!(
                "cannot seal a sector before {start}: earliest acceptable start epoch is {earliest}"
            ),
            format!(
                "start epoch {start} is too early: the head is {head} and sealing is expected to take {} epochs \
                 (CORACLE_EXPECTED_SEAL_DURATION), so {earliest} is the earliest acceptable start",
                terms.seal_duration
            ),
        ));
    }
    let latest = earliest.saturating_add(terms.start_delay_max);
    if !deal.request.offline && start > latest {
        return Err(Refusal::advised(
            format!("deal start epoch is too far in the future: {start} > {latest}"),
            &format!(
                "CORACLE_START_DELAY_MAX allows {} epochs after the earliest start, which is {earliest}",
                terms.start_delay_max
            ),
        ));
    }
    Ok(())
}

/// The operator's lists: the one of denied clients wins.
fn client(deal: &Deal, terms: &Terms) -> Result<(), Refusal> {
    let client = deal.client();
    let advice = if client.is_among(&terms.clients_denied) {
        "CORACLE_CLIENTS_DENIED names it"
    } else if !terms.clients_allowed.is_empty() && !client.is_among(&terms.clients_allowed) {
        "CORACLE_CLIENTS_ALLOWED does not name it"
    } else {
        return Ok(());
    };
    Err(Refusal::advised(
        format!(
            "miner is not accepting storage deals from client {}",
            client.given
        ),
        &format!("its ID address is {}, {advice}", client.id),
    ))
}
