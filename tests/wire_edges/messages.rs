//! What is read and what is not: cases 1 to 21.

use super::{MK_1_2_0, MK_1_2_1, Provider, decoded, proposal, signature_fits};
use crate::raw_client::message::{
    self, NULL, TRUE, array, bytes, field, map, raw_text, text, uint,
};
use coracle::filecoin::Label;

#[test]
fn edge_1_five_keys_on_the_newer_protocol_announce_and_keep_unsealed() {
    let seen = Provider::start().answers(MK_1_2_1, &proposal().five());
    assert!(!seen.skip_announce && !seen.remove_unsealed);
    assert!(signature_fits(&seen));
}

#[test]
fn edge_2_seven_keys_on_the_older_protocol_are_honoured() {
    let mut entries = proposal().entries();
    for (key, value) in &mut entries {
        if matches!(*key, "SkipIPNIAnnounce" | "RemoveUnsealedCopy") {
            *value = TRUE.to_vec();
        }
    }
    let seen = Provider::start().answers(MK_1_2_0, &map(&entries));
    assert!(seen.skip_announce && seen.remove_unsealed);
}

#[test]
fn edge_3_keys_come_in_any_order() {
    let provider = Provider::start();
    let expected = provider.answers(MK_1_2_1, &proposal().seven());
    let mut entries = proposal().entries();
    for _ in 0..entries.len() {
        entries.rotate_left(1);
        assert_eq!(provider.answers(MK_1_2_1, &map(&entries)), expected);
        entries.reverse();
        assert_eq!(provider.answers(MK_1_2_1, &map(&entries)), expected);
        entries.reverse();
    }
}

#[test]
fn edge_4_unknown_keys_are_skipped_with_their_values() {
    let provider = Provider::start();
    let nested = map(&[
        ("a", array(&[uint(1), map(&[("b", NULL.to_vec())])])),
        ("root", message::cid(&message::root_cid(&[9; 32]))),
        ("text", text("IsOffline")),
    ]);
    let expected = provider.answers(MK_1_2_1, &proposal().seven());
    for place in [0, 3, 7] {
        let mut entries = proposal().entries();
        entries.insert(place, ("Extra", nested.clone()));
        assert_eq!(provider.answers(MK_1_2_1, &map(&entries)), expected);
    }
    let mut entries = proposal().entries();
    entries.insert(2, ("Extra", message::cid(&[0x01])));
    provider.closes(MK_1_2_1, &map(&entries));
}

#[test]
fn edge_5_the_last_of_a_repeated_key_wins() {
    let mut entries = proposal().entries();
    entries.insert(0, ("IsOffline", TRUE.to_vec()));
    let provider = Provider::start();
    assert!(!provider.answers(MK_1_2_1, &map(&entries)).offline);
    entries.push(("IsOffline", TRUE.to_vec()));
    assert!(provider.answers(MK_1_2_1, &map(&entries)).offline);
}

#[test]
fn edge_6_a_missing_transfer_is_an_empty_one() {
    let mut entries = proposal().entries();
    entries.retain(|(key, _)| *key != "Transfer");
    let seen = Provider::start().answers(MK_1_2_1, &map(&entries));
    assert_eq!(seen.transfer, coracle::wire::Transfer::default());
}

#[test]
fn edge_7_a_null_transfer_is_malformed() {
    let provider = Provider::start();
    provider.closes(MK_1_2_1, &proposal().seven_with("Transfer", NULL.to_vec()));
    provider.closes(
        MK_1_2_1,
        &proposal().seven_with("DealDataRoot", NULL.to_vec()),
    );
    let null = NULL.to_vec();
    provider.closes(MK_1_2_1, &proposal().seven_with("ClientDealProposal", null));
}

#[test]
fn edge_8_numbers_come_in_their_shortest_form() {
    let provider = Provider::start();
    for long in [
        &[0x18, 0x05][..],
        &[0x19, 0, 5],
        &[0x1b, 0, 0, 0, 0, 0, 0, 0, 5],
    ] {
        let broken = proposal().with_transfer("Size", long.to_vec());
        provider.closes(MK_1_2_1, &broken.seven());
    }
}

#[test]
fn edge_9_lengths_are_definite() {
    let provider = Provider::start();
    let mut indefinite = proposal().seven();
    indefinite[0] = 0xbf;
    indefinite.push(0xff);
    provider.closes(MK_1_2_1, &indefinite);
    let array = [&[0x9f][..], &proposal().signed()[1..], &[0xff]].concat();
    provider.closes(
        MK_1_2_1,
        &proposal().seven_with("ClientDealProposal", array),
    );
}

#[test]
fn edge_10_a_uuid_is_sixteen_bytes() {
    let provider = Provider::start();
    for broken in [bytes(&[1; 15]), bytes(&[1; 17]), text("0123456789abcdef")] {
        provider.closes(MK_1_2_1, &proposal().seven_with("DealUUID", broken));
    }
    let zero = proposal().seven_with("DealUUID", bytes(&[0; 16]));
    assert!(provider.answers(MK_1_2_1, &zero).uuid.is_nil());
}

#[test]
fn edge_11_a_proposal_is_not_a_map() {
    let signed = map(&[
        ("Proposal", proposal().tuple()),
        ("ClientSignature", bytes(&[1; 66])),
    ]);
    let request = proposal().seven_with("ClientDealProposal", signed);
    Provider::start().closes(MK_1_2_1, &request);
}

