//! The commands that act on a running provider, against a hand-written server: what they send, what they
//! make of the answers, their exit codes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

const UUID: &str = "3f0b6c3a-54bf-4d5a-9f43-5e3f2d2c1b0a";
const TOKEN: &str = "t0ken";

/// What a command sent.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    line: String,
    authorization: String,
    body: String,
}

/// Answers one request with a status line and a body.
fn server(status: &'static str, body: &'static str) -> (SocketAddr, JoinHandle<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut line = String::new();
        reader.read_line(&mut line).expect("a request line");
        let (mut authorization, mut length) = (String::new(), 0);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).expect("a header");
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => value.clone_into(&mut authorization),
                "content-length" => length = value.parse().expect("a length"),
                _ => {}
            }
        }
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent).expect("the body");
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
        (&stream)
            .write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes())
            .expect("the answer is taken");
        let body = String::from_utf8(sent).expect("text");
        Request {
            line: line.trim_end().to_owned(),
            authorization,
            body,
        }
    });
    (address, thread)
}

/// A home directory with a token, removed at the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("admin-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        std::fs::write(path.join("admin-token"), format!("{TOKEN}\n")).expect("a token");
        Self(path)
    }

    fn command(&self, address: SocketAddr, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
        command
            .args(args)
            .env_clear()
            .env("CORACLE_HOME", &self.0)
            .current_dir(&self.0);
        // A proxy must not get the token.
        command
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("http_proxy", "http://127.0.0.1:9");
        command.env("CORACLE_ADMIN_LISTEN", address.to_string());
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One command against one answer.
fn exchange(args: &[&str], status: &'static str, body: &'static str) -> (Output, Request) {
    let home = Home::new();
    let (address, thread) = server(status, body);
    let output = home
        .command(address, args)
        .output()
        .expect("the binary starts");
    let request = thread.join().expect("the server has answered");
    assert_eq!(request.authorization, format!("Bearer {TOKEN}"));
    (output, request)
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text")
}

const ACCEPTED: &str = r#"{"accepted":true,"reason":""}"#;
const DEAL: &str = r#"{"uuid":"3f0b6c3a-54bf-4d5a-9f43-5e3f2d2c1b0a","checkpoint":"Transferred",
    "miner":"f01000","client":"f1x","piece_cid":"baga","piece_size":1048576,"offline":false,
    "error":"","bytes_received":1000,"transfer_size":1000,"sector":null,"sealing":"",
    "created":1000,"updated":2000}"#;

#[test]
fn list_asks_with_its_filters_and_prints_a_row_per_deal() {
    let answer = r#"{"deals":[{"uuid":"a","checkpoint":"Accepted","miner":"f01000",
        "piece_size":1048576,"bytes_received":1,"transfer_size":4,"created":0,"sealing":""},
        {"uuid":"b","checkpoint":"Complete","error":"no\tspace"}],"more":true}"#;
    let args = [
        "deal", "list", "--limit", "2", "--state", "Accepted", "--query", "f1 &x",
    ];
    let (output, request) = exchange(&args, "200 OK", answer);
    assert_eq!(
        request.line,
        "GET /v1/deals?limit=2&state=Accepted&query=f1%20%26x HTTP/1.1"
    );
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        out(&output),
        "a\t1970-01-01T00:00:00.000Z\tAccepted\tf01000\t1 MiB\t25 %\t\t\n\
         b\t\tComplete\t\t\t0 B\t\tno space\n"
    );
    assert!(err(&output).starts_with("There are more"));
}

#[test]
fn list_as_json_is_the_providers_answer() {
    let answer = r#"{"deals":[],"more":false}"#;
    let (output, request) = exchange(&["deal", "list", "--json"], "200 OK", answer);
    assert_eq!(request.line, "GET /v1/deals?limit=50 HTTP/1.1");
    assert_eq!(
        (out(&output), err(&output)),
        ("{\"deals\":[],\"more\":false}\n", "")
    );
}

#[test]
fn show_prints_the_fields_that_are_known() {
    let (output, request) = exchange(&["deal", "show", UUID], "200 OK", DEAL);
    assert_eq!(request.line, format!("GET /v1/deals/{UUID} HTTP/1.1"));
    assert_eq!(output.status.code(), Some(0));
    let shown = out(&output);
    assert!(shown.starts_with(&format!(
        "uuid                 {UUID}\ncheckpoint           Transferred\n"
    )));
    assert!(shown.contains("piece size           1048576 (1 MiB)\n") && !shown.contains("sector"));
}

