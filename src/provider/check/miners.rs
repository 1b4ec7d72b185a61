//! One of our miners on chain.

use super::finding::{Finding, bytes_text};
use super::money::{self, Funds};
use super::nodes::NodeFacts;
use crate::chain::{ChainError, KeyPlace, Lotus, MarketBalance, MinerInfo, Publisher};
use crate::config::MinerConfig;
use crate::deal::judge::VERIFIED_ENDS_AT;
use crate::filecoin::{Address, TokenAmount};

/// Control addresses that are asked for their keys when nobody else has one; miners have up to ten.
const CONTROLS_MAX: usize = 10;

/// A miner as the chain shows it.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// Owner, worker, control addresses, contact, sector size.
    pub info: MinerInfo,
    /// The market escrow.
    pub escrow: MarketBalance,
    /// Who would send its publish messages.
    pub publisher: Publisher,
    /// Whether the configured publish wallet is one of the miner's own addresses; none without one.
    pub configured_is_own: Option<bool>,
    /// A control address whose key is there, if the publisher's is not.
    pub alternative: Option<Address>,
    /// Where the worker's key is, which signs asks.
    pub worker_key: KeyPlace,
    /// Collateral of the smallest piece that the settings allow.
    pub collateral_small: TokenAmount,
    /// Collateral of the largest piece that settings and sector allow.
    pub collateral_large: TokenAmount,
}

/// Asks the chain about one miner, all at one head. Blocks.
///
/// # Errors
/// [`ChainError`].
pub(super) fn look(chain: &Lotus, miner: &MinerConfig) -> Result<Look, ChainError> {
    let node = chain.node();
    let head = node.head()?;
    let at = Some(&head);
    let info = node.miner_info(&miner.address, at)?;
    let configured_is_own = match &miner.publish_wallet {
        None => None,
        Some(wallet) => match node.lookup_id(wallet, at) {
            Ok(id) => Some(info.is_own(&id)),
            // An address that the chain has never seen is nobody's.
            Err(error) if error.is_actor_not_found() => Some(false),
            Err(error) => return Err(error),
        },
    };
    let publisher = chain.publisher(&miner.address, &info, at)?;
    let alternative = match publisher.place {
        KeyPlace::Nowhere => alternative(chain, &info)?,
        _ => None,
    };
    let worker = node.account_key(&info.worker, at)?;
    let verified = !miner.consider_unverified;
    let small = miner.piece_size_min.min(info.sector_size);
    let large = miner.piece_size_max.min(info.sector_size);
    Ok(Look {
        escrow: node.market_balance(&miner.address, at)?,
        configured_is_own,
        alternative,
        worker_key: chain.key_place(&worker)?,
        collateral_small: node.collateral_bounds(small, verified)?.min,
        collateral_large: node.collateral_bounds(large, verified)?.min,
        publisher,
        info,
    })
}

fn alternative(chain: &Lotus, info: &MinerInfo) -> Result<Option<Address>, ChainError> {
    for control in info.controls.iter().take(CONTROLS_MAX) {
        let Ok(key) = chain.node().account_key(control, None) else {
            continue;
        };
        if matches!(chain.key_place(&key)?, KeyPlace::Here | KeyPlace::Node(_)) {
            return Ok(Some(control.clone()));
        }
    }
    Ok(None)
}

/// What is said of a miner on chain, but for its contact.
pub(super) fn judge(
    miner: &MinerConfig,
    look: &Look,
    funds: &Funds,
    nodes: &[NodeFacts],
) -> Vec<Finding> {
    let info = &look.info;
    let mut findings = vec![Finding::ok(
        &miner.address.to_string(),
        format!(
            "sectors of {}, owner {}, worker {}, control {}",
            bytes_text(info.sector_size),
            info.owner,
            info.worker,
            listed(&info.controls)
        ),
    )];
    let version = nodes
        .iter()
        .find_map(|node| node.seen.as_ref().ok())
        .map(|seen| seen.network_version);
    findings.extend(kinds(miner, version.unwrap_or(0)));
    findings.extend(piece_sizes(miner, info.sector_size));
    findings.extend(money::publish_wallet(miner, look, funds, nodes));
    findings.push(money::escrow(&miner.address, look, funds));
    findings.extend(asks(miner, look));
    findings
}

