//! What a seed decides before the run begins: which faults happen and how often, the deals, the provider's settings.

use super::kinds::{ALL, Kind};
use super::rng::Rng;

/// How often each kind happens when it can, in thousandths. Most seeds leave most faults out: some mistakes only show
/// when nothing else goes wrong.
pub fn odds(rng: &mut Rng) -> Vec<u64> {
    ALL.iter().map(|kind| rng.pick(choices(*kind))).collect()
}

fn choices(kind: Kind) -> &'static [u64] {
    match kind {
        Kind::CrashBetween => &[0, 0, 0, 2, 8],
        Kind::CrashInCall | Kind::CrashAtDisk => &[0, 0, 0, 10, 40],
        Kind::CrashBeforeSync | Kind::CrashTornSync | Kind::CrashAfterSync => &[0, 0, 0, 15, 60],
        Kind::DatabaseFails => &[0, 0, 0, 0, 20],
        Kind::JobLate => &[0, 0, 10, 50],
        // These end deals, or make them wait for somebody: too many of them and nothing else is seen.
        Kind::ServerWrong
        | Kind::ServerGone
        | Kind::MessageGone
        | Kind::SectorRemoved
        | Kind::MessageFails
        | Kind::DealDropped
        | Kind::DryRunObjects
        | Kind::PublishRefused => &[0, 0, 0, 0, 30, 150],
        // Few calls of a run can meet these.
        Kind::PublishLost
        | Kind::SealerLost
        | Kind::SealerRestart
        | Kind::Reorg
        | Kind::ReorgLate
        | Kind::PoolLost
        | Kind::NonceTaken
        | Kind::NonceBack => &[0, 0, 50, 200, 500],
        // In few seeds, for few deals.
        Kind::Drop => &[60, 200, 500],
        Kind::ChainAwayLong | Kind::DiskFull => &[0, 0, 0, 10, 40],
        _ => &[0, 0, 0, 15, 60, 200],
    }
}

/// How a run comes to its end once the faults are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finale {
    /// What waits for somebody is left waiting.
    Leave,
    /// The operator retries what waits and imports what is missing.
    Retry,
    /// The operator fails what waits.
    Fail,
    /// Nobody does anything until all start epochs are long past.
    Outlast,
}

/// A deal that a client has in mind.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// Which of the goods.
    pub number: u64,
    /// The operator imports its data.
    pub offline: bool,
    /// No unsealed copy is to stay.
    pub remove_unsealed: bool,
    /// The imported file becomes the provider's.
    pub delete_after: bool,
}

/// What is decided before anything happens.
#[derive(Debug, Clone)]
pub struct Plan {
    /// One to three deals.
    pub deals: Vec<Choice>,
    /// Whether there is a second miner.
    pub two_miners: bool,
    /// When the faults end, in milliseconds from the beginning.
    pub calm_after: u64,
    /// What follows then.
    pub finale: Finale,
    /// Between two looks at the chain, in seconds.
    pub chain_poll: u64,
    /// Between two looks at a sector, in seconds.
    pub seal_poll: u64,
    /// Longest wait of a publish message for more deals, in seconds.
    pub publish_period: u64,
    /// Deals of one message.
    pub deals_per_message: u64,
    /// Passes at the same time.
    pub transfers_max: usize,
    /// Bytes of the staging area; 0 is unlimited.
    pub staging_bytes_max: u64,
    /// Bytes of kept pieces.
    pub keep_bytes_max: u64,
    /// attoFIL in each provider's escrow.
    pub escrow: u64,
    /// attoFIL of the publish wallet.
    pub balance: u64,
    /// Bytes that the disk has beyond the margin of admission.
    pub room: u64,
    /// Imported files lie on another file system.
    pub elsewhere: bool,
    /// The provider is started once more at the end.
    pub start_again: bool,
    /// Fresh proposals find out at the end how much room there is.
    pub probe: bool,
    /// There is a drop folder; whether its files become the provider's.
    pub drops: Option<bool>,
}

/// Fee cap of a publish message, attoFIL.
pub const FEE: u64 = 50;

impl Plan {
    /// A plan of this stream's choice.
    pub fn new(rng: &mut Rng) -> Self {
        let two_miners = rng.chance(300);
        let count = 1 + rng.below(3);
        let mut deals: Vec<Choice> = Vec::new();
        while (deals.len() as u64) < count {
            let number = rng.below(super::goods::COUNT);
            let ours = two_miners || !number.is_multiple_of(3);
            if ours && deals.iter().all(|deal| deal.number != number) {
                deals.push(Choice {
                    number,
                    offline: rng.chance(250),
                    remove_unsealed: rng.chance(200),
                    delete_after: rng.chance(500),
                });
            }
        }
        let minute = 60_000;
        Self {
            deals,
            two_miners,
            calm_after: rng.pick(&[20, 60, 200, 600]) * minute,
            finale: rng.pick(&[Finale::Leave, Finale::Retry, Finale::Fail, Finale::Outlast]),
            chain_poll: rng.pick(&[120, 300, 600]),
            seal_poll: rng.pick(&[300, 900]),
            publish_period: rng.pick(&[0, 0, 600, 3_600]),
            deals_per_message: 1 + rng.below(3),
            transfers_max: rng.pick(&[1, 2, 4]),
            staging_bytes_max: rng.pick(&[0, 0, 1_500]),
            keep_bytes_max: rng.pick(&[0, 800, u64::MAX, u64::MAX]),
            escrow: rng.pick(&[2_500, 1_000_000, 1_000_000]),
            balance: rng.pick(&[FEE, 1_000_000, 1_000_000]),
            room: rng.pick(&[1_500, 1 << 30, 1 << 30]),
            elsewhere: rng.chance(200),
            start_again: rng.chance(300),
            probe: rng.chance(300),
            drops: None,
        }
        .with_drops(rng)
    }

    /// Perhaps with a drop folder, for whose sake there are more offline deals.
    fn with_drops(mut self, rng: &mut Rng) -> Self {
        if rng.chance(250) {
            self.drops = Some(rng.chance(500));
            for deal in &mut self.deals {
                deal.offline |= rng.chance(700);
            }
        }
        self
    }

    /// Whether funds or space may not do for all deals.
    pub fn is_tight(&self) -> bool {
        self.escrow < 1_000_000 || self.balance < 1_000_000 || self.room < 1 << 30
    }
}
