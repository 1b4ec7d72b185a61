//! Trouble that a test brings about by itself, at a moment of its choice. What strikes calls is in `faults`.

use super::Devnet;
use super::faults::Event;
use super::mempool::replacement_premium;
use super::wallets::Wallet;
use super::world::World;
use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{Address, TokenAmount};
use cid::Cid;

impl World {
    /// Something happens to the whole world.
    pub fn happen(&mut self, event: &Event) {
        match event {
            Event::Reorganise(depth) => self.chain.reorganise(*depth),
            Event::Skip(rounds) => self.skip(*rounds),
            Event::ReplaceWaiting => {
                let waiting: Vec<Cid> = self.chain.pool.all().map(SignedMessage::cid).collect();
                for message in waiting {
                    self.replace(&message);
                }
            }
            Event::RestartNode => {
                self.pushed.clear();
                self.chain.forget_waiting();
            }
            Event::RestartMiner(index) => {
                if let Some(miner) = self.miners.get_mut(*index) {
                    miner.restart();
                }
            }
            Event::Escrow(of, escrow) => self.chain.change(|state| {
                if let Some(number) = state.resolve(of) {
                    state.market.set_escrow(number, escrow);
                }
            }),
        }
    }

    fn replace(&mut self, message: &Cid) -> Option<Cid> {
        let old = self.chain.pool.all().find(|old| old.cid() == *message)?;
        let mut new = old.message.clone();
        new.gas_premium = replacement_premium(&new.gas_premium);
        new.gas_fee_cap = new.gas_fee_cap.clone().max(new.gas_premium.clone());
        let key = self.key(&new.from)?;
        let signed = new.sign(key);
        self.chain.push(signed).ok()
    }
}

impl Devnet {
    /// What a restart of the node without its mempool's journal does: messages that no tipset holds are gone, and so is
    /// the memory of messages' identities.
    pub fn restart_node(&self) {
        self.shared.world().happen(&Event::RestartNode);
    }

    /// What a restart of the miner's process does: open calls lose their connection, and what it knew of earlier
    /// AddPiece calls is gone. Its sectors stay.
    pub fn restart_miner(&self, index: usize) {
        self.shared.world().happen(&Event::RestartMiner(index));
    }

    /// Replaces the last `depth` tipsets by others: their messages are mined again and deals get other numbers.
    pub fn reorganise(&self, depth: usize) {
        self.shared.world().happen(&Event::Reorganise(depth));
    }

    /// Makes a tipset behind so many heights that have none: what falls due meanwhile is due with it.
    pub fn skip(&self, rounds: u32) {
        self.shared.world().happen(&Event::Skip(rounds));
    }

    /// Replaces a waiting message by the same with a higher premium, as an operator would; the new one's CID. None if it
    /// does not wait or the node has not its key.
    pub fn replace_message(&self, message: &Cid) -> Option<Cid> {
        self.shared.world().replace(message)
    }

    /// Removes a deal from the market actor before its time, as the termination of its sector does; false if there is no
    /// such deal.
    pub fn terminate_deal(&self, deal_id: u64) -> bool {
        let mut removed = false;
        self.shared.world().chain.change(|state| {
            removed = state.market.remove(deal_id);
        });
        removed
    }

    /// Notes that a deal was slashed at the head's height, as actors before version 13 did; false if there is no such deal.
    pub fn slash_deal(&self, deal_id: u64) -> bool {
        let mut world = self.shared.world();
        let epoch = world.chain.epoch();
        let mut found = false;
        world.chain.change(|state| {
            found = state.market.slash(deal_id, epoch);
        });
        found
    }

    /// Gives a miner so many sectors with nothing in them, in a state in which they stay: a miner that is years old. False if
    /// there is no such miner or no room for them.
    pub fn add_sectors(&self, miner: usize, count: u64, state: &str) -> bool {
        let mut world = self.shared.world();
        let epoch = world.chain.epoch();
        let miner = world.miners.get_mut(miner);
        miner.is_some_and(|miner| miner.sectors.add_idle(epoch, count, state))
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
        let event = Event::Escrow(of.clone(), escrow.clone());
        self.shared.world().happen(&event);
    }

    /// From now on no tipset holds a message that offers less than this premium, in attoFIL per unit of gas: what offers less
    /// stays in the pool.
    pub fn set_least_premium(&self, least: &TokenAmount) {
        self.shared.world().chain.pool.least_premium = least.clone();
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
