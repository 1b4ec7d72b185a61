//! How pieces are laid out and how sectors come to be proven.

use crate::devnet::sectors::{
    NoPlace, PROVING, PieceDeal, Sectors, Timing, WAIT_DEALS, zero_piece,
};
use crate::filecoin::{Address, DealProposal, Label, TokenAmount, cids};
use proptest::prelude::*;

const KIB: u64 = 1024;

fn sectors(size: u64) -> Sectors {
    let timing = Timing {
        wait_deals: 3,
        sealing: 20,
    };
    Sectors::new(size, 1, timing)
}

fn deal(deal_id: u64) -> Option<PieceDeal> {
    Some(PieceDeal {
        publish_cid: cids::chain_cid(b"publish"),
        deal_id,
        proposal: DealProposal {
            piece_cid: cids::piece_cid(&[1; 32]),
            piece_size: 2 * KIB,
            verified: false,
            client: Address::id(1),
            provider: Address::id(2),
            label: Label::Text(String::new()),
            start_epoch: 1,
            end_epoch: 2,
            price_per_epoch: TokenAmount::zero(),
            provider_collateral: TokenAmount::zero(),
            client_collateral: TokenAmount::zero(),
        },
        start_epoch: 1,
        end_epoch: 2,
        keep_unsealed: true,
    })
}

fn add(sectors: &mut Sectors, size: u64, id: u64) -> (u64, u64) {
    let cid = cids::piece_cid(&[1; 32]);
    sectors.add(0, cid, size, deal(id)).unwrap()
}

/// No sector has been told anything by the chain.
fn silent(_: u64) -> Option<Result<(), String>> {
    None
}

#[test]
fn pieces_start_at_multiples_of_their_size() {
    let mut sectors = sectors(32 * KIB);
    assert_eq!(add(&mut sectors, 2 * KIB, 1), (1, 0));
    assert_eq!(add(&mut sectors, 2 * KIB, 2), (1, 2 * KIB));
    assert_eq!(add(&mut sectors, 8 * KIB, 3), (1, 8 * KIB));
    assert_eq!(add(&mut sectors, 2 * KIB, 4), (1, 16 * KIB));
    // 16 KiB no longer fits behind 18 KiB: a new sector.
    assert_eq!(add(&mut sectors, 16 * KIB, 5), (2, 0));
    assert_eq!(add(&mut sectors, 2 * KIB, 6), (1, 18 * KIB));
    let first = sectors.get(1).unwrap();
    let layout: Vec<(u64, u64, u64)> = first
        .pieces
        .iter()
        .map(|piece| {
            let id = piece.deal.as_ref().map_or(0, |deal| deal.deal_id);
            (piece.offset / KIB, piece.size / KIB, id)
        })
        .collect();
    assert_eq!(
        layout,
        [
            (0, 2, 1),
            (2, 2, 2),
            (4, 4, 0),
            (8, 8, 3),
            (16, 2, 4),
            (18, 2, 6)
        ]
    );
}

#[test]
fn what_is_larger_than_a_sector_has_no_place() {
    let mut sectors = sectors(8 * KIB);
    let cid = cids::piece_cid(&[1; 32]);
    assert_eq!(sectors.add(0, cid, 16 * KIB, None), Err(NoPlace));
    assert_eq!(sectors.add(0, cid, 3 * KIB, None), Err(NoPlace));
    assert_eq!(sectors.add(0, cid, 0, None), Err(NoPlace));
    assert_eq!(sectors.add(0, cid, u64::MAX, None), Err(NoPlace));
    assert_eq!(sectors.add(0, cid, 8 * KIB, None), Ok((1, 0)));
}

