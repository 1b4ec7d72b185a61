//! Every kind of answer head, judged.

use crate::transfer::answer::{Asked, MAX_RETRY_AFTER, Verdict, if_range, judge};
use std::time::{Duration, SystemTime};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

const SIZE: u64 = 1000;

fn judged(status: u16, offset: u64, validator: Option<&str>, headers: &[(&str, &str)]) -> Verdict {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    let asked = Asked {
        offset,
        validator,
        size: SIZE,
    };
    // 1994-11-15 08:12:31 UTC
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_887_151);
    judge(StatusCode::from_u16(status).unwrap(), &map, asked, now)
}

fn fatal(reason: &str) -> Verdict {
    Verdict::Fatal {
        reason: reason.to_owned(),
    }
}

fn again(reason: &str, after: Option<u64>) -> Verdict {
    Verdict::Again {
        reason: reason.to_owned(),
        after,
    }
}

fn begin(validator: Option<&str>, why: Option<&'static str>) -> Verdict {
    Verdict::Begin {
        validator: validator.map(str::to_owned),
        why,
    }
}

#[test]
fn statuses_fall_into_their_classes() {
    for status in [
        400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 412, 414, 416, 417, 418, 421, 451, 499,
    ] {
        assert!(
            matches!(judged(status, 0, None, &[]), Verdict::Fatal { .. }),
            "{status}"
        );
    }
    for status in [
        408, 425, 429, 500, 501, 502, 503, 504, 507, 520, 599, 201, 202, 204, 300, 304, 305,
    ] {
        assert!(
            matches!(judged(status, 0, None, &[]), Verdict::Again { .. }),
            "{status}"
        );
    }
    assert_eq!(
        judged(404, 0, None, &[]),
        fatal("the server answered 404 Not Found")
    );
    assert_eq!(
        judged(520, 5, None, &[]),
        again("the server answered 520", None)
    );
}

#[test]
fn a_whole_file_begins_or_begins_again() {
    assert_eq!(
        judged(200, 0, None, &[("content-length", "1000")]),
        begin(None, None)
    );
    assert_eq!(
        judged(200, 0, None, &[("etag", "\"a\"")]),
        begin(Some("\"a\""), None)
    );
    assert_eq!(
        judged(200, 400, Some("\"a\""), &[("etag", "\"b\"")]),
        begin(
            Some("\"b\""),
            Some("the server sent the whole file instead of the rest")
        )
    );
}

#[test]
fn a_length_that_contradicts_the_deal_is_fatal_with_both_numbers() {
    let both = |found| {
        fatal(&format!(
            "the server's file has {found} bytes, the deal declares 1000"
        ))
    };
    assert_eq!(
        judged(200, 0, None, &[("content-length", "999")]),
        both(999)
    );
    assert_eq!(
        judged(200, 0, None, &[("content-length", "1001")]),
        both(1001)
    );
    assert_eq!(
        judged(200, 10, None, &[("content-length", "990")]),
        both(990)
    );
    let part = |total| judged(206, 400, None, &[("content-range", total)]);
    assert_eq!(part("bytes 400-998/999"), both(999));
    assert_eq!(part("bytes 400-999/2000"), both(2000));
    assert_eq!(
        judged(416, 400, None, &[("content-range", "bytes */300")]),
        both(300)
    );
    // The length of a transfer coding is not the file's.
    let chunked = [("transfer-encoding", "chunked"), ("content-length", "5")];
    assert_eq!(judged(200, 0, None, &chunked), begin(None, None));
}

#[test]
fn a_part_has_to_be_the_one_asked_for() {
    let go_on = |validator: Option<&str>| Verdict::Continue {
        validator: validator.map(str::to_owned),
    };
    let part = |range| judged(206, 400, None, &[("content-range", range)]);
    assert_eq!(part("bytes 400-999/1000"), go_on(None));
    assert_eq!(part("bytes 400-999/*"), go_on(None));
    assert_eq!(part("Bytes 400-499/1000"), go_on(None));
    for wrong in [
        "bytes 0-999/1000",
        "bytes 401-999/1000",
        "bytes 399-999/1000",
    ] {
        let why = "the server sent another part than asked for";
        assert_eq!(part(wrong), Verdict::AskFromZero { why }, "{wrong}");
    }
    for broken in [
        "400-999/1000",
        "items 400-999/1000",
        "bytes 400-399/1000",
        "bytes 400-1000/1000",
        "bytes 400-/1000",
        "bytes +400-999/1000",
        "bytes 400-999",
        "bytes 400-99999999999999999999/*",
    ] {
        let why = "the server sent a part without saying which";
        assert_eq!(part(broken), Verdict::AskFromZero { why }, "{broken}");
    }
    let why = "the server sent a part without saying which";
    assert_eq!(judged(206, 400, None, &[]), Verdict::AskFromZero { why });
    assert_eq!(judged(206, 0, None, &[]), again(why, None));
    assert_eq!(
        judged(206, 0, None, &[("content-range", "bytes 0-999/1000")]),
        begin(None, None)
    );
    assert_eq!(
        judged(206, 0, None, &[("content-range", "bytes 1-999/1000")]),
        again("the server sent another part than asked for", None)
    );
}

