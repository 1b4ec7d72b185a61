//! Gathers what the checks of a proposal need, in the time that a client waits.

use super::ask::Asks;
use super::external::Places;
use super::refusals::Refusals;
use super::{Parts, Settings, Snapshot, Threads};
use crate::chain::ChainError;
use crate::deal::Millis;
use crate::deal::judge::{Fact, Facts, Verdict};
use crate::filecoin::address::Protocol;
use crate::filecoin::{Address, ChainEpoch, ClientDealProposal, TokenAmount};
use crate::threads::Busy;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The facts about a proposal are there within this time, or it is refused (design 2.2).
const DEADLINE: Duration = Duration::from_secs(2);

/// Collateral bounds move with the circulating supply, slowly: ten minutes are nothing to them.
const BOUNDS_AGE_MAX: Millis = 600_000;

/// Distinct piece sizes times verified or not.
const BOUNDS_KEPT_MAX: usize = 64;

/// What proposals are judged with; shared by all that are under way.
pub(super) struct Bench {
    pub(super) settings: Arc<Settings>,
    pub(super) parts: Parts,
    pub(super) threads: Threads,
    pub(super) snapshot: Mutex<Snapshot>,
    pub(super) asks: Asks,
    /// Refused proposals that are not stored yet.
    pub(super) refusals: Refusals,
    /// Running commands of external filters.
    pub(super) filters: Places,
    /// Miners whose sealer is being asked for its sectors.
    counting: Mutex<BTreeSet<Address>>,
    bounds: Mutex<BTreeMap<(u64, bool), (Millis, TokenAmount)>>,
}

/// Locks; a thread that panicked while it held one of these left whole values behind.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends when the facts about a proposal must be there.
type Late = Shared<BoxFuture<'static, ()>>;

/// Facts about a proposal, and what of them the deal's record keeps.
pub(super) struct Gathered {
    pub facts: Facts,
    /// The key behind the client's address; None if the chain says that there is none.
    pub key: Fact<Option<Address>>,
    /// The client's ID address.
    pub client_id: Fact<Address>,
}

impl Bench {
    pub(super) fn new(settings: Arc<Settings>, parts: Parts, threads: Threads) -> Self {
        Self {
            settings,
            parts,
            threads,
            snapshot: Mutex::default(),
            asks: Asks::default(),
            refusals: Refusals::default(),
            filters: Places::new(),
            counting: Mutex::default(),
            bounds: Mutex::default(),
        }
    }

    pub(super) fn poll_millis(&self) -> Millis {
        u64::try_from(self.settings.chain_poll.as_millis()).unwrap_or(u64::MAX)
    }

    /// Has the sectors counted of each miner with an external filter, which wants to know. A sealer that has not
    /// answered the last time is not asked again.
    pub(super) fn count_sectors(self: &Arc<Self>) {
        let filtered = self.settings.miners.iter();
        for (miner, _) in filtered.filter(|(_, own)| own.filter.is_some()) {
            if !lock(&self.counting).insert(miner.clone()) {
                continue;
            }
            let (bench, of) = (Arc::clone(self), miner.clone());
            let asked = self.threads.sealer.submit(move || {
                let sealer = bench.parts.sealers.get(&of);
                let counted = sealer.map(|sealer| sealer.summary());
                let mut snapshot = lock(&bench.snapshot);
                let view = snapshot.sectors.entry(of.clone()).or_default();
                match counted {
                    Some(Ok(states)) => view.states = Some((states, (bench.parts.now)())),
                    Some(Err(error)) => view.error = Some(error.to_string()),
                    None => view.error = Some(format!("no sealer belongs to {of}")),
                }
                drop(snapshot);
                lock(&bench.counting).remove(&of);
            });
            if asked.is_err() {
                lock(&self.counting).remove(miner);
            }
        }
    }

    /// Height of the head, unless it was read too long ago.
    pub(super) fn head(&self) -> Fact<ChainEpoch> {
        lock(&self.snapshot).fresh_head((self.parts.now)(), self.poll_millis())
    }

    /// The network's version, unless it was read too long ago.
    fn network_version(&self) -> Fact<u64> {
        lock(&self.snapshot).fresh_version((self.parts.now)())
    }