fn listed(addresses: &[Address]) -> String {
    if addresses.is_empty() {
        return "none".to_owned();
    }
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" ")
}

/// Some kind of deal must be left that is taken.
pub(super) fn kinds(miner: &MinerConfig, network_version: u64) -> Option<Finding> {
    let subject = format!("{} deals", miner.address);
    let none_left = |pair: &str| {
        Finding::bad(
            &subject,
            format!("{pair} deals are both refused by the settings: no deal is left"),
            "set one of them to true",
        )
    };
    if !miner.consider_online && !miner.consider_offline {
        return Some(none_left("online (CORACLE_CONSIDER_ONLINE) and offline"));
    }
    if !miner.consider_verified && !miner.consider_unverified {
        return Some(none_left(
            "verified (CORACLE_CONSIDER_VERIFIED) and unverified",
        ));
    }
    (miner.consider_verified && network_version >= VERIFIED_ENDS_AT).then(|| {
        Finding::wrong(
            !miner.consider_unverified,
            &subject,
            format!("from network version {VERIFIED_ENDS_AT} on there are no verified deals any more: they are refused"),
            "set CORACLE_CONSIDER_VERIFIED=false and CORACLE_CONSIDER_UNVERIFIED=true",
        )
    })
}

/// A piece must fit into a sector.
pub(super) fn piece_sizes(miner: &MinerConfig, sector: u64) -> Option<Finding> {
    let subject = format!("{} piece sizes", miner.address);
    let said = |bytes: u64| bytes_text(bytes);
    if miner.piece_size_min > sector {
        return Some(Finding::bad(
            &subject,
            format!(
                "CORACLE_PIECE_SIZE_MIN {} is above the sector size {}: every piece is refused",
                said(miner.piece_size_min),
                said(sector)
            ),
            "lower it to the sector size at most; if the provider has run already, `coracle ask set` changes its ask",
        ));
    }
    (miner.piece_size_max > sector).then(|| {
        Finding::warn(
            &subject,
            format!(
                "CORACLE_PIECE_SIZE_MAX {} is above the sector size {}: clients are told of sizes that are refused",
                said(miner.piece_size_max),
                said(sector)
            ),
            "lower it to the sector size; if the provider has run already, `coracle ask set` changes its ask",
        )
    })
}

/// The worker signs asks; a client that has its terms needs none.
fn asks(miner: &MinerConfig, look: &Look) -> Option<Finding> {
    if matches!(look.worker_key, KeyPlace::Here | KeyPlace::Node(_)) {
        return None;
    }
    Some(Finding::warn(
        &format!("{} asks", miner.address),
        format!(
            "cannot be signed: the key of the worker {} is not here and no node is known to have it",
            look.info.worker
        ),
        "import the worker's key with `coracle wallet import`; without it clients get the ask without a signature",
    ))
}

/// A miner that the chain does not show.
pub(super) fn absent(miner: &MinerConfig, error: &ChainError, network: &str) -> Finding {
    let subject = miner.address.to_string();
    let unknown = error.is_actor_not_found()
        || matches!(error, ChainError::Refused { message, .. } if message.contains("unknown actor code"));
    if unknown {
        return Finding::bad(
            &subject,
            format!("there is no such miner on {network}: {error}"),
            "correct CORACLE_MINERS, or let FULLNODE_API_INFO point to a node of the miner's network",
        );
    }
    unseen(miner, &error.to_string())
}

/// A miner that could not be looked at.
pub(super) fn unseen(miner: &MinerConfig, why: &str) -> Finding {
    Finding::bad(
        &miner.address.to_string(),
        format!("was not looked at: {why}"),
        "mend what the lines of the nodes say, then check again",
    )
}
