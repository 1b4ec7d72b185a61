//! What most tests of a whole provider begin with.

use super::{Car, CarServer, Client, Net, Running, Scratch, Vars, vars};
use coracle::client::deal::Wanted;

/// A devnet, a directory, a server of CARs and a client; the provider is each test's own.
pub struct World {
    pub net: Net,
    pub scratch: Scratch,
    pub server: CarServer,
    pub client: Client,
}

impl World {
    pub fn new(name: &str) -> Self {
        let net = Net::start(|_| {});
        let client = Client::new(net.devnet.people().client.key.clone());
        Self {
            net,
            scratch: Scratch::new(name),
            server: CarServer::start(),
            client,
        }
    }

    pub fn vars(&self) -> Vars {
        vars(&self.net, &self.scratch.join("home"), &self.server.prefix())
    }

    /// These settings as well.
    pub fn vars_with(&self, more: &[(&str, &str)]) -> Vars {
        let mut vars = self.vars();
        for (name, value) in more {
            vars.insert((*name).to_owned(), (*value).to_owned());
        }
        vars
    }

    /// Starts the provider and waits until it has looked at the chain.
    pub fn start(&self) -> Running {
        let provider = Running::start(&self.vars());
        self.client.wait_for_ask(&provider, &self.net.miner());
        provider
    }

    /// A CAR of so many bytes that the server has, and the terms of a deal for it.
    pub fn car(&self, seed: u64, bytes: usize) -> (Car, Wanted) {
        let car = Car::generate(&self.scratch.0, seed, bytes);
        let url = self.server.serve(&car);
        let wanted = Client::wanted(&self.net, &self.net.miner(), &car, Some(url));
        (car, wanted)
    }

    pub fn wanted(&self, seed: u64, bytes: usize) -> Wanted {
        self.car(seed, bytes).1
    }
}
