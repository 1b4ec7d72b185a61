//! What a message may cost and how large it may be. Pure.

use super::ChainError;
use crate::filecoin::TokenAmount;
use crate::filecoin::message::Message;

/// The longest signed message that a mempool takes, in bytes of its CBOR (chain-sealer-rpc C.2).
pub const MESSAGE_BYTES_MAX: usize = 65_536;

/// Bytes that the longest signature (BLS, 96) adds, with its type and the CBOR around it.
const SIGNATURE_BYTES: usize = 104;

/// Gas of one message: what a block aims at, half of what it can hold, so that the message does not wait for an empty
/// block (chain-sealer-rpc D.5).
pub const GAS_BUDGET: i64 = 5_000_000_000;

/// # Errors
/// [`ChainError::TooMuch`] if the mempool would not take the message, however it is signed.
pub(super) fn check_size(message: &Message) -> Result<(), ChainError> {
    let bytes = message.encode().len().saturating_add(SIGNATURE_BYTES);
    if bytes > MESSAGE_BYTES_MAX {
        return Err(ChainError::TooMuch(format!(
            "the message would have {bytes} bytes, {MESSAGE_BYTES_MAX} are allowed"
        )));
    }
    Ok(())
}

/// Bounds an estimated message: its gas by the budget, its total fee (gas limit × fee cap) by `fee_max` (zero: no bound),
/// whatever the node made of it.
///
/// # Errors
/// [`ChainError::TooMuch`] beyond the budget; [`ChainError::Fee`] if the bound leaves less than the base fee: the message
/// would lie in the pool and hold up everything that its sender sends later.
pub(super) fn bound(
    message: &mut Message,
    fee_max: &TokenAmount,
    base_fee: &TokenAmount,
) -> Result<(), ChainError> {
    if message.gas_limit <= 0 {
        return Err(ChainError::Malformed(
            "GasEstimateMessageGas: GasLimit is not positive".to_owned(),
        ));
    }
    if message.gas_limit > GAS_BUDGET {
        return Err(ChainError::TooMuch(format!(
            "the message would need {} units of gas, the budget is {GAS_BUDGET}",
            message.gas_limit
        )));
    }
    if !fee_max.is_zero() {
        let most = fee_max.atto().checked_div(&message.gas_limit.into());
        let most = TokenAmount::from_atto(most.unwrap_or_default());
        if message.gas_fee_cap > most {
            message.gas_fee_cap = most;
        }
    }
    if message.gas_premium > message.gas_fee_cap {
        message.gas_premium.clone_from(&message.gas_fee_cap);
    }
    if message.gas_fee_cap < *base_fee {
        let needed = base_fee.times(message.gas_limit);
        return Err(ChainError::Fee(format!(
            "at the present base fee the message costs {} or more, the limit is {}",
            needed.to_fil_text(),
            fee_max.to_fil_text()
        )));
    }
    Ok(())
}

/// Rises of the base fee that a raised fee cap leaves room for: an eighth each epoch makes ten times as much in twenty of
/// them, as a node's own estimate has it (chain-sealer-rpc C.2).
const BASE_FEE_RISE: i64 = 10;

/// Raises a waiting message's fee so that the mempool takes it in the old one's place: the premium by a quarter and one
/// (the least that Lotus takes), the fee cap with it. The total stays within `fee_max` (zero: no bound).
///
/// # Errors
/// [`ChainError::Fee`] if that leaves less than the new premium or the base fee: the replacement would not be taken, or
/// would wait as well.
pub(super) fn raise(
    message: &mut Message,
    fee_max: &TokenAmount,
    base_fee: &TokenAmount,
) -> Result<(), ChainError> {
    let premium = quarter_more(&message.gas_premium);
    let roomy = plus(&base_fee.times(BASE_FEE_RISE), &premium);
    let mut cap = quarter_more(&message.gas_fee_cap).max(roomy);
    if !fee_max.is_zero() {
        let most = fee_max.atto().checked_div(&message.gas_limit.into());
        cap = cap.min(TokenAmount::from_atto(most.unwrap_or_default()));
    }
    if cap < premium || cap < *base_fee {
        let needed = premium.max(base_fee.clone()).times(message.gas_limit);
        return Err(ChainError::Fee(format!(
            "a replacement must offer {} or more, the limit is {}",
            needed.to_fil_text(),
            fee_max.to_fil_text()
        )));
    }
    (message.gas_premium, message.gas_fee_cap) = (premium, cap);
    Ok(())
}