#[test]
fn edge_12_a_proposal_has_eleven_elements() {
    let provider = Provider::start();
    let mut short = proposal();
    short.fields.pop();
    provider.closes(MK_1_2_1, &short.seven());
    let mut long = proposal();
    long.fields.push(uint(0));
    provider.closes(MK_1_2_1, &long.seven());
}

#[test]
fn edge_13_texts_have_8192_bytes_at_most() {
    let provider = Provider::start();
    for key in ["Type", "ClientID"] {
        let long = proposal().with_transfer(key, text(&"t".repeat(8193)));
        provider.closes(MK_1_2_1, &long.seven());
        let fits = proposal().with_transfer(key, text(&"t".repeat(8192)));
        provider.answers(MK_1_2_1, &fits.seven());
    }
    let mut entries = proposal().entries();
    let key = "k".repeat(8193);
    entries.push((key.as_str(), uint(0)));
    provider.closes(MK_1_2_1, &map(&entries));
}

#[test]
fn edge_14_params_have_2_mib_at_most() {
    let provider = Provider::start();
    let with = |length| proposal().with_transfer("Params", bytes(&vec![b' '; length]));
    let seen = provider.answers(MK_1_2_1, &with(2 << 20).seven());
    assert_eq!(seen.transfer.params.len(), 2 << 20);
    provider.closes(MK_1_2_1, &with((2 << 20) + 1).seven());
    // Beside the longest label, too.
    let both = with(2 << 20).with(field::LABEL, bytes(&vec![1; 2 << 20]));
    let seen = provider.answers(MK_1_2_1, &both.seven());
    assert_eq!(seen.transfer.params.len(), 2 << 20);
    assert_eq!(decoded(seen).label.as_bytes().len(), 2 << 20);
}

#[test]
fn edge_15_signatures_have_a_known_type() {
    let provider = Provider::start();
    for broken in [vec![4; 66], vec![], vec![0; 66], vec![1; 201]] {
        let mut unknown = proposal();
        unknown.signature = Some(broken);
        provider.closes(MK_1_2_1, &unknown.seven());
    }
    let mut longest = proposal();
    longest.signature = Some(vec![1; 200]);
    assert!(!signature_fits(
        &provider.answers(MK_1_2_1, &longest.seven())
    ));
}

#[test]
fn edge_16_a_text_label_is_utf8_and_a_bytes_label_is_kept() {
    let provider = Provider::start();
    let broken: &[u8] = &[0x66, 0xff, 0xfe];
    let as_text = proposal().with(field::LABEL, raw_text(broken));
    provider.closes(MK_1_2_1, &as_text.seven());
    let as_bytes = proposal().with(field::LABEL, bytes(broken));
    let seen = provider.answers(MK_1_2_1, &as_bytes.seven());
    assert!(signature_fits(&seen));
    assert_eq!(decoded(seen).encode(), as_bytes.tuple());
}

#[test]
fn edge_17_empty_labels_differ_by_kind() {
    let provider = Provider::start();
    let label = |value| {
        let request = proposal().with(field::LABEL, value);
        let seen = provider.answers(MK_1_2_1, &request.seven());
        assert!(signature_fits(&seen));
        decoded(seen)
    };
    let (by_bytes, by_text) = (label(vec![0x40]), label(vec![0x60]));
    assert_eq!(by_bytes.label, Label::Bytes(Vec::new()));
    assert_eq!(by_text.label, Label::Text(String::new()));
    assert_ne!(by_bytes.cid(), by_text.cid());
}

#[test]
fn edges_18_19_amounts_are_signed_in_their_shortest_form() {
    let provider = Provider::start();
    let long_zero = proposal().with(field::CLIENT_COLLATERAL, bytes(&[0]));
    let mut signed_short = long_zero.clone();
    signed_short.signed_fields = Some(proposal().fields);
    let seen = provider.answers(MK_1_2_1, &signed_short.seven());
    assert!(signature_fits(&seen));
    assert!(decoded(seen).client_collateral.is_zero());
    assert!(!signature_fits(
        &provider.answers(MK_1_2_1, &long_zero.seven())
    ));
    let padded = proposal().with(field::PROVIDER_COLLATERAL, bytes(&[0, 0, 1]));
    let seen = provider.answers(MK_1_2_1, &padded.seven());
    assert!(!signature_fits(&seen));
    assert_eq!(decoded(seen).provider_collateral.to_string(), "1");
}

#[test]
fn edge_20_negative_amounts_decode() {
    let negative = proposal().with(field::PRICE, bytes(&[1, 1]));
    let provider = Provider::start();
    let seen = provider.answers(MK_1_2_1, &negative.seven());
    assert!(signature_fits(&seen));
    assert!(decoded(seen).price_per_epoch.is_negative());
    let no_sign = proposal().with(field::PRICE, bytes(&[2, 1]));
    provider.closes(MK_1_2_1, &no_sign.seven());
}

#[test]
fn edge_21_cids_have_their_tag_and_zero_byte() {
    let provider = Provider::start();
    let root = message::root_cid(&[7; 32]);
    let bare = [vec![0xd8, 0x2a], bytes(&root)].concat();
    let tag_43 = [vec![0xd8, 0x2b], bytes(&[&[0][..], &root].concat())].concat();
    let untagged = bytes(&[&[0][..], &root].concat());
    for broken in [bare, tag_43, untagged] {
        let request = proposal().seven_with("DealDataRoot", broken.clone());
        provider.closes(MK_1_2_1, &request);
        let request = proposal().with(field::PIECE_CID, broken);
        provider.closes(MK_1_2_1, &request.seven());
    }
}
