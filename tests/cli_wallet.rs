//! `coracle wallet`, driven through the real binary.

use coracle::filecoin::{Address, SecretKey, Signature};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The key of the worked message vector (spec chain-sealer-rpc C.4), as Lotus exports it.
const JSON: &str =
    r#"{"Type":"secp256k1","PrivateKey":"+wbuRzADvJ4M5TIUf6qekgtQSGUaZBQAkouTwQWYw1Q="}"#;
const ADDRESS: &str = "f12wzstyzpkedw3c5s2ekp5xmvjptzrlvh7nq6drq";

struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let name = format!("coracle-cli-wallet-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .arg("wallet")
            .args(args)
            .env_clear()
            .env("CORACLE_HOME", &self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that does not read its input may be gone already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    /// The one line that a successful command prints.
    fn line(&self, args: &[&str], input: &str) -> String {
        let output = self.run_with(args, input);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", err(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        text.strip_suffix('\n').expect("a line").to_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    text
}

#[test]
fn new_keys_of_both_kinds_are_listed() {
    let home = Home::new("new");
    assert!(home.run(&["list"]).stdout.is_empty());
    let secp = home.line(&["new"], "");
    let bls = home.line(&["new", "bls"], "");
    let other = home.line(&["new", "secp256k1", "--json"], "");
    assert!(secp.starts_with("f1") && bls.starts_with("f3"));
    assert!(other.starts_with("{\"address\":\"f1") && !other.contains(&secp));
    let listed = home.line(&["list"], "");
    assert_eq!(listed.lines().count(), 3);
    assert!(listed.contains(&secp) && listed.contains(&bls));
    let listed = home.line(&["list", "--json"], "");
    assert!(listed.contains(&other) && listed.contains(&bls));
    let keystore = std::fs::metadata(home.0.join("keystore")).expect("there");
    assert_eq!(keystore.permissions().mode() & 0o777, 0o700);
}

#[test]
fn import_and_export_in_the_form_of_lotus() {
    let home = Home::new("import");
    let export = hex(JSON.as_bytes());
    assert_eq!(home.line(&["import"], &format!("{export}\n")), ADDRESS);
    assert_eq!(home.line(&["export", ADDRESS], ""), export);
    assert_eq!(
        home.line(&["export", &ADDRESS.replacen('f', "t", 1)], ""),
        export
    );
    // Again, as JSON and from a file: the same key.
    let again = home.run_with(&["import", "-", "--json"], JSON);
    assert_eq!(
        again.stdout,
        format!("{{\"address\":\"{ADDRESS}\"}}\n").into_bytes()
    );
    assert!(err(&again).contains("already here"));
    let file = home.0.join("export");
    std::fs::write(&file, JSON).expect("written");
    let file = file.to_str().expect("text");
    assert_eq!(
        home.line(&["import", file, "--format", "json-lotus"], ""),
        ADDRESS
    );
    assert_eq!(
        home.run(&["import", file, "--format", "hex-lotus"])
            .status
            .code(),
        Some(1)
    );
    assert_eq!(home.line(&["list"], ""), ADDRESS);
}

#[test]
fn signatures_verify() {
    let home = Home::new("sign");
    home.line(&["import"], JSON);
    let bls = home.line(&["new", "bls"], "");
    for address in [ADDRESS, &bls] {
        let printed = home.line(&["sign", address, "0x00ff"], "");
        let bytes: Vec<u8> = (0..printed.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&printed[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        let signature = Signature::from_bytes(&bytes).expect("a signature");
        let key: Address = address.parse().expect("an address");
        assert!(signature.verify(&key, &[0, 255]), "{address}");
    }
    let key = SecretKey::import_json(JSON).expect("a key");
    assert_eq!(
        home.line(&["sign", ADDRESS, ""], ""),
        hex(&key.sign(&[]).to_bytes())
    );
    let json = home.line(&["sign", ADDRESS, "00", "--json"], "");
    assert!(json.contains("\"Type\":1"), "{json}");
}

#[test]
fn failures_and_their_codes() {
    let home = Home::new("failures");
    home.line(&["import"], JSON);
    let other = "f1h3fn4s2xj6efh4igov4hhxxidnnts2hmygyrc7y";
    let cases: [(&[&str], i32, &str); 12] = [
        (&[], 2, "which wallet command"),
        (&["frob"], 2, "unknown wallet command \"frob\""),
        (&["new", "ed25519"], 2, "unknown kind of key"),
        (&["new", "bls", "x"], 2, "unexpected argument x"),
        (&["list", "--frob"], 2, "unexpected option --frob"),
        (&["import", "/nonexistent"], 1, "/nonexistent: "),
        (&["import", "-"], 1, "not a secret key"),
        (&["import", "--format", "pem"], 2, "unknown format"),
        (&["export"], 2, "missing argument"),
        (&["export", other], 1, "no key of f1h3"),
        (&["export", "f1h3"], 2, "f1h3: "),
        (&["sign", ADDRESS, "0g"], 2, "not hexadecimal"),
    ];
    for (args, code, text) in cases {
        let output = home.run(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            err(&output)
        );
        assert!(err(&output).contains(text), "{args:?}: {}", err(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    let file = home.0.join("keystore").join(format!("{ADDRESS}.json"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("ours");
    let output = home.run(&["sign", ADDRESS, "00"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("chmod go= "), "{}", err(&output));
    assert!(!err(&output).contains("+wbu"));
}
