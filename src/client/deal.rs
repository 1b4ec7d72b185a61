//! A deal from the client's side: the proposal and the requests that go with it (spec boost-mk12 9.2).

use crate::filecoin::{
    Address, ChainEpoch, ClientDealProposal, DealProposal, Label, SecretKey, TokenAmount,
};
use crate::wire::{DealParams, DealStatusRequest, Transfer};
use cid::Cid;
use uuid::Uuid;

/// Epochs between the head and the start of a deal that names no start.
pub const START_OFFSET: ChainEpoch = 5_760;

/// Epochs of a deal that names no duration: 180 days.
pub const DURATION: ChainEpoch = 518_400;

/// Where the provider fetches the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// URL of the CAR.
    pub url: String,
    /// Headers of the request; may hold credentials.
    pub headers: Vec<(String, String)>,
    /// Bytes of the CAR.
    pub size: u64,
}

/// What a client wants stored, and on which terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The provider's ID address.
    pub provider: Address,
    /// The piece.
    pub piece_cid: Cid,
    /// Its padded size.
    pub piece_size: u64,
    /// Root of the data; also the deal's label.
    pub payload_cid: Cid,
    /// How the data gets there; none for an offline deal.
    pub download: Option<Download>,
    /// First epoch.
    pub start_epoch: ChainEpoch,
    /// Epochs.
    pub duration: ChainEpoch,
    /// attoFIL per GiB and epoch.
    pub storage_price: TokenAmount,
    /// What the provider puts up, attoFIL.
    pub provider_collateral: TokenAmount,
    /// Spends data cap.
    pub verified: bool,
    /// Keep the deal out of the network's indexes.
    pub skip_announce: bool,
    /// Keep no unsealed copy.
    pub remove_unsealed: bool,
}

/// The collateral that a client asks for by default: the minimum and a fifth, so that it is still enough when the
/// minimum has moved by the time the deal is published.
#[allow(clippy::arithmetic_side_effects)] // numbers without a width
pub fn default_collateral(minimum: &TokenAmount) -> TokenAmount {
    TokenAmount::from_atto(minimum.atto() * 6 / 5)
}

/// The signed proposal and everything that is sent with it. The deal's client is the key's address.
pub fn propose(wanted: &Wanted, key: &SecretKey, uuid: Uuid) -> DealParams {
    let proposal = DealProposal {
        piece_cid: wanted.piece_cid,
        piece_size: wanted.piece_size,
        verified: wanted.verified,
        client: key.address(),
        provider: wanted.provider.clone(),
        label: Label::Text(wanted.payload_cid.to_string()),
        start_epoch: wanted.start_epoch,
        end_epoch: wanted.start_epoch.saturating_add(wanted.duration),
        price_per_epoch: wanted.storage_price.price_for(wanted.piece_size),
        provider_collateral: wanted.provider_collateral.clone(),
        client_collateral: TokenAmount::zero(),
    };
    let signature = key.sign(&proposal.encode());
    DealParams {
        uuid,
        transfer: wanted.download.as_ref().map_or_else(no_transfer, transfer),
        offline: wanted.download.is_none(),
        data_root: Some(wanted.payload_cid),
        skip_announce: wanted.skip_announce,
        proposal: Some(ClientDealProposal {
            proposal,
            signature,
        }),
        remove_unsealed: wanted.remove_unsealed,
    }
}

fn no_transfer() -> Transfer {
    Transfer {
        size: 0,
        kind: String::new(),
        params: Vec::new(),
        client_id: String::new(),
    }
}

fn transfer(download: &Download) -> Transfer {
    Transfer {
        size: download.size,
        kind: "http".to_owned(),
        params: transfer_params(&download.url, &download.headers),
        client_id: String::new(),
    }
}

