//! Edge cases of the wire (spec boost-mk12 12, 1 to 35): raw bytes over real libp2p streams, against the real binary
//! with a chain behind it. `wire_edges` has the same cases against a node with fixed answers, where what was understood
//! can be looked at.
//!
//! | Case | Test |
//! |---|---|
//! | 1 | `messages::edge_1_five_keys_on_the_newer_protocol` |
//! | 2 | `deals::edge_2_seven_keys_on_the_older_protocol_are_honoured_to_the_end` |
//! | 3 | `messages::edge_3_keys_in_any_order` |
//! | 4 | `messages::edge_4_an_unknown_key_with_a_nested_value` |
//! | 5 | `messages::edge_5_the_last_of_a_repeated_key_wins` |
//! | 6 | `messages::edge_6_an_online_deal_without_a_transfer` |
//! | 7 | `messages::edges_7_to_15_and_21_are_not_answered`, row 7 |
//! | 8 | the same, row 8 |
//! | 9 | the same, row 9 |
//! | 10 | the same, row 10 |
//! | 11 | the same, row 11 |
//! | 12 | the same, row 12 |
//! | 13 | the same, row 13, and `messages::edge_13_a_type_of_8192_bytes` |
//! | 14 | the same, row 14, and `messages::edge_14_params_of_2_mib` |
//! | 15 | the same, row 15 |
//! | 16 | the same, row 16, and `deals::edge_16_a_bytes_label_is_published_as_it_is` |
//! | 17 | `deals::edge_17_empty_labels_of_both_kinds`, `deals::edge_16_a_bytes_label_is_published_as_it_is` |
//! | 18 | `messages::edge_18_a_long_zero_signed_in_short` |
//! | 19 | `messages::edge_19_an_amount_signed_in_long` |
//! | 20 | `messages::edge_20_a_negative_price` |
//! | 21 | `messages::edges_7_to_15_and_21_are_not_answered`, row 21 |
//! | 22 | `streams::edge_22_what_follows_a_request_is_ignored` |
//! | 23 | `streams::edge_23_half_a_request_is_closed_after_ten_seconds` |
//! | 24 | `streams::edge_24_the_client_closes_its_side` |
//! | 25 | `streams::edge_25_the_client_never_closes_its_side` |
//! | 26 | `streams::edge_26_the_longest_reason_is_well_formed`; cut at 8192 bytes: `wire_edges`, as no reason here is longer |
//! | 27 | `streams::edge_27_message_comes_before_accepted` |
//! | 28 | `status::edge_28_another_wallet_asks` |
//! | 29 | `status::edge_29_an_unknown_deal` |
//! | 30 | `status::edge_30_an_accepted_deal` |
//! | 31 | `status::edge_31_a_client_by_its_id` |
//! | 32 | `status::edge_32_another_miners_ask` |
//! | 33 | `status::edge_33_an_ask_is_signed_by_the_worker` |
//! | 34 | `streams::edge_34_transports_come_unasked_and_end` |
//! | 35 | `deals::edge_35_two_hashes_for_two_cids`, `status::edge_35_the_vectors` |

mod deals;
#[path = "../harness/mod.rs"]
mod harness;
mod messages;
#[path = "../raw_client/mod.rs"]
mod raw_client;
mod status;
mod streams;

use base64::Engine;
use coracle::filecoin::SecretKey;
use harness::{Car, CarServer, Client, Net, Running, Scratch, Vars};
use raw_client::message::{self, FALSE, Proposal, TRUE, Wallet, amount, bytes, field, text, uint};
use raw_client::{End, exchange, run, socket_addr};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

const MK_1_2_1: &str = "/fil/storage/mk/1.2.1";
const MK_1_2_0: &str = "/fil/storage/mk/1.2.0";
const STATUS: &str = "/fil/storage/status/1.2.0";
const ASK: &str = "/fil/storage/ask/1.1.0";
const TRANSPORTS: &str = "/fil/retrieval/transports/1.0.0";

/// Longer than any answer takes here, shorter than the provider's deadlines.
const SOON: Duration = Duration::from_secs(9);

const PIECE_SIZE: u64 = 2 << 20;

/// A devnet, a provider on it, and somebody with money.
struct World {
    provider: Running,
    address: SocketAddr,
    wallet: Wallet,
    collateral: u128,
    /// Counts proposals, so that no two are alike.
    made: Cell<u8>,
    cars: CarServer,
    client: Client,
    vars: Vars,
    net: Net,
    scratch: Scratch,
}

/// The key of a devnet's wallet, out of what a wallet exports.
fn wallet(key: &SecretKey) -> Wallet {
    let exported = key.export_lotus();
    let digits: Vec<u8> = (0..exported.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&exported[at..at + 2], 16).unwrap())
        .collect();
    let json: serde_json::Value = serde_json::from_slice(&digits).unwrap();
    assert_eq!(json["Type"], "secp256k1");
    let encoded = json["PrivateKey"].as_str().unwrap();
    let secret = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .unwrap();
    Wallet::new(secret.try_into().unwrap())
}