/// A quarter more, rounded down, and one.
#[allow(clippy::arithmetic_side_effects)] // numbers without a width
fn quarter_more(amount: &TokenAmount) -> TokenAmount {
    TokenAmount::from_atto(amount.atto() * 5_u8 / 4_u8 + 1_u8)
}

/// What value and fee of a message may come to: the sender must have as much.
pub(super) fn most_needed(message: &Message) -> TokenAmount {
    let fee = message.gas_fee_cap.times(message.gas_limit);
    plus(&message.value, &fee)
}

/// What an executed message has cost beyond its value (the chain's own rule, `ComputeGasOutputs` in Lotus): the base fee, at
/// most the fee cap, for the gas that was used and for a part of what was estimated too high; and the premium, as far as
/// the fee cap leaves room for it, for the whole limit. None if the numbers cannot belong to an executed message.
pub(super) fn spent(
    message: &Message,
    gas_used: i64,
    base_fee: &TokenAmount,
) -> Option<TokenAmount> {
    let limit = message.gas_limit;
    if gas_used < 0 || gas_used > limit {
        return None;
    }
    let paid = base_fee.min(&message.gas_fee_cap);
    let room = message.gas_fee_cap.atto().checked_sub(paid.atto())?;
    let premium = TokenAmount::from_atto(room).min(message.gas_premium.clone());
    let burned = gas_used.checked_add(overestimated(gas_used, limit)?)?;
    Some(plus(&paid.times(burned), &premium.times(limit)))
}

/// Units of gas that are burned because the limit was far above what was used: none up to 10 % above, growing from there.
fn overestimated(used: i64, limit: i64) -> Option<i64> {
    if used == 0 {
        return Some(limit);
    }
    // In 128 bits: a product of two gas amounts does not fit in 64.
    let (used, limit) = (i128::from(used), i128::from(limit));
    let unused = limit.checked_sub(used)?;
    let tolerated = used.checked_mul(11)?.checked_div(10)?;
    let over = limit.checked_sub(tolerated)?.clamp(0, used);
    let burned = unused.checked_mul(over)?.checked_div(used)?;
    i64::try_from(burned).ok()
}

