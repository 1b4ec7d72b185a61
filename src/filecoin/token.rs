//! Amounts of money in attoFIL (10^-18 FIL), their bytes on the wire (spec boost-mk12 1.3) and
//! their texts.

use num_bigint::{BigInt, Sign};
use std::fmt;

/// The longest CBOR form that is read (spec boost-mk12 1.2): sign byte and 127 bytes of magnitude.
pub const MAX_BYTES: usize = 128;
/// The longest decimal text that is read: 127 bytes of magnitude are at most 306 digits; one sign.
const MAX_TEXT: usize = 307;
/// Decimal places of one FIL.
const FIL_PLACES: usize = 18;

/// An amount in attoFIL; it may be negative.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TokenAmount(BigInt);

impl TokenAmount {
    /// Nothing.
    pub fn zero() -> Self {
        Self::default()
    }

    /// This many attoFIL.
    pub fn from_atto(n: impl Into<BigInt>) -> Self {
        Self(n.into())
    }

    /// The number of attoFIL.
    pub fn atto(&self) -> &BigInt {
        &self.0
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.sign() == Sign::Minus
    }

    /// Whether it is exactly zero.
    pub fn is_zero(&self) -> bool {
        self.0.sign() == Sign::NoSign
    }

    /// Reads what a person writes: `0.05`, `0.05 FIL`, `12 fil`, `5 attoFIL`, `5aFIL`. Without a
    /// unit it is FIL. `None` for a sign, more than 18 decimal places, an attoFIL fraction, or
    /// anything else.
    pub fn parse_fil(s: &str) -> Option<Self> {
        let s = s.trim();
        if s.len() > MAX_TEXT {
            return None;
        }
        let number_len = s
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'.')
            .count();
        let (number, unit) = s.split_at_checked(number_len)?;
        let unit = unit.trim_start().to_ascii_lowercase();
        let places = match unit.as_str() {
            "" | "fil" => FIL_PLACES,
            "attofil" | "afil" => 0,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.len() > places || (places == 0 && number.contains('.')) {
            return None;
        }
        if number.ends_with('.') || fraction.contains('.') {
            return None;
        }
        Self::parse_atto(&format!("{whole}{fraction:0<places$}"))
    }

    /// Reads decimal attoFIL with an optional minus; `None` for anything else, and beyond 127 bytes
    /// of magnitude.
    pub fn parse_atto(s: &str) -> Option<Self> {
        let digits = s.strip_prefix('-').unwrap_or(s);
        if s.len() > MAX_TEXT || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let amount = Self(s.parse().ok()?);
        (amount.to_bytes().len() <= MAX_BYTES).then_some(amount)
    }

    /// A text for people: `0.05 FIL`, all significant places and no more.
    pub fn to_fil_text(&self) -> String {
        let minus = if self.is_negative() { "-" } else { "" };
        let digits = format!(
            "{:0>width$}",
            self.0.magnitude().to_string(),
            width = FIL_PLACES.saturating_add(1)
        );
        let point = digits.len().saturating_sub(FIL_PLACES);
        let (whole, fraction) = digits.split_at_checked(point).unwrap_or((&digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        format!("{minus}{whole}{dot}{fraction} FIL")
    }

    /// The price per epoch of a piece, `self` being the price per GiB and epoch: floor(self × size
    /// / 2^30), `size` in padded bytes (spec boost-mk12 3.2).
    #[allow(
        clippy::arithmetic_side_effects,
        reason = "big integers do not overflow"
    )]
    #[must_use]
    pub fn price_for(&self, padded_size: u64) -> Self {
        Self((&self.0 * padded_size) >> 30)
    }

    /// `self` × `n`, for example a price per epoch × epochs.
    #[allow(
        clippy::arithmetic_side_effects,
        reason = "big integers do not overflow"
    )]
    #[must_use]
    pub fn times(&self, n: i64) -> Self {
        Self(&self.0 * n)
    }

    /// The content of the CBOR byte string: empty for zero, else a sign byte and the big-endian
    /// magnitude.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (sign, magnitude) = self.0.to_bytes_be();
        let mut bytes = match sign {
            Sign::NoSign => return Vec::new(),
            Sign::Plus => vec![0],
            Sign::Minus => vec![1],
        };
        bytes.extend_from_slice(&magnitude);
        bytes
    }

    /// Reads the content of the CBOR byte string, at most 128 bytes. Leading zeros of the magnitude
    /// and a sign without a magnitude are tolerated, as the chain does; `None` for another sign
    /// byte.
    pub fn from_bytes(b: &[u8]) -> Option<Self> {
        if b.len() > MAX_BYTES {
            return None;
        }
        let Some((sign, magnitude)) = b.split_first() else {
            return Some(Self::zero());
        };
        let sign = match sign {
            0 => Sign::Plus,
            1 => Sign::Minus,
            _ => return None,
        };
        Some(Self(BigInt::from_bytes_be(sign, magnitude)))
    }
}

#[allow(
    clippy::arithmetic_side_effects,
    reason = "big integers do not overflow"
)]
impl std::ops::Add for &TokenAmount {
    type Output = TokenAmount;
    fn add(self, o: &TokenAmount) -> TokenAmount {
        TokenAmount(&self.0 + &o.0)
    }
}

#[allow(
    clippy::arithmetic_side_effects,
    reason = "big integers do not overflow"
)]
impl std::ops::Sub for &TokenAmount {
    type Output = TokenAmount;
    fn sub(self, o: &TokenAmount) -> TokenAmount {
        TokenAmount(&self.0 - &o.0)
    }
}

/// Decimal attoFIL.
impl fmt::Display for TokenAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