#[test]
fn log_prints_a_line_per_entry() {
    let answer = r#"{"lines":[{"time":1500,"level":"info","text":"accepted"},
        {"time":2500,"level":"WARN","text":"cut\noff"}]}"#;
    let (output, request) = exchange(&["deal", "log", UUID], "200 OK", answer);
    assert_eq!(request.line, format!("GET /v1/deals/{UUID}/log HTTP/1.1"));
    assert_eq!(
        out(&output),
        "1970-01-01T00:00:01.500Z INFO  accepted\n1970-01-01T00:00:02.500Z WARN  cut off\n"
    );
}

#[test]
fn actions_are_posted() {
    for verb in ["retry", "cancel", "fail"] {
        let (output, request) = exchange(&["deal", verb, UUID], "200 OK", ACCEPTED);
        assert_eq!(
            request.line,
            format!("POST /v1/deals/{UUID}/{verb} HTTP/1.1")
        );
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        assert_eq!(out(&output), format!("deal {UUID}: {verb} accepted\n"));
    }
}

#[test]
fn import_sends_an_absolute_path() {
    let args = ["import", UUID, "data.car", "--delete-after-import"];
    let (output, request) = exchange(&args, "200 OK", ACCEPTED);
    assert_eq!(
        request.line,
        format!("POST /v1/deals/{UUID}/import HTTP/1.1")
    );
    let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
    assert_eq!(body["delete_after_import"], true);
    let path = body["path"].as_str().expect("a path");
    assert!(
        Path::new(path).is_absolute() && path.ends_with("/data.car"),
        "{path}"
    );
    assert_eq!(output.status.code(), Some(0));

    let (_, request) = exchange(&["import", UUID, "/x/y.car"], "200 OK", ACCEPTED);
    assert_eq!(
        request.body,
        r#"{"delete_after_import":false,"path":"/x/y.car"}"#
    );
}

#[test]
fn a_single_import_says_its_place() {
    let queued = r#"{"accepted":true,"reason":"","place":17}"#;
    let (output, _) = exchange(&["import", UUID, "/x/y.car"], "200 OK", queued);
    assert_eq!(
        out(&output),
        format!("deal {UUID}: import of /x/y.car queued, place 17\n")
    );
}

#[test]
fn several_imports_go_in_one_request_and_a_refusal_stops_none() {
    let answer = r#"{"imports":[
        {"uuid":"3f0b6c3a-54bf-4d5a-9f43-5e3f2d2c1b0a","accepted":true,"place":3,"reason":""},
        {"uuid":"00000000-0000-0000-0000-000000000001","accepted":false,"place":null,"reason":"not offline"}
    ]}"#;
    let other = "00000000-0000-0000-0000-000000000001";
    let args = ["import", UUID, "/a.car", other, "/b c.car"];
    let (output, request) = exchange(&args, "200 OK", answer);
    assert_eq!(request.line, "POST /v1/imports HTTP/1.1");
    let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
    assert_eq!(body["delete_after_import"], false);
    assert_eq!(body["imports"][1]["uuid"], other);
    assert_eq!(body["imports"][1]["path"], "/b c.car");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        out(&output),
        format!("deal {UUID}: import of /a.car queued, place 3\n")
    );
    assert_eq!(
        err(&output),
        format!("deal {other}: not offline\ncoracle: 1 of 2 imports were refused\n")
    );

    // The same from a list, as JSON.
    let home = Home::new();
    let list = home.0.join("list");
    std::fs::write(
        &list,
        format!("# May\n{UUID} /a.car\n\n{other}\t/b c.car\n"),
    )
    .expect("a file");
    let (address, server) = server("200 OK", answer);
    let list = list.to_str().expect("text");
    let output = home
        .command(
            address,
            &["import", "--list", list, "--delete-after-import", "--json"],
        )
        .output()
        .expect("the binary starts");
    let request = server.join().expect("one request");
    let sent: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
    assert_eq!(sent["imports"], body["imports"]);
    assert_eq!(sent["delete_after_import"], true);
    let told: serde_json::Value = serde_json::from_str(out(&output)).expect("JSON");
    assert_eq!(told["imports"][0]["place"], 3);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn nothing_is_sent_of_a_list_with_a_mistake() {
    let home = Home::new();
    let list = home.0.join("list");
    std::fs::write(&list, format!("{UUID} /a.car\nnonsense\n")).expect("a file");
    let nobody = "127.0.0.1:1".parse().expect("an address");
    let output = home
        .command(nobody, &["import", "--list", list.to_str().expect("text")])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).starts_with("coracle: line 2: it is not `UUID PATH`"));
}

