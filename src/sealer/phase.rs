//! What a sector's state means for a deal in it (chain-sealer-rpc E.4).

/// What a sector's state means for a deal in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Still takes pieces.
    Collecting,
    /// On its way.
    Sealing,
    /// Proven on chain. Whether this deal is in it is for the sector's deals, or better the chain, to say.
    OnChain,
    /// Terminated, removed or about to be.
    Gone,
    /// Stuck until the operator does something.
    NeedsOperator,
}

/// States in which a sector still takes pieces.
const COLLECTING: &[&str] = &[
    "Empty",
    "WaitDeals",
    "AddPiece",
    "AddPieceFailed",
    "SnapDealsWaitDeals",
    "SnapDealsAddPiece",
];

/// States from the closed sector to the proof on chain, snap deals included.
const SEALING: &[&str] = &[
    "Packing",
    "GetTicket",
    "PreCommit1",
    "PreCommit2",
    "PreCommitting",
    "PreCommitWait",
    "SubmitPreCommitBatch",
    "PreCommitBatchWait",
    "WaitSeed",
    "Committing",
    "CommitFinalize",
    "SubmitCommit",
    "CommitWait",
    "SubmitCommitAggregate",
    "CommitAggregateWait",
    "FinalizeSector",
    "ReceiveSector",
    "SnapDealsPacking",
    "UpdateReplica",
    "ProveReplicaUpdate",
    "SubmitReplicaUpdate",
    "WaitMutable",
    "ReplicaUpdateWait",
    "FinalizeReplicaUpdate",
];

const ON_CHAIN: &[&str] = &[
    "Proving",
    "Available",
    "UpdateActivating",
    "ReleaseSectorKey",
];

const GONE: &[&str] = &[
    "Terminating",
    "TerminateWait",
    "TerminateFinality",
    "TerminateFailed",
    "Removing",
    "RemoveFailed",
    "Removed",
];

const NEEDS_OPERATOR: &[&str] = &[
    "FailedUnrecoverable",
    "SealPreCommit1Failed",
    "SealPreCommit2Failed",
    "PreCommitFailed",
    "ComputeProofFailed",
    "RemoteCommitFailed",
    "CommitFailed",
    "CommitFinalizeFailed",
    "PackingFailed",
    "FinalizeFailed",
    "DealsExpired",
    "RecoverDealIDs",
    "SnapDealsAddPieceFailed",
    "SnapDealsDealsExpired",
    "SnapDealsRecoverDealIDs",
    "AbortUpgrade",
    "ReplicaUpdateFailed",
    "ReleaseSectorKeyFailed",
    "FinalizeReplicaUpdateFailed",
    "Faulty",
    "FaultReported",
    "FaultedFinal",
];

/// The phase of a state by lotus-miner's name for it. An unknown name means [`Phase::Sealing`]: a newer miner's new
/// state must not look like a failure. The empty name, which a sector has just after its creation, is collecting.
pub fn phase(state: &str) -> Phase {
    let table = [
        (COLLECTING, Phase::Collecting),
        (SEALING, Phase::Sealing),
        (ON_CHAIN, Phase::OnChain),
        (GONE, Phase::Gone),
        (NEEDS_OPERATOR, Phase::NeedsOperator),
    ];
    if state.is_empty() {
        return Phase::Collecting;
    }
    table
        .iter()
        .find(|(names, _)| names.contains(&state))
        .map_or(Phase::Sealing, |(_, phase)| *phase)
}

/// The states in which a sector may hold a piece whose deal is not active yet, all that [`super::Sealer::find`] looks into: first
/// those that collect, and those that take the place of a sector without data, whose numbers may be old; then those on
/// their way, where the newest numbers were filled last. A sector that waits for its operator counts, or the piece would be
/// added a second time; one that will never be proven does not.
pub(super) fn not_yet_proven() -> [Vec<&'static str>; 2] {
    const HOPELESS: &[&str] = &[
        "FailedUnrecoverable",
        "DealsExpired",
        "SnapDealsDealsExpired",
        "AbortUpgrade",
        "Faulty",
        "FaultReported",
        "FaultedFinal",
    ];
    const SNAP: &[&str] = &[
        "UpdateReplica",
        "ProveReplicaUpdate",
        "SubmitReplicaUpdate",
        "WaitMutable",
        "ReplicaUpdateWait",
        "FinalizeReplicaUpdate",
        "UpdateActivating",
        "ReplicaUpdateFailed",
        "FinalizeReplicaUpdateFailed",
    ];
    let all = [COLLECTING, SEALING, NEEDS_OPERATOR, &["UpdateActivating"]];
    let all = all.into_iter().flatten().copied();
    let (first, then): (Vec<_>, Vec<_>) =
        all.filter(|state| !HOPELESS.contains(state))
            .partition(|state| {
                COLLECTING.contains(state) || SNAP.contains(state) || state.starts_with("SnapDeals")
            });
    [first, then]
}