impl World {
    fn new(name: &str) -> Self {
        Self::with(name, &[])
    }

    /// With these settings beside the usual ones.
    fn with(name: &str, settings: &[(&str, &str)]) -> Self {
        let net = Net::start(|_| {});
        let scratch = Scratch::new(name);
        let cars = CarServer::start();
        let mut vars = harness::vars(&net, &scratch.join("home"), &cars.prefix());
        for (name, value) in settings {
            vars.insert((*name).to_owned(), (*value).to_owned());
        }
        let provider = Running::start(&vars);
        let client = Client::new(net.devnet.people().client.key.clone());
        client.wait_for_ask(&provider, &net.miner());
        let minimum = harness::minimum_collateral(&net, PIECE_SIZE);
        let minimum: u128 = minimum.to_string().parse().unwrap();
        Self {
            address: socket_addr(&provider.addresses[0]),
            provider,
            wallet: wallet(&client.key),
            collateral: minimum * 6 / 5,
            made: Cell::new(0),
            cars,
            client,
            vars,
            net,
            scratch,
        }
    }

    /// The same after the provider was killed and started again.
    fn killed_and_restarted(self) -> Self {
        self.provider.kill();
        let provider = Running::start(&self.vars);
        self.client.wait_for_ask(&provider, &self.net.miner());
        Self {
            address: socket_addr(&provider.addresses[0]),
            provider,
            ..self
        }
    }

    /// The UUID of the last proposal.
    fn uuid(&self) -> [u8; 16] {
        [self.made.get(); 16]
    }

    /// An offline deal that the provider takes; each is another.
    fn proposal(&self) -> Proposal {
        self.made.set(self.made.get() + 1);
        let number = self.made.get();
        let start = u64::try_from(self.net.devnet.epoch()).unwrap() + 6000;
        let mut proposal = Proposal::new(self.wallet.clone(), [number; 16], 1000)
            .with(
                field::PIECE_CID,
                message::cid(&message::piece_cid(&[number; 32])),
            )
            .with(field::PIECE_SIZE, uint(PIECE_SIZE))
            .with(field::VERIFIED, FALSE.to_vec())
            .with(field::START, uint(start))
            .with(field::END, uint(start + 518_400))
            .with(field::PRICE, amount(97_657))
            .with(field::PROVIDER_COLLATERAL, amount(self.collateral))
            .with_transfer("Size", uint(0))
            .with_transfer("Type", text(""))
            .with_transfer("Params", bytes(&[]));
        proposal.offline = true;
        proposal
    }

    /// A CAR that fills more than half of the piece.
    fn car(&self, seed: u64) -> Car {
        let car = Car::generate(&self.scratch.0, seed, (1 << 20) + 4_321);
        assert_eq!(car.piece_size, PIECE_SIZE);
        car
    }

    /// A deal whose CAR the provider fetches.
    fn online(&self, car: &Car) -> Proposal {
        let url = self.cars.serve(car);
        let params = format!(r#"{{"URL":"{url}","Headers":null}}"#);
        let mut proposal = self
            .proposal()
            .with(field::PIECE_CID, message::cid(&car.piece_cid.to_bytes()))
            .with_transfer("Size", uint(car.bytes.len() as u64))
            .with_transfer("Type", text("http"))
            .with_transfer("Params", bytes(params.as_bytes()));
        proposal.data_root = message::cid(&car.root.to_bytes());
        proposal.offline = false;
        proposal
    }

    fn ask(&self, protocol: &str, request: &[u8]) -> Vec<u8> {
        let (answer, end) = run(exchange(self.address, protocol, request, SOON));
        assert_eq!(end, End::Eof);
        answer
    }

    fn accepts(&self, protocol: &str, request: &[u8]) {
        let answer = self.ask(protocol, request);
        let (_, message) = message::read_deal_response(&answer);
        assert_eq!(answer, message::deal_response(true, ""), "{message}");
    }

    /// Why a proposal is refused.
    fn refuses(&self, request: &[u8]) -> String {
        let (accepted, message) = message::read_deal_response(&self.ask(MK_1_2_1, request));
        assert!(!accepted);
        message
    }

    fn status(&self, uuid: [u8; 16], signature: &[u8]) -> Vec<u8> {
        self.ask(STATUS, &message::status_request(uuid, signature))
    }
}

/// The seven-key form with both switches on.
fn both_switches(proposal: &Proposal) -> Vec<u8> {
    let mut entries = proposal.entries();
    for (key, value) in &mut entries {
        if matches!(*key, "SkipIPNIAnnounce" | "RemoveUnsealedCopy") {
            *value = TRUE.to_vec();
        }
    }
    message::map(&entries)
}