#[allow(clippy::arithmetic_side_effects)] // numbers without a width
fn plus(a: &TokenAmount, b: &TokenAmount) -> TokenAmount {
    a + b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filecoin::Address;

    fn atto(n: u64) -> TokenAmount {
        TokenAmount::from_atto(n)
    }

    fn message(gas_limit: i64, cap: u64, premium: u64) -> Message {
        Message {
            version: 0,
            to: Address::market_actor(),
            from: Address::id(7),
            nonce: 0,
            value: TokenAmount::zero(),
            gas_limit,
            gas_fee_cap: atto(cap),
            gas_premium: atto(premium),
            method: 4,
            params: Vec::new(),
        }
    }

    #[test]
    fn the_total_fee_never_passes_its_limit() {
        // gas limit, cap, premium, limit; cap and premium afterwards
        let table = [
            (1_000, 50, 5, 50_000, 50, 5),
            (1_000, 50, 5, 49_999, 49, 5),
            (1_000, 50, 40, 30_500, 30, 30),
            (1_000, 50, 5, 0, 50, 5),
            (3, 1, 1, 10, 1, 1),
        ];
        for (gas, cap, premium, limit, cap_after, premium_after) in table {
            let mut bounded = message(gas, cap, premium);
            bound(&mut bounded, &atto(limit), &atto(1)).unwrap();
            assert_eq!(bounded.gas_fee_cap, atto(cap_after), "{limit}");
            assert_eq!(bounded.gas_premium, atto(premium_after), "{limit}");
            assert!(limit == 0 || most_needed(&bounded) <= atto(limit));
        }
    }

    #[test]
    fn gas_is_burned_for_a_limit_far_above_what_was_used() {
        // used, limit, burned beyond what was used: the public numbers of Lotus' own test of the rule
        let table = [
            (100, 200, 90),
            (100, 150, 20),
            (1_000, 1_300, 60),
            (500, 700, 60),
            (200, 200, 0),
            (20_000, 21_000, 0),
            (0, 2_000, 2_000),
            (500, 651, 30),
            (500, 5_000, 4_500),
            (7_499_000_000, 7_500_000_000, 0),
            (3_750_000_000, 7_500_000_000, 3_375_000_000),
            (1, 7_500_000_000, 7_499_999_999),
        ];
        for (used, limit, burned) in table {
            assert_eq!(overestimated(used, limit), Some(burned), "{used} {limit}");
        }
    }

    #[test]
    fn a_replacement_offers_enough_and_never_more_than_the_limit() {
        // premium, cap, base fee, limit of 1000 units; premium and cap afterwards
        let table = [
            (100, 500, 50, 1_000_000, 126, 626),
            (0, 0, 0, 1_000_000, 1, 1),
            (3, 10, 1, 0, 4, 14),
            (100, 500, 50, 600_000, 126, 600),
            (100, 500, 200, 0, 126, 2_126),
            (100, 500, 50, 126_000, 126, 126),
        ];
        for (premium, cap, base_fee, limit, premium_after, cap_after) in table {
            let mut raised = message(1_000, cap, premium);
            raise(&mut raised, &atto(limit), &atto(base_fee)).unwrap();
            assert_eq!(raised.gas_premium, atto(premium_after), "{limit}");
            assert_eq!(raised.gas_fee_cap, atto(cap_after), "{limit}");
            assert!(limit == 0 || most_needed(&raised) <= atto(limit));
        }
        for (base_fee, limit) in [(50, 125_999), (700, 600_000)] {
            let mut kept = message(1_000, 500, 100);
            let error = raise(&mut kept, &atto(limit), &atto(base_fee)).unwrap_err();
            assert!(matches!(error, ChainError::Fee(_)), "{error:?}");
            assert_eq!(kept, message(1_000, 500, 100));
        }
    }

    #[test]
    fn the_fee_is_base_fee_for_what_is_burned_and_premium_for_the_limit() {
        let spent = |cap, premium, base| spent(&message(150, cap, premium), 100, &atto(base));
        // 100 used and 20 burned at the base fee, 150 at the premium
        assert_eq!(spent(1_000, 5, 7), Some(atto(120 * 7 + 150 * 5)));
        // The cap leaves room for a part of the premium, or for none.
        assert_eq!(spent(10, 5, 7), Some(atto(120 * 7 + 150 * 3)));
        assert_eq!(spent(7, 5, 7), Some(atto(120 * 7)));
        assert_eq!(spent(6, 5, 7), Some(atto(120 * 6)));
        // Numbers that no executed message has.
        let none = |used| super::spent(&message(150, 10, 1), used, &atto(1));
        assert_eq!((none(151), none(-1)), (None, None));
    }

    #[test]
    fn a_message_that_would_not_get_in_is_not_made() {
        let mut low = message(1_000, 50, 5);
        let error = bound(&mut low, &atto(20_000), &atto(21)).unwrap_err();
        assert!(matches!(error, ChainError::Fee(_)), "{error:?}");
        let mut much = message(GAS_BUDGET + 1, 1, 1);
        let error = bound(&mut much, &atto(0), &atto(1)).unwrap_err();
        assert!(matches!(error, ChainError::TooMuch(_)), "{error:?}");
        bound(&mut message(GAS_BUDGET, 1, 1), &atto(0), &atto(1)).unwrap();
        assert!(bound(&mut message(0, 1, 1), &atto(0), &atto(1)).is_err());
        let mut large = message(1, 1, 1);
        large.params = vec![0; MESSAGE_BYTES_MAX - 200];
        check_size(&large).unwrap();
        large.params = vec![0; MESSAGE_BYTES_MAX - 100];
        assert!(matches!(check_size(&large), Err(ChainError::TooMuch(_))));
    }
}
