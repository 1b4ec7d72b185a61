//! What must hold once everything rests.

use super::chain::EPOCH;
use super::goods::{HEAD, goods, identity};
use super::kinds::Kind;
use super::people;
use super::plan::FEE;
use super::world::{Process, World};
use coracle::deal::admit::DISK_MARGIN;
use coracle::deal::{Checkpoint, Deal, Hold, checkpoint};
use coracle::filecoin::Address;
use coracle::piece::index_file::sizes_path;
use coracle::store::{LOG_LINES_MAX, LogLine, PieceRecord, Store};
use coracle::wire::DealResponse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// Holds everything against the store. `strict`: the provider was started once more, so nothing that failed to be
/// deleted is excused.
pub fn at_rest(world: &World, process: &Process, strict: bool) {
    world.sched.note(|| "at rest".to_owned());
    let checks: [(&'static str, Result<(), String>); 7] = [
        ("no accepted deal is lost", accepted(world, process)),
        ("the chain agrees with the record", on_chain(world)),
        ("no orphan file", files(world, process, strict)),
        ("a dropped file is taken", dropped(world)),
        (
            "no save point without its deal",
            save_points(world, process),
        ),
        ("the log explains the deal", logs(world, process)),
        (
            "what is stored is what was promised",
            stored(world, process),
        ),
    ];
    for (invariant, result) in checks {
        if let Err(text) = result {
            world.sched.violated(invariant, text);
        }
    }
    if strict {
        return;
    }
    for deal in world.book.deals() {
        let from = deal.import.as_ref().map(|import| Path::new(&import.path));
        if from.is_some_and(|path| path.starts_with(people::drops())) {
            world.sched.count(Kind::Dropped);
        }
        world.sched.count(match deal.checkpoint {
            Checkpoint::Complete => Kind::Failed,
            Checkpoint::IndexedAndAnnounced if deal.sealed => Kind::Sealed,
            _ => Kind::Waiting,
        });
    }
}

/// A deal in few words.
pub fn short(deal: &Deal) -> String {
    let Deal {
        uuid,
        checkpoint,
        hold,
        sealed,
        error,
        ..
    } = deal;
    let offline = deal.request.offline;
    let (order, id) = (deal.order, deal.chain_deal_id);
    format!(
        "[{uuid} {checkpoint} {hold:?} offline {offline} order {order:?} id {id:?} sealed {sealed} '{error}']"
    )
}

/// Deals in few words.
pub fn shorts<'a>(deals: impl IntoIterator<Item = &'a Deal>) -> String {
    deals.into_iter().map(short).collect()
}

fn fail<T>(text: String) -> Result<T, String> {
    Err(text)
}

fn accepted(world: &World, process: &Process) -> Result<(), String> {
    for uuid in world.people.accepted() {
        let stored = process.store.deal(uuid);
        if !matches!(stored, Ok(Some(_))) {
            return fail(format!("{uuid}: {stored:?}"));
        }
    }
    let mut seen = BTreeSet::new();
    for deal in world.book.deals() {
        if !seen.insert(deal.chain_cid) {
            return fail(format!("{} is there under two UUIDs", deal.chain_cid));
        }
    }
    Ok(())
}

/// The database says what the witness has seen, and its lists agree with the deals.
fn stored(world: &World, process: &Process) -> Result<(), String> {
    let live = process.store.live().map_err(|error| error.to_string())?;
    let live: BTreeSet<Uuid> = live.iter().map(|deal| deal.uuid).collect();
    for deal in world.book.deals() {
        let found = process.store.deal(deal.uuid);
        if found != Ok(Some(deal.clone())) {
            return fail(format!("promised {}, found {found:?}", short(&deal)));
        }
        if live.contains(&deal.uuid) == deal.ended() {
            return fail(format!("listed wrongly: {}", short(&deal)));
        }
        if process.store.by_chain_cid(&deal.chain_cid) != Ok(Some(deal.uuid)) {
            return fail(format!("{} is not found by its identity", deal.uuid));
        }
        if !world.settled(&deal) {
            return fail(format!("{} does not rest", short(&deal)));
        }
        if deal.checkpoint == Checkpoint::Complete && deal.error.is_empty() {
            return fail(format!("{} failed for no reason", deal.uuid));
        }
    }
    Ok(())
}

