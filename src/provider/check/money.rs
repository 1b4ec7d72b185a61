//! Who pays for publishing and for collateral, and whether there is enough. Pure.

use super::Held;
use super::finding::Finding;
use super::miners::Look;
use super::nodes::NodeFacts;
use crate::chain::{KeyPlace, May};
use crate::config::MinerConfig;
use crate::deal::Terms;
use crate::deal::money::{Money, Short};
use crate::filecoin::{Address, TokenAmount};

/// The publish wallet: its role, its key, its money.
pub(super) fn publish_wallet(
    miner: &MinerConfig,
    look: &Look,
    funds: &Funds,
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
    findings.push(balance(look, funds, &subject));
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

fn balance(look: &Look, funds: &Funds, subject: &str) -> Finding {
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
    if publisher.balance.is_zero() || publisher.balance.is_negative() {
        return Finding::bad(subject, format!("{has}: nothing to pay with"), advice);
    }
    let short = funds.short.iter().find_map(|short| match short {
        Short::Wallet(_, needed) => Some(needed.to_fil_text()),
        Short::Escrow(_) => None,
    });
    if let Some(needed) = short {
        return Finding::warn(
            subject,
            format!("{has}: low, the next few publish messages may cost {needed}"),
            advice,
        );
    }
    let most = funds.fee_max.to_fil_text();
    Finding::ok(subject, format!("{has}; one message may cost {most}"))
}

/// The market escrow against the collateral that a piece needs and against what the operator wants there.
pub(super) fn escrow(miner: &Address, look: &Look, funds: &Funds) -> Finding {
    let subject = format!("{miner} escrow");
    let free = funds.money.free();
    let has = format!(
        "{} free, {} locked by deals on chain, {} held by deals on their way",
        free.to_fil_text(),
        look.escrow.locked.to_fil_text(),
        funds.money.reserved.to_fil_text()
    );
    let advice = format!(
        "add collateral: `coracle funds add AMOUNT --miner {miner}` while the provider runs, or `lotus wallet market add --address {miner} AMOUNT`"
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
        let what = format!("{has}: nothing to lock for a deal");
        return Finding::warn(&subject, what, advice);
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
    let low = |short: &Short| matches!(short, Short::Escrow(_));
    if funds.short.iter().any(low) {
        return Finding::warn(
            &subject,
            format!(
                "{has}: low, CORACLE_ESCROW_LOW is {}",
                funds.escrow_low.to_fil_text()
            ),
            advice,
        );
    }
    Finding::ok(&subject, has)
}

/// A miner's money as the provider looks at it, and what is short of it.
pub(super) struct Funds {
    money: Money,
    short: Vec<Short>,
    fee_max: TokenAmount,
    escrow_low: TokenAmount,
}

impl Funds {
    /// From the chain, with what a running provider holds for its deals.
    pub fn of(look: &Look, held: Option<&Held>, terms: &Terms) -> Self {
        let held = held.cloned().unwrap_or_default();
        let money = Money {
            available: look.escrow.available(),
            reserved: held.collateral,
            leaving: TokenAmount::zero(),
            wallet: look.publisher.balance.clone(),
            fees_reserved: held.fees,
        };
        Self {
            short: money.short(terms),
            money,
            fee_max: terms.publish_fee_max.clone(),
            escrow_low: terms.escrow_low.clone(),
        }
    }
}
