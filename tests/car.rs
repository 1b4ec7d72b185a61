//! `coracle car` on the real binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The two-block CAR of spec index 1.4.
const HELLO_WORLD: &str = "3aa265726f6f747381d82a582500015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98246776657273696f6e0129015512202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982468656c6c6f2901551220486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7776f726c64";

/// Its index.
const INDEX: &str = "8108010000001200000000000000010000002800000050000000000000002cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98243b00000000000000486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a76500000000000000";

const HELLO: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
const WORLD: &str = "bafkreicin2sgejgrxnh3nahtj56jvwlkr4sozcf6opvi4wtmmuta5hfyu4";

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// A directory of its own for each test, gone afterwards.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("coracle-car-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs `coracle car` with this directory as the working directory.
    fn car(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_coracle"))
            .arg("car")
            .args(args)
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The JSON objects that a successful command prints.
    fn objects(&self, args: &[&str]) -> Vec<Value> {
        let output = self.car(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(
            output.stderr.is_empty(),
            "no progress on a pipe: {output:?}"
        );
        objects(&output)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn objects(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

#[test]
fn list_names_every_block() {
    let place = Place::new("list");
    place.write("x.car", &unhex(HELLO_WORLD));
    let want = [
        json!({ "cid": HELLO, "offset": 59, "size": 5 }),
        json!({ "cid": WORLD, "offset": 101, "size": 5 }),
        json!({ "version": 1, "roots": [HELLO], "blocks": 2, "end": 143 }),
    ];
    assert_eq!(place.objects(&["list", "x.car", "--json"]), want);
    let output = place.car(&["list", "x.car"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("{HELLO}\t59\t5\n{WORLD}\t101\t5\n"));
}

#[test]
fn zero_padding_is_not_part_of_the_car() {
    let place = Place::new("padded");
    place.write("x.car", &[unhex(HELLO_WORLD), vec![0; 3_000_000]].concat());
    let last = place.objects(&["list", "x.car", "--json"]).pop().unwrap();
    assert_eq!(last["end"], 143);
}

#[test]
fn verify_finds_what_was_changed() {
    let place = Place::new("verify");
    let good = unhex(HELLO_WORLD);
    place.write("x.car", &good);
    let want = json!({
        "version": 1, "roots": [HELLO], "roots_present": true, "blocks": 2,
        "verified": 2, "wrong": 0, "unknown": 0, "named": [],
    });
    assert_eq!(place.objects(&["verify", "x.car", "--json"]), [want]);

    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    place.write("x.car", &bad);
    let output = place.car(&["verify", "x.car", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let object = &objects(&output)[0];
    assert_eq!(
        (&object["verified"], &object["wrong"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        object["named"],
        json!([format!("{WORLD} at 101: wrong hash")])
    );

    // Another hash function, in the second section's CID.
    let mut unknown = good.clone();
    unknown[104] = 0x13;
    place.write("x.car", &unknown);
    let output = place.car(&["verify", "x.car", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(objects(&output)[0]["unknown"], 1);

    // Without its first block the root is missing; that is allowed, but said.
    place.write("x.car", &[&good[..59], &good[101..]].concat());
    let object = place.objects(&["verify", "x.car", "--json"]).pop().unwrap();
    assert_eq!(object["roots_present"], false);
}

#[test]
fn malformed_cars_fail_with_the_place() {
    let place = Place::new("malformed");
    let good = unhex(HELLO_WORLD);
    place.write("cut.car", &good[..140]);
    place.write("zeros", &[0; 500]);
    place.write("empty", &[]);
    for command in ["list", "verify", "index"] {
        for (file, text) in [
            ("cut.car", "not a CAR at byte 140: the bytes end too early"),
            ("zeros", "not a CAR at byte 0: header of 0 bytes"),
            ("empty", "not a CAR at byte 0: the bytes end too early"),
            ("absent", "absent: "),
        ] {
            let output = place.car(&[command, file]);
            assert_eq!(output.status.code(), Some(1), "{command} {file}");
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(error.contains(text), "{command} {file}: {error}");
        }
    }
    // A failed index leaves nothing behind.
    assert_eq!(place.names(), ["cut.car", "empty", "zeros"]);
}

#[test]
fn index_writes_both_files() {
    let place = Place::new("index");
    place.write("x.car", &unhex(HELLO_WORLD));
    let want = json!({
        "index": "x.car.index", "sizes": "x.car.index.sizes", "entries": 2, "left_out": 0,
    });
    assert_eq!(place.objects(&["index", "x.car", "--json"]), [want]);
    assert_eq!(
        std::fs::read(place.0.join("x.car.index")).unwrap(),
        unhex(INDEX)
    );
    let object = place
        .objects(&["index", "x.car", "-o", "other", "--json"])
        .pop()
        .unwrap();
    assert_eq!(object["index"], "other");
    let names = [
        "other",
        "other.sizes",
        "x.car",
        "x.car.index",
        "x.car.index.sizes",
    ];
    assert_eq!(place.names(), names);
}

#[test]
fn what_is_packed_verifies() {
    let place = Place::new("pack");
    for number in 0..50_u32 {
        place.write(
            &format!("data/dir{}/file{number}", number % 7),
            &number.to_le_bytes(),
        );
    }
    let big: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    place.write("data/big", &big);
    place.write("data/.hidden", b"1");
    let packed = place.objects(&["pack", "data", "--json"]).pop().unwrap();
    assert_eq!(packed["output"], "data.car");
    assert_eq!(packed["car_size"], size(&place.0.join("data.car")));
    // Fifty files, seven directories, three chunks, their node, the root.
    assert_eq!(packed["blocks"], 62);
    let verified = place
        .objects(&["verify", "data.car", "--json"])
        .pop()
        .unwrap();
    assert_eq!(verified["verified"], 62);
    assert_eq!(verified["roots"], json!([packed["root"]]));
    assert_eq!(verified["roots_present"], true);

    let again = place
        .objects(&["pack", "data", "-o", "again.car", "--json"])
        .pop()
        .unwrap();
    assert_eq!(again["root"], packed["root"]);
    let hidden = [
        "pack",
        "--hidden",
        "data",
        "--output",
        "hidden.car",
        "--json",
    ];
    assert_ne!(place.objects(&hidden)[0]["root"], packed["root"]);
    let index = place
        .objects(&["index", "data.car", "--json"])
        .pop()
        .unwrap();
    assert_eq!(index["entries"], 62);
}

#[test]
fn the_root_of_a_small_file_is_its_block() {
    let place = Place::new("small");
    place.write("hello", b"hello");
    let packed = place.objects(&["pack", "hello", "--json"]).pop().unwrap();
    let want = json!({ "root": HELLO, "car_size": 101, "blocks": 1, "output": "hello.car" });
    assert_eq!(packed, want);
}

#[test]
fn usage_errors() {
    let place = Place::new("usage");
    place.write("x", b"1");
    let code = |args: &[&str]| place.car(args).status.code();
    for args in [
        &[][..],
        &["unpack", "x"],
        &["pack"],
        &["list"],
        &["verify", "x", "y"],
        &["index", "--frob", "x"],
        &["pack", "x", "-o"],
    ] {
        assert_eq!(code(args), Some(2), "{args:?}");
    }
    assert_eq!(code(&["pack", "absent"]), Some(1));
    assert_eq!(code(&["pack", ".", "-o", "x.car"]), Some(1));
    assert_eq!(place.names(), ["x"]);
}
