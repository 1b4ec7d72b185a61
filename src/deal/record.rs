//! The deal as it is stored.
//!
//! A record is one byte of format version and a CBOR map with integer keys, so that a newer binary reads every older
//! record. A field that is added later must have a default (`#[cbor(default)]` or `Option`).

use super::versioned::malformed;
use super::{Checkpoint, Client, Millis};
use crate::filecoin::{Address, ChainEpoch, ClientDealProposal, DealProposal};
use cid::Cid;
use minicbor::{Decode, Encode};
use std::fmt;
use uuid::Uuid;

pub use super::versioned::{RecordError, VERSION, read_versioned, versioned};

/// Where an offline deal's data was put by the operator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Import {
    /// Path on this box; the file is used in place.
    #[n(0)]
    pub path: String,
    /// Whether the file becomes ours once the sealer has the piece.
    #[n(1)]
    pub delete_after: bool,
    /// Its place in the order in which imports were asked for; the lowest has its turn first.
    #[cbor(n(2), default, skip_if = "is_zero")]
    pub place: u64,
    /// Its turn has come: funds are held from here on. Taken back when the operator is waited for.
    #[cbor(n(3), default, skip_if = "is_false")]
    pub begun: bool,
}

impl Import {
    /// An import that has not got its place yet.
    pub fn new(path: impl Into<String>, delete_after: bool) -> Self {
        Self {
            path: path.into(),
            delete_after,
            ..Self::default()
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as the derive calls it
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as the derive calls it
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Where the sealer put the piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Sector {
    /// Sector number.
    #[n(0)]
    pub number: u64,
    /// Offset in the sector, in padded bytes.
    #[n(1)]
    pub offset: u64,
}

/// Why a deal stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub enum Hold {
    /// It does not.
    #[n(0)]
    #[default]
    None,
    /// It goes on by itself.
    #[n(1)]
    Auto {
        /// When.
        #[n(0)]
        until: Millis,
    },
    /// It waits for the operator.
    #[n(2)]
    Manual,
    /// Its import's turn came, but funds or space were missing: it goes on when they come free.
    #[n(3)]
    Room,
}

/// How a sealed deal's time on chain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Ending {
    /// Its end epoch has come: all went well.
    #[n(0)]
    Expired,
    /// The chain says that it was slashed (deals of before network version 22 only).
    #[n(1)]
    Slashed,
    /// It was active and is gone before its end epoch: its sector was terminated.
    #[n(2)]
    Terminated,
    /// Its start epoch passed without its activation: the collateral is lost.
    #[n(3)]
    NeverActive,
}

impl Ending {
    /// One word for listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Slashed => "slashed",
            Self::Terminated => "terminated",
            Self::NeverActive => "never active",
        }
    }
}

/// The end of a sealed deal's time on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Over {
    /// What happened.
    #[n(0)]
    pub how: Ending,
    /// When: the end epoch, the epoch that the chain names, or the head at which it was first seen.
    #[n(1)]
    pub epoch: ChainEpoch,
}

/// What a proposal asked for beside the proposal itself.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Request {
    /// `http`, or empty for an offline deal.
    #[n(0)]
    pub kind: String,
    /// The transfer's raw parameters; may hold credentials.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub params: Vec<u8>,
    /// Bytes of the CAR.
    #[n(2)]
    pub size: u64,
    /// Free text of the client.
    #[n(3)]
    pub client_id: String,
    /// `host:port` as written in the URL; empty for an offline deal.
    #[n(4)]
    pub host: String,
    /// The client brings the data by other means.
    #[n(5)]
    pub offline: bool,
    /// Do not announce.
    #[n(6)]
    pub skip_announce: bool,
    /// Do not keep an unsealed copy.
    #[n(7)]
    pub remove_unsealed: bool,
    /// Root of the data, as text; empty if the client left it out.
    #[n(8)]
    pub data_root: String,
    /// Text of the peer that proposed.
    #[n(9)]
    pub peer: String,
}

