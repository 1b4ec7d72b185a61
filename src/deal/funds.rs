//! Orders that move money in and out of a miner's market escrow, and what messages have cost. Pure.
//!
//! An order is stored before its message is made, the message before it is sent, and both until the chain has executed it:
//! whatever is lost on the way, the same message is sent again, and a second one only when the first can never be executed
//! any more.

use super::Millis;
use super::versioned::{RecordError, malformed, read_versioned, versioned};
use crate::filecoin::{Address, TokenAmount};
use cid::Cid;
use minicbor::{Decode, Encode};
use uuid::Uuid;

/// Format version of the records of this file.
const VERSION: u8 = 1;

/// Orders of money that are kept for each miner after their end: a repeated command gets the recorded result for that many
/// orders, and a table of so many small records costs nothing.
pub const ORDERS_KEPT_MAX: usize = 100;

/// Publish messages that are kept for each miner after their fee was counted: none is looked up twice that far apart.
pub const PUBLISHES_KEPT_MAX: usize = 100;

/// An order without a message after this time ends: money must not move long after it was asked for.
pub const PREPARE_WITHIN: Millis = 600_000;

/// The longest reason that an order keeps, in bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// What an order's message does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Published deals: only its fee is counted here.
    Publish,
    /// Puts money into the miner's escrow.
    Add,
    /// Takes free money out of it, which goes to the miner's owner.
    Withdraw,
}

impl Kind {
    /// Its name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Add => "add",
            Self::Withdraw => "withdraw",
        }
    }
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its message is not with the chain, as far as is known.
    Ordered,
    /// The chain has its message.
    Sent,
    /// Executed and buried; its fee is not counted yet.
    Executed,
    /// Executed, and its fee is counted.
    Done,
    /// It ended before anything was sent.
    Failed,
}

impl Stage {
    /// Its name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Sent => "sent",
            Self::Executed | Self::Done => "executed",
            Self::Failed => "failed",
        }
    }

    /// Whether its message may still be executed: it holds the money until then.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Ordered | Self::Sent)
    }
}

/// An order of money, or the fee of a publish message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FundsOrder {
    /// Chosen by whoever ordered it; of a publish message its order's.
    pub id: Uuid,
    /// When it was ordered.
    pub created: Millis,
    /// Whose escrow, or whose deals.
    pub miner: Address,
    /// What it does.
    pub kind: Kind,
    /// Who was named to send it; none: whoever is fit.
    pub from: Option<Address>,
    /// attoFIL to be moved; zero for a publish message.
    pub amount: TokenAmount,
    /// The most that its message may cost.
    pub fee_max: TokenAmount,
    /// How far it is.
    pub stage: Stage,
    /// The message as it is sent, again and again, in the chain's own form.
    pub prepared: Option<Vec<u8>>,
    /// Key address of who pays, once the message is made.
    pub sender: Option<Address>,
    /// The message's CID, once it is known; in the end the one that was executed.
    pub message: Option<Cid>,
    /// Its exit code, once it was executed.
    pub exit_code: Option<i64>,
    /// What a withdrawal has paid out, which may be less than was asked for.
    pub paid: Option<TokenAmount>,
    /// What its gas has cost, if the node told.
    pub fee: Option<TokenAmount>,
    /// Why the last try did not work out, or why it ended.
    pub reason: String,
}

impl FundsOrder {
    /// A new order; nothing has been done for it.
    pub fn new(id: Uuid, miner: Address, kind: Kind, created: Millis) -> Self {
        Self {
            id,
            created,
            miner,
            kind,
            from: None,
            amount: TokenAmount::zero(),
            fee_max: TokenAmount::zero(),
            stage: Stage::Ordered,
            prepared: None,
            sender: None,
            message: None,
            exit_code: None,
            paid: None,
            fee: None,
            reason: String::new(),
        }
    }

    /// Its message is made: from now on it has this one.
    pub fn made(&mut self, prepared: Vec<u8>, sender: Address, message: Option<Cid>) {
        self.prepared = Some(prepared);
        self.sender = Some(sender);
        self.message = message;
        self.reason.clear();
    }

