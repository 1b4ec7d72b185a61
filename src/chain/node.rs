//! The node's methods, one function each, with v1 parameter lists (chain-sealer-rpc B and C.2).

use super::ChainError;
use super::answer::Answer;
use super::known::Known;
use crate::filecoin::json;
use crate::filecoin::message::Message;
use crate::filecoin::{Address, ChainEpoch, Signature, TokenAmount};
use crate::rpc::{Client, Endpoint, Limits, Patience, Version};
use cid::Cid;
use serde_json::{Value, json as object};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The heads of all nodes of a list are compared this often at most: about once per epoch.
const SURVEY_EVERY: Duration = Duration::from_secs(20);

/// Warnings that are remembered as said; beyond this number further ones are said again.
const SAID_MAX: usize = 64;

/// A Lotus-compatible chain node: its methods in Rust's types. Blocking; shared by threads.
#[derive(Debug)]
pub struct Node {
    pub(super) client: Client,
    /// When the nodes' heads were compared.
    surveyed: Mutex<Option<Instant>>,
    /// Warnings that were logged: facts are read every few seconds and would repeat them.
    said: Mutex<BTreeSet<String>>,
    known: Known,
}

/// A tipset: enough of it to read state at it and to tell the time by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tipset {
    /// Height in epochs.
    pub epoch: ChainEpoch,
    /// Seconds since 1970 that its blocks carry.
    pub timestamp: u64,
    /// The base fee of its messages, attoFIL per unit of gas; zero if the node does not tell.
    pub base_fee: TokenAmount,
    /// Its key in the node's own form, to be passed on as it is.
    pub(super) key: Value,
}

/// What the chain says of a storage provider (chain-sealer-rpc B.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinerInfo {
    /// ID address.
    pub owner: Address,
    /// ID address.
    pub worker: Address,
    /// ID addresses.
    pub controls: Vec<Address>,
    /// Text of the peer ID.
    pub peer_id: Option<String>,
    /// Binary multiaddrs.
    pub multiaddrs: Vec<Vec<u8>>,
    /// Bytes.
    pub sector_size: u64,
}

/// An account with the market actor: `escrow` includes `locked`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketBalance {
    /// All that was deposited and not withdrawn.
    pub escrow: TokenAmount,
    /// The part that live deals hold.
    pub locked: TokenAmount,
}

impl MinerInfo {
    /// Whether this ID address is the owner, the worker or a control address: they may publish deals.
    pub fn is_own(&self, id: &Address) -> bool {
        *id == self.worker || *id == self.owner || self.controls.contains(id)
    }
}

impl MarketBalance {
    /// What new deals may use.
    #[allow(clippy::arithmetic_side_effects)] // numbers without a width
    pub fn available(&self) -> TokenAmount {
        &self.escrow - &self.locked
    }
}

/// The result of a simulated message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResult {
    /// 0 if the message would succeed.
    pub exit_code: i64,
    /// CBOR of the return value.
    pub returned: Vec<u8>,
    /// The node's words when it would not.
    pub error: String,
}

/// An executed message as a search finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The CID that was executed; not the asked one if the message was replaced.
    pub message: Cid,
    /// Height of the tipset after the one that holds the message.
    pub epoch: ChainEpoch,
    /// 0 if it did what it was sent for.
    pub exit_code: i64,
    /// CBOR of the return value.
    pub returned: Vec<u8>,
    /// Units of gas.
    pub gas_used: i64,
}

/// The node's name and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeVersion {
    /// Version text.
    pub version: String,
    /// Seconds between epochs.
    pub block_delay: u64,
    /// `lotus`, `forest`, …; empty with nodes that do not say.
    pub agent: String,
}

impl Node {
    /// A client for one node or a comma-separated list of equal ones (chain-sealer-rpc A.1).
    ///
    /// # Errors
    /// [`crate::rpc::EndpointError`].
    pub fn new(endpoints: &str, limits: Limits) -> Result<Self, crate::rpc::EndpointError> {
        let endpoints = Endpoint::parse_list(endpoints, Version::V1)?;
        Ok(Self {
            client: Client::new(endpoints, limits),
            surveyed: Mutex::new(None),
            said: Mutex::default(),
            known: Known::default(),
        })
    }

