//! `coracle client deal` and `offline-deal`.

use super::options::{self, Options};
use crate::chain::Chain;
use crate::cli::{Failure, terminal};
use crate::client::deal::{self, Download, Wanted};
use crate::client::provider::Provider;
use crate::client::talk::talk;
use crate::filecoin::{Address, ChainEpoch, SecretKey, TokenAmount, cids, piece_size};
use crate::p2p::Node;
use cid::Cid;
use serde_json::{Value, json};
use std::fmt::Write as _;
use uuid::Uuid;

/// A deal as it was asked for on the command line.
struct Asked {
    provider: Address,
    peer: Option<Provider>,
    piece_cid: Cid,
    piece_size: u64,
    payload_cid: Cid,
    download: Option<Download>,
    start: Start,
    duration: ChainEpoch,
    storage_price: Option<TokenAmount>,
    provider_collateral: Option<TokenAmount>,
    verified: bool,
    skip_announce: bool,
    remove_unsealed: bool,
}

/// When the deal begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    At(ChainEpoch),
    /// So many epochs after the head.
    After(ChainEpoch),
}

/// Proposes a deal and says what became of it.
pub fn run(mut options: Options, online: bool) -> Result<(), Failure> {
    let wallet: Option<Address> = options.value("--wallet")?;
    let asked = read(&mut options, online)?;
    let json = options.json;
    options.finish()?;
    let key = options::key(wallet.as_ref())?;
    let wanted = complete(&asked)?;
    let provider = options::locate(&asked.provider, asked.peer)?;
    let uuid = Uuid::new_v4();
    let sent = talk(|node| propose(node, provider, wanted, asked.storage_price, &key, uuid))
        .map_err(|error| Failure::Failed(error.to_string()))??;
    if json {
        terminal::json(&facts(&sent, &key, uuid));
    } else {
        terminal::print(&text(&sent, &key, uuid));
    }
    Ok(())
}

/// The command line.
fn read(options: &mut Options, online: bool) -> Result<Asked, Failure> {
    let provider = options.needed("--provider")?;
    let commp: Cid = options.needed("--commp")?;
    let piece_size = options.needed("--piece-size")?;
    let download = if online {
        Some(Download {
            url: url(options.needed("--http-url")?)?,
            headers: headers(options.values("--http-headers")?)?,
            size: options.needed("--car-size")?,
        })
    } else {
        None
    };
    let asked = Asked {
        provider,
        peer: options.peer()?,
        piece_cid: piece_cid(commp, piece_size)?,
        piece_size,
        payload_cid: options.needed("--payload-cid")?,
        download,
        start: start(
            options.value("--start-epoch")?,
            options.value("--start-epoch-head-offset")?,
        )?,
        duration: options.value("--duration")?.unwrap_or(deal::DURATION),
        storage_price: atto(options, "--storage-price")?,
        provider_collateral: atto(options, "--provider-collateral")?,
        verified: options.switch("--verified")?.unwrap_or(true),
        skip_announce: options.switch("--skip-ipni-announce")?.unwrap_or(false),
        remove_unsealed: options.switch("--remove-unsealed-copy")?.unwrap_or(false),
    };
    check(&asked)?;
    Ok(asked)
}

fn usage(text: &str) -> Failure {
    Failure::Usage(text.to_owned())
}

fn check(asked: &Asked) -> Result<(), Failure> {
    if piece_size::check_padded(asked.piece_size).is_err() {
        return Err(usage(
            "--piece-size is the padded size: a power of two, at least 128",
        ));
    }
    if asked.duration <= 0 {
        return Err(usage("--duration is a positive number of epochs"));
    }
    if let Some(download) = &asked.download {
        if download.size == 0 {
            return Err(usage("--car-size cannot be 0"));
        }
        if download.size > piece_size::unpadded(asked.piece_size) {
            return Err(usage("--car-size is more than fits into --piece-size"));
        }
    }
    Ok(())
}

/// A piece CID; one of the second version must agree with the size.
fn piece_cid(commp: Cid, size: u64) -> Result<Cid, Failure> {
    if cids::piece_commitment(&commp).is_some() {
        return Ok(commp);
    }
    match cids::parse_piece_cid_v2(&commp) {
        Some(second) if second.padded_size == size => Ok(cids::piece_cid(&second.commitment)),
        Some(second) => Err(Failure::Usage(format!(
            "--commp is of a piece of {} bytes, --piece-size says {size}",
            second.padded_size
        ))),
        None => Err(usage("--commp is no piece CID (baga6ea4seaq…)")),
    }
}

fn url(text: String) -> Result<String, Failure> {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        Ok(text)
    } else {
        Err(usage("--http-url begins with http:// or https://"))
    }
}

/// `name=value`, where the value may hold further `=`. The message repeats no part of it: it may be a credential.
fn headers(given: Vec<String>) -> Result<Vec<(String, String)>, Failure> {
    given
        .into_iter()
        .map(|header| match header.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(usage("--http-headers has the form NAME=VALUE")),
        })
        .collect()
}

