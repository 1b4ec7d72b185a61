//! What the head of an answer means for a transfer: pure, so that every case can be looked at by itself.

use std::time::{Duration, SystemTime};
use ureq::http::{HeaderMap, HeaderName, StatusCode, header};

/// Longest validator (ETag or date) that is kept; it is persisted with every save point.
const MAX_VALIDATOR: usize = 256;

/// Longest wait that a server may ask for, in seconds: an hour is what busy servers ask for at most, a day would be a way
/// to let deals expire.
pub(super) const MAX_RETRY_AFTER: u64 = 3600;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// First byte; 0 means that no range was asked for.
    pub offset: u64,
    /// The validator of the bytes that are there already.
    pub validator: Option<&'a str>,
    /// Declared bytes.
    pub size: u64,
}

/// What to do with the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The body goes on where the file ends.
    Continue { validator: Option<String> },
    /// The body begins with the first byte, although another was asked for if `why` is set.
    Begin {
        validator: Option<String>,
        why: Option<&'static str>,
    },
    /// This answer is of no use, but one without a range may be.
    AskFromZero { why: &'static str },
    /// Follow this `Location`.
    Redirect { location: String },
    /// Another try may help, after this many seconds if the server said so.
    Again { reason: String, after: Option<u64> },
    /// No other try can help.
    Fatal { reason: String },
}

impl Verdict {
    fn fatal(reason: impl Into<String>) -> Self {
        Self::Fatal {
            reason: reason.into(),
        }
    }

    /// The server's file is not the one that was declared.
    fn other_size(found: u64, declared: u64) -> Self {
        Self::fatal(other_size("the server's file", found, declared))
    }
}

/// The text for a size that contradicts the deal.
pub(super) fn other_size(whose: &str, found: u64, declared: u64) -> String {
    format!("{whose} has {found} bytes, the deal declares {declared}")
}

/// Judges status and headers.
pub(super) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    asked: Asked<'_>,
    now: SystemTime,
) -> Verdict {
    match status.as_u16() {
        200 => whole(headers, asked),
        206 => part(headers, asked),
        301 | 302 | 303 | 307 | 308 => match location(headers) {
            Some(location) => Verdict::Redirect { location },
            None => Verdict::fatal("a redirect without a place to go to"),
        },
        416 if asked.offset > 0 => no_such_range(headers, asked),
        408 | 425 | 429 | 500..=599 => Verdict::Again {
            reason: answered(status),
            after: retry_after(headers, now),
        },
        400..=499 => Verdict::fatal(answered(status)),
        _ => Verdict::Again {
            reason: answered(status),
            after: None,
        },
    }
}

/// The status with its registered meaning; the server's own words are not repeated.
fn answered(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(meaning) => format!("the server answered {} {meaning}", status.as_u16()),
        None => format!("the server answered {}", status.as_u16()),
    }
}

fn whole(headers: &HeaderMap, asked: Asked<'_>) -> Verdict {
    if is_encoded(headers) {
        return encoded();
    }
    match content_length(headers) {
        Some(length) if length != asked.size => Verdict::other_size(length, asked.size),
        _ => Verdict::Begin {
            validator: validator(headers),
            why: (asked.offset > 0).then_some("the server sent the whole file instead of the rest"),
        },
    }
}

fn part(headers: &HeaderMap, asked: Asked<'_>) -> Verdict {
    if is_encoded(headers) {
        return encoded();
    }
    let Some(range) = content_range(headers) else {
        return wrong_part(asked, "the server sent a part without saying which");
    };
    if changed(asked.validator, headers) {
        return wrong_part(asked, "the file has changed on the server");
    }
    match range.total {
        Some(total) if total != asked.size => return Verdict::other_size(total, asked.size),
        _ => {}
    }
    if range.first != Some(asked.offset) {
        return wrong_part(asked, "the server sent another part than asked for");
    }
    let validator = validator(headers);
    if asked.offset == 0 {
        return Verdict::Begin {
            validator,
            why: None,
        };
    }
    // A server that leaves the validator out here has promised nothing new: the old one stays.
    let kept = asked.validator.map(str::to_owned);
    Verdict::Continue {
        validator: validator.or(kept),
    }
}

