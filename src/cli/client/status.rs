//! `coracle client status`.

use super::options::{self, Options};
use crate::cli::{Failure, terminal};
use crate::client::{deal, status, talk::talk};
use crate::filecoin::{Address, Label};
use crate::wire::DealStatusResponse;
use serde_json::{Value, json};
use std::fmt::Write as _;
use uuid::Uuid;

/// Asks the provider how a deal is.
pub fn run(mut options: Options) -> Result<(), Failure> {
    let miner: Address = options.needed("--provider")?;
    let uuid: Uuid = options.needed("--deal-uuid")?;
    let wallet: Option<Address> = options.value("--wallet")?;
    let peer = options.peer()?;
    let json = options.json;
    options.finish()?;
    let key = options::key(wallet.as_ref())?;
    let provider = options::locate(&miner, peer)?;
    let request = deal::status_request(uuid, &key);
    let response = talk(|node| async move {
        node.status(provider.peer, &provider.addresses, &request)
            .await
    })
    .and_then(|answered| answered)
    .map_err(|error| Failure::Failed(format!("send deal status request failed: {error}")))?;
    if !response.error.is_empty() {
        return Err(Failure::Refused(response.error));
    }
    if json {
        terminal::json(&facts(&response, &miner, &key.address(), uuid));
    } else {
        terminal::print(&text(&response, uuid));
    }
    Ok(())
}

/// The deal's label; one of bytes has no text, so it is shown as hex.
fn label(response: &DealStatusResponse) -> String {
    match response.status.as_ref().map(|s| &s.proposal.label) {
        Some(Label::Text(text)) => text.clone(),
        Some(Label::Bytes(bytes)) => bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
        None => String::new(),
    }
}

fn facts(response: &DealStatusResponse, miner: &Address, client: &Address, uuid: Uuid) -> Value {
    let status = response.status.as_ref();
    json!({
        "dealUuid": uuid.to_string(),
        "provider": miner.to_string(),
        "clientWallet": client.to_string(),
        "label": label(response),
        "chainDealId": status.map_or(0, |s| s.chain_deal_id),
        "status": status.map_or("", |s| s.status.as_str()),
        "sealingStatus": status.map_or("", |s| s.sealing_status.as_str()),
        "statusMessage": status::message(response),
        "publishCid": status.and_then(|s| s.publish_cid).map(|cid| cid.to_string()),
        "bytesReceived": response.bytes_received,
        "transferSize": response.transfer_size,
    })
}

fn text(response: &DealStatusResponse, uuid: Uuid) -> String {
    let status = response.status.as_ref();
    let publish = status
        .and_then(|s| s.publish_cid)
        .map_or_else(|| "<nil>".to_owned(), |cid| cid.to_string());
    format!(
        "got deal status response\n  deal uuid: {uuid}\n  deal status: {}\n  deal label: {}\n  publish cid: {publish}\n  chain deal id: {}\n",
        status::message(response),
        label(response),
        status.map_or(0, |s| s.chain_deal_id),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filecoin::cids;

    fn response(label: Label) -> DealStatusResponse {
        let mut response =
            crate::client::status::tests::response("IndexedAndAnnounced", "PreCommit1", "");
        let status = response.status.as_mut().expect("it has one");
        status.proposal.label = label;
        status.publish_cid = Some(cids::chain_cid(b"x"));
        status.chain_deal_id = 42;
        (response.transfer_size, response.bytes_received) = (7, 7);
        response
    }

    #[test]
    fn the_answer_has_the_reference_s_keys_and_lines() {
        let response = response(Label::Text("the label".to_owned()));
        let facts = facts(
            &response,
            &Address::id(2),
            &Address::id(1),
            Uuid::from_u128(5),
        );
        let publish = cids::chain_cid(b"x").to_string();
        for (key, expected) in [
            ("dealUuid", json!("00000000-0000-0000-0000-000000000005")),
            ("provider", json!("f02")),
            ("clientWallet", json!("f01")),
            ("label", json!("the label")),
            ("chainDealId", json!(42)),
            ("status", json!("IndexedAndAnnounced")),
            ("sealingStatus", json!("PreCommit1")),
            ("statusMessage", json!("Sealing: PreCommit1")),
            ("publishCid", json!(publish)),
        ] {
            assert_eq!(facts[key], expected, "{key}");
        }
        let text = text(&response, Uuid::from_u128(5));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "got deal status response",
                "  deal uuid: 00000000-0000-0000-0000-000000000005",
                "  deal status: Sealing: PreCommit1",
                "  deal label: the label",
                &format!("  publish cid: {publish}"),
                "  chain deal id: 42",
            ]
        );
    }

    #[test]
    fn labels_of_bytes_and_missing_parts_are_shown() {
        assert_eq!(label(&response(Label::Bytes(vec![0, 0xab]))), "00ab");
        let mut empty = response(Label::Text(String::new()));
        empty.status = None;
        assert!(text(&empty, Uuid::nil()).contains("publish cid: <nil>"));
        assert_eq!(
            facts(&empty, &Address::id(2), &Address::id(1), Uuid::nil())["publishCid"],
            Value::Null
        );
    }
}
