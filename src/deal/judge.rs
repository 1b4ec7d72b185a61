//! The ordered checks of a proposal (spec boost-mk12 3.1, 3.3 step 1) over facts that were gathered before.

use super::Refusal;
use crate::filecoin::market_actor::{
    MAX_DURATION, MAX_LABEL_BYTES, MIN_DURATION, MIN_VERIFIED_PIECE,
};
use crate::filecoin::piece_size::{self, PieceSizeError};
use crate::filecoin::{Address, ChainEpoch, ClientDealProposal, DealProposal, TokenAmount, cids};
use crate::wire::{DealParams, StorageAsk};

/// A fact that could not be had: why, for the log.
pub type Fact<T> = Result<T, String>;

/// What the signature check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Made by the client's key over the proposal's canonical bytes.
    Valid,
    /// Not.
    Invalid,
    /// The client's key could not be found: why, for the log.
    Unknown(String),
}

/// Everything that the checks look at and that the proposal does not say itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Height of the head.
    pub head: Fact<ChainEpoch>,
    /// Outcome of the signature check.
    pub signature: Verdict,
    /// The provider's own address, if it is one of ours.
    pub miner: Option<Address>,
    /// Smallest provider collateral for this size.
    pub collateral_min: Fact<TokenAmount>,
    /// The miner's current ask.
    pub ask: Option<StorageAsk>,
    /// The client's escrow less what is locked.
    pub client_available: Fact<TokenAmount>,
    /// The network's version; only looked at for a verified deal.
    pub network_version: Fact<u64>,
    /// The client's data cap in bytes; only looked at for a verified deal. None: not a verified client.
    pub datacap: Fact<Option<TokenAmount>>,
}

/// Before every text of a check.
const PREFIX: &str = "failed validation: ";

/// Check 1.
const HEAD_UNKNOWN: &str = "getting chain head";

/// From this network version on there is no DataCap, and with it no verified deal (FIP-0118, spec chain-sealer-rpc D.8).
pub const VERIFIED_ENDS_AT: u64 = 29;

/// Judges a proposal.
///
/// # Errors
/// The first check that failed; its client text carries the prefix `failed validation: `.
pub fn judge(params: &DealParams, facts: &Facts) -> Result<(), Refusal> {
    checks(params, facts).map_err(|refusal| refusal.prefixed(PREFIX))
}

/// Judges a message without a proposal in it: checks 1 and 2 are all that can be looked at.
pub fn no_proposal(head: &Fact<ChainEpoch>) -> Refusal {
    let refusal = known(head, HEAD_UNKNOWN).err().unwrap_or_else(undefined);
    refusal.prefixed(PREFIX)
}

fn undefined() -> Refusal {
    Refusal::at_fault("proposal PieceCID undefined")
}

fn checks(params: &DealParams, facts: &Facts) -> Result<(), Refusal> {
    let head = known(&facts.head, HEAD_UNKNOWN)?;
    let Some(signed) = &params.proposal else {
        return Err(undefined());
    };
    let proposal = &signed.proposal;
    signature(&facts.signature)?;
    provider(proposal, facts)?;
    label(signed)?;
    piece(proposal)?;
    epochs(proposal, *head)?;
    collateral(proposal, facts)?;
    price(proposal, facts, *head)?;
    funds(proposal, facts)?;
    if proposal.verified {
        verified(proposal, facts)?;
    }
    Ok(())
}

fn known<'a, T>(fact: &'a Fact<T>, text: &str) -> Result<&'a T, Refusal> {
    fact.as_ref().map_err(|why| unknown(text, why))
}

/// A fact was not to be had from the chain.
fn unknown(text: &str, why: &str) -> Refusal {
    Refusal::server_error(
        text,
        &format!(
            "{why}; see that the chain node of FULLNODE_API_INFO is up, in sync and quick enough"
        ),
    )
}

fn signature(verdict: &Verdict) -> Result<(), Refusal> {
    match verdict {
        Verdict::Valid => Ok(()),
        // The reference answers a wrong signature with the text of a server error (spec 11.1); ours is true.
        Verdict::Invalid => Err(Refusal::at_fault("invalid signature")),
        Verdict::Unknown(why) => Err(unknown("validating signature", why)),
    }
}

