//! Tests of the rules, without sockets.

mod chain;
mod mempool;
mod publish;
mod sectors;
mod value;

use super::actors::{self, Receipt};
use super::market::FIL;
use super::settings::DevnetConfig;
use super::wallets::Wallet;
use super::world::{People, World};
use crate::filecoin::market_actor::{PUBLISH_STORAGE_DEALS, encode_publish};
use crate::filecoin::message::Message;
use crate::filecoin::{Address, ClientDealProposal, DealProposal, Label, TokenAmount, cids};

/// A world whose clock nobody turns but the test.
struct Bench {
    world: World,
    people: People,
}

fn atto(amount: u128) -> TokenAmount {
    TokenAmount::from_atto(amount)
}

fn fil(amount: u128) -> TokenAmount {
    TokenAmount::from_atto(amount * FIL)
}

/// A message to the market actor.
fn to_market(from: &Address, method: u64, value: TokenAmount, params: Vec<u8>) -> Message {
    Message {
        version: 0,
        to: Address::market_actor(),
        from: from.clone(),
        nonce: 0,
        value,
        gas_limit: 0,
        gas_fee_cap: TokenAmount::zero(),
        gas_premium: TokenAmount::zero(),
        method,
        params,
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(&DevnetConfig::default())
    }

    fn with(config: &DevnetConfig) -> Self {
        let (world, people) = World::new(config, 1_800_000_000).unwrap();
        Self { world, people }
    }

    fn worker(&self) -> &Wallet {
        &self.people.miners[0][1]
    }

    /// A proposal that the market takes, before anybody spoils it.
    fn proposal(&self, client: &Address) -> DealProposal {
        let start_epoch = self.world.chain.epoch() + 1000;
        DealProposal {
            piece_cid: cids::piece_cid(&[7; 32]),
            piece_size: 1 << 20,
            verified: false,
            client: client.clone(),
            provider: Address::id(1000),
            label: Label::Text("label".to_owned()),
            start_epoch,
            end_epoch: start_epoch + 600_000,
            price_per_epoch: atto(1000),
            provider_collateral: fil(1),
            client_collateral: atto(5),
        }
    }

    /// The client's deal, changed by the test and then signed.
    fn deal(&self, client: &Wallet, change: impl FnOnce(&mut DealProposal)) -> ClientDealProposal {
        let mut proposal = self.proposal(&client.address);
        change(&mut proposal);
        sign(client, proposal)
    }

    /// A good deal of the usual client, changed by the test.
    fn client_deal(&self, change: impl FnOnce(&mut DealProposal)) -> ClientDealProposal {
        self.deal(&self.people.client, change)
    }

    /// Publishes on the head's state, without a message pool.
    fn publish_by(&mut self, from: &Address, deals: &[ClientDealProposal]) -> Receipt {
        let params = encode_publish(deals);
        let message = to_market(from, PUBLISH_STORAGE_DEALS, TokenAmount::zero(), params);
        self.run(&message)
    }

    fn publish(&mut self, deals: &[ClientDealProposal]) -> Receipt {
        let worker = self.worker().id.clone();
        self.publish_by(&worker, deals)
    }

    /// Carries a message out on the head's state.
    fn run(&mut self, message: &Message) -> Receipt {
        let epoch = self.world.chain.epoch();
        let mut receipt = None;
        self.world
            .chain
            .change(|state| receipt = Some(actors::run(state, epoch, message)));
        receipt.unwrap()
    }

    fn escrow(&self, who: &Address) -> (TokenAmount, TokenAmount) {
        let state = self.world.chain.state();
        let balance = state.market.balance(state.resolve(who).unwrap());
        (balance.escrow, balance.locked)
    }
}

fn sign(client: &Wallet, proposal: DealProposal) -> ClientDealProposal {
    let signature = client.key.sign(&proposal.encode());
    ClientDealProposal {
        proposal,
        signature,
    }
}
