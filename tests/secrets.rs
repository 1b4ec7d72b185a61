//! What clients and operators entrust stays where it is needed: no log, error, answer or page repeats it.
//!
//! Every way in which a transfer can fail is walked with credentials in the URL's user, path and query and in the headers,
//! from servers that repeat all that they are told, with the log at its most talkative level.

mod harness;

use coracle::client::deal::{self, Download, Wanted};
use coracle::deal::Checkpoint;
use coracle::wire::DealParams;
use harness::{Car, Client, Net, PATIENCE, Running, Scratch, vars};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Where each secret goes. `c2VjcmV0dXNlcjpzZWNyZXRwYXNz` is the user and password of the URL as they are sent.
const SECRETS: [&str; 10] = [
    "secretuser",
    "secretpass",
    "c2VjcmV0dXNlcjpzZWNyZXRwYXNz",
    "secretpath",
    "secretquery",
    "secretheader",
    "secretcookie",
    "secretlocation",
    "secretphrase",
    "secretbody",
];

/// A server that fails in the way that the path says, and repeats the whole request wherever it can.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<String>>,
}

impl Server {
    fn start(car: &Car) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<String>> = Arc::default();
        let (all, bytes) = (Arc::clone(&heard), Arc::clone(&car.bytes));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, bytes) = (Arc::clone(&all), Arc::clone(&bytes));
                std::thread::spawn(move || {
                    // A client that goes away is no failure of the server.
                    let _ = answer(&stream, &all, &bytes);
                });
            }
        });
        Self { address, heard }
    }
}

fn answer(stream: &TcpStream, heard: &Mutex<String>, car: &[u8]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    heard.lock().unwrap().push_str(&head);
    let echo = head.replace("\r\n", " ");
    let how = head.split('/').nth(2).unwrap_or_default();
    let mut stream = stream;
    let length = car.len();
    let mut say = |status: &str, headers: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status} secretphrase\r\nX-Echo: {echo}\r\nSet-Cookie: secretcookie\r\n\
             Connection: close\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)
    };
    let located = |to: &str| format!("Location: {to}\r\nContent-Length: 0\r\n");
    let of = |length: usize| format!("Content-Length: {length}\r\n");
    let page = format!("secretbody {echo}");
    if how.bytes().all(|byte| byte.is_ascii_digit()) {
        return say(how, &of(page.len()), page.as_bytes());
    }
    match how {
        "nowhere" => say("302", "Content-Length: 0\r\n", b""),
        "loop" => say(
            "302",
            &located("/x/loop/secretlocation?secretlocation"),
            b"",
        ),
        "private" => say("307", &located("http://10.0.0.1/secretlocation"), b""),
        "scheme" => say("301", &located("ftp://secretuser:secretlocation@a/"), b""),
        "badport" => say(
            "301",
            &located("http://secretlocation:99999/secretlocation"),
            b"",
        ),
        "short" => say("200", &of(length / 2), &car[..length / 2]),
        "long" => say("200", &of(length * 2), &[car, car].concat()),
        "cut" => say("200", &of(length), &car[..length / 2]),
        "encoded" => {
            let headers = format!("{}Content-Encoding: secretbody\r\n", of(length));
            say("200", &headers, car)
        }
        "otherpart" => {
            let headers = format!("{}Content-Range: bytes 7-9/secretbody\r\n", of(3));
            say("206", &headers, b"abc")
        }
        "badlength" => say("200", "Content-Length: secretbody\r\n", car),
        "chunks" => say(
            "200",
            "Transfer-Encoding: chunked\r\n",
            b"secretbody\r\nsecretbody",
        ),
        "nocar" => say(
            "200",
            &of(length),
            &page.as_bytes().repeat(length)[..length],
        ),
        "wrong" => {
            let mut other = car.to_vec();
            other[length - 1] ^= 1;
            say("200", &of(length), &other)
        }
        "garbage" => stream.write_all(page.as_bytes()),
        // "close" among them.
        _ => Ok(()),
    }
}

