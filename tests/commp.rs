//! `coracle commp` on the real binary.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A file of its own for each test, gone afterwards.
struct Payload(PathBuf);

impl Payload {
    fn new(name: &str, content: &[u8]) -> Self {
        let path =
            std::env::temp_dir().join(format!("coracle-commp-{name}-{}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn coracle() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.stdin(Stdio::null());
    command
}

fn object(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    assert!(
        output.stderr.is_empty(),
        "no progress on a pipe: {output:?}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn golden_vectors() {
    // Payload, piece size, piece CID, piece CID v2 (spec index 2.5, vectors 1, 2, 4, 5 and 11).
    let rows = [
        (
            vec![0; 127],
            128,
            "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
            "bafkzcibcaabdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
        ),
        (
            vec![0; 128],
            256,
            "baga6ea4seaqgiktap34inmaex4wbs6cghlq5i2j2yd2bb2zndn5ep7ralzphkdy",
            "bafkzcibcpybwiktap34inmaex4wbs6cghlq5i2j2yd2bb2zndn5ep7ralzphkdy",
        ),
        (
            vec![0xcc; 1017],
            2048,
            "baga6ea4seaqf3n5ob5qonkwnxfcbjzftsagbnrjfzualqvzhcylz46b7sgz6wmi",
            "bafkzcibd64dqmxnxvyhwbzvkzw4uifhewoiayfwfexgqbocxe4lbphtyh6i3h2zr",
        ),
        (
            (0..4).flat_map(|byte| [byte; 127]).collect(),
            512,
            "baga6ea4seaqes3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi",
            "bafkzcibcaaces3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi",
        ),
        (
            (0..=255).cycle().take(1000).collect(),
            1024,
            "baga6ea4seaqjkoh4cjw2k3gkvmluved57mca6x6dw6p4onbdyvlzefcuzzih4ky",
            "bafkzcibccaczkoh4cjw2k3gkvmluved57mca6x6dw6p4onbdyvlzefcuzzih4ky",
        ),
    ];
    for (number, (payload, piece_size, cid, v2)) in rows.into_iter().enumerate() {
        let file = Payload::new(&format!("golden-{number}"), &payload);
        let output = coracle()
            .args(["commp", "--json"])
            .arg(&file.0)
            .output()
            .unwrap();
        let want = json!({
            "piece_cid": cid,
            "piece_size": piece_size,
            "payload_size": payload.len(),
            "piece_cid_v2": v2,
        });
        assert_eq!(object(&output), want);
    }
}

#[test]
fn standard_input_gives_the_same() {
    let payload: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = Payload::new("stdin", &payload);
    let from_file = coracle()
        .args(["commp", "--json"])
        .arg(&file.0)
        .output()
        .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
        .args(["commp", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&payload).unwrap();
    let from_pipe = child.wait_with_output().unwrap();
    assert_eq!(object(&from_pipe), object(&from_file));
    assert_eq!(object(&from_file)["piece_size"], 1 << 20);
}

#[test]
fn people_get_lines() {
    let file = Payload::new("lines", &[0; 127]);
    let output = coracle().arg("commp").arg(&file.0).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let cid = "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy";
    assert_eq!(lines[0], format!("piece CID     {cid}"));
    assert_eq!(lines[1], "piece size    128 (128 B)");
    assert_eq!(lines.len(), 4);
}

#[test]
fn failures_have_their_exit_codes() {
    let code = |args: &[&str]| coracle().args(args).output().unwrap().status.code();
    assert_eq!(code(&["commp"]), Some(2));
    assert_eq!(code(&["commp", "a", "b"]), Some(2));
    assert_eq!(code(&["commp", "--jsn", "a"]), Some(2));
    assert_eq!(code(&["commp", "/does/not/exist"]), Some(1));
    assert_eq!(code(&["commp", "/"]), Some(1));
    let output = coracle()
        .args(["commp", "/does/not/exist"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("/does/not/exist"), "{text}");
}

#[test]
fn every_kernel_and_number_of_threads_gives_the_same() {
    // Two subtrees of 8 MiB and a bit; slow kernels get less in a debug build.
    let content: Vec<u8> = (0..17_000_000_u64)
        .map(|at| u8::try_from(at * at % 251).unwrap())
        .collect();
    let large = Payload::new("threads", &content);
    let small = Payload::new("kernels", &content[..300_000]);
    let commit = |payload: &Payload, options: &[&str]| {
        let mut command = coracle();
        command.arg("commp").args(options);
        command.args(["--json", "--verbose"]).arg(&payload.0);
        object(&command.output().unwrap())
    };
    let one = commit(&large, &["--threads", "1"]);
    assert_eq!(one["threads"], 1);
    assert_eq!(one["payload_size"], 17_000_000);
    let three = commit(&large, &["--threads", "3"]);
    assert_eq!(three["threads"], 3);
    assert_eq!(three["piece_cid_v2"], one["piece_cid_v2"]);
    let any = commit(&small, &[]);
    for kernel in ["portable", "reference"] {
        let forced = commit(&small, &["--kernel", kernel]);
        assert_eq!(forced["kernel"], kernel);
        assert_eq!(forced["piece_cid_v2"], any["piece_cid_v2"]);
    }
    for wrong in [["--threads", "0"], ["--threads", "65"], ["--kernel", "md5"]] {
        let output = coracle().arg("commp").args(wrong).arg(&small.0).output();
        assert_eq!(output.unwrap().status.code(), Some(2), "{wrong:?}");
    }
}