    /// Logs a warning that stays true once per process.
    pub(super) fn warn_once(&self, text: String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.contains(&text) {
            log::warn!("{text}");
            if said.len() < SAID_MAX {
                said.insert(text);
            }
        }
    }

    /// `host:port` of each node, for messages to people.
    pub fn names(&self) -> Vec<String> {
        self.client
            .endpoints()
            .iter()
            .map(Endpoint::to_string)
            .collect()
    }

    /// A question that is answered at once.
    pub(super) fn read(&self, method: &'static str, params: &Value) -> Result<Value, ChainError> {
        Ok(self.client.call(method, params, Patience::Short)?)
    }

    /// The head of the chain. Of several nodes the heads are compared now and then, so that one that lags behind is
    /// passed over.
    pub fn head(&self) -> Result<Tipset, ChainError> {
        let due = {
            let mut surveyed = self.surveyed.lock().unwrap_or_else(PoisonError::into_inner);
            let due = surveyed.is_none_or(|at| at.elapsed() >= SURVEY_EVERY);
            if due {
                *surveyed = Some(Instant::now());
            }
            due
        };
        if due {
            self.client.survey("ChainHead", &object!([]), |head| {
                head.get("Blocks")?.get(0)?.get("Timestamp")?.as_u64()
            });
        }
        self.tipset("ChainHead", &object!([]))
    }

    /// The tipset of a height, or the one before it if there was none, on the chain that ends in `head`; None is the head of now.
    pub fn tipset_at(
        &self,
        height: ChainEpoch,
        head: Option<&Tipset>,
    ) -> Result<Tipset, ChainError> {
        self.tipset("ChainGetTipSetByHeight", &object!([height, key(head)]))
    }

    /// The newest tipset that the node holds for final.
    pub fn finalized(&self) -> Result<Tipset, ChainError> {
        self.tipset("ChainGetFinalizedTipSet", &object!([]))
    }

    fn tipset(&self, method: &'static str, params: &Value) -> Result<Tipset, ChainError> {
        let result = self.read(method, params)?;
        let answer = Answer::new(method, &result);
        let key = answer.get("Cids");
        if key.first().is_null() {
            return Err(key.wrong("is empty"));
        }
        Ok(Tipset {
            epoch: answer.get("Height").i64()?,
            timestamp: answer.get("Blocks").first().get("Timestamp").u64()?,
            base_fee: {
                let fee = answer.get("Blocks").first().get("ParentBaseFee");
                if fee.is_null() {
                    TokenAmount::zero()
                } else {
                    fee.amount()?
                }
            },
            key: key.value().clone(),
        })
    }

    /// `mainnet`, `calibrationnet`, ….
    pub fn network_name(&self) -> Result<String, ChainError> {
        let result = self.read("StateNetworkName", &object!([]))?;
        Ok(Answer::new("StateNetworkName", &result).text()?.to_owned())
    }

    /// The network version at the head.
    pub fn network_version(&self) -> Result<u64, ChainError> {
        let result = self.read("StateNetworkVersion", &object!([null]))?;
        Answer::new("StateNetworkVersion", &result).u64()
    }

    /// The node's name and version.
    pub fn version(&self) -> Result<NodeVersion, ChainError> {
        let result = self.read("Version", &object!([]))?;
        let answer = Answer::new("Version", &result);
        Ok(NodeVersion {
            version: answer.get("Version").text()?.to_owned(),
            block_delay: answer.get("BlockDelay").u64().unwrap_or(0),
            agent: answer.get("Agent").text().unwrap_or_default().to_owned(),
        })
    }

    /// The permissions of our own token (`read`, `write`, `sign`, `admin`); only `read` without a token.
    pub fn permissions(&self) -> Result<Vec<String>, ChainError> {
        let token = self
            .client
            .endpoints()
            .first()
            .and_then(Endpoint::authorization);
        let Some(token) = token.as_deref().and_then(|t| t.strip_prefix("Bearer ")) else {
            return Ok(vec!["read".to_owned()]);
        };
        let result = self.read("AuthVerify", &object!([token]))?;
        Answer::new("AuthVerify", &result)
            .entries()?
            .map(|entry| Ok(entry.text()?.to_owned()))
            .collect()
    }

