//! Taking one item off a stream: when it is complete, and when it is not.

use super::params;
use crate::wire::{DealResponse, ItemLimits, ItemReader, WireError, read_item};
use futures::AsyncRead;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a stream does at a read.
#[derive(Debug, Clone)]
enum Step {
    Bytes(Vec<u8>),
    Fail(io::ErrorKind),
    End,
}

/// A stream that does these steps and then, instead of ending, must not be read again.
struct Script(VecDeque<Step>);

impl Script {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        space: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(match self.0.pop_front().expect("a read beyond the item") {
            Step::Bytes(mut bytes) => {
                let count = bytes.len().min(space.len());
                space[..count].copy_from_slice(&bytes[..count]);
                let rest = bytes.split_off(count);
                if !rest.is_empty() {
                    self.0.push_front(Step::Bytes(rest));
                }
                Ok(count)
            }
            Step::Fail(kind) => Err(kind.into()),
            Step::End => Ok(0),
        })
    }
}

fn read(limits: ItemLimits, steps: impl IntoIterator<Item = Step>) -> Result<Vec<u8>, WireError> {
    smol::block_on(read_item(&mut Script::new(steps), limits))
}

#[test]
fn an_item_is_complete_at_its_last_byte() {
    let bytes = params().encode();
    for size in [1, 2, 7, 64, bytes.len()] {
        let steps = bytes.chunks(size).map(|part| Step::Bytes(part.to_vec()));
        assert_eq!(
            read(ItemLimits::SMALL, steps).unwrap(),
            bytes,
            "in parts of {size}"
        );
    }
}

#[test]
fn bytes_that_come_along_do_not_hurt() {
    let bytes = DealResponse {
        accepted: true,
        message: String::new(),
    }
    .encode();
    let longer = [&bytes[..], &[0xff; 9]].concat();
    let item = read(ItemLimits::SMALL, [Step::Bytes(longer)]).unwrap();
    assert!(item.starts_with(&bytes));
    assert!(DealResponse::decode(&item).unwrap().accepted);
}

#[test]
fn an_end_inside_an_item_says_how_far_it_came() {
    let bytes = params().encode();
    let half = Step::Bytes(bytes[..100].to_vec());
    assert_eq!(
        read(ItemLimits::SMALL, [half, Step::End]),
        Err(WireError::Ended { after: 100 })
    );
    assert_eq!(
        read(ItemLimits::SMALL, [Step::End]),
        Err(WireError::Ended { after: 0 })
    );
}

#[test]
fn interruptions_are_not_failures_and_failures_are() {
    let bytes = params().encode();
    let steps = [
        Step::Fail(io::ErrorKind::Interrupted),
        Step::Bytes(bytes.clone()),
    ];
    assert_eq!(read(ItemLimits::SMALL, steps).unwrap(), bytes);
    assert_eq!(
        read(
            ItemLimits::SMALL,
            [Step::Fail(io::ErrorKind::ConnectionReset)]
        ),
        Err(WireError::Io(io::ErrorKind::ConnectionReset))
    );
}

#[test]
fn malformed_bytes_are_found_before_the_rest_comes() {
    for first in [0x1c, 0x5f, 0x7f, 0x9f, 0xbf, 0xff] {
        let outcome = read(ItemLimits::SMALL, [Step::Bytes(vec![first])]);
        assert!(
            matches!(outcome, Err(WireError::Cbor(_))),
            "{first:#x}: {outcome:?}"
        );
    }
}

#[test]
fn items_up_to_the_limit_are_read_and_no_byte_more() {
    // A byte string of 300 bytes has a header of 3.
    let item = [&[0x59, 0x01, 0x2c][..], &[7; 300]].concat();
    let fits = ItemLimits { total: 303 };
    assert_eq!(read(fits, [Step::Bytes(item.clone())]).unwrap(), item);
    let short = ItemLimits { total: 302 };
    assert_eq!(
        read(short, [Step::Bytes(item)]),
        Err(WireError::TooLarge(302))
    );
}

#[test]
fn reading_goes_on_beyond_a_first_limit() {
    let mut large = params();
    large.transfer.params = vec![b' '; 100_000];
    let bytes = large.encode();
    let mut stream = Script::new([Step::Bytes(bytes.clone())]);
    let mut reader = ItemReader::new();
    let first = ItemLimits { total: 1000 };
    let outcome = smol::block_on(reader.read(&mut stream, first));
    assert_eq!(outcome, Err(WireError::TooLarge(1000)));
    smol::block_on(reader.read(&mut stream, ItemLimits::LARGE)).unwrap();
    assert_eq!(reader.into_bytes(), bytes);
}
