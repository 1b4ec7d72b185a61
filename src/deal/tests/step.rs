//! Every event in every checkpoint.

use super::samples::{NOW, at, matching, message, play, replacement, resting, running, uuid};
use crate::deal::checkpoint::ALL;
use crate::deal::step::{Class, Effect, Event, Pass, Setback, Sight, step};
use crate::deal::{Checkpoint, Hold, Import, Sector, Terms};
use Checkpoint::{
    Accepted, AddedPiece, IndexedAndAnnounced, PublishConfirmed, Published, Transferred,
};

/// Feeds the event to a running deal at each checkpoint; where the table is silent nothing may happen.
#[track_caller]
fn check(event: &Event, expected: &[(Checkpoint, &str)]) {
    for checkpoint in ALL {
        let expected = expected
            .iter()
            .find(|(at, _)| *at == checkpoint)
            .map_or("-", |(_, text)| text);
        let mut live = running(checkpoint);
        let before = live.deal.clone();
        let shown = play(&mut live, event.clone());
        assert_eq!(shown, expected, "{event:?} at {checkpoint}");
        if shown == "-" || shown.starts_with("refused") {
            assert_eq!(live.deal, before, "{event:?} at {checkpoint}");
        }
    }
}

fn auto() -> Setback {
    Setback::new(Class::Auto, "why")
}

#[test]
fn resume_leaves_running_work_alone() {
    check(&Event::Resume, &[]);
}

#[test]
fn an_import_is_for_waiting_offline_deals() {
    let online = "refused: deal 01010101-0101-0101-0101-010101010101 is not an offline deal";
    let import = Event::Imported(Import::new("/a.car", false));
    check(&import, &ALL.map(|checkpoint| (checkpoint, online)));
}

#[test]
fn a_pass_ends() {
    check(
        &Event::Passed(matching()),
        &[(Accepted, "Transferred → Publish")],
    );
    check(
        &Event::PassFailed(auto()),
        // The first wait is 5 s; the salt of UUID 01… adds 4 ms.
        &[(Accepted, "Accepted until +5004 → WakeUp(+5004): why")],
    );
}

#[test]
fn a_wrong_commitment_ends_an_online_deal() {
    let wrong = Event::Passed(Pass {
        commitment: Some([8; 32]),
        natural: [7; 32],
        bytes: 2_000,
    });
    let text = format!(
        "Complete → StopPass → DropStaging: failed to verify CommP: commP expected={}, actual={}: commp mismatch",
        crate::filecoin::cids::piece_cid(&[9; 32]),
        crate::filecoin::cids::piece_cid(&[8; 32]),
    )
    // The pass has ended by itself.
    .replace(" → StopPass", "");
    check(&wrong, &[(Accepted, &text)]);
}

#[test]
fn missing_data_is_noticed_before_anything_is_begun() {
    check(&Event::DataMissing("cut".to_owned()), &[]);
}

#[test]
fn an_order_is_noted() {
    let mut live = running(Transferred);
    play(&mut live, Event::Ordered(uuid(3)));
    assert_eq!(live.deal.order, Some(uuid(3)));
    assert_eq!(live.busy, Some(Effect::Publish));
}

#[test]
fn a_publish_message_is_sent() {
    check(
        &Event::PublishSent(message()),
        &[(Transferred, "Published → WatchMessage")],
    );
    let failed = Event::PublishFailed {
        setback: auto(),
        unsent: true,
    };
    check(
        &failed,
        &[(Transferred, "Transferred until +5004 → WakeUp(+5004): why")],
    );
}

#[test]
fn a_publish_message_is_confirmed() {
    let confirmed = Event::Confirmed {
        message: replacement(),
        exit_code: 0,
        deal_id: Some(77),
        objection: None,
    };
    check(&confirmed, &[(Published, "PublishConfirmed → AddPiece")]);
    // Edge case 84.
    let mut live = running(Published);
    play(&mut live, confirmed);
    assert_eq!(live.deal.publish_cid, Some(replacement()));
    assert_eq!(live.deal.chain_deal_id, Some(77));
    assert!(live.deal.handing_over, "stored with the same commit");
}

#[test]
fn a_piece_is_added() {
    let sector = Sector {
        number: 8,
        offset: 128,
    };
    check(
        &Event::PieceAdded(sector),
        &[(PublishConfirmed, "AddedPiece → Index")],
    );
    check(
        &Event::AddPieceFailed(auto()),
        &[(
            PublishConfirmed,
            "PublishConfirmed until +5004 → WakeUp(+5004): why",
        )],
    );
    let mut live = running(PublishConfirmed);
    play(&mut live, Event::PieceAdded(sector));
    assert_eq!(live.deal.sector, Some(sector));
}

#[test]
fn a_piece_is_indexed() {
    check(
        &Event::Indexed,
        &[(AddedPiece, "IndexedAndAnnounced → WatchSector")],
    );
    check(
        &Event::IndexFailed(auto()),
        &[(AddedPiece, "AddedPiece until +5004 → WakeUp(+5004): why")],
    );
}

