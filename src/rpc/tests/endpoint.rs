use crate::rpc::{ENDPOINTS_MAX, Endpoint, EndpointError, Version};

/// Three parts joined by dots: the form of a token, not a real one.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJBbGxvdyI6W119.c2ln-_x";

/// Entry (`TOKEN` stands for the token), URL, name for people.
#[rustfmt::skip]
const FORMS: &[(&str, &str, &str)] = &[
    ("/ip4/10.0.0.5/tcp/1234/http", "http://10.0.0.5:1234/rpc/v1", "10.0.0.5:1234"),
    ("/ip4/10.0.0.5/tcp/1234", "http://10.0.0.5:1234/rpc/v1", "10.0.0.5:1234"),
    ("/dns4/node/tcp/1234/ws", "http://node:1234/rpc/v1", "node:1234"),
    ("/dns/node.example/tcp/443/https", "https://node.example:443/rpc/v1", "node.example:443"),
    ("/dns6/node/tcp/443/wss", "https://node:443/rpc/v1", "node:443"),
    ("/dns4/node/tcp/443/tls/http", "https://node:443/rpc/v1", "node:443"),
    ("/ip6/::1/tcp/1234/http", "http://[::1]:1234/rpc/v1", "[::1]:1234"),
    ("/ip4/10.0.0.5/tcp/3453/version/v0", "http://10.0.0.5:3453/rpc/v0", "10.0.0.5:3453"),
    ("http://127.0.0.1:1234", "http://127.0.0.1:1234/rpc/v1", "127.0.0.1:1234"),
    ("http://127.0.0.1:1234/", "http://127.0.0.1:1234/rpc/v1", "127.0.0.1:1234"),
    ("ws://127.0.0.1:1234", "http://127.0.0.1:1234/rpc/v1", "127.0.0.1:1234"),
    ("wss://node.example.net", "https://node.example.net/rpc/v1", "node.example.net"),
    ("HTTPS://node.example.net/lotus/", "https://node.example.net/lotus/rpc/v1", "node.example.net"),
    ("https://[2001:db8::7]:443", "https://[2001:db8::7]:443/rpc/v1", "[2001:db8::7]:443"),
    ("https://node.example.net/rpc/v0", "https://node.example.net/rpc/v0", "node.example.net"),
    ("https://node.example.net/key/rpc/v1?k=1#x", "https://node.example.net/key/rpc/v1?k=1", "node.example.net"),
    ("TOKEN:/ip4/10.0.0.5/tcp/1234/http", "http://10.0.0.5:1234/rpc/v1", "10.0.0.5:1234"),
    ("TOKEN:https://node.example.net", "https://node.example.net/rpc/v1", "node.example.net"),
    (" TOKEN:http://node:80 ,", "http://node:80/rpc/v1", "node:80"),
];

#[test]
fn every_form_of_an_entry_leads_to_a_url() {
    for (form, url, name) in FORMS {
        let text = form.replace("TOKEN", TOKEN);
        let endpoint =
            Endpoint::parse(&text, Version::V1).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(endpoint.url(), *url, "{text}");
        assert_eq!(endpoint.to_string(), *name, "{text}");
        let expected = form.contains("TOKEN").then(|| format!("Bearer {TOKEN}"));
        assert_eq!(endpoint.authorization(), expected, "{text}");
    }
}

#[test]
fn what_is_no_entry_is_refused_with_its_reason() {
    use EndpointError as E;
    let user = "http://me:secret@node:1234";
    let bare_after_token = format!("{TOKEN}:node:1234");
    let token_alone = format!("{TOKEN}:");
    let long = format!("http://{}", "a".repeat(5000));
    let table: &[(&str, E)] = &[
        ("", E::Empty),
        (" , ,", E::Empty),
        ("node:1234", E::BareHost),
        ("10.0.0.5:1234", E::BareHost),
        (&bare_after_token, E::BareHost),
        (&token_alone, E::Form),
        ("two.parts:http://node:1", E::Token),
        ("a.b.c!:http://node:1", E::Token),
        ("opaque:/ip4/1.2.3.4/tcp/1", E::Token),
        ("node", E::Form),
        ("ftp://node:21", E::Form),
        ("http://node:1/a b", E::Form),
        (user, E::UserInfo),
        ("http://", E::Host),
        ("http://no_[de", E::Host),
        ("http://[::zz]:1", E::Host),
        ("http://node:99999", E::Port),
        ("http://node:", E::Port),
        ("http://[::1]1234", E::Port),
        ("/ip4/10.0.0.5", E::Port),
        ("/ip4/10.0.0.5/tcp/x", E::Port),
        ("/ip4/10.0.0.300/tcp/1", E::Host),
        ("/tcp/1234", E::Host),
        ("/ip4", E::Host),
        ("/ip4/10.0.0.5/udp/1234/quic-v1", E::Component),
        ("/ip4/10.0.0.5/tcp/1/version", E::Component),
        ("http://a,http://b", E::TooMany),
        (&long, E::TooLong),
    ];
    for (text, expected) in table {
        assert_eq!(
            Endpoint::parse(text, Version::V1).err(),
            Some(*expected),
            "{text}"
        );
    }
}

#[test]
fn a_list_keeps_its_order_and_has_a_bound() {
    let list =
        Endpoint::parse_list(&format!("http://a, {TOKEN}:/dns4/b/tcp/2,"), Version::V0).unwrap();
    let urls: Vec<&str> = list.iter().map(Endpoint::url).collect();
    assert_eq!(urls, ["http://a/rpc/v0", "http://b:2/rpc/v0"]);
    let many = ["http://a"; ENDPOINTS_MAX + 1].join(",");
    assert_eq!(
        Endpoint::parse_list(&many, Version::V0).err(),
        Some(EndpointError::TooMany)
    );
}

#[test]
fn nothing_that_people_see_shows_a_secret() {
    let endpoint = Endpoint::parse(
        &format!("{TOKEN}:https://node.example.net/hidden-key/rpc/v1?k=hidden-too"),
        Version::V1,
    )
    .unwrap();
    let shown = format!("{endpoint:?} {endpoint}");
    assert!(shown.contains("node.example.net"));
    assert!(
        !shown.contains("hidden") && !shown.contains("eyJ"),
        "{shown}"
    );
}

#[test]
fn a_reader_is_pushed_beside_the_calls() {
    let id = uuid::Uuid::from_u128(7);
    let push = |text| Endpoint::parse(text, Version::V0).unwrap().push_url(&id);
    assert_eq!(
        push("/ip4/127.0.0.1/tcp/2345/http").as_deref(),
        Some("http://127.0.0.1:2345/rpc/streams/v0/push/00000000-0000-0000-0000-000000000007")
    );
    assert_eq!(
        push("https://m.example/base/rpc/v0?k=1").as_deref(),
        Some("https://m.example/base/rpc/streams/v0/push/00000000-0000-0000-0000-000000000007")
    );
}
