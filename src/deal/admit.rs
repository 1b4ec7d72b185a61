//! Admission: uniqueness, filter, funds, space (spec boost-mk12 3.3, 3.5). Carried out inside the run loop, so that no
//! two proposals see the same room.

use super::ledger::Ledger;
use super::{Deal, Millis, Refusal, Terms, filter};
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
    /// Staging bytes that live deals with downloads from the same host hold.
    pub host_staging: u64,
    /// Staging bytes that live deals of the same client hold.
    pub client_staging: u64,
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

/// Admits a judged proposal, or says why not. `deal` is what would be stored.
///
/// # Errors
/// The first step that failed, with the reference's text.
pub fn admit(deal: &Deal, room: &Room, terms: &Terms) -> Result<(), Refusal> {
    unique(room.same_proposal, room.same_uuid)?;
    filter::filter(deal, room.head, terms)?;
    if deal.request.offline {
        // Nothing is reserved until the data is imported (3.5).
        return Ok(());
    }
    funds(deal.proposal(), room, terms)?;
    space(deal, room, terms)
}

/// Refuses what is known already (3.3 steps 2 and 3).
///
/// # Errors
/// The deal that stands in the way.
pub fn unique(same_proposal: Option<Known>, same_uuid: Option<Known>) -> Result<(), Refusal> {
    let refused = |text: &str, known: Known| {
        Err(Refusal::at_fault(format!(
            "{text} deal {} (proposed at {})",
            known.uuid,
            go_time(known.created)
        )))
    };
    match (same_proposal, same_uuid) {
        (Some(known), _) => refused("deal proposal is identical to", known),
        (None, Some(known)) => refused("deal has the same uuid as", known),
        (None, None) => Ok(()),
    }
}

/// Funds for one more deal: collateral in escrow, and the fee cap of every message that live deals still need.
///
/// # Errors
/// `server error: provider has insufficient funds to accept deal`; the log text has the amounts.
#[allow(clippy::arithmetic_side_effects)] // big integers; the count saturates
pub fn funds(proposal: &DealProposal, room: &Room, terms: &Terms) -> Result<(), Refusal> {
    const TEXT: &str = "provider has insufficient funds to accept deal";
    let free = &room.escrow_available - &room.ledger.collateral;
    if free < proposal.provider_collateral {
        return Err(Refusal::server_error(
            TEXT,
            &format!(
                "market escrow has {} free beyond what live deals hold, the deal's collateral is {}; \
                 add funds to the provider's escrow",
                free.to_fil_text(),
                proposal.provider_collateral.to_fil_text()
            ),
        ));
    }
    let reserve = &room.ledger.publish_reserve(1, terms) + &room.reserved_by_others;
    if room.publish_balance < reserve {
        return Err(Refusal::server_error(
            TEXT,
            &format!(
                "the publish wallet has {}, the publish messages of live deals and this one may cost {}; \
                 add funds to the publish wallet",
                room.publish_balance.to_fil_text(),
                reserve.to_fil_text()
            ),
        ));
    }
    Ok(())
}

/// Space in the staging area: what one client may hold, what one host may hold, the whole area, the disk itself.
fn space(deal: &Deal, room: &Room, terms: &Terms) -> Result<(), Refusal> {
    const TEXT: &str = "provider has no space left for storage deals";
    let size = deal.request.size;
    let full = |why: String| Err(Refusal::server_error(TEXT, &why));
    let max = terms.staging_client_bytes_max;
    if max > 0 && room.client_staging.saturating_add(size) > max {
        return Err(Refusal::advised(
            format!(
                "client has no staging space left: its deals hold {} of {max} bytes, this one needs {size}",
                room.client_staging
            ),
            "CORACLE_STAGING_CLIENT_BYTES_MAX is the limit",
        ));
    }
    let host_max = share(terms.staging_bytes_max, terms.staging_host_percent);
    // `>=` here and below as in the reference: a deal that would fill the area exactly is refused (edge case 52).
    if host_max.is_some_and(|max| room.host_staging.saturating_add(size) >= max) {
        return full(format!(
            "downloads from {} hold {} of the {} staging bytes that one host may have, the deal needs {size}; \
             CORACLE_STAGING_HOST_PERCENT_MAX is the limit",
            deal.request.host,
            room.host_staging,
            host_max.unwrap_or_default()
        ));
    }
    let max = terms.staging_bytes_max;
    if max > 0 && room.ledger.staging.saturating_add(size) >= max {
        return full(format!(
            "live deals hold {} of {max} staging bytes, the deal needs {size}; \
             CORACLE_STAGING_BYTES_MAX is the limit",
            room.ledger.staging
        ));
    }
    if size.saturating_add(DISK_MARGIN) > room.disk_free {
        return full(format!(
            "the disk of CORACLE_STAGING has {} bytes free that no deal waits for, the deal needs {size} \
             and {DISK_MARGIN} stay unused; make room there",
            room.disk_free
        ));
    }
    Ok(())
}

/// `percent` of `max`, rounded down; none if either is no limit.
fn share(max: u64, percent: u64) -> Option<u64> {
    if max == 0 || percent == 0 {
        return None;
    }
    // Widened: the area may have more bytes than a hundredth of what 64 bits count.
    let share = u128::from(max).saturating_mul(u128::from(percent)) / 100;
    Some(u64::try_from(share).unwrap_or(u64::MAX))
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
