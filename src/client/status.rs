//! What a status answer means, in the reference client's words (spec boost-mk12 9.2) with its errors repaired.

use crate::wire::DealStatusResponse;

/// The status message of a deal. An unknown checkpoint is shown as it is: a newer provider may have more of them.
pub fn message(response: &DealStatusResponse) -> String {
    if !response.error.is_empty() {
        return format!("Error: {}", response.error);
    }
    let Some(status) = &response.status else {
        return "Unknown".to_owned();
    };
    match status.status.as_str() {
        "Accepted" if response.offline => "Awaiting Offline Data Import".to_owned(),
        "Accepted" => transfer(response.bytes_received, response.transfer_size),
        "Transferred" => "Ready to Publish".to_owned(),
        "Published" => "Awaiting Publish Confirmation".to_owned(),
        "PublishConfirmed" => "Adding to Sector".to_owned(),
        "AddedPiece" => "Announcing".to_owned(),
        "IndexedAndAnnounced" if status.sealing_status.is_empty() => "Sealing".to_owned(),
        "IndexedAndAnnounced" => format!("Sealing: {}", status.sealing_status),
        "Complete" if status.error.is_empty() => "Expired".to_owned(),
        "Complete" => format!("Error: {}", status.error),
        other => other.to_owned(),
    }
}

/// The reference says "complete" at exactly 100 bytes; here it is when all bytes are there.
fn transfer(received: u64, size: u64) -> String {
    if received == 0 {
        return "Transfer Queued".to_owned();
    }
    let hundredths = u128::from(received)
        .saturating_mul(10_000)
        .checked_div(u128::from(size));
    match hundredths {
        // Without a size there is nothing to compare with.
        None => format!("Transferring {received} bytes"),
        Some(10_000..) => "Transfer Complete".to_owned(),
        Some(part) => {
            let (whole, rest) = (part.div_euclid(100), part.rem_euclid(100));
            format!("Transferring {whole}.{rest:02}%")
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::filecoin::{Address, DealProposal, Label, TokenAmount, cids};
    use crate::wire::DealStatus;
    use uuid::Uuid;

    /// A deal's answer with these words in it.
    pub(crate) fn response(checkpoint: &str, sealing: &str, error: &str) -> DealStatusResponse {
        DealStatusResponse {
            error: String::new(),
            uuid: Uuid::nil(),
            offline: false,
            status: Some(DealStatus {
                error: error.to_owned(),
                status: checkpoint.to_owned(),
                proposal: DealProposal {
                    piece_cid: cids::piece_cid(&[1; 32]),
                    piece_size: 128,
                    verified: false,
                    client: Address::id(1),
                    provider: Address::id(2),
                    label: Label::Text(String::new()),
                    start_epoch: 1,
                    end_epoch: 2,
                    price_per_epoch: TokenAmount::zero(),
                    provider_collateral: TokenAmount::zero(),
                    client_collateral: TokenAmount::zero(),
                },
                publish_cid: None,
                chain_deal_id: 0,
                sealing_status: sealing.to_owned(),
                signed_proposal_cid: cids::sha256_cid(cids::DAG_CBOR, b""),
            }),
            transfer_size: 0,
            bytes_received: 0,
        }
    }

    #[test]
    fn every_checkpoint_has_its_words() {
        for (checkpoint, sealing, error, expected) in [
            ("Accepted", "", "", "Transfer Queued"),
            ("Transferred", "", "", "Ready to Publish"),
            ("Published", "", "", "Awaiting Publish Confirmation"),
            ("PublishConfirmed", "", "", "Adding to Sector"),
            ("AddedPiece", "", "", "Announcing"),
            ("IndexedAndAnnounced", "", "", "Sealing"),
            (
                "IndexedAndAnnounced",
                "PreCommit1",
                "",
                "Sealing: PreCommit1",
            ),
            ("Complete", "", "", "Expired"),
            ("Complete", "", "boom", "Error: boom"),
            ("Later", "", "", "Later"),
        ] {
            let response = response(checkpoint, sealing, error);
            assert_eq!(message(&response), expected, "{checkpoint}");
        }
    }

    #[test]
    fn a_transfer_is_complete_when_all_bytes_are_there() {
        for (received, size, expected) in [
            (0, 1000, "Transfer Queued"),
            (100, 1000, "Transferring 10.00%"),
            (1, 3, "Transferring 33.33%"),
            (999_999, 1_000_000, "Transferring 99.99%"),
            (1000, 1000, "Transfer Complete"),
            (u64::MAX, u64::MAX, "Transfer Complete"),
            (u64::MAX - 1, u64::MAX, "Transferring 99.99%"),
            (7, 0, "Transferring 7 bytes"),
        ] {
            let mut response = response("Accepted", "", "");
            response.bytes_received = received;
            response.transfer_size = size;
            assert_eq!(message(&response), expected, "{received} of {size}");
        }
    }

    #[test]
    fn offline_deals_unknown_deals_and_refusals_say_so() {
        let mut offline = response("Accepted", "", "");
        offline.offline = true;
        assert_eq!(message(&offline), "Awaiting Offline Data Import");
        let mut refused = response("Accepted", "", "");
        refused.error = "signature verification failed".to_owned();
        assert_eq!(message(&refused), "Error: signature verification failed");
        let mut nothing = response("Accepted", "", "");
        nothing.status = None;
        assert_eq!(message(&nothing), "Unknown");
    }
}
