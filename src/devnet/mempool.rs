//! Messages that wait for a tipset (spec chain-sealer-rpc C.2).

use super::actors::BASE_FEE;
use super::state::{State, minus};
use crate::filecoin::message::SignedMessage;
use crate::filecoin::{Address, TokenAmount};
use std::collections::BTreeMap;
use std::fmt;

/// The longest signed message, in bytes of its CBOR.
const MAX_MESSAGE_BYTES: usize = 65_536;

/// A message may be this many nonces ahead of the next one.
const MAX_NONCE_GAP: u64 = 4;

/// Waiting messages of one sender.
const MAX_PER_SENDER: usize = 1000;

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolError {
    /// Longer than 64 KiB; its length in bytes.
    TooBig(usize),
    /// The signature is not that of the sender's key.
    Signature,
    /// The sender does not exist or is no account.
    Sender,
    /// The nonce is used up; the least that is not.
    NonceTooLow(u64),
    /// The nonce is too far ahead.
    NonceGap,
    /// The sender has too many waiting messages.
    TooMany,
    /// A replacement has to offer this premium at least.
    LowPremium(TokenAmount),
    /// The very message waits already.
    AlreadyThere(Address, u64),
    /// The balance, and what value and fee may come to.
    NotEnoughFunds(TokenAmount, TokenAmount),
    /// Gas limit, fee cap or premium make no sense.
    Gas,
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooBig(length) => {
                write!(f, "mpool message too large ({length}B): message too big")
            }
            Self::Signature => f.write_str("signature verification failed"),
            Self::Sender => f.write_str("failed to look up sender: actor not found"),
            Self::NonceTooLow(least) => {
                write!(
                    f,
                    "minimum expected nonce is {least}: message nonce too low"
                )
            }
            Self::NonceGap => f.write_str("unfulfilled nonce gap"),
            Self::TooMany => f.write_str("too many pending messages for actor"),
            Self::LowPremium(least) => write!(
                f,
                "replace by fee has too low GasPremium (at least {least} is needed)"
            ),
            Self::AlreadyThere(sender, nonce) => write!(
                f,
                "message from {sender} with nonce {nonce} already in mpool"
            ),
            Self::NotEnoughFunds(balance, needed) => {
                write!(f, "not enough funds: {balance} < {needed}")
            }
            Self::Gas => f.write_str("invalid gas values in message"),
        }
    }
}

/// The waiting messages, by sender's key and nonce.
#[derive(Debug, Default)]
pub struct Pool {
    pending: BTreeMap<Vec<u8>, BTreeMap<u64, SignedMessage>>,
    /// What the miners want at the least: messages that offer less stay.
    pub least_premium: TokenAmount,
}

/// What value and fee of a message may come to.
pub fn most_needed(message: &crate::filecoin::message::Message) -> TokenAmount {
    super::state::plus(
        &message.value,
        &message.gas_fee_cap.times(message.gas_limit),
    )
}

impl Pool {
    /// Takes a message whose sender is a key address; `state` is the state that the next tipset starts from.
    ///
    /// # Errors
    /// See [`PoolError`].
    pub fn add(&mut self, state: &State, signed: SignedMessage) -> Result<(), PoolError> {
        let message = &signed.message;
        let length = signed.encode().len();
        if length > MAX_MESSAGE_BYTES {
            return Err(PoolError::TooBig(length));
        }
        let zero = TokenAmount::zero();
        let gas_holds = message.gas_limit > 0
            && message.gas_limit <= super::actors::BLOCK_GAS
            && message.gas_premium >= zero
            && message.gas_fee_cap >= message.gas_premium
            && message.value >= zero;
        if !gas_holds {
            return Err(PoolError::Gas);
        }
        let actor = state.actor(&message.from).ok_or(PoolError::Sender)?;
        let key = actor.robust.as_ref().ok_or(PoolError::Sender)?;
        if !signed.verify(key) {
            return Err(PoolError::Signature);
        }
        let needed = most_needed(message);
        if actor.balance < needed {
            return Err(PoolError::NotEnoughFunds(actor.balance.clone(), needed));
        }
        let nonce = message.nonce;
        if nonce < actor.nonce {
            return Err(PoolError::NonceTooLow(actor.nonce));
        }
        let next = self.next_nonce(state, key);
        if nonce > next.saturating_add(MAX_NONCE_GAP) {
            return Err(PoolError::NonceGap);
        }
        let waiting = self.pending.entry(key.as_bytes().to_vec()).or_default();
        if let Some(old) = waiting.get(&nonce) {
            if old.cid() == signed.cid() {
                return Err(PoolError::AlreadyThere(key.clone(), nonce));
            }
            let least = replacement_premium(&old.message.gas_premium);
            if message.gas_premium < least {
                return Err(PoolError::LowPremium(least));
            }
        } else if waiting.len() >= MAX_PER_SENDER {
            return Err(PoolError::TooMany);
        }
        waiting.insert(nonce, signed);
        Ok(())
    }