    /// Asks everything at the same time, under one deadline.
    pub(super) async fn gather(&self, signed: &ClientDealProposal) -> Gathered {
        let now = (self.parts.now)();
        let late: Late = (self.parts.sleep)(DEADLINE).shared();
        let proposal = &signed.proposal;
        let client = &proposal.client;
        let signature = async {
            let key = self.key(client, &late).await;
            let verdict = self.verdict(signed, &key, &late).await;
            (key, verdict)
        };
        let id = self.ask_chain(&late, {
            let client = client.clone();
            move |parts| parts.chain.id_address(&client)
        });
        let available = self.ask_chain(&late, {
            let client = client.clone();
            move |parts| parts.chain.client_available(&client)
        });
        let datacap = async {
            if !proposal.verified {
                return Ok(None);
            }
            let client = client.clone();
            self.ask_chain(&late, move |parts| parts.chain.datacap(&client))
                .await
        };
        let kind = (proposal.piece_size, proposal.verified);
        let collateral = self.collateral_min(kind, now, &late);
        let ((key, verdict), client_id, client_available, datacap, collateral_min) =
            futures::join!(signature, id, available, datacap, collateral);
        let miner = self
            .settings
            .miners
            .get_key_value(&proposal.provider)
            .or_else(|| self.settings.miners.iter().next())
            .map(|(miner, _)| miner.clone());
        Gathered {
            facts: Facts {
                head: self.head(),
                signature: verdict,
                miner,
                collateral_min,
                ask: self.asks.terms(&proposal.provider),
                client_available,
                network_version: self.network_version(),
                datacap,
            },
            key,
            client_id,
        }
    }

    /// The key address of a client; None if the chain says that there is none.
    async fn key(&self, client: &Address, late: &Late) -> Fact<Option<Address>> {
        if matches!(client.protocol(), Protocol::Secp256k1 | Protocol::Bls) {
            return Ok(Some(client.clone()));
        }
        let client = client.clone();
        self.ask_chain(late, move |parts| parts.chain.key_address(&client))
            .await
    }

    /// Checks the signature by the kind of its client (spec chain-sealer-rpc C.6).
    async fn verdict(
        &self,
        signed: &ClientDealProposal,
        key: &Fact<Option<Address>>,
        late: &Late,
    ) -> Verdict {
        let bytes = signed.proposal.encode();
        let signature = signed.signature.clone();
        let valid = match signer(&signed.proposal.client, key) {
            Signer::Unknown(why) => Err(why),
            Signer::Contract(contract) => {
                self.ask_chain(late, move |parts| {
                    parts.chain.authenticate(&contract, &signature, &bytes)
                })
                .await
            }
            Signer::Key(key) => {
                let checked = self
                    .threads
                    .checks
                    .run(move || signature.verify(&key, &bytes));
                within(late, async { checked.await.map_err(busy) }).await
            }
        };
        match valid {
            Ok(true) => Verdict::Valid,
            Ok(false) => Verdict::Invalid,
            Err(why) => Verdict::Unknown(why),
        }
    }

    /// Smallest collateral for a piece of this size, verified or not.
    async fn collateral_min(
        &self,
        kind: (u64, bool),
        now: Millis,
        late: &Late,
    ) -> Fact<TokenAmount> {
        let cached = lock(&self.bounds).get(&kind).cloned();
        if let Some((at, min)) = cached
            && now.abs_diff(at) <= BOUNDS_AGE_MAX
        {
            return Ok(min);
        }
        let bounds = self
            .ask_chain(late, move |parts| {
                parts.chain.collateral_bounds(kind.0, kind.1)
            })
            .await?;
        let mut kept = lock(&self.bounds);
        if kept.len() >= BOUNDS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(kind, (now, bounds.min.clone()));
        Ok(bounds.min)
    }

    /// Runs a question on a chain thread, under the deadline.
    async fn ask_chain<T: Send + 'static>(
        &self,
        late: &Late,
        question: impl FnOnce(&Parts) -> Result<T, ChainError> + Send + 'static,
    ) -> Fact<T> {
        let parts = self.parts.clone();
        let answer = self.threads.chain.run(move || question(&parts));
        within(late, async move {
            match answer.await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(error.to_string()),
                Err(full) => Err(busy(full)),
            }
        })
        .await
    }
}

/// Who says whether a proposal's signature is good.
#[derive(Debug, PartialEq, Eq)]
enum Signer {
    /// This key: the signature is checked here.
    Key(Address),
    /// The actor at this address: it is asked to authenticate the proposal.
    Contract(Address),
    /// The chain did not say: why, for the log.
    Unknown(String),
}

/// Who signs for a client. Without a key behind its address it may still be a contract; and what has a delegated address
/// has no key that a signature could be checked with here, an Ethereum account included (spec chain-sealer-rpc C.6).
fn signer(client: &Address, key: &Fact<Option<Address>>) -> Signer {
    match key {
        Ok(Some(key)) if key.protocol() == Protocol::Delegated => Signer::Contract(key.clone()),
        Ok(Some(key)) => Signer::Key(key.clone()),
        Ok(None) => Signer::Contract(client.clone()),
        // A delegated address is asked itself, whatever is behind it.
        Err(_) if client.protocol() == Protocol::Delegated => Signer::Contract(client.clone()),
        Err(why) => Signer::Unknown(why.clone()),
    }
}

fn busy(full: Busy) -> String {
    full.to_string()
}

async fn within<T>(late: &Late, work: impl Future<Output = Fact<T>>) -> Fact<T> {
    let late = async {
        late.clone().await;
        Err(format!("no answer within {} s", DEADLINE.as_secs()))
    };
    smol::future::or(work, late).await
}
