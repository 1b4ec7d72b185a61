//! Downloads that are cut, restarted and lied to: what comes out is the whole file or an honest failure, and no byte is
//! hashed twice after a save point.

#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/transfer.rs"]
mod transfer;

use coracle::transfer::{Failure, FetchLimits, SavePoint};
use http_server::{Serve, Server, Step};
use std::time::Duration;
use transfer::{Place, again, car, commitment, limits};

#[test]
fn a_file_is_fetched_with_one_get() {
    let data = car(300_000);
    let server = Server::file(&data);
    let place = Place::new();
    let finished = place.run(&server.url("/a.car?x=1"), data.len()).unwrap();
    assert_eq!(finished.bytes, data.len() as u64);
    assert_eq!(finished.commitment, commitment(&data));
    assert!(finished.car_blocks > 1);
    assert_eq!(place.staged(), data);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].method.as_str(), requests[0].target.as_str()),
        ("GET", "/a.car?x=1")
    );
    assert_eq!(requests[0].header("range"), None);
    assert_eq!(requests[0].header("accept-encoding"), Some("identity"));
    assert_eq!(place.last_save().offset, data.len() as u64);
}

/// Offsets around everything that has a size on the way: quads, nodes, buffers, sections.
fn interesting(length: usize) -> Vec<usize> {
    let mut offsets = vec![
        0, 1, 58, 59, 60, 126, 127, 128, 254, 4095, 4096, 16_384, 65_535, 65_536, 65_537,
    ];
    offsets.extend([length / 2, length - 1]);
    offsets
}

#[test]
fn a_cut_at_every_offset_is_resumed_there() {
    let data = car(200_000);
    let expected = commitment(&data);
    for cut in interesting(data.len()) {
        for reset in [false, true] {
            let mut serve = Serve::new(&data);
            serve.cut_after = Some(cut);
            serve.reset = reset;
            let server = Server::start(vec![Step::File(serve), Step::File(Serve::new(&data))]);
            let place = Place::new();
            let url = server.url("/");
            let failure = place.run(&url, data.len()).unwrap_err();
            let (reason, progress) = again(&failure);
            assert!(
                reason.contains(&format!(
                    "after {} of {} bytes",
                    place.last_save().offset,
                    data.len()
                )),
                "{reason}"
            );
            assert_eq!(progress, place.last_save().offset > 0);
            if !reset {
                assert_eq!(place.last_save().offset, cut as u64);
            }
            let resumed_at = place.last_save().offset;
            let finished = place.run(&url, data.len()).unwrap();
            assert_eq!(finished.commitment, expected, "cut at {cut}");
            assert_eq!(place.staged(), data);
            let requests = server.requests();
            assert_eq!(requests.len(), 2);
            if resumed_at > 0 {
                assert_eq!(
                    requests[1].range(),
                    Some(usize::try_from(resumed_at).unwrap())
                );
                assert_eq!(requests[1].header("if-range"), Some("\"v1\""));
            } else {
                assert_eq!(requests[1].header("range"), None);
            }
        }
    }
}

#[test]
fn the_whole_file_instead_of_the_rest_begins_again() {
    let data = car(200_000);
    let mut cut = Serve::new(&data);
    cut.cut_after = Some(100_000);
    let mut whole = Serve::new(&data);
    whole.ignore_range = true;
    let server = Server::start(vec![Step::File(cut), Step::File(whole)]);
    let place = Place::new();
    assert!(place.run(&server.url("/"), data.len()).is_err());
    let finished = place.run(&server.url("/"), data.len()).unwrap();
    assert_eq!(finished.commitment, commitment(&data));
    assert_eq!(place.staged(), data);
    assert_eq!(server.requests().len(), 2);
    // The point at byte 100,000 was taken back before its bytes went.
    assert!(place.saves().contains(&SavePoint::default()));
}

