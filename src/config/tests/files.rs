//! `coracle.env` and the files of secrets.

use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

const TOKEN: &str = "eyJhbGciOi.eyJBbGxvdyI.S3cr3t:/ip4/127.0.0.1/tcp/1234/http";

/// A home directory of its own, removed at the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("coracle-settings-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, mode: u32, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        text_of(&path)
    }

    fn read(&self, more: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        let home = text_of(&self.0);
        let mut pairs = vec![("CORACLE_HOME", home.as_str())];
        pairs.extend_from_slice(more);
        Config::from_env(vars(&pairs))
    }

    fn errors(&self, more: &[(&str, &str)]) -> Vec<String> {
        let errors = self.read(more).expect_err("must be refused");
        let home = text_of(&self.0);
        errors
            .all
            .iter()
            .map(|error| error.to_string().replace(&home, "HOME"))
            .collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text_of(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

const REST: [(&str, &str); 2] = [
    ("CORACLE_MINERS", "f01000"),
    ("MINER_API_INFO", "http://127.0.0.1:2345"),
];

#[test]
fn the_file_fills_in_and_the_environment_wins() {
    let home = Home::new();
    home.write(
        "coracle.env",
        0o600,
        &format!(
            "# the provider\nCORACLE_MINERS=f01000\nFULLNODE_API_INFO=\"{TOKEN}\"\n\
             MINER_API_INFO=http://127.0.0.1:2345\nCORACLE_TRANSFERS_MAX=3\nRUST_BACKTRACE=1\n\
             CORACLE_STAGING_BYTES_MAX=1GiB\nCORACLE_STAGING_BYTES_MAX=2GiB\n"
        ),
    );
    let config = home.read(&[("CORACLE_TRANSFERS_MAX", "5")]).unwrap();
    assert_eq!(config.transfers_max, 5);
    assert_eq!(config.staging_bytes_max, 2 << 30);
    assert_eq!(config.fullnode_api_info, TOKEN);
    // An empty variable takes the file's back.
    assert_eq!(
        home.read(&[("CORACLE_TRANSFERS_MAX", "")])
            .unwrap()
            .transfers_max,
        2
    );
}

#[test]
fn mistakes_in_the_file_have_their_line() {
    let home = Home::new();
    home.write(
        "coracle.env",
        0o644,
        "CORACLE_MINERS=f01000\nnonsense\nCORACLE_HOME=/elsewhere\nCORACLE_TRANSFER_MAX=3\n\
         MINER_API_INFO=http://127.0.0.1:2345\n",
    );
    assert_eq!(
        home.errors(&[("FULLNODE_API_INFO", TOKEN)]),
        [
            "HOME/coracle.env line 2: has no =",
            "HOME/coracle.env line 3: CORACLE_HOME is what this file is found by: \
             set it in the environment",
            "HOME/coracle.env line 5: MINER_API_INFO is a secret, and others can read this file: \
             chmod 600",
            "CORACLE_TRANSFER_MAX: is no setting; did you mean CORACLE_TRANSFERS_MAX?",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_no_missing_file() {
    let home = Home::new();
    fs::create_dir(home.0.join("coracle.env")).unwrap();
    assert_eq!(home.errors(&LEAST[1..])[0], "HOME/coracle.env: is no file");
    fs::remove_dir(home.0.join("coracle.env")).unwrap();
    home.write("coracle.env", 0o600, &"#".repeat(70_000));
    assert_eq!(
        home.errors(&LEAST[1..])[0],
        "HOME/coracle.env: is larger than 65536 bytes"
    );
    fs::write(home.0.join("coracle.env"), [0xff, 0xfe]).unwrap();
    assert!(home.errors(&LEAST[1..])[0].starts_with("HOME/coracle.env: "));
}

#[test]
fn a_secret_may_come_from_a_private_file() {
    let home = Home::new();
    for mode in [0o600, 0o400] {
        let path = home.write(&format!("token{mode:o}"), mode, &format!("{TOKEN}\n"));
        let mut all = REST.to_vec();
        all.push(("FULLNODE_API_INFO_FILE", &path));
        assert_eq!(home.read(&all).unwrap().fullnode_api_info, TOKEN);
    }
}

#[test]
fn a_secret_file_that_others_can_read_is_refused() {
    let home = Home::new();
    for mode in [0o640, 0o604, 0o644] {
        let path = home.write("token", mode, TOKEN);
        let mut all = REST.to_vec();
        all.push(("FULLNODE_API_INFO_FILE", &path));
        assert_eq!(
            home.errors(&all),
            ["FULLNODE_API_INFO_FILE: others can read HOME/token: chmod 600"]
        );
    }
}

#[test]
fn a_missing_or_empty_secret_file_is_one_error() {
    let home = Home::new();
    let path = text_of(&home.0.join("none"));
    let mut all = REST.to_vec();
    all.push(("FULLNODE_API_INFO_FILE", &path));
    let found = home.errors(&all);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("FULLNODE_API_INFO_FILE: cannot read HOME/none: "),
        "{found:?}"
    );
    home.write("none", 0o600, " \n");
    assert_eq!(
        home.errors(&all),
        ["FULLNODE_API_INFO_FILE: HOME/none is empty"]
    );
}

#[test]
fn a_secret_has_one_source() {
    let home = Home::new();
    let path = home.write("token", 0o600, TOKEN);
    let mut all = REST.to_vec();
    all.extend([
        ("FULLNODE_API_INFO", "http://10.0.0.1:1"),
        ("FULLNODE_API_INFO_FILE", &path),
    ]);
    assert_eq!(
        home.errors(&all),
        ["FULLNODE_API_INFO_FILE: is set beside FULLNODE_API_INFO: keep one of them"]
    );
    // The environment's form wins over the other form in the file.
    home.write(
        "coracle.env",
        0o600,
        &format!("FULLNODE_API_INFO_FILE={path}\n"),
    );
    let mut all = REST.to_vec();
    all.push(("FULLNODE_API_INFO", "http://10.0.0.1:1"));
    assert_eq!(
        home.read(&all).unwrap().fullnode_api_info,
        "http://10.0.0.1:1"
    );
    home.write(
        "coracle.env",
        0o600,
        "FULLNODE_API_INFO=http://10.0.0.1:1\n",
    );
    let mut all = REST.to_vec();
    all.push(("FULLNODE_API_INFO_FILE", &path));
    assert_eq!(home.read(&all).unwrap().fullnode_api_info, TOKEN);
}

#[test]
fn only_secrets_have_a_file_form() {
    let home = Home::new();
    let mut all = LEAST[1..].to_vec();
    all.push(("CORACLE_LISTEN_FILE", "/x"));
    let found = home.errors(&all);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("CORACLE_LISTEN_FILE: is no setting"),
        "{found:?}"
    );
}

#[test]
fn the_report_names_the_line() {
    let home = Home::new();
    home.write(
        "coracle.env",
        0o600,
        "\nCORACLE_MINERS=f01000\nFULLNODE_API_INFO=http://x:1\n",
    );
    let home_text = text_of(&home.0);
    let (rows, _) = report::rows(vars(&[("CORACLE_HOME", &home_text)]));
    let of = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    assert_eq!(of("CORACLE_MINERS").origin, "coracle.env line 2");
    assert_eq!(of("FULLNODE_API_INFO").given.as_deref(), Some("(hidden)"));
}
