//! Edge cases of the wire (spec boost-mk12 12, 1 to 35): raw bytes over real libp2p streams, against a node whose
//! answers are fixed. Whether an answer comes, and which bytes it has, is what is checked.

mod answers;
mod messages;
#[path = "../raw_client/mod.rs"]
mod raw_client;
mod streams;

use coracle::filecoin::DealProposal;
use coracle::p2p::{Inbound, Node, NodeConfig};
use coracle::wire::{
    AskResponse, DealParams, DealResponse, DealStatusResponse, Transport, Transports,
};
use libp2p::identity::Keypair;
use raw_client::message::{self, Proposal, Wallet};
use raw_client::{End, exchange, run, socket_addr};
use smol::channel::{Receiver, bounded};
use std::net::SocketAddr;
use std::time::Duration;

const MK_1_2_1: &str = "/fil/storage/mk/1.2.1";
const MK_1_2_0: &str = "/fil/storage/mk/1.2.0";
const STATUS: &str = "/fil/storage/status/1.2.0";
const ASK: &str = "/fil/storage/ask/1.1.0";
const TRANSPORTS: &str = "/fil/retrieval/transports/1.0.0";

/// Longer than any answer takes here, shorter than the deadlines that are tested.
const SOON: Duration = Duration::from_secs(8);

/// Proposals whose UUID begins with this byte are refused with a very long reason.
const LONG_REASON: u8 = 0xee;

/// A node with fixed answers, in a thread of its own.
struct Provider {
    address: SocketAddr,
    /// What was proposed, as the node understood it.
    proposals: Receiver<DealParams>,
    _node: Node,
}

impl Provider {
    fn start() -> Self {
        let config = NodeConfig {
            key: Keypair::generate_ed25519(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            external: Vec::new(),
            agent: "coracle/test".into(),
            serve: true,
        };
        let (node, driver, inbound) = Node::new(config).unwrap();
        std::thread::spawn(move || smol::block_on(driver));
        let (seen, proposals) = bounded(256);
        std::thread::spawn(move || {
            while let Ok(asked) = inbound.recv_blocking() {
                answer(asked, &seen);
            }
        });
        let address = socket_addr(&run(node.listen_addrs())[0]);
        Self {
            address,
            proposals,
            _node: node,
        }
    }

    /// The request is understood and answered.
    fn answers(&self, protocol: &str, request: &[u8]) -> DealParams {
        let (answer, end) = run(exchange(self.address, protocol, request, SOON));
        assert_eq!(answer, message::deal_response(true, ""));
        assert_eq!(end, End::Eof);
        self.proposals.try_recv().expect("a proposal was handed in")
    }

    /// The stream ends without an answer, and not by a reset.
    fn closes(&self, protocol: &str, request: &[u8]) {
        let outcome = run(exchange(self.address, protocol, request, SOON));
        assert_eq!(outcome, (Vec::new(), End::Eof));
        assert!(self.proposals.is_empty());
    }
}

fn answer(asked: Inbound, seen: &smol::channel::Sender<DealParams>) {
    match asked {
        Inbound::Proposal { params, reply, .. } => {
            let long = params.uuid.as_bytes()[0] == LONG_REASON;
            let message = if long {
                "é".repeat(4500)
            } else {
                String::new()
            };
            seen.try_send(*params).unwrap();
            let _ = reply.send(DealResponse {
                accepted: !long,
                message,
            });
        }
        Inbound::Status { req, reply } => {
            let _ = reply.send(DealStatusResponse {
                error: "x".into(),
                uuid: req.uuid,
                ..DealStatusResponse::default()
            });
        }
        Inbound::Ask { reply, .. } => {
            let _ = reply.send(AskResponse { ask: None });
        }
        Inbound::Transports { reply } => {
            let _ = reply.send(Transports(vec![Transport {
                name: "http".into(),
                addresses: vec![vec![4, 1, 2, 3, 4, 6, 4, 0xd2]],
            }]));
        }
    }
}

fn proposal() -> Proposal {
    Proposal::new(Wallet::new([3; 32]), [0x11; 16], 1000)
}

fn decoded(params: DealParams) -> DealProposal {
    params.proposal.expect("a proposal").proposal
}

fn signature_fits(params: &DealParams) -> bool {
    let signed = params.proposal.as_ref().expect("a proposal");
    let message = signed.proposal.encode();
    signed.signature.verify(&signed.proposal.client, &message)
}