    /// Puts a message back that a re-organisation has thrown out of its tipset.
    pub fn put_back(&mut self, state: &State, signed: SignedMessage) {
        let sender = state.actor(&signed.message.from);
        if let Some(key) = sender.and_then(|actor| actor.robust.as_ref()) {
            let waiting = self.pending.entry(key.as_bytes().to_vec()).or_default();
            waiting.insert(signed.message.nonce, signed);
        }
    }

    /// The nonce that a sender's next message needs.
    pub fn next_nonce(&self, state: &State, key: &Address) -> u64 {
        let on_chain = state.actor(key).map_or(0, |actor| actor.nonce);
        let mut next = on_chain;
        if let Some(waiting) = self.pending.get(key.as_bytes()) {
            while waiting.contains_key(&next) {
                next = next.saturating_add(1);
            }
        }
        next
    }

    /// The waiting messages of one sender, by nonce.
    pub fn of(&self, key: &Address) -> impl Iterator<Item = &SignedMessage> {
        self.pending
            .get(key.as_bytes())
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// Takes every waiting message out.
    pub fn take_all(&mut self) -> Vec<SignedMessage> {
        let pending = std::mem::take(&mut self.pending);
        pending
            .into_values()
            .flat_map(BTreeMap::into_values)
            .collect()
    }

    /// Every waiting message.
    pub fn all(&self) -> impl Iterator<Item = &SignedMessage> {
        self.pending.values().flat_map(BTreeMap::values)
    }

    /// Takes out what the next tipset can hold: per sender without gaps, with a fee cap of at least the base fee and
    /// money for it.
    pub fn select(&mut self, state: &State) -> Vec<SignedMessage> {
        let base_fee = TokenAmount::from_atto(BASE_FEE);
        let mut selected = Vec::new();
        for waiting in self.pending.values_mut() {
            let Some(first) = waiting.values().next() else {
                continue;
            };
            let Some(actor) = state.actor(&first.message.from) else {
                continue;
            };
            let mut nonce = actor.nonce;
            let mut left = actor.balance.clone();
            // What the chain has gone past will never be mined.
            *waiting = waiting.split_off(&nonce);
            while let Some(signed) = waiting.get(&nonce) {
                left = minus(&left, &most_needed(&signed.message));
                let fee = &signed.message;
                let poor = fee.gas_fee_cap < base_fee || fee.gas_premium < self.least_premium;
                if left.is_negative() || poor {
                    break;
                }
                selected.extend(waiting.remove(&nonce));
                nonce = nonce.saturating_add(1);
            }
        }
        self.pending.retain(|_, waiting| !waiting.is_empty());
        selected
    }
}

/// The least premium that replaces this one: a quarter more, and one attoFIL.
pub fn replacement_premium(old: &TokenAmount) -> TokenAmount {
    let quarters = old.times(5);
    let whole = quarters.atto().checked_div(&4.into()).unwrap_or_default();
    super::state::plus(&TokenAmount::from_atto(whole), &TokenAmount::from_atto(1))
}
