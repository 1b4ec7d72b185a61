//! Offline deals against the real binary: many imports at once, the queue over a kill, the drop folder.

mod harness;

use harness::{Car, CarServer, Client, Net, Running, Scratch, Vars, vars};
use std::path::Path;
use uuid::Uuid;

/// Short pieces: what is looked at is how they come in.
const SIZE: usize = 64 << 10;

struct World {
    net: Net,
    scratch: Scratch,
    client: Client,
    server: CarServer,
}

impl World {
    fn new(name: &str) -> Self {
        let net = Net::start(|_| {});
        let client = Client::new(net.devnet.people().client.key.clone());
        Self {
            client,
            scratch: Scratch::new(name),
            server: CarServer::start(),
            net,
        }
    }

    fn vars(&self, more: &[(&str, &str)]) -> Vars {
        let mut vars = vars(&self.net, &self.scratch.join("home"), &self.server.prefix());
        let more = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        vars.extend(more);
        vars
    }

    /// An accepted offline deal and its data.
    fn deal(&self, provider: &Running, seed: u64) -> (Uuid, Car) {
        let car = Car::generate(&self.scratch.0, seed, SIZE);
        let wanted = Client::wanted(&self.net, &self.net.miner(), &car, None);
        (self.client.accepted(provider, &wanted), car)
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_list_is_queued_at_once_and_survives_a_kill() {
    let world = World::new("list");
    // Nothing is published yet, so that there is time for a kill in the middle.
    let vars = world.vars(&[("CORACLE_PUBLISH_PERIOD", "2s")]);
    let provider = Running::start(&vars);
    let deals: Vec<(Uuid, Car)> = (1..=6).map(|seed| world.deal(&provider, seed)).collect();
    let mut list = "# deals of this test\n".to_owned();
    for (uuid, car) in deals.iter().rev() {
        list += &format!("{uuid} {}\n", car.path.display());
    }
    list += &format!("{} /nowhere.car\n", Uuid::nil());
    let file = world.scratch.join("list");
    std::fs::write(&file, list).unwrap();
    let told = provider.command(&vars, &["import", "--list", file.to_str().unwrap()]);
    assert_eq!(told.status.code(), Some(3), "one is unknown");
    let lines: Vec<&str> = text(&told.stdout).lines().collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(lines[0].ends_with("queued, place 1"), "{}", lines[0]);
    let unknown = format!(
        "deal {0}: no pre-existing deal proposal for offline deal {0}\n",
        Uuid::nil()
    );
    assert!(
        text(&told.stderr).starts_with(&unknown),
        "{}",
        text(&told.stderr)
    );
    provider.kill();

    let provider = Running::start(&vars);
    for (uuid, car) in &deals {
        world.client.proves(&provider, *uuid);
        let shown = provider.deal(*uuid);
        assert_eq!(shown["import_path"], car.path.to_str().unwrap());
        assert_eq!(shown["import_state"], "done");
        assert!(car.path.exists());
    }
    assert_eq!(left_in(&world.scratch.join("home/staging")), [""; 0]);
}

fn left_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn what_is_dropped_is_imported_and_taken_away() {
    let world = World::new("drops");
    let drops = world.scratch.join("drops");
    std::fs::create_dir_all(&drops).unwrap();
    let vars = world.vars(&[
        ("CORACLE_DROP_FOLDER", drops.to_str().unwrap()),
        ("CORACLE_DROP_POLL", "200ms"),
        ("CORACLE_DROP_DELETE", "true"),
    ]);
    let provider = Running::start(&vars);
    let (by_uuid, one) = world.deal(&provider, 1);
    let (by_piece, two) = world.deal(&provider, 2);
    let (wrong, _) = world.deal(&provider, 3);
    std::fs::copy(&one.path, drops.join(format!("{by_uuid}.car"))).unwrap();
    std::fs::copy(&two.path, drops.join(two.piece_cid.to_string())).unwrap();
    std::fs::copy(&two.path, drops.join(wrong.to_string())).unwrap();
    std::fs::write(drops.join("README"), "not for Coracle").unwrap();
    for uuid in [by_uuid, by_piece] {
        world.client.proves(&provider, uuid);
    }
    let paused = harness::wait("the wrong file", || {
        let deal = provider.deal(wrong);
        (deal["retry"] == "manual").then_some(deal)
    });
    let error = paused["error"].as_str().unwrap();
    assert!(error.contains(&two.piece_cid.to_string()), "{error}");
    assert_eq!(paused["import_state"], "stopped");
    let mut left = left_in(&drops);
    left.sort();
    let mut expected = ["README".to_owned(), wrong.to_string()];
    expected.sort();
    assert_eq!(left, expected);
    assert!(provider.log().contains("README is left alone"));
}

#[test]
fn an_import_without_funds_is_shown_as_waiting() {
    let world = World::new("funds");
    // No wallet holds so much.
    let vars = world.vars(&[("CORACLE_PUBLISH_FEE_MAX", "900000000 FIL")]);
    let provider = Running::start(&vars);
    let (uuid, car) = world.deal(&provider, 1);
    let path = car.path.to_str().unwrap();
    let told = provider.command(&vars, &["import", &uuid.to_string(), path]);
    assert!(told.status.success(), "{}", text(&told.stderr));
    let deal = harness::wait("the wait", || {
        let deal = provider.deal(uuid);
        (deal["error"] == "import waits for funds").then_some(deal)
    });
    assert_eq!(deal["import_state"], "waits for funds or space");
    assert_eq!(deal["import_place"], 1);
    let shown = provider.command(&vars, &["deal", "show", &uuid.to_string()]);
    assert!(text(&shown.stdout).contains("import waits for funds"));
    let log = provider.command(&vars, &["deal", "log", &uuid.to_string()]);
    assert!(
        text(&log.stdout).contains("add funds to the publish wallet"),
        "{}",
        text(&log.stdout)
    );
    provider.kill();
    // With an affordable fee it goes on by itself.
    let vars = world.vars(&[]);
    let provider = Running::start(&vars);
    world.client.proves(&provider, uuid);
}
