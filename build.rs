//! Stamps version, commit and target into the binary.
//!
//! Nothing here depends on the clock, so one commit gives one binary.

use std::path::Path;
use std::process::Command;

fn main() {
    let commit = commit().unwrap_or_else(|| "unknown".to_owned());
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=CORACLE_COMMIT={commit}");
    println!("cargo::rustc-env=CORACLE_TARGET={target}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CORACLE_BUILD_COMMIT");
    // A new commit moves one of these; a source archive has neither.
    for file in [".git/HEAD", ".git/logs/HEAD"] {
        if Path::new(file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
}

/// Twelve digits of the commit: given by a packager, else asked from git; `None` in a source archive.
fn commit() -> Option<String> {
    if let Ok(given) = std::env::var("CORACLE_BUILD_COMMIT") {
        return plain(&given);
    }
    // An archive unpacked inside somebody's repository is not that repository's commit.
    if !Path::new(".git").exists() {
        return None;
    }
    let output = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    plain(&String::from_utf8(output.stdout).ok()?)
}

/// Only what may stand in a version line.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let good =
        !text.is_empty() && text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then(|| text.to_owned())
}