impl fmt::Debug for Request {
    /// Leaves the parameters out: they may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("kind", &self.kind)
            .field("size", &self.size)
            .field("host", &self.host)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// A deal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    /// Chosen by the client.
    pub uuid: Uuid,
    /// When it was accepted.
    pub created: Millis,
    /// When it last changed.
    pub updated: Millis,
    /// When it reached its checkpoint.
    pub checkpoint_at: Millis,
    /// How far it has come.
    pub checkpoint: Checkpoint,
    /// The signed proposal.
    pub signed: ClientDealProposal,
    /// Its identity on chain: the CID with ID addresses (spec chain-sealer-rpc D.2).
    pub chain_cid: Cid,
    /// The key that signs the client's status requests, as known at acceptance.
    pub client_key: Address,
    /// The client's ID address as known at acceptance, by which its deals are counted together; none in records of the
    /// first release.
    pub client_id: Option<Address>,
    /// What else was asked for.
    pub request: Request,
    /// The imported file of an offline deal.
    pub import: Option<Import>,
    /// Payload bytes of the finished pass.
    pub payload_size: u64,
    /// The publish order that it belongs to: the message's idempotency key.
    pub order: Option<Uuid>,
    /// CID of the publish message; the executed one from `PublishConfirmed` on.
    pub publish_cid: Option<Cid>,
    /// Known from `PublishConfirmed` on.
    pub chain_deal_id: Option<u64>,
    /// Set and stored before the piece is first offered to the sealer.
    pub handing_over: bool,
    /// Where the sealer put the piece.
    pub sector: Option<Sector>,
    /// The sector's last seen state; empty before there is one.
    pub sealing: String,
    /// Sealing has come to its end and the deal is in the sector.
    pub sealed: bool,
    /// Why it stands still or failed.
    pub error: String,
    /// Whether and until when it stands still.
    pub hold: Hold,
    /// Failures since the last progress; sets the backoff.
    pub tries: u32,
    /// Its start epoch has passed while something was awaited that must not be given up; said once in its log.
    pub late: bool,
    /// Bytes that had arrived when the deal ended before its data was complete.
    pub received: u64,
    /// When the chain says that it became active; read after sealing.
    pub activated: Option<ChainEpoch>,
    /// The end of its time on chain; read after sealing.
    pub over: Option<Over>,
    /// Publish messages with it that failed on chain since the operator last asked for a retry.
    pub failed_messages: u32,
}

/// Stored form of [`Deal`], one field each.
#[derive(Encode, Decode)]
#[cbor(map)]
struct RecordV1 {
    #[cbor(n(0), with = "minicbor::bytes")]
    uuid: [u8; 16],
    #[n(1)]
    created: u64,
    #[n(2)]
    updated: u64,
    #[n(3)]
    checkpoint_at: u64,
    #[n(4)]
    checkpoint: u8,
    #[cbor(n(5), with = "minicbor::bytes")]
    signed: Vec<u8>,
    #[cbor(n(6), with = "minicbor::bytes")]
    chain_cid: Vec<u8>,
    #[cbor(n(7), with = "minicbor::bytes")]
    client_key: Vec<u8>,
    #[n(8)]
    request: Request,
    #[n(9)]
    import: Option<Import>,
    #[n(10)]
    payload_size: u64,
    #[cbor(n(11), with = "minicbor::bytes")]
    order: Option<[u8; 16]>,
    #[cbor(n(12), with = "minicbor::bytes")]
    publish_cid: Option<Vec<u8>>,
    #[n(13)]
    chain_deal_id: Option<u64>,
    #[n(14)]
    handing_over: bool,
    #[n(15)]
    sector: Option<Sector>,
    #[n(16)]
    sealing: String,
    #[n(17)]
    sealed: bool,
    #[n(18)]
    error: String,
    #[n(19)]
    hold: Hold,
    #[n(20)]
    tries: u32,
    // Younger than the first records: absent there, and left out while there is nothing to say.
    #[n(21)]
    late: Option<bool>,
    #[n(22)]
    received: Option<u64>,
    #[n(23)]
    activated: Option<ChainEpoch>,
    #[n(24)]
    over: Option<Over>,
    #[cbor(n(25), with = "minicbor::bytes")]
    client_id: Option<Vec<u8>>,
    #[n(26)]
    failed_messages: Option<u32>,
}

impl Deal {
    /// A deal that is accepted now; nothing has been done for it. The client's key and ID address are what the chain
    /// knows behind the address in the proposal.
    pub fn accepted(
        uuid: Uuid,
        now: Millis,
        signed: ClientDealProposal,
        client_key: Address,
        client_id: Address,
        request: Request,
    ) -> Self {
        let proposal = &signed.proposal;
        let chain_cid = proposal.chain_cid(&client_id, &proposal.provider);
        Self {
            uuid,
            created: now,
            updated: now,
            checkpoint_at: now,
            checkpoint: Checkpoint::Accepted,
            signed,
            chain_cid,
            client_key,
            client_id: Some(client_id),
            request,
            import: None,
            payload_size: 0,
            order: None,
            publish_cid: None,
            chain_deal_id: None,
            handing_over: false,
            sector: None,
            sealing: String::new(),
            sealed: false,
            error: String::new(),
            hold: Hold::None,
            tries: 0,
            late: false,
            received: 0,
            activated: None,
            over: None,
            failed_messages: 0,
        }
    }

