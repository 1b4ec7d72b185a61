//! URLs: what is taken apart, what is refused, where a redirect leads, what a private prefix covers.

use crate::transfer::url::{HttpUrl, PrivatePrefix, UrlError, may_connect, percent_decoded};

fn parse(text: &str) -> HttpUrl {
    HttpUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_url_is_taken_apart() {
    let url = parse("HTTPS://user:p%40ss@Example.COM:8443/a%20b/c?x=1&y=/z#frag");
    assert_eq!(url.user.as_deref(), Some("user:p%40ss"));
    assert_eq!(url.host, "example.com");
    assert_eq!(url.port, Some(8443));
    assert_eq!(url.written, "Example.COM:8443");
    assert_eq!(
        url.request_url(),
        "https://example.com:8443/a%20b/c?x=1&y=/z"
    );
}

#[test]
fn requests_get_a_path_they_can_carry() {
    for (text, path) in [
        ("http://a", "/"),
        ("http://a?q=1", "/?q=1"),
        ("http://a#f", "/"),
        ("http://a/b c", "/b%20c"),
        ("http://a/ü", "/%C3%BC"),
        ("http://a/%7Bx%7D", "/%7Bx%7D"),
        ("http://a/{x}", "/%7Bx%7D"),
    ] {
        assert_eq!(parse(text).path, path, "{text}");
    }
}

#[test]
fn the_host_is_kept_as_written() {
    for (text, written, port) in [
        ("http://a.com/x", "a.com", 80),
        ("https://a.com/x", "a.com", 443),
        ("https://a.com:443/x", "a.com:443", 443),
        ("http://a.com:/x", "a.com:", 80),
        ("http://u@A.com:81", "A.com:81", 81),
        ("http://[::1]:8080/x", "[::1]:8080", 8080),
    ] {
        let url = parse(text);
        assert_eq!(
            (url.written.as_str(), url.effective_port()),
            (written, port),
            "{text}"
        );
    }
}

#[test]
fn what_cannot_be_fetched_is_refused_without_repeating_it() {
    for (text, why) in [
        ("", "it is empty"),
        ("a.com/secret", "it has no scheme"),
        ("ftp://a.com/secret", "the scheme is neither http nor https"),
        (
            "libp2p:///ip4/1.2.3.4/tcp/5/p2p/secret",
            "libp2p:// transfers are not supported",
        ),
        ("http:///secret", "it has no host"),
        ("http://user:secret@/x", "it has no host"),
        (
            "http://a b/secret",
            "the host name has a character that is not allowed",
        ),
        (
            "http://a%41/secret",
            "the host name has a character that is not allowed",
        ),
        ("http://a:0/secret", "the port is out of range"),
        ("http://a:65536/secret", "the port is out of range"),
        ("http://a:+80/secret", "the port is not a number"),
        ("http://a:80:81/secret", "the port is not a number"),
        (
            "http://[::1/secret",
            "the IPv6 address has no closing bracket",
        ),
        (
            "http://[::1%25eth0]/secret",
            "the IPv6 address is not valid",
        ),
        (
            "http://[::1]x/secret",
            "there is text between the host and the port",
        ),
        ("http://a/secret\r\nX: y", "it has a control character"),
        ("http://a/\u{7f}secret", "it has a control character"),
    ] {
        let result = HttpUrl::parse(text).map(|url| url.written);
        assert_eq!(result, Err(UrlError(why)), "{text}");
        assert!(!why.contains("secret"));
    }
    assert_eq!(
        HttpUrl::parse(&format!("http://a/{}", "x".repeat(8192))).map(|_| ()),
        Err(UrlError("it is too long"))
    );
    assert_eq!(
        HttpUrl::parse(&format!("http://{}/", "x".repeat(254))).map(|_| ()),
        Err(UrlError("the host name is too long"))
    );
}

#[test]
fn what_stands_before_the_last_at_sign_is_no_host() {
    // Browsers read the first one as host `a`; what counts is that the host checked is the one connected to.
    assert_eq!(parse("http://a\\@b/").host, "b");
    assert_eq!(parse("http://127.0.0.1:80@evil.com/").host, "evil.com");
    assert_eq!(parse("http://x@y@evil.com/").host, "evil.com");
}

#[test]
fn redirects_lead_where_rfc_3986_says() {
    let base = parse("http://u:p@a.com:81/b/c/d?q");
    for (location, target) in [
        ("https://x.org/y", "https://x.org/y"),
        ("//x.org/y", "http://x.org/y"),
        ("/y/../z", "http://a.com:81/z"),
        ("g", "http://a.com:81/b/c/g"),
        ("./g", "http://a.com:81/b/c/g"),
        ("g/", "http://a.com:81/b/c/g/"),
        ("?y", "http://a.com:81/b/c/d?y"),
        ("g?y=/../x", "http://a.com:81/b/c/g?y=/../x"),
        ("..", "http://a.com:81/b/"),
        ("../g", "http://a.com:81/b/g"),
        ("../../../g", "http://a.com:81/g"),
        ("", "http://a.com:81/b/c/d?q"),
        ("g#frag", "http://a.com:81/b/c/g"),
    ] {
        let joined = base.join(location).unwrap();
        assert_eq!(joined.request_url(), target, "{location}");
        // The user of the first URL is not carried along by accident: the caller decides by origin.
        assert_eq!(joined.user, None);
    }
    assert!(base.join("javascript:alert(1)").is_err());
    assert!(base.join("ftp://x/y").is_err());
    assert!(base.join("/a\u{1}").is_err());
}

#[test]
fn origins_are_scheme_host_and_port() {
    let base = parse("http://a.com/x");
    for (other, same) in [
        ("http://A.com:80/y", true),
        ("http://a.com:81/y", false),
        ("https://a.com/x", false),
        ("http://b.a.com/x", false),
    ] {
        assert_eq!(base.same_origin(&parse(other)), same, "{other}");
    }
}

#[test]
fn a_private_prefix_covers_no_neighbour() {
    for (prefix, url, covered) in [
        ("http://127.0.0.1:80", "http://127.0.0.1/x", true),
        ("http://127.0.0.1:80", "http://127.0.0.1:80/x?y", true),
        ("http://127.0.0.1:80", "http://127.0.0.1:8080/x", false),
        (
            "http://127.0.0.1:80",
            "http://127.0.0.1:80@evil.com/",
            false,
        ),
        ("http://127.0.0.1:80", "https://127.0.0.1:80/", false),
        ("http://127.0.0.1", "http://127.0.0.1:8080/x", false),
        ("http://127.0.0.1:*", "http://127.0.0.1:8080/x", true),
        ("http://127.0.0.1:*", "http://127.0.0.11:8080/x", false),
        ("http://nas.lan", "http://nas.lan.evil.com/", false),
        ("http://nas.lan", "http://NAS.lan/", true),
        ("http://nas.lan/pub", "http://nas.lan/pub", true),
        ("http://nas.lan/pub", "http://nas.lan/pub?x", true),
        ("http://nas.lan/pub/", "http://nas.lan/pub/x", true),
        ("http://nas.lan/pub", "http://nas.lan/public", false),
        ("http://nas.lan/pub", "http://nas.lan/", false),
        ("http://nas.lan/pub", "http://nas.lan/pub/../etc", false),
        ("http://nas.lan/pub", "http://nas.lan/pub/%2e%2e/etc", false),
        ("http://nas.lan/pub", "http://nas.lan/pub/..%2fetc", false),
        ("http://nas.lan/pub", "http://nas.lan/pub/x..y", true),
        ("http://[::1]:*", "http://[0:0::1]:9/x", true),
    ] {
        let prefix_parsed = PrivatePrefix::parse(prefix).unwrap();
        let url_parsed = parse(url);
        assert_eq!(prefix_parsed.covers(&url_parsed), covered, "{prefix} {url}");
    }
    for wrong in [
        "127.0.0.1",
        "ftp://a",
        "http://u@a",
        "http://a/?q",
        "http://",
        "http://a:*:80",
    ] {
        assert!(PrivatePrefix::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_public_addresses_and_private_prefixes_may_be_connected_to() {
    let private = [PrivatePrefix::parse("http://10.0.0.1:8080/pub").unwrap()];
    let inside = "10.0.0.1".parse().unwrap();
    assert!(may_connect(
        &parse("http://10.0.0.1:8080/pub/x"),
        inside,
        &private
    ));
    assert!(!may_connect(
        &parse("http://10.0.0.1:8080/x"),
        inside,
        &private
    ));
    assert!(!may_connect(&parse("http://name/pub/x"), inside, &private));
    assert!(may_connect(
        &parse("http://name/x"),
        "8.8.8.8".parse().unwrap(),
        &private
    ));
}

#[test]
fn percent_signs_are_decoded() {
    assert_eq!(percent_decoded("a%40b%zz%4"), b"a@b%zz%4");
    assert_eq!(percent_decoded("%ff%00"), [0xff, 0]);
}
