//! A devnet on a thread of its own, for tests that block.
#![allow(dead_code)] // each test file uses its own part

use coracle::chain::Lotus;
use coracle::devnet::{Devnet, DevnetConfig};
use coracle::filecoin::{
    Address, ClientDealProposal, DealProposal, Label, SecretKey, TokenAmount, cids,
};
use coracle::rpc::Limits;
use smol::Executor;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// A running devnet whose clock stands still: tipsets come from `advance`.
pub struct Net {
    devnet: Option<Devnet>,
    stop: Option<smol::channel::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Deref for Net {
    type Target = Devnet;

    fn deref(&self) -> &Devnet {
        self.devnet.as_ref().unwrap()
    }
}

impl Net {
    pub fn start(change: impl FnOnce(&mut DevnetConfig)) -> Self {
        let mut config = DevnetConfig {
            epoch: Duration::ZERO,
            ..DevnetConfig::default()
        };
        change(&mut config);
        let ex = Arc::new(Executor::new());
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let runner = Arc::clone(&ex);
        let thread = std::thread::spawn(move || {
            let _ = smol::block_on(runner.run(stopped.recv()));
        });
        let devnet = smol::block_on(Devnet::start(ex, config)).unwrap();
        Self {
            devnet: Some(devnet),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The chain as this devnet's node has it.
    pub fn chain(&self) -> Lotus {
        self.chain_at(&self.fullnode_api_info())
    }

    /// The chain at other endpoints.
    #[allow(clippy::unused_self)] // asked of the net, beside `chain`
    pub fn chain_at(&self, endpoints: &str) -> Lotus {
        Lotus::with_limits(endpoints, None, BTreeMap::new(), limits()).unwrap()
    }

    /// A deal of the devnet's client that starts far enough ahead.
    pub fn deal(&self, key: &SecretKey, number: u8) -> ClientDealProposal {
        let proposal = DealProposal {
            piece_cid: cids::piece_cid(&[number; 32]),
            piece_size: 2048,
            verified: false,
            client: key.address(),
            provider: Address::id(1000),
            label: Label::Text(format!("deal {number}")),
            start_epoch: self.epoch() + 5_760,
            end_epoch: self.epoch() + 5_760 + 518_400,
            price_per_epoch: TokenAmount::from_atto(7),
            provider_collateral: TokenAmount::from_atto(1_000_000_000_000_000_000_u64),
            client_collateral: TokenAmount::zero(),
        };
        signed(proposal, key)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.devnet.take();
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub fn signed(proposal: DealProposal, key: &SecretKey) -> ClientDealProposal {
    let signature = key.sign(&proposal.encode());
    ClientDealProposal {
        proposal,
        signature,
    }
}

pub fn limits() -> Limits {
    Limits {
        answer: Duration::from_secs(10),
        long_answer: Duration::from_secs(10),
        ..Limits::default()
    }
}
