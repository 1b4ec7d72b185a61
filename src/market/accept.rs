//! A proposal on its way from the stream to the run loop.

use super::Handle;
use super::disk::free_bytes;
use super::inputs::{Candidate, Input, KnownDeal};
use crate::deal::judge::{self, Verdict};
use crate::deal::record::Request;
use crate::deal::{Deal, Refusal};
use crate::filecoin::address::Protocol;
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
        match self.accept(peer, &params).await {
            Ok(()) => DealResponse {
                accepted: true,
                message: String::new(),
            },
            Err(refusal) => {
                log::info!("deal {uuid} from {peer} refused: {}", refusal.log());
                self.note_refusal(peer, &params, &refusal);
                DealResponse {
                    accepted: false,
                    message: refusal.client().to_owned(),
                }
            }
        }
    }

    async fn accept(&self, peer: &str, params: &DealParams) -> Result<(), Refusal> {
        let Some(_place) = self.judging.try_acquire_arc() else {
            return Err(Refusal::server_error(
                "too many proposals at the same time",
                &format!("{JUDGED_MAX} are being judged; the client may try again"),
            ));
        };
        let Some(signed) = &params.proposal else {
            return Err(judge::no_proposal(&self.bench.head()));
        };
        // A proposal that was accepted stays accepted, whatever the chain, the funds and the clock say by now.
        let recorded = self.recorded(params.uuid).await;
        if let Some(deal) = &recorded
            && self.is_repeated(deal, signed).await
        {
            return Ok(());
        }
        let gathered = self.bench.gather(signed).await;
        if let (Some(deal), Verdict::Valid, Ok(id)) = (
            &recorded,
            &gathered.facts.signature,
            gathered.client_id.as_ref(),
        ) && deal.chain_cid == signed.proposal.chain_cid(id, &signed.proposal.provider)
        {
            return Ok(());
        }
        judge::judge(params, &gathered.facts)?;
        let host = transfer_host(params)?;
        judge::transfer_size(params)?;
        // A contract that authenticated itself has no key behind its address.
        let client = signed.proposal.client.clone();
        let key = gathered.key.ok().flatten().unwrap_or(client);
        let client_id = gathered
            .client_id
            .map_err(|why| Refusal::server_error("looking up the client's ID address", &why))?;
        let deal = self.candidate(peer, params, signed.clone(), host, key, client_id);
        self.filtered(params, &deal).await?;
        // After the filter, which may have taken its time: the free bytes are of now.
        let (known, disk_free) = self.look_around(&deal).await?;
        self.admit(deal, known, disk_free).await
    }

    /// Asks the external filter, unless the deal is there already: what was accepted stays accepted.
    async fn filtered(&self, params: &DealParams, deal: &Deal) -> Result<(), Refusal> {
        let miner = self.bench.settings.miners.get(deal.miner());
        if miner.is_none_or(|own| own.filter.is_none()) {
            return Ok(());
        }
        let (known, _) = self.look_around(deal).await?;
        let same = |(uuid, _, cid): &KnownDeal| *uuid == deal.uuid && *cid == deal.chain_cid;
        if known.iter().any(same) {
            return Ok(());
        }
        let Err(refusal) = self.ask_filter(params, deal, &known).await else {
            return Ok(());
        };
        // The same proposal may have been admitted while the command looked at this copy of it.
        match self.recorded(deal.uuid).await {
            Some(twin) if twin.chain_cid == deal.chain_cid => Ok(()),
            _ => Err(refusal),
        }
    }

    /// The deal that was accepted under this UUID, once that is durable.
    async fn recorded(&self, uuid: Uuid) -> Option<Deal> {
        match self.deal(uuid).await {
            Ok(found) => found.map(|(deal, _)| deal),
            Err(error) => {
                // Admission looks again, and refuses if that does not work either.
                log::warn!("deal {uuid}: not looked up before its proposal is judged: {error}");
                None
            }
        }
    }

    /// Whether this is the deal's own proposal, signed by its client; found out without the chain.
    async fn is_repeated(&self, deal: &Deal, signed: &ClientDealProposal) -> bool {
        if deal.signed.proposal != signed.proposal {
            return false;
        }
        if deal.signed.signature == signed.signature {
            return true;
        }
        if deal.client_key.protocol() == Protocol::Delegated {
            return false;
        }
        let (key, signature) = (deal.client_key.clone(), signed.signature.clone());
        let bytes = signed.proposal.encode();
        let checks = &self.bench.threads.checks;
        let checked = checks.run(move || signature.verify(&key, &bytes)).await;
        checked.unwrap_or(false)
    }

    fn candidate(
        &self,
        peer: &str,
        params: &DealParams,
        signed: ClientDealProposal,
        host: String,
        client_key: Address,
        client_id: Address,
    ) -> Deal {
        let now = (self.bench.parts.now)();
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
        Deal::accepted(params.uuid, now, signed, client_key, client_id, request)
    }

    /// Deals that the database has of the candidate's kind, and the bytes that the staging disk has free.
    async fn look_around(&self, deal: &Deal) -> Result<(Vec<KnownDeal>, u64), Refusal> {
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
            looked.map_err(|full| Refusal::server_error("unique check", &full.to_string()))?;
        let known = known.map_err(|error| {
            Refusal::server_error("unique check: lookup by deal uuid", &error.to_string())
        })?;
        Ok((known, disk_free))
    }

    async fn admit(
        &self,
        deal: Deal,
        known: Vec<KnownDeal>,
        disk_free: u64,
    ) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        let candidate = Candidate {
            deal,
            known,
            disk_free,
            reply,
        };
        let input = Input::Accept(Box::new(candidate));
        if self.inputs.send(input).await.is_err() {
            return Err(stopping());
        }
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }
}

fn stopping() -> Refusal {
    Refusal::server_error("the provider is stopping", "the client may try again later")
}

/// Deals that the database has with this UUID or chain identity.
fn same_deals(store: &dyn Store, uuid: Uuid, cid: &Cid) -> Result<Vec<KnownDeal>, StoreError> {
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
        Err(error) => Err(Refusal::at_fault(format!(
            "server error: get deal transfer host: {}",
            params_text(&error)
        ))),
    }
}

/// The reference's text without the raw parameters, which may hold credentials (spec 11.12).
fn params_text(error: &ParamsError) -> String {
    match error {
        ParamsError::UnknownType(kind) => {
            format!("cannot parse params for unrecognized transfer type '{kind}'")
        }
        ParamsError::NotJson(why) => {
            format!("failed to de-serialize transport params bytes: {why}")
        }
        ParamsError::BadUrl(why) => format!("cannot parse url: {why}"),
    }
}
