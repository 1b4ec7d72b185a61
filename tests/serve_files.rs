//! Files over a real socket: whole, in parts, padded, conditional; and what is held while nobody reads.

#[path = "support/serving.rs"]
mod serving;

use coracle::serve::files::{CHUNK, FileSpec, readers, serve_file};
use serving::Serving;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A file in the folder for temporary files; removed when dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn new(bytes: &[u8]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("coracle-serve-{}-{number}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn spec(&self, len: u64, pad_to: Option<u64>) -> FileSpec {
        FileSpec {
            path: self.0.clone(),
            len,
            etag: Some("\"tag\"".to_owned()),
            content_type: "application/octet-stream",
            pad_to,
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn serve(spec: FileSpec) -> Serving {
    let pool = readers().unwrap();
    Serving::start(move |request| serve_file(&request, spec.clone(), &pool))
}

#[test]
fn a_file_is_served_whole() {
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7] {
        let bytes = data(length);
        let file = Temporary::new(&bytes);
        let serving = serve(file.spec(length as u64, None));
        let answer = serving.get("/", &[]);
        assert_eq!(answer.status, 200);
        assert!(answer.body == bytes, "{length}");
        assert_eq!(
            answer.header("content-length"),
            Some(length.to_string().as_str())
        );
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("etag"), Some("\"tag\""));
        assert_eq!(
            answer.header("content-type"),
            Some("application/octet-stream")
        );
        assert_eq!(answer.header("transfer-encoding"), None);
        let head = serving.ask("HEAD", "/", &[("Range", "bytes=0-0")]);
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(
            head.header("content-length"),
            Some(length.to_string().as_str())
        );
    }
}

#[test]
fn zeros_follow_up_to_the_padded_size() {
    let bytes = data(CHUNK + 100);
    let file = Temporary::new(&bytes);
    let total = 3 * CHUNK + 5;
    let serving = serve(file.spec(bytes.len() as u64, Some(total as u64)));
    let mut expected = bytes.clone();
    expected.resize(total, 0);
    let answer = serving.get("/", &[]);
    assert!(answer.status == 200 && answer.body == expected);
    // Ranges before, across and behind the end of the file.
    for (first, last) in [
        (0, 0),
        (5, CHUNK),
        (CHUNK + 99, CHUNK + 99),
        (CHUNK + 90, CHUNK + 110),
        (CHUNK + 100, total - 1),
        (total - 1, total - 1),
    ] {
        let answer = serving.get("/", &[("Range", &format!("bytes={first}-{last}"))]);
        assert_eq!(answer.status, 206);
        assert_eq!(
            answer.header("content-range"),
            Some(format!("bytes {first}-{last}/{total}").as_str())
        );
        assert!(answer.body == expected[first..=last], "{first}-{last}");
    }
    let answer = serving.get("/", &[("Range", &format!("bytes={total}-"))]);
    assert_eq!(answer.status, 416);
    assert_eq!(
        answer.header("content-range"),
        Some(format!("bytes */{total}").as_str())
    );
}

#[test]
fn a_shorter_size_leaves_the_end_out() {
    let bytes = data(1000);
    let file = Temporary::new(&bytes);
    assert_eq!(
        serve(file.spec(600, None)).get("/", &[]).body,
        &bytes[..600]
    );
    assert_eq!(
        serve(file.spec(1000, Some(600))).get("/", &[]).body,
        &bytes[..600]
    );
}

#[test]
fn ranges_over_a_socket() {
    let bytes = data(1000);
    let file = Temporary::new(&bytes);
    let serving = serve(file.spec(1000, None));
    for (range, status, part) in [
        ("bytes=0-99", 206, 0..100),
        ("bytes=900-", 206, 900..1000),
        ("bytes=-10", 206, 990..1000),
        ("bytes=990-2000", 206, 990..1000),
        ("bytes=0-1,5-9", 200, 0..1000),
        ("bytes=9-1", 200, 0..1000),
        ("items=0-1", 200, 0..1000),
    ] {
        let answer = serving.get("/", &[("Range", range)]);
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.body, &bytes[part], "{range}");
    }
    assert_eq!(serving.get("/", &[("Range", "bytes=1000-")]).status, 416);
}

#[test]
fn conditions_over_a_socket() {
    let bytes = data(1000);
    let file = Temporary::new(&bytes);
    let serving = serve(file.spec(1000, None));
    let unchanged = serving.get("/", &[("If-None-Match", "\"tag\"")]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("etag"), Some("\"tag\""));
    assert_eq!(
        serving.get("/", &[("If-None-Match", "\"other\"")]).status,
        200
    );
    let range = ("Range", "bytes=5-9");
    assert_eq!(
        serving.get("/", &[range, ("If-Range", "\"tag\"")]).status,
        206
    );
    assert_eq!(
        serving
            .get("/", &[range, ("If-Range", "\"other\"")])
            .body
            .len(),
        1000
    );
    let posted = serving.ask("POST", "/", &[]);
    assert_eq!(posted.status, 405);
    assert_eq!(posted.header("allow"), Some("GET, HEAD"));
}

#[test]
fn a_file_that_is_gone_or_too_short_says_so() {
    let file = Temporary::new(&data(100));
    let mut missing = file.spec(100, None);
    missing.path.set_extension("gone");
    assert_eq!(serve(missing).get("/", &[]).status, 404);
    assert_eq!(serve(file.spec(101, None)).get("/", &[]).status, 503);
    let mut folder = file.spec(0, None);
    folder.path.pop();
    assert_eq!(serve(folder).get("/", &[]).status, 503);
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_the_connection() {
    let length = 64 * CHUNK;
    let file = Temporary::new(&data(length));
    let serving = serve(file.spec(length as u64, None));
    let mut stream = serving.begin("GET", "/", &[]);
    stream.read_exact(&mut [0; 1000]).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&file.0)
        .unwrap()
        .set_len(10)
        .unwrap();
    let mut rest = Vec::new();
    // Whether it ends cleanly or by a reset: it ends early, so no client takes it for the whole.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() + 1000 < length, "{}", rest.len());
}

#[test]
fn many_at_once_get_their_own_bytes() {
    let bytes = data(20 * CHUNK);
    let file = Temporary::new(&bytes);
    let serving = serve(file.spec(bytes.len() as u64, None));
    std::thread::scope(|scope| {
        for worker in 0..16 {
            let (serving, bytes) = (&serving, &bytes);
            scope.spawn(move || {
                let first = worker * CHUNK + worker;
                let answer = serving.get("/", &[("Range", &format!("bytes={first}-"))]);
                assert!(answer.body == bytes[first..], "{worker}");
            });
        }
    });
}

/// The position of every open descriptor of this process on this file does not matter (reads name their offset), but
/// their number does: it says whether a request still holds the file.
fn open_descriptors(path: &std::path::Path) -> usize {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target == path)
        .count()
}

#[test]
fn a_client_that_does_not_read_holds_the_read_back_and_frees_all_when_gone() {
    // Larger than what sockets and buffers take.
    let length = 64 << 20;
    let file = Temporary::new(&[]);
    std::fs::OpenOptions::new()
        .write(true)
        .open(&file.0)
        .unwrap()
        .set_len(length)
        .unwrap();
    let pool = readers().unwrap();
    let spec = file.spec(length, None);
    let serving = Serving::start(move |request| serve_file(&request, spec.clone(), &pool));
    let mut stream = serving.begin("GET", "/", &[]);
    stream.read_exact(&mut [0; 1000]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(open_descriptors(&file.0), 1);
    drop(stream);
    let begun = Instant::now();
    while open_descriptors(&file.0) > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the file is still open"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