/// The JSON of `Transfer.Params` as the reference writes it (spec boost-mk12 2.1): `URL` first, null for no headers,
/// `<`, `>` and `&` escaped.
pub fn transfer_params(url: &str, headers: &[(String, String)]) -> Vec<u8> {
    let text = |value: &str| {
        let quoted = serde_json::Value::from(value).to_string();
        quoted
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
    };
    let headers = if headers.is_empty() {
        "null".to_owned()
    } else {
        let mut sorted: Vec<_> = headers.iter().collect();
        sorted.sort();
        let pairs: Vec<String> = sorted
            .iter()
            .map(|(name, value)| format!("{}:{}", text(name), text(value)))
            .collect();
        format!("{{{}}}", pairs.join(","))
    };
    format!("{{\"URL\":{},\"Headers\":{headers}}}", text(url)).into_bytes()
}

/// A status request, signed over the 16 bytes of the UUID.
pub fn status_request(uuid: Uuid, key: &SecretKey) -> DealStatusRequest {
    DealStatusRequest {
        uuid,
        signature: key.sign(uuid.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filecoin::cids;

    fn wanted(download: Option<Download>) -> Wanted {
        Wanted {
            provider: Address::id(1000),
            piece_cid: cids::piece_cid(&[7; 32]),
            piece_size: 1 << 20,
            payload_cid: cids::sha256_cid(cids::DAG_PB, b"root"),
            download,
            start_epoch: 100,
            duration: DURATION,
            storage_price: TokenAmount::from_atto(50_000_000),
            provider_collateral: TokenAmount::from_atto(12),
            verified: false,
            skip_announce: true,
            remove_unsealed: false,
        }
    }

    #[test]
    fn a_proposal_follows_the_construction_rules() {
        let key = SecretKey::secp256k1(&[9; 32]).unwrap();
        let download = Download {
            url: "http://a/b".to_owned(),
            headers: Vec::new(),
            size: 1_000,
        };
        let params = propose(&wanted(Some(download)), &key, Uuid::nil());
        let signed = params.proposal.unwrap();
        let proposal = &signed.proposal;
        assert_eq!(proposal.client, key.address());
        assert_eq!(
            proposal.label,
            Label::Text(wanted(None).payload_cid.to_string())
        );
        // floor(50,000,000 × 2^20 / 2^30)
        assert_eq!(proposal.price_per_epoch, TokenAmount::from_atto(48_828));
        assert_eq!(proposal.end_epoch, 100 + DURATION);
        assert!(proposal.client_collateral.is_zero());
        assert!(signed.signature.verify(&key.address(), &proposal.encode()));
        assert_eq!(params.transfer.kind, "http");
        assert!(!params.offline && params.skip_announce);
        let offline = propose(&wanted(None), &key, Uuid::nil());
        assert!(offline.offline && offline.transfer == no_transfer());
    }

    #[test]
    fn transfer_params_are_those_of_the_reference() {
        let plain = transfer_params("https://example.com/a.car", &[]);
        assert_eq!(
            plain,
            br#"{"URL":"https://example.com/a.car","Headers":null}"#
        );
        let headers = [
            ("X".to_owned(), "a=b&c".to_owned()),
            ("A".to_owned(), "\"".to_owned()),
        ];
        let escaped = transfer_params("http://h/?q=<1>", &headers);
        let expected = "{\"URL\":\"http://h/?q=\\u003c1\\u003e\",\"Headers\":{\"A\":\"\\\"\",\"X\":\"a=b\\u0026c\"}}";
        assert_eq!(String::from_utf8(escaped).unwrap(), expected);
    }

    #[test]
    fn collateral_has_a_fifth_of_headroom() {
        assert_eq!(
            default_collateral(&TokenAmount::from_atto(11)),
            TokenAmount::from_atto(13)
        );
    }

    #[test]
    fn a_status_request_is_signed_over_the_uuid() {
        let key = SecretKey::bls(&[3; 32]).unwrap();
        let request = status_request(Uuid::from_u128(5), &key);
        assert!(
            request
                .signature
                .verify(&key.address(), Uuid::from_u128(5).as_bytes())
        );
    }
}
