//! How failures are met (spec boost-mk12 4.5, with `auto` meaning what it says).

use super::samples::{NOW, at, matching, play, resting, running};
use crate::deal::ledger::holds_funds;
use crate::deal::record::Hold;
use crate::deal::step::{Class, Effect, Event, Live, Pass, Setback, Verb, WAIT_ASKED_MAX, step};
use crate::deal::{Checkpoint, Import, Terms};
use crate::filecoin::cids;

/// A failure of the work of each checkpoint that has any.
fn failures(setback: &Setback) -> Vec<(Checkpoint, Event)> {
    vec![
        (Checkpoint::Accepted, Event::PassFailed(setback.clone())),
        (
            Checkpoint::Transferred,
            Event::PublishFailed {
                setback: setback.clone(),
                unsent: true,
            },
        ),
        (
            Checkpoint::PublishConfirmed,
            Event::AddPieceFailed(setback.clone()),
        ),
        (Checkpoint::AddedPiece, Event::IndexFailed(setback.clone())),
    ]
}

#[track_caller]
fn check(class: Class, after: impl Fn(Checkpoint, &Live, &str)) {
    for (checkpoint, event) in failures(&Setback::new(class, "why")) {
        let mut live = running(checkpoint);
        let shown = play(&mut live, event);
        assert_eq!(live.busy, None, "{class:?} at {checkpoint}");
        after(checkpoint, &live, &shown);
    }
}

#[test]
fn what_goes_away_by_itself_is_tried_again() {
    check(Class::Auto, |checkpoint, live, shown| {
        let expected = format!("{checkpoint} until +5004 → WakeUp(+5004): why");
        assert_eq!(shown, expected);
        assert_eq!(live.deal.tries, 1);
    });
}

#[test]
fn what_needs_the_operator_waits_for_him() {
    check(Class::Manual, |checkpoint, live, shown| {
        assert_eq!(shown, format!("{checkpoint} waits: why"));
        assert_eq!(live.deal.hold, Hold::Manual);
    });
}

#[test]
fn what_cannot_be_helped_ends_the_deal() {
    check(Class::Fatal, |_, live, shown| {
        assert_eq!(shown, "Complete → DropStaging: why");
        assert!(live.deal.ended());
    });
}

#[test]
fn a_stop_leaves_no_trace() {
    check(Class::Stopped, |checkpoint, live, shown| {
        // A dissolved order is the only thing that may be stored.
        if checkpoint == Checkpoint::Transferred {
            assert_eq!(shown, "Transferred");
        } else {
            assert_eq!(shown, "-");
            assert_eq!(live.deal, at(checkpoint));
        }
    });
}

#[test]
fn a_wait_doubles_until_something_is_achieved() {
    let mut live = running(Checkpoint::Accepted);
    let mut waits = Vec::new();
    for progress in [false, false, false, true, false] {
        let setback = Setback {
            progress,
            ..Setback::new(Class::Auto, "cut off")
        };
        live.busy = Some(Effect::StartPass);
        play(&mut live, Event::PassFailed(setback));
        let Hold::Auto { until } = live.deal.hold else {
            panic!("{:?}", live.deal.hold);
        };
        waits.push((until - NOW) / 1_000);
    }
    assert_eq!(waits, [5, 10, 20, 5, 10]);
    assert_eq!(live.deal.tries, 2);
}

#[test]
fn the_other_side_may_ask_for_a_longer_wait_within_reason() {
    let cases = [
        (None, 5_004),
        (Some(1), 5_004),
        (Some(60_000), 60_000),
        (Some(WAIT_ASKED_MAX), WAIT_ASKED_MAX),
        (Some(u64::MAX), WAIT_ASKED_MAX),
    ];
    for (wait, expected) in cases {
        let mut live = running(Checkpoint::Accepted);
        let setback = Setback {
            wait,
            ..Setback::new(Class::Auto, "slow down")
        };
        let shown = play(&mut live, Event::PassFailed(setback));
        assert!(shown.contains(&format!("until +{expected} ")), "{shown}");
    }
}

