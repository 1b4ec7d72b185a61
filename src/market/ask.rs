//! The storage asks (spec boost-mk12 3.2): one per miner, signed by the worker where its key is at hand.

use super::facts::{Bench, lock};
use crate::chain::ProviderFacts;
use crate::filecoin::{Address, ChainEpoch, TokenAmount};
use crate::store::{StoredAsk, Write};
use crate::wire::{SignedAsk, StorageAsk};
use std::sync::Arc;

/// Epochs that a fresh ask is valid.
const FIRST_VALIDITY: ChainEpoch = 1_000_000;

/// Epochs that a changed ask is valid: ten years.
const CHANGED_VALIDITY: ChainEpoch = 10_519_200;

/// What an operator changes; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskChange {
    /// Price in attoFIL per GiB and epoch.
    pub price: Option<TokenAmount>,
    /// Price of verified deals.
    pub verified_price: Option<TokenAmount>,
    /// Bytes, padded.
    pub min_piece_size: Option<u64>,
    /// Bytes, padded.
    pub max_piece_size: Option<u64>,
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
    fn ask(&self, miner: &Address, head: ChainEpoch, sector_size: u64) -> StorageAsk {
        StorageAsk {
            miner: miner.clone(),
            price: self.price.clone(),
            seq_no: 0,
            expiry: head.saturating_add(FIRST_VALIDITY),
            timestamp: head,
            max_piece_size: self.max_piece_size.min(sector_size),
            min_piece_size: self.min_piece_size,
            verified_price: self.verified_price.clone(),
        }
    }
}

impl Bench {
    /// Loads, creates or renews the asks of all miners that the snapshot knows and that have none in memory. Blocks.
    pub(super) fn prepare_asks(&self) {
        let snapshot = lock(&self.snapshot).clone();
        let Some((head, _)) = snapshot.head else {
            return;
        };
        for (miner, view) in &snapshot.miners {
            if lock(&self.asks).contains_key(miner) {
                continue;
            }
            if let Err(error) = self.prepare_ask(miner, head, &view.facts) {
                log::error!("ask of {miner}: {error}");
            }
        }
    }

    fn prepare_ask(
        &self,
        miner: &Address,
        head: ChainEpoch,
        facts: &ProviderFacts,
    ) -> Result<(), String> {
        let stored = self.parts.store.ask(miner);
        let stored = stored.map_err(|error| error.to_string())?;
        let signed = stored.map(|ask| ask.0);
        let ask = match signed.as_ref().and_then(|signed| signed.ask.clone()) {
            Some(mut ask) if ask.expiry <= head => {
                ask.expiry = head.saturating_add(CHANGED_VALIDITY);
                ask.timestamp = head;
                ask.seq_no = ask.seq_no.saturating_add(1);
                ask
            }
            Some(ask) => {
                if let Some(signed) = signed.filter(|signed| is_signed_by(signed, &facts.worker)) {
                    lock(&self.asks).insert(miner.clone(), signed);
                    return Ok(());
                }
                ask
            }
            None => self.first_ask(miner, head, facts.sector_size),
        };
        self.keep_ask(miner, ask, &facts.worker).map(drop)
    }

    fn first_ask(&self, miner: &Address, head: ChainEpoch, sector_size: u64) -> StorageAsk {
        let own = self
            .settings
            .miners
            .get(miner)
            .map(|own| own.first_ask.clone());
        own.unwrap_or_default().ask(miner, head, sector_size)
    }

    /// Signs, stores and serves an ask; without a signature if the worker's key is nowhere at hand. Blocks.
    fn keep_ask(
        &self,
        miner: &Address,
        ask: StorageAsk,
        worker: &Address,
    ) -> Result<SignedAsk, String> {
        let signature = self.parts.chain.sign(worker, &ask.encode());
        let signature = signature.map_err(|error| format!("not signed: {error}"))?;
        if signature.is_none() {
            log::warn!("ask of {miner}: served without signature: nobody has the worker's key");
        }
        let signed = SignedAsk {
            ask: Some(ask),
            signature,
        };
        let write = Write::Ask(miner.clone(), Box::new(StoredAsk(signed.clone())));
        let stored = self.parts.store.commit_and_wait(vec![write]);
        stored.map_err(|error| format!("not stored: {error}"))?;
        lock(&self.asks).insert(miner.clone(), signed.clone());
        Ok(signed)
    }

    /// Changes an ask. Blocks.
    ///
    /// # Errors
    /// The miner is unknown, or the chain was never reached.
    pub(super) fn change_ask(
        &self,
        miner: &Address,
        change: &AskChange,
    ) -> Result<SignedAsk, String> {
        let snapshot = lock(&self.snapshot).clone();
        let (Some((head, _)), Some(view)) = (snapshot.head, snapshot.miners.get(miner)) else {
            return Err(format!("the chain has not told about {miner} yet"));
        };
        let current = lock(&self.asks).get(miner).and_then(|ask| ask.ask.clone());
        let mut ask =
            current.unwrap_or_else(|| self.first_ask(miner, head, view.facts.sector_size));
        if let Some(price) = &change.price {
            ask.price = price.clone();
        }
        if let Some(price) = &change.verified_price {
            ask.verified_price = price.clone();
        }
        ask.min_piece_size = change.min_piece_size.unwrap_or(ask.min_piece_size);
        ask.max_piece_size = change.max_piece_size.unwrap_or(ask.max_piece_size);
        ask.seq_no = ask.seq_no.saturating_add(1);
        ask.timestamp = head;
        ask.expiry = head.saturating_add(CHANGED_VALIDITY);
        self.keep_ask(miner, ask, &view.facts.worker)
    }
}

fn is_signed_by(signed: &SignedAsk, worker: &Address) -> bool {
    match (&signed.ask, &signed.signature) {
        (Some(ask), Some(signature)) => signature.verify(worker, &ask.encode()),
        _ => false,
    }
}

impl super::Handle {
    /// Changes a miner's ask: the sequence number rises, ten years from now it expires.
    ///
    /// # Errors
    /// Why it was not changed.
    pub async fn set_ask(&self, miner: Address, change: AskChange) -> Result<SignedAsk, String> {
        let bench = Arc::clone(&self.bench);
        let changed = self
            .bench
            .threads
            .chain
            .run(move || bench.change_ask(&miner, &change))
            .await;
        changed.unwrap_or_else(|busy| Err(busy.to_string()))
    }
}