#[test]
fn a_changed_validator_begins_again() {
    let range = ("content-range", "bytes 400-999/1000");
    let changed = Verdict::AskFromZero {
        why: "the file has changed on the server",
    };
    let go_on = |validator: &str| Verdict::Continue {
        validator: Some(validator.to_owned()),
    };
    let date = "Tue, 15 Nov 1994 08:12:31 GMT";
    assert_eq!(
        judged(206, 400, Some("\"a\""), &[range, ("etag", "\"a\"")]),
        go_on("\"a\"")
    );
    assert_eq!(
        judged(206, 400, Some("\"a\""), &[range, ("etag", "\"b\"")]),
        changed
    );
    assert_eq!(
        judged(206, 400, Some("W/\"a\""), &[range, ("etag", "W/\"b\"")]),
        changed
    );
    assert_eq!(
        judged(206, 400, Some(date), &[range, ("last-modified", "other")]),
        changed
    );
    assert_eq!(
        judged(206, 400, Some(date), &[range, ("last-modified", date)]),
        go_on(date)
    );
    // Left out is not changed; another kind says nothing.
    assert_eq!(judged(206, 400, Some("\"a\""), &[range]), go_on("\"a\""));
    assert_eq!(
        judged(206, 400, Some("\"a\""), &[range, ("last-modified", date)]),
        go_on(date)
    );
    // The whole file is asked for even if the size differs too: its length then decides.
    let other = [("content-range", "bytes 400-1999/2000"), ("etag", "\"b\"")];
    assert_eq!(judged(206, 400, Some("\"a\""), &other), changed);
}

#[test]
fn validators_are_bounded_and_weak_ones_not_sent() {
    let long = format!("\"{}\"", "x".repeat(300));
    assert_eq!(judged(200, 0, None, &[("etag", &long)]), begin(None, None));
    assert_eq!(
        judged(
            200,
            0,
            None,
            &[("etag", "unquoted"), ("last-modified", "then")]
        ),
        begin(Some("then"), None)
    );
    assert_eq!(if_range(Some("\"a\"")), Some("\"a\""));
    assert_eq!(if_range(Some("then")), Some("then"));
    assert_eq!(if_range(Some("W/\"a\"")), None);
    assert_eq!(if_range(None), None);
}

#[test]
fn a_refused_range_is_judged_by_the_declared_size() {
    let refused = Verdict::AskFromZero {
        why: "the server refused the range",
    };
    assert_eq!(judged(416, 400, None, &[]), refused);
    assert_eq!(
        judged(416, 400, None, &[("content-range", "bytes */1000")]),
        refused
    );
    assert_eq!(
        judged(416, 400, None, &[("content-range", "bytes */*")]),
        refused
    );
}

#[test]
fn encoded_bodies_are_refused() {
    for (value, refused) in [
        ("gzip", true),
        ("identity, gzip", true),
        ("br", true),
        ("identity", false),
        ("Identity", false),
        ("", false),
    ] {
        let whole = judged(200, 0, None, &[("content-encoding", value)]);
        assert_eq!(matches!(whole, Verdict::Fatal { .. }), refused, "{value}");
        let range = ("content-range", "bytes 400-999/1000");
        let part = judged(206, 400, None, &[range, ("content-encoding", value)]);
        assert_eq!(matches!(part, Verdict::Fatal { .. }), refused, "{value}");
    }
    let twice = [
        ("content-encoding", "identity"),
        ("content-encoding", "gzip"),
    ];
    assert!(matches!(
        judged(200, 0, None, &twice),
        Verdict::Fatal { .. }
    ));
}

#[test]
fn retry_after_is_read_in_both_forms_and_bounded() {
    let after = |value| match judged(503, 0, None, &[("retry-after", value)]) {
        Verdict::Again { after, .. } => after,
        other => panic!("{other:?}"),
    };
    assert_eq!(after("0"), Some(0));
    assert_eq!(after("120"), Some(120));
    assert_eq!(after("3601"), Some(MAX_RETRY_AFTER));
    assert_eq!(after("99999999999999999999999"), Some(MAX_RETRY_AFTER));
    assert_eq!(after("Tue, 15 Nov 1994 08:12:41 GMT"), Some(10));
    assert_eq!(after("Tue, 15 Nov 1994 08:12:21 GMT"), Some(0));
    assert_eq!(
        after("Mon, 15 Nov 1999 08:12:21 GMT"),
        Some(MAX_RETRY_AFTER)
    );
    for nothing in ["-1", "soon", "", "1.5"] {
        assert_eq!(after(nothing), None, "{nothing}");
    }
    assert_eq!(
        judged(429, 0, None, &[("retry-after", "7")]),
        again("the server answered 429 Too Many Requests", Some(7))
    );
}

#[test]
fn redirects_need_a_place_to_go_to() {
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(
            judged(status, 0, None, &[("location", " /x ")]),
            Verdict::Redirect {
                location: "/x".to_owned()
            }
        );
        assert_eq!(
            judged(status, 0, None, &[]),
            fatal("a redirect without a place to go to")
        );
    }
}
