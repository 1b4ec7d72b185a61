//! Names and numbers of checkpoints are on the wire and in the file: they never change.

use crate::deal::Checkpoint;
use crate::deal::checkpoint::ALL;

const NAMES: [&str; 7] = [
    "Accepted",
    "Transferred",
    "Published",
    "PublishConfirmed",
    "AddedPiece",
    "IndexedAndAnnounced",
    "Complete",
];

#[test]
fn names_and_numbers_are_the_reference_s() {
    for ((checkpoint, name), number) in ALL.into_iter().zip(NAMES).zip(0_u8..) {
        assert_eq!(checkpoint.name(), name);
        assert_eq!(checkpoint.to_string(), name);
        assert_eq!(checkpoint.number(), number);
        assert_eq!(Checkpoint::from_number(number), Some(checkpoint));
        assert_eq!(Checkpoint::from_name(name), Some(checkpoint));
        let lower = name.to_ascii_lowercase();
        assert_eq!(Checkpoint::from_name(&lower), Some(checkpoint));
    }
}

#[test]
fn what_is_unknown_is_none() {
    assert_eq!(Checkpoint::from_number(7), None);
    assert_eq!(Checkpoint::from_number(255), None);
    assert_eq!(Checkpoint::from_name(""), None);
    assert_eq!(Checkpoint::from_name("Accepted "), None);
}

#[test]
fn the_order_is_the_way_of_a_deal() {
    assert!(ALL.windows(2).all(|pair| pair[0] < pair[1]));
}