    /// The chain has its message.
    pub fn sent(&mut self, message: Cid) {
        self.message = Some(message);
        self.stage = Stage::Sent;
        self.reason.clear();
    }

    /// Its message will never be executed: another is made.
    pub fn superseded(&mut self, why: &str) {
        self.stage = Stage::Ordered;
        self.prepared = None;
        self.message = None;
        self.because(why);
    }

    /// It ends with nothing sent.
    pub fn fail(&mut self, why: &str) {
        self.stage = Stage::Failed;
        self.prepared = None;
        self.because(why);
    }

    /// Its message was executed and is buried.
    pub fn executed(&mut self, message: Cid, exit_code: i64, paid: Option<TokenAmount>) {
        self.message = Some(message);
        self.exit_code = Some(exit_code);
        self.paid = paid;
        self.stage = Stage::Executed;
        self.prepared = None;
        self.reason.clear();
        if exit_code != 0 {
            self.because(&format!(
                "the market actor refused it with exit code {exit_code}: nothing was moved but the fee"
            ));
        }
    }

    /// What its gas has cost is known, or is known not to be told.
    pub fn priced(&mut self, fee: Option<TokenAmount>) {
        self.fee = fee;
        self.stage = Stage::Done;
    }

    /// Notes why it goes no further.
    pub fn because(&mut self, why: &str) {
        let mut end = why.len().min(REASON_BYTES_MAX);
        while !why.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        why.get(..end)
            .unwrap_or_default()
            .clone_into(&mut self.reason);
    }

    /// What it holds of its miner's free escrow.
    pub fn holds_of_escrow(&self) -> TokenAmount {
        if self.stage.is_open() && self.kind == Kind::Withdraw {
            return self.amount.clone();
        }
        TokenAmount::zero()
    }

    /// What it holds of a wallet: its fee, and what it brings into escrow. An order that does not know yet who pays holds it of
    /// every wallet that may be asked.
    #[allow(clippy::arithmetic_side_effects)] // big integers
    pub fn holds_of_wallet(&self, wallet: &Address) -> TokenAmount {
        let pays = match (&self.sender, &self.from) {
            (Some(sender), _) => sender == wallet,
            (None, Some(from)) => from == wallet,
            (None, None) => true,
        };
        if !self.stage.is_open() || !pays {
            return TokenAmount::zero();
        }
        match self.kind {
            Kind::Add => &self.amount + &self.fee_max,
            Kind::Withdraw | Kind::Publish => self.fee_max.clone(),
        }
    }

    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        let address = |address: &Option<Address>| address.as_ref().map(|a| a.as_bytes().to_vec());
        let amount = |amount: &Option<TokenAmount>| amount.as_ref().map(TokenAmount::to_bytes);
        versioned(
            VERSION,
            &OrderV1 {
                id: *self.id.as_bytes(),
                created: self.created,
                miner: self.miner.as_bytes().to_vec(),
                kind: match self.kind {
                    Kind::Publish => 0,
                    Kind::Add => 1,
                    Kind::Withdraw => 2,
                },
                from: address(&self.from),
                amount: self.amount.to_bytes(),
                fee_max: self.fee_max.to_bytes(),
                stage: match self.stage {
                    Stage::Ordered => 0,
                    Stage::Sent => 1,
                    Stage::Executed => 2,
                    Stage::Done => 3,
                    Stage::Failed => 4,
                },
                prepared: self.prepared.clone(),
                sender: address(&self.sender),
                message: self.message.map(|message| message.to_bytes()),
                exit_code: self.exit_code,
                paid: amount(&self.paid),
                fee: amount(&self.fee),
                reason: self.reason.clone(),
            },
        )
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// Damage, or a newer release's record.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let stored: OrderV1 = read_versioned(VERSION, bytes)?;
        let address = |bytes: Option<Vec<u8>>| {
            let read = bytes.map(|bytes| Address::from_bytes(&bytes));
            read.transpose().map_err(malformed)
        };
        let some = |bytes: Option<Vec<u8>>| bytes.map(|bytes| amount(&bytes)).transpose();
        Ok(Self {
            id: Uuid::from_bytes(stored.id),
            created: stored.created,
            miner: Address::from_bytes(&stored.miner).map_err(malformed)?,
            kind: match stored.kind {
                0 => Kind::Publish,
                1 => Kind::Add,
                2 => Kind::Withdraw,
                other => return Err(malformed(format!("kind {other} of an order"))),
            },
            from: address(stored.from)?,
            amount: amount(&stored.amount)?,
            fee_max: amount(&stored.fee_max)?,
            stage: match stored.stage {
                0 => Stage::Ordered,
                1 => Stage::Sent,
                2 => Stage::Executed,
                3 => Stage::Done,
                4 => Stage::Failed,
                other => return Err(malformed(format!("stage {other} of an order"))),
            },
            prepared: stored.prepared,
            sender: address(stored.sender)?,
            message: match stored.message {
                Some(bytes) => Some(Cid::try_from(bytes.as_slice()).map_err(malformed)?),
                None => None,
            },
            exit_code: stored.exit_code,
            paid: some(stored.paid)?,
            fee: some(stored.fee)?,
            reason: stored.reason,
        })
    }
}

