//! What can happen in a run, with its name and how often it has happened.

/// Declares the kinds with their names.
macro_rules! kinds {
    ($($kind:ident = $name:literal),+ $(,)?) => {
        /// Something that happens in a run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $(#[doc = $name] $kind),+ }

        /// All kinds in their order.
        pub const ALL: &[Kind] = &[$(Kind::$kind),+];

        impl Kind {
            /// Its name in the report.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }
        }
    };
}

kinds! {
    CrashBetween = "crash: between two steps",
    CrashInCall = "crash: in the middle of an outside call",
    CrashAtDisk = "crash: at a file operation",
    CrashBeforeSync = "crash: at a commit, nothing of it on the disk",
    CrashTornSync = "crash: at a commit, parts of it on the disk",
    CrashAfterSync = "crash: at a commit, all of it on the disk, nobody told",
    Stop = "process: orderly stop",
    DatabaseFails = "process: a commit fails, the market ends by itself",
    ClockBack = "clock: set back",
    ClockForward = "clock: set forward",
    JobLate = "threads: time passes while work waits",
    ChainAway = "chain: call fails",
    ChainAwayLong = "chain: away for a while",
    ChainLate = "chain: slow answer",
    ChainStale = "chain: answer from an older head",
    PublishLost = "chain: publish done, answer lost",
    PublishRefused = "chain: publish refused",
    PublishForbidden = "chain: publish not permitted",
    DryRunObjects = "chain: a deal fails the dry run",
    MessageSlow = "chain: message waits in the pool",
    MessageFails = "chain: message executed with an exit code",
    DealDropped = "chain: the actor drops a deal",
    Reorg = "chain: re-org takes a message out",
    ReorgIds = "chain: after a re-org the deal has another ID",
    ReorgLate = "chain: re-org an epoch before the confirmation",
    PoolLost = "chain: nodes lose a waiting message",
    SentAgain = "chain: a lost message is sent again",
    NonceTaken = "chain: another message takes the nonce",
    NonceBack = "chain: a re-org gives the nonce back",
    Superseded = "chain: a message is superseded for good",
    MessageForgotten = "chain: node forgets a message for a while",
    MessageGone = "chain: message never executed",
    Replaced = "chain: a stuck message is replaced by one with a higher fee",
    SealerAway = "sealer: call fails",
    SealerLost = "sealer: piece taken, answer lost",
    SealerSlow = "sealer: piece written slowly",
    SealerJoined = "sealer: a repeated call joins the first",
    SealerRestart = "sealer: restarts, forgets calls and unwritten pieces",
    SectorRemoved = "sealer: sector removed",
    SectorFailed = "sealer: sector fails for a while",
    ServerError = "data: server answers with an error",
    ServerCut = "data: body is cut",
    ServerStall = "data: body stalls",
    ServerSlow = "data: body comes slowly",
    ServerWrong = "data: other bytes",
    ServerGone = "data: not there",
    Resumed = "data: resumed from a save point",
    DiskFull = "disk: full for a while",
    DiskFails = "disk: a file operation fails",
    DiskSlow = "disk: a file operation is slow",
    LostWrite = "disk: unsynced bytes lost at a crash",
    LostName = "disk: unsynced names lost at a crash",
    Repeat = "client: same proposal again",
    Together = "client: same proposal twice at the same time",
    OtherUuid = "client: same proposal under another UUID",
    OtherProposal = "client: another proposal under a known UUID",
    GoesAway = "client: goes away before the answer",
    Asks = "client: asks for the status",
    Retry = "operator: retry",
    Cancel = "operator: cancel",
    Fail = "operator: fail",
    PublishNow = "operator: publish now",
    Import = "operator: import",
    ImportWrong = "operator: import of a wrong file",
    ImportMissing = "operator: import of a missing file",
    Drop = "operator: drops a file into the folder",
    Dropped = "operator: a deal has the file that was dropped",
    WishGranted = "operator: a wish was granted",
    Starts = "starts",
    Commits = "commits",
    Steps = "steps",
    Accepted = "deals accepted",
    Refused = "proposals refused",
    Sealed = "deals sealed",
    Failed = "deals failed",
    Waiting = "deals that wait for somebody at the end",
    Probes = "probes of room at the end",
}

/// How often each kind has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally(Vec<u64>);

impl Default for Tally {
    fn default() -> Self {
        Self(vec![0; ALL.len()])
    }
}

impl Tally {
    /// Counts one.
    pub fn count(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    /// Times that this has happened.
    pub fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(&other.0) {
            *sum += more;
        }
    }

    /// Crashes of all kinds.
    pub fn crashes(&self) -> u64 {
        let crashes = ALL.iter().filter(|kind| kind.name().starts_with("crash: "));
        crashes.map(|kind| self.of(*kind)).sum()
    }

    /// Kinds that have never happened.
    pub fn never(&self) -> Vec<&'static str> {
        let never = ALL.iter().filter(|kind| self.of(**kind) == 0);
        never.map(|kind| kind.name()).collect()
    }
}