#[test]
fn a_changed_file_begins_again() {
    let old = car(200_000);
    let new = transfer::car_of(200_000, 7);
    assert_eq!(old.len(), new.len());
    let mut cut = Serve::new(&old);
    cut.cut_after = Some(100_000);
    let mut changed = Serve::new(&new);
    changed.etag = Some("\"v2\"".to_owned());
    let server = Server::start(vec![Step::File(cut), Step::File(changed)]);
    let place = Place::new();
    assert!(place.run(&server.url("/"), old.len()).is_err());
    let finished = place.run(&server.url("/"), new.len()).unwrap();
    assert_eq!(finished.commitment, commitment(&new));
    assert_eq!(place.staged(), new);
    assert_eq!(place.last_save().validator.as_deref(), Some("\"v2\""));
}

/// A server that answers 206 with this head to ranges, and with the file otherwise.
fn lying(data: &[u8], head: String) -> Step {
    let (file, rest) = (Serve::new(data), data[100_000..].to_vec());
    Step::With(std::sync::Arc::new(move |request| {
        if request.range().is_none() {
            return Step::File(file.clone());
        }
        let mut answer = format!(
            "HTTP/1.1 206 x\r\nContent-Length: {}\r\n{head}\r\n",
            rest.len()
        )
        .into_bytes();
        answer.extend_from_slice(&rest);
        Step::Raw(answer)
    }))
}

#[test]
fn a_wrong_part_is_never_appended() {
    let data = car(200_000);
    let length = data.len();
    for head in [
        format!("Content-Range: bytes 0-{}/{length}\r\n", length - 1),
        format!("Content-Range: bytes 99999-{}/{length}\r\n", length - 1),
        "Content-Range: lines 1-2/3\r\n".to_owned(),
        String::new(),
        format!(
            "Content-Range: bytes 100000-{}/{length}\r\nETag: \"v2\"\r\n",
            length - 1
        ),
    ] {
        let mut cut = Serve::new(&data);
        cut.cut_after = Some(100_000);
        let server = Server::start(vec![Step::File(cut), lying(&data, head.clone())]);
        let place = Place::new();
        assert!(place.run(&server.url("/"), length).is_err());
        let finished = place.run(&server.url("/"), length).unwrap();
        assert_eq!(finished.commitment, commitment(&data), "{head}");
        assert_eq!(server.requests().len(), 3, "{head}");
    }
}

