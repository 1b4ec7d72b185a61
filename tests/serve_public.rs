//! The public side: pieces under both forms of their CID, hand-overs under their token, and nothing else.

#[path = "support/serving.rs"]
mod serving;
#[path = "support/transfer.rs"]
mod transfer;

use coracle::filecoin::cids::{piece_cid, piece_cid_v2};
use coracle::serve::files::readers;
use coracle::serve::public::{Kept, PieceLookup, Public, TokenLookup};
use serving::{Answer, Serving};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use transfer::{Place, car, commitment};

/// One piece, which is handed over under one token.
struct One {
    root: [u8; 32],
    kept: Kept,
}

impl PieceLookup for One {
    fn find(&self, commitment: &[u8; 32]) -> Option<Kept> {
        (*commitment == self.root).then(|| self.kept.clone())
    }
}

impl TokenLookup for One {
    fn padded(&self, token: &str) -> Option<Kept> {
        (token == "9f6b6a0e4c1b4f0c").then(|| self.kept.clone())
    }
}

struct Provider {
    serving: Serving,
    data: Vec<u8>,
    root: [u8; 32],
    padded: u64,
    // Removes the file at the end.
    _place: Place,
}

fn provider(data: Vec<u8>, is_car: bool, limit: usize) -> Provider {
    let place = Place::new();
    std::fs::write(place.file(), &data).unwrap();
    let piece = commitment(&data);
    let one = Arc::new(One {
        root: piece.root,
        kept: Kept {
            path: place.file(),
            payload_size: data.len() as u64,
            padded_size: piece.padded_size,
            is_car,
        },
    });
    let public = Public::new(one.clone(), one, readers().unwrap()).with_limit(limit);
    Provider {
        serving: Serving::start(move |request| public.answer(&request)),
        data,
        root: piece.root,
        padded: piece.padded_size,
        _place: place,
    }
}

impl Provider {
    fn v1(&self) -> String {
        piece_cid(&self.root).to_string()
    }

    /// The second form for this many bytes of payload.
    fn v2(&self, payload: u64) -> String {
        piece_cid_v2(&self.root, self.padded, payload)
            .unwrap()
            .to_string()
    }

    fn piece(&self, cid: &str, headers: &[(&str, &str)]) -> Answer {
        self.serving.get(&format!("/piece/{cid}"), headers)
    }
}

