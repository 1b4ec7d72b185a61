//! Starting the provider in the same home again and again, and finding it.

use crate::harness::{Net, Scratch, Vars, vars};
use libp2p::{Multiaddr, PeerId};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where a provider is found.
#[derive(Clone)]
pub struct Place {
    pub peer: PeerId,
    pub addresses: Vec<Multiaddr>,
    pub http: SocketAddr,
    admin: SocketAddr,
    home: PathBuf,
}

impl Place {
    /// Reads the line that a provider prints when it is ready.
    fn read(line: &str, home: PathBuf) -> Option<Self> {
        let field = |name: &str| {
            let mut words = line.strip_prefix("ready ")?.split_whitespace();
            words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let addresses = field("listen")?.split(',').map(|text| text.parse().ok());
        Some(Self {
            peer: field("peer")?.parse().ok()?,
            addresses: addresses.collect::<Option<_>>()?,
            http: field("http")?.parse().ok()?,
            admin: field("admin")?.parse().ok()?,
            home,
        })
    }

    /// An admin request; none if nobody answers.
    pub fn admin(&self, method: &str, path: &str, body: Option<&str>) -> Option<serde_json::Value> {
        let token = std::fs::read_to_string(self.home.join("admin-token")).ok()?;
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(5)))
            .build()
            .into();
        let url = format!("http://{}{path}", self.admin);
        let bearer = format!("Bearer {token}");
        let answer = match method {
            "GET" => agent.get(&url).header("Authorization", &bearer).call(),
            _ => agent
                .post(&url)
                .header("Authorization", &bearer)
                .send(body.unwrap_or_default().as_bytes()),
        };
        let text = answer.ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// Where the provider of the moment is, if it is ready.
#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<Option<Place>>>);

impl Places {
    pub fn now(&self) -> Option<Place> {
        self.0.lock().unwrap().clone()
    }

    fn set(&self, place: Option<Place>) {
        *self.0.lock().unwrap() = place;
    }
}

/// Starts providers in one home, with one log.
pub struct Providers {
    vars: Vars,
    home: PathBuf,
    log: PathBuf,
}

impl Providers {
    pub fn new(net: &Net, scratch: &Scratch, prefix: &str) -> Self {
        let home = scratch.join("home");
        let mut vars = vars(net, &home, prefix);
        for (name, value) in [
            // Every download has a place: none waits for one that its server holds back.
            ("CORACLE_TRANSFERS_MAX", "32"),
            ("CORACLE_RETRY_WAIT", "50ms"),
            ("CORACLE_PUBLISH_DEALS_MAX", "2"),
            ("CORACLE_PUBLISH_PERIOD", "100ms"),
        ] {
            vars.insert(name.to_owned(), value.to_owned());
        }
        Self {
            vars,
            home,
            log: scratch.join("log"),
        }
    }

    /// Starts one; it is found once it is ready.
    pub fn start(&self, places: &Places) -> Life {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .arg("run")
            .env_clear()
            .envs(&self.vars)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let (told, home) = (places.clone(), self.home.clone());
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(output).read_line(&mut line);
            told.set(Place::read(&line, home));
        });
        Life {
            child,
            reader: Some(reader),
            places: places.clone(),
        }
    }
}

impl Drop for Providers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(400)..];
            eprintln!("--- end of the providers' log\n{}", last.join("\n"));
        }
    }
}

/// A running provider.
pub struct Life {
    child: Child,
    reader: Option<std::thread::JoinHandle<()>>,
    places: Places,
}

impl Life {
    /// SIGKILL. It must have lived until now.
    pub fn kill(mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended by itself: {ended:?}");
        self.end();
    }

    /// SIGTERM; it must end well.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "exit code");
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.places.set(None);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a file holds, if it is there.
pub fn contents(path: &std::path::Path) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    File::open(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
