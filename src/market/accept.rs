//! A proposal on its way from the stream to the run loop.

use super::Handle;
use super::disk::free_bytes;
use super::inputs::{Candidate, Input};
use crate::deal::record::Request;
use crate::deal::{Deal, Millis, Refusal, judge};
use crate::filecoin::{Address, ClientDealProposal};
use crate::store::{Store, StoreError};
use crate::transfer::{ParamsError, parse_params};
use crate::wire::{DealParams, DealResponse};
use cid::Cid;
use futures::channel::oneshot;
use uuid::Uuid;

/// Proposals that are judged at the same time. Each holds its request (a few hundred bytes, 4 MiB at most) and up to
/// four chain look-ups; the stream layer bounds the large ones further.
pub(super) const JUDGED_MAX: usize = 64;

impl Handle {
    /// Judges a proposal and, if it is admitted, answers once the deal is durable.
    ///
    /// Carried out to its end even if the client goes away (spec boost-mk12 1.6).
    pub async fn propose(&self, peer: &str, params: DealParams) -> DealResponse {
        let uuid = params.uuid;
        match self.accept(peer, params).await {
            Ok(()) => DealResponse {
                accepted: true,
                message: String::new(),
            },
            Err(refusal) => {
                log::info!("deal {uuid} from {peer} refused: {}", refusal.log);
                DealResponse {
                    accepted: false,
                    message: refusal.client,
                }
            }
        }
    }

    async fn accept(&self, peer: &str, params: DealParams) -> Result<(), Refusal> {
        let Some(_place) = self.judging.try_acquire_arc() else {
            return Err(Refusal::plain(
                "server error: too many proposals at the same time",
            ));
        };
        let Some(signed) = params.proposal.clone() else {
            return Err(Refusal::plain(
                "failed validation: proposal PieceCID undefined",
            ));
        };
        let gathered = self.bench.gather(&signed).await;
        judge::judge(&params, &gathered.facts)?;
        let host = transfer_host(&params)?;
        judge::transfer_size(&params)?;
        let known = |what: &str, why: String| {
            Refusal::with_log(
                format!("server error: {what}"),
                format!("server error: {what}: {why}"),
            )
        };
        let key = gathered
            .key
            .map_err(|why| known("validating signature", why))?;
        let client_id = gathered
            .client_id
            .map_err(|why| known("looking up the client's ID address", why))?;
        let deal = self.candidate(peer, &params, signed, host, key, &client_id);
        self.admit(deal).await
    }

    fn candidate(
        &self,
        peer: &str,
        params: &DealParams,
        signed: ClientDealProposal,
        host: String,
        client_key: Address,
        client_id: &Address,
    ) -> Deal {
        let now = (self.bench.parts.now)();
        let proposal = &signed.proposal;
        let request = Request {
            kind: params.transfer.kind.clone(),
            params: params.transfer.params.clone(),
            size: params.transfer.size,
            client_id: params.transfer.client_id.clone(),
            host,
            offline: params.offline,
            skip_announce: params.skip_announce,
            remove_unsealed: params.remove_unsealed,
            data_root: params
                .data_root
                .map(|root| root.to_string())
                .unwrap_or_default(),
            peer: peer.to_owned(),
        };
        let chain_cid = proposal.chain_cid(client_id, &proposal.provider);
        Deal::accepted(params.uuid, now, signed, chain_cid, client_key, request)
    }

    async fn admit(&self, deal: Deal) -> Result<(), Refusal> {
        let (store, uuid, cid) = (self.bench.parts.store.clone(), deal.uuid, deal.chain_cid);
        let staging = self.bench.settings.files.staging.clone();
        let disk = self.bench.parts.disk.clone();
        let looked = self
            .bench
            .threads
            .disk
            .run(move || {
                let free = free_bytes(disk.as_ref(), &staging);
                (same_deals(store.as_ref(), uuid, &cid), free)
            })
            .await;
        let (known, disk_free) =
            looked.map_err(|full| server_error("unique check", &full.to_string()))?;
        let known = known.map_err(|error| {
            server_error("unique check: lookup by deal uuid", &error.to_string())
        })?;
        let (reply, answer) = oneshot::channel();
        let candidate = Candidate {
            deal,
            known,
            disk_free,
            reply,
        };
        if self
            .inputs
            .send(Input::Admit(Box::new(candidate)))
            .await
            .is_err()
        {
            return Err(Refusal::plain("server error: the provider is stopping"));
        }
        answer
            .await
            .unwrap_or_else(|_| Err(Refusal::plain("server error: the provider is stopping")))
    }
}

fn server_error(what: &str, why: &str) -> Refusal {
    Refusal::with_log(
        format!("server error: {what}"),
        format!("server error: {what}: {why}"),
    )
}

/// Deals that the database has with this UUID or chain identity.
fn same_deals(
    store: &dyn Store,
    uuid: Uuid,
    cid: &Cid,
) -> Result<Vec<(Uuid, Millis, Cid)>, StoreError> {
    let mut found = Vec::new();
    if let Some(same) = store.by_chain_cid(cid)?
        && let Some(deal) = store.deal(same)?
    {
        found.push((deal.uuid, deal.created, deal.chain_cid));
    }
    if let Some(deal) = store.deal(uuid)? {
        found.push((deal.uuid, deal.created, deal.chain_cid));
    }
    Ok(found)
}

/// Step 1 of spec boost-mk12 3.3; an offline deal has no host.
fn transfer_host(params: &DealParams) -> Result<String, Refusal> {
    if params.offline {
        return Ok(String::new());
    }
    match parse_params(&params.transfer.kind, &params.transfer.params) {
        Ok((_, host)) => Ok(host),
        Err(error) => Err(Refusal::plain(format!(
            "server error: get deal transfer host: {}",
            params_text(&error)
        ))),
    }
}

/// The reference's text without the raw parameters, which may hold credentials (spec 11.12).
fn params_text(error: &ParamsError) -> String {
    match error {
        ParamsError::UnknownType(kind) => {
            // Cut: the whole text must fit a message.
            let kind: String = kind.chars().take(1_024).collect();
            format!("cannot parse params for unrecognized transfer type '{kind}'")
        }
        ParamsError::NotJson(why) => {
            format!("failed to de-serialize transport params bytes: {why}")
        }
        ParamsError::BadUrl(why) => format!("cannot parse url: {why}"),
    }
}