#[test]
fn a_piece_is_served_under_both_forms_of_its_cid() {
    let provider = provider(car(200_000), true, 8);
    for cid in [provider.v1(), provider.v2(provider.data.len() as u64)] {
        let answer = provider.piece(&cid, &[]);
        assert_eq!(answer.status, 200, "{cid}");
        assert!(answer.body == provider.data);
        for (name, value) in [
            ("content-type", "application/vnd.ipld.car; version=1"),
            ("etag", &format!("\"{cid}\"")),
            ("cache-control", "public, max-age=29030400, immutable"),
            ("vary", "Accept-Encoding"),
            ("accept-ranges", "bytes"),
            ("access-control-allow-origin", "*"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        let part = provider.piece(&cid, &[("Range", "bytes=100-299")]);
        assert_eq!(
            (part.status, &part.body[..]),
            (206, &provider.data[100..300])
        );
        let none = provider.piece(&cid, &[("If-None-Match", &format!("\"{cid}\""))]);
        assert_eq!(none.status, 304);
        assert_eq!(
            none.header("cache-control"),
            Some("public, max-age=29030400, immutable")
        );
        let head = provider
            .serving
            .ask("HEAD", &format!("/piece/{cid}?x=y"), &[]);
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(
            head.header("content-length"),
            Some(provider.data.len().to_string().as_str())
        );
    }
    let behind = provider.piece(&provider.v1(), &[("Range", "bytes=99999999-")]);
    assert_eq!(behind.status, 416);
    assert_eq!(
        behind.header("content-range"),
        Some(format!("bytes */{}", provider.data.len()).as_str())
    );
    assert_eq!(behind.header("cache-control"), None);
}

#[test]
fn bytes_that_are_no_car_are_called_so() {
    let provider = provider(vec![7; 5000], false, 8);
    let answer = provider.piece(&provider.v1(), &[]);
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(answer.body, provider.data);
}

#[test]
fn the_second_form_names_the_payload() {
    let provider = provider(car(100_000), true, 8);
    let length = provider.data.len() as u64;
    // With zeros behind it, the same tree is the piece of a longer payload.
    let longer = provider.piece(&provider.v2(length + 100), &[]);
    assert_eq!(longer.status, 200);
    assert_eq!(longer.body[..provider.data.len()], provider.data[..]);
    assert!(longer.body[provider.data.len()..] == [0; 100]);
    // A shorter one would not be this piece.
    assert_eq!(provider.piece(&provider.v2(length - 100), &[]).status, 404);
}

#[test]
fn what_is_no_piece_cid_is_a_bad_request_and_others_are_not_found() {
    let provider = provider(car(1000), true, 8);
    let long = "b".repeat(500);
    for cid in [
        "",
        "x",
        "bafkqaaa",
        "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n",
        "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
        "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy/x",
        "%62aga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
        "../../etc/passwd",
        &long,
    ] {
        let answer = provider.piece(cid, &[]);
        assert_eq!(answer.status, 400, "{cid}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    // Vector 1 of the specification, in both forms: a piece, and not here.
    for cid in [
        "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
        "bafkzcibcaabdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy",
    ] {
        assert_eq!(provider.piece(cid, &[]).status, 404, "{cid}");
    }
}

#[test]
fn other_methods_and_paths_are_answered_quickly() {
    let provider = provider(car(1000), true, 8);
    let cid = provider.v1();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        for path in [
            format!("/piece/{cid}"),
            "/".to_owned(),
            "/padded/9f6b6a0e4c1b4f0c".to_owned(),
        ] {
            let answer = provider.serving.ask(method, &path, &[]);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
    }
    for path in [
        "/x",
        "/piece",
        "/pieces/x",
        "/padded",
        "/padded/",
        "/padded/a/b",
        "/.well-known/libp2p/protocols",
        "//",
    ] {
        assert_eq!(provider.serving.get(path, &[]).status, 404, "{path}");
    }
    let root = provider.serving.get("/", &[]);
    assert_eq!(root.status, 200);
    assert!(root.body.starts_with(b"coracle "));
}

#[test]
fn a_hand_over_has_exactly_the_unpadded_size() {
    let provider = provider(car(100_000), true, 8);
    let path = "/padded/9f6b6a0e4c1b4f0c";
    let answer = provider.serving.get(path, &[]);
    assert_eq!(answer.status, 200);
    let unpadded = provider.padded / 128 * 127;
    assert_eq!(answer.body.len() as u64, unpadded);
    assert_eq!(
        answer.header("content-length"),
        Some(unpadded.to_string().as_str())
    );
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert!(answer.body.starts_with(&provider.data));
    assert!(
        answer.body[provider.data.len()..]
            .iter()
            .all(|&byte| byte == 0)
    );
    // What the sealer gets has the commitment of the piece.
    assert_eq!(commitment(&answer.body).root, provider.root);
    assert_eq!(
        provider.serving.get("/padded/9f6b6a0e4c1b4f0d", &[]).status,
        404
    );
    assert_eq!(
        provider
            .serving
            .get(&format!("/padded/{}", "9".repeat(200)), &[])
            .status,
        404
    );
}

#[test]
fn requests_beyond_the_limit_are_told_to_wait() {
    // A piece that no socket buffer takes whole: the request stays open while nobody reads.
    let mut data = car(1000);
    data.resize(48 << 20, 0);
    let place = Place::new();
    std::fs::write(place.file(), &data).unwrap();
    let (root, kept) = ([9; 32], |path: PathBuf| Kept {
        path,
        payload_size: 48 << 20,
        padded_size: 64 << 20,
        is_car: true,
    });
    let one = Arc::new(One {
        root,
        kept: kept(place.file()),
    });
    let public = Public::new(one.clone(), one, readers().unwrap()).with_limit(2);
    let serving = Serving::start(move |request| public.answer(&request));
    let path = format!("/piece/{}", piece_cid(&root));
    let mut open: Vec<_> = (0..2).map(|_| serving.begin("GET", &path, &[])).collect();
    for stream in &mut open {
        stream.read_exact(&mut [0; 100]).unwrap();
    }
    let refused = serving.get(&path, &[]);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("5"));
    // Hand-overs do not wait behind the public.
    let sealer = serving.ask("HEAD", "/padded/9f6b6a0e4c1b4f0c", &[]);
    assert_eq!(sealer.status, 200);
    drop(open.pop());
    let begun = Instant::now();
    while serving.ask("HEAD", &path, &[]).status != 200 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the place was not given back"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn our_own_transfer_can_fetch_it() {
    let provider = provider(car(500_000), true, 8);
    let place = Place::new();
    let url = provider.serving.url(&format!("/piece/{}", provider.v1()));
    let finished = place.run(&url, provider.data.len()).unwrap();
    assert_eq!(finished.commitment.root, provider.root);
    assert_eq!(
        place.last_save().validator,
        Some(format!("\"{}\"", provider.v1()))
    );
}