fn provider(proposal: &DealProposal, facts: &Facts) -> Result<(), Refusal> {
    match &facts.miner {
        Some(miner) if *miner == proposal.provider => Ok(()),
        ours => Err(Refusal::advised(
            format!(
                "incorrect provider for deal; proposal.Provider: {}; provider.Address: {}",
                proposal.provider,
                ours.as_ref().map(ToString::to_string).unwrap_or_default()
            ),
            "if that is a miner of yours, CORACLE_MINERS lacks its f0 address",
        )),
    }
}

fn label(signed: &ClientDealProposal) -> Result<(), Refusal> {
    let bytes = signed.proposal.label.as_bytes().len();
    if bytes > MAX_LABEL_BYTES {
        return Err(Refusal::at_fault(format!(
            "deal label can be at most {MAX_LABEL_BYTES} bytes, is {bytes}"
        )));
    }
    Ok(())
}

fn piece(proposal: &DealProposal) -> Result<(), Refusal> {
    piece_size::check_padded(proposal.piece_size).map_err(|error| {
        let why = match error {
            PieceSizeError::TooSmall => "minimum padded piece size is 128 bytes",
            PieceSizeError::NotPowerOfTwo => "padded piece size must be a power of 2",
        };
        Refusal::at_fault(format!("proposal piece size is invalid: {why}"))
    })?;
    if cids::piece_commitment(&proposal.piece_cid).is_none() {
        return Err(Refusal::at_fault("proposal PieceCID had wrong prefix"));
    }
    Ok(())
}

fn epochs(proposal: &DealProposal, head: ChainEpoch) -> Result<(), Refusal> {
    let (start, end) = (proposal.start_epoch, proposal.end_epoch);
    if end <= start {
        return Err(Refusal::at_fault(format!(
            "proposal end {end} before proposal start {start}"
        )));
    }
    if head > start {
        return Err(Refusal::at_fault(format!(
            "deal start epoch {start} has already elapsed (current epoch: {head})"
        )));
    }
    // Widened: two epochs of opposite sign may lie further apart than one can express.
    let duration = i128::from(end).saturating_sub(i128::from(start));
    if !(i128::from(MIN_DURATION)..=i128::from(MAX_DURATION)).contains(&duration) {
        return Err(Refusal::at_fault(format!(
            "deal duration out of bounds (min, max, provided): {MIN_DURATION}, {MAX_DURATION}, {duration}"
        )));
    }
    if end > head.saturating_add(MAX_DURATION) {
        return Err(Refusal::at_fault(format!(
            "invalid deal end epoch {end}: cannot be more than {MAX_DURATION} past current epoch {head}"
        )));
    }
    Ok(())
}

fn collateral(proposal: &DealProposal, facts: &Facts) -> Result<(), Refusal> {
    let min = known(&facts.collateral_min, "getting collateral bounds")?;
    let offered = &proposal.provider_collateral;
    if offered < min {
        return Err(Refusal::at_fault(format!(
            "proposed provider collateral {offered} below minimum {min}"
        )));
    }
    // The reference's constant: a client may not make us lock more than twice what the chain wants.
    let max = min.times(2);
    if *offered > max {
        return Err(Refusal::at_fault(format!(
            "proposed provider collateral {offered} above maximum {max}"
        )));
    }
    Ok(())
}

