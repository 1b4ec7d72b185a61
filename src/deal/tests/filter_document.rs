//! The document for external filters, byte for byte (spec boost-mk12 3.4; edge case 56).

use super::samples::{atto, client_key, params};
use crate::deal::filter_document::{State, document};
use crate::deal::{Ledger, Terms};
use crate::filecoin::{Label, SecretKey};
use crate::wire::DealParams;
use serde_json::Value;

fn state() -> State {
    State {
        sectors: [("Proving".to_owned(), 3), ("Packing".to_owned(), 1)].into(),
        ledger: Ledger {
            collateral: atto(500),
            unpublished: 9,
            staging: 4_000,
            ..Ledger::default()
        },
        escrow_available: atto(10_i128.pow(20)),
        escrow_locked: atto(7),
        wallet: wallet().address(),
        wallet_balance: atto(42),
        staged: 1_500,
    }
}

fn wallet() -> SecretKey {
    SecretKey::secp256k1(&[3; 32]).expect("a valid scalar")
}

fn terms() -> Terms {
    Terms {
        staging_bytes_max: 10_000,
        ..Terms::default()
    }
}

fn text(params: &DealParams, state: &State, terms: &Terms) -> String {
    let signed = params.proposal.as_ref().expect("the sample has one");
    document(params, signed, state, terms)
}

fn value(params: &DealParams) -> Value {
    serde_json::from_str(&text(params, &state(), &terms())).expect("JSON")
}

#[test]
fn the_document_is_the_reference_s() {
    let params = params();
    let signed = params.proposal.as_ref().unwrap();
    let signature = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&signed.signature.data)
    };
    let expected = include_str!("data/filter-document.json")
        .trim_end()
        .replace("CLIENT", &client_key().address().to_string())
        .replace("WALLET", &wallet().address().to_string())
        .replace("SIGNATURE", &signature)
        .replace("ROOT", &params.data_root.unwrap().to_string())
        .replace("PIECE", &signed.proposal.piece_cid.to_string());
    assert_eq!(text(&params, &state(), &terms()), expected);
}

#[test]
fn transfer_parameters_are_blanked() {
    let params = params();
    assert!(String::from_utf8_lossy(&params.transfer.params).contains("hidden"));
    let text = text(&params, &state(), &terms());
    assert!(!text.contains("hidden") && !text.contains("example.com"));
    assert_eq!(value(&params)["Transfer"]["Params"], "");
}

#[test]
fn what_is_missing_and_what_has_no_limit() {
    let mut params = params();
    params.data_root = None;
    params.proposal.as_mut().unwrap().proposal.label = Label::Bytes(vec![1, 2]);
    let found = value(&params);
    assert_eq!(found["DealDataRoot"], Value::Null);
    assert_eq!(found["ClientDealProposal"]["Proposal"]["Label"], "");
    let mut state = state();
    state.sectors.clear();
    let text = text(&params, &state, &Terms::default());
    assert!(
        text.contains("\"SectorStates\": {},\n    \"Workers\": []\n"),
        "{text}"
    );
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["StorageState"]["TotalAvailable"], 0);
    assert_eq!(found["StorageState"]["Free"], 0);
}

#[test]
fn texts_of_clients_stay_inside_their_strings() {
    for nasty in [
        "\"}, \"IsOffline\": true, {\"",
        "\\",
        "a\nb\tc\r\u{8}\u{c}\u{1f}\u{7f}",
        "<script>&\u{2028}\u{2029}",
        "ünïcødé 🚣",
        "\0",
    ] {
        let mut params = params();
        params.transfer.client_id = nasty.to_owned();
        params.transfer.kind = nasty.to_owned();
        params.proposal.as_mut().unwrap().proposal.label = Label::Text(nasty.to_owned());
        let found = value(&params);
        assert_eq!(found["Transfer"]["ClientID"], nasty);
        assert_eq!(found["Transfer"]["Type"], nasty);
        assert_eq!(found["ClientDealProposal"]["Proposal"]["Label"], nasty);
        assert_eq!(found["IsOffline"], false);
        let text = text(&params, &state(), &terms());
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\r', '\0']));
    }
}
