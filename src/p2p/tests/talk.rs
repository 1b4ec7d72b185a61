//! What is said on a stream, without any network: both ends are in memory.

use super::answer;
use crate::p2p::protocol::{Desk, ask, propose, serve, served, status, transports};
use crate::p2p::{Inbound, P2pError};
use crate::wire::{AskRequest, DealResponse, WireError};
use futures::future::join;
use futures::{AsyncRead, AsyncWrite};
use libp2p::PeerId;
use smol::channel::{Receiver, bounded};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream that gives these bytes and takes what is written.
#[derive(Debug, Default)]
struct Tape {
    input: VecDeque<u8>,
    output: Vec<u8>,
    closed: bool,
    /// What happens after the input: an end, or nothing ever.
    ends: bool,
}

impl Tape {
    fn of(input: &[u8], ends: bool) -> Self {
        Self {
            input: input.iter().copied().collect(),
            ends,
            ..Self::default()
        }
    }
}

impl AsyncRead for &mut Tape {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        space: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let count = space.len().min(self.input.len());
        if count == 0 && !self.ends {
            return Poll::Pending;
        }
        for (byte, given) in space.iter_mut().zip(self.input.drain(..count)) {
            *byte = given;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for &mut Tape {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.closed, "written after closing");
        self.output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

fn desk() -> (Desk, Receiver<Inbound>) {
    let (inbound, asked) = bounded(4);
    (Desk::new(inbound), asked)
}

/// Serves one tape and answers what comes of it.
fn served_with_answer(tape: &mut Tape, protocol: &'static str) -> usize {
    let (desk, asked) = desk();
    let protocol = libp2p::StreamProtocol::new(protocol);
    let serving = async move { serve(tape, protocol, PeerId::random(), desk).await };
    let answering = async {
        let mut count = 0;
        while let Ok(asked) = asked.recv().await {
            answer(asked);
            count += 1;
        }
        count
    };
    smol::block_on(join(serving, answering)).1
}

#[test]
fn five_protocols_are_served() {
    let names: Vec<String> = served().iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "/fil/storage/mk/1.2.1",
            "/fil/storage/mk/1.2.0",
            "/fil/storage/status/1.2.0",
            "/fil/storage/ask/1.1.0",
            "/fil/retrieval/transports/1.0.0",
        ]
    );
    assert_eq!(propose::PROTOCOLS[..], served()[..2]);
    assert_eq!(
        [status::PROTOCOL, ask::PROTOCOL, transports::PROTOCOL],
        served()[2..]
    );
}

#[test]
fn an_answer_closes_the_stream_and_the_end_is_not_waited_for() {
    for ends in [true, false] {
        let mut tape = Tape::of(&super::params(true).encode(), ends);
        assert_eq!(served_with_answer(&mut tape, "/fil/storage/mk/1.2.0"), 1);
        assert!(tape.closed);
        assert!(DealResponse::decode(&tape.output).unwrap().accepted);
    }
}

#[test]
fn malformed_requests_close_the_stream_unanswered() {
    for protocol in [
        "/fil/storage/mk/1.2.1",
        "/fil/storage/status/1.2.0",
        "/fil/storage/ask/1.1.0",
    ] {
        for malformed in [&[0xff][..], &[0x80], &[0xbf, 0xff], &[0xa1, 0x01, 0x01]] {
            let mut tape = Tape::of(malformed, false);
            assert_eq!(served_with_answer(&mut tape, protocol), 0);
            assert!(
                tape.closed && tape.output.is_empty(),
                "{protocol} {malformed:?}"
            );
        }
    }
}

#[test]
fn what_is_too_large_is_dropped_without_closing() {
    // A byte string of 2^32 bytes is declared; the stream is then dropped, which resets it.
    let mut tape = Tape::of(&[0x5b, 0, 0, 0, 1, 0, 0, 0, 0], false);
    assert_eq!(served_with_answer(&mut tape, "/fil/storage/mk/1.2.1"), 0);
    assert!(!tape.closed && tape.output.is_empty());
}

#[test]
fn an_ask_for_nobody_is_answered_without_asking_anybody() {
    let mut tape = Tape::of(&AskRequest { miner: None }.encode(), false);
    assert_eq!(served_with_answer(&mut tape, "/fil/storage/ask/1.1.0"), 0);
    assert_eq!(tape.output, b"\xa1\x63Ask\xf6");
    assert!(tape.closed);
}

#[test]
fn transports_are_written_before_anything_is_read() {
    let mut tape = Tape::of(&[], false);
    assert_eq!(
        served_with_answer(&mut tape, "/fil/retrieval/transports/1.0.0"),
        1
    );
    assert!(tape.closed && tape.output.starts_with(b"\xa1\x69Protocols\x81"));
}

#[test]
fn a_client_takes_an_answer_without_waiting_for_the_end() {
    let response = DealResponse {
        accepted: false,
        message: "no".into(),
    };
    let mut tape = Tape::of(&response.encode(), false);
    let answer = smol::block_on(propose::request(&mut tape, &super::params(false)));
    assert_eq!(answer.unwrap(), response);
    assert_eq!(tape.output, super::params(false).encode());
}

#[test]
fn a_client_tells_no_answer_from_half_an_answer() {
    let half = &DealResponse {
        accepted: true,
        message: "yes".into(),
    }
    .encode()[..5];
    let request = |input: &[u8]| {
        let mut tape = Tape::of(input, true);
        smol::block_on(propose::request(&mut tape, &super::params(false)))
    };
    assert!(matches!(request(&[]), Err(P2pError::NoAnswer)));
    assert!(matches!(
        request(half),
        Err(P2pError::Answer(WireError::Ended { after: 5 }))
    ));
    assert!(matches!(
        request(&[0xff; 4]),
        Err(P2pError::Answer(WireError::Cbor(_)))
    ));
}

#[test]
fn a_client_of_transports_wants_one_item_and_the_end() {
    let request = |input: &[u8]| {
        let mut tape = Tape::of(input, true);
        let outcome = smol::block_on(transports::request(&mut tape));
        assert!(tape.output.is_empty(), "nothing is asked");
        outcome
    };
    assert!(request(b"\xa1\x69Protocols\x80").unwrap().0.is_empty());
    assert!(matches!(request(b""), Err(P2pError::NoAnswer)));
    assert!(matches!(
        request(b"\xa1\x69Protocols\x80\x00"),
        Err(P2pError::Answer(WireError::Trailing))
    ));
    assert!(matches!(
        request(b"\xa1\x69Protocols"),
        Err(P2pError::Answer(WireError::Cbor(_)))
    ));
    assert!(matches!(
        request(&vec![0; 65_537]),
        Err(P2pError::Answer(WireError::TooLarge(65_536)))
    ));
}
