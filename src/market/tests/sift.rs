//! Which deals are left out of a message that fails with all of them.

use crate::chain::ChainError;
use crate::market::sift::{Sifted, TRIES_MAX, sift};
use std::collections::BTreeSet;

fn fails() -> ChainError {
    ChainError::WouldFail("exit 16".to_owned())
}

fn too_much() -> ChainError {
    ChainError::TooMuch("70000 bytes".to_owned())
}

/// Sifts, and counts how often a message was made. A message made is the list of its deals.
fn run(
    deals: usize,
    make: impl Fn(&[usize]) -> Result<(), ChainError>,
) -> (Result<Sifted<Vec<usize>>, ChainError>, u32) {
    let mut tries = 0;
    let sifted = sift(deals, |chosen| {
        tries += 1;
        make(chosen).map(|()| chosen.to_vec())
    });
    (sifted, tries)
}

/// Whatever comes out, each deal is in the message or left out, and in one of them only.
#[track_caller]
fn check_whole(deals: usize, sifted: &Sifted<Vec<usize>>) {
    let made = sifted.made.iter().flatten().copied();
    let left_out = sifted.left_out.iter().map(|(deal, _)| *deal);
    let mut all: Vec<usize> = made.chain(left_out).collect();
    all.sort_unstable();
    assert_eq!(all, (0..deals).collect::<Vec<_>>());
}

#[test]
fn a_message_without_fault_is_made_once() {
    let (sifted, tries) = run(8, |_| Ok(()));
    assert_eq!(tries, 1);
    assert_eq!(sifted.unwrap().made, Some((0..8).collect()));
}

#[test]
fn each_culprit_is_found_wherever_it_stands_with_few_tries() {
    for deals in 1..=20 {
        for culprit in 0..deals {
            let (sifted, tries) = run(deals, |chosen| {
                if chosen.contains(&culprit) {
                    Err(fails())
                } else {
                    Ok(())
                }
            });
            let sifted = sifted.unwrap();
            check_whole(deals, &sifted);
            assert_eq!(sifted.left_out, [(culprit, Some(fails()))]);
            // The whole, the halving, the culprit alone, the rest.
            let most = 3 + usize::BITS - deals.leading_zeros();
            assert!(tries <= most, "{culprit} of {deals}: {tries}");
        }
    }
}

#[test]
fn several_culprits_leave_one_message() {
    let culprits = [1, 4, 6];
    let (sifted, _) = run(8, |chosen| {
        if culprits.iter().any(|culprit| chosen.contains(culprit)) {
            Err(fails())
        } else {
            Ok(())
        }
    });
    let sifted = sifted.unwrap();
    check_whole(8, &sifted);
    assert_eq!(sifted.made, Some(vec![0, 2, 3, 5, 7]));
    assert!(sifted.left_out.iter().all(|(_, why)| why.is_some()));
}

#[test]
fn what_fails_with_others_only_goes_with_another_message() {
    // Two that do not go together: each would alone.
    let (sifted, _) = run(5, |chosen| {
        if chosen.contains(&1) && chosen.contains(&3) {
            Err(fails())
        } else {
            Ok(())
        }
    });
    let sifted = sifted.unwrap();
    assert_eq!(sifted.left_out, [(3, None)]);
    assert_eq!(sifted.made, Some(vec![0, 1, 2, 4]));
}

#[test]
fn what_is_too_large_is_cut_and_what_is_too_large_alone_waits() {
    let (sifted, tries) = run(20, |chosen| {
        if chosen.len() > 7 {
            Err(too_much())
        } else {
            Ok(())
        }
    });
    let sifted = sifted.unwrap();
    check_whole(20, &sifted);
    assert_eq!(sifted.made, Some((0..7).collect()), "as many as fit");
    assert!(sifted.left_out.iter().all(|(_, why)| why.is_none()));
    assert!(tries <= 6, "{tries}");
    let (sifted, _) = run(3, |chosen| {
        if chosen.contains(&0) {
            Err(too_much())
        } else {
            Ok(())
        }
    });
    let sifted = sifted.unwrap();
    assert_eq!(sifted.left_out, [(0, Some(too_much()))]);
    assert_eq!(sifted.made, Some(vec![1, 2]));
}

#[test]
fn nothing_remains_of_bad_deals_and_nobody_tries_for_ever() {
    for deals in [1, 2, 8, 256] {
        let mut waiting = deals;
        let mut rounds = 0;
        while waiting > 0 {
            let (sifted, tries) = run(waiting, |_| Err(fails()));
            let sifted = sifted.unwrap();
            check_whole(waiting, &sifted);
            assert_eq!(sifted.made, None);
            let parked = sifted.left_out.iter().filter(|(_, why)| why.is_some());
            let parked = parked.count();
            assert!(parked > 0, "each round gets on");
            assert!(tries <= TRIES_MAX + 10, "{tries}");
            waiting -= parked;
            rounds += 1;
        }
        assert!(rounds <= deals);
    }
    // With many culprits what is known to go together is sent.
    let (sifted, tries) = run(256, |chosen| {
        if chosen.iter().any(|deal| deal % 5 == 4) {
            Err(fails())
        } else {
            Ok(())
        }
    });
    let sifted = sifted.unwrap();
    check_whole(256, &sifted);
    let made: BTreeSet<usize> = sifted.made.unwrap().into_iter().collect();
    assert!(!made.is_empty() && made.iter().all(|deal| deal % 5 != 4));
    assert!(tries <= TRIES_MAX + 10, "{tries}");
}

#[test]
fn trouble_that_is_not_of_the_deals_ends_it() {
    for error in [
        ChainError::Unreachable("away".to_owned()),
        ChainError::Fee("base fee".to_owned()),
        ChainError::NoSender("no key".to_owned()),
    ] {
        let (sifted, tries) = run(8, |_| Err(error.clone()));
        assert_eq!((sifted, tries), (Err(error.clone()), 1));
        let (sifted, _) = run(8, |chosen| {
            Err(if chosen.len() == 8 {
                fails()
            } else {
                error.clone()
            })
        });
        assert_eq!(sifted, Err(error), "in the middle too");
    }
}
