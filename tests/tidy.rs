//! The house rules that no compiler knows: which room may name which, how long a file may be, a reason beside
//! each dependency.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from low to high. A room names rooms of its own row and of the rows before it.
const ROWS: [&[&str]; 9] = [
    &["threads", "filecoin", "piece"],
    &["rpc", "wire"],
    &["deal"],
    &["store", "p2p", "transfer", "chain", "sealer", "serve"],
    &["market"],
    &["client", "devnet", "config"],
    &["provider"],
    &["demo"],
    &["cli"],
];

/// Lines of a file, its test module at the end not counted.
const LINES_MAX: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// A file's text up to its test module.
fn shipped(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("text");
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].to_owned()
}

fn row(room: &str) -> Option<usize> {
    ROWS.iter().position(|rooms| rooms.contains(&room))
}

/// The words that follow `crate::` in a line of code.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let code = if line.trim_start().starts_with("//") {
        ""
    } else {
        line
    };
    code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// `room names other` for every line of code that looks upwards.
fn upward(room: &str, text: &str) -> Vec<String> {
    let Some(own) = row(room) else {
        return vec![format!("{room} is in no row")];
    };
    let names = text.lines().flat_map(named);
    let higher = names.filter(|name| {
        // The lowest three know nobody, not even each other.
        row(name).is_some_and(|other| other > own || (own == 0 && *name != room))
    });
    higher.map(|name| format!("{room} names {name}")).collect()
}

#[test]
fn no_room_names_a_higher_one() {
    let src = root().join("src");
    let mut found = Vec::new();
    for path in rust_files(&src) {
        let inside = path.strip_prefix(&src).expect("below src");
        let first = inside
            .iter()
            .next()
            .and_then(|part| part.to_str())
            .expect("a name");
        let room = first.strip_suffix(".rs").unwrap_or(first);
        let is_test = inside
            .iter()
            .any(|part| part == "tests" || part == "tests.rs");
        if !is_test && !matches!(room, "main" | "lib") {
            let lines = upward(room, &shipped(&path));
            found.extend(
                lines
                    .into_iter()
                    .map(|line| format!("{}: {line}", inside.display())),
            );
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_check_of_the_rooms_finds_what_it_looks_for() {
    assert_eq!(
        upward("deal", "use crate::market::Run;"),
        ["deal names market"]
    );
    assert_eq!(
        upward("piece", "let x: crate::filecoin::Cid;"),
        ["piece names filecoin"]
    );
    assert_eq!(
        upward(
            "chain",
            "use crate::rpc; use crate::serve::x; use crate::piece;"
        ),
        [""; 0]
    );
    assert_eq!(
        upward("wire", "/// See crate::market.\n    // crate::cli"),
        [""; 0]
    );
    assert_eq!(upward("cellar", ""), ["cellar is in no row"]);
}

#[test]
fn every_room_has_a_row() {
    let library = fs::read_to_string(root().join("src/lib.rs")).expect("text");
    let rooms = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let without: Vec<&str> = rooms.filter(|room| row(room).is_none()).collect();
    assert_eq!(without, [""; 0]);
}

#[test]
fn files_are_short_enough_to_read() {
    let src = root().join("src");
    let long: Vec<String> = rust_files(&src)
        .iter()
        .map(|path| (path, shipped(path).lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| {
            format!(
                "{}: {lines} lines",
                path.strip_prefix(&src).unwrap_or(path).display()
            )
        })
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("text");
    let mut section = "";
    let mut before = "";
    let mut without = Vec::new();
    let mut counted = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && line.contains(" = ") {
            counted += 1;
            if !before.starts_with("# ") {
                without.push(line);
            }
        }
        before = line;
    }
    assert!(counted > 10, "the check reads the manifest: {counted}");
    assert_eq!(without, [""; 0]);
}
