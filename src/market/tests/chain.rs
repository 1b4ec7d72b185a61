//! A chain in memory: one state behind one lock, changed by the tests.

use crate::chain::{
    Call, Chain, ChainError, CollateralBounds, DealState, Fate, Head, Order, Outcome, Prepared,
    ProviderContact, ProviderFacts, Purse, Receipt,
};
use crate::deal::tests::samples::{HEAD, atto, client_key};
use crate::filecoin::address::Protocol;
use crate::filecoin::market_actor;
use crate::filecoin::message::Message;
use crate::filecoin::{
    Address, ClientDealProposal, DealProposal, SecretKey, Signature, TokenAmount, cids,
};
use cid::Cid;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

type Answer<T> = Result<T, ChainError>;

/// What the chain knows and how it behaves.
#[derive(Debug, Default)]
pub struct State {
    pub head: i64,
    /// No call is answered.
    pub away: bool,
    /// No client has a key behind its address.
    pub contracts: bool,
    /// Whether there is a key is not answered.
    pub mute_keys: bool,
    /// Up to when the DataCap of verified deals can be claimed; none is set aside without it.
    pub allocation_expiry: Option<i64>,
    /// Contracts do not hold anything for their signature.
    pub disowned: bool,
    pub network_version: u64,
    /// Of every client, in bytes.
    pub datacap: Option<i64>,
    /// Clients have no funds left.
    pub poor: bool,
    /// Questions about clients wait while this is set.
    pub hanging: bool,
    pub escrow: i64,
    /// Of the one wallet of all miners.
    pub publish_balance: i64,
    /// Messages by their order: the deals in them and their CID. Deal IDs are 100 × message + position.
    pub messages: Vec<(Uuid, Vec<ClientDealProposal>, Cid)>,
    /// Messages of money that the chain has: order and message.
    pub transfers: Vec<(Uuid, Message, Cid)>,
    /// The next messages of money are taken for these.
    pub taken_for: Vec<Cid>,
    /// What each executed message has cost.
    pub fee: Option<i64>,
    /// Questions for fees.
    pub fees_asked: u32,
    /// The next answers to `prepare`, the last one first; afterwards messages are made.
    pub prepare_failures: Vec<ChainError>,
    /// Messages that were made.
    pub prepared: u32,
    /// The node has forgotten the messages that its wallet sent.
    pub forgot: bool,
    /// Messages are signed before they are sent.
    pub signs_first: bool,
    /// The next answers to `send`; afterwards messages are taken.
    pub publish_failures: Vec<ChainError>,
    /// Messages are taken, but their senders do not hear of it.
    pub mute: bool,
    /// Messages stay in the pool.
    pub pending: bool,
    /// A replacement does not.
    pub pending_until_replaced: bool,
    /// Replacements by the message that they were made for, with their CIDs.
    pub replaced: BTreeMap<Cid, Cid>,
    /// The next answers to `replace`, the last one first.
    pub replace_failures: Vec<ChainError>,
    /// Replacements that were made.
    pub replacements: u32,
    /// The chain executes the replacement, not the first message.
    pub executes_replacement: bool,
    /// Epochs on top of executed messages.
    pub depth: i64,
    /// The height up to which all is final.
    pub finalized: i64,
    /// Start epochs of deals with which no message can be made, although they pass alone in the dry run.
    pub poisonous: Vec<i64>,
    /// Start epochs of deals of which only one goes into a message.
    pub quarrelling: Vec<i64>,
    /// Deals that fit into a message; 0 is no limit.
    pub fit: usize,
    pub exit_code: i64,
    /// Start epochs of deals that the actor drops.
    pub dropped: Vec<i64>,
    /// Start epochs of deals that fail the dry run.
    pub objected: Vec<i64>,
    pub active: BTreeMap<u64, DealState>,
    /// Questions about deal states are not answered.
    pub mute_states: bool,
    /// Such questions so far.
    pub states_asked: u32,
    /// No message is known.
    pub forgetful: bool,
    /// The next answers to `deal_state`, last one first.
    pub deal_state_failures: Vec<ChainError>,
    /// Calls of `authenticate`.
    pub authenticated: u32,
    /// The worker on chain, if it is not [`worker`].
    pub worker: Option<SecretKey>,
    /// Nobody has the worker's key.
    pub keyless: bool,
    /// Signatures that were made.
    pub signed: u32,
}

