//! What became of a publish message (chain-sealer-rpc D.4, D.7).
//!
//! The answer is derived from the chain every time: a re-organisation may execute the message anew, with other deal IDs
//! or another set of valid deals, and the message itself may have been replaced by one with another fee.

use super::node::{Found, Tipset};
use super::nonce::{NEARBY, NO_LIMIT, Unseen, is_not_found};
use super::{ChainError, Fate, Node, Outcome, Receipt, gas};
use crate::filecoin::market_actor::{self, PublishReturn};
use crate::filecoin::{Address, DealProposal, TokenAmount};
use cid::Cid;
use std::collections::BTreeMap;

/// Epochs that a gateway answers about: a day, less half an hour.
const DAY: i64 = 2_820;

/// Looks the message up from the head and finds each proposal's deal ID.
pub(super) fn outcome(
    node: &Node,
    message: &Cid,
    proposals: &[DealProposal],
) -> Result<Outcome, ChainError> {
    let head = node.head()?;
    let found = match whereabouts(node, &head, message)? {
        Whereabouts::Pending => return Ok(Outcome::Pending),
        Whereabouts::Lost => return Ok(Outcome::Unknown),
        Whereabouts::Found(found) => found,
    };
    let deals = if found.exit_code == 0 {
        deal_ids(node, &found, proposals)?
    } else {
        vec![None; proposals.len()]
    };
    Ok(Outcome::Executed {
        message: found.message,
        depth: depth(&head, &found),
        epoch: found.epoch,
        exit_code: found.exit_code,
        deals,
    })
}

/// Looks a message up from the head that is no publish message.
pub(super) fn fate(node: &Node, message: &Cid) -> Result<Fate, ChainError> {
    let head = node.head()?;
    Ok(match whereabouts(node, &head, message)? {
        Whereabouts::Pending => Fate::Pending,
        Whereabouts::Lost => Fate::Unknown,
        Whereabouts::Found(found) => Fate::Executed(Receipt {
            message: found.message,
            depth: depth(&head, &found),
            exit_code: found.exit_code,
            returned: found.returned,
        }),
    })
}

/// What an executed message has cost its sender. The receipt has the gas that was used, the message its limits, and the
/// tipset that holds it the base fee: the chain's own formula gives the rest.
pub(super) fn fee(node: &Node, message: &Cid) -> Result<Option<TokenAmount>, ChainError> {
    let found = match node.search_message(None, message, NO_LIMIT)? {
        Some(found) => found,
        None => match elsewhere(node, &node.head()?, message)? {
            Whereabouts::Found(found) => found,
            Whereabouts::Pending | Whereabouts::Lost => return Ok(None),
        },
    };
    let sent = node.get_message(&found.message)?;
    // It was executed by the tipset after the one that holds it; heights may be left out between them.
    let holder = node.tipset_at(found.epoch.saturating_sub(1), None)?;
    if holder.base_fee.is_zero() {
        return Ok(None);
    }
    Ok(gas::spent(&sent, found.gas_used, &holder.base_fee))
}

/// A search cannot find anything above the head it starts from.
fn depth(head: &Tipset, found: &Found) -> i64 {
    head.epoch.saturating_sub(found.epoch).max(0)
}

fn whereabouts(node: &Node, head: &Tipset, message: &Cid) -> Result<Whereabouts, ChainError> {
    match node.search_message(Some(head), message, NO_LIMIT) {
        Ok(None) => elsewhere(node, head, message),
        Ok(Some(found)) => Ok(Whereabouts::Found(found)),
        Err(ChainError::Refused { message, .. }) if is_not_found(&message) => Ok(Whereabouts::Lost),
        Err(error) => Err(error),
    }
}

