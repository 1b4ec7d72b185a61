//! The world of a provider: a devnet as a process of its own, and a server that lets downloads wait.

use crate::harness::Vars;
use coracle::filecoin::{Address, SecretKey};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `coracle devnet`.
pub struct Devnet {
    child: Child,
    about: Value,
}

impl Devnet {
    /// With one epoch a second and this many clients.
    pub fn start(clients: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .args(["devnet", "--json", "--epoch", "1000", "--clients"])
            .arg(clients.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let about = serde_json::from_str(&line).unwrap();
        Self { child, about }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn miner(&self) -> Address {
        Address::id(1000)
    }

    pub fn fullnode(&self) -> &str {
        self.about["fullnode_api_info"].as_str().unwrap()
    }

    /// The height of the first head.
    pub fn epoch(&self) -> i64 {
        self.about["head"].as_i64().unwrap()
    }

    /// The keys of the clients that it was started with.
    pub fn clients(&self) -> Vec<SecretKey> {
        let wallets = self.about["wallets"].as_array().unwrap();
        wallets
            .iter()
            .filter(|wallet| wallet["name"].as_str().unwrap().starts_with("client "))
            .map(|wallet| SecretKey::import_lotus(wallet["key"].as_str().unwrap()).unwrap())
            .collect()
    }

    /// Settings of a provider for it; everything else is as an operator has it who sets nothing.
    pub fn vars(&self, home: &Path, private: &str) -> Vars {
        let sealer = self.about["miner_api_info"][0].as_str().unwrap();
        [
            ("CORACLE_HOME", home.to_str().unwrap()),
            ("CORACLE_MINERS", "f01000"),
            ("FULLNODE_API_INFO", self.fullnode()),
            ("MINER_API_INFO", sealer),
            ("CORACLE_LISTEN", "/ip4/127.0.0.1/tcp/0"),
            ("CORACLE_HTTP_LISTEN", "127.0.0.1:0"),
            ("CORACLE_ADMIN_LISTEN", "127.0.0.1:0"),
            ("CORACLE_PRIVATE_URLS", private),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that takes connections and never answers: downloads stay where they are.
pub struct Silent(pub SocketAddr);

impl Silent {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let open: Vec<_> = listener.incoming().collect();
            drop(open);
        });
        Self(address)
    }

    pub fn prefix(&self) -> String {
        format!("http://{}/", self.0)
    }
}
