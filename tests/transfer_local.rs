//! A file that is there already: the same pass, read where it is.

#[path = "support/transfer.rs"]
mod transfer;

use coracle::transfer::{Failure, Fetch, FetchLimits, Fetcher, Job, SavePoint, Source};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use transfer::{Place, car, commitment, fatal, limits, spool_of};

/// A place whose "staging file" is an imported file with these bytes.
fn imported(data: &[u8], limits: FetchLimits) -> Place {
    let place = Place::with(limits);
    std::fs::write(place.file(), data).unwrap();
    place
}

#[test]
fn a_local_file_goes_through_the_same_pass() {
    let data = car(300_000);
    for declared in [0, data.len()] {
        let place = imported(&data, limits());
        let finished = place.run_local(&place.file(), declared).unwrap();
        assert_eq!(finished.commitment, commitment(&data));
        assert_eq!(finished.bytes, data.len() as u64);
        assert_eq!(place.spooled(), spool_of(&data));
        assert_eq!(place.staged(), data, "the file itself is not touched");
        assert_eq!(
            place.control.bytes.load(Ordering::Relaxed),
            data.len() as u64
        );
    }
}

#[test]
fn another_size_than_declared_is_fatal_with_both_numbers() {
    let data = car(10_000);
    let place = imported(&data, limits());
    for declared in [data.len() - 1, data.len() + 1] {
        let failure = place.run_local(&place.file(), declared).unwrap_err();
        assert_eq!(
            fatal(&failure),
            format!(
                "the file has {} bytes, the deal declares {declared}",
                data.len()
            )
        );
    }
}

#[test]
fn a_file_that_is_missing_or_no_car_says_so() {
    let place = Place::new();
    let failure = place.run_local(&place.file(), 0).unwrap_err();
    assert!(
        fatal(&failure).starts_with("cannot read the file: "),
        "{failure:?}"
    );
    for wrong in [Vec::new(), vec![7; 5000], car(5000)[..4000].to_vec()] {
        let place = imported(&wrong, limits());
        let failure = place.run_local(&place.file(), 0).unwrap_err();
        assert!(
            fatal(&failure).starts_with("the data is not a CAR file: "),
            "{failure:?}"
        );
        assert_eq!(place.staged(), wrong);
    }
}

#[test]
fn a_stopped_import_goes_on_where_it_was() {
    let data = car(1_000_000);
    let place = imported(&data, limits());
    let fetcher = Fetcher::new(FetchLimits {
        save_every_bytes: 200_000,
        ..limits()
    });
    let mut job = Job {
        source: Source::Local,
        size: 0,
        file: place.file(),
        spool: place.spool(),
        save: SavePoint::default(),
    };
    let control = Arc::clone(&place.control);
    let mut saves = Vec::new();
    let stopped = fetcher.run(&job, &control, &mut |save| {
        saves.push(save);
        control.stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(stopped.unwrap_err(), Failure::Stopped);
    job.save = saves.last().cloned().unwrap();
    assert!(
        job.save.offset >= 200_000 && job.save.offset < data.len() as u64,
        "{}",
        job.save.offset
    );
    control.stop.store(false, Ordering::Relaxed);
    let finished = fetcher.run(&job, &control, &mut |_| ()).unwrap();
    assert_eq!(finished.commitment, commitment(&data));
    assert_eq!(place.spooled(), spool_of(&data));
}
