//! Finding the deals that keep a publish message from being made (spec boost-mk12 5, chain-sealer-rpc D.2).
//!
//! A whole message fails for one deal that the dry run alone did not object to, and nobody says for which. It is found by
//! making the message of fewer deals, halving each time. Nothing is sent and nothing is stored meanwhile: after a crash it
//! is looked for again.

use crate::chain::ChainError;

/// Messages that are made for one order at the most. Each costs the node a simulated execution, a second or more. To find
/// one deal among 256 takes ten, so four of them are found at once; with more of them, what is not looked at goes with
/// the next order.
pub(super) const TRIES_MAX: u32 = 40;

/// What became of an order's deals, by their places in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sifted<T> {
    /// The message, with all deals that are not left out; none if no deal remains.
    pub made: Option<T>,
    /// Deals that are not in it: why one cannot be published at all; or none if it may go with another message.
    pub left_out: Vec<(usize, Option<ChainError>)>,
}

/// Whether an error says something about the deals of a message: another selection may do better.
fn is_about_deals(error: &ChainError) -> bool {
    matches!(error, ChainError::WouldFail(_) | ChainError::TooMuch(_))
}

/// Makes the message of as many of these deals as go together.
///
/// # Errors
/// What does not depend on the deals, whenever it occurs.
pub(super) fn sift<T>(
    deals: usize,
    mut make: impl FnMut(&[usize]) -> Result<T, ChainError>,
) -> Result<Sifted<T>, ChainError> {
    let mut rest: Vec<usize> = (0..deals).collect();
    let mut left_out = Vec::new();
    let mut tries = 0_u32;
    let mut attempt = |chosen: &[usize], tries: &mut u32| {
        *tries = tries.saturating_add(1);
        match make(chosen) {
            Ok(made) => Ok(Ok(made)),
            Err(error) if is_about_deals(&error) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    };
    while !rest.is_empty() {
        let why = match attempt(&rest, &mut tries)? {
            Ok(made) => {
                let made = Some(made);
                return Ok(Sifted { made, left_out });
            }
            Err(why) => why,
        };
        // The first deals so many go together, the first so many do not: with the last of those it fails.
        let (mut good, mut bad, mut why, mut best) = (0_usize, rest.len(), why, None);
        while bad.saturating_sub(good) > 1 {
            let middle = good.midpoint(bad);
            match attempt(rest.get(..middle).unwrap_or_default(), &mut tries)? {
                Ok(made) => (good, best) = (middle, Some(made)),
                Err(error) => (bad, why) = (middle, error),
            }
        }
        if good > 0 && matches!(why, ChainError::TooMuch(_)) {
            let others = rest.split_off(good);
            left_out.extend(others.into_iter().map(|deal| (deal, None)));
            let made = best;
            return Ok(Sifted { made, left_out });
        }
        let culprit = rest.remove(good);
        let verdict = if good == 0 {
            // It was tried alone just now.
            Some(why)
        } else {
            attempt(&[culprit], &mut tries)?.err()
        };
        left_out.push((culprit, verdict));
        if tries >= TRIES_MAX {
            // What is known to go together is sent.
            let others = rest.split_off(good);
            left_out.extend(others.into_iter().map(|deal| (deal, None)));
            let made = best;
            return Ok(Sifted { made, left_out });
        }
    }
    let made = None;
    Ok(Sifted { made, left_out })
}
