//! lotus-miner, and what speaks its RPC, over `/rpc/v0` (chain-sealer-rpc E).

use super::phase::not_yet_proven;
use super::{Handover, Sealer, SealerError, SectorPlace, SectorStatus, add_piece};
use crate::filecoin::{Address, json as form};
use crate::rpc::{Client, Endpoint, EndpointError, Limits, Patience, Version};
use cid::Cid;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

/// Sectors of each of the two groups that [`Sealer::find`] looks into at most, each of them a call. A small miner seals a
/// handful at a time; beyond this the sector of a hand-over that a crash interrupted is long past.
const LOOKS_MAX: usize = 64;

/// Gives the URL under which the sealer can fetch a piece: exactly the unpadded piece size in bytes, zeros included,
/// without any header or token of ours (chain-sealer-rpc E.2).
pub type FetchUrl = Box<dyn Fn(&Handover) -> String + Send + Sync>;

/// One lotus-miner, which serves one miner actor.
pub struct LotusMiner {
    pub(super) endpoint: Endpoint,
    pub(super) limits: Limits,
    pub(super) fetch_url: Option<FetchUrl>,
    client: Client,
}

impl std::fmt::Debug for LotusMiner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LotusMiner")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl LotusMiner {
    /// A client for one entry of `MINER_API_INFO`'s list. Pieces are pushed over a connection of ours.
    ///
    /// # Errors
    /// [`EndpointError`], which repeats nothing of the text.
    pub fn new(endpoint: &str, limits: Limits) -> Result<Self, EndpointError> {
        let endpoint = Endpoint::parse(endpoint, Version::V0)?;
        Ok(Self {
            client: Client::new(vec![endpoint.clone()], limits),
            endpoint,
            limits,
            fetch_url: None,
        })
    }

    /// Lets the sealer fetch the pieces instead of being pushed them.
    #[must_use]
    pub fn with_fetch_url(mut self, fetch_url: FetchUrl) -> Self {
        self.fetch_url = Some(fetch_url);
        self
    }

    /// Host and port, for messages to people.
    pub fn name(&self) -> String {
        self.endpoint.to_string()
    }

    /// The miner actor that this lotus-miner works for.
    ///
    /// # Errors
    /// [`SealerError`].
    pub fn actor_address(&self) -> Result<Address, SealerError> {
        let result = self.read("ActorAddress", &json!([]))?;
        form::to_address(&result)
            .ok()
            .flatten()
            .ok_or_else(|| malformed("ActorAddress", "no address"))
    }

    /// The permissions of our token; None if this sealer does not tell. Without a token the public reads are all there is.
    ///
    /// # Errors
    /// The sealer cannot be asked.
    pub fn permissions(&self) -> Result<Option<Vec<String>>, SealerError> {
        const METHOD: &str = "AuthVerify";
        let header = self.endpoint.authorization();
        let Some(token) = header.as_deref().and_then(|h| h.strip_prefix("Bearer ")) else {
            return Ok(Some(vec!["read".to_owned()]));
        };
        match self.read(METHOD, &json!([token])) {
            Ok(Value::Array(list)) => Ok(Some(
                list.iter()
                    .filter_map(|one| one.as_str().map(str::to_owned))
                    .collect(),
            )),
            // Curio's adapter has other ways.
            Ok(_) | Err(SealerError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, method: &str, params: &Value) -> Result<Value, SealerError> {
        Ok(self.client.call(method, params, Patience::Short)?)
    }

    /// The sectors in these states, newest first.
    fn sectors_in(&self, states: &[&str]) -> Result<Vec<u64>, SealerError> {
        const METHOD: &str = "SectorsListInStates";
        // Null stands for none.
        let result = self.read(METHOD, &json!([states]))?;
        let mut numbers = numbers(METHOD, &result)?;
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    fn status(&self, number: u64) -> Result<Value, SealerError> {
        self.read("SectorsStatus", &json!([number, false]))
    }
}

impl Sealer for LotusMiner {
    fn add_piece(
        &self,
        piece: &Handover,
        stop: &AtomicBool,
    ) -> Result<Option<SectorPlace>, SealerError> {
        add_piece::add_piece(self, piece, stop).map(Some)
    }

    fn find(&self, deal_id: u64, piece_cid: &Cid) -> Result<Option<SectorPlace>, SealerError> {
        // 0 is what padding and data without a market deal carry.
        if deal_id == 0 {
            return Ok(None);
        }
        let mut seen = BTreeSet::new();
        for states in not_yet_proven() {
            let sectors = self.sectors_in(&states)?;
            if sectors.len() > LOOKS_MAX {
                log::info!(
                    "looking for deal {deal_id} in the newest {LOOKS_MAX} of {} sectors",
                    sectors.len()
                );
            }
            for sector in sectors.into_iter().take(LOOKS_MAX) {
                // It may have moved on between the two lists.
                if !seen.insert(sector) {
                    continue;
                }
                let status = match self.status(sector) {
                    // A sector may go away between the two calls.
                    Err(SealerError::Refused { .. }) => continue,
                    other => other?,
                };
                if let Some(offset) = offset_in(&status, deal_id, piece_cid)? {
                    return Ok(Some(SectorPlace { sector, offset }));
                }
            }
        }
        Ok(None)
    }

    fn sector(&self, number: u64) -> Result<SectorStatus, SealerError> {
        const METHOD: &str = "SectorsStatus";
        let status = self.status(number)?;
        let state = status.get("State").and_then(Value::as_str);
        let deals = status.get("Deals").unwrap_or(&Value::Null);
        Ok(SectorStatus {
            state: state
                .ok_or_else(|| malformed(METHOD, "no state"))?
                .to_owned(),
            deals: numbers(METHOD, deals)?,
        })
    }

    fn summary(&self) -> Result<BTreeMap<String, u64>, SealerError> {
        const METHOD: &str = "SectorsSummary";
        let result = self.read(METHOD, &json!([]))?;
        let counts = match &result {
            Value::Null => return Ok(BTreeMap::new()),
            Value::Object(counts) => counts,
            _ => return Err(malformed(METHOD, "no table of numbers")),
        };
        counts
            .iter()
            .map(|(state, count)| {
                let count = count
                    .as_u64()
                    .ok_or_else(|| malformed(METHOD, "a count is no number"))?;
                Ok((state.clone(), count))
            })
            .collect()
    }
}

/// Where a deal's piece begins in a sector: its pieces lie one after the other, padding between them is a piece of its
/// own. None if it is not in it.
fn offset_in(status: &Value, deal_id: u64, piece_cid: &Cid) -> Result<Option<u64>, SealerError> {
    const METHOD: &str = "SectorsStatus";
    let listed = numbers(METHOD, status.get("Deals").unwrap_or(&Value::Null))?;
    if !listed.contains(&deal_id) {
        return Ok(None);
    }
    let pieces = status.get("Pieces").and_then(Value::as_array);
    let mut offset = 0_u64;
    for entry in pieces.into_iter().flatten() {
        let piece = entry.get("Piece").unwrap_or(&Value::Null);
        let cid = form::to_cid(piece.get("PieceCID").unwrap_or(&Value::Null));
        let id = entry
            .get("DealInfo")
            .and_then(|info| info.get("DealID"))
            .and_then(Value::as_u64);
        if id == Some(deal_id) {
            if cid.is_ok_and(|cid| cid.as_ref() == Some(piece_cid)) {
                return Ok(Some(offset));
            }
            return Err(malformed(METHOD, "the deal is there with another piece"));
        }
        let size = piece.get("Size").and_then(Value::as_u64);
        offset = size
            .and_then(|size| offset.checked_add(size))
            .ok_or_else(|| malformed(METHOD, "a piece has no size"))?;
    }
    // The deal is listed without its piece: Curio's adapter does not show pieces and knows no offsets.
    Ok(Some(0))
}

/// A list of numbers; null is an empty one.
fn numbers(method: &str, value: &Value) -> Result<Vec<u64>, SealerError> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) => list.iter().map(Value::as_u64).collect::<Option<_>>(),
        _ => None,
    }
    .ok_or_else(|| malformed(method, "no list of numbers"))
}

pub(super) fn malformed(method: &str, what: &str) -> SealerError {
    SealerError::Malformed(format!("{method}: {what}"))
}