fn on_chain(world: &World) -> Result<(), String> {
    for deal in world.book.deals() {
        let times = world.chain.publications(&identity(&deal.signed));
        if times > 1 {
            return fail(format!("{} is there {times} times", deal.uuid));
        }
        let confirmed = deal.checkpoint >= Checkpoint::PublishConfirmed
            && deal.checkpoint != Checkpoint::Complete;
        if confirmed && (times != 1 || deal.chain_deal_id.is_none()) {
            return fail(format!("not there: {}", short(&deal)));
        }
        if let Some(id) = deal.chain_deal_id {
            let there = world.chain.id_of(&identity(&deal.signed));
            if there != Some(id) {
                return fail(format!("{} has ID {there:?}, not {id}", deal.uuid));
            }
            let added = deal.checkpoint >= Checkpoint::AddedPiece && confirmed;
            if added && !world.sealers[deal.miner()].has_had(id) {
                return fail(format!("the sealer has no piece of {}", deal.uuid));
            }
        }
    }
    Ok(())
}

/// No deal has run out of time while its file lay in the drop folder, with an hour without faults to take it.
fn dropped(world: &World) -> Result<(), String> {
    let calm = HEAD + i64::try_from(world.plan.calm_after / EPOCH).expect("few");
    for deal in world.book.deals() {
        let time = deal.proposal().start_epoch > calm + 120;
        let expired = deal.import.is_none() && deal.error.contains("expired");
        if time && expired && world.people.has_dropped(&deal) {
            return fail(short(&deal));
        }
    }
    Ok(())
}

/// Every file has its owner, every owner its files.
fn files(world: &World, process: &Process, strict: bool) -> Result<(), String> {
    let deals = world.book.deals();
    let pieces = process.store.pieces().map_err(|error| error.to_string())?;
    // The directory's own mark: that it was ours from the beginning.
    let mut owned = BTreeSet::from([world.files.pieces.join(".coracle-pieces")]);
    for deal in deals.iter().filter(|deal| !deal.ended()) {
        if deal.checkpoint < Checkpoint::IndexedAndAnnounced {
            owned.insert(world.files.staged(deal.uuid));
            owned.insert(world.files.blocks(deal.uuid));
        }
        let whole = (Checkpoint::Transferred..Checkpoint::AddedPiece).contains(&deal.checkpoint);
        if whole && deal.hold != Hold::Manual {
            let file = match &deal.import {
                Some(import) => PathBuf::from(&import.path),
                None => world.files.staged(deal.uuid),
            };
            if !has_bytes(world, &file, deal) {
                return fail(format!("{} of {} is not whole", file.display(), deal.uuid));
            }
        }
    }
    for (commitment, piece) in &pieces {
        kept(world, commitment, piece, &mut owned)?;
    }
    let staged = world.disk.below(&world.files.staging);
    for path in staged
        .into_iter()
        .chain(world.disk.below(&world.files.pieces))
    {
        let excused = !strict && world.disk.excused(&path);
        if !owned.contains(&path) && !excused {
            return fail(format!(
                "{} belongs to nobody: {}",
                path.display(),
                shorts(&deals)
            ));
        }
    }
    Ok(())
}

fn has_bytes(world: &World, file: &Path, deal: &Deal) -> bool {
    let car = goods()
        .cars
        .iter()
        .find(|car| car.commitment.cid() == deal.proposal().piece_cid);
    world.disk.look(file) == car.map(|car| car.bytes.clone())
}

