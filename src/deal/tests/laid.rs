//! Pieces that lie ready for a sealer: handed over without a sector, which is told later.

use super::samples::{NOW, at, online, play, running, uuid};
use crate::deal::ledger::{lies_ready, staging_bytes};
use crate::deal::step::{Effect, Event, Live, Verb, step};
use crate::deal::{Checkpoint, Deal, Sector, Terms, Wait, status};

const PLACE: Sector = Sector {
    number: 12,
    offset: 2_048,
};

/// A deal whose piece lies ready, as it rests at this checkpoint.
fn ready(checkpoint: Checkpoint) -> Deal {
    let mut deal = at(checkpoint);
    deal.sector = None;
    deal
}

fn watching() -> Live {
    Live {
        deal: ready(Checkpoint::IndexedAndAnnounced),
        busy: Some(Effect::WatchSector),
    }
}

#[test]
fn a_piece_is_laid_out_and_told_later() {
    let mut live = running(Checkpoint::PublishConfirmed);
    live.deal.sector = None;
    assert_eq!(play(&mut live, Event::LaidOut), "AddedPiece → Index");
    assert_eq!(live.deal.sector, None);
    assert_eq!(Wait::of(&live.deal), Wait::Index);
    play(&mut live, Event::Indexed);
    assert_eq!(Wait::of(&live.deal), Wait::Place);
    assert_eq!(live.busy, Some(Effect::WatchSector));
    // Clients see no sealing state while there is no sector.
    live.deal.sealing = "left over".to_owned();
    let seen = status::answer(&live.deal, 0).status.unwrap();
    assert_eq!(seen.sealing_status, "");
    assert_eq!(seen.status, "IndexedAndAnnounced");
    let outcome = step(&mut live, Event::Placed(PLACE), NOW, &Terms::default());
    assert_eq!(live.deal.sector, Some(PLACE));
    assert_eq!(
        outcome.effects,
        [Effect::ClearHandover, Effect::WatchSector]
    );
    assert!(outcome.changed && outcome.freed.space);
    assert_eq!(outcome.refused, None);
    assert_eq!(Wait::of(&live.deal), Wait::Sealing);
}

#[test]
fn it_is_laid_out_from_one_checkpoint_only() {
    for checkpoint in crate::deal::checkpoint::ALL {
        let mut live = running(checkpoint);
        let before = live.deal.clone();
        play(&mut live, Event::LaidOut);
        let moved = checkpoint == Checkpoint::PublishConfirmed;
        assert_eq!(live.deal != before, moved, "{checkpoint}");
    }
}

#[test]
fn the_operator_can_tell_the_place() {
    let told = |live: &mut Live, sector| {
        let event = Event::Operator(Verb::Sealed(sector));
        step(live, event, NOW, &Terms::default())
    };
    let mut live = watching();
    assert_eq!(told(&mut live, PLACE).refused, None);
    // Once more is no mistake, another place is one.
    let again = told(&mut live, PLACE);
    assert_eq!((again.refused, again.changed), (None, false));
    let elsewhere = Sector {
        number: 13,
        offset: 0,
    };
    let refused = told(&mut live, elsewhere).refused.unwrap();
    assert_eq!(refused, "the piece is in sector 12 at offset 2048 already");
    assert_eq!(live.deal.sector, Some(PLACE));
    let table = [
        (online(), "the piece was not handed over yet"),
        (
            at(Checkpoint::PublishConfirmed),
            "the piece was not handed over yet",
        ),
        (at(Checkpoint::Complete), "deal is already complete"),
        (
            Deal {
                sealed: true,
                ..ready(Checkpoint::IndexedAndAnnounced)
            },
            "the deal is sealed: there is nothing left to do",
        ),
    ];
    for (deal, expected) in table {
        let mut live = Live { deal, busy: None };
        let before = live.deal.clone();
        assert_eq!(told(&mut live, PLACE).refused.as_deref(), Some(expected));
        assert_eq!(live.deal, before);
    }
}

#[test]
fn the_place_may_come_before_the_index() {
    let mut live = Live {
        deal: ready(Checkpoint::AddedPiece),
        busy: Some(Effect::Index),
    };
    let outcome = step(&mut live, Event::Placed(PLACE), NOW, &Terms::default());
    assert_eq!(outcome.effects, [Effect::ClearHandover]);
    assert_eq!(live.busy, Some(Effect::Index));
    assert_eq!(live.deal.sector, Some(PLACE));
}

#[test]
fn what_lies_ready_holds_its_bytes() {
    for (checkpoint, without, with) in [
        (Checkpoint::PublishConfirmed, 2_000, 2_000),
        (Checkpoint::AddedPiece, 2_000, 0),
        (Checkpoint::IndexedAndAnnounced, 2_000, 0),
        (Checkpoint::Complete, 0, 0),
    ] {
        let mut deal = ready(checkpoint);
        assert_eq!(staging_bytes(&deal), without, "{checkpoint}");
        deal.sector = Some(PLACE);
        assert_eq!(staging_bytes(&deal), with, "{checkpoint}");
    }
    let mut offline = ready(Checkpoint::AddedPiece);
    offline.request.offline = true;
    // An imported file is not ours, but it lies there all the same.
    assert_eq!((staging_bytes(&offline), lies_ready(&offline)), (0, true));
    let sealed = Deal {
        sealed: true,
        ..ready(Checkpoint::IndexedAndAnnounced)
    };
    assert!(!lies_ready(&sealed));
}

#[test]
fn a_record_without_a_sector_is_read_back() {
    let deal = Deal {
        uuid: uuid(3),
        ..ready(Checkpoint::IndexedAndAnnounced)
    };
    assert_eq!(Deal::decode(&deal.encode()), Ok(deal));
}
