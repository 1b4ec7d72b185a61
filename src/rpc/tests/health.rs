//! The circuit breaker, with a clock of its own.

use crate::rpc::health::{Fitness, Health, LAG_MAX};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_server_that_failed_rests_longer_each_time_up_to_a_bound() {
    let begin = Instant::now();
    let mut health = Health::new(2);
    let mut rests = Vec::new();
    for _ in 0..40 {
        rests.push(health.failed(0, false, begin, begin).unwrap().as_secs());
    }
    assert_eq!(rests[..6], [5, 10, 20, 40, 80, 120]);
    assert!(rests[6..].iter().all(|rest| *rest == 120));
    assert_eq!(
        health.order(begin),
        [(1, Fitness::Good), (0, Fitness::Rests)]
    );
    let later = begin + seconds(120);
    assert_eq!(
        health.order(later),
        [(1, Fitness::Good), (0, Fitness::Recovering)]
    );
    assert!(health.good(0, later), "it had failed before");
    assert!(!health.good(0, later));
    assert_eq!(
        health.order(later),
        [(0, Fitness::Good), (1, Fitness::Good)]
    );
    assert_eq!(health.failed(0, false, later, later), Some(seconds(5)));
}

#[test]
fn one_call_at_a_time_tries_a_server_that_hangs() {
    let begin = Instant::now();
    let mut health = Health::new(1);
    assert!(health.begin(0, true, PATIENCE, begin) && health.begin(0, true, PATIENCE, begin));
    health.failed(0, true, begin, begin);
    assert!(health.begin(0, true, PATIENCE, begin));
    assert!(!health.begin(0, true, PATIENCE, begin + seconds(29)));
    assert!(
        health.begin(0, true, PATIENCE, begin + seconds(30)),
        "a trial that never ends does not keep the others out for ever"
    );
    health.good(0, begin + seconds(31));
    assert!(health.begin(0, true, PATIENCE, begin + seconds(31)));
    assert!(health.begin(0, true, PATIENCE, begin + seconds(31)));
    assert!(!health.begin(7, true, PATIENCE, begin), "no such server");
}

#[test]
fn what_fails_at_once_needs_no_guard_when_there_is_no_other() {
    let begin = Instant::now();
    let mut health = Health::new(2);
    health.failed(0, false, begin, begin);
    assert!(health.begin(0, true, PATIENCE, begin) && health.begin(0, true, PATIENCE, begin));
    assert!(health.begin(0, false, PATIENCE, begin));
    assert!(!health.begin(0, false, PATIENCE, begin));
}

#[test]
fn a_call_that_took_too_long_while_others_were_answered_is_no_failure_of_the_server() {
    let begin = Instant::now();
    let mut health = Health::new(1);
    health.good(0, begin + seconds(3));
    assert_eq!(
        health.failed(0, true, begin, begin + seconds(30)),
        None,
        "a search of minutes on a small node"
    );
    assert_eq!(health.order(begin)[0].1, Fitness::Good);
    let broken = health.failed(0, false, begin, begin + seconds(30));
    assert!(
        broken.is_some(),
        "a connection that breaks is another matter"
    );
}

#[test]
fn a_node_with_an_old_head_comes_after_the_others() {
    let now = Instant::now();
    let mut health = Health::new(3);
    assert!(health.head(0, 1_000).is_empty());
    // Nobody lags behind the only one that is known.
    assert_eq!(health.order(now)[0], (0, Fitness::Good));
    assert!(health.head(1, 1_000 + LAG_MAX.as_secs()).is_empty());
    assert_eq!(
        health.head(1, 1_001 + LAG_MAX.as_secs()),
        [(0, true)],
        "said once"
    );
    assert!(health.head(1, 1_001 + LAG_MAX.as_secs()).is_empty());
    assert_eq!(
        health.order(now),
        [(1, Fitness::Good), (2, Fitness::Good), (0, Fitness::Lags)]
    );
    // Better a lagging one than one that rests.
    health.failed(1, true, now, now);
    health.failed(2, true, now, now);
    assert_eq!(health.order(now)[0], (0, Fitness::Lags));
    assert_eq!(health.head(0, 2_000), [(0, false), (1, true)]);
}
