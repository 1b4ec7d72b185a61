//! Keeping, signing and serving the asks.

use super::{AskChange, changed, renew};
use crate::chain::ProviderFacts;
use crate::filecoin::{Address, ChainEpoch};
use crate::market::Handle;
use crate::market::facts::{Bench, lock};
use crate::store::{StoredAsk, Write};
use crate::wire::StorageAsk;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The asks as they are served.
#[derive(Default)]
pub(in crate::market) struct Asks {
    known: Mutex<BTreeMap<Address, Known>>,
    /// Held while an ask changes, so that a renewal does not undo what an operator sets at the same time.
    turn: Mutex<()>,
    /// What the log was told about each of them, so that it is told once.
    said: Mutex<BTreeMap<Address, Vec<String>>>,
}

struct Known {
    ask: StoredAsk,
    /// The worker that its signature was compared with.
    worker: Address,
}

impl Asks {
    /// A miner's terms.
    pub(in crate::market) fn terms(&self, miner: &Address) -> Option<StorageAsk> {
        lock(&self.known)
            .get(miner)
            .map(|known| known.ask.terms.clone())
    }

    fn get(&self, miner: &Address) -> Option<StoredAsk> {
        lock(&self.known).get(miner).map(|known| known.ask.clone())
    }

    fn put(&self, ask: StoredAsk, worker: &Address) {
        let worker = worker.clone();
        lock(&self.known).insert(ask.terms.miner.clone(), Known { ask, worker });
    }

    /// Whether the ask in memory has the signature of this worker.
    fn is_signed_by(&self, miner: &Address, worker: &Address) -> bool {
        lock(&self.known)
            .get(miner)
            .is_some_and(|known| known.ask.signature.is_some() && known.worker == *worker)
    }

    /// Logs what was not said about the ask before.
    fn say(&self, miner: &Address, notes: Vec<String>) {
        let mut said = lock(&self.said);
        let before = said.insert(miner.clone(), notes.clone());
        for note in notes {
            if before.as_ref().is_none_or(|before| !before.contains(&note)) {
                log::warn!("ask of {miner}: {note}");
            }
        }
    }
}

impl Bench {
    /// Loads, creates, renews and signs the asks of all miners that the snapshot knows. Blocks.
    pub(in crate::market) fn prepare_asks(&self) {
        let snapshot = lock(&self.snapshot).clone();
        let Some((head, _)) = snapshot.head else {
            return;
        };
        for (miner, view) in &snapshot.miners {
            let mut notes = Vec::new();
            if let Err(error) = self.prepare_ask(miner, head, &view.facts, &mut notes) {
                notes.push(error);
            }
            self.asks.say(miner, notes);
        }
    }

    fn prepare_ask(
        &self,
        miner: &Address,
        head: ChainEpoch,
        facts: &ProviderFacts,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let _turn = lock(&self.asks.turn);
        let kept = self.kept_ask(miner)?;
        let mut new = kept.is_none();
        let mut ask = kept.unwrap_or_else(|| self.first_ask(miner, head, facts.sector_size));
        let renewed = renew(&mut ask, head);
        new |= renewed;
        if ask.expiry_given && ask.terms.has_expired(head) {
            notes.push(format!(
                "it expired at epoch {} as its operator wanted: proposals are refused until `coracle ask set {miner}` \
                 gives it another expiry (--valid-for EPOCHS, --no-expiry)",
                ask.terms.expiry
            ));
        }
        let signed = !new && self.is_signed(&ask, &facts.worker);
        if !signed {
            let signature = self.signature(&ask, &facts.worker, notes);
            new |= signature != ask.signature;
            ask.signature = signature;
        }
        if new {
            self.store_ask(&ask)?;
        }
        if renewed {
            log::info!("ask of {miner}: renewed until epoch {}", ask.terms.expiry);
        }
        self.asks.put(ask, &facts.worker);
        Ok(())
    }

    /// The ask as it is now, in memory or in the database.
    fn kept_ask(&self, miner: &Address) -> Result<Option<StoredAsk>, String> {
        match self.asks.get(miner) {
            Some(ask) => Ok(Some(ask)),
            None => self
                .parts
                .store
                .ask(miner)
                .map_err(|error| error.to_string()),
        }
    }

