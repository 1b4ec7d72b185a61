//! The settings that acceptance and the machine look at, resolved once at start.

use super::Millis;
use crate::filecoin::{Address, ChainEpoch, TokenAmount};
use cid::Cid;
use std::collections::BTreeSet;

/// What one provider asks for and tolerates.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // independent switches of the reference's configuration
pub struct Terms {
    /// Deals that the provider downloads.
    pub online: bool,
    /// Deals whose data the operator imports.
    pub offline: bool,
    /// Deals that spend data cap.
    pub verified: bool,
    /// Deals that do not.
    pub unverified: bool,
    /// Piece CIDs that are refused.
    pub blocklist: BTreeSet<Cid>,
    /// The only clients whose deals are taken, in any form of their addresses; empty takes everybody's.
    pub clients_allowed: BTreeSet<Address>,
    /// Clients whose deals are refused; wins over `clients_allowed`.
    pub clients_denied: BTreeSet<Address>,
    /// Epochs that sealing is expected to take: the earliest start lies that far ahead.
    pub seal_duration: ChainEpoch,
    /// Epochs that an online deal may start later than that.
    pub start_delay_max: ChainEpoch,
    /// Epochs before its start in which a deal is no longer published.
    pub sealing_buffer: ChainEpoch,
    /// Bytes of the staging area; 0 is unlimited.
    pub staging_bytes_max: u64,
    /// Percent of it that downloads from one host may reserve; 0 is no limit (spec boost-mk12 3.3).
    pub staging_host_percent: u64,
    /// Bytes of it that the deals of one client may reserve; 0 is no limit.
    pub staging_client_bytes_max: u64,
    /// Deals in one publish message.
    pub deals_per_message: u64,
    /// Fee cap of one publish message.
    pub publish_fee_max: TokenAmount,
    /// Less free escrow than this is warned of; zero: never.
    pub escrow_low: TokenAmount,
    /// Epochs that a publish message is buried before it counts; none waits until the chain calls it final.
    pub confidence: Option<ChainEpoch>,
    /// Epochs without its execution after which a publish message is stuck: said, and replaced; 0 is never.
    pub stuck_after: ChainEpoch,
    /// Nothing is published before the operator says so.
    pub publish_by_hand: bool,
    /// First wait after a failure that goes away by itself; doubles up to `retry_max`.
    pub retry_first: Millis,
    /// Longest such wait.
    pub retry_max: Millis,
}

impl Default for Terms {
    /// The reference's defaults (spec boost-mk12 9.4), with a backoff of 5 s to 10 min.
    fn default() -> Self {
        Self {
            online: true,
            offline: true,
            verified: true,
            unverified: true,
            blocklist: BTreeSet::new(),
            clients_allowed: BTreeSet::new(),
            clients_denied: BTreeSet::new(),
            seal_duration: 2_880,
            start_delay_max: 40_320,
            sealing_buffer: 480,
            staging_bytes_max: 0,
            staging_host_percent: 0,
            staging_client_bytes_max: 0,
            deals_per_message: 8,
            publish_fee_max: TokenAmount::from_atto(50_000_000_000_000_000_i64),
            escrow_low: TokenAmount::from_atto(100_000_000_000_000_000_i64),
            confidence: Some(10),
            stuck_after: 20,
            publish_by_hand: false,
            retry_first: 5_000,
            retry_max: 600_000,
        }
    }
}

impl Terms {
    /// The wait before the try that follows `tries` failures in a row, spread by up to a quarter through `salt` so that
    /// deals that failed together do not come back together.
    pub fn backoff(&self, tries: u32, salt: u8) -> Millis {
        let doublings = tries.saturating_sub(1).min(20);
        let wait = self
            .retry_first
            .saturating_mul(1_u64 << doublings)
            .min(self.retry_max);
        let spread = (wait / 1024).saturating_mul(u64::from(salt));
        wait.saturating_add(spread)
    }
}
