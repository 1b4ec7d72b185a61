//! `coracle settings`, driven through the real binary, and the README's table.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn settings(args: &[&str], vars: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command
        .arg("settings")
        .args(args)
        .env_clear()
        .env("HOME", "/nonexistent");
    command
        .envs(vars.iter().copied())
        .output()
        .expect("the binary starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn setting<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let all = answer["settings"].as_array().expect("a list");
    all.iter()
        .find(|setting| setting["name"] == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

/// A home directory of its own, removed at the end.
struct Home(PathBuf);

impl Home {
    fn new(name: &str, env_file: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("settings-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        let file = path.join("coracle.env");
        std::fs::write(&file, env_file).expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        Self(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_readme_has_the_table_of_the_code() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))
        .expect("the README");
    let (_, rest) = readme
        .split_once("<!-- coracle settings --markdown -->\n")
        .expect("a begin");
    let (table, _) = rest.split_once("<!-- end -->").expect("an end");
    let output = settings(&["--markdown"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        table.trim(),
        text(&output.stdout).trim(),
        "replace the README's table with what `coracle settings --markdown` prints"
    );
}

#[test]
fn markdown_does_not_depend_on_the_environment() {
    let plain = settings(&["--markdown"], &[]);
    let set = settings(
        &["--markdown"],
        &[("CORACLE_TRANSFERS_MAX", "7"), ("CORACLE_NONSENSE", "1")],
    );
    assert_eq!(plain, set);
}

#[test]
fn json_has_value_origin_and_errors() {
    let home = Home::new(
        "json",
        "CORACLE_MINERS=f01000,f02000\nCORACLE_TRANSFERS_MAX=7\n",
    );
    let vars = [
        ("CORACLE_HOME", home.text()),
        ("CORACLE_PUBLISH_PERIOD_F02000", "5m"),
        (
            "FULLNODE_API_INFO",
            "eyJh.eyJB.S3cr3t:/ip4/127.0.0.1/tcp/1234/http",
        ),
    ];
    let output = settings(&["--json"], &vars);
    assert_eq!(output.status.code(), Some(2));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        setting(&answer, "CORACLE_MINERS")["from"],
        "coracle.env line 1"
    );
    assert_eq!(setting(&answer, "CORACLE_TRANSFERS_MAX")["value"], "7");
    assert_eq!(setting(&answer, "CORACLE_PUBLISH_PERIOD")["value"], "1h");
    assert_eq!(
        setting(&answer, "CORACLE_PUBLISH_PERIOD")["from"],
        "default"
    );
    assert_eq!(
        setting(&answer, "CORACLE_PUBLISH_PERIOD_F02000")["value"],
        "5m"
    );
    assert_eq!(setting(&answer, "FULLNODE_API_INFO")["value"], "(hidden)");
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["errors"][0]["name"], "MINER_API_INFO");
    assert!(!text(&output.stdout).contains("S3cr3t") && !text(&output.stderr).contains("S3cr3t"));
}

#[test]
fn good_settings_are_exit_code_0_and_wrong_ones_2() {
    let good = [
        ("CORACLE_MINERS", "f01000"),
        ("FULLNODE_API_INFO", "http://127.0.0.1:1234"),
        ("MINER_API_INFO", "http://127.0.0.1:2345"),
    ];
    let output = settings(&[], &good);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert!(text(&output.stdout).contains("CORACLE_MINERS\tf01000\tenvironment\taddresses\t"));
    let mut wrong = good.to_vec();
    wrong.extend([("CORACLE_TRANSFERS_MAX", "many"), ("CORACLE_LISTNE", "x")]);
    let output = settings(&[], &wrong);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "coracle: the settings are wrong:\n\
         CORACLE_LISTNE: is no setting; did you mean CORACLE_LISTEN?\n\
         CORACLE_TRANSFERS_MAX: \"many\" is no number from 1 to 64\n"
    );
}

#[test]
fn with_nothing_set_everything_is_listed() {
    let output = settings(&[], &[]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let first = text(&output.stdout).lines().next();
    assert!(first.is_some_and(|line| line.starts_with("CORACLE_MINERS\t(required)\tdefault\t")));
}
