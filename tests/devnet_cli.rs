//! `coracle devnet` as a person and as a script use it: the real binary, its output, its end.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(arguments: &[&str]) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
        .arg("devnet")
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    Running { child, output }
}

impl Running {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends a signal and gives the exit code.
    fn end_by(&mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it runs on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Calls the address of a connection string.
fn call(info: &str, path: &str, method: &str) -> Value {
    call_with(info, path, method, &serde_json::json!([]))
}

fn call_with(info: &str, path: &str, method: &str, params: &Value) -> Value {
    let (token, address) = info.split_once(':').unwrap();
    let parts: Vec<&str> = address.split('/').collect();
    let url = format!("http://{}:{}{path}", parts[2], parts[4]);
    let body = serde_json::json!({ "id": 1, "method": method, "params": params });
    let mut response = ureq::post(&url)
        .header("Authorization", &format!("Bearer {token}"))
        .send(body.to_string())
        .unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn it_prints_settings_that_work_and_ends_when_interrupted() {
    let mut devnet = start(&["--epoch", "50", "--miners", "2", "--auth"]);
    let first = devnet.line();
    let node = first.strip_prefix("FULLNODE_API_INFO=").unwrap();
    let second = devnet.line();
    let miners = second.strip_prefix("MINER_API_INFO=").unwrap();
    let miners: Vec<&str> = miners.split(',').collect();
    assert_eq!(miners.len(), 2);
    let head = || {
        let head = call(node, "/rpc/v1", "Filecoin.ChainHead");
        head["result"]["Height"].as_i64().unwrap()
    };
    let height = head();
    assert!(height >= 5_000_000);
    let address = call(miners[1], "/rpc/v0", "Filecoin.ActorAddress");
    assert_eq!(address["result"], "f01001");
    let begun = Instant::now();
    while head() < height + 2 {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    // Everything else is a comment, so that the output can be an environment file.
    for _ in 0..3 {
        assert!(devnet.line().starts_with('#'));
    }
    assert_eq!(devnet.end_by("-INT"), Some(0));
}

#[test]
fn a_script_gets_one_object_with_keys() {
    let mut devnet = start(&["--json", "--clients", "3"]);
    let object: Value = serde_json::from_str(&devnet.line()).unwrap();
    let info = object["fullnode_api_info"].as_str().unwrap();
    call(info, "/rpc/v1", "Filecoin.Version");
    assert_eq!(object["miner_api_info"].as_array().unwrap().len(), 1);
    let wallets = object["wallets"].as_array().unwrap();
    for wallet in wallets {
        let key = wallet["key"].as_str().unwrap();
        let key = coracle::filecoin::SecretKey::import_lotus(key).unwrap();
        assert_eq!(wallet["address"], key.address().to_string());
    }
    let more = &wallets[wallets.len() - 3..];
    for (number, wallet) in (1..).zip(more) {
        assert_eq!(wallet["name"], format!("client {number}"));
        let asked = serde_json::json!([wallet["address"], null]);
        let answer = call_with(info, "/rpc/v1", "Filecoin.StateMarketBalance", &asked);
        assert_eq!(answer["result"]["Escrow"], "1000000000000000000000");
    }
    assert_eq!(devnet.end_by("-TERM"), Some(0));
}

#[test]
fn wrong_options_are_told() {
    for arguments in [["--epoch", "0"], ["--miners", "many"], ["--nonsense", "1"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .arg("devnet")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert!(!output.stderr.is_empty());
    }
}