fn price(proposal: &DealProposal, facts: &Facts, head: ChainEpoch) -> Result<(), Refusal> {
    let Some(ask) = &facts.ask else {
        return Err(Refusal::server_error(
            "getting storage ask",
            "the miner has no ask yet; it is made as soon as the chain node answers",
        ));
    };
    // The reference never looks at it (spec 11.46). An ask expires only if its operator wants that.
    if ask.has_expired(head) {
        return Err(Refusal::new(
            "storage ask has expired",
            format!(
                "storage ask of {} expired at epoch {}, the head is {head}: `coracle ask set` gives it another expiry",
                ask.miner, ask.expiry
            ),
        ));
    }
    let asked = if proposal.verified {
        &ask.verified_price
    } else {
        &ask.price
    };
    let min = asked.price_for(proposal.piece_size);
    if proposal.price_per_epoch < min {
        return Err(Refusal::advised(
            format!(
                "storage price per epoch less than asking price: {} < {min}",
                proposal.price_per_epoch
            ),
            &format!("the ask is {asked} attoFIL per GiB and epoch, `coracle ask set` lowers it"),
        ));
    }
    if proposal.piece_size < ask.min_piece_size {
        return Err(Refusal::advised(
            format!(
                "piece size less than minimum required size: {} < {}",
                proposal.piece_size, ask.min_piece_size
            ),
            "`coracle ask set` changes the smallest piece that is taken",
        ));
    }
    if proposal.piece_size > ask.max_piece_size {
        return Err(Refusal::advised(
            format!(
                "piece size more than maximum allowed size: {} > {}",
                proposal.piece_size, ask.max_piece_size
            ),
            "`coracle ask set` changes the largest piece that is taken",
        ));
    }
    Ok(())
}

fn funds(proposal: &DealProposal, facts: &Facts) -> Result<(), Refusal> {
    let available = known(&facts.client_available, "getting market balance")?;
    let cost = sum(&proposal.client_collateral, &proposal.storage_fee());
    if *available < cost {
        return Err(Refusal::at_fault(format!(
            "client available funds in escrow {available} not enough to meet storage cost for deal {cost}"
        )));
    }
    Ok(())
}

#[allow(clippy::arithmetic_side_effects)] // big integers do not overflow
fn sum(a: &TokenAmount, b: &TokenAmount) -> TokenAmount {
    a + b
}

/// What the market actor and the registry of DataCap want of a verified deal beside the client's DataCap: they fail the
/// whole publish message otherwise (spec chain-sealer-rpc D.2, D.8).
fn verified(proposal: &DealProposal, facts: &Facts) -> Result<(), Refusal> {
    let version = *known(&facts.network_version, "getting network version")?;
    if version >= VERIFIED_ENDS_AT {
        return Err(Refusal::new(
            format!("verified deals have ended with network version {VERIFIED_ENDS_AT}"),
            format!(
                "verified deals have ended with network version {VERIFIED_ENDS_AT}, the chain is at {version}: there is no \
                 DataCap any more that it could be published with; the client may propose it as an unverified one"
            ),
        ));
    }
    let size = proposal.piece_size;
    if size < MIN_VERIFIED_PIECE {
        return Err(Refusal::at_fault(format!(
            "verified deal piece size {size} below minimum {MIN_VERIFIED_PIECE}"
        )));
    }
    datacap(proposal, facts)
}

fn datacap(proposal: &DealProposal, facts: &Facts) -> Result<(), Refusal> {
    let Some(datacap) = known(&facts.datacap, "getting verified datacap")? else {
        return Err(Refusal::at_fault("client is not a verified client"));
    };
    if *datacap < TokenAmount::from_atto(proposal.piece_size) {
        return Err(Refusal::at_fault(format!(
            "verified deal DataCap {datacap} too small for proposed piece size {}",
            proposal.piece_size
        )));
    }
    Ok(())
}

/// Checks the declared transfer size against the piece: an impossible deal is refused before a byte is fetched
/// (the reference downloads it first, spec 11.9).
///
/// # Errors
/// A size of 0 for an online deal, or more payload than the piece holds; the text has both numbers.
pub fn transfer_size(params: &DealParams) -> Result<(), Refusal> {
    let Some(signed) = &params.proposal else {
        return Ok(());
    };
    let room = piece_size::unpadded(signed.proposal.piece_size);
    let size = params.transfer.size;
    if params.offline || (size > 0 && size <= room) {
        return Ok(());
    }
    Err(Refusal::at_fault(format!(
        "transfer size {size} does not fit the piece: it must be at least 1 and at most {room} bytes"
    )))
}
