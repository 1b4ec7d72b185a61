//! The node's methods that send, one function each (chain-sealer-rpc C.2), and those that tell what a nonce was used for.

use super::answer::Answer;
use super::node::key;
use super::{ChainError, Node, Tipset};
use crate::filecoin::json;
use crate::filecoin::message::{Message, SignedMessage};
use crate::filecoin::{Address, TokenAmount};
use crate::rpc::Patience;
use cid::Cid;
use serde_json::{Value, json as object};
use uuid::Uuid;

/// What the sender wishes: all three members, because Forest refuses a spec that lacks one (chain-sealer-rpc H).
fn spec(id: Option<Uuid>, fee_max: &TokenAmount) -> Value {
    object!({
        "MaxFee": json::from_amount(fee_max),
        "MsgUuid": id.unwrap_or_default().to_string(),
        "MaximizeFeeCap": false,
    })
}

impl Node {
    /// Fills the gas members of a message by carrying it out on the head and what waits; `fee_max` bounds the total fee
    /// (zero: as the node likes). What would fail is an error here.
    pub fn estimate(
        &self,
        message: &Message,
        fee_max: &TokenAmount,
    ) -> Result<Message, ChainError> {
        const METHOD: &str = "GasEstimateMessageGas";
        let params = object!([json::from_message(message), spec(None, fee_max), null]);
        let result = self.client.call(METHOD, &params, Patience::Long)?;
        Answer::new(METHOD, &result).form(json::to_message(&result))
    }

    /// The nonce that a sender's next message needs, with those that wait.
    pub fn next_nonce(&self, sender: &Address) -> Result<u64, ChainError> {
        let result = self.read("MpoolGetNonce", &object!([json::from_address(sender)]))?;
        Answer::new("MpoolGetNonce", &result).u64()
    }

    /// The nonce of a sender in the state of a tipset: how many of its messages were carried out before it.
    pub fn nonce_at(&self, sender: &Address, at: &Tipset) -> Result<u64, ChainError> {
        let params = object!([json::from_address(sender), key(Some(at))]);
        let result = self.read("StateGetActor", &params)?;
        Answer::new("StateGetActor", &result).get("Nonce").u64()
    }

    /// Takes a signed message into the pool. Harmless to repeat: the same bytes are the same message.
    pub fn push_signed(&self, signed: &SignedMessage) -> Result<Cid, ChainError> {
        let params = object!([json::from_signed_message(signed)]);
        let result = self.client.call("MpoolPush", &params, Patience::Long)?;
        Answer::new("MpoolPush", &result).cid()
    }

    /// Signs a message that has nonce and gas with a key of this one node. Needs `sign`.
    pub fn sign_message_at(
        &self,
        node: &str,
        message: &Message,
    ) -> Result<SignedMessage, ChainError> {
        const METHOD: &str = "WalletSignMessage";
        let params = object!([
            json::from_address(&message.from),
            json::from_message(message)
        ]);
        let result = self.client.ask(node, METHOD, &params, Patience::Short)?;
        Answer::new(METHOD, &result).form(json::to_signed_message(&result))
    }

    /// Whether one node holds the key of this key address. Needs `write`.
    pub fn wallet_has_at(&self, node: &str, key: &Address) -> Result<bool, ChainError> {
        let params = object!([json::from_address(key)]);
        let result = self
            .client
            .ask(node, "WalletHas", &params, Patience::Short)?;
        Answer::new("WalletHas", &result).bool()
    }

    /// Numbers, signs and sends a message with a key of this one node, one attempt. Lotus sends once per `id`, however
    /// often it is asked; others ignore the id (chain-sealer-rpc C.2, H). Needs `sign`.
    ///
    /// Gives the sent message and its CID.
    pub fn push_message_at(
        &self,
        node: &str,
        message: &Message,
        id: Uuid,
        fee_max: &TokenAmount,
    ) -> Result<(Message, Cid), ChainError> {
        const METHOD: &str = "MpoolPushMessage";
        let params = object!([json::from_message(message), spec(Some(id), fee_max)]);
        let result = self
            .client
            .call_at(Some(node), METHOD, &params, Patience::Long)?;
        let answer = Answer::new(METHOD, &result);
        let sent = answer.get("Message");
        let sent = sent.form(json::to_message(sent.value()))?;
        Ok((sent, answer.get("CID").cid()?))
    }

    /// The first waiting message that fits, with its CID. The answer of the node can be large: only for what cannot be
    /// found out otherwise.
    pub fn pending(
        &self,
        fits: impl Fn(&Message) -> bool,
    ) -> Result<Option<(Message, Cid)>, ChainError> {
        let result = self
            .client
            .call("MpoolPending", &object!([null]), Patience::Long)?;
        for entry in Answer::new("MpoolPending", &result).entries()? {
            // A message that we cannot read is none of ours.
            let Ok(message) = json::to_message(entry.get("Message").value()) else {
                continue;
            };
            if fits(&message) {
                return Ok(Some((message, entry.get("CID").cid()?)));
            }
        }
        Ok(None)
    }
}