/// How the server is asked to fail, and whether the deal ends of it by itself.
const FAILURES: [(&str, bool); 26] = [
    ("400", true),
    ("401", true),
    ("403", true),
    ("404", true),
    ("408", false),
    ("410", true),
    ("416", true),
    ("429", false),
    ("500", false),
    ("503", false),
    ("204", false),
    ("nowhere", true),
    ("loop", true),
    ("private", true),
    ("scheme", true),
    ("badport", true),
    ("short", true),
    ("long", true),
    ("cut", false),
    ("encoded", true),
    ("otherpart", false),
    ("badlength", false),
    ("chunks", false),
    ("nocar", true),
    ("wrong", true),
    ("garbage", false),
];

struct World {
    net: Net,
    scratch: Scratch,
    client: Client,
    car: Car,
}

impl World {
    fn new(name: &str) -> Self {
        let net = Net::start(|config| config.auth = true);
        let client = Client::new(net.devnet.people().client.key.clone());
        let scratch = Scratch::new(name);
        let car = Car::generate(&scratch.0, 1, 50_000);
        Self {
            net,
            scratch,
            client,
            car,
        }
    }

    fn vars(&self) -> harness::Vars {
        let private = "http://127.0.0.1:*,https://127.0.0.1:*";
        let mut vars = vars(&self.net, &self.scratch.join("home"), private);
        vars.insert("CORACLE_LOG".to_owned(), "trace".to_owned());
        vars
    }

    /// A deal of its own for each number.
    fn wanted(&self, number: i64, url: &str) -> Wanted {
        let mut wanted = Client::wanted(&self.net, &self.net.miner(), &self.car, None);
        wanted.start_epoch += number;
        wanted.download = Some(Download {
            url: url.to_owned(),
            headers: vec![
                ("Authorization".to_owned(), "Bearer secretheader".to_owned()),
                ("Cookie".to_owned(), "a=secretcookie".to_owned()),
            ],
            size: self.car.bytes.len() as u64,
        });
        wanted
    }

    /// The same without a header that would hide the URL's user.
    fn wanted_by_user(&self, number: i64, url: &str) -> Wanted {
        let mut wanted = self.wanted(number, url);
        if let Some(download) = &mut wanted.download {
            download.headers.remove(0);
        }
        wanted
    }
}

/// Everything that may be shown, by where it was seen.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    fn add(&mut self, place: &str, text: impl Into<String>) {
        self.0.push((place.to_owned(), text.into()));
    }

    fn has_none_of(&self, secrets: &[String]) {
        for (place, text) in &self.0 {
            for secret in secrets {
                if let Some(at) = text.find(secret.as_str()) {
                    let begin = text[..at].rfind('\n').map_or(0, |at| at + 1);
                    let line = text[begin..].lines().next().unwrap_or_default();
                    panic!("{secret:?} in {place}: {line}");
                }
            }
        }
    }
}

/// All that the operator and the client can ask about a deal.
fn look_at(seen: &mut Seen, world: &World, provider: &Running, uuid: Uuid) {
    for path in ["", "/log"] {
        let (_, answer) = provider.admin("GET", &format!("/v1/deals/{uuid}{path}"), None);
        seen.add(path, answer.to_string());
    }
    let status = world.client.status(provider, uuid);
    seen.add("status", format!("{} {:?}", status.error, status.status));
}

fn look_around(seen: &mut Seen, world: &World, provider: &Running) {
    for path in [
        "/v1/info",
        "/v1/deals?limit=1000",
        "/v1/asks",
        "/v1/nothing",
    ] {
        let (_, answer) = provider.admin("GET", path, None);
        seen.add(path, answer.to_string());
    }
    let vars = world.vars();
    for arguments in [
        &["deal", "list"] as &[&str],
        &["deal", "list", "--refused", "--json"],
        &["settings"],
        &["settings", "--json"],
    ] {
        let output = provider.command(&vars, arguments);
        seen.add(arguments[0], String::from_utf8_lossy(&output.stdout));
        seen.add(arguments[0], String::from_utf8_lossy(&output.stderr));
    }
    seen.add("the process's log", provider.log());
}

