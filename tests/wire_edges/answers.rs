//! The bytes of answers: cases 26, 27 and 32.

use super::{ASK, LONG_REASON, MK_1_2_1, Provider, SOON, STATUS, proposal};
use crate::raw_client::message::{self, FALSE, NULL, bytes, map, text, uint};
use crate::raw_client::{End, exchange, run};

#[test]
fn edge_26_a_long_reason_is_cut_and_well_formed() {
    let provider = Provider::start();
    let mut long = proposal();
    long.uuid = bytes(&[LONG_REASON; 16]);
    let request = long.seven();
    let (answer, end) = run(exchange(provider.address, MK_1_2_1, &request, SOON));
    assert_eq!(end, End::Eof);
    assert_eq!(answer, message::deal_response(false, &"é".repeat(4096)));
}

#[test]
fn edge_27_an_answer_has_message_before_accepted() {
    let provider = Provider::start();
    let (answer, _) = run(exchange(
        provider.address,
        MK_1_2_1,
        &proposal().seven(),
        SOON,
    ));
    assert_eq!(answer, b"\xa2\x67Message\x60\x68Accepted\xf5");
}

#[test]
fn status_is_answered_in_the_order_of_the_vectors() {
    let provider = Provider::start();
    let uuid = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
    let request = message::status_request(uuid, &[1; 66]);
    let (answer, end) = run(exchange(provider.address, STATUS, &request, SOON));
    let expected = map(&[
        ("Error", text("x")),
        ("DealUUID", bytes(&uuid)),
        ("IsOffline", FALSE.to_vec()),
        ("DealStatus", NULL.to_vec()),
        ("TransferSize", uint(0)),
        ("NBytesReceived", uint(0)),
    ]);
    assert_eq!((answer, end), (expected, End::Eof));
    let unsigned = message::status_request(uuid, &[]);
    let outcome = run(exchange(provider.address, STATUS, &unsigned, SOON));
    assert_eq!(outcome, (Vec::new(), End::Eof));
}

#[test]
fn edge_32_an_ask_without_an_answer_is_null() {
    let provider = Provider::start();
    let outcome = |request: &[u8]| run(exchange(provider.address, ASK, request, SOON));
    let null = (vec![0xa1, 0x63, b'A', b's', b'k', 0xf6], End::Eof);
    assert_eq!(
        outcome(&message::ask_request(&message::id_address(2000))),
        null
    );
    // A missing miner is nobody's address; an empty one is malformed.
    assert_eq!(outcome(&map(&[])), null);
    assert_eq!(outcome(&message::ask_request(&[])), (Vec::new(), End::Eof));
}
