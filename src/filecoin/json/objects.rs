//! Objects: signatures, messages, proposals.

use super::super::message::{Message, SignedMessage};
use super::super::{
    Address, ClientDealProposal, DealProposal, Label, Signature, SignatureKind, TokenAmount,
};
use super::{
    JsonError, field, from_address, from_amount, from_bytes, from_cid, to_address, to_amount,
    to_bool, to_bytes, to_cid, to_i64, to_text, to_u64,
};
use serde_json::{Value, json};

/// An object whose members are read by name.
struct Object<'v>(&'v Value);

impl<'v> Object<'v> {
    fn new(v: &'v Value, what: &'static str) -> Result<Self, JsonError> {
        if v.is_object() {
            Ok(Self(v))
        } else {
            Err(JsonError(what))
        }
    }

    /// A member, `null` if it is missing.
    fn get(&self, name: &str) -> &'v Value {
        field(self.0, name).unwrap_or(&Value::Null)
    }

    /// A member that must be an address.
    fn address(&self, name: &str) -> Result<Address, JsonError> {
        to_address(self.get(name))?.ok_or(JsonError("expected an address, found none"))
    }

    /// A member that may be missing.
    fn or_default<T: Default>(
        &self,
        name: &str,
        read: impl FnOnce(&'v Value) -> Result<T, JsonError>,
    ) -> Result<T, JsonError> {
        field(self.0, name).map_or_else(|| Ok(T::default()), read)
    }
}

/// `{"Type":1,"Data":"base64"}`; the data is without the type byte.
pub fn from_signature(s: &Signature) -> Value {
    json!({ "Type": s.kind.number(), "Data": from_bytes(&s.data) })
}

/// Reads a signature of type 1, 2 or 3.
pub fn to_signature(v: &Value) -> Result<Signature, JsonError> {
    let object = Object::new(v, "expected a signature")?;
    let number = to_u64(object.get("Type"))?;
    let kind = u8::try_from(number)
        .ok()
        .and_then(SignatureKind::from_number)
        .ok_or(JsonError("expected a signature of type 1, 2 or 3"))?;
    Ok(Signature {
        kind,
        data: to_bytes(object.get("Data"))?,
    })
}

/// The ten fields of a message. Lotus adds `CID` in its answers; it ignores it in requests.
pub fn from_message(m: &Message) -> Value {
    json!({
        "Version": m.version,
        "To": from_address(&m.to),
        "From": from_address(&m.from),
        "Nonce": m.nonce,
        "Value": from_amount(&m.value),
        "GasLimit": m.gas_limit,
        "GasFeeCap": from_amount(&m.gas_fee_cap),
        "GasPremium": from_amount(&m.gas_premium),
        "Method": m.method,
        "Params": from_bytes(&m.params),
    })
}

/// Reads a message. Field names in any case, unknown fields ignored; `Version`, `Nonce`, `Value`,
/// `Method`, `Params` and the gas fields may be missing and are zero then.
pub fn to_message(v: &Value) -> Result<Message, JsonError> {
    let object = Object::new(v, "expected a message")?;
    let amount = |name| object.or_default::<TokenAmount>(name, to_amount);
    let version = object.or_default("Version", to_u64)?;
    if version != 0 {
        return Err(JsonError("expected a message of version 0"));
    }
    Ok(Message {
        version,
        to: object.address("To")?,
        from: object.address("From")?,
        nonce: object.or_default("Nonce", to_u64)?,
        value: amount("Value")?,
        gas_limit: object.or_default("GasLimit", to_i64)?,
        gas_fee_cap: amount("GasFeeCap")?,
        gas_premium: amount("GasPremium")?,
        method: object.or_default("Method", to_u64)?,
        params: to_bytes(object.get("Params"))?,
    })
}

/// A signed message with the CID to track it by.
pub fn from_signed_message(m: &SignedMessage) -> Value {
    json!({
        "Message": from_message(&m.message),
        "Signature": from_signature(&m.signature),
        "CID": from_cid(Some(&m.cid())),
    })
}

/// Reads a signed message; a `CID` beside it is not looked at, it can be computed.
pub fn to_signed_message(v: &Value) -> Result<SignedMessage, JsonError> {
    let object = Object::new(v, "expected a signed message")?;
    Ok(SignedMessage {
        message: to_message(object.get("Message"))?,
        signature: to_signature(object.get("Signature"))?,
    })
}

/// A deal proposal. A label of bytes becomes `""`, as Lotus prints it: the information is lost.
pub fn from_proposal(p: &DealProposal) -> Value {
    let label = match &p.label {
        Label::Text(text) => text.as_str(),
        Label::Bytes(_) => "",
    };
    json!({
        "PieceCID": from_cid(Some(&p.piece_cid)),
        "PieceSize": p.piece_size,
        "VerifiedDeal": p.verified,
        "Client": from_address(&p.client),
        "Provider": from_address(&p.provider),
        "Label": label,
        "StartEpoch": p.start_epoch,
        "EndEpoch": p.end_epoch,
        "StoragePricePerEpoch": from_amount(&p.price_per_epoch),
        "ProviderCollateral": from_amount(&p.provider_collateral),
        "ClientCollateral": from_amount(&p.client_collateral),
    })
}

/// Reads a deal proposal; no field but the label may be missing. The label is always a text.
pub fn to_proposal(v: &Value) -> Result<DealProposal, JsonError> {
    let object = Object::new(v, "expected a deal proposal")?;
    let amount = |name| to_amount(object.get(name));
    let piece_cid =
        to_cid(object.get("PieceCID"))?.ok_or(JsonError("expected a piece CID, found none"))?;
    Ok(DealProposal {
        piece_cid,
        piece_size: to_u64(object.get("PieceSize"))?,
        verified: to_bool(object.get("VerifiedDeal"))?,
        client: object.address("Client")?,
        provider: object.address("Provider")?,
        label: Label::Text(object.or_default("Label", |v| to_text(v).map(str::to_owned))?),
        start_epoch: to_i64(object.get("StartEpoch"))?,
        end_epoch: to_i64(object.get("EndEpoch"))?,
        price_per_epoch: amount("StoragePricePerEpoch")?,
        provider_collateral: amount("ProviderCollateral")?,
        client_collateral: amount("ClientCollateral")?,
    })
}

/// A signed deal proposal, as Lotus names its fields.
pub fn from_client_proposal(p: &ClientDealProposal) -> Value {
    json!({
        "Proposal": from_proposal(&p.proposal),
        "ClientSignature": from_signature(&p.signature),
    })
}

/// Reads a signed deal proposal.
pub fn to_client_proposal(v: &Value) -> Result<ClientDealProposal, JsonError> {
    let object = Object::new(v, "expected a signed deal proposal")?;
    Ok(ClientDealProposal {
        proposal: to_proposal(object.get("Proposal"))?,
        signature: to_signature(object.get("ClientSignature"))?,
    })
}
