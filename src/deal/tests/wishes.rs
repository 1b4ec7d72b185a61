//! Imports of offline deals (spec boost-mk12 4.9; edge cases 76, 77). What an operator can ask for beside that: `verbs`.

use super::samples::{NOW, at, offline, play, resting, show};
use crate::deal::checkpoint::ALL;
use crate::deal::record::Hold;
use crate::deal::step::{Class, Event, Setback, Verb, step};
use crate::deal::{Checkpoint, Import, Terms};

fn import(path: &str) -> Event {
    Event::Imported(Import::new(path, false))
}

#[test]
fn an_import_waits_for_its_turn() {
    let mut live = resting(offline());
    assert_eq!(play(&mut live, import("/a.car")), "Accepted → QueueImport");
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
        format!("refused: deal {uuid} has already been imported and reached checkpoint Accepted")
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
    play(&mut live, Event::ImportBegun);
    let unreadable = Setback::new(
        Class::Manual,
        "imported offline deal file: it is a directory",
    );
    assert_eq!(
        play(&mut live, Event::PassFailed(unreadable)),
        "Accepted waits: imported offline deal file: it is a directory"
    );
    assert_eq!(play(&mut live, import("/b.car")), "Accepted → QueueImport");
    assert_eq!(live.deal.error, "");
}

#[test]
fn an_import_whose_turn_came_without_funds_waits_by_name() {
    let wait = |what: &str| Event::ImportWaits {
        what: what.to_owned(),
        why: "3 are missing".to_owned(),
    };
    let mut live = resting(offline());
    play(&mut live, import("/a.car"));
    let terms = Terms::default();
    let outcome = step(&mut live, wait("import waits for funds"), NOW, &terms);
    assert_eq!(
        show(&live, &outcome),
        "Accepted waits for room: import waits for funds"
    );
    assert_eq!(
        outcome.lines[0].text,
        "import waits for funds: 3 are missing"
    );
    // The same again is not worth a line nor a commit; another one is.
    assert_eq!(play(&mut live, wait("import waits for funds")), "-");
    assert_eq!(
        play(&mut live, wait("import waits for disk space")),
        "Accepted waits for room: import waits for disk space"
    );
    let mut retried = live.clone();
    assert_eq!(
        play(&mut retried, Event::Operator(Verb::Retry)),
        "Accepted → QueueImport"
    );
    let mut failed = live.clone();
    assert_eq!(
        play(&mut failed, Event::Operator(Verb::Fail)),
        "Complete → DropStaging: user manually terminated the deal"
    );
    assert_eq!(play(&mut live, Event::ImportBegun), "Accepted → StartPass");
    assert_eq!((live.deal.hold, live.deal.error.as_str()), (Hold::None, ""));
    assert_eq!(play(&mut live, wait("import waits for funds")), "-");
    assert_eq!(play(&mut live, Event::ImportBegun), "-");
}
