//! What readers accept, and what they do not (spec boost-mk12 1.2).

use super::{hex, params, uuid};
use crate::wire::{
    AskRequest, DealParams, DealResponse, DealStatusRequest, DealStatusResponse, Transfer,
    Transports, WireError,
};
use minicbor::Encoder;
use minicbor::data::Tag;

type Out = Encoder<Vec<u8>>;

/// A message of entries that `write` writes.
fn map(entries: u64, write: impl Fn(&mut Out)) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    out.map(entries).unwrap();
    write(&mut out);
    out.into_writer()
}

fn response(message: &str) -> DealResponse {
    DealResponse {
        accepted: true,
        message: message.into(),
    }
}

#[test]
fn empty_maps_are_zero_values() {
    let empty = hex("a0");
    let zero = DealParams::decode(&empty).unwrap();
    assert!(zero.uuid.is_nil() && zero.proposal.is_none() && zero.data_root.is_none());
    assert_eq!(zero.transfer, Transfer::default());
    assert!(!zero.offline && !zero.skip_announce && !zero.remove_unsealed);
    let refused = DealResponse::decode(&empty).unwrap();
    assert!(!refused.accepted && refused.message.is_empty());
    let status = DealStatusResponse::decode(&empty).unwrap();
    assert_eq!(status, DealStatusResponse::default());
    let request = DealStatusRequest::decode(&empty).unwrap();
    assert!(request.uuid.is_nil() && request.signature.data.is_empty());
    assert_eq!(AskRequest::decode(&empty).unwrap().miner, None);
    assert_eq!(Transports::decode(&empty).unwrap(), Transports::default());
}

#[test]
fn what_is_missing_is_not_written() {
    let mut bare = params();
    bare.data_root = None;
    bare.proposal = None;
    let bytes = bare.encode();
    assert_eq!(bytes[0], 0xa5);
    assert_eq!(DealParams::decode(&bytes).unwrap(), bare);
    assert_eq!(bare.encode_five()[0], 0xa3);
}

#[test]
fn keys_come_in_any_order_and_the_last_wins() {
    let bytes = map(4, |out| {
        out.str("Accepted").unwrap().bool(false).unwrap();
        out.str("Message").unwrap().str("first").unwrap();
        out.str("Accepted").unwrap().bool(true).unwrap();
        out.str("Message").unwrap().str("last").unwrap();
    });
    assert_eq!(DealResponse::decode(&bytes).unwrap(), response("last"));
}

#[test]
fn a_repeated_transfer_does_not_keep_parts_of_the_first() {
    let bytes = map(2, |out| {
        out.str("Transfer").unwrap().map(1).unwrap();
        out.str("Size").unwrap().u64(7).unwrap();
        out.str("Transfer").unwrap().map(1).unwrap();
        out.str("Type").unwrap().str("http").unwrap();
    });
    let transfer = DealParams::decode(&bytes).unwrap().transfer;
    assert_eq!((transfer.size, transfer.kind.as_str()), (0, "http"));
}

#[test]
fn unknown_values_of_every_kind_are_skipped() {
    let cid = crate::filecoin::cids::chain_cid(b"x").to_bytes();
    let bytes = map(3, |out| {
        out.str("Message").unwrap().str("here").unwrap();
        out.str("Extra").unwrap().array(9).unwrap();
        out.u64(u64::MAX).unwrap().i64(-1).unwrap();
        out.bytes(&[1; 300]).unwrap().str("Accepted").unwrap();
        out.bool(false).unwrap().null().unwrap();
        out.map(1).unwrap().u8(1).unwrap().array(0).unwrap();
        out.tag(Tag::new(42)).unwrap();
        out.bytes(&[&[0], &cid[..]].concat()).unwrap();
        out.tag(Tag::new(1000)).unwrap().u64(1).unwrap();
        out.str("Accepted").unwrap().bool(true).unwrap();
    });
    assert_eq!(DealResponse::decode(&bytes).unwrap(), response("here"));
}

#[test]
fn a_skipped_cid_must_be_one() {
    let with = |value: &[u8]| {
        map(1, |out| {
            out.str("Extra").unwrap().tag(Tag::new(42)).unwrap();
            out.bytes(value).unwrap();
        })
    };
    let cid = crate::filecoin::cids::chain_cid(b"x").to_bytes();
    assert!(DealResponse::decode(&with(&[&[0], &cid[..]].concat())).is_ok());
    // An identity CID of exactly 100 bytes, and of one more.
    let identity = |length: u8| [&[0, 1, 0x55, 0, length][..], &vec![7; length.into()]].concat();
    let check = |value: &[u8], fits: bool| {
        assert_eq!(
            DealResponse::decode(&with(value)).is_ok(),
            fits,
            "{value:?}"
        );
    };
    check(&identity(60), true);
    check(&cid, false);
    check(&[0], false);
    check(&[], false);
    check(&[0, 1, 0x55], false);
    check(&[&[0][..], &[0x01; 101]].concat(), false);
}

