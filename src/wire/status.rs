//! Asking how a deal is: the request and the answer of `/fil/storage/status/1.2.0`.

use super::WireError;
use super::map::{begin, each_entry, get_text, get_uuid, nullable, put_key, put_text, put_uuid};
use crate::filecoin::cbor::{self, Out, put_bool, put_map, put_null, put_u64};
use crate::filecoin::{DealProposal, Signature, SignatureKind};
use cid::Cid;
use minicbor::Decoder;
use uuid::Uuid;

/// A question about a deal (spec boost-mk12 1.4, DealStatusRequest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealStatusRequest {
    /// The deal.
    pub uuid: Uuid,
    /// By the deal's client over the 16 bytes of the UUID. A missing key becomes a signature of no bytes, which no
    /// key has made.
    pub signature: Signature,
}

/// The answer to a question about a deal (spec boost-mk12 1.4, DealStatusResponse).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DealStatusResponse {
    /// Why there is no status; then only `uuid` is set beside it.
    pub error: String,
    /// The deal that was asked for.
    pub uuid: Uuid,
    /// The data comes by another way than a transfer.
    pub offline: bool,
    /// How the deal is; none with an error.
    pub status: Option<DealStatus>,
    /// Bytes that the transfer has in all.
    pub transfer_size: u64,
    /// Bytes that a running transfer has brought.
    pub bytes_received: u64,
}

/// How a deal is (spec boost-mk12 1.4, DealStatus).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealStatus {
    /// Why the deal pauses or has failed; empty otherwise.
    pub error: String,
    /// The name of the checkpoint that it has reached (spec boost-mk12 4.2).
    pub status: String,
    /// The proposal without its signature.
    pub proposal: DealProposal,
    /// The message that published the deal, once there is one.
    pub publish_cid: Option<Cid>,
    /// The deal's number on chain, 0 until it is known.
    pub chain_deal_id: u64,
    /// The sealer's own word for the sector's state.
    pub sealing_status: String,
    /// Which signed proposal this is, by SHA-256 (spec boost-mk12 1.5).
    pub signed_proposal_cid: Cid,
}

impl DealStatusRequest {
    /// The request's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = begin(2);
        put_key(&mut out, "DealUUID");
        put_uuid(&mut out, &self.uuid);
        put_key(&mut out, "Signature");
        cbor::put_signature(&mut out, &self.signature);
        out.into_writer()
    }

    /// Reads a request.
    ///
    /// # Errors
    /// The bytes do not begin with one strict item of this shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut request = Self {
            uuid: Uuid::nil(),
            signature: Signature {
                kind: SignatureKind::Secp256k1,
                data: Vec::new(),
            },
        };
        each_entry(&mut Decoder::new(bytes), |key, d| {
            match key {
                b"DealUUID" => request.uuid = get_uuid(d, "DealUUID")?,
                b"Signature" => request.signature = cbor::get_signature(d)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(request)
    }
}

impl DealStatusResponse {
    /// The answer's bytes; texts longer than [`super::MAX_TEXT_BYTES`] are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = begin(6);
        put_key(&mut out, "Error");
        put_text(&mut out, &self.error);
        put_key(&mut out, "DealUUID");
        put_uuid(&mut out, &self.uuid);
        put_key(&mut out, "IsOffline");
        put_bool(&mut out, self.offline);
        put_key(&mut out, "DealStatus");
        match &self.status {
            Some(status) => status.encode_into(&mut out),
            None => put_null(&mut out),
        }
        put_key(&mut out, "TransferSize");
        put_u64(&mut out, self.transfer_size);
        put_key(&mut out, "NBytesReceived");
        put_u64(&mut out, self.bytes_received);
        out.into_writer()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// The bytes do not begin with one strict item of this shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut response = Self::default();
        each_entry(&mut Decoder::new(bytes), |key, d| {
            match key {
                b"Error" => response.error = get_text(d, "Error")?,
                b"DealUUID" => response.uuid = get_uuid(d, "DealUUID")?,
                b"IsOffline" => response.offline = cbor::get_bool(d)?,
                b"DealStatus" => response.status = nullable(d, DealStatus::decode_from)?,
                b"TransferSize" => response.transfer_size = cbor::get_u64(d)?,
                b"NBytesReceived" => response.bytes_received = cbor::get_u64(d)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(response)
    }
}

impl DealStatus {
    fn encode_into(&self, out: &mut Out) {
        put_map(out, 7);
        put_key(out, "Error");
        put_text(out, &self.error);
        put_key(out, "Status");
        put_text(out, &self.status);
        put_key(out, "Proposal");
        self.proposal.encode_into(out);
        put_key(out, "PublishCid");
        match &self.publish_cid {
            Some(cid) => cbor::put_cid(out, cid),
            None => put_null(out),
        }
        put_key(out, "ChainDealID");
        put_u64(out, self.chain_deal_id);
        put_key(out, "SealingStatus");
        put_text(out, &self.sealing_status);
        put_key(out, "SignedProposalCid");
        cbor::put_cid(out, &self.signed_proposal_cid);
    }

    /// A status without proposal or its CID says nothing that could be shown, so unlike other keys these must be there.
    fn decode_from(d: &mut Decoder<'_>) -> Result<Self, WireError> {
        let (mut error, mut status, mut sealing_status) =
            (String::new(), String::new(), String::new());
        let (mut proposal, mut signed_proposal_cid) = (None, None);
        let (mut publish_cid, mut chain_deal_id) = (None, 0);
        each_entry(d, |key, d| {
            match key {
                b"Error" => error = get_text(d, "Error")?,
                b"Status" => status = get_text(d, "Status")?,
                b"Proposal" => proposal = Some(DealProposal::decode_from(d)?),
                b"PublishCid" => publish_cid = nullable(d, |d| Ok(cbor::get_cid(d)?))?,
                b"ChainDealID" => chain_deal_id = cbor::get_u64(d)?,
                b"SealingStatus" => sealing_status = get_text(d, "SealingStatus")?,
                b"SignedProposalCid" => signed_proposal_cid = Some(cbor::get_cid(d)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            error,
            status,
            proposal: proposal.ok_or(WireError::Field("Proposal"))?,
            publish_cid,
            chain_deal_id,
            sealing_status,
            signed_proposal_cid: signed_proposal_cid
                .ok_or(WireError::Field("SignedProposalCid"))?,
        })
    }
}
