//! When a stream is answered and when it ends: cases 22 to 25 and 34.

use super::{ASK, MK_1_2_0, MK_1_2_1, Provider, SOON, STATUS, TRANSPORTS, proposal};
use crate::raw_client::message::{self, array, bytes, map, text};
use crate::raw_client::{Connection, End, exchange, open, run};
use futures::AsyncWriteExt;
use std::time::{Duration, Instant};

#[test]
fn edge_22_what_follows_the_request_is_ignored() {
    let provider = Provider::start();
    for garbage in [&b"\xff"[..], &[0; 10_000], &proposal().seven()] {
        let request = [&proposal().seven(), garbage].concat();
        provider.answers(MK_1_2_1, &request);
    }
    let request = [&message::ask_request(&[0, 1]), &b"\xff\xff"[..]].concat();
    let (answer, end) = run(exchange(provider.address, ASK, &request, SOON));
    assert_eq!((answer, end), (b"\xa1\x63Ask\xf6".to_vec(), End::Eof));
}

#[test]
fn edge_23_half_a_request_is_closed_after_ten_seconds() {
    let provider = Provider::start();
    let begun = Instant::now();
    let request = proposal().seven();
    let half = &request[..request.len() / 2];
    let late = Duration::from_secs(40);
    let outcome = run(exchange(provider.address, MK_1_2_1, half, late));
    assert_eq!(outcome, (Vec::new(), End::Eof));
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(9), "{took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn edges_24_25_the_client_may_close_its_side_or_not() {
    let provider = Provider::start();
    for closes in [true, false] {
        let (answer, end) = run(async {
            let (_connection, mut stream) = open(provider.address, MK_1_2_1).await.unwrap();
            stream.write(&proposal().seven()).await.unwrap();
            if closes {
                stream.half_close().await.unwrap();
            }
            stream.read_to_end(SOON).await
        });
        assert_eq!(answer, message::deal_response(true, ""));
        assert_eq!(end, End::Eof);
    }
}

#[test]
fn a_request_in_single_bytes_is_answered_at_its_last() {
    let provider = Provider::start();
    let (answer, end) = run(async {
        let (_connection, mut stream) = open(provider.address, MK_1_2_0).await.unwrap();
        for byte in proposal().seven() {
            stream.write(&[byte]).await.unwrap();
        }
        stream.read_to_end(SOON).await
    });
    assert_eq!(answer, message::deal_response(true, ""));
    assert_eq!(end, End::Eof);
}

#[test]
fn a_stream_without_a_request_ends_without_an_answer() {
    let provider = Provider::start();
    for protocol in [MK_1_2_1, MK_1_2_0, STATUS, ASK] {
        let (answer, end) = run(async {
            let (_connection, mut stream) = open(provider.address, protocol).await.unwrap();
            stream.half_close().await.unwrap();
            stream.read_to_end(SOON).await
        });
        assert_eq!((answer, end), (Vec::new(), End::Eof), "{protocol}");
    }
}

#[test]
fn edge_34_transports_are_written_at_once_and_closed() {
    let provider = Provider::start();
    let (answer, end) = run(async {
        let (_connection, mut stream) = open(provider.address, TRANSPORTS).await.unwrap();
        stream.read_to_end(SOON).await
    });
    let ways = array(&[map(&[
        ("Name", text("http")),
        ("Addresses", array(&[bytes(&[4, 1, 2, 3, 4, 6, 4, 0xd2])])),
    ])]);
    assert_eq!((answer, end), (map(&[("Protocols", ways)]), End::Eof));
}

#[test]
fn more_than_any_message_may_hold_is_reset() {
    let provider = Provider::start();
    let huge = proposal().seven_with("Transfer", bytes(&vec![0; 6 << 20]));
    let (answer, end) = run(exchange(provider.address, MK_1_2_1, &huge, SOON));
    assert_eq!((answer, end), (Vec::new(), End::Reset));
    let large = message::status_request([1; 16], &vec![0; 100_000]);
    let (answer, end) = run(exchange(provider.address, STATUS, &large, SOON));
    assert_eq!((answer, end), (Vec::new(), End::Reset));
    provider.answers(MK_1_2_1, &proposal().seven());
}

