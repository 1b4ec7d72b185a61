//! Trouble that a test brings about by itself, at a moment of its choice. What strikes calls is in `faults`.

use super::Devnet;
use super::mempool::replacement_premium;
use super::wallets::Wallet;
use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{Address, TokenAmount};
use cid::Cid;

impl Devnet {
    /// What a restart of the node without its mempool's journal does: messages that no tipset holds are gone, and so is
    /// the memory of messages' identities.
    pub fn restart_node(&self) {
        let mut world = self.shared.world();
        world.pushed.clear();
        world.chain.forget_waiting();
    }

    /// Replaces a waiting message by the same with a higher premium, as an operator would; the new one's CID. None if it
    /// does not wait or the node has not its key.
    pub fn replace_message(&self, message: &Cid) -> Option<Cid> {
        let mut world = self.shared.world();
        let old = world.chain.pool.all().find(|old| old.cid() == *message)?;
        let mut new = old.message.clone();
        new.gas_premium = replacement_premium(&new.gas_premium);
        new.gas_fee_cap = new.gas_fee_cap.clone().max(new.gas_premium.clone());
        let key = world.key(&new.from)?;
        let signed = new.sign(key);
        world.chain.push(signed).ok()
    }

    /// Sends nothing from a wallet to itself: somebody else uses the next nonce, or `nonce`. The message's CID; None if
    /// the mempool does not take it.
    pub fn spend_nonce(&self, wallet: &Wallet, nonce: Option<u64>) -> Option<Cid> {
        let mut world = self.shared.world();
        let state = world.chain.next_state();
        let next = world.chain.pool.next_nonce(&state, &wallet.address);
        let message = transfer(&wallet.address, nonce.unwrap_or(next));
        let signed: SignedMessage = message.sign(&wallet.key);
        world.chain.push(signed).ok()
    }

    /// Changes somebody's escrow with the market actor on chain to this many attoFIL: deals that it no longer covers are
    /// dropped when their message is executed, although they passed when it was estimated.
    pub fn set_escrow(&self, of: &Address, escrow: &TokenAmount) {
        self.shared.world().chain.change(|state| {
            if let Some(number) = state.resolve(of) {
                state.market.set_escrow(number, escrow);
            }
        });
    }

    /// Changes the network's version.
    pub fn set_network_version(&self, version: u64) {
        self.shared.world().config.network_version = version;
    }
}

/// A transfer of nothing to oneself.
fn transfer(from: &Address, nonce: u64) -> Message {
    Message {
        version: 0,
        to: from.clone(),
        from: from.clone(),
        nonce,
        value: TokenAmount::zero(),
        gas_limit: 1_000_000,
        gas_fee_cap: TokenAmount::from_atto(10_000_000_u64),
        gas_premium: TokenAmount::from_atto(1_000_000_u64),
        method: 0,
        params: Vec::new(),
    }
}