fn start(at: Option<ChainEpoch>, after: Option<ChainEpoch>) -> Result<Start, Failure> {
    match (at, after) {
        (Some(_), Some(_)) => Err(usage(
            "--start-epoch and --start-epoch-head-offset exclude each other",
        )),
        (Some(epoch), None) => Ok(Start::At(epoch)),
        (None, after) => Ok(Start::After(after.unwrap_or(deal::START_OFFSET))),
    }
}

fn atto(options: &mut Options, flag: &'static str) -> Result<Option<TokenAmount>, Failure> {
    let text: Option<String> = options.value(flag)?;
    let parsed = text.map(|text| {
        TokenAmount::parse_atto(&text)
            .filter(|amount| !amount.is_negative())
            .ok_or_else(|| Failure::Usage(format!("{flag} {text}: no number of attoFIL")))
    });
    parsed.transpose()
}

/// What the command line left open and the chain knows.
fn complete(asked: &Asked) -> Result<Wanted, Failure> {
    let failed = |error: crate::chain::ChainError| Failure::Failed(error.to_string());
    let start_epoch = match asked.start {
        Start::At(epoch) => epoch,
        Start::After(offset) => options::chain("or --start-epoch")?
            .head()
            .map_err(failed)?
            .epoch
            .saturating_add(offset),
    };
    let provider_collateral = match &asked.provider_collateral {
        Some(collateral) => collateral.clone(),
        None => deal::default_collateral(
            &options::chain("or --provider-collateral")?
                .collateral_bounds(asked.piece_size, asked.verified)
                .map_err(failed)?
                .min,
        ),
    };
    Ok(Wanted {
        provider: asked.provider.clone(),
        piece_cid: asked.piece_cid,
        piece_size: asked.piece_size,
        payload_cid: asked.payload_cid,
        download: asked.download.clone(),
        start_epoch,
        duration: asked.duration,
        storage_price: asked.storage_price.clone().unwrap_or_default(),
        provider_collateral,
        verified: asked.verified,
        skip_announce: asked.skip_announce,
        remove_unsealed: asked.remove_unsealed,
    })
}

/// Asks for the price if none was named, then proposes; gives the deal as it was proposed.
async fn propose(
    node: Node,
    provider: Provider,
    mut wanted: Wanted,
    price: Option<TokenAmount>,
    key: &SecretKey,
    uuid: Uuid,
) -> Result<Wanted, Failure> {
    if price.is_none() {
        let response = node
            .ask(provider.peer, &provider.addresses, wanted.provider.clone())
            .await
            .map_err(|error| {
                Failure::Failed(format!(
                    "asking for the price: {error}; --storage-price says one"
                ))
            })?;
        let ask = response.ask.and_then(|signed| signed.ask);
        let ask = ask.ok_or_else(|| {
            Failure::Refused(format!(
                "{} has no ask; --storage-price says a price",
                wanted.provider
            ))
        })?;
        wanted.storage_price = if wanted.verified {
            ask.verified_price
        } else {
            ask.price
        };
    }
    let params = deal::propose(&wanted, key, uuid);
    let response = node
        .propose(provider.peer, &provider.addresses, &params)
        .await
        .map_err(|error| Failure::Failed(format!("send proposal rpc: {error}")))?;
    if response.accepted {
        Ok(wanted)
    } else {
        Err(Failure::Refused(format!(
            "deal proposal rejected: {}",
            response.message
        )))
    }
}

/// The reference's keys and types: everything is a text.
fn facts(wanted: &Wanted, key: &SecretKey, uuid: Uuid) -> Value {
    let mut facts = json!({
        "dealUuid": uuid.to_string(),
        "provider": wanted.provider.to_string(),
        "clientWallet": key.address().to_string(),
        "payloadCid": wanted.payload_cid.to_string(),
        "commp": wanted.piece_cid.to_string(),
        "startEpoch": wanted.start_epoch.to_string(),
        "endEpoch": end(wanted).to_string(),
        "providerCollateral": wanted.provider_collateral.to_string(),
    });
    if let (Some(download), Some(object)) = (&wanted.download, facts.as_object_mut()) {
        object.insert("url".to_owned(), json!(download.url));
    }
    facts
}

fn end(wanted: &Wanted) -> ChainEpoch {
    wanted.start_epoch.saturating_add(wanted.duration)
}

fn text(wanted: &Wanted, key: &SecretKey, uuid: Uuid) -> String {
    let mut text = "sent deal proposal".to_owned();
    if wanted.download.is_none() {
        text.push_str(" for offline deal");
    }
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {name}: {value}");
    };
    line("deal uuid", &uuid);
    line("storage provider", &wanted.provider);
    line("client wallet", &key.address());
    line("payload cid", &wanted.payload_cid);
    if let Some(download) = &wanted.download {
        line("url", &download.url);
    }
    line("commp", &wanted.piece_cid);
    line("start epoch", &wanted.start_epoch);
    line("end epoch", &end(wanted));
    line(
        "provider collateral",
        &wanted.provider_collateral.to_fil_text(),
    );
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
