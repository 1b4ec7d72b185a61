//! `coracle deal log`, also while the deal goes on, against the real binary.

mod harness;

use coracle::deal::Checkpoint;
use harness::{PATIENCE, Running, World};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Instant;
use uuid::Uuid;

impl World {
    fn accepted(&self, provider: &Running, seed: u64) -> Uuid {
        let wanted = self.wanted(seed, 50_000);
        self.client.accepted(provider, &wanted)
    }

    fn log(&self, provider: &Running, uuid: Uuid) -> String {
        let output = provider.command(&self.vars(), &["deal", "log", &uuid.to_string()]);
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A command that follows a log.
struct Follower {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

/// What it left behind.
struct Left {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Follower {
    fn start(world: &World, provider: &Running, uuid: Uuid, more: &[&str]) -> Self {
        let mut vars = world.vars();
        let admin = provider.admin.to_string();
        vars.insert("CORACLE_ADMIN_LISTEN".to_owned(), admin);
        let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .args(["deal", "log", "-f", &uuid.to_string()])
            .args(more)
            .env_clear()
            .envs(&vars)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next line that it prints; waits for it.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    fn left(mut self) -> Left {
        let begun = Instant::now();
        while self.runs() {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let (mut output, mut errors) = (String::new(), String::new());
        self.output.read_to_string(&mut output).unwrap();
        let pipe = self.child.stderr.take().unwrap();
        BufReader::new(pipe).read_to_string(&mut errors).unwrap();
        let code = self.child.wait().unwrap().code();
        Left {
            code,
            output,
            errors,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Gone already where a test waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_is_followed_to_the_end_of_its_deal() {
    let world = World::new("log-follow");
    world
        .server
        .behaviour
        .stall_after
        .store(10_000, Ordering::Relaxed);
    let provider = Running::start(&world.vars());
    let uuid = world.accepted(&provider, 1);
    let mut text = Follower::start(&world, &provider, uuid, &[]);
    let json = Follower::start(&world, &provider, uuid, &["--json"]);
    // The first line is there while the deal has hardly begun.
    let first = text.line();
    assert!(first.contains("accepted: online deal"), "{first}");
    assert!(text.runs());
    assert_eq!(provider.deal(uuid)["checkpoint"], "Accepted");
    world
        .server
        .behaviour
        .stall_after
        .store(0, Ordering::Relaxed);

    let left = text.left();
    assert_eq!(left.code, Some(0), "{}", left.errors);
    assert!(
        left.errors
            .contains(&format!("Deal {uuid} has ended, IndexedAndAnnounced.")),
        "{}",
        left.errors
    );
    let all = first + &left.output;
    // What is seen on chain of a sealed deal comes after its end.
    assert!(world.log(&provider, uuid).starts_with(&all) && all.contains(" sealed\n"));
    // Each line once, in order, as an object of its own.
    let left = json.left();
    let (_, whole) = provider.admin("GET", &format!("/v1/deals/{uuid}/log"), None);
    let lines: Vec<serde_json::Value> = left
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let whole = whole["lines"].as_array().unwrap();
    assert!(whole.starts_with(&lines));
    let numbers: Vec<_> = lines.iter().map(|line| line["number"].clone()).collect();
    let expected: Vec<_> = (0..lines.len()).map(serde_json::Value::from).collect();
    assert_eq!(numbers, expected);
    // Following what has ended shows it and ends.
    let again = Follower::start(&world, &provider, uuid, &[]).left();
    assert_eq!(again.code, Some(0));
    assert!(
        world.log(&provider, uuid).starts_with(&again.output) && again.output.starts_with(&all)
    );
}

#[test]
fn a_failed_deal_is_followed_to_its_reason() {
    let world = World::new("log-cancel");
    world
        .server
        .behaviour
        .stall_after
        .store(10_000, Ordering::Relaxed);
    let provider = Running::start(&world.vars());
    let uuid = world.accepted(&provider, 1);
    let follower = Follower::start(&world, &provider, uuid, &[]);
    let cancelled = provider.command(&world.vars(), &["deal", "cancel", &uuid.to_string()]);
    assert!(cancelled.status.success());
    let left = follower.left();
    assert_eq!(left.code, Some(0));
    assert!(
        left.errors.contains("has ended, Complete: Cancelled."),
        "{}",
        left.errors
    );
    assert_eq!(left.output, world.log(&provider, uuid));
}

#[test]
fn a_provider_that_stops_is_said() {
    let world = World::new("log-stop");
    world
        .server
        .behaviour
        .stall_after
        .store(10_000, Ordering::Relaxed);
    for orderly in [true, false] {
        let provider = Running::start(&world.vars());
        let uuid = world.accepted(&provider, u64::from(orderly));
        let mut follower = Follower::start(&world, &provider, uuid, &[]);
        follower.line();
        if orderly {
            // A question that waits does not hold the stop up.
            let (success, took) = provider.stop();
            assert!(success && took.as_secs() < 5, "{took:?}");
        } else {
            provider.kill();
        }
        let left = follower.left();
        assert_eq!(left.code, Some(1), "{}", left.errors);
        assert!(
            left.errors
                .contains("the provider has stopped or cannot be reached")
                && left.errors.contains(&format!("coracle deal log -f {uuid}")),
            "{}",
            left.errors
        );
    }
}

#[test]
fn many_followers_do_not_lock_the_operator_out() {
    let world = World::new("log-many");
    world
        .server
        .behaviour
        .stall_after
        .store(10_000, Ordering::Relaxed);
    let provider = Running::start(&world.vars());
    let uuid = world.accepted(&provider, 1);
    // More than have a place to wait, and than the interface has connections.
    let mut followers: Vec<Follower> = (0..20)
        .map(|_| Follower::start(&world, &provider, uuid, &[]))
        .collect();
    for follower in &mut followers {
        assert!(follower.line().contains("accepted"));
    }
    let begun = Instant::now();
    for _ in 0..5 {
        let listed = provider.command(&world.vars(), &["deal", "list"]);
        assert!(listed.status.success());
    }
    // Each of them would wait for a follower's whole question.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    world
        .server
        .behaviour
        .stall_after
        .store(0, Ordering::Relaxed);
    world
        .client
        .reaches(&provider, uuid, Checkpoint::IndexedAndAnnounced);
    for follower in followers {
        let left = follower.left();
        assert_eq!(left.code, Some(0), "{}", left.errors);
        // All of it but the line that was read above.
        let whole = world.log(&provider, uuid);
        let (_, rest) = whole.split_once('\n').unwrap();
        assert!(rest.starts_with(&left.output) && left.output.contains(" sealed\n"));
    }
}

#[test]
fn an_unknown_deal_has_no_log() {
    let world = World::new("log-unknown");
    let provider = Running::start(&world.vars());
    let uuid = Uuid::new_v4().to_string();
    for arguments in [&["deal", "log"] as &[&str], &["deal", "log", "--follow"]] {
        let all = [arguments, &[uuid.as_str()]].concat();
        let output = provider.command(&world.vars(), &all);
        assert_eq!(output.status.code(), Some(3));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            errors.contains(&format!("no deal has the UUID {uuid}")),
            "{errors}"
        );
    }
    let path = format!("/v1/deals/{uuid}/log?wait=x");
    assert_eq!(provider.admin("GET", &path, None).0, 400);
}