    fn first_ask(&self, miner: &Address, head: ChainEpoch, sector_size: u64) -> StoredAsk {
        let own = self.settings.miners.get(miner);
        own.map(|own| own.first_ask.clone())
            .unwrap_or_default()
            .ask(miner, head, sector_size)
    }

    fn is_signed(&self, ask: &StoredAsk, worker: &Address) -> bool {
        self.asks.is_signed_by(&ask.terms.miner, worker)
            || ask
                .signature
                .as_ref()
                .is_some_and(|signature| signature.verify(worker, &ask.terms.encode()))
    }

    /// The worker's signature, if somebody has its key. An ask without one is served all the same and tried again at
    /// each look at the chain: the reference is left with no ask at all (spec boost-mk12 11.46).
    fn signature(
        &self,
        ask: &StoredAsk,
        worker: &Address,
        notes: &mut Vec<String>,
    ) -> Option<crate::filecoin::Signature> {
        let why = match self.parts.chain.sign(worker, &ask.terms.encode()) {
            Ok(Some(signature)) => return Some(signature),
            Ok(None) => {
                format!("neither the keystore nor the node has the key of its worker {worker}")
            }
            Err(error) => error.to_string(),
        };
        notes.push(format!("served without a signature: {why}"));
        None
    }

    fn store_ask(&self, ask: &StoredAsk) -> Result<(), String> {
        let write = Write::Ask(ask.terms.miner.clone(), Box::new(ask.clone()));
        let stored = self.parts.store.commit_and_wait(vec![write]);
        stored.map_err(|error| format!("not stored: {error}"))
    }

    /// Changes an ask. Blocks.
    ///
    /// # Errors
    /// The miner is unknown, the chain was never reached, or the change makes no sense.
    fn change_ask(&self, miner: &Address, change: &AskChange) -> Result<StoredAsk, String> {
        if !self.settings.miners.contains_key(miner) {
            let ours: Vec<_> = self
                .settings
                .miners
                .keys()
                .map(Address::to_string)
                .collect();
            let ours = ours.join(", ");
            return Err(format!("{miner} is not a miner of this provider: {ours}"));
        }
        let snapshot = lock(&self.snapshot).clone();
        let (Some((head, _)), Some(view)) = (snapshot.head, snapshot.miners.get(miner)) else {
            return Err(format!(
                "the chain has not told about {miner} yet: try again"
            ));
        };
        let _turn = lock(&self.asks.turn);
        let current = self.kept_ask(miner)?;
        let current =
            current.unwrap_or_else(|| self.first_ask(miner, head, view.facts.sector_size));
        let mut ask = changed(&current, change, head, view.facts.sector_size)?;
        let mut notes = Vec::new();
        ask.signature = self.signature(&ask, &view.facts.worker, &mut notes);
        self.store_ask(&ask)?;
        self.asks.put(ask.clone(), &view.facts.worker);
        self.asks.say(miner, notes);
        log::info!(
            "ask of {miner}: changed by the operator, sequence number {}",
            ask.terms.seq_no
        );
        Ok(ask)
    }
}

impl Handle {
    /// Changes a miner's ask: the sequence number rises, and it is valid for ten years unless an expiry is given.
    ///
    /// # Errors
    /// Why it was not changed.
    pub async fn set_ask(&self, miner: Address, change: AskChange) -> Result<StoredAsk, String> {
        let bench = Arc::clone(&self.bench);
        let changed = self
            .bench
            .threads
            .chain
            .run(move || bench.change_ask(&miner, &change))
            .await;
        changed.unwrap_or_else(|busy| Err(busy.to_string()))
    }

    /// The asks of all miners that were seen on chain, by their numbers.
    pub fn asks(&self) -> Vec<StoredAsk> {
        let known = lock(&self.bench.asks.known);
        let mut asks: Vec<StoredAsk> = known.values().map(|known| known.ask.clone()).collect();
        asks.sort_by_key(|ask| ask.terms.miner.actor_id());
        asks
    }

    /// A miner's ask; none for a miner that is not ours, or not seen on chain yet.
    pub fn stored_ask(&self, miner: &Address) -> Option<StoredAsk> {
        self.bench.asks.get(miner)
    }
}
