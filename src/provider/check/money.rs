//! Who pays for publishing and for collateral, and whether there is enough. Pure.

use super::finding::Finding;
use super::miners::Look;
use super::nodes::NodeFacts;
use crate::chain::{KeyPlace, May};
use crate::config::MinerConfig;
use crate::filecoin::{Address, TokenAmount};

/// The publish wallet: its role, its key, its money.
pub(super) fn publish_wallet(
    miner: &MinerConfig,
    look: &Look,
    nodes: &[NodeFacts],
) -> Vec<Finding> {
    let subject = format!("{} publish wallet", miner.address);
    let mut findings = Vec::new();
    if let (Some(configured), Some(false)) = (&miner.publish_wallet, look.configured_is_own) {
        findings.push(Finding::warn(
            &subject,
            format!(
                "CORACLE_PUBLISH_WALLET {configured} is neither owner, worker nor a control address of {}: it cannot publish, {} is used instead",
                miner.address, look.publisher.key
            ),
            "name one of the miner's own addresses, or make this one a control address (`lotus-miner actor control set`)",
        ));
    }
    let key = &look.publisher.key;
    if let Some((what, advice)) = signing(look, nodes) {
        findings.push(Finding::bad(&subject, format!("{key} {what}"), advice));
        return findings;
    }
    findings.push(balance(miner, look, &subject));
    findings
}

/// Why nobody can sign and send, and what to do; none if somebody can.
fn signing(look: &Look, nodes: &[NodeFacts]) -> Option<(String, String)> {
    let grant = "set FULLNODE_API_INFO to what `lotus auth api-info --perm sign` prints, or import the key here with `coracle wallet import`";
    match &look.publisher.place {
        KeyPlace::Nowhere => {
            let other = match &look.alternative {
                Some(other) => {
                    format!("set CORACLE_PUBLISH_WALLET={other}, whose key is there; or ")
                }
                None => String::new(),
            };
            Some((
                "cannot sign: its key is neither in this box's keystore nor in the wallet of a node".to_owned(),
                format!("{other}import it: `lotus wallet export {}` where it is, `coracle wallet import` here", look.publisher.key),
            ))
        }
        KeyPlace::NotTold(text) => Some((
            format!(
                "may be in the node's wallet, but the token lacks the permission to ask for it ({text})"
            ),
            grant.to_owned(),
        )),
        KeyPlace::Node(name) => {
            let access = access_of(nodes, name)?;
            (access.sign == May::No).then(|| {
                (
                    format!(
                        "is in the wallet of {name}, but the token lacks the permission `sign`"
                    ),
                    grant.to_owned(),
                )
            })
        }
        KeyPlace::Here => {
            let mut seen = nodes.iter().filter_map(|node| node.seen.as_ref().ok());
            seen.all(|seen| seen.access.write == May::No).then(|| {
                (
                    "signs here, but no node takes its messages: the token lacks the permission `write`".to_owned(),
                    "set FULLNODE_API_INFO to what `lotus auth api-info --perm write` prints".to_owned(),
                )
            })
        }
    }
}

fn access_of<'n>(nodes: &'n [NodeFacts], name: &str) -> Option<&'n crate::chain::Access> {
    let node = nodes.iter().find(|node| node.name == name)?;
    node.seen.as_ref().ok().map(|seen| &seen.access)
}

fn balance(miner: &MinerConfig, look: &Look, subject: &str) -> Finding {
    let publisher = &look.publisher;
    let place = match &publisher.place {
        KeyPlace::Here => "its key is here".to_owned(),
        KeyPlace::Node(name) => format!("its key is in the wallet of {name}"),
        KeyPlace::Nowhere | KeyPlace::NotTold(_) => "its key is not known".to_owned(),
    };
    let has = format!(
        "{} has {}, {place}",
        publisher.key,
        publisher.balance.to_fil_text()
    );
    let advice = format!(
        "send it FIL: `lotus send {} AMOUNT`; each publish message may cost up to CORACLE_PUBLISH_FEE_MAX",
        publisher.key
    );
    let most = miner.publish_fee_max.to_fil_text();
    if publisher.balance.is_zero() || publisher.balance.is_negative() {
        return Finding::bad(subject, format!("{has}: nothing to pay with"), advice);
    }
    if publisher.balance < miner.publish_fee_max {
        return Finding::warn(
            subject,
            format!("{has}: low, one message may cost {most}"),
            advice,
        );
    }
    Finding::ok(subject, format!("{has}; one message may cost {most}"))
}

/// The market escrow against the collateral that a piece needs.
pub(super) fn escrow(miner: &Address, look: &Look) -> Finding {
    let subject = format!("{miner} escrow");
    let free = look.escrow.available();
    let has = format!(
        "{} free, {} locked by deals",
        free.to_fil_text(),
        look.escrow.locked.to_fil_text()
    );
    let advice = format!(
        "add collateral from any wallet: `lotus wallet market add --address {miner} AMOUNT`"
    );
    let (small, large) = (&look.collateral_small, &look.collateral_large);
    let none = TokenAmount::zero();
    if *small > none && free < *small {
        return Finding::bad(
            &subject,
            format!(
                "{has}: not enough for the smallest piece, whose deal needs {}",
                small.to_fil_text()
            ),
            advice,
        );
    }
    if free <= none {
        return Finding::warn(
            &subject,
            format!("{has}: nothing to lock for a deal"),
            advice,
        );
    }
    if free < *large {
        return Finding::warn(
            &subject,
            format!(
                "{has}: not enough for the largest piece, whose deal needs {}",
                large.to_fil_text()
            ),
            advice,
        );
    }
    Finding::ok(&subject, has)
}