/// Rows of a table of the database, as text.
fn table(home: &Path, name: &str) -> String {
    let database = redb::Database::open(home.join("coracle.redb")).unwrap();
    let read = database.begin_read().unwrap();
    let table: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(name);
    let table = read.open_table(table).unwrap();
    let rows = table.iter().unwrap().map(|row| {
        let (_, value) = row.unwrap();
        String::from_utf8_lossy(value.value()).into_owned()
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[test]
#[should_panic(expected = "\"secretpath\" in the log: GET /secretpath")]
fn the_search_finds_what_it_looks_for() {
    let mut seen = Seen::default();
    seen.add("a refusal", "nothing");
    seen.add("the log", "something\nGET /secretpath\nsomething else");
    seen.has_none_of(&secrets());
}

fn secrets() -> Vec<String> {
    SECRETS.map(str::to_owned).to_vec()
}

/// Waits until each deal has met its trouble.
fn until_troubled(provider: &Running, deals: &[(Uuid, &str, bool)]) {
    for (uuid, how, ends) in deals {
        let begun = Instant::now();
        loop {
            let deal = provider.deal(*uuid);
            let ended = deal["checkpoint"] == Checkpoint::Complete.name();
            let troubled = deal["error"]
                .as_str()
                .is_some_and(|error| !error.is_empty());
            if troubled && (ended || !ends) {
                assert_eq!(ended, *ends, "{how}: {deal}");
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{how}: {deal}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn no_failure_of_a_transfer_repeats_what_the_client_entrusted() {
    let world = World::new("secrets");
    let server = Server::start(&world.car);
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let provider = Running::start(&world.vars());
    let url = |scheme: &str, address: SocketAddr, how: &str| {
        format!("{scheme}://secretuser:secretpass@{address}/x/{how}/secretpath?q=secretquery")
    };
    let mut wishes: Vec<(String, &str, bool)> = FAILURES
        .iter()
        .map(|(how, ends)| (url("http", server.address, how), *how, *ends))
        .collect();
    wishes.push((url("http", server.address, "close"), "close", false));
    wishes.push((url("http", closed, "refused"), "refused", false));
    wishes.push((url("https", server.address, "tls"), "tls", false));
    let private = "http://secretuser:secretpass@10.1.2.3/secretpath?secretquery";
    wishes.push((private.to_owned(), "not public", true));
    // No name has such a long part: nobody has to be asked to know that it does not exist.
    let unknown = format!(
        "http://secretuser:secretpass@{}.invalid/secretpath?secretquery",
        "x".repeat(64)
    );
    wishes.push((unknown, "no such host", false));

    let deals: Vec<_> = (0..)
        .zip(&wishes)
        .map(|(number, (url, how, ends))| {
            let wanted = if number % 2 == 0 {
                world.wanted(number, url)
            } else {
                world.wanted_by_user(number, url)
            };
            (world.client.accepted(&provider, &wanted), *how, *ends)
        })
        .collect();
    until_troubled(&provider, &deals);
    let mut seen = Seen::default();
    for (uuid, _, _) in &deals {
        look_at(&mut seen, &world, &provider, *uuid);
    }
    look_around(&mut seen, &world, &provider);
    let (stopped, _) = provider.stop();
    assert!(stopped);

    // The server was told all of it and said what it knows; the database has it where the transfer needs it.
    let heard = server.heard.lock().unwrap().clone();
    for secret in &SECRETS[2..7] {
        assert!(heard.contains(secret), "the server never heard {secret}");
    }
    let home = world.scratch.join("home");
    for secret in ["secretuser", "secretpath", "secretheader"] {
        assert!(table(&home, "deals").contains(secret), "{secret} is lost");
    }
    let log = table(&home, "log");
    assert!(
        log.contains("data-transfer failed") || log.contains("404"),
        "{log}"
    );
    seen.add("the table of logs", log);
    seen.has_none_of(&secrets());
}

/// Proposals that are refused for their parameters.
fn spoiled(world: &World, number: i64, kind: &str, params: &str) -> DealParams {
    let wanted = world.wanted(number, "http://127.0.0.1:1/");
    let mut proposal = deal::propose(&wanted, &world.client.key, Uuid::new_v4());
    kind.clone_into(&mut proposal.transfer.kind);
    proposal.transfer.params = params.as_bytes().to_vec();
    proposal
}

#[test]
fn no_refusal_repeats_the_transfer_s_parameters() {
    let world = World::new("secrets-refused");
    let provider = Running::start(&world.vars());
    world.client.wait_for_ask(&provider, &world.net.miner());
    let cases = [
        ("graphsync", r#"{"URL":"http://a/secretpath"}"#),
        ("http", "secretbody"),
        (
            "http",
            r#"{"URL":"http://secretuser:secretpass@a/secretpath"#,
        ),
        ("http", r#"["secretbody"]"#),
        ("http", r#"{"URL":["secretpath"]}"#),
        ("http", r#"{"URL":""}"#),
        ("http", r#"{"URL":"secretpath"}"#),
        (
            "http",
            r#"{"URL":"ftp://secretuser:secretpass@a/secretpath"}"#,
        ),
        (
            "http",
            r#"{"URL":"http://secretuser:secretpass@:99999/secretpath"}"#,
        ),
        (
            "http",
            r#"{"URL":"http://secretuser:secretpass@a b/secretpath"}"#,
        ),
        ("libp2p", r#"{"URL":"libp2p://secretuser/secretpath"}"#),
        ("http", r#"{"URL":"http://a/","Headers":"secretheader"}"#),
        (
            "http",
            r#"{"URL":"http://a/","Headers":{"A":["secretheader"]}}"#,
        ),
        (
            "http",
            r#"{"URL":"http://a/","Headers":{"A b":"secretheader"}}"#,
        ),
        (
            "http",
            "{\"URL\":\"http://a/\",\"Headers\":{\"A\":\"secretheader\\r\\nB: c\"}}",
        ),
    ];
    let mut seen = Seen::default();
    for (number, (kind, params)) in (0..).zip(cases) {
        let proposal = spoiled(&world, number, kind, params);
        let response = world.client.send(&provider, &proposal);
        assert!(!response.accepted, "{params}");
        assert!(!response.message.is_empty(), "{params}");
        seen.add("a refusal", response.message);
    }
    look_around(&mut seen, &world, &provider);
    assert!(provider.log().contains("refused: "));
    let listed = provider.command(&world.vars(), &["deal", "list", "--refused", "--json"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("failed to de-serialize"), "{listed}");
    seen.has_none_of(&secrets());
}

#[test]
fn the_provider_s_own_tokens_and_keys_are_shown_nowhere() {
    let world = World::new("secrets-own");
    let server = harness::CarServer::start();
    let url = server.serve(&world.car);
    let provider = Running::start(&world.vars());
    let wanted = Client::wanted(&world.net, &world.net.miner(), &world.car, Some(url));
    let uuid = world.client.accepted(&provider, &wanted);
    world.client.proves(&provider, uuid);
    let mut seen = Seen::default();
    look_at(&mut seen, &world, &provider, uuid);
    look_around(&mut seen, &world, &provider);
    // A wrong token is not repeated either.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let wrong = agent
        .get(format!("http://{}/v1/info", provider.admin))
        .header("Authorization", "Bearer secretheader")
        .call();
    let mut wrong = wrong.unwrap();
    assert_eq!(wrong.status().as_u16(), 401);
    seen.add("a refusal", wrong.body_mut().read_to_string().unwrap());
    seen.add("the process's log", provider.log());
    let home = world.scratch.join("home");
    let mut own = secrets();
    let token = std::fs::read_to_string(home.join("admin-token")).unwrap();
    own.push(token.trim().to_owned());
    for info in [world.net.devnet.fullnode_api_info(), world.net.miner_info()] {
        let token = info.split(':').next().unwrap().to_owned();
        assert!(token.len() > 20 && info.contains(":/"), "{info}");
        own.push(token);
    }
    let (stopped, _) = provider.stop();
    assert!(stopped);
    seen.add("the table of logs", table(&home, "log"));
    seen.has_none_of(&own);
}