#[test]
fn a_node_that_does_not_know_the_message_is_asked_on() {
    let unknown = || Event::MessageSeen(Sight::Unknown);
    let text = format!(
        "Published: the chain node does not know publish message {}; it is looked for on",
        message()
    );
    check(&unknown(), &[(Published, &text)]);
    check(&Event::MessageSeen(Sight::Waits), &[]);
    let mut live = running(Published);
    play(&mut live, unknown());
    assert_eq!(play(&mut live, unknown()), "-", "said once");
    assert_eq!(live.busy, Some(Effect::WatchMessage));
    assert_eq!(
        play(&mut live, Event::MessageSeen(Sight::Waits)),
        "Published"
    );
    assert_eq!(live.deal.error, "");
}

#[test]
fn a_stuck_message_is_said_once_and_taken_back() {
    let stuck = || Event::MessageSeen(Sight::Stuck("it waits for long".to_owned()));
    check(&stuck(), &[(Published, "Published: it waits for long")]);
    let mut live = running(Published);
    play(&mut live, stuck());
    assert_eq!(play(&mut live, stuck()), "-", "said once");
    assert_eq!(live.busy, Some(Effect::WatchMessage));
    assert_eq!(
        play(&mut live, Event::MessageSeen(Sight::Waits)),
        "Published"
    );
    assert_eq!(live.deal.error, "");
}

fn seen(state: &str, ended: bool, holds_deal: bool) -> Event {
    Event::SectorSeen {
        state: state.to_owned(),
        ended,
        holds_deal,
    }
}

#[test]
fn a_sector_is_watched_to_its_end() {
    let at = IndexedAndAnnounced;
    check(
        &seen("PreCommit1", false, true),
        &[(at, "IndexedAndAnnounced → WatchSector")],
    );
    check(&seen("Proving", true, true), &[(at, "IndexedAndAnnounced")]);
    // Edge case 88.
    check(
        &seen("Removed", true, false),
        &[(
            at,
            "Complete → DropStaging: storage failed - deal not found in sector",
        )],
    );
    let mut live = running(at);
    play(&mut live, seen("PreCommit1", false, false));
    assert_eq!(
        (live.deal.sealing.as_str(), live.deal.ended()),
        ("PreCommit1", false)
    );
    play(&mut live, seen("Proving", true, true));
    assert_eq!(
        (live.deal.sealing.as_str(), live.deal.ended()),
        ("Proving", true)
    );
    // A sealed deal is not looked at again.
    assert_eq!(play(&mut live, Event::Resume), "-");
}

#[test]
fn an_unchanged_sector_stores_nothing() {
    let mut live = running(IndexedAndAnnounced);
    live.deal.sealing = "PreCommit2".to_owned();
    let outcome = step(
        &mut live,
        seen("PreCommit2", false, true),
        NOW,
        &Terms::default(),
    );
    assert!(!outcome.changed && outcome.lines.is_empty());
    assert_eq!(outcome.effects, [Effect::WatchSector]);
}

#[test]
fn a_checkpoint_clears_what_went_wrong_before() {
    let mut live = running(Accepted);
    live.deal.error = "an old error".to_owned();
    live.deal.tries = 4;
    live.deal.hold = Hold::Auto { until: NOW };
    let later = NOW + 5;
    step(
        &mut live,
        Event::Passed(matching()),
        later,
        &Terms::default(),
    );
    let deal = live.deal;
    assert_eq!(
        (deal.error.as_str(), deal.tries, deal.hold),
        ("", 0, Hold::None)
    );
    assert_eq!((deal.checkpoint_at, deal.updated), (later, later));
    assert_eq!(deal.created, NOW);
    assert_eq!(deal.payload_size, 1_999);
}

#[test]
fn the_whole_way() {
    let mut live = resting(at(Accepted));
    let way = [
        (Event::Resume, "Accepted → StartPass"),
        (Event::Passed(matching()), "Transferred → Publish"),
        (Event::Ordered(uuid(3)), "Transferred"),
        (Event::PublishSent(message()), "Published → WatchMessage"),
        (
            Event::Confirmed {
                message: message(),
                exit_code: 0,
                deal_id: Some(1),
                objection: None,
            },
            "PublishConfirmed → AddPiece",
        ),
        (
            Event::PieceAdded(Sector {
                number: 1,
                offset: 0,
            }),
            "AddedPiece → Index",
        ),
        (Event::Indexed, "IndexedAndAnnounced → WatchSector"),
        (seen("Proving", true, true), "IndexedAndAnnounced"),
    ];
    for (event, expected) in way {
        assert!(!live.deal.ended());
        assert_eq!(play(&mut live, event), expected);
    }
    assert!(live.deal.ended());
    assert_eq!(live.busy, None);
}