    /// What the chain says of a storage provider.
    pub fn miner_info(
        &self,
        miner: &Address,
        at: Option<&Tipset>,
    ) -> Result<MinerInfo, ChainError> {
        let params = object!([json::from_address(miner), key(at)]);
        let result = self.read("StateMinerInfo", &params)?;
        let answer = Answer::new("StateMinerInfo", &result);
        let peer_id = answer.get("PeerId");
        Ok(MinerInfo {
            owner: answer.get("Owner").address()?,
            worker: answer.get("Worker").address()?,
            controls: answer
                .get("ControlAddresses")
                .entries()?
                .map(Answer::address)
                .collect::<Result<_, _>>()?,
            peer_id: if peer_id.is_null() {
                None
            } else {
                Some(peer_id.text()?.to_owned()).filter(|p| !p.is_empty())
            },
            multiaddrs: answer
                .get("Multiaddrs")
                .entries()?
                .map(Answer::bytes)
                .collect::<Result<_, _>>()?,
            sector_size: answer.get("SectorSize").u64()?,
        })
    }

    /// The same at the head, as it was known a few seconds ago if it was asked for then.
    pub(super) fn recent_miner_info(&self, miner: &Address) -> Result<MinerInfo, ChainError> {
        self.known.miner(miner, || self.miner_info(miner, None))
    }

    /// The ID address of any address, which is its own ID address if it is one (without asking). Asked for once an hour.
    pub fn lookup_id(&self, address: &Address, at: Option<&Tipset>) -> Result<Address, ChainError> {
        if address.actor_id().is_some() {
            return Ok(address.clone());
        }
        self.known.id(address, || {
            let params = object!([json::from_address(address), key(at)]);
            let result = self.read("StateLookupID", &params)?;
            let answer = Answer::new("StateLookupID", &result);
            let id = answer.address()?;
            match id.actor_id() {
                Some(_) => Ok(id),
                None => Err(answer.wrong("is no ID address")),
            }
        })
    }

    /// The key address behind an ID or actor address. Asked for once an hour.
    pub fn account_key(
        &self,
        address: &Address,
        at: Option<&Tipset>,
    ) -> Result<Address, ChainError> {
        self.known.key(address, || {
            let params = object!([json::from_address(address), key(at)]);
            let result = self.read("StateAccountKey", &params)?;
            Answer::new("StateAccountKey", &result).address()
        })
    }

    /// An account with the market actor. For a provider: the miner's address, not the worker's.
    pub fn market_balance(
        &self,
        address: &Address,
        at: Option<&Tipset>,
    ) -> Result<MarketBalance, ChainError> {
        let params = object!([json::from_address(address), key(at)]);
        let result = self.read("StateMarketBalance", &params)?;
        let answer = Answer::new("StateMarketBalance", &result);
        Ok(MarketBalance {
            escrow: answer.get("Escrow").amount()?,
            locked: answer.get("Locked").amount()?,
        })
    }

    /// Smallest and largest collateral a provider may offer for a piece of this padded size.
    pub fn collateral_bounds(
        &self,
        padded_size: u64,
        verified: bool,
    ) -> Result<super::CollateralBounds, ChainError> {
        let params = object!([padded_size, verified, null]);
        let result = self.read("StateDealProviderCollateralBounds", &params)?;
        let answer = Answer::new("StateDealProviderCollateralBounds", &result);
        Ok(super::CollateralBounds {
            min: answer.get("Min").amount()?,
            max: answer.get("Max").amount()?,
        })
    }

    /// A client's datacap in bytes; None without an entry.
    pub fn datacap(&self, client: &Address) -> Result<Option<TokenAmount>, ChainError> {
        let params = object!([json::from_address(client), null]);
        let result = self.read("StateVerifiedClientStatus", &params)?;
        let answer = Answer::new("StateVerifiedClientStatus", &result);
        if answer.is_null() {
            return Ok(None);
        }
        answer.amount().map(Some)
    }

