//! This box: keys and who may read them, directories and what lies on which disk.

use crate::harness::Scratch;
use crate::world::World;
use coracle::devnet::NodeKind;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn keys_that_others_may_read_are_said() {
    let world = World::new();
    open_to_all(&world.home().join("libp2p.key"));
    world.check().expect(
        "bad",
        "libp2p key",
        "others may read it; run `chmod 600`",
        "does not start",
    );

    let world = World::new();
    fs::write(world.home().join("libp2p.key"), b"no key").unwrap();
    fs::set_permissions(
        world.home().join("libp2p.key"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    world.check().expect(
        "bad",
        "libp2p key",
        "no libp2p key",
        "CORACLE_LIBP2P_KEY_FILE",
    );

    let world = World::new();
    fs::write(world.home().join("admin-token"), b"secret").unwrap();
    open_to_all(&world.home().join("admin-token"));
    let answer = world.check();
    answer.expect_only("bad", "admin token", "chmod 600", "does not start");

    // A named file must be there.
    let mut world = World::new();
    world.set("CORACLE_LIBP2P_KEY_FILE", "elsewhere.key");
    world
        .check()
        .expect("bad", "libp2p key", "elsewhere.key", "name another one");
}

#[test]
fn a_wallets_key_that_others_may_read_does_not_sign() {
    // A spare key: a deal succeeds without it.
    let world = World::new();
    let client = world.net.devnet.people().client.clone();
    world.keep(&client.key);
    let file = world
        .home()
        .join(format!("keystore/{}.json", client.address));
    open_to_all(&file);
    let answer = world.check();
    answer.expect_only(
        "warn",
        "keystore",
        &format!("{}: others have rights on it", file.display()),
        "does not sign",
    );
    // The directory.
    fs::set_permissions(
        world.home().join("keystore"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    world
        .check()
        .expect_only("warn", "keystore", "chmod go=", "does not sign");

    // The only publish wallet.
    let mut world = World::with(|config| config.kind = NodeKind::Gateway);
    world.set("FULLNODE_API_INFO", world.net.devnet.node_api_info(0));
    world.keep(&world.worker());
    world.check().expect_fine();
    let worker = world.worker().address();
    open_to_all(&world.home().join(format!("keystore/{worker}.json")));
    let answer = world.check();
    answer.expect(
        "bad",
        "f01000 publish wallet",
        "cannot sign",
        "coracle wallet import",
    );
    answer.line("warn", "keystore", "others have rights on it");
}

#[test]
fn directories_must_be_directories_with_room() {
    for setting in ["CORACLE_STAGING", "CORACLE_PIECES"] {
        let mut world = World::new();
        let file = world.path("a-file");
        fs::write(&file, b"").unwrap();
        world.set(setting, file.join("below").display());
        world
            .check()
            .expect_only("bad", setting, "is no directory", "another place");
    }
    let mut world = World::new();
    world.set("CORACLE_STAGING_BYTES_MAX", "8388607TiB");
    let answer = world.check();
    answer.expect_only(
        "warn",
        "disk space",
        "CORACLE_STAGING and CORACLE_PIECES may take another 8191.9 PiB",
        "CORACLE_STAGING_BYTES_MAX or CORACLE_KEEP_PIECES_BYTES_MAX",
    );
    answer.line("ok", "CORACLE_STAGING", "0 B of 8191.9 PiB used");
    // What lies there has taken its part already.
    fs::create_dir_all(world.home().join("staging")).unwrap();
    fs::write(world.home().join("staging/x.car"), vec![0; 3 << 19]).unwrap();
    world.set("CORACLE_STAGING_BYTES_MAX", "2MiB");
    let answer = world.check();
    answer.expect_fine();
    answer.line("ok", "CORACLE_STAGING", "1.5 MiB of 2 MiB used");
}

/// A directory on another file system than the temporary ones; none where there is none.
fn elsewhere() -> Option<Scratch> {
    let shared = Path::new("/dev/shm");
    let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
    if device(shared)? == device(&std::env::temp_dir())? {
        return None;
    }
    let path = shared.join(format!("coracle-check-{}", uuid::Uuid::new_v4()));
    fs::create_dir(&path).ok()?;
    Some(Scratch(path))
}

#[test]
fn a_hand_over_directory_lies_on_the_file_system_of_staging() {
    let mut world = World::new();
    world.vars.remove("MINER_API_INFO");
    let good = world.path("handover");
    world.set("CORACLE_HANDOVER_DIR", good.display());
    let answer = world.check();
    answer.expect_fine();
    answer.line("ok", "f01000 sealer", "fetches its pieces from");
    assert!(!good.exists(), "a check makes no directory");
    // Both there: a link is tried and removed.
    fs::create_dir_all(&good).unwrap();
    fs::create_dir_all(world.home().join("staging")).unwrap();
    world.check().expect_fine();
    assert_eq!(fs::read_dir(&good).unwrap().count(), 0);

    let Some(other) = elsewhere() else {
        eprintln!("no second file system here");
        return;
    };
    for path in [other.0.clone(), other.join("not-there-yet")] {
        world.set("CORACLE_HANDOVER_DIR", path.display());
        world.check().expect_only(
            "bad",
            "CORACLE_HANDOVER_DIR",
            "different file systems",
            "file system of CORACLE_STAGING",
        );
    }
    // What is imported is linked from where it lies.
    world.set("CORACLE_HANDOVER_DIR", good.display());
    world.set("CORACLE_DROP_FOLDER", other.0.display());
    world.check().expect_only(
        "warn",
        "CORACLE_DROP_FOLDER",
        "another file system",
        "refused",
    );
    // Kept pieces cannot move there.
    world.vars.remove("CORACLE_DROP_FOLDER");
    world.set("CORACLE_PIECES", other.0.display());
    world.check().expect_only(
        "warn",
        "CORACLE_PIECES",
        "stay in staging",
        "one file system",
    );
}

/// Every file below a directory with its bytes and the time of its last change.
fn tree(directory: &Path) -> Vec<(PathBuf, u64, i64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::metadata(&path).unwrap();
        all.push((path.clone(), found.len(), found.mtime()));
        if found.is_dir() {
            all.extend(tree(&path));
        }
    }
    all.sort();
    all
}

#[test]
fn nothing_is_changed() {
    let world = World::new();
    world.keep(&world.worker());
    let before = tree(&world.home());
    world.check().expect_fine();
    assert_eq!(tree(&world.home()), before);
    assert!(world.net.devnet.received_messages().is_empty());
}