fn wrong_part(asked: Asked<'_>, why: &'static str) -> Verdict {
    if asked.offset > 0 {
        Verdict::AskFromZero { why }
    } else {
        Verdict::Again {
            reason: why.to_owned(),
            after: None,
        }
    }
}

/// 416: the file ends before the byte that was asked for, or the server cannot do ranges.
fn no_such_range(headers: &HeaderMap, asked: Asked<'_>) -> Verdict {
    match content_range(headers).and_then(|range| range.total) {
        Some(total) if total != asked.size => Verdict::other_size(total, asked.size),
        _ => Verdict::AskFromZero {
            why: "the server refused the range",
        },
    }
}

fn encoded() -> Verdict {
    Verdict::fatal("the server sent an encoded body (Content-Encoding), which is not the file")
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| {
            let bytes = value.as_bytes().trim_ascii();
            !bytes.is_empty() && !bytes.eq_ignore_ascii_case(b"identity")
        })
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    // With a transfer coding the length is to be ignored (RFC 9112 section 6.3).
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    number(text(headers, &header::CONTENT_LENGTH)?)
}

/// `bytes FIRST-LAST/TOTAL` or `bytes */TOTAL`; `TOTAL` may be `*`.
struct ContentRange {
    first: Option<u64>,
    total: Option<u64>,
}

fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let (unit, rest) = text(headers, &header::CONTENT_RANGE)?.split_once(' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (range, total) = rest.trim().split_once('/')?;
    let total = match total {
        "*" => None,
        digits => Some(number(digits)?),
    };
    if range == "*" {
        return Some(ContentRange { first: None, total });
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    if last < first || total.is_some_and(|total| last >= total) {
        return None;
    }
    Some(ContentRange {
        first: Some(first),
        total,
    })
}

/// Digits only: `parse` alone would take a plus sign.
fn number(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn location(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::LOCATION)?;
    String::from_utf8(value.as_bytes().trim_ascii().to_vec()).ok()
}

/// The ETag, or else the date of the last change, by which a later part is known to be of the same file.
fn validator(headers: &HeaderMap) -> Option<String> {
    let value = etag(headers).or_else(|| text(headers, &header::LAST_MODIFIED))?;
    (!value.is_empty() && value.len() <= MAX_VALIDATOR).then(|| value.to_owned())
}

fn etag(headers: &HeaderMap) -> Option<&str> {
    text(headers, &header::ETAG).filter(|tag| is_etag(tag))
}

fn is_etag(validator: &str) -> bool {
    validator.ends_with('"') && (validator.starts_with('"') || validator.starts_with("W/\""))
}

/// The validator in the form that `If-Range` takes: a weak ETag cannot prove that bytes are the same (RFC 9110 13.1.5).
pub(super) fn if_range(validator: Option<&str>) -> Option<&str> {
    validator.filter(|validator| !validator.starts_with("W/"))
}

/// Whether the answer names another validator of the same kind.
fn changed(known: Option<&str>, headers: &HeaderMap) -> bool {
    let Some(known) = known else {
        return false;
    };
    let now = if is_etag(known) {
        etag(headers)
    } else {
        text(headers, &header::LAST_MODIFIED)
    };
    now.is_some_and(|now| now != known)
}

/// `Retry-After` in seconds, given as such or as a date, and bounded.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let value = text(headers, &header::RETRY_AFTER)?;
    let seconds = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than the bound.
        value.parse().unwrap_or(u64::MAX)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        let wait = date.duration_since(now).unwrap_or(Duration::ZERO);
        wait.as_secs()
            .saturating_add(u64::from(wait.subsec_nanos() > 0))
    };
    Some(seconds.min(MAX_RETRY_AFTER))
}
