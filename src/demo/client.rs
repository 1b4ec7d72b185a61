//! The demo's client: proposes the deal and follows it over the status protocol.

use super::input::Packed;
use super::stage::Stage;
use super::{DemoError, Event, failed};
use crate::chain::{Chain, Lotus};
use crate::client::deal::{self, Download, Wanted};
use crate::deal::{Checkpoint, checkpoint};
use crate::p2p::{Node, NodeConfig};
use crate::wire::DealStatusResponse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Between two status requests: short, so that no checkpoint passes unseen.
const POLL: Duration = Duration::from_millis(25);

/// A deal that does not get anywhere for this long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the client learned.
pub(super) struct Story {
    pub transfer: Duration,
    pub chain_deal_id: u64,
}

/// Proposes the deal and follows it until it proves.
pub(super) fn story(
    stage: &Stage,
    packed: &Packed,
    offline: bool,
    begun: Instant,
    tell: &mut dyn FnMut(Event),
) -> Result<Story, DemoError> {
    let wanted = wanted(stage, packed, offline)?;
    let (node, driver, _inbound) = Node::new(NodeConfig {
        key: libp2p::identity::Keypair::generate_ed25519(),
        listen: Vec::new(),
        external: Vec::new(),
        agent: format!("coracle/{}", env!("CARGO_PKG_VERSION")),
        serve: false,
    })
    .map_err(|error| failed("starting the client", error))?;
    let executor = Arc::new(smol::Executor::new());
    let driving = executor.spawn(driver);
    let result = smol::block_on(executor.run(follow(stage, &node, wanted, packed, begun, tell)));
    smol::block_on(executor.run(async {
        node.close().await;
        driving.cancel().await;
    }));
    result
}

/// Terms from the chain and from the provider's ask.
fn wanted(stage: &Stage, packed: &Packed, offline: bool) -> Result<Wanted, DemoError> {
    let doing = "asking the chain";
    let chain = Lotus::new(stage.node_info(), None, BTreeMap::new())
        .map_err(|error| failed(doing, error))?;
    let head = chain.head().map_err(|error| failed(doing, error))?;
    let bounds = chain
        .collateral_bounds(packed.piece_size, false)
        .map_err(|error| failed(doing, error))?;
    let download = (!offline).then(|| Download {
        url: stage.car_url().to_owned(),
        headers: Vec::new(),
        size: packed.car_size,
    });
    Ok(Wanted {
        provider: stage.miner().clone(),
        piece_cid: packed.piece_cid,
        piece_size: packed.piece_size,
        payload_cid: packed.root,
        download,
        start_epoch: head.epoch + deal::START_OFFSET,
        duration: deal::DURATION,
        storage_price: crate::filecoin::TokenAmount::zero(),
        provider_collateral: deal::default_collateral(&bounds.min),
        verified: false,
        skip_announce: false,
        remove_unsealed: false,
    })
}

async fn follow(
    stage: &Stage,
    node: &Node,
    mut wanted: Wanted,
    packed: &Packed,
    begun: Instant,
    tell: &mut dyn FnMut(Event),
) -> Result<Story, DemoError> {
    let (peer, addresses) = stage.peer();
    wanted.storage_price = asked(stage, node).await?;
    let uuid = Uuid::new_v4();
    let params = deal::propose(&wanted, stage.wallet(), uuid);
    let response = node
        .propose(peer, addresses, &params)
        .await
        .map_err(|error| failed("proposing the deal", error))?;
    if !response.accepted {
        return Err(failed("deal proposal rejected", response.message));
    }
    let proposed = Instant::now();
    tell(Event::Proposed {
        deal: uuid,
        at: begun.elapsed(),
    });
    if wanted.download.is_none() {
        import(stage, uuid, packed)?;
    }
    let mut seen = Seen {
        begun,
        proposed,
        next: 0,
        sealing: String::new(),
        transfer: None,
    };
    let mut last_change = Instant::now();
    loop {
        let request = deal::status_request(uuid, stage.wallet());
        let status = node
            .status(peer, addresses, &request)
            .await
            .map_err(|error| failed("asking for the deal's status", error))?;
        if seen.take(&status, tell)? {
            last_change = Instant::now();
        }
        if seen.sealing == "Proving" {
            let chain_deal_id = status.status.map_or(0, |status| status.chain_deal_id);
            return Ok(Story {
                transfer: seen.transfer.unwrap_or_default(),
                chain_deal_id,
            });
        }
        if last_change.elapsed() > PATIENCE {
            return Err(failed(
                "following the deal",
                "nothing has changed for too long",
            ));
        }
        async_io::Timer::after(POLL).await;
    }
}

