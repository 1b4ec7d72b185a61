//! Imports of offline deals (spec boost-mk12 4.9; edge cases 76, 77). What an operator can ask for beside that: `verbs`.

use super::samples::{at, offline, play, resting};
use crate::deal::checkpoint::ALL;
use crate::deal::step::{Class, Event, Setback};
use crate::deal::{Checkpoint, Import};

fn import(path: &str) -> Event {
    Event::Imported(Import {
        path: path.to_owned(),
        delete_after: false,
    })
}

#[test]
fn an_import_starts_the_pass() {
    let mut live = resting(offline());
    assert_eq!(play(&mut live, import("/a.car")), "Accepted → StartPass");
    let stored = live.deal.import.as_ref().unwrap();
    assert_eq!(
        (stored.path.as_str(), stored.delete_after),
        ("/a.car", false)
    );
}

#[test]
fn an_import_is_refused_with_its_reason() {
    // Edge case 77.
    let uuid = "01010101-0101-0101-0101-010101010101";
    let mut online = resting(at(Checkpoint::Accepted));
    assert_eq!(
        play(&mut online, import("/a.car")),
        format!("refused: deal {uuid} is not an offline deal")
    );
    let mut busy = resting(offline());
    play(&mut busy, import("/a.car"));
    assert_eq!(
        play(&mut busy, import("/b.car")),
        format!("refused: deal {uuid} is being imported already")
    );
    assert_eq!(busy.deal.import.as_ref().unwrap().path, "/a.car");
    for checkpoint in &ALL[1..] {
        let mut live = resting(offline());
        live.deal.checkpoint = *checkpoint;
        assert_eq!(
            play(&mut live, import("/b.car")),
            format!(
                "refused: deal {uuid} has already been imported and reached checkpoint {checkpoint}"
            )
        );
    }
}

#[test]
fn another_file_may_be_imported_after_one_that_could_not_be_read() {
    let mut live = resting(offline());
    play(&mut live, import("/a.car"));
    let unreadable = Setback::new(
        Class::Manual,
        "imported offline deal file: it is a directory",
    );
    assert_eq!(
        play(&mut live, Event::PassFailed(unreadable)),
        "Accepted waits: imported offline deal file: it is a directory"
    );
    assert_eq!(play(&mut live, import("/b.car")), "Accepted → StartPass");
    assert_eq!(live.deal.error, "");
}
