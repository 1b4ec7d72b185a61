//! How each failure is met: every row of spec boost-mk12 4.5 for what this provider does, its class beside ours.
//!
//! The reference's `auto` waits for a restart or the operator; ours retries by itself, with a wait that doubles and is stored,
//! until the start epoch makes it pointless. Where we differ it is because of that, or because what the reference gives up for
//! good can be put right.
//!
//! | stage | condition | reference | ours, and why it differs |
//! |---|---|---|---|
//! | any | panic | manual, `caught panic in deal execution: …` | the process ends and the next start resumes: a half-dead process is worse; `a_panic_ends_what_is_shipped`, and `tests/kill` for the next start |
//! | queue | operator cancelled | fatal, `Cancelled` | the same; `ends::edge_71_…` and `ends::a_cancelled_deal_in_the_queue_never_begins` |
//! | queue | shutdown | auto, `boost shutdown while waiting to start transfer …` | nothing is recorded: a stop is no failure; `retries::a_stop_is_no_failure` |
//! | queue | other | fatal | does not exist: a place in a queue cannot fail |
//! | transfer start | parameter, URL, size | fatal, `transferAndVerify failed to start data transfer: …` | fatal; most of it is refused with the proposal already |
//! | transfer | operator cancelled | fatal, `Cancelled` | the same |
//! | transfer | shutdown | auto, `data transfer paused by boost shutdown …` | nothing is recorded; `ends::edge_72_…` |
//! | transfer | the server refuses for good, or sends too much | fatal, `data-transfer failed: …` | the same |
//! | transfer | overload, cut, no connection, full disk | fatal, `data-transfer failed: …` | auto: it goes away, and what arrived is kept |
//! | transfer | 24 h | fatal | auto until the start epoch: progress counts, not time |
//! | commp | remote call, shutdown | auto or manual | does not exist: the commitment is computed while the data arrives |
//! | commp | not a CAR, online | fatal, `failed to verify CommP: … performing local commp: …` | fatal |
//! | commp | not a CAR, offline | fatal | manual: another file may be imported (weakness 31) |
//! | commp | mismatch, online | fatal, `failed to verify CommP: commP expected=…` | the same |
//! | commp | mismatch, offline | manual, `error when matching commP for imported data …` | the same |
//! | publish | start epoch passed | fatal, start-epoch text | the same |
//! | publish | shutdown | auto | nothing is recorded |
//! | publish | f4 client | fatal, `fatal error to publish deal …` | like any other: the simulated message says whether the chain takes it |
//! | publish | the node cannot be reached, or does not let us | manual, `recoverable error to publish deal …` | auto: the order's ID makes asking again harmless |
//! | publish | refused by the node or the simulation, or too near the start | manual, `recoverable error to publish deal …` | the same |
//! | confirm | shutdown | auto | nothing is recorded |
//! | confirm | failed message, deal invalid | auto, `wait for confirmation of publish message … failed: …` | manual, back to be published: the same message will never succeed (weakness 29), and the next one costs |
//! | confirm | the message cannot be looked up | auto | looked up again, no failure; `publishing::a_message_is_awaited_until_it_is_executed` |
//! | add piece | cannot open the file | fatal, `failed to add piece: failed to read piece data: …` | manual: the collateral is at stake, and the file may come back with its disk |
//! | add piece | RPC error | auto, `failed to add piece: packing piece …: AddPiece failed: …` | the same |
//! | index | index or store error | auto, `failed to add index and announce deal: …` | the same |
//! | announce | publish error | auto | nothing is announced yet |
//! | index, watch (Curio) | … | … | no such sealer yet |
//! | sealing watch | final state without the deal | fatal, `storage failed - deal not found in sector` | the same; `handovers::edge_88_…` |
//! | checkpoint write | database error | fatal, `failed to persist deal state: …` | the process ends and resumes from what is stored; `limits::what_could_not_be_stored_is_not_begun` |

mod rows;

use super::world::World;
use crate::deal::tests::samples::{self, atto};
use crate::deal::{Checkpoint, Deal, Hold};
use crate::wire::DealParams;
use rows::{handovers, publications, transfers};
use std::path::PathBuf;

