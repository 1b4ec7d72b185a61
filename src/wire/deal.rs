//! Proposing a deal: the request and the answer of `/fil/storage/mk/1.2.0` and `1.2.1`.

use super::WireError;
use super::map::{self, begin, each_entry, get_text, get_uuid, put_key, put_text, put_uuid};
use crate::filecoin::ClientDealProposal;
use crate::filecoin::cbor::{self, Out, put_bool, put_bytes, put_map, put_u64};
use cid::Cid;
use minicbor::Decoder;
use uuid::Uuid;

/// Longest `Params` of a transfer, in bytes (spec boost-mk12 1.2, size limits).
pub const MAX_PARAMS_BYTES: usize = cbor::MAX_BYTES;

/// How the data of an online deal comes (spec boost-mk12 1.4, Transfer). An offline deal sends the zero value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transfer {
    /// Bytes of the CAR file, not of the piece.
    pub size: u64,
    /// `http` or `libp2p`; empty for an offline deal. The key is `Type`.
    pub kind: String,
    /// A JSON document with the address and its headers (spec boost-mk12 2.1). It may hold a password, so it must
    /// not be logged.
    pub params: Vec<u8>,
    /// Free text of the client, for the deal's log only.
    pub client_id: String,
}

/// A proposal for a deal (spec boost-mk12 1.4, DealParams).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealParams {
    /// The client's name for the deal.
    pub uuid: Uuid,
    /// How the data comes.
    pub transfer: Transfer,
    /// The data comes by another way, on the provider's demand.
    pub offline: bool,
    /// Root of the data inside the piece; none if the key was missing.
    pub data_root: Option<Cid>,
    /// Do not announce the piece to the network's indexers.
    pub skip_announce: bool,
    /// The signed proposal; none if the key was missing.
    pub proposal: Option<ClientDealProposal>,
    /// Do not keep an unsealed copy beside the sealed one.
    pub remove_unsealed: bool,
}

/// The provider's answer to a proposal (spec boost-mk12 1.4, DealResponse).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealResponse {
    /// The provider took the deal.
    pub accepted: bool,
    /// Why not; empty when accepted, and perhaps even when not.
    pub message: String,
}

impl Transfer {
    fn encode_into(&self, out: &mut Out) {
        put_map(out, 4);
        put_key(out, "Size");
        put_u64(out, self.size);
        put_key(out, "Type");
        put_text(out, &self.kind);
        put_key(out, "Params");
        put_bytes(out, &self.params);
        put_key(out, "ClientID");
        put_text(out, &self.client_id);
    }

    fn decode_from(d: &mut Decoder<'_>) -> Result<Self, WireError> {
        let mut transfer = Self::default();
        each_entry(d, |key, d| {
            match key {
                b"Size" => transfer.size = cbor::get_u64(d)?,
                b"Type" => transfer.kind = get_text(d, "Type")?,
                b"Params" => transfer.params = cbor::get_bytes(d, MAX_PARAMS_BYTES)?,
                b"ClientID" => transfer.client_id = get_text(d, "ClientID")?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(transfer)
    }
}

impl DealParams {
    /// The seven-key form, which providers of both protocol versions read; `encode` leaves out what is `None`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_keys(true)
    }

    /// The five-key form of `1.2.0`, without `SkipIPNIAnnounce` and `RemoveUnsealedCopy`.
    #[must_use]
    pub fn encode_five(&self) -> Vec<u8> {
        self.encode_keys(false)
    }

    fn encode_keys(&self, seven: bool) -> Vec<u8> {
        let entries = [
            true,
            true,
            true,
            self.data_root.is_some(),
            seven,
            self.proposal.is_some(),
            seven,
        ];
        let mut out = begin(entries.iter().map(|&there| u64::from(there)).sum());
        put_key(&mut out, "DealUUID");
        put_uuid(&mut out, &self.uuid);
        put_key(&mut out, "Transfer");
        self.transfer.encode_into(&mut out);
        put_key(&mut out, "IsOffline");
        put_bool(&mut out, self.offline);
        if let Some(root) = &self.data_root {
            put_key(&mut out, "DealDataRoot");
            cbor::put_cid(&mut out, root);
        }
        if seven {
            put_key(&mut out, "SkipIPNIAnnounce");
            put_bool(&mut out, self.skip_announce);
        }
        if let Some(proposal) = &self.proposal {
            put_key(&mut out, "ClientDealProposal");
            proposal.encode_into(&mut out);
        }
        if seven {
            put_key(&mut out, "RemoveUnsealedCopy");
            put_bool(&mut out, self.remove_unsealed);
        }
        out.into_writer()
    }

    /// Reads a proposal in either form.
    ///
    /// # Errors
    /// The bytes do not begin with one strict item of this shape, or a field is over its limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut params = Self {
            uuid: Uuid::nil(),
            transfer: Transfer::default(),
            offline: false,
            data_root: None,
            skip_announce: false,
            proposal: None,
            remove_unsealed: false,
        };
        each_entry(&mut Decoder::new(bytes), |key, d| {
            match key {
                b"DealUUID" => params.uuid = get_uuid(d, "DealUUID")?,
                b"Transfer" => params.transfer = Transfer::decode_from(d)?,
                b"IsOffline" => params.offline = cbor::get_bool(d)?,
                b"DealDataRoot" => params.data_root = Some(cbor::get_cid(d)?),
                b"SkipIPNIAnnounce" => params.skip_announce = cbor::get_bool(d)?,
                b"ClientDealProposal" => {
                    params.proposal = Some(ClientDealProposal::decode_from(d)?);
                }
                b"RemoveUnsealedCopy" => params.remove_unsealed = cbor::get_bool(d)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(params)
    }

    /// Whether the fields are within the limits that every reader of this message has, so that a client can say so
    /// before it sends.
    ///
    /// # Errors
    /// The first field that is too long.
    pub fn check_limits(&self) -> Result<(), WireError> {
        if self.transfer.params.len() > MAX_PARAMS_BYTES {
            return Err(WireError::Field("Params"));
        }
        if self.transfer.kind.len() > map::MAX_TEXT_BYTES {
            return Err(WireError::Field("Type"));
        }
        if self.transfer.client_id.len() > map::MAX_TEXT_BYTES {
            return Err(WireError::Field("ClientID"));
        }
        Ok(())
    }
}

impl DealResponse {
    /// The answer's bytes; a message longer than [`super::MAX_TEXT_BYTES`] is cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = begin(2);
        put_key(&mut out, "Message");
        put_text(&mut out, &self.message);
        put_key(&mut out, "Accepted");
        put_bool(&mut out, self.accepted);
        out.into_writer()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// The bytes do not begin with one strict item of this shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut response = Self {
            accepted: false,
            message: String::new(),
        };
        each_entry(&mut Decoder::new(bytes), |key, d| {
            match key {
                b"Message" => response.message = get_text(d, "Message")?,
                b"Accepted" => response.accepted = cbor::get_bool(d)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(response)
    }
}
