//! Deals whose sealer fetches its pieces from the hand-over directory, against the real binary.

mod harness;

use coracle::deal::Checkpoint;
use coracle::filecoin::json as form;
use coracle::rpc::Limits;
use coracle::sealer::{Handover, LotusMiner, Sealer};
use harness::{Car, CarServer, Client, Net, Running, Scratch, vars};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Two leaves and something.
const SIZE: usize = 300_000;

struct World {
    net: Net,
    scratch: Scratch,
    server: CarServer,
    client: Client,
}

impl World {
    fn new(name: &str) -> Self {
        let net = Net::start(|_| {});
        Self {
            client: Client::new(net.devnet.people().client.key.clone()),
            scratch: Scratch::new(name),
            server: CarServer::start(),
            net,
        }
    }

    fn directory(&self) -> PathBuf {
        self.scratch.join("handover")
    }

    /// Settings without any sealer's address.
    fn vars(&self) -> harness::Vars {
        let mut vars = vars(&self.net, &self.scratch.join("home"), &self.server.prefix());
        vars.remove("MINER_API_INFO");
        let directory = self.directory().to_string_lossy().into_owned();
        vars.insert("CORACLE_HANDOVER_DIR".to_owned(), directory);
        vars
    }

    fn propose(&self, provider: &Running, car: &Car) -> Uuid {
        let url = self.server.serve(car);
        let wanted = Client::wanted(&self.net, &self.net.miner(), car, Some(url));
        self.client.accepted(provider, &wanted)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn wait_until_empty(&self) {
        harness::wait("the directory to be empty", || {
            self.names().is_empty().then_some(())
        });
    }
}

/// A sealer that looks into the directory from time to time: it reads each document, takes the data and, when it lies in a
/// sector of the devnet's miner, writes its result.
struct StandIn {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl StandIn {
    fn start(directory: PathBuf, miner_api_info: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let miner = LotusMiner::new(&miner_api_info, Limits::default()).unwrap();
            while !over.load(Ordering::Relaxed) {
                round(&directory, &miner, &over);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn round(directory: &Path, miner: &LotusMiner, over: &AtomicBool) {
    for entry in fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with('.') || !name.ends_with(".json") || name.ends_with(".result.json") {
            continue;
        }
        // It may have been taken away just now.
        let Ok(text) = fs::read(directory.join(&name)) else {
            continue;
        };
        let document: Value =
            serde_json::from_slice(&text).expect("a document is whole once it is seen");
        let result = directory.join(document["Result"].as_str().unwrap());
        if result.exists() {
            continue;
        }
        let file = directory.join(document["File"].as_str().unwrap());
        let data = fs::metadata(&file).expect("a document has its data beside it");
        assert_eq!(document["PayloadSize"], data.len());
        let piece = Handover {
            deal: document["Deal"].as_str().unwrap().parse().unwrap(),
            deal_id: document["DealID"].as_u64().unwrap(),
            publish_cid: form::to_cid(&document["PublishCid"]).unwrap().unwrap(),
            proposal: form::to_proposal(&document["DealProposal"]).unwrap(),
            file,
            payload_size: document["PayloadSize"].as_u64().unwrap(),
            keep_unsealed: document["KeepUnsealed"].as_bool().unwrap(),
        };
        let Ok(Some(place)) = miner.add_piece(&piece, over) else {
            continue;
        };
        let answer = json!({
            "DealID": document["DealID"], "Sector": place.sector, "Offset": place.offset
        });
        let unfinished = directory.join(".result");
        fs::write(&unfinished, answer.to_string()).unwrap();
        fs::rename(unfinished, result).unwrap();
    }
}

#[test]
fn deals_go_through_the_directory_until_they_are_proven() {
    let world = World::new("handover");
    let vars = world.vars();
    let provider = Running::start(&vars);
    let cars = [1, 2].map(|seed| Car::generate(&world.scratch.0, seed, SIZE));
    // The last two are one piece.
    let uuids = [&cars[0], &cars[1], &cars[1]].map(|car| {
        let uuid = world.propose(&provider, car);
        // Terms follow the height: in the same epoch the same piece would be the same proposal.
        let epoch = world.net.devnet.epoch();
        harness::wait("the next epoch", || {
            (world.net.devnet.epoch() > epoch).then_some(())
        });
        uuid
    });
    for uuid in uuids {
        let status = world
            .client
            .reaches(&provider, uuid, Checkpoint::IndexedAndAnnounced);
        assert_eq!(status.status.unwrap().sealing_status, "");
        let deal = provider.deal(uuid);
        assert_eq!(deal["sector"], Value::Null);
    }
    let names = world.names();
    assert_eq!(names.len(), 2 + 3, "{names:?}");
    for car in &cars {
        let name = format!("{}.car", car.piece_cid);
        assert_eq!(fs::read(world.directory().join(name)).unwrap(), *car.bytes);
    }
    // Linked, not copied: what is kept for retrievals is the same file.
    let name = format!("{}.car", cars[0].piece_cid);
    let (ours, theirs) = (
        fs::metadata(world.scratch.join("home").join("pieces").join(&name)).unwrap(),
        fs::metadata(world.directory().join(&name)).unwrap(),
    );
    assert_eq!(ours.ino(), theirs.ino());
    // A crash, a sealer that comes while nobody runs, and the results are found.
    provider.kill();
    let sealer = StandIn::start(world.directory(), world.net.devnet.miner_api_info(0));
    let results = |names: &[String]| {
        names
            .iter()
            .filter(|name| name.ends_with(".result.json"))
            .count()
    };
    harness::wait("all results", || {
        (results(&world.names()) == 3).then_some(())
    });
    let provider = Running::start(&vars);
    for uuid in uuids {
        world.client.proves(&provider, uuid);
        let deal = provider.deal(uuid);
        let id = deal["chain_deal_id"].as_u64().unwrap();
        let state = world.net.devnet.deals();
        assert!(state.iter().any(|(known, ..)| *known == id));
        assert_eq!(world.net.pieces_of(0, id), 1);
        assert!(deal["sector"].is_u64(), "{deal}");
    }
    drop(sealer);
    world.wait_until_empty();
    let (clean, _) = provider.stop();
    assert!(clean);
}

/// What the README shows: a sealer of nine lines.
const SCRIPT: &str = r#"
cd "$1" || exit 1
for document in *.json; do
    case $document in *.result.json | '*.json') continue ;; esac
    field() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$document"; }
    test -f "$(field Result)" && continue
    { cat "$(field File)"; head -c "$(field UnpaddedSize)" /dev/zero; } | head -c "$(field UnpaddedSize)" > "$2"
    echo "{\"DealID\": $(field DealID), \"Sector\": 77, \"Offset\": 0}" > .result
    mv .result "$(field Result)"
done
"#;

#[test]
fn a_shell_script_is_a_sealer() {
    let world = World::new("handover-shell");
    let provider = Running::start(&world.vars());
    let car = Car::generate(&world.scratch.0, 3, SIZE);
    let uuid = world.propose(&provider, &car);
    world
        .client
        .reaches(&provider, uuid, Checkpoint::IndexedAndAnnounced);
    let taken = world.scratch.join("taken");
    let status = Command::new("sh")
        .args(["-e", "-c", SCRIPT, "sealer"])
        .args([&world.directory(), &taken])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let deal = harness::wait("the sector", || {
        let deal = provider.deal(uuid);
        (deal["sector"] == 77).then_some(deal)
    });
    assert_eq!(deal["offset"], 0);
    world.wait_until_empty();
    // Exactly the piece: its bytes, then zeros.
    let padded = fs::read(taken).unwrap();
    assert_eq!(padded.len() as u64, car.piece_size / 128 * 127);
    assert!(padded.starts_with(&car.bytes));
    assert!(padded[car.bytes.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn the_operator_closes_the_loop() {
    let world = World::new("handover-operator");
    let vars = world.vars();
    let provider = Running::start(&vars);
    let car = Car::generate(&world.scratch.0, 4, SIZE);
    let uuid = world.propose(&provider, &car);
    world
        .client
        .reaches(&provider, uuid, Checkpoint::IndexedAndAnnounced);
    let uuid = uuid.to_string();
    let sealed = |more: &[&str]| {
        let mut arguments = vec!["deal", "sealed", uuid.as_str()];
        arguments.extend(more);
        provider.command(&vars, &arguments)
    };
    assert_eq!(sealed(&[]).status.code(), Some(2), "without a sector");
    let done = sealed(&["--sector", "12", "--offset", "2048", "--json"]);
    assert!(done.status.success(), "{done:?}");
    let deal = provider.deal(uuid.parse().unwrap());
    assert_eq!(
        (&deal["sector"], &deal["offset"]),
        (&json!(12), &json!(2048))
    );
    world.wait_until_empty();
    let other = sealed(&["--sector", "13"]);
    assert_eq!(other.status.code(), Some(3));
    let text = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(text.contains("sector 12 at offset 2048 already"), "{text}");
    let unknown = "00000000-0000-4000-8000-000000000000";
    let unknown = provider.command(&vars, &["deal", "sealed", unknown, "--sector", "1"]);
    assert_eq!(unknown.status.code(), Some(3));
    let (status, answer) = provider.admin(
        "POST",
        &format!("/v1/deals/{uuid}/sealed"),
        Some("{\"sector\": \"12\"}"),
    );
    assert_eq!(status, 400, "{answer}");
}

#[test]
fn a_directory_that_cannot_be_linked_into_stops_the_start() {
    let shared = Path::new("/dev/shm");
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let world = World::new("handover-elsewhere");
    if device(shared).is_none() || device(shared) == device(&world.scratch.0) {
        eprintln!("no second file system here");
        return;
    }
    let elsewhere = shared.join(format!("coracle-handover-{}", Uuid::new_v4()));
    let mut vars = world.vars();
    let path = elsewhere.to_string_lossy().into_owned();
    vars.insert("CORACLE_HANDOVER_DIR".to_owned(), path.clone());
    let output = Command::new(env!("CARGO_BIN_EXE_coracle"))
        .arg("run")
        .env_clear()
        .envs(&vars)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    fs::remove_dir_all(elsewhere).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in ["CORACLE_HANDOVER_DIR", &path, "different file systems"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_import_from_another_file_system_is_refused_before_it_is_published() {
    let shared = Path::new("/dev/shm");
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let world = World::new("handover-import");
    if device(shared).is_none() || device(shared) == device(&world.scratch.0) {
        eprintln!("no second file system here");
        return;
    }
    let elsewhere = Scratch(shared.join(format!("coracle-import-{}", Uuid::new_v4())));
    fs::create_dir_all(&elsewhere.0).unwrap();
    let vars = world.vars();
    let provider = Running::start(&vars);
    let car = Car::generate(&world.scratch.0, 5, SIZE);
    let copy = elsewhere.join("copy.car");
    fs::copy(&car.path, &copy).unwrap();
    let wanted = Client::wanted(&world.net, &world.net.miner(), &car, None);
    let uuid = world.client.accepted(&provider, &wanted);
    let import = |path: &Path| {
        let arguments = ["import", &uuid.to_string(), path.to_str().unwrap()];
        assert!(provider.command(&vars, &arguments).status.success());
    };
    import(&copy);
    let deal = harness::wait("the refusal", || {
        let deal = provider.deal(uuid);
        (deal["retry"] == "manual").then_some(deal)
    });
    let error = deal["error"].as_str().unwrap();
    assert!(error.contains("different file systems"), "{error}");
    assert_eq!(world.net.publish_messages(), 0);
    // From the right place it goes on; the operator's file stays.
    import(&car.path);
    world
        .client
        .reaches(&provider, uuid, Checkpoint::IndexedAndAnnounced);
    let laid = world.directory().join(format!("{}.car", car.piece_cid));
    let (ours, theirs) = (
        fs::metadata(&car.path).unwrap(),
        fs::metadata(laid).unwrap(),
    );
    assert_eq!(ours.ino(), theirs.ino());
}
