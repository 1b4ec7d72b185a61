//! The command line frame, driven through the real binary: help, version, exit codes, pipes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary in an environment with nothing of ours in it.
fn coracle(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command
        .args(args)
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    coracle(args).output().expect("the binary starts")
}

/// With settings that no command could work with.
fn run_broken(args: &[&str]) -> Output {
    let mut command = coracle(args);
    command
        .env("CORACLE_LISTEN", "nonsense")
        .env("CORACLE_NO_SUCH_SETTING", "1");
    command
        .env("CORACLE_HOME", "/dev/null/no/directory")
        .env("CORACLE_ADMIN_LISTEN", "?");
    command.output().expect("the binary starts")
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text")
}

const GROUPS: [&str; 11] = [
    "run", "demo", "devnet", "deal", "import", "publish", "client", "wallet", "commp", "car",
    "settings",
];

#[test]
fn help_works_at_every_level_with_broken_settings() {
    let overview = run_broken(&["--help"]);
    assert_eq!((overview.status.code(), err(&overview)), (Some(0), ""));
    for group in GROUPS {
        assert!(out(&overview).contains(&format!("\n  {group} ")), "{group}");
        for args in [
            &[group, "--help"][..],
            &["--help", group],
            &[group, "x", "-h"],
            &["help", group],
        ] {
            let output = run_broken(args);
            assert_eq!(
                (output.status.code(), err(&output)),
                (Some(0), ""),
                "{args:?}"
            );
            assert!(
                out(&output).starts_with(&format!("coracle {group}: ")),
                "{args:?}"
            );
        }
    }
}

/// Every `"--option"` in the sources of a group, its tests not counted.
fn options_of(path: &Path) -> Vec<String> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let shipped = paths.filter(|path| !path.ends_with("tests.rs"));
        return shipped.flat_map(|path| options_of(&path)).collect();
    }
    let text = std::fs::read_to_string(path).expect("text");
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let options = text.split('"').filter(|word| {
        let name = word.strip_prefix("--").unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    });
    options.map(str::to_owned).collect()
}

#[test]
fn every_option_in_the_code_is_in_the_help() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    let mut counted = 0;
    for group in GROUPS {
        let help = run(&["help", group]);
        for path in [folder.join(format!("{group}.rs")), folder.join(group)] {
            let options = if path.exists() {
                options_of(&path)
            } else {
                Vec::new()
            };
            for option in options {
                counted += 1;
                assert!(out(&help).contains(&option), "{group} {option}");
            }
        }
    }
    assert!(counted > 30, "the check reads the sources: {counted}");
}

#[test]
fn every_group_of_the_help_is_a_command() {
    for group in GROUPS {
        // An option that no group has: each must get as far as looking at its own arguments.
        let output = run(&[group, "--no-such-option-anywhere"]);
        assert!(
            !err(&output).contains("unknown command"),
            "{group}: {}",
            err(&output)
        );
    }
}

#[test]
fn version_names_version_commit_and_target() {
    for args in [
        &["--version"][..],
        &["-V"],
        &["run", "--version"],
        &["deal", "list", "--version"],
    ] {
        let output = run_broken(args);
        assert_eq!(
            (output.status.code(), err(&output)),
            (Some(0), ""),
            "{args:?}"
        );
        let line = out(&output).trim_end();
        let start = format!("coracle {} (", env!("CARGO_PKG_VERSION"));
        let inner = line
            .strip_prefix(&start)
            .and_then(|rest| rest.strip_suffix(')'));
        let (commit, target) = inner.and_then(|inner| inner.split_once(", ")).expect(line);
        assert!(commit == "unknown" || commit.len() >= 7, "{line}");
        assert!(commit.bytes().all(|b| b.is_ascii_alphanumeric()), "{line}");
        assert!(target.contains("linux"), "{line}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_is_wrong() {
    for (args, expected) in [
        (
            &["deel"][..],
            "coracle: unknown command \"deel\"; did you mean \"deal\"?\n",
        ),
        (&["frobnicate"], "coracle: unknown command \"frobnicate\"\n"),
        (&["--frobnicate"], "coracle: unknown option --frobnicate\n"),
        (
            &["settings", "--frobnicate"],
            "coracle: unexpected option --frobnicate\n",
        ),
        (
            &["deal"],
            "coracle: deal needs list, show, log, retry, cancel, fail or sealed\n",
        ),
        (&["deal", "frob"], "coracle: unknown command deal \"frob\""),
        (
            &["deal", "show"],
            "coracle: missing argument: the deal's UUID\n",
        ),
        (&["deal", "show", "x"], "coracle: \"x\" is no UUID\n"),
        (
            &["import", "00000000-0000-0000-0000-000000000001"],
            "coracle: missing argument: the file",
        ),
    ] {
        let output = run(args);
        assert_eq!(
            (output.status.code(), out(&output)),
            (Some(2), ""),
            "{args:?}"
        );
        assert!(
            err(&output).starts_with(expected),
            "{args:?}: {}",
            err(&output)
        );
        assert!(
            err(&output).ends_with("Try `coracle --help`.\n"),
            "{args:?}"
        );
    }
}

#[test]
fn no_command_shows_the_overview_and_is_wrong_usage() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(out(&output).contains("Usage: coracle COMMAND"));
    assert!(err(&output).starts_with("coracle: no command given"));
}

#[test]
fn with_json_an_error_is_an_object() {
    let output = run(&["deal", "show", "x", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(err(&output), "{\"error\":\"\\\"x\\\" is no UUID\"}\n");
}

#[test]
fn run_with_nothing_set_introduces_itself_in_three_lines() {
    let output = run(&["run"]);
    assert_eq!((output.status.code(), out(&output)), (Some(2), ""));
    let lines: Vec<&str> = err(&output).lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for needed in [
        "CORACLE_MINERS",
        "FULLNODE_API_INFO",
        "MINER_API_INFO",
        "coracle settings",
    ] {
        assert!(lines[0].contains(needed), "{lines:?}");
    }
    assert!(
        lines[1].contains("coracle demo") && lines[2].contains("coracle devnet"),
        "{lines:?}"
    );
}

#[test]
fn run_with_wrong_settings_names_all_of_them() {
    let mut command = coracle(&["run"]);
    command
        .env("CORACLE_MINERS", "f1nonsense")
        .env("CORACLE_TRANSFERS_MAX", "many");
    let output = command.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    let text = err(&output);
    for name in [
        "CORACLE_MINERS: ",
        "CORACLE_TRANSFERS_MAX: ",
        "FULLNODE_API_INFO: ",
        "MINER_API_INFO: ",
    ] {
        assert!(text.contains(&format!("\n{name}")), "{text}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    // The pipe's other end is closed before anything is written.
    let (read, write) = std::io::pipe().expect("a pipe");
    drop(read);
    let output = coracle(&["settings"])
        .stdout(write)
        .output()
        .expect("the binary starts");
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
}