    /// The unsigned proposal.
    pub fn proposal(&self) -> &DealProposal {
        &self.signed.proposal
    }

    /// The provider that it was proposed to.
    pub fn miner(&self) -> &Address {
        &self.signed.proposal.provider
    }

    /// The client, in every form of its address that is known.
    pub fn client(&self) -> Client {
        let given = &self.proposal().client;
        Client {
            given: given.clone(),
            key: self.client_key.clone(),
            id: self.client_id.clone().unwrap_or_else(|| given.clone()),
        }
    }

    /// Whether the deal is this client's, whichever form of its address the deal was proposed with.
    pub fn is_of(&self, client: &Client) -> bool {
        match &self.client_id {
            Some(id) => *id == client.id,
            // A record of the first release does not know the ID.
            None => self.client_key == client.key || self.proposal().client == client.given,
        }
    }

    /// Whether the machine has nothing more to do for it.
    pub fn ended(&self) -> bool {
        match self.checkpoint {
            Checkpoint::Complete => true,
            Checkpoint::IndexedAndAnnounced => self.sealed,
            _ => false,
        }
    }

    /// The stored bytes.
    pub fn encode(&self) -> Vec<u8> {
        let record = RecordV1 {
            uuid: *self.uuid.as_bytes(),
            created: self.created,
            updated: self.updated,
            checkpoint_at: self.checkpoint_at,
            checkpoint: self.checkpoint.number(),
            signed: self.signed.encode(),
            chain_cid: self.chain_cid.to_bytes(),
            client_key: self.client_key.as_bytes().to_vec(),
            request: self.request.clone(),
            import: self.import.clone(),
            payload_size: self.payload_size,
            order: self.order.map(|order| *order.as_bytes()),
            publish_cid: self.publish_cid.map(|cid| cid.to_bytes()),
            chain_deal_id: self.chain_deal_id,
            handing_over: self.handing_over,
            sector: self.sector,
            sealing: self.sealing.clone(),
            sealed: self.sealed,
            error: self.error.clone(),
            hold: self.hold,
            tries: self.tries,
            late: self.late.then_some(true),
            received: (self.received > 0).then_some(self.received),
            activated: self.activated,
            over: self.over,
            client_id: self.client_id.as_ref().map(|id| id.as_bytes().to_vec()),
            failed_messages: (self.failed_messages > 0).then_some(self.failed_messages),
        };
        versioned(VERSION, &record)
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// Damage, or a record of a newer release.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: RecordV1 = read_versioned(VERSION, bytes)?;
        Ok(Self {
            uuid: Uuid::from_bytes(record.uuid),
            created: record.created,
            updated: record.updated,
            checkpoint_at: record.checkpoint_at,
            checkpoint: Checkpoint::from_number(record.checkpoint)
                .ok_or_else(|| malformed("unknown checkpoint"))?,
            signed: ClientDealProposal::decode(&record.signed).map_err(malformed)?,
            chain_cid: Cid::try_from(record.chain_cid.as_slice()).map_err(malformed)?,
            client_key: Address::from_bytes(&record.client_key).map_err(malformed)?,
            request: record.request,
            import: record.import,
            payload_size: record.payload_size,
            order: record.order.map(Uuid::from_bytes),
            publish_cid: record
                .publish_cid
                .map(|cid| Cid::try_from(cid.as_slice()))
                .transpose()
                .map_err(malformed)?,
            chain_deal_id: record.chain_deal_id,
            handing_over: record.handing_over,
            sector: record.sector,
            sealing: record.sealing,
            sealed: record.sealed,
            error: record.error,
            hold: record.hold,
            tries: record.tries,
            late: record.late.unwrap_or(false),
            received: record.received.unwrap_or(0),
            activated: record.activated,
            over: record.over,
            client_id: record
                .client_id
                .map(|id| Address::from_bytes(&id))
                .transpose()
                .map_err(malformed)?,
            failed_messages: record.failed_messages.unwrap_or(0),
        })
    }
}
