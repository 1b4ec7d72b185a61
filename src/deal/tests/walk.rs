//! Whatever happens in whatever order, a deal stays a deal: what holds after every step of a random walk.

use super::samples::{HEAD, NOW, START, message, offline, online, replacement, resting, uuid};
use crate::deal::ledger::{holds_funds, staging_bytes};
use crate::deal::record::Hold;
use crate::deal::step::{
    Class, Effect, Event, Live, OnChain, Outcome, Pass, Setback, Sight, Verb, step,
};
use crate::deal::{Checkpoint, Deal, Import, Sector, Terms, Wait};
use proptest::prelude::*;

fn setbacks() -> impl Strategy<Value = Setback> {
    let class = prop_oneof![
        Just(Class::Stopped),
        Just(Class::Auto),
        Just(Class::Auto),
        Just(Class::Manual),
        Just(Class::Fatal),
    ];
    (class, any::<bool>(), any::<Option<u64>>()).prop_map(|(class, progress, wait)| Setback {
        class,
        reason: "why".to_owned(),
        progress,
        wait,
    })
}

/// Heights around the sample deal's start and end.
fn heads() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(HEAD),
        Just(START),
        Just(START + 1),
        Just(START + 901),
        Just(START + 518_400)
    ]
}

fn found() -> impl Strategy<Value = OnChain> {
    prop_oneof![
        Just(OnChain::Absent),
        Just(OnChain::Inactive),
        Just(OnChain::Active(START - 7)),
        Just(OnChain::Slashed(START + 5))
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let pass = any::<bool>().prop_map(|right| {
        let root = if right { [9; 32] } else { [8; 32] };
        Event::Passed(Pass {
            commitment: Some(root),
            natural: root,
            bytes: 2_000,
        })
    });
    let confirmed = (0..3_i64, any::<Option<u64>>(), any::<bool>());
    let confirmed = confirmed.prop_map(|(code, deal_id, objects)| Event::Confirmed {
        message: replacement(),
        exit_code: code / 2,
        deal_id,
        objection: objects.then(|| "no".to_owned()),
    });
    let seen = any::<(bool, bool)>().prop_map(|(ended, holds_deal)| Event::SectorSeen {
        state: format!("ended {ended}"),
        ended,
        holds_deal,
    });
    let verb = prop_oneof![Just(Verb::Retry), Just(Verb::Cancel), Just(Verb::Fail)];
    prop_oneof![
        3 => Just(Event::Resume),
        2 => any::<bool>().prop_map(|delete_after| {
            let path = "/a.car".to_owned();
            Event::Imported(Import::new(path, delete_after))
        }),
        2 => Just(Event::ImportBegun),
        1 => any::<bool>().prop_map(|funds| Event::ImportWaits {
            what: format!("waits for funds {funds}"),
            why: "why".to_owned(),
        }),
        1 => Just(Event::DataMissing("gone".to_owned())),
        4 => pass,
        2 => setbacks().prop_map(Event::PassFailed),
        2 => (1..4_u8).prop_map(|number| Event::Ordered(uuid(number))),
        4 => Just(Event::PublishSent(message())),
        2 => (setbacks(), any::<bool>())
            .prop_map(|(setback, unsent)| Event::PublishFailed { setback, unsent }),
        4 => confirmed,
        4 => any::<(u64, u64)>()
            .prop_map(|(number, offset)| Event::PieceAdded(Sector { number, offset })),
        2 => setbacks().prop_map(Event::AddPieceFailed),
        2 => Just(Event::LaidOut),
        2 => (0..2_u64, 0..2_u64)
            .prop_map(|(number, offset)| Event::Placed(Sector { number, offset })),
        4 => Just(Event::Indexed),
        2 => setbacks().prop_map(Event::IndexFailed),
        3 => seen,
        1 => heads().prop_map(Event::Head),
        1 => heads().prop_map(Event::NotActivated),
        1 => prop_oneof![
            Just(Sight::Waits),
            Just(Sight::Unknown),
            Just(Sight::Stuck("stuck".to_owned()))
        ]
        .prop_map(Event::MessageSeen),
        1 => (1..4_u8).prop_map(|number| Event::Reordered(uuid(number))),
        2 => (heads(), found()).prop_map(|(head, found)| Event::ChainSeen { head, found }),
        2 => verb.prop_map(Event::Operator),
    ]
}

/// An effect whose report will come, as against what is done in passing.
fn is_work(effect: &Effect) -> bool {
    !matches!(
        effect,
        Effect::StopPass
            | Effect::WakeUp(_)
            | Effect::DropStaging
            | Effect::LookForPiece
            | Effect::ClearHandover
    )
}

/// The work that belongs to a checkpoint.
fn belongs(effect: Effect, checkpoint: Checkpoint) -> bool {
    let home = match effect {
        Effect::QueueImport | Effect::StartPass => Checkpoint::Accepted,
        Effect::Publish => Checkpoint::Transferred,
        Effect::WatchMessage => Checkpoint::Published,
        Effect::AddPiece { .. } => Checkpoint::PublishConfirmed,
        Effect::Index => Checkpoint::AddedPiece,
        Effect::WatchSector => Checkpoint::IndexedAndAnnounced,
        Effect::StopPass
        | Effect::WakeUp(_)
        | Effect::DropStaging
        | Effect::LookForPiece
        | Effect::ClearHandover => return false,
    };
    home == checkpoint
}

/// Funds and space are taken by an import's turn, and freed where the design says so; nowhere else.
fn check_room(was: &Deal, deal: &Deal, outcome: &Outcome, event: &Event) {
    let (had, has) = (holds_funds(was), holds_funds(deal));
    assert_eq!(outcome.freed.funds, had && !has, "{event:?}");
    if had && !has {
        let why = matches!(
            deal.checkpoint,
            Checkpoint::PublishConfirmed | Checkpoint::Complete
        ) || deal.import.as_ref().is_some_and(|import| !import.begun);
        assert!(why, "{event:?} frees funds at {}", deal.checkpoint);
    }
    assert!(
        !has || had || matches!(event, Event::ImportBegun),
        "{event:?} takes funds"
    );
    let (had, has) = (staging_bytes(was), staging_bytes(deal));
    assert_eq!(outcome.freed.space, had > 0 && has == 0, "{event:?}");
    assert!(has == had || has == 0, "{event:?} takes space");
    if had > has {
        // A piece that lies ready keeps its bytes until its place is known or its deal is sealed.
        let told = deal.checkpoint == Checkpoint::IndexedAndAnnounced
            && was.sector.is_none()
            && (deal.sector.is_some() || deal.sealed);
        let handed_over = matches!(
            deal.checkpoint,
            Checkpoint::AddedPiece | Checkpoint::Complete
        );
        assert!(handed_over || told, "{event:?}");
    }
    assert_eq!(
        outcome.freed.finished,
        deal.ended() && !was.ended(),
        "{event:?}"
    );
}

fn check(before: &Live, after: &Live, outcome: &Outcome, event: &Event) {
    let (was, deal) = (&before.deal, &after.deal);
    let work: Vec<Effect> = outcome.effects.iter().copied().filter(is_work).collect();
    let looked_at = was.sealed && matches!(event, Event::ChainSeen { .. });
    if outcome.refused.is_some() || (was.ended() && !looked_at) {
        assert_eq!(was, deal, "{event:?}");
        assert!(outcome.effects.is_empty() && !outcome.changed, "{event:?}");
    }
    if looked_at {
        let mut same = deal.clone();
        (same.activated, same.over, same.updated) = (was.activated, was.over, was.updated);
        assert_eq!(was, &same, "{event:?} changes nothing else");
    }
    check_room(was, deal, outcome, event);
    // A deal has ended, or it waits for something that has a name.
    assert_eq!(deal.ended(), Wait::of(deal) == Wait::Nothing, "{event:?}");
    // A deal whose message may be executed never ends for its start epoch.
    if matches!(event, Event::Head(_)) && deal.checkpoint == Checkpoint::Complete {
        assert!(was.order.is_none() || was.ended(), "{event:?}");
    }
    assert!(was == deal || outcome.changed, "{event:?} is not stored");
    // One thing at a time, and what is asked for is what is awaited.
    assert!(work.len() <= 1, "{event:?}: {work:?}");
    if let Some(effect) = work.first() {
        assert_eq!(after.busy, Some(*effect), "{event:?}");
    }
    if let Some(busy) = after.busy {
        assert!(belongs(busy, deal.checkpoint), "{event:?}: {busy:?}");
        let waits = deal.hold == Hold::Room && busy == Effect::QueueImport;
        assert!(deal.hold == Hold::None || waits, "{event:?}");
    }
    // A wait has a name, and who waits holds nothing.
    if deal.hold != Hold::None {
        assert!(!deal.error.is_empty(), "{event:?}");
    }
    if deal.hold == Hold::Room {
        assert!(!holds_funds(deal), "{event:?}");
    }
    // A wait has an end.
    if let Hold::Auto { until } = deal.hold
        && deal.hold != was.hold
    {
        assert!(
            outcome.effects.contains(&Effect::WakeUp(until)),
            "{event:?}"
        );
    }
    // An end clears up, once.
    let ends = deal.checkpoint == Checkpoint::Complete && was.checkpoint != Checkpoint::Complete;
    assert_eq!(
        outcome.effects.contains(&Effect::DropStaging),
        ends,
        "{event:?}"
    );
    assert!(
        !ends || !deal.error.is_empty(),
        "{event:?}: an end has a reason"
    );
    // What lies ready for a sealer goes when its place is known, or with the deal.
    let placed = deal.sector.is_some() && matches!(event, Event::Placed(_)) && was != deal;
    assert_eq!(
        outcome.effects.contains(&Effect::ClearHandover),
        placed,
        "{event:?}"
    );
    assert!(
        was.sector.is_none() || was.sector == deal.sector,
        "{event:?} moves the piece"
    );
    // A deal goes on by one checkpoint, back to be published or fetched again, or to its end.
    let (from, to) = (was.checkpoint.number(), deal.checkpoint.number());
    let back = matches!(
        (was.checkpoint, deal.checkpoint),
        (Checkpoint::Published, Checkpoint::Transferred)
            | (Checkpoint::Transferred, Checkpoint::Accepted)
    );
    assert!(
        to == from || to == from + 1 || back || ends,
        "{event:?}: {from} to {to}"
    );
    // A deal without a message has no deal ID, and only its members know an order.
    let confirmed = deal.checkpoint >= Checkpoint::PublishConfirmed;
    assert!(confirmed || deal.chain_deal_id.is_none(), "{event:?}");
    assert!(
        deal.order.is_none() || deal.checkpoint != Checkpoint::Accepted,
        "{event:?}"
    );
    let changed_order = was.order.is_some() && deal.order != was.order;
    let other = matches!(event, Event::Reordered(_));
    assert!(!changed_order || deal.order.is_none() || other, "{event:?}");
    if let Some(Effect::AddPiece { look_first }) = work.first() {
        assert!(deal.handing_over);
        assert_eq!(
            *look_first, was.handing_over,
            "offered blindly once at most"
        );
    }
    assert_eq!(Deal::decode(&deal.encode()).as_ref(), Ok(deal));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_walk_keeps_the_rules(
        is_offline in any::<bool>(),
        events in proptest::collection::vec((events(), 0..20_000_u64), 1..60),
    ) {
        let mut live = resting(if is_offline { offline() } else { online() });
        let mut now = NOW;
        let terms = Terms::default();
        for (event, pause) in events {
            now += pause;
            let before = live.clone();
            let outcome = step(&mut live, event.clone(), now, &terms);
            check(&before, &live, &outcome, &event);
            prop_assert!(!outcome.changed || live.deal.updated == now);
        }
    }

    /// With reports that belong to what is under way, every deal comes to its end.
    #[test]
    fn a_deal_that_is_served_comes_to_its_end(
        is_offline in any::<bool>(),
        failures in proptest::collection::vec(setbacks(), 0..12),
    ) {
        let terms = Terms::default();
        let mut live = resting(if is_offline { offline() } else { online() });
        live.deal.import = is_offline.then(|| Import::new("/a.car", false));
        let mut failures: Vec<Setback> = failures
            .into_iter()
            .filter(|setback| setback.class != Class::Stopped)
            .collect();
        let mut now = NOW;
        let mut event = Event::Resume;
        for _ in 0..200 {
            let outcome = step(&mut live, event, now, &terms);
            prop_assert_eq!(&outcome.refused, &None);
            if live.deal.ended() {
                return Ok(());
            }
            event = match (live.deal.hold, live.busy) {
                (Hold::Manual, _) => Event::Operator(Verb::Retry),
                (Hold::Auto { until }, _) => {
                    now = until;
                    Event::Resume
                }
                (Hold::None | Hold::Room, Some(busy)) => report(busy, failures.pop()),
                (Hold::None | Hold::Room, None) => panic!("nothing will ever happen: {:?}", live.deal),
            };
        }
        prop_assert!(false, "still going: {:?}", live.deal);
    }
}

/// What comes of a work that was asked for.
fn report(busy: Effect, failure: Option<Setback>) -> Event {
    match (busy, failure) {
        (Effect::QueueImport, Some(setback)) => Event::ImportWaits {
            what: setback.reason,
            why: "why".to_owned(),
        },
        (Effect::QueueImport, None) => Event::ImportBegun,
        (Effect::StartPass, Some(setback)) => Event::PassFailed(setback),
        (Effect::StartPass, None) => Event::Passed(super::samples::matching()),
        (Effect::Publish, Some(setback)) => Event::PublishFailed {
            unsent: setback.progress,
            setback,
        },
        (Effect::Publish, None) => Event::PublishSent(message()),
        (Effect::WatchMessage, failure) => Event::Confirmed {
            message: message(),
            exit_code: i64::from(failure.is_some()),
            deal_id: Some(5),
            objection: None,
        },
        (Effect::AddPiece { .. }, Some(setback)) => Event::AddPieceFailed(setback),
        (Effect::AddPiece { .. }, None) => Event::PieceAdded(Sector {
            number: 1,
            offset: 0,
        }),
        (Effect::Index, Some(setback)) => Event::IndexFailed(setback),
        (Effect::Index, None) => Event::Indexed,
        (Effect::WatchSector, failure) => Event::SectorSeen {
            state: "a state".to_owned(),
            ended: failure.is_none(),
            holds_deal: true,
        },
        (
            Effect::StopPass
            | Effect::WakeUp(_)
            | Effect::DropStaging
            | Effect::LookForPiece
            | Effect::ClearHandover,
            _,
        ) => unreachable!("nobody waits for these"),
    }
}