/// The price that the provider asks; it has its ask once it has seen the chain.
async fn asked(stage: &Stage, node: &Node) -> Result<crate::filecoin::TokenAmount, DemoError> {
    let (peer, addresses) = stage.peer();
    let begun = Instant::now();
    loop {
        let answer = node
            .ask(peer, addresses, stage.miner().clone())
            .await
            .map_err(|error| failed("asking for the price", error))?;
        if let Some(ask) = answer.ask.and_then(|signed| signed.ask) {
            return Ok(ask.price);
        }
        if begun.elapsed() > PATIENCE {
            return Err(failed("asking for the price", "the provider has no ask"));
        }
        async_io::Timer::after(POLL).await;
    }
}

/// What the client has seen so far.
struct Seen {
    begun: Instant,
    proposed: Instant,
    /// Position of the next checkpoint that was not seen.
    next: usize,
    sealing: String,
    transfer: Option<Duration>,
}

impl Seen {
    /// Tells what is new; whether there was anything.
    fn take(
        &mut self,
        response: &DealStatusResponse,
        tell: &mut dyn FnMut(Event),
    ) -> Result<bool, DemoError> {
        let Some(status) = &response.status else {
            return Err(failed("asking for the deal's status", &response.error));
        };
        let now = Checkpoint::from_name(&status.status)
            .ok_or_else(|| failed("unknown checkpoint", &status.status))?;
        if now == Checkpoint::Complete {
            return Err(failed("the deal failed", &status.error));
        }
        if now == Checkpoint::Accepted && response.transfer_size > 0 {
            tell(Event::Progress {
                bytes: response.bytes_received,
                total: response.transfer_size,
            });
        }
        let mut news = false;
        // A checkpoint that lay between two looks was reached by now at the latest.
        while let Some(checkpoint) = checkpoint::ALL.get(self.next).filter(|next| **next <= now) {
            if *checkpoint == Checkpoint::Transferred {
                self.transfer = Some(self.proposed.elapsed());
            }
            tell(Event::Checkpoint {
                checkpoint: *checkpoint,
                at: self.begun.elapsed(),
            });
            self.next += 1;
            news = true;
        }
        if status.sealing_status != self.sealing {
            self.sealing.clone_from(&status.sealing_status);
            tell(Event::Sealing {
                state: self.sealing.clone(),
                at: self.begun.elapsed(),
            });
            news = true;
        }
        Ok(news)
    }
}

/// Imports the CAR through the provider's admin interface, as `coracle import` does.
fn import(stage: &Stage, uuid: Uuid, packed: &Packed) -> Result<(), DemoError> {
    let doing = "importing the CAR";
    let (admin, token) = stage.admin();
    let token = std::fs::read_to_string(token).map_err(|error| failed(doing, error))?;
    let body =
        serde_json::json!({ "path": packed.car.to_string_lossy(), "delete_after_import": false });
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let text = agent
        .post(format!("http://{admin}/v1/deals/{uuid}/import"))
        .header("Authorization", format!("Bearer {}", token.trim()))
        .header("Content-Type", "application/json")
        .send(body.to_string())
        .and_then(|mut response| response.body_mut().read_to_string())
        .map_err(|error| failed(doing, error))?;
    let answer: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| failed(doing, error))?;
    if answer["accepted"] != true {
        return Err(failed(doing, &answer["reason"]));
    }
    Ok(())
}