#[test]
fn a_server_that_refuses_every_form_is_left_alone() {
    let data = car(200_000);
    let mut cut = Serve::new(&data);
    cut.cut_after = Some(100_000);
    let part = b"HTTP/1.1 206 x\r\nContent-Length: 3\r\n\r\nabc".to_vec();
    let server = Server::start(vec![Step::File(cut), Step::Raw(part)]);
    let place = Place::new();
    assert!(place.run(&server.url("/"), data.len()).is_err());
    let failure = place.run(&server.url("/"), data.len()).unwrap_err();
    assert!(
        again(&failure).0.contains("without saying which"),
        "{failure}"
    );
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_range_past_the_end_is_judged_by_the_declared_size() {
    let data = car(200_000);
    let shorter = &data[..100_000];
    let mut cut = Serve::new(&data);
    cut.cut_after = Some(150_000);
    let server = Server::start(vec![
        Step::File(cut),
        Step::File(Serve {
            etag: Some("\"v1\"".into()),
            ..Serve::new(shorter)
        }),
    ]);
    let place = Place::new();
    assert!(place.run(&server.url("/"), data.len()).is_err());
    let failure = place.run(&server.url("/"), data.len()).unwrap_err();
    assert_eq!(
        failure,
        Failure::Fatal {
            reason: format!(
                "the server's file has 100000 bytes, the deal declares {}",
                data.len()
            )
        }
    );
}

#[test]
fn a_kill_between_save_points_costs_the_bytes_since_the_last_one() {
    let data = car(400_000);
    let expected = commitment(&data);
    let server = Server::start(vec![
        Step::File(Serve {
            cut_after: Some(300_000),
            ..Serve::new(&data)
        }),
        Step::File(Serve::new(&data)),
    ]);
    let place = Place::with(FetchLimits {
        save_every_bytes: 50_000,
        ..limits()
    });
    let _ = place.run(&server.url("/"), data.len());
    let saves = place.saves();
    assert!(saves.len() >= 4, "{}", saves.len());
    assert!(saves.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    let disk = (place.staged(), place.spooled());
    for save in saves {
        // What a kill leaves: the files as they were at any later moment, and an earlier point.
        place.restore(&disk.0, &disk.1, &save);
        let server = Server::file(&data);
        let finished = place.run(&server.url("/"), data.len()).unwrap();
        assert_eq!(finished.commitment, expected);
        assert_eq!(place.staged(), data);
        assert_eq!(
            server.requests()[0].range(),
            Some(usize::try_from(save.offset).unwrap())
        );
        assert_eq!(place.spooled(), transfer::spool_of(&data));
    }
}

/// What happened to a save point and its files.
type Damage = fn(&Place, &mut SavePoint);

#[test]
fn a_save_point_that_the_disk_does_not_back_begins_at_zero() {
    let data = car(200_000);
    let cut = || {
        Server::start(vec![Step::File(Serve {
            cut_after: Some(150_000),
            ..Serve::new(&data)
        })])
    };
    let damages: [(&str, Damage); 7] = [
        ("staging file gone", |place, _| {
            std::fs::remove_file(place.file()).unwrap();
        }),
        ("staging file shorter", |place, save| {
            place.truncate_file(save.offset - 1);
        }),
        ("spool gone", |place, _| {
            std::fs::remove_file(place.spool()).unwrap();
        }),
        ("spool shorter", |place, save| {
            place.truncate_spool(save.spool_len - 1);
        }),
        ("hasher unreadable", |_, save| save.hasher.truncate(3)),
        ("walker unreadable", |_, save| save.walker.clear()),
        ("beyond the declared size", |_, save| save.offset = 1 << 40),
    ];
    for (what, damage) in damages {
        let place = Place::new();
        assert!(place.run(&cut().url("/"), data.len()).is_err());
        let mut save = place.last_save();
        damage(&place, &mut save);
        place.set_save(save);
        let before = place.saves().len();
        let server = Server::file(&data);
        let finished = place.run(&server.url("/"), data.len()).unwrap();
        assert_eq!(finished.commitment, commitment(&data), "{what}");
        assert_eq!(place.staged(), data, "{what}");
        assert_eq!(server.requests()[0].header("range"), None, "{what}");
        // The point was taken back before the files were emptied.
        assert_eq!(place.saves()[before], SavePoint::default(), "{what}");
    }
}

#[test]
fn a_finished_file_needs_no_request() {
    let data = car(100_000);
    let place = Place::new();
    place
        .run(&Server::file(&data).url("/"), data.len())
        .unwrap();
    let server = Server::file(&data);
    let finished = place.run(&server.url("/"), data.len()).unwrap();
    assert_eq!(finished.commitment, commitment(&data));
    assert!(server.requests().is_empty());
}

#[test]
fn chunked_bodies_are_read_and_resumed() {
    let data = car(200_000);
    let chunked = |cut| {
        Step::File(Serve {
            chunked: Some(1000),
            cut_after: cut,
            ..Serve::new(&data)
        })
    };
    let server = Server::start(vec![chunked(Some(99_000)), chunked(None)]);
    let place = Place::new();
    let failure = place.run(&server.url("/"), data.len()).unwrap_err();
    assert!(again(&failure).1);
    assert_eq!(place.last_save().offset, 99_000);
    let finished = place.run(&server.url("/"), data.len()).unwrap();
    assert_eq!(finished.commitment, commitment(&data));
    assert_eq!(server.requests()[1].range(), Some(99_000));
}

#[test]
fn time_makes_save_points_too() {
    let data = car(200_000);
    let server = Server::start(vec![Step::File(Serve {
        pause: Duration::from_millis(20),
        ..Serve::new(&data)
    })]);
    let place = Place::with(FetchLimits {
        save_every: Duration::from_millis(50),
        ..limits()
    });
    place.run(&server.url("/"), data.len()).unwrap();
    assert!(place.saves().len() >= 3, "{}", place.saves().len());
}
