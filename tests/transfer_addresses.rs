//! Where a download may go: redirects hop by hop, names by what they resolve to, credentials to their own origin only.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/transfer.rs"]
mod transfer;

use coracle::transfer::{FetchLimits, Fetcher, Job, LookUp, SavePoint, Source};
use http_server::{Server, Step};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use transfer::{Place, car, fatal, limits};

fn redirect(to: &str) -> Step {
    Step::Raw(format!("HTTP/1.1 302 x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

/// Loopback on this port only.
fn only(server: &Server) -> FetchLimits {
    FetchLimits {
        private_urls: vec![format!("http://{}", server.address)],
        ..limits()
    }
}

/// A fetcher whose names resolve as this says.
fn resolving(limits: FetchLimits, names: Arc<LookUp>) -> Place {
    Place::with_fetcher(Fetcher::with_look_up(limits, names))
}

fn address(text: &str, port: u16) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), port)
}

#[test]
fn private_addresses_are_refused_unless_listed() {
    let server = Server::file(&car(1000));
    let place = Place::with(FetchLimits {
        private_urls: Vec::new(),
        ..limits()
    });
    for host in [
        "127.0.0.1",
        "127.1",
        "0",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "10.0.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ] {
        let failure = place
            .run(&format!("http://{host}:{}/", server.address.port()), 1000)
            .unwrap_err();
        assert!(
            fatal(&failure).starts_with("downloading from private ip addresses is not allowed"),
            "{host}: {failure:?}"
        );
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_listed_prefix_allows_itself_and_no_neighbour() {
    let data = car(1000);
    let (listed, neighbour) = (Server::file(&data), Server::file(&data));
    let place = Place::with(only(&listed));
    assert!(place.run(&listed.url("/x"), data.len()).is_ok());
    for url in [
        neighbour.url("/x"),
        format!("http://{}@{}/", listed.address, neighbour.address),
        format!("http://localhost:{}/", listed.address.port()),
    ] {
        let failure = Place::with(only(&listed))
            .run(&url, data.len())
            .unwrap_err();
        fatal(&failure);
    }
    assert!(neighbour.requests().is_empty());
}

#[test]
fn a_prefix_that_is_not_valid_allows_nothing() {
    let server = Server::file(&car(1000));
    let place = Place::with(FetchLimits {
        private_urls: vec!["127.0.0.1".to_owned(), String::new(), "http://".to_owned()],
        ..limits()
    });
    fatal(&place.run(&server.url("/"), 1000).unwrap_err());
    assert!(server.requests().is_empty());
}

#[test]
fn a_name_is_judged_by_what_it_resolves_to() {
    let server = Server::file(&car(1000));
    let port = server.address.port();
    for private in [
        &["127.0.0.1"][..],
        &["10.0.0.1", "::1"],
        &["::ffff:127.0.0.1"],
        &["fd00::5"],
    ] {
        let addresses: Vec<SocketAddr> = private.iter().map(|text| address(text, port)).collect();
        let place = resolving(limits(), Arc::new(move |_, _| Ok(addresses.clone())));
        let failure = place
            .run(&format!("http://innocent.example:{port}/"), 1000)
            .unwrap_err();
        assert_eq!(
            fatal(&failure),
            format!(
                "downloading from private ip addresses is not allowed (innocent.example:{port})"
            )
        );
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_listed_name_may_be_private() {
    let data = car(1000);
    let server = Server::file(&data);
    let port = server.address.port();
    let limits = FetchLimits {
        private_urls: vec![format!("http://nas.lan:{port}/pub/")],
        ..limits()
    };
    let names: Arc<LookUp> = Arc::new(|_, port| Ok(vec![address("127.0.0.1", port)]));
    let place = resolving(limits.clone(), Arc::clone(&names));
    assert!(
        place
            .run(&format!("http://NAS.lan:{port}/pub/x"), data.len())
            .is_ok()
    );
    assert_eq!(
        server.requests()[0].header("host"),
        Some(format!("nas.lan:{port}").as_str())
    );
    for path in ["/", "/public", "/pub/../x", "/pub/%2e%2e/x"] {
        let place = resolving(limits.clone(), Arc::clone(&names));
        fatal(
            &place
                .run(&format!("http://nas.lan:{port}{path}"), data.len())
                .unwrap_err(),
        );
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_was_checked_is_what_is_connected_to() {
    // A name server that gives another address the second time gains nothing: there is one look-up per hop, and the
    // addresses that were looked at are the ones that are connected to.
    let data = car(1000);
    let server = Server::file(&data);
    let port = server.address.port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let rebinding: Arc<LookUp> = Arc::new(move |_, port| {
        Ok(vec![match counter.fetch_add(1, Ordering::Relaxed) {
            0 => address("127.0.0.1", port),
            _ => address("127.0.0.2", port),
        }])
    });
    let limits = FetchLimits {
        private_urls: vec![format!("http://rebind.example:{port}")],
        ..limits()
    };
    let place = resolving(limits, rebinding);
    let url = format!("http://rebind.example:{port}/");
    assert!(place.run(&url, data.len()).is_ok());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn redirects_are_followed_up_to_a_limit() {
    let data = car(1000);
    let file = Server::file(&data);
    for hops in 1..=6 {
        let mut script: Vec<Step> = (1..hops).map(|_| redirect("/next")).collect();
        script.push(redirect(&file.url("/end")));
        let server = Server::start(script);
        let result = Place::new().run(&server.url("/"), data.len());
        if hops <= 5 {
            assert!(result.is_ok(), "{hops}: {result:?}");
        } else {
            assert_eq!(fatal(&result.unwrap_err()), "more than 5 redirects");
        }
    }
    let circle = Server::start(vec![redirect("/")]);
    fatal(&Place::new().run(&circle.url("/"), 1000).unwrap_err());
    assert_eq!(circle.requests().len(), 6);
}

#[test]
fn every_hop_is_checked() {
    let inside = Server::file(&car(1000));
    for location in [
        inside.url("/"),
        format!("//{}/", inside.address),
        format!("http://localhost:{}/", inside.address.port()),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[::1]/".to_owned(),
    ] {
        let server = Server::start(vec![redirect(&location)]);
        let failure = Place::with(only(&server))
            .run(&server.url("/"), 1000)
            .unwrap_err();
        assert!(
            fatal(&failure).starts_with("downloading from private"),
            "{location}: {failure:?}"
        );
    }
    for location in [
        "ftp://a/",
        "file:///etc/passwd",
        "http://",
        "http://a:b/",
        "libp2p://x",
    ] {
        let server = Server::start(vec![redirect(location)]);
        let failure = Place::with(only(&server))
            .run(&server.url("/"), 1000)
            .unwrap_err();
        assert!(
            fatal(&failure).starts_with("a redirect to a place that is no URL"),
            "{failure:?}"
        );
    }
    assert!(inside.requests().is_empty());
}

const SECRETS: [(&str, &str); 3] = [
    ("Authorization", "Bearer secret-token"),
    ("X-Key", "secret-key"),
    ("Cookie", "secret=1"),
];

#[test]
fn credentials_stay_with_their_origin() {
    let data = car(1000);
    let other = Server::file(&data);
    let first = Server::start(vec![redirect("/same"), redirect(&other.url("/else"))]);
    let place = Place::new().headers(&SECRETS);
    place.run(&first.url("/"), data.len()).unwrap();
    let at_first = first.requests();
    assert_eq!(at_first.len(), 2);
    for request in &at_first {
        assert_eq!(request.header("authorization"), Some("Bearer secret-token"));
        assert_eq!(request.header("x-key"), Some("secret-key"));
    }
    let at_other = other.requests();
    assert!(!format!("{at_other:?}").contains("secret"), "{at_other:?}");
}

#[test]
fn credentials_do_not_come_back_with_a_later_hop() {
    let data = car(1000);
    let home = Server::start(vec![Step::With(Arc::new(|request| {
        redirect(&request.target[1..])
    }))]);
    let away = Server::start(vec![redirect(&home.url("/http://127.0.0.1:1/"))]);
    let url = home.url(&format!("/{}", away.url("/")));
    let _ = Place::new().headers(&SECRETS).run(&url, data.len());
    let requests = home.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].header("authorization").is_some());
    assert_eq!(requests[1].header("authorization"), None);
}

#[test]
fn a_user_in_the_url_becomes_basic_authorization() {
    let data = car(1000);
    let server = Server::file(&data);
    let url = format!("http://user:p%40ss@{}/", server.address);
    Place::new().run(&url, data.len()).unwrap();
    // base64("user:p@ss")
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some("Basic dXNlcjpwQHNz")
    );
    Place::new()
        .headers(&SECRETS)
        .run(&url, data.len())
        .unwrap();
    assert_eq!(
        server.requests()[1].header("authorization"),
        Some("Bearer secret-token")
    );
}

#[test]
fn the_transfers_own_headers_cannot_be_overridden() {
    let data = car(1000);
    let server = Server::file(&data);
    let place = Place::new().headers(&[
        ("Host", "evil"),
        ("Range", "bytes=5-"),
        ("range", "bytes=6-"),
        ("If-Range", "x"),
        ("If-None-Match", "*"),
        ("Accept-Encoding", "gzip"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Upgrade", "h2c"),
        ("Proxy-Authorization", "x"),
        ("Accept", "application/vnd.ipld.car"),
    ]);
    place.run(&server.url("/"), data.len()).unwrap();
    let request = &server.requests()[0];
    assert_eq!(
        request.header("host"),
        Some(server.address.to_string().as_str())
    );
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("accept"), Some("application/vnd.ipld.car"));
    for gone in [
        "range",
        "if-range",
        "if-none-match",
        "content-length",
        "transfer-encoding",
        "upgrade",
        "proxy-authorization",
    ] {
        assert_eq!(request.header(gone), None, "{gone}");
    }
    assert_eq!(
        request
            .headers
            .iter()
            .filter(|(name, _)| name == "host")
            .count(),
        1
    );
}

#[test]
fn no_error_and_no_debug_shows_a_secret() {
    let headers: Vec<(String, String)> = SECRETS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let answers = [
        Step::Raw(b"HTTP/1.1 404 secret-phrase\r\nContent-Length: 0\r\n\r\n".to_vec()),
        Step::Raw(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n".to_vec()),
        Step::Raw(b"secret".to_vec()),
        Step::Raw(b"HTTP/1.1 200 x\r\nContent-Length: secret\r\n\r\n".to_vec()),
        redirect("http://secret:secret@127.0.0.1:1/secret"),
        redirect("http://a b/secret"),
    ];
    for answer in answers {
        let server = Server::start(vec![answer]);
        let url = format!("http://secret:secret@{}/secret?sig=secret", server.address);
        let failure = Place::new().headers(&SECRETS).run(&url, 1000).unwrap_err();
        assert!(
            !format!("{failure} {failure:?}").contains("secret"),
            "{failure:?}"
        );
        let job = Job {
            source: Source::Http {
                url,
                headers: headers.clone(),
            },
            size: 1,
            file: "staged".into(),
            spool: "spool".into(),
            save: SavePoint::default(),
        };
        let shown = format!("{job:?}");
        assert!(
            !shown.contains("secret") && shown.contains(&server.address.to_string()),
            "{shown}"
        );
    }
}

#[test]
fn no_proxy_is_taken_from_the_environment() {
    // The variable is read when a client is made; this runs in a process of its own so that no other test sees it.
    if std::env::var("CORACLE_TEST_PROXIED").is_err() {
        let proxy = Server::file(&car(1000));
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "no_proxy_is_taken_from_the_environment"])
            .env("CORACLE_TEST_PROXIED", "1")
            .env("HTTP_PROXY", proxy.url("/"))
            .env("http_proxy", proxy.url("/"))
            .env("ALL_PROXY", proxy.url("/"))
            .status()
            .unwrap();
        assert!(status.success());
        assert!(proxy.requests().is_empty());
        return;
    }
    let data = car(1000);
    let server = Server::file(&data);
    assert!(Place::new().run(&server.url("/"), data.len()).is_ok());
    let failure = Place::with(only(&server))
        .run("http://10.0.0.1/", 1000)
        .unwrap_err();
    fatal(&failure);
}
