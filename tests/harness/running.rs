//! The real binary as a provider.

use super::{Net, PATIENCE, wait};
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Settings of a provider, by name.
pub type Vars = BTreeMap<String, String>;

/// Settings that suit a test: everything on loopback, quick polls, messages at once.
pub fn vars(net: &Net, home: &Path, private: &str) -> Vars {
    let miners: Vec<_> = net.miners.iter().map(ToString::to_string).collect();
    [
        ("CORACLE_HOME", home.to_string_lossy().into_owned()),
        ("CORACLE_MINERS", miners.join(",")),
        ("FULLNODE_API_INFO", net.devnet.fullnode_api_info()),
        ("MINER_API_INFO", net.miner_info()),
        ("CORACLE_LISTEN", "/ip4/127.0.0.1/tcp/0".to_owned()),
        ("CORACLE_HTTP_LISTEN", "127.0.0.1:0".to_owned()),
        ("CORACLE_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("CORACLE_PRIVATE_URLS", private.to_owned()),
        ("CORACLE_CHAIN_POLL", "100ms".to_owned()),
        ("CORACLE_RETRY_WAIT", "200ms".to_owned()),
        ("CORACLE_PUBLISH_PERIOD", "0s".to_owned()),
        ("CORACLE_PUBLISH_CONFIDENCE", "2".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// The real binary, running `coracle run`.
pub struct Running {
    child: Child,
    pub peer: PeerId,
    pub addresses: Vec<Multiaddr>,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    home: PathBuf,
    log: Arc<Mutex<String>>,
}

impl Running {
    pub fn start(vars: &Vars) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .arg("run")
            .env_clear()
            .envs(vars)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<String>> = Arc::default();
        let (mut errors, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = errors.read(&mut buffer) {
                if read == 0 {
                    break;
                }
                kept.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        if !line.starts_with("ready ") {
            let _ = child.wait();
            panic!("the provider did not start: {line} {}", log.lock().unwrap());
        }
        let field = |name: &str| {
            line.split_whitespace()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_else(|| panic!("no {name} in {line}"))
                .to_owned()
        };
        Self {
            peer: field("peer").parse().unwrap(),
            addresses: field("listen")
                .split(',')
                .map(|text| text.parse().unwrap())
                .collect(),
            http: field("http").parse().unwrap(),
            admin: field("admin").parse().unwrap(),
            home: vars["CORACLE_HOME"].clone().into(),
            child,
            log,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; whether it exited with 0, and how long that took.
    pub fn stop(mut self) -> (bool, Duration) {
        let begun = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        (status.success(), begun.elapsed())
    }

    /// An admin request; status and JSON.
    pub fn admin(&self, method: &str, path: &str, body: Option<&str>) -> (u16, serde_json::Value) {
        let token = std::fs::read_to_string(self.home.join("admin-token")).unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        let url = format!("http://{}{path}", self.admin);
        let bearer = format!("Bearer {token}");
        let mut response = match method {
            "GET" => agent.get(&url).header("Authorization", &bearer).call(),
            _ => agent
                .post(&url)
                .header("Authorization", &bearer)
                .send(body.unwrap_or_default().as_bytes()),
        }
        .unwrap();
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(serde_json::Value::Null),
        )
    }

    /// A deal as the operator sees it.
    pub fn deal(&self, uuid: Uuid) -> serde_json::Value {
        self.admin("GET", &format!("/v1/deals/{uuid}"), None).1
    }

    /// Waits until a deal's data is there and it has joined those that wait to be published, if it is not past that.
    pub fn queues(&self, uuid: Uuid) {
        wait("a place among the deals to be published", || {
            let deal = self.deal(uuid);
            if deal["checkpoint"] == "Accepted" {
                return None;
            }
            let stopped = deal["error"].as_str().is_some_and(|text| !text.is_empty());
            let (_, publishing) = self.admin("GET", "/v1/publish", None);
            let queued = publishing.to_string().contains(&uuid.to_string());
            (queued || stopped || deal["checkpoint"] != "Transferred").then_some(())
        });
    }

    /// Runs another command of the binary against this provider.
    pub fn command(&self, vars: &Vars, arguments: &[&str]) -> std::process::Output {
        let mut vars = vars.clone();
        vars.insert("CORACLE_ADMIN_LISTEN".to_owned(), self.admin.to_string());
        Command::new(env!("CARGO_BIN_EXE_coracle"))
            .args(arguments)
            .env_clear()
            .envs(&vars)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone where a test killed or stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- provider's log\n{}", self.log.lock().unwrap());
        }
    }
}