/// Milliseconds.
const HOUR: u64 = 3_600_000;

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Class {
    Auto,
    Manual,
    Fatal,
}

impl Class {
    fn of(deal: &Deal) -> Option<Self> {
        match deal.hold {
            _ if deal.checkpoint == Checkpoint::Complete => Some(Self::Fatal),
            Hold::Auto { .. } => Some(Self::Auto),
            Hold::Manual => Some(Self::Manual),
            _ => None,
        }
    }
}

/// One row.
struct Row {
    name: &'static str,
    /// Before the start.
    prepare: fn(&mut World),
    /// The proposal, and the file that is imported if it is offline.
    proposal: fn(&World) -> (DealParams, Option<PathBuf>),
    /// Once it is accepted.
    meanwhile: fn(&World),
    reference: Class,
    ours: Class,
    /// Where the deal stands then, and how the stored error begins.
    at: Checkpoint,
    text: &'static str,
}

/// A world in which whatever is tried again is so an hour later.
fn patient() -> World {
    let mut world = World::new();
    world.terms(|terms| (terms.retry_first, terms.retry_max) = (HOUR, HOUR));
    world
}

async fn meets(world: &World, row: &Row) {
    let running = world.start().await;
    let (params, import) = (row.proposal)(world);
    let uuid = running.accepted(&params).await;
    if let Some(path) = import {
        running.import(uuid, &path, false).await.unwrap();
    }
    let deal = running.until(uuid, |deal| Class::of(deal).is_some()).await;
    let name = row.name;
    assert_eq!(Class::of(&deal), Some(row.ours), "{name}: {}", deal.error);
    assert_eq!(deal.checkpoint, row.at, "{name}");
    assert!(deal.error.starts_with(row.text), "{name}: {}", deal.error);
    let tries = u32::from(row.ours == Class::Auto);
    assert_eq!(deal.tries, tries, "{name}");
    let held = running.handle.ledgers().await;
    let held = &held[&samples::miner()];
    if row.ours == Class::Fatal {
        assert_eq!((&held.collateral, held.staging), (&atto(0), 0), "{name}");
        super::world::wait("the files' end", || world.staged().is_empty().then_some(())).await;
    }
    let said = running.log(uuid).await;
    let line = said.iter().any(|line| line.text.contains(&deal.error));
    assert!(line, "{name}: the log explains it");
    running.stop().await;
}

#[track_caller]
fn check(rows: Vec<Row>) {
    for row in rows {
        let mut world = patient();
        (row.prepare)(&mut world);
        std::thread::scope(|threads| {
            threads.spawn(|| (row.meanwhile)(&world));
            world.run(meets(&world, &row));
        });
    }
}

#[test]
fn transfers_and_imports() {
    check(transfers());
}

#[test]
fn publishing_and_confirming() {
    check(publications());
}

#[test]
fn handing_over_keeping_and_sealing() {
    check(handovers());
}

#[test]
fn a_panic_ends_what_is_shipped() {
    // The profile of the shipped binary makes its own what it does not name.
    let profiles = include_str!("../../../Cargo.toml");
    let section = |name: &str| {
        let (_, after) = profiles.split_once(&format!("[profile.{name}]\n")).unwrap();
        after.split("\n[").next().unwrap()
    };
    assert!(section("release").contains("panic = \"abort\""));
    let shipped = section("dist");
    assert!(shipped.contains("inherits = \"release\"") && !shipped.contains("panic"));
}

#[test]
fn what_the_reference_gives_up_is_never_given_up_sooner() {
    // Ours differs only to the side of the deal: fatal may become manual or auto, and auto manual where trying again costs.
    let costly = ["the actor dropped the deal"];
    for row in [transfers(), publications(), handovers()]
        .into_iter()
        .flatten()
    {
        let kinder = match (row.reference, row.ours) {
            (theirs, ours) if theirs == ours => true,
            (Class::Fatal, _) | (Class::Manual, Class::Auto) => true,
            (Class::Auto, Class::Manual) => costly.contains(&row.name),
            _ => false,
        };
        assert!(
            kinder,
            "{}: {:?} became {:?}",
            row.name, row.reference, row.ours
        );
    }
}
