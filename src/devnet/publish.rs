//! PublishStorageDeals: the rules by which the market actor leaves a deal out or fails the whole message (spec
//! chain-sealer-rpc D.2). Pure.

use super::actors::{Call, authenticate};
use super::market::{client_requirement, least_collateral, malformed, total_supply};
use super::state::{Exit, State, exit, plus};
use crate::filecoin::market_actor::{
    MAX_DURATION, MAX_LABEL_BYTES, MIN_DURATION, MIN_VERIFIED_PIECE, PublishReturn, decode_publish,
};
use crate::filecoin::{
    Address, ChainEpoch, ClientDealProposal, DealProposal, TokenAmount, cids, piece_size,
};
use cid::Cid;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why one deal of a batch was left out (spec D.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropped {
    /// The client's signature does not authenticate.
    Signature,
    /// The label is longer than 256 bytes.
    Label,
    /// The piece size is no power of two of at least 128.
    PieceSize,
    /// The piece CID has another form than pieces have.
    PieceCid,
    /// It ends before or when it starts.
    Order,
    /// The start epoch has passed.
    Started,
    /// Shorter or longer than allowed.
    Duration,
    /// The price is negative or beyond all FIL.
    Price,
    /// The provider's collateral is out of bounds.
    ProviderCollateral,
    /// The client's collateral is out of bounds.
    ClientCollateral,
    /// Another provider than that of the first deal.
    Provider,
    /// Nobody has the client's address.
    Client,
    /// The client's free escrow does not cover fee and collateral.
    ClientFunds,
    /// The provider's free escrow does not cover the collateral.
    ProviderFunds,
    /// The same deal is live, or earlier in this batch.
    Duplicate,
    /// The client's DataCap does not cover the piece.
    DataCap,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "signature proposal invalid",
            Self::Label => "label too long",
            Self::PieceSize => "proposal piece size is invalid",
            Self::PieceCid => "proposal PieceCID undefined or malformed",
            Self::Order => "proposal end before start",
            Self::Started => "deal start epoch has already elapsed",
            Self::Duration => "deal duration out of bounds",
            Self::Price => "storage price out of bounds",
            Self::ProviderCollateral => "provider collateral out of bounds",
            Self::ClientCollateral => "client collateral out of bounds",
            Self::Provider => "deal provider differs from the first deal's",
            Self::Client => "failed to resolve client address",
            Self::ClientFunds => "insufficient client funds",
            Self::ProviderFunds => "insufficient provider funds",
            Self::Duplicate => "cannot publish duplicate deal proposal",
            Self::DataCap => "insufficient verified DataCap",
        })
    }
}

/// What the earlier deals of a batch have used.
struct Batch {
    provider: u64,
    provider_address: Address,
    spent: BTreeMap<u64, TokenAmount>,
    pledged: TokenAmount,
    datacap: BTreeMap<u64, TokenAmount>,
    seen: BTreeSet<Cid>,
}

/// A deal that passed.
struct Accepted {
    client: u64,
    /// With ID addresses.
    proposal: DealProposal,
}

/// PublishStorageDeals: leaves invalid deals out and enters the others.
pub fn publish(call: &mut Call<'_>) -> Result<Vec<u8>, Exit> {
    let deals = decode_publish(call.params).map_err(malformed)?;
    let Some(first) = deals.first() else {
        return Err(Exit::new(exit::ILLEGAL_ARGUMENT, "empty deals parameter"));
    };
    let provider_address = first.proposal.provider.clone();
    let provider = call
        .state
        .resolve(&provider_address)
        .ok_or_else(|| Exit::new(exit::NOT_FOUND, "failed to resolve provider"))?;
    let miner = call.state.miner(provider).ok_or_else(|| {
        Exit::new(
            exit::ILLEGAL_ARGUMENT,
            "deal provider is not a storage miner",
        )
    })?;
    if !miner.may_send(call.from) {
        return Err(Exit::new(
            exit::FORBIDDEN,
            format!("caller f0{} is not allowed to publish", call.from),
        ));
    }
    let mut batch = Batch {
        provider,
        provider_address,
        spent: BTreeMap::new(),
        pledged: TokenAmount::zero(),
        datacap: BTreeMap::new(),
        seen: BTreeSet::new(),
    };
    let mut accepted = Vec::new();
    let mut positions = Vec::new();
    let mut dropped = Vec::new();
    for (position, deal) in (0_u64..).zip(&deals) {
        match judge(call.state, &mut batch, deal, call.epoch) {
            Ok(deal) => {
                positions.push(position..position.saturating_add(1));
                accepted.push(deal);
            }
            Err(reason) => {
                log::info!(
                    "market actor: deal {position} of {} left out: {reason}",
                    deals.len()
                );
                dropped.push(format!("deal {position}: {reason}"));
            }
        }
    }
    if accepted.is_empty() {
        let text = format!("All deal proposals invalid ({})", dropped.join("; "));
        return Err(Exit::new(exit::ILLEGAL_ARGUMENT, text));
    }
    enter_all(call, provider, accepted, positions)
}

