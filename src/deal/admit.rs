//! Admission: uniqueness, filter, funds, space (spec boost-mk12 3.3, 3.5). Carried out inside the run loop, so that no
//! two proposals see the same room.

use super::ledger::Ledger;
use super::{Millis, Refusal, Terms, filter};
use crate::filecoin::{ChainEpoch, DealProposal, TokenAmount};
use uuid::Uuid;

/// A deal that stands in the way of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its UUID.
    pub uuid: Uuid,
    /// When it was accepted.
    pub created: Millis,
}

/// What admission looks at.
#[derive(Debug, Clone)]
pub struct Room {
    /// A deal with the same chain identity, if there is one.
    pub same_proposal: Option<Known>,
    /// A deal with the same UUID, if there is one.
    pub same_uuid: Option<Known>,
    /// Height of the head.
    pub head: ChainEpoch,
    /// Sums over live deals.
    pub ledger: Ledger,
    /// The provider's escrow less what is locked.
    pub escrow_available: TokenAmount,
    /// Balance of the wallet that pays for publish messages.
    pub publish_balance: TokenAmount,
    /// What deals of other miners need of the same wallet.
    pub reserved_by_others: TokenAmount,
    /// Bytes that the staging directory's file system has free.
    pub disk_free: u64,
}

/// Free bytes of the file system that stay unused: the database, logs and save points need room when the disk is full of deals.
pub const DISK_MARGIN: u64 = 64 << 20;

/// Admits a judged proposal, or says why not.
///
/// # Errors
/// The first step that failed, with the reference's text.
pub fn admit(
    proposal: &DealProposal,
    offline: bool,
    transfer_size: u64,
    room: &Room,
    terms: &Terms,
) -> Result<(), Refusal> {
    unique(room)?;
    filter::filter(proposal, offline, room.head, terms)?;
    if offline {
        // Nothing is reserved until the data is imported (3.5).
        return Ok(());
    }
    funds(proposal, room, terms)?;
    space(transfer_size, room, terms)
}

fn unique(room: &Room) -> Result<(), Refusal> {
    if let Some(known) = room.same_proposal {
        return Err(Refusal::plain(format!(
            "deal proposal is identical to deal {} (proposed at {})",
            known.uuid,
            go_time(known.created)
        )));
    }
    if let Some(known) = room.same_uuid {
        return Err(Refusal::plain(format!(
            "deal has the same uuid as deal {} (proposed at {})",
            known.uuid,
            go_time(known.created)
        )));
    }
    Ok(())
}

/// Funds for one more deal: collateral in escrow, and the fee cap of every message that live deals still need.
///
/// # Errors
/// `server error: provider has insufficient funds to accept deal`; the log text has the amounts.
#[allow(clippy::arithmetic_side_effects)] // big integers; the count saturates
pub fn funds(proposal: &DealProposal, room: &Room, terms: &Terms) -> Result<(), Refusal> {
    const TEXT: &str = "server error: provider has insufficient funds to accept deal";
    let free = &room.escrow_available - &room.ledger.collateral;
    if free < proposal.provider_collateral {
        return Err(Refusal::with_log(
            TEXT,
            format!(
                "{TEXT}: market escrow has {} free beyond what live deals hold, the deal's collateral is {}; \
                 add funds to the provider's escrow",
                free.to_fil_text(),
                proposal.provider_collateral.to_fil_text()
            ),
        ));
    }
    let reserve = &room.ledger.publish_reserve(1, terms) + &room.reserved_by_others;
    if room.publish_balance < reserve {
        return Err(Refusal::with_log(
            TEXT,
            format!(
                "{TEXT}: the publish wallet has {}, the publish messages of live deals and this one may cost {}; \
                 add funds to the publish wallet",
                room.publish_balance.to_fil_text(),
                reserve.to_fil_text()
            ),
        ));
    }
    Ok(())
}

fn space(size: u64, room: &Room, terms: &Terms) -> Result<(), Refusal> {
    const TEXT: &str = "server error: provider has no space left for storage deals";
    let wanted = room.ledger.staging.saturating_add(size);
    // `>=` as in the reference: a deal that would fill the area exactly is refused (edge case 52).
    if terms.staging_bytes_max > 0 && wanted >= terms.staging_bytes_max {
        return Err(Refusal::with_log(
            TEXT,
            format!(
                "{TEXT}: live deals hold {} of {} staging bytes, the deal needs {size}",
                room.ledger.staging, terms.staging_bytes_max
            ),
        ));
    }
    if size.saturating_add(DISK_MARGIN) > room.disk_free {
        return Err(Refusal::with_log(
            TEXT,
            format!(
                "{TEXT}: the disk has {} bytes free, the deal needs {size}",
                room.disk_free
            ),
        ));
    }
    Ok(())
}

/// A time as the reference prints it, `2026-01-02 03:04:05.123 +0000 UTC`.
pub fn go_time(millis: Millis) -> String {
    let (seconds, fraction) = (millis / 1_000, millis % 1_000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (of_day / 3_600, of_day % 3_600 / 60, of_day % 60);
    let fraction = match fraction {
        0 => String::new(),
        // Trailing zeros are not printed.
        some => format!(".{some:03}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction} +0000 UTC")
}

/// Year, month and day of a count of days since 1970-01-01, by counting whole years and months.
#[allow(clippy::arithmetic_side_effects)] // bounded: the loop ends at the year that holds the day
fn civil_date(mut days: u64) -> (u64, u64, u64) {
    // 400 years are always 146,097 days.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}