pub struct MemoryChain(Mutex<State>);

fn publish_message(deals: &[ClientDealProposal], nonce: u64) -> Message {
    Message {
        version: 0,
        to: Address::market_actor(),
        from: worker().address(),
        nonce,
        value: atto(0),
        gas_limit: 1_000,
        gas_fee_cap: atto(20),
        gas_premium: atto(3),
        method: market_actor::PUBLISH_STORAGE_DEALS,
        params: market_actor::encode_publish(deals),
    }
}

fn money_message(order: &Order, nonce: u64) -> Message {
    let mut message = publish_message(&[], nonce);
    match &order.call {
        Call::AddBalance { amount, .. } => {
            message.value = amount.clone();
            message.method = market_actor::ADD_BALANCE;
            message.params = market_actor::encode_add_balance(&order.miner);
        }
        Call::Withdraw { amount, .. } => {
            message.method = market_actor::WITHDRAW_BALANCE;
            message.params = market_actor::encode_withdraw(&order.miner, amount);
        }
        Call::Publish(_) => {}
    }
    message
}

/// Takes a message of money; the same bytes again are the same message.
fn send_money(state: &mut State, prepared: &Prepared) -> Answer<Cid> {
    let cid = prepared.cid().expect("money is signed first");
    if !state.taken_for.is_empty() {
        return Ok(state.taken_for.remove(0));
    }
    if state.transfers.iter().all(|(.., known)| *known != cid) {
        let message = prepared.message().clone();
        state.transfers.push((prepared.order, message, cid));
    }
    if state.mute {
        return Err(ChainError::Unreachable("the answer was lost".to_owned()));
    }
    Ok(cid)
}

pub fn worker() -> SecretKey {
    SecretKey::secp256k1(&[3; 32]).expect("a valid scalar")
}

impl MemoryChain {
    pub fn new() -> Self {
        Self(Mutex::new(State {
            head: HEAD,
            escrow: 1_000_000,
            network_version: 28,
            allocation_expiry: Some(HEAD + 172_800),
            publish_balance: i64::MAX,
            depth: 50,
            ..State::default()
        }))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics under the lock")
    }

    fn here(&self) -> Answer<MutexGuard<'_, State>> {
        let state = self.state();
        if state.away {
            return Err(ChainError::Unreachable("it is away".to_owned()));
        }
        Ok(state)
    }
}

impl Chain for MemoryChain {
    fn head(&self) -> Answer<Head> {
        self.here().map(|state| Head {
            epoch: state.head,
            timestamp: 0,
        })
    }

    fn finalized(&self) -> Answer<i64> {
        self.here().map(|state| state.finalized)
    }

    fn network_version(&self) -> Answer<u64> {
        self.here().map(|state| state.network_version)
    }

    fn provider_facts(&self, _: &Address) -> Answer<ProviderFacts> {
        self.here().map(|state| ProviderFacts {
            escrow_available: atto(state.escrow),
            escrow_locked: atto(0),
            publish_wallet: worker().address(),
            publish_balance: atto(state.publish_balance),
            worker: state.worker.as_ref().unwrap_or(&worker()).address(),
            sector_size: 32 << 30,
        })
    }

    fn collateral_bounds(&self, _: u64, _: bool) -> Answer<CollateralBounds> {
        self.here().map(|_| CollateralBounds {
            min: atto(1_000),
            max: atto(100_000),
        })
    }

    fn key_address(&self, client: &Address) -> Answer<Option<Address>> {
        let state = self.here()?;
        match client.protocol() {
            _ if state.mute_keys => Err(ChainError::Unreachable("it does not say".to_owned())),
            _ if state.contracts => Ok(None),
            Protocol::Id => Ok(Some(client_key().address())),
            _ => Ok(Some(client.clone())),
        }
    }

