//! Sizes at and beyond their limits (spec boost-mk12 1.2).

use super::{params, signed};
use crate::filecoin::Label;
use crate::wire::{
    DealParams, DealResponse, DealStatusResponse, ItemLimits, MAX_PARAMS_BYTES, MAX_TEXT_BYTES,
    Transport, Transports, WireError,
};
use minicbor::Encoder;

fn response(message: String) -> DealResponse {
    DealResponse {
        accepted: false,
        message,
    }
}

#[test]
fn long_messages_are_cut_at_a_character() {
    let cut = |message: String| {
        let bytes = response(message).encode();
        DealResponse::decode(&bytes).unwrap().message
    };
    assert_eq!(cut("a".repeat(8192)), "a".repeat(8192));
    assert_eq!(cut("a".repeat(9000)), "a".repeat(8192));
    assert_eq!(cut("é".repeat(9000)), "é".repeat(4096));
    // One byte before, the last character would stand across the limit.
    assert_eq!(
        cut(format!("a{}", "é".repeat(9000))),
        format!("a{}", "é".repeat(4095))
    );
    assert_eq!(cut("\u{10348}".repeat(9000)), "\u{10348}".repeat(2048));
    let shifted = format!("aaa{}", "\u{10348}".repeat(9000));
    assert_eq!(cut(shifted).len(), 3 + 4 * 2047);
}

#[test]
fn every_text_of_a_status_is_cut() {
    let long = DealStatusResponse {
        error: "e".repeat(MAX_TEXT_BYTES + 1),
        ..DealStatusResponse::default()
    };
    let read = DealStatusResponse::decode(&long.encode()).unwrap();
    assert_eq!(read.error.len(), MAX_TEXT_BYTES);
}

#[test]
fn texts_are_read_up_to_their_limit() {
    let with = |length: usize| {
        let mut out = Encoder::new(Vec::new());
        out.map(1).unwrap().str("Message").unwrap();
        out.str(&"m".repeat(length)).unwrap();
        DealResponse::decode(&out.into_writer())
    };
    assert_eq!(with(MAX_TEXT_BYTES).unwrap().message.len(), MAX_TEXT_BYTES);
    assert_eq!(with(MAX_TEXT_BYTES + 1), Err(WireError::Field("Message")));
}

#[test]
fn keys_are_read_up_to_their_limit() {
    let with = |length: usize| {
        let mut out = Encoder::new(Vec::new());
        out.map(1).unwrap().str(&"k".repeat(length)).unwrap();
        out.u8(1).unwrap();
        DealResponse::decode(&out.into_writer()).is_ok()
    };
    assert!(with(8192));
    assert!(!with(8193));
}

#[test]
fn maps_have_8192_entries_at_most() {
    let with = |entries: u64| {
        let mut out = Encoder::new(Vec::new());
        out.map(entries).unwrap();
        for _ in 0..entries {
            out.str("k").unwrap().u8(1).unwrap();
        }
        DealResponse::decode(&out.into_writer()).is_ok()
    };
    assert!(with(8192));
    assert!(!with(8193));
}

#[test]
fn params_are_read_up_to_their_limit() {
    let mut large = params();
    large.transfer.params = vec![b' '; MAX_PARAMS_BYTES];
    assert_eq!(large.check_limits(), Ok(()));
    assert_eq!(DealParams::decode(&large.encode()).unwrap(), large);
    large.transfer.params.push(b' ');
    assert_eq!(large.check_limits(), Err(WireError::Field("Params")));
    assert!(DealParams::decode(&large.encode()).is_err());
}

#[test]
fn the_largest_message_fits_into_the_limit_of_a_request() {
    let mut large = params();
    large.transfer.params = vec![b' '; MAX_PARAMS_BYTES];
    large.transfer.kind = "t".repeat(MAX_TEXT_BYTES);
    large.transfer.client_id = "c".repeat(MAX_TEXT_BYTES);
    let mut proposal = signed();
    proposal.proposal.label = Label::Bytes(vec![0xff; 2 << 20]);
    large.proposal = Some(proposal);
    let bytes = large.encode();
    assert!((bytes.len() as u64) < ItemLimits::LARGE.total);
    assert_eq!(DealParams::decode(&bytes).unwrap(), large);
}

#[test]
fn texts_of_a_request_are_checked_before_they_are_sent() {
    let mut long = params();
    long.transfer.kind = "t".repeat(MAX_TEXT_BYTES + 1);
    assert_eq!(long.check_limits(), Err(WireError::Field("Type")));
    let mut long = params();
    long.transfer.client_id = "c".repeat(MAX_TEXT_BYTES + 1);
    assert_eq!(long.check_limits(), Err(WireError::Field("ClientID")));
}

#[test]
fn transports_have_bounded_parts() {
    let with = |ways: usize, addresses: usize, length: usize| {
        let way = Transport {
            name: "http".into(),
            addresses: vec![vec![4; length]; addresses],
        };
        Transports::decode(&Transports(vec![way; ways]).encode()).is_ok()
    };
    assert!(with(3, 1024, 1024));
    assert!(with(1024, 1, 1));
    assert!(!with(1025, 1, 1));
    assert!(!with(1, 1025, 1));
    assert!(!with(1, 1, 1025));
}

#[test]
fn a_declared_number_of_elements_allocates_nothing() {
    // 1024 ways are declared, none is there.
    let mut out = Encoder::new(Vec::new());
    out.map(1).unwrap().str("Protocols").unwrap();
    out.array(1024).unwrap();
    assert!(Transports::decode(&out.into_writer()).is_err());
}