/// What a search that found nothing means: a gateway looks back a short while only (chain-sealer-rpc A.8), so the sender's
/// nonce is looked at too.
fn elsewhere(node: &Node, head: &Tipset, message: &Cid) -> Result<Whereabouts, ChainError> {
    let sent = match node.get_message(message) {
        Ok(sent) => sent,
        Err(ChainError::Refused { .. }) => return Ok(Whereabouts::Pending),
        Err(error) => return Err(error),
    };
    if node.nonce_at(&sent.from, head)? <= sent.nonce {
        return Ok(Whereabouts::Pending);
    }
    let since = head.epoch.saturating_sub(DAY);
    let since = (since, Unseen::LookLater);
    let found = match node.first_after(&sent.from, sent.nonce, since, head)? {
        Some(tipset) => node.executed(&tipset, message, NEARBY)?,
        None => None,
    };
    Ok(found.map_or(Whereabouts::Lost, Whereabouts::Found))
}

/// What became of a message that a search from the head does not find.
enum Whereabouts {
    Pending,
    Found(Found),
    Lost,
}

fn deal_ids(
    node: &Node,
    found: &Found,
    proposals: &[DealProposal],
) -> Result<Vec<Option<u64>>, ChainError> {
    let malformed = |what: &str| ChainError::Malformed(format!("{}: {what}", found.message));
    let returned = PublishReturn::decode(&found.returned)
        .map_err(|_| malformed("its return value is no publish result"))?;
    let sent = node.get_message(&found.message)?;
    if sent.to != Address::market_actor() || sent.method != market_actor::PUBLISH_STORAGE_DEALS {
        return Err(malformed("it is no publish message"));
    }
    // The parameters, not the node's JSON: a label of bytes is lost there.
    let sent: Vec<DealProposal> = market_actor::decode_publish(&sent.params)
        .map_err(|_| malformed("its parameters cannot be read"))?
        .into_iter()
        .map(|deal| deal.proposal)
        .collect();
    let mut ids = Ids {
        node,
        known: BTreeMap::new(),
    };
    proposals
        .iter()
        .map(|asked| {
            let position = position(&sent, asked, &mut |address| ids.of(address))?;
            Ok(position.and_then(|position| returned.deal_id(position)))
        })
        .collect()
}

/// Position of the first proposal that equals this one in every field, addresses compared by what they stand for.
pub(super) fn position(
    sent: &[DealProposal],
    asked: &DealProposal,
    id_of: &mut dyn FnMut(&Address) -> Result<Address, ChainError>,
) -> Result<Option<u64>, ChainError> {
    for (position, candidate) in (0_u64..).zip(sent) {
        let same_actor = |a: &Address, b: &Address, id_of: &mut dyn FnMut(&Address) -> _| {
            Ok::<bool, ChainError>(a == b || id_of(a)? == id_of(b)?)
        };
        if same_terms(candidate, asked)
            && same_actor(&candidate.client, &asked.client, id_of)?
            && same_actor(&candidate.provider, &asked.provider, id_of)?
        {
            return Ok(Some(position));
        }
    }
    Ok(None)
}

/// Whether two proposals agree in all but the addresses.
fn same_terms(a: &DealProposal, b: &DealProposal) -> bool {
    // Taken apart so that a new field cannot be forgotten here.
    let DealProposal {
        piece_cid,
        piece_size,
        verified,
        client: _,
        provider: _,
        label,
        start_epoch,
        end_epoch,
        price_per_epoch,
        provider_collateral,
        client_collateral,
    } = a;
    *piece_cid == b.piece_cid
        && *piece_size == b.piece_size
        && *verified == b.verified
        && *label == b.label
        && *start_epoch == b.start_epoch
        && *end_epoch == b.end_epoch
        && *price_per_epoch == b.price_per_epoch
        && *provider_collateral == b.provider_collateral
        && *client_collateral == b.client_collateral
}

/// ID addresses that were looked up for one message; bounded by the deals that fit into one.
struct Ids<'a> {
    node: &'a Node,
    known: BTreeMap<Vec<u8>, Address>,
}

impl Ids<'_> {
    fn of(&mut self, address: &Address) -> Result<Address, ChainError> {
        if let Some(id) = self.known.get(address.as_bytes()) {
            return Ok(id.clone());
        }
        let id = self.node.lookup_id(address, None)?;
        self.known.insert(address.as_bytes().to_vec(), id.clone());
        Ok(id)
    }
}