fn kept(
    world: &World,
    commitment: &[u8; 32],
    piece: &PieceRecord,
    owned: &mut BTreeSet<PathBuf>,
) -> Result<(), String> {
    let path = PathBuf::from(&piece.path);
    let car = goods()
        .cars
        .iter()
        .find(|car| car.commitment.root == *commitment);
    let bytes = world.disk.look(&path);
    if bytes.is_none() || bytes != car.map(|car| car.bytes.clone()) {
        let length = bytes.map(|bytes| bytes.len());
        return fail(format!("kept piece {} has {length:?} bytes", piece.path));
    }
    owned.insert(path);
    if !piece.index.is_empty() {
        let index = PathBuf::from(&piece.index);
        for file in [index.clone(), sizes_path(&index)] {
            if world.disk.look(&file).is_none_or(|bytes| bytes.is_empty()) {
                return fail(format!("{} is missing", file.display()));
            }
            owned.insert(file);
        }
    }
    Ok(())
}

fn save_points(world: &World, process: &Process) -> Result<(), String> {
    for uuid in world.people.uuids() {
        let save = process.store.save_point(uuid);
        let deal = world.book.deal(uuid);
        let may = deal.is_some_and(|deal| deal.checkpoint == Checkpoint::Accepted);
        if !may && save != Ok(None) {
            return fail(format!("{uuid}: {save:?}"));
        }
    }
    Ok(())
}

fn logs(world: &World, process: &Process) -> Result<(), String> {
    for deal in world.book.deals() {
        let lines = process
            .store
            .log(deal.uuid)
            .map_err(|error| error.to_string())?;
        let shown = || {
            let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            texts.join("\n")
        };
        let full = lines.len() as u64 >= LOG_LINES_MAX;
        for version in world.book.versions(deal.uuid) {
            if !full && !reached(&lines, &version) {
                let name = version.checkpoint;
                return fail(format!("{}: nothing of {name} in\n{}", deal.uuid, shown()));
            }
        }
        if !last_line_explains(&lines, &deal) {
            return fail(format!("{} is not explained by\n{}", short(&deal), shown()));
        }
    }
    Ok(())
}

fn reached(lines: &[LogLine], version: &Deal) -> bool {
    let has = |text: &str| lines.iter().any(|line| line.text.starts_with(text));
    match version.checkpoint {
        Checkpoint::Accepted => has("accepted: "),
        Checkpoint::Complete => has("failed: "),
        other => has(&format!("reached {other}")),
    }
}

fn last_line_explains(lines: &[LogLine], deal: &Deal) -> bool {
    // These are noted, whatever the deal waits for.
    let notes = [
        "its start epoch ",
        "the data is missing: ",
        "publish message ",
    ];
    let noted = |line: &&LogLine| notes.iter().any(|note| line.text.starts_with(note));
    let Some(last) = lines.iter().rev().find(|line| !noted(line)) else {
        return false;
    };
    let text = last.text.as_str();
    let explains = match (deal.checkpoint, deal.hold) {
        (Checkpoint::Complete, _) => text.strip_prefix("failed: ") == Some(&deal.error),
        (_, Hold::Manual) => text.strip_prefix("waits for the operator: ") == Some(&deal.error),
        (Checkpoint::Accepted, Hold::Room) => text.starts_with(&deal.error),
        (Checkpoint::IndexedAndAnnounced, _) if deal.sealed => match deal.activated {
            None => text == "sealed",
            Some(since) => text == format!("active on chain since epoch {since}"),
        },
        (Checkpoint::Accepted, _) => text.starts_with("accepted: "),
        (other, _) => text == format!("reached {other}"),
    };
    let known = checkpoint::ALL.contains(&deal.checkpoint);
    explains && known && last.time > 0
}