#[test]
fn a_wait_ends_by_its_time() {
    let mut live = resting(at(Checkpoint::Accepted));
    live.deal.hold = Hold::Auto { until: NOW + 50 };
    live.deal.error = "why".to_owned();
    assert_eq!(
        play(&mut live, Event::Resume),
        "Accepted until +50 → WakeUp(+50): why"
    );
    let outcome = step(&mut live, Event::Resume, NOW + 50, &Terms::default());
    assert_eq!(outcome.effects, [Effect::StartPass]);
    assert_eq!(live.deal.hold, Hold::None);
    assert!(outcome.changed);
    assert_eq!(live.deal.error, "why", "until it is known to be better");
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_a_deal_for_years() {
    let year = 365 * 86_400_000;
    let mut live = resting(at(Checkpoint::Accepted));
    live.deal.hold = Hold::Auto { until: NOW + year };
    assert_eq!(play(&mut live, Event::Resume), "Accepted → StartPass");
}

#[test]
fn an_operator_s_deal_does_not_resume() {
    let mut live = resting(at(Checkpoint::Transferred));
    live.deal.hold = Hold::Manual;
    assert_eq!(play(&mut live, Event::Resume), "-");
}

fn imported() -> Live {
    let mut deal = super::samples::offline();
    let mut import = Import::new("/a.car", true);
    import.begun = true;
    deal.import = Some(import);
    Live {
        deal,
        busy: Some(Effect::StartPass),
    }
}

#[test]
fn commitments_are_told_apart_in_the_text() {
    let pass = |commitment, bytes| Pass {
        commitment,
        natural: [7; 32],
        bytes,
    };
    let expected = cids::piece_cid(&[9; 32]);
    let (eight, natural) = (cids::piece_cid(&[8; 32]), cids::piece_cid(&[7; 32]));
    let mut online = running(Checkpoint::Accepted);
    assert_eq!(
        play(&mut online, Event::Passed(pass(Some([8; 32]), 2_000))),
        format!(
            "Complete → DropStaging: failed to verify CommP: \
             commP expected={expected}, actual={eight}: commp mismatch"
        )
    );
    // Edge case 75: larger than the piece, so there is only the natural commitment to tell.
    let mut large = running(Checkpoint::Accepted);
    assert_eq!(
        play(&mut large, Event::Passed(pass(None, 3_000))),
        format!(
            "Complete → DropStaging: failed to verify CommP: commP expected={expected}, actual={natural}: \
             commp mismatch (the data has 3000 bytes, the piece holds 2032)"
        )
    );
    // Edge case 76: another file may be imported.
    let mut offline = imported();
    assert_eq!(
        play(&mut offline, Event::Passed(pass(Some([8; 32]), 2_000))),
        format!(
            "Accepted waits: error when matching commP for imported data for offline deal: \
             commP expected={expected}, actual={eight}: commp mismatch \
             (the data has 2000 bytes, the piece holds 2032)"
        )
    );
    assert!(!holds_funds(&offline.deal));
    let mut retried = offline.clone();
    assert_eq!(
        play(&mut retried, Event::Operator(Verb::Retry)),
        "Accepted → QueueImport"
    );
    assert_eq!(retried.deal.import.unwrap().path, "/a.car");
    let again = Import::new("/b.car", false);
    assert_eq!(
        play(&mut offline, Event::Imported(again)),
        "Accepted → QueueImport"
    );
    assert_eq!(
        play(&mut offline, Event::ImportBegun),
        "Accepted → StartPass"
    );
    assert_eq!(
        play(&mut offline, Event::Passed(matching())),
        "Transferred → Publish"
    );
}

#[test]
fn a_matching_piece_without_the_piece_prefix_does_not_match() {
    // `judge` lets none in; a record may hold one all the same.
    let mut live = running(Checkpoint::Accepted);
    live.deal.signed.proposal.piece_cid = cids::sha256_cid(cids::RAW, b"");
    let pass = Pass {
        commitment: None,
        natural: [0; 32],
        bytes: 1,
    };
    assert!(play(&mut live, Event::Passed(pass)).starts_with("Complete"));
}