    /// The last epoch at which a sector can claim what a published deal has set aside of its client's DataCap; None if
    /// there is nothing set aside.
    pub fn allocation_expiry(&self, deal_id: u64) -> Result<Option<ChainEpoch>, ChainError> {
        const METHOD: &str = "StateGetAllocationForPendingDeal";
        let result = self.read(METHOD, &object!([deal_id, null]))?;
        let answer = Answer::new(METHOD, &result);
        if answer.is_null() {
            return Ok(None);
        }
        answer.get("Expiration").i64().map(Some)
    }

    /// Balance of an account; zero if there is no such account.
    pub fn wallet_balance(&self, address: &Address) -> Result<TokenAmount, ChainError> {
        let result = self.read("WalletBalance", &object!([json::from_address(address)]))?;
        Answer::new("WalletBalance", &result).amount()
    }

    /// Signs raw bytes with a key of this one node. Needs `sign`.
    pub fn wallet_sign_at(
        &self,
        node: &str,
        key: &Address,
        bytes: &[u8],
    ) -> Result<Signature, ChainError> {
        const METHOD: &str = "WalletSign";
        let params = object!([json::from_address(key), json::from_bytes(bytes)]);
        let result = self.client.ask(node, METHOD, &params, Patience::Short)?;
        Answer::new(METHOD, &result).signature()
    }

    /// Simulates a message at the head, without regard to signature, nonce and balance.
    pub fn state_call(&self, message: &Message) -> Result<CallResult, ChainError> {
        let params = object!([json::from_message(message), null]);
        let result = self.client.call("StateCall", &params, Patience::Long)?;
        let answer = Answer::new("StateCall", &result);
        let receipt = answer.get("MsgRct");
        Ok(CallResult {
            exit_code: receipt.get("ExitCode").i64()?,
            returned: receipt.get("Return").bytes()?,
            error: answer.get("Error").text().unwrap_or_default().to_owned(),
        })
    }

    /// Looks for an executed message from a tipset (None: the head of now) backwards, replacements included: `lookback` epochs, -1 for as far as
    /// the node goes (a gateway goes 20 epochs). None: the node knows the message, but it has not been executed there.
    pub fn search_message(
        &self,
        from: Option<&Tipset>,
        message: &Cid,
        lookback: ChainEpoch,
    ) -> Result<Option<Found>, ChainError> {
        let params = object!([key(from), json::from_cid(Some(message)), lookback, true]);
        let result = self
            .client
            .call("StateSearchMsg", &params, Patience::Long)?;
        let answer = Answer::new("StateSearchMsg", &result);
        if answer.is_null() {
            return Ok(None);
        }
        let receipt = answer.get("Receipt");
        Ok(Some(Found {
            message: answer.get("Message").cid()?,
            epoch: answer.get("Height").i64()?,
            exit_code: receipt.get("ExitCode").i64()?,
            returned: receipt.get("Return").bytes()?,
            gas_used: receipt.get("GasUsed").i64()?,
        }))
    }

    /// The message of a CID, signed or not.
    pub fn get_message(&self, message: &Cid) -> Result<Message, ChainError> {
        let params = object!([json::from_cid(Some(message))]);
        let result = self.read("ChainGetMessage", &params)?;
        Answer::new("ChainGetMessage", &result).form(json::to_message(&result))
    }

    /// A published deal; None if the chain has none under this ID (never had, or no longer).
    pub fn market_deal(&self, deal_id: u64) -> Result<Option<super::DealState>, ChainError> {
        let result = match self.read("StateMarketStorageDeal", &object!([deal_id, null])) {
            Err(ChainError::Refused { message, .. })
                if message.contains(&format!("deal {deal_id} not found")) =>
            {
                return Ok(None);
            }
            other => other?,
        };
        let answer = Answer::new("StateMarketStorageDeal", &result);
        let proposal = answer.get("Proposal");
        let state = answer.get("State");
        Ok(Some(super::DealState {
            proposal: proposal.form(json::to_proposal(proposal.value()))?,
            // Nodes from before network version 22 do not say.
            sector_number: state.get("SectorNumber").u64().unwrap_or(0),
            sector_start_epoch: state.get("SectorStartEpoch").i64()?,
            slash_epoch: state.get("SlashEpoch").i64()?,
        }))
    }
}

/// A tipset key parameter: the head's for None.
pub(super) fn key(at: Option<&Tipset>) -> Value {
    at.map_or(Value::Null, |tipset| tipset.key.clone())
}
