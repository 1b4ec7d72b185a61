//! The storage asks (spec boost-mk12 3.2): one per miner, changed by its operator, renewed by themselves.
//!
//! This file has the rules, which are pure; `tend` keeps, signs and serves the asks.

mod tend;

pub(super) use tend::Asks;

use crate::filecoin::{Address, ChainEpoch, TokenAmount, piece_size};
use crate::store::StoredAsk;
use crate::wire::StorageAsk;

/// Epochs that a fresh ask is valid: the reference's.
const FIRST_VALIDITY: ChainEpoch = 1_000_000;

/// Epochs that a changed or renewed ask is valid: ten years.
const LATER_VALIDITY: ChainEpoch = 10_519_200;

/// An ask is renewed this many epochs before it expires: a week, longer than a node is usually away, so that nobody
/// ever sees an expired one that its operator did not want to expire.
const RENEWED_BEFORE: ChainEpoch = 20_160;

/// Bytes of a price: half of the 128 that the wire allows for an amount (spec boost-mk12 1.2), so that what a deal costs
/// by it still fits.
const PRICE_BYTES_MAX: usize = 64;

/// What an operator changes; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskChange {
    /// Price in attoFIL per GiB and epoch.
    pub price: Option<TokenAmount>,
    /// Price of verified deals.
    pub verified_price: Option<TokenAmount>,
    /// Bytes, padded: a power of two.
    pub min_piece_size: Option<u64>,
    /// Bytes, padded: a power of two, at most the sector size.
    pub max_piece_size: Option<u64>,
    /// Until when it is valid.
    pub expiry: Option<AskExpiry>,
}

/// Until when an ask is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskExpiry {
    /// It ends at this epoch; proposals are refused from then on.
    At(ChainEpoch),
    /// The same, this many epochs after the head.
    In(ChainEpoch),
    /// It is renewed before it ends.
    Never,
}

/// The ask that a miner starts with, before an operator changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAsk {
    /// Price in attoFIL per GiB and epoch.
    pub price: TokenAmount,
    /// Price of verified deals.
    pub verified_price: TokenAmount,
    /// Bytes, padded.
    pub min_piece_size: u64,
    /// Bytes, padded; never more than a sector.
    pub max_piece_size: u64,
}

impl Default for FirstAsk {
    /// The reference's (spec boost-mk12 3.2).
    fn default() -> Self {
        Self {
            price: TokenAmount::from_atto(50_000_000),
            verified_price: TokenAmount::from_atto(5_000_000),
            min_piece_size: 256,
            max_piece_size: 32 << 30,
        }
    }
}

impl FirstAsk {
    fn ask(&self, miner: &Address, head: ChainEpoch, sector_size: u64) -> StoredAsk {
        StoredAsk {
            terms: StorageAsk {
                miner: miner.clone(),
                price: self.price.clone(),
                seq_no: 0,
                expiry: head.saturating_add(FIRST_VALIDITY),
                timestamp: head,
                max_piece_size: self.max_piece_size.min(sector_size),
                min_piece_size: self.min_piece_size,
                verified_price: self.verified_price.clone(),
            },
            signature: None,
            expiry_given: false,
        }
    }
}

/// Renews an ask that is about to expire, unless its operator gave the expiry; whether it did.
fn renew(ask: &mut StoredAsk, head: ChainEpoch) -> bool {
    let last = head.saturating_add(RENEWED_BEFORE);
    if ask.expiry_given || ask.terms.expiry > last {
        return false;
    }
    ask.terms.expiry = head.saturating_add(LATER_VALIDITY);
    ask.terms.timestamp = head;
    ask.terms.seq_no = ask.terms.seq_no.saturating_add(1);
    true
}

/// The ask after a change, not signed yet; refusals say what would have been right.
fn changed(
    current: &StoredAsk,
    change: &AskChange,
    head: ChainEpoch,
    sector_size: u64,
) -> Result<StoredAsk, String> {
    if *change == AskChange::default() {
        return Err("nothing to change: give a price, a piece size or an expiry".to_owned());
    }
    let mut ask = current.clone();
    let terms = &mut ask.terms;
    if let Some(price) = &change.price {
        terms.price = checked_price(price)?;
    }
    if let Some(price) = &change.verified_price {
        terms.verified_price = checked_price(price)?;
    }
    if let Some(size) = change.min_piece_size {
        terms.min_piece_size = checked_size(size)?;
    }
    if let Some(size) = change.max_piece_size {
        terms.max_piece_size = checked_size(size)?;
        if size > sector_size {
            return Err(format!(
                "the largest piece, {size} bytes, does not fit a sector of this miner, {sector_size} bytes"
            ));
        }
    }
    if terms.min_piece_size > terms.max_piece_size {
        return Err(format!(
            "the smallest piece, {} bytes, would be larger than the largest one, {} bytes: change both",
            terms.min_piece_size, terms.max_piece_size
        ));
    }
    let at = match change.expiry {
        Some(AskExpiry::At(epoch)) => Some(epoch),
        Some(AskExpiry::In(epochs)) => Some(head.saturating_add(epochs)),
        Some(AskExpiry::Never) => None,
        None => ask.expiry_given.then_some(ask.terms.expiry),
    };
    if let Some(epoch) = at.filter(|epoch| *epoch <= head) {
        return Err(if change.expiry.is_some() {
            format!(
                "the ask would have expired already: epoch {epoch} is not after the head, {head}"
            )
        } else {
            format!(
                "the ask expired at epoch {epoch}: give it another expiry, or none, with the change"
            )
        });
    }
    ask.expiry_given = at.is_some();
    ask.terms.expiry = at.unwrap_or_else(|| head.saturating_add(LATER_VALIDITY));
    ask.terms.timestamp = head;
    ask.terms.seq_no = ask.terms.seq_no.saturating_add(1);
    ask.signature = None;
    Ok(ask)
}

fn checked_price(price: &TokenAmount) -> Result<TokenAmount, String> {
    if price.is_negative() {
        return Err(format!("the price {price} is negative"));
    }
    if price.to_bytes().len() > PRICE_BYTES_MAX {
        return Err("the price is beyond all the money there is".to_owned());
    }
    Ok(price.clone())
}

fn checked_size(size: u64) -> Result<u64, String> {
    piece_size::check_padded(size)
        .map_err(|_| format!("{size} bytes are no piece: a power of two, at least 128 bytes"))?;
    Ok(size)
}

#[cfg(test)]
mod tests;
