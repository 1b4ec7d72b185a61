//! Defaults and backoff.

use super::samples::atto;
use crate::deal::Terms;

#[test]
fn defaults_are_the_reference_s() {
    let terms = Terms::default();
    assert_eq!(terms.seal_duration, 2_880, "24 h");
    assert_eq!(terms.start_delay_max, 40_320, "14 days");
    assert_eq!(terms.sealing_buffer, 480, "4 h");
    assert_eq!(terms.deals_per_message, 8);
    assert_eq!(terms.publish_fee_max, atto(50_000_000_000_000_000_i64));
    assert_eq!(terms.confidence, Some(10));
}

#[test]
fn waits_double_up_to_the_longest() {
    let terms = Terms::default();
    let waits: Vec<u64> = (0..=9).map(|tries| terms.backoff(tries, 0)).collect();
    let seconds = [5, 5, 10, 20, 40, 80, 160, 320, 600, 600];
    assert_eq!(waits, seconds.map(|seconds| seconds * 1_000));
    assert_eq!(terms.backoff(u32::MAX, 0), 600_000);
}

#[test]
fn waits_are_spread_by_less_than_a_quarter() {
    let terms = Terms::default();
    for tries in 1..=20 {
        let shortest = terms.backoff(tries, 0);
        let mut last = shortest;
        for salt in 1..=u8::MAX {
            let wait = terms.backoff(tries, salt);
            assert!(wait >= last, "grows with the salt");
            last = wait;
        }
        assert!(last > shortest, "is spread at all");
        assert!(
            last < shortest + shortest / 4 + 1,
            "{last} after {shortest}"
        );
    }
}

#[test]
fn absurd_settings_do_not_overflow() {
    let terms = Terms {
        retry_first: u64::MAX,
        retry_max: u64::MAX,
        ..Terms::default()
    };
    assert_eq!(terms.backoff(30, 255), u64::MAX);
}
