//! What part of a body a request asks for: ranges and conditions of RFC 9110, without any file.
//!
//! One range is served as such, several are answered with the whole (section 14.2 allows to ignore them, and a multipart
//! body helps nobody who reads pieces).

use hyper::Method;
use hyper::header::{HeaderMap, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What a request gets, before the file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Neither GET nor HEAD.
    NotAllowed,
    /// The client has it already.
    NotModified,
    /// The range is behind the end.
    Unsatisfiable,
    /// These bytes.
    Send(Part),
}

/// The bytes to be sent: from `first` up to but without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub first: u64,
    pub end: u64,
    /// Whether a range was asked for.
    pub partial: bool,
    /// HEAD: the head alone.
    pub head: bool,
}

/// Decides what a request gets of a body with `total` bytes and this ETag.
pub(super) fn plan(method: &Method, headers: &HeaderMap, etag: Option<&str>, total: u64) -> Plan {
    let head = method == Method::HEAD;
    if !head && method != Method::GET {
        return Plan::NotAllowed;
    }
    if matches_none(headers, etag) {
        return Plan::NotModified;
    }
    let whole = Part {
        first: 0,
        end: total,
        partial: false,
        head,
    };
    // Ranges are defined for GET only (RFC 9110 section 14.2).
    if head || !range_applies(headers, etag) {
        return Plan::Send(whole);
    }
    match asked_range(headers, total) {
        Asked::Whole => Plan::Send(whole),
        Asked::Nothing => Plan::Unsatisfiable,
        Asked::Part { first, end } => Plan::Send(Part {
            first,
            end,
            partial: true,
            head,
        }),
    }
}

/// `If-None-Match`: whether the client has this already. Weak comparison (RFC 9110 section 13.1.2).
fn matches_none(headers: &HeaderMap, etag: Option<&str>) -> bool {
    let Some(etag) = etag else {
        return false;
    };
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// `If-Range`: whether the client's part is of this very file. We send no dates, so a date matches nothing.
fn range_applies(headers: &HeaderMap, etag: Option<&str>) -> bool {
    match headers.get(IF_RANGE) {
        None => true,
        Some(value) => value.to_str().ok().map(str::trim) == etag && etag.is_some(),
    }
}

/// What `Range` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// No range, several, or one that is not valid: the whole (RFC 9110 section 14.2).
    Whole,
    /// A range without a byte of the file.
    Nothing,
    /// These bytes; `end` is the first one that is not among them.
    Part { first: u64, end: u64 },
}

fn asked_range(headers: &HeaderMap, total: u64) -> Asked {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Asked::Whole;
    };
    let spec = value.to_str().ok().and_then(|value| value.split_once('='));
    let Some((unit, range)) = spec else {
        return Asked::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else {
        return Asked::Whole;
    };
    match (number(first), number(last)) {
        // The last bytes of the file.
        (Number::None, Number::Some(0)) => Asked::Nothing,
        (Number::None, Number::Some(count)) => within(total.saturating_sub(count), total, total),
        (Number::Some(first), Number::None) => within(first, total, total),
        (Number::Some(first), Number::Some(last)) if last >= first => {
            within(first, last.saturating_add(1).min(total), total)
        }
        _ => Asked::Whole,
    }
}

fn within(first: u64, end: u64, total: u64) -> Asked {
    if first >= total {
        return Asked::Nothing;
    }
    Asked::Part { first, end }
}

/// A side of a range.
enum Number {
    None,
    /// More than fits counts as the largest.
    Some(u64),
    Invalid,
}

fn number(digits: &str) -> Number {
    if digits.is_empty() {
        return Number::None;
    }
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Number::Invalid;
    }
    Number::Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn asked(range: &str, total: u64) -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_str(range).unwrap());
        asked_range(&headers, total)
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let part = |first, end| Asked::Part { first, end };
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-99", part(0, 100)),
            ("bytes=10-19", part(10, 20)),
            ("bytes=99-99", part(99, 100)),
            ("bytes=90-500", part(90, 100)),
            ("bytes=90-99999999999999999999999", part(90, 100)),
            ("bytes=50-", part(50, 100)),
            ("bytes=-1", part(99, 100)),
            ("bytes=-100", part(0, 100)),
            ("bytes=-500", part(0, 100)),
            ("Bytes = 5-6", part(5, 7)),
            ("bytes=100-", Asked::Nothing),
            ("bytes=100-200", Asked::Nothing),
            ("bytes=99999999999999999999999-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=20-10", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes", Asked::Whole),
            ("lines=1-2", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=1--2", Asked::Whole),
            ("bytes=0x1-2", Asked::Whole),
        ] {
            assert_eq!(asked(range, 100), expected, "{range}");
        }
        for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(asked(range, 0), Asked::Nothing, "{range}");
        }
    }

    #[test]
    fn two_range_headers_are_no_range() {
        let mut headers = HeaderMap::new();
        headers.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.append(RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(asked_range(&headers, 100), Asked::Whole);
    }

    fn planned(method: Method, headers: &[(HeaderName, &'static str)]) -> Plan {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        plan(&method, &map, Some("\"a\""), 100)
    }

    fn part(first: u64, end: u64, partial: bool, head: bool) -> Plan {
        Plan::Send(Part {
            first,
            end,
            partial,
            head,
        })
    }

    #[test]
    fn conditions_come_before_ranges() {
        let range = (RANGE, "bytes=50-");
        for (condition, expected) in [
            ((IF_NONE_MATCH, "\"a\""), Plan::NotModified),
            ((IF_NONE_MATCH, "\"x\", W/\"a\""), Plan::NotModified),
            ((IF_NONE_MATCH, "*"), Plan::NotModified),
            ((IF_NONE_MATCH, "\"b\""), part(50, 100, true, false)),
            ((IF_NONE_MATCH, "a"), part(50, 100, true, false)),
            ((IF_RANGE, "\"a\""), part(50, 100, true, false)),
            ((IF_RANGE, "W/\"a\""), part(0, 100, false, false)),
            ((IF_RANGE, "\"b\""), part(0, 100, false, false)),
            (
                (IF_RANGE, "Tue, 15 Nov 1994 08:12:31 GMT"),
                part(0, 100, false, false),
            ),
        ] {
            assert_eq!(
                planned(Method::GET, &[range.clone(), condition.clone()]),
                expected,
                "{condition:?}"
            );
        }
    }

    #[test]
    fn ranges_are_for_get_and_other_methods_for_nothing() {
        assert_eq!(
            planned(Method::GET, &[(RANGE, "bytes=100-")]),
            Plan::Unsatisfiable
        );
        assert_eq!(
            planned(Method::HEAD, &[(RANGE, "bytes=50-")]),
            part(0, 100, false, true)
        );
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(planned(method, &[]), Plan::NotAllowed);
        }
    }
}