#[test]
fn publish_says_how_many() {
    for (answer, expected) in [
        (
            r#"{"deals":0,"uuids":[]}"#,
            "no deal waits to be published\n",
        ),
        (r#"{"deals":1,"uuids":["x"]}"#, "publishing 1 deal\n"),
        (r#"{"deals":7,"uuids":["x"]}"#, "publishing 7 deals\n"),
    ] {
        let (output, request) = exchange(&["publish", "--now"], "200 OK", answer);
        assert_eq!(request.line, "POST /v1/publish HTTP/1.1");
        assert_eq!((output.status.code(), out(&output)), (Some(0), expected));
    }
}

#[test]
fn publish_names_the_deals_that_do_not_wait() {
    let other = "00000000-0000-4000-8000-000000000009";
    let answer = r#"{"deals":1,"uuids":["3f0b6c3a-54bf-4d5a-9f43-5e3f2d2c1b0a"]}"#;
    let (output, request) = exchange(&["publish", "--now", UUID, other], "200 OK", answer);
    assert!(request.body.contains(UUID) && request.body.contains(other));
    assert_eq!(out(&output), "publishing 1 deal\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains(&format!("not waiting to be published: {other}")));
    // Without --now nothing is published, whatever is named.
    let nobody = "127.0.0.1:1".parse().expect("an address");
    for wrong in [&["publish", "--now", "deal"][..], &["publish", UUID]] {
        let output = Home::new().command(nobody, wrong).output();
        let output = output.expect("the binary starts");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn publish_without_now_shows_what_waits() {
    let answer = r#"{"waiting":[{"miner":"f01000","since":"2026-01-01T00:00:00Z","due":null,"manual":true,
            "deals":["3f0b6c3a-54bf-4d5a-9f43-5e3f2d2c1b0a"]}],
        "messages":[{"publish_cid":"bafy","deals":["x","y"],"note":"it waits for long"}]}"#;
    let (output, request) = exchange(&["publish"], "200 OK", answer);
    assert_eq!(request.line, "GET /v1/publish HTTP/1.1");
    let shown = out(&output);
    for text in [
        "f01000",
        UUID,
        "by `coracle publish --now`",
        "message bafy with x, y",
        "it waits for long",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let (output, _) = exchange(&["publish"], "200 OK", r#"{"waiting":[],"messages":[]}"#);
    assert_eq!(out(&output), "no deal waits to be published\n");
}

#[test]
fn a_refusal_is_exit_code_3_with_its_reason() {
    let refused = r#"{"accepted":false,"reason":"deal is online"}"#;
    let (output, _) = exchange(&["import", UUID, "x"], "200 OK", refused);
    assert_eq!(
        (output.status.code(), err(&output)),
        (Some(3), "coracle: deal is online\n")
    );
    let gone = r#"{"error":"no such deal"}"#;
    let (output, _) = exchange(&["deal", "show", UUID], "404 Not Found", gone);
    assert_eq!(
        (output.status.code(), err(&output)),
        (Some(3), "coracle: no such deal\n")
    );
    let (output, _) = exchange(&["deal", "show", UUID, "--json"], "404 Not Found", gone);
    assert_eq!(
        (output.status.code(), err(&output)),
        (Some(3), "{\"error\":\"no such deal\"}\n")
    );
}

#[test]
fn a_broken_provider_is_exit_code_1() {
    for (status, answer, expected) in [
        (
            "500 Internal Server Error",
            r#"{"error":"disk"}"#,
            "coracle: disk\n",
        ),
        (
            "503 Service Unavailable",
            "",
            "coracle: HTTP status 503 Service Unavailable\n",
        ),
        ("302 Found", "", "coracle: HTTP status 302 Found\n"),
    ] {
        let (output, _) = exchange(&["deal", "show", UUID], status, answer);
        assert_eq!((output.status.code(), err(&output)), (Some(1), expected));
    }
    let (output, _) = exchange(&["deal", "show", UUID], "200 OK", "<html>");
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).ends_with("answered with something else than JSON\n"));
    let (output, _) = exchange(&["deal", "show", UUID], "401 Unauthorized", "{}");
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("does not take this home directory's token"));
    assert!(!err(&output).contains(TOKEN));
}

#[test]
fn no_provider_is_exit_code_1_with_the_place_it_was_looked_for() {
    let home = Home::new();
    // Bound and closed again: nobody answers there.
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let output = home
        .command(free, &["deal", "list"])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("coracle: no answer from a provider at {free} (CORACLE_ADMIN_LISTEN): ");
    assert!(err(&output).starts_with(&expected), "{}", err(&output));

    std::fs::remove_file(home.0.join("admin-token")).expect("it was there");
    let output = home
        .command(free, &["deal", "list"])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).ends_with("no provider has run with this home directory (CORACLE_HOME)\n")
    );

    std::fs::write(home.0.join("admin-token"), "two words\r\nx: y").expect("a file");
    let output = home
        .command(free, &["deal", "list"])
        .output()
        .expect("the binary starts");
    assert!(
        err(&output).ends_with("it holds no token\n"),
        "{}",
        err(&output)
    );
}
