//! A devnet on a thread of its own, and a JSON-RPC client for it that is as plain as can be.

use coracle::devnet::{Devnet, DevnetConfig, Wallet};
use coracle::filecoin::market_actor::{PUBLISH_STORAGE_DEALS, encode_publish};
use coracle::filecoin::message::Message;
use coracle::filecoin::{
    Address, ClientDealProposal, DealProposal, Label, TokenAmount, json as forms,
};
use coracle::piece::commp::Commp;
use serde_json::{Value, json};
use smol::{Executor, channel};
use std::ops::Deref;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// attoFIL of one FIL.
pub const FIL: u64 = 1_000_000_000_000_000_000;

/// A devnet whose tipsets come by hand unless the settings say otherwise.
pub struct Net {
    devnet: Option<Devnet>,
    stop: Option<channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Deref for Net {
    type Target = Devnet;
    fn deref(&self) -> &Devnet {
        self.devnet.as_ref().unwrap()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.devnet = None;
        self.stop = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Tipsets by hand, everything else as by default.
pub fn by_hand() -> DevnetConfig {
    DevnetConfig {
        epoch: Duration::ZERO,
        sealing_buffer: 10,
        ..DevnetConfig::default()
    }
}

pub fn start(config: DevnetConfig) -> Net {
    let ex = Arc::new(Executor::new());
    let (stop, stopped) = channel::bounded::<()>(1);
    let thread = std::thread::spawn({
        let ex = Arc::clone(&ex);
        move || {
            smol::block_on(ex.run(async {
                let _ = stopped.recv().await;
            }));
        }
    });
    let devnet = smol::block_on(Devnet::start(ex, config)).unwrap();
    Net {
        devnet: Some(devnet),
        stop: Some(stop),
        thread: Some(thread),
    }
}

/// An HTTP client that hands every status over and follows nothing.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .new_agent()
}

impl Net {
    pub fn node_url(&self) -> String {
        format!("http://{}/rpc/v1", self.node_addr())
    }

    pub fn miner_url(&self) -> String {
        format!("http://{}/rpc/v0", self.miner_addr(0).unwrap())
    }

    pub fn push_url(&self, id: &str) -> String {
        let miner = self.miner_addr(0).unwrap();
        format!("http://{miner}/rpc/streams/v0/push/{id}")
    }

    /// Calls the node; panics on an error.
    pub fn ok(&self, method: &str, params: Value) -> Value {
        result(&call(&self.node_url(), method, &params))
    }

    /// Calls the node; gives code and text of the error that has to come.
    pub fn fails(&self, method: &str, params: Value) -> (i64, String) {
        error(&call(&self.node_url(), method, &params))
    }

    /// Calls the miner; panics on an error.
    pub fn miner_ok(&self, method: &str, params: Value) -> Value {
        result(&call(&self.miner_url(), method, &params))
    }

    /// Calls the miner; gives code and text of the error that has to come.
    pub fn miner_fails(&self, method: &str, params: Value) -> (i64, String) {
        error(&call(&self.miner_url(), method, &params))
    }

    /// A deal of `client` over this piece that the market takes.
    pub fn deal(&self, client: &Wallet, piece: &Piece) -> ClientDealProposal {
        let start_epoch = self.epoch() + 1000;
        let proposal = DealProposal {
            piece_cid: piece.cid(),
            piece_size: piece.padded,
            verified: false,
            client: client.address.clone(),
            provider: Address::id(1000),
            label: Label::Text("a label".to_owned()),
            start_epoch,
            end_epoch: start_epoch + 600_000,
            price_per_epoch: TokenAmount::from_atto(100),
            provider_collateral: TokenAmount::from_atto(FIL / 10),
            client_collateral: TokenAmount::zero(),
        };
        sign(client, proposal)
    }

    /// A publish message of these deals by the miner's worker, unsigned.
    pub fn publish_message(&self, deals: &[ClientDealProposal]) -> Message {
        let [_, worker, _] = &self.people().miners[0];
        message(worker, PUBLISH_STORAGE_DEALS, encode_publish(deals))
    }

    /// Publishes deals by MpoolPushMessage and makes the tipsets that carry the message out: its CID and the
    /// look-up of what became of it.
    pub fn publish(&self, deals: &[ClientDealProposal]) -> (Value, Value) {
        let message = forms::from_message(&self.publish_message(deals));
        let signed = self.ok("MpoolPushMessage", json!([message, null]));
        self.advance(2);
        let cid = signed["CID"].clone();
        let found = self.ok("StateSearchMsg", json!([null, cid, -1, true]));
        (cid, found)
    }
}

/// The proposal with the client's signature.
pub fn sign(client: &Wallet, proposal: DealProposal) -> ClientDealProposal {
    let signature = client.key.sign(&proposal.encode());
    ClientDealProposal {
        proposal,
        signature,
    }
}

/// A message to the market actor, without nonce and gas.
pub fn message(from: &Wallet, method: u64, params: Vec<u8>) -> Message {
    Message {
        version: 0,
        to: Address::market_actor(),
        from: from.id.clone(),
        nonce: 0,
        value: TokenAmount::zero(),
        gas_limit: 0,
        gas_fee_cap: TokenAmount::zero(),
        gas_premium: TokenAmount::zero(),
        method,
        params,
    }
}

/// Bytes of a whole piece, with its zeros.
pub struct Piece {
    pub bytes: Vec<u8>,
    pub padded: u64,
}

impl Piece {
    /// A piece of this padded size whose content depends on the seed.
    pub fn new(padded: u64, seed: u8) -> Self {
        let length = usize::try_from(padded / 128 * 127).unwrap();
        let pattern = (0_u8..251).cycle().take(length);
        let mut bytes: Vec<u8> = pattern.map(|byte| byte ^ seed).collect();
        bytes[length * 3 / 4..].fill(0);
        Self { bytes, padded }
    }

    pub fn unpadded(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn cid(&self) -> cid::Cid {
        let mut commp = Commp::new();
        commp.update(&self.bytes);
        commp.finish().cid()
    }
}

/// What came back from a POST: status and body.
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }
}

/// Posts a body as it is.
pub fn post(url: &str, token: Option<&str>, body: &str) -> Reply {
    let mut request = agent().post(url).content_type("application/json");
    if let Some(token) = token {
        request = request.header("Authorization", token);
    }
    let mut response = request.send(body).unwrap();
    Reply {
        status: response.status().as_u16(),
        body: response.body_mut().read_to_string().unwrap(),
    }
}

pub fn call(url: &str, method: &str, params: &Value) -> Reply {
    let request = json!({
        "jsonrpc": "2.0", "id": 7, "method": format!("Filecoin.{method}"), "params": params,
    });
    post(url, None, &request.to_string())
}

/// The result of a call that went well.
pub fn result(reply: &Reply) -> Value {
    let body = reply.json();
    assert_eq!(reply.status, 200, "{body}");
    assert_eq!(body["id"], 7);
    assert!(body.get("error").is_none(), "{body}");
    body["result"].clone()
}

/// Code and text of a call that failed.
pub fn error(reply: &Reply) -> (i64, String) {
    let body = reply.json();
    assert!(body.get("result").is_none(), "{body}");
    let error = &body["error"];
    let message = error["message"].as_str().unwrap().to_owned();
    (error["code"].as_i64().unwrap(), message)
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
