//! The two kinds of JSON documents in a hand-over directory, and their names.

use crate::filecoin::{json as form, piece_size};
use crate::sealer::add_piece::deal_info;
use crate::sealer::{Handover, SectorPlace};
use cid::Cid;
use serde_json::{Value, json};
use uuid::Uuid;

/// Version of the document's form.
const FORMAT: u64 = 1;

/// The longest text of a sealer that is kept, in characters.
const ERROR_MAX: usize = 600;

/// File names of a deal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The data.
    pub data: String,
    /// What a sealer needs to know.
    pub document: String,
    /// What the sealer answers.
    pub result: String,
}

impl Names {
    /// Those of the first deal with a piece.
    pub fn short(piece_cid: &Cid) -> Self {
        Self::of(piece_cid, &piece_cid.to_string())
    }

    /// Those of a deal whose piece another deal has brought before.
    pub fn long(piece_cid: &Cid, deal_id: u64) -> Self {
        Self::of(piece_cid, &format!("{piece_cid}.{deal_id}"))
    }

    fn of(piece_cid: &Cid, stem: &str) -> Self {
        Self {
            data: format!("{piece_cid}.car"),
            document: format!("{stem}.json"),
            result: format!("{stem}.result.json"),
        }
    }
}

/// Whether this is the name of a document of a deal with this piece.
pub(super) fn is_document(name: &str, piece_cid: &Cid) -> bool {
    let Some(rest) = name.strip_prefix(&piece_cid.to_string()) else {
        return false;
    };
    let number = rest
        .strip_prefix('.')
        .and_then(|rest| rest.strip_suffix(".json"));
    rest == ".json" || number.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// Whether a sealer would take a file of this name for a document.
pub(super) fn may_be_document(name: &str) -> bool {
    let stem = name.strip_suffix(".json");
    stem.is_some_and(|stem| !stem.ends_with(".result") && !stem.starts_with('.'))
}

/// What is read back of a document of ours.
pub(super) struct Document {
    /// The deal's ID on chain.
    pub deal_id: u64,
    /// Its UUID.
    pub deal: Option<Uuid>,
    /// Its piece.
    pub piece_cid: Option<Cid>,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON")?;
        let deal_id = value.get("DealID").and_then(Value::as_u64);
        let deal = value.get("Deal").and_then(Value::as_str);
        let piece_cid = value
            .get("PieceCID")
            .and_then(|cid| form::to_cid(cid).ok()?);
        Ok(Self {
            deal_id: deal_id.ok_or("it has no DealID")?,
            deal: deal.and_then(|uuid| Uuid::parse_str(uuid).ok()),
            piece_cid,
        })
    }
}

/// The document of a deal whose data, of this many bytes, lies under its name.
pub(super) fn write(piece: &Handover, names: &Names, payload_size: u64) -> Vec<u8> {
    let proposal = &piece.proposal;
    let mut document = deal_info(piece);
    let more = json!({
        "Format": FORMAT,
        "Deal": piece.deal.to_string(),
        "Miner": form::from_address(&proposal.provider),
        "PieceCID": form::from_cid(Some(&proposal.piece_cid)),
        "PieceSize": proposal.piece_size,
        "UnpaddedSize": piece_size::unpadded(proposal.piece_size),
        "File": names.data,
        "PayloadSize": payload_size,
        "Result": names.result,
    });
    if let (Value::Object(fields), Value::Object(more)) = (&mut document, more) {
        fields.extend(more);
    }
    let mut text = format!("{document:#}").into_bytes();
    text.push(b'\n');
    text
}

/// What a sealer says of a deal.
pub(super) enum Outcome {
    /// The piece lies there.
    Placed(SectorPlace),
    /// Why it does not.
    Failed(String),
}

/// Reads a sealer's result; none if it is another deal's.
///
/// # Errors
/// It does not have the documented form.
pub(super) fn outcome(bytes: &[u8], deal_id: u64) -> Result<Option<Outcome>, &'static str> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON (yet)")?;
    let number = |name| value.get(name).and_then(Value::as_u64);
    if number("DealID").ok_or("it has no DealID")? != deal_id {
        return Ok(None);
    }
    if let Some(error) = value.get("Error") {
        let text = error.as_str().unwrap_or("an error without a text");
        let text: String = text.replace(char::is_control, " ");
        let text = text.chars().take(ERROR_MAX).collect();
        return Ok(Some(Outcome::Failed(text)));
    }
    let place = SectorPlace {
        sector: number("Sector").ok_or("it has no Sector")?,
        offset: number("Offset").ok_or("it has no Offset")?,
    };
    Ok(Some(Outcome::Placed(place)))
}