    fn id_address(&self, address: &Address) -> Answer<Address> {
        self.here().map(|_| match address.protocol() {
            Protocol::Id => address.clone(),
            _ => Address::id(2_000 + u64::from(address.payload()[0])),
        })
    }

    fn client_available(&self, _: &Address) -> Answer<TokenAmount> {
        while self.state().hanging {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let funds = |poor: bool| atto(if poor { 0 } else { 10_i128.pow(18) });
        self.here().map(|state| funds(state.poor))
    }

    fn datacap(&self, _: &Address) -> Answer<Option<TokenAmount>> {
        self.here().map(|state| state.datacap.map(atto))
    }

    fn authenticate(&self, _: &Address, _: &Signature, _: &[u8]) -> Answer<bool> {
        self.here().map(|mut state| {
            state.authenticated += 1;
            !state.disowned
        })
    }

    fn prepare(&self, order: &Order) -> Answer<Prepared> {
        let mut state = self.here()?;
        if let Some(error) = state.prepare_failures.pop() {
            return Err(error);
        }
        let starts = |wanted: &[i64]| {
            let deals = order.deals().iter();
            deals
                .filter(|deal| wanted.contains(&deal.proposal.start_epoch))
                .count()
        };
        if state.fit > 0 && order.deals().len() > state.fit {
            return Err(ChainError::TooMuch("too many".to_owned()));
        }
        if starts(&state.poisonous) > 0 || starts(&state.quarrelling) > 1 {
            return Err(ChainError::WouldFail("exit 16: poison".to_owned()));
        }
        state.prepared += 1;
        if !matches!(order.call, Call::Publish(_)) {
            let message = money_message(order, u64::from(state.prepared));
            return Ok(Prepared::signed(
                order.id,
                message.sign(&worker()),
                state.head,
            ));
        }
        let message = publish_message(order.deals(), u64::from(state.prepared));
        let prepared = if state.signs_first {
            Prepared::signed(order.id, message.sign(&worker()), state.head)
        } else {
            Prepared::by_wallet(order.id, "node:1234", message)
        };
        Ok(prepared)
    }

    fn send(&self, prepared: &Prepared) -> Answer<Cid> {
        let mut state = self.here()?;
        if !state.publish_failures.is_empty() {
            return Err(state.publish_failures.remove(0));
        }
        if prepared.message().method != market_actor::PUBLISH_STORAGE_DEALS {
            return send_money(&mut state, prepared);
        }
        let deals = market_actor::decode_publish(&prepared.message().params).expect("our own");
        let own = |message: &(Uuid, Vec<ClientDealProposal>, Cid)| {
            message.0 == prepared.order && prepared.cid().is_none_or(|cid| cid == message.2)
        };
        if let Some(first) = prepared.earlier().first().copied() {
            let sent = state.messages.iter().any(|(.., cid)| *cid == first);
            assert!(sent, "a replacement of nothing");
            let cid = prepared.cid().expect("it is signed");
            state.replaced.insert(first, cid);
            state.pending &= !state.pending_until_replaced;
            return Ok(cid);
        }
        let known = state.messages.iter().find(|message| own(message));
        let cid = if let Some((_, known, cid)) = known {
            assert_eq!(known, &deals, "the same message under the same ID");
            *cid
        } else {
            let cid = prepared.cid().unwrap_or_else(|| {
                let mut content = prepared.order.as_bytes().to_vec();
                content.push(u8::from(state.forgot));
                cids::chain_cid(&content)
            });
            state.messages.push((prepared.order, deals, cid));
            cid
        };
        if state.mute {
            return Err(ChainError::Unreachable("the answer was lost".to_owned()));
        }
        Ok(cid)
    }

    fn replace(&self, prepared: &Prepared, sent: &Cid, _: &TokenAmount) -> Answer<Prepared> {
        let mut state = self.here()?;
        if let Some(error) = state.replace_failures.pop() {
            return Err(error);
        }
        state.replacements += 1;
        let mut message = prepared.message().clone();
        message.gas_premium = &message.gas_premium + &atto(1);
        let replacement = Prepared::signed(prepared.order, message.sign(&worker()), state.head);
        let earlier = prepared.earlier().iter().copied();
        Ok(replacement.in_place_of(earlier.chain([*sent])))
    }

    fn dry_run(&self, _: &Address, deal: &ClientDealProposal) -> Answer<Option<String>> {
        let state = self.here()?;
        let bad = state.objected.contains(&deal.proposal.start_epoch);
        Ok(bad.then(|| "non-zero exit code 16: no".to_owned()))
    }

    fn outcome(&self, message: &Cid, proposals: &[DealProposal]) -> Answer<Outcome> {
        let state = self.here()?;
        if state.forgetful {
            return Ok(Outcome::Unknown);
        }
        let mut messages = (100..).step_by(100).zip(&state.messages);
        let is_it = |cid: &Cid| cid == message || state.replaced.get(cid) == Some(message);
        let Some((first, (_, deals, sent))) = messages.find(|(_, (.., cid))| is_it(cid)) else {
            return Ok(Outcome::Unknown);
        };
        let replacement = state
            .replaced
            .get(sent)
            .filter(|_| state.executes_replacement);
        if state.pending {
            return Ok(Outcome::Pending);
        }
        let id = |asked: &DealProposal| {
            let position = deals.iter().position(|deal| deal.proposal == *asked)?;
            let taken = state.exit_code == 0 && !state.dropped.contains(&asked.start_epoch);
            taken.then(|| first + position as u64)
        };
        Ok(Outcome::Executed {
            message: *replacement.unwrap_or(sent),
            epoch: state.head - state.depth,
            depth: state.depth,
            exit_code: state.exit_code,
            deals: proposals.iter().map(id).collect(),
        })
    }

    fn purse(&self, _: &Address) -> Answer<Purse> {
        self.here().map(|state| Purse {
            escrow: atto(state.escrow),
            locked: atto(0),
            publish_wallet: worker().address(),
            publish_balance: atto(state.publish_balance),
            worker: worker().address(),
            worker_balance: atto(state.publish_balance),
            owner: worker().address(),
        })
    }

    fn fate(&self, message: &Cid) -> Answer<Fate> {
        let state = self.here()?;
        let mut known = state.transfers.iter();
        let Some((_, sent, _)) = known.find(|(.., cid)| cid == message) else {
            return Ok(Fate::Unknown);
        };
        if state.pending {
            return Ok(Fate::Pending);
        }
        let paid = market_actor::decode_withdraw(&sent.params).ok();
        Ok(Fate::Executed(Receipt {
            message: *message,
            depth: 50,
            exit_code: state.exit_code,
            returned: paid.map_or(Vec::new(), |(_, paid)| {
                market_actor::encode_withdraw_return(&paid)
            }),
        }))
    }

    fn fee(&self, _: &Cid) -> Answer<Option<TokenAmount>> {
        let mut state = self.here()?;
        state.fees_asked += 1;
        Ok(state.fee.map(atto))
    }

    fn deal_state(&self, deal_id: u64) -> Answer<Option<DealState>> {
        let mut state = self.here()?;
        state.states_asked += 1;
        if state.mute_states {
            return Err(ChainError::Unreachable("it does not say".to_owned()));
        }
        state.deal_state_failures.pop().map_or(Ok(()), Err)?;
        Ok(state.active.get(&deal_id).cloned())
    }

    fn allocation_expiry(&self, _: u64) -> Answer<Option<i64>> {
        self.here().map(|state| state.allocation_expiry)
    }

    fn sign(&self, key: &Address, bytes: &[u8]) -> Answer<Option<Signature>> {
        let mut state = self.here()?;
        let own = state.worker.clone().unwrap_or_else(worker);
        let at_hand = !state.keyless && *key == own.address();
        state.signed += u32::from(at_hand);
        Ok(at_hand.then(|| own.sign(bytes)))
    }

    fn provider_contact(&self, _: &Address) -> Answer<ProviderContact> {
        Err(ChainError::Unreachable(
            "not asked by a provider".to_owned(),
        ))
    }
}
