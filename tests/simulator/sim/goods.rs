//! Data, proposals and signatures, made once for all seeds: signing takes longer than a whole simulated day.

use coracle::deal::step::Verb;
use coracle::filecoin::{
    Address, ClientDealProposal, DealProposal, Label, SecretKey, Signature, TokenAmount, cids,
};
use coracle::piece::commp::{Commp, PieceCommitment};
use coracle::wire::{DealParams, Transfer};
use std::sync::LazyLock;
use uuid::Uuid;

/// Height of the head when a run begins.
pub const HEAD: i64 = 100_000;

/// Different proposals.
pub const COUNT: u64 = 24;

/// Different data: some proposals share theirs.
const CARS: u64 = 8;

/// Epochs from [`HEAD`] to the start of a deal.
const STARTS: [i64; 4] = [240, 400, 800, 1_600];

/// Smallest collateral that the chain wants.
pub const COLLATERAL_MIN: u64 = 1_000;

/// One piece of data.
#[derive(Debug, Clone)]
pub struct Car {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their commitment.
    pub commitment: PieceCommitment,
}

/// A proposal and what its client can say about it.
#[derive(Debug, Clone)]
pub struct Good {
    /// Which data.
    pub car: usize,
    /// Signed by the client.
    pub signed: ClientDealProposal,
    /// The client's UUID for it.
    pub uuid: Uuid,
    /// Another UUID for it.
    pub other_uuid: Uuid,
    /// Over the UUID, for status requests.
    pub asks: Signature,
}

/// Everything that is made once.
pub struct Goods {
    /// The data.
    pub cars: Vec<Car>,
    /// The proposals.
    pub all: Vec<Good>,
    /// One that starts late, to find out how much room there is.
    pub probe: Good,
}

static GOODS: LazyLock<Goods> = LazyLock::new(Goods::make);

/// The goods.
pub fn goods() -> &'static Goods {
    &GOODS
}

/// attoFIL.
pub fn atto(amount: u64) -> TokenAmount {
    TokenAmount::from_atto(amount)
}

/// The miners; some seeds have only the first.
pub fn miners() -> [Address; 2] {
    [Address::id(1_000), Address::id(1_001)]
}

/// The client's ID address.
pub fn client_id() -> Address {
    Address::id(2_000)
}

fn client() -> SecretKey {
    SecretKey::secp256k1(&[7; 32]).expect("a valid scalar")
}

/// A small piece of data with its commitment.
pub fn commitment(bytes: &[u8]) -> PieceCommitment {
    let mut hasher = Commp::new();
    hasher.update(bytes);
    hasher.finish()
}

fn car(number: u64) -> Car {
    let length = 300 + number * 83;
    let byte = |at: u64| u8::try_from((at * 7 + number * 31) % 251).expect("a byte");
    let bytes: Vec<u8> = (0..length).map(byte).collect();
    Car {
        commitment: commitment(&bytes),
        bytes,
    }
}

fn good(number: u64, start_after: i64, cars: &[Car]) -> Good {
    let at = usize::try_from(number % CARS).expect("few");
    let [first, second] = miners();
    let start = HEAD + start_after + i64::try_from(number).expect("few");
    let proposal = DealProposal {
        piece_cid: cars[at].commitment.cid(),
        piece_size: cars[at].commitment.padded_size,
        verified: false,
        client: client().address(),
        provider: if number.is_multiple_of(3) {
            second
        } else {
            first
        },
        label: Label::Text(format!("deal {number}")),
        start_epoch: start,
        end_epoch: start + 518_400,
        price_per_epoch: atto(100),
        provider_collateral: atto(COLLATERAL_MIN + number * 10),
        client_collateral: atto(0),
    };
    let small = u8::try_from(number).expect("few");
    let uuid = Uuid::from_bytes([small + 1; 16]);
    Good {
        car: at,
        signed: ClientDealProposal {
            signature: client().sign(&proposal.encode()),
            proposal,
        },
        uuid,
        other_uuid: Uuid::from_bytes([small + 101; 16]),
        asks: client().sign(uuid.as_bytes()),
    }
}

impl Goods {
    fn make() -> Self {
        let cars: Vec<Car> = (0..CARS).map(car).collect();
        let start = |number: u64| STARTS[usize::try_from(number / 2 % 4).expect("few")];
        let all = (0..COUNT).map(|number| good(number, start(number), &cars));
        Self {
            all: all.collect(),
            // Of the first miner.
            probe: good(COUNT + 1, 50_000, &cars),
            cars,
        }
    }

    /// The data that a URL or a path names by its number.
    pub fn named(&self, text: &str) -> Option<&Car> {
        let name = text.rsplit('/').next()?;
        let number: usize = name.strip_suffix(".car")?.parse().ok()?;
        self.cars.get(number)
    }
}

impl Good {
    /// Its data.
    pub fn bytes(&self) -> &'static [u8] {
        &goods().cars[self.car].bytes
    }

    /// The proposal as it is sent.
    pub fn params(&self, uuid: Uuid, offline: bool, remove_unsealed: bool) -> DealParams {
        let url = format!("http://data.example/{}.car", self.car);
        let transfer = Transfer {
            size: self.bytes().len() as u64,
            kind: "http".to_owned(),
            params: format!(r#"{{"URL":"{url}"}}"#).into_bytes(),
            client_id: String::new(),
        };
        DealParams {
            uuid,
            transfer: if offline {
                Transfer::default()
            } else {
                transfer
            },
            offline,
            data_root: Some(cids::sha256_cid(cids::RAW, b"root")),
            skip_announce: false,
            proposal: Some(self.signed.clone()),
            remove_unsealed,
        }
    }
}

/// A proposal's identity on chain.
pub fn identity(signed: &ClientDealProposal) -> cid::Cid {
    let proposal = &signed.proposal;
    proposal.chain_cid(&client_id(), &proposal.provider)
}

/// The operator's verbs.
pub const VERBS: [Verb; 3] = [Verb::Retry, Verb::Cancel, Verb::Fail];