/// The second half of publishing: DataCap, funds and numbers. Only DataCap can still fail, before anything changed.
fn enter_all(
    call: &mut Call<'_>,
    provider: u64,
    accepted: Vec<Accepted>,
    positions: Vec<std::ops::Range<u64>>,
) -> Result<Vec<u8>, Exit> {
    let too_small =
        |deal: &&Accepted| deal.proposal.verified && deal.proposal.piece_size < MIN_VERIFIED_PIECE;
    if let Some(deal) = accepted.iter().find(too_small) {
        let text = format!(
            "failed to transfer datacap: allocation size {} below minimum {MIN_VERIFIED_PIECE}",
            deal.proposal.piece_size
        );
        return Err(Exit::new(exit::ILLEGAL_ARGUMENT, text));
    }
    let market = &mut call.state.market;
    let mut ids = Vec::new();
    for deal in accepted {
        ids.push(market.enter(deal.proposal, deal.client, provider, call.epoch));
    }
    let valid = positions;
    Ok(PublishReturn { ids, valid }.encode())
}

/// The rules for one deal, in the actor's order; what it uses is noted in the batch only when it passes.
fn judge(
    state: &State,
    batch: &mut Batch,
    deal: &ClientDealProposal,
    epoch: ChainEpoch,
) -> Result<Accepted, Dropped> {
    let proposal = &deal.proposal;
    let client = state.resolve(&proposal.client).ok_or(Dropped::Client)?;
    let authentic = authenticate(state, client, &deal.signature.data, &proposal.encode());
    if authentic.as_deref() != Ok(&[0xf5]) {
        return Err(Dropped::Signature);
    }
    judge_terms(proposal, epoch)?;
    if state.resolve(&proposal.provider) != Some(batch.provider)
        || (proposal.provider != batch.provider_address && proposal.provider.actor_id().is_none())
    {
        return Err(Dropped::Provider);
    }
    let mut on_chain = proposal.clone();
    on_chain.client = Address::id(client);
    on_chain.provider = Address::id(batch.provider);

    let mut spent = batch.spent.get(&client).cloned().unwrap_or_default();
    spent = plus(&spent, &client_requirement(proposal));
    if spent > state.market.balance(client).available() {
        return Err(Dropped::ClientFunds);
    }
    let pledged = plus(&batch.pledged, &proposal.provider_collateral);
    if pledged > state.market.balance(batch.provider).available() {
        return Err(Dropped::ProviderFunds);
    }
    let identity = on_chain.cid();
    if state.market.known.contains(&identity) || batch.seen.contains(&identity) {
        return Err(Dropped::Duplicate);
    }
    if proposal.verified {
        let used = batch.datacap.get(&client).cloned().unwrap_or_default();
        let used = plus(&used, &TokenAmount::from_atto(proposal.piece_size));
        let cap = state.market.datacap.get(&client);
        if cap.is_none_or(|cap| used > *cap) {
            return Err(Dropped::DataCap);
        }
        batch.datacap.insert(client, used);
    }
    batch.spent.insert(client, spent);
    batch.pledged = pledged;
    batch.seen.insert(identity);
    Ok(Accepted {
        client,
        proposal: on_chain,
    })
}

/// The rules that need nothing but the proposal and the epoch.
fn judge_terms(proposal: &DealProposal, epoch: ChainEpoch) -> Result<(), Dropped> {
    let duration = proposal.duration().ok_or(Dropped::Order)?;
    let price = &proposal.price_per_epoch;
    let provider = &proposal.provider_collateral;
    let client = &proposal.client_collateral;
    let most = total_supply();
    let checks = [
        (
            proposal.label.as_bytes().len() <= MAX_LABEL_BYTES,
            Dropped::Label,
        ),
        (
            piece_size::check_padded(proposal.piece_size).is_ok(),
            Dropped::PieceSize,
        ),
        (
            cids::piece_commitment(&proposal.piece_cid).is_some(),
            Dropped::PieceCid,
        ),
        (duration > 0, Dropped::Order),
        (epoch <= proposal.start_epoch, Dropped::Started),
        (
            (MIN_DURATION..=MAX_DURATION).contains(&duration),
            Dropped::Duration,
        ),
        (!price.is_negative() && *price <= most, Dropped::Price),
        (
            *provider >= least_collateral(proposal.piece_size) && *provider <= most,
            Dropped::ProviderCollateral,
        ),
        (
            !client.is_negative() && *client <= most,
            Dropped::ClientCollateral,
        ),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}