#[test]
fn a_sector_waits_seals_and_is_proven() {
    let mut sectors = sectors(8 * KIB);
    add(&mut sectors, 2 * KIB, 42);
    let mut seen = Vec::new();
    let mut told = Vec::new();
    for epoch in 1..=60 {
        let after = epoch > 30;
        let submit = sectors.tick(epoch, |_| after.then_some(Ok(())));
        for (sector, deals) in submit {
            told.push((epoch, sector, deals));
        }
        let state = sectors.get(1).unwrap().state.clone();
        if seen.last() != Some(&state) {
            seen.push(state);
        }
    }
    assert_eq!(
        seen,
        [
            WAIT_DEALS,
            "Packing",
            "GetTicket",
            "PreCommit1",
            "PreCommit2",
            "SubmitPreCommitBatch",
            "PreCommitBatchWait",
            "WaitSeed",
            "Committing",
            "CommitAggregateWait",
            PROVING
        ]
    );
    // Told once, and not proven before the chain has answered.
    assert_eq!(told, [(19, 1, vec![(42, cids::piece_cid(&[1; 32]))])]);
    let sector = sectors.get(1).unwrap();
    assert_eq!(sector.used(), 8 * KIB);
    assert_eq!(sector.pieces.len(), 3);
    assert_eq!(sector.pieces[2].cid, zero_piece(4 * KIB));
}

#[test]
fn a_full_sector_does_not_wait() {
    let mut sectors = sectors(8 * KIB);
    add(&mut sectors, 8 * KIB, 1);
    sectors.tick(1, silent);
    assert_eq!(sectors.get(1).unwrap().state, "Packing");
    assert_eq!(add(&mut sectors, 2 * KIB, 2), (2, 0));
}

#[test]
fn sealing_can_be_started_by_hand() {
    let mut sectors = sectors(8 * KIB);
    assert!(!sectors.start_sealing(1));
    add(&mut sectors, 2 * KIB, 1);
    assert!(sectors.start_sealing(1));
    // It takes nothing more from now on.
    assert_eq!(add(&mut sectors, 2 * KIB, 2), (2, 0));
    sectors.tick(1, silent);
    assert_eq!(sectors.get(1).unwrap().state, "Packing");
    assert!(!sectors.start_sealing(1));
}

#[test]
fn a_refused_activation_fails_the_sector() {
    let mut sectors = sectors(8 * KIB);
    add(&mut sectors, 8 * KIB, 1);
    for epoch in 1..40 {
        sectors.tick(epoch, |_| Some(Err("deal 1: no such deal".to_owned())));
    }
    let sector = sectors.get(1).unwrap();
    assert_eq!(sector.state, "CommitFailed");
    assert_eq!(sector.last_error, "deal 1: no such deal");
}

#[test]
fn a_forced_state_stays() {
    let mut sectors = sectors(8 * KIB);
    add(&mut sectors, 8 * KIB, 1);
    assert!(sectors.force(1, "FailedUnrecoverable", "disk on fire"));
    assert!(!sectors.force(2, "Proving", ""));
    for epoch in 1..100 {
        assert!(sectors.tick(epoch, silent).is_empty());
    }
    assert_eq!(sectors.get(1).unwrap().state, "FailedUnrecoverable");
}

#[test]
fn zero_pieces_are_those_of_the_reference() {
    let known = "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy";
    assert_eq!(zero_piece(2 * KIB).to_string(), known);
}

proptest! {
    /// Whatever comes: pieces are aligned, lie behind each other without gaps and within the sector.
    #[test]
    fn a_sector_is_filled_without_gaps(sizes in prop::collection::vec(7_u32..14, 1..60)) {
        let size = 1 << 14;
        let mut sectors = sectors(size);
        for (id, exponent) in (1..).zip(&sizes) {
            add(&mut sectors, 1 << exponent, id);
        }
        for epoch in 1..40 {
            sectors.tick(epoch, |_| Some(Ok(())));
        }
        let mut deals = 0;
        for sector in sectors.all() {
            prop_assert_eq!(&sector.state, PROVING);
            let mut end = 0;
            for piece in &sector.pieces {
                prop_assert_eq!(piece.offset, end);
                prop_assert_eq!(piece.offset % piece.size, 0);
                end += piece.size;
            }
            prop_assert_eq!(end, size);
            deals += sector.deals().count();
        }
        prop_assert_eq!(deals, sizes.len());
    }
}