fn amount(bytes: &[u8]) -> Result<TokenAmount, RecordError> {
    TokenAmount::from_bytes(bytes).ok_or_else(|| malformed("an amount of money"))
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct OrderV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(1)]
    created: Millis,
    #[cbor(n(2), with = "minicbor::bytes")]
    miner: Vec<u8>,
    #[n(3)]
    kind: u8,
    #[cbor(n(4), with = "minicbor::bytes")]
    from: Option<Vec<u8>>,
    #[cbor(n(5), with = "minicbor::bytes")]
    amount: Vec<u8>,
    #[cbor(n(6), with = "minicbor::bytes")]
    fee_max: Vec<u8>,
    #[n(7)]
    stage: u8,
    #[cbor(n(8), with = "minicbor::bytes")]
    prepared: Option<Vec<u8>>,
    #[cbor(n(9), with = "minicbor::bytes")]
    sender: Option<Vec<u8>>,
    #[cbor(n(10), with = "minicbor::bytes")]
    message: Option<Vec<u8>>,
    #[n(11)]
    exit_code: Option<i64>,
    #[cbor(n(12), with = "minicbor::bytes")]
    paid: Option<Vec<u8>>,
    #[cbor(n(13), with = "minicbor::bytes")]
    fee: Option<Vec<u8>>,
    #[n(14)]
    reason: String,
}

/// What a miner's messages have cost since its first one was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fees {
    /// attoFIL for publish messages.
    pub publish: TokenAmount,
    /// attoFIL for messages that moved money.
    pub funds: TokenAmount,
    /// Messages whose fee is in these sums.
    pub counted: u64,
    /// Messages whose fee the node did not tell: the sums are too small by theirs.
    pub untold: u64,
}

impl Fees {
    /// Counts an executed message's fee.
    #[allow(clippy::arithmetic_side_effects)] // big integers; counts saturate
    pub fn count(&mut self, kind: Kind, fee: Option<&TokenAmount>) {
        let Some(fee) = fee else {
            self.untold = self.untold.saturating_add(1);
            return;
        };
        let sum = match kind {
            Kind::Publish => &mut self.publish,
            Kind::Add | Kind::Withdraw => &mut self.funds,
        };
        *sum = &*sum + fee;
        self.counted = self.counted.saturating_add(1);
    }

    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        versioned(
            VERSION,
            &FeesV1 {
                publish: self.publish.to_bytes(),
                funds: self.funds.to_bytes(),
                counted: self.counted,
                untold: self.untold,
            },
        )
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// Damage, or a newer release's record.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let stored: FeesV1 = read_versioned(VERSION, bytes)?;
        Ok(Self {
            publish: amount(&stored.publish)?,
            funds: amount(&stored.funds)?,
            counted: stored.counted,
            untold: stored.untold,
        })
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct FeesV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    publish: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    funds: Vec<u8>,
    #[n(2)]
    counted: u64,
    #[n(3)]
    untold: u64,
}