#[test]
fn texts_that_are_not_utf8_do_not_fail_the_message() {
    let bytes = hex("a2 67 4d657373616765 62 fffe 68 4163636570746564 f5");
    let read = DealResponse::decode(&bytes).unwrap();
    assert_eq!(read, response("\u{fffd}\u{fffd}"));
    // Neither does such a key.
    let bytes = hex("a2 62 fffe 01 68 4163636570746564 f5");
    assert_eq!(DealResponse::decode(&bytes).unwrap(), response(""));
}

#[test]
fn what_follows_a_message_is_not_read() {
    let mut bytes = params().encode();
    bytes.extend_from_slice(&[0xff; 10]);
    assert_eq!(DealParams::decode(&bytes).unwrap(), params());
}

#[test]
fn transports_must_be_all_there_is() {
    let bytes = Transports::default().encode();
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(Transports::decode(&longer), Err(WireError::Trailing));
    assert!(Transports::decode(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn keys_are_texts() {
    for broken in ["a1 01 01", "a1 44 4d697373 01", "a1 f6 01"] {
        assert!(DealResponse::decode(&hex(broken)).is_err(), "{broken}");
    }
}

#[test]
fn values_have_their_type() {
    let message = |value: &str| hex(&format!("a1 67 4d657373616765 {value}"));
    assert!(DealResponse::decode(&message("60")).is_ok());
    for broken in ["40", "00", "80", "a0", "f4", "f6"] {
        assert!(DealResponse::decode(&message(broken)).is_err(), "{broken}");
    }
    let accepted = |value: &str| hex(&format!("a1 68 4163636570746564 {value}"));
    for broken in ["00", "01", "f6", "f7", "f815", "f814", "60"] {
        assert!(DealResponse::decode(&accepted(broken)).is_err(), "{broken}");
    }
    let size = |value: &str| hex(&format!("a1 68 5472616e73666572 a1 64 53697a65 {value}"));
    assert!(DealParams::decode(&size("1bffffffffffffffff")).is_ok());
    for broken in [
        "20",
        "1805",
        "190017",
        "1a0000ffff",
        "1b00000000ffffffff",
        "c200",
        "f6",
    ] {
        assert!(DealParams::decode(&size(broken)).is_err(), "{broken}");
    }
}

#[test]
fn messages_are_maps_of_definite_length() {
    for broken in [
        "",
        "80",
        "82 f4 f4",
        "f6",
        "bf ff",
        "a1",
        "b8 00",
        "a1 67 4d65737361676560 ",
    ] {
        let broken = hex(broken.trim());
        let outcome = DealResponse::decode(&broken);
        // The last is whole and shows that the others fail for their own reasons.
        assert_eq!(outcome.is_ok(), broken.len() == 10, "{broken:?}");
    }
}

#[test]
fn nulls_stand_only_where_they_may() {
    let null = |key: &str| {
        map(1, |out| {
            out.str(key).unwrap().null().unwrap();
        })
    };
    for key in [
        "Transfer",
        "DealUUID",
        "IsOffline",
        "DealDataRoot",
        "ClientDealProposal",
    ] {
        assert!(DealParams::decode(&null(key)).is_err(), "{key}");
    }
    for (key, fits) in [
        ("DealStatus", true),
        ("Error", false),
        ("TransferSize", false),
    ] {
        assert_eq!(
            DealStatusResponse::decode(&null(key)).is_ok(),
            fits,
            "{key}"
        );
    }
    assert!(DealStatusRequest::decode(&null("Signature")).is_err());
}

#[test]
fn uuids_have_sixteen_bytes_of_any_value() {
    let with = |value: &[u8]| {
        map(1, |out| {
            out.str("DealUUID").unwrap().bytes(value).unwrap();
        })
    };
    assert!(DealParams::decode(&with(&[0; 16])).unwrap().uuid.is_nil());
    assert_eq!(
        DealParams::decode(&with(uuid().as_bytes())).unwrap().uuid,
        uuid()
    );
    for length in [0, 15, 17, 32] {
        assert!(DealParams::decode(&with(&vec![1; length])).is_err());
    }
}

#[test]
fn a_status_must_say_which_proposal_it_is_about() {
    let hollow = map(1, |out| {
        out.str("DealStatus").unwrap().map(0).unwrap();
    });
    assert_eq!(
        DealStatusResponse::decode(&hollow),
        Err(WireError::Field("Proposal"))
    );
}
