//! Handing pieces to a (stand-in) lotus-miner whose call and stream behave as the real one's.

#[path = "support/devnet.rs"]
mod support;

use coracle::chain::{Call, Chain, Order, Outcome};
use coracle::devnet::{DevnetConfig, Effect, Fault};
use coracle::filecoin::{Address, TokenAmount};
use coracle::piece::commp::Commp;
use coracle::sealer::{Handover, LotusMiner, Phase, Sealer, SealerError, phase};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Net, limits, signed};
use uuid::Uuid;

static COUNT: AtomicU64 = AtomicU64::new(1);

/// A file in the temporary directory, removed with it.
struct File(PathBuf);

impl File {
    fn new(bytes: &[u8]) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("coracle-sealer-devnet-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn data(size: usize) -> Vec<u8> {
    (0..size).map(|n| u8::try_from(n % 253).unwrap()).collect()
}

/// Publishes a deal for these bytes and gives what the sealer needs.
fn published(net: &Net, bytes: &[u8], file: &File) -> Handover {
    let mut commp = Commp::new();
    commp.update(bytes);
    let commitment = commp.finish();
    let client = &net.people().client.key;
    let mut proposal = net.deal(client, 1).proposal;
    proposal.piece_cid = commitment.cid();
    proposal.piece_size = commitment.padded_size;
    let deal = signed(proposal, client);
    let chain = net.chain();
    let order = Order {
        id: Uuid::from_u128(u128::from(COUNT.fetch_add(1, Ordering::Relaxed))),
        miner: Address::id(1000),
        fee_max: TokenAmount::zero(),
        call: Call::Publish(vec![deal.clone()]),
    };
    let message = chain.send(&chain.prepare(&order).unwrap()).unwrap();
    net.advance(3);
    let asked = [deal.proposal.clone()];
    let Ok(Outcome::Executed { message, deals, .. }) = chain.outcome(&message, &asked) else {
        panic!("not published");
    };
    Handover {
        deal: Uuid::from_u128(7),
        deal_id: deals[0].unwrap(),
        publish_cid: message,
        proposal: deal.proposal,
        file: file.0.clone(),
        payload_size: bytes.len() as u64,
        keep_unsealed: false,
    }
}

/// A devnet, a file of so many bytes, and the hand-over of a published deal for it. The file goes with its owner.
fn ready(size: usize, change: impl FnOnce(&mut DevnetConfig)) -> (Net, File, Handover) {
    let net = Net::start(change);
    let bytes = data(size);
    let file = File::new(&bytes);
    let piece = published(&net, &bytes, &file);
    (net, file, piece)
}

fn miner(net: &Net) -> LotusMiner {
    LotusMiner::new(&net.miner_api_info(0), limits()).unwrap()
}

fn go() -> AtomicBool {
    AtomicBool::new(false)
}

#[test]
fn a_piece_is_pushed_and_its_deal_becomes_active() {
    for redirect in [false, true] {
        let (net, _file, piece) = ready(100_000, |config| config.worker_redirect = redirect);
        let miner = miner(&net);
        assert_eq!(miner.actor_address(), Ok(Address::id(1000)));
        assert_eq!(
            miner.find(piece.deal_id, &piece.proposal.piece_cid),
            Ok(None)
        );
        let place = miner.add_piece(&piece, &go()).unwrap().unwrap();
        let status = miner.sector(place.sector).unwrap();
        assert!(status.deals.contains(&piece.deal_id), "{status:?}");
        assert_eq!(
            miner.find(piece.deal_id, &piece.proposal.piece_cid),
            Ok(Some(place))
        );
        assert_eq!(miner.summary().unwrap().values().sum::<u64>(), 1);
        net.advance(60);
        let status = miner.sector(place.sector).unwrap();
        assert_eq!(phase(&status.state), Phase::OnChain, "{}", status.state);
        let state = net.chain().deal_state(piece.deal_id).unwrap().unwrap();
        assert!(state.sector_start_epoch > 0);
        assert_eq!(state.sector_number, place.sector);
    }
}

#[test]
fn a_repeated_call_joins_the_first_and_a_restart_is_looked_through() {
    let (net, _file, piece) = ready(5_000, |_| ());
    let miner = miner(&net);
    let place = miner.add_piece(&piece, &go()).unwrap().unwrap();
    // HEAD stays unanswered for the second call: it returns at once all the same.
    let begun = Instant::now();
    assert_eq!(miner.add_piece(&piece, &go()), Ok(Some(place)));
    assert!(begun.elapsed() < Duration::from_secs(30));
    net.restart_miner(0);
    assert_eq!(
        miner.find(piece.deal_id, &piece.proposal.piece_cid),
        Ok(Some(place))
    );
    let copies = net
        .sectors(0)
        .iter()
        .map(|sector| sector.pieces.len())
        .sum::<usize>();
    assert_eq!(copies, 1);
}

#[test]
fn bytes_of_another_piece_are_refused_by_the_sealer() {
    let net = Net::start(|_| ());
    let bytes = data(5_000);
    let file = File::new(&bytes);
    let mut piece = published(&net, &bytes, &file);
    let mut wrong = bytes.clone();
    wrong[17] ^= 1;
    let other = File::new(&wrong);
    piece.file = other.0.clone();
    let error = miner(&net).add_piece(&piece, &go()).unwrap_err();
    assert!(
        matches!(&error, SealerError::Refused { code: 1, message } if message.contains("unexpected piece CID")),
        "{error:?}"
    );
    piece.file = PathBuf::from("/nowhere/coracle");
    assert!(matches!(
        miner(&net).add_piece(&piece, &go()),
        Err(SealerError::File(_))
    ));
}

#[test]
fn stopping_leaves_a_call_that_waits() {
    let (net, _file, piece) = ready(5_000, |_| ());
    net.set_fault(Fault::once(
        "SectorAddPieceToAny",
        Effect::Delay(Duration::from_secs(60)),
    ));
    let stop = Arc::new(go());
    let (miner, waiting) = (miner(&net), Arc::clone(&stop));
    let call = std::thread::spawn(move || miner.add_piece(&piece, &waiting));
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    stop.store(true, Ordering::Relaxed);
    assert_eq!(call.join().unwrap(), Err(SealerError::Stopped));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_lost_answer_is_unreachable_and_the_piece_is_found() {
    let (net, _file, piece) = ready(5_000, |_| ());
    let miner = miner(&net);
    net.set_fault(Fault::once(
        "SectorAddPieceToAny",
        Effect::Drop { done: true },
    ));
    let error = miner.add_piece(&piece, &go()).unwrap_err();
    assert!(matches!(error, SealerError::Unreachable(_)), "{error:?}");
    let found = miner
        .find(piece.deal_id, &piece.proposal.piece_cid)
        .unwrap();
    assert!(found.is_some());
    assert_eq!(miner.add_piece(&piece, &go()), Ok(found));
}

#[test]
fn a_token_without_admin_may_look_but_not_add() {
    let (net, _file, piece) = ready(5_000, |config| config.auth = true);
    let address = net.miner_addr(0).unwrap();
    let reader = format!("{}:http://{address}", net.token(&["read"]));
    let miner = LotusMiner::new(&reader, limits()).unwrap();
    assert!(miner.summary().is_ok());
    let error = miner.add_piece(&piece, &go()).unwrap_err();
    assert!(
        matches!(&error, SealerError::Refused { message, .. } if message.contains("permission")),
        "{error:?}"
    );
}

#[test]
fn a_sector_that_failed_keeps_its_deal_and_shows_its_state() {
    let (net, _file, piece) = ready(5_000, |_| ());
    let miner = miner(&net);
    let place = miner.add_piece(&piece, &go()).unwrap().unwrap();
    assert!(net.force_sector(0, place.sector, "SealPreCommit1Failed", "no space"));
    let status = miner.sector(place.sector).unwrap();
    assert_eq!(phase(&status.state), Phase::NeedsOperator);
    assert_eq!(
        miner.find(piece.deal_id, &piece.proposal.piece_cid),
        Ok(Some(place))
    );
    assert!(net.force_sector(0, place.sector, "FailedUnrecoverable", "gone"));
    assert_eq!(
        miner.find(piece.deal_id, &piece.proposal.piece_cid),
        Ok(None)
    );
}

#[test]
fn trap_1_the_miner_is_asked_under_v0() {
    let net = Net::start(|_| ());
    assert_eq!(miner(&net).actor_address(), Ok(Address::id(1000)));
    let v1 = format!("http://{}/rpc/v1", net.miner_addr(0).unwrap());
    let elsewhere = LotusMiner::new(&v1, limits()).unwrap().actor_address();
    let error = elsewhere.unwrap_err();
    assert!(
        matches!(&error, SealerError::Unreachable(text) if text.contains("404")),
        "{error:?}"
    );
}

#[test]
fn trap_12_a_deal_with_id_0_is_not_offered_and_a_reader_that_closes_early_is_no_success() {
    let net = Net::start(|_| ());
    let bytes = data(200_000);
    let file = File::new(&bytes);
    let mut piece = published(&net, &bytes, &file);
    let miner = miner(&net);
    // The sealer's disk is full after a part of the bytes: what counts is the call's answer, not the broken POST.
    net.set_fault(Fault::once(
        "SectorAddPieceToAny",
        Effect::CloseEarly(50_000),
    ));
    let error = miner.add_piece(&piece, &go()).unwrap_err();
    assert!(
        matches!(&error, SealerError::Refused { message, .. } if message.contains("disk full")),
        "{error:?}"
    );
    let none = miner.find(piece.deal_id, &piece.proposal.piece_cid);
    assert_eq!(none, Ok(None), "a failed call leaves nothing");
    let place = miner.add_piece(&piece, &go()).unwrap();
    assert_eq!(
        miner.sector(place.unwrap().sector).unwrap().deals,
        [piece.deal_id]
    );
    piece.deal_id = 0;
    let error = miner.add_piece(&piece, &go()).unwrap_err();
    assert!(matches!(error, SealerError::Refused { .. }), "{error:?}");
    assert_eq!(miner.find(0, &piece.proposal.piece_cid), Ok(None));
}

#[test]
fn trap_12_a_restart_of_the_sealer_in_the_middle_of_a_call_leaves_no_second_copy() {
    let (net, _file, piece) = ready(5_000, |config| {
        config.worker_redirect = true;
        config.pairing = Duration::from_secs(1);
    });
    let delay = Effect::Delay(Duration::from_millis(500));
    net.set_fault(Fault::once("SectorAddPieceToAny", delay));
    let first = {
        let (miner, piece) = (miner(&net), piece.clone());
        std::thread::spawn(move || miner.add_piece(&piece, &go()))
    };
    std::thread::sleep(Duration::from_millis(200));
    net.restart_miner(0);
    let first = first.join().unwrap();
    let miner = miner(&net);
    let found = miner
        .find(piece.deal_id, &piece.proposal.piece_cid)
        .unwrap();
    assert_eq!(found, first.ok().flatten(), "it is there, or it is not");
    let place = match found {
        Some(place) => place,
        None => miner.add_piece(&piece, &go()).unwrap().unwrap(),
    };
    let copies: usize = net.sectors(0).iter().map(|s| s.pieces.len()).sum();
    assert_eq!(copies, 1);
    assert_eq!(miner.sector(place.sector).unwrap().deals, [piece.deal_id]);
}

#[test]
fn trap_14_a_piece_whose_deal_starts_within_the_sealing_buffer_is_refused_by_name() {
    let (net, _file, piece) = ready(5_000, |config| config.sealing_buffer = 480);
    let early = piece.proposal.start_epoch - 481 - net.epoch();
    net.advance(u32::try_from(early).unwrap() + 3);
    let error = miner(&net).add_piece(&piece, &go()).unwrap_err();
    assert!(
        matches!(&error, SealerError::Refused { code: 1, message } if message.contains("has passed deal proposal start epoch")),
        "{error:?}"
    );
}

#[test]
fn trap_16_a_sealer_that_takes_no_pieces_is_told_with_what_would_do() {
    let (net, _file, piece) = ready(5_000, |_| ());
    let miner = miner(&net);
    // Curio since v1.24.3: the node's RPC answers, the method is gone.
    for (code, message) in [
        (-32601, "method 'Filecoin.SectorAddPieceToAny' not found"),
        (-32001, "not supported"),
    ] {
        net.set_fault(Fault::once(
            "SectorAddPieceToAny",
            Effect::Error {
                code,
                message: message.to_owned(),
                done: false,
            },
        ));
        let begun = Instant::now();
        let error = miner.add_piece(&piece, &go()).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10));
        let told = error.to_string();
        for part in [message, "Curio", "CORACLE_HANDOVER_DIR"] {
            assert!(told.contains(part), "{told}");
        }
    }
    // An ordinary refusal is no such thing.
    net.set_fault(Fault::once(
        "SectorAddPieceToAny",
        Effect::Error {
            code: 1,
            message: "not implemented".to_owned(),
            done: false,
        },
    ));
    let told = miner.add_piece(&piece, &go()).unwrap_err().to_string();
    assert!(told.ends_with("not implemented"), "{told}");
    assert!(net.sectors(0).is_empty());
}