/// Fresh proposals find exactly the room that live deals leave: one attoFIL or one byte less is too little.
pub fn probe(world: &World, process: &Process) {
    let deals = world.book.deals();
    let live: Vec<&Deal> = deals.iter().filter(|deal| !deal.ended()).collect();
    let staging: u64 = live.iter().map(|deal| staging(deal)).sum();
    let probe = &goods().probe;
    let size = probe.bytes().len() as u64;
    let max = world.plan.staging_bytes_max;
    let fits = max == 0 || staging + size < max;
    let ours = &probe.signed.proposal.provider;
    let mut held = probe.signed.proposal.provider_collateral.clone();
    for deal in live
        .iter()
        .filter(|deal| deal.miner() == ours && holds(deal))
    {
        held = &held + &deal.proposal().provider_collateral;
    }
    let locked = world.chain.locked(ours);
    let escrow = &held + &locked;
    let escrow = u64::try_from(escrow.atto()).expect("small amounts");
    // Both miners pay from one wallet.
    let messages = world.sealers.keys().map(|miner| {
        let more = u64::from(miner == ours);
        messages(&live, miner, more, world.plan.deals_per_message)
    });
    let balance = FEE * messages.sum::<u64>();
    let kept: u64 = process.store.pieces().map_or(0, |pieces| {
        let ours = pieces.iter().filter(|(_, piece)| piece.ours);
        ours.map(|(_, piece)| piece.payload_size).sum()
    });
    let room = (world.disk.used() + DISK_MARGIN + size).saturating_sub(kept);
    let (funds, space) = ("insufficient funds", "no space left");
    let tries = [
        (escrow - 1, balance, room, Some(funds)),
        (escrow, balance - 1, room, Some(funds)),
        (escrow, balance, room - 1, Some(space)),
        (escrow, balance, room, (!fits).then_some(space)),
    ];
    for (escrow, balance, room, refusal) in tries {
        world.chain.set_funds(escrow, balance);
        world.disk.set_capacity(room);
        // The provider looks at the chain before it answers.
        let Some(answer) = ask(world, process) else {
            return;
        };
        world.sched.count(Kind::Probes);
        let right = match refusal {
            None => answer.accepted,
            Some(text) => !answer.accepted && answer.message.contains(text),
        };
        if !right {
            let text = format!(
                "escrow {escrow}, wallet {balance}, disk {room}: wanted {refusal:?}, heard {answer:?}; {}",
                shorts(live.iter().copied())
            );
            return world
                .sched
                .violated("what is held is the sum over live deals", text);
        }
    }
}

/// Proposes once the provider has looked at the chain anew; none if a deal moved meanwhile.
fn ask(world: &World, process: &Process) -> Option<DealResponse> {
    let before = world.book.deals();
    let poll = world.plan.chain_poll * 2_000;
    let answer = Arc::new(Mutex::new(None));
    let (handle, heard) = (process.handle.clone(), Arc::clone(&answer));
    let wait = world.sched.sleep(poll);
    let params = goods().probe.params(goods().probe.uuid, false, false);
    world.sched.tasks.spawn("probe", async move {
        wait.await;
        let answer = handle.propose("probe", params).await;
        *super::tasks::lock(&heard) = Some(answer);
    });
    while super::tasks::lock(&answer).is_none() {
        if !world.sched.step() {
            return None;
        }
    }
    let others = |deals: Vec<Deal>| -> Vec<Deal> {
        let probe = goods().probe.uuid;
        deals
            .into_iter()
            .filter(|deal| deal.uuid != probe)
            .collect()
    };
    let same = others(before) == others(world.book.deals());
    super::tasks::lock(&answer).take().filter(|_| same)
}

/// Whether a deal holds funds: from acceptance, or the turn of its import, until its message is confirmed.
fn holds(deal: &Deal) -> bool {
    match deal.checkpoint {
        Checkpoint::Accepted => {
            let begun = deal.import.as_ref().is_some_and(|import| import.begun);
            !deal.request.offline || begun
        }
        Checkpoint::Transferred | Checkpoint::Published => true,
        _ => false,
    }
}

/// Publish messages that a miner's live deals and `more` still have to pay.
fn messages(live: &[&Deal], miner: &Address, more: u64, together: u64) -> u64 {
    let (mut orders, mut unordered) = (BTreeSet::new(), more);
    for deal in live
        .iter()
        .filter(|deal| deal.miner() == miner && holds(deal))
    {
        match deal.order {
            Some(order) => {
                orders.insert(order);
            }
            None => unordered += 1,
        }
    }
    orders.len() as u64 + unordered.div_ceil(together)
}

/// Bytes that a deal holds in the staging area.
fn staging(deal: &Deal) -> u64 {
    if deal.request.offline || deal.checkpoint >= Checkpoint::AddedPiece {
        0
    } else {
        deal.request.size
    }
}