#[test]
fn streams_beyond_the_limit_are_reset_and_the_rest_answered() {
    let provider = Provider::start();
    run(async {
        let connection = Connection::new(provider.address).await.unwrap();
        let mut open = Vec::new();
        let mut refused = 0;
        for _ in 0..70 {
            match connection.open(MK_1_2_1).await {
                Ok(mut stream) => match stream.write(&[0xa1]).await {
                    Ok(()) => open.push(stream),
                    Err(_) => refused += 1,
                },
                Err(_) => refused += 1,
            }
        }
        // The connection goes on: once the idle ones are over, the next is served.
        let reads = open
            .iter_mut()
            .map(|stream| stream.read_to_end(Duration::from_secs(40)));
        for (answer, end) in futures::future::join_all(reads).await {
            assert!(answer.is_empty());
            refused += usize::from(end == End::Reset);
        }
        assert!((1..=10).contains(&refused), "{refused}");
        let mut stream = connection.open(MK_1_2_1).await.unwrap();
        stream.write(&proposal().seven()).await.unwrap();
        let (answer, _) = stream.read_to_end(SOON).await;
        assert_eq!(answer, message::deal_response(true, ""));
    });
}

#[test]
fn stalled_large_requests_do_not_stop_small_ones() {
    let provider = Provider::start();
    run(async {
        let connection = Connection::new(provider.address).await.unwrap();
        let large = proposal().with_transfer("Params", bytes(&vec![b' '; 2 << 20]));
        let mut stalled = Vec::new();
        for _ in 0..6 {
            let mut stream = connection.open(MK_1_2_1).await.unwrap();
            stream.write(&large.seven()[..100_000]).await.unwrap();
            stalled.push(stream);
        }
        let begun = Instant::now();
        for _ in 0..10 {
            let mut stream = connection.open(MK_1_2_1).await.unwrap();
            stream.write(&proposal().seven()).await.unwrap();
            let (answer, end) = stream.read_to_end(SOON).await;
            assert_eq!(answer, message::deal_response(true, ""));
            assert_eq!(end, End::Eof);
        }
        assert!(begun.elapsed() < Duration::from_secs(9));
        // All end at their deadline, those that waited for their turn too.
        let late = Duration::from_secs(40);
        let reads = stalled.iter_mut().map(|stream| stream.read_to_end(late));
        for outcome in futures::future::join_all(reads).await {
            assert_eq!(outcome, (Vec::new(), End::Eof));
        }
        let mut stream = connection.open(MK_1_2_1).await.unwrap();
        stream.write(&large.seven()).await.unwrap();
        let (answer, _) = stream.read_to_end(SOON).await;
        assert_eq!(answer, message::deal_response(true, ""));
    });
}

#[test]
fn streams_that_never_say_what_they_are_for_are_given_up() {
    let provider = Provider::start();
    run(async {
        let hostile = Connection::new(provider.address).await.unwrap();
        let mut bare = Vec::new();
        for _ in 0..100 {
            let mut stream = hostile.open_bare().await.unwrap();
            // A part of the negotiation's first line.
            stream.write_all(b"\x13/multi").await.unwrap();
            stream.flush().await.unwrap();
            bare.push(stream);
        }
        // Another connection does not notice.
        provider.answers(MK_1_2_1, &proposal().seven());
        // On the same one there is room again after the deadline.
        let mut stream = hostile.open(MK_1_2_1).await.unwrap();
        stream.write(&proposal().seven()).await.unwrap();
        let (answer, _) = stream.read_to_end(SOON).await;
        assert_eq!(answer, message::deal_response(true, ""));
    });
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    let provider = Provider::start();
    run(async {
        for round in 0..135 {
            let (connection, mut stream) = open(provider.address, MK_1_2_1).await.unwrap();
            let request = proposal().seven();
            let part = if round % 2 == 0 { request.len() } else { 50 };
            stream.write(&request[..part]).await.unwrap();
            drop(stream);
            drop(connection);
        }
    });
    // That were more connections, and more streams, than may be there at once.
    while provider.proposals.try_recv().is_ok() {}
    provider.answers(MK_1_2_1, &proposal().seven());
}
