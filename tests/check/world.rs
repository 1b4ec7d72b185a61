//! A set-up in which nothing is wrong, to be broken in one place; and the command's answer.

use crate::harness::{Net, Scratch, Vars, vars};
use coracle::devnet::DevnetConfig;
use coracle::filecoin::SecretKey;
use coracle::filecoin::keystore::Keystore;
use coracle::provider::identity;
use libp2p::{Multiaddr, PeerId};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What stands on chain and in `CORACLE_ANNOUNCE`.
pub const ADDRESS: &str = "/ip4/127.0.0.1/tcp/24001";

/// Everything that a check needs, good as it is.
pub struct World {
    pub net: Net,
    pub vars: Vars,
    pub peer: PeerId,
    scratch: Scratch,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The clock of the chain stands still, permissions are enforced, the contact on chain is ours.
    pub fn with(change: impl FnOnce(&mut DevnetConfig)) -> Self {
        let net = Net::start(|config| {
            config.epoch = Duration::ZERO;
            config.auth = true;
            change(config);
        });
        let scratch = Scratch::new("check");
        let home = scratch.join("home");
        std::fs::create_dir_all(&home).unwrap();
        let key = identity::libp2p_key(&home.join("libp2p.key"), false).unwrap();
        let peer = key.public().to_peer_id();
        let mut vars = vars(&net, &home, "");
        for (name, value) in [
            ("CORACLE_ANNOUNCE", ADDRESS),
            // The disks of machines that test differ.
            ("CORACLE_STAGING_BYTES_MAX", "1MiB"),
            ("CORACLE_KEEP_PIECES_BYTES_MAX", "1MiB"),
        ] {
            vars.insert(name.to_owned(), value.to_owned());
        }
        let world = Self {
            net,
            vars,
            peer,
            scratch,
        };
        for miner in 0..world.net.miners.len() {
            world.contact(miner, Some(peer), &[ADDRESS]);
        }
        world
    }

    pub fn home(&self) -> PathBuf {
        self.scratch.join("home")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.vars.insert(name.to_owned(), value.to_string());
    }

    /// What a miner has on chain as its contact.
    pub fn contact(&self, miner: usize, peer: Option<PeerId>, addresses: &[&str]) {
        let addresses = addresses
            .iter()
            .map(|text| text.parse::<Multiaddr>().unwrap().to_vec())
            .collect();
        let peer = peer.map_or_else(Vec::new, |peer| peer.to_bytes());
        self.net.devnet.set_contact(miner, peer, addresses);
    }

    /// The node's entry with a token of these permissions only; without a token for none.
    pub fn node_entry(&self, permissions: &[&str]) -> String {
        entry(
            &self.net.devnet.fullnode_api_info(),
            &self.token(permissions),
        )
    }

    /// The same for a miner.
    pub fn miner_entry(&self, miner: usize, permissions: &[&str]) -> String {
        entry(
            &self.net.devnet.miner_api_info(miner),
            &self.token(permissions),
        )
    }

    fn token(&self, permissions: &[&str]) -> String {
        if permissions.is_empty() {
            return String::new();
        }
        self.net.devnet.token(permissions)
    }

    /// Puts a key into the keystore of the home directory.
    pub fn keep(&self, key: &SecretKey) {
        assert!(Keystore::new(&self.home()).put(key).unwrap());
    }

    /// The worker's key of the first miner.
    pub fn worker(&self) -> SecretKey {
        self.net.devnet.people().miners[0][1].key.clone()
    }

    /// Runs the command.
    pub fn check(&self) -> Answer {
        let answer = run(&self.vars, &["check", "--json"]);
        for name in ["FULLNODE_API_INFO", "MINER_API_INFO"] {
            let entries = self.vars.get(name).map_or("", String::as_str).split(',');
            let tokens = entries.filter_map(|entry| entry.split_once(":/"));
            for (token, _) in tokens.filter(|(token, _)| token.contains('.')) {
                let signature = token.rsplit('.').next().unwrap();
                assert!(
                    !answer.output.contains(signature),
                    "a token is shown: {}",
                    answer.output
                );
            }
        }
        answer
    }
}

/// An entry with another token.
pub fn entry(entry: &str, token: &str) -> String {
    let address = entry.split_once(":/").map_or(entry, |(_, rest)| rest);
    let address = address.trim_start_matches('/');
    if token.is_empty() {
        format!("/{address}")
    } else {
        format!("{token}:/{address}")
    }
}

/// Runs the real binary.
pub fn run(vars: &Vars, arguments: &[&str]) -> Answer {
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_coracle"))
        .args(arguments)
        .env_clear()
        .envs(vars)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    Answer {
        code: output.status.code().unwrap(),
        json: serde_json::from_str(&out).unwrap_or(Value::Null),
        took: begun.elapsed(),
        output: format!("{out}\n{err}"),
    }
}

/// What the command said.
pub struct Answer {
    pub code: i32,
    pub json: Value,
    pub took: Duration,
    /// Both outputs as they came.
    pub output: String,
}

impl Answer {
    /// Subjects of the lines of a level.
    pub fn subjects(&self, level: &str) -> Vec<&str> {
        let findings = self.json["findings"].as_array().expect("findings");
        findings
            .iter()
            .filter(|finding| finding["level"] == level)
            .map(|finding| finding["subject"].as_str().unwrap())
            .collect()
    }

    /// The first line of a level whose subject has this in it and that says this.
    pub fn line(&self, level: &str, subject: &str, what: &str) -> &Value {
        let findings = self.json["findings"]
            .as_array()
            .unwrap_or_else(|| panic!("no findings: {}", self.output));
        let has = |finding: &&Value, field: &str, part: &str| {
            finding[field].as_str().unwrap().contains(part)
        };
        findings
            .iter()
            .find(|finding| {
                finding["level"] == level
                    && has(finding, "subject", subject)
                    && has(finding, "what", what)
            })
            .unwrap_or_else(|| {
                panic!(
                    "no {level} line of {subject:?} with {what:?}: {}",
                    self.show()
                )
            })
    }

    /// Expects a line that says what is wrong and what to do, and the exit code that belongs to it.
    pub fn expect(&self, level: &str, subject: &str, what: &str, advice: &str) {
        let line = self.line(level, subject, what);
        let told = format!("{} {}", line["do"], line["run"]);
        assert!(told.contains(advice), "{told} has no {advice:?}");
        let code = i32::from(level == "bad");
        assert_eq!(self.code, code, "{}", self.show());
    }

    /// Expects that this line is the only one that is not good.
    pub fn expect_only(&self, level: &str, subject: &str, what: &str, advice: &str) {
        self.expect(level, subject, what, advice);
        let wrong = self.subjects("bad").len() + self.subjects("warn").len();
        assert_eq!(wrong, 1, "{}", self.show());
    }

    /// Expects nothing but good lines.
    pub fn expect_fine(&self) {
        assert_eq!(self.code, 0, "{}", self.show());
        let wrong = (self.subjects("bad"), self.subjects("warn"));
        // A processor without the instructions is no fault of the set-up.
        assert!(
            wrong.0.is_empty() && wrong.1.iter().all(|one| *one == "processor"),
            "{}",
            self.show()
        );
    }

    fn show(&self) -> String {
        format!("exit code {}\n{:#}\n{}", self.code, self.json, self.output)
    }
}
