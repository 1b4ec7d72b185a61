//! lotus-miner's side of the interface from canned answers: the dance of call and stream, what a sector says, and the
//! ways in which a hand-over ends.

mod add_piece;
mod directory;
mod push;
mod sectors;

use super::*;
use crate::filecoin::{Address, DealProposal, Label, TokenAmount, cids};
use crate::rpc::Limits;
use crate::rpc::tests::server::{Reply, Seen, Server};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A file of its own for each test, removed with it.
struct Piece {
    handover: Handover,
    bytes: Vec<u8>,
}

impl Piece {
    /// A piece of 2 KiB (2,032 bytes of data) whose file has `size` bytes.
    fn new(size: usize) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file =
            std::env::temp_dir().join(format!("coracle-sealer-{}-{number}", std::process::id()));
        let bytes: Vec<u8> = (0..size)
            .map(|n| u8::try_from(n % 251).unwrap() + 1)
            .collect();
        std::fs::write(&file, &bytes).unwrap();
        let handover = Handover {
            deal: uuid::Uuid::from_u128(7),
            deal_id: 70_112_233,
            publish_cid: cids::chain_cid(b"publish"),
            proposal: DealProposal {
                piece_cid: cids::piece_cid(&[3; 32]),
                piece_size: 2048,
                verified: true,
                client: Address::id(5678),
                provider: Address::id(1234),
                label: Label::Text("example-label".to_owned()),
                start_epoch: 5_200_000,
                end_epoch: 6_718_400,
                price_per_epoch: TokenAmount::zero(),
                provider_collateral: TokenAmount::from_atto(8_500_000_u64),
                client_collateral: TokenAmount::zero(),
            },
            file,
            payload_size: size as u64,
            keep_unsealed: true,
        };
        Self { handover, bytes }
    }

    /// What the miner must receive.
    fn padded(&self) -> Vec<u8> {
        let mut padded = self.bytes.clone();
        padded.resize(2032, 0);
        padded
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.handover.file);
    }
}

fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        ..Limits::default()
    }
}

fn miner(server: &Server) -> LotusMiner {
    LotusMiner::new(&server.url(), limits()).unwrap()
}

/// Table E.4 of spec chain-sealer-rpc, as it stands there.
const PHASES: [(Phase, &str); 5] = [
    (
        Phase::Collecting,
        "WaitDeals, AddPiece, AddPieceFailed, SnapDealsWaitDeals, SnapDealsAddPiece, Empty",
    ),
    (
        Phase::Sealing,
        "Packing, GetTicket, PreCommit1, PreCommit2, PreCommitting, PreCommitWait, SubmitPreCommitBatch, \
         PreCommitBatchWait, WaitSeed, Committing, CommitFinalize, SubmitCommit, CommitWait, SubmitCommitAggregate, \
         CommitAggregateWait, FinalizeSector, ReceiveSector, SnapDealsPacking, UpdateReplica, ProveReplicaUpdate, \
         SubmitReplicaUpdate, WaitMutable, ReplicaUpdateWait, FinalizeReplicaUpdate",
    ),
    (
        Phase::OnChain,
        "Proving, Available, UpdateActivating, ReleaseSectorKey",
    ),
    (
        Phase::Gone,
        "Terminating, TerminateWait, TerminateFinality, TerminateFailed, Removing, RemoveFailed, Removed",
    ),
    (
        Phase::NeedsOperator,
        "FailedUnrecoverable, SealPreCommit1Failed, SealPreCommit2Failed, PreCommitFailed, ComputeProofFailed, \
         RemoteCommitFailed, CommitFailed, CommitFinalizeFailed, PackingFailed, FinalizeFailed, DealsExpired, \
         RecoverDealIDs, SnapDealsAddPieceFailed, SnapDealsDealsExpired, SnapDealsRecoverDealIDs, AbortUpgrade, \
         ReplicaUpdateFailed, ReleaseSectorKeyFailed, FinalizeReplicaUpdateFailed, Faulty, FaultReported, FaultedFinal",
    ),
];

#[test]
fn every_state_of_the_table_has_its_phase_and_unknown_ones_are_sealing() {
    let mut count = 0;
    for (expected, names) in PHASES {
        for state in names.split(", ") {
            assert_eq!(phase(state), expected, "{state}");
            count += 1;
        }
    }
    assert_eq!(count, 63);
    assert_eq!(phase(""), Phase::Collecting, "just created");
    for unknown in ["AStateOfNextYear", "proving", " Proving", "Removed2"] {
        assert_eq!(phase(unknown), Phase::Sealing, "{unknown}");
    }
}

/// What a server says.
type Say = fn() -> Reply;

#[test]
fn errors_name_what_failed_and_no_secret() {
    let token = "eyJh.eyJB.c2ln";
    let server = Server::start(|_| Reply::text(401, ""));
    let miner = LotusMiner::new(&format!("{token}:{}", server.url()), limits()).unwrap();
    assert_eq!(miner.summary(), Err(SealerError::Unauthorized));
    assert!(!format!("{miner:?}").contains("eyJ"));
    assert_eq!(miner.name(), server.address.to_string());
    let table: [(Say, &str); 4] = [
        (|| Reply::text(502, "no"), "not reachable"),
        (
            || {
                Reply::Error(
                    200,
                    1,
                    "missing permission to invoke 'SectorsSummary' (need 'read')",
                )
            },
            "missing permission",
        ),
        (|| Reply::Error(200, 1, "boom"), "boom"),
        (|| Reply::Result(json!([1])), "unexpected form"),
    ];
    for (reply, part) in table {
        let server = Server::start(move |_| reply());
        let miner = LotusMiner::new(&format!("{token}:{}", server.url()), limits()).unwrap();
        let text = miner.summary().unwrap_err().to_string();
        assert!(
            text.contains(part) && text.contains("SectorsSummary"),
            "{text}"
        );
        assert!(!text.contains("eyJ"), "{text}");
    }
    assert!(LotusMiner::new("127.0.0.1:2345", limits()).is_err());
    assert!(LotusMiner::new("http://a,http://b", limits()).is_err());
}
